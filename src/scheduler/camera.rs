//! One camera in the schedule: what it has to fetch, and when it may be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backoff::Delays;
use crate::device::DeviceId;
use crate::instant::Instant;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::Window;

use super::Work;
use super::halving::{Halving, Settled};
use super::line::Rank;
use super::queue::{Queue, Stretch, Task};

/// An attempt under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) task: Task,
    /// Whether the platform has given a URL.
    pub(super) streams: bool,
    /// How many streamed from its NVR when it started.
    pub(super) asked_with: usize,
}

/// Where a window waits.
#[derive(Clone, Copy)]
enum Lane {
    Fresh,
    Tried,
    Retry,
}

/// One camera. At most one attempt runs at a time: the platform answers -3 to a second.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) device: DeviceId,
    /// Its NVR's position.
    pub(super) nvr: usize,
    /// The position of the NVR that it turned out to hang off, while an attempt is under way that counts for the old one.
    pub(super) moves_to: Option<usize>,
    /// Under which rank it stands in its NVR's line.
    pub(super) ready_as: Option<Rank>,
    /// The earliest wake that is set for it.
    pub(super) wake_at: Option<Instant>,
    /// The wake that is set for when what it waits for comes into danger.
    pub(super) danger_at: Option<Instant>,
    fresh: Queue,
    /// What failed by itself in earlier runs, the most often tried last: it comes after what is fresh, later each night.
    tried: Queue,
    /// What failed, by when it may be tried again. Fresh windows go first: a retry does not jump the queue.
    retries: BTreeMap<(Instant, UtcSecond), Task>,
    halving: Halving,
    in_flight: Option<InFlight>,
    held_until: Option<Instant>,
    /// Holds in a row.
    streak: u32,
    /// Seconds in `fresh`, `tried`, `retries`, `halving` and `in_flight`, and of what may not start any more.
    remaining: i64,
    /// Whether nothing more of it starts, because another host is to have it.
    released: bool,
}

impl Camera {
    pub(super) fn new(work: &Work, nvr: usize) -> Self {
        let mut earlier: Vec<_> = work.stretches.iter().copied().filter(Stretch::failed_before).collect();
        earlier.sort_by_key(|stretch| (stretch.missing.attempts, stretch.missing.range));
        let fresh = Queue::new(work.stretches.iter().copied().filter(|stretch| !stretch.failed_before()));
        let tried = Queue::new(earlier);
        Self {
            device: work.device,
            nvr,
            moves_to: None,
            ready_as: None,
            wake_at: None,
            danger_at: None,
            remaining: fresh.seconds() + tried.seconds(),
            fresh,
            tried,
            retries: BTreeMap::new(),
            halving: Halving::default(),
            in_flight: None,
            held_until: None,
            streak: 0,
            released: false,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn remaining_seconds(&self) -> i64 {
        self.remaining
    }

    /// Takes out what would be the next and lies before `horizon`. A half that is lost says nothing of the other one: gives
    /// what is settled by that.
    pub(super) fn lose(&mut self, horizon: UtcSecond, tolerance: i64) -> (RangeSet, Vec<Settled>) {
        let mut lost = self.fresh.lose(horizon);
        lost.extend(self.tried.lose(horizon));
        while let Some(retry) = self.retries.first_entry().filter(|retry| retry.get().range.start() < horizon) {
            let (&(at, _), task) = (retry.key(), *retry.get());
            retry.remove();
            let (gone, rest) = task.lose(horizon);
            lost.push(gone);
            self.retries.extend(rest.map(|rest| ((at, rest.range.start()), rest)));
        }
        let ranges: RangeSet = lost.iter().map(|task| task.range).collect();
        self.remaining -= ranges.seconds();
        let settled = lost.into_iter().flat_map(|half| self.half_is_unknown(half, tolerance)).collect();
        (ranges, settled)
    }

    /// The oldest of what may be the next: from when on footage of it is waited for.
    pub(super) fn oldest_waiting(&self) -> Option<UtcSecond> {
        let next = self.fresh.peek().into_iter().chain(self.tried.peek()).chain(self.retries.values().next().copied());
        next.map(|task| task.range.start()).min()
    }

    /// Drops what nothing of may start any more; it still counts as remaining.
    pub(super) fn drop_stopped(&mut self, now: Instant) {
        self.fresh.drop_stopped(now);
        self.tried.drop_stopped(now);
        self.retries.retain(|_, task| !task.is_stopped(now));
    }

    /// When to look at it again: when its next attempt may start, or may not start any more. Nothing while one runs, or
    /// when nothing is left.
    pub(super) fn due(&self, settle: Duration) -> Option<Instant> {
        if self.in_flight.is_some() {
            return None;
        }
        let waiting = self.fresh.peek().into_iter().chain(self.tried.peek());
        let waiting = waiting.map(|task| (settled_at(&task, settle), task.stop_at));
        let retry = self.retries.first_key_value().map(|(&(at, _), task)| (at, task.stop_at));
        let held = |at: Instant| self.held_until.map_or(at, |held| held.max(at));
        let due = |(at, stop): (Instant, Option<Instant>)| stop.map_or(held(at), |stop| held(at).min(stop));
        waiting.chain(retry).map(due).min()
    }

    /// Takes the next window that is due: what is fresh first, then what earlier runs tried in vain, and retries last. When
    /// it `hurries`, whatever is oldest. `asked_with` is how many stream from its NVR.
    pub(super) fn begin_attempt(
        &mut self,
        now: Instant,
        settle: Duration,
        hurries: bool,
        asked_with: usize,
    ) -> Option<Window> {
        self.drop_stopped(now);
        if self.due(settle).is_none_or(|due| due > now) {
            return None;
        }
        let settled = |queue: &Queue| queue.peek().filter(|task| settled_at(task, settle) <= now);
        let retry = self.retries.first_key_value().filter(|&(&(at, _), _)| at <= now).map(|(_, task)| *task);
        let mut waiting =
            [(Lane::Fresh, settled(&self.fresh)), (Lane::Tried, settled(&self.tried)), (Lane::Retry, retry)];
        if hurries {
            waiting.sort_by_key(|(_, task)| task.map_or(UtcSecond::new(i64::MAX), |task| task.range.start()));
        }
        let (lane, _) = waiting.into_iter().find(|(_, task)| task.is_some())?;
        let task = match lane {
            Lane::Fresh => self.fresh.pop()?,
            Lane::Tried => self.tried.pop()?,
            Lane::Retry => self.retries.pop_first()?.1,
        };
        self.in_flight = Some(InFlight { task, streams: false, asked_with });
        Some(Window { device: self.device, range: task.range })
    }

    /// Takes the attempt that was under way; whoever does must put what is left of its task back, or its time is gone.
    pub(super) fn end_attempt(&mut self) -> Option<InFlight> {
        let attempt = self.in_flight.take()?;
        self.remaining -= attempt.task.range.seconds();
        Some(attempt)
    }

    /// Notes that the running attempt has got its URL; false when that was known, or another window's runs.
    pub(super) fn begin_stream(&mut self, range: TimeRange) -> bool {
        match &mut self.in_flight {
            Some(attempt) if attempt.task.range == range => !std::mem::replace(&mut attempt.streams, true),
            _ => false,
        }
    }

    /// An attempt got as far as a URL.
    pub(super) fn answered(&mut self) {
        self.streak = 0;
        self.held_until = None;
    }

    /// The task is the next again, and nobody is to blame.
    pub(super) fn put_back(&mut self, task: Task) {
        self.remaining += task.range.seconds();
        self.fresh.push_front(task);
    }

    /// The camera wants to be left alone for a while. Gives how often that was so in a row.
    pub(super) fn hold(&mut self, task: Task, now: Instant, delays: &Delays, random: f64) -> u32 {
        self.streak = self.streak.saturating_add(1);
        self.held_until = Some(now + delays.after(self.streak, random));
        self.put_back(task);
        self.streak
    }

    /// The task may be tried again at `at`.
    pub(super) fn retry(&mut self, task: Task, at: Instant) {
        self.remaining += task.range.seconds();
        self.retries.insert((at, task.range.start()), task);
    }

    /// A window of which it is sure that it holds only `media` seconds: its halves are next, in their order. False when it
    /// is a hole as a whole, or too small to be halved.
    pub(super) fn halve(&mut self, task: Task, media: i64) -> bool {
        let halves = if media > 0 { self.halving.split(task, media) } else { None };
        for half in halves.into_iter().flatten().rev() {
            self.put_back(half);
        }
        halves.is_some()
    }

    /// A half that came short is kept aside until its other half has an answer.
    pub(super) fn await_other_half(&mut self, task: Task, media: i64, tolerance: i64) -> Vec<Settled> {
        self.remaining += task.range.seconds();
        let settled = self.halving.short(task, media, tolerance);
        self.let_go(settled)
    }

    /// A half came whole.
    pub(super) fn half_is_whole(&mut self, task: Task, tolerance: i64) -> Vec<Settled> {
        let settled = self.halving.whole(task, tolerance);
        self.let_go(settled)
    }

    /// A half ended in a way that says nothing of its footage.
    pub(super) fn half_is_unknown(&mut self, task: Task, tolerance: i64) -> Vec<Settled> {
        let settled = self.halving.unknown(task, tolerance);
        self.let_go(settled)
    }

    /// What is settled is no longer kept aside; as with [`Self::end_attempt`], whoever takes it puts it back or gives it up.
    fn let_go(&mut self, settled: Vec<Settled>) -> Vec<Settled> {
        self.remaining -= settled.iter().map(|half| half.task.range.seconds()).sum::<i64>();
        settled
    }

    /// Nothing more of it starts. What waits is neither archived nor given up: it is somebody else's.
    pub(super) fn release(&mut self) {
        self.released = true;
        self.drop_if_released();
    }

    /// Once it is released, what an attempt put back is somebody else's as well.
    pub(super) fn drop_if_released(&mut self) {
        if self.released {
            self.take_all();
            // What may not start any more counts as remaining, and is somebody else's as well.
            self.remaining = self.in_flight.map_or(0, |attempt| attempt.task.range.seconds());
        }
    }

    /// Whether nothing of it runs, or will.
    pub(super) fn is_done(&self, settle: Duration) -> bool {
        self.in_flight.is_none() && self.due(settle).is_none()
    }

    /// Takes out everything that does not run.
    pub(super) fn take_all(&mut self) -> RangeSet {
        let mut all = self.fresh.take_all();
        let tried = self.tried.take_all();
        let kept_aside = self.halving.take_all();
        let retries = std::mem::take(&mut self.retries).into_values().map(|task| task.range);
        for range in retries.chain(kept_aside.ranges().iter().chain(tried.ranges()).copied()) {
            all.insert(range);
        }
        self.remaining -= all.seconds();
        all
    }
}

/// When a window may be asked for: some time after its end, when the recorder has surely written it.
fn settled_at(task: &Task, settle: Duration) -> Instant {
    Instant::from(task.range.end()) + settle
}
