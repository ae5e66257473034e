//! Lists of devices: `5,7,10-14`.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::device::DeviceId;

/// The most devices that one list may name: a slip of the finger (`1-100000000`) must not fill the memory.
const MOST: usize = 1_000_000;

/// Why a text names no devices.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotADeviceList {
    /// A part is neither a number nor a range.
    #[error("{0:?} is not a device; write numbers and ranges such as \"5,7,10-14\"")]
    Unreadable(String),
    /// A range ends below its start.
    #[error("{0:?} ends before it starts; write the smaller number first")]
    Backwards(String),
    /// More devices than any chain has.
    #[error("{0:?} makes more than a million devices; check its ends")]
    TooMany(String),
}

/// Reads a list such as `5,7,10-14`; both ends of a range are in it. Not empty, and a million devices at most.
pub fn parse_device_list(text: &str) -> Result<BTreeSet<DeviceId>, NotADeviceList> {
    let mut devices = BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let unreadable = || NotADeviceList::Unreadable(part.to_owned());
        let number = |text: &str| text.parse::<DeviceId>().map_err(|_not_a_device| unreadable());
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return Err(NotADeviceList::Backwards(part.to_owned()));
        }
        // OK to subtract: no number is negative, and no list is longer than the most.
        if usize::try_from(last.get() - first.get()).unwrap_or(usize::MAX) >= MOST - devices.len() {
            return Err(NotADeviceList::TooMany(part.to_owned()));
        }
        devices.extend((first.get()..=last.get()).filter_map(DeviceId::new));
    }
    Ok(devices)
}
