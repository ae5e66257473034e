//! Settings before list before URLs, and what URLs tell.

use proptest::prelude::*;

use super::*;
use crate::report::DeviceFacts;
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

fn mac(number: u64) -> Mac {
    let [.., a, b, c, d, e] = number.to_be_bytes();
    Mac::new([2, a, b, c, d, e])
}

fn row(number: i64) -> DeviceRow {
    DeviceRow { facts: DeviceFacts::unknown(device(number)), macs: None, zone: "Asia/Shanghai".into(), asked: true }
}

fn listed(number: i64, puid: &str) -> DeviceRow {
    let mut row = row(number);
    row.facts.puid = Some(Untrusted::new(puid));
    row
}

fn with_macs(row: DeviceRow, first: u64, second: u64) -> DeviceRow {
    DeviceRow { macs: Some(UrlMacs { first: mac(first), second: mac(second) }), ..row }
}

fn stated(nvrs: &[(&str, &[i64])]) -> NvrMap {
    let mut map = NvrMap::default();
    for (nvr, devices) in nvrs {
        devices.iter().for_each(|&number| map.assign(device(number), NvrId::new(nvr)));
    }
    map
}

/// Each device with its NVR and who says so.
fn decided(stated: &NvrMap, rows: &[DeviceRow]) -> Vec<(i64, String, Option<KnownFrom>)> {
    let nvrs = Nvrs::decide(stated, rows);
    let shown = |row: &DeviceRow| {
        let device = row.facts.device;
        (device.get(), nvrs.map.nvr_of(device).to_string(), nvrs.known_from.get(&device).copied())
    };
    rows.iter().map(shown).collect()
}

#[test]
fn settings_come_before_the_list_and_the_list_before_urls() {
    use KnownFrom::{List, Settings, Url};
    let rows = [
        with_macs(listed(1, "P"), 100, 1),
        with_macs(listed(2, "Q"), 200, 2),
        with_macs(listed(3, "Q"), 200, 3),
        with_macs(row(4), 300, 4),
        with_macs(row(5), 300, 5),
        with_macs(row(6), 400, 6),
        row(7),
        listed(8, ""),
    ];
    let expected = [
        (1, "mine".to_owned(), Some(Settings)),
        (2, "Q".to_owned(), Some(List)),
        (3, "Q".to_owned(), Some(List)),
        (4, "mac 02:00:00:00:01:2c".to_owned(), Some(Url)),
        (5, "mac 02:00:00:00:01:2c".to_owned(), Some(Url)),
        (6, "device 6".to_owned(), None),
        (7, "device 7".to_owned(), None),
        (8, "device 8".to_owned(), None),
    ];
    assert_eq!(decided(&stated(&[("mine", &[1])]), &rows), expected);
    // Withdrawn settings leave what the list says.
    assert_eq!(decided(&stated(&[]), &rows)[0], (1, "P".to_owned(), Some(List)));
}

/// What the settings say of a recorder, how long it keeps footage above all, is said of the cameras that they name.
#[test]
fn a_camera_that_the_settings_leave_out_does_not_join_their_nvr() {
    let rows = [with_macs(listed(1, "P"), 1, 100), with_macs(listed(2, "P"), 2, 100), with_macs(row(3), 3, 100)];
    let nvrs: Vec<String> = decided(&stated(&[("mine", &[1])]), &rows).into_iter().map(|(_, nvr, _)| nvr).collect();
    assert_eq!(nvrs, ["mine", "P", "mac 02:00:00:00:00:64"]);
    let nvrs: Vec<String> = decided(&stated(&[]), &rows).into_iter().map(|(_, nvr, _)| nvr).collect();
    assert_eq!(nvrs, ["P", "P", "mac 02:00:00:00:00:64"]);
}

/// A relay's address, say, which comes before every recorder's.
#[test]
fn an_address_that_several_named_nvrs_share_is_no_recorders() {
    let rows = [
        with_macs(listed(1, "P"), 9, 100),
        with_macs(listed(2, "Q"), 9, 200),
        with_macs(row(3), 9, 100),
        with_macs(row(4), 9, 300),
        with_macs(row(5), 9, 300),
        with_macs(row(6), 9, 400),
    ];
    let nvrs: Vec<String> = decided(&stated(&[]), &rows).into_iter().map(|(_, nvr, _)| nvr).collect();
    let (at_100, at_300) = ("mac 02:00:00:00:00:64", "mac 02:00:00:00:01:2c");
    assert_eq!(nvrs, ["P", "Q", at_100, at_300, at_300, "device 6"]);
}

#[test]
fn an_address_that_more_cameras_share_than_any_recorder_has_is_none() {
    let rows = |cameras: i64| -> Vec<DeviceRow> {
        (0..cameras).map(|number| with_macs(row(number), 9, 1_000 + number.unsigned_abs() / 2)).collect()
    };
    let nvrs_of = |cameras| {
        let nvrs: BTreeSet<String> = decided(&stated(&[]), &rows(cameras)).into_iter().map(|(_, nvr, _)| nvr).collect();
        nvrs.len()
    };
    assert_eq!((nvrs_of(256), nvrs_of(258)), (1, 129));
}

#[test]
fn an_address_that_no_machine_has_joins_nobody() {
    let mut rows = [with_macs(row(1), 0, 1), with_macs(row(2), 0, 2)];
    for row in &mut rows {
        row.macs = row.macs.map(|macs| UrlMacs { first: Mac::new([0; 6]), ..macs });
    }
    assert!(decided(&stated(&[]), &rows).iter().all(|(_, _, from)| from.is_none()));
}

/// One camera under two numbers, alone on its recorder: which address is the recorder's follows from the others.
#[test]
fn where_both_addresses_are_shared_alike_the_others_position_decides() {
    let twice = [with_macs(row(1), 1, 100), with_macs(row(2), 1, 100)];
    let others = [with_macs(row(3), 3, 200), with_macs(row(4), 4, 200)];
    assert_eq!(decided(&stated(&[]), &twice)[0].1, "mac 02:00:00:00:00:01");
    let together = decided(&stated(&[]), &[twice, others].concat());
    assert_eq!((&*together[0].1, &*together[1].1), ("mac 02:00:00:00:00:64", "mac 02:00:00:00:00:64"));
    // Where one is shared by more, no vote is needed.
    let more = [with_macs(row(1), 1, 100), with_macs(row(2), 1, 100), with_macs(row(3), 3, 100)];
    assert!(decided(&stated(&[]), &more).iter().all(|(_, nvr, _)| nvr == "mac 02:00:00:00:00:64"));
}

#[test]
fn an_nvrs_store_is_what_the_settings_say_else_what_the_list_said_last() {
    let in_store = |mut row: DeviceRow, number, name: &str, seen| {
        row.facts.store_number = number;
        row.facts.store = Some(Untrusted::new(name));
        row.facts.seen = Some(UtcSecond::new(seen));
        row
    };
    let rows = [
        in_store(listed(1, "P"), Some(11), "old", 100),
        in_store(listed(2, "P"), Some(12), "new", 200),
        in_store(listed(3, "Q"), None, "nameless\u{1b}", 100),
        in_store(row(4), Some(14), "loose", 100),
        in_store(listed(5, "R"), Some(15), "listed", 100),
        row(6),
        row(7),
    ];
    let mut stated = stated(&[("mine", &[5]), ("named", &[7])]);
    stated.set_store(NvrId::new("mine"), "downtown".to_owned());
    stated.set_store(NvrId::new("named"), "new".to_owned());
    let nvrs = Nvrs::decide(&stated, &rows);
    let stores: Vec<_> = rows.iter().map(|row| nvrs.map.store_of(&nvrs.map.nvr_of(row.facts.device))).collect();
    let expected = [Some("12"), Some("12"), Some("nameless\\u{1b}"), Some("14"), Some("downtown"), None, Some("12")];
    assert_eq!(stores, expected);
}

/// Names that the platform made up reach a terminal without control characters.
#[test]
fn a_puid_is_escaped() {
    assert_eq!(decided(&stated(&[]), &[listed(1, "a\u{1b}[2J")])[0].1, "a\\u{1b}[2J");
}

proptest! {
    /// Recorders in either position: cameras of one that has several are together, and never with another's.
    #[test]
    fn cameras_are_grouped_by_their_recorders(
        cameras in prop::collection::vec(0..8u64, 1..30),
        recorder_is_second: bool,
        unseen in prop::collection::btree_set(0..30usize, 0..6),
    ) {
        let rows: Vec<DeviceRow> = cameras.iter().enumerate().map(|(index, &recorder)| {
            let (camera, recorder) = (1_000 + index as u64, 1 + recorder);
            let (first, second) = if recorder_is_second { (camera, recorder) } else { (recorder, camera) };
            let row = row(index as i64);
            if unseen.contains(&index) { row } else { with_macs(row, first, second) }
        }).collect();
        let nvrs: Vec<String> = decided(&stated(&[]), &rows).into_iter().map(|(_, nvr, _)| nvr).collect();
        let seen: Vec<usize> = (0..cameras.len()).filter(|index| !unseen.contains(index)).collect();
        for &a in &seen {
            for &b in &seen {
                prop_assert_eq!(nvrs[a] == nvrs[b], cameras[a] == cameras[b], "cameras {} and {}", a, b);
            }
        }
    }

    /// Whatever is known: the settings stand, nobody is left out, and the order of rows does not matter.
    #[test]
    fn settings_always_stand_and_order_does_not_matter(
        known in prop::collection::vec((prop::option::of(0..3u8), prop::option::of((0..6u64, 0..6u64))), 1..12),
        named in prop::collection::btree_map(0..12i64, 0..3u8, 0..6),
    ) {
        let mut map = NvrMap::default();
        for (&number, nvr) in &named {
            map.assign(device(number), NvrId::new(&format!("nvr {nvr}")));
        }
        let mut rows: Vec<DeviceRow> = known.iter().enumerate().map(|(index, (puid, macs))| {
            let mut row = row(index as i64);
            row.facts.puid = puid.map(|puid| Untrusted::new(&format!("puid {puid}")));
            row.macs = macs.map(|(first, second)| UrlMacs { first: mac(first), second: mac(second) });
            row
        }).collect();
        let nvrs = Nvrs::decide(&map, &rows);
        for (device, nvr) in map.assigned() {
            prop_assert_eq!(nvrs.map.known(device), Some(nvr));
            prop_assert_eq!(nvrs.known_from.get(&device), Some(&KnownFrom::Settings));
        }
        for row in &rows {
            let from = nvrs.known_from.get(&row.facts.device);
            prop_assert_eq!(from.is_some(), nvrs.map.known(row.facts.device).is_some());
            prop_assert!(row.facts.puid.is_none() || from <= Some(&KnownFrom::List));
        }
        rows.reverse();
        prop_assert_eq!(Nvrs::decide(&map, &rows), nvrs);
    }
}
