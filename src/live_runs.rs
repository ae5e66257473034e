//! The words of live runs on many machines that record into one archive: who records which cameras.
//!
//! A camera is one live run's at a time. It stays so for as long as the run is heard of; who is dead, the ledger alone decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::device::DeviceId;
use crate::wording;

/// One live run among those of a ledger. Never given twice: a run that was taken for dead joins as another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LiveRunId(i64);

impl LiveRunId {
    /// The one that the ledger gave this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The ledger's number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// A live run that has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveJoined {
    /// As which one.
    pub run: LiveRunId,
    /// What nobody else knows of it: who finds this in a lock that is free knows that the run is gone.
    pub token: String,
}

/// A camera that another live run records, as far as anybody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCamera {
    /// Which.
    pub device: DeviceId,
    /// Who.
    pub run: LiveRunId,
    /// What the system of its machine calls itself.
    pub machine: String,
    /// Its process there.
    pub pid: u32,
    /// How often it was heard of since it joined.
    pub beats: i64,
}

/// Who records what, for people: `device 5 by process 4711 on night; devices 6-9 by process 12 on day`.
pub fn told(held: &[HeldCamera]) -> String {
    let mut by_run: BTreeMap<LiveRunId, (BTreeSet<DeviceId>, &HeldCamera)> = BTreeMap::new();
    for camera in held {
        by_run.entry(camera.run).or_insert_with(|| (BTreeSet::new(), camera)).0.insert(camera.device);
    }
    let mut told = String::new();
    for (devices, HeldCamera { machine, pid, .. }) in by_run.values() {
        let between = if told.is_empty() { "" } else { "; " };
        let noun = if devices.len() == 1 { "device" } else { "devices" };
        let devices = wording::device_ranges(devices).join(", ");
        // OK to ignore: a String takes all that is written to it.
        let _ = write!(told, "{between}{noun} {devices} by process {pid} on {machine}");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_each_run_once_with_all_that_it_has() {
        let held = |device, run, machine: &str| HeldCamera {
            device: DeviceId::new(device).expect("not negative"),
            run: LiveRunId::new(run),
            machine: machine.to_owned(),
            pid: 4711,
            beats: 0,
        };
        let all = [held(5, 1, "night"), held(7, 2, "day"), held(6, 2, "day")];
        assert_eq!(told(&all), "device 5 by process 4711 on night; devices 6-7 by process 4711 on day");
        assert_eq!(told(&[]), "");
    }
}
