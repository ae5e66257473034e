//! Half-open ranges of time in whole seconds, sets of them, and the grid on which windows are cut.
//!
//! Whole seconds, because that is what the platform's `startTime` and `endTime` speak and what the ledger stores.
//! Everything here is UTC; local time exists only at the edges of the program.

use std::fmt;
use std::ops::{Add, Sub};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How far apart the grid's marks are: ten minutes, the most that the platform gives in one call (its
/// `startRecReqDown` page: "the maximum time interval is 10 minutes").
pub const GRID_SECONDS: i64 = 600;

/// A whole second in UTC, counted from 1970-01-01T00:00:00Z without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcSecond(i64);

impl UtcSecond {
    /// The second that is `seconds` after the epoch (before it, when negative).
    pub const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The second in which `time` falls.
    pub fn floor(time: DateTime<Utc>) -> Self {
        Self(time.timestamp())
    }

    /// The same moment as a calendar date and time. A second outside chrono's calendar (±262,000 years) becomes its
    /// nearest end.
    pub fn to_datetime(self) -> DateTime<Utc> {
        let nearest = if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        DateTime::from_timestamp(self.0, 0).unwrap_or(nearest)
    }
}

impl Add<i64> for UtcSecond {
    type Output = Self;

    fn add(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl Sub<i64> for UtcSecond {
    type Output = Self;

    fn sub(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl Sub for UtcSecond {
    type Output = i64;

    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for UtcSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_datetime().format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A stretch of time that includes its start and excludes its end, and is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TimeRange {
    start: UtcSecond,
    end: UtcSecond,
}

/// Every second that can be asked for: 1970 to 9999, as the calendar allows it.
pub const ALL_TIME: TimeRange = TimeRange { start: UtcSecond::new(0), end: UtcSecond::new(253_402_300_800) };

impl TimeRange {
    /// Every second that there is a number for.
    pub const WIDEST: Self = Self { start: UtcSecond::new(i64::MIN), end: UtcSecond::new(i64::MAX) };

    /// `[start, end)`, or nothing when that holds no second.
    pub fn new(start: UtcSecond, end: UtcSecond) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first second inside.
    pub fn start(&self) -> UtcSecond {
        self.start
    }

    /// The first second after.
    pub fn end(&self) -> UtcSecond {
        self.end
    }

    /// How long it is; at least 1.
    pub fn seconds(&self) -> i64 {
        self.end - self.start
    }

    /// Whether `second` is inside.
    pub fn contains(&self, second: UtcSecond) -> bool {
        self.start <= second && second < self.end
    }

    /// What both hold.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Whether some second is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.intersect(other).is_some()
    }

    /// The parts between the grid's marks, in order, made one at a time: a year of one camera is 52,560 of them.
    pub fn cut_on_grid(self) -> impl Iterator<Item = TimeRange> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (first, after) = rest?.split_at_grid();
            rest = after;
            Some(first)
        })
    }

    /// The part up to the first mark of the grid that is after the start, and what follows it.
    pub fn split_at_grid(self) -> (Self, Option<Self>) {
        let mark = (self.start.0.div_euclid(GRID_SECONDS).saturating_add(1)).saturating_mul(GRID_SECONDS);
        self.split_at(UtcSecond(mark))
    }

    /// The part before `at` and the part from `at` on. OK to return the whole as the first part when `at` is not
    /// strictly inside: both parts of a cut must hold a second, and callers cut at points after the start.
    pub fn split_at(self, at: UtcSecond) -> (Self, Option<Self>) {
        if at <= self.start || at >= self.end {
            return (self, None);
        }
        (Self { start: self.start, end: at }, Some(Self { start: at, end: self.end }))
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.end)
    }
}

/// A set of seconds, kept as the fewest ranges: sorted, disjoint, and not touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<TimeRange>,
}

impl RangeSet {
    /// The set without any second.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Its ranges, earliest first.
    pub fn ranges(&self) -> &[TimeRange] {
        &self.ranges
    }

    /// Whether no second is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many seconds are in it.
    pub fn seconds(&self) -> i64 {
        self.ranges.iter().map(TimeRange::seconds).sum()
    }

    /// Whether every second of `range` is in it.
    pub fn covers(&self, range: &TimeRange) -> bool {
        let after = self.ranges.partition_point(|held| held.end <= range.start);
        self.ranges.get(after).is_some_and(|held| held.start <= range.start && range.end <= held.end)
    }

    /// Adds every second of `range`; ranges that touch become one.
    pub fn insert(&mut self, range: TimeRange) {
        let from = self.ranges.partition_point(|held| held.end < range.start);
        let to = self.ranges.partition_point(|held| held.start <= range.end);
        let mut joined = range;
        if from < to {
            joined.start = joined.start.min(self.ranges[from].start);
            joined.end = joined.end.max(self.ranges[to - 1].end);
        }
        self.ranges.splice(from..to, [joined]);
    }

    /// Takes out every second of `range`.
    pub fn remove(&mut self, range: TimeRange) {
        let from = self.ranges.partition_point(|held| held.end <= range.start);
        let to = self.ranges.partition_point(|held| held.start < range.end);
        if from >= to {
            return;
        }
        let before = TimeRange::new(self.ranges[from].start, range.start);
        let after = TimeRange::new(range.end, self.ranges[to - 1].end);
        self.ranges.splice(from..to, before.into_iter().chain(after));
    }

    /// The seconds that are here and not in `other`.
    pub fn subtract(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.ranges.len());
        let mut takers = other.ranges.iter().peekable();
        for &range in &self.ranges {
            let mut rest = Some(range);
            while let (Some(current), Some(taker)) = (rest, takers.peek()) {
                if taker.end <= current.start {
                    takers.next();
                } else if taker.start >= current.end {
                    break;
                } else {
                    left.extend(TimeRange::new(current.start, taker.start));
                    rest = TimeRange::new(taker.end, current.end);
                }
            }
            left.extend(rest);
        }
        Self { ranges: left }
    }

    /// The seconds that are in both.
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = Vec::new();
        while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
            both.extend(left.intersect(right));
            if left.end <= right.end {
                a.next()
            } else {
                b.next()
            };
        }
        Self { ranges: both }
    }
}

impl FromIterator<TimeRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = TimeRange>>(iter: I) -> Self {
        let mut sorted: Vec<TimeRange> = iter.into_iter().collect();
        sorted.sort_unstable();
        let mut ranges: Vec<TimeRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }
}

impl From<TimeRange> for RangeSet {
    fn from(range: TimeRange) -> Self {
        Self { ranges: vec![range] }
    }
}

impl<'a> IntoIterator for &'a RangeSet {
    type Item = &'a TimeRange;
    type IntoIter = std::slice::Iter<'a, TimeRange>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranges.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond(start), UtcSecond(end)).expect("a range holds a second")
    }

    #[test]
    fn cuts_on_the_grid_and_trims_the_edges() {
        let parts: Vec<_> = range(590, 1801).cut_on_grid().collect();
        assert_eq!(parts, [range(590, 600), range(600, 1200), range(1200, 1800), range(1800, 1801)]);
        assert_eq!(range(-10, 10).cut_on_grid().collect::<Vec<_>>(), [range(-10, 0), range(0, 10)]);
        assert_eq!(range(600, 1200).cut_on_grid().collect::<Vec<_>>(), [range(600, 1200)]);
    }

    /// What protect-archiver got wrong: 48 hours became one request because only the seconds within a day counted.
    #[test]
    fn two_days_are_288_windows() {
        assert_eq!(range(0, 2 * 86_400).cut_on_grid().count(), 288);
    }

    #[test]
    fn an_empty_range_does_not_exist() {
        assert_eq!(TimeRange::new(UtcSecond(5), UtcSecond(5)), None);
        assert_eq!(TimeRange::new(UtcSecond(6), UtcSecond(5)), None);
    }

    #[test]
    fn the_calendar_ends_do_not_panic() {
        assert!(UtcSecond(i64::MAX).to_string().starts_with('+'));
        assert!(UtcSecond(i64::MIN).to_string().starts_with('-'));
        let (first, rest) = TimeRange::new(UtcSecond(i64::MAX - 1), UtcSecond(i64::MAX)).unwrap().split_at_grid();
        assert_eq!((first.end().get(), rest), (i64::MAX, None));
    }

    const SPAN: i64 = 64;

    fn some_ranges() -> impl Strategy<Value = Vec<TimeRange>> {
        prop::collection::vec((0..SPAN, 1..12i64), 0..12)
            .prop_map(|raw| raw.into_iter().map(|(start, len)| range(start, start + len)).collect())
    }

    /// The plainest model there is: one flag a second.
    fn seconds_of<'a>(ranges: impl IntoIterator<Item = &'a TimeRange>) -> Vec<bool> {
        let mut seconds = vec![false; (SPAN + 16) as usize];
        for held in ranges {
            for second in held.start.0..held.end.0 {
                seconds[second as usize] = true;
            }
        }
        seconds
    }

    fn assert_canonical(set: &RangeSet) {
        for pair in set.ranges.windows(2) {
            assert!(pair[0].end < pair[1].start, "{pair:?} overlap or touch");
        }
    }

    proptest! {
        #[test]
        fn sets_agree_with_a_flag_per_second(a in some_ranges(), b in some_ranges()) {
            let (set_a, set_b): (RangeSet, RangeSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (flags_a, flags_b) = (seconds_of(&a), seconds_of(&b));
            let both = |join: fn(bool, bool) -> bool| -> Vec<bool> {
                flags_a.iter().zip(&flags_b).map(|(&x, &y)| join(x, y)).collect()
            };

            prop_assert_eq!(seconds_of(&set_a), flags_a.clone());
            prop_assert_eq!(seconds_of(&set_a.subtract(&set_b)), both(|x, y| x && !y));
            prop_assert_eq!(seconds_of(&set_a.intersect(&set_b)), both(|x, y| x && y));

            let (mut inserted, mut removed) = (set_a.clone(), set_a.clone());
            for &held in &b {
                inserted.insert(held);
                removed.remove(held);
            }
            prop_assert_eq!(seconds_of(&inserted), both(|x, y| x || y));
            prop_assert_eq!(&removed, &set_a.subtract(&set_b));
            for set in [&set_a, &set_b, &inserted, &removed, &set_a.intersect(&set_b)] {
                assert_canonical(set);
            }
            for held in &b {
                prop_assert_eq!(set_a.covers(held), seconds_of([held]).iter().zip(&flags_a).all(|(&x, &y)| !x || y));
            }
        }

        #[test]
        fn the_cut_loses_no_second(start in -5_000..5_000i64, len in 1..5_000i64) {
            let whole = range(start, start + len);
            let parts: Vec<_> = whole.cut_on_grid().collect();
            prop_assert_eq!(parts.iter().copied().collect::<RangeSet>(), RangeSet::from(whole));
            prop_assert_eq!(parts.iter().map(TimeRange::seconds).sum::<i64>(), len);
            prop_assert!(parts.iter().all(|part| part.seconds() <= GRID_SECONDS));
            prop_assert!(parts.iter().skip(1).all(|part| part.start.0.rem_euclid(GRID_SECONDS) == 0));
        }
    }
}
