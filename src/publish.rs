//! From a staging file to a recording: the one place where a file gets its final name, and the ledger is told before and after.
//!
//! # The order, and what a crash leaves at each step
//!
//! 0. Where the archive is of MP4s, the FLV becomes one beside it in staging ([`as_mp4`]). Crash: both are in staging. A download's
//!    are swept; of a live stream the FLV is published by the next start, and the other one is deleted.
//! 1. The ledger notes the name that the file is about to get, durably. Crash: a note without a file, which the next start
//!    takes back. The staging file is swept, or is a live stream's and is published then.
//! 2. [`Staging::publish`] makes the file and its name durable; the vault has the steps of that. Crash: a note, and either no
//!    file as before, or a whole file without a row. The next start finds it by the note, reads and judges it, and adopts it.
//! 3. The ledger writes the recording's row and takes the note back, in one transaction. Crash: nothing is lost.
//!
//! A live stream's FLV of which an MP4 was made is deleted last. Crash before: the next start adopts the MP4, and then finds that
//! all of the FLV's time is archived.
//!
//! When the time was archived meanwhile, the file is moved aside before its note is taken back. Crash: the note, and either the
//! file, which the next start moves aside for the same reason, or none.
//!
//! So a media file that stands under a final name has a row or a note, and a start looks for nothing else ([`crate::adopt`]).

mod as_mp4;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use chrono_tz::Tz;
use thiserror::Error;

use crate::event::Recovery;
use crate::failpoint::{Failpoint, reached};
use crate::ledger::{Ledger, LedgerError};
use crate::outcome::Attempt;
use crate::recording::{ContentHash, MediaFacts, Recording, Source};
use crate::report::RunId;
use crate::time_range::{TimeRange, UtcSecond};
use crate::vault::{self, Named, Outgoing, Patience, Staging, Uploaded, Vault, VaultError, name};
use crate::window::Window;

/// The archive itself fails.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive's disk failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A staging file that is judged and worth publishing, and what is known of it.
#[derive(Debug)]
pub struct Ready {
    /// The file.
    pub staging: Staging,
    /// How many of its first bytes are good; the rest is cut off.
    pub good_bytes: u64,
    /// What its name is to say.
    pub named: Named,
    /// The camera's local time, for the name.
    pub zone: Tz,
    /// What its streams are.
    pub media: MediaFacts,
    /// As of [`Recording::clock_offset`].
    pub clock_offset: Option<i64>,
    /// When that is (UTC).
    pub now: UtcSecond,
    /// What a person should know before trusting it.
    pub note: String,
}

/// The attempt at a window that brought a file.
#[derive(Debug)]
pub struct Brought {
    /// Whose attempt.
    pub run: RunId,
    /// The window, of which the file may be the first part.
    pub window: Window,
    /// How the attempt went so far; publishing counts as its time.
    pub attempt: Attempt,
}

/// What became of a file.
#[derive(Debug)]
pub enum Done {
    /// It is a recording, and the ledger has its row.
    Archived {
        /// The recording.
        recording: Box<Recording>,
        /// Where a file went that stood under its name without being in the ledger.
        set_aside: Option<PathBuf>,
        /// The attempt that brought it, with the time that publishing took.
        attempt: Option<Attempt>,
    },
    /// Some of its time was archived meanwhile, by a run that goes on beside this one: it was moved aside.
    Overtaken(Recovery),
}

/// A judged file that waits in the spool of an object store, under the name that the ledger has noted.
#[derive(Debug)]
pub struct Kept {
    /// The recording that it is, once it is uploaded.
    pub recording: Recording,
    original: Option<Staging>,
}

/// Publishes a file and writes down its recording, with the attempt that brought it when one did.
pub async fn publish(
    ledger: &Ledger,
    vault: &Vault,
    ready: Ready,
    brought: Option<Brought>,
) -> Result<Done, ArchiveError> {
    if vault.uploads() {
        let kept = keep(ledger, vault, ready).await?;
        return send(ledger, vault, kept, brought, Patience::default()).await;
    }
    let begun = Instant::now();
    let Noted { mut staging, good_bytes, original, recording } = note(ledger, vault, ready).await?;
    let below = recording.path.clone();
    let published = blocking(move || {
        staging.truncate(good_bytes)?;
        staging.publish(&below)
    })
    .await?;
    let recording = Recording { bytes: published.bytes, blake3: published.blake3, ..recording };
    write_down(ledger, vault, recording, published.set_aside, original, brought, begun).await
}

/// Where recordings are in an object store: until the file is in the spool, whatever becomes of the store. [`send`] does the rest.
pub async fn keep(ledger: &Ledger, vault: &Vault, ready: Ready) -> Result<Kept, ArchiveError> {
    let Noted { mut staging, good_bytes, original, recording } = note(ledger, vault, ready).await?;
    let on = vault.clone();
    let recording = blocking(move || {
        staging.truncate(good_bytes)?;
        let recording = Recording { bytes: staging.bytes(), blake3: staging.blake3()?, ..recording };
        on.keep_ready(staging, &recording)?;
        Ok::<_, VaultError>(recording)
    })
    .await?;
    Ok(Kept { recording, original })
}

/// Uploads what was kept and writes down its recording. A store that is away is waited for with `patience`; after that the error is
/// [`VaultError::Away`], and the file stays to be uploaded by a later start.
pub async fn send(
    ledger: &Ledger,
    vault: &Vault,
    kept: Kept,
    brought: Option<Brought>,
    patience: Patience,
) -> Result<Done, ArchiveError> {
    let begun = Instant::now();
    let Kept { recording, original } = kept;
    let (on, ready) = (vault.clone(), recording.clone());
    let outgoing = blocking(move || on.send_ready(ready, patience)).await?;
    let (recording, set_aside) = upload(ledger, outgoing, recording).await?;
    write_down(ledger, vault, recording, set_aside, original, brought, begun).await
}

/// A file whose name the ledger has noted, and its recording but for its size and its hash.
struct Noted {
    staging: Staging,
    good_bytes: u64,
    original: Option<Staging>,
    recording: Recording,
}

/// Steps 0 and 1.
async fn note(ledger: &Ledger, vault: &Vault, ready: Ready) -> Result<Noted, ArchiveError> {
    let (ready, original) = as_mp4::where_wanted(vault, ready).await?;
    let Ready { staging, good_bytes, named, zone, media, clock_offset, now, note } = ready;
    let path = name::recording(&named, zone);
    let at = |step| reached(step).map_err(vault::failed("publish", &vault.path_of(&path)));
    at(Failpoint::PublishingNote)?;
    ledger.note_publishing(named.source, path.clone()).await?;
    at(Failpoint::PublishingNoted)?;
    let recording = Recording {
        device: named.device,
        range: named.range,
        path,
        bytes: 0,
        blake3: ContentHash([0; 32]),
        media,
        source: named.source,
        clock_offset,
        archived_at: now,
        note,
    };
    Ok(Noted { staging, good_bytes, original, recording })
}

/// Step 3, and what is left to do after it.
async fn write_down(
    ledger: &Ledger,
    vault: &Vault,
    recording: Recording,
    set_aside: Option<PathBuf>,
    original: Option<Staging>,
    brought: Option<Brought>,
    begun: Instant,
) -> Result<Done, ArchiveError> {
    let brought = brought.map(|mut brought| {
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        brought.attempt.milliseconds = brought.attempt.milliseconds.saturating_add(took);
        brought
    });
    let attempt = brought.as_ref().map(|brought| brought.attempt.clone());
    let recorded = record(ledger, vault, &recording, brought).await?;
    if let Some(original) = original {
        blocking(move || original.discard()).await?;
    }
    match recorded {
        None => Ok(Done::Archived { recording: Box::new(recording), set_aside, attempt }),
        Some(overtaken) => Ok(Done::Overtaken(overtaken)),
    }
}

/// Step 2 where recordings are in an object store: the bytes go up once the ledger knows the upload by its number, and are complete
/// then ([`crate::vault::Outgoing`] has the steps). Gives the recording that stands there now, which is another's when somebody
/// else published the same time, and where something unknown went that stood there before.
pub(crate) async fn upload(
    ledger: &Ledger,
    mut outgoing: Outgoing,
    recording: Recording,
) -> Result<(Recording, Option<PathBuf>), ArchiveError> {
    loop {
        let number = outgoing.upload().to_owned();
        match ledger.note_upload(recording.path.clone(), number).await {
            Ok(true) => {}
            Ok(false) if recording.source == Source::Live => {
                // Whoever took this run for dead took its note back, once nothing that had been begun could be completed. Nobody else
                // has what it recorded.
                ledger.note_publishing(Source::Live, recording.path.clone()).await?;
                outgoing = blocking(move || outgoing.anew()).await?;
                continue;
            }
            Ok(false) => {
                let path = PathBuf::from(&recording.path);
                blocking(move || outgoing.abort()).await?;
                let why = "its note in the ledger is gone: another host has taken over what this one was doing";
                return Err(vault::failed("publish", &path)(io::Error::other(why)).into());
            }
            Err(error) => {
                // Whoever has taken over has aborted what was noted, and looks for nothing that comes later. OK to ignore a
                // failure: it costs a little room, until `reindex` or a rule of the bucket aborts it.
                let _ = blocking(move || outgoing.abort()).await;
                return Err(error.into());
            }
        }
        outgoing = match blocking(move || outgoing.finish()).await? {
            Uploaded::Here { set_aside } => return Ok((recording, set_aside)),
            Uploaded::Another(other) => return Ok((*other, None)),
            Uploaded::Anew(anew) => *anew,
        }
    }
}

/// Step 3: writes down the recording of a file that has its final name. When some of its time is archived already, says where
/// the file went instead.
pub(crate) async fn record(
    ledger: &Ledger,
    vault: &Vault,
    recording: &Recording,
    brought: Option<Brought>,
) -> Result<Option<Recovery>, ArchiveError> {
    let file = vault.path_of(&recording.path);
    reached(Failpoint::RowWrite).map_err(vault::failed("publish", &file))?;
    let recorded = match brought {
        None => ledger.add_recording(recording.clone()).await,
        Some(Brought { run, window, attempt }) => {
            let rest = TimeRange::new(recording.range.end(), window.range.end());
            let rest = rest.zip(attempt.outcome.cause());
            ledger.record_archived(run, attempt, recording.clone(), rest).await
        }
    };
    match recorded {
        Err(LedgerError::Overlap { held_path, .. }) if held_path == recording.path => {
            // Another host was faster with the very same, and what stands there is its.
            vault.forget_ready(&recording.path)?;
            ledger.forget_publishing(recording.path.clone()).await?;
            let why = format!("{held_path} was archived meanwhile, by another host");
            Ok(Some(Recovery::Left { why }))
        }
        Err(LedgerError::Overlap { held_path, .. }) => {
            let why = format!("some of its time was archived meanwhile, as {held_path}");
            set_aside(ledger, vault, &recording.path, why).await.map(Some)
        }
        recorded => {
            recorded?;
            reached(Failpoint::RowWritten).map_err(vault::failed("publish", &file))?;
            vault.forget_ready(&recording.path)?;
            Ok(None)
        }
    }
}

/// Moves a file without a row out of the way, and then takes its note back.
pub(crate) async fn set_aside(
    ledger: &Ledger,
    vault: &Vault,
    path: &str,
    why: String,
) -> Result<Recovery, ArchiveError> {
    let (on, name) = (vault.clone(), path.to_owned());
    let to = blocking(move || on.set_aside(&name).and_then(|to| on.forget_ready(&name).map(|()| to))).await?;
    ledger.forget_publishing(path.to_owned()).await?;
    Ok(Recovery::SetAside { path: to, why })
}

/// Does what blocks on the disk beside the threads that must not.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let working = tokio::task::spawn_blocking(work);
    working.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
}
