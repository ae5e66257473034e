//! Which window may start now: a state machine without a clock.
//!
//! Time and randomness come in as arguments, decisions come out. It never sleeps, so a busy answer never holds a worker:
//! the window goes back with a time, and another NVR's window takes the place. [`crate::run`] does what it says.
//!
//! Its parts: `queue` holds what one camera still has to fetch, cut lazily; `nvr` what one recorder can take, `refusals` whether
//! it is better left alone, `horizon` what it is about to overwrite; `line` who goes first; `verdict` what an outcome asks
//! for; `halving` how a hole is closed in on; `leased` how cameras come and go while hosts share a night. This file joins them: what starts, what an outcome changes, who waits until
//! when.

mod camera;
mod halving;
mod horizon;
mod leased;
mod line;
mod nvr;
mod queue;
mod refusals;
mod verdict;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::backoff::Delays;
use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::outcome::{Class, Outcome};
use crate::report::Learned;
use crate::time_range::{RangeSet, UtcSecond};
use crate::window::{Cause, Window};

use camera::Camera;
use halving::Settled;
use horizon::Hurry;
use line::{Amount, NvrLine, StoreLine, StoreRank};
use verdict::Next;

pub use leased::{Standing, demands};
pub use queue::Stretch;

/// What the scheduler keeps to.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Downloads at once over all NVRs.
    pub streams: usize,
    /// Downloads at once that an NVR is first asked for, before anything is learned of it.
    pub per_nvr: usize,
    /// The most downloads at once that an NVR may be asked for, where the settings say it.
    pub channels: BTreeMap<NvrId, usize>,
    /// How long an NVR keeps footage, where the settings say it: what is older is lost.
    pub footage: BTreeMap<NvrId, Duration>,
    /// The store that an NVR stands in, where it is known; others count as alone in theirs.
    pub stores: BTreeMap<NvrId, String>,
    /// What earlier nights learned.
    pub learned: BTreeMap<NvrId, Learned>,
    /// How old a window's end must be before it is asked for.
    pub settle: Duration,
    /// Delays after failures.
    pub delays: Delays,
    /// Failed attempts at one window in one run before it is given up.
    pub attempts: u32,
    /// How often in a row a camera or an NVR may want to be left alone, without a stream in between, before what is left of
    /// it is given up for this run.
    pub busy_attempts: u32,
    /// An NVR that refuses more than this share of its calls while it is online (0 to 1) is left alone for the longest
    /// delay.
    pub refused_share: f64,
    /// How long after an empty or a short answer the same is asked again.
    pub recheck_after: Duration,
    /// Two short answers that differ by no more than this are as short as each other, in seconds.
    pub tolerance_seconds: i64,
}

/// What one camera has to fetch in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The camera.
    pub device: DeviceId,
    /// The NVR that it hangs off.
    pub nvr: NvrId,
    /// What is missing, earliest first, without overlaps.
    pub stretches: Vec<Stretch>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin an attempt at this window, and call [`Scheduler::complete`] when it has ended.
    Start(Window),
    /// This time is older than what its NVR keeps, or hangs on such time, and will not be asked for.
    GiveUp(Vec<GivenUp>),
    /// Nothing may start before this moment, unless an attempt ends earlier.
    WaitUntil(Instant),
    /// Nothing may start before an attempt ends.
    AwaitCompletion,
    /// Nothing runs, and nothing more will start.
    Finished,
}

/// Time that will not be asked for again in this run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The camera.
    pub device: DeviceId,
    /// What of its time.
    pub ranges: RangeSet,
    /// Why; the ledger keeps it.
    pub cause: Cause,
}

/// How one NVR stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvrState {
    /// The NVR.
    pub nvr: NvrId,
    /// How many downloads it is believed to take at once.
    pub limit: usize,
    /// Nothing starts before this moment.
    pub held_until: Option<Instant>,
    /// Whether it was offline when last asked.
    pub offline: bool,
}

/// Something that may change by time alone. Waking twice does no harm: what is woken is looked at anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Camera(usize),
    Nvr(usize),
    /// What this camera waits for comes into danger of being overwritten.
    Danger(usize),
}

/// The scheduler. See the module's documentation.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    random: ChaCha8Rng,
    cameras: Vec<Camera>,
    by_device: BTreeMap<DeviceId, usize>,
    nvrs: Vec<NvrLine>,
    by_nvr: BTreeMap<NvrId, usize>,
    stores: Vec<StoreLine>,
    by_store: BTreeMap<String, usize>,
    /// What all of them have left.
    work: Amount,
    /// Stores with an NVR that has room, and a camera that is ready.
    open: BTreeSet<StoreRank>,
    wakes: BinaryHeap<Reverse<(Instant, Wake)>>,
    /// Nothing starts before this moment: the platform itself fails.
    platform_held: Option<Instant>,
    platform_failures: u32,
    running: usize,
    draining: bool,
}

/// What is this close to being overwritten is gone before it has been streamed.
const OVERWRITING_SECONDS: i64 = 60;

/// Failures of the platform in a row, from which on everything waits: a few can be chance, while one failed night of a
/// thousand cameras would otherwise use up every window's attempts within minutes.
const PLATFORM_FAILURES: u32 = 4;

impl Scheduler {
    /// A scheduler for `work`. The same work, policy, seed, moments and outcomes give the same decisions.
    pub fn new(work: Vec<Work>, policy: Policy, seed: u64, now: Instant) -> Self {
        let mut scheduler = Self {
            policy,
            random: ChaCha8Rng::seed_from_u64(seed),
            cameras: Vec::with_capacity(work.len()),
            by_device: BTreeMap::new(),
            nvrs: Vec::new(),
            by_nvr: BTreeMap::new(),
            stores: Vec::new(),
            by_store: BTreeMap::new(),
            work: Amount::default(),
            open: BTreeSet::new(),
            wakes: BinaryHeap::new(),
            platform_held: None,
            platform_failures: 0,
            running: 0,
            draining: false,
        };
        scheduler.take_on(work, now);
        scheduler
    }

    /// What to do at `now`, which must not go backwards from call to call. Ask again after doing it.
    pub fn poll(&mut self, now: Instant) -> Step {
        self.wake(now);
        // OK to loop: a round that starts nothing takes a camera out of the line.
        while self.may_start(now) {
            let Some(&(_, (_, _, store))) = self.open.first() else {
                break;
            };
            if let Some(step) = self.start(store, now) {
                return step;
            }
        }
        match self.next_wake(now) {
            Some(at) if !self.draining => Step::WaitUntil(at),
            _ if self.running > 0 => Step::AwaitCompletion,
            _ => Step::Finished,
        }
    }

    /// Says what an attempt that [`Step::Start`] asked for came to. Gives what will not be asked for again in this run.
    pub fn complete(&mut self, window: &Window, outcome: &Outcome, now: Instant) -> Vec<GivenUp> {
        let Some(&index) = self.by_device.get(&window.device) else {
            return Vec::new();
        };
        if outcome.had_a_url() {
            // OK to say it now: whoever did not say it when it began loses only some time.
            self.streaming(window, now);
            self.cameras[index].answered();
        }
        let Some(attempt) = self.cameras[index].end_attempt() else {
            return Vec::new();
        };
        let nvr = self.cameras[index].nvr;
        let store = self.nvrs[nvr].store;
        self.running -= 1;
        self.stores[store].running -= 1;
        self.nvrs[nvr].nvr.ended(attempt.streams);
        self.note_platform(outcome, now);

        let random = self.random.random::<f64>();
        self.nvrs[nvr].note(outcome, attempt.asked_with, now, &self.policy.delays, random);
        let known_horizon = self.nvrs[nvr].horizon.learned();
        if outcome.brought_footage() {
            self.nvrs[nvr].horizon.footage(attempt.task.range, now);
        }
        let next = verdict::next(attempt.task, outcome, &self.policy);
        let mut given_up = self.carry_out(index, vec![next], now);
        given_up.extend(self.give_up_nvr(nvr));
        self.cameras[index].drop_if_released();

        if let Some(nvr) = self.cameras[index].moves_to.take() {
            self.move_camera(index, nvr, now);
        }
        if self.nvrs[nvr].horizon.learned() != known_horizon {
            // What hurries is another now.
            for camera in self.nvrs[nvr].cameras.clone() {
                self.refresh_camera(camera, now);
            }
        }
        self.refresh_camera(index, now);
        for lost in &given_up {
            if let Some(&camera) = self.by_device.get(&lost.device) {
                self.refresh_camera(camera, now);
            }
        }
        given_up
    }

    /// Says that an attempt has got its URL: its NVR is online, and takes what streams now.
    pub fn streaming(&mut self, window: &Window, now: Instant) {
        let Some(&index) = self.by_device.get(&window.device) else {
            return;
        };
        if self.cameras[index].begin_stream(window.range) {
            let nvr = self.cameras[index].nvr;
            self.nvrs[nvr].nvr.began_to_stream(now);
            self.refresh_nvr(nvr, now);
        }
    }

    /// Says that it has been found out which NVR serves a camera, and in which store that one stands: from now on the camera
    /// stands in line with that NVR's others.
    pub fn assign(&mut self, device: DeviceId, nvr: &NvrId, store: Option<&str>, now: Instant) {
        let Some(&index) = self.by_device.get(&device) else {
            return;
        };
        let store = store.map(str::to_owned).or_else(|| self.policy.stores.get(nvr).cloned());
        let nvr = self.line_of(nvr, store, now);
        if self.cameras[index].is_in_flight() {
            // What its NVR was asked with is counted there to the end.
            self.cameras[index].moves_to = Some(nvr);
        } else {
            self.move_camera(index, nvr, now);
        }
    }

    /// What was learned of each NVR that still serves a camera: the next night starts with it.
    pub fn learned(&self) -> Vec<(NvrId, Learned)> {
        let serving = self.nvrs.iter().filter(|line| !line.cameras.is_empty());
        serving.map(|line| (line.id.clone(), line.learned())).collect()
    }

    /// Starts nothing more; what runs is awaited.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Seconds of footage that are neither archived nor given up: what waits, and what runs.
    pub fn remaining_seconds(&self) -> i64 {
        self.cameras.iter().map(Camera::remaining_seconds).sum()
    }

    /// How an NVR stands, for whoever displays it.
    pub fn nvr_state(&self, device: DeviceId) -> Option<NvrState> {
        let line = &self.nvrs[self.cameras[*self.by_device.get(&device)?].nvr];
        Some(NvrState {
            nvr: line.id.clone(),
            limit: line.nvr.limit(),
            held_until: line.nvr.held_until(),
            offline: line.nvr.is_offline(),
        })
    }

    fn may_start(&self, now: Instant) -> bool {
        !self.draining && self.running < self.policy.streams.max(1) && !self.platform_is_held(now)
    }

    /// Starts what is first in a store's line. Nothing when that camera's time to stop came while it stood there: it is then
    /// out of the line.
    fn start(&mut self, store: usize, now: Instant) -> Option<Step> {
        let &(_, _, nvr) = self.stores[store].open.first()?;
        let line = &mut self.nvrs[nvr];
        let &(hurry, _, index) = line.ready.first()?;
        let camera = &mut self.cameras[index];
        if let Some(keeps) = line.horizon.loses() {
            // In whole minutes, or every start would lose the seconds since the one before it.
            let horizon = (now - keeps).to_utc_second().get() + OVERWRITING_SECONDS;
            let horizon = UtcSecond::new((horizon + 59).div_euclid(60) * 60);
            let (ranges, settled) = camera.lose(horizon, self.policy.tolerance_seconds);
            if !ranges.is_empty() {
                let mut given_up = vec![GivenUp { device: camera.device, ranges, cause: Cause::Lost }];
                given_up.extend(self.carry_out(
                    index,
                    settled.into_iter().map(|half| self.next_of(half)).collect(),
                    now,
                ));
                self.refresh_camera(index, now);
                return Some(Step::GiveUp(given_up));
            }
        }
        let window = camera.begin_attempt(now, self.policy.settle, hurry != Hurry::None, line.nvr.streaming());
        if window.is_some() {
            line.nvr.started();
            self.running += 1;
            self.stores[store].running += 1;
        }
        self.refresh_camera(index, now);
        window.map(Step::Start)
    }

    /// Does with windows what their outcomes ask for. A half whose pair is complete by that is done with in turn.
    fn carry_out(&mut self, index: usize, mut todo: Vec<Next>, now: Instant) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        while let Some(next) = todo.pop() {
            let settled = self.carry_out_one(index, next, now, &mut given_up);
            todo.extend(settled.into_iter().map(|half| self.next_of(half)));
        }
        given_up
    }

    /// What a half asks for whose pair is complete.
    fn next_of(&self, half: Settled) -> Next {
        match half.confirmed {
            true => Next::Halve { task: half.task, media: half.media },
            false => verdict::unconfirmed(half.task, half.media, &self.policy),
        }
    }

    fn carry_out_one(&mut self, index: usize, next: Next, now: Instant, given_up: &mut Vec<GivenUp>) -> Vec<Settled> {
        let random = self.random.random::<f64>();
        let (delays, tolerance) = (&self.policy.delays, self.policy.tolerance_seconds);
        let camera = &mut self.cameras[index];
        let device = camera.device;
        match next {
            Next::Done(task) => return camera.half_is_whole(task, tolerance),
            Next::Rest { task, rest } => {
                camera.retry(rest, now + delays.after(1, random));
                return camera.half_is_unknown(task, tolerance);
            }
            Next::Front(task) => camera.put_back(task),
            Next::HoldCamera { task, cause } => {
                if camera.hold(task, now, delays, random) >= self.policy.busy_attempts {
                    given_up.push(GivenUp { device, ranges: camera.take_all(), cause });
                }
            }
            Next::Later { task, failures } => camera.retry(task, now + delays.after(failures, random)),
            Next::Recheck(task) => camera.retry(task, now + self.policy.recheck_after),
            Next::Halve { task, media } => {
                if !camera.halve(task, media) {
                    if media == 0 {
                        self.nvrs[camera.nvr].horizon.none(task.range);
                    }
                    given_up.push(GivenUp { device, ranges: task.range.into(), cause: Cause::NoFootage });
                }
            }
            Next::AwaitOtherHalf { task, media } => return camera.await_other_half(task, media, tolerance),
            Next::GiveUp { task, cause } => {
                given_up.push(GivenUp { device, ranges: task.range.into(), cause });
                return camera.half_is_unknown(task, tolerance);
            }
            Next::GiveUpCamera { task, cause } => {
                let mut ranges = camera.take_all();
                ranges.insert(task.range);
                given_up.push(GivenUp { device, ranges, cause });
            }
            Next::StopRun(task) => {
                camera.put_back(task);
                self.draining = true;
            }
        }
        Vec::new()
    }

    /// An NVR that gave nothing for all the patience that the settings allow is left to the next run.
    fn give_up_nvr(&mut self, nvr: usize) -> Vec<GivenUp> {
        let line = &self.nvrs[nvr];
        let Some(cause) = line.nvr.out_of_patience(self.policy.busy_attempts) else {
            return Vec::new();
        };
        let cameras = line.cameras.iter();
        let given_up = cameras.map(|&camera| {
            let camera = &mut self.cameras[camera];
            GivenUp { device: camera.device, ranges: camera.take_all(), cause }
        });
        given_up.filter(|given_up| !given_up.ranges.is_empty()).collect()
    }

    /// Keeps count of whether the platform itself answers.
    fn note_platform(&mut self, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Missed(Class::Transient) => {
                self.platform_failures += 1;
                if self.platform_failures >= PLATFORM_FAILURES && !self.platform_is_held(now) {
                    let streak = self.platform_failures - PLATFORM_FAILURES + 1;
                    let until = now + self.policy.delays.after(streak, self.random.random::<f64>());
                    self.platform_held = Some(until);
                }
            }
            Outcome::Cancelled => {}
            _ => {
                self.platform_failures = 0;
                self.platform_held = None;
            }
        }
    }

    fn platform_is_held(&self, now: Instant) -> bool {
        // While it fails, one attempt at a time finds out whether it is back.
        let probing = self.platform_failures >= PLATFORM_FAILURES && self.running > 0;
        probing || self.platform_held.is_some_and(|until| until > now)
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&Reverse((at, _))) = self.wakes.peek() {
            if at > now {
                break;
            }
            self.take_wake(now);
        }
    }

    /// Looks anew at what the earliest wake is set for; that sets the wake that is due, if one still is.
    fn take_wake(&mut self, now: Instant) {
        match self.wakes.pop() {
            Some(Reverse((_, Wake::Camera(camera)))) => {
                self.cameras[camera].wake_at = None;
                self.refresh_camera(camera, now);
            }
            Some(Reverse((_, Wake::Nvr(nvr)))) => {
                self.nvrs[nvr].wake_at = None;
                self.refresh_nvr(nvr, now);
            }
            Some(Reverse((_, Wake::Danger(camera)))) => {
                self.cameras[camera].danger_at = None;
                self.refresh_camera(camera, now);
            }
            None => {}
        }
    }

    /// The next moment at which time alone changes something. A wake that nobody needs any more is dropped, or a night
    /// would last until the last of them.
    fn next_wake(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&Reverse((at, wake))) = self.wakes.peek() {
            let needed = match wake {
                Wake::Camera(camera) => self.cameras[camera].due(self.policy.settle) == Some(at),
                Wake::Nvr(nvr) => !self.nvrs[nvr].ready.is_empty() && self.nvrs[nvr].nvr.opens_at(now) == Some(at),
                Wake::Danger(camera) => self.cameras[camera].ready_as.is_some(),
            };
            if needed {
                break;
            }
            self.take_wake(now);
        }
        let waiting = self.wakes.peek().map(|&Reverse((at, _))| at);
        let held = self.platform_held.filter(|&until| until > now && !self.open.is_empty());
        match (waiting, held) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests;
