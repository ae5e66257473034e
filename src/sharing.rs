//! What a host does about the work that it shares with others: takes more, gives some back, or goes on.
//!
//! Each host decides for itself, from what the last beat told of all and from what it has in its own hands; the ledger sees to
//! it that nobody gets what another has. Who has streams to spare takes more; who has less than its part of what is open takes
//! some ahead, a little at each beat, so that what is overwritten soonest, which goes first, is spread over all hosts. Once
//! nothing is free, a host that runs dry, or has far less than its part, gets what others hold above theirs. Work comes to
//! hosts by the streams they can run and by how fast they work it off: a slow one is left with less.
//!
//! Hosts with different jobs may want the same NVR, which is one host's at a time. Then whoever has less to do there goes first: a
//! minute of an incident does not wait for a night, and the night loses little by it.
//!
//! `membership` tells a host when it is to be heard of, and when it must believe that others take it for dead; `holdings` is
//! what it has leased, and when that is done with; `names` with which NVR each camera is leased.

mod holdings;
mod membership;
mod names;

use crate::device::NvrId;
use crate::lease::{HostId, HostState, Shared};

pub use holdings::{Holdings, Over};
pub use membership::Membership;
pub use names::Names;

/// How many beats it takes a host at the least to lease its part of the work ahead of time.
const BEATS_FOR_A_PART: i64 = 16;

/// How a host itself stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// How many downloads it can run at once.
    pub streams: usize,
    /// How many more it could run now; the scheduler has nothing that may start for these.
    pub spare_streams: usize,
    /// What it holds, and has not begun to give back.
    pub held: Vec<Held>,
    /// Seconds of footage that are left of what it gives back, and still runs.
    pub leaving_seconds: i64,
}

/// One NVR that a host holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The NVR.
    pub nvr: NvrId,
    /// Seconds of footage that are neither archived nor given up.
    pub left_seconds: i64,
    /// Whether something of it runs now.
    pub runs: bool,
    /// How many of its cameras have something left.
    pub cameras: usize,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lease up to this many more NVRs.
    Claim(usize),
    /// Start nothing more of these, and give them back when nothing of them runs.
    GiveBack(Vec<NvrId>),
    /// Go on, and look again after the next beat.
    GoOn,
    /// Nothing is left to do for anybody. A host that has nothing to do waits for this: who still works may die, and
    /// somebody must be there to take over.
    Finished,
}

impl Own {
    /// What it says of itself at a beat.
    pub fn state(&self) -> HostState {
        HostState { streams: self.streams, backlog_seconds: self.backlog(), hungry: self.spare_streams > 0 }
    }

    /// What hosts with other jobs wait for, and would be done with sooner.
    fn wanted_elsewhere(&self, shared: &Shared) -> Vec<NvrId> {
        let goes_first =
            |held: &&Held| shared.wanted.get(&held.nvr).is_some_and(|&seconds| seconds < held.left_seconds);
        self.held.iter().filter(goes_first).map(|held| held.nvr.clone()).collect()
    }

    fn backlog(&self) -> i64 {
        self.held.iter().map(|held| held.left_seconds).sum::<i64>() + self.leaving_seconds
    }
}

/// What host `me` does, as it stands now and as all stood at the last beat.
pub fn decide(me: HostId, own: &Own, shared: &Shared) -> Step {
    if own.held.is_empty() && shared.free.nvrs == 0 && shared.leased.nvrs == 0 {
        return Step::Finished;
    }
    let wanted = own.wanted_elsewhere(shared);
    if !wanted.is_empty() {
        return Step::GiveBack(wanted);
    }
    let open = Open::of(me, own, shared);
    if shared.free.nvrs > 0 {
        return match open.wants(own, shared) {
            0 => Step::GoOn,
            more => Step::Claim(more),
        };
    }
    let given = open.gives(own);
    if given.is_empty() { Step::GoOn } else { Step::GiveBack(given) }
}

/// What is open, and how it is spread.
struct Open {
    /// NVRs that have something left.
    nvrs: i64,
    /// What this host's part of all would be.
    part: i64,
    /// What it has.
    backlog: i64,
    /// How much all hosts have above their parts.
    above: i64,
    /// How much hosts that have streams to spare, or far less than their parts, have below these; this one left out.
    wanting: i64,
    /// How much the one of them that lacks most has below its part.
    neediest: i64,
    /// Whether no host has more above its part than this one.
    is_first_above: bool,
    /// Streams of all hosts.
    streams: usize,
}

impl Open {
    fn of(me: HostId, own: &Own, shared: &Shared) -> Self {
        // What others said is a beat old; of itself it knows better.
        let others = || shared.hosts.iter().filter(|&&(host, _)| host != me).map(|(_, state)| state);
        let backlog = own.backlog();
        let held: i64 = others().map(|state| state.backlog_seconds).sum::<i64>() + backlog;
        let seconds = shared.free.seconds + held;
        let nvrs = i64::try_from(shared.free.nvrs + shared.leased.nvrs.max(own.held.len())).unwrap_or(i64::MAX).max(1);
        let of_nvr = (seconds / nvrs).max(1);
        let streams = others().map(|state| state.streams).sum::<usize>() + own.streams;
        let part_of = |streams_of_host: usize| part(seconds, streams_of_host, streams);
        let mine = part_of(own.streams);
        let over = backlog - mine;
        let (mut above, mut wanting, mut neediest) = (over.max(0), 0, 0);
        let mut is_first_above = true;
        for &(host, ref state) in shared.hosts.iter().filter(|&&(host, _)| host != me) {
            let part = part_of(state.streams);
            let off = state.backlog_seconds - part;
            above += off.max(0);
            // Of two that are alike, one.
            is_first_above &= (off, me) < (over, host);
            // Less than half an NVR is nothing that could be moved. Who has enough for now wants more as well, if it has far less
            // than its part: the others would sit on theirs until the night's end.
            let enough = if state.hungry { of_nvr / 2 } else { (part / 4).max(of_nvr) };
            if off < -enough {
                wanting -= off;
                neediest = neediest.max(-off);
            }
        }
        Self { nvrs, part: mine, backlog, above, wanting, neediest, is_first_above, streams }
    }

    /// How many NVRs to lease, of those that are free.
    fn wants(&self, own: &Own, shared: &Shared) -> usize {
        let below = self.backlog < self.part;
        // What others lack is left to them.
        if !below && (own.spare_streams == 0 || self.wanting > 0) {
            return 0;
        }
        let free = i64::try_from(shared.free.nvrs).unwrap_or(i64::MAX);
        // Nothing ahead at first: who comes first does not see yet with how many it will share.
        let ahead = match below && !own.held.is_empty() {
            true => part(self.nvrs, own.streams, self.streams) / BEATS_FOR_A_PART,
            false => 0,
        };
        let to_fill = i64::try_from(own.spare_streams.div_ceil(own.cameras_of_nvr())).unwrap_or(i64::MAX);
        // Never more at once than its part of what is free, so that hosts that come at the same time get alike.
        let most = part(free, own.streams, self.streams).max(1);
        usize::try_from(to_fill.max(ahead).clamp(i64::from(below), most)).unwrap_or(usize::MAX)
    }

    /// What to give back, so that hosts that want something get this host's share of it.
    fn gives(&self, own: &Own) -> Vec<NvrId> {
        let mine = self.backlog - self.part - own.leaving_seconds;
        if self.wanting == 0 || mine <= 0 || self.above == 0 {
            return Vec::new();
        }
        let give = mine.min(part_of(self.wanting, mine, self.above));
        // What runs costs somebody a wait; and the larger, the fewer are moved.
        let mut held: Vec<&Held> = own.held.iter().filter(|held| held.left_seconds > 0).collect();
        held.sort_by_key(|held| (held.runs, -held.left_seconds));
        let (mut given, mut seconds) = (Vec::new(), 0);
        for held in held {
            // To the nearest NVR.
            if seconds + held.left_seconds / 2 < give {
                seconds += held.left_seconds;
                given.push(held.nvr.clone());
            }
        }
        // Where each has a little above its part, nobody's share of what is wanting is an NVR: the first gives one, if that leaves it with
        // less below its part than the one that lacks most has now. So each such move evens things out, and there is a last one.
        if given.is_empty() && self.is_first_above {
            let least =
                own.held.iter().filter(|held| held.left_seconds > 0).min_by_key(|held| (held.runs, held.left_seconds));
            given.extend(least.filter(|held| held.left_seconds - mine < self.neediest).map(|held| held.nvr.clone()));
        }
        given
    }
}

impl Own {
    /// How many cameras an NVR has, as far as this host has seen: so many streams it may fill.
    fn cameras_of_nvr(&self) -> usize {
        let cameras: usize = self.held.iter().map(|held| held.cameras).sum();
        cameras.checked_div(self.held.len()).unwrap_or(CAMERAS_OF_NVR).max(1)
    }
}

/// What is assumed of NVRs before any was leased.
const CAMERAS_OF_NVR: usize = 4;

/// The part of `all` that belongs to so many of so many streams.
fn part(all: i64, streams: usize, of: usize) -> i64 {
    let of = i64::try_from(of.max(1)).unwrap_or(i64::MAX);
    part_of(all, i64::try_from(streams).unwrap_or(i64::MAX), of)
}

/// `all * share / of`. OK in 128 bits: no two numbers of 64 overflow it.
fn part_of(all: i64, share: i64, of: i64) -> i64 {
    i64::try_from(i128::from(all) * i128::from(share) / i128::from(of.max(1))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
