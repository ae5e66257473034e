//! Closing in on a hole: a window that is twice as short is asked for in halves, those in halves again, down to a minute.
//!
//! The halves of a window must hold as much footage together as the window did. When they do, their answers confirm each
//! other, and a hole is known to the minute after few calls. When they hold less, one of them was told wrong, and each
//! short one is asked for again by itself.

use std::collections::BTreeMap;

use crate::time_range::{RangeSet, TimeRange, UtcSecond};

use super::queue::Task;

/// A hole is known to the minute: a window is halved no further than this.
const SMALLEST_PART_SECONDS: i64 = 60;

/// Which halves belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(u32);

/// One camera's windows that are being halved.
#[derive(Debug, Default)]
pub(super) struct Halving {
    pairs: BTreeMap<Pair, Halves>,
    next: u32,
}

#[derive(Debug)]
struct Halves {
    /// Seconds of footage that both must hold together.
    expected: i64,
    /// Seconds that came so far.
    came: i64,
    /// Halves without an answer.
    open: u32,
    /// Whether a half ended in a way that says nothing of its footage, so that the sum says nothing either.
    spoiled: bool,
    /// Halves that came short, with their footage in seconds.
    short: Vec<(Task, i64)>,
}

/// A half that came short, once its pair is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) task: Task,
    /// Seconds of footage that came.
    pub(super) media: i64,
    /// Whether the halves together hold what the whole did.
    pub(super) confirmed: bool,
}

impl Halving {
    /// The halves of a window of which it is sure that it holds `media` seconds; nothing for a minute or less.
    pub(super) fn split(&mut self, task: Task, media: i64) -> Option<[Task; 2]> {
        let parts = halves(task.range)?;
        let pair = Pair(self.next);
        self.next += 1;
        self.pairs.insert(pair, Halves { expected: media, came: 0, open: 2, spoiled: false, short: Vec::new() });
        Some(parts.map(|part| Task { pair: Some(pair), stop_at: task.stop_at, ..Task::new(part) }))
    }

    /// A half came whole.
    pub(super) fn whole(&mut self, task: Task, tolerance: i64) -> Vec<Settled> {
        self.answer(task, tolerance, |halves| halves.came += task.range.seconds())
    }

    /// A half came short. It is kept here until its pair is complete.
    pub(super) fn short(&mut self, task: Task, media: i64, tolerance: i64) -> Vec<Settled> {
        if !task.pair.is_some_and(|pair| self.pairs.contains_key(&pair)) {
            // Its other half has been given up with all of its camera.
            return vec![Settled { task: Task { pair: None, ..task }, media, confirmed: false }];
        }
        self.answer(task, tolerance, |halves| {
            halves.came += media;
            halves.short.push((task, media));
        })
    }

    /// A half ended in a way that says nothing of its footage.
    pub(super) fn unknown(&mut self, task: Task, tolerance: i64) -> Vec<Settled> {
        self.answer(task, tolerance, |halves| halves.spoiled = true)
    }

    fn answer(&mut self, task: Task, tolerance: i64, note: impl FnOnce(&mut Halves)) -> Vec<Settled> {
        let Some(pair) = task.pair else { return Vec::new() };
        let Some(halves) = self.pairs.get_mut(&pair) else { return Vec::new() };
        note(halves);
        halves.open -= 1;
        if halves.open > 0 {
            return Vec::new();
        }
        let confirmed = !halves.spoiled && halves.came >= halves.expected - tolerance;
        let short = std::mem::take(&mut halves.short);
        self.pairs.remove(&pair);
        let settle = |(task, media)| Settled { task: Task { pair: None, ..task }, media, confirmed };
        short.into_iter().map(settle).collect()
    }

    /// Takes out what is kept here.
    pub(super) fn take_all(&mut self) -> RangeSet {
        std::mem::take(&mut self.pairs)
            .into_values()
            .flat_map(|halves| halves.short)
            .map(|(task, _)| task.range)
            .collect()
    }
}

/// The parts of a range cut at the whole minute nearest to its middle; nothing for a minute or less.
fn halves(range: TimeRange) -> Option<[TimeRange; 2]> {
    if range.seconds() <= SMALLEST_PART_SECONDS {
        return None;
    }
    let middle = range.start().get() + range.seconds() / 2;
    let nearest = (middle + SMALLEST_PART_SECONDS / 2).div_euclid(SMALLEST_PART_SECONDS) * SMALLEST_PART_SECONDS;
    let (first, second) = range.split_at(UtcSecond::new(nearest));
    Some([first, second?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
    }

    #[test]
    fn halves_that_hold_what_the_whole_did_confirm_each_other() {
        let mut halving = Halving::default();
        let [first, second] = halving.split(Task::new(range(0, 600)), 330).expect("ten minutes have halves");
        assert!(halving.short(first, 180, 5).is_empty(), "one half alone says nothing");
        let settled = halving.short(second, 150, 5);
        assert_eq!(
            settled.iter().map(|half| (half.media, half.confirmed)).collect::<Vec<_>>(),
            [(180, true), (150, true)]
        );
    }

    #[test]
    fn halves_that_hold_less_than_the_whole_are_asked_for_again() {
        let mut halving = Halving::default();
        let [first, second] = halving.split(Task::new(range(0, 600)), 330).expect("ten minutes have halves");
        halving.short(first, 0, 5);
        let settled = halving.short(second, 150, 5);
        assert!(settled.iter().all(|half| !half.confirmed));
        let [first, second] = halving.split(Task::new(range(0, 600)), 330).expect("ten minutes have halves");
        halving.unknown(first, 5);
        assert!(halving.short(second, 150, 5).iter().all(|half| !half.confirmed));
    }

    proptest! {
        #[test]
        fn halves_are_the_whole_and_end_at_a_minute(start in -2_000..2_000i64, length in 1..=600i64) {
            let whole = range(start, start + length);
            match halves(whole) {
                None => prop_assert!(length < 120),
                Some([first, second]) => {
                    prop_assert_eq!((first.start(), second.end()), (whole.start(), whole.end()));
                    prop_assert_eq!(first.end(), second.start());
                    prop_assert_eq!(first.end().get().rem_euclid(60), 0);
                    prop_assert!(first.seconds() < length && second.seconds() < length);
                }
            }
        }
    }
}
