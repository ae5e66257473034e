//! The only place where a run reads a clock.

use std::time::Duration;

use chrono::Utc;
use rustix::time::{ClockId, clock_gettime};

use crate::instant::Instant;

/// The wall clock, read once, and carried on by the time since the machine was started: it never jumps, whatever the
/// machine's clock is set to, and goes on while the machine sleeps or is held up by its host.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    wall: Instant,
    read: Duration,
    /// How many times too fast it runs.
    speed: f64,
}

impl WallClock {
    /// The machine's clock.
    pub fn start() -> Self {
        Self { wall: Instant::from_millis(Utc::now().timestamp_millis()), read: since_start(), speed: 1.0 }
    }

    /// A clock that shows `from` now and runs `speed` times as fast as others: for a simulated platform whose cameras do the
    /// same.
    pub fn simulated(from: Instant, speed: f64) -> Self {
        Self { wall: from, read: since_start(), speed }
    }

    /// The same clock, set again if it is the machine's: what goes on for weeks is to follow what an administrator or NTP did
    /// to it.
    pub fn set_again(self) -> Self {
        if self.speed == 1.0 { Self::start() } else { self }
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        self.wall + since_start().saturating_sub(self.read).mul_f64(self.speed)
    }

    /// For so long on this clock.
    pub async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.speed)).await;
    }

    /// Until that moment; for ever when there is none.
    pub async fn sleep_until(&self, at: Option<Instant>) {
        match at {
            // One millisecond more than the difference: what the clock shows is rounded down, and waking early would only spin.
            Some(at) => self.sleep(at.since(self.now()) + Duration::from_millis(1)).await,
            None => std::future::pending().await,
        }
    }
}

/// Since the machine was started, sleep included.
fn since_start() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // OK to fall back: it is never negative, and has less than a second of nanoseconds.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
