//! One camera, recorded live: asks for its stream, again and again, for as long as its hours last.

use std::time::Duration;

use chrono_tz::Tz;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::backoff::Delays;
use crate::calendar::{HourSpan, Span, next_span};
use crate::device::DeviceId;
use crate::event::{Event, StopReason};
use crate::outcome::{Attempt, Class, Outcome};
use crate::platform::client::{CallError, PlayOptions};
use crate::platform::live::{self, Offer, Protocol};
use crate::time_range::{TimeRange, UtcSecond};
use crate::untrusted::Untrusted;
use crate::window::{Cause, Window};

use super::pieces::{Origin, Pieces, PlatformClock, Timeline};
use super::{Context, Ended, Failure, flv, hls};

/// How long to wait before a stream that was interrupted is asked for again: at first hardly at all, since each second of it
/// is lost, unless the NVR has it.
const DELAYS: Delays = Delays { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// A stream that brought so many seconds was a good one: the next interruption is the first in a row.
const GOOD_SECONDS: i64 = 60;

/// What the platform's clock may be ahead or behind before it is not believed. It refuses calls long before. **\[doc\]**
const LONGEST_OFFSET: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// A camera that is to be recorded live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Its local time.
    pub zone: Tz,
    /// Its secondary stream instead of the main one.
    pub secondary: bool,
    /// Its daily hours in `zone`; none means all.
    pub hours: Vec<HourSpan>,
    /// When it ends; nothing when it goes on until somebody ends it.
    pub until: Option<UtcSecond>,
}

/// Records a camera in its hours, until they are over or somebody says stop.
pub(super) async fn record(context: &Context, device: DeviceId, camera: &Camera) -> Result<(), Failure> {
    let mut watch = Watch {
        context,
        device,
        camera,
        random: ChaCha8Rng::seed_from_u64(context.job.seed ^ device.get().unsigned_abs()),
        choice: 0,
        failures: 0,
    };
    loop {
        let now = context.tools.clock.now().to_utc_second();
        let Some(span) = next_span(&camera.hours, camera.zone, now, camera.until) else { return Ok(()) };
        if !context.wait_until(span.start.into()).await {
            return Ok(());
        }
        watch.record(span).await?;
        if context.stop.is_cancelled() {
            return Ok(());
        }
    }
}

struct Watch<'a> {
    context: &'a Context,
    device: DeviceId,
    camera: &'a Camera,
    random: ChaCha8Rng,
    /// Which of the platform's URLs is taken, counted from the best.
    choice: usize,
    /// Interruptions in a row.
    failures: u32,
}

impl Watch<'_> {
    /// Records one stretch of time.
    async fn record(&mut self, span: Span) -> Result<(), Failure> {
        let start = span.start.max(self.now());
        let mut timeline = Timeline { covered: start, told: start, ahead: start, until: span.end };
        timeline.ahead = timeline.next_ahead(start);
        self.context.ask(self.device, start, span.end.unwrap_or(timeline.ahead)).await?;
        let streamed = loop {
            if span.end.is_some_and(|end| self.now() >= end) {
                break false;
            }
            let begun = self.context.tools.clock.now();
            let connection = self.connect(&mut timeline).await?;
            let took = self.context.tools.clock.now().since(begun);
            let (why, code) = match connection.ended {
                Ended::Over | Ended::Stopped => break connection.bytes > 0,
                Ended::Refused(error) => return self.refused(&mut timeline, &error).await,
                Ended::NotGiven(error) => (error.to_string(), error.code()),
                Ended::Interrupted(why) => (why, None),
                Ended::Lost { .. } => ("the stream fell behind: footage was left out".to_owned(), None),
            };
            let why = connection.problem.map_or(why.clone(), |problem| format!("{why}; {problem}"));
            self.failures = if connection.archived_seconds >= GOOD_SECONDS { 1 } else { self.failures + 1 };
            let attempt = Attempt {
                started: begun.to_utc_second(),
                milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                bytes: connection.bytes,
                outcome: Outcome::Interrupted,
                code,
                detail: Some(why.clone()),
            };
            self.missed(&mut timeline, attempt).await?;
            let retry = DELAYS.after(self.failures, self.random.random());
            let since = timeline.told;
            self.context.emit(Event::LiveInterrupted { device: self.device, since, why, retry: Some(retry) });
            if !self.context.wait_until(self.context.tools.clock.now() + retry).await {
                break false;
            }
        };
        self.finish(&timeline, span, streamed).await
    }

    fn now(&self) -> UtcSecond {
        self.context.tools.clock.now().to_utc_second()
    }

    /// Writes down that nothing came since the last second that did.
    async fn missed(&self, timeline: &mut Timeline, attempt: Attempt) -> Result<(), Failure> {
        self.context.count_attempt();
        timeline.ahead = timeline.next_ahead(self.now());
        self.context.ask(self.device, timeline.told, timeline.ahead).await?;
        if let Some(range) = TimeRange::new(timeline.told, timeline.ahead) {
            let window = Window { device: self.device, range };
            self.context.tools.ledger.record_missed(self.context.run, window, attempt).await?;
        }
        Ok(())
    }

    /// The platform does not let this account have the camera: it is not asked again before the next of its hours.
    async fn refused(&self, timeline: &mut Timeline, error: &CallError) -> Result<(), Failure> {
        let attempt = Attempt {
            started: self.now(),
            milliseconds: 0,
            bytes: 0,
            outcome: Outcome::Missed(Class::DeviceRefused),
            code: error.code(),
            detail: Some(error.to_string()),
        };
        self.missed(timeline, attempt).await?;
        let (why, since) = (error.to_string(), timeline.told);
        self.context.emit(Event::LiveInterrupted { device: self.device, since, why, retry: None });
        match timeline.until {
            Some(end) => {
                if let Some(rest) = TimeRange::new(timeline.told, end) {
                    let ledger = &self.context.tools.ledger;
                    ledger.mark_missing(self.device, rest.into(), Cause::Refused, self.now()).await?;
                }
                self.context.wait_until(end.into()).await;
            }
            // OK to wait for ever: this is a camera that goes on until somebody ends it.
            None => self.context.stop.cancelled().await,
        }
        Ok(())
    }

    /// Says what becomes of the time that was asked for and has not come. `streamed`: there was a stream to the last.
    async fn finish(&self, timeline: &Timeline, span: Span, streamed: bool) -> Result<(), Failure> {
        let ledger = &self.context.tools.ledger;
        let from = if streamed { timeline.told } else { timeline.told.max(self.now()) };
        match (TimeRange::new(from, span.end.unwrap_or(timeline.ahead)), span.end) {
            (None, _) => {}
            // Somebody ended it: what was asked for ends there.
            (Some(rest), None) => ledger.withdraw(self.device, rest).await?,
            (Some(rest), Some(_)) => {
                let cause = if self.context.stop.is_cancelled() { Cause::NotTried } else { Cause::LiveInterrupted };
                ledger.mark_missing(self.device, rest.into(), cause, self.now()).await?;
            }
        }
        Ok(())
    }

    /// Asks for the stream once, and records it to its end.
    async fn connect(&mut self, timeline: &mut Timeline) -> Result<Connection, Failure> {
        let options = PlayOptions { secondary: self.camera.secondary, standing_until: timeline.until };
        let client = &self.context.tools.client;
        let play = tokio::select! {
            biased;
            () = self.context.stop.cancelled() => return Ok(Connection::without(Ended::Stopped)),
            play = client.start_play(self.device, options) => play,
        };
        let play = match play {
            Ok(play) => play,
            Err(error) => {
                return match error.class() {
                    Class::AccountRefused => Err(Failure::Stop(StopReason::AccountRefused(error.to_string()))),
                    Class::UserRefused | Class::DeviceRefused => Ok(Connection::without(Ended::Refused(error))),
                    _ => Ok(Connection::without(Ended::NotGiven(error))),
                };
            }
        };
        let time = self.platform_clock().await;
        let offers: Vec<Offer> = live::offers(&play).into_iter().filter(Offer::is_recordable).collect();
        let Some(offer) = offers.get(self.choice % offers.len().max(1)) else {
            let codec = Untrusted::new(&play.vencodingname);
            let why = format!("the platform offers neither FLV nor HLS of this stream, whose pictures are {codec:?}");
            return Ok(Connection::without(Ended::interrupted(why)));
        };
        let connection = self.follow(offer, &Untrusted::new(&play.vencodingname), time, timeline).await?;
        if connection.bytes == 0 || connection.problem.is_some() {
            // What was promised is not what came: another of the URLs may do better.
            self.choice += 1;
        }
        Ok(connection)
    }

    async fn follow(
        &self,
        offer: &Offer,
        said: &Untrusted,
        time: PlatformClock,
        timeline: &mut Timeline,
    ) -> Result<Connection, Failure> {
        let url = match offer.playable() {
            Ok(url) => url,
            Err(error) => return Ok(Connection::without(Ended::interrupted(error.to_string()))),
        };
        let context = self.context;
        let origin = Origin { device: self.device, zone: self.camera.zone, via: offer.name, said: said.clone() };
        let mut pieces = Pieces::new(context, origin, time, timeline);
        let ended = match offer.protocol {
            Protocol::Hls => hls::record(context, url, &mut pieces).await?,
            _ => flv::record(context, &url, &mut pieces).await?,
        };
        let known_until = match ended {
            Ended::Lost { known_until } => Some(known_until),
            _ => None,
        };
        pieces.end(known_until).await?;
        let Pieces { archived_seconds, bytes, problem, .. } = pieces;
        Ok(Connection { ended, archived_seconds, bytes, problem })
    }

    /// The platform's clock as its last answer showed it.
    async fn platform_clock(&self) -> PlatformClock {
        let offset = self.context.tools.client.measured_offset().await.filter(|offset| offset.abs() <= LONGEST_OFFSET);
        PlatformClock {
            clock: self.context.tools.clock.set_again(),
            offset: offset.map(|offset| offset.num_milliseconds()),
        }
    }
}

/// What asking once for a stream came to.
struct Connection {
    ended: Ended,
    archived_seconds: i64,
    bytes: u64,
    /// Why something of it could not be kept.
    problem: Option<String>,
}

impl Connection {
    fn without(ended: Ended) -> Self {
        Self { ended, archived_seconds: 0, bytes: 0, problem: None }
    }
}
