//! Forecasts computed by hand, what must hold of every forecast, and a plain simulation that they agree with.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::device::{DeviceId, NvrMap};
use crate::plan::Request;
use crate::report::{DeviceHistory, Learned};
use crate::time_range::{GRID_SECONDS, RangeSet};

/// A mark of the grid; all that is asked for ends by then.
const NOW: UtcSecond = UtcSecond::new(1_795_219_200);
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

/// From so many seconds before now to so many.
fn ago(from: i64, to: i64) -> TimeRange {
    TimeRange::new(NOW - from, NOW - to).expect("a range holds a second")
}

/// A chain, what is asked of it, and what is known of it.
#[derive(Clone, Debug)]
struct Chain {
    asked: BTreeMap<DeviceId, Request>,
    nvrs: NvrMap,
    policy: Policy,
    history: Vec<DeviceHistory>,
    calls_per_second: f64,
    bytes_per_second: Option<f64>,
}

impl Chain {
    fn new() -> Self {
        let policy = Policy { streams: 1000, per_nvr: 2, settle: Duration::ZERO, ..Policy::usual() };
        Self {
            asked: BTreeMap::new(),
            nvrs: NvrMap::default(),
            policy,
            history: Vec::new(),
            calls_per_second: 1e9,
            bytes_per_second: None,
        }
    }

    /// A camera whose footage takes so many seconds to fetch for each of its own, and 1000 bytes.
    fn camera(mut self, number: i64, nvr: &str, pace: f64, asked: TimeRange, stop_at: Option<UtcSecond>) -> Self {
        self.asked.entry(device(number)).or_default().add(&asked.into(), stop_at);
        self.nvrs.assign(device(number), NvrId::new(nvr));
        self.history.push(DeviceHistory {
            device: device(number),
            nvr: None,
            attempts: 1,
            footage_seconds: 600,
            bytes_per_second: 1000.0,
            seconds_per_second: pace,
        });
        self
    }

    fn keeps(mut self, nvr: &str, seconds: i64) -> Self {
        self.policy.footage.insert(NvrId::new(nvr), Duration::from_secs(seconds.unsigned_abs()));
        self
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.asked, &BTreeMap::new(), &self.nvrs)
    }

    fn forecast(&self) -> Forecast {
        let history = History::of(&self.history, &self.nvrs);
        let basis = Basis {
            policy: &self.policy,
            history: &history,
            calls_per_second: self.calls_per_second,
            bytes_per_second: self.bytes_per_second,
            now: NOW,
        };
        Forecast::of(&self.plan(), &basis)
    }
}

fn effort(bytes: u64, seconds: u64) -> Option<Effort> {
    Some(Effort { bytes, seconds, ends: NOW + seconds as i64 })
}

/// Eight cameras of one NVR, 6000 s each, which take half as long to fetch.
fn eight() -> Chain {
    (1..=8).fold(Chain::new(), |chain, number| chain.camera(number, "one", 0.5, ago(6000, 0), None))
}

#[test]
fn an_nvr_fetches_side_by_side_what_it_takes() {
    let forecast = eight().forecast();
    assert_eq!(forecast.all.forecast, effort(48_000_000, 12_000));
    assert_eq!((forecast.all.windows, forecast.all.seconds), (80, 48_000));
    assert_eq!((forecast.nvrs.len(), forecast.nvrs[0].cameras), (1, 8));
    assert_eq!((forecast.all.lost, forecast.all.left, forecast.all.stop_at), (None, None, None));
}

#[test]
fn nothing_is_faster_than_its_slowest_camera_alone() {
    let chain = Chain::new().camera(1, "one", 0.5, ago(12_000, 0), None).camera(2, "one", 0.1, ago(600, 0), None);
    assert_eq!(chain.forecast().all.forecast, effort(12_600_000, 6_000));
}

#[test]
fn what_all_share_holds_all_back() {
    let streams = |streams| {
        let mut chain = eight();
        chain.policy.per_nvr = 8;
        chain.policy.streams = streams;
        chain.forecast().all.forecast
    };
    assert_eq!(streams(8), effort(48_000_000, 3_000));
    assert_eq!(streams(2), effort(48_000_000, 12_000));
    let bytes = Chain { bytes_per_second: Some(1000.0), ..eight() };
    assert_eq!(bytes.forecast().all.forecast, effort(48_000_000, 48_000));
    let calls = Chain { calls_per_second: 0.001, ..eight() };
    assert_eq!(calls.forecast().all.forecast, effort(48_000_000, 80_000));
}

#[test]
fn who_has_less_to_do_ends_earlier_where_streams_suffice() {
    let chain = Chain::new().camera(1, "one", 0.5, ago(6000, 0), None).camera(2, "two", 0.5, ago(1200, 0), None);
    let ends = |chain: &Chain| -> Vec<u64> {
        chain.forecast().nvrs.iter().map(|nvr| nvr.outlook.forecast.expect("there is history").seconds).collect()
    };
    assert_eq!(ends(&chain), [3000, 600]);
    // With one stream both end with the last of it, as nobody knows whose turn is when.
    let mut chain = chain;
    chain.policy.streams = 1;
    assert_eq!(ends(&chain), [3600, 3600]);
}

/// Every second takes two to fetch, and the oldest is about to be overwritten: every other window is lost.
#[test]
fn what_is_overwritten_before_its_turn_is_lost() {
    let forecast = Chain::new().camera(1, "one", 2.0, ago(DAY, 0), None).keeps("one", DAY).forecast();
    let lost = Lost { seconds: DAY / 2, already_seconds: 0, from: NOW + 600, by: NOW + DAY };
    assert_eq!(forecast.all.lost, Some(lost));
    assert_eq!(forecast.all.forecast, effort(43_200_000, DAY as u64));
    // With two days to go, all of it is in time.
    let forecast = Chain::new().camera(1, "one", 2.0, ago(DAY, 0), None).keeps("one", 2 * DAY).forecast();
    assert_eq!((forecast.all.lost, forecast.all.forecast), (None, effort(86_400_000, 2 * DAY as u64)));
}

#[test]
fn what_is_overwritten_soonest_goes_first() {
    // Side by side, in the order of the plan, the second camera's day would be lost.
    let mut chain = Chain::new()
        .camera(1, "one", 1.0, ago(DAY, 0), None)
        .camera(2, "one", 1.0, ago(2 * DAY, DAY), None)
        .keeps("one", 2 * DAY);
    chain.policy.per_nvr = 1;
    assert_eq!(chain.forecast().all.lost, None);
}

#[test]
fn what_is_past_the_horizon_is_lost_at_once_and_costs_nothing() {
    let mut chain = Chain::new().camera(1, "one", 0.5, ago(2 * DAY, 0), None).keeps("one", DAY + 12 * HOUR);
    let lost = Some(Lost { seconds: 12 * HOUR, already_seconds: 12 * HOUR, from: NOW, by: NOW });
    let forecast = chain.forecast();
    assert_eq!((forecast.all.lost, forecast.all.seconds), (lost, 2 * DAY));
    assert_eq!(forecast.all.forecast, effort(129_600_000, 18 * HOUR as u64));
    // It needs no history to be known.
    chain.history.clear();
    let forecast = chain.forecast();
    assert_eq!((forecast.all.lost, forecast.all.forecast), (lost, None));
    assert_eq!((forecast.all.seconds, forecast.all.windows), (2 * DAY, 288));
    assert_eq!(forecast.on_disk(0, 0).holds, None);
}

#[test]
fn what_has_not_begun_by_its_time_to_stop_is_left() {
    let stop = NOW + 3000;
    let forecast = Chain::new()
        .camera(1, "one", 1.0, ago(6000, 0), Some(stop))
        .camera(2, "two", 1.0, ago(1200, 0), None)
        .forecast();
    let one = &forecast.nvrs[0].outlook;
    assert_eq!((one.stop_at, one.left), (Some(stop), Some(Left { seconds: 3000, since: stop })));
    assert_eq!((one.forecast, forecast.nvrs[1].outlook.left), (effort(6_000_000, 6_000), None));
    assert_eq!((forecast.all.left, forecast.all.stop_at), (one.left, one.stop_at));
    let in_time = Chain::new().camera(1, "one", 1.0, ago(6000, 0), Some(NOW + 6000)).forecast();
    assert_eq!((in_time.all.left, in_time.all.stop_at), (None, Some(NOW + 6000)));
}

#[test]
fn what_stops_makes_room_for_what_does_not() {
    // The older half stops at once; the other half is then in time for its own stop.
    let mut chain = Chain::new()
        .camera(1, "one", 1.0, ago(2 * DAY, DAY), Some(NOW + 600))
        .camera(2, "one", 1.0, ago(6000, 0), Some(NOW + 600 + 6000))
        .keeps("one", 3 * DAY);
    chain.policy.per_nvr = 1;
    let left = chain.forecast().all.left;
    assert_eq!(left, Some(Left { seconds: DAY - 600, since: NOW + 600 }));
}

/// What the next run may still reach is not said to be lost in this one.
#[test]
fn what_is_overwritten_after_the_time_to_stop_is_left() {
    let stop = NOW + 1800;
    let chain = Chain::new().camera(1, "one", 2.0, ago(DAY, 0), Some(stop)).keeps("one", DAY);
    let all = chain.forecast().all;
    // Two windows take until then, and one more is under way; what is overwritten by then is lost.
    assert_eq!(all.lost.map(|lost| (lost.seconds, lost.by)), Some((600, NOW + 1200)));
    assert_eq!(all.left, Some(Left { seconds: DAY - 1800, since: stop }));
}

#[test]
fn the_end_waits_for_what_is_not_settled() {
    let mut chain = Chain::new().camera(1, "one", 0.1, ago(600, 0), None);
    chain.policy.settle = Duration::from_secs(120);
    assert_eq!(chain.forecast().all.forecast, effort(600_000, 120));
}

#[test]
fn a_disk_is_full_when_it_is_full() {
    let chain = eight();
    let forecast = chain.forecast();
    let disk = |free: u64| forecast.on_disk(free, 1_000_000);
    assert_eq!((disk(49_000_000).holds, disk(49_000_000).full_at), (Some(true), None));
    let small = disk(25_000_000);
    assert_eq!((small.holds, small.room_bytes, small.full_at), (Some(false), 24_000_000, Some(NOW + 6000)));
    assert_eq!((disk(10).room_bytes, disk(10).full_at), (0, Some(NOW)));
    // 1000 bytes a second by one until 600 s, 500 a second by the other until 2400 s.
    let chain = Chain::new().camera(1, "one", 1.0, ago(600, 0), None).camera(2, "two", 2.0, ago(1200, 0), None);
    let full_at = |free| chain.forecast().on_disk(free, 0).full_at;
    assert_eq!(full_at(750_000), Some(NOW + 500));
    assert_eq!(full_at(1_000_000), Some(NOW + 800));
}

#[test]
fn settings_say_how_long_footage_is_kept_and_cap_what_was_learned() {
    let (one, two, three) = (NvrId::new("one"), NvrId::new("two"), NvrId::new("three"));
    let learned = |limit, keeps: i64| Learned {
        limit,
        probe_pause: None,
        keeps: Some(Duration::from_secs(keeps.unsigned_abs())),
        calls: 1,
        refused: 0,
        left_alone: 0,
    };
    let mut policy = Chain::new().keeps("one", DAY).policy;
    policy.learned = [(one.clone(), learned(6, HOUR)), (two.clone(), learned(3, HOUR))].into();
    policy.channels = [(one.clone(), 4), (two.clone(), 4), (three.clone(), 8)].into();
    assert_eq!(limit_of(&one, &policy), Limit { downloads: 4, source: KnownFrom::Settings });
    assert_eq!(limit_of(&two, &policy), Limit { downloads: 3, source: KnownFrom::Learned });
    assert_eq!(limit_of(&three, &policy), Limit { downloads: 2, source: KnownFrom::PerNvr });
    assert_eq!(keeps_of(&one, &policy), Some(Keeps { seconds: DAY, source: KnownFrom::Settings }));
    assert_eq!(keeps_of(&two, &policy), Some(Keeps { seconds: HOUR, source: KnownFrom::Learned }));
    assert_eq!(keeps_of(&three, &policy), None);
}

#[test]
fn no_plan_is_no_work() {
    let forecast = Chain::new().forecast();
    assert_eq!((forecast.nvrs.len(), forecast.all), (0, Outlook::default()));
}

/// Two NVRs of a few cameras of like speed, each with a few stretches of so many windows until now.
fn any_chain(windows: i64) -> impl Strategy<Value = Chain> {
    let stretch = (0..windows, 1..windows / 5);
    let camera = (0..2usize, 0.8..1.25f64, prop::collection::vec(stretch, 1..4));
    let span = windows * GRID_SECONDS;
    let keeps = prop::option::of(span / 2..span * 2);
    let chain = (prop::collection::vec(camera, 1..9), 0.02..3.0f64, keeps.clone(), keeps, 1..5usize, 1..9usize);
    chain.prop_map(move |(cameras, pace, keeps_one, keeps_two, per_nvr, streams)| {
        let mut chain = Chain::new();
        for (number, (nvr, more, stretches)) in (1..).zip(cameras) {
            for (start, length) in stretches {
                let end = (start + length).min(windows);
                let asked = ago(span - start * GRID_SECONDS, span - end * GRID_SECONDS);
                chain = chain.camera(number, ["one", "two"][nvr], pace * more, asked, None);
            }
        }
        for (nvr, keeps) in [("one", keeps_one), ("two", keeps_two)] {
            if let Some(keeps) = keeps {
                chain = chain.keeps(nvr, keeps);
            }
        }
        chain.policy.per_nvr = per_nvr;
        chain.policy.streams = streams;
        chain
    })
}

/// A piece of each camera: so far two forecasts may be apart because a piece is begun before another in one of them and
/// after it in the other. In seconds of footage, and of fetching it.
fn a_piece_of_each(chain: &Chain) -> (i64, f64) {
    let longest = chain.plan().devices.iter().map(DevicePlan::seconds).max().unwrap_or(0);
    let footage = chain.asked.len() as i64 * (longest / course::PIECES).max(GRID_SECONDS);
    let slowest = chain.history.iter().map(|row| row.seconds_per_second).fold(0.0, f64::max);
    (footage, footage as f64 * slowest)
}

fn lost(outlook: &Outlook) -> i64 {
    outlook.lost.map_or(0, |lost| lost.seconds)
}

fn takes(outlook: &Outlook) -> f64 {
    outlook.forecast.expect("there is history").seconds as f64
}

/// The plainest simulation there is: window by window, each camera's in order, looked through from the start every time.
/// Gives seconds until the end, and seconds of lost footage.
fn window_by_window(chain: &Chain, nvr: &NvrId) -> (f64, i64) {
    let keeps = keeps_of(nvr, &chain.policy).map(|keeps| keeps.seconds);
    let downloads = limit_of(nvr, &chain.policy).downloads;
    let paces: BTreeMap<DeviceId, f64> = chain.history.iter().map(|row| (row.device, row.seconds_per_second)).collect();
    let mut queues: Vec<(f64, Vec<TimeRange>)> = Vec::new();
    for device in chain.plan().devices.iter().filter(|device| device.nvr == *nvr) {
        let footage: RangeSet = device.missing.iter().map(|planned| planned.missing.range).collect();
        let mut windows: Vec<TimeRange> = footage.ranges().iter().flat_map(|range| range.cut_on_grid()).collect();
        windows.reverse();
        queues.push((paces[&device.device], windows));
    }
    let (mut free_at, mut now, mut lost) = (vec![0.0_f64; queues.len()], 0.0, 0);
    loop {
        let running = free_at.iter().filter(|&&at| at > now).count();
        let idle = (0..queues.len()).filter(|&camera| free_at[camera] <= now && !queues[camera].1.is_empty());
        let left = |camera: usize| Reverse(queues[camera].1.iter().map(TimeRange::seconds).sum::<i64>());
        let front = |camera: usize| keeps.and(queues[camera].1.last().map(TimeRange::start));
        let first = idle.min_by_key(|&camera| (front(camera), left(camera), camera));
        match first.filter(|_| running < downloads) {
            Some(camera) => {
                let (pace, windows) = &mut queues[camera];
                let Some(window) = windows.pop() else { continue };
                let gone = |second: UtcSecond| keeps.is_some_and(|keeps| second + keeps < NOW + now as i64);
                let seconds = (window.start().get()..window.end().get()).map(UtcSecond::new);
                let overwritten = seconds.filter(|&second| gone(second)).count() as i64;
                lost += overwritten;
                free_at[camera] = now + (window.seconds() - overwritten) as f64 * *pace;
            }
            None => match free_at.iter().copied().filter(|&at| at > now).min_by(f64::total_cmp) {
                Some(next) => now = next,
                None => return (now, lost),
            },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_second_is_counted_once(chain in any_chain(288), stops in prop::collection::vec(0..2 * DAY, 3)) {
        // The same plan again, in which some of it is to stop.
        let mut stopping = Chain { asked: BTreeMap::new(), ..chain.clone() };
        for (device, request) in &chain.asked {
            let stop = stops.get(device.get() as usize).map(|&stop| NOW + stop);
            stopping.asked.entry(*device).or_default().add(&request.ranges(), stop);
        }
        let (plan, forecast) = (stopping.plan(), stopping.forecast());
        prop_assert_eq!((forecast.all.windows, forecast.all.seconds), (plan.windows(), plan.seconds()));
        for outlook in forecast.nvrs.iter().map(|nvr| nvr.outlook).chain([forecast.all]) {
            let left = outlook.left.map_or(0, |left| left.seconds);
            prop_assert!(lost(&outlook) + left <= outlook.seconds);
            prop_assert!(outlook.lost.is_none_or(|lost| lost.seconds > 0 && lost.already_seconds <= lost.seconds));
            prop_assert!(outlook.lost.is_none_or(|lost| NOW <= lost.from && lost.from <= lost.by));
        }
        let nvrs = || forecast.nvrs.iter().map(|nvr| nvr.outlook);
        prop_assert_eq!(nvrs().map(|outlook| outlook.windows).sum::<u64>(), forecast.all.windows);
        prop_assert_eq!(nvrs().map(|outlook| outlook.seconds).sum::<i64>(), forecast.all.seconds);
        prop_assert_eq!(nvrs().map(|outlook| lost(&outlook)).sum::<i64>(), lost(&forecast.all));
        let bytes = nvrs().filter_map(|outlook| Some(outlook.forecast?.bytes)).sum::<u64>();
        prop_assert_eq!(Some(bytes), forecast.all.forecast.map(|all| all.bytes));
        let ends = nvrs().filter_map(|outlook| Some(outlook.forecast?.ends)).max();
        prop_assert_eq!(ends, forecast.all.forecast.map(|all| all.ends));
    }

    #[test]
    fn more_streams_lose_no_more_and_end_no_later(chain in any_chain(288), more in 1..8usize) {
        let (footage, fetching) = a_piece_of_each(&chain);
        let before = chain.forecast();
        let mut wider = chain;
        wider.policy.streams += more;
        for (before, after) in before.nvrs.iter().zip(&wider.forecast().nvrs) {
            prop_assert!(takes(&after.outlook) <= takes(&before.outlook) + fetching);
            prop_assert!(lost(&after.outlook) <= lost(&before.outlook) + footage);
        }
    }

    /// Where there are streams for all; else what one NVR gets more, others get less.
    #[test]
    fn a_higher_limit_loses_no_more_and_ends_no_later(chain in any_chain(288), more in 1..8usize) {
        let (footage, fetching) = a_piece_of_each(&chain);
        let mut chain = chain;
        chain.policy.streams = 1000;
        let before = chain.forecast();
        chain.policy.per_nvr += more;
        for (before, after) in before.nvrs.iter().zip(&chain.forecast().nvrs) {
            prop_assert!(takes(&after.outlook) <= takes(&before.outlook) + fetching);
            prop_assert!(lost(&after.outlook) <= lost(&before.outlook) + footage);
        }
    }

    /// Likewise: what one NVR still has to fetch, others wait for.
    #[test]
    fn who_keeps_footage_longer_loses_no_more(chain in any_chain(288), more in 1..DAY) {
        let (footage, _) = a_piece_of_each(&chain);
        let mut longer = chain;
        longer.policy.streams = 1000;
        let before = longer.forecast();
        for footage in longer.policy.footage.values_mut() {
            *footage += Duration::from_secs(more.unsigned_abs());
        }
        for (before, after) in before.nvrs.iter().zip(&longer.forecast().nvrs) {
            prop_assert!(lost(&after.outlook) <= lost(&before.outlook) + footage);
        }
    }

    #[test]
    fn it_is_what_a_plain_simulation_gives(chain in any_chain(288)) {
        agrees_with_the_plain_simulation(chain)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Two weeks and more, in pieces of many windows.
    #[test]
    fn it_is_what_a_plain_simulation_gives_of_much(chain in any_chain(2500)) {
        agrees_with_the_plain_simulation(chain)?;
    }
}

/// To a piece of each camera, and a fiftieth: in pieces, cameras of unlike speed may take turns a little differently.
fn agrees_with_the_plain_simulation(mut chain: Chain) -> Result<(), TestCaseError> {
    let (footage, fetching) = a_piece_of_each(&chain);
    chain.policy.streams = 1000;
    for NvrForecast { nvr, outlook, .. } in chain.forecast().nvrs {
        let (seconds, lost_seconds) = window_by_window(&chain, &nvr);
        let (told, told_lost) = (takes(&outlook), lost(&outlook));
        prop_assert!((told - seconds).abs() <= fetching + seconds / 50.0, "{told} s, not {seconds} s");
        let bound = footage + outlook.seconds / 50;
        prop_assert!((told_lost - lost_seconds).abs() <= bound, "{told_lost} s, not {lost_seconds} s");
    }
    Ok(())
}
