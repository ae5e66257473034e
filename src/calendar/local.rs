//! Between local time and UTC, with the days on which a clock is changed.

use chrono::{Days, MappedLocalTime, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::time_range::{TimeRange, UtcSecond};

/// Which moments a local time names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Once(UtcSecond),
    /// The clock was set back over it.
    Twice {
        first: UtcSecond,
        second: UtcSecond,
    },
    /// The clock leapt over it: every earlier label lies before the leap, every later one after it.
    Never {
        leap: UtcSecond,
    },
}

impl Found {
    pub(super) fn of(local: NaiveDateTime, zone: Tz) -> Self {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) => Self::Once(UtcSecond::floor(at.to_utc())),
            MappedLocalTime::Ambiguous(a, b) => {
                let (a, b) = (UtcSecond::floor(a.to_utc()), UtcSecond::floor(b.to_utc()));
                Self::Twice { first: a.min(b), second: a.max(b) }
            }
            MappedLocalTime::None => Self::Never { leap: leap_over(local, zone) },
        }
    }
}

/// The first moment whose label is past `local`, which the clock leaps over.
fn leap_over(local: NaiveDateTime, zone: Tz) -> UtcSecond {
    const DAY: i64 = 86_400;
    let as_if_utc = UtcSecond::floor(local.and_utc());
    // OK because no zone was ever a whole day from UTC, and no zone sets its clock back within a day of a leap.
    let (mut before, mut after) = (as_if_utc - DAY, as_if_utc + DAY);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if local_time(middle, zone) > local {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

/// When the clock of `zone` is changed after `from`, if it is by `to`.
pub(super) fn clock_change(from: UtcSecond, to: UtcSecond, zone: Tz) -> Option<UtcSecond> {
    let offset = |at: UtcSecond| zone.offset_from_utc_datetime(&at.to_datetime().naive_utc()).fix();
    // OK for ranges of about a day: no zone changes its clock and changes it back within one.
    let (mut before, mut after) = (from, to);
    if offset(before) == offset(after) {
        return None;
    }
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(middle) == offset(from) {
            before = middle;
        } else {
            after = middle;
        }
    }
    Some(after)
}

/// What the clock of `zone` shows. At the very ends of chrono's calendar, where that cannot be said, UTC.
pub(super) fn local_time(second: UtcSecond, zone: Tz) -> NaiveDateTime {
    let utc = second.to_datetime().naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix()).unwrap_or(utc)
}

/// Whether the local labels of `range` name another stretch of time as well, because the clock is set back: a platform
/// that reads them in `zone` may then send either.
pub fn label_exists_twice(range: TimeRange, zone: Tz) -> bool {
    let twice = |at| matches!(Found::of(local_time(at, zone), zone), Found::Twice { .. });
    // OK to look only at the ends of each ten minutes: a stretch that comes twice is twenty minutes or more.
    range.cut_on_grid().any(|part| twice(part.start()) || twice(part.end() - 1))
}

/// `range` as the platform's `startTime` and `endTime` want it: the local time of the start, and that plus the length.
///
/// OK because the platform reads both labels without regard to clock changes (**\[unknown\]** in which zone): so the
/// difference is never more than the window, and the label of the end never lies before that of the start.
pub fn platform_labels(range: TimeRange, zone: Tz) -> (NaiveDateTime, NaiveDateTime) {
    let start = local_time(range.start(), zone);
    let length = TimeDelta::try_seconds(range.seconds()).unwrap_or(TimeDelta::MAX);
    (start, start.checked_add_signed(length).unwrap_or(NaiveDateTime::MAX))
}

/// The next moment after `now` at which the clock of `zone` shows `time`, or leaps over it.
pub fn next_local_time(time: NaiveTime, zone: Tz, now: UtcSecond) -> UtcSecond {
    let yesterday = local_time(now, zone).date().checked_sub_days(Days::new(1));
    let moments = yesterday.into_iter().flat_map(|day| day.iter_days().take(5)).flat_map(|day| {
        match Found::of(day.and_time(time), zone) {
            Found::Once(at) | Found::Never { leap: at } => [at, at],
            Found::Twice { first, second } => [first, second],
        }
    });
    // OK to fall back on a day from now: only at the end of chrono's calendar is there no next day.
    moments.filter(|&at| at > now).min().unwrap_or(now + 86_400)
}
