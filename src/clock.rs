//! The only place where a run reads a clock.

use std::time::Duration;

use chrono::Utc;

use crate::instant::Instant;

/// The wall clock, read once, carried on by the monotonic clock: it never jumps, whatever the machine's clock is set to.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    wall: Instant,
    monotonic: tokio::time::Instant,
    /// How many times too fast it runs.
    speed: f64,
}

impl WallClock {
    /// The machine's clock.
    pub fn start() -> Self {
        Self {
            wall: Instant::from_millis(Utc::now().timestamp_millis()),
            monotonic: tokio::time::Instant::now(),
            speed: 1.0,
        }
    }

    /// A clock that shows `from` now and runs `speed` times as fast as others: for a simulated platform whose cameras do the
    /// same.
    pub fn simulated(from: Instant, speed: f64) -> Self {
        Self { wall: from, monotonic: tokio::time::Instant::now(), speed }
    }

    /// The same clock, set again if it is the machine's: what goes on for weeks is to follow what an administrator or NTP did
    /// to it.
    pub fn set_again(self) -> Self {
        if self.speed == 1.0 { Self::start() } else { self }
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        self.wall + self.monotonic.elapsed().mul_f64(self.speed)
    }

    /// For so long on this clock.
    pub async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.speed)).await;
    }

    /// Until that moment; for ever when there is none.
    pub async fn sleep_until(&self, at: Option<Instant>) {
        match at {
            // One millisecond more than the difference: elapsed time is rounded down, and waking early would only spin.
            Some(at) => {
                let wait = (at.since(self.wall) + Duration::from_millis(1)).div_f64(self.speed);
                tokio::time::sleep_until(self.monotonic + wait).await;
            }
            None => std::future::pending().await,
        }
    }
}
