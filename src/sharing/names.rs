//! With which NVR each camera of a job is leased: as all hosts that are at work have it, whatever this one would say by itself.

use std::collections::BTreeMap;

use crate::device::{DeviceId, NvrId, NvrMap};
use crate::instant::Instant;
use crate::lease::Demand;
use crate::scheduler::{self, Policy, Work};
use crate::time_range::UtcSecond;

/// A job's cameras by the names of their leases.
#[derive(Clone, Debug, Default)]
pub struct Names {
    nvrs: NvrMap,
    by_nvr: BTreeMap<NvrId, Vec<DeviceId>>,
    loses_at: BTreeMap<NvrId, Option<UtcSecond>>,
}

impl Names {
    /// Cameras as this host plans them.
    pub fn new(devices: impl Iterator<Item = DeviceId>, nvrs: NvrMap) -> Self {
        let mut by_nvr: BTreeMap<NvrId, Vec<DeviceId>> = BTreeMap::new();
        for device in devices {
            by_nvr.entry(nvrs.nvr_of(device)).or_default().push(device);
        }
        Self { nvrs, by_nvr, loses_at: BTreeMap::new() }
    }

    /// The same, but for cameras that others lease with another NVR.
    pub fn with(&self, renamed: &BTreeMap<DeviceId, NvrId>) -> Self {
        let mut nvrs = self.nvrs.clone();
        for (&device, nvr) in renamed {
            nvrs.assign(device, nvr.clone());
        }
        Self::new(self.by_nvr.values().flatten().copied(), nvrs)
    }

    /// What there is to do at each NVR, by these names.
    pub fn demands(&mut self, work: &[Work], policy: &Policy, now: Instant) -> Vec<Demand> {
        let named = |work: &Work| Work { nvr: self.nvrs.nvr_of(work.device), ..work.clone() };
        let work: Vec<Work> = work.iter().map(named).collect();
        let demands = scheduler::demands(&work, policy, now);
        self.loses_at = demands.iter().map(|demand| (demand.nvr.clone(), demand.loses_at)).collect();
        demands
    }

    /// Which NVR serves which camera.
    pub fn nvrs(&self) -> &NvrMap {
        &self.nvrs
    }

    /// The cameras of each NVR.
    pub fn by_nvr(&self) -> &BTreeMap<NvrId, Vec<DeviceId>> {
        &self.by_nvr
    }

    /// The cameras of one NVR.
    pub fn devices_of(&self, nvr: &NvrId) -> &[DeviceId] {
        self.by_nvr.get(nvr).map_or(&[], Vec::as_slice)
    }

    /// When an NVR loses the first of what was demanded of it, where that is known.
    pub fn loses_at(&self, nvr: &NvrId) -> Option<UtcSecond> {
        self.loses_at.get(nvr).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    #[test]
    fn a_camera_that_others_lease_with_another_nvr_is_leased_with_that() {
        let mut nvrs = NvrMap::default();
        (1..=3).for_each(|number| nvrs.assign(device(number), NvrId::new("recorder")));
        let own = Names::new((1..=4).map(device), nvrs);
        assert_eq!(own.devices_of(&NvrId::new("recorder")), [1, 2, 3].map(device));
        assert_eq!(own.devices_of(&NvrId::of_device_alone(device(4))), [device(4)]);
        let alone = NvrId::of_device_alone(device(2));
        let named = own.with(&BTreeMap::from([(device(2), alone.clone())]));
        assert_eq!(named.devices_of(&NvrId::new("recorder")), [1, 3].map(device));
        assert_eq!(named.devices_of(&alone), [device(2)]);
        assert_eq!(named.nvrs().nvr_of(device(2)), alone);
        assert_eq!(named.by_nvr().values().map(Vec::len).sum::<usize>(), 4);
    }
}
