//! How much of what was asked for is archived.

use serde::Serialize;

use crate::time_range::RangeSet;

/// Asked-for and archived time, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Asked for.
    pub asked_seconds: i64,
    /// Of it, archived.
    pub archived_seconds: i64,
}

impl Coverage {
    /// How much of `asked` is in `archived`.
    pub fn of(asked: &RangeSet, archived: &RangeSet) -> Self {
        Self { asked_seconds: asked.seconds(), archived_seconds: asked.intersect(archived).seconds() }
    }

    /// Hundredths of a percent, rounded down, so that 100.00 % is said only of everything; everything when nothing was
    /// asked for.
    pub fn basis_points(&self) -> i64 {
        if self.asked_seconds == 0 {
            return 10_000;
        }
        i64::try_from(i128::from(self.archived_seconds) * 10_000 / i128::from(self.asked_seconds)).unwrap_or(0)
    }

    /// Both counts together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            asked_seconds: self.asked_seconds + other.asked_seconds,
            archived_seconds: self.archived_seconds + other.archived_seconds,
        }
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let points = self.basis_points();
        write!(f, "{}.{:02} %", points / 100, points % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time_range::{TimeRange, UtcSecond};

    fn set(start: i64, end: i64) -> RangeSet {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second").into()
    }

    #[test]
    fn only_everything_is_a_hundred_percent() {
        let all = Coverage::of(&set(0, 1_000_000), &set(0, 999_999));
        assert_eq!(all.to_string(), "99.99 %");
        assert_eq!(Coverage::of(&set(0, 600), &set(-600, 6000)).to_string(), "100.00 %");
        assert_eq!(Coverage::default().to_string(), "100.00 %");
    }

    /// Some ranges within 64 s, and which of the seconds they hold.
    fn some_set() -> impl Strategy<Value = (RangeSet, Vec<bool>)> {
        prop::collection::vec(any::<bool>(), 64).prop_map(|flags| {
            let held = flags.iter().zip(0..).filter(|(is_held, _)| **is_held);
            (held.flat_map(|(_, second)| set(second, second + 1).ranges().to_vec()).collect(), flags)
        })
    }

    proptest! {
        #[test]
        fn it_counts_seconds_and_says_everything_of_everything_alone(
            (asked, is_asked) in some_set(),
            (archived, is_archived) in some_set(),
        ) {
            let both = is_asked.iter().zip(&is_archived).filter(|(asked, archived)| **asked && **archived).count() as i64;
            let coverage = Coverage::of(&asked, &archived);
            let expected = is_asked.iter().filter(|is_asked| **is_asked).count() as i64;
            prop_assert_eq!((coverage.asked_seconds, coverage.archived_seconds), (expected, both));
            prop_assert_eq!(coverage.basis_points() == 10_000, asked.subtract(&archived).is_empty());
            prop_assert!((0..=10_000).contains(&coverage.basis_points()));
            // Counted in parts, it is the same.
            let half = set(0, 32);
            let parts = [asked.intersect(&half), asked.subtract(&half)];
            let [one, other] = parts.map(|part| Coverage::of(&part, &archived));
            prop_assert_eq!(one.plus(other), coverage);
        }
    }
}
