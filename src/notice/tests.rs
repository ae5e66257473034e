//! Who is named, and when something is told.

use super::*;
use crate::report::DeviceFacts;
use crate::untrusted::Untrusted;

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

fn short(number: i64, missing: &[(Cause, i64)]) -> Shortfall {
    Shortfall { device: device(number), missing: missing.iter().copied().collect() }
}

fn row(number: i64, name: &str, store: Option<(i64, &str)>) -> DeviceRow {
    let facts = DeviceFacts {
        name: Some(Untrusted::new(name)),
        store_number: store.map(|(number, _)| number),
        store: store.map(|(_, name)| Untrusted::new(name)),
        ..DeviceFacts::unknown(device(number))
    };
    DeviceRow { facts, macs: None, zone: "Asia/Shanghai".into(), asked: true }
}

fn told(short: &[Shortfall], asked: &[i64], known: &[DeviceRow], nvrs: &NvrMap) -> (Vec<String>, u64) {
    let asked = asked.iter().map(|&number| device(number)).collect();
    let (places, more) = worst(short, Cameras { asked: &asked, known, nvrs });
    let said = |place: &Place| {
        format!("{} {}/{} {} {}", place.name, place.cameras, place.of_cameras, place.missing_seconds, place.cause)
    };
    (places.iter().map(said).collect(), more)
}

#[test]
fn a_store_of_which_several_cameras_lack_something_is_one_line_and_a_camera_alone_has_its_name() {
    let known = [
        row(1, "door", Some((12, "Nanjing Road"))),
        row(2, "till", Some((12, "Nanjing Road"))),
        row(3, "till", Some((13, "Bund"))),
        row(4, "door", Some((13, "Bund"))),
    ];
    let short = [
        short(1, &[(Cause::NvrOffline, 600), (Cause::NoFootage, 60)]),
        short(2, &[(Cause::NvrOffline, 600)]),
        short(3, &[(Cause::CutShort, 60)]),
        short(9, &[(Cause::Failed, 6000)]),
    ];
    let (places, more) = told(&short, &[1, 2, 3, 4, 9], &known, &NvrMap::default());
    let expected =
        ["device 9 1/1 6000 failed", "Nanjing Road 2/2 1260 nvr offline", "Bund, till (device 3) 1/2 60 cut short"];
    assert_eq!((places, more), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn cameras_of_an_nvr_in_no_known_store_are_one_line_and_only_the_worst_places_are_named() {
    let mut nvrs = NvrMap::default();
    nvrs.assign(device(1), NvrId::new("cellar"));
    nvrs.assign(device(2), NvrId::new("cellar"));
    nvrs.assign(device(3), NvrId::new("roof"));
    nvrs.set_store(NvrId::new("roof"), "7".into());
    let all: Vec<Shortfall> = (1..=9).map(|number| short(number, &[(Cause::NvrBusy, 1000 - number)])).collect();
    let asked: Vec<i64> = (1..=9).collect();
    let (places, more) = told(&all, &asked, &[], &nvrs);
    assert_eq!(places[0], "nvr cellar 2/2 1997 nvr busy");
    assert_eq!(places[1], "store 7, device 3 1/1 997 nvr busy");
    assert_eq!((places.len(), more), (MOST_PLACES, 3));
}

#[test]
fn what_was_pruned_is_not_missing_and_sums_are_by_cause() {
    use crate::time_range::TimeRange;
    use crate::window::Missing;
    let stretch = |start, end, cause| Missing {
        range: TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range"),
        cause,
        attempts: 0,
    };
    assert_eq!(Shortfall::of(device(1), [stretch(0, 600, Cause::Pruned)]), None);
    let one = Shortfall::of(device(1), [stretch(0, 600, Cause::Lost), stretch(600, 660, Cause::NvrBusy)]);
    let two = Shortfall::of(device(2), [stretch(0, 60, Cause::Lost)]);
    let both = [one.expect("short"), two.expect("short")];
    assert_eq!(Shortfall::by_cause(&both), [(Cause::NvrBusy, 60), (Cause::Lost, 660)]);
    assert_eq!(both[0].seconds(), 660);
}

#[test]
fn gaps_are_no_failure_and_a_failure_leaves_gaps() {
    let told = |when: When| (0..=7).filter(|&exit| when.tells(exit)).collect::<Vec<u8>>();
    assert_eq!(told(When::Always), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(told(When::Gaps), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(told(When::Failure), [1, 2, 4, 5, 6, 7]);
}
