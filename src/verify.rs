//! `verify`: whether each recording's file is there and is what it was.
//!
//! Recordings are read from the ledger in pages, and a folder is looked through once, so what this takes of memory does not
//! grow with the archive. It goes on beside runs: a recording is written down only after its file stands, so whoever reads the
//! recording first never misses a file that is just being published; and nobody else takes files out meanwhile
//! (`leaving::hold`).
//!
//! What is not what it was leaves as [`crate::leaving`] has it: the file is moved aside, and the time is a gap. That takes proof.
//! A hash must be wrong twice, both times read from the disk. A file that cannot be read proves nothing, nor does a camera of
//! which not one folder is there, since its disk may not be mounted: both are said, and the recordings stand.
//!
//! With hashes the whole archive is gone through in rounds. The ledger keeps how far a round has come, so each verify goes on
//! behind the one before it, and reads nothing twice.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::WallClock;
use crate::device::DeviceId;
use crate::event::Recovery;
use crate::leaving;
use crate::ledger::Ledger;
use crate::publish::{ArchiveError, blocking};
use crate::recording::Recording;
use crate::time_range::{ALL_TIME, TimeRange, UtcSecond};
use crate::upkeep::{Finding, Mismatch, Round, Unreadable, VerifyEnd, VerifyReport};
use crate::vault::{ReadBack, Vault, VaultError};

/// How many recordings are taken from the ledger at once.
const PAGE: u32 = 512;
/// The same when they are read: how far a round has come is kept after each page.
const PAGE_TO_READ: u32 = 16;

/// What is to be looked at, and how.
#[derive(Clone, Debug)]
pub struct VerifyJob {
    /// Whether files are read and hashed; otherwise only their sizes are looked at.
    pub hash: bool,
    /// These cameras and times only; all, in rounds when they are hashed, when it does not say.
    pub parts: Option<Vec<(DeviceId, TimeRange)>>,
    /// What may be spent.
    pub budget: Budget,
    /// Whether a camera of which not one folder is there has lost them.
    pub folders_are_gone: bool,
}

/// What a verify may spend. It ends before the first file that does not fit, but never before it has looked at one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Time.
    pub time: Option<Duration>,
    /// Bytes of files.
    pub bytes: Option<u64>,
}

/// What a verify tells while it goes on.
#[derive(Clone, Debug)]
pub enum Told {
    /// What an earlier one left behind was dealt with.
    Recovered(Recovery),
    /// A recording is a gap now.
    Mismatch(Mismatch),
    /// A file could not be looked at.
    Unreadable(Unreadable),
    /// So much has been looked at.
    Progress {
        /// Recordings.
        recordings: u64,
        /// Bytes of their files.
        bytes: u64,
    },
}

/// What a verify works with.
pub struct VerifyTools<'a> {
    /// What is known of the recordings.
    pub ledger: &'a Ledger,
    /// Where their files are.
    pub vault: &'a Vault,
    /// Whoever cancels this wants the end soon.
    pub stop: CancellationToken,
    /// Who is told what is found.
    pub tell: &'a mut dyn FnMut(Told),
}

/// Looks at what `job` says. An error is the ledger's or the disk's; what was found until then is written down.
pub async fn execute(job: VerifyJob, tools: VerifyTools<'_>) -> Result<VerifyReport, ArchiveError> {
    let _hold = leaving::hold(tools.ledger, tools.vault).await?;
    let clock = WallClock::start();
    for recovery in leaving::finish(tools.ledger, tools.vault, clock.now().to_utc_second()).await? {
        (tools.tell)(Told::Recovered(recovery));
    }
    let begun = Instant::now();
    let report = VerifyReport::new(job.hash);
    let mut verify = Verify { job, tools, clock, begun, round: None, report };
    let devices: Vec<DeviceId> = verify.tools.ledger.devices().await?.iter().map(|row| row.facts.device).collect();
    match verify.job.parts.take() {
        None if verify.job.hash => verify.go_round(&devices).await?,
        parts => {
            let all = || devices.iter().map(|&device| (device, ALL_TIME)).collect();
            verify.look_at(parts.unwrap_or_else(all)).await?;
        }
    }
    let Verify { mut report, round, .. } = verify;
    report.took_seconds = begun.elapsed().as_secs_f64();
    report.round = round;
    Ok(report)
}

struct Verify<'a> {
    job: VerifyJob,
    tools: VerifyTools<'a>,
    clock: WallClock,
    begun: Instant,
    /// The round that is under way.
    round: Option<Round>,
    report: VerifyReport,
}

/// What looking at a file showed.
enum Checked {
    /// It is what it was, and has so many bytes.
    Good(u64),
    Bad(Finding),
    Unsure(String),
}

/// A page of recordings that were looked at, in order.
struct Page {
    checked: Vec<(Recording, Checked)>,
    /// Why not all of them were.
    end: Option<VerifyEnd>,
    /// The folder that was looked into last.
    folder: Folder,
}

impl Verify<'_> {
    /// Goes on with the round that is under way, or begins one; and when it has come round, goes on with the next one up to where
    /// it began itself, so that a budget is spent and nothing is read twice.
    async fn go_round(&mut self, devices: &[DeviceId]) -> Result<(), ArchiveError> {
        let ledger = self.tools.ledger;
        let open = ledger.newest_round().await?.filter(|round| round.ended.is_none());
        let round = match open {
            Some(round) => round,
            None => ledger.begin_round(self.now()).await?,
        };
        let from = round.reached;
        self.round = Some(round);
        if !self.look_at(ahead_of(devices, from)).await? {
            return Ok(());
        }
        if let Some(mut round) = self.round.take() {
            round.ended = Some(self.now());
            ledger.keep_round(round).await?;
            self.report.came_round = Some(round);
        }
        let behind = behind(devices, from);
        if !behind.is_empty() {
            self.round = Some(ledger.begin_round(self.now()).await?);
            self.look_at(behind).await?;
        }
        Ok(())
    }

    fn now(&self) -> UtcSecond {
        self.clock.now().to_utc_second()
    }

    /// Whether all of it was looked at.
    async fn look_at(&mut self, parts: impl IntoIterator<Item = (DeviceId, TimeRange)>) -> Result<bool, ArchiveError> {
        for (device, within) in parts {
            if let Some(end) = self.look_at_one(device, within).await? {
                self.report.ended = end;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks at what one camera has of a time; says why when it did not come to its end.
    async fn look_at_one(&mut self, device: DeviceId, within: TimeRange) -> Result<Option<VerifyEnd>, ArchiveError> {
        let page_size = if self.job.hash { PAGE_TO_READ } else { PAGE };
        let (mut rest, mut is_first) = (Some(within), true);
        let mut folder = Folder::default();
        while let Some(left) = rest {
            let page = self.tools.ledger.recordings_page(device, left, page_size).await?;
            let Some(last) = page.last() else { break };
            rest = TimeRange::new(last.range.end(), within.end());
            if std::mem::take(&mut is_first) && !self.has_folder(device).await? {
                break;
            }
            let page = self.check(page, folder).await;
            folder = page.folder;
            let is_missing = |(_, found): &(Recording, Checked)| matches!(found, Checked::Bad(Finding::NoFile));
            // Again, since its disk may have gone meanwhile.
            if page.checked.iter().any(is_missing) && !self.has_folder(device).await? {
                break;
            }
            self.settle(device, page.checked).await?;
            if page.end.is_some() {
                return Ok(page.end);
            }
        }
        Ok(None)
    }

    /// Whether there is any folder of a camera's to look into.
    async fn has_folder(&mut self, device: DeviceId) -> Result<bool, ArchiveError> {
        if self.job.folders_are_gone {
            return Ok(true);
        }
        let vault = self.tools.vault.clone();
        match blocking(move || vault.has_folder_of(device)).await {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.report.folders_gone.push(device);
                Ok(false)
            }
            Err(VaultError::Io { source, .. } | VaultError::Away { source, .. }) => {
                self.unsure(device.to_string(), source.to_string());
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at the files of a page, for as long as the budget lasts and nobody asks for the end.
    async fn check(&self, page: Vec<Recording>, folder: Folder) -> Page {
        let (vault, stop, hash) = (self.tools.vault.clone(), self.tools.stop.clone(), self.job.hash);
        let (budget, begun) = (self.job.budget, self.begun);
        let (mut files, mut bytes) = (self.report.recordings, self.report.bytes);
        blocking(move || {
            let mut done = Page { checked: Vec::with_capacity(page.len()), end: None, folder };
            for recording in page {
                let is_spent = budget.time.is_some_and(|most| begun.elapsed() >= most)
                    || budget.bytes.is_some_and(|most| bytes.saturating_add(recording.bytes) > most);
                if is_spent && files > 0 {
                    done.end = Some(VerifyEnd::Budget);
                    return done;
                }
                let found = match hash {
                    _ if stop.is_cancelled() => None,
                    true => check_bytes(&vault, &recording, &|| stop.is_cancelled()),
                    false => Some(done.folder.check_size(&vault, &recording)),
                };
                let Some(found) = found else {
                    done.end = Some(VerifyEnd::Signal);
                    return done;
                };
                files += 1;
                if let Checked::Good(size) = found {
                    bytes = bytes.saturating_add(size);
                }
                done.checked.push((recording, found));
            }
            done
        })
        .await
    }

    /// Writes down what was found, and how far the round has come.
    async fn settle(&mut self, device: DeviceId, checked: Vec<(Recording, Checked)>) -> Result<(), ArchiveError> {
        let Some(reached) = checked.last().map(|(recording, _)| recording.range.end()) else { return Ok(()) };
        let before = (self.report.recordings, self.report.bytes, self.report.corrupt);
        for (recording, found) in checked {
            self.report.recordings += 1;
            match found {
                Checked::Good(bytes) => self.report.bytes += bytes,
                Checked::Bad(finding) => self.lose(&recording, &finding).await?,
                Checked::Unsure(why) => self.unsure(recording.path, why),
            }
        }
        if let Some(round) = &mut self.round {
            round.reached = Some((device, reached));
            round.counts.files += self.report.recordings - before.0;
            round.counts.bytes += self.report.bytes - before.1;
            round.counts.corrupt += self.report.corrupt - before.2;
            self.tools.ledger.keep_round(*round).await?;
        }
        (self.tools.tell)(Told::Progress { recordings: self.report.recordings, bytes: self.report.bytes });
        Ok(())
    }

    /// Makes a gap of a recording that is not what it was.
    async fn lose(&mut self, recording: &Recording, finding: &Finding) -> Result<(), ArchiveError> {
        let now = self.now();
        match leaving::set_aside(self.tools.ledger, self.tools.vault, recording, finding, now).await {
            Ok(Some(moved_to)) => {
                let mismatch = Mismatch {
                    device: recording.device,
                    range: recording.range,
                    path: recording.path.clone(),
                    found: *finding,
                    detail: finding.to_string(),
                    moved_to,
                };
                (self.tools.tell)(Told::Mismatch(mismatch.clone()));
                self.report.add_mismatch(mismatch);
                Ok(())
            }
            // It went meanwhile, by other hands.
            Ok(None) => Ok(()),
            Err(ArchiveError::Vault(VaultError::Io { source, .. } | VaultError::Away { source, .. })) => {
                let why = format!("{finding}; it could not be moved aside, which the next start tries again: {source}");
                self.unsure(recording.path.clone(), why);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn unsure(&mut self, path: String, why: String) {
        let unreadable = Unreadable { path, why };
        (self.tools.tell)(Told::Unreadable(unreadable.clone()));
        self.report.add_unreadable(unreadable);
    }
}

/// What a round that has come so far has before it.
fn ahead_of(devices: &[DeviceId], from: Option<(DeviceId, UtcSecond)>) -> Vec<(DeviceId, TimeRange)> {
    let ahead = |&device: &DeviceId| match from {
        Some((at, _)) if device < at => None,
        Some((at, reached)) if device == at => TimeRange::new(reached, ALL_TIME.end()),
        _ => Some(ALL_TIME),
    };
    devices.iter().filter_map(|device| Some((*device, ahead(device)?))).collect()
}

/// What it has behind it.
fn behind(devices: &[DeviceId], from: Option<(DeviceId, UtcSecond)>) -> Vec<(DeviceId, TimeRange)> {
    let behind = |&device: &DeviceId| match from {
        Some((at, _)) if device < at => Some(ALL_TIME),
        Some((at, reached)) if device == at => TimeRange::new(ALL_TIME.start(), reached),
        _ => None,
    };
    devices.iter().filter_map(|device| Some((*device, behind(device)?))).collect()
}

/// The folder that was looked into last.
#[derive(Default)]
struct Folder {
    path: Option<String>,
    sizes: HashMap<String, u64>,
    /// Why it could not be looked into.
    why: Option<String>,
}

impl Folder {
    /// Looks at a file's size. Blocks on the disk when it is in another folder than the one before.
    fn check_size(&mut self, vault: &Vault, recording: &Recording) -> Checked {
        let (folder, name) = recording.path.rsplit_once('/').unwrap_or(("", &recording.path));
        if self.path.as_deref() != Some(folder) {
            let looked = vault.sizes_in(folder);
            let why = looked.as_ref().err().map(ToString::to_string);
            *self = Self { path: Some(folder.to_owned()), sizes: looked.unwrap_or_default(), why };
        }
        match (&self.why, self.sizes.get(name)) {
            (Some(why), _) => Checked::Unsure(why.clone()),
            (None, None) => Checked::Bad(Finding::NoFile),
            (None, Some(&found)) if found != recording.bytes => {
                Checked::Bad(Finding::Size { expected: recording.bytes, found })
            }
            (None, Some(&found)) => Checked::Good(found),
        }
    }
}

/// Reads a file and compares its hash; nothing when somebody asked for the end meanwhile. Blocks on the disk.
fn check_bytes(vault: &Vault, recording: &Recording, is_stopped: &dyn Fn() -> bool) -> Option<Checked> {
    let expected = recording.blake3;
    let read = || match vault.size_of(&recording.path) {
        Ok(None) => Ok(Err(Finding::NoFile)),
        Ok(Some(found)) if found != recording.bytes => Ok(Err(Finding::Size { expected: recording.bytes, found })),
        Ok(Some(_)) => vault.read_back(&recording.path, is_stopped).map(Ok),
        Err(error) => Err(error),
    };
    let mut before = None;
    loop {
        match read() {
            Ok(Ok(ReadBack::Stopped)) => return None,
            Ok(Ok(ReadBack::Whole { bytes, blake3 })) if blake3 == expected => {
                // OK to say no more of it than that: what is on the disk is right.
                let unreliable = "it was read once with another hash than its own, and then with its own: the disk, its \
                                  cable or this machine's memory cannot be relied on";
                return Some(match before {
                    None => Checked::Good(bytes),
                    Some(_) => Checked::Unsure(unreliable.to_owned()),
                });
            }
            Ok(Ok(ReadBack::Whole { blake3: found, .. })) => match before.replace(found) {
                None => {}
                Some(_) => return Some(Checked::Bad(Finding::Hash { expected, found })),
            },
            Ok(Err(finding)) => return Some(Checked::Bad(finding)),
            Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Some(Checked::Bad(Finding::NoFile));
            }
            Err(error) => return Some(Checked::Unsure(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_range::RangeSet;

    #[test]
    fn what_is_ahead_of_a_round_and_behind_it_is_all_and_nothing_twice() {
        let device = |number: i64| DeviceId::new(number).expect("not negative");
        let devices: Vec<DeviceId> = [1, 4, 7].map(device).to_vec();
        // A camera that was known when the round came to it, and is not any more, is one of the places.
        for at in [0, 1, 3, 4, 7, 9] {
            for reached in [0, 600, ALL_TIME.end().get()] {
                let from = Some((device(at), UtcSecond::new(reached)));
                let (ahead, behind) = (ahead_of(&devices, from), behind(&devices, from));
                for &device in &devices {
                    let of = |parts: &[(DeviceId, TimeRange)]| -> RangeSet {
                        parts.iter().filter(|part| part.0 == device).map(|part| part.1).collect()
                    };
                    let (first, second) = (of(&ahead), of(&behind));
                    assert!(first.intersect(&second).is_empty(), "{from:?}");
                    assert_eq!(first.seconds() + second.seconds(), ALL_TIME.seconds(), "{from:?}");
                }
            }
        }
        assert_eq!((ahead_of(&devices, None).len(), behind(&devices, None).len()), (3, 0));
    }
}
