//! A live run: cameras' live streams, recorded into the same archive as downloads.
//!
//! Each camera goes its own way: its stream is asked for, cut on the grid, published piece by piece, and asked for again
//! when it ends. What does not come is in the ledger at once, so that a run from the NVRs may fetch it. It may go on beside
//! such a run: what is being recorded says so in the ledger, and is left alone. Where machines share a ledger, each records its own
//! cameras (`presence`).

mod camera;
mod clock;
mod flv;
mod hls;
mod pieces;
mod presence;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adopt;
use crate::catalog_writer;
use crate::clock::WallClock;
use crate::device::DeviceId;
use crate::event::{Event, Shortfall, StopReason, Summary};
use crate::exit_code::ExitCode;
use crate::instant::Instant;
use crate::lease::LeaseTimes;
use crate::ledger::{Ledger, LedgerError};
use crate::platform::client::{CallError, Client};
use crate::platform::media::MediaClient;
use crate::publish::ArchiveError;
use crate::recording::Source;
use crate::report::{RunCounts, RunEnd, RunId, RunStart};
use crate::run::RunError;
use crate::time_range::{ALL_TIME, TimeRange, UtcSecond};
use crate::transfers::Transfers;
use crate::vault::{Hold, Vault, VaultError};

pub use camera::Camera;
use clock::SharedClock;
use pieces::Pieces;
use presence::Presence;

/// How long a live stream may bring nothing before it is asked for again.
pub const STALL: Duration = Duration::from_secs(10);

/// How often a live run, which may go on for months, brings the archive's catalog up to date.
pub const CATALOG_EVERY: Duration = Duration::from_secs(3_600);

/// How long another's hold on the archive is waited for: a run from NVRs has it while it publishes what a live run left.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);
const HOLD_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait before what time it is is looked at again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a live run is to do, validated.
#[derive(Clone, Debug)]
pub struct LiveJob {
    /// What was asked for, in the words of whoever asked: for the ledger.
    pub what: String,
    /// The cameras.
    pub cameras: BTreeMap<DeviceId, Camera>,
    /// The zone in which the platform reads labels.
    pub platform_zone: chrono_tz::Tz,
    /// How much less footage than its time a piece may have, in seconds.
    pub tolerance_seconds: i64,
    /// How long a stream may bring nothing before it is asked for again; [`STALL`], except in simulations.
    pub stall: Duration,
    /// Bytes that must stay free on the archive's disk.
    pub min_free: u64,
    /// How long the ledger keeps attempts one by one.
    pub keep_attempts: Duration,
    /// How long this run is believed to record when it is not heard of, where many machines share the ledger.
    pub lease: LeaseTimes,
    /// How often the archive's catalog is brought up to date meanwhile; [`CATALOG_EVERY`], except in tests.
    pub catalog_every: Duration,
    /// What the delays' randomness starts from.
    pub seed: u64,
}

/// What a live run works with.
#[derive(Clone)]
pub struct LiveTools {
    /// Where everything is written down.
    pub ledger: Arc<Ledger>,
    /// Where files go.
    pub vault: Vault,
    /// Who asks the platform.
    pub client: Arc<Client>,
    /// Who opens its URLs.
    pub media: MediaClient,
    /// Where each camera's stream goes its way.
    pub transfers: Arc<Transfers>,
    /// Who is told what happens. A receiver that is gone is no reason to stop.
    pub events: UnboundedSender<Event>,
    /// Whoever cancels this wants the run to end: what streams is published up to there.
    pub stop: CancellationToken,
    /// What time it is.
    pub clock: WallClock,
}

/// What all cameras of a run share, but for when they end.
#[derive(Clone)]
struct Context {
    run: RunId,
    job: Arc<LiveJob>,
    tools: LiveTools,
    /// Cancelled when all are to end, or this one, for whatever reason.
    stop: CancellationToken,
    counts: Arc<Mutex<RunCounts>>,
    clock: Arc<SharedClock>,
    /// Of the last piece that began.
    number: Arc<AtomicU64>,
    /// Whose cameras these are, as far as others know.
    presence: Arc<Presence>,
}

/// Why a camera's recording ends with the whole run.
enum Failure {
    /// The archive fails.
    Run(RunError),
    /// There is no use in going on.
    Stop(StopReason),
}

/// How a stream ended, or why there was none.
#[derive(Debug)]
enum Ended {
    /// All that was asked for is there.
    Over,
    /// Somebody said stop.
    Stopped,
    /// The platform refuses this camera.
    Refused(CallError),
    /// The platform gave no stream.
    NotGiven(CallError),
    /// It ended, stalled, or was none.
    Interrupted(String),
    /// It fell behind for good: footage was left out, and the time of what came after `known_until` is not known.
    Lost {
        /// In milliseconds of the stream's clock.
        known_until: i64,
    },
}

impl Ended {
    fn interrupted(why: impl Into<String>) -> Self {
        Self::Interrupted(why.into())
    }
}

/// Runs `job` to its end: until every camera's time is over, or somebody says stop.
pub async fn execute(job: LiveJob, tools: LiveTools) -> Result<Summary, RunError> {
    let begun = tools.clock.now().to_utc_second();
    let start = RunStart { started: begun, what: job.what.clone(), source: Source::Live };
    let run = tools.ledger.begin_run(start).await?;
    let stop = tools.stop.child_token();
    let presence = Presence::new(&tools, job.cameras.keys().copied().collect(), job.lease, &stop);
    let context = Context {
        run,
        stop,
        counts: Arc::default(),
        clock: Arc::new(SharedClock::new(tools.clock)),
        number: Arc::default(),
        presence: Arc::new(presence),
        job: Arc::new(job),
        tools,
    };
    let (hold, has_place) = match context.take_place().await {
        Ok(taken) => taken,
        Err(error) => {
            let exit = match &error {
                RunError::Vault(VaultError::Held { .. }) | RunError::Ledger(LedgerError::CamerasHeld { .. }) => {
                    ExitCode::Held
                }
                _ => ExitCode::Failure,
            };
            context.end(exit, begun, 0).await?;
            return Err(error);
        }
    };
    let (over, away) = (CancellationToken::new(), CancellationToken::new());
    // Nor does it say so when nobody waits for its end any more.
    let _gone = away.clone().drop_guard();
    let keeping = tokio::spawn(keep_catalog(context.clone(), over.clone()));
    let hold = Arc::new(hold);
    let beating = tokio::spawn(Arc::clone(&context.presence).keep(Arc::clone(&hold), away.clone()));
    let worked = if has_place { work(&context).await } else { Ok(context.stopped()) };
    over.cancel();
    // Not aborted, since two must not write at once.
    keeping.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
    // However it ended: nothing is being recorded any longer.
    let cleared = adopt::live::clear(&context.tools.ledger, context.presence.live_run(), context.now()).await;
    away.cancel();
    beating.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
    let left = context.presence.leave().await;
    drop(hold);
    let stopped = match &worked {
        Ok(stopped) => stopped.clone(),
        Err(error) => Some(crate::run::stop_reason(error)),
    };
    let (ledger, keep) = (&context.tools.ledger, context.job.keep_attempts);
    let folded = crate::run::fold_old_attempts(ledger, context.now(), keep, stopped.as_ref()).await;
    context.bring_catalog_up_to_date(stopped.as_ref()).await;
    let closed = context.close(begun, stopped, folded.is_ok()).await;
    // What went wrong first is what a person must hear of.
    worked?;
    cleared?;
    left?;
    folded?;
    closed
}

/// Brings the archive's catalog up to date again and again, until the run is over.
async fn keep_catalog(context: Context, over: CancellationToken) {
    while over.run_until_cancelled(tokio::time::sleep(context.job.catalog_every)).await.is_some() {
        context.bring_catalog_up_to_date(None).await;
    }
}

/// Keeps other live runs out of the archive.
async fn hold(vault: &Vault) -> Result<Hold, VaultError> {
    let begun = tokio::time::Instant::now();
    loop {
        match vault.hold(Source::Live) {
            Err(VaultError::Held { .. }) if begun.elapsed() < HOLD_PATIENCE => tokio::time::sleep(HOLD_PAUSE).await,
            held => return held,
        }
    }
}

/// Puts right what was left behind, and records. Gives why it ended before its time, if it did.
async fn work(context: &Context) -> Result<Option<StopReason>, RunError> {
    let (job, tools) = (&context.job, &context.tools);
    let check = adopt::Check {
        source: Source::Live,
        now: tools.clock.now().to_utc_second(),
        tolerance_seconds: job.tolerance_seconds,
        platform_zone: job.platform_zone,
    };
    for recovery in adopt::live::recover(&tools.ledger, &tools.vault, context.presence.live_run(), check).await? {
        context.emit(Event::Recovered(recovery));
    }
    for (&device, camera) in &job.cameras {
        context.tell(device, || tools.ledger.set_zone(vec![device], camera.zone)).await?;
    }
    let mut cameras = JoinSet::new();
    for (device, camera) in job.cameras.clone() {
        let context = Context { stop: context.presence.stop_of(device), ..context.clone() };
        let recording = async move { camera::record(&context, device, &camera).await };
        cameras.spawn_on(recording, tools.transfers.handle());
    }
    let (mut stopped, mut failed) = (None, None);
    let mut look_at_disk = crate::run::looks_at_disk();
    loop {
        let ended = tokio::select! {
            biased;
            ended = cameras.join_next() => ended,
            _ = look_at_disk.tick(), if stopped.is_none() => {
                if let Err(Failure::Stop(reason)) = context.check_free_space() {
                    context.stop.cancel();
                    context.emit(Event::Stopping(reason.clone()));
                    stopped = Some(reason);
                }
                continue;
            }
        };
        let Some(ended) = ended else { break };
        let ended = ended.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
        let reason = match ended {
            Ok(()) => continue,
            Err(Failure::Stop(reason)) => reason,
            Err(Failure::Run(error)) => {
                let reason = crate::run::stop_reason(&error);
                failed.get_or_insert(error);
                reason
            }
        };
        // The others end where they are, so that what they have is published.
        context.stop.cancel();
        if stopped.is_none() {
            context.emit(Event::Stopping(reason.clone()));
            stopped = Some(reason);
        }
    }
    match failed {
        // A full disk is an end of its own, with an exit code of its own.
        Some(error) if !matches!(stopped, Some(StopReason::DiskFull(_))) => Err(error),
        _ => Ok(stopped.or_else(|| context.stopped())),
    }
}

impl Context {
    fn emit(&self, event: Event) {
        // OK to ignore a closed channel: whoever displays the run may go before it ends.
        let _ = self.tools.events.send(event);
    }

    /// Keeps other live runs off this machine's part of the archive, and off its cameras everywhere. Not of the latter when somebody
    /// says stop while others have them: then it says so (`false`).
    async fn take_place(&self) -> Result<(Hold, bool), RunError> {
        let hold = hold(&self.tools.vault).await?;
        let has_place = self.presence.take_place(&hold).await?;
        Ok((hold, has_place))
    }

    /// Why it ends before its time, if somebody has said stop.
    fn stopped(&self) -> Option<StopReason> {
        (self.tools.stop.is_cancelled() && !self.is_open_ended()).then_some(StopReason::Signal)
    }

    /// Tells the ledger something about a camera; nothing of one that is another live run's by now, which tells it itself.
    async fn tell<T>(&self, device: DeviceId, what: impl Fn() -> T) -> Result<(), LedgerError>
    where
        T: Future<Output = Result<(), LedgerError>>,
    {
        loop {
            let since = self.presence.joins();
            match what().await {
                Err(LedgerError::LiveLost) if self.presence.regains(device, since).await? => {}
                Err(LedgerError::LiveLost) => return Ok(()),
                told => return told,
            }
        }
    }

    /// Whether every camera goes on until somebody ends it, so that ending it is not too early.
    fn is_open_ended(&self) -> bool {
        self.job.cameras.values().all(|camera| camera.until.is_none())
    }

    /// The platform's time, to the second in which it is.
    fn now(&self) -> UtcSecond {
        self.now_exactly().to_utc_second()
    }

    fn now_exactly(&self) -> Instant {
        self.clock.get().now()
    }

    /// Sets the clock by the platform's last answer.
    async fn learn_time(&self) {
        let Some(measured) = self.tools.client.measured_offset().await else { return };
        if let Some(ahead) = self.clock.set(measured, self.tools.clock.set_again()) {
            let ahead = ahead.num_seconds();
            tracing::warn!(
                "the platform's clock is {ahead} s ahead of this machine's, and recordings are dated by the platform's: set \
                 this machine's clock"
            );
        }
    }

    /// Waits until that moment; false when somebody said stop meanwhile. In slices, since what time it is may be learned
    /// meanwhile, and the machine may sleep.
    async fn wait_until(&self, at: Instant) -> bool {
        loop {
            let left = at.since(self.now_exactly());
            if left.is_zero() {
                return !self.stop.is_cancelled();
            }
            if !self.wait(left.min(LONGEST_WAIT)).await {
                return false;
            }
        }
    }

    /// Waits for so long; false when somebody said stop meanwhile.
    async fn wait(&self, length: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.tools.clock.sleep(length) => true,
        }
    }

    /// A number for a piece.
    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Says in the ledger that this time is wanted.
    async fn ask(&self, device: DeviceId, start: UtcSecond, end: UtcSecond) -> Result<(), Failure> {
        match TimeRange::new(start, end) {
            Some(range) => Ok(self.tell(device, || self.tools.ledger.ask(vec![(device, range.into())])).await?),
            None => Ok(()),
        }
    }

    fn check_free_space(&self) -> Result<(), Failure> {
        let checked = crate::run::check_free_space(&self.tools.vault, self.job.min_free);
        checked.map_err(Failure::Stop)
    }

    /// Tells whoever displays the run how the pictures of a stream are coded, once it is known. When they are coded otherwise
    /// from here on, the stream is over: another of the URLs may be the right one by now.
    fn tell_codec(&self, pieces: &mut Pieces<'_>) -> Option<Ended> {
        match pieces.codec() {
            Ok(None) => None,
            Ok(Some(codec)) => {
                let (device, via, said) = pieces.origin();
                self.emit(Event::LiveBegan { device, via, said, codec: Some(codec) });
                None
            }
            Err(why) => Some(Ended::interrupted(why)),
        }
    }

    async fn bring_catalog_up_to_date(&self, stopped: Option<&StopReason>) {
        let LiveTools { ledger, vault, .. } = &self.tools;
        let behind = catalog_writer::bring_up_to_date(ledger, vault, self.now(), stopped).await;
        behind.into_iter().for_each(|behind| self.emit(behind));
    }

    fn count(&self, range: TimeRange, bytes: u64) {
        let mut counts = locked(&self.counts);
        counts.recordings += 1;
        counts.bytes += bytes;
        counts.archived_seconds += range.seconds();
    }

    fn count_attempt(&self) {
        locked(&self.counts).attempts += 1;
    }

    async fn end(&self, exit: ExitCode, ended: UtcSecond, missing_seconds: i64) -> Result<(), RunError> {
        let counts = RunCounts { missing_seconds, ..*locked(&self.counts) };
        Ok(self.tools.ledger.end_run(self.run, RunEnd { ended, exit: exit as u8, counts }).await?)
    }

    /// Sums up, and lets go of the ledger.
    async fn close(&self, begun: UtcSecond, stopped: Option<StopReason>, folded: bool) -> Result<Summary, RunError> {
        let summary = self.summary(begun, stopped).await?;
        let exit = if folded { ExitCode::of_run(&summary) } else { ExitCode::Failure };
        let now = self.tools.clock.set_again().now().to_utc_second();
        self.end(exit, now, summary.asked_seconds - summary.archived_seconds).await?;
        self.emit(Event::Ended(summary.clone()));
        Ok(summary)
    }

    async fn summary(&self, begun: UtcSecond, stopped: Option<StopReason>) -> Result<Summary, RunError> {
        let devices: Vec<DeviceId> = self.job.cameras.keys().copied().collect();
        // What was asked for is on the platform's clock.
        let begun = begun + self.clock.get().offset.unwrap_or(0).div_euclid(1000);
        let within = TimeRange::new(begun, ALL_TIME.end()).unwrap_or(ALL_TIME);
        let totals = self.tools.ledger.totals(devices.clone(), within).await?;
        let missing = self.tools.ledger.missing(devices, within).await?;
        let counts = *locked(&self.counts);
        Ok(Summary {
            asked_seconds: totals.asked_seconds,
            archived_seconds: totals.archived_seconds,
            recordings: counts.recordings,
            bytes: counts.bytes,
            attempts: counts.attempts,
            missing: totals.missing_seconds.into_iter().filter(|(_, seconds)| *seconds > 0).collect(),
            short: missing.into_iter().filter_map(|(device, stretches)| Shortfall::of(device, stretches)).collect(),
            refusing: Vec::new(),
            stopped,
        })
    }
}

/// OK to go on after a panic elsewhere: what these mutexes guard is replaced whole, never half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Run(error.into())
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::Run(error.into())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::Run(error.into())
    }
}
