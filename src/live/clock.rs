//! The platform's clock, by which live recordings are dated and everything in a live run is decided.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::clock::WallClock;
use crate::instant::Instant;
use crate::platform::client::MeasuredOffset;

/// By how much the clocks may differ before that is said.
const WORTH_A_WARNING: TimeDelta = TimeDelta::minutes(5);

/// This machine's clock, corrected by the platform's as far as it told the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlatformClock {
    clock: WallClock,
    /// By how many milliseconds the platform's is ahead of this machine's, when it is known.
    pub(super) offset: Option<i64>,
}

impl PlatformClock {
    pub(super) fn now(&self) -> Instant {
        Instant::from_millis(self.clock.now().as_millis().saturating_add(self.offset.unwrap_or(0)))
    }
}

/// The clock that all cameras of a run share, as the platform's last answer showed it.
pub(super) struct SharedClock {
    known: Mutex<Known>,
}

struct Known {
    clock: PlatformClock,
    /// By how many seconds the platform's clock was ahead when it first said its time.
    first_offset: Option<i64>,
    /// Which measurement the clock was set by.
    measurement: u64,
    /// Whether it was said that the clocks differ.
    warned: bool,
}

impl SharedClock {
    /// This machine's clock, until the platform has told the time.
    pub(super) fn new(clock: WallClock) -> Self {
        let clock = PlatformClock { clock, offset: None };
        Self { known: Mutex::new(Known { clock, first_offset: None, measurement: 0, warned: false }) }
    }

    /// As it is now: a copy goes on by itself.
    pub(super) fn get(&self) -> PlatformClock {
        self.known().clock
    }

    /// By how many seconds the platform's clock was ahead of this machine's when it first said its time; 0 before.
    pub(super) fn first_offset(&self) -> i64 {
        self.known().first_offset.unwrap_or(0)
    }

    /// Sets it by a measurement, unless that is an old one. `read_again` is this machine's clock, read again: it may have been set
    /// since the last time, and then so has the offset. Says once by how much the clocks differ, when that is worth a warning.
    pub(super) fn set(&self, measured: MeasuredOffset, read_again: WallClock) -> Option<TimeDelta> {
        let MeasuredOffset { ahead, number } = measured;
        let mut known = self.known();
        if known.measurement == number {
            return None;
        }
        known.measurement = number;
        known.clock = PlatformClock { clock: read_again, offset: Some(ahead.num_milliseconds()) };
        known.first_offset.get_or_insert(ahead.num_seconds());
        let is_worth_it = ahead.abs() > WORTH_A_WARNING && !std::mem::replace(&mut known.warned, true);
        is_worth_it.then_some(ahead)
    }

    /// OK to go on after a panic elsewhere: nothing in here panics half way.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(seconds: i64, number: u64) -> MeasuredOffset {
        MeasuredOffset { ahead: TimeDelta::seconds(seconds), number }
    }

    /// A clock that stands still there, for all that a test takes.
    fn standing(milliseconds: i64) -> WallClock {
        WallClock::simulated(Instant::from_millis(milliseconds), 1e-9)
    }

    #[test]
    fn each_measurement_sets_it_once_and_together_with_this_machines_clock() {
        let shared = SharedClock::new(standing(1_000));
        assert_eq!((shared.get().now().as_millis(), shared.get().offset, shared.first_offset()), (1_000, None, 0));
        assert_eq!(shared.set(measured(20, 1), standing(2_000)), None);
        assert_eq!((shared.get().now().as_millis(), shared.get().offset), (22_000, Some(20_000)));
        // The machine's clock was set, and nothing has been measured since.
        assert_eq!(shared.set(measured(20, 1), standing(9_000_000)), None);
        assert_eq!(shared.get().now().as_millis(), 22_000);
        assert_eq!(shared.set(measured(-8_978, 2), standing(9_000_000)), Some(TimeDelta::seconds(-8_978)));
        assert_eq!((shared.get().now().as_millis(), shared.first_offset()), (22_000, 20));
        assert_eq!(shared.set(measured(-9_000, 3), standing(9_000_000)), None, "it was said");
    }
}
