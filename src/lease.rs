//! The words of hosts that share one night's work: who takes part, what is to be done, who may do it.
//!
//! The unit is the NVR, because every limit that matters is the NVR's. A host leases NVRs from the shared ledger and fetches
//! for their cameras what one host alone would fetch. A lease lasts for as long as its host is heard of; by whose clock that is
//! measured, and who is dead, the ledger alone decides.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::device::{DeviceId, NvrId};
use crate::time_range::{RangeSet, UtcSecond};

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

/// What a host is asked for, as far as others need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostJob {
    /// In the words of whoever asked.
    pub what: String,
    /// Which hosts do it together: those that were asked for it in the same words, for the same cameras.
    pub key: i64,
    /// The same of two hosts only if they ask for the same time as well. It need not be: "the last 26 hours" is another time for
    /// a host that begins later.
    pub asked: i64,
}

impl HostJob {
    /// From its words and what they come to.
    pub fn new(what: String, asked: &BTreeMap<DeviceId, RangeSet>) -> Self {
        let (mut key, mut exact) = (blake3::Hasher::new(), blake3::Hasher::new());
        key.update(&what.len().to_le_bytes()).update(what.as_bytes());
        for (device, ranges) in asked {
            key.update(&device.get().to_le_bytes());
            exact.update(&device.get().to_le_bytes());
            for range in ranges.ranges() {
                exact.update(&range.start().get().to_le_bytes());
                exact.update(&range.end().get().to_le_bytes());
            }
            // No second is this one, so that no list of ranges can pass for another camera.
            exact.update(&i64::MIN.to_le_bytes());
        }
        Self { what, key: number(&key), asked: number(&exact) }
    }
}

/// The same number for the same cameras under the same NVRs.
pub fn served_number(served: &BTreeMap<NvrId, Vec<DeviceId>>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for (nvr, devices) in served {
        hasher.update(&nvr.as_str().len().to_le_bytes()).update(nvr.as_str().as_bytes());
        hasher.update(&devices.len().to_le_bytes());
        for device in devices {
            hasher.update(&device.get().to_le_bytes());
        }
    }
    number(&hasher)
}

/// The first 64 bits: as many as a ledger's number has.
fn number(hasher: &blake3::Hasher) -> i64 {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    i64::from_le_bytes(first)
}

/// What a host says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// The place of its archive, as it names that itself: for people.
    pub name: String,
    /// What it is asked for.
    pub job: HostJob,
    /// Its job's cameras, by the NVR that it plans them under.
    pub served: BTreeMap<NvrId, Vec<DeviceId>>,
    /// How it is.
    pub state: HostState,
    /// For how long it is waited for when it is not heard of.
    pub lasts: Duration,
    /// Whether it was not heard of for too long. Perhaps others were not either, and for the same reason: so it takes nothing from
    /// one that is dead before that one has had its time to be heard of again.
    pub again: bool,
}

/// What a host is told when it has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// As which of the hosts.
    pub host: HostId,
    /// Cameras that hosts which are at work lease with another NVR than this one plans them under: so does this one, or two
    /// would ask for them at once.
    pub renamed: BTreeMap<DeviceId, NvrId>,
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

/// How the hosts and the work of one job stood at a beat, which is what it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The job's hosts that are alive, by number, the one that beats included, with what each said last.
    pub hosts: Vec<(HostId, HostState)>,
    /// How many hosts are alive, whatever their job.
    pub living: usize,
    /// NVRs with work that nobody holds, or only a dead host.
    pub free: Tally,
    /// NVRs that a host holds which is alive.
    pub leased: Tally,
    /// NVRs of which nothing is left to do for this job.
    pub finished: Tally,
    /// What hosts with other jobs would take next, who have streams to spare: how many seconds of footage they miss there.
    pub wanted: BTreeMap<NvrId, i64>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_range::TimeRange;

    #[test]
    fn a_job_is_told_by_its_words_and_cameras_and_what_is_asked_by_the_time_too() {
        let asked = |devices: &[i64], end: i64| -> BTreeMap<DeviceId, RangeSet> {
            let range = TimeRange::new(UtcSecond::new(0), UtcSecond::new(end)).expect("not empty");
            devices.iter().map(|&number| (DeviceId::new(number).expect("not negative"), range.into())).collect()
        };
        let job = |what: &str, devices: &[i64], end| HostJob::new(what.to_owned(), &asked(devices, end));
        let night = job("run night", &[1, 2], 600);
        assert_eq!(night, job("run night", &[1, 2], 600));
        let later = job("run night", &[1, 2], 601);
        assert_eq!(night.key, later.key, "the same job");
        assert_ne!(night.asked, later.asked);
        assert_ne!(night.key, job("run day", &[1, 2], 600).key);
        assert_ne!(night.key, job("run night", &[1, 2, 3], 600).key);
        assert_ne!(night.asked, job("run night", &[1, 2, 3], 600).asked);
    }
}
