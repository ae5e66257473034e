//! Lists of devices: `5,7,10-14`.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::device::DeviceId;

/// The most devices that one list may name, each time counted that it names one: a slip of the finger (`1-100000000`) must
/// neither fill the memory nor take minutes.
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

/// Reads a list such as `5,7,10-14`; both ends of a range are in it. Not empty, and a million at most, one named twice counted twice.
pub fn parse_device_list(text: &str) -> Result<BTreeSet<DeviceId>, NotADeviceList> {
    let (mut devices, mut left) = (BTreeSet::new(), MOST);
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
        // OK to subtract: no number is negative.
        let more =
            usize::try_from(last.get() - first.get()).ok().and_then(|steps| left.checked_sub(steps)?.checked_sub(1));
        left = more.ok_or_else(|| NotADeviceList::TooMany(part.to_owned()))?;
        devices.extend((first.get()..=last.get()).filter_map(DeviceId::new));
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_million_at_most_however_often_it_names_the_same() {
        assert_eq!(parse_device_list("1-1000000").map(|devices| devices.len()), Ok(1_000_000));
        assert_eq!(parse_device_list("1-10,5-14").map(|devices| devices.len()), Ok(14));
        for many in ["0-1000000", "1-600000,1-600000", "1-1000000,5", "0-9223372036854775807"] {
            assert!(matches!(parse_device_list(many), Err(NotADeviceList::TooMany(_))), "{many}");
        }
    }
}
