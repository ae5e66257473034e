//! The ceiling on calls per second. The gateway's own limit is **[unknown]**.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets calls through one by one, no faster than the ceiling.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// A ceiling of that many calls per second; no ceiling when it is not a positive number.
    pub(super) fn new(calls_per_second: f64) -> Self {
        let seconds = if calls_per_second > 0.0 { 1.0 / calls_per_second } else { 0.0 };
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        Self { interval, next: Mutex::new(None) }
    }

    /// Waits until it is this call's turn.
    pub(super) async fn turn(&self) {
        let slot = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let slot = next.map_or(now, |next| next.max(now));
            *next = Some(slot + self.interval);
            slot
        };
        tokio::time::sleep_until(slot).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_calls_at_five_a_second_take_nine_intervals() {
        let (pace, begun) = (Pace::new(5.0), Instant::now());
        for _ in 0..10 {
            pace.turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(1_800));
        // An idle time is not saved up for a burst.
        tokio::time::advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(400));
    }
}
