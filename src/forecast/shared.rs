//! What all NVRs share: streams, calls, the line's bytes. When they want more of it together than there is, all are
//! slowed down until it suffices.

/// What one NVR wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    /// Seconds that it takes when it has to share nothing.
    pub(super) alone: f64,
    /// What it wants of the shared thing until it is done.
    pub(super) needs: f64,
}

/// The seconds that every NVR takes at the least, so that together they want at most `per_second` at a time. Whoever
/// takes longer alone is not slowed down; 0 when there is enough for all. The last of them is done no later than when
/// all needs are met one after the other, or it is done alone: no order of work ends sooner.
pub(super) fn level(wishes: &[Wish], per_second: f64) -> f64 {
    let mut wishes: Vec<Wish> = wishes.iter().copied().filter(|wish| wish.needs > 0.0).collect();
    wishes.sort_by(|a, b| a.alone.total_cmp(&b.alone));
    // What those up to each of them need together.
    let sums = wishes.iter().scan(0.0, |sum, wish| {
        *sum += wish.needs;
        Some(*sum)
    });
    let sums: Vec<f64> = sums.collect();
    // What those who are not slowed down take of each second.
    let mut taken = 0.0;
    let mut slowest = f64::INFINITY;
    for (wish, sum) in wishes.iter().zip(sums).rev() {
        let free = per_second - taken;
        let level = if free > 0.0 { sum / free } else { f64::INFINITY };
        if level > wish.alone {
            return level.min(slowest);
        }
        taken += wish.needs / wish.alone;
        slowest = wish.alone;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(alone: f64, needs: f64) -> Wish {
        Wish { alone, needs }
    }

    #[test]
    fn nobody_waits_where_there_is_enough() {
        assert_eq!(level(&[], 1.0), 0.0);
        assert_eq!(level(&[wish(10.0, 40.0), wish(5.0, 20.0)], 8.0), 0.0);
        assert_eq!(level(&[wish(0.0, 0.0)], 1.0), 0.0);
    }

    #[test]
    fn who_takes_long_alone_is_slowed_down_last() {
        // Three that take 10 s with 4 streams each, and 8 streams.
        assert_eq!(level(&[wish(10.0, 40.0); 3], 8.0), 15.0);
        // One takes 100 s with 4 of them; the others have the other 4.
        assert_eq!(level(&[wish(100.0, 400.0), wish(10.0, 40.0), wish(10.0, 40.0)], 8.0), 20.0);
        // So many others that it must wait, too: all 1,600 over 8.
        assert_eq!(level(&[&[wish(100.0, 400.0)][..], &[wish(10.0, 40.0); 30]].concat(), 8.0), 200.0);
    }

    proptest! {
        #[test]
        fn at_the_level_what_is_shared_suffices_and_is_used_up(
            wishes in prop::collection::vec((1.0..100.0f64, 0.0..400.0f64), 1..20),
            per_second in 0.5..50.0f64,
        ) {
            let wishes: Vec<Wish> = wishes.into_iter().map(|(alone, needs)| wish(alone, needs)).collect();
            let level = level(&wishes, per_second);
            let wanted: f64 = wishes.iter().map(|wish| wish.needs / wish.alone.max(level)).sum();
            prop_assert!(wanted <= per_second * 1.000_001, "{wanted} of {per_second}");
            prop_assert!(level == 0.0 || wanted >= per_second * 0.999_999, "{wanted} of {per_second}");
        }
    }
}
