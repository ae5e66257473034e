//! The only place where a run reads a clock.

use chrono::Utc;

use crate::instant::Instant;

/// The wall clock, read once, carried on by the monotonic clock: it never jumps, whatever the machine's clock is set to.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunClock {
    wall: Instant,
    monotonic: tokio::time::Instant,
}

impl RunClock {
    pub(super) fn start() -> Self {
        Self { wall: Instant::from_millis(Utc::now().timestamp_millis()), monotonic: tokio::time::Instant::now() }
    }

    pub(super) fn now(&self) -> Instant {
        self.wall + self.monotonic.elapsed()
    }

    /// Until that moment; for ever when there is none.
    pub(super) async fn sleep_until(&self, at: Option<Instant>) {
        match at {
            // One millisecond more than the difference: elapsed time is rounded down, and waking early would only spin.
            Some(at) => {
                let wait = at.since(self.wall) + std::time::Duration::from_millis(1);
                tokio::time::sleep_until(self.monotonic + wait).await;
            }
            None => std::future::pending().await,
        }
    }
}
