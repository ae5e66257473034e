//! Whether a recorder refuses so much that it is better left alone for a while.
//!
//! What [`nvr`](super::nvr) does keeps refusals at one or two of a hundred calls. A recorder that still refuses most of them
//! does something that nobody foresaw; asking it all night would only bother it.

/// Of so many calls the share is taken.
const CALLS: u32 = 20;

/// Counts one recorder's refusals while it is online.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    /// The share of calls above which it is left alone, from 0 to 1.
    most: f64,
    calls: u32,
    refused: u32,
    left_alone: u64,
}

impl Refusals {
    pub(super) fn new(most: f64) -> Self {
        Self { most, calls: 0, refused: 0, left_alone: 0 }
    }

    /// A call was answered. Says whether the recorder is to be left alone now.
    pub(super) fn answered(&mut self, refused: bool) -> bool {
        self.calls += 1;
        self.refused += u32::from(refused);
        let too_many = f64::from(self.refused) > self.most * f64::from(CALLS);
        if too_many || self.calls >= CALLS {
            (self.calls, self.refused) = (0, 0);
        }
        self.left_alone += u64::from(too_many);
        too_many
    }

    /// How often it was to be left alone.
    pub(super) fn left_alone(&self) -> u64 {
        self.left_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_of_twenty_calls_is_too_many() {
        let mut refusals = Refusals::new(0.5);
        let mut answers = |refused: bool, times: u32| (0..times).filter(|_| refusals.answered(refused)).count();
        assert_eq!(answers(true, 10), 0);
        assert_eq!(answers(true, 1), 1, "ten of twenty are allowed, eleven are not");
        // Counted anew from here.
        assert_eq!(answers(false, 10) + answers(true, 10) + answers(true, 10), 0);
        assert_eq!(answers(true, 1), 1);
        assert_eq!(refusals.left_alone(), 2);
    }

    #[test]
    fn a_share_of_one_leaves_nobody_alone() {
        let mut refusals = Refusals::new(1.0);
        assert!((0..1_000).all(|_| !refusals.answered(true)));
    }
}
