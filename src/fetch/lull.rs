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
    /// A stream that begins at `now`. All with the same `together` are looked at together.
    pub(super) fn new(together: Instant, now: Instant) -> Self {
        Self { together, since: now, came: 0 }
    }

    /// When to look again, after `bytes` came by `now`; nothing when the stream is fast, and is not to be left alone.
    pub(super) fn after(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        self.came += bytes;
        let so_far = now - self.since;
        let is_fast = self.came as u128 * LULL.as_micros() >= u128::from(FAST) * so_far.as_micros();
        // What a fast stream brought long ago does not make it fast for ever.
        if is_fast && so_far < LULL {
            return None;
        }
        (self.since, self.came) = (now, 0);
        (!is_fast).then(|| self.next_look(now))
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

    const fn millis(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// How often a stream is left alone of which so many bytes come at a time, with so long between two of them.
    fn lulls(lumps: usize, bytes: usize, between: Duration) -> usize {
        let mut now = Instant::now();
        let mut lull = Lull::new(now, now);
        let mut lulls = 0;
        for _ in 0..lumps {
            now += between;
            if let Some(look) = lull.after(bytes, now) {
                assert!(look > now && look <= now + LULL);
                now = look;
                lulls += 1;
            }
        }
        lulls
    }

    #[test]
    fn a_camera_is_left_alone_and_a_fast_stream_is_not() {
        assert_eq!(lulls(1000, 1448, millis(5)), 1000);
        assert!(lulls(1000, 5_000, millis(5)) > 900);
        assert_eq!(lulls(1000, 16_000, millis(5)), 0);
        assert_eq!(lulls(1000, 64_000, millis(40)), 0);
    }

    /// What gathers meanwhile tells that it was the lull that made it slow.
    #[test]
    fn a_full_window_after_a_lull_makes_a_stream_fast() {
        let begun = Instant::now();
        let mut lull = Lull::new(begun, begun);
        let look = lull.after(1448, begun + millis(100)).expect("it is slow");
        assert_eq!(lull.after(64 << 10, look), None);
    }

    #[test]
    fn slow_streams_are_looked_at_together() {
        let together = Instant::now();
        let look = |begins: u64| {
            let begun = together + millis(begins);
            Lull::new(together, begun).after(100, begun + millis(5))
        };
        assert_eq!((look(3), look(11)), (look(29), look(29)));
        assert_eq!(look(3), Some(together + LULL));
    }
}
