//! Cameras that come and go while hosts share a night.

use super::*;

fn add(scheduler: &mut Scheduler, work: Vec<Work>) {
    scheduler.add(work, BTreeMap::new(), later());
}

fn starts(scheduler: &mut Scheduler) -> Vec<Window> {
    let mut starts = Vec::new();
    while let Step::Start(window) = scheduler.poll(later()) {
        starts.push(window);
    }
    starts
}

#[test]
fn what_is_added_is_fetched_like_what_was_there_from_the_beginning() {
    let mut scheduler = Scheduler::new(Vec::new(), policy(), 7, later());
    assert_eq!(scheduler.poll(later()), Step::Finished);
    add(&mut scheduler, vec![work(1, "a", range(NINE, NINE + 600)), work(2, "a", range(NINE, NINE + 600))]);
    let begun = starts(&mut scheduler);
    assert_eq!(begun.len(), 2);
    assert!(scheduler.standing(&[device(2)]).runs && !scheduler.standing(&[device(1), device(2)]).is_done);
    for window in begun {
        scheduler.complete(&window, &Outcome::Archived, later());
    }
    assert!(scheduler.standing(&[device(1), device(2)]).is_done);
    assert_eq!((scheduler.poll(later()), scheduler.spare_streams(later())), (Step::Finished, 16));
}

#[test]
fn what_is_released_starts_nothing_more_and_what_its_attempts_leave_is_dropped() {
    let both = [device(1), device(2)];
    for outcome in [Outcome::Archived, Outcome::Broken, Outcome::Empty, Outcome::Cancelled] {
        let mut scheduler = Scheduler::new(Vec::new(), policy(), 7, later());
        add(&mut scheduler, vec![work(1, "a", range(NINE, NINE + HOUR)), work(2, "a", range(NINE, NINE + HOUR))]);
        let Step::Start(window) = scheduler.poll(later()) else { panic!("work is ready") };
        assert_eq!(scheduler.standing(&both).left_seconds, 2 * HOUR);
        scheduler.release(&both, later());
        assert_eq!(scheduler.standing(&both).left_seconds, 600, "what runs");
        assert_eq!(scheduler.poll(later()), Step::AwaitCompletion);
        assert!(scheduler.forget(&both, later()).is_empty(), "its NVR still serves a camera");
        assert_eq!(scheduler.complete(&window, &outcome, later()), []);
        assert_eq!((scheduler.remaining_seconds(), scheduler.poll(later())), (0, Step::Finished), "{outcome:?}");
        assert!(scheduler.standing(&both).is_done);
    }
}

#[test]
fn what_was_learned_of_a_released_nvr_is_handed_out_once_and_known_when_it_comes_back() {
    let mut scheduler = Scheduler::new(Vec::new(), policy(), 7, later());
    let item = work(1, "a", range(NINE, NINE + HOUR));
    add(&mut scheduler, vec![item.clone()]);
    let window = starts(&mut scheduler)[0];
    scheduler.streaming(&window, later());
    scheduler.complete(&window, &Outcome::Missed(Class::NvrFull), later());
    scheduler.release(&[device(1)], later());
    let learned = scheduler.forget(&[device(1)], later());
    assert_eq!(
        learned.iter().map(|(nvr, one)| (nvr.as_str(), one.limit, one.calls)).collect::<Vec<_>>(),
        [("a", 1, 1)]
    );
    assert!(scheduler.learned().is_empty() && scheduler.forget(&[device(1)], later()).is_empty());

    add(&mut scheduler, vec![item]);
    let again = scheduler.learned();
    assert_eq!((again[0].1.limit, again[0].1.calls), (1, 0), "the limit stays, the counts begin anew");
    assert_eq!(scheduler.remaining_seconds(), HOUR);
    let elsewhere = Learned { limit: 3, ..learned[0].1 };
    scheduler.forget(&[device(1)], later());
    let more = (0..4).map(|number| work(number, "a", range(NINE, NINE + HOUR))).collect();
    scheduler.add(more, BTreeMap::from([(NvrId::new("a"), elsewhere)]), later());
    assert_eq!(starts(&mut scheduler).len(), 3, "what another host learned meanwhile counts");
}

#[test]
fn an_attempt_under_way_is_not_disturbed_by_adding_its_camera_again() {
    let mut scheduler = Scheduler::new(Vec::new(), policy(), 7, later());
    let item = work(1, "a", range(NINE, NINE + HOUR));
    add(&mut scheduler, vec![item.clone()]);
    let window = starts(&mut scheduler)[0];
    add(&mut scheduler, vec![item]);
    assert!(starts(&mut scheduler).is_empty(), "a second download of one camera");
    scheduler.complete(&window, &Outcome::Archived, later());
    assert_eq!(scheduler.remaining_seconds(), HOUR - 600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cameras are added and released at random while attempts come to anything: no camera has two attempts, and all that
    /// was added is archived, given up or taken away.
    #[test]
    fn cameras_come_and_go_without_a_second_that_is_counted_twice(seed in any::<u64>()) {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut scheduler = Scheduler::new(Vec::new(), policy(), seed, later());
        let mut running: Vec<Window> = Vec::new();
        let mut now = later();
        let nvr = |camera: i64| (camera % 3).to_string();
        for _ in 0..400 {
            let camera = dice.random_range(0..9);
            match dice.random_range(0..6) {
                0 if scheduler.standing(&[device(camera)]).is_done => {
                    let item = work(camera, &nvr(camera), range(NINE + 7, NINE + 7 + HOUR));
                    scheduler.add(vec![item], BTreeMap::new(), now);
                    prop_assert_eq!(scheduler.standing(&[device(camera)]).left_seconds, HOUR);
                }
                1 => {
                    scheduler.release(&[device(camera)], now);
                    scheduler.forget(&[device(camera)], now);
                    prop_assert_eq!(scheduler.standing(&[device(camera)]).runs, scheduler.standing(&[device(camera)]).left_seconds > 0);
                }
                2 | 3 if !running.is_empty() => {
                    let window = running.swap_remove(dice.random_range(0..running.len()));
                    scheduler.complete(&window, &any_outcome(dice.random(), &window), now);
                }
                _ => match scheduler.poll(now) {
                    Step::Start(window) => {
                        prop_assert!(running.iter().all(|other| other.device != window.device));
                        running.push(window);
                    }
                    Step::WaitUntil(at) => now = at,
                    Step::GiveUp(_) | Step::AwaitCompletion | Step::Finished => {}
                },
            }
        }
        let all: Vec<DeviceId> = (0..9).map(device).collect();
        scheduler.release(&all, now);
        for window in running {
            scheduler.complete(&window, &Outcome::Cancelled, now);
        }
        scheduler.forget(&all, now);
        prop_assert_eq!((scheduler.remaining_seconds(), scheduler.learned().len()), (0, 0));
        prop_assert_eq!(scheduler.poll(now), Step::Finished);
    }
}

#[test]
fn a_demand_is_what_an_nvrs_cameras_miss_and_when_the_first_of_it_is_soon_overwritten() {
    let fleet = [
        work(1, "a", range(NINE, NINE + HOUR)),
        work(2, "a", range(NINE - HOUR, NINE + HOUR)),
        work(3, "b", range(NINE, NINE + HOUR)),
    ];
    // Two days old; kept for 60 hours by one, for longer than it matters by the other.
    let keeps = |nvr: &str, hours: u64| (NvrId::new(nvr), Duration::from_secs(hours * 3600));
    let policy = Policy { footage: BTreeMap::from([keeps("a", 60), keeps("b", 90)]), ..policy() };
    let told = demands(&fleet, &policy, later());
    let told: Vec<_> = told.iter().map(|one| (one.nvr.as_str(), one.backlog_seconds, one.loses_at)).collect();
    assert_eq!(told, [("a", 3 * HOUR, Some(UtcSecond::new(NINE + 59 * HOUR))), ("b", HOUR, None)]);
}
