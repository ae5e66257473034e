//! Tests of pictures.

use proptest::prelude::*;

use super::*;
use crate::device::NvrMap;
use crate::report::DeviceFacts;
use crate::untrusted::Untrusted;

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
}

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

fn windows(start: i64, end: i64) -> Stretch {
    Stretch { range: range(start, end), state: State::Windows { quarters: 32, container: Container::Flv } }
}

fn gap(start: i64, end: i64, cause: Cause) -> Stretch {
    Stretch { range: range(start, end), state: State::Missing { cause, attempts: 1, last_code: None } }
}

fn row(number: i64, store: Option<(i64, &str)>, puid: &str) -> DeviceRow {
    let facts = DeviceFacts {
        store_number: store.map(|(number, _)| number),
        store: store.map(|(_, name)| Untrusted::new(name)),
        puid: Some(Untrusted::new(puid)),
        ..DeviceFacts::unknown(device(number))
    };
    DeviceRow { facts, macs: None, zone: "Asia/Shanghai".to_owned(), asked: true }
}

/// A picture of these cameras from 0 to 6000.
fn picture(told: impl IntoIterator<Item = (i64, Told)>, known: &[DeviceRow]) -> Picture {
    let told = told.into_iter().map(|(number, told)| (device(number), told)).collect();
    let mut nvrs = NvrMap::default();
    for row in known {
        let puid = row.facts.puid.as_ref().map(ToString::to_string).unwrap_or_default();
        nvrs.assign(row.facts.device, NvrId::new(&puid));
    }
    let zone = |_device| chrono_tz::Asia::Shanghai;
    Picture::new(UtcSecond::new(6000), range(0, 6000), told, known, &nvrs, zone, Vec::new())
}

#[test]
fn windows_that_touch_are_one_stretch_and_gaps_and_other_names_part_them() {
    let mut stretches = Vec::new();
    let other = Stretch { state: State::Windows { quarters: 32, container: Container::Mp4 }, ..windows(2400, 3000) };
    for next in [windows(0, 600), windows(600, 1200), gap(1200, 1800, Cause::Lost), windows(1800, 2400), other.clone()]
    {
        join(&mut stretches, next);
    }
    assert_eq!(stretches, [windows(0, 1200), gap(1200, 1800, Cause::Lost), windows(1800, 2400), other]);
}

#[test]
fn cameras_are_grouped_by_store_and_else_by_recorder() {
    let known = [
        row(1, Some((12, "人民路店")), "b"),
        row(2, Some((12, "人民路店")), "a"),
        row(3, Some((2, "2")), "c"),
        row(4, None, "d"),
    ];
    let told = (1..=4).map(|number| (number, Told::default()));
    let picture = picture(told, &known);
    let groups: Vec<(&str, Vec<i64>)> = picture
        .groups
        .iter()
        .map(|group| (group.name.as_str(), group.cameras.iter().map(|camera| camera.device.get()).collect()))
        .collect();
    assert_eq!(groups, [("Store 2", vec![3]), ("12 · 人民路店", vec![2, 1]), ("NVR d", vec![4])]);
}

#[test]
fn what_is_pruned_is_neither_asked_for_nor_missing() {
    let pruned = Stretch { range: range(0, 600), state: State::Pruned };
    let told = Told {
        asked_seconds: 3000,
        stretches: vec![pruned, windows(600, 1800), gap(1800, 2400, Cause::NvrBusy), gap(2400, 3000, Cause::Lost)],
    };
    let totals = picture([(5, told)], &[]).totals;
    assert_eq!((totals.asked_seconds, totals.archived_seconds, totals.pruned_seconds), (2400, 1200, 600));
    assert_eq!(totals.missing_seconds, BTreeMap::from([(Cause::NvrBusy, 600), (Cause::Lost, 600)]));
}

#[test]
fn a_cell_is_full_only_of_everything_and_empty_only_of_nothing() {
    let cell = |archived_seconds, missing_seconds| Cell { archived_seconds, missing_seconds, cause: None }.eighths();
    assert_eq!(cell(0, 0), None);
    assert_eq!([cell(0, 1), cell(1, 1_000_000), cell(1, 1), cell(1_000_000, 1), cell(1, 0)], [0, 1, 4, 7, 8].map(Some));
}

#[test]
fn what_goes_next_is_told_by_how_long_the_recorder_keeps_it() {
    use crate::forecast::{Keeps, KnownFrom, Limit, NvrForecast, Outlook};
    use crate::plan::Plan;
    use crate::window::Missing;

    const DAY: i64 = 24 * 3600;
    let missing = |start, end| Missing { range: range(start, end), cause: Cause::NvrBusy, attempts: 1 };
    let mut nvrs = NvrMap::default();
    for (number, nvr) in [(1, "late"), (2, "soon"), (3, "unknown")] {
        nvrs.assign(device(number), NvrId::new(nvr));
    }
    let backlog = BTreeMap::from([
        (device(1), vec![missing(20 * DAY, 20 * DAY + 600)]),
        (device(2), vec![missing(0, 600), missing(13 * DAY - 300, 13 * DAY + 300), missing(20 * DAY, 20 * DAY + 600)]),
        (device(3), vec![missing(0, 600)]),
    ]);
    let plan = Plan::of_backlog(backlog, &nvrs);
    let forecast = |nvr: &str, days: Option<i64>| NvrForecast {
        nvr: NvrId::new(nvr),
        cameras: 1,
        limit: Limit { downloads: 4, source: KnownFrom::PerNvr },
        keeps: days.map(|days| Keeps { seconds: days * DAY, source: KnownFrom::Settings }),
        outlook: Outlook::default(),
    };
    let forecasts = [forecast("late", Some(14)), forecast("soon", Some(14)), forecast("unknown", None)];
    let told = losing(&plan, &forecasts, UtcSecond::new(27 * DAY));
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.nvr.as_str(), one.first.map(UtcSecond::get), one.day_seconds, one.seconds, one.gone_seconds))
        .collect();
    // Of the second one's, the half before the horizon is gone, and the other half goes at once.
    assert_eq!(told, [("soon", Some(27 * DAY), 300, 900, 900), ("late", Some(34 * DAY), 0, 600, 0)]);
}

proptest! {
    /// Whatever the width, each second of a stretch is in one cell.
    #[test]
    fn a_strip_loses_no_second(width in 1..200usize, lengths in prop::collection::vec((1..900i64, 0..3u8), 0..12)) {
        let (mut at, mut stretches) = (0, Vec::new());
        for (seconds, kind) in lengths {
            let end = (at + seconds).min(6000);
            if at < end && kind > 0 {
                stretches.push(if kind == 1 { windows(at, end) } else { gap(at, end, Cause::Failed) });
            }
            at = end;
        }
        let asked_seconds = stretches.iter().map(|stretch| stretch.range.seconds()).sum();
        let picture = picture([(5, Told { asked_seconds, stretches })], &[]);
        let (_, lines) = strip(&picture, width);
        let cells = &lines[0].cells;
        prop_assert_eq!(cells.len(), width);
        prop_assert_eq!(cells.iter().map(|cell| cell.archived_seconds).sum::<i64>(), lines[0].totals.archived_seconds);
        let missing: i64 = lines[0].totals.missing_seconds.values().sum();
        prop_assert_eq!(cells.iter().map(|cell| cell.missing_seconds).sum::<i64>(), missing);
    }
}
