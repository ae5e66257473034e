//! Whether a live run whose cameras are another's waits for them, or is refused.
//!
//! A run that was killed a moment ago is not known to be dead before its lease is over; the one that replaces it must not fail for
//! that. So it waits, and looks again and again: one that was heard of since the first look is alive, and one that was not
//! loses its cameras when its lease ends, which the ledger sees to.

use std::collections::BTreeMap;

use crate::live_runs::{HeldCamera, LiveRunId};

/// What was seen of those who have the cameras.
#[derive(Debug, Default)]
pub struct Waiting {
    /// How often each had been heard of at the first look.
    first: BTreeMap<LiveRunId, i64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These are alive, and record them.
    Refused(Vec<HeldCamera>),
    /// Nobody knows yet.
    Wait,
}

impl Waiting {
    /// One more look at who has what of the cameras.
    pub fn look(&mut self, held: &[HeldCamera]) -> Verdict {
        let mut is_alive = |camera: &&HeldCamera| {
            let first = *self.first.entry(camera.run).or_insert(camera.beats);
            camera.beats > first
        };
        let alive: Vec<HeldCamera> = held.iter().filter(&mut is_alive).cloned().collect();
        if alive.is_empty() { Verdict::Wait } else { Verdict::Refused(alive) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceId;

    fn held(device: i64, run: i64, beats: i64) -> HeldCamera {
        let device = DeviceId::new(device).expect("not negative");
        HeldCamera { device, run: LiveRunId::new(run), machine: "night".to_owned(), pid: 4711, beats }
    }

    #[test]
    fn one_that_is_heard_of_while_it_is_looked_at_is_alive_and_one_that_is_not_is_waited_for() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.look(&[held(5, 1, 7), held(6, 2, 0)]), Verdict::Wait);
        assert_eq!(waiting.look(&[held(5, 1, 7), held(6, 2, 0)]), Verdict::Wait, "neither was heard of");
        assert_eq!(waiting.look(&[held(5, 1, 7), held(6, 2, 1)]), Verdict::Refused(vec![held(6, 2, 1)]));
    }

    #[test]
    fn one_that_came_in_the_place_of_a_dead_one_is_looked_at_anew() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.look(&[held(5, 1, 7)]), Verdict::Wait);
        assert_eq!(waiting.look(&[held(5, 3, 9)]), Verdict::Wait);
        assert_eq!(waiting.look(&[held(5, 3, 10)]), Verdict::Refused(vec![held(5, 3, 10)]));
    }
}
