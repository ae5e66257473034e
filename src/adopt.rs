//! What runs that were cut off left behind: published files without a row in the ledger, which a crash between the rename and
//! the commit leaves, and ([`live`]) the staging files of live streams.
//!
//! Each file is read whole, judged against the time that its name says, and adopted when it is that; else it is moved aside.
//! Only after a run that did not end properly, and only on days of which something is missing, whoever asked for it.

pub mod live;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::NaiveDate;
use chrono_tz::Tz;
use thiserror::Error;

use crate::container::{Examined, Examiner};
use crate::device::DeviceId;
use crate::event::Recovery;
use crate::fetch;
use crate::flv;
use crate::judge::{self, Ending, Judgement};
use crate::ledger::{Ledger, LedgerError};
use crate::recording::{Container, ContentHash, Recording, Source};
use crate::time_range::{ALL_TIME, GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use crate::vault::{Found, Named, Vault, VaultError};
use crate::window::Window;

/// Why what was left behind could not be put right.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive's disk failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// How files are examined.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Of which source's runs the files are looked for: those of the other may be in the middle of publishing theirs.
    pub source: Source,
    /// When it is done.
    pub now: UtcSecond,
    /// How much shorter than its name says a recording may be, in seconds.
    pub tolerance_seconds: i64,
    /// The zone in which the platform reads labels.
    pub platform_zone: Tz,
}

/// What is to be done with a file.
enum Orphan {
    /// It is what its name says.
    Whole(Box<Recording>),
    /// It is not.
    Spoiled {
        /// Its name below the root.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// Adopts or moves aside every published file of `check`'s source that has no row and whose time is missing. Only while no
/// other run of that source goes on.
pub async fn recover(ledger: &Ledger, vault: &Vault, check: Check) -> Result<Vec<Recovery>, AdoptError> {
    let devices: Vec<DeviceId> = ledger.devices().await?.into_iter().map(|row| row.facts.device).collect();
    let mut archived = ledger.archived(devices.clone(), ALL_TIME).await?;
    let mut known: BTreeMap<DeviceId, Known> = BTreeMap::new();
    for (device, stretches) in ledger.missing(devices, ALL_TIME).await? {
        let missing = stretches.into_iter().map(|stretch| stretch.range).collect();
        known.insert(device, Known { missing, archived: archived.remove(&device).unwrap_or_default() });
    }
    let on = vault.clone();
    let orphans = blocking(move || find(&on, &known, check)).await?;
    let mut recovered = Vec::new();
    for orphan in orphans {
        recovered.push(match orphan {
            Orphan::Whole(recording) => {
                let window = Window { device: recording.device, range: recording.range };
                ledger.add_recording(*recording).await?;
                Recovery::Adopted { window }
            }
            Orphan::Spoiled { path, why } => Recovery::SetAside { path: vault.set_aside(&path)?, why },
        });
    }
    Ok(recovered)
}

/// Does what blocks on the disk beside the threads that must not.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let working = tokio::task::spawn_blocking(work);
    working.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
}

/// What the ledger knows of one device's time.
struct Known {
    missing: RangeSet,
    archived: RangeSet,
}

/// Finds the files of whose time something is missing, and examines them. A live piece may reach a little beyond what was asked
/// for, up to the keyframe at which it was cut. Blocks on the disk.
fn find(vault: &Vault, known: &BTreeMap<DeviceId, Known>, check: Check) -> Result<Vec<Orphan>, VaultError> {
    let mut orphans = Vec::new();
    for (&device, Known { missing, archived }) in known {
        let days = vault.days_of(device)?;
        for day in days.into_iter().filter(|&day| may_start_on(missing, day)) {
            for found in vault.recordings_of_day(device, day)? {
                let Named { range, source, .. } = found.named;
                if source != check.source {
                    continue;
                }
                if missing.intersect(&range.into()).is_empty() {
                    continue;
                }
                if archived.intersect(&range.into()).is_empty() {
                    orphans.push(examine(&found, &vault.path_of(&found.path), check));
                } else {
                    let why = "part of its time is archived already".to_owned();
                    orphans.push(Orphan::Spoiled { path: found.path, why });
                }
            }
        }
    }
    Ok(orphans)
}

/// Whether a recording of some of these ranges may stand in the folder of that local day, whatever the zone.
fn may_start_on(missing: &RangeSet, day: NaiveDate) -> bool {
    const FURTHEST_ZONE: i64 = 15 * 3600;
    let midnight = UtcSecond::floor(day.and_time(chrono::NaiveTime::MIN).and_utc());
    let around = TimeRange::new(midnight - FURTHEST_ZONE, midnight + 86_400 + FURTHEST_ZONE);
    around.is_some_and(|around| !missing.intersect(&around.into()).is_empty())
}

fn examine(found: &Found, path: &Path, check: Check) -> Orphan {
    let examined = match found.named.source {
        Source::Nvr => download(found, path, check),
        Source::Live => live::published(found, path, check),
    };
    let spoiled = |why| Orphan::Spoiled { path: found.path.clone(), why };
    match examined {
        Ok(Ok(recording)) => Orphan::Whole(Box::new(recording)),
        Ok(Err(why)) => spoiled(why),
        Err(error) => spoiled(format!("it cannot be read: {error}")),
    }
}

/// The recording that a file is which came from an NVR; why it is none.
fn download(found: &Found, path: &Path, check: Check) -> io::Result<Result<Recording, String>> {
    let Named { device, range, source, .. } = found.named;
    let mut parser = flv::Parser::new();
    let (blake3, bytes) = read(path, |bytes| parser.push(bytes))?;
    let report = parser.report();
    Ok(match judge::judge(&report, Ending::Clean, range.seconds(), check.tolerance_seconds) {
        Judgement::Whole { good_bytes } if good_bytes == bytes => {
            // A window ends on the grid unless it was asked for with an odd edge; a prefix hardly ever does.
            let is_prefix = range.end().get().rem_euclid(GRID_SECONDS) != 0;
            Ok(Recording {
                device,
                range,
                path: found.path.clone(),
                bytes,
                blake3,
                media: report.media_facts(),
                source,
                clock_offset: None,
                archived_at: check.now,
                note: fetch::note(range, is_prefix, &report, check.platform_zone, check.tolerance_seconds),
            })
        }
        other => Err(format!("it is not whole: {other:?}")),
    })
}

/// What a file holds, by its bytes alone, with their hash.
fn examine_bytes(container: Container, path: &Path) -> io::Result<(Examined, ContentHash)> {
    let mut examiner = Examiner::new(container);
    let (blake3, _) = read(path, |bytes| examiner.push(bytes))?;
    Ok((examiner.examined(), blake3))
}

/// Reads a whole file; gives its hash and its size.
fn read(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<(ContentHash, u64)> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 256 << 10]);
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((ContentHash(*hasher.finalize().as_bytes()), bytes));
        }
        each(&buffer[..read]);
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}
