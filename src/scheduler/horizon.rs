//! How far back an NVR keeps footage, and what is about to be overwritten.
//!
//! The settings may say it. If not, answers show it: where a whole day of time was answered with no footage, and all
//! footage that came is younger, the NVR has probably overwritten that day. Probably: a shop may have been closed, so what
//! is learned says only what hurries, never what is lost.

use std::time::Duration;

use crate::instant::Instant;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};

/// What will be overwritten within this time is in danger: the next night would come too late for it.
const DANGER: Duration = Duration::from_secs(24 * 3600);

/// As long as no shop is closed on an ordinary day, nor a camera that records only what moves.
const SURELY_OVERWRITTEN_SECONDS: i64 = 24 * 3600;

/// How soon something must be fetched. The smaller, the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hurry {
    /// It is overwritten in this hour since 1970: within an hour the camera with more work goes first.
    OverwrittenIn(i64),
    /// The next night comes soon enough, or nobody knows.
    None,
}

impl Hurry {
    /// The hour's begin.
    pub(super) fn overwritten_at(self) -> Option<UtcSecond> {
        match self {
            Self::OverwrittenIn(hour) => Some(UtcSecond::new(hour.saturating_mul(3600))),
            Self::None => None,
        }
    }
}

/// One NVR's horizon.
#[derive(Clone, Debug)]
pub(super) struct Horizon {
    stated: Option<Duration>,
    /// What an earlier night learned.
    remembered: Option<Duration>,
    /// The oldest footage that came: from when it is, and how old it was then.
    oldest_footage: Option<(UtcSecond, Duration)>,
    /// Older time of which it is sure that there is none.
    without: RangeSet,
}

impl Horizon {
    pub(super) fn new(stated: Option<Duration>, remembered: Option<Duration>) -> Self {
        Self { stated, remembered, oldest_footage: None, without: RangeSet::new() }
    }

    /// What is older than this is lost: only what somebody stated is believed so far.
    pub(super) fn loses(&self) -> Option<Duration> {
        self.stated
    }

    /// How long footage is kept, as far as anything tells.
    fn keeps(&self) -> Option<Duration> {
        self.stated.or_else(|| self.learned())
    }

    /// What the next night is told.
    pub(super) fn learned(&self) -> Option<Duration> {
        let seen = self.oldest_footage.filter(|_| self.without.seconds() >= SURELY_OVERWRITTEN_SECONDS);
        // Older footage than was remembered disproves it.
        let disproved = |kept: &Duration| self.oldest_footage.is_none_or(|(_, age)| age <= *kept);
        seen.map(|(_, age)| age).or_else(|| self.remembered.filter(disproved))
    }

    /// Footage of `range` came at `now`.
    pub(super) fn footage(&mut self, range: TimeRange, now: Instant) {
        let start = range.start();
        if self.oldest_footage.is_some_and(|(oldest, _)| oldest <= start) {
            return;
        }
        self.oldest_footage = Some((start, now.since(Instant::from(start))));
        self.without = before(&self.without, start);
    }

    /// It is sure that there is no footage of `range`.
    pub(super) fn none(&mut self, range: TimeRange) {
        self.without.insert(range);
        if let Some((oldest, _)) = self.oldest_footage {
            self.without = before(&self.without, oldest);
        }
    }

    /// How soon footage from `oldest` on must be fetched.
    pub(super) fn hurry(&self, oldest: UtcSecond, now: Instant) -> Hurry {
        match self.keeps().map(|keeps| Instant::from(oldest) + keeps) {
            // What answers say is gone already hurries nobody; only what somebody stated is lost without a call.
            Some(end) if end <= now && self.stated.is_none() => Hurry::None,
            Some(end) if end <= now + DANGER => Hurry::OverwrittenIn(end.to_utc_second().get().div_euclid(3600)),
            _ => Hurry::None,
        }
    }

    /// From when on footage from `oldest` on is in danger.
    pub(super) fn in_danger_from(&self, oldest: UtcSecond) -> Option<Instant> {
        self.keeps().map(|keeps| Instant::from(oldest) + keeps - DANGER)
    }
}

/// What of `set` lies before `end`.
fn before(set: &RangeSet, end: UtcSecond) -> RangeSet {
    match set.ranges().first().and_then(|first| TimeRange::new(first.start(), end)) {
        Some(older) => set.intersect(&older.into()),
        None => RangeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200;
    const HOUR: i64 = 3600;
    const DAY: u64 = 86_400;

    fn now() -> Instant {
        Instant::from(UtcSecond::new(NOW))
    }

    /// From so many hours ago on, that many hours.
    fn ago(hours: i64, length: i64) -> TimeRange {
        let start = UtcSecond::new(NOW - hours * HOUR);
        TimeRange::new(start, start + length * HOUR).expect("a range holds a second")
    }

    #[test]
    fn a_day_without_footage_before_the_oldest_footage_shows_the_horizon() {
        let mut horizon = Horizon::new(None, None);
        horizon.none(ago(200, 24));
        assert_eq!(horizon.learned(), None, "nothing says that footage is kept at all");
        horizon.footage(ago(176, 1), now());
        assert_eq!(horizon.learned(), Some(Duration::from_secs(176 * 3600)));
        assert_eq!(horizon.loses(), None, "what was learned loses nothing");
        let hurry = horizon.hurry(ago(170, 1).start(), now());
        assert!(matches!(hurry, Hurry::OverwrittenIn(_)));
        assert_eq!(horizon.hurry(ago(190, 1).start(), now()), Hurry::None, "it is most probably gone");
        assert_eq!(horizon.hurry(ago(100, 1).start(), now()), Hurry::None);
    }

    #[test]
    fn a_shop_that_is_closed_at_night_shows_nothing() {
        let mut horizon = Horizon::new(None, None);
        // Three days, closed from 22 to 9, whatever comes in first.
        for day in [2, 0, 1] {
            horizon.none(ago(100 - day * 24, 11));
            horizon.footage(ago(89 - day * 24, 13), now());
        }
        assert_eq!(horizon.learned(), None);
        assert_eq!(horizon.without, RangeSet::from(ago(100, 11)), "what lies before the oldest footage");
    }

    #[test]
    fn what_is_stated_wins_and_what_was_remembered_can_be_disproved() {
        let remembered = Some(Duration::from_secs(7 * DAY));
        let stated = Horizon::new(Some(Duration::from_secs(30 * DAY)), remembered);
        assert_eq!(stated.keeps(), Some(Duration::from_secs(30 * DAY)));
        let mut horizon = Horizon::new(None, remembered);
        horizon.footage(ago(160, 1), now());
        assert_eq!(horizon.learned(), remembered);
        horizon.footage(ago(10 * 24, 1), now());
        assert_eq!(horizon.learned(), None);
    }

    #[test]
    fn what_is_overwritten_in_the_same_hour_hurries_alike() {
        let horizon = Horizon::new(Some(Duration::from_secs(DAY)), None);
        let at = |seconds: i64| horizon.hurry(UtcSecond::new(NOW - 10 * HOUR + seconds), now());
        assert_eq!(at(0), at(3_599));
        assert!(at(0) < at(3_600) && at(3_600) < Hurry::None);
        assert_eq!(horizon.in_danger_from(ago(10, 1).start()), Some(now() - Duration::from_secs(10 * 3600)));
    }
}
