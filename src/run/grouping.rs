//! What media URLs tell, while a run goes on, of which NVR serves a device of which nobody else said it. So a first night
//! without a device list learns within minutes which cameras share a recorder, instead of asking it for each of them alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::device::{DeviceId, NvrMap};
use crate::instant::Instant;
use crate::mac::UrlMacs;
use crate::nvrs::Nvrs;
use crate::report::{DeviceFacts, DeviceRow, ServedBy};

/// How long is waited for each device that is looked through, before all are looked through again: to look takes about a
/// hundredth of that.
const PAUSE_PER_DEVICE: Duration = Duration::from_micros(100);

/// What the ledger knows of devices, and what was learned since.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// What the settings say: it comes first, and shows which addresses are no recorder's.
    stated: NvrMap,
    rows: Vec<DeviceRow>,
    positions: BTreeMap<DeviceId, usize>,
    /// Whether something was learned that nobody has looked at.
    is_new: bool,
    /// When to look again.
    next: Option<Instant>,
}

impl Grouping {
    /// From what the ledger knows of devices. It may not know yet those that are `asked` for.
    pub(super) fn new<'a>(stated: NvrMap, mut rows: Vec<DeviceRow>, asked: impl Iterator<Item = &'a DeviceId>) -> Self {
        let known: BTreeSet<DeviceId> = rows.iter().map(|row| row.facts.device).collect();
        // Nobody here asks for its zone.
        let new =
            |&device| DeviceRow { facts: DeviceFacts::unknown(device), macs: None, zone: String::new(), asked: true };
        rows.extend(asked.filter(|device| !known.contains(device)).map(new));
        let positions = rows.iter().enumerate().map(|(position, row)| (row.facts.device, position)).collect();
        Self { stated, rows, positions, is_new: false, next: None }
    }

    /// Takes the addresses of a device's media URL. False when they are known.
    pub(super) fn note(&mut self, device: DeviceId, macs: UrlMacs) -> bool {
        let row = self.positions.get(&device).and_then(|&position| self.rows.get_mut(position));
        let is_new = row.is_some_and(|row| row.macs.replace(macs) != Some(macs));
        self.is_new |= is_new;
        is_new
    }

    /// Devices without an NVR in `known` whose NVR can be told by now, with its store where that is known. What was known
    /// stays as it is.
    pub(super) fn learned(&mut self, known: &NvrMap, now: Instant) -> Vec<ServedBy> {
        if !self.is_new || self.next.is_some_and(|next| next > now) {
            return Vec::new();
        }
        let devices = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        (self.is_new, self.next) = (false, Some(now + PAUSE_PER_DEVICE * devices));
        let told = Nvrs::decide(&self.stated, &self.rows).map;
        let unknown = self.positions.keys().filter(|&&device| known.known(device).is_none());
        let served = |&device: &DeviceId| {
            let nvr = told.known(device)?;
            Some(ServedBy { device, nvr: Some(nvr.clone()), store: told.store_of(nvr).map(str::to_owned) })
        };
        unknown.filter_map(served).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::NvrId;
    use crate::mac::Mac;

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    fn rows() -> Vec<DeviceRow> {
        let facts = |number| DeviceFacts { store_number: Some(3), ..DeviceFacts::unknown(device(number)) };
        let row = |number| DeviceRow { facts: facts(number), macs: None, zone: "Asia/Shanghai".into(), asked: true };
        (0..100).map(row).collect()
    }

    fn macs(camera: u8, recorder: u8) -> UrlMacs {
        UrlMacs { first: Mac::new([0, 0x14, 0x10, 0, 0, camera]), second: Mac::new([0, 0x14, 0x10, 1, 0, recorder]) }
    }

    /// Looks as often as it may, and gives the cameras that were learned each time.
    fn look(grouping: &mut Grouping, known: &mut NvrMap, looks: u32) -> Vec<i64> {
        let now = Instant::from_millis(0) + PAUSE_PER_DEVICE * 100 * looks;
        let learned = grouping.learned(known, now);
        for served in &learned {
            assert_eq!(served.store.as_deref(), Some("3"));
            assert_eq!(served.nvr, Some(NvrId::new("mac 00:14:10:01:00:07")));
            known.assign(served.device, served.nvr.clone().expect("it was learned"));
        }
        learned.into_iter().map(|served| served.device.get()).collect()
    }

    #[test]
    fn cameras_are_grouped_one_by_one_once_their_urls_share_an_address() {
        let mut grouping = Grouping::new(NvrMap::default(), rows(), [].iter());
        let mut known = NvrMap::default();
        assert!(grouping.note(device(0), macs(0, 7)));
        assert!(!grouping.note(device(0), macs(0, 7)), "known");
        assert_eq!(look(&mut grouping, &mut known, 0), Vec::<i64>::new(), "one camera tells nothing");
        assert!(grouping.note(device(1), macs(1, 7)));
        assert_eq!(look(&mut grouping, &mut known, 0), Vec::<i64>::new(), "not yet");
        assert_eq!(look(&mut grouping, &mut known, 1), [0, 1]);
        grouping.note(device(2), macs(2, 7));
        assert_eq!(look(&mut grouping, &mut known, 2), [2]);
    }

    #[test]
    fn cameras_that_the_ledger_does_not_know_yet_are_grouped_as_well() {
        let mut grouping = Grouping::new(NvrMap::default(), Vec::new(), [device(0), device(1)].iter());
        assert!(grouping.note(device(0), macs(0, 7)) && grouping.note(device(1), macs(1, 7)));
        assert!(!grouping.note(device(2), macs(2, 7)), "nobody asked for it");
        let learned = grouping.learned(&NvrMap::default(), Instant::from_millis(0));
        assert_eq!(learned.into_iter().map(|served| served.device).collect::<Vec<_>>(), [device(0), device(1)]);
    }

    /// One name from the settings or the list, and one from the address, are not two recorders.
    #[test]
    fn what_is_known_of_one_camera_does_not_keep_the_others_from_being_grouped() {
        let mut stated = NvrMap::default();
        stated.assign(device(0), NvrId::new("store 1"));
        let mut known = stated.clone();
        let mut grouping = Grouping::new(stated, rows(), [].iter());
        for camera in 0..4 {
            grouping.note(device(camera), macs(camera as u8, 7));
            let expected = if camera == 0 { vec![] } else { vec![camera] };
            assert_eq!(look(&mut grouping, &mut known, camera as u32), expected);
        }
        assert_eq!(known.known(device(0)), Some(&NvrId::new("store 1")), "what was known stays");
    }
}
