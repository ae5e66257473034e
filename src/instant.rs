//! A moment on a run's own clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use crate::time_range::UtcSecond;

/// Milliseconds since 1970 on a run's clock: the wall clock read once when the run starts, and carried on from there by
/// the monotonic clock, so that it never jumps, whatever the machine's clock is set to meanwhile.
///
/// Decisions take it as an argument; only `run` reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// The moment `milliseconds` after the epoch.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The UTC second in which it falls.
    pub fn to_utc_second(self) -> UtcSecond {
        UtcSecond::new(self.0.div_euclid(1000))
    }

    /// How long after `earlier` it is; nothing when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl From<UtcSecond> for Instant {
    fn from(second: UtcSecond) -> Self {
        Self(second.get().saturating_mul(1000))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.to_utc_second(), self.0.rem_euclid(1000))
    }
}
