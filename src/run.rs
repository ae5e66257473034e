//! A run: recover, plan, work through the plan, report.
//!
//! Gathers asynchronously (attempts that end, time that comes, somebody who says stop) and decides synchronously: the
//! scheduler says what to do, and this file does it. It prints nothing; it emits events.
//!
//! The ledger's row is durable before the scheduler hears of an attempt's end, so that nothing is announced that a crash
//! could take back.

mod attempt;
mod beginning;
mod grouping;
pub mod planning;
mod room;
mod sharing;
mod uploads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono_tz::Tz;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse, FusedFuture as _};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::calendar;
use crate::catalog_writer;
use crate::clock::WallClock;
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::event::{Event, Recovery, Refusing, Shortfall, StopReason, Summary};
use crate::exit_code::ExitCode;
use crate::fetch::Fetcher;
use crate::lease::LeaseTimes;
use crate::ledger::{Ledger, LedgerError};
use crate::mac::UrlMacs;
use crate::outcome::{Class, Outcome};
use crate::plan::{Plan, Request};
use crate::publish::ArchiveError;
use crate::recording::Source;
use crate::report::{DeviceRow, Learned, RunCounts, RunEnd, RunId, RunStart, ServedBy};
use crate::scheduler::{GivenUp, Policy, Scheduler, Step};
use crate::time_range::{TimeRange, UtcSecond};
use crate::vault::{Vault, VaultError};
use crate::window::Window;
use thiserror::Error;

use attempt::{Attempted, attempt};
use beginning::{Begun, Start};
use grouping::Grouping;
use room::Waiting;
pub(crate) use room::{check_free_space, looks_at_disk};
use sharing::Sharing;
use uploads::Uploads;

/// What a run is to do, validated.
#[derive(Clone, Debug)]
pub struct Job {
    /// What was asked for, in the words of whoever asked: for the ledger.
    pub what: String,
    /// What is asked of each device.
    pub asked: BTreeMap<DeviceId, Request>,
    /// Which NVR serves which device, as far as anything tells.
    pub nvrs: NvrMap,
    /// What of that the settings say.
    pub stated_nvrs: NvrMap,
    /// What the ledger said of devices when that was decided.
    pub known: Vec<DeviceRow>,
    /// The devices' local time, where it is not `default_zone`.
    pub zones: BTreeMap<DeviceId, Tz>,
    /// The devices' local time otherwise.
    pub default_zone: Tz,
    /// The zone in which the platform reads labels.
    pub platform_zone: Tz,
    /// What the scheduler keeps to.
    pub policy: Policy,
    /// How much shorter than its window a recording may be, in seconds.
    pub tolerance_seconds: i64,
    /// Bytes that must stay free on the archive's disk.
    pub min_free: u64,
    /// How long the ledger keeps attempts one by one.
    pub keep_attempts: Duration,
    /// How long this host is waited for when it is not heard of, where many share the ledger.
    pub lease: LeaseTimes,
    /// What the scheduler's randomness starts from.
    pub seed: u64,
}

impl Job {
    /// A device's local time.
    pub fn zone_of(&self, device: DeviceId) -> Tz {
        self.zones.get(&device).copied().unwrap_or(self.default_zone)
    }
}

/// Why a run could not be begun or ended properly.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger failed, or another run holds it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive's disk failed before work began.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<ArchiveError> for RunError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Ledger(error) => Self::Ledger(error),
            ArchiveError::Vault(error) => Self::Vault(error),
        }
    }
}

/// What a run works with.
#[derive(Clone)]
pub struct Tools {
    /// Where everything is written down.
    pub ledger: Arc<Ledger>,
    /// Where files go.
    pub vault: Vault,
    /// Who makes attempts.
    pub fetcher: Arc<Fetcher>,
    /// Who is told what happens. A receiver that is gone is no reason to stop.
    pub events: UnboundedSender<Event>,
    /// Whoever cancels this wants the run to end soon: what streams is kept as a prefix or dropped.
    pub stop: CancellationToken,
}

impl Tools {
    fn emit(&self, event: Event) {
        // OK to ignore a closed channel: whoever displays the run may go before it ends.
        let _ = self.events.send(event);
    }
}

/// Runs `job` to its end: all archived, the rest given up for now, or stopped early.
pub async fn execute(mut job: Job, tools: Tools) -> Result<Summary, RunError> {
    let clock = WallClock::start();
    let begun = clock.now().to_utc_second();
    // Until the end, since two runs with two ledgers must not sweep each other's streams.
    tools.ledger.hold(Source::Nvr, begun).await?;
    let hold = tools.vault.hold(Source::Nvr)?;
    let start = RunStart { started: begun, what: job.what.clone(), source: Source::Nvr };
    // Side by side: that a run has begun is in the ledger when the disk has it, and nothing of a beginning hangs on that.
    let (id, begun) = tokio::join!(tools.ledger.begin_run(start), beginning::begin(&job, &tools, &clock));
    let cut = tools.stop.child_token();
    let mut run = Run {
        id: id?,
        clock,
        counts: RunCounts::default(),
        refusing: Vec::new(),
        stopped: None,
        signalled: false,
        cut,
        grouping: Grouping::new(job.stated_nvrs.clone(), std::mem::take(&mut job.known), job.asked.keys()),
        sharing: None,
        uploads: Uploads::new(&tools.stop),
        waiting: Waiting::default(),
        job,
        tools,
    };
    let worked = match begun {
        Ok(begun) => run.work_and_delete(begun).await,
        Err(error) => Err(error),
    };
    let worked = match worked {
        Ok(()) => run.fold_old_attempts().await,
        failed => failed,
    };
    let (tools, now) = (&run.tools, run.clock.now().to_utc_second());
    let behind = catalog_writer::bring_up_to_date(&tools.ledger, &tools.vault, now, run.stopped.as_ref()).await;
    behind.into_iter().for_each(|behind| run.emit(behind));
    let closed = run.close(worked.as_ref().err()).await;
    drop(hold);
    // What went wrong first is what a person must hear of.
    worked?;
    closed
}

struct Run {
    id: RunId,
    clock: WallClock,
    job: Job,
    tools: Tools,
    /// What it has done so far.
    counts: RunCounts,
    /// NVRs that it left alone because they refused too much.
    refusing: Vec<Refusing>,
    /// The first reason to end early.
    stopped: Option<StopReason>,
    /// Whether somebody asked for the end.
    signalled: bool,
    /// Cancelled when streams must end too, not only starts; a signal cancels it.
    cut: CancellationToken,
    /// What media URLs tell of NVRs.
    grouping: Grouping,
    /// Its part among the hosts of a ledger that many share.
    sharing: Option<Sharing>,
    /// What is on its way to an object store.
    uploads: Uploads,
    /// What keeps it from starting more.
    waiting: Waiting,
}

/// The ledger is being told what is asked.
type Asking = BoxFuture<'static, Result<(), LedgerError>>;

/// An attempt that has ended, and is in the ledger or in [`uploads`].
type Ended = (Window, Result<Attempted, RunError>);

impl Run {
    fn emit(&self, event: Event) {
        self.tools.emit(event);
    }

    async fn work_and_delete(&mut self, begun: Begun) -> Result<(), RunError> {
        let worked = match begun.start {
            Ok(start) => self.work(start).await,
            Err(error) => Err(error),
        };
        // While nobody else may sweep. Whoever wants the end waits for no disk: the next start deletes the rest.
        if !self.signalled {
            let deleted =
                begun.deleting.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
            if let Err(error) = deleted {
                self.emit(Event::Recovered(Recovery::Left { why: error.to_string() }));
            }
        }
        worked
    }

    async fn work(&mut self, start: Start) -> Result<(), RunError> {
        let Start { plan, learned } = start;
        self.emit(Event::Started { windows: plan.windows(), seconds: plan.seconds() });
        self.warn_of_ambiguous_labels(&plan);
        let policy = Policy { learned, ..self.job.policy.clone() };
        let (mut work, now) = (plan.work(), self.clock.now());
        if self.tools.ledger.is_shared() {
            let (work, policy) = (std::mem::take(&mut work), policy.clone());
            self.sharing = Some(Sharing::new(&self.job, self.id, &self.tools, &self.clock, work, policy));
        }
        let mut scheduler = Scheduler::new(work, policy, self.job.seed, now);
        let mut asking = self.write_down_what_is_asked().fuse();
        // Begun here, so that the ledger has it in line before whatever an attempt tells it.
        if let Poll::Ready(done) = futures::poll!(&mut asking) {
            done?;
        }
        if self.sharing.is_some() && !asking.is_terminated() {
            // A server does many things at once.
            (&mut asking).await?;
        }
        let worked = self.work_through(&mut scheduler, &mut asking).await;
        let asked = if asking.is_terminated() { Ok(()) } else { asking.await };
        if let Some(mut sharing) = self.sharing.take() {
            let left = sharing.leave(&mut scheduler, self.clock.now()).await;
            self.refusing = sharing
                .learned
                .iter()
                .filter(|(_, one)| one.left_alone > 0)
                .map(|(nvr, one)| refusing(nvr, one))
                .collect();
            // What was learned of NVRs went back with them.
            worked?;
            return left;
        }
        let learned = scheduler.learned();
        self.refusing =
            learned.iter().filter(|(_, one)| one.left_alone > 0).map(|(nvr, one)| refusing(nvr, one)).collect();
        let now = self.clock.now().to_utc_second();
        let learned = self.tools.ledger.learn_limits(self.id, learned, now).await;
        // What went wrong first is what a person must hear of.
        worked?;
        asked?;
        Ok(learned?)
    }

    /// Tells the ledger what is asked, of whom. For many cameras that takes it longer than all else that comes before the first
    /// call, and no plan is made from it: so nobody waits until it is done. OK because the ledger does one thing after the
    /// other, and is told of no attempt before; a crash until then leaves what was asked for unsaid, as one a moment earlier.
    fn write_down_what_is_asked(&self) -> Asking {
        let (job, ledger) = (&self.job, Arc::clone(&self.tools.ledger));
        let mut by_zone: BTreeMap<&'static str, (Tz, Vec<DeviceId>)> = BTreeMap::new();
        for &device in job.asked.keys() {
            let zone = job.zone_of(device);
            by_zone.entry(zone.name()).or_insert((zone, Vec::new())).1.push(device);
        }
        let served = |&device: &DeviceId| {
            let nvr = job.nvrs.known(device).cloned();
            let store = nvr.as_ref().and_then(|nvr| job.nvrs.store_of(nvr)).map(str::to_owned);
            ServedBy { device, nvr, store }
        };
        let served = job.asked.keys().map(served).collect();
        let wanted = job.asked.iter().map(|(&device, request)| (device, request.ranges())).collect();
        let zones = by_zone.into_values().collect();
        async move { ledger.take_on(zones, served, wanted).await }.boxed()
    }

    /// The platform reads local labels; where one names two stretches of time, nobody can say which one comes back.
    fn warn_of_ambiguous_labels(&self, plan: &Plan) {
        // Cameras of one job mostly miss the same stretches.
        let mut seen: BTreeMap<TimeRange, Vec<TimeRange>> = BTreeMap::new();
        for device in &plan.devices {
            for stretch in &device.missing {
                let range = stretch.missing.range;
                let ambiguous = seen.entry(range).or_insert_with(|| ambiguous_windows(range, self.job.platform_zone));
                for &range in ambiguous.iter() {
                    self.emit(Event::AmbiguousLabel { window: Window { device: device.device, range } });
                }
            }
        }
    }

    async fn work_through(&mut self, scheduler: &mut Scheduler, asking: &mut Fuse<Asking>) -> Result<(), RunError> {
        let mut attempts: JoinSet<Ended> = JoinSet::new();
        let (url_given, mut streaming) = mpsc::unbounded_channel();
        let mut failure = None;
        let mut look_at_disk = looks_at_disk();
        loop {
            self.look_whether_it_slept(scheduler);
            let now = self.clock.now();
            let step = self.waiting.until(now).map_or_else(|| scheduler.poll(now), Step::WaitUntil);
            if step != Step::Finished {
                self.uploads.are_not_alone();
            }
            let wake = match step {
                Step::Finished if self.is_over() && self.uploads.is_empty() => break,
                // There may be work for it yet: another host may die.
                Step::Finished => self.uploads.are_alone(now),
                Step::Start(window) => {
                    self.begin(window, &mut attempts, scheduler, &url_given);
                    continue;
                }
                Step::GiveUp(lost) => {
                    let gave_up = self.give_up(lost).await;
                    self.bear(gave_up, scheduler, &mut failure);
                    continue;
                }
                Step::WaitUntil(at) => Some(at),
                Step::AwaitCompletion => None,
            };
            tokio::select! {
                // First things first: an attempt gets its URL before it ends.
                biased;
                Some(window) = streaming.recv() => scheduler.streaming(&window, self.clock.now()),
                Some(ended) = attempts.join_next() => {
                    let (window, fetched) = ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
                    let completed = match fetched {
                        Ok(fetched) => self.complete(scheduler, window, fetched).await,
                        Err(error) => {
                            scheduler.complete(&window, &Outcome::Cancelled, self.clock.now());
                            Err(error)
                        }
                    };
                    // What still runs is awaited: it may be publishing.
                    self.bear(completed, scheduler, &mut failure);
                    let now = self.clock.now();
                    if let Some(sharing) = &mut self.sharing {
                        sharing.ended(&window, scheduler, now);
                    }
                }
                Some(sent) = self.uploads.next() => {
                    let sent = self.sent(sent, scheduler);
                    self.bear(sent, scheduler, &mut failure);
                }
                told = sharing::next(&mut self.sharing, &self.clock), if self.stopped.is_none() => {
                    let shared = self.share(told, scheduler);
                    self.bear(shared, scheduler, &mut failure);
                }
                Err(error) = &mut *asking => {
                    let error = error.into();
                    self.stop(scheduler, stop_reason(&error));
                    failure.get_or_insert(error);
                }
                () = self.clock.sleep_until(wake) => {}
                _ = look_at_disk.tick(), if self.stopped.is_none() && !attempts.is_empty() => {
                    self.look_at_disk(scheduler);
                }
                () = self.tools.stop.cancelled(), if !self.signalled => {
                    self.signalled = true;
                    self.stop(scheduler, StopReason::Signal);
                }
            }
        }
        if scheduler.remaining_seconds() > 0 && self.stopped.is_none() {
            self.stop(scheduler, StopReason::StopAt);
        }
        if let Some(why) = self.uploads.left.take().filter(|_| self.stopped.is_none()) {
            self.stop(scheduler, StopReason::StoreAway(why));
        }
        match failure {
            // A full disk is an end of its own, with an exit code of its own.
            Some(error) if !matches!(self.stopped, Some(StopReason::DiskFull(_))) => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts the attempt that the scheduler asked for, if the disk has room for it.
    fn begin(
        &mut self,
        window: Window,
        attempts: &mut JoinSet<Ended>,
        scheduler: &mut Scheduler,
        url_given: &UnboundedSender<Window>,
    ) {
        if !self.has_room_for(&window, attempts.len(), scheduler) {
            return;
        }
        self.counts.attempts += 1;
        self.emit(Event::AttemptStarted { window, nvr: self.job.nvrs.nvr_of(window.device) });
        let (tools, cut, zone, id) = (self.tools.clone(), self.cut.clone(), self.job.zone_of(window.device), self.id);
        let url_given = url_given.clone();
        attempts.spawn(async move { (window, attempt(id, window, zone, &tools, &cut, &url_given).await) });
    }

    /// Tells the scheduler and everybody else of an attempt that has ended.
    async fn complete(&mut self, scheduler: &mut Scheduler, window: Window, ended: Attempted) -> Result<(), RunError> {
        let Attempted { attempt, recording, kept, set_aside, macs } = ended;
        let given_up = scheduler.complete(&window, &attempt.outcome, self.clock.now());
        match kept {
            Some(kept) => self.upload(window, attempt.clone(), *kept),
            None => self.announce(window, attempt.clone(), recording, set_aside),
        }
        if let Outcome::Missed(class) = attempt.outcome {
            self.tell_of_held_nvr(scheduler, window.device, class);
            if class == Class::AccountRefused {
                let why = attempt.detail.map_or_else(|| "it gave no reason".to_owned(), |detail| detail.to_string());
                self.stop(scheduler, StopReason::AccountRefused(why));
            }
        }
        self.give_up(given_up).await?;
        match macs {
            Some(macs) => self.learn_macs(scheduler, window.device, macs).await,
            None => Ok(()),
        }
    }

    /// Writes down the addresses of a device's media URL, where the ledger has others, and keeps to what they tell.
    async fn learn_macs(&mut self, scheduler: &mut Scheduler, device: DeviceId, macs: UrlMacs) -> Result<(), RunError> {
        let now = self.clock.now();
        if self.grouping.note(device, macs) {
            self.tools.ledger.learn_macs(device, macs, now.to_utc_second()).await?;
        }
        let learned = self.grouping.learned(&self.job.nvrs, now);
        for ServedBy { device, nvr, store } in &learned {
            let Some(nvr) = nvr else { continue };
            scheduler.assign(*device, nvr, store.as_deref(), now);
            self.emit(Event::NvrLearned { device: *device, nvr: nvr.clone() });
            self.job.nvrs.assign(*device, nvr.clone());
        }
        match learned.is_empty() {
            true => Ok(()),
            false => Ok(self.tools.ledger.serve_devices(learned).await?),
        }
    }

    fn tell_of_held_nvr(&self, scheduler: &Scheduler, device: DeviceId, class: Class) {
        let held = matches!(class, Class::NvrFull | Class::NvrOverloaded | Class::NvrOffline);
        if let Some(state) = scheduler.nvr_state(device).filter(|_| held) {
            self.emit(Event::NvrHeld { nvr: state.nvr, class, until: state.held_until, limit: state.limit });
        }
    }

    /// Writes down what is left to the next run, or lost. What an attempt came to is in the ledger already, unless the
    /// answer has by now been confirmed: then the cause is a better one.
    async fn give_up(&self, given_up: Vec<GivenUp>) -> Result<(), RunError> {
        let now = self.clock.now().to_utc_second();
        for GivenUp { device, ranges, cause } in given_up {
            self.tools.ledger.mark_missing(device, ranges.clone(), cause, now).await?;
            for &range in &ranges {
                self.emit(Event::GivenUp { window: Window { device, range }, cause });
            }
        }
        Ok(())
    }

    /// Starts nothing more; for some reasons, ends what streams too.
    fn stop(&mut self, scheduler: &mut Scheduler, reason: StopReason) {
        scheduler.drain();
        if matches!(reason, StopReason::DiskFull(_) | StopReason::Broken(_)) {
            self.cut.cancel();
        }
        if self.stopped.is_none() {
            self.emit(Event::Stopping(reason.clone()));
            self.stopped = Some(reason);
        }
    }

    /// At the end, when nobody waits for it: unless somebody asked for the end.
    async fn fold_old_attempts(&self) -> Result<(), RunError> {
        if self.signalled {
            return Ok(());
        }
        let now = self.clock.now().to_utc_second();
        fold_old_attempts(&self.tools.ledger, now, self.job.keep_attempts, self.stopped.as_ref()).await
    }

    /// Sums up, and lets go of the ledger.
    async fn close(&self, failure: Option<&RunError>) -> Result<Summary, RunError> {
        let summary = self.summary().await?;
        let exit = failure.map_or_else(|| ExitCode::of_run(&summary), exit_code);
        let counts = RunCounts { missing_seconds: summary.asked_seconds - summary.archived_seconds, ..self.counts };
        self.end(exit, counts).await?;
        self.emit(Event::Ended(summary.clone()));
        Ok(summary)
    }

    async fn end(&self, exit: ExitCode, counts: RunCounts) -> Result<(), RunError> {
        let end = RunEnd { ended: self.clock.now().to_utc_second(), exit: exit as u8, counts };
        Ok(self.tools.ledger.end_run(self.id, end).await?)
    }

    async fn summary(&self) -> Result<Summary, RunError> {
        let plan = planning::plan(&self.tools.ledger, &self.job.asked, &self.job.nvrs).await?;
        let coverage = plan.coverage();
        let short: Vec<Shortfall> = plan
            .devices
            .iter()
            .filter_map(|device| {
                let planned = device.missing.iter().map(|planned| planned.missing);
                Shortfall::of(device.device, planned.chain(device.settled.iter().copied()))
            })
            .collect();
        Ok(Summary {
            asked_seconds: coverage.asked_seconds,
            archived_seconds: coverage.archived_seconds,
            recordings: self.counts.recordings,
            bytes: self.counts.bytes,
            attempts: self.counts.attempts,
            missing: Shortfall::by_cause(&short),
            short,
            refusing: self.refusing.clone(),
            stopped: self.stopped.clone(),
        })
    }
}

fn refusing(nvr: &NvrId, learned: &Learned) -> Refusing {
    let &Learned { calls, refused, left_alone, .. } = learned;
    Refusing { nvr: nvr.clone(), calls, refused, left_alone }
}

/// The windows of a stretch whose local labels name another stretch of time as well.
fn ambiguous_windows(stretch: TimeRange, zone: Tz) -> Vec<TimeRange> {
    if !calendar::label_exists_twice(stretch, zone) {
        return Vec::new();
    }
    stretch.cut_on_grid().filter(|&window| calendar::label_exists_twice(window, zone)).collect()
}

/// Folds away the attempts that are older than `keep`, unless the run ended because its archive's disk is full or fails.
pub(crate) async fn fold_old_attempts(
    ledger: &Ledger,
    now: UtcSecond,
    keep: Duration,
    stopped: Option<&StopReason>,
) -> Result<(), RunError> {
    if matches!(stopped, Some(StopReason::DiskFull(_) | StopReason::Broken(_))) {
        return Ok(());
    }
    ledger.fold_attempts(now - i64::try_from(keep.as_secs()).unwrap_or(i64::MAX)).await?;
    Ok(())
}

/// How a run ends whose archive fails.
pub(crate) fn exit_code(error: &RunError) -> ExitCode {
    match stop_reason(error) {
        StopReason::DiskFull(_) => ExitCode::DiskFull,
        _ => ExitCode::Failure,
    }
}

/// Why a run ends whose archive fails.
pub(crate) fn stop_reason(error: &RunError) -> StopReason {
    match error {
        RunError::Vault(full @ VaultError::Full { .. }) => StopReason::DiskFull(full.to_string()),
        RunError::Ledger(full @ LedgerError::DiskFull { .. }) => StopReason::DiskFull(full.to_string()),
        other => StopReason::Broken(other.to_string()),
    }
}
