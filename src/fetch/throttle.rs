//! The one place where streams wait for bandwidth.
//!
//! Nothing is read from a socket meanwhile, so that the wait reaches the sender as any slow reader's does.

use std::time::Duration;

use chrono::Utc;
use tokio::sync::Mutex;

use crate::bandwidth::{Bucket, Ceilings, Turn};
use crate::instant::Instant;

/// How soon a change of the ceiling reaches whoever waits under the old one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps all streams together to the ceilings.
#[derive(Debug)]
pub(super) struct Throttle {
    ceilings: Ceilings,
    /// The wall clock, read once and carried on by tokio's.
    wall: Instant,
    since: tokio::time::Instant,
    bucket: Mutex<Bucket>,
}

impl Throttle {
    pub(super) fn new(ceilings: Ceilings) -> Self {
        Self::starting(ceilings, Instant::from_millis(Utc::now().timestamp_millis()))
    }

    fn starting(ceilings: Ceilings, wall: Instant) -> Self {
        Self { ceilings, wall, since: tokio::time::Instant::now(), bucket: Mutex::default() }
    }

    /// When it was made.
    pub(super) fn begun(&self) -> tokio::time::Instant {
        self.since
    }

    /// Whether there is any ceiling.
    pub(super) fn is_set(&self) -> bool {
        self.ceilings != Ceilings::None
    }

    /// Waits until some of `wanted` bytes, at least one, may pass; says how many.
    ///
    /// Streams come in turn: whoever waits holds the bucket, and tokio hands it on in the order in which it was asked
    /// for. A stream that is dropped while it waits lets go of it, and has taken nothing.
    pub(super) async fn turn(&self, wanted: usize) -> usize {
        if !self.is_set() {
            return wanted;
        }
        let mut bucket = self.bucket.lock().await;
        loop {
            let now = self.wall + self.since.elapsed();
            match bucket.take(wanted as u64, self.ceilings.at(now.to_utc_second()), now) {
                // OK to cut to an address: it is no more than was wanted.
                Turn::Pass(bytes) => return bytes as usize,
                Turn::Wait(wait) => tokio::time::sleep(wait.min(LOOK_AGAIN)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant as Clock;

    use super::*;
    use crate::bandwidth::Ceiling;
    use crate::time_range::UtcSecond;

    const RATE: u64 = 1_000_000;

    fn ceiling(bytes_per_second: u64) -> Ceiling {
        Ceiling::new(bytes_per_second).expect("not 0")
    }

    /// Takes what may pass at once.
    async fn take_burst(throttle: &Throttle) -> usize {
        let mut bytes = 0;
        while let Ok(passed) = tokio::time::timeout(Duration::from_millis(1), throttle.turn(1 << 20)).await {
            bytes += passed;
        }
        bytes
    }

    /// Streams that always have more, for so long after a burst: what each of them got on with.
    async fn streams(throttle: &Arc<Throttle>, lumps: &[usize], time: Duration) -> Vec<u64> {
        take_burst(throttle).await;
        let end = Clock::now() + time;
        let stream = |&lump: &usize| {
            let throttle = Arc::clone(throttle);
            tokio::spawn(async move {
                let mut bytes = 0;
                while let Ok(passed) = tokio::time::timeout_at(end, throttle.turn(lump)).await {
                    bytes += passed as u64;
                }
                bytes
            })
        };
        let streams: Vec<_> = lumps.iter().map(stream).collect();
        let mut each = Vec::new();
        for stream in streams {
            each.push(stream.await.expect("it does not panic"));
        }
        each
    }

    #[tokio::test(start_paused = true)]
    async fn streams_share_the_ceiling_evenly_and_all_of_it() {
        let throttle = Arc::new(Throttle::new(Ceilings::Always(ceiling(RATE))));
        let each = streams(&throttle, &[100_000; 16], Duration::from_secs(60)).await;
        let sum: u64 = each.iter().sum();
        assert!((60 * RATE - 16_384..=60 * RATE + 16_384).contains(&sum), "{sum}");
        let (least, most) = (each.iter().min().expect("16"), each.iter().max().expect("16"));
        assert!(most - least <= 2 * 16_384, "{each:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_small_lumps_is_not_starved() {
        let throttle = Arc::new(Throttle::new(Ceilings::Always(ceiling(RATE))));
        let each = streams(&throttle, &[1_000_000, 1_000_000, 8_000], Duration::from_secs(30)).await;
        let turns = [each[0] / 16_384, each[1] / 16_384, each[2] / 8_000];
        assert!(turns.iter().max().expect("3") - turns.iter().min().expect("3") <= 2, "{turns:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ceiling_nobody_waits() {
        let throttle = Throttle::new(Ceilings::None);
        let begun = Clock::now();
        assert_eq!(throttle.turn(usize::MAX).await, usize::MAX);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_hour_reaches_streams_within_a_second() {
        // 09:59:30 in Shanghai.
        let wall = Instant::from(UtcSecond::new(1_795_139_970));
        let hours = |text: &str, rate| (text.parse().expect("a test's hours"), ceiling(rate));
        let zone = chrono_tz::Tz::Asia__Shanghai;
        let hours = vec![hours("09:00-10:00", 1000), hours("10:00-11:00", RATE)];
        let throttle = Throttle::starting(Ceilings::ByHour { zone, hours }, wall);
        let begun = Clock::now();
        let mut bytes = 0;
        while begun.elapsed() < Duration::from_secs(20) {
            bytes += throttle.turn(1 << 20).await;
        }
        assert!((260_000..310_000).contains(&bytes), "{bytes}");
        while begun.elapsed() < Duration::from_secs(40) {
            bytes += throttle.turn(1 << 20).await;
        }
        // Ten seconds under the higher ceiling, less the second in which it is noticed.
        assert!((9_000_000..11_300_000).contains(&bytes), "{bytes}");
    }

    /// A stream that is stopped while it waits gives its turn to the next one.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_goes_away_takes_nothing_with_it() {
        let throttle = Arc::new(Throttle::new(Ceilings::Always(ceiling(1000))));
        assert_eq!(take_burst(&throttle).await, 256 << 10);
        let waiting = tokio::spawn({
            let throttle = Arc::clone(&throttle);
            async move { throttle.turn(1_000_000).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.abort();
        let begun = Clock::now();
        assert_eq!(throttle.turn(1000).await, 1000);
        assert_eq!(begun.elapsed(), Duration::ZERO, "the second that went by is still there");
    }
}
