//! The shared ledger as hosts see it: who is alive, who holds what, and what is archived. In memory, by a clock of its own.
//!
//! It keeps what the real one promises: a claim never gives what a living host holds, whatever its job, a lease that was taken anew has
//! a higher epoch, what is written under another epoch is refused, and a second that is archived is never archived again. What is to be
//! done at a recorder is said by job, and what a host with another job would take next that has less to do there is left to it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use archive::device::NvrId;
use archive::lease::{Demand, GivenBack, HostId, HostState, Lease, LeaseTimes, Shared, Tally};
use archive::report::Learned;
use archive::time_range::{RangeSet, TimeRange};

/// A host, or what a host held, is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// How often it was asked for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    pub joins: u64,
    pub beats: u64,
    pub claims: u64,
    pub given_back: u64,
    pub commits: u64,
    /// Commits under a lease that somebody else had got by then.
    pub refused: u64,
}

#[derive(Clone, Debug, Default)]
struct Member {
    /// Milliseconds of the night.
    seen: i64,
    state: HostState,
    job: usize,
    holds: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Share {
    epoch: i64,
    holder: Option<HostId>,
}

/// What is to be done for one job.
#[derive(Clone, Debug, Default)]
struct Work {
    demands: BTreeMap<usize, Demand>,
    /// All that is not finished.
    open: BTreeSet<Rank>,
    /// What of it nobody holds.
    free: BTreeSet<Rank>,
    free_seconds: i64,
    /// How many of it hosts hold.
    held: usize,
    finished: Tally,
}

/// For how many recorders a host that waits is left room: as the real ledger does.
const NVRS_OF_A_HOST: usize = 4;

/// What goes first: what is lost first, then what has the most to do.
type Rank = (i64, Reverse<i64>, usize);

pub struct Ledger {
    lasts: i64,
    members: BTreeMap<HostId, Member>,
    /// As many as have ever joined.
    given: i64,
    shares: Vec<Share>,
    by_nvr: BTreeMap<NvrId, usize>,
    jobs: Vec<Work>,
    pub archived: Vec<RangeSet>,
    pub learned: BTreeMap<NvrId, Learned>,
    pub operations: Operations,
    second: (i64, u64),
    /// The most operations within one second.
    pub peak: u64,
}

impl Ledger {
    /// A ledger that knows these recorders, so many cameras by number, and so many jobs.
    pub fn new(nvrs: impl Iterator<Item = NvrId>, cameras: usize, jobs: usize, times: LeaseTimes) -> Self {
        let by_nvr: BTreeMap<NvrId, usize> = nvrs.enumerate().map(|(index, nvr)| (nvr, index)).collect();
        Self {
            lasts: times.lasts.as_millis() as i64,
            members: BTreeMap::new(),
            given: 0,
            shares: vec![Share::default(); by_nvr.len()],
            by_nvr,
            jobs: vec![Work::default(); jobs],
            archived: vec![RangeSet::new(); cameras],
            learned: BTreeMap::new(),
            operations: Operations::default(),
            second: (0, 0),
            peak: 0,
        }
    }

    pub fn join(&mut self, job: usize, at: i64) -> HostId {
        self.count(at);
        self.operations.joins += 1;
        self.given += 1;
        let host = HostId::new(self.given);
        self.members.insert(host, Member { seen: at, job, ..Member::default() });
        host
    }

    /// Says what is to be done for a job. What was said of it stays as it is.
    pub fn offer(&mut self, job: usize, demands: Vec<Demand>, at: i64) {
        self.count(at);
        for demand in demands {
            let index = self.by_nvr[&demand.nvr];
            let work = &mut self.jobs[job];
            if !work.demands.contains_key(&index) {
                work.open.insert(rank(index, &demand));
                work.demands.insert(index, demand);
                match self.shares[index].holder {
                    Some(_) => work.held += 1,
                    None => work.set_free(index),
                }
            }
        }
    }

    pub fn beat(&mut self, host: HostId, state: HostState, at: i64) -> Result<Shared, Lost> {
        self.count(at);
        self.operations.beats += 1;
        self.expire(at);
        let member = self.members.get_mut(&host).ok_or(Lost)?;
        (member.seen, member.state) = (at, state);
        let job = member.job;
        Ok(self.shared(job))
    }

    pub fn claim(&mut self, host: HostId, most: usize, at: i64) -> Result<Vec<Lease>, Lost> {
        self.count(at);
        self.operations.claims += 1;
        self.expire(at);
        let job = self.members.get(&host).ok_or(Lost)?.job;
        let waiting = self.waiting(job);
        let goes_first = |index: usize, seconds: i64| {
            waiting.iter().any(|&(nvr, other, less)| nvr == index && (less, other) < (seconds, job))
        };
        let free = self.jobs[job].free.iter().filter(|&&(_, Reverse(seconds), index)| !goes_first(index, seconds));
        let taken: Vec<usize> = free.take(most).map(|&(_, _, index)| index).collect();
        let mut leases = Vec::new();
        for index in taken {
            let share = &mut self.shares[index];
            assert_eq!(share.holder, None, "what is free is held");
            share.epoch += 1;
            share.holder = Some(host);
            let lease = Lease { nvr: self.jobs[job].demands[&index].nvr.clone(), epoch: share.epoch };
            leases.push(lease);
            self.jobs.iter_mut().for_each(|work| work.is_held(index));
            self.members.get_mut(&host).expect("it was just there").holds.insert(index);
        }
        Ok(leases)
    }

    /// What hosts with other jobs would take next who have streams to spare: recorder, job, and what there is to do.
    fn waiting(&self, job: usize) -> Vec<(usize, usize, i64)> {
        let mut waiting = Vec::new();
        for (other, work) in self.jobs.iter().enumerate().filter(|&(other, _)| other != job) {
            let hungry = self.members.values().filter(|member| member.job == other && member.state.hungry).count();
            // Nobody holds it, or somebody for another job that has more to do there.
            let may_come = |&&(_, Reverse(seconds), index): &&Rank| {
                self.shares[index].holder.is_none_or(|holder| {
                    let held_for = self.members[&holder].job;
                    let theirs = self.jobs[held_for].demands[&index].backlog_seconds;
                    held_for != other && (seconds, other) < (theirs, held_for)
                })
            };
            let next = work.open.iter().filter(may_come).take(hungry * NVRS_OF_A_HOST);
            waiting.extend(next.map(|&(_, Reverse(seconds), index)| (index, other, seconds)));
        }
        waiting
    }

    /// What somebody else has by now is left with him.
    pub fn give_back(&mut self, host: HostId, back: GivenBack, at: i64) {
        self.count(at);
        self.operations.given_back += 1;
        let index = self.by_nvr[&back.lease.nvr];
        if self.holder(host, &back.lease).is_err() {
            return;
        }
        let member = self.members.get_mut(&host).expect("who holds something is a member");
        member.holds.remove(&index);
        let work = &mut self.jobs[member.job];
        let before = work.demands.remove(&index).expect("what is held has a demand");
        work.open.remove(&rank(index, &before));
        match back.rest {
            Some(demand) => {
                work.open.insert(rank(index, &demand));
                work.demands.insert(index, demand);
            }
            None => {
                work.held -= 1;
                work.finished.nvrs += 1;
            }
        }
        self.release(index);
    }

    pub fn leave(&mut self, host: HostId, at: i64) {
        self.count(at);
        let member = self.members.remove(&host).expect("who leaves is a member");
        assert!(member.holds.is_empty(), "{host} leaves with leases");
    }

    /// Writes down that a camera's time is archived, unless the lease is somebody else's by now.
    pub fn commit(
        &mut self,
        host: HostId,
        lease: &Lease,
        camera: usize,
        range: TimeRange,
        at: i64,
    ) -> Result<(), Lost> {
        self.count(at);
        self.operations.commits += 1;
        if self.holder(host, lease).is_err() {
            self.operations.refused += 1;
            return Err(Lost);
        }
        let archived = &mut self.archived[camera];
        assert!(archived.intersect(&range.into()).is_empty(), "camera {camera}: {range} is published twice");
        archived.insert(range);
        Ok(())
    }

    /// Fencing is by the epoch alone: a host of which nobody has heard for long, and whose lease nobody wanted, still holds it.
    fn holder(&self, host: HostId, lease: &Lease) -> Result<(), Lost> {
        let index = self.by_nvr[&lease.nvr];
        let holds = self.members.get(&host).is_some_and(|member| member.holds.contains(&index));
        if holds && self.shares[index].epoch == lease.epoch { Ok(()) } else { Err(Lost) }
    }

    fn expire(&mut self, at: i64) {
        let dead: Vec<HostId> =
            self.members.iter().filter(|(_, one)| one.seen + self.lasts <= at).map(|(&host, _)| host).collect();
        for host in dead {
            for index in self.members.remove(&host).expect("it was just there").holds {
                self.release(index);
            }
        }
    }

    /// Nobody holds it any more.
    fn release(&mut self, index: usize) {
        self.shares[index].holder = None;
        for work in &mut self.jobs {
            if work.demands.contains_key(&index) {
                work.held -= 1;
                work.set_free(index);
            }
        }
    }

    fn shared(&self, job: usize) -> Shared {
        let ours = self.members.iter().filter(|(_, one)| one.job == job);
        let hosts: Vec<(HostId, HostState)> = ours.map(|(&host, one)| (host, one.state)).collect();
        let work = &self.jobs[job];
        let seconds = hosts.iter().map(|(_, state)| state.backlog_seconds).sum();
        let mut wanted = BTreeMap::new();
        for (index, other, seconds) in self.waiting(job) {
            let least = wanted.entry(self.jobs[other].demands[&index].nvr.clone()).or_insert(seconds);
            *least = seconds.min(*least);
        }
        Shared {
            hosts,
            living: self.members.len(),
            free: Tally { nvrs: work.free.len(), seconds: work.free_seconds },
            leased: Tally { nvrs: work.held, seconds },
            finished: work.finished,
            wanted,
        }
    }

    fn count(&mut self, at: i64) {
        let second = at / 1000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.peak = self.peak.max(self.second.1);
    }
}

fn rank(index: usize, demand: &Demand) -> Rank {
    (demand.loses_at.map_or(i64::MAX, |at| at.get()), Reverse(demand.backlog_seconds), index)
}

impl Work {
    fn set_free(&mut self, index: usize) {
        let demand = &self.demands[&index];
        self.free.insert(rank(index, demand));
        self.free_seconds += demand.backlog_seconds;
    }

    fn is_held(&mut self, index: usize) {
        let Some(demand) = self.demands.get(&index) else { return };
        if self.free.remove(&rank(index, demand)) {
            self.free_seconds -= demand.backlog_seconds;
            self.held += 1;
        }
    }
}
