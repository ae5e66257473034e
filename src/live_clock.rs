//! Where a live stream's footage lies on the wall clock.
//!
//! A stream says how far apart its pictures are, and nothing about when they were filmed: cameras send their uptime, or
//! zero. What is known is when pictures arrive. Nothing arrives before it is filmed, so of all pictures the one that was
//! least on its way tells the time of all; a server that opens with what it kept of the last seconds tells it at once.
//!
//! What comes in steps, as segments do, is late by a step now and then, and that means nothing.
//!
//! A stream that falls behind for good, without a leap in its own clock, has lost footage that nothing else tells of.

use crate::instant::Instant;
use crate::time_range::UtcSecond;

/// How much later than it could a picture may arrive, in milliseconds. It is on its way for as long as networks and servers
/// hold it; for longer than this after [`PATIENCE`], something was left out.
const LATE: i64 = 5_000;

/// For how long a stream may be late before it counts as lost, in milliseconds: a hiccup is made up for within seconds.
const PATIENCE: i64 = 10_000;

/// How many of its steps a stream may be late, and for how many it may be so, beyond what any stream may: who asks for what is
/// new once a step misses one now and then.
const STEPS: i64 = 3;

/// The clock of one stream, up to its next leap. Media times are in milliseconds of the stream's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveClock {
    /// What is to be added to a media time, in milliseconds.
    zero: i64,
    /// The same as only the pictures since the last [`LiveClock::follow`] tell it.
    lately: Option<i64>,
    /// The latest media that arrived in time.
    in_time: i64,
    /// Since when all that arrives is late.
    late_since: Option<Instant>,
    /// What is allowed beyond [`LATE`] and [`PATIENCE`], in milliseconds.
    allowed: i64,
}

impl LiveClock {
    /// The clock of a stream of which `media` is there at `arrival`, and which comes in steps of so many milliseconds; 0 for
    /// one that comes picture by picture.
    pub fn start(arrival: Instant, media: i64, step: i64) -> Self {
        let zero = arrival.as_millis().saturating_sub(media);
        Self { zero, lately: Some(zero), in_time: media, late_since: None, allowed: step.saturating_mul(STEPS) }
    }

    /// Whether what came last came too late to tell whether nothing was left out. Then is no time for a cut.
    pub fn is_late(&self) -> bool {
        self.late_since.is_some()
    }

    /// The stream is there up to `media` at `arrival`.
    pub fn heard(&mut self, arrival: Instant, media: i64) {
        let told = arrival.as_millis().saturating_sub(media);
        self.zero = self.zero.min(told);
        self.lately = Some(self.lately.map_or(told, |lately| lately.min(told)));
        if told.saturating_sub(self.zero) <= LATE + self.allowed {
            (self.in_time, self.late_since) = (self.in_time.max(media), None);
        } else {
            self.late_since.get_or_insert(arrival);
        }
    }

    /// Keeps to what was heard since the last time: clocks of cameras run a little too fast or too slow. To be called every
    /// few minutes.
    pub fn follow(&mut self) {
        self.zero = self.lately.take().unwrap_or(self.zero);
    }

    /// When `media` was filmed.
    pub fn time_of(&self, media: i64) -> Instant {
        Instant::from_millis(self.zero.saturating_add(media))
    }

    /// The media that was filmed at that moment.
    pub fn media_at(&self, time: UtcSecond) -> i64 {
        Instant::from(time).as_millis().saturating_sub(self.zero)
    }

    /// When the stream has been late for so long that something must be lost: the last media of which the time is known.
    pub fn lost_after(&self, now: Instant) -> Option<i64> {
        let since = self.late_since?;
        (now.as_millis().saturating_sub(since.as_millis()) >= PATIENCE + self.allowed).then_some(self.in_time)
    }
}

/// The first whole second at or after a moment.
pub fn ceil(time: Instant) -> UtcSecond {
    let second = time.to_utc_second();
    if Instant::from(second) == time { second } else { second + 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Instant {
        Instant::from_millis(1_795_136_400_000 + milliseconds)
    }

    #[test]
    fn what_the_server_kept_is_older_than_its_arrival() {
        let mut clock = LiveClock::start(at(0), 86_400_000, 0);
        assert_eq!(clock.time_of(86_400_000), at(0));
        clock.heard(at(20), 86_402_000);
        assert_eq!(clock.time_of(86_400_000), at(-1_980));
        clock.heard(at(900), 86_402_200);
        assert_eq!(clock.time_of(86_402_200), at(220), "a later one that was longer on its way tells nothing");
        assert_eq!(clock.media_at(at(1_000).to_utc_second()), 86_402_980);
    }

    #[test]
    fn a_hiccup_is_made_up_for_and_a_loss_is_not() {
        let mut clock = LiveClock::start(at(0), 0, 0);
        clock.heard(at(10_000), 10_000);
        clock.heard(at(18_000), 10_200);
        assert_eq!(clock.lost_after(at(27_000)), None);
        clock.heard(at(27_000), 26_900);
        assert_eq!(clock.lost_after(at(90_000)), None, "made up for");
        for second in 35..45 {
            clock.heard(at(second * 1000), second * 1000 - 8_000);
            assert_eq!(clock.lost_after(at(second * 1000)), None, "{second}");
        }
        clock.heard(at(45_000), 37_000);
        assert_eq!(clock.lost_after(at(45_000)), Some(26_900));
    }

    #[test]
    fn a_camera_whose_clock_is_slow_is_followed() {
        // 100 ms in each minute.
        let mut clock = LiveClock::start(at(0), 0, 0);
        for second in 0..=7_200i64 {
            let media = second * 1000 - second * 100 / 60;
            clock.heard(at(second * 1000), media);
            if second % 600 == 599 {
                clock.follow();
            }
            assert_eq!(clock.lost_after(at(second * 1000)), None, "{second}");
            let off = at(second * 1000).as_millis() - clock.time_of(media).as_millis();
            assert!((0..=2_000).contains(&off), "{second}: {off}");
        }
    }

    /// Segments of ten seconds, asked for every ten seconds at the worst moment, with one that is missed.
    #[test]
    fn what_comes_in_steps_is_late_by_a_step_or_two() {
        let mut clock = LiveClock::start(at(0), 0, 10_000);
        for poll in 0..60i64 {
            let arrival = at(poll * 10_400 + 9_000 * (poll % 3 / 2));
            let there = if poll % 7 == 6 { (poll - 1) * 10_000 } else { poll * 10_000 };
            clock.heard(arrival, there + (poll * 400).div_euclid(10_000) * 10_000);
            assert_eq!(clock.lost_after(arrival), None, "{poll}");
        }
        clock.heard(at(640_000), 500_000);
        assert!(clock.is_late());
        clock.heard(at(690_000), 520_000);
        assert!(clock.lost_after(at(690_000)).is_some());
    }

    #[test]
    fn seconds_are_rounded_up_only_when_they_are_not_whole() {
        assert_eq!(ceil(at(0)), at(0).to_utc_second());
        assert_eq!(ceil(at(1)), at(0).to_utc_second() + 1);
        assert_eq!(ceil(at(-1)), at(0).to_utc_second());
    }

    proptest! {
        /// Whatever the network does, nothing is dated later than it arrived, nor earlier than it was filmed.
        #[test]
        fn footage_is_dated_between_filming_and_arrival(delays in prop::collection::vec(0..4_000i64, 1..200), first in 0..1_000i64) {
            let mut clock = None;
            let mut arrival = 0;
            let least = delays.iter().copied().min().unwrap_or(0);
            for (number, delay) in (0i64..).zip(&delays) {
                // Bytes arrive in order.
                let media = number * 200;
                arrival = arrival.max(media + delay);
                let clock = clock.get_or_insert_with(|| LiveClock::start(at(arrival), first + media, 0));
                clock.heard(at(arrival), first + media);
                prop_assert!(clock.time_of(first + media) <= at(arrival));
                prop_assert_eq!(clock.lost_after(at(arrival)), None);
            }
            let clock = clock.expect("there is one at least");
            prop_assert!(clock.time_of(first) >= at(least));
        }
    }
}
