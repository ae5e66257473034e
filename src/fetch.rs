//! One attempt at a window: ask for the URL, stream, check, judge. What is worth it is then published: [`crate::publish`].
//!
//! Everything that can go wrong with the platform, the network or the stream is an [`Outcome`]; only a disk that fails is
//! an error, because no other window would fare better.

mod limit;
mod lull;
mod sink;
mod throttle;
mod transfer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use crate::bandwidth::Ceilings;
use crate::calendar;
use crate::clock::WallClock;
use crate::flv;
use crate::judge::{self, Judgement};
use crate::mac::UrlMacs;
use crate::outcome::{Attempt, Class, Code, Outcome};
use crate::platform::client::{CallError, Client};
use crate::platform::media::{MediaClient, MediaError};
use crate::publish::{Ready, blocking};
use crate::recording::{Container, Source};
use crate::time_range::{TimeRange, UtcSecond};
use crate::transfers::Transfers;
use crate::vault::{Named, Vault, VaultError};
use crate::window::Window;

use transfer::{Mover, Streamed};

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The platform has given a URL.
    UrlGiven,
    /// Media came.
    Streamed {
        /// Milliseconds of footage so far.
        media_milliseconds: i64,
        /// Bytes so far.
        bytes: u64,
    },
}

/// Who is told how far an attempt has come.
pub type Progress = dyn Fn(Step) + Send + Sync;

/// What one attempt gave.
#[derive(Debug)]
pub struct Fetched {
    /// For the ledger.
    pub attempt: Attempt,
    /// What is to be published, when anything is: the whole window or its first part.
    pub ready: Option<Ready>,
    /// The two addresses in the media URL's name, when it gave any.
    pub macs: Option<UrlMacs>,
}

/// How attempts are made.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How much shorter than its window a recording may be, in seconds.
    pub tolerance_seconds: i64,
    /// How long to wait before a file that ended too early is asked for the rest of it.
    pub growth_pause: Duration,
}

/// Makes attempts. Shared by all of a run's downloads.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    mover: Mover,
    transfers: Transfers,
    tolerance_seconds: i64,
    /// By which attempts and recordings are dated: it does not jump when the machine's does.
    clock: WallClock,
}

impl Fetcher {
    /// Makes attempts through `client` and `media` into `vault`, with their streams on the threads of `transfers`. All
    /// streams together keep to `ceilings`.
    pub fn new(
        client: Client,
        media: MediaClient,
        vault: Vault,
        manner: Manner,
        ceilings: Ceilings,
        transfers: Transfers,
    ) -> Self {
        let mover = Mover::new(media, vault, manner, ceilings);
        Self { client, mover, transfers, tolerance_seconds: manner.tolerance_seconds, clock: WallClock::start() }
    }

    /// Says how many hosts call for the account now: its ceiling of calls per second is divided among them.
    pub async fn share_calls(&self, hosts: usize) {
        self.client.share_calls(u32::try_from(hosts).unwrap_or(u32::MAX)).await;
    }

    /// One attempt at `window`. `zone` is the device's local time, for the file's name. `progress` is told when the
    /// platform has given a URL, and how much has come while it streams. When `stop` is cancelled, what has come is kept
    /// if it is a minute or more.
    pub async fn fetch(
        &self,
        window: Window,
        zone: Tz,
        stop: &CancellationToken,
        progress: Arc<Progress>,
    ) -> Result<Fetched, VaultError> {
        let (begun, started) = (Instant::now(), self.clock.now().to_utc_second());
        let mut fetched = self.attempt(window, zone, stop, progress).await?;
        fetched.attempt.started = started;
        fetched.attempt.milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(fetched)
    }

    async fn attempt(
        &self,
        window: Window,
        zone: Tz,
        stop: &CancellationToken,
        progress: Arc<Progress>,
    ) -> Result<Fetched, VaultError> {
        let url = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(nothing(Outcome::Cancelled, 0, None, None)),
            url = self.ask(window) => match url {
                Ok(url) => url,
                Err(error) => return Ok(missed(&error)),
            },
        };
        progress(Step::UrlGiven);
        let streaming = self.mover.clone().stream(url.clone(), window, stop.clone(), progress);
        let streamed = self.transfers.run(streaming).await?;
        let stopped = streamed.cut || stop.is_cancelled();
        let fetched = self.settle(window, zone, streamed, stopped).await;
        Ok(Fetched { macs: UrlMacs::of_url(&url), ..fetched })
    }

    async fn ask(&self, window: Window) -> Result<String, CallError> {
        let (start, end) = calendar::platform_labels(window.range, self.client.account().time_zone);
        self.client.start_download(window.device, start, end).await
    }

    /// Judges what came: what is worth it is ready to be published.
    async fn settle(&self, window: Window, zone: Tz, streamed: Streamed, stopped: bool) -> Fetched {
        let report = streamed.parser.report();
        let bytes = streamed.staging.bytes();
        let tolerance = self.tolerance_seconds;
        let judgement = judge::judge(&report, streamed.ending, window.range.seconds(), tolerance);
        let keep = match judgement {
            Judgement::Whole { good_bytes } => Some((window.range, good_bytes)),
            Judgement::Cut { good_bytes, media_milliseconds } => {
                kept_range(window.range, media_milliseconds, tolerance).map(|kept| (kept, good_bytes))
            }
            _ => None,
        };
        let Some((kept, good_bytes)) = keep else {
            let cancelled = || nothing(Outcome::Cancelled, bytes, None, None);
            let fetched = if stopped { cancelled() } else { not_kept(judgement, bytes, &streamed) };
            blocking(move || drop(streamed.staging)).await;
            return fetched;
        };
        let outcome = if kept == window.range { Outcome::Archived } else { Outcome::Prefix { until: kept.end() } };
        let mut fetched = nothing(outcome, bytes, streamed.code(), streamed.detail());
        fetched.ready = Some(Ready {
            staging: streamed.staging,
            good_bytes,
            named: Named { device: window.device, range: kept, source: Source::Nvr, container: Container::Flv },
            zone,
            media: report.media_facts(),
            clock_offset: None,
            now: self.clock.now().to_utc_second(),
            note: note(kept, kept != window.range, &report, self.client.account().time_zone, tolerance),
        });
        fetched
    }
}

/// What a person should know before trusting a recording. `platform_zone` is where the platform reads labels.
pub(crate) fn note(
    range: TimeRange,
    is_prefix: bool,
    report: &flv::Report,
    platform_zone: Tz,
    tolerance: i64,
) -> String {
    let mut notes = Vec::new();
    if is_prefix {
        // A recorder may leave a hole out without a trace, so what follows one comes early.
        notes.push("the stream broke off: its footage lies here only if the recorder has no hole in it".to_owned());
    }
    if calendar::label_exists_twice(range, platform_zone) {
        notes.push("its local time exists twice: the platform may have answered with the other hour".to_owned());
    }
    let footage = report.footage_milliseconds();
    if footage > (range.seconds() + tolerance) * 1000 && !is_prefix {
        notes.push(format!("it holds {} s of footage, more than its time", footage / 1000));
    }
    let stream = judge::notes(report, tolerance);
    if !stream.is_empty() {
        notes.push(stream);
    }
    notes.join("; ")
}

/// The first part of a window of which that much footage is good; nothing when it is not worth keeping. A stream may
/// begin at a keyframe some seconds before its window, so the tolerance is taken off: the rest is asked for a little
/// early, and no second is lost at the seam.
fn kept_range(window: TimeRange, media_milliseconds: i64, tolerance_seconds: i64) -> Option<TimeRange> {
    let seconds = judge::kept_prefix_seconds(media_milliseconds)? - tolerance_seconds;
    let (kept, rest) = window.split_at(window.start() + seconds);
    rest.map(|_| kept)
}

fn nothing(outcome: Outcome, bytes: u64, code: Option<Code>, detail: Option<String>) -> Fetched {
    let attempt = Attempt { started: UtcSecond::new(0), milliseconds: 0, bytes, outcome, code, detail };
    Fetched { attempt, ready: None, macs: None }
}

fn missed(error: &CallError) -> Fetched {
    nothing(Outcome::Missed(error.class()), 0, error.code(), Some(error.to_string()))
}

/// What a stream came to of which nothing is kept.
fn not_kept(judgement: Judgement, bytes: u64, streamed: &Streamed) -> Fetched {
    let (outcome, detail) = match (judgement, &streamed.error) {
        // Nothing could be streamed at all: that says nothing about the footage.
        (_, Some(error)) if bytes == 0 => (unopened(error), None),
        (Judgement::Short { media_milliseconds }, _) => {
            (Outcome::Short { media_seconds: media_milliseconds / 1000 }, None)
        }
        (Judgement::Empty, _) => (Outcome::Empty, None),
        (Judgement::NotFlv { first_bytes }, _) => {
            (Outcome::Unusable, Some(format!("no FLV, but {bytes} bytes that begin {first_bytes:?}")))
        }
        (Judgement::Undecodable { why }, _) => (Outcome::Unusable, Some(why.to_string())),
        (Judgement::Whole { .. } | Judgement::Cut { .. }, _) => (Outcome::Broken, None),
    };
    nothing(outcome, bytes, streamed.code(), detail.or_else(|| streamed.detail()))
}

/// What an attempt came to whose stream never began: the media server's trouble, unless it answered for this URL.
fn unopened(error: &MediaError) -> Outcome {
    match error {
        MediaError::Broken(_) | MediaError::Status { status: 500.., .. } => Outcome::Missed(Class::MediaTrouble),
        MediaError::Status { .. }
        | MediaError::BadUrl(_)
        | MediaError::Denied(_)
        | MediaError::Astray(_)
        | MediaError::Stalled(_)
        | MediaError::Endless(_)
        | MediaError::TooMuch { .. } => Outcome::Unusable,
    }
}

impl Streamed {
    /// The HTTP status that ended it, when one did.
    fn code(&self) -> Option<Code> {
        match self.error {
            Some(MediaError::Status { status, .. }) => Some(Code::Http(status)),
            _ => None,
        }
    }

    fn detail(&self) -> Option<String> {
        self.error.as_ref().map(ToString::to_string)
    }
}

#[cfg(test)]
mod tests;
