//! The scheduler against a model of recorders, in virtual time, from a seed: no sockets, no waiting.
//!
//! A failure prints its seed; `SIMULATION_SEED` plays that one again, `SIMULATION_SEEDS` says how many are played. Found bugs
//! become named scenarios, here or in the scheduler's own tests.

#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "fleet/model.rs"]
mod model;
#[path = "fleet/ours.rs"]
mod ours;
#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "fleet/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use archive::device::{NvrId, NvrMap};
use archive::forecast::{Basis, Forecast, History, Outlook};
use archive::instant::Instant;
use archive::plan::{Plan, Request};
use archive::report::{DeviceHistory, Learned};
use archive::scheduler::Policy;
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use model::{BEGIN, Fleet, NarrowUplink, Recorder, Span, fleet};

fn policy() -> Policy {
    Policy { streams: 1_000, busy_attempts: 200, ..ours::policy() }
}

/// Small recorders with everything that can happen to them.
fn any_fleet(seed: u64) -> Fleet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let minutes = |random: &mut ChaCha8Rng, most: i64| random.random_range(1..=most) * 60_000;
    let mut recorders = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let mut recorder = Recorder { pace: random.random_range(5_000..600_000), ..Recorder::plain(1) };
        recorder.channels = (0..6i64).map(|step| (step * 3_600_000, random.random_range(1..=8usize))).collect();
        let from = minutes(&mut random, 60);
        recorder.offline = vec![Span { from, to: from + minutes(&mut random, 60) }];
        let from = minutes(&mut random, 300);
        recorder.overloaded = vec![Span { from, to: from + minutes(&mut random, 20) }];
        recorder.drops_per_mille = random.random_range(0..100);
        recorder.busy_after_drop = minutes(&mut random, 5);
        recorder.keeps_seconds = random.random_bool(0.3).then(|| random.random_range(3_600..30_000));
        recorders.push(recorder);
    }
    if random.random_bool(0.5) {
        let narrow = NarrowUplink { store: 0, streams: random.random_range(1..4) };
        recorders.iter_mut().step_by(2).for_each(|recorder| recorder.uplink = Some(narrow));
    }
    let mut fleet = fleet(seed, recorders, random.random_range(1..10), random.random_range(600..20_000));
    for camera in &mut fleet.cameras {
        let start = camera.asked.start() + random.random_range(0..camera.asked.seconds());
        camera.holes = RangeSet::from(TimeRange::new(start, start + random.random_range(1..2_000)).expect("a range"));
    }
    fleet
}

fn seeds() -> Vec<u64> {
    match std::env::var("SIMULATION_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIMULATION_SEED is a number")],
        Err(_) => {
            let most = std::env::var("SIMULATION_SEEDS").map_or(300, |most| most.parse().expect("a number of seeds"));
            (0..most).collect()
        }
    }
}

/// One download per camera (the model panics at a second one), every second accounted for, the night ends, and the same
/// seed gives the same night.
#[test]
fn whatever_happens_every_second_is_archived_or_given_up() {
    for seed in seeds() {
        println!("SIMULATION_SEED={seed}");
        let fleet = any_fleet(seed);
        let asked: i64 = fleet.cameras.iter().map(|camera| camera.asked.seconds()).sum();
        let mut starts = Vec::new();
        let first = ours::play(&fleet, policy(), BTreeMap::new(), |window, now| starts.push((*window, now)));
        assert_eq!(first.night.archived_seconds + first.given_up_seconds, asked, "seed {seed}");
        let mut again = Vec::new();
        let second = ours::play(&fleet, policy(), BTreeMap::new(), |window, now| again.push((*window, now)));
        assert_eq!((starts, first.night, first.learned), (again, second.night, second.learned), "seed {seed}");
    }
}

/// No window waits for ever while its NVR answers: a recorder that is online, not overloaded, and has work left is asked
/// again after the longest delay, a camera's own delay on top of it.
#[test]
fn a_recorder_that_answers_is_never_forgotten() {
    for seed in seeds() {
        println!("SIMULATION_SEED={seed}");
        let played = ours::play(&any_fleet(seed), policy(), BTreeMap::new(), |_, _| {});
        let most = 2 * policy().delays.longest.as_millis() as i64 * 5 / 4;
        let idle = played.night.longest_idle;
        assert!(idle <= most, "seed {seed}: a recorder was not asked for {} s", idle / 1000);
    }
}

/// Somebody else takes three of four channels for two hours: both ends of it are noticed soon, and cost few refusals.
#[test]
fn a_limit_that_moves_is_followed_within_minutes() {
    let mut fleet = fleet(1, vec![Recorder::plain(4)], 8, 86_400);
    let hour = 3_600_000;
    fleet.recorders[0].channels = vec![(i64::MIN, 4), (hour, 1), (3 * hour, 4), (4 * hour, 1), (6 * hour, 4)];
    let mut starts = Vec::new();
    let at = |now: Instant| now.since(Instant::from(BEGIN)).as_millis() as i64;
    let played = ours::play(&fleet, policy(), BTreeMap::new(), |_, now| starts.push(at(now)));
    // Windows take 75 s, so four channels begin 16 streams in five minutes. All of them are used within half an hour of the
    // second rise: the first one has shown that the limit moves.
    let in_the_minutes = |from: i64, to: i64| {
        let range = 6 * hour + from * 60_000..6 * hour + to * 60_000;
        starts.iter().filter(|&&at| range.contains(&at)).count()
    };
    assert!(in_the_minutes(30, 35) >= 14, "{} starts", in_the_minutes(30, 35));
    assert!(played.night.refused <= 60, "{} refusals", played.night.refused);
}

/// Cameras that share a narrow uplink are slow together, and none of them waits for ever.
#[test]
fn a_narrow_uplink_is_kept_full_and_nothing_is_lost() {
    let narrow = NarrowUplink { store: 0, streams: 2 };
    let recorder = Recorder { uplink: Some(narrow), ..Recorder::plain(4) };
    let fleet = fleet(1, vec![recorder.clone(), recorder], 8, 43_200);
    let played = ours::play(&fleet, policy(), BTreeMap::new(), |_, _| {});
    let bound = fleet.lower_bound(1_000);
    assert!(played.night.makespan * 100 <= bound * 103, "{} ms of {bound} ms", played.night.makespan);
    assert_eq!(played.given_up_seconds, 0);
}

/// What is not there is known to the minute: what is given up is the holes, and at most two minutes around each.
#[test]
fn holes_are_known_to_the_minute() {
    for seed in seeds() {
        println!("SIMULATION_SEED={seed}");
        let mut fleet = any_fleet(seed);
        for recorder in &mut fleet.recorders {
            *recorder = Recorder::plain(4);
        }
        let holes: i64 =
            fleet.cameras.iter().map(|camera| camera.holes.intersect(&camera.asked.into()).seconds()).sum();
        let played = ours::play(&fleet, policy(), BTreeMap::new(), |_, _| {});
        let slack = 120 * fleet.cameras.len() as i64;
        // A recording may be shorter than its window by the tolerance, at each of two edges and at each halving.
        let given_up = played.given_up_seconds;
        assert!(given_up <= holes + slack, "seed {seed}: {given_up} s given up, where {holes} s are missing");
        assert!(
            given_up >= holes - 12 * fleet.cameras.len() as i64,
            "seed {seed}: {given_up} s, where {holes} s are missing"
        );
    }
}

/// An NVR that is offline is asked by one attempt at a time, ever more rarely, and by none once its breaker is open.
#[test]
fn an_open_breaker_lets_one_probe_through() {
    let mut fleet = fleet(1, vec![Recorder::plain(4)], 8, 86_400);
    let hour = 3_600_000;
    fleet.recorders[0].offline = vec![Span { from: hour, to: 3 * hour }];
    let mut asked = Vec::new();
    ours::play(&fleet, policy(), BTreeMap::new(), |_, now| {
        asked.push(now.since(Instant::from(BEGIN)).as_millis() as i64)
    });
    let probes: Vec<i64> = asked.into_iter().filter(|&at| hour <= at && at < 3 * hour).collect();
    // Those that were about to start when it went away, then 10 s, 20 s, 40 s, … up to ten minutes.
    assert!(probes.len() <= 4 + 20, "{} calls in two hours: {probes:?}", probes.len());
    assert!(probes[4..].windows(2).all(|pair| pair[1] - pair[0] >= 7_500), "{probes:?}");
}

/// A remembered limit costs hardly a refusal.
#[test]
fn the_second_night_starts_where_the_first_ended() {
    let fleet = fleet(1, (1..=8).map(Recorder::plain).collect(), 16, 86_400);
    let cold = ours::play(&fleet, policy(), BTreeMap::new(), |_, _| {});
    let limits: Vec<usize> = cold.learned.values().map(|learned| learned.limit).collect();
    assert_eq!(limits, [1, 2, 3, 4, 5, 6, 7, 8]);
    let warm = ours::play(&fleet, policy(), cold.learned, |_, _| {});
    assert!(warm.night.refused <= cold.night.refused);
    let bound = fleet.lower_bound(1_000);
    assert!(warm.night.makespan * 100 <= bound * 103, "{} ms, where {bound} ms are the least", warm.night.makespan);
}

/// What is told of a night before it, from what the night before that has learned and what footage costs on average.
fn foretold(fleet: &Fleet, policy: Policy, learned: &BTreeMap<NvrId, Learned>) -> Outlook {
    let (mut nvrs, mut asked, mut costs) = (NvrMap::default(), BTreeMap::<_, Request>::new(), Vec::new());
    let reply = world::REPLY_MILLISECONDS as f64;
    for camera in &fleet.cameras {
        nvrs.assign(camera.device, fleet.nvr(camera.recorder));
        asked.entry(camera.device).or_default().add(&camera.asked.into(), None);
        costs.push(DeviceHistory {
            device: camera.device,
            nvr: None,
            attempts: 1,
            footage_seconds: GRID_SECONDS,
            bytes_per_second: 0.0,
            seconds_per_second: (fleet.recorders[camera.recorder].pace as f64 + reply) / 1000.0 / GRID_SECONDS as f64,
        });
    }
    let keeps = |(index, recorder): (usize, &Recorder)| {
        Some((fleet.nvr(index), Duration::from_secs(recorder.keeps_seconds?.unsigned_abs())))
    };
    let footage = fleet.recorders.iter().enumerate().filter_map(keeps).collect();
    let basis = Basis {
        policy: &Policy { learned: learned.clone(), footage, ..policy },
        history: &History::of(&costs, &nvrs),
        calls_per_second: 1000.0,
        bytes_per_second: None,
        now: BEGIN,
    };
    Forecast::of(&Plan::new(&asked, &BTreeMap::new(), &nvrs), &basis).all
}

/// To a twentieth, whether the recorders or the streams set the pace.
#[test]
fn a_night_takes_as_long_as_was_foretold() {
    let fleet = fleet(1, (1..=8).map(Recorder::plain).collect(), 16, 86_400);
    for streams in [1_000, 5] {
        let policy = || Policy { streams, ..policy() };
        let learned = ours::play(&fleet, policy(), BTreeMap::new(), |_, _| {}).learned;
        let told = foretold(&fleet, policy(), &learned).forecast.expect("costs are known").seconds as i64;
        let night = ours::play(&fleet, policy(), learned, |_, _| {}).night;
        let took = night.makespan / 1000;
        assert!((told - took).abs() * 20 <= took, "{streams} streams: {told} s were foretold, and it took {took} s");
    }
}

/// Recorders that overwrite twice as fast as anybody can fetch.
#[test]
fn a_night_loses_what_was_foretold() {
    let recorders = (1..=4).map(|channels| {
        let pace = channels * 600_000 / 4;
        Recorder { pace, keeps_seconds: Some(86_400 + 2 * 3600), ..Recorder::plain(channels as usize) }
    });
    let fleet = fleet(1, recorders.collect(), 8, 86_400);
    let asked: i64 = fleet.cameras.iter().map(|camera| camera.asked.seconds()).sum();
    let learned = ours::play(&fleet, policy(), BTreeMap::new(), |_, _| {}).learned;
    let told = foretold(&fleet, policy(), &learned).lost.expect("not all can be had").seconds;
    let lost = ours::play(&fleet, policy(), learned, |_, _| {}).given_up_seconds;
    assert!(lost * 3 > asked, "{lost} s of {asked} s were lost");
    assert!((told - lost).abs() * 20 <= lost, "{told} s were foretold, and {lost} s were lost");
}
