//! Attempts: what was tried, one by one while that is recent, and in sums when it is old.
//!
//! An attempt that is folded away is deleted, and is counted in `attempt_day` from then on: so that the ledger stays small,
//! and [`history`] stays the same.

use super::changes::stored;
use super::devices;
use super::error::{Fault, reached};
use super::queries::{device, nvr, unsigned};
use super::session::{Session, values};
use crate::failpoint::Failpoint;
use crate::outcome::Attempt;
use crate::report::{DeviceHistory, RunId};
use crate::time_range::UtcSecond;
use crate::window::Window;

/// How many attempts one transaction of folding looks at: some tens of milliseconds' worth, for which others wait.
pub(super) const FOLD_ROWS: u32 = 20_000;

/// How many such transactions one call makes at most. Three days of a thousand cameras: enough to catch up, in a second.
pub(super) const FOLD_STEPS: u32 = 25;

pub(super) fn add(session: Session<'_>, run: RunId, window: &Window, attempt: &Attempt) -> Result<(), Fault> {
    devices::have(session, window.device)?;
    session.execute(
        "INSERT INTO attempt (run, device, start, seconds, started, milliseconds, bytes, outcome, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        values![
            run.get(),
            window.device.get(),
            window.range.start().get(),
            window.range.seconds(),
            attempt.started.get(),
            stored(attempt.milliseconds),
            stored(attempt.bytes),
            outcome(session, attempt)?,
            &attempt.detail,
        ],
    )?;
    Ok(())
}

/// The number of an outcome with its code, which gets one if it has none.
fn outcome(session: Session<'_>, attempt: &Attempt) -> Result<i64, Fault> {
    let word = attempt.outcome.as_str();
    let code = attempt.code.map(|code| code.to_string());
    // OK without an index: there are some twenty words, and few codes of each.
    let known = "SELECT outcome FROM outcome WHERE word = ?1 AND code IS NOT DISTINCT FROM ?2 ORDER BY outcome LIMIT 1";
    match session.first(known, values![word, &code], |row| row.get(0))? {
        Some(outcome) => Ok(outcome),
        None => session.one("INSERT INTO outcome (word, code) VALUES (?1, ?2) RETURNING outcome", values![word, &code]),
    }
}

/// One transaction's part of folding.
pub(super) struct Folded {
    /// How many attempts were folded away.
    pub(super) attempts: u64,
    /// The last one that was looked at; nothing when there was none left.
    pub(super) last: Option<i64>,
}

/// Folds away those of the next [`FOLD_ROWS`] attempts after `after` that began before `before`.
pub(super) fn fold(session: Session<'_>, after: i64, before: UtcSecond) -> Result<Folded, Fault> {
    reached(Failpoint::FoldStep)?;
    // Two hosts that fold the same attempts would count them twice.
    session.alone_with("LOCK TABLE attempt_day IN SHARE ROW EXCLUSIVE MODE")?;
    let last: Option<i64> = session.one(
        "SELECT max(attempt) FROM (SELECT attempt FROM attempt WHERE attempt > ?1 ORDER BY attempt LIMIT ?2) AS step",
        values![after, FOLD_ROWS],
    )?;
    let Some(last) = last else { return Ok(Folded { attempts: 0, last }) };
    // The newest attempt stays, so that its number is not given again.
    const OLD: &str =
        "WHERE attempt > ?1 AND attempt <= ?2 AND attempt < (SELECT max(attempt) FROM attempt) AND started < ?3";
    let old = values![after, last, before.get()];
    session.execute(
        &format!(
            "INSERT INTO attempt_day (day, device, outcome, attempts, seconds, milliseconds, bytes, last_attempt)
             SELECT started / 86400, device, outcome, count(*), CAST(sum(seconds) AS BIGINT),
                 CAST(sum(milliseconds) AS BIGINT), CAST(sum(bytes) AS BIGINT), max(attempt)
             FROM attempt {OLD} GROUP BY 1, 2, 3
             ON CONFLICT (day, device, outcome) DO UPDATE SET
                 attempts = attempt_day.attempts + excluded.attempts,
                 seconds = attempt_day.seconds + excluded.seconds,
                 milliseconds = attempt_day.milliseconds + excluded.milliseconds,
                 bytes = attempt_day.bytes + excluded.bytes,
                 last_attempt = CASE WHEN attempt_day.last_attempt > excluded.last_attempt
                     THEN attempt_day.last_attempt ELSE excluded.last_attempt END"
        ),
        old,
    )?;
    let attempts = session.execute(&format!("DELETE FROM attempt {OLD}"), old)?;
    Ok(Folded { attempts, last: Some(last) })
}

/// How downloads went among the newest `newest` attempts, per device that has any. Of what was folded away, a day of a device
/// counts as a whole.
pub(super) fn history(session: Session<'_>, newest: u32) -> Result<Vec<DeviceHistory>, Fault> {
    let last: i64 = session.one(
        "SELECT coalesce(max(newest), 0) FROM (
             SELECT max(attempt) AS newest FROM attempt UNION ALL SELECT max(last_attempt) FROM attempt_day
         ) AS kept",
        values![],
    )?;
    // OK to take the largest of its NVRs: a device has one.
    session.all(
        "WITH download AS (
             SELECT device, 1 AS attempts, seconds, milliseconds, bytes FROM attempt
             WHERE attempt > ?1 AND outcome IN (SELECT outcome FROM outcome WHERE word = 'archived')
             UNION ALL
             SELECT device, attempts, seconds, milliseconds, bytes FROM attempt_day
             WHERE last_attempt > ?1 AND outcome IN (SELECT outcome FROM outcome WHERE word = 'archived')
         )
         SELECT a.device, max(d.nvr), CAST(sum(a.attempts) AS BIGINT), CAST(sum(a.seconds) AS BIGINT),
             CAST(sum(a.bytes) AS DOUBLE PRECISION) / sum(a.seconds),
             CAST(sum(a.milliseconds) AS DOUBLE PRECISION) / 1000.0 / sum(a.seconds)
         FROM download AS a JOIN device AS d ON d.device = a.device GROUP BY a.device ORDER BY a.device",
        values![last - i64::from(newest)],
        |row| {
            Ok(DeviceHistory {
                device: device(row, 0)?,
                nvr: nvr(row, 1)?,
                attempts: unsigned(row, 2)?,
                footage_seconds: row.get(3)?,
                bytes_per_second: row.get(4)?,
                seconds_per_second: row.get(5)?,
            })
        },
    )
}
