//! The table `missing`: what was asked for and is not archived, as disjoint stretches with their causes.
//!
//! Every change goes through [`edit`], which keeps three things true. Rows of one device never overlap. Stretches that
//! touch, were never tried and differ in nothing are one row. And exactly the rows at a gap's ends carry its times as
//! text: a row that touches its neighbour and has the same cause belongs to the same gap.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::error::Fault;
use super::queries::device;
use super::ranges::{ALWAYS, each_of, list, range};
use super::session::{Row, Session, values};
use super::zones::local_text;
use crate::catalog::{MissingLine, UtcText};
use crate::device::DeviceId;
use crate::outcome::Attempt;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::{Cause, Missing};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: TimeRange,
    pub(super) cause: Cause,
    pub(super) attempts: u32,
    pub(super) last_code: Option<String>,
    last_detail: Option<String>,
    pub(super) last_try: Option<UtcSecond>,
    /// Whether the row before belongs to the same gap.
    joins_before: bool,
    /// Whether the row after belongs to the same gap.
    joins_after: bool,
}

impl Stretch {
    fn untried(range: TimeRange) -> Self {
        Self {
            range,
            cause: Cause::NotTried,
            attempts: 0,
            last_code: None,
            last_detail: None,
            last_try: None,
            joins_before: false,
            joins_after: false,
        }
    }

    fn over(&self, range: TimeRange) -> Self {
        Self { range, ..self.clone() }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.cause, self.attempts, self.last_try) == (other.cause, other.attempts, other.last_try)
            && self.last_code == other.last_code
            && self.last_detail == other.last_detail
    }
}

/// The stretches that share a second with `within`, whole, in order.
pub(super) fn overlapping(session: Session<'_>, device: DeviceId, within: TimeRange) -> Result<Vec<Stretch>, Fault> {
    session.all(
        "SELECT start, \"end\", cause, attempts, last_code, last_detail, last_try,
             CASE WHEN from_utc IS NULL THEN 1 ELSE 0 END, CASE WHEN to_utc IS NULL THEN 1 ELSE 0 END
         FROM missing WHERE device = ?1 AND start < ?3 AND \"end\" > ?2 AND start >= coalesce(
             (SELECT max(start) FROM missing WHERE device = ?1 AND start < ?2), ?2) ORDER BY start",
        values![device.get(), within.start().get(), within.end().get()],
        |row| {
            Ok(Stretch {
                range: range(row, 0)?,
                cause: cause(row.get(2)?)?,
                attempts: row.get(3)?,
                last_code: row.get(4)?,
                last_detail: row.get(5)?,
                last_try: second_of_text(row, 6)?,
                joins_before: row.get(7)?,
                joins_after: row.get(8)?,
            })
        },
    )
}

/// Of each device the parts of its stretches inside `within`, in order, and no more of them than a plan wants to know: so a year of
/// a camera's fits on a page or two.
pub(super) fn narrow(
    session: Session<'_>,
    devices: &[DeviceId],
    within: TimeRange,
) -> Result<BTreeMap<DeviceId, Vec<Missing>>, Fault> {
    let by_index = session.engine().sqlite_only("INDEXED BY narrow_missing");
    let mut found: BTreeMap<DeviceId, Vec<Missing>> = devices.iter().map(|&device| (device, Vec::new())).collect();
    session.each(
        &format!(
            "SELECT m.start, m.\"end\", m.device, m.cause, m.attempts
             FROM {} missing AS m {by_index}
             WHERE m.device = d.value AND m.start < ?3 AND m.\"end\" > ?2 AND m.start >= coalesce(
                 (SELECT max(start) FROM missing {by_index} WHERE device = d.value AND start < ?2), ?2)
             ORDER BY m.device, m.start",
            each_of(session.engine())
        ),
        values![&list(devices), within.start().get(), within.end().get()],
        |row| {
            if let Some(range) = range(row, 0)?.intersect(&within) {
                let part = Missing { range, cause: cause(row.get(3)?)?, attempts: row.get(4)? };
                found.entry(device(row, 2)?).or_default().push(part);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// A cause as it is stored.
pub(super) fn cause(text: &str) -> Result<Cause, Fault> {
    text.parse().map_err(|error: crate::window::UnknownCause| Fault::BadValue(error.to_string()))
}

/// A second that is stored as text, so that it can be shown as it is.
pub(super) fn second_of_text(row: &Row<'_>, column: usize) -> Result<Option<UtcSecond>, Fault> {
    let Some(text) = row.get::<Option<&str>>(column)? else { return Ok(None) };
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| Fault::BadValue(format!("{text:?} is no time")))?;
    Ok(Some(UtcSecond::floor(time.to_utc())))
}

/// Adds stretches that were never tried; none of `ranges` may be in the table yet.
pub(super) fn add_untried(session: Session<'_>, device: DeviceId, ranges: &RangeSet) -> Result<(), Fault> {
    for &range in ranges {
        edit(session, device, range, |mut held| {
            held.push(Stretch::untried(range));
            held
        })?;
    }
    Ok(())
}

/// Why what was archived is missing from now on.
pub(super) struct Loss<'a> {
    pub(super) cause: Cause,
    /// A word, and the same in words, where there is more to say than the cause.
    pub(super) code: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
    /// When it was found. Stretches that touch and differ in nothing are one row, so what is of no use is better left out.
    pub(super) at: Option<UtcSecond>,
}

/// Adds what was archived until now; nothing of `range` may be in the table yet.
pub(super) fn add_lost(session: Session<'_>, device: DeviceId, range: TimeRange, loss: &Loss<'_>) -> Result<(), Fault> {
    let lost = Stretch {
        cause: loss.cause,
        last_code: loss.code.map(str::to_owned),
        last_detail: loss.detail.map(str::to_owned),
        last_try: loss.at,
        ..Stretch::untried(range)
    };
    edit(session, device, range, |mut held| {
        held.push(lost);
        held
    })
}

/// Takes out every second of `range`.
pub(super) fn remove(session: Session<'_>, device: DeviceId, range: TimeRange) -> Result<(), Fault> {
    change_within(session, device, range, false, |_| None)
}

/// Says of what is missing in `range` that one more attempt was made at it, and what it came to.
pub(super) fn note_attempt(
    session: Session<'_>,
    device: DeviceId,
    range: TimeRange,
    cause: Cause,
    attempt: &Attempt,
) -> Result<(), Fault> {
    let code = attempt.code.map(|code| code.to_string());
    let detail = attempt.detail.as_ref().map(ToString::to_string);
    change_within(session, device, range, true, |held| {
        Some(Stretch {
            cause,
            attempts: held.attempts.saturating_add(1),
            last_code: code.clone(),
            last_detail: detail.clone(),
            last_try: Some(attempt.started),
            ..held
        })
    })
}

/// Says of what is missing in `range` why, as it was learned `at` a time without an attempt of its own.
pub(super) fn note_cause(
    session: Session<'_>,
    device: DeviceId,
    range: TimeRange,
    cause: Cause,
    at: UtcSecond,
) -> Result<(), Fault> {
    change_within(session, device, range, false, |held| Some(Stretch { cause, last_try: Some(at), ..held }))
}

/// All stretches of a device, for the catalog.
pub(super) fn lines(session: Session<'_>, device: DeviceId) -> Result<Vec<MissingLine>, Fault> {
    let stretches = overlapping(session, device, ALWAYS)?.into_iter();
    let line = |stretch: Stretch| MissingLine {
        from: UtcText(stretch.range.start()),
        to: UtcText(stretch.range.end()),
        cause: stretch.cause.to_string(),
        attempts: stretch.attempts,
        last_code: stretch.last_code,
        last_detail: stretch.last_detail,
        last_try: stretch.last_try.map(UtcText),
    };
    Ok(stretches.map(line).collect())
}

/// Puts back the stretches of a device that has none, as [`lines`] gave them. What overlaps an earlier one is left out.
pub(super) fn restore(session: Session<'_>, device: DeviceId, lines: &[MissingLine]) -> Result<(), Fault> {
    let mut stretches: Vec<Stretch> = Vec::with_capacity(lines.len());
    for line in lines {
        let Some(range) = TimeRange::new(line.from.0, line.to.0) else { continue };
        if stretches.last().is_some_and(|last| last.range.end() > range.start()) {
            continue;
        }
        stretches.push(Stretch {
            // A cause that a newer version wrote: the time is asked for again, and then has one of this version's.
            cause: line.cause.parse().unwrap_or(Cause::NotTried),
            attempts: line.attempts,
            last_code: line.last_code.clone(),
            last_detail: line.last_detail.clone(),
            last_try: line.last_try.map(|at| at.0),
            ..Stretch::untried(range)
        });
    }
    for stretch in arrange(stretches, ALWAYS, None, None) {
        put(session, device, &stretch)?;
    }
    Ok(())
}

/// Writes the texts of every row again, as the device's zone now has it.
pub(super) fn rewrite_texts(session: Session<'_>, device: DeviceId) -> Result<(), Fault> {
    for stretch in overlapping(session, device, ALWAYS)? {
        put(session, device, &stretch)?;
    }
    Ok(())
}

/// Replaces each part of a stretch inside `range` by what `change` makes of it. In `one_window`, parts that touch and
/// then say the same become one row: an attempt at a window is one row, whatever the window was made of.
fn change_within(
    session: Session<'_>,
    device: DeviceId,
    range: TimeRange,
    one_window: bool,
    change: impl Fn(Stretch) -> Option<Stretch>,
) -> Result<(), Fault> {
    edit(session, device, range, |held| {
        let mut after: Vec<Stretch> = Vec::with_capacity(held.len() + 2);
        for stretch in held {
            let Some(inside) = stretch.range.intersect(&range) else {
                after.push(stretch);
                continue;
            };
            after.extend(TimeRange::new(stretch.range.start(), inside.start()).map(|part| stretch.over(part)));
            if let Some(changed) = change(stretch.over(inside)) {
                match after.last_mut() {
                    Some(last) if one_window && last.range.start() >= range.start() && joinable(last, &changed) => {
                        last.range = join(last, &changed);
                    }
                    _ => after.push(changed),
                }
            }
            after.extend(TimeRange::new(inside.end(), stretch.range.end()).map(|part| stretch.over(part)));
        }
        after
    })
}

fn joinable(first: &Stretch, second: &Stretch) -> bool {
    first.range.end() == second.range.start() && first.says_the_same(second)
}

fn join(first: &Stretch, second: &Stretch) -> TimeRange {
    // OK because the second one touches the first: the union holds a second as each of them does.
    TimeRange::new(first.range.start(), second.range.end()).unwrap_or(first.range)
}

/// Hands `change` the stretches that overlap or touch `range` and stores what it returns. It must leave what is outside
/// of `range` as it is.
fn edit(
    session: Session<'_>,
    device: DeviceId,
    range: TimeRange,
    change: impl FnOnce(Vec<Stretch>) -> Vec<Stretch>,
) -> Result<(), Fault> {
    session.about(device)?;
    let reach = TimeRange::new(range.start() - 1, range.end() + 1).unwrap_or(range);
    let before = overlapping(session, device, reach)?;
    let after = arrange(change(before.clone()), range, before.first(), before.last());

    for gone in before.iter().filter(|old| !after.iter().any(|new| new.range.start() == old.range.start())) {
        session.execute(
            "DELETE FROM missing WHERE device = ?1 AND start = ?2",
            values![device.get(), gone.range.start().get()],
        )?;
    }
    for changed in after.iter().filter(|new| !before.contains(new)) {
        put(session, device, changed)?;
    }
    Ok(())
}

/// Sorts, joins what was never tried, and settles which rows belong to one gap. `range` is what was changed, `first`
/// and `last` are the outermost stretches as they were.
fn arrange(
    mut stretches: Vec<Stretch>,
    range: TimeRange,
    first: Option<&Stretch>,
    last: Option<&Stretch>,
) -> Vec<Stretch> {
    stretches.sort_unstable_by_key(|stretch| stretch.range);
    stretches.dedup_by(|second, first| {
        let joined = first.attempts == 0 && joinable(first, second);
        if joined {
            first.range = join(first, second);
        }
        joined
    });
    // What begins before the change keeps its left side, what ends after it keeps its right side. Everything else has
    // its neighbours in this list.
    let before = first.is_some_and(|held| held.range.start() < range.start() && held.joins_before);
    let after = last.is_some_and(|held| held.range.end() > range.end() && held.joins_after);
    let mut joins = before;
    for i in 0..stretches.len() {
        stretches[i].joins_before = joins;
        joins = match stretches.get(i + 1) {
            Some(next) => stretches[i].range.end() == next.range.start() && stretches[i].cause == next.cause,
            None => after,
        };
        stretches[i].joins_after = joins;
    }
    stretches
}

fn put(session: Session<'_>, device: DeviceId, stretch: &Stretch) -> Result<(), Fault> {
    let (start, end) = (stretch.range.start(), stretch.range.end());
    let from = (!stretch.joins_before).then_some(start);
    let to = (!stretch.joins_after).then_some(end);
    let local = |at: Option<UtcSecond>| at.map(|at| local_text(session, device, at)).transpose();
    session.execute(
        "INSERT INTO missing (device, start, \"end\", cause, attempts, last_code, last_detail, last_try,
             from_utc, to_utc, from_local, to_local) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (device, start) DO UPDATE SET \"end\" = excluded.\"end\", cause = excluded.cause,
             attempts = excluded.attempts, last_code = excluded.last_code, last_detail = excluded.last_detail,
             last_try = excluded.last_try, from_utc = excluded.from_utc, to_utc = excluded.to_utc,
             from_local = excluded.from_local, to_local = excluded.to_local",
        values![
            device.get(),
            start.get(),
            end.get(),
            stretch.cause.as_str(),
            stretch.attempts,
            &stretch.last_code,
            &stretch.last_detail,
            &stretch.last_try.map(|at| at.to_string()),
            &from.map(|at| at.to_string()),
            &to.map(|at| at.to_string()),
            &local(from)?,
            &local(to)?,
        ],
    )?;
    Ok(())
}
