//! The pieces into which a live stream is cut, from their first byte to their row in the ledger.
//!
//! A piece is claimed for no more than it certainly holds: from its first whole second to its last, never beyond where its
//! stream fell behind, never beyond its footage. What it holds besides is said in its note.

use std::time::Duration;

use chrono_tz::Tz;

use crate::adopt;
use crate::adopt::live::{Claim, Complete, Done};
use crate::container::Examiner;
use crate::device::DeviceId;
use crate::event::{Event, Recovery};
use crate::flv::Seam;
use crate::instant::Instant;
use crate::live_clock::{self, LiveClock};
use crate::live_timeline::{Came, Timeline, next_mark};
use crate::outcome::{Attempt, Outcome};
use crate::publish;
use crate::recording::{Container, VideoCodec};
use crate::time_range::{GRID_SECONDS, TimeRange, UtcSecond};
use crate::untrusted::Untrusted;
use crate::vault::{LivePiece, Staging, VaultError};
use crate::window::{Cause, Window};

use super::clock::PlatformClock;
use super::{Context, Failure};

/// How often what came is handed to the system, so that a crash of this process leaves it behind.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// By how much the time of a stream's first picture may be told anew before its staging file's name follows, in milliseconds.
const RENAME_FROM: u64 = 250;

/// How long after a mark a keyframe is waited for, in milliseconds. There are cameras that send hardly any, but each begins a
/// stream with one.
const KEYFRAME_PATIENCE: i64 = 60_000;

/// How a piece begins.
pub(super) struct Begin {
    pub(super) container: Container,
    /// When what it begins with came.
    pub(super) arrival: Instant,
    /// Its first picture, in milliseconds of the stream's clock.
    pub(super) media: i64,
    /// How it follows the piece before.
    pub(super) seam: Seam,
    /// The last picture before it, if that came with it.
    pub(super) before: Option<i64>,
    /// In steps of how many milliseconds the stream comes; 0 when picture by picture.
    pub(super) step: i64,
}

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The camera.
    pub(super) device: DeviceId,
    /// Its local time.
    pub(super) zone: Tz,
    /// The platform's name of the URL.
    pub(super) via: &'static str,
    /// How its pictures are coded, as the platform says.
    pub(super) said: Untrusted,
}

/// One stream's pieces.
pub(super) struct Pieces<'a> {
    context: &'a Context,
    origin: Origin,
    time: PlatformClock,
    timeline: &'a mut Timeline,
    clock: Option<LiveClock>,
    open: Option<Open>,
    closed: Vec<Closed>,
    /// Where the next cut is due.
    mark: Option<UtcSecond>,
    /// Whether the ledger is still to be told of what is open, and what happened just before, if anything did.
    untold: Option<Option<String>>,
    /// How often this run had joined those of other machines when the ledger was told last.
    joins: u64,
    codec: Option<VideoCodec>,
    /// Seconds that were archived of it.
    pub(super) archived_seconds: i64,
    /// Bytes that came.
    pub(super) bytes: u64,
    /// Why a piece could not be kept, if one could not.
    pub(super) problem: Option<String>,
}

/// The piece that is coming in.
struct Open {
    staging: Staging,
    examiner: Examiner,
    piece: LivePiece,
    /// Its first picture, in milliseconds of the stream's clock.
    begins: i64,
    /// The second with which it begins, when that is where the piece before ended.
    joined: Option<UtcSecond>,
    /// How its pictures are coded, once it is known.
    codec: Option<VideoCodec>,
    flushed: tokio::time::Instant,
}

/// A piece that is complete, and the time that it is claimed for, if it holds a second.
struct Closed {
    complete: Complete,
    claimed: Option<TimeRange>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(context: &'a Context, origin: Origin, time: PlatformClock, timeline: &'a mut Timeline) -> Self {
        Self {
            context,
            origin,
            time,
            timeline,
            clock: None,
            open: None,
            closed: Vec::new(),
            mark: None,
            untold: None,
            joins: context.presence.joins(),
            codec: None,
            archived_seconds: 0,
            bytes: 0,
            problem: None,
        }
    }

    /// The platform's time.
    pub(super) fn now(&self) -> Instant {
        self.time.now()
    }

    /// Where the stream comes from: the camera, the platform's name of the URL, and of the codec.
    pub(super) fn origin(&self) -> (DeviceId, &'static str, Untrusted) {
        (self.origin.device, self.origin.via, self.origin.said.clone())
    }

    /// A new piece begins.
    pub(super) fn begin(&mut self, begin: Begin) -> Result<(), VaultError> {
        let Begin { container, arrival, media, seam, before, step } = begin;
        let leaps = match seam {
            Seam::First | Seam::Hole => true,
            Seam::Mark | Seam::Changed => false,
        };
        if let (Some(clock), Some(before)) = (&mut self.clock, before) {
            clock.heard(arrival, before);
        }
        let ended = self.close((!leaps).then_some(media), true);
        let joined = ended.filter(|_| !leaps);
        let clock = match self.clock.filter(|_| !leaps) {
            Some(clock) => clock,
            None => LiveClock::start(arrival, media, step),
        };
        self.clock = Some(clock);
        let start = joined.map_or_else(|| clock.time_of(media), Instant::from);
        let second = start.to_utc_second();
        // A cut is made a little after its mark: the next one is due ten minutes after the mark all the same.
        let follows = |mark: &UtcSecond| seam == Seam::Mark && *mark + GRID_SECONDS > second;
        self.mark = Some(self.mark.filter(follows).map_or_else(|| next_mark(second), |mark| mark + GRID_SECONDS));
        let (device, clock_offset, number) = (self.origin.device, self.time.offset, self.context.next_number());
        let piece = LivePiece { device, start, clock_offset, number, container };
        let staging = self.context.tools.vault.stage_live(&piece)?;
        self.open = Some(Open {
            staging,
            examiner: Examiner::new(container),
            piece,
            begins: media,
            joined,
            codec: None,
            flushed: tokio::time::Instant::now(),
        });
        self.untold = Some((seam == Seam::Hole).then(|| "the stream left footage out".to_owned()));
        Ok(())
    }

    /// What holds the piece that is coming in; nothing when there is none.
    pub(super) fn container(&self) -> Option<Container> {
        self.open.as_ref().map(|open| open.piece.container)
    }

    /// The next bytes of the piece.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.bytes += bytes.len() as u64;
        let Some(open) = &mut self.open else { return Ok(()) };
        open.examiner.push(bytes);
        open.staging.append(bytes)?;
        if open.flushed.elapsed() >= FLUSH_PAUSE {
            open.staging.flush()?;
            open.flushed = tokio::time::Instant::now();
        }
        Ok(())
    }

    /// The stream is there up to `media` at `arrival`.
    pub(super) fn heard(&mut self, arrival: Instant, media: i64) -> Result<(), VaultError> {
        let (Some(clock), Some(open)) = (&mut self.clock, &mut self.open) else { return Ok(()) };
        clock.heard(arrival, media);
        let begins = clock.time_of(open.begins);
        let is_told_anew = begins.as_millis().abs_diff(open.piece.start.as_millis()) >= RENAME_FROM;
        if open.joined.is_none() && is_told_anew {
            open.piece.start = begins;
            open.staging.rename_live(&open.piece)?;
        }
        Ok(())
    }

    /// Publishes what is complete, and tells the ledger what is open.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        // Whoever took this run for dead has taken back what it said.
        let joins = self.context.presence.joins();
        let has_joined_again = joins != self.joins;
        self.joins = joins;
        let is_short = || self.timeline.is_short(self.now().to_utc_second());
        if self.untold.is_none() && self.open.is_some() && (has_joined_again || is_short()) {
            self.untold = Some(None);
        }
        for closed in std::mem::take(&mut self.closed) {
            self.publish(closed).await?;
        }
        self.tell().await
    }

    /// Ends the stream: what is open is published. `known_until` is the last media of which the time is known, when that is not
    /// the last that came.
    pub(super) async fn end(&mut self, known_until: Option<i64>) -> Result<(), Failure> {
        self.close(known_until, false);
        self.untold = None;
        self.settle().await
    }

    /// No piece that is still to come is claimed for anything before this.
    pub(super) fn covered(&self) -> UtcSecond {
        self.timeline.covered
    }

    /// The media at which the next cut is due; nothing before the first piece, and while the stream is late: then nobody can
    /// tell yet what a cut would be dated.
    pub(super) fn next_cut(&self) -> Option<i64> {
        let clock = self.clock.filter(|clock| !clock.is_late())?;
        Some(clock.media_at(self.mark?))
    }

    /// Whether a cut has been due for longer than anybody should have to wait for a keyframe.
    pub(super) fn waits_in_vain(&self, media: i64) -> bool {
        self.next_cut().is_some_and(|due| media.saturating_sub(due) >= KEYFRAME_PATIENCE)
    }

    /// Whether the stream has come to the end of what is asked for.
    pub(super) fn is_over(&self, media: i64) -> bool {
        let shows = self.clock.map(|clock| clock.time_of(media).to_utc_second());
        self.timeline.until.zip(shows).is_some_and(|(until, shows)| shows >= until)
    }

    /// When the stream has fallen behind for good: the last media of which the time is known.
    pub(super) fn lost_after(&self, now: Instant) -> Option<i64> {
        self.clock.and_then(|clock| clock.lost_after(now))
    }

    /// How the pictures that come are coded; the first time that it is known, `Ok` of it, and from then on an error if it is
    /// another.
    pub(super) fn codec(&mut self) -> Result<Option<VideoCodec>, String> {
        let Some(open) = self.open.as_mut().filter(|open| open.codec.is_none()) else { return Ok(None) };
        open.codec = open.examiner.examined().media.video_codec;
        match (self.codec, open.codec) {
            (None, Some(codec)) => {
                self.codec = Some(codec);
                Ok(Some(codec))
            }
            (Some(before), Some(codec)) if before != codec => {
                Err(format!("the codec changed from {before} to {codec}"))
            }
            _ => Ok(None),
        }
    }

    /// Completes the open piece: it goes on to `end`, or as far as its footage does. Gives the second in which that is. `goes_on`:
    /// the stream does, and its clock is to be kept to.
    fn close(&mut self, end: Option<i64>, goes_on: bool) -> Option<UtcSecond> {
        let (open, clock) = (self.open.take()?, self.clock.as_mut()?);
        let examined = open.examiner.examined();
        let footage = examined.media.media_milliseconds;
        let begins = clock.time_of(open.begins);
        if goes_on && end.is_some() && !clock.is_late() {
            clock.follow();
        }
        let ends = clock.time_of(end.unwrap_or_else(|| open.begins.saturating_add(footage)));
        let came = Came { begins, joined: open.joined, ends, footage: Duration::from_millis(footage.unsigned_abs()) };
        let claimed = self.timeline.claim(&came, self.context.job.tolerance_seconds);
        let piece = LivePiece { start: begins, ..open.piece };
        self.closed.push(Closed { complete: Complete { staging: open.staging, examined, piece }, claimed });
        Some(ends.to_utc_second())
    }

    async fn publish(&mut self, closed: Closed) -> Result<(), Failure> {
        let Closed { complete, claimed } = closed;
        if let Some(problem) = &complete.examined.problem {
            self.problem = Some(problem.clone());
        }
        let Some(claimed) = claimed else {
            // Not a second of it.
            return Ok(complete.staging.discard()?);
        };
        self.mark_gap(claimed.start(), None).await?;
        if complete.examined.problem.is_some() {
            complete.staging.discard()?;
            return self.mark_gap(claimed.end(), None).await;
        }
        let tools = &self.context.tools;
        let claim = Claim {
            range: claimed,
            zone: self.origin.zone,
            now: self.now().to_utc_second(),
            tolerance_seconds: self.context.job.tolerance_seconds,
        };
        match adopt::live::publish(&tools.ledger, &tools.vault, complete, claim).await? {
            Done::Published(publish::Done::Archived { recording, set_aside, .. }) => {
                if let Some(path) = set_aside {
                    self.context.emit(Event::Recovered(Recovery::unknown_file(path)));
                }
                let (range, bytes) = (recording.range, recording.bytes);
                self.archived_seconds += range.seconds();
                self.context.count(range, bytes);
                self.context.emit(Event::LiveArchived { recording });
            }
            Done::Published(publish::Done::Overtaken(recovery)) => self.context.emit(Event::Recovered(recovery)),
            Done::Superfluous => {}
        }
        // Whatever of the claim is not archived did not come, as far as the ledger is concerned.
        self.mark_gap(claimed.end(), None).await
    }

    /// Tells the ledger that what is open is being recorded, and of the gap before it.
    async fn tell(&mut self) -> Result<(), Failure> {
        let (Some(why), Some(open), Some(clock)) = (self.untold.take(), &self.open, self.clock) else { return Ok(()) };
        let begins = open.joined.unwrap_or_else(|| live_clock::ceil(clock.time_of(open.begins)));
        let begins = begins.max(self.timeline.covered);
        let now = self.now().to_utc_second();
        self.timeline.look_ahead(begins.max(now));
        self.context.ask(self.origin.device, self.timeline.told, self.timeline.ahead).await?;
        self.mark_gap(begins, why).await?;
        if let Some(rest) = TimeRange::new(begins, self.timeline.ahead) {
            let (ledger, device) = (&self.context.tools.ledger, self.origin.device);
            let tell = || ledger.mark_missing(device, rest.into(), Cause::BeingRecorded, now);
            self.context.tell(device, tell).await?;
        }
        self.context.check_free_space()
    }

    /// Tells the ledger that what is missing up to `end`, and is not told of yet, did not come.
    async fn mark_gap(&mut self, end: UtcSecond, why: Option<String>) -> Result<(), Failure> {
        let Some(gap) = TimeRange::new(self.timeline.told, end) else { return Ok(()) };
        let (ledger, device, now) = (&self.context.tools.ledger, self.origin.device, self.now());
        match why {
            Some(why) => {
                let attempt = Attempt {
                    started: now.to_utc_second(),
                    milliseconds: 0,
                    bytes: 0,
                    outcome: Outcome::Interrupted,
                    code: None,
                    detail: Some(why),
                };
                let window = Window { device, range: gap };
                let tell = || ledger.record_missed(self.context.run, window, attempt.clone());
                self.context.tell(device, tell).await?;
            }
            None => {
                let tell = || ledger.mark_missing(device, gap.into(), Cause::LiveInterrupted, now.to_utc_second());
                self.context.tell(device, tell).await?;
            }
        }
        self.timeline.told = end;
        Ok(())
    }
}
