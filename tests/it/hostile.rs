//! The main job on the worst night: forty cameras on six recorders, everything that goes wrong at once, and a platform that
//! knows the truth. Every second is archived, or a gap whose cause is true; and nobody was asked who was to be left alone.
//!
//! The time that it asks for is always the same, and so are the faults that are drawn for it. Recorders get into trouble and
//! out of it as their own calls go on, so that it takes place on a fast machine as on a slow one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Output;
use std::time::Duration;

use archive::device::NvrId;
use archive::report::{Gap, GapQuery};
use archive::sim::config::CameraConfig;
use archive::sim::moment::{Moment, Period};
use archive::sim::{CallRecord, Config, MediaEvent, MediaRecord, Profile, Trouble};
use archive::time_range::{RangeSet, TimeRange, UtcSecond};
use archive::window::Cause;

use crate::calls::{self, Breaker};
use crate::support::{Place, code, device, ended, fleet, range, stderr, until};

/// Playback channels, and cameras. Those that go away have few cameras: the fewer may be under way when they do, the less has
/// to be forgiven.
const NVRS: [(u32, &[i64]); 6] = [
    (1, &[1, 2, 3, 4]),
    (2, &[11, 12, 13, 14, 15, 16, 17]),
    (3, &[21, 22, 23, 24]),
    (4, &[31, 32, 33, 34, 35, 36, 37, 38, 39, 40]),
    (6, &[41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51]),
    (8, &[52, 53, 54]),
];
const DEVICES: &str = "1-4,11-17,21-24,31-54,61";
/// A camera with a hole, one that this user may not use, and one that hangs off no recorder.
const WITH_A_HOLE: i64 = 12;
const REFUSED: i64 = 16;
const LOOSE: i64 = 61;
/// Which recorder goes away and comes back, has a busy CPU, is played by others, and goes away for good.
const AWAY: usize = 2;
const STORM: usize = 3;
const PLAYED: usize = 4;
const GONE: usize = 5;

/// 2024-03-01, midnight in UTC: a mark of the grid.
const START: UtcSecond = UtcSecond::new(1_709_251_200);
const SECONDS: i64 = 4 * 600;
const HOLE: (i64, i64) = (700, 1510);

/// As in [`crate::support`], and the patience that this night has. A recorder's own patience is short: the program may ask
/// again for the same window within a second, which the platform answers with -100, and then it waits for a second.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const MAX_DELAY: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 12;
const BUSY_ATTEMPTS: u32 = 10;

fn nvr(index: usize) -> NvrId {
    NvrId::new(&format!("nvr-{index}"))
}

fn config() -> Config {
    let length = |text: &str| text.parse().expect("a length");
    let mut config = Config {
        faults: Profile::Hostile,
        busy_after_drop: Some(length("300ms")),
        answer_after: length("10ms"),
        ..fleet(&NVRS)
    };
    let store = &mut config.stores[0];
    store.loose_cameras.push(CameraConfig { id: LOOSE, ..CameraConfig::default() });
    for nvr in &mut store.nvrs {
        nvr.keeps = length("36500d");
        for camera in &mut nvr.cameras {
            let at = |seconds: i64| Some(Moment::At((START + seconds).into()));
            camera.refused = camera.id == REFUSED;
            if camera.id == WITH_A_HOLE {
                camera.holes = vec![Period { from: at(HOLE.0), to: at(HOLE.1) }];
            }
        }
    }
    config
}

fn settings() -> String {
    let mut settings = format!("busy_attempts = {BUSY_ATTEMPTS}\n");
    for (index, (_, cameras)) in NVRS.iter().enumerate() {
        writeln!(settings, "[[nvr]]\nname = \"{}\"\ndevices = {cameras:?}", nvr(index)).expect("a text takes text");
    }
    settings
}

/// How often a recorder has answered so.
fn answers(place: &Place, nvr: &NvrId, answer: i64) -> usize {
    let calls = place.platform.calls();
    calls.iter().filter(|call| call.nvr.as_ref() == Some(nvr) && call.result == Some(answer)).count()
}

/// After so many downloads, a recorder gets into trouble; after so many answers that say so, it is out of it.
async fn trouble(place: &Place, index: usize, downloads: usize, trouble: Trouble, answer: i64, times: usize) {
    let nvr = nvr(index);
    until("the recorder has given some downloads", || answers(place, &nvr, 0) >= downloads).await;
    place.platform.trouble(&nvr, Some(trouble));
    let before = answers(place, &nvr, answer);
    until("the recorder has told of its trouble", || answers(place, &nvr, answer) >= before + times).await;
    place.platform.trouble(&nvr, None);
}

async fn gone(place: &Place) {
    until("the recorder has given some downloads", || answers(place, &nvr(GONE), 0) >= 5).await;
    place.platform.trouble(&nvr(GONE), Some(Trouble::Offline));
}

/// The whole night, with its troubles.
async fn night(place: &Place) -> Output {
    let child = place.fetch(DEVICES, range(START, SECONDS)).spawn().expect("the program starts");
    let (output, ..) = tokio::join!(
        ended(child),
        trouble(place, AWAY, 6, Trouble::Offline, 1, 7),
        trouble(place, STORM, 6, Trouble::Overloaded, -5, 4),
        trouble(place, PLAYED, 16, Trouble::Taken(6), -4, 4),
        gone(place),
    );
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_night_ends_with_every_second_accounted_for() {
    let place = Place::with_settings(config(), &settings()).await;
    let output = night(&place).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let all: Vec<i64> = NVRS.iter().flat_map(|(_, cameras)| *cameras).copied().chain([LOOSE]).collect();
    assert_eq!(all.len(), 40);
    place.assert_true(&all).await;
    assert_accounted_for(&place, &all).await;
    assert_left_alone(&place);
}

/// Each second of each camera is archived, and exists; or is a gap, and its cause is true.
async fn assert_accounted_for(place: &Place, all: &[i64]) {
    let asked = range(START, SECONDS);
    let (calls, media) = (place.platform.calls(), place.platform.media());
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    for &number in all {
        let archived = place.archived(number).await;
        let truth = place.platform.truth(device(number), asked);
        let of_camera: Vec<&Gap> = gaps.iter().filter(|gap| gap.device == device(number)).collect();
        let lost: RangeSet = of_camera.iter().map(|gap| gap.range).collect();
        assert_eq!(archived.intersect(&lost), RangeSet::new(), "device {number}: archived and missing at once");
        assert_eq!(archived.seconds() + lost.seconds(), asked.seconds(), "device {number}: a second in no state");
        let both: RangeSet = archived.ranges().iter().chain(lost.ranges()).copied().collect();
        assert_eq!(both, RangeSet::from(asked), "device {number}: time that nobody asked for");
        // Where a stream broke, the place of its footage is only known if none is missing before it: its note says so.
        let sure = place.recordings(&[number]).await.into_iter().filter(|row| !row.note.contains("broke off"));
        for invented in sure.map(|row| row.range).collect::<RangeSet>().subtract(&truth).ranges() {
            // The tolerance at the end of a recording.
            assert!(invented.seconds() <= 5, "device {number}: {invented} is archived, and does not exist");
        }
        for gap in of_camera {
            assert_cause_is_true(gap, &truth, &calls, &media);
        }
    }
    // Otherwise the night was not what it is meant to be.
    let of = |number: i64, cause: Cause| -> i64 {
        let these = gaps.iter().filter(|gap| gap.device == device(number) && gap.cause == cause);
        these.map(|gap| gap.seconds).sum()
    };
    assert_eq!(of(REFUSED, Cause::Refused), SECONDS);
    assert_eq!(of(LOOSE, Cause::Refused), SECONDS);
    assert!(of(WITH_A_HOLE, Cause::NoFootage) > 0, "{gaps:?}");
    assert!(NVRS[GONE].1.iter().map(|&number| of(number, Cause::NvrOffline)).sum::<i64>() > 0, "{gaps:?}");
}

/// What a gap's cause claims is what the platform's set-up and its log say.
fn assert_cause_is_true(gap: &Gap, truth: &RangeSet, calls: &[CallRecord], media: &[MediaRecord]) {
    let of_device = || calls.iter().filter(|call| call.device == Some(gap.device));
    // Not from the log: of a recorder that is given up, some cameras were never asked for.
    let nvr = NVRS.iter().position(|(_, cameras)| cameras.contains(&gap.device.get())).map(nvr);
    let is_busy = |call: &&CallRecord| call.result.is_some_and(|result| [-3, -4, -5, -6].contains(&result));
    let busy = || calls.iter().filter(|call| nvr.is_some() && call.nvr == nvr).filter(is_busy).count();
    let is_here = |range: Option<TimeRange>| range.is_some_and(|range| range.overlaps(&gap.range));
    let failed = || of_device().filter(|call| is_here(call.range)).any(|call| call.lease.is_none());
    let broke = || {
        let mut here = media.iter().filter(|event| event.device == Some(gap.device) && is_here(event.range));
        here.any(|event| matches!(event.media, MediaEvent::Failed | MediaEvent::Dropped))
    };
    let is_true = match gap.cause {
        Cause::NoFootage => {
            // A hole is known to the minute: what the ledger calls empty begins and ends less than two before and after, and
            // holds no footage beside that.
            let empty = RangeSet::from(gap.range).subtract(truth);
            let there = gap.range.seconds() - empty.seconds();
            there < 240
                && empty.ranges().first().zip(empty.ranges().last()).is_some_and(|(first, last)| {
                    first.start() - gap.range.start() < 120 && gap.range.end() - last.end() < 120
                })
        }
        Cause::Refused => {
            let is_refusal = |call: &CallRecord| call.stat == Some(103_064) || call.result == Some(-2);
            of_device().count() > 0 && of_device().all(is_refusal)
        }
        // Its last word, as often as the settings say.
        Cause::NvrOffline => nvr.as_ref().is_some_and(|nvr| calls::last_refusals(calls, nvr) >= BUSY_ATTEMPTS as usize),
        Cause::NvrBusy => busy() >= BUSY_ATTEMPTS as usize,
        // It was tried as often as the settings say.
        Cause::Failed => gap.attempts >= ATTEMPTS && (failed() || broke()),
        Cause::CutShort => gap.attempts >= ATTEMPTS && broke(),
        Cause::NotTried
        | Cause::Corrupt
        | Cause::Pruned
        | Cause::Lost
        | Cause::BeingRecorded
        | Cause::LiveInterrupted => false,
    };
    assert!(is_true, "{gap:?} is not true; of {nvr:?}: {:?}", of_device().collect::<Vec<_>>());
}

/// No camera was asked while it streamed, no recorder for more than it has, and none that is offline out of its turn.
fn assert_left_alone(place: &Place) {
    let (calls, media) = (place.platform.calls(), place.platform.media());
    assert_eq!(calls::asked_while_streaming(&calls, &media), Vec::<String>::new());
    for (device, most) in place.platform.max_open_per_device() {
        assert_eq!(most, 1, "device {device} had two downloads at once");
    }
    let open: BTreeMap<NvrId, u32> = place.platform.max_open_per_nvr();
    for (index, (channels, _)) in NVRS.iter().enumerate() {
        let most = open.get(&nvr(index)).copied().unwrap_or(0);
        assert!((1..=*channels).contains(&most), "{} had {most} of {channels} downloads at once", nvr(index));
    }
    for index in [AWAY, GONE] {
        assert!(answers(place, &nvr(index), 1) >= 6, "{} was to be offline", nvr(index));
        // One attempt at each camera; without the one that was refused.
        let under_way = NVRS[index].1.len() - 1;
        let breaker = Breaker { first: FIRST_DELAY, longest: MAX_DELAY, under_way };
        let wrong = calls::asked_while_offline(&calls, &nvr(index), breaker);
        assert_eq!(wrong, Vec::<String>::new());
    }
}
