//! Lets the bytes of slow streams gather in the kernel, instead of waking up for each of their drops.
//!
//! A camera's stream comes in drops of a few kilobytes, hundreds a second. Each of them would cost two tasks' waking and a
//! read, which is more than what is then done with its bytes. Slow streams are looked at together, so that a machine with many
//! of them wakes up once for all.
//!
//! Only for streams that then give all that has gathered: where a wait brings a chunk, however many have come, it would
//! hold the stream up.

use std::time::Duration;

use tokio::time::Instant;

/// How often slow streams are looked at.
const LULL: Duration = Duration::from_millis(40);

/// A stream that brings this much in a [`LULL`] is not slow: 1.5 MB/s. Even the window that Linux gives a new connection, 64
/// KiB, holds more, so that a stream which only a lull makes slow is seen to be fast after it.
const FAST: u32 = 60_000;

/// How much a stream has brought since it was last left alone.
#[derive(Debug)]
pub(super) struct Lull {
    /// Slow streams are looked at so many lulls after this.
    together: Instant,
    since: Instant,
    came: usize,
}

impl Lull {
    /// All with the same `together` are looked at together.
    pub(super) fn new(together: Instant) -> Self {
        Self { together, since: Instant::now(), came: 0 }
    }

    /// Waits for more to gather after `bytes` came, if the stream is slow.
    pub(super) async fn after(&mut self, bytes: usize) {
        self.came += bytes;
        let now = Instant::now();
        let so_far = now - self.since;
        let is_fast = self.came as u128 * LULL.as_micros() >= u128::from(FAST) * so_far.as_micros();
        // What a fast stream brought long ago does not make it fast for ever.
        if is_fast && so_far < LULL {
            return;
        }
        (self.since, self.came) = (now, 0);
        if !is_fast {
            tokio::time::sleep_until(self.next_look(now)).await;
        }
    }

    fn next_look(&self, now: Instant) -> Instant {
        // OK to cut: less than a lull.
        let into = (now - self.together).as_micros() % LULL.as_micros();
        now + LULL - Duration::from_micros(into as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a stream is left alone of which so many bytes come at a time, with so long between two of them.
    async fn lulls(lumps: usize, bytes: usize, between: Duration) -> usize {
        let mut lull = Lull::new(Instant::now());
        let mut lulls = 0;
        for _ in 0..lumps {
            tokio::time::advance(between).await;
            let begun = Instant::now();
            lull.after(bytes).await;
            assert!(begun.elapsed() <= LULL + Duration::from_millis(1));
            lulls += usize::from(begun.elapsed() > Duration::ZERO);
        }
        lulls
    }

    #[tokio::test(start_paused = true)]
    async fn a_camera_is_left_alone_and_a_fast_stream_is_not() {
        assert_eq!(lulls(1000, 1448, Duration::from_millis(5)).await, 1000);
        assert!(lulls(1000, 5_000, Duration::from_millis(5)).await > 900);
        assert_eq!(lulls(1000, 16_000, Duration::from_millis(5)).await, 0);
        assert_eq!(lulls(1000, 64_000, Duration::from_millis(40)).await, 0);
    }

    /// What gathers meanwhile tells that it was the lull that made it slow.
    #[tokio::test(start_paused = true)]
    async fn a_full_window_after_a_lull_makes_a_stream_fast() {
        let mut lull = Lull::new(Instant::now());
        tokio::time::advance(Duration::from_millis(100)).await;
        lull.after(1448).await;
        let begun = Instant::now();
        lull.after(64 << 10).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_streams_are_looked_at_together() {
        let together = Instant::now();
        let slow = |begins: u64| async move {
            tokio::time::sleep(Duration::from_millis(begins)).await;
            let mut lull = Lull::new(together);
            tokio::time::sleep(Duration::from_millis(5)).await;
            lull.after(100).await;
            together.elapsed().as_millis()
        };
        let (first, second, third) = tokio::join!(slow(3), slow(11), slow(29));
        assert_eq!((first, second), (third, third));
    }
}
