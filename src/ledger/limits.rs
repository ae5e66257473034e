//! What runs learned of how much each NVR can take, and how it fared in each of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::Fault;
use super::session::{Row, Session, values};
use crate::device::NvrId;
use crate::report::{Learned, NvrNight, RunId};
use crate::time_range::UtcSecond;

/// Keeps what a run learned since it said so last: its calls and refusals are added to those of earlier runs, and to its own of
/// earlier in the night, when it had leased the NVR before. An NVR that was not asked keeps what it has.
pub(super) fn learn(
    session: Session<'_>,
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
    session.execute(
        "INSERT INTO nvr_limit (nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, learned_at, left_alone)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (nvr) DO UPDATE SET playbacks = excluded.playbacks, probe_seconds = excluded.probe_seconds,
             keeps_seconds = excluded.keeps_seconds, calls = nvr_limit.calls + excluded.calls,
             refused = nvr_limit.refused + excluded.refused, learned_at = excluded.learned_at,
             left_alone = nvr_limit.left_alone + excluded.left_alone",
        values![
            nvr.as_str(),
            limit,
            seconds(learned.probe_pause),
            seconds(learned.keeps),
            number(learned.calls),
            number(learned.refused),
            at.get(),
            number(learned.left_alone),
        ],
    )?;
    session.execute(
        "INSERT INTO nvr_night (nvr, run, playbacks, calls, refused, left_alone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (nvr, run) DO UPDATE SET playbacks = excluded.playbacks,
             calls = nvr_night.calls + excluded.calls, refused = nvr_night.refused + excluded.refused,
             left_alone = nvr_night.left_alone + excluded.left_alone",
        values![
            nvr.as_str(),
            run.get(),
            limit,
            number(learned.calls),
            number(learned.refused),
            number(learned.left_alone),
        ],
    )?;
    Ok(())
}

/// What is known of every NVR; calls and refusals over all runs.
pub(super) fn learned(session: Session<'_>) -> Result<BTreeMap<NvrId, Learned>, Fault> {
    let limits = session.all(
        "SELECT nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone FROM nvr_limit ORDER BY nvr",
        values![],
        one_learned,
    )?;
    Ok(limits.into_iter().collect())
}

/// The same of some NVRs: a host asks for each NVR that it leases, and a chain has tens of thousands.
pub(super) fn learned_of(session: Session<'_>, nvrs: &[NvrId]) -> Result<BTreeMap<NvrId, Learned>, Fault> {
    let mut limits = BTreeMap::new();
    for nvr in nvrs {
        let learned = session.first(
            "SELECT nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone FROM nvr_limit WHERE nvr = ?1",
            values![nvr.as_str()],
            one_learned,
        )?;
        limits.extend(learned);
    }
    Ok(limits)
}

fn one_learned(row: &Row<'_>) -> Result<(NvrId, Learned), Fault> {
    let seconds = |column| Ok::<_, Fault>(row.get::<Option<i64>>(column)?.map(whole_seconds));
    let learned = Learned {
        limit: usize::try_from(count(row, 1)?).unwrap_or(usize::MAX),
        probe_pause: seconds(2)?,
        keeps: seconds(3)?,
        calls: count(row, 4)?,
        refused: count(row, 5)?,
        left_alone: count(row, 6)?,
    };
    Ok((NvrId::new(row.get(0)?), learned))
}

/// How each NVR fared in the newest `runs` of those in which it was asked, newest first.
pub(super) fn nights(session: Session<'_>, runs: u32) -> Result<BTreeMap<NvrId, Vec<NvrNight>>, Fault> {
    let mut nights: BTreeMap<NvrId, Vec<NvrNight>> = BTreeMap::new();
    session.each(
        "SELECT nvr, run, playbacks, calls, refused, left_alone FROM (
             SELECT *, row_number() OVER (PARTITION BY nvr ORDER BY run DESC) AS place FROM nvr_night
         ) AS placed WHERE place <= ?1 ORDER BY nvr, run DESC",
        values![runs],
        |row| {
            let night = NvrNight {
                run: RunId::new(row.get(1)?),
                limit: usize::try_from(count(row, 2)?).unwrap_or(usize::MAX),
                calls: count(row, 3)?,
                refused: count(row, 4)?,
                left_alone: count(row, 5)?,
            };
            nights.entry(NvrId::new(row.get(0)?)).or_default().push(night);
            Ok(())
        },
    )?;
    Ok(nights)
}

/// OK to read a number that somebody else made negative as 0: the scheduler takes at least one download anyway.
fn count(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<i64>(column)?).unwrap_or(0))
}

fn whole_seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.max(0).unsigned_abs())
}
