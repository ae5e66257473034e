//! Which NVR serves which device, from all that is known: the one place that puts it in order.
//!
//! 1. What the settings say.
//! 2. What the platform's device list said last: devices with one `puid` hang off one recorder. **\[sdk\]**
//! 3. What media URLs tell: each names two MAC addresses, and the one that several cameras share is the recorder's.
//!    **\[unknown\]** which of the two it is.
//!
//! Each speaks for the devices that it names and no others: a device that an `[[nvr]]` leaves out does not inherit how long
//! that one keeps footage. A device of which nobody says anything is its own NVR until somebody does.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::device::{DeviceId, NvrId, NvrMap};
use crate::mac::{Mac, UrlMacs};
use crate::report::DeviceRow;

/// Who says which NVR serves a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownFrom {
    /// An `[[nvr]]` of the settings.
    Settings,
    /// The platform's device list.
    List,
    /// Media URLs.
    Url,
}

/// Which NVR serves which device, and who says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nvrs {
    /// What was decided.
    pub map: NvrMap,
    /// Of each device whose NVR is known, from where.
    pub known_from: BTreeMap<DeviceId, KnownFrom>,
}

/// No recorder has more channels. An address that more cameras share is something else's, a relay's say.
const MOST_CAMERAS: usize = 256;

/// How far one MAC address is shared.
#[derive(Default)]
struct Sharing<'a> {
    /// How many devices' URLs name it.
    devices: usize,
    /// The NVRs that the settings name for those of them.
    stated: BTreeSet<&'a NvrId>,
    /// The NVRs that the list names for those of them.
    listed: BTreeSet<NvrId>,
}

impl Sharing<'_> {
    /// Whether it may be a recorder's. It is something else's when the settings name several NVRs behind it, or the list does;
    /// each for itself, since they call one recorder by two names.
    fn may_be_a_recorders(&self) -> bool {
        (2..=MOST_CAMERAS).contains(&self.devices) && self.stated.len() < 2 && self.listed.len() < 2
    }
}

/// Of one device's two addresses, which one more devices share.
#[derive(Clone, Copy)]
enum Shared {
    First,
    Second,
    /// Both alike: two entries of one camera, say, on a recorder that has no other.
    Both,
    Neither,
}

impl Nvrs {
    /// Decides, from what the settings state and the ledger knows.
    pub fn decide(stated: &NvrMap, devices: &[DeviceRow]) -> Self {
        let mut nvrs = Self { map: stated.clone(), known_from: BTreeMap::new() };
        nvrs.known_from.extend(stated.assigned().map(|(device, _)| (device, KnownFrom::Settings)));
        for row in devices {
            if let Some(nvr) = of_list(row) {
                nvrs.learn(row.facts.device, nvr, KnownFrom::List);
            }
        }
        for (device, nvr) in of_urls(devices, stated) {
            nvrs.learn(device, nvr, KnownFrom::Url);
        }
        nvrs.place(stated, devices);
        nvrs
    }

    /// Takes what `from` says of a device, unless somebody before it said something.
    fn learn(&mut self, device: DeviceId, nvr: NvrId, from: KnownFrom) {
        if self.map.known(device).is_none() {
            self.map.assign(device, nvr);
            self.known_from.insert(device, from);
        }
    }

    /// Says in which stores NVRs stand of which the settings do not say it: in that of the camera that the platform listed
    /// last.
    fn place(&mut self, stated: &NvrMap, devices: &[DeviceRow]) {
        let mut listed: Vec<&DeviceRow> = devices.iter().collect();
        listed.sort_by_key(|row| (row.facts.seen, row.facts.device));
        for row in listed {
            let nvr = self.map.nvr_of(row.facts.device);
            if let Some(store) = row.facts.store_identity().filter(|_| stated.store_of(&nvr).is_none()) {
                self.map.set_store(nvr, store);
            }
        }
        // The settings may call a store by the name under which the list numbers it: that is one store, not two.
        let by_name: BTreeMap<String, String> = devices
            .iter()
            .filter_map(|row| Some((row.facts.store.as_ref()?.to_string(), row.facts.store_identity()?)))
            .collect();
        for (nvr, store) in stated.stores() {
            if let Some(identity) = by_name.get(store) {
                self.map.set_store(nvr.clone(), identity.clone());
            }
        }
    }
}

/// What the list says of a device.
fn of_list(row: &DeviceRow) -> Option<NvrId> {
    let puid = row.facts.puid.as_ref().filter(|puid| !puid.is_empty())?;
    Some(NvrId::new(&puid.to_string()))
}

/// What media URLs tell of devices, those included of which settings or the list say more.
fn of_urls(devices: &[DeviceRow], stated: &NvrMap) -> Vec<(DeviceId, NvrId)> {
    let mut macs: Vec<(DeviceId, UrlMacs)> = Vec::new();
    let mut sharing: BTreeMap<Mac, Sharing<'_>> = BTreeMap::new();
    for row in devices {
        let (device, Some(both)) = (row.facts.device, row.macs) else { continue };
        macs.push((device, both));
        for mac in BTreeSet::from([both.first, both.second]) {
            let sharing = sharing.entry(mac).or_default();
            sharing.devices += 1;
            sharing.stated.extend(stated.known(device));
            sharing.listed.extend(of_list(row));
        }
    }
    let recorder_is_second = recorder_is_second(macs.iter().map(|(_, macs)| shared(macs, &sharing)));
    let told = macs.iter().filter_map(|(device, macs)| {
        let recorder = match shared(macs, &sharing) {
            Shared::First => macs.first,
            Shared::Second => macs.second,
            Shared::Both if recorder_is_second => macs.second,
            Shared::Both => macs.first,
            Shared::Neither => return None,
        };
        Some((*device, NvrId::new(&format!("mac {recorder}"))))
    });
    told.collect()
}

/// Which of the two addresses is shared, and by more devices.
fn shared(macs: &UrlMacs, sharing: &BTreeMap<Mac, Sharing<'_>>) -> Shared {
    let devices = |mac: Mac| {
        let sharing = sharing.get(&mac).filter(|sharing| sharing.may_be_a_recorders() && !mac.is_nobodys());
        sharing.map_or(0, |sharing| sharing.devices)
    };
    match (devices(macs.first), devices(macs.second)) {
        (0, 0) => Shared::Neither,
        (first, second) if first > second => Shared::First,
        (first, second) if first < second => Shared::Second,
        _ => Shared::Both,
    }
}

/// In which position recorders stand where it can be told; the first where it is even.
fn recorder_is_second(shared: impl Iterator<Item = Shared>) -> bool {
    let vote = |shared| match shared {
        Shared::First => -1,
        Shared::Second => 1,
        Shared::Both | Shared::Neither => 0,
    };
    shared.map(vote).sum::<i64>() > 0
}

#[cfg(test)]
mod tests;
