//! What one recorder can take: how many playbacks at once, and whether it wants to be left alone.
//!
//! An NVR never says how many playback channels it has; it only refuses when they are full (-4). So the limit is found.
//! Until a refusal shows one, it grows by one after each round without a refusal. A refusal brings it down to what really
//! streams. From then on one more is tried now and then: after two minutes and a few streams at first, ever more rarely
//! while that is refused. When it is not, somebody else has freed a channel, and perhaps more than one: it grows again, until
//! the next refusal.
//!
//! Most limits stand still, and then half an hour between two such probes is often enough. Where somebody else plays
//! recordings too, the limit moves by itself, and half an hour of too few downloads costs more than a refusal does. So a
//! recorder whose limit was seen to move is probed every eight minutes at the rarest, until it has long stood still.
//!
//! What was learned is handed to the next night as [`Learned`].

use std::time::Duration;

use crate::backoff::Delays;
use crate::device::NvrId;
use crate::instant::Instant;
use crate::report::Learned;
use crate::window::Cause;

use super::Policy;
use super::refusals::Refusals;

/// How long after a refusal one more stream than the limit is tried, for the first time and at the most.
const FIRST_PROBE: Duration = Duration::from_secs(2 * 60);
const RAREST_PROBE: Duration = Duration::from_secs(30 * 60);

/// The same for a recorder whose limit was seen to move by itself, and how many probes in vain say that it stands still again.
const RAREST_PROBE_OF_MOVING: Duration = Duration::from_secs(8 * 60);
const PROBES_UNTIL_STILL: u32 = 30;

/// How many streams begin in a pause at the least: where a window takes as long as it plays, half an hour is only a few
/// windows, and a refusal for every few of them would be too many.
fn enough_for(pause: Duration) -> u32 {
    const STREAMS_IN_TWO_MINUTES: u32 = 4;
    u32::try_from(pause.as_secs() / FIRST_PROBE.as_secs()).unwrap_or(u32::MAX).saturating_mul(STREAMS_IN_TWO_MINUTES)
}

/// A storm of the CPU lasts minutes: the first pause is longer than after other refusals, the longest is shorter.
fn storm_delays(delays: &Delays) -> Delays {
    Delays { first: delays.first * 3, longest: delays.longest / 5 }
}

/// One recorder as the scheduler sees it.
#[derive(Clone, Debug)]
pub(super) struct Nvr {
    /// The most that the settings allow.
    cap: usize,
    /// The most that is believed to run at once; at least 1, at most `cap`.
    limit: usize,
    /// What the limit was before the CPU became too busy, and is to become again.
    before_storm: Option<usize>,
    /// How the limit is looked for.
    search: Search,
    /// The most that have streamed at once since the limit last fell.
    proven: usize,
    /// Probes in vain since the limit was last seen to move by itself; nothing when it never was, or long ago.
    moved: Option<u32>,
    /// Attempts under way, with or without a stream.
    running: usize,
    /// Those of them that stream.
    streaming: usize,
    /// Nothing starts before this moment.
    held_until: Option<Instant>,
    /// Whether it was offline when last asked: one attempt at a time until it answers.
    offline: bool,
    /// Holds in a row without a URL, and why the last one.
    streak: u32,
    held_for: Cause,
    /// Streams in a row that could not be opened.
    media_failures: u32,
    calls: u64,
    refused: u64,
    /// Whether it refuses too much while it is online.
    refusals: Refusals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// No refusal has shown a limit: so many streams have begun since it last grew.
    Growing { begun: usize },
    /// A refusal has shown it; one more may be tried from `at` on, when so many streams have `begun` since as belong to
    /// `pause`, which is how long was waited for that.
    Known { at: Instant, pause: Duration, begun: u32 },
}

impl Nvr {
    /// The NVR of that name, as the settings and earlier nights know it.
    pub(super) fn new(id: &NvrId, policy: &Policy, now: Instant) -> Self {
        let cap = policy.channels.get(id).copied().unwrap_or(usize::MAX).max(1);
        let learned = policy.learned.get(id);
        let limit = learned.map_or(policy.per_nvr, |learned| learned.limit).clamp(1, cap);
        let search = match learned.and_then(|learned| learned.probe_pause) {
            Some(pause) => Search::Known { at: now + pause, pause, begun: 0 },
            None => Search::Growing { begun: 0 },
        };
        Self {
            cap,
            limit,
            before_storm: None,
            search,
            proven: 0,
            moved: None,
            running: 0,
            streaming: 0,
            held_until: None,
            offline: false,
            streak: 0,
            held_for: Cause::NvrBusy,
            media_failures: 0,
            calls: 0,
            refused: 0,
            refusals: Refusals::new(policy.refused_share),
        }
    }

    /// What the next night starts with.
    pub(super) fn learned(&self) -> Learned {
        let probe_pause = match self.search {
            Search::Growing { .. } => None,
            Search::Known { pause, .. } => Some(pause),
        };
        let limit = self.before_storm.unwrap_or(self.limit).max(self.limit);
        Learned {
            limit,
            probe_pause,
            keeps: None,
            calls: self.calls,
            refused: self.refused,
            left_alone: self.refusals.left_alone(),
        }
    }

    /// Whether one more attempt may start now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.held_until.is_none_or(|until| until <= now) && self.running < self.room(now)
    }

    /// When an attempt may start again, if only time stands in the way.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        let held = self.held_until.filter(|&until| until > now);
        if held.is_some() {
            return held;
        }
        match self.search {
            Search::Known { at, pause, begun } if at > now && begun >= enough_for(pause) && self.may_probe() => {
                Some(at)
            }
            _ => None,
        }
    }

    fn room(&self, now: Instant) -> usize {
        if self.offline {
            // One call at a time; what still streams from before is none.
            return self.limit.min(self.streaming + 1);
        }
        match self.search {
            Search::Known { at, pause, begun } if at <= now && begun >= enough_for(pause) && self.may_probe() => {
                self.limit + 1
            }
            _ => self.limit,
        }
    }

    /// One more than the limit is tried only while as many as the limit stream: only then does an answer say anything.
    fn may_probe(&self) -> bool {
        self.limit < self.cap && self.streaming >= self.limit && !self.offline && self.before_storm.is_none()
    }

    pub(super) fn started(&mut self) {
        self.running += 1;
    }

    /// It was asked for a recording, whatever came of it.
    pub(super) fn asked(&mut self) {
        self.calls += 1;
    }

    /// How many downloads stream now.
    pub(super) fn streaming(&self) -> usize {
        self.streaming
    }

    /// An attempt ended; `streamed` says whether it got as far as a stream.
    pub(super) fn ended(&mut self, streamed: bool) {
        self.running -= 1;
        self.streaming -= usize::from(streamed);
    }

    /// It gave a URL: it is online, and takes as many as stream now.
    pub(super) fn began_to_stream(&mut self, now: Instant) {
        self.streaming += 1;
        self.proven = self.proven.max(self.streaming);
        if self.held_until.is_some_and(|until| until > now) {
            // It was asked before it wanted to be left alone, so it still does. But a refusal may come sooner than the URLs of
            // calls that were made with it: the limit is at least what streams.
            if matches!(self.search, Search::Known { .. }) && self.before_storm.is_none() {
                self.limit = self.limit.max(self.streaming.min(self.cap));
            }
            return;
        }
        self.offline = false;
        self.streak = 0;
        if let Some(before) = self.before_storm {
            // The storm is over: back to what it was, a step with each stream that begins.
            self.limit = (self.limit + 1).min(before);
            self.before_storm = Some(before).filter(|&before| self.limit < before);
        }
        match &mut self.search {
            Search::Growing { begun } => {
                *begun += 1;
                // A round: as many streams have begun as the limit, and as many run.
                if *begun >= self.limit && self.streaming >= self.limit && self.limit < self.cap {
                    self.limit += 1;
                    *begun = 0;
                }
            }
            Search::Known { pause, .. } if self.streaming > self.limit => {
                self.limit = self.streaming.min(self.cap);
                if *pause > FIRST_PROBE {
                    // It was refused before, and is not now.
                    self.moved = Some(0);
                }
                self.search = Search::Growing { begun: 0 };
            }
            Search::Known { begun, .. } => *begun = begun.saturating_add(1),
        }
    }

    /// Its channels are full (-4): the limit is what really streams, or streamed when it was `asked_with` so many, for a stream
    /// may have ended since. It is left alone when nothing of ours streams, because then somebody else has the channels and no
    /// ending of ours will tell when one is free.
    pub(super) fn full(&mut self, asked_with: usize, now: Instant, delays: &Delays, random: f64) {
        self.refused += 1;
        self.offline = false;
        let streamed = self.streaming.max(asked_with);
        let pause = match self.search {
            // One more than the limit was tried in vain.
            Search::Known { at, pause, .. } if at <= now && streamed >= self.limit => {
                self.moved = self.moved.map(|probes| probes + 1).filter(|&probes| probes < PROBES_UNTIL_STILL);
                (pause * 2).min(if self.moved.is_some() { RAREST_PROBE_OF_MOVING } else { RAREST_PROBE })
            }
            _ => {
                if streamed < self.proven {
                    // So many ran together a while ago.
                    self.moved = Some(0);
                }
                FIRST_PROBE
            }
        };
        self.proven = streamed;
        self.search = Search::Known { at: now + pause, pause, begun: 0 };
        self.limit = streamed.clamp(1, self.cap);
        self.before_storm = None;
        if streamed == 0 {
            self.hold(Cause::NvrBusy, now, delays, random);
        }
        self.answered(true, now, delays);
    }

    /// Its CPU is too busy (-5): half as much, after a pause that doubles when it says so again.
    pub(super) fn overloaded(&mut self, now: Instant, delays: &Delays, random: f64) {
        self.refused += 1;
        self.offline = false;
        // Several attempts that were under way are refused together: one storm, one step.
        if self.hold(Cause::NvrBusy, now, &storm_delays(delays), random) {
            self.before_storm = Some(self.before_storm.unwrap_or(self.limit));
            self.limit = (self.limit / 2).max(1);
        }
        self.answered(true, now, delays);
    }

    /// It is not online (1): one attempt at a time from now on, ever more rarely, until it answers.
    pub(super) fn went_offline(&mut self, now: Instant, delays: &Delays, random: f64) {
        self.refused += 1;
        self.offline = true;
        self.hold(Cause::NvrOffline, now, delays, random);
    }

    /// It was asked while it was online, and refused or not. Refusals without end are nothing that a limit explains.
    fn answered(&mut self, refused: bool, now: Instant, delays: &Delays) {
        if self.refusals.answered(refused) {
            let alone = now + delays.longest;
            self.held_until = Some(self.held_until.map_or(alone, |until| until.max(alone)));
        }
    }

    /// It gave a URL, and nobody answers there: its media server is down.
    pub(super) fn media_failed(&mut self, now: Instant, delays: &Delays, random: f64) {
        if self.held_until.is_none_or(|until| until <= now) {
            self.media_failures = self.media_failures.saturating_add(1);
            self.held_until = Some(now + delays.after(self.media_failures, random));
        }
    }

    /// A stream of it came, whatever it was worth.
    pub(super) fn media_came(&mut self, now: Instant, delays: &Delays) {
        self.media_failures = 0;
        self.answered(false, now, delays);
    }

    /// Why nothing more of it is asked for in this run: it was held so often in a row without anything to show for it.
    pub(super) fn out_of_patience(&self, patience: u32) -> Option<Cause> {
        if self.streak >= patience {
            Some(self.held_for)
        } else {
            (self.media_failures >= patience).then_some(Cause::Failed)
        }
    }

    /// Leaves it alone for a while; false when that is so already.
    fn hold(&mut self, cause: Cause, now: Instant, delays: &Delays, random: f64) -> bool {
        if self.held_until.is_some_and(|until| until > now) {
            return false;
        }
        self.held_for = cause;
        self.streak = self.streak.saturating_add(1);
        self.held_until = Some(now + delays.after(self.streak, random));
        true
    }

    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }
}
