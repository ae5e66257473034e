//! What runs learned of how much each NVR can take, and how it fared in each of them.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::error::Fault;
use crate::device::NvrId;
use crate::report::{Learned, NvrNight, RunId};
use crate::time_range::UtcSecond;

/// Keeps what a run learned; its calls and refusals are added to those of earlier runs. An NVR that was not asked keeps
/// what it has.
pub(super) fn learn(
    connection: &Connection,
    run: RunId,
    nvr: &NvrId,
    learned: &Learned,
    at: UtcSecond,
) -> Result<(), Fault> {
    if learned.calls == 0 {
        return Ok(());
    }
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let seconds = |length: Option<Duration>| length.map(|length| number(length.as_secs()));
    let limit = i64::try_from(learned.limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO nvr_limit (nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, learned_at, left_alone)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (nvr) DO UPDATE SET playbacks = excluded.playbacks, probe_seconds = excluded.probe_seconds,
                 keeps_seconds = excluded.keeps_seconds,
                 calls = calls + excluded.calls, refused = refused + excluded.refused, learned_at = excluded.learned_at,
                 left_alone = left_alone + excluded.left_alone",
        )?
        .execute(params![
            nvr.as_str(),
            limit,
            seconds(learned.probe_pause),
            seconds(learned.keeps),
            number(learned.calls),
            number(learned.refused),
            at.get(),
            number(learned.left_alone),
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO nvr_night (nvr, run, playbacks, calls, refused, left_alone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (nvr, run) DO UPDATE SET playbacks = excluded.playbacks, calls = excluded.calls,
                 refused = excluded.refused, left_alone = excluded.left_alone",
        )?
        .execute(params![
            nvr.as_str(),
            run.get(),
            limit,
            number(learned.calls),
            number(learned.refused),
            number(learned.left_alone),
        ])?;
    Ok(())
}

/// What is known of every NVR; calls and refusals over all runs.
pub(super) fn learned(connection: &Connection) -> Result<BTreeMap<NvrId, Learned>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone FROM nvr_limit",
    )?;
    let mut rows = statement.query([])?;
    let mut limits = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let seconds = |column| row.get::<_, Option<i64>>(column).map(|seconds| seconds.map(whole_seconds));
        let learned = Learned {
            limit: usize::try_from(count(row, 1)?).unwrap_or(usize::MAX),
            probe_pause: seconds(2)?,
            keeps: seconds(3)?,
            calls: count(row, 4)?,
            refused: count(row, 5)?,
            left_alone: count(row, 6)?,
        };
        limits.insert(NvrId::new(&row.get::<_, String>(0)?), learned);
    }
    Ok(limits)
}

/// How each NVR fared in the newest `runs` of those in which it was asked, newest first.
pub(super) fn nights(connection: &Connection, runs: u32) -> Result<BTreeMap<NvrId, Vec<NvrNight>>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT nvr, run, playbacks, calls, refused, left_alone FROM (
             SELECT *, row_number() OVER (PARTITION BY nvr ORDER BY run DESC) AS place FROM nvr_night
         ) WHERE place <= ?1 ORDER BY nvr, run DESC",
    )?;
    let mut rows = statement.query([runs])?;
    let mut nights: BTreeMap<NvrId, Vec<NvrNight>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let night = NvrNight {
            run: RunId::new(row.get(1)?),
            limit: usize::try_from(count(row, 2)?).unwrap_or(usize::MAX),
            calls: count(row, 3)?,
            refused: count(row, 4)?,
            left_alone: count(row, 5)?,
        };
        nights.entry(NvrId::new(&row.get::<_, String>(0)?)).or_default().push(night);
    }
    Ok(nights)
}

/// OK to read a number that somebody else made negative as 0: the scheduler takes at least one download anyway.
fn count(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn whole_seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.max(0).unsigned_abs())
}
