//! From what a person asks for ("yesterday, 09:00 to 22:00") to ranges of UTC.
//!
//! Local time lives here and nowhere deeper. Where a clock change leaves a choice, the choice that asks for more is
//! taken and a [`Note`] says so: a second too much costs a download, a second too few is lost for ever.

mod ask;
mod hours;
mod local;
mod span;

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use thiserror::Error;

pub use ask::{Asked, When, parse_duration};
pub use hours::HourSpan;
pub use local::{label_exists_twice, next_local_time, platform_labels};
pub use span::{Span, next_span};

use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use local::{Found, local_time};

/// What an asked-for time came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The seconds asked for, none of them in the future. Empty when the daily hours leave nothing.
    pub ranges: RangeSet,
    /// What the person should know about how the request was read.
    pub notes: Vec<Note>,
}

/// A choice that was made for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The clock shows this local time twice on that day; the occurrence that asks for more was taken.
    Twice {
        /// The local time as asked for.
        local: NaiveDateTime,
        /// Whose local time it is.
        zone: Tz,
        /// The occurrence that was taken.
        taken: UtcSecond,
    },
    /// The clock leaps over this local time on that day; the moment of the leap was taken, so that nothing is lost.
    Skipped {
        /// The local time as asked for.
        local: NaiveDateTime,
        /// Whose local time it is.
        zone: Tz,
        /// The moment of the leap.
        taken: UtcSecond,
    },
    /// The range was asked for up to a time that has not come yet.
    FutureCut {
        /// The end as asked for.
        asked: UtcSecond,
        /// Where it was cut: now.
        now: UtcSecond,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Twice { local, zone, taken } => {
                write!(f, "{local} comes twice in {zone} (the clock is set back): {taken} is taken")
            }
            Self::Skipped { local, zone, taken } => {
                write!(f, "{local} does not exist in {zone} (the clock leaps ahead): {taken} is taken")
            }
            Self::FutureCut { asked, now } => write!(f, "{asked} is still to come: asked for up to now, {now}"),
        }
    }
}

/// Why a request names no time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CalendarError {
    /// Not a time that can be read.
    #[error(
        "{0:?} is not a time; write \"2026-11-20 09:00\", \"2026-11-20\" (its midnight), \
         \"2026-11-20T09:00:00+08:00\" or \"now\""
    )]
    NotATime(String),
    /// Not a date that can be read.
    #[error("{0:?} is not a date; write \"2026-11-20\", \"yesterday\" or \"today\"")]
    NotADate(String),
    /// Not a length of time that can be read, or nothing at all.
    #[error("{0:?} is not a length of time; write for example \"90s\", \"10m\", \"26h\" or \"30 days\"")]
    NotADuration(String),
    /// Not a daily span of hours.
    #[error("{0:?} is not a span of hours; write \"09:00-22:00\"")]
    NotHours(String),
    /// The range holds no second.
    #[error("the range ends ({to}) before it starts ({from})")]
    EndsBeforeStart {
        /// Its start in UTC.
        from: UtcSecond,
        /// Its end in UTC.
        to: UtcSecond,
    },
    /// Nothing of the range has happened yet.
    #[error("the range starts at {from}, which is still to come (now is {now})")]
    AllInFuture {
        /// Its start in UTC.
        from: UtcSecond,
        /// Now.
        now: UtcSecond,
    },
    /// Before 1970 or after 9999. No recorder keeps that, and the bound keeps every later sum in range.
    #[error("the time asked for is outside the years 1970 to 9999")]
    OutsideCalendar,
}

/// The seconds that `asked` names in `zone`, as of `now`; only those within the daily `hours`, unless there are none.
///
/// The hours are a mask over the range: `yesterday` with `22:00-02:00` is yesterday's first two hours and its last two,
/// so that a run every night asks for every such second once.
pub fn resolve(asked: &Asked, hours: &[HourSpan], zone: Tz, now: UtcSecond) -> Result<Resolved, CalendarError> {
    let mut notes = Vec::new();
    let range = asked_range(asked, zone, now, &mut notes)?;
    let ranges = if hours.is_empty() { range.into() } else { within_hours(range, hours, zone, &mut notes)? };
    Ok(Resolved { ranges, notes })
}

/// The moment that `when` names in `zone`, as of `now`; of two the later one.
pub fn moment(when: When, zone: Tz, now: UtcSecond) -> Result<UtcSecond, CalendarError> {
    let moment = edge(when, Side::End, zone, now, &mut Vec::new())?;
    check(moment)?;
    Ok(moment)
}

fn asked_range(asked: &Asked, zone: Tz, now: UtcSecond, notes: &mut Vec<Note>) -> Result<TimeRange, CalendarError> {
    check(now)?;
    let today = local_time(now, zone).date();
    let (from, to) = match *asked {
        Asked::Yesterday => (midnight(today.pred_opt(), zone)?, midnight(Some(today), zone)?),
        Asked::Today => (midnight(Some(today), zone)?, now),
        Asked::Date(date) => (midnight(Some(date), zone)?, midnight(date.succ_opt(), zone)?),
        Asked::Last(length) => (now - i64::try_from(length.as_secs()).unwrap_or(i64::MAX), now),
        Asked::Between { from, to } => {
            (edge(from, Side::Start, zone, now, notes)?, edge(to, Side::End, zone, now, notes)?)
        }
    };
    check(from)?;
    check(to)?;
    let whole = TimeRange::new(from, to).ok_or(CalendarError::EndsBeforeStart { from, to })?;
    if to > now {
        notes.push(Note::FutureCut { asked: to, now });
    }
    TimeRange::new(whole.start(), whole.end().min(now)).ok_or(CalendarError::AllInFuture { from, now })
}

fn within_hours(
    range: TimeRange,
    hours: &[HourSpan],
    zone: Tz,
    notes: &mut Vec<Note>,
) -> Result<RangeSet, CalendarError> {
    let last_day = local_time(range.end(), zone).date();
    // The day before, too: its span may reach over midnight.
    let first_day = local_time(range.start(), zone).date().pred_opt();
    let mut open = RangeSet::new();
    for day in first_day.into_iter().flat_map(|day| day.iter_days()).take_while(|&day| day <= last_day) {
        for span in hours {
            let mut found = Vec::new();
            let from = resolve_local(day.and_time(span.from()), Side::Start, zone, &mut found)?;
            let to = span_end(day, span, zone, &mut found)?;
            let part = TimeRange::new(from, to).and_then(|span| span.intersect(&range));
            if let Some(part) = part {
                open.insert(part);
                notes.extend(found.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
            }
        }
    }
    Ok(open)
}

fn span_end(day: NaiveDate, span: &HourSpan, zone: Tz, notes: &mut Vec<Note>) -> Result<UtcSecond, CalendarError> {
    let day = if span.ends_next_day() { day.checked_add_days(Days::new(1)) } else { Some(day) };
    match (span.to(), day) {
        // A day ends where the next one starts, even where midnight comes twice.
        (NaiveTime::MIN, day) => midnight(day, zone),
        (to, Some(day)) => resolve_local(day.and_time(to), Side::End, zone, notes),
        (_, None) => Err(CalendarError::OutsideCalendar),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

fn edge(when: When, side: Side, zone: Tz, now: UtcSecond, notes: &mut Vec<Note>) -> Result<UtcSecond, CalendarError> {
    match when {
        When::Now => Ok(now),
        When::At(time) => {
            let part = i64::from(side == Side::End && time.timestamp_subsec_nanos() > 0);
            Ok(UtcSecond::floor(time.to_utc()) + part)
        }
        When::Local(local) => resolve_local(local, side, zone, notes),
    }
}

fn resolve_local(
    local: NaiveDateTime,
    side: Side,
    zone: Tz,
    notes: &mut Vec<Note>,
) -> Result<UtcSecond, CalendarError> {
    check(UtcSecond::floor(local.and_utc()))?;
    Ok(match Found::of(local, zone) {
        Found::Once(at) => at,
        Found::Twice { first, second } => {
            let taken = if side == Side::Start { first } else { second };
            notes.push(Note::Twice { local, zone, taken });
            taken
        }
        Found::Never { leap } => {
            notes.push(Note::Skipped { local, zone, taken: leap });
            leap
        }
    })
}

/// The first moment of a day. OK to say nothing of clock changes: the day's first moment is what was meant, and the day
/// before ends at the same one.
fn midnight(day: Option<NaiveDate>, zone: Tz) -> Result<UtcSecond, CalendarError> {
    let local = day.ok_or(CalendarError::OutsideCalendar)?.and_time(NaiveTime::MIN);
    resolve_local(local, Side::Start, zone, &mut Vec::new())
}

/// A day more than the years 1970 to 9999 on either side, so that local time may differ from UTC.
fn check(second: UtcSecond) -> Result<(), CalendarError> {
    const DAY: i64 = 86_400;
    const YEAR_10000: i64 = 253_402_300_800;
    if (-DAY..=YEAR_10000 + DAY).contains(&second.get()) { Ok(()) } else { Err(CalendarError::OutsideCalendar) }
}

#[cfg(test)]
mod tests;
