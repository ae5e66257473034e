//! Where a stream's bytes go: to the parser while they are hot, to the staging file, and, as a number now and then, to
//! whoever displays progress.

use std::time::{Duration, Instant};

use crate::flv;
use crate::time_range::TimeRange;
use crate::vault::{Staging, VaultError};

use super::{Progress, Step};

/// A stream that goes on for longer than this past its window has lost its end, and is ended here.
const OVERLONG_MILLISECONDS: i64 = 60_000;

/// More than this no camera sends: 100 Mbit/s, where a shop's cameras send 1 to 8; and half a gigabyte for a stream that
/// begins with what came before.
const MOST_BYTES_A_SECOND: u64 = 12_500_000;
const MOST_BYTES_BESIDE: u64 = 512 << 20;

/// How often progress is told, at the most.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Sink<'a> {
    pub(super) parser: flv::Parser,
    /// Whether the stream went on past its window.
    pub(super) overlong: bool,
    staging: &'a mut Staging,
    window: TimeRange,
    progress: &'a Progress,
    told: Instant,
}

impl<'a> Sink<'a> {
    pub(super) fn new(staging: &'a mut Staging, window: TimeRange, progress: &'a Progress) -> Self {
        Self { parser: flv::Parser::new(), overlong: false, staging, window, progress, told: Instant::now() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.staging.bytes()
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.parser.push(bytes);
        self.staging.append(bytes)?;
        let most = self.window.seconds().unsigned_abs().saturating_mul(MOST_BYTES_A_SECOND) + MOST_BYTES_BESIDE;
        self.overlong |= self.staging.bytes() > most;
        if self.told.elapsed() >= PROGRESS_PAUSE {
            let media = self.parser.report().footage_milliseconds();
            (self.progress)(Step::Streamed { media_milliseconds: media, bytes: self.staging.bytes() });
            self.overlong |= media > self.window.seconds() * 1000 + OVERLONG_MILLISECONDS;
            self.told = Instant::now();
        }
        Ok(())
    }

    /// Whether what came covers the window.
    pub(super) fn has_enough(&self, tolerance_seconds: i64) -> bool {
        self.parser.report().footage_milliseconds() >= (self.window.seconds() - tolerance_seconds) * 1000
    }

    /// Whether what came is something else than FLV: such a thing does not grow into one.
    pub(super) fn is_not_flv(&self) -> bool {
        matches!(self.parser.signature(), flv::Signature::NotFlv(_))
    }
}
