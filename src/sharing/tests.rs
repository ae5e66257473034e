//! What hosts decide, from where they stand.

use proptest::prelude::*;

use super::*;
use crate::lease::Tally;

const HOUR: i64 = 3600;

fn host(number: i64) -> HostId {
    HostId::new(number)
}

fn held(count: usize, hours: i64) -> Vec<Held> {
    let one =
        |index| Held { nvr: NvrId::new(&format!("nvr {index}")), left_seconds: hours * HOUR, runs: true, cameras: 4 };
    (0..count).map(one).collect()
}

fn own(spare_streams: usize, held: Vec<Held>) -> Own {
    Own { streams: 40, spare_streams, held, leaving_seconds: 0 }
}

/// Hosts of 40 streams with so many hours each, and so many NVRs of an hour that are free; host 0 is the one that decides.
fn shared(backlogs: &[(i64, bool)], free: usize) -> Shared {
    let state = |&(hours, hungry)| HostState { streams: 40, backlog_seconds: hours * HOUR, hungry };
    let hosts = backlogs.iter().enumerate().map(|(index, one)| (host(index as i64), state(one))).collect();
    let leased: i64 = backlogs.iter().map(|(hours, _)| hours).sum();
    let tally = |nvrs: usize| Tally { nvrs, seconds: nvrs as i64 * HOUR };
    Shared { hosts, free: tally(free), leased: tally(leased as usize), ..Shared::default() }
}

#[test]
fn a_host_that_comes_leases_what_fills_its_streams_and_no_more_than_its_part() {
    let alone = decide(host(0), &own(40, vec![]), &shared(&[(0, true)], 1_000));
    assert_eq!(alone, Step::Claim(10), "nothing ahead: others may come");
    assert_eq!(decide(host(0), &own(40, vec![]), &shared(&[(0, true); 10], 1_000)), Step::Claim(10));
    assert_eq!(decide(host(0), &own(40, vec![]), &shared(&[(0, true); 10], 50)), Step::Claim(5));
    assert_eq!(decide(host(0), &own(40, vec![]), &shared(&[(0, true); 10], 3)), Step::Claim(1));
}

#[test]
fn a_host_whose_streams_are_full_takes_its_part_ahead_in_small_steps() {
    let after = |held_nvrs: usize| {
        let hosts = [(held_nvrs as i64, false), (100, false)];
        decide(host(0), &own(0, held(held_nvrs, 1)), &shared(&hosts, 200))
    };
    assert_eq!(after(20), Step::Claim(10), "a sixteenth of its 160");
    assert_eq!(after(300), Step::GoOn, "half of all 600 is enough");
}

#[test]
fn streams_to_spare_are_filled_beyond_a_hosts_part_unless_another_lacks_work() {
    let many = own(4, held(120, 1));
    assert_eq!(decide(host(0), &many, &shared(&[(120, true), (90, false)], 10)), Step::Claim(1));
    assert_eq!(decide(host(0), &many, &shared(&[(120, true), (0, true)], 10)), Step::GoOn);
}

#[test]
fn who_runs_dry_gets_what_others_hold_above_their_parts() {
    let mut mine = held(12, 1);
    mine[7].runs = false;
    let Step::GiveBack(given) = decide(host(0), &own(0, mine), &shared(&[(12, false), (12, false), (0, true)], 0))
    else {
        panic!("8 of 24 hours are a third");
    };
    assert_eq!(given.len(), 4);
    assert_eq!(given[0].as_str(), "nvr 7", "what does not run goes first");
    let given = decide(host(0), &own(0, held(12, 1)), &shared(&[(12, false), (12, false), (3, false)], 0));
    assert!(
        matches!(given, Step::GiveBack(given) if given.len() == 3),
        "it has enough for now, and a third of its part"
    );
    let full = decide(host(0), &own(0, held(12, 1)), &shared(&[(12, false), (12, false), (9, false)], 0));
    assert_eq!(full, Step::GoOn, "nobody lacks anything");
    let even = decide(host(0), &own(0, held(1, 1)), &shared(&[(1, false), (1, false), (0, true)], 0));
    assert_eq!(even, Step::GoOn, "to move the last one ends nothing sooner");
}

#[test]
fn what_is_on_its_way_to_others_is_not_given_twice() {
    let own = Own { leaving_seconds: 4 * HOUR, ..own(0, held(8, 1)) };
    assert_eq!(decide(host(0), &own, &shared(&[(12, false), (12, false), (0, true)], 0)), Step::GoOn);
}

#[test]
fn a_host_with_nothing_to_do_stays_until_nobody_has_anything() {
    let idle = own(40, vec![]);
    assert_eq!(decide(host(0), &idle, &shared(&[(0, true), (1, false)], 0)), Step::GoOn);
    assert_eq!(decide(host(0), &idle, &shared(&[(0, true)], 1)), Step::Claim(1), "a dead host's work is free again");
    assert_eq!(decide(host(0), &idle, &shared(&[(0, true)], 0)), Step::Finished);
    assert_eq!(decide(host(0), &own(0, held(1, 1)), &Shared::default()), Step::GoOn, "its own is left");
}

#[test]
fn a_host_with_another_job_goes_first_where_it_has_less_to_do() {
    let all = |hours: i64| Shared {
        wanted: (0..3).map(|index| (NvrId::new(&format!("nvr {index}")), (hours + index) * HOUR)).collect(),
        ..shared(&[(12, false), (12, false)], 5)
    };
    let given = decide(host(0), &own(40, held(12, 2)), &all(1));
    assert_eq!(given, Step::GiveBack(vec![NvrId::new("nvr 0")]), "two hours are not less than two");
    assert_eq!(decide(host(0), &own(0, held(12, 2)), &all(2)), Step::GoOn);
}

/// Hosts of any size, from any beginning, each deciding on what the last beat told: work moves to who is dry, and once
/// all hold their parts to the nearest NVR it moves no more.
fn assert_comes_to_rest(mut backlogs: Vec<usize>, mut free: usize) {
    let total = backlogs.iter().sum::<usize>() + free;
    let mut moved = true;
    for beat_number in 0..200 {
        let seen: Vec<_> = backlogs.iter().map(|&nvrs| (nvrs as i64, nvrs < 10)).collect();
        let beat = shared(&seen, free);
        moved = false;
        // Each beats in its own time: nobody is always the first.
        for place in 0..backlogs.len() {
            let index = (place + beat_number) % backlogs.len();
            let nvrs = &mut backlogs[index];
            let own = own(40usize.saturating_sub(*nvrs * 4), held(*nvrs, 1));
            match decide(host(index as i64), &own, &beat) {
                Step::Claim(most) => {
                    let got = most.min(free);
                    (*nvrs, free, moved) = (*nvrs + got, free - got, true);
                }
                Step::GiveBack(given) => (*nvrs, free, moved) = (*nvrs - given.len(), free + given.len(), true),
                Step::GoOn | Step::Finished => {}
            }
        }
    }
    assert!(!moved || total == 0, "{backlogs:?}, {free} free");
    assert_eq!(backlogs.iter().sum::<usize>() + free, total);
    assert_eq!(free, 0, "{backlogs:?}");
    let part = total / backlogs.len();
    assert!(backlogs.iter().all(|&nvrs| nvrs + 1 >= part.min(10)), "{backlogs:?}");
}

/// Two that lack a fifth of an NVR may take one each, and give it back for the one that lacks more: until that one is faster.
#[test]
fn what_is_passed_around_comes_to_who_lacks_most() {
    assert_comes_to_rest(vec![16, 4, 0, 4, 0], 17);
}

/// Six had less than half an NVR above their parts each, and the seventh lacked more than two.
#[test]
fn where_each_has_a_little_too_much_somebody_gives_all_the_same() {
    assert_comes_to_rest(vec![12, 16, 5, 3, 0, 15, 15], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn work_comes_to_rest(backlogs in proptest::collection::vec(0usize..40, 2..8), free in 0usize..60) {
        assert_comes_to_rest(backlogs, free);
    }
}
