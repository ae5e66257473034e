//! How far the live recording of one camera has come: what has been claimed, what the ledger has been told, and what was asked
//! for of the near future. All times are on the platform's clock.

use std::time::Duration;

use crate::instant::Instant;
use crate::live_clock;
use crate::time_range::{GRID_SECONDS, TimeRange, UtcSecond};

/// What a measurement of the platform's clock may be wrong by, in seconds.
const CLOCKS_DIFFER: i64 = 5;

/// How far one camera's recording has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// No piece that is still to come is claimed for anything before this.
    pub covered: UtcSecond,
    /// Of everything before this the ledger knows what became of it.
    pub told: UtcSecond,
    /// Where what was asked for of the near future ends.
    pub ahead: UtcSecond,
    /// Where all ends, when that is known.
    pub until: Option<UtcSecond>,
}

/// A piece that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// When its first picture was filmed.
    pub begins: Instant,
    /// The second with which it begins, when that is where the piece before ended.
    pub joined: Option<UtcSecond>,
    /// When it ends: where the next one begins, or with its last picture.
    pub ends: Instant,
    /// How much footage it has.
    pub footage: Duration,
}

impl Timeline {
    /// One that begins there.
    pub fn new(start: UtcSecond, until: Option<UtcSecond>) -> Self {
        let timeline = Self { covered: start, told: start, ahead: start, until };
        Self { ahead: timeline.next_ahead(start), ..timeline }
    }

    /// Asks for more of the near future: up to the grid's next mark, or the end.
    pub fn look_ahead(&mut self, now: UtcSecond) {
        self.ahead = self.ahead.max(self.next_ahead(now));
    }

    fn next_ahead(&self, now: UtcSecond) -> UtcSecond {
        let mark = next_mark(now.max(self.covered));
        self.until.map_or(mark, |until| mark.min(until))
    }

    /// Whether the near future that was asked for is over, and more is to come.
    pub fn is_short(&self, now: UtcSecond) -> bool {
        now >= self.ahead && self.until.is_none_or(|until| self.ahead < until)
    }

    /// Keeps to a clock that turned out to be behind: nothing that is still to come is covered.
    pub fn heed(&mut self, now: UtcSecond) {
        if self.covered > now + CLOCKS_DIFFER {
            (self.covered, self.told) = (now, self.told.min(now));
        }
    }

    /// Claims the whole seconds that a piece certainly holds: no more than its footage, give or take `tolerance_seconds`, nothing
    /// that is covered, and nothing beyond the end. Nothing when that is not a second.
    pub fn claim(&mut self, came: &Came, tolerance_seconds: i64) -> Option<TimeRange> {
        let start = came.joined.unwrap_or_else(|| live_clock::ceil(came.begins)).max(self.covered);
        let held = live_clock::ceil(came.begins + came.footage) + tolerance_seconds;
        let end = came.ends.to_utc_second().min(held);
        let end = self.until.map_or(end, |until| end.min(until));
        let claimed = TimeRange::new(start, end)?;
        self.covered = claimed.end();
        Some(claimed)
    }
}

/// The last mark of the grid at or before `second`.
pub fn last_mark(second: UtcSecond) -> UtcSecond {
    UtcSecond::new(second.get().div_euclid(GRID_SECONDS) * GRID_SECONDS)
}

/// The first mark of the grid behind `second`.
pub fn next_mark(second: UtcSecond) -> UtcSecond {
    last_mark(second) + GRID_SECONDS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mark of the grid, and so many seconds.
    fn at(seconds: i64) -> UtcSecond {
        UtcSecond::new(1_795_136_400 + seconds)
    }

    fn moment(milliseconds: i64) -> Instant {
        Instant::from_millis(Instant::from(at(0)).as_millis() + milliseconds)
    }

    fn range(start: i64, end: i64) -> Option<TimeRange> {
        TimeRange::new(at(start), at(end))
    }

    fn came(begins: i64, ends: i64) -> Came {
        let footage = Duration::from_millis((ends - begins).unsigned_abs());
        Came { begins: moment(begins), joined: None, ends: moment(ends), footage }
    }

    #[test]
    fn a_piece_is_claimed_for_the_whole_seconds_that_it_holds() {
        let mut timeline = Timeline::new(at(0), None);
        assert_eq!(timeline.claim(&came(200, 61_900), 5), range(1, 61));
        let joined = Came { joined: Some(at(61)), ..came(61_900, 600_400) };
        assert_eq!(timeline.claim(&joined, 5), range(61, 600));
        assert_eq!(timeline.claim(&came(598_000, 600_900), 5), None, "it is covered");
        assert_eq!(timeline.claim(&came(598_000, 603_000), 5), range(600, 603), "what is not is claimed");
    }

    #[test]
    fn no_more_is_claimed_than_there_is_footage_or_than_was_asked_for() {
        let mut timeline = Timeline::new(at(0), Some(at(500)));
        let thin = Came { footage: Duration::from_secs(40), ..came(0, 100_000) };
        assert_eq!(timeline.claim(&thin, 5), range(0, 45));
        assert_eq!(timeline.claim(&came(100_000, 700_000), 5), range(100, 500));
        assert_eq!(timeline.claim(&came(700_000, 800_000), 5), None);
    }

    #[test]
    fn the_near_future_reaches_to_the_next_mark_or_to_the_end() {
        let mut endless = Timeline::new(at(10), None);
        assert_eq!((endless.ahead, endless.is_short(at(599)), endless.is_short(at(600))), (at(600), false, true));
        endless.look_ahead(at(600));
        assert_eq!(endless.ahead, at(1200));
        endless.look_ahead(at(20));
        assert_eq!(endless.ahead, at(1200), "it is not taken back");
        let mut bounded = Timeline::new(at(10), Some(at(300)));
        assert_eq!((bounded.ahead, bounded.is_short(at(900))), (at(300), false));
        bounded.look_ahead(at(900));
        assert_eq!(bounded.ahead, at(300));
    }

    #[test]
    fn a_clock_that_was_hours_ahead_leaves_nothing_covered_that_is_still_to_come() {
        let mut timeline = Timeline::new(at(3600), None);
        timeline.heed(at(3597));
        assert_eq!(timeline.covered, at(3600), "a measurement is not that exact");
        timeline.heed(at(100));
        assert_eq!((timeline.covered, timeline.told), (at(100), at(100)));
        assert_eq!(timeline.claim(&came(100_000, 110_000), 5), range(100, 110));
    }

    proptest! {
        /// Whatever comes in whatever order, no second is claimed twice, and none before the start or beyond the end.
        #[test]
        fn claims_follow_one_another(pieces in prop::collection::vec((0..900_000i64, 0..700_000i64, 0..700u64), 1..20), until in 1..1000i64) {
            let mut timeline = Timeline::new(at(0), Some(at(until)));
            let mut covered = at(0);
            for (begins, length, footage) in pieces {
                let came = Came { footage: Duration::from_secs(footage), ..came(begins, begins + length) };
                if let Some(claimed) = timeline.claim(&came, 5) {
                    prop_assert!(claimed.start() >= covered && claimed.end() <= at(until));
                    prop_assert!(Instant::from(claimed.start()) >= came.begins && Instant::from(claimed.end()) <= came.ends);
                    covered = claimed.end();
                }
            }
        }
    }
}
