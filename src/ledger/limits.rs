//! What runs learned of how much each NVR can take.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::Fault;
use crate::device::NvrId;
use crate::report::Learned;
use crate::time_range::UtcSecond;

/// Keeps what a run learned; its calls and refusals are added to those of earlier runs.
pub(super) fn learn(connection: &Connection, nvr: &NvrId, learned: &Learned, at: UtcSecond) -> Result<(), Fault> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO nvr_limit (nvr, playbacks, probe_seconds, calls, refused, learned_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (nvr) DO UPDATE SET playbacks = excluded.playbacks, probe_seconds = excluded.probe_seconds,
                 calls = calls + excluded.calls, refused = refused + excluded.refused, learned_at = excluded.learned_at",
        )?
        .execute(params![
            nvr.as_str(),
            i64::try_from(learned.limit).unwrap_or(i64::MAX),
            learned.probe_pause.map(|pause| number(pause.as_secs())),
            number(learned.calls),
            number(learned.refused),
            at.get(),
        ])?;
    Ok(())
}

/// What is known of every NVR; calls and refusals over all runs.
pub(super) fn learned(connection: &Connection) -> Result<BTreeMap<NvrId, Learned>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT nvr, playbacks, probe_seconds, calls, refused FROM nvr_limit")?;
    let mut rows = statement.query([])?;
    let mut limits = BTreeMap::new();
    while let Some(row) = rows.next()? {
        // OK to read a number that somebody else made negative as 0: the scheduler takes at least one download anyway.
        let number = |column| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
        let learned = Learned {
            limit: usize::try_from(number(1)?).unwrap_or(usize::MAX),
            probe_pause: row
                .get::<_, Option<i64>>(2)?
                .map(|seconds| Duration::from_secs(seconds.max(0).unsigned_abs())),
            calls: number(3)?,
            refused: number(4)?,
        };
        limits.insert(NvrId::new(&row.get::<_, String>(0)?), learned);
    }
    Ok(limits)
}
