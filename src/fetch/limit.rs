//! How long a stream may take.

use std::time::Duration;

use tokio::time::Instant;

use crate::platform::media::MediaError;
use crate::time_range::TimeRange;

/// A stream that takes longer than so many times its window, and some time to begin, is given up: half of playback speed
/// is slow, a quarter is nobody's uplink.
const SLOWEST_PACE: u32 = 4;
const LONGEST_BEGIN: Duration = Duration::from_secs(120);

/// The time that a stream has left. Only time in which the media server is waited for counts: with a low ceiling on
/// bandwidth and many streams, each of them may rightly take hours.
#[derive(Debug)]
pub(super) struct Limit {
    whole: Duration,
    left: Duration,
}

impl Limit {
    pub(super) fn new(window: TimeRange) -> Self {
        let whole = Duration::from_secs(window.seconds().unsigned_abs()) * SLOWEST_PACE + LONGEST_BEGIN;
        Self { whole, left: whole }
    }

    /// Waits for something of the media server's for as long as there is time left.
    pub(super) async fn wait<T>(&mut self, waiting: impl Future<Output = T>) -> Result<T, MediaError> {
        let begun = Instant::now();
        let came = tokio::time::timeout(self.left, waiting).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        came.map_err(|_| MediaError::Endless(self.whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_range::UtcSecond;

    fn minute() -> TimeRange {
        TimeRange::new(UtcSecond::new(0), UtcSecond::new(60)).expect("a minute")
    }

    #[tokio::test(start_paused = true)]
    async fn only_waiting_for_the_media_server_counts() {
        let mut limit = Limit::new(minute());
        for _ in 0..5 {
            assert!(limit.wait(tokio::time::sleep(Duration::from_secs(71))).await.is_ok());
            tokio::time::sleep(Duration::from_secs(100_000)).await;
        }
        let begun = Instant::now();
        let endless = limit.wait(tokio::time::sleep(Duration::from_secs(71))).await;
        assert!(matches!(endless, Err(MediaError::Endless(whole)) if whole == Duration::from_secs(4 * 60 + 120)));
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}
