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
    /// From one call to the next, when nobody else calls.
    alone: Duration,
    /// The same, with as many hosts as call by now.
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
        Self { turns: Mutex::new(Turns { alone: interval, interval, next: None }) }
    }

    /// Keeps to a part of the ceiling, because so many hosts call for the account: each to the same.
    pub(super) async fn share(&self, hosts: u32) {
        let mut turns = self.turns.lock().await;
        turns.interval = turns.alone.saturating_mul(hosts.max(1));
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
        let interval = Duration::from_millis(200);
        let mut turns = Turns { alone: interval, interval, next: None };
        let first: Vec<_> = (0..4).map(|_| turns.take(now) - now).collect();
        assert_eq!(first, [0, 200, 400, 600].map(Duration::from_millis));
        let later = now + Duration::from_secs(60);
        let then: Vec<_> = (0..3).map(|_| turns.take(later) - later).collect();
        assert_eq!(then, [0, 200, 400].map(Duration::from_millis));
    }

    #[tokio::test]
    async fn hosts_that_share_an_account_share_its_ceiling() {
        let pace = Pace::new(10.0);
        for (hosts, millis) in [(4, 400), (1, 100), (0, 100)] {
            pace.share(hosts).await;
            assert_eq!(pace.turns.lock().await.interval, Duration::from_millis(millis));
        }
    }

    #[test]
    fn a_ceiling_that_is_no_number_is_none() {
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let turns = Pace::new(odd).turns.into_inner();
            assert_eq!(turns.interval, Duration::ZERO, "{odd}");
        }
    }
}
