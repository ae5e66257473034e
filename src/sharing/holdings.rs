//! What a host holds: its leases, with the cameras that it fetches for under each.

use std::collections::BTreeMap;

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::lease::{Demand, GivenBack, Lease};
use crate::report::Learned;
use crate::scheduler::{Scheduler, Standing, Work};
use crate::time_range::UtcSecond;

use super::{Held, Own};

/// The leases of one host.
#[derive(Debug, Default)]
pub struct Holdings {
    by_nvr: BTreeMap<NvrId, Holding>,
    /// Under which lease a camera is fetched for. By the name that all hosts planned it under: it may turn out to hang off
    /// another NVR, and stays where it was leased for this run.
    by_device: BTreeMap<DeviceId, NvrId>,
}

#[derive(Debug)]
struct Holding {
    lease: Lease,
    devices: Vec<DeviceId>,
    loses_at: Option<UtcSecond>,
    /// Seconds that were taken out for whoever gets it next, once it is on its way.
    leaving: Option<i64>,
    /// How many files of it are fetched, and not in the ledger yet: those may only be written down under this lease.
    unwritten: usize,
}

/// A lease that is done with, and what was learned meanwhile: both are for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// For [`GivenBack`]'s operation.
    pub back: GivenBack,
    /// Of NVRs that this host has no camera of any more.
    pub learned: Vec<(NvrId, Learned)>,
}

impl Holdings {
    /// Begins to work off what was leased. `work` is what its cameras miss by now, `learned` what is known by now of NVRs.
    pub fn take(
        &mut self,
        lease: Lease,
        work: Vec<Work>,
        learned: BTreeMap<NvrId, Learned>,
        loses_at: Option<UtcSecond>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) {
        let devices: Vec<DeviceId> = work.iter().map(|item| item.device).collect();
        self.by_device.extend(devices.iter().map(|&device| (device, lease.nvr.clone())));
        scheduler.add(work, learned, now);
        self.by_nvr.insert(lease.nvr.clone(), Holding { lease, devices, loses_at, leaving: None, unwritten: 0 });
    }

    /// The lease under which a camera is fetched for.
    pub fn lease_of(&self, device: DeviceId) -> Option<&Lease> {
        self.by_nvr.get(self.by_device.get(&device)?).map(|holding| &holding.lease)
    }

    /// The cameras that are fetched for under the lease of an NVR.
    pub fn devices_of(&self, nvr: &NvrId) -> &[DeviceId] {
        self.by_nvr.get(nvr).map_or(&[], |holding| &holding.devices)
    }

    /// How many NVRs it holds, those on their way included.
    pub fn len(&self) -> usize {
        self.by_nvr.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.by_nvr.is_empty()
    }

    /// How the host stands. Ask after the scheduler has said that nothing more may start now.
    pub fn own(&self, scheduler: &Scheduler, streams: usize, now: Instant) -> Own {
        let mut own = Own { streams, spare_streams: scheduler.spare_streams(now), ..Own::default() };
        for (nvr, Holding { devices, leaving, .. }) in &self.by_nvr {
            let Standing { left_seconds, runs, .. } = scheduler.standing(devices);
            if leaving.is_some() {
                own.leaving_seconds += left_seconds;
            } else {
                own.held.push(Held { nvr: nvr.clone(), left_seconds, runs, cameras: devices.len() });
            }
        }
        own
    }

    /// A file of this camera was fetched, and [`Self::was_written`] will be called once it is in the ledger, or will not be.
    pub fn is_to_be_written(&mut self, device: DeviceId) {
        if let Some(holding) = self.holding_of(device) {
            holding.unwritten += 1;
        }
    }

    /// See [`Self::is_to_be_written`].
    pub fn was_written(&mut self, device: DeviceId) {
        if let Some(holding) = self.holding_of(device) {
            holding.unwritten = holding.unwritten.saturating_sub(1);
        }
    }

    fn holding_of(&mut self, device: DeviceId) -> Option<&mut Holding> {
        self.by_nvr.get_mut(self.by_device.get(&device)?)
    }

    /// Starts nothing more of these. They are [`Self::over`] when nothing of them runs.
    pub fn leave(&mut self, nvrs: &[NvrId], scheduler: &mut Scheduler, now: Instant) {
        for nvr in nvrs {
            let Some(holding) = self.by_nvr.get_mut(nvr).filter(|holding| holding.leaving.is_none()) else { continue };
            let before = scheduler.standing(&holding.devices).left_seconds;
            scheduler.release(&holding.devices, now);
            holding.leaving = Some(before - scheduler.standing(&holding.devices).left_seconds);
        }
    }

    /// Starts nothing more at all.
    pub fn leave_all(&mut self, scheduler: &mut Scheduler, now: Instant) {
        let all: Vec<NvrId> = self.by_nvr.keys().cloned().collect();
        self.leave(&all, scheduler, now);
    }

    /// The lease of a camera, when all of it is done and written down, or nothing of it runs that was on its way. It is held no longer. To ask
    /// after each attempt's end.
    pub fn over_with(&mut self, device: DeviceId, scheduler: &mut Scheduler, now: Instant) -> Option<Over> {
        let nvr = self.by_device.get(&device)?.clone();
        self.over_one(&nvr, scheduler, now)
    }

    /// Every such lease: to ask now and then, since time alone may end what is to be done.
    pub fn over(&mut self, scheduler: &mut Scheduler, now: Instant) -> Vec<Over> {
        let all: Vec<NvrId> = self.by_nvr.keys().cloned().collect();
        all.iter().filter_map(|nvr| self.over_one(nvr, scheduler, now)).collect()
    }

    fn over_one(&mut self, nvr: &NvrId, scheduler: &mut Scheduler, now: Instant) -> Option<Over> {
        let holding = self.by_nvr.get(nvr)?;
        let standing = scheduler.standing(&holding.devices);
        let is_over = if holding.leaving.is_some() { !standing.runs } else { standing.is_done };
        if !is_over || holding.unwritten > 0 {
            return None;
        }
        let Holding { lease, devices, loses_at, leaving, unwritten: _ } = self.by_nvr.remove(nvr)?;
        devices.iter().for_each(|device| drop(self.by_device.remove(device)));
        // At least a second: what its last attempts came to, whoever takes it next finds in the ledger.
        let rest = leaving.map(|seconds| Demand { nvr: nvr.clone(), backlog_seconds: seconds.max(1), loses_at });
        let learned = scheduler.forget(&devices, now);
        Some(Over { back: GivenBack { lease, rest }, learned })
    }
}
