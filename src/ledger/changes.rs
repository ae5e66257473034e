//! Every change to the ledger. Each function runs inside one transaction, and leaves the ledger's rule true: asked ∪
//! archived = archived ⊎ missing, so that every second that was asked for is in exactly one state.

use chrono_tz::Tz;

use super::error::{Fault, LedgerError};
use super::lock::host_name;
use super::ranges::{Merged, range};
use super::session::{Session, values};
use super::{attempts, catalog, devices, media, missing, publishing};
use crate::device::DeviceId;
use crate::outcome::Attempt;
use crate::recording::{Recording, Source};
use crate::report::{RunEnd, RunId, RunStart};
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::{Cause, Window};

pub(super) fn begin_run(session: Session<'_>, start: &RunStart) -> Result<RunId, Fault> {
    let run = session.one(
        "INSERT INTO run (started, pid, host, what, source, notes_publishing) VALUES (?1, ?2, ?3, ?4, ?5, 1) RETURNING run",
        values![start.started.get(), std::process::id(), &host_name(), &start.what, start.source.as_str()],
    )?;
    Ok(RunId::new(run))
}

pub(super) fn end_run(session: Session<'_>, run: RunId, end: &RunEnd) -> Result<(), Fault> {
    let changed = session.execute(
        "UPDATE run SET ended = ?2, exit = ?3, attempts = ?4, recordings = ?5, bytes = ?6, archived_seconds = ?7,
             missing_seconds = ?8 WHERE run = ?1 AND ended IS NULL",
        values![
            run.get(),
            end.ended.get(),
            end.exit,
            stored(end.counts.attempts),
            stored(end.counts.recordings),
            stored(end.counts.bytes),
            end.counts.archived_seconds,
            end.counts.missing_seconds,
        ],
    )?;
    if changed == 0 { Err(LedgerError::NoSuchRun(run.get()).into()) } else { Ok(()) }
}

pub(super) fn set_zone(session: Session<'_>, device: DeviceId, zone: Tz) -> Result<(), Fault> {
    devices::have(session, device)?;
    let changed = session
        .execute("UPDATE device SET zone = ?2 WHERE device = ?1 AND zone <> ?2", values![device.get(), zone.name()])?;
    if changed > 0 { missing::rewrite_texts(session, device) } else { Ok(()) }
}

pub(super) fn ask(session: Session<'_>, device: DeviceId, ranges: &RangeSet) -> Result<(), Fault> {
    devices::have(session, device)?;
    for &range in ranges {
        let old = Merged::Asked.within(session, device, range)?;
        let new = RangeSet::from(range).subtract(&old);
        if new.is_empty() {
            continue;
        }
        let archived = Merged::Archived.within(session, device, range)?;
        missing::add_untried(session, device, &new.subtract(&archived))?;
        Merged::Asked.add(session, device, range)?;
    }
    Ok(())
}

pub(super) fn record_archived(
    session: Session<'_>,
    run: RunId,
    attempt: &Attempt,
    recording: &Recording,
    rest: Option<(TimeRange, Cause)>,
) -> Result<(), Fault> {
    add_recording(session, recording)?;
    let whole = TimeRange::new(
        rest.map_or(recording.range.start(), |(rest, _)| rest.start().min(recording.range.start())),
        rest.map_or(recording.range.end(), |(rest, _)| rest.end().max(recording.range.end())),
    );
    let window = Window { device: recording.device, range: whole.unwrap_or(recording.range) };
    attempts::add(session, run, &window, attempt)?;
    if let Some((rest, cause)) = rest {
        missing::note_attempt(session, recording.device, rest, cause, attempt)?;
    }
    Ok(())
}

pub(super) fn record_missed(session: Session<'_>, run: RunId, window: &Window, attempt: &Attempt) -> Result<(), Fault> {
    attempts::add(session, run, window, attempt)?;
    match attempt.outcome.cause() {
        Some(cause) => missing::note_attempt(session, window.device, window.range, cause, attempt),
        None => Ok(()),
    }
}

pub(super) fn mark_missing(
    session: Session<'_>,
    device: DeviceId,
    ranges: &RangeSet,
    cause: Cause,
    at: UtcSecond,
) -> Result<(), Fault> {
    for &range in ranges {
        missing::note_cause(session, device, range, cause, at)?;
    }
    Ok(())
}

/// Takes back what was asked for ahead of time and has not come: [`ask`] undone, except for what is archived.
pub(super) fn withdraw(session: Session<'_>, device: DeviceId, range: TimeRange) -> Result<(), Fault> {
    Merged::Asked.remove(session, device, range)?;
    missing::remove(session, device, range)
}

/// Adds the recording's row; its time is archived from now on, and missing no more, and its file is one without a row no more.
pub(super) fn add_recording(session: Session<'_>, recording: &Recording) -> Result<(), Fault> {
    let Recording { device, range, .. } = *recording;
    session.about_a_file(device)?;
    devices::have(session, device)?;
    refuse_overlap(session, recording)?;
    let (folder, name) = media::split_path(&recording.path);
    let told = media::told_by_name(recording, name);
    session.execute(
        "INSERT INTO recording (device, start, seconds, folder, quarters, container, own_name, bytes, blake3, format,
             media_milliseconds, first_timestamp, live, clock_offset, archived_at, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        values![
            device.get(),
            range.start().get(),
            range.seconds(),
            media::folder(session, folder)?,
            told.map(|told| told.quarters),
            told.map(|told| told.container),
            told.is_none().then_some(name),
            stored(recording.bytes),
            &recording.blake3.0,
            media::format(session, &recording.media)?,
            recording.media.media_milliseconds,
            recording.media.first_timestamp,
            recording.source == Source::Live,
            recording.clock_offset,
            recording.archived_at.get(),
            (!recording.note.is_empty()).then_some(&recording.note),
        ],
    )?;
    Merged::Archived.add(session, device, range)?;
    missing::remove(session, device, range)?;
    catalog::note(session, recording)?;
    publishing::forget(session, &recording.path)
}

fn refuse_overlap(session: Session<'_>, new: &Recording) -> Result<(), Fault> {
    let (device, from, to) = (new.device.get(), new.range.start().get(), new.range.end().get());
    // OK to look at one row only: no two overlap, so the last one that starts before the new one's end ends last.
    let held = session.first(
        "SELECT r.start, r.\"end\", f.path || r.name FROM recording AS r JOIN folder AS f ON f.folder = r.folder
         WHERE r.device = ?1 AND r.start = (SELECT max(start) FROM recording WHERE device = ?1 AND start < ?3)
             AND r.\"end\" > ?2",
        values![device, from, to],
        |row| Ok((range(row, 0)?, row.get(2)?)),
    )?;
    let Some((held_range, held_path)) = held else { return Ok(()) };
    Err(LedgerError::Overlap { refused: Box::new(new.clone()), held_range, held_path }.into())
}

/// The ledger's integers are signed; no count, size or duration comes near their end.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
