//! What a live run that was cut off left behind. Its staging files are all that there is of that time, so what of them is whole
//! is published: up to the last whole tag, or the last whole segment.
//!
//! # What a crash leaves, by where it struck
//!
//! 1. While a piece comes in: its staging file, with a name that says when it begins. Published here, for as long as its
//!    footage is; the rest of what was being recorded is interrupted.
//! 2. Between the rename and the ledger's commit: a published file without a row. Adopted, as a download is.
//! 3. After the commit: nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::container::{Examined, Examiner};
use crate::device::DeviceId;
use crate::event::Recovery;
use crate::instant::Instant;
use crate::ledger::{Ledger, LedgerError};
use crate::live_clock;
use crate::recording::{Recording, Source};
use crate::time_range::{ALL_TIME, RangeSet, TimeRange, UtcSecond};
use crate::vault::{Found, LivePiece, Named, Staging, Vault, VaultError, name};
use crate::window::{Cause, Window};

use super::{AdoptError, Check, blocking, examine_bytes};

/// Whether a live run goes on, or left something behind.
pub async fn is_needed(ledger: &Ledger, vault: &Vault) -> Result<bool, AdoptError> {
    Ok(!vault.live_pieces()?.is_empty() || !being_recorded(ledger).await?.is_empty())
}

/// Publishes what was left in staging, adopts what was published, and says of the rest that it was interrupted. Only while no
/// live run goes on: the caller has the vault's hold.
pub async fn recover(ledger: &Ledger, vault: &Vault, check: Check) -> Result<Vec<Recovery>, AdoptError> {
    let mut recovered = super::recover(ledger, vault, check).await?;
    for piece in vault.live_pieces()? {
        match publish(ledger, vault, piece, check).await {
            Ok(done) => recovered.extend(done),
            // One file that cannot be read must not keep every night from beginning.
            Err(AdoptError::Vault(error @ VaultError::Io { .. })) => {
                recovered.push(Recovery::Left { why: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    clear(ledger, check.now).await?;
    Ok(recovered)
}

/// Says of all that the ledger holds for being recorded that it was interrupted. Only while no live run goes on.
pub async fn clear(ledger: &Ledger, now: UtcSecond) -> Result<(), LedgerError> {
    for (device, stretches) in being_recorded(ledger).await? {
        ledger.mark_missing(device, stretches, Cause::LiveInterrupted, now).await?;
    }
    Ok(())
}

/// What the ledger holds for being recorded, by device.
async fn being_recorded(ledger: &Ledger) -> Result<Vec<(DeviceId, RangeSet)>, LedgerError> {
    let devices = ledger.devices().await?.into_iter().map(|row| row.facts.device).collect();
    let mut found = Vec::new();
    for (device, stretches) in ledger.missing(devices, ALL_TIME).await? {
        let recorded = stretches.into_iter().filter(|stretch| stretch.cause == Cause::BeingRecorded);
        let ranges: RangeSet = recorded.map(|stretch| stretch.range).collect();
        if !ranges.is_empty() {
            found.push((device, ranges));
        }
    }
    Ok(found)
}

async fn publish(
    ledger: &Ledger,
    vault: &Vault,
    piece: LivePiece,
    check: Check,
) -> Result<Option<Recovery>, AdoptError> {
    let on = vault.clone();
    let (staging, examined) = blocking(move || reopen(&on, &piece)).await?;
    let footage = Duration::from_millis(examined.media.media_milliseconds.unsigned_abs());
    let range = TimeRange::new(live_clock::ceil(piece.start), (piece.start + footage).to_utc_second());
    let left = match range {
        Some(range) => {
            let archived = ledger.archived(vec![piece.device], range).await?.remove(&piece.device).unwrap_or_default();
            let left = RangeSet::from(range).subtract(&archived);
            left.ranges().iter().copied().max_by_key(|part| part.seconds())
        }
        None => None,
    };
    let Some(range) = left.filter(|_| examined.problem.is_none()) else {
        if examined.problem.is_none() || examined.total_bytes == 0 {
            // Not a second that is not archived.
            staging.discard()?;
            return Ok(None);
        }
        let why = examined.problem.unwrap_or_default();
        return Ok(Some(Recovery::SetAside { path: staging.set_aside()?, why }));
    };
    let rows = ledger.devices().await?;
    let zone = rows.iter().find(|row| row.facts.device == piece.device).and_then(|row| row.zone.parse().ok());
    let named = Named { device: piece.device, range, source: Source::Live, container: piece.container };
    let path = name::recording(&named, zone.unwrap_or(check.platform_zone));
    let (to, below) = (path.clone(), path.clone());
    let (good_bytes, mut staging) = (examined.good_bytes, staging);
    let published = blocking(move || {
        staging.truncate(good_bytes)?;
        staging.publish(&below)
    });
    let published = published.await?;
    let recording = Recording {
        device: piece.device,
        range,
        path,
        bytes: published.bytes,
        blake3: published.blake3,
        media: examined.media,
        source: Source::Live,
        clock_offset: piece.clock_offset,
        archived_at: check.now,
        note: note(range, piece.start, &examined, check.tolerance_seconds),
    };
    match ledger.add_recording(recording).await {
        // A run from the NVRs that goes on beside this was faster.
        Err(LedgerError::Overlap { held_path, .. }) => {
            let why = format!("some of its time was archived meanwhile, as {held_path}");
            Ok(Some(Recovery::SetAside { path: vault.set_aside(&to)?, why }))
        }
        recorded => {
            recorded?;
            Ok(Some(Recovery::Adopted { window: Window { device: piece.device, range } }))
        }
    }
}

fn reopen(vault: &Vault, piece: &LivePiece) -> Result<(Staging, Examined), VaultError> {
    let mut staging = vault.reopen_live(piece)?;
    let mut examiner = Examiner::new(piece.container);
    staging.read(|bytes| examiner.push(bytes))?;
    Ok((staging, examiner.examined()))
}

/// The recording that a published file is; why it is none.
pub(super) fn published(found: &Found, path: &Path, check: Check) -> io::Result<Result<Recording, String>> {
    let Named { device, range, container, .. } = found.named;
    let (examined, blake3) = examine_bytes(container, path)?;
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
pub(crate) fn note(range: TimeRange, begins: Instant, examined: &Examined, tolerance_seconds: i64) -> String {
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
