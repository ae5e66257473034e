//! A run that is one of several hosts: it leases NVRs from the shared ledger, works them off, and gives them back.
//!
//! What the ledger is told goes on beside the run's loop, so that a server that is away holds up no stream. What is to be done
//! is decided in [`crate::sharing`]; that nothing is kept which was fetched under a lease that is another's by now, the ledger
//! sees to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{Job, Run, RunError, Tools, planning, stop_reason};
use crate::adopt;
use crate::clock::WallClock;
use crate::device::{DeviceId, NvrId};
use crate::event::Event;
use crate::instant::Instant;
use crate::lease::{HostId, HostJob, HostState, Joining, Lease, LeaseTimes, Shared};
use crate::ledger::LedgerError;
use crate::plan::Request;
use crate::recording::Source;
use crate::report::{Learned, RunId};
use crate::scheduler::{Policy, Scheduler, Work};
use crate::sharing::{self, Holdings, Membership, Names, Over, Own, Step};
use crate::time_range::UtcSecond;
use crate::window::{Cause, Window};

/// A run's part among the hosts of its ledger.
pub(super) struct Sharing {
    basis: Arc<Basis>,
    times: LeaseTimes,
    streams: usize,
    /// Nothing until it has joined, and from when it was taken for dead until it has joined anew.
    host: Option<HostId>,
    /// As which it was taken for dead: what that one still has in the ledger is free once nothing of it runs.
    was: Option<HostId>,
    membership: Membership,
    /// By which it leases, once it has joined.
    names: Arc<Names>,
    holdings: Holdings,
    /// What is done with, and the ledger has not heard of yet.
    over: Vec<Over>,
    /// What was learned of NVRs that were given back.
    pub(super) learned: BTreeMap<NvrId, Learned>,
    /// The ledger is being talked to.
    talking: Option<JoinHandle<Result<Heard, RunError>>>,
    /// What was leased is being planned.
    taking: Option<JoinHandle<Result<Taken, RunError>>>,
    /// Somebody was told that all that is left is held by others.
    told_of_waiting: bool,
    /// It has looked whether there is time that only this host was asked for.
    looked_for_more: bool,
    /// Whether nothing is left to do for any host.
    pub(super) finished: bool,
}

/// What does not change while a run goes on.
struct Basis {
    run: RunId,
    tools: Tools,
    asked: BTreeMap<DeviceId, Request>,
    job: HostJob,
    /// As this run planned at its begin.
    names: Names,
    work: Vec<Work>,
    policy: Policy,
    times: LeaseTimes,
    check: adopt::Check,
    clock: WallClock,
}

/// What came of talking to the ledger.
pub(super) struct Heard {
    host: HostId,
    /// By which it leases.
    names: Arc<Names>,
    /// When it was begun.
    began: Instant,
    shared: Shared,
    give_back: Vec<NvrId>,
    leases: Vec<Lease>,
    finished: bool,
    /// Whether it has looked for time that only this host was asked for.
    looked_for_more: bool,
}

/// Leases with what is to be done under them.
pub(super) struct Taken {
    host: HostId,
    leases: Vec<(Lease, Vec<Work>, Option<UtcSecond>)>,
    learned: BTreeMap<NvrId, Learned>,
}

/// Something that the run's loop has to see to.
pub(super) enum Told {
    /// The ledger has to hear of this host.
    Due,
    Heard(Result<Heard, RunError>),
    Taken(Result<Taken, RunError>),
    /// Others may take it for dead.
    Ends,
}

impl Sharing {
    pub(super) fn new(
        job: &Job,
        run: RunId,
        tools: &Tools,
        clock: &WallClock,
        work: Vec<Work>,
        policy: Policy,
    ) -> Self {
        let check = adopt::Check {
            source: Source::Nvr,
            now: clock.now().to_utc_second(),
            tolerance_seconds: job.tolerance_seconds,
            platform_zone: job.platform_zone,
        };
        let ranges = job.asked.iter().map(|(&device, request)| (device, request.ranges())).collect();
        let times = job.lease;
        let basis = Basis {
            run,
            tools: tools.clone(),
            asked: job.asked.clone(),
            job: HostJob::new(job.what.clone(), &ranges),
            names: Names::new(job.asked.keys().copied(), job.nvrs.clone()),
            work,
            policy,
            times,
            check,
            clock: *clock,
        };
        Self {
            basis: Arc::new(basis),
            times,
            streams: job.policy.streams,
            host: None,
            was: None,
            membership: Membership::new(times, clock.now()),
            names: Arc::default(),
            holdings: Holdings::default(),
            over: Vec::new(),
            learned: BTreeMap::new(),
            talking: None,
            taking: None,
            told_of_waiting: false,
            looked_for_more: false,
            finished: false,
        }
    }

    /// Waits for the next thing to see to. Whoever stops waiting misses nothing.
    pub(super) async fn next(&mut self, clock: &WallClock) -> Told {
        let due = match (&self.talking, self.host) {
            (Some(_), _) => None,
            // Once nothing of what it lost runs any more, it joins anew.
            (None, None) => self.holdings.is_empty().then(|| clock.now()),
            (None, Some(_)) if !self.over.is_empty() => Some(clock.now()),
            (None, Some(_)) => Some(self.membership.next_beat()),
        };
        let ends = self.host.map(|_| self.membership.ends());
        tokio::select! {
            heard = finished(&mut self.talking) => Told::Heard(heard),
            taken = finished(&mut self.taking) => Told::Taken(taken),
            () = clock.sleep_until(ends) => Told::Ends,
            () = clock.sleep_until(due) => Told::Due,
        }
    }

    /// Tells the ledger how it is, and what it does not need any more; asks what there is to do.
    fn talk(&mut self, scheduler: &Scheduler, now: Instant) {
        let own = self.holdings.own(scheduler, self.streams, now);
        self.membership.beats(now);
        // What is being planned is not counted yet, and would be leased again.
        let may_claim = self.taking.is_none();
        let talk =
            Talk { own, over: std::mem::take(&mut self.over), may_claim, looked: self.looked_for_more, began: now };
        let (basis, was) = (Arc::clone(&self.basis), self.was.take());
        let joined = self.host.map(|host| (host, Arc::clone(&self.names)));
        self.talking = Some(tokio::spawn(async move {
            if let Some(was) = was {
                basis.tools.ledger.leave(was).await?;
            }
            let (host, names) = match joined {
                Some(joined) => joined,
                None => basis.join(talk.own.state(), was.is_some()).await?,
            };
            basis.talk(host, names, talk).await
        }));
    }

    /// Keeps what is done with for the ledger, unless it was lost.
    fn done_with(&mut self, over: impl IntoIterator<Item = Over>) {
        for over in over {
            self.learned.extend(over.learned.iter().cloned());
            if self.host.is_some() {
                self.over.push(over);
            }
        }
    }

    /// An attempt at a window has ended.
    pub(super) fn ended(&mut self, window: &Window, scheduler: &mut Scheduler, now: Instant) {
        let over = self.holdings.over_with(window.device, scheduler, now);
        self.done_with(over);
    }

    /// Whether what was leased is being planned, and what waits of it in the spool looked after.
    pub(super) fn is_taking(&self) -> bool {
        self.taking.is_some()
    }

    /// Whether it has nothing to do, since others hold all that is left.
    fn waits(&self) -> bool {
        self.holdings.is_empty() && self.taking.is_none()
    }

    /// What an attempt brought is not in the ledger yet.
    pub(super) fn is_to_be_written(&mut self, device: DeviceId) {
        self.holdings.is_to_be_written(device);
    }

    /// Now it is, or will not be.
    pub(super) fn was_written(&mut self, window: &Window, scheduler: &mut Scheduler, now: Instant) {
        self.holdings.was_written(window.device);
        self.ended(window, scheduler, now);
    }

    /// Another host has this NVR.
    pub(super) fn lost(&mut self, nvr: &NvrId, scheduler: &mut Scheduler, now: Instant) {
        self.holdings.leave(std::slice::from_ref(nvr), scheduler, now);
        let over = self.holdings.over(scheduler, now);
        self.done_with(over);
    }

    /// Nothing runs any more, and nothing more is to start: what is held is free for others.
    pub(super) async fn leave(&mut self, scheduler: &mut Scheduler, now: Instant) -> Result<(), RunError> {
        if let Some(taking) = self.taking.take() {
            taking.abort();
        }
        // What it still says to the ledger comes before its leave.
        if let Some(Ok(Ok(heard))) = match self.talking.take() {
            Some(talking) => Some(talking.await),
            None => None,
        } {
            self.host = Some(heard.host);
        }
        self.holdings.leave_all(scheduler, now);
        let over = self.holdings.over(scheduler, now);
        self.done_with(over);
        let Some(host) = self.host.take() else { return Ok(()) };
        self.basis.give_back(host, std::mem::take(&mut self.over)).await?;
        Ok(self.basis.tools.ledger.leave(host).await?)
    }
}

/// Waits until a task has ended; for ever when there is none.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> T {
    let Some(running) = task else { return std::future::pending().await };
    let done = running.await;
    *task = None;
    done.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
}

/// What the ledger is told by a host, and what it may answer.
struct Talk {
    own: Own,
    /// What is done with.
    over: Vec<Over>,
    may_claim: bool,
    looked: bool,
    began: Instant,
}

impl Basis {
    /// As one of the hosts from now on, `again` after others may have taken it for dead.
    async fn join(&self, state: HostState, again: bool) -> Result<(HostId, Arc<Names>), RunError> {
        let ledger = &self.tools.ledger;
        let joining = Joining {
            name: self.tools.vault.root().display().to_string(),
            job: self.job.clone(),
            served: self.names.by_nvr().clone(),
            state,
            lasts: self.times.lasts,
            again,
        };
        let joined = ledger.join(joining).await?;
        let mut names = self.names.with(&joined.renamed);
        ledger.offer(joined.host, names.demands(&self.work, &self.policy, self.clock.now())).await?;
        Ok((joined.host, Arc::new(names)))
    }

    async fn talk(&self, host: HostId, names: Arc<Names>, talk: Talk) -> Result<Heard, RunError> {
        let (ledger, lasts) = (&self.tools.ledger, self.times.lasts);
        let Talk { own, over, may_claim, looked, began } = talk;
        self.give_back(host, over).await?;
        let shared = ledger.beat(host, own.state(), lasts).await?;
        self.tools.fetcher.share_calls(shared.living).await;
        let mut heard = Heard {
            host,
            names,
            began,
            shared,
            give_back: Vec::new(),
            leases: Vec::new(),
            finished: false,
            looked_for_more: looked,
        };
        match sharing::decide(host, &own, &heard.shared) {
            Step::Claim(most) if may_claim => heard.leases = ledger.claim(host, most, lasts).await?,
            Step::Claim(_) | Step::GoOn => {}
            Step::GiveBack(nvrs) => heard.give_back = nvrs,
            Step::Finished if may_claim && !looked => {
                heard.looked_for_more = true;
                let more = self.offer_more(host, &heard.names).await?;
                heard.finished = more == 0;
                if more > 0 {
                    heard.leases = ledger.claim(host, more, lasts).await?;
                }
            }
            Step::Finished => heard.finished = may_claim,
        }
        Ok(heard)
    }

    /// Looks whether others of this job were asked for another time than this host, and have finished NVRs without having tried all
    /// that it was asked for: "the last 26 hours" of a host that began later. Offers that, and gives at how many NVRs it is.
    async fn offer_more(&self, host: HostId, names: &Names) -> Result<usize, RunError> {
        let ledger = &self.tools.ledger;
        if ledger.is_asked_like_others(host).await? {
            return Ok(0);
        }
        let mut work = planning::plan(ledger, &self.asked, names.nvrs()).await?.work();
        for item in &mut work {
            item.stretches.retain(|stretch| stretch.missing.cause == Cause::NotTried);
        }
        let demands = names.clone().demands(&work, &self.policy, self.clock.now());
        let nvrs = demands.iter().filter(|demand| demand.backlog_seconds > 0).count();
        ledger.offer_anew(host, demands).await?;
        Ok(nvrs)
    }

    async fn give_back(&self, host: HostId, over: Vec<Over>) -> Result<(), RunError> {
        if over.is_empty() {
            return Ok(());
        }
        let (back, learned): (Vec<_>, Vec<_>) = over.into_iter().map(|over| (over.back, over.learned)).unzip();
        let learned: Vec<_> = learned.into_iter().flatten().collect();
        self.tools.ledger.learn_limits(self.run, learned, self.clock.now().to_utc_second()).await?;
        Ok(self.tools.ledger.give_back(host, back).await?)
    }

    /// Puts right what a dead host left of these NVRs' cameras, and plans what they miss by now.
    async fn take(&self, host: HostId, names: Arc<Names>, leases: Vec<Lease>) -> Result<Taken, RunError> {
        let ledger = &self.tools.ledger;
        let mut devices = BTreeSet::new();
        for lease in &leases {
            let of_nvr = names.devices_of(&lease.nvr);
            ledger.guard(of_nvr, lease);
            devices.extend(of_nvr.iter().copied());
        }
        let check = adopt::Check { now: self.clock.now().to_utc_second(), ..self.check };
        for recovery in adopt::recover_of(ledger, &self.tools.vault, &devices, check).await? {
            self.tools.emit(Event::Recovered(recovery));
        }
        let asked = self.asked.iter().filter(|(device, _)| devices.contains(device));
        let asked: BTreeMap<DeviceId, Request> = asked.map(|(&device, request)| (device, request.clone())).collect();
        let nvrs: Vec<NvrId> = leases.iter().map(|lease| lease.nvr.clone()).collect();
        let (plan, learned) =
            futures::try_join!(planning::plan(ledger, &asked, names.nvrs()), ledger.learned_limits_of(nvrs))?;
        let mut by_nvr: BTreeMap<NvrId, Vec<Work>> = BTreeMap::new();
        for work in plan.work() {
            by_nvr.entry(work.nvr.clone()).or_default().push(work);
        }
        let leases = leases.into_iter().map(|lease| {
            let (work, loses_at) = (by_nvr.remove(&lease.nvr).unwrap_or_default(), names.loses_at(&lease.nvr));
            (lease, work, loses_at)
        });
        Ok(Taken { host, leases: leases.collect(), learned })
    }
}

impl Run {
    /// Sees to what hosts have to do with each other. An error ends the run.
    pub(super) fn share(&mut self, told: Told, scheduler: &mut Scheduler) -> Result<(), RunError> {
        let now = self.clock.now();
        let Some(sharing) = &mut self.sharing else { return Ok(()) };
        match told {
            Told::Due => sharing.talk(scheduler, now),
            Told::Ends => self.was_taken_for_dead(scheduler),
            Told::Heard(Err(RunError::Ledger(LedgerError::HostLost { .. }))) => self.was_taken_for_dead(scheduler),
            Told::Heard(Err(error)) => return Err(error),
            Told::Heard(Ok(heard)) => self.hears(heard, scheduler),
            // What was to be planned is another's by now, or all is.
            Told::Taken(Err(RunError::Ledger(LedgerError::LeaseLost { .. }))) => self.was_taken_for_dead(scheduler),
            Told::Taken(Err(error)) => return Err(error),
            Told::Taken(Ok(taken)) if sharing.host == Some(taken.host) && self.stopped.is_none() => {
                let Taken { leases, mut learned, .. } = taken;
                for (lease, work, loses_at) in leases {
                    let learned = learned.remove(&lease.nvr).map(|one| (lease.nvr.clone(), one));
                    sharing.holdings.take(lease, work, learned.into_iter().collect(), loses_at, scheduler, now);
                }
                // Of some nothing may be missing any more.
                let over = sharing.holdings.over(scheduler, now);
                sharing.done_with(over);
            }
            // It was taken for dead meanwhile, or ends: its leave frees them.
            Told::Taken(Ok(_)) => {}
        }
        Ok(())
    }

    fn hears(&mut self, heard: Heard, scheduler: &mut Scheduler) {
        let now = self.clock.now();
        let Some(sharing) = &mut self.sharing else { return };
        let Heard { host, names, began, shared, give_back, leases, finished, looked_for_more } = heard;
        if sharing.host.is_none() {
            self.tools.emit(Event::HostJoined { host });
            sharing.membership = Membership::new(sharing.times, began);
            (sharing.host, sharing.names) = (Some(host), names);
        }
        sharing.membership.was_heard(began);
        // What it offered for time that only it was asked for, and gives to another, that one may have finished without a try at it.
        sharing.looked_for_more = looked_for_more && give_back.is_empty();
        sharing.finished = finished && sharing.holdings.is_empty();
        sharing.holdings.leave(&give_back, scheduler, now);
        let over = sharing.holdings.over(scheduler, now);
        sharing.done_with(over);
        if !leases.is_empty() && self.stopped.is_none() {
            sharing.told_of_waiting = false;
            let (basis, names) = (Arc::clone(&sharing.basis), Arc::clone(&sharing.names));
            sharing.taking = Some(tokio::spawn(async move { basis.take(host, names, leases).await }));
        } else if sharing.waits() && !finished && !std::mem::replace(&mut sharing.told_of_waiting, true) {
            self.tools.emit(Event::HostsAwaited { nvrs: shared.free.nvrs + shared.leased.nvrs });
        }
    }

    /// Others may have what it held: it ends what streams, before it asks anybody.
    fn was_taken_for_dead(&mut self, scheduler: &mut Scheduler) {
        let now = self.clock.now();
        let Some(sharing) = &mut self.sharing else { return };
        let Some(host) = sharing.host.take() else { return };
        sharing.was = Some(host);
        sharing.looked_for_more = false;
        self.tools.emit(Event::HostLost { host });
        sharing.talking.take().inspect(JoinHandle::abort);
        sharing.taking.take().inspect(JoinHandle::abort);
        self.cut.cancel();
        self.cut = self.tools.stop.child_token();
        self.uploads.are_lost();
        sharing.over.clear();
        sharing.holdings.leave_all(scheduler, now);
        drop(sharing.holdings.over(scheduler, now));
    }

    /// Before anything starts or is believed: whether this host slept for so long that others have its NVRs.
    pub(super) fn look_whether_it_slept(&mut self, scheduler: &mut Scheduler) {
        let now = self.clock.now();
        if self.sharing.as_ref().is_some_and(|sharing| sharing.host.is_some() && sharing.membership.is_lost(now)) {
            self.was_taken_for_dead(scheduler);
        }
    }

    /// Whether nothing more will come, once the scheduler has nothing.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.is_some() || self.sharing.as_ref().is_none_or(|sharing| sharing.finished)
    }

    /// Ends the run for an error that is more than another host's having what this one held.
    pub(super) fn bear(
        &mut self,
        done: Result<(), RunError>,
        scheduler: &mut Scheduler,
        failure: &mut Option<RunError>,
    ) {
        if let Some(error) = done.err().and_then(|error| self.let_go(error, scheduler)) {
            self.stop(scheduler, stop_reason(&error));
            failure.get_or_insert(error);
        }
    }

    /// What remains of an error once what another host has by now was let go.
    fn let_go(&mut self, error: RunError, scheduler: &mut Scheduler) -> Option<RunError> {
        let now = self.clock.now();
        match (error, &mut self.sharing) {
            (RunError::Ledger(LedgerError::LeaseLost { nvr }), Some(sharing)) => {
                self.tools.emit(Event::LeaseLost { nvr: nvr.clone() });
                sharing.lost(&nvr, scheduler, now);
                None
            }
            (error, _) => Some(error),
        }
    }
}

/// The next thing that a run which shares its work has to see to; never, of one that does not.
pub(super) async fn next(sharing: &mut Option<Sharing>, clock: &WallClock) -> Told {
    match sharing {
        Some(sharing) => sharing.next(clock).await,
        None => std::future::pending().await,
    }
}
