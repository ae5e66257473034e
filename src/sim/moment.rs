//! Times and lengths of time as a set-up writes them: `"10m"`, `"2026-11-20 09:13:00"`, `"-1d"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::instant::Instant;
use crate::platform::wire::TIME_FORMAT;

/// A signed length of time, in milliseconds. Written as a whole number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(i64);

impl Length {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The same without a sign; nothing when it is negative.
    pub fn to_duration(self) -> Duration {
        Duration::from_millis(self.0.max(0).unsigned_abs())
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        let number: Option<i64> = digits.parse().ok();
        match number.and_then(|number| number.checked_mul(unit)) {
            Some(millis) if unit > 0 => Ok(Self(millis)),
            _ => Err(format!(
                "{text:?} is no length of time: write a whole number with ms, s, m, h or d, such as \"10m\""
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A point in time: a length counted from the server's start, a local time in the set-up's zone, or a time with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the server's start; before it, when negative.
    FromStart(Length),
    /// In the set-up's zone.
    Local(NaiveDateTime),
    /// Wherever.
    At(Instant),
}

impl Moment {
    /// The moment on the platform's clock, whose server started at `start`. A local time that exists twice is its first
    /// one, and one that a clock change skipped is read as if it were UTC.
    pub fn resolve(self, start: Instant, zone: Tz) -> Instant {
        match self {
            Self::FromStart(length) => Instant::from_millis(start.as_millis().saturating_add(length.as_millis())),
            Self::Local(local) => {
                let earliest = zone.from_local_datetime(&local).earliest();
                Instant::from_millis(earliest.map_or(local.and_utc().timestamp_millis(), |at| at.timestamp_millis()))
            }
            Self::At(instant) => instant,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(length) = text.parse() {
            return Ok(Self::FromStart(length));
        }
        if let Ok(local) = NaiveDateTime::parse_from_str(text, TIME_FORMAT) {
            return Ok(Self::Local(local));
        }
        match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Ok(Self::At(Instant::from_millis(at.timestamp_millis()))),
            Err(_) => Err(format!(
                "{text:?} is no time: write \"2s\" after the server's start, \"2026-11-20 09:13:00\" in the set-up's \
                 zone, or \"2026-11-20T09:13:00+08:00\""
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// From a moment to another, the second excluded. A missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Period {
    /// The first moment inside.
    pub from: Option<Moment>,
    /// The first moment after.
    pub to: Option<Moment>,
}

/// A [`Period`] on the platform's clock.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The first moment inside.
    pub from: Instant,
    /// The first moment after.
    pub to: Instant,
}

impl Period {
    /// The period on the clock of a server that started at `start`.
    pub fn resolve(&self, start: Instant, zone: Tz) -> Stretch {
        Stretch {
            from: self.from.map_or(Instant::from_millis(i64::MIN), |moment| moment.resolve(start, zone)),
            to: self.to.map_or(Instant::from_millis(i64::MAX), |moment| moment.resolve(start, zone)),
        }
    }
}

impl Stretch {
    /// Whether `now` is inside.
    pub fn contains(&self, now: Instant) -> bool {
        self.from <= now && now < self.to
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_their_unit() {
        for (text, millis) in [("250ms", 250), ("2s", 2000), ("10m", 600_000), ("-1d", -86_400_000), ("0s", 0)] {
            assert_eq!(text.parse::<Length>().map(Length::as_millis), Ok(millis), "{text}");
        }
        for wrong in ["", "10", "s", "1.5s", "10 m", "10y", "9223372036854775807d"] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_relative_local_or_absolute() {
        let start = Instant::from_millis(1_000_000);
        let zone = chrono_tz::Asia::Shanghai;
        let at = |text: &str| text.parse::<Moment>().map(|moment| moment.resolve(start, zone).as_millis());
        assert_eq!(at("2s"), Ok(1_002_000));
        assert_eq!(at("1970-01-01 08:00:05"), Ok(5000));
        assert_eq!(at("1970-01-01T00:00:05Z"), Ok(5000));
        assert!(at("tomorrow").is_err());
    }

    #[test]
    fn an_open_period_holds_every_moment() {
        let always = Period::default().resolve(Instant::from_millis(0), chrono_tz::UTC);
        assert!(always.contains(Instant::from_millis(i64::MIN)) && always.contains(Instant::from_millis(5)));
    }
}
