//! The question behind a picture of coverage: of each device's time in a range, what is in which file, and what is missing.

use super::error::Fault;
use super::media::CONTAINERS;
use super::missing;
use super::queries::read_source;
use super::ranges::{Merged, range};
use super::session::{Session, values};
use crate::device::DeviceId;
use crate::picture::{State, Stretch, Told, is_grid_window, join};
use crate::recording::Source;
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Cause;

/// Reads one device's time. A month of one camera is 4,464 recordings, which become a few stretches.
pub(super) fn told(session: Session<'_>, device: DeviceId, within: TimeRange) -> Result<Told, Fault> {
    let asked_seconds = Merged::Asked.within(session, device, within)?.seconds();
    let mut missing = gaps(session, device, within)?.into_iter().peekable();
    let mut stretches = Vec::new();
    each_file(session, device, within, |file| {
        while let Some(gap) = missing.next_if(|gap| gap.range < file.range) {
            stretches.push(gap);
        }
        join(&mut stretches, file);
    })?;
    stretches.extend(missing);
    Ok(Told { asked_seconds, stretches })
}

/// What is missing, as the view of gaps joins it, cut to the range. Its attempts are those at windows that share a second with it.
fn gaps(session: Session<'_>, device: DeviceId, within: TimeRange) -> Result<Vec<Stretch>, Fault> {
    let mut gaps: Vec<Stretch> = Vec::new();
    // When the code of the last of them was learned.
    let mut latest: Option<UtcSecond> = None;
    for row in missing::overlapping(session, device, within)? {
        let Some(range) = row.range.intersect(&within) else { continue };
        if row.cause == Cause::Pruned {
            join(&mut gaps, Stretch { range, state: State::Pruned });
            continue;
        }
        match gaps.last_mut().filter(|last| last.range.end() == range.start()) {
            Some(Stretch { range: held, state: State::Missing { cause, attempts, last_code } })
                if *cause == row.cause =>
            {
                // OK because the row touches it.
                *held = TimeRange::new(held.start(), range.end()).unwrap_or(*held);
                *attempts = attempts.saturating_add(row.attempts);
                if row.last_try >= latest {
                    (latest, *last_code) = (row.last_try, row.last_code);
                }
            }
            _ => {
                latest = row.last_try;
                let state = State::Missing { cause: row.cause, attempts: row.attempts, last_code: row.last_code };
                gaps.push(Stretch { range, state });
            }
        }
    }
    Ok(gaps)
}

/// Hands over the recordings of a range, in order and cut to it.
fn each_file(
    session: Session<'_>,
    device: DeviceId,
    within: TimeRange,
    mut each: impl FnMut(Stretch),
) -> Result<(), Fault> {
    // Recordings of one day are in one folder, one after the other.
    let mut folder: (i64, String) = (i64::MIN, String::new());
    let mut day: (i64, String) = (i64::MIN, String::new());
    session.each(
        "SELECT start, \"end\", folder, quarters, container, source, own_name FROM recording
         WHERE device = ?1 AND start < ?3 AND \"end\" > ?2 AND start >= coalesce(
             (SELECT max(start) FROM recording WHERE device = ?1 AND start < ?2), ?2) ORDER BY start",
        values![device.get(), within.start().get(), within.end().get()],
        |row| {
            let whole = range(row, 0)?;
            let Some(cut) = whole.intersect(&within) else { return Ok(()) };
            let number: i64 = row.get(2)?;
            if folder.0 != number {
                folder = (number, session.one("SELECT path FROM folder WHERE folder = ?1", values![number])?);
            }
            let quarters: Option<i32> = row.get(3)?;
            let container: Option<u8> = row.get(4)?;
            let told = quarters.zip(container).filter(|_| cut == whole);
            let state = match told {
                Some((quarters, container)) if folder.1 == *folder_for(&mut day, device, whole.start(), quarters) => {
                    named_by_numbers(whole, quarters, container, row.get(5)?)?
                }
                _ => {
                    let name: String = session.one(
                        "SELECT name FROM recording WHERE device = ?1 AND start = ?2",
                        values![device.get(), whole.start().get()],
                    )?;
                    State::Named { path: format!("{}{name}", folder.1) }
                }
            };
            each(Stretch { range: cut, state });
            Ok(())
        },
    )
}

/// The folder in which a recording stands whose name follows from its row; `last` is the one before, to make it once a day.
fn folder_for(last: &mut (i64, String), device: DeviceId, start: UtcSecond, quarters: i32) -> &str {
    let local = start + i64::from(quarters) * 900;
    let day = local.get().div_euclid(86_400);
    if last.0 != day {
        *last = (day, format!("{device}/{}/", local.to_datetime().date_naive()));
    }
    &last.1
}

fn named_by_numbers(range: TimeRange, quarters: i32, container: u8, source: &str) -> Result<State, Fault> {
    let (_, container) = CONTAINERS
        .into_iter()
        .find(|(number, _)| *number == container)
        .ok_or_else(|| Fault::BadValue(format!("{container} is no container of a recording")))?;
    let source = read_source(source)?;
    let is_plain = source == Source::Nvr && is_grid_window(&range);
    Ok(if is_plain { State::Windows { quarters, container } } else { State::File { quarters, container, source } })
}
