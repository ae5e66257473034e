//! The words of hosts that share one night's work: who takes part, what is to be done, who may do it.
//!
//! The unit is the NVR, because every limit that matters is the NVR's. A host leases NVRs from the shared ledger and fetches
//! for their cameras what one host alone would fetch. A lease lasts for as long as its host is heard of; by whose clock that is
//! measured, and who is dead, the ledger alone decides.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::device::NvrId;
use crate::time_range::UtcSecond;

/// One process's membership among the hosts of a ledger. Never given twice: a process that was taken for dead joins as another
/// host, so that nothing it still holds in its hands can pass for work of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostId(i64);

impl HostId {
    /// The host that the ledger gave this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The ledger's number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0)
    }
}

/// That a host may ask an NVR for recordings, and write down what came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// The NVR, by the name that all hosts of the ledger plan it under.
    pub nvr: NvrId,
    /// Which lease of this NVR it is: one more each time somebody takes it. What is written under an epoch that is not the
    /// newest is refused, however long its holder was away.
    pub epoch: i64,
}

/// What there is to do at one NVR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The NVR.
    pub nvr: NvrId,
    /// Footage that is missing and may still come, over all its cameras, in seconds.
    pub backlog_seconds: i64,
    /// When the first of it is overwritten, where the settings or earlier nights tell how long the NVR keeps footage.
    pub loses_at: Option<UtcSecond>,
}

/// A lease that its host does not need any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The lease.
    pub lease: Lease,
    /// What is left to do, for whoever takes it next; nothing when it is finished: all is archived, or given up until the
    /// next run.
    pub rest: Option<Demand>,
}

/// What a host says of itself at each beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// How many downloads it can run at once.
    pub streams: usize,
    /// Seconds of footage that it has leased and neither archived nor given up.
    pub backlog_seconds: i64,
    /// Whether it has streams to spare and nothing leased that would fill them.
    pub hungry: bool,
}

/// NVRs that are in the same state, and the seconds of footage that are left to fetch from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many NVRs.
    pub nvrs: usize,
    /// Seconds of footage. Of leased NVRs what their hosts said last; a dead host's, what it said last.
    pub seconds: i64,
}

/// How the hosts and the work stood at a beat, which is what it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The hosts that are alive, by number, the one that beats included, with what each said last.
    pub hosts: Vec<(HostId, HostState)>,
    /// NVRs with work that nobody holds, or only a dead host.
    pub free: Tally,
    /// NVRs that a host holds which is alive.
    pub leased: Tally,
    /// NVRs of which nothing is left to do in this run.
    pub finished: Tally,
}

/// How often hosts are heard of, and how long they are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// From one beat to the next.
    pub beat: Duration,
    /// How long after its last beat a host still holds what it leased. By the ledger's clock; the host itself counts from when
    /// it began to beat, and so believes it is dead no later than others do.
    pub lasts: Duration,
}

impl LeaseTimes {
    /// Three beats to a lease: one may be lost, and one late.
    pub fn lasting(lasts: Duration) -> Self {
        Self { beat: lasts / 3, lasts }
    }
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self::lasting(Duration::from_secs(30))
    }
}
