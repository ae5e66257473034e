//! Hosts that share a night, in virtual time: the real scheduler and the real decisions about sharing, over models of the
//! shared ledger and of the recorders.
//!
//! At each step the models hold what must always be true, whatever happens to hosts: no camera has two downloads of hosts that
//! are awake, no second is published twice, and in the end all is archived. `benches/hosts.rs` plays larger nights.

#[path = "hosts/downloads.rs"]
mod downloads;
#[path = "hosts/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "fleet/model.rs"]
mod model;
#[path = "hosts/night.rs"]
mod night;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "fleet/ours.rs"]
mod ours;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "fleet/world.rs"]
mod world;

use archive::lease::LeaseTimes;
use archive::scheduler::Policy;
use archive::time_range::TimeRange;
use archive::window::Window;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use model::{Fleet, Recorder, Span, fleet};
use night::{Fate, HostIs, Job, Night, play, play_jobs, whole};

const MINUTE: i64 = 60_000;

fn policy(streams: usize) -> Policy {
    Policy { streams, ..ours::policy() }
}

fn plain_night(fleet: &Fleet, streams: usize, hosts: Vec<HostIs>) -> Night {
    play(fleet, policy(streams), LeaseTimes::default(), hosts)
}

/// Four cameras and four channels each, two hours asked for.
fn stores(count: usize) -> Fleet {
    fleet(1, vec![Recorder::plain(4); count], 4, 2 * 3600)
}

fn with(fates: &[(usize, Fate)], hosts: usize) -> Vec<HostIs> {
    let mut all = vec![HostIs::plain(); hosts];
    for &(host, fate) in fates {
        all[host].fates.push(fate);
    }
    all
}

fn ratio(night: &Night, fleet: &Fleet, streams: usize) -> f64 {
    night.makespan as f64 / fleet.lower_bound(streams) as f64
}

#[test]
fn hosts_share_a_night_evenly_and_end_it_hardly_later_than_the_least_time() {
    let fleet = stores(80);
    let night = plain_night(&fleet, 12, with(&[], 8));
    assert!(ratio(&night, &fleet, 8 * 12) <= 1.06, "{}", ratio(&night, &fleet, 8 * 12));
    let (most, all) = (night.busy.iter().max().copied().unwrap_or(0), night.busy.iter().sum::<i64>());
    assert!(most * 8 * 100 <= all * 104, "{:?}", night.busy);
    assert_eq!((night.given_up_seconds, night.operations.refused), (0, 0));
}

/// So many recorders of two to eight channels. Those of two need three quarters of the night at the least, and streams are fewer than
/// channels.
fn narrow_and_wide(count: usize) -> Fleet {
    fleet(1, (0..count).map(|index| Recorder::plain(2 + index % 7)).collect(), 4, 8 * 3600)
}

/// Whoever gives wider recorders more streams ends up with the narrow ones alone.
#[test]
fn recorders_of_few_channels_are_not_the_tail_of_the_night() {
    let fleet = narrow_and_wide(84);
    let night = plain_night(&fleet, 34, with(&[], 4));
    assert!(ratio(&night, &fleet, 4 * 34) <= 1.05, "{}", ratio(&night, &fleet, 4 * 34));
}

/// It saw nobody else when it began, some milliseconds before the others.
#[test]
fn the_first_of_many_hosts_is_not_the_last_to_end() {
    let fleet = narrow_and_wide(210);
    let night = plain_night(&fleet, 8, with(&[], 42));
    assert!(ratio(&night, &fleet, 42 * 8) <= 1.1, "{}", ratio(&night, &fleet, 42 * 8));
}

#[test]
fn four_hosts_are_nearly_four_times_as_fast_as_one() {
    let fleet = stores(40);
    let (one, four) = (plain_night(&fleet, 16, with(&[], 1)), plain_night(&fleet, 16, with(&[], 4)));
    assert!(one.makespan * 10 >= four.makespan * 37, "{} and {} ms", one.makespan, four.makespan);
}

#[test]
fn what_a_killed_host_held_is_fetched_by_the_others() {
    let fleet = stores(40);
    let night = plain_night(&fleet, 16, with(&[(0, Fate::Killed(10 * MINUTE)), (2, Fate::Killed(20 * MINUTE))], 4));
    assert!(night.busy[1] > night.busy[0] && night.busy[3] > night.busy[2]);
}

#[test]
fn a_host_that_slept_for_three_leases_commits_nothing_when_it_wakes_and_then_works_on() {
    let fleet = stores(40);
    let night = plain_night(&fleet, 16, with(&[(1, Fate::Paused(10 * MINUTE, 90_000))], 4));
    assert_eq!(night.woke_lost, 1);
    assert!(night.operations.refused > 0, "what had ended while it slept was tried, and refused");
    assert_eq!(night.operations.joins, 5);
    assert!(night.busy[1] * 2 > night.busy[0], "{:?}", night.busy);
}

#[test]
fn a_host_that_sleeps_for_less_than_its_lease_loses_nothing() {
    let fleet = stores(40);
    let night = plain_night(&fleet, 16, with(&[(1, Fate::Paused(10 * MINUTE, 15_000))], 4));
    assert_eq!((night.woke_lost, night.operations.refused, night.operations.joins), (0, 0, 4));
}

#[test]
fn a_host_that_joins_late_gets_its_part() {
    let fleet = stores(40);
    let late = 15 * MINUTE;
    let night = plain_night(&fleet, 16, with(&[(3, Fate::Joins(late))], 4));
    assert!(night.moved > 0, "all was leased by then");
    // The streams that there were, over time, are the least.
    let least = (fleet.lower_bound(1) / 16 - 3 * late) / 4 + late;
    assert!(night.makespan * 100 <= least * 110, "{} of {least} ms", night.makespan);
}

#[test]
fn a_slow_host_is_left_with_less() {
    let fleet = stores(40);
    let mut hosts = with(&[], 4);
    hosts[2].slowness = 3_000;
    let night = plain_night(&fleet, 16, hosts);
    // Ten thirds of a host's speed. What it gives back and has begun it ends first, and that takes it three times as long as well;
    // alone with its quarter it would take two and a half times as long as this.
    let least = fleet.lower_bound(16) * 3 / 10;
    assert!(night.makespan * 100 <= least * 170, "{} of {least} ms", night.makespan);
    assert!(night.moved > 0, "nobody took anything off it");
}

#[test]
fn the_last_host_takes_over_what_is_left() {
    let fleet = stores(10);
    let fates: Vec<(usize, Fate)> = (0..3).map(|host| (host, Fate::Killed((host as i64 + 3) * 3 * MINUTE))).collect();
    let night = plain_night(&fleet, 16, with(&fates, 4));
    assert!(night.busy[3] > 0);
}

/// So many seconds before what the night asks for, of these cameras.
fn before(fleet: &Fleet, cameras: std::ops::Range<usize>, seconds: i64) -> Job {
    let of = |camera: usize| {
        let start = fleet.cameras[camera].asked.start();
        (camera, TimeRange::new(start - seconds, start).expect("a range holds a second"))
    };
    cameras.map(of).collect()
}

/// Hosts of the night, and then one with the other job, which comes at that moment.
fn two_jobs(fleet: &Fleet, other: Job, comes: i64) -> Night {
    let mut hosts = with(&[(4, Fate::Joins(comes))], 5);
    hosts[4].job = 1;
    play_jobs(fleet, policy(16), LeaseTimes::default(), hosts, vec![whole(fleet), other])
}

#[test]
fn an_incident_in_the_middle_of_the_night_waits_for_the_windows_that_stream_and_no_longer() {
    let fleet = stores(60);
    let (alone, comes) = (plain_night(&fleet, 16, with(&[], 4)), 10 * MINUTE);
    let night = two_jobs(&fleet, before(&fleet, 7..8, 1800), comes);
    // A window that streams, a beat that gives back and one that takes, and three windows one after the other.
    let longest = fleet.cameras[7]
        .asked
        .cut_on_grid()
        .map(|range| fleet.takes(fleet.cameras[7].recorder, &Window { device: fleet.cameras[7].device, range }));
    let longest = longest.max().expect("a night has windows");
    assert!(night.job_ended[1] - comes <= 4 * longest + 30_000, "{} ms, {longest}", night.job_ended[1] - comes);
    assert!(night.job_ended[0] * 100 <= alone.makespan * 105, "{} beside {} ms", night.job_ended[0], alone.makespan);
    assert!(alone.makespan > comes * 2, "the night was over before");
}

/// A job that wants every recorder of the night's hosts is given what it can take, and not all of it again and again.
#[test]
fn a_smaller_job_over_the_same_recorders_goes_first_and_holds_up_the_night_hardly_at_all() {
    let fleet = stores(60);
    let alone = plain_night(&fleet, 16, with(&[], 4));
    let night = two_jobs(&fleet, before(&fleet, 0..240, 600), 5 * MINUTE);
    assert!(night.job_ended[1] * 2 < night.job_ended[0], "{:?}", night.job_ended);
    assert!(night.job_ended[0] * 100 <= alone.makespan * 102, "{:?} beside {}", night.job_ended, alone.makespan);
    assert!(night.moved <= 2 * 60, "{} leases were given back for 60 recorders", night.moved);
}

/// Anything can happen to any host but the last; the models hold what must be true.
#[test]
fn whatever_happens_to_hosts_all_is_archived_once() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let recorders = (0..random.random_range(1..40)).map(|_| {
            let from = random.random_range(0..60) * MINUTE;
            let mut recorder = Recorder::plain(random.random_range(1..=6));
            recorder.pace = random.random_range(5_000..300_000);
            recorder.offline = vec![Span { from, to: from + random.random_range(1..20) * MINUTE }];
            recorder
        });
        let recorders = recorders.collect();
        let fleet = fleet(seed, recorders, random.random_range(1..6), random.random_range(1..18) * 600);
        let mut hosts = vec![HostIs::plain(); random.random_range(1..9)];
        for host in hosts.iter_mut().skip(1) {
            host.slowness = random.random_range(700..3_000);
            host.job = usize::from(random.random_range(0..4) == 0);
            let at = random.random_range(0..40) * 30_000;
            match random.random_range(0..4) {
                0 => host.fates.push(Fate::Killed(at + random.random_range(1..MINUTE))),
                1 => host.fates.push(Fate::Joins(at)),
                2 => host.fates.push(Fate::Paused(at + 7_000, random.random_range(1_000..200_000))),
                _ => {}
            }
        }
        let streams = random.random_range(1..40);
        // The second job's host that nothing happens to.
        hosts.push(HostIs { job: 1, ..HostIs::plain() });
        let cameras = fleet.cameras.len();
        let other = before(&fleet, random.random_range(0..cameras)..cameras, random.random_range(1..12) * 600);
        let play = || {
            let jobs = vec![whole(&fleet), other.clone()];
            play_jobs(&fleet, policy(streams), LeaseTimes::default(), hosts.clone(), jobs)
        };
        let night = play();
        assert_eq!(night.given_up_seconds, 0);
        if seed < 3 {
            assert_eq!(night, play(), "the same seed gives the same night");
        }
    }
}
