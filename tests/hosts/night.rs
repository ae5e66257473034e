//! A night of many hosts in virtual time: each with the real scheduler and the real decisions about sharing, over models of the
//! ledger and of the recorders. Hosts come late, are killed, and are paused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use archive::device::NvrId;
use archive::instant::Instant;
use archive::lease::{HostId, Lease, LeaseTimes, Shared};
use archive::outcome::Outcome;
use archive::scheduler::{self, Policy, Scheduler, Stretch, Work};
use archive::sharing::{self, Holdings, Membership};
use archive::time_range::{RangeSet, TimeRange};
use archive::window::{Cause, Missing};

use super::downloads::Downloads;
use super::ledger::{Ledger, Operations};
use super::model::{BEGIN, Fleet};

/// What happens to a host, at milliseconds of the night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there from this moment on.
    Joins(i64),
    /// It is gone at once, and its connections with it.
    Killed(i64),
    /// It does nothing for that long, and then goes on as if nothing had been.
    Paused(i64, i64),
}

/// How one host is.
#[derive(Clone, Debug)]
pub struct HostIs {
    /// How many thousandths of the usual time its downloads take.
    pub slowness: i64,
    /// Which of the night's jobs it does.
    pub job: usize,
    pub fates: Vec<Fate>,
}

impl HostIs {
    pub fn plain() -> Self {
        Self { slowness: 1_000, job: 0, fates: Vec::new() }
    }
}

/// What a job asks for: of each of its cameras, by number.
pub type Job = BTreeMap<usize, TimeRange>;

/// How the night went.
#[derive(Clone, Debug, PartialEq)]
pub struct Night {
    /// Milliseconds until the last recording was archived.
    pub makespan: i64,
    /// Milliseconds until the last host left.
    pub ended: i64,
    /// Milliseconds until the last recording of each job was archived.
    pub job_ended: Vec<i64>,
    pub archived_seconds: i64,
    /// Milliseconds of streaming that were archived, per host.
    pub busy: Vec<i64>,
    pub operations: Operations,
    /// The most operations of the ledger within one second.
    pub peak_operations: u64,
    pub calls: u64,
    pub refused: u64,
    pub given_up_seconds: i64,
    /// Leases that moved from one host to another, by being given back unfinished.
    pub moved: u64,
    /// Hosts that woke up and found that they had been taken for dead.
    pub woke_lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Join(usize),
    Kill(usize),
    Pause(usize, i64),
    Resume(usize),
    Beat(usize, u64),
    Wake(usize),
    Streams(usize),
    Ends(usize),
}

struct Host {
    is: HostIs,
    state: State,
    scheduler: Scheduler,
    holdings: Holdings,
    membership: Membership,
    id: HostId,
    running: BTreeSet<usize>,
    /// What happened while it was paused.
    missed: Vec<Due>,
    /// Which of the beats that are due counts.
    beat: u64,
    wake_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Works,
    Paused,
    Gone,
}

pub struct Play<'a> {
    fleet: &'a Fleet,
    policy: Policy,
    times: LeaseTimes,
    ledger: Ledger,
    downloads: Downloads<'a>,
    hosts: Vec<Host>,
    due: BinaryHeap<Reverse<(i64, u64, Due)>>,
    order: u64,
    now: i64,
    night: Night,
    recorder_of: BTreeMap<NvrId, usize>,
    cameras_of: Vec<Vec<usize>>,
    jobs: Vec<Job>,
}

/// Plays a night to its end. Panics when a camera is asked for by two hosts that are awake, or published twice.
pub fn play(fleet: &Fleet, policy: Policy, times: LeaseTimes, hosts: Vec<HostIs>) -> Night {
    play_jobs(fleet, policy, times, hosts, vec![whole(fleet)])
}

/// All that is asked of a fleet.
pub fn whole(fleet: &Fleet) -> Job {
    fleet.cameras.iter().map(|camera| camera.asked).enumerate().collect()
}

/// The same of hosts with different jobs.
pub fn play_jobs(fleet: &Fleet, policy: Policy, times: LeaseTimes, hosts: Vec<HostIs>, jobs: Vec<Job>) -> Night {
    let mut play = Play::new(fleet, policy, times, hosts, jobs);
    while let Some(Reverse((at, _, due))) = play.due.pop() {
        play.now = at;
        play.happens(due);
    }
    play.end()
}

impl<'a> Play<'a> {
    fn new(fleet: &'a Fleet, policy: Policy, times: LeaseTimes, hosts: Vec<HostIs>, jobs: Vec<Job>) -> Self {
        let nvrs = || (0..fleet.recorders.len()).map(|recorder| fleet.nvr(recorder));
        let mut cameras_of = vec![Vec::new(); fleet.recorders.len()];
        for (index, camera) in fleet.cameras.iter().enumerate() {
            cameras_of[camera.recorder].push(index);
        }
        let mut play = Self {
            fleet,
            times,
            ledger: Ledger::new(nvrs(), fleet.cameras.len(), jobs.len(), times),
            downloads: Downloads::new(fleet),
            hosts: Vec::new(),
            due: BinaryHeap::new(),
            order: 0,
            now: 0,
            night: Night {
                makespan: 0,
                ended: 0,
                job_ended: vec![0; jobs.len()],
                archived_seconds: 0,
                busy: vec![0; hosts.len()],
                operations: Operations::default(),
                peak_operations: 0,
                calls: 0,
                refused: 0,
                given_up_seconds: 0,
                moved: 0,
                woke_lost: 0,
            },
            recorder_of: nvrs().enumerate().map(|(index, nvr)| (nvr, index)).collect(),
            cameras_of,
            policy,
            jobs,
        };
        for (index, is) in hosts.into_iter().enumerate() {
            let joins = is.fates.iter().find_map(|fate| if let Fate::Joins(at) = *fate { Some(at) } else { None });
            // Processes never begin in the same millisecond.
            play.note(joins.unwrap_or(index as i64 * 37 % 5_000), Due::Join(index));
            for fate in &is.fates {
                match *fate {
                    Fate::Joins(_) => {}
                    Fate::Killed(at) => play.note(at, Due::Kill(index)),
                    Fate::Paused(at, takes) => play.note(at, Due::Pause(index, takes)),
                }
            }
            let begin = instant(0);
            play.hosts.push(Host {
                is,
                state: State::Absent,
                scheduler: Scheduler::new(Vec::new(), play.policy.clone(), fleet.seed ^ index as u64, begin),
                holdings: Holdings::default(),
                membership: Membership::new(times, begin),
                id: HostId::new(0),
                running: BTreeSet::new(),
                missed: Vec::new(),
                beat: 0,
                wake_at: None,
            });
        }
        play
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Join(host) => self.joins(host),
            Due::Kill(host) if self.hosts[host].state != State::Gone => {
                self.cut(host);
                self.hosts[host].state = State::Gone;
            }
            Due::Kill(_) => {}
            Due::Pause(host, takes) if self.hosts[host].state == State::Works => {
                self.hosts[host].state = State::Paused;
                self.note(self.now + takes, Due::Resume(host));
            }
            Due::Pause(..) => {}
            Due::Resume(host) if self.hosts[host].state == State::Paused => self.resumes(host),
            Due::Resume(_) => {}
            Due::Beat(host, number) if self.hosts[host].beat == number => self.for_host(host, due),
            Due::Beat(..) => {}
            Due::Wake(host) => self.for_host(host, due),
            Due::Streams(number) | Due::Ends(number) => {
                // Who is paused reads nothing: the stream stays open.
                if let Some(host) = self.downloads.get(number).map(|download| download.host) {
                    self.for_host(host, due);
                }
            }
        }
    }

    fn for_host(&mut self, host: usize, due: Due) {
        match self.hosts[host].state {
            State::Works => {}
            State::Paused => return self.hosts[host].missed.push(due),
            State::Absent | State::Gone => return,
        }
        if self.hosts[host].membership.is_lost(instant(self.now)) {
            return self.was_lost(host);
        }
        match due {
            Due::Beat(..) => return self.beats(host),
            Due::Wake(_) => self.hosts[host].wake_at = None,
            Due::Streams(number) => {
                let window = self.downloads.get(number).expect("who is told has it").window;
                self.hosts[host].scheduler.streaming(&window, instant(self.now));
            }
            Due::Ends(number) => self.attempt_ended(host, number),
            _ => {}
        }
        self.works(host);
    }

    fn joins(&mut self, host: usize) {
        let job = self.hosts[host].is.job;
        let id = self.ledger.join(job, self.now);
        let work: Vec<Work> = self.jobs[job].keys().filter_map(|&camera| self.work_of(camera, job)).collect();
        let demands = scheduler::demands(&work, &self.policy, instant(self.now));
        self.ledger.offer(job, demands, self.now);
        let one = &mut self.hosts[host];
        (one.state, one.id) = (State::Works, id);
        one.membership = Membership::new(self.times, instant(self.now));
        self.beats(host);
    }

    /// What a camera misses by now of what a job asks of it.
    fn work_of(&self, camera: usize, job: usize) -> Option<Work> {
        let missing = RangeSet::from(*self.jobs[job].get(&camera)?).subtract(&self.ledger.archived[camera]);
        let stretch =
            |&range| Stretch { missing: Missing { range, cause: Cause::NotTried, attempts: 0 }, stop_at: None };
        let stretches: Vec<Stretch> = missing.ranges().iter().map(stretch).collect();
        let camera = &self.fleet.cameras[camera];
        (!stretches.is_empty()).then(|| Work { device: camera.device, nvr: self.fleet.nvr(camera.recorder), stretches })
    }

    /// It does not know that it slept: what was ready to be written down is, or tried to be, before it looks at the clock.
    fn resumes(&mut self, host: usize) {
        self.hosts[host].state = State::Works;
        let was_lost = self.hosts[host].membership.is_lost(instant(self.now));
        let before = self.ledger.operations;
        for due in std::mem::take(&mut self.hosts[host].missed) {
            if let Due::Ends(number) = due {
                self.attempt_ended(host, number);
            }
        }
        if was_lost {
            self.night.woke_lost += 1;
            let tried = self.ledger.operations.commits - before.commits;
            assert_eq!(self.ledger.operations.refused - before.refused, tried, "a host that slept committed something");
            self.was_lost(host);
        } else {
            self.beats(host);
        }
    }

    fn beats(&mut self, host: usize) {
        let now = instant(self.now);
        let one = &mut self.hosts[host];
        one.membership.beats(now);
        let own = one.holdings.own(&one.scheduler, self.policy.streams, now);
        let Ok(shared) = self.ledger.beat(one.id, own.state(), self.now) else { return self.was_lost(host) };
        one.membership.was_heard(now);
        self.acts(host, &own, &shared);
    }

    fn acts(&mut self, host: usize, own: &sharing::Own, shared: &Shared) {
        let now = instant(self.now);
        let one = &mut self.hosts[host];
        match sharing::decide(one.id, own, shared) {
            sharing::Step::Finished => {
                assert!(one.running.is_empty() && one.holdings.is_empty());
                self.ledger.leave(one.id, self.now);
                one.state = State::Gone;
                self.night.ended = self.now;
                return;
            }
            sharing::Step::Claim(most) => {
                let Ok(leases) = self.ledger.claim(one.id, most, self.now) else { return self.was_lost(host) };
                leases.into_iter().for_each(|lease| self.takes(host, lease));
            }
            sharing::Step::GiveBack(nvrs) => {
                self.night.moved += nvrs.len() as u64;
                one.holdings.leave(&nvrs, &mut one.scheduler, now);
            }
            sharing::Step::GoOn => {}
        }
        let one = &mut self.hosts[host];
        for over in one.holdings.over(&mut one.scheduler, now) {
            self.gives_back(host, over);
        }
        let one = &mut self.hosts[host];
        one.beat += 1;
        let (at, beat) = (milliseconds(one.membership.next_beat()), Due::Beat(host, one.beat));
        self.note(at, beat);
        self.works(host);
    }

    /// Plans what a leased NVR's cameras miss by now.
    fn takes(&mut self, host: usize, lease: Lease) {
        let (recorder, job) = (self.recorder_of[&lease.nvr], self.hosts[host].is.job);
        let cameras = &self.cameras_of[recorder];
        let work: Vec<Work> = cameras.iter().filter_map(|&camera| self.work_of(camera, job)).collect();
        let learned = self.ledger.learned.get(&lease.nvr).map(|&learned| (lease.nvr.clone(), learned));
        let one = &mut self.hosts[host];
        one.holdings.take(lease, work, learned.into_iter().collect(), None, &mut one.scheduler, instant(self.now));
    }

    fn gives_back(&mut self, host: usize, over: sharing::Over) {
        self.ledger.learned.extend(over.learned);
        self.ledger.give_back(self.hosts[host].id, over.back, self.now);
    }

    /// Starts what the scheduler says.
    fn works(&mut self, host: usize) {
        loop {
            let now = instant(self.now);
            let one = &mut self.hosts[host];
            match one.scheduler.poll(now) {
                scheduler::Step::Start(window) => {
                    assert!(one.holdings.lease_of(window.device).is_some(), "{window} is asked for without a lease");
                    let camera = window.device.get() as usize;
                    let slowness = one.is.slowness;
                    if let Some(other) = self.downloads.holder(camera) {
                        let state = self.hosts[other].state;
                        assert_eq!(state, State::Paused, "{window}: hosts {host} and {other} ask for it");
                    }
                    let number = self.downloads.ask(host, window, slowness, self.now);
                    self.hosts[host].running.insert(number);
                    let download = self.downloads.get(number).expect("it has just begun");
                    let (streams_at, ends_at) = (download.streams_at, download.ends_at);
                    if let Some(at) = streams_at {
                        self.note(at, Due::Streams(number));
                    }
                    self.note(ends_at, Due::Ends(number));
                }
                scheduler::Step::GiveUp(lost) => self.gave_up(&lost),
                scheduler::Step::WaitUntil(at) => {
                    let at = milliseconds(at);
                    if one.wake_at.is_none_or(|set| at < set) {
                        one.wake_at = Some(at);
                        self.note(at, Due::Wake(host));
                    }
                    return;
                }
                scheduler::Step::AwaitCompletion | scheduler::Step::Finished => return,
            }
        }
    }

    fn attempt_ended(&mut self, host: usize, number: usize) {
        let Some(download) = self.downloads.end(number) else { return };
        let now = instant(self.now);
        let one = &mut self.hosts[host];
        one.running.remove(&number);
        let (window, device) = (download.window, download.window.device);
        let mut outcome = download.outcome;
        if outcome == Outcome::Archived {
            let lease = one.holdings.lease_of(device).expect("what runs is leased");
            match self.ledger.commit(one.id, lease, device.get() as usize, window.range, self.now) {
                Ok(()) => {
                    self.night.makespan = self.now;
                    self.night.job_ended[one.is.job] = self.now;
                    self.night.archived_seconds += window.range.seconds();
                    self.night.busy[host] += download.ends_at - download.streams_at.unwrap_or(download.ends_at);
                }
                Err(_) => outcome = Outcome::Cancelled,
            }
        }
        let given_up = one.scheduler.complete(&window, &outcome, now);
        let over = one.holdings.over_with(device, &mut one.scheduler, now);
        self.gave_up(&given_up);
        if let Some(over) = over {
            self.gives_back(host, over);
            if self.hosts[host].holdings.is_empty() {
                // Whoever has nothing to do says so at once.
                self.hosts[host].beat += 1;
                let beat = Due::Beat(host, self.hosts[host].beat);
                self.note(self.now, beat);
            }
        }
    }

    /// It was taken for dead: it ends what streams, forgets what it held, and joins anew.
    fn was_lost(&mut self, host: usize) {
        self.cut(host);
        let now = instant(self.now);
        let one = &mut self.hosts[host];
        one.holdings.leave_all(&mut one.scheduler, now);
        one.holdings.over(&mut one.scheduler, now);
        assert!(one.holdings.is_empty(), "nothing of what was lost runs");
        self.joins(host);
    }

    fn cut(&mut self, host: usize) {
        let now = instant(self.now);
        for number in std::mem::take(&mut self.hosts[host].running) {
            if let Some(download) = self.downloads.end(number) {
                self.hosts[host].scheduler.complete(&download.window, &Outcome::Cancelled, now);
            }
        }
    }

    fn gave_up(&mut self, lost: &[scheduler::GivenUp]) {
        self.night.given_up_seconds += lost.iter().map(|lost| lost.ranges.seconds()).sum::<i64>();
    }

    fn note(&mut self, at: i64, due: Due) {
        self.order += 1;
        self.due.push(Reverse((at.max(self.now), self.order, due)));
    }

    fn end(mut self) -> Night {
        for (index, host) in self.hosts.iter().enumerate() {
            assert!(matches!(host.state, State::Gone | State::Absent), "host {index} never ended");
            assert!(host.running.is_empty());
        }
        for (job, asked) in self.jobs.iter().enumerate() {
            for (&camera, &range) in asked {
                let missing = RangeSet::from(range).subtract(&self.ledger.archived[camera]);
                assert!(missing.is_empty(), "job {job}: camera {camera}: {missing:?} is not archived");
            }
        }
        (self.night.calls, self.night.refused) = (self.downloads.calls, self.downloads.refused);
        (self.night.operations, self.night.peak_operations) = (self.ledger.operations, self.ledger.peak);
        self.night
    }
}

fn instant(at: i64) -> Instant {
    Instant::from(BEGIN) + Duration::from_millis(at.unsigned_abs())
}

fn milliseconds(now: Instant) -> i64 {
    now.since(Instant::from(BEGIN)).as_millis() as i64
}
