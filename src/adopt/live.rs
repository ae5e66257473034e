//! What a live run that was cut off left behind. Its staging files are all that there is of that time, so what of them is whole
//! is published: up to the last whole tag, or the last whole segment.
//!
//! # What a crash leaves, by where it struck
//!
//! 1. While a piece comes in: its staging file, with a name that says when it begins. Published here, for as long as its
//!    footage is; the rest of what was being recorded is interrupted.
//! 2. While it is published: what [`crate::publish`] says. A file without a row is adopted, as a download is.
//! 3. After the commit: nothing.

use std::io::{self, Read};
use std::time::Duration;

use chrono_tz::Tz;

use crate::container::{Examined, Examiner};
use crate::device::DeviceId;
use crate::event::Recovery;
use crate::instant::Instant;
use crate::ledger::{Ledger, LedgerError};
use crate::live_clock;
use crate::live_runs::LiveRunId;
use crate::publish::{self, ArchiveError, Ready, blocking};
use crate::recording::{Recording, Source};
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::vault::{Found, LivePiece, Named, Staging, Vault, VaultError};

use super::{Check, examine_bytes};

/// Whether a live run goes on, or left something behind.
pub async fn is_needed(ledger: &Ledger, vault: &Vault) -> Result<bool, ArchiveError> {
    Ok(!vault.live_pieces()?.is_empty()
        || !ledger.being_recorded().await?.is_empty()
        || !ledger.publishing(Source::Live).await?.is_empty()
        || ledger.left_unnoted(Source::Live).await?
        || (ledger.is_shared() && !vault.all_ready(Source::Live)?.is_empty()))
}

/// Publishes what was left in staging, adopts what was published, and says of the rest that it was interrupted. Only while no
/// live run goes on here: the caller has the vault's hold. Those that go on elsewhere look after their cameras themselves; `live_run` is
/// the caller among them, if it is one.
pub async fn recover(
    ledger: &Ledger,
    vault: &Vault,
    live_run: Option<LiveRunId>,
    check: Check,
) -> Result<Vec<Recovery>, ArchiveError> {
    let on = vault.clone();
    blocking(move || on.discard_live_remuxes()).await?;
    let others = ledger.recorded_elsewhere(live_run).await?;
    if ledger.is_shared() {
        note_again(ledger, vault).await?;
    }
    let mut recovered = super::recover_but(ledger, vault, &others, check).await?;
    for piece in vault.live_pieces()? {
        match publish_left(ledger, vault, piece, check).await {
            Ok(done) => recovered.extend(done),
            // One file that cannot be read must not keep every night from beginning.
            Err(ArchiveError::Vault(error @ (VaultError::Io { .. } | VaultError::Away { .. }))) => {
                recovered.push(Recovery::Left { why: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    clear(ledger, live_run, check.now).await?;
    Ok(recovered)
}

/// Says of all that the ledger holds for being recorded that it was interrupted, but for cameras that living live runs record on other
/// machines. Only while none does on this one; `live_run` is the caller among them, if it is one.
pub async fn clear(ledger: &Ledger, live_run: Option<LiveRunId>, now: UtcSecond) -> Result<(), LedgerError> {
    for (device, stretches) in ledger.being_recorded().await? {
        ledger.interrupt(live_run, device, stretches, now).await?;
    }
    Ok(())
}

/// Notes what lies judged in the spool and is noted no more: another machine, which did not have it, took its note back when it took
/// the run that left it for dead. Nobody can ask for it again.
async fn note_again(ledger: &Ledger, vault: &Vault) -> Result<(), ArchiveError> {
    let noted = ledger.publishing(Source::Live).await?;
    for path in vault.all_ready(Source::Live)? {
        if !noted.contains(&path) {
            ledger.note_publishing(Source::Live, path).await?;
        }
    }
    Ok(())
}

/// A staging file of a live stream that is complete.
pub(crate) struct Complete {
    pub(crate) staging: Staging,
    /// What its bytes say.
    pub(crate) examined: Examined,
    /// Where it comes from, and when its first picture was filmed.
    pub(crate) piece: LivePiece,
}

/// What a piece is to be published for.
pub(crate) struct Claim {
    /// The time that it certainly holds.
    pub(crate) range: TimeRange,
    /// The camera's local time.
    pub(crate) zone: Tz,
    /// When it is published.
    pub(crate) now: UtcSecond,
    /// How much more than its time it may hold before its note says so, in seconds.
    pub(crate) tolerance_seconds: i64,
}

/// What became of a piece.
pub(crate) enum Done {
    /// It was published.
    Published(publish::Done),
    /// All of its time was archived before it, from the NVR: it is deleted.
    Superfluous,
}

/// Publishes what is whole of a piece, and tells the ledger: for what of its claim has no recording yet, or the longest stretch
/// of that, since a run from the NVRs that goes on beside may have been faster.
pub(crate) async fn publish(
    ledger: &Ledger,
    vault: &Vault,
    complete: Complete,
    claim: Claim,
) -> Result<Done, ArchiveError> {
    let Complete { staging, examined, piece } = complete;
    let Some(range) = left_of(ledger, piece.device, claim.range).await? else {
        staging.discard()?;
        return Ok(Done::Superfluous);
    };
    let ready = Ready {
        staging,
        good_bytes: examined.good_bytes,
        named: Named { device: piece.device, range, source: Source::Live, container: piece.container },
        zone: claim.zone,
        media: examined.media,
        clock_offset: piece.clock_offset,
        now: claim.now,
        note: note(range, piece.start, &examined, claim.tolerance_seconds),
    };
    Ok(Done::Published(publish::publish(ledger, vault, ready, None).await?))
}

async fn left_of(ledger: &Ledger, device: DeviceId, range: TimeRange) -> Result<Option<TimeRange>, LedgerError> {
    let archived = ledger.archived(vec![device], range).await?.remove(&device).unwrap_or_default();
    let left = RangeSet::from(range).subtract(&archived);
    Ok(left.ranges().iter().copied().max_by_key(|part| part.seconds()))
}

/// Publishes a piece that was left behind.
async fn publish_left(
    ledger: &Ledger,
    vault: &Vault,
    piece: LivePiece,
    check: Check,
) -> Result<Option<Recovery>, ArchiveError> {
    let on = vault.clone();
    let complete = blocking(move || reopen(&on, piece)).await?;
    if let Some(why) = complete.examined.problem.clone().filter(|_| complete.examined.total_bytes > 0) {
        return Ok(Some(Recovery::SetAside { path: complete.staging.set_aside()?, why }));
    }
    let footage = Duration::from_millis(complete.examined.media.media_milliseconds.unsigned_abs());
    let range = TimeRange::new(live_clock::ceil(piece.start), (piece.start + footage).to_utc_second());
    let Some(range) = range.filter(|_| complete.examined.problem.is_none()) else {
        // Not a second of it.
        complete.staging.discard()?;
        return Ok(None);
    };
    let rows = ledger.devices().await?;
    let zone = rows.iter().find(|row| row.facts.device == piece.device).and_then(|row| row.zone.parse().ok());
    let claim = Claim {
        range,
        zone: zone.unwrap_or(check.platform_zone),
        now: check.now,
        tolerance_seconds: check.tolerance_seconds,
    };
    Ok(match publish(ledger, vault, complete, claim).await? {
        Done::Published(publish::Done::Archived { recording, .. }) => Some(Recovery::Adopted { recording }),
        Done::Published(publish::Done::Overtaken(recovery)) => Some(recovery),
        Done::Superfluous => None,
    })
}

fn reopen(vault: &Vault, piece: LivePiece) -> Result<Complete, VaultError> {
    let mut staging = vault.reopen_live(&piece)?;
    let mut examiner = Examiner::new(piece.container);
    staging.read(|bytes| examiner.push(bytes))?;
    Ok(Complete { staging, examined: examiner.examined(), piece })
}

/// The recording that a published file is; why it is none.
pub(super) fn published(found: &Found, file: impl Read, check: Check) -> io::Result<Result<Recording, String>> {
    let Named { device, range, container, .. } = found.named;
    let (examined, blake3) = examine_bytes(container, file)?;
    if let Some(problem) = examined.problem {
        return Ok(Err(problem));
    }
    let enough = (range.seconds() - check.tolerance_seconds) * 1000;
    if examined.good_bytes != examined.total_bytes || examined.media.media_milliseconds < enough {
        return Ok(Err("it is not whole".to_owned()));
    }
    Ok(Ok(Recording {
        device,
        range,
        path: found.path.clone(),
        bytes: examined.total_bytes,
        blake3,
        media: examined.media,
        source: Source::Live,
        clock_offset: None,
        archived_at: check.now,
        note: note(range, range.start().into(), &examined, check.tolerance_seconds),
    }))
}

/// From how many milliseconds on a piece that begins before the time that it is claimed for says so.
const WORTH_A_NOTE: i64 = 1_000;

/// What a person should know before trusting a live recording whose first picture was filmed at `begins`.
fn note(range: TimeRange, begins: Instant, examined: &Examined, tolerance_seconds: i64) -> String {
    let mut notes = Vec::new();
    let before = Instant::from(range.start()).as_millis() - begins.as_millis();
    if before >= WORTH_A_NOTE {
        notes.push(format!("it begins {:.1} s before its time", before as f64 / 1000.0));
    }
    let behind = examined.media.media_milliseconds - before - range.seconds() * 1000;
    if behind > tolerance_seconds * 1000 {
        notes.push(format!("it goes on for {} s after its time", behind / 1000));
    }
    if !examined.note.is_empty() {
        notes.push(examined.note.clone());
    }
    notes.join("; ")
}
