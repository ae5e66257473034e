//! The world without a server.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// 2026-11-20 20:00:00 in Shanghai, on the grid.
const START: Instant = Instant::from_millis(1_795_176_000_000);

const SET_UP: &str = r#"
    url_life = "30s"
    busy_after_drop = "1m"

    [[stores]]
    id = 1
    name = "one"
    loose_cameras = [{ id = 9 }]

    [[stores.nvrs]]
    id = "a"
    channels = 2
    keeps = "1d"
    taken = [{ channels = 1, during = { from = "1h", to = "2h" } }]
    offline = [{ from = "3h", to = "4h" }]
    overloaded = [{ from = "5h", to = "6h" }]
    cameras = [
        { id = 1, holes = [{ from = "2026-11-20 19:41:00", to = "2026-11-20 19:42:30" }] },
        { id = 2, played = [{ from = "7h", to = "8h" }] },
        { id = 3, codec = "h265", offline = [{ from = "8h", to = "9h" }] },
        { id = 4, refused = true },
    ]
"#;

fn model() -> Model {
    Model::new(&Config::from_toml(SET_UP).expect("a right set-up"), START)
}

fn model_with(change: impl FnOnce(&mut Config)) -> Model {
    let mut config = Config::from_toml(SET_UP).expect("a right set-up");
    change(&mut config);
    Model::new(&config, START)
}

/// The ten minutes that began so many minutes before the start.
fn window(device: i64, minutes_before: i64) -> Window {
    let start = START.to_utc_second() - minutes_before * 60;
    let range = TimeRange::new(start, start + 600).expect("ten minutes");
    Window { device: DeviceId::new(device).expect("not negative"), range }
}

fn after(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

fn hours(hours: u64) -> Instant {
    after(hours * 3600)
}

fn refused(model: &mut Model, device: i64, now: Instant) -> Option<Refusal> {
    model.ask(window(device, 10), now).err()
}

fn granted(model: &mut Model, device: i64, now: Instant) -> Lease {
    model.ask(window(device, 10), now).expect("a download").lease
}

#[test]
fn the_world_has_a_reason_for_each_refusal() {
    for (device, now, refusal) in [
        (77, START, Refusal::Stat(103_092)),
        (4, START, Refusal::Stat(103_064)),
        (9, START, Refusal::Result(-2)),
        (1, hours(3), Refusal::Result(1)),
        (1, hours(5), Refusal::Result(-5)),
        (2, hours(7), Refusal::Result(-6)),
    ] {
        assert_eq!(refused(&mut model(), device, now), Some(refusal), "device {device}");
    }
    for now in [START, hours(4), hours(6), hours(8)] {
        assert_eq!(refused(&mut model(), 2, now), None);
    }
}

#[test]
fn channels_are_held_from_the_answer_on_and_free_again_after_the_stream() {
    let mut model = model();
    let first = granted(&mut model, 1, START);
    granted(&mut model, 2, START);
    assert_eq!(refused(&mut model, 3, START), Some(Refusal::Result(-4)));
    assert_eq!(refused(&mut model, 1, START), Some(Refusal::Result(-3)));
    model.open(first, START).expect("a stream");
    model.close(first, true, START);
    assert_eq!(refused(&mut model, 3, START), None);
}

#[test]
fn channels_that_others_take_are_missing() {
    let mut model = model();
    granted(&mut model, 1, hours(1));
    assert_eq!(refused(&mut model, 2, hours(1)), Some(Refusal::Result(-4)));
}

#[test]
fn a_url_is_good_once_and_expires_when_nobody_opens_it() {
    let mut model = model();
    let unopened = granted(&mut model, 1, START);
    assert_eq!(refused(&mut model, 1, after(29)), Some(Refusal::Result(-3)));
    assert!(model.open(unopened, after(30)).is_none());
    let opened = granted(&mut model, 1, after(30));
    assert!(model.open(opened, after(31)).is_some());
    assert!(model.open(opened, after(31)).is_none(), "while it streams");
    assert_eq!(refused(&mut model, 1, after(600)), Some(Refusal::Result(-3)), "a stream does not expire");
    model.close(opened, true, after(600));
    assert!(model.open(opened, after(600)).is_none(), "after its end");
}

#[test]
fn a_dropped_download_keeps_its_camera_busy_for_a_while_and_its_channel_free() {
    let mut model = model();
    let lease = granted(&mut model, 1, START);
    model.open(lease, START).expect("a stream");
    model.close(lease, false, after(5));
    assert_eq!(refused(&mut model, 1, after(64)), Some(Refusal::Result(-3)));
    assert_eq!(refused(&mut model, 1, after(65)), None);
}

#[test]
fn a_growing_file_stays_until_its_last_byte_was_sent_or_nobody_comes() {
    let mut model = model();
    let grows = MediaFault::Grows { from: 60, per_second: 1 };
    let lease = model.force(window(1, 10), Some(grows), START).expect("a download").lease;
    for now in [START, after(20)] {
        model.open(lease, now).expect("it can be opened again");
        model.close(lease, false, now);
    }
    assert!(model.open(lease, after(49)).is_some());
    model.close(lease, true, after(49));
    assert!(model.open(lease, after(49)).is_none());
}

#[test]
fn cameras_of_one_recorder_share_its_address_and_nothing_else() {
    let mut model = model();
    let mut addresses = |device| {
        let grant = model.force(window(device, 10), None, START).expect("a download");
        (grant.nvr_mac, grant.camera_mac)
    };
    let (one, two, loose) = (addresses(1), addresses(2), addresses(9));
    assert_eq!(one.0, two.0);
    let all = [&one.0, &one.1, &two.1, &loose.1];
    assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}

#[test]
fn footage_has_holes_a_horizon_and_no_future() {
    let model = model();
    let seconds = |device, before| {
        let window = window(device, before);
        model.truth(window.device, window.range, START).seconds()
    };
    assert_eq!(seconds(2, 10), 600);
    assert_eq!(seconds(1, 20), 600 - 90);
    assert_eq!(seconds(2, 5), 300, "half of it is still to come");
    assert_eq!(seconds(2, 24 * 60 + 4), 360, "the horizon has passed four minutes of it");
    assert_eq!(seconds(2, 24 * 60 + 10), 0);
}

#[test]
fn a_camera_is_watched_by_who_may_and_when_it_and_its_recorder_are_on() {
    let model = model();
    let device = |number| DeviceId::new(number).expect("not negative");
    assert_eq!(model.may_watch(device(77)), Err(103_092));
    assert_eq!(model.may_watch(device(4)), Err(103_064));
    assert_eq!((model.may_watch(device(1)), model.may_watch(device(3))), (Ok(Codec::H264), Ok(Codec::H265)));
    assert!(model.may_watch(device(9)).is_ok(), "without a recorder too");
    let sends = |number, at| model.sends_live(device(number), at);
    assert!(sends(1, START - Duration::from_secs(18 * 60)), "a hole is the recorder's");
    assert!(sends(3, START) && !sends(3, hours(8)) && sends(3, hours(9)));
    assert!(sends(1, START) && !sends(1, hours(3)), "its recorder is offline");
    assert!(sends(9, hours(3)) && !sends(77, START));
}

#[test]
fn there_is_no_footage_of_a_camera_that_was_off() {
    let window = window(3, -8 * 60);
    assert_eq!(model().truth(window.device, window.range, hours(10)).seconds(), 0);
}

#[test]
fn a_window_without_footage_reads_as_the_set_up_says() {
    let old = window(2, 48 * 60);
    let lease = model().ask(old, START).map(|grant| grant.lease);
    assert_eq!(lease, Ok(1));
    let refuse = |config: &mut Config| config.no_footage = NoFootage::Refuse;
    assert_eq!(model_with(refuse).ask(old, START).err(), Some(Refusal::Result(-1)));
    let mut nothing = model_with(|config| config.no_footage = NoFootage::Nothing);
    let lease = nothing.ask(old, START).expect("a download").lease;
    assert_eq!(nothing.open(lease, START).and_then(|play| play.fault), Some(MediaFault::Nothing));
}

#[test]
fn faults_do_not_depend_on_the_order_of_arrival_or_on_refusals() {
    let hostile = |config: &mut Config| config.faults = Profile::Hostile;
    let windows: Vec<Window> = (1..=100).map(|n| window(1 + n % 3, 10 * n)).collect();
    let answer = |model: &mut Model, window: Window| {
        let answer = model.ask(window, START).map(|grant| {
            let fault = model.open(grant.lease, START).and_then(|play| play.fault);
            model.close(grant.lease, true, START);
            fault
        });
        // Whatever ended the last download is over by then.
        (window, answer)
    };
    let mut forward = model_with(hostile);
    let mut first: Vec<_> = windows.iter().map(|window| answer(&mut forward, *window)).collect();
    let mut backward = model_with(hostile);
    let mut second: Vec<_> = windows
        .iter()
        .rev()
        .map(|window| {
            assert_eq!(backward.ask(*window, hours(3)).err(), Some(Refusal::Result(1)));
            answer(&mut backward, *window)
        })
        .collect();
    first.sort_by_key(|(window, _)| *window);
    second.sort_by_key(|(window, _)| *window);
    assert_eq!(first, second);
    assert!(first.iter().any(|(_, answer)| *answer != Ok(None)), "something goes wrong");
}

#[test]
fn the_most_open_streams_are_counted() {
    let mut model = model();
    let leases = [1, 2].map(|device| granted(&mut model, device, START));
    for lease in leases {
        model.open(lease, START).expect("a stream");
    }
    for lease in leases {
        model.close(lease, true, START);
    }
    assert_eq!(model.most_open().values().copied().collect::<Vec<_>>(), [1, 1]);
    assert_eq!(model.most_open_by_nvr().get(&NvrId::new("a")), Some(&2));
}

#[test]
fn a_test_puts_a_recorder_into_trouble_and_out_of_it() {
    let mut model = model();
    let nvr = NvrId::new("a");
    for (trouble, result) in [(Trouble::Offline, 1), (Trouble::Overloaded, -5), (Trouble::Taken(2), -4)] {
        model.trouble(&nvr, Some(trouble));
        assert_eq!(model.ask(window(1, 10), START).map(|_| ()), Err(Refusal::Result(result)), "{trouble:?}");
        assert_eq!(model.is_online(DeviceId::new(1).expect("one"), START), trouble != Trouble::Offline);
    }
    model.trouble(&nvr, Some(Trouble::Taken(1)));
    assert!(model.ask(window(1, 10), START).is_ok(), "one of two is free");
    assert_eq!(model.ask(window(2, 10), START).map(|_| ()), Err(Refusal::Result(-4)));
    model.trouble(&nvr, None);
    assert!(model.ask(window(2, 10), START).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Ask(i64),
    Open(usize),
    Close(usize, bool),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..=3i64).prop_map(Step::Ask),
        3 => (0..40usize).prop_map(Step::Open),
        3 => (0..40usize, proptest::bool::ANY).prop_map(|(which, whole)| Step::Close(which, whole)),
        2 => (0..2000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// Over two hours in the second of which one of the two channels is taken by somebody else.
    #[test]
    fn no_camera_has_two_downloads_and_no_recorder_more_than_its_channels(steps in steps()) {
        let mut model = model();
        let (mut now, mut leases) = (START, Vec::new());
        for step in steps {
            match step {
                Step::Ask(device) => {
                    let before = model.downloads.len();
                    let asked = model.ask(window(device, 10), now);
                    if let Ok(grant) = asked {
                        let free = if now >= hours(1) && now < hours(2) { 1 } else { 2 };
                        prop_assert!(model.downloads.len() <= free, "{} held, {before} before", model.downloads.len());
                        leases.push(grant.lease);
                    }
                }
                Step::Open(which) => {
                    if let Some(lease) = leases.get(which) {
                        model.open(*lease, now);
                    }
                }
                Step::Close(which, whole) => {
                    if let Some(lease) = leases.get(which) {
                        model.close(*lease, whole, now);
                    }
                }
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            let mut devices: Vec<_> = model.downloads.values().map(|held| held.play.window.device).collect();
            devices.sort_unstable();
            prop_assert!(devices.windows(2).all(|pair| pair[0] != pair[1]), "{devices:?}");
        }
        prop_assert!(model.most_open().values().all(|most| *most <= 1));
        prop_assert!(model.most_open_by_nvr().values().all(|most| *most <= 2));
    }
}
