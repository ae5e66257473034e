//! The steps of time zones, as rows that plain SQL can join with.

use super::error::Fault;
use super::session::{Session, values};
use crate::device::DeviceId;
use crate::time_range::UtcSecond;
use chrono::{DateTime, FixedOffset, Offset, TimeZone};
use chrono_tz::Tz;

/// The year in which a zone's rows begin; what is earlier is shown with the offset of its first day.
const FIRST_YEAR: i32 = 2000;
/// The year before which they end; what is later is shown with the last offset.
const LAST_YEAR: i32 = 2100;
/// 0001-01-01, before anything that is ever asked for.
const ALWAYS: i64 = -62_135_596_800;

/// Writes the zone's rows, in place of those that an older version of the time zone database may have left.
pub(super) fn add(session: Session<'_>, zone: Tz) -> Result<(), Fault> {
    let held = session.all(
        "SELECT start, \"offset\", before FROM utc_offset WHERE zone = ?1 ORDER BY start",
        values![zone.name()],
        |row| Ok(Step { start: row.get(0)?, offset: row.get(1)?, before: row.get(2)? }),
    )?;
    let steps = steps(zone);
    if held == steps {
        return Ok(());
    }
    session.execute("DELETE FROM utc_offset WHERE zone = ?1", values![zone.name()])?;
    for step in steps {
        session.execute(
            "INSERT INTO utc_offset (zone, start, \"offset\", before, label) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (zone, start) DO UPDATE SET \"offset\" = excluded.\"offset\", before = excluded.before,
                 label = excluded.label",
            values![zone.name(), step.start, step.offset, step.before, &label(step.offset)],
        )?;
    }
    Ok(())
}

/// Writes the zone's rows when there are none: making them takes a while, and many devices are in one zone.
pub(super) fn add_if_unknown(session: Session<'_>, zone: Tz) -> Result<(), Fault> {
    let known =
        session.first("SELECT 1 FROM utc_offset WHERE zone = ?1 LIMIT 1", values![zone.name()], |_row| Ok(()))?;
    if known.is_some() { Ok(()) } else { add(session, zone) }
}

/// From `start` on the zone is `offset` seconds east of UTC; until then it was `before`.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    start: i64,
    offset: i32,
    before: i32,
}

fn steps(zone: Tz) -> Vec<Step> {
    let (first, last) = (new_year(FIRST_YEAR), new_year(LAST_YEAR));
    let mut offset = offset_at(zone, first);
    let mut steps = vec![Step { start: ALWAYS, offset, before: offset }];
    // Day by day: no zone changes its clocks twice within one.
    for day in (first..last).step_by(86_400) {
        let after = offset_at(zone, day + 86_400);
        if after != offset {
            let start = first_second(day, day + 86_400, |second| offset_at(zone, second) == after);
            steps.push(Step { start, offset: after, before: offset });
            offset = after;
        }
    }
    steps
}

/// The first second after `no` at which `holds` is true, when it is false at `no`, true at `yes`, and turns once.
fn first_second(mut no: i64, mut yes: i64, holds: impl Fn(i64) -> bool) -> i64 {
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if holds(middle) { yes = middle } else { no = middle }
    }
    yes
}

fn new_year(year: i32) -> i64 {
    let days_before = i64::from(year - 1) * 365 + i64::from((year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400);
    ALWAYS + days_before * 86_400
}

fn offset_at(zone: Tz, second: i64) -> i32 {
    let moment = UtcSecond::new(second).to_datetime().naive_utc();
    zone.offset_from_utc_datetime(&moment).fix().local_minus_utc()
}

/// An offset as people write it: `+08:00`.
fn label(offset: i32) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A moment in a device's local time, with its offset: `2026-11-20 09:00:00+08:00`.
pub(super) fn local_text(session: Session<'_>, device: DeviceId, at: UtcSecond) -> Result<String, Fault> {
    let offset: i32 = session.one(
        "SELECT o.\"offset\" FROM device AS d JOIN utc_offset AS o ON o.zone = d.zone
         WHERE d.device = ?1 AND o.start <= ?2 ORDER BY o.start DESC LIMIT 1",
        values![device.get(), at.get().max(ALWAYS)],
    )?;
    let east = FixedOffset::east_opt(offset)
        .ok_or_else(|| Fault::BadValue(format!("{offset} s is not an offset from UTC")))?;
    let local: DateTime<FixedOffset> = at.to_datetime().with_timezone(&east);
    Ok(format!("{}{}", local.format("%Y-%m-%d %H:%M:%S"), label(offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_zone_are_where_its_clocks_change() {
        let berlin = steps(chrono_tz::Europe::Berlin);
        // 2026-03-29T01:00:00Z and 2026-10-25T01:00:00Z.
        assert!(berlin.contains(&Step { start: 1_774_746_000, offset: 7_200, before: 3_600 }), "{berlin:?}");
        assert!(berlin.contains(&Step { start: 1_792_890_000, offset: 3_600, before: 7_200 }));
        assert_eq!(steps(chrono_tz::Asia::Shanghai).len(), 1);
        assert_eq!(label(-12_600), "-03:30");
    }

    #[test]
    fn between_two_steps_the_offset_is_the_zones() {
        for zone in [chrono_tz::Europe::Berlin, chrono_tz::America::Havana, chrono_tz::Australia::Lord_Howe] {
            let steps = steps(zone);
            for second in (new_year(2020)..new_year(2030)).step_by(7_919) {
                let step = &steps[steps.partition_point(|step| step.start <= second) - 1];
                assert_eq!(step.offset, offset_at(zone, second), "{zone} at {second}");
            }
        }
    }
}
