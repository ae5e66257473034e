//! What media URLs tell, while a run goes on, of which NVR serves a device of which nobody else said it. So a first night
//! without a device list learns within minutes which cameras share a recorder, instead of asking it for each of them alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{DeviceId, NvrId, NvrMap};
use crate::instant::Instant;
use crate::mac::UrlMacs;
use crate::nvrs::Nvrs;
use crate::report::DeviceRow;

/// How long is waited for each device that is looked through, before all are looked through again: to look takes about a
/// hundredth of that.
const PAUSE_PER_DEVICE: Duration = Duration::from_micros(100);

/// What the ledger knows of devices, and what was learned since.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    rows: Vec<DeviceRow>,
    positions: BTreeMap<DeviceId, usize>,
    /// Whether something was learned that nobody has looked at.
    is_new: bool,
    /// When to look again.
    next: Option<Instant>,
}

impl Grouping {
    pub(super) fn new(rows: Vec<DeviceRow>) -> Self {
        let positions = rows.iter().enumerate().map(|(position, row)| (row.facts.device, position)).collect();
        Self { rows, positions, is_new: false, next: None }
    }

    /// Takes the addresses of a device's media URL. False when they are known.
    pub(super) fn note(&mut self, device: DeviceId, macs: UrlMacs) -> bool {
        let row = self.positions.get(&device).and_then(|&position| self.rows.get_mut(position));
        let is_new = row.is_some_and(|row| row.macs.replace(macs) != Some(macs));
        self.is_new |= is_new;
        is_new
    }

    /// Devices without an NVR in `known` whose NVR can be told by now. What was known stays as it is.
    pub(super) fn learned(&mut self, known: &NvrMap, now: Instant) -> Vec<(DeviceId, NvrId)> {
        if !self.is_new || self.next.is_some_and(|next| next > now) {
            return Vec::new();
        }
        let devices = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        (self.is_new, self.next) = (false, Some(now + PAUSE_PER_DEVICE * devices));
        let told = Nvrs::decide(known, &self.rows).map;
        let unknown = self.positions.keys().filter(|&&device| known.known(device).is_none());
        unknown.filter_map(|&device| Some((device, told.known(device)?.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::Mac;
    use crate::report::DeviceFacts;

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    fn grouping(devices: i64) -> Grouping {
        let facts = |number| DeviceFacts::unknown(device(number));
        let row = |number| DeviceRow { facts: facts(number), macs: None, zone: "Asia/Shanghai".into(), asked: true };
        Grouping::new((0..devices).map(row).collect())
    }

    fn macs(camera: u8, recorder: u8) -> UrlMacs {
        UrlMacs { first: Mac::new([0, 0x14, 0x10, 0, 0, camera]), second: Mac::new([0, 0x14, 0x10, 1, 0, recorder]) }
    }

    #[test]
    fn cameras_are_grouped_once_their_urls_share_an_address() {
        let mut grouping = grouping(100);
        let pause = PAUSE_PER_DEVICE * 100;
        let (now, later) = (Instant::from_millis(0), Instant::from_millis(0) + pause);
        assert!(grouping.note(device(0), macs(0, 7)));
        assert!(!grouping.note(device(0), macs(0, 7)), "known");
        assert_eq!(grouping.learned(&NvrMap::default(), now), [], "one camera tells nothing");
        assert!(grouping.note(device(1), macs(1, 7)));
        assert_eq!(grouping.learned(&NvrMap::default(), now), [], "not yet");
        let nvr = NvrId::new("mac 00:14:10:01:00:07");
        assert_eq!(grouping.learned(&NvrMap::default(), later), [(device(0), nvr.clone()), (device(1), nvr.clone())]);
        let mut known = NvrMap::default();
        known.assign(device(0), NvrId::new("stated"));
        grouping.note(device(2), macs(2, 7));
        let learned = grouping.learned(&known, later + pause);
        assert_eq!(learned, [(device(1), nvr.clone()), (device(2), nvr)], "what was known stays");
    }
}
