//! What one recorder can take: how many playbacks at once, and whether it wants to be left alone.
//!
//! An NVR never says how many playback channels it has; it only refuses when they are full (-4). So the limit is found:
//! it starts at a setting, comes down to what really runs when a call is refused, and is probed upward by one, ever more
//! rarely while probes fail.

use std::time::Duration;

use crate::backoff::Delays;
use crate::instant::Instant;

/// How long after a refusal one more stream than the limit is tried for the first time, and at the most.
const FIRST_PROBE: Duration = Duration::from_secs(2 * 60);
const RAREST_PROBE: Duration = Duration::from_secs(30 * 60);

/// One recorder as the scheduler sees it.
#[derive(Clone, Debug)]
pub(super) struct Nvr {
    /// The most that the settings allow.
    cap: usize,
    /// The most that is believed to run at once; at least 1, at most `cap`.
    limit: usize,
    /// How many downloads run now.
    running: usize,
    /// Nothing starts before this moment.
    held_until: Option<Instant>,
    /// One more than the limit may be tried from this moment on; nothing while no refusal has shown a limit.
    probe: Probe,
    /// Whether it was offline when last asked: one attempt at a time until it answers.
    offline: bool,
    /// Holds in a row without an answer that goes on.
    streak: u32,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    at: Option<Instant>,
    pause: Duration,
}

impl Nvr {
    pub(super) fn new(limit: usize, cap: usize) -> Self {
        let cap = cap.max(1);
        let probe = Probe { at: None, pause: FIRST_PROBE };
        Self { cap, limit: limit.clamp(1, cap), running: 0, held_until: None, probe, offline: false, streak: 0 }
    }

    /// Whether one more download may start now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.held_until.is_none_or(|until| until <= now) && self.running < self.room(now)
    }

    /// When a download may start again, if only time stands in the way.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        let held = self.held_until.filter(|&until| until > now);
        if held.is_some() {
            return held;
        }
        self.probe.at.filter(|&at| at > now && self.running >= self.limit && !self.offline)
    }

    fn room(&self, now: Instant) -> usize {
        if self.offline {
            1
        } else if self.probe.at.is_some_and(|at| at <= now) {
            (self.limit + 1).min(self.cap)
        } else {
            self.limit
        }
    }

    pub(super) fn started(&mut self) {
        self.running += 1;
    }

    pub(super) fn ended(&mut self) {
        self.running -= 1;
    }

    /// It gave a URL: it is online, and as many as run now (the one that just ended among them) fit.
    pub(super) fn answered(&mut self, now: Instant) {
        self.offline = false;
        self.streak = 0;
        self.held_until = None;
        let proven = self.running + 1;
        if proven > self.limit {
            self.limit = proven.min(self.cap);
            self.probe = Probe { at: Some(now + FIRST_PROBE), pause: FIRST_PROBE };
        }
    }

    /// Its channels are full (-4): the limit is what still runs. `delay` holds it when nothing of ours does, because then
    /// somebody else has the channels and no ending of ours will tell when one is free.
    pub(super) fn full(&mut self, now: Instant, delays: &Delays, random: f64) {
        self.offline = false;
        let failed_probe = self.probe.at.is_some_and(|at| at <= now);
        let pause = if failed_probe { (self.probe.pause * 2).min(RAREST_PROBE) } else { self.probe.pause };
        self.probe = Probe { at: Some(now + pause), pause };
        self.limit = self.running.max(1);
        if self.running == 0 {
            self.hold(now, delays, random);
        }
    }

    /// Its CPU is too busy (-5): half as much, after a pause that doubles when it says so again.
    pub(super) fn overloaded(&mut self, now: Instant, delays: &Delays, random: f64) {
        self.offline = false;
        self.limit = (self.limit / 2).max(1);
        self.probe = Probe { at: Some(now + self.probe.pause), pause: self.probe.pause };
        self.hold(now, delays, random);
    }

    /// It is not online (1): one attempt at a time from now on, ever more rarely, until it answers.
    pub(super) fn went_offline(&mut self, now: Instant, delays: &Delays, random: f64) {
        self.offline = true;
        self.hold(now, delays, random);
    }

    fn hold(&mut self, now: Instant, delays: &Delays, random: f64) {
        // Several downloads that run at once are refused together: one storm, one step of the delay.
        if self.held_until.is_none_or(|until| until <= now) {
            self.streak = self.streak.saturating_add(1);
            self.held_until = Some(now + delays.after(self.streak, random));
        }
    }

    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Holds in a row without an answer that goes on.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }
}
