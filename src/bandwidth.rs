//! How many bytes of streams may pass: ceilings by the hour of the day, and the bucket that keeps to them.
//!
//! An archive's host often shares its uplink with people who work by day. The ceiling holds for the streams of all NVRs
//! together; the gateway's calls are a few hundred bytes each and are not counted. `fetch` is where streams wait.

use std::num::NonZeroU64;
use std::time::Duration;

use chrono_tz::Tz;

use crate::calendar::HourSpan;
use crate::instant::Instant;
use crate::time_range::UtcSecond;

/// The most bytes that pass in one turn, so that streams which wait for each other each get on a little.
const PORTION: u64 = 16 << 10;

/// A second's worth may pass at once, and this much in any case: what comes of a socket comes in lumps.
const LEAST_BURST: u64 = 256 << 10;

/// A ceiling in bytes per second; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ceiling(NonZeroU64);

impl Ceiling {
    /// That many bytes per second; nothing when that is none.
    pub const fn new(bytes_per_second: u64) -> Option<Self> {
        match NonZeroU64::new(bytes_per_second) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }

    /// In bytes per second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// The most bytes that may pass at once after a pause.
    pub fn burst(self) -> u64 {
        self.bytes_per_second().max(LEAST_BURST)
    }
}

/// Which ceiling holds when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ceilings {
    /// Never any.
    #[default]
    None,
    /// Always the same.
    Always(Ceiling),
    /// Some hours of every day have one; where they overlap, the lower one holds.
    ByHour {
        /// The zone of the hours.
        zone: Tz,
        /// The hours, in any order.
        hours: Vec<(HourSpan, Ceiling)>,
    },
}

impl Ceilings {
    /// The ceiling at `now`; nothing when there is none.
    pub fn at(&self, now: UtcSecond) -> Option<Ceiling> {
        match self {
            Self::None => None,
            Self::Always(ceiling) => Some(*ceiling),
            Self::ByHour { zone, hours } => {
                hours.iter().filter(|(span, _)| span.holds(now, *zone)).map(|&(_, ceiling)| ceiling).min()
            }
        }
    }

    /// How many bytes may pass from `from` to `to`, a burst at its beginning not counted; nothing when some of that time
    /// has no ceiling.
    pub fn bytes_between(&self, from: UtcSecond, to: UtcSecond) -> Option<u64> {
        let (mut bytes, mut now) = (0u64, from);
        while now < to {
            let next = self.same_until(now).map_or(to, |next| next.min(to));
            let seconds = (next - now).unsigned_abs();
            bytes = bytes.saturating_add(self.at(now)?.bytes_per_second().saturating_mul(seconds));
            now = next;
        }
        Some(bytes)
    }

    /// A moment after `now` before which the ceiling is the same as at `now`; nothing when it always is.
    fn same_until(&self, now: UtcSecond) -> Option<UtcSecond> {
        match self {
            Self::None | Self::Always(_) => None,
            Self::ByHour { zone, hours } => hours.iter().map(|(span, _)| span.same_until(now, *zone)).min(),
        }
    }
}

/// What somebody who has bytes is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// So many of them may pass now; at least one.
    Pass(u64),
    /// None may, before so long has gone by under the same ceiling.
    Wait(Duration),
}

/// Lets bytes pass no faster than the ceiling. It fills with time, up to the ceiling's burst; what it does not hold then
/// is not saved up.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// In thousandths of a byte: what a ceiling of one byte per second gives in a millisecond.
    level: u64,
    /// When it was last filled, and under which ceiling; nothing while there is none, and at first: then it is full.
    filled: Option<(Instant, Ceiling)>,
}

impl Bucket {
    /// Asks to let `wanted` bytes pass, at least one, under the ceiling of `now`.
    pub fn take(&mut self, wanted: u64, ceiling: Option<Ceiling>, now: Instant) -> Turn {
        let Some(ceiling) = ceiling else {
            self.filled = None;
            return Turn::Pass(wanted);
        };
        self.fill(ceiling, now);
        // OK: a portion is never more than a burst, so the bucket comes to hold it.
        let portion = wanted.min(PORTION);
        let cost = portion.saturating_mul(1000);
        match cost.checked_sub(self.level) {
            None | Some(0) => {
                self.level -= cost;
                Turn::Pass(portion)
            }
            Some(lacking) => Turn::Wait(Duration::from_millis(lacking.div_ceil(ceiling.bytes_per_second()))),
        }
    }

    fn fill(&mut self, ceiling: Ceiling, now: Instant) {
        let full = ceiling.burst().saturating_mul(1000);
        self.level = match self.filled {
            Some((then, before)) => {
                // Between two looks the ceiling may have changed at any moment: the lower one is never too much.
                let rate = before.min(ceiling).bytes_per_second();
                let milliseconds = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
                self.level.saturating_add(milliseconds.saturating_mul(rate)).min(full)
            }
            None => full,
        };
        self.filled = Some((self.filled.map_or(now, |(then, _)| then.max(now)), ceiling));
    }
}

#[cfg(test)]
mod tests;
