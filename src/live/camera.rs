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
use crate::instant::Instant;
use crate::live_timeline::{Timeline, last_mark};
use crate::outcome::{Attempt, Class, Code, Outcome};
use crate::platform::client::PlayOptions;
use crate::platform::live::{self, Offer, Protocol};
use crate::platform::wire::Play;
use crate::time_range::{TimeRange, UtcSecond};
use crate::untrusted::Untrusted;
use crate::window::{Cause, Window};

use super::pieces::{Origin, Pieces};
use super::{Context, Ended, Failure, flv, hls};

/// How long to wait before a stream that was interrupted is asked for again: at first hardly at all, since each second of it
/// is lost, unless the NVR has it.
const DELAYS: Delays = Delays { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// A stream that brought so many seconds was a good one: the next interruption is the first in a row.
const GOOD_SECONDS: i64 = 60;

/// How long to wait before a camera that the platform refuses is asked for again: somebody may have given it to the account.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);

/// A stretch of hours that begins so many seconds later than thought is waited for, once the platform has told the time.
const EARLY: i64 = 5;

/// What a stream brought so many seconds before it was ended is all that there was by then: the rest was on its way.
const JUST_NOW: i64 = 15;

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
    /// Whether that was reckoned from now on this machine's clock, so that it moves with what the platform's says.
    pub until_is_relative: bool,
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
        outage: None,
    };
    loop {
        let now = context.now();
        let Some(span) = watch.next_span(now) else { return Ok(()) };
        if !context.wait_until(span.start.into()).await {
            return Ok(());
        }
        watch.record(span, span.start <= now).await?;
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
    /// What the ledger was told last, while nothing comes.
    outage: Option<Outage>,
}

/// That nothing comes, as the ledger was told: of one stretch up to a mark, why. A camera may be off for months, so what is the
/// same is said once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outage {
    up_to: UtcSecond,
    outcome: Outcome,
    code: Option<Code>,
}

impl Watch<'_> {
    /// The hours that go on at that time, or come next.
    fn next_span(&self, now: UtcSecond) -> Option<Span> {
        let moved = if self.camera.until_is_relative { self.context.clock.first_offset() } else { 0 };
        next_span(&self.camera.hours, self.camera.zone, now, self.camera.until.map(|until| until + moved))
    }

    /// Records one stretch of time. `at_once`: it began when it was thought of, and not by the clock.
    async fn record(&mut self, span: Span, at_once: bool) -> Result<(), Failure> {
        let (clock, begun) = (self.context.tools.clock, self.context.tools.clock.now());
        let mut asked = Some(self.ask(span.end).await?);
        // The first answer told what time it is, so the hours are looked up once more.
        let began = (self.context.now_exactly() - clock.now().since(begun)).to_utc_second();
        let at = if at_once { began } else { began.max(span.start) };
        let span = match self.next_span(at) {
            Some(span) if span.start <= began + EARLY => span,
            _ => return Ok(()),
        };
        let mut timeline = Timeline::new(span.start, span.end);
        self.context.ask(self.device, span.start, span.end.unwrap_or(timeline.ahead)).await?;
        let streamed = loop {
            if span.end.is_some_and(|end| self.context.now() >= end) {
                break None;
            }
            let begun = clock.now();
            let asked = match asked.take() {
                Some(asked) => asked,
                None => self.ask(span.end).await?,
            };
            timeline.heed(self.context.now());
            let connection = match asked {
                Asked::Given(play) => self.connect(&play, &mut timeline).await?,
                Asked::Ended(ended) => Connection::without(ended),
            };
            let took = clock.now().since(begun);
            let (outcome, why, code) = match connection.ended {
                Ended::Over | Ended::Stopped => break connection.streamed_until,
                Ended::Refused(error) => (Outcome::Missed(Class::DeviceRefused), error.to_string(), error.code()),
                Ended::NotGiven(error) => (Outcome::Interrupted, error.to_string(), error.code()),
                Ended::Interrupted(why) => (Outcome::Interrupted, why, None),
                Ended::Lost { .. } => {
                    (Outcome::Interrupted, "the stream fell behind: footage was left out".to_owned(), None)
                }
            };
            let why = connection.problem.map_or(why.clone(), |problem| format!("{why}; {problem}"));
            if connection.archived_seconds > 0 {
                self.outage = None;
            }
            self.failures = if connection.archived_seconds >= GOOD_SECONDS { 1 } else { self.failures + 1 };
            let retry = match outcome {
                Outcome::Interrupted => DELAYS.after(self.failures, self.random.random()),
                _ => REFUSED_PAUSE,
            };
            let attempt = Attempt {
                started: self.context.now(),
                milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                bytes: connection.bytes,
                outcome,
                code,
                detail: Some(why),
            };
            if connection.bytes > 0 {
                // The ledger was told that it is being recorded.
                self.mark(&mut timeline).await?;
            }
            self.missed(&mut timeline, attempt, retry).await?;
            if !self.pause(&mut timeline, retry).await? {
                break None;
            }
        };
        self.finish(&mut timeline, streamed).await?;
        if let Some(end) = span.end {
            // Whatever the clocks of machine and platform say: this stretch is over.
            self.context.wait_until(end.into()).await;
        }
        Ok(())
    }

    /// Writes down that nothing comes, and tells whoever displays the run.
    async fn missed(&mut self, timeline: &mut Timeline, attempt: Attempt, retry: Duration) -> Result<(), Failure> {
        self.context.count_attempt();
        let now = self.context.now();
        timeline.look_ahead(now);
        let why = attempt.detail.clone().unwrap_or_default();
        let outage = Outage { up_to: timeline.ahead, outcome: attempt.outcome.clone(), code: attempt.code };
        if self.outage.as_ref() == Some(&outage) {
            return Ok(());
        }
        self.context.ask(self.device, timeline.told, timeline.ahead).await?;
        if let Some(range) = TimeRange::new(timeline.told, timeline.ahead) {
            let window = Window { device: self.device, range };
            let (context, ledger) = (self.context, &self.context.tools.ledger);
            context.tell(self.device, || ledger.record_missed(context.run, window, attempt.clone())).await?;
        }
        let since = timeline.told;
        self.context.emit(Event::LiveInterrupted { device: self.device, since, why, retry });
        timeline.told = timeline.told.max(last_mark(now));
        self.outage = Some(outage);
        Ok(())
    }

    /// Waits for so long, and keeps the ledger up to date meanwhile. False when somebody said stop.
    async fn pause(&self, timeline: &mut Timeline, length: Duration) -> Result<bool, Failure> {
        let context = self.context;
        let end = timeline.until.map(Instant::from);
        let over = context.now_exactly() + length;
        let over = end.map_or(over, |end| over.min(end));
        loop {
            let next = over.min(timeline.ahead.into());
            if !context.wait_until(next).await {
                return Ok(false);
            }
            if next == over {
                return Ok(true);
            }
            // A mark has passed.
            timeline.look_ahead(context.now());
            self.mark(timeline).await?;
        }
    }

    /// Says of what was asked for of the near future, and of what came before it, why it does not come.
    async fn mark(&self, timeline: &mut Timeline) -> Result<(), Failure> {
        let Some(range) = TimeRange::new(timeline.told, timeline.ahead) else { return Ok(()) };
        self.context.ask(self.device, range.start(), range.end()).await?;
        let cause = self.outage.as_ref().and_then(|outage| outage.outcome.cause()).unwrap_or(Cause::LiveInterrupted);
        let now = self.context.now();
        let ledger = &self.context.tools.ledger;
        self.context.tell(self.device, || ledger.mark_missing(self.device, range.into(), cause, now)).await?;
        timeline.told = timeline.told.max(last_mark(now));
        Ok(())
    }

    /// Says what becomes of the time that was asked for and has not come. `streamed`: until when there was a stream, if there
    /// was one to the last.
    async fn finish(&mut self, timeline: &mut Timeline, streamed: Option<UtcSecond>) -> Result<(), Failure> {
        let in_time = |at: UtcSecond| timeline.until.map_or(at, |until| at.min(until));
        let now = in_time(self.context.now());
        // A stream that hung for a while before the end did not come all the same. How long publishing took is not its fault.
        let streamed = streamed.is_some_and(|until| in_time(until) - timeline.told <= JUST_NOW);
        let from = if streamed { timeline.told } else { timeline.told.max(now) };
        if !streamed {
            timeline.look_ahead(now);
            self.mark(timeline).await?;
        }
        let rest = TimeRange::new(from, timeline.until.unwrap_or(timeline.ahead));
        self.outage = None;
        let (context, ledger, device) = (self.context, &self.context.tools.ledger, self.device);
        match (rest, timeline.until) {
            (None, _) => {}
            // Somebody ended it: what was asked for ends there.
            (Some(rest), None) => context.tell(device, || ledger.withdraw(device, rest)).await?,
            (Some(rest), Some(_)) => {
                let cause = if context.stop.is_cancelled() { Cause::NotTried } else { Cause::LiveInterrupted };
                context.tell(device, || ledger.mark_missing(device, rest.into(), cause, now)).await?;
            }
        }
        Ok(())
    }

    /// Asks for the stream's URLs, and learns what time it is.
    async fn ask(&self, standing_until: Option<UtcSecond>) -> Result<Asked, Failure> {
        let options = PlayOptions { secondary: self.camera.secondary, standing_until };
        let play = tokio::select! {
            biased;
            () = self.context.stop.cancelled() => return Ok(Asked::Ended(Ended::Stopped)),
            play = self.context.tools.client.start_play(self.device, options) => play,
        };
        self.context.learn_time().await;
        match play {
            Ok(play) => Ok(Asked::Given(play)),
            Err(error) => match error.class() {
                Class::AccountRefused => Err(Failure::Stop(StopReason::AccountRefused(error.to_string()))),
                Class::UserRefused | Class::DeviceRefused => Ok(Asked::Ended(Ended::Refused(error))),
                _ => Ok(Asked::Ended(Ended::NotGiven(error))),
            },
        }
    }

    /// Records the stream to its end.
    async fn connect(&mut self, play: &Play, timeline: &mut Timeline) -> Result<Connection, Failure> {
        let offers: Vec<Offer> = live::offers(play).into_iter().filter(Offer::is_recordable).collect();
        let said = Untrusted::new(&play.vencodingname);
        let Some(offer) = offers.get(self.choice % offers.len().max(1)) else {
            let why = format!("the platform offers neither FLV nor HLS of this stream, whose pictures are {said:?}");
            return Ok(Connection::without(Ended::interrupted(why)));
        };
        let connection = self.follow(offer, &said, timeline).await?;
        if connection.bytes == 0 || connection.problem.is_some() {
            // What was promised is not what came: another of the URLs may do better.
            self.choice += 1;
        }
        Ok(connection)
    }

    async fn follow(&self, offer: &Offer, said: &Untrusted, timeline: &mut Timeline) -> Result<Connection, Failure> {
        let url = match offer.playable() {
            Ok(url) => url,
            Err(error) => return Ok(Connection::without(Ended::interrupted(error.to_string()))),
        };
        let context = self.context;
        let origin = Origin { device: self.device, zone: self.camera.zone, via: offer.name, said: said.clone() };
        let mut pieces = Pieces::new(context, origin, context.clock.get(), timeline);
        let ended = match offer.protocol {
            Protocol::Hls => hls::record(context, url, &mut pieces).await?,
            _ => flv::record(context, &url, &mut pieces).await?,
        };
        let known_until = match ended {
            Ended::Lost { known_until } => Some(known_until),
            _ => None,
        };
        let now = context.now();
        pieces.end(known_until).await?;
        let Pieces { archived_seconds, bytes, problem, .. } = pieces;
        Ok(Connection { ended, streamed_until: (bytes > 0).then_some(now), archived_seconds, bytes, problem })
    }
}

/// What the platform answered.
enum Asked {
    Given(Play),
    Ended(Ended),
}

/// What asking once for a stream came to.
struct Connection {
    ended: Ended,
    /// When it ended, if anything came.
    streamed_until: Option<UtcSecond>,
    archived_seconds: i64,
    bytes: u64,
    /// Why something of it could not be kept.
    problem: Option<String>,
}

impl Connection {
    fn without(ended: Ended) -> Self {
        Self { ended, streamed_until: None, archived_seconds: 0, bytes: 0, problem: None }
    }
}
