//! Cameras and the recorders that they hang off.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The platform's number for a camera (`id` of `startRecReqDown`, an `int` in the vendor's table). Fits in SQLite's
/// integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DeviceId(i64);

/// Why a number cannot be a device's.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a device number: write a whole number from 0, as the platform's device list shows it")]
pub struct NotADeviceId(String);

impl DeviceId {
    /// The device with that number; negative ones do not exist.
    pub fn new(number: i64) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceId {
    type Err = NotADeviceId;

    fn from_str(text: &str) -> Result<Self, NotADeviceId> {
        text.trim().parse().ok().and_then(Self::new).ok_or_else(|| NotADeviceId(text.to_owned()))
    }
}

/// The name of a recorder: from the settings, the platform's `puid`, or its MAC address. Only ever compared and shown, so
/// what of it others wrote has been escaped, as [`Untrusted`](crate::untrusted::Untrusted) does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NvrId(Arc<str>);

impl Serialize for NvrId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl NvrId {
    /// The recorder of that name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The recorder that stands for one device of which nothing is known: it then shares its limits with nobody. Once its
    /// real one is known, what runs learned under this name is not used any more: it was learned of one camera, and the
    /// recorder has others.
    pub fn of_device_alone(device: DeviceId) -> Self {
        Self(format!("device {device}").into())
    }

    /// Whether it stands for one device of which nothing is known.
    pub fn is_of_device_alone(&self) -> bool {
        let number = self.0.strip_prefix("device ").and_then(|number| number.parse().ok());
        number.is_some_and(|device| *self == Self::of_device_alone(device))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NvrId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which NVR serves which device, and in which store an NVR stands, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NvrMap {
    by_device: BTreeMap<DeviceId, NvrId>,
    stores: BTreeMap<NvrId, String>,
}

impl NvrMap {
    /// Says that `device` hangs off `nvr`; what was said before is replaced.
    pub fn assign(&mut self, device: DeviceId, nvr: NvrId) {
        self.by_device.insert(device, nvr);
    }

    /// The NVR of `device`, when it is known.
    pub fn known(&self, device: DeviceId) -> Option<&NvrId> {
        self.by_device.get(&device)
    }

    /// The NVR of `device`; one of its own when nothing is known.
    pub fn nvr_of(&self, device: DeviceId) -> NvrId {
        self.known(device).cloned().unwrap_or_else(|| NvrId::of_device_alone(device))
    }

    /// Every device whose NVR is known, with it.
    pub fn assigned(&self) -> impl Iterator<Item = (DeviceId, &NvrId)> {
        self.by_device.iter().map(|(&device, nvr)| (device, nvr))
    }

    /// Says in which store `nvr` stands; what was said before is replaced.
    pub fn set_store(&mut self, nvr: NvrId, store: String) {
        self.stores.insert(nvr, store);
    }

    /// The store of each NVR whose store is known.
    pub fn stores(&self) -> &BTreeMap<NvrId, String> {
        &self.stores
    }

    /// The store of `nvr`, by its number or, without one, its name; nothing when it is not known.
    pub fn store_of(&self, nvr: &NvrId) -> Option<&str> {
        self.stores.get(nvr).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_number_is_a_whole_number_from_zero() {
        assert_eq!(" 42 ".parse(), Ok(DeviceId(42)));
        for wrong in ["", "-1", "5.0", "five", "9223372036854775808"] {
            assert!(wrong.parse::<DeviceId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_unknown_device_is_its_own_nvr() {
        let mut map = NvrMap::default();
        map.assign(DeviceId(5), NvrId::new("store 1"));
        assert_eq!(map.nvr_of(DeviceId(5)).as_str(), "store 1");
        assert_ne!(map.nvr_of(DeviceId(6)), map.nvr_of(DeviceId(7)));
        assert!(map.nvr_of(DeviceId(6)).is_of_device_alone() && !map.nvr_of(DeviceId(5)).is_of_device_alone());
    }
}
