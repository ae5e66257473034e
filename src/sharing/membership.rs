//! Whether a host may believe that it still holds what it leased.
//!
//! The ledger counts a lease from when it heard of the host, by its own clock. The host counts from when it began to say so, by
//! a clock that never jumps, and so believes it is dead no later than anybody else does. Who was asleep for that long cuts its
//! streams first and asks afterwards: others may have them by now.

use crate::instant::Instant;
use crate::lease::LeaseTimes;

/// One host's membership in time.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    times: LeaseTimes,
    /// When the last beat that was heard began.
    heard: Instant,
    /// When the last beat began, heard or not.
    beaten: Instant,
}

impl Membership {
    /// A host that began to join at `began`.
    pub fn new(times: LeaseTimes, began: Instant) -> Self {
        Self { times, heard: began, beaten: began }
    }

    /// A beat begins.
    pub fn beats(&mut self, now: Instant) {
        self.beaten = now;
    }

    /// The beat that began at `began` was answered.
    pub fn was_heard(&mut self, began: Instant) {
        self.heard = self.heard.max(began);
    }

    /// When to beat next.
    pub fn next_beat(&self) -> Instant {
        self.beaten + self.times.beat
    }

    /// When others take it for dead, unless it is heard of until then.
    pub fn ends(&self) -> Instant {
        self.heard + self.times.lasts
    }

    /// Whether others may take it for dead: it must then start nothing, end what streams, and join anew.
    pub fn is_lost(&self, now: Instant) -> bool {
        now >= self.ends()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lost_as_long_after_the_last_beat_that_was_heard_as_a_lease_lasts() {
        let at = |seconds: i64| Instant::from_millis(seconds * 1000);
        let mut membership = Membership::new(LeaseTimes::default(), at(0));
        assert_eq!((membership.next_beat(), membership.ends()), (at(10), at(30)));
        membership.beats(at(10));
        assert_eq!((membership.next_beat(), membership.ends()), (at(20), at(30)), "nobody has answered");
        membership.was_heard(at(10));
        assert!(!membership.is_lost(at(39)) && membership.is_lost(at(40)));
        membership.beats(at(20));
        membership.was_heard(at(20));
        membership.was_heard(at(10));
        assert_eq!(membership.ends(), at(50), "an answer that was overtaken takes nothing away");
    }
}
