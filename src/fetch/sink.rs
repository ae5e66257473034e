//! Where a stream's bytes go: to the parser while they are hot, to the staging file, and, as a number now and then, to
//! whoever displays progress.

use std::time::{Duration, Instant};

use crate::flv;
use crate::platform::media::MediaError;
use crate::time_range::TimeRange;
use crate::vault::{Staging, VaultError};

use super::{Progress, Step};

/// A stream that goes on for longer than this past its window has lost its end, and is ended here.
const OVERLONG_MILLISECONDS: i64 = 60_000;

/// More than this no camera sends: 100 Mbit/s, where a shop's cameras send 1 to 8; and half a gigabyte for a stream that
/// begins with what came before.
const MOST_BYTES_A_SECOND: u64 = 12_500_000;
const MOST_BYTES_BESIDE: u64 = 512 << 20;

/// Of a stream of which so much came behind its last good byte nothing more is kept, whatever follows.
const MOST_GARBAGE: u64 = 16 << 20;

/// How often a stream is looked at, if not by the clock.
const LOOK_AGAIN: u64 = 1 << 20;

/// How often progress is told, at the most.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Sink<'a> {
    pub(super) parser: flv::Parser,
    /// Whether the stream went on past its window.
    pub(super) overlong: bool,
    /// Set when more came than is any camera's.
    too_much: Option<MediaError>,
    staging: &'a mut Staging,
    window: TimeRange,
    progress: &'a Progress,
    told: Instant,
    /// How many bytes there were when it was last looked at.
    looked: u64,
}

impl<'a> Sink<'a> {
    pub(super) fn new(staging: &'a mut Staging, window: TimeRange, progress: &'a Progress) -> Self {
        let parser = flv::Parser::new();
        Self { parser, overlong: false, too_much: None, staging, window, progress, told: Instant::now(), looked: 0 }
    }

    /// Why the stream is to be ended although it goes on, when it is no camera's. Told once.
    pub(super) fn too_much(&mut self) -> Option<MediaError> {
        self.too_much.take()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.staging.bytes()
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        // In this order: what is refused for want of room is no part of the stream.
        self.staging.append(bytes)?;
        self.parser.push(bytes);
        let is_time = self.told.elapsed() >= PROGRESS_PAUSE;
        if is_time || self.bytes() - self.looked >= LOOK_AGAIN {
            self.look(is_time);
        }
        Ok(())
    }

    /// Looks whether it has gone on for long enough, and tells how far it has come when it is time to.
    fn look(&mut self, is_time: bool) {
        self.looked = self.bytes();
        let report = self.parser.report();
        let media = report.footage_milliseconds();
        self.overlong |= media > self.window.seconds() * 1000 + OVERLONG_MILLISECONDS;
        let most = self.window.seconds().unsigned_abs().saturating_mul(MOST_BYTES_A_SECOND) + MOST_BYTES_BESIDE;
        let garbage = report.total_bytes.saturating_sub(report.good_bytes);
        if self.bytes() > most || garbage > MOST_GARBAGE {
            self.too_much = Some(MediaError::TooMuch { bytes: self.bytes(), good: report.good_bytes });
        }
        if is_time {
            (self.progress)(Step::Streamed { media_milliseconds: media, bytes: self.bytes() });
            self.told = Instant::now();
        }
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
