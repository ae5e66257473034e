//! The shared ledger as hosts see it: who is alive, who holds what, and what is archived. In memory, by a clock of its own.
//!
//! It keeps what the real one promises: a claim never gives what a living host holds, a lease that was taken anew has a higher
//! epoch, what is written under another epoch is refused, and a second that is archived is never archived again.

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
    holds: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Share {
    epoch: i64,
    demand: Option<Demand>,
    finished: bool,
}

/// What goes first: what is lost first, then what has the most to do.
type Rank = (i64, Reverse<i64>, usize);

pub struct Ledger {
    lasts: i64,
    members: BTreeMap<HostId, Member>,
    /// As many as have ever joined.
    given: i64,
    shares: Vec<Share>,
    by_nvr: BTreeMap<NvrId, usize>,
    free: BTreeSet<Rank>,
    free_seconds: i64,
    finished: Tally,
    pub archived: Vec<RangeSet>,
    pub learned: BTreeMap<NvrId, Learned>,
    pub operations: Operations,
    second: (i64, u64),
    /// The most operations within one second.
    pub peak: u64,
}

impl Ledger {
    /// A ledger that knows these recorders, and so many cameras by number.
    pub fn new(nvrs: impl Iterator<Item = NvrId>, cameras: usize, times: LeaseTimes) -> Self {
        let by_nvr: BTreeMap<NvrId, usize> = nvrs.enumerate().map(|(index, nvr)| (nvr, index)).collect();
        Self {
            lasts: times.lasts.as_millis() as i64,
            members: BTreeMap::new(),
            given: 0,
            shares: vec![Share::default(); by_nvr.len()],
            by_nvr,
            free: BTreeSet::new(),
            free_seconds: 0,
            finished: Tally::default(),
            archived: vec![RangeSet::new(); cameras],
            learned: BTreeMap::new(),
            operations: Operations::default(),
            second: (0, 0),
            peak: 0,
        }
    }

    pub fn join(&mut self, at: i64) -> HostId {
        self.count(at);
        self.operations.joins += 1;
        self.given += 1;
        let host = HostId::new(self.given);
        self.members.insert(host, Member { seen: at, ..Member::default() });
        host
    }

    /// Says what is to be done. Who holds what stays as it is.
    pub fn offer(&mut self, demands: Vec<Demand>, at: i64) {
        self.count(at);
        for demand in demands {
            let index = self.by_nvr[&demand.nvr];
            if self.shares[index].demand.is_none() {
                self.set_free(index, demand);
            }
        }
    }

    pub fn beat(&mut self, host: HostId, state: HostState, at: i64) -> Result<Shared, Lost> {
        self.count(at);
        self.operations.beats += 1;
        self.expire(at);
        let member = self.members.get_mut(&host).ok_or(Lost)?;
        (member.seen, member.state) = (at, state);
        Ok(self.shared())
    }

    pub fn claim(&mut self, host: HostId, most: usize, at: i64) -> Result<Vec<Lease>, Lost> {
        self.count(at);
        self.operations.claims += 1;
        self.expire(at);
        let member = self.members.get_mut(&host).ok_or(Lost)?;
        let mut leases = Vec::new();
        while leases.len() < most {
            let Some((_, _, index)) = self.free.pop_first() else { break };
            let share = &mut self.shares[index];
            share.epoch += 1;
            member.holds.insert(index);
            let demand = share.demand.as_ref().expect("what is free has a demand");
            self.free_seconds -= demand.backlog_seconds;
            leases.push(Lease { nvr: demand.nvr.clone(), epoch: share.epoch });
        }
        Ok(leases)
    }

    /// What somebody else has by now is left with him.
    pub fn give_back(&mut self, host: HostId, back: GivenBack, at: i64) {
        self.count(at);
        self.operations.given_back += 1;
        let index = self.by_nvr[&back.lease.nvr];
        if self.holder(host, &back.lease).is_err() {
            return;
        }
        self.members.get_mut(&host).expect("who holds something is a member").holds.remove(&index);
        match back.rest {
            Some(demand) => self.set_free(index, demand),
            None => {
                assert!(!self.shares[index].finished, "{} was finished twice", back.lease.nvr);
                self.shares[index].finished = true;
                self.finished.nvrs += 1;
            }
        }
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
                let demand = self.shares[index].demand.clone().expect("what was held has a demand");
                self.set_free(index, demand);
            }
        }
    }

    fn set_free(&mut self, index: usize, demand: Demand) {
        let loses_at = demand.loses_at.map_or(i64::MAX, |at| at.get());
        self.free.insert((loses_at, Reverse(demand.backlog_seconds), index));
        self.free_seconds += demand.backlog_seconds;
        self.shares[index].demand = Some(demand);
    }

    fn shared(&self) -> Shared {
        let hosts: Vec<(HostId, HostState)> = self.members.iter().map(|(&host, one)| (host, one.state)).collect();
        let leased = Tally {
            nvrs: self.members.values().map(|member| member.holds.len()).sum(),
            seconds: hosts.iter().map(|(_, state)| state.backlog_seconds).sum(),
        };
        Shared {
            living: hosts.len(),
            hosts,
            wanted: BTreeMap::new(),
            free: Tally { nvrs: self.free.len(), seconds: self.free_seconds },
            leased,
            finished: self.finished,
        }
    }

    fn count(&mut self, at: i64) {
        let second = at / 1000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.peak = self.peak.max(self.second.1);
    }
}
