//! How long to wait before the next attempt.
//!
//! The only module that knows the `backoff` crate, which its authors no longer keep (RUSTSEC-2025-0012, named in
//! `deny.toml`). The crate computes the exponential series; its time limit and its own randomness are switched off,
//! because decisions take both as arguments.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// How far a delay is spread to either side, so that many cameras refused at once do not come back at once.
const SPREAD: f64 = 0.25;

/// Delays that double from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Before the second attempt.
    pub first: Duration,
    /// Never longer than this, spread aside.
    pub longest: Duration,
}

impl Delays {
    /// The delay after the `failures`-th failure in a row (from 1), spread by `random`, a number in `[0, 1)`, to between
    /// three quarters and five quarters of the plain delay. In whole milliseconds.
    pub fn after(&self, failures: u32, random: f64) -> Duration {
        let spread = 1.0 - SPREAD + 2.0 * SPREAD * random.clamp(0.0, 1.0);
        whole_millis(self.plain(failures).mul_f64(spread))
    }

    fn plain(&self, failures: u32) -> Duration {
        let mut series: ExponentialBackoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first.min(self.longest))
            .with_max_interval(self.longest)
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        // OK to stop at 40 doublings: a first delay of a millisecond has then become 34 years.
        let delays = std::iter::from_fn(|| series.next_backoff()).take(failures.clamp(1, 40) as usize);
        // The crate draws from an interval of one nanosecond even with a factor of zero; milliseconds hide it.
        whole_millis(delays.last().unwrap_or(self.longest))
    }
}

fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays { first: Duration::from_secs(10), longest: Duration::from_secs(600) };

    #[test]
    fn delays_double_up_to_the_longest() {
        let plain: Vec<u64> = (0..9).map(|failures| DELAYS.after(failures, 0.5).as_secs()).collect();
        assert_eq!(plain, [10, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(DELAYS.after(u32::MAX, 0.5).as_secs(), 600);
    }

    #[test]
    fn randomness_spreads_a_delay_by_a_quarter_and_the_same_number_gives_the_same_delay() {
        assert_eq!(DELAYS.after(1, 0.0), Duration::from_millis(7_500));
        assert_eq!(DELAYS.after(1, 1.0), Duration::from_millis(12_500));
        for random in [0.1, 0.3, 0.9] {
            assert_eq!(DELAYS.after(3, random), DELAYS.after(3, random));
        }
    }

    #[test]
    fn a_first_delay_beyond_the_longest_is_the_longest() {
        let odd = Delays { first: Duration::from_secs(50), longest: Duration::from_secs(5) };
        assert_eq!(odd.after(1, 0.5), Duration::from_secs(5));
    }
}
