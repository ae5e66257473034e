//! A daily span of hours.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::CalendarError;
use super::local::{clock_change, local_time, next_local_time};
use crate::time_range::UtcSecond;

/// A span of every day in local time: `09:00-22:00`; over midnight, `22:00-02:00`; the whole day, `00:00-24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourSpan {
    from: NaiveTime,
    to: NaiveTime,
}

impl HourSpan {
    /// When it starts, every day.
    pub const fn from(&self) -> NaiveTime {
        self.from
    }

    /// When it ends, on that day or the next.
    pub const fn to(&self) -> NaiveTime {
        self.to
    }

    /// Whether it ends on the day after the one on which it starts; a span to midnight does.
    pub fn ends_next_day(&self) -> bool {
        self.to <= self.from
    }

    /// Whether the clock of `zone` shows a time within it at `now`: an hour that a clock change repeats counts both times.
    pub fn holds(&self, now: UtcSecond, zone: Tz) -> bool {
        let time = local_time(now, zone).time();
        if self.ends_next_day() { time >= self.from || time < self.to } else { time >= self.from && time < self.to }
    }

    /// A moment after `now` before which [`Self::holds`] says the same as at `now`.
    pub fn same_until(&self, now: UtcSecond, zone: Tz) -> UtcSecond {
        let edge = next_local_time(self.from, zone, now).min(next_local_time(self.to, zone, now));
        clock_change(now, edge, zone).unwrap_or(edge)
    }
}

impl FromStr for HourSpan {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        let parsed = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (from.trim(), to.trim());
            let from_time = NaiveTime::parse_from_str(from, "%H:%M").ok()?;
            if to == "24:00" {
                return Some(Self { from: from_time, to: NaiveTime::MIN });
            }
            let to_time = NaiveTime::parse_from_str(to, "%H:%M").ok()?;
            (from_time != to_time).then_some(Self { from: from_time, to: to_time })
        });
        parsed.ok_or_else(|| CalendarError::NotHours(text.to_owned()))
    }
}

impl fmt::Display for HourSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.from.format("%H:%M"))?;
        if self.to == NaiveTime::MIN { f.write_str("24:00") } else { write!(f, "{}", self.to.format("%H:%M")) }
    }
}
