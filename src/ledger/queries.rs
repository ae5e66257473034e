//! Every question to the ledger. Each function reads one snapshot.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::NaiveDate;

use super::error::Fault;
use super::missing::{self, cause, second_of_text};
use super::ranges::{Merged, range};
use super::session::{Row, Session, values};
use super::zones::local_text;
use crate::device::{DeviceId, NvrId};
use crate::exit_code::ExitCode;
use crate::plan::Known;
use crate::recording::{ContentHash, MediaFacts, Recording, Source, UnknownCodec};
use crate::report::{CoverageDay, Gap, GapQuery, RunCounts, RunId, RunRow, Totals};
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::Cause;

pub(super) fn known(
    session: Session<'_>,
    devices: &[DeviceId],
    within: TimeRange,
) -> Result<BTreeMap<DeviceId, Known>, Fault> {
    let archived = Merged::Archived.within_of(session, devices, within)?;
    let asked = Merged::Asked.within_of(session, devices, within)?;
    // OK not to look at what is missing where all that was asked for is archived: by the ledger's rule there is nothing.
    let has_gaps = |(device, archived): (&DeviceId, &RangeSet)| {
        asked.get(device).is_some_and(|asked| !asked.subtract(archived).is_empty()).then_some(*device)
    };
    let incomplete: Vec<DeviceId> = archived.iter().filter_map(has_gaps).collect();
    let mut missing = missing::narrow(session, &incomplete, within)?;
    let known = |(device, archived)| (device, Known { archived, missing: missing.remove(&device).unwrap_or_default() });
    Ok(archived.into_iter().map(known).collect())
}

pub(super) fn being_recorded(session: Session<'_>) -> Result<BTreeMap<DeviceId, RangeSet>, Fault> {
    // By an index that has only these: there is another one that has all it asks for, of all that is missing.
    let by_index = session.engine().sqlite_only("INDEXED BY being_recorded");
    let mut found: BTreeMap<DeviceId, RangeSet> = BTreeMap::new();
    session.each(
        &format!(
            "SELECT device, start, \"end\" FROM missing {by_index} WHERE cause = 'being recorded' ORDER BY device, start"
        ),
        values![],
        |row| {
            found.entry(device(row, 0)?).or_default().insert(range(row, 1)?);
            Ok(())
        },
    )?;
    Ok(found)
}

pub(super) fn totals(session: Session<'_>, devices: &[DeviceId], within: TimeRange) -> Result<Totals, Fault> {
    let mut totals = Totals::default();
    let mut all_missing = 0;
    for &device in devices {
        totals.asked_seconds += Merged::Asked.within(session, device, within)?.seconds();
        for stretch in missing::overlapping(session, device, within)? {
            let seconds = stretch.range.intersect(&within).map_or(0, |range| range.seconds());
            if stretch.cause == Cause::Pruned {
                totals.pruned_seconds += seconds;
                continue;
            }
            all_missing += seconds;
            *totals.missing_seconds.entry(stretch.cause).or_default() += seconds;
        }
    }
    totals.asked_seconds -= totals.pruned_seconds;
    // OK because what was asked for and is neither missing nor pruned is archived.
    totals.archived_seconds = totals.asked_seconds - all_missing;
    Ok(totals)
}

pub(super) fn gaps(session: Session<'_>, query: &GapQuery) -> Result<Vec<Gap>, Fault> {
    let select = "SELECT device, start, \"end\", cause, attempts, last_code, last_try, from_utc, to_utc, from_local, \
                  to_local FROM gap";
    let mut gaps = Vec::new();
    each_row(session, select, query.devices.as_deref(), "device, start", |row| {
        let gap = read_gap(row)?;
        let wanted = query.causes.as_ref().is_none_or(|causes| causes.contains(&gap.cause));
        let part = query.within.map_or(Some(gap.range), |within| gap.range.intersect(&within));
        if let (true, Some(part)) = (wanted, part) {
            gaps.push(cut_gap(session, gap, part)?);
        }
        Ok(())
    })?;
    Ok(gaps)
}

fn read_gap(row: &Row<'_>) -> Result<Gap, Fault> {
    let range = range(row, 1)?;
    Ok(Gap {
        device: device(row, 0)?,
        range,
        seconds: range.seconds(),
        cause: cause(row.get(3)?)?,
        attempts: row.get(4)?,
        last_code: row.get(5)?,
        last_try: second_of_text(row, 6)?,
        from_utc: row.get(7)?,
        to_utc: row.get(8)?,
        from_local: row.get(9)?,
        to_local: row.get(10)?,
    })
}

fn cut_gap(session: Session<'_>, mut gap: Gap, part: TimeRange) -> Result<Gap, Fault> {
    if part.start() != gap.range.start() {
        gap.from_utc = part.start().to_string();
        gap.from_local = local_text(session, gap.device, part.start())?;
    }
    if part.end() != gap.range.end() {
        gap.to_utc = part.end().to_string();
        gap.to_local = local_text(session, gap.device, part.end())?;
    }
    Ok(Gap { range: part, seconds: part.seconds(), ..gap })
}

pub(super) fn coverage(
    session: Session<'_>,
    devices: Option<&[DeviceId]>,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<CoverageDay>, Fault> {
    let select = "SELECT device, day, asked_seconds, archived_seconds, CAST(percent AS DOUBLE PRECISION) FROM coverage";
    let mut days = Vec::new();
    each_row(session, select, devices, "device, day", |row| {
        let text: &str = row.get(1)?;
        let day = text.parse().map_err(|_| Fault::BadValue(format!("{text:?} is no date")))?;
        if (first..=last).contains(&day) {
            days.push(CoverageDay {
                device: device(row, 0)?,
                day,
                asked_seconds: row.get(2)?,
                archived_seconds: row.get(3)?,
                percent: row.get(4)?,
            });
        }
        Ok(())
    })?;
    Ok(days)
}

/// What [`read_run`] reads.
const RUNS: &str = "SELECT r.run, r.started, r.ended, r.what, r.exit, v.state, r.attempts, r.recordings, r.bytes,
         r.archived_seconds, r.missing_seconds, r.pid, r.host, r.source
     FROM run AS r JOIN runs AS v ON v.run = r.run";

pub(super) fn runs(session: Session<'_>, newest: u32) -> Result<Vec<RunRow>, Fault> {
    session.all(&format!("{RUNS} ORDER BY r.run DESC LIMIT ?1"), values![newest], read_run)
}

/// The newest run of each source that has ended.
pub(super) fn last_runs(session: Session<'_>) -> Result<Vec<RunRow>, Fault> {
    let newest = "SELECT max(run) FROM run WHERE ended IS NOT NULL GROUP BY source";
    session.all(&format!("{RUNS} WHERE r.run IN ({newest}) ORDER BY r.source"), values![], read_run)
}

/// When the newest run of each source ended that finished its work, whether gaps remain or not.
pub(super) fn last_successes(session: Session<'_>) -> Result<Vec<(Source, UtcSecond)>, Fault> {
    let mut successes = Vec::new();
    session.each(
        "SELECT source, max(ended) FROM run WHERE exit IN (?1, ?2) GROUP BY source ORDER BY source",
        values![ExitCode::Complete as u8, ExitCode::Gaps as u8],
        |row| {
            if let Some(ended) = second(row, 1)? {
                successes.push((read_source(row.get(0)?)?, ended));
            }
            Ok(())
        },
    )?;
    Ok(successes)
}

fn read_run(row: &Row<'_>) -> Result<RunRow, Fault> {
    let ended = second(row, 2)?;
    let counts = match ended {
        None => None,
        Some(_) => Some(RunCounts {
            attempts: unsigned(row, 6)?,
            recordings: unsigned(row, 7)?,
            bytes: unsigned(row, 8)?,
            archived_seconds: row.get(9)?,
            missing_seconds: row.get(10)?,
        }),
    };
    Ok(RunRow {
        run: RunId::new(row.get(0)?),
        started: UtcSecond::new(row.get(1)?),
        ended,
        what: row.get(3)?,
        source: read_source(row.get(13)?)?,
        exit: row.get(4)?,
        state: row.get(5)?,
        counts,
        pid: row.get(11)?,
        host: row.get(12)?,
    })
}

/// The recordings that share a second with `within`, the first `most` of them.
pub(super) fn recordings_overlapping(
    session: Session<'_>,
    device: DeviceId,
    within: TimeRange,
    most: u32,
) -> Result<Vec<Recording>, Fault> {
    session.all(
        &format!(
            "SELECT {RECORDING_COLUMNS} FROM recording AS r {RECORDING_JOINS}
             WHERE r.device = ?1 AND r.start < ?3 AND r.\"end\" > ?2 AND r.start >= coalesce(
                 (SELECT max(start) FROM recording WHERE device = ?1 AND start < ?2), ?2) ORDER BY r.start LIMIT ?4"
        ),
        values![device.get(), within.start().get(), within.end().get(), most],
        |row| read_recording(device, row),
    )
}

/// What [`read_recording`] reads, of `recording AS r` and what [`RECORDING_JOINS`] joins to it.
pub(super) const RECORDING_COLUMNS: &str =
    "r.start, r.\"end\", f.path || r.name, r.bytes, r.blake3, r.media_milliseconds,
    r.first_timestamp, k.video, k.audio, k.width, k.height, r.source, r.clock_offset, r.archived_at, r.note";
/// The first column after those.
pub(super) const AFTER_RECORDING: usize = 15;
pub(super) const RECORDING_JOINS: &str =
    "JOIN folder AS f ON f.folder = r.folder JOIN format AS k ON k.format = r.format";

pub(super) fn read_recording(device: DeviceId, row: &Row<'_>) -> Result<Recording, Fault> {
    let video: Option<&str> = row.get(7)?;
    let audio: Option<&str> = row.get(8)?;
    let width_and_height = row.get::<Option<u16>>(9)?.zip(row.get(10)?);
    Ok(Recording {
        device,
        range: range(row, 0)?,
        path: row.get(2)?,
        bytes: unsigned(row, 3)?,
        blake3: ContentHash(row.get(4)?),
        media: MediaFacts {
            media_milliseconds: row.get(5)?,
            first_timestamp: row.get(6)?,
            video_codec: video.map(codec).transpose()?,
            audio_codec: audio.map(codec).transpose()?,
            picture_size: width_and_height,
        },
        source: read_source(row.get(11)?)?,
        clock_offset: row.get(12)?,
        archived_at: UtcSecond::new(row.get(13)?),
        note: row.get::<Option<String>>(14)?.unwrap_or_default(),
    })
}

fn codec<T: FromStr<Err = UnknownCodec>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: UnknownCodec| Fault::BadValue(error.to_string()))
}

pub(super) fn read_source(text: &str) -> Result<Source, Fault> {
    Source::ALL
        .into_iter()
        .find(|known| known.as_str() == text)
        .ok_or_else(|| Fault::BadValue(format!("{text:?} is no source of a recording")))
}

/// Runs `select` for the devices, or for all, and hands over row by row.
fn each_row(
    session: Session<'_>,
    select: &str,
    devices: Option<&[DeviceId]>,
    order: &str,
    mut each: impl FnMut(&Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(devices) = devices else {
        return session.each(&format!("{select} ORDER BY {order}"), values![], each);
    };
    let of_device = format!("{select} WHERE device = ?1 ORDER BY {order}");
    devices.iter().try_for_each(|device| session.each(&of_device, values![device.get()], &mut each))
}

pub(super) fn device(row: &Row<'_>, column: usize) -> Result<DeviceId, Fault> {
    let number = row.get(column)?;
    DeviceId::new(number).ok_or_else(|| Fault::BadValue(format!("{number} is no device")))
}

pub(super) fn nvr(row: &Row<'_>, column: usize) -> Result<Option<NvrId>, Fault> {
    Ok(row.get::<Option<&str>>(column)?.map(NvrId::new))
}

pub(super) fn second(row: &Row<'_>, column: usize) -> Result<Option<UtcSecond>, Fault> {
    Ok(row.get::<Option<i64>>(column)?.map(UtcSecond::new))
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Fault::BadValue(format!("{number} counts something")))
}
