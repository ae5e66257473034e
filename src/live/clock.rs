//! The platform's clock, by which live recordings are dated.

use crate::clock::WallClock;
use crate::instant::Instant;

/// This machine's clock, corrected by the platform's as far as it told the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlatformClock {
    pub(super) clock: WallClock,
    /// By how many milliseconds the platform's is ahead of this machine's, when it is known.
    pub(super) offset: Option<i64>,
}

impl PlatformClock {
    pub(super) fn now(&self) -> Instant {
        Instant::from_millis(self.clock.now().as_millis().saturating_add(self.offset.unwrap_or(0)))
    }
}
