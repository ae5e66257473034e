//! How a person names a stretch of time, and how it is read.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};

use super::CalendarError;

/// A stretch of time as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The local day before today's.
    Yesterday,
    /// The local day up to now.
    Today,
    /// That local day.
    Date(NaiveDate),
    /// That long, up to now.
    Last(Duration),
    /// From one moment up to another.
    Between {
        /// The first moment inside.
        from: When,
        /// The first moment after.
        to: When,
    },
}

impl Asked {
    /// Reads what `--date` and a job's `range` take: `yesterday`, `today`, `2026-11-20`.
    pub fn day(text: &str) -> Result<Self, CalendarError> {
        match text.trim() {
            "yesterday" => Ok(Self::Yesterday),
            "today" => Ok(Self::Today),
            date => date
                .parse()
                .map(Self::Date)
                .map_err(|_not_a_date: chrono::ParseError| CalendarError::NotADate(text.to_owned())),
        }
    }

    /// Reads what `--last` and a job's `last` take: `26h`, `90m`, `7d`; not nothing.
    pub fn last(text: &str) -> Result<Self, CalendarError> {
        match parse_duration(text)? {
            length if length.as_secs() == 0 => Err(CalendarError::NotADuration(text.to_owned())),
            length => Ok(Self::Last(length)),
        }
    }
}

/// Reads a length of time such as `90s`, `10m`, `1h 30m`, `30 days`. A minute is `m`, a month would be `M`.
pub fn parse_duration(text: &str) -> Result<Duration, CalendarError> {
    humantime::parse_duration(text.trim()).map_err(|_unreadable| CalendarError::NotADuration(text.to_owned()))
}

/// A moment as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When the run starts.
    Now,
    /// What the clock at the devices shows.
    Local(NaiveDateTime),
    /// A moment with its own offset from UTC.
    At(DateTime<FixedOffset>),
}

impl FromStr for When {
    type Err = CalendarError;

    /// Reads `now`, `2026-11-20` (its midnight), `2026-11-20 09:00`, with seconds too, with `T` for the space, and with
    /// an offset (`Z`, `+08:00`).
    fn from_str(text: &str) -> Result<Self, CalendarError> {
        const LOCAL: [&str; 4] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
        const OFFSET: [&str; 4] =
            ["%Y-%m-%d %H:%M%#z", "%Y-%m-%d %H:%M:%S%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%dT%H:%M:%S%#z"];
        let asked = text.trim();
        if asked == "now" {
            return Ok(Self::Now);
        }
        let date = || NaiveDate::parse_from_str(asked, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
        let local = || LOCAL.iter().find_map(|format| NaiveDateTime::parse_from_str(asked, format).ok());
        let offset = || OFFSET.iter().find_map(|format| DateTime::parse_from_str(asked, format).ok());
        (date().or_else(local).map(Self::Local))
            .or_else(|| offset().map(Self::At))
            .ok_or_else(|| CalendarError::NotATime(text.to_owned()))
    }
}
