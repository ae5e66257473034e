//! The ceiling on calls per second. The gateway's own limit is **\[unknown\]**.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets calls through one by one, no faster than the ceiling.
#[derive(Debug)]
pub(super) struct Pace {
    turns: Mutex<Turns>,
}

#[derive(Clone, Copy, Debug)]
struct Turns {
    interval: Duration,
    /// When the next call may be made.
    next: Option<Instant>,
}

impl Turns {
    /// When a call that comes `now` may be made. An idle time is not saved up for a burst.
    fn take(&mut self, now: Instant) -> Instant {
        let turn = self.next.map_or(now, |next| next.max(now));
        self.next = Some(turn + self.interval);
        turn
    }
}

impl Pace {
    /// A ceiling of that many calls per second; no ceiling when it is not a positive number.
    pub(super) fn new(calls_per_second: f64) -> Self {
        let seconds = if calls_per_second > 0.0 { 1.0 / calls_per_second } else { 0.0 };
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        Self { turns: Mutex::new(Turns { interval, next: None }) }
    }

    /// Waits until it is this call's turn.
    pub(super) async fn turn(&self) {
        let turn = self.turns.lock().await.take(Instant::now());
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_an_interval_apart_and_an_idle_time_is_not_saved_up() {
        let now = Instant::now();
        let mut turns = Turns { interval: Duration::from_millis(200), next: None };
        let first: Vec<_> = (0..4).map(|_| turns.take(now) - now).collect();
        assert_eq!(first, [0, 200, 400, 600].map(Duration::from_millis));
        let later = now + Duration::from_secs(60);
        let then: Vec<_> = (0..3).map(|_| turns.take(later) - later).collect();
        assert_eq!(then, [0, 200, 400].map(Duration::from_millis));
    }

    #[test]
    fn a_ceiling_that_is_no_number_is_none() {
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let turns = Pace::new(odd).turns.into_inner();
            assert_eq!(turns.interval, Duration::ZERO, "{odd}");
        }
    }
}
