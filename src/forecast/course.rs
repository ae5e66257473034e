//! How one NVR works through its share: as many downloads side by side as it takes, each camera one at most, and what is
//! overwritten soonest first.
//!
//! It is the scheduler's night in small, without refusals, and in pieces that are longer than windows where there is much
//! to do: no camera's share has more pieces than [`PIECES`] and its stretches, so that a week of ten thousand cameras
//! takes a moment. What is overwritten or stops while a piece is fetched is noticed when the next one is begun.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::instant::Instant;
use crate::time_range::{GRID_SECONDS, TimeRange, UtcSecond};

use super::rates::Rate;
use super::{Left, Lost};

/// Into how many pieces the longest share of an NVR's cameras is cut, at the most.
pub(super) const PIECES: i64 = 150;

/// What one camera has to fetch.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    /// Earliest first, without overlaps.
    pub(super) parts: Vec<Part>,
    pub(super) rate: Rate,
}

/// A stretch of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: TimeRange,
    /// Nothing of it starts from here on.
    pub(super) stop_at: Option<UtcSecond>,
}

/// What an NVR works under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// When it begins.
    pub(super) begins: UtcSecond,
    /// Downloads at once.
    pub(super) downloads: usize,
    /// How many times longer everything takes because others want their share.
    pub(super) slowed: f64,
    /// For how many seconds it keeps footage, when that is known.
    pub(super) keeps: Option<i64>,
    /// Whether what is to stop stops, or goes on until all is done.
    pub(super) stops: bool,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    pub(super) begins: Instant,
    /// When the last download has ended.
    pub(super) ends: Instant,
    /// Seconds of downloads, one after the other, were nothing slowed down.
    pub(super) downloading: f64,
    pub(super) bytes: f64,
    pub(super) missed: Missed,
}

impl Course {
    /// How long it took.
    pub(super) fn seconds(&self) -> f64 {
        self.ends.since(self.begins).as_secs_f64()
    }
}

/// What was not fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) lost: Option<Lost>,
    pub(super) left: Option<Left>,
}

/// Works until nothing is left that can be fetched.
pub(super) fn run(cameras: &[Camera], terms: Terms) -> Course {
    let begins = Instant::from(terms.begins);
    let mut course = Course { begins, ends: begins, downloading: 0.0, bytes: 0.0, missed: Missed::default() };
    let mut shares: Vec<Share> = cameras.iter().map(Share::of).collect();
    let longest = shares.iter().map(Share::seconds).max().unwrap_or(0);
    let piece = (longest / PIECES).max(GRID_SECONDS);
    let line_up = |index: usize, share: &Share| Reverse((share.rank(terms.keeps), index));
    let mut waiting: BinaryHeap<_> = shares.iter().enumerate().map(|(index, share)| line_up(index, share)).collect();
    let mut running: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    loop {
        while running.len() < terms.downloads.max(1)
            && let Some(Reverse((_, index))) = waiting.pop()
        {
            if shares[index].pass_over(course.ends, terms, &mut course.missed) {
                waiting.push(line_up(index, &shares[index]));
                continue;
            }
            // OK to drop a camera that has nothing left.
            let Some(fetched) = shares[index].take_piece(piece) else { continue };
            let rate = cameras[index].rate;
            let takes = fetched as f64 * rate.fetch_seconds_per_second;
            course.downloading += takes;
            course.bytes += fetched as f64 * rate.bytes_per_second;
            running.push(Reverse((course.ends + length(takes * terms.slowed), index)));
        }
        let Some(Reverse((ended, index))) = running.pop() else { break };
        course.ends = ended;
        waiting.push(line_up(index, &shares[index]));
    }
    course
}

/// Who is first: with a horizon, whose footage is overwritten soonest; then who has the most left.
type Rank = (Option<UtcSecond>, Reverse<i64>);

/// What is left of a camera's parts.
#[derive(Clone, Debug)]
pub(super) struct Share<'a> {
    first: Option<Part>,
    further: std::slice::Iter<'a, Part>,
    seconds: i64,
}

impl<'a> Share<'a> {
    pub(super) fn of(camera: &'a Camera) -> Self {
        let mut further = camera.parts.iter();
        let first = further.next().copied();
        Self { first, further, seconds: camera.parts.iter().map(|part| part.range.seconds()).sum() }
    }

    /// Seconds of footage in it.
    pub(super) fn seconds(&self) -> i64 {
        self.seconds
    }

    /// What is in it, earliest first.
    pub(super) fn ranges(&self) -> impl Iterator<Item = TimeRange> {
        self.first.iter().chain(self.further.clone()).map(|part| part.range)
    }

    fn rank(&self, keeps: Option<i64>) -> Rank {
        let front = self.first.map(|part| part.range.start());
        (front.filter(|_| keeps.is_some()), Reverse(self.seconds))
    }

    /// Takes out what cannot be fetched any more when `now` has come: what is overwritten, and what has stopped. Says
    /// whether there was any.
    pub(super) fn pass_over(&mut self, now: Instant, terms: Terms, missed: &mut Missed) -> bool {
        let (now, before) = (now.to_utc_second(), self.seconds);
        while let Some(part) = self.first {
            let stop_at = part.stop_at.filter(|_| terms.stops);
            // What is overwritten after its time to stop is left, not lost: what becomes of it is up to the next run.
            let until = stop_at.map_or(now, |stop| stop.min(now));
            let gone = terms.keeps.and_then(|keeps| {
                let gone = TimeRange::new(part.range.start(), part.range.end().min(until - keeps))?;
                Some((gone, keeps))
            });
            if let Some((gone, keeps)) = gone {
                missed.lost = Lost::join(missed.lost, Some(Lost::of(gone, keeps, terms.begins)));
                self.take(gone.seconds());
            } else if let Some(stop) = stop_at.filter(|&stop| stop <= now) {
                let seconds = part.range.seconds();
                missed.left = Left::join(missed.left, Some(Left { seconds, since: stop }));
                self.take(seconds);
            } else {
                break;
            }
        }
        self.seconds < before
    }

    /// Takes what is next, up to the last mark of the grid within so many seconds. Gives how many seconds it is.
    fn take_piece(&mut self, seconds: i64) -> Option<i64> {
        let start = self.first?.range.start();
        // OK because a piece is a window at the least, so there is a mark after the start.
        let mark = (start + seconds).get().div_euclid(GRID_SECONDS) * GRID_SECONDS;
        self.take(UtcSecond::new(mark) - start)
    }

    /// Takes so many seconds from the start of the first part, or what that has. Gives how many.
    fn take(&mut self, seconds: i64) -> Option<i64> {
        let part = self.first?;
        let taken = seconds.min(part.range.seconds());
        let rest = TimeRange::new(part.range.start() + taken, part.range.end());
        self.first = rest.map(|range| Part { range, ..part }).or_else(|| self.further.next().copied());
        self.seconds -= taken;
        Some(taken)
    }
}

/// A number of seconds as a length of time; the longest there is when it is beyond all bounds.
fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
