//! What runs that were cut off left behind: published files without a row in the ledger, which a crash between the rename and
//! the commit leaves, and ([`live`]) the staging files of live streams.
//!
//! The ledger has a note of each such file ([`crate::publish`] has the steps), so nothing else is looked at, however large the
//! archive is. Each is read whole, judged against the time that its name says, and adopted when it is that; else it is moved
//! aside. What a run of an older version left, which took no notes, is looked for [`everywhere`], once.
//!
//! Each step may be cut off as well: the note goes with the recording's row, or after the file was moved aside.

mod everywhere;
pub mod live;
mod mp4;
mod upload;

use std::collections::BTreeSet;
use std::io::{self, Read};

use chrono_tz::Tz;
use futures::stream::{self, StreamExt as _};

use crate::container::{Examined, Examiner};
use crate::device::DeviceId;
use crate::event::Recovery;
use crate::failpoint::{Failpoint, reached};
use crate::fetch;
use crate::flv;
use crate::judge::{self, Ending, Judgement};
use crate::ledger::Ledger;
use crate::publish::{self, ArchiveError, blocking};
use crate::recording::{Container, ContentHash, Recording, Source};
use crate::time_range::{GRID_SECONDS, UtcSecond};
use crate::vault::{self, Found, Named, Vault, VaultError};

/// How many files are looked at at once.
const AT_ONCE: usize = 8;

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

/// Adopts or moves aside every published file of `check`'s source that has no row. Only while no other run of that source goes
/// on.
pub async fn recover(ledger: &Ledger, vault: &Vault, check: Check) -> Result<Vec<Recovery>, ArchiveError> {
    recover_but(ledger, vault, &BTreeSet::new(), check).await
}

/// The same but for these cameras, whose files others may be in the middle of publishing. What this machine has of them in its spool
/// is its own all the same.
async fn recover_but(
    ledger: &Ledger,
    vault: &Vault,
    others: &BTreeSet<DeviceId>,
    check: Check,
) -> Result<Vec<Recovery>, ArchiveError> {
    let mut noted = Vec::new();
    for path in ledger.publishing(check.source).await? {
        if !vault::device_of(&path).is_some_and(|device| others.contains(&device)) || vault.ready(&path)?.is_some() {
            noted.push(path);
        }
    }
    let mut recovered = put_all_right(ledger, vault, noted, check).await?;
    if ledger.left_unnoted(check.source).await? {
        for found in everywhere::without_a_row(ledger, vault, check.source).await? {
            if !others.contains(&found.named.device) {
                recovered.push(settle(ledger, vault, found, check).await?);
            }
        }
        ledger.recovered(check.source).await?;
    }
    // What could not be dealt with now stays for the next start; what came live even where another machine has taken its note back
    // meanwhile, which knows nothing of the file here.
    if !(ledger.is_shared() && check.source == Source::Live) {
        clear_ready(ledger, vault, check.source).await?;
    }
    Ok(recovered)
}

/// Deletes what lies judged in the spool and is noted by nobody any more. What is still noted is sent by whoever looks after its
/// camera, so that no recorder is asked for it again.
pub async fn clear_ready(ledger: &Ledger, vault: &Vault, source: Source) -> Result<(), ArchiveError> {
    let (on, noted) = (vault.clone(), ledger.publishing(source).await?);
    Ok(blocking(move || on.clear_ready(source, &noted)).await?)
}

/// The same for some cameras alone, which nobody else fetches for at this time: what a host left that is dead.
pub async fn recover_of(
    ledger: &Ledger,
    vault: &Vault,
    devices: &BTreeSet<DeviceId>,
    check: Check,
) -> Result<Vec<Recovery>, ArchiveError> {
    let mut noted = ledger.publishing(check.source).await?;
    noted.retain(|path| vault::device_of(path).is_some_and(|device| devices.contains(&device)));
    put_all_right(ledger, vault, noted, check).await
}

async fn put_all_right(
    ledger: &Ledger,
    vault: &Vault,
    noted: Vec<String>,
    check: Check,
) -> Result<Vec<Recovery>, ArchiveError> {
    let mut recovered = Vec::new();
    // Some at once, so that the ledger writes them down together: a start waits for all of them.
    let mut done = stream::iter(noted).map(|path| put_right(ledger, vault, path, check)).buffered(AT_ONCE);
    while let Some(done) = done.next().await {
        match done {
            Ok(done) => recovered.extend(done),
            // A file that cannot be looked at keeps no night from beginning; its note stays.
            Err(ArchiveError::Vault(error @ (VaultError::Io { .. } | VaultError::Away { .. }))) => {
                recovered.push(Recovery::Left { why: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(recovered)
}

/// Puts right what is at a path that was noted, if anything is.
async fn put_right(
    ledger: &Ledger,
    vault: &Vault,
    path: String,
    check: Check,
) -> Result<Option<Recovery>, ArchiveError> {
    reached(Failpoint::AdoptLook).map_err(vault::failed("look for", &vault.path_of(&path)))?;
    if vault.uploads() {
        // Before anything is looked for: else it could appear a moment later.
        let (on, name, upload) = (vault.clone(), path.clone(), ledger.noted_upload(path.clone()).await?);
        blocking(move || on.abort_uploads(&name, upload)).await?;
    }
    let (on, name) = (vault.clone(), path.clone());
    let Some(found) = blocking(move || on.recording_at(&name)).await? else {
        // It never got that name, or was moved aside.
        return upload::again(ledger, vault, path, check).await;
    };
    let Named { device, range, .. } = found.named;
    if ledger.recordings_overlapping(device, range).await?.iter().any(|recording| recording.path == found.path) {
        // It has its row, and so no note by this program: but a recording must not be moved aside whatever is noted.
        vault.forget_ready(&path)?;
        ledger.forget_publishing(path).await?;
        return Ok(None);
    }
    settle(ledger, vault, found, check).await.map(Some)
}

/// Adopts a file without a row, or moves it aside.
async fn settle(ledger: &Ledger, vault: &Vault, found: Found, check: Check) -> Result<Recovery, ArchiveError> {
    let Named { device, range, .. } = found.named;
    if !ledger.recordings_overlapping(device, range).await?.is_empty() {
        let why = "part of its time is archived already".to_owned();
        return publish::set_aside(ledger, vault, &found.path, why).await;
    }
    let (on, path) = (vault.clone(), found.path.clone());
    match blocking(move || examine(&on, &found, check)).await {
        Ok(recording) => {
            reached(Failpoint::AdoptJudged).map_err(vault::failed("adopt", &vault.path_of(&path)))?;
            // It can be read, which does not mean that the disk has it: the run may have been killed before the last fsync.
            let on = vault.clone();
            blocking(move || on.make_durable(&path)).await?;
            match publish::record(ledger, vault, &recording, None).await? {
                None => Ok(Recovery::Adopted { recording: Box::new(recording) }),
                Some(overtaken) => Ok(overtaken),
            }
        }
        Err(why) => publish::set_aside(ledger, vault, &path, why).await,
    }
}

/// The recording that a file is; why it is none. Blocks on the disk.
fn examine(vault: &Vault, found: &Found, check: Check) -> Result<Recording, String> {
    recording_in(vault, found, check).unwrap_or_else(|error| Err(format!("it cannot be read: {error}")))
}

/// The same, where a file that cannot be read is an error. What an object's metadata says is believed, and it is not read:
/// it was judged before it was published with them.
pub(crate) fn recording_in(vault: &Vault, found: &Found, check: Check) -> io::Result<Result<Recording, String>> {
    if let Some(described) = vault.described(&found.path).map_err(io::Error::other)? {
        return Ok(Ok(described));
    }
    judged(found, || vault.open_file(&found.path).map_err(io::Error::other), check)
}

/// The recording that a file is which stands under its name, or is to; why it is none. It is opened once, or twice.
fn judged<R: Read>(
    found: &Found,
    open: impl Fn() -> io::Result<R>,
    check: Check,
) -> io::Result<Result<Recording, String>> {
    match (found.named.container, found.named.source) {
        (Container::Mp4, source) => match mp4::published(found, open()?, check)? {
            // One that a live stream was sent as.
            None if source == Source::Live => live::published(found, open()?, check),
            None => Ok(Err("it is no MP4 that was made of a recording".to_owned())),
            Some(examined) => Ok(examined),
        },
        (_, Source::Nvr) => download(found, open()?, check),
        (_, Source::Live) => live::published(found, open()?, check),
    }
}

/// The recording that a file is which came from an NVR; why it is none.
fn download(found: &Found, file: impl Read, check: Check) -> io::Result<Result<Recording, String>> {
    let Named { device, range, source, .. } = found.named;
    let mut parser = flv::Parser::new();
    let (blake3, bytes) = read(file, |bytes| parser.push(bytes))?;
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
fn examine_bytes(container: Container, file: impl Read) -> io::Result<(Examined, ContentHash)> {
    let mut examiner = Examiner::new(container);
    let (blake3, _) = read(file, |bytes| examiner.push(bytes))?;
    Ok((examiner.examined(), blake3))
}

/// Reads a whole file; gives its hash and its size.
fn read(mut file: impl Read, mut each: impl FnMut(&[u8])) -> io::Result<(ContentHash, u64)> {
    let mut buffer = vec![0; 256 << 10];
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
