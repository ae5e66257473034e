//! The scheduler against small models of a night, in virtual time.

mod clock;
mod leased;
mod order;

use proptest::prelude::*;

use super::*;
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Missing;

/// 2026-11-20T09:00:00Z: a mark of the grid.
const NINE: i64 = 1_795_165_200;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
}

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

fn work(number: i64, nvr: &str, range: TimeRange) -> Work {
    let missing = Missing { range, cause: Cause::NotTried, attempts: 0 };
    Work { device: device(number), nvr: NvrId::new(nvr), stretches: vec![Stretch { missing, stop_at: None }] }
}

impl Policy {
    /// What the settings' defaults come to: for this crate's tests.
    pub(crate) fn usual() -> Self {
        Self {
            streams: 16,
            per_nvr: 4,
            channels: BTreeMap::new(),
            footage: BTreeMap::new(),
            stores: BTreeMap::new(),
            learned: BTreeMap::new(),
            settle: Duration::from_secs(120),
            delays: Delays { first: Duration::from_secs(10), longest: Duration::from_secs(600) },
            attempts: 6,
            busy_attempts: 40,
            refused_share: 0.5,
            recheck_after: Duration::from_secs(300),
            tolerance_seconds: 5,
        }
    }
}

fn policy() -> Policy {
    Policy::usual()
}

/// Two days later: everything has settled.
fn later() -> Instant {
    Instant::from(UtcSecond::new(NINE + 48 * HOUR))
}

#[derive(Debug, Default, PartialEq)]
struct Night {
    /// What was started when, in order.
    starts: Vec<(Instant, Window)>,
    given_up: Vec<GivenUp>,
    archived: BTreeMap<DeviceId, RangeSet>,
    /// The most that ran at once, per device and per NVR and in all.
    most: BTreeMap<String, usize>,
    learned: BTreeMap<NvrId, Learned>,
    ended: Option<Instant>,
}

impl Night {
    fn given_up(&self, cause: Cause) -> RangeSet {
        self.given_up.iter().filter(|lost| lost.cause == cause).flat_map(|lost| lost.ranges.ranges()).copied().collect()
    }

    fn calls(&self) -> usize {
        self.starts.len()
    }
}

/// Plays a night: `answer` says what an attempt comes to and how long it takes.
fn play(
    work: Vec<Work>,
    policy: Policy,
    begin: Instant,
    mut answer: impl FnMut(&Window, Instant, &Night) -> (Outcome, Duration),
) -> Night {
    let nvr_of: BTreeMap<DeviceId, NvrId> = work.iter().map(|item| (item.device, item.nvr.clone())).collect();
    let mut scheduler = Scheduler::new(work, policy, 7, begin);
    let mut night = Night::default();
    let mut now = begin;
    let mut running: Vec<(Instant, Window, Outcome)> = Vec::new();
    for _ in 0..1_000_000 {
        let wake = match scheduler.poll(now) {
            Step::Start(window) => {
                let (outcome, takes) = answer(&window, now, &night);
                if outcome.had_a_url() {
                    scheduler.streaming(&window, now);
                }
                night.starts.push((now, window));
                running.push((now + takes, window, outcome));
                count_running(&mut night.most, &running, &nvr_of);
                continue;
            }
            Step::GiveUp(lost) => {
                night.given_up.extend(lost);
                continue;
            }
            Step::WaitUntil(at) => {
                assert!(at > now, "a wait must end later than it begins");
                Some(at)
            }
            Step::AwaitCompletion => None,
            Step::Finished => {
                assert!(running.is_empty(), "finished while something runs");
                night.ended = Some(now);
                night.learned = scheduler.learned().into_iter().collect();
                return night;
            }
        };
        running.sort_by_key(|&(ends, ..)| std::cmp::Reverse(ends));
        match (running.last().map(|&(ends, ..)| ends), wake) {
            (Some(ends), wake) if wake.is_none_or(|wake| ends <= wake) => {
                let (ends, window, outcome) = running.pop().expect("the last one is there");
                now = ends;
                note_archived(&mut night, &window, &outcome);
                night.given_up.extend(scheduler.complete(&window, &outcome, now));
            }
            (_, Some(wake)) => now = wake,
            (_, None) => panic!("it waits for an ending, and nothing runs"),
        }
    }
    panic!("the night does not end");
}

fn note_archived(night: &mut Night, window: &Window, outcome: &Outcome) {
    let kept = match outcome {
        Outcome::Archived => Some(window.range),
        Outcome::Prefix { until } => TimeRange::new(window.range.start(), *until),
        _ => None,
    };
    if let Some(kept) = kept {
        let archived = night.archived.entry(window.device).or_default();
        assert!(archived.intersect(&kept.into()).is_empty(), "{window} is archived twice");
        archived.insert(kept);
    }
}

fn count_running(
    most: &mut BTreeMap<String, usize>,
    running: &[(Instant, Window, Outcome)],
    nvr_of: &BTreeMap<DeviceId, NvrId>,
) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, window, _) in running {
        *counts.entry("all".to_owned()).or_default() += 1;
        *counts.entry(format!("device {}", window.device)).or_default() += 1;
        *counts.entry(format!("nvr {}", nvr_of[&window.device])).or_default() += 1;
    }
    for (who, count) in counts {
        let most = most.entry(who).or_default();
        *most = count.max(*most);
    }
}

fn in_a_minute(outcome: Outcome) -> (Outcome, Duration) {
    (outcome, Duration::from_secs(60))
}

fn at_once(outcome: Outcome) -> (Outcome, Duration) {
    (outcome, Duration::from_millis(50))
}

#[test]
fn everything_is_asked_for_once_in_order_and_within_every_limit() {
    let fleet = (0..12).map(|number| work(number, ["a", "b"][number as usize % 2], range(NINE, NINE + 2 * HOUR)));
    let channels = BTreeMap::from([(NvrId::new("a"), 4), (NvrId::new("b"), 4)]);
    let policy = Policy { streams: 7, channels, ..policy() };
    let night = play(fleet.collect(), policy, later(), |_, _, _| in_a_minute(Outcome::Archived));
    assert_eq!(night.calls(), 12 * 12);
    assert!(night.given_up.is_empty());
    assert_eq!(night.most["all"], 7);
    assert!((0..12).all(|number| night.most[&format!("device {number}")] == 1));
    assert_eq!(night.most["nvr a"].max(night.most["nvr b"]), 4);
    let of_one: Vec<_> = night.starts.iter().filter(|(_, window)| window.device == device(3)).collect();
    assert!(of_one.windows(2).all(|pair| pair[0].1.range.end() == pair[1].1.range.start()), "oldest first");
}

#[test]
fn the_camera_with_the_most_work_left_goes_first() {
    let fleet = vec![work(1, "a", range(NINE, NINE + HOUR)), work(2, "b", range(NINE, NINE + 3 * HOUR))];
    let policy = Policy { streams: 1, ..policy() };
    let night = play(fleet, policy, later(), |_, _, _| in_a_minute(Outcome::Archived));
    let first: Vec<_> = night.starts.iter().take(12).map(|(_, window)| window.device.get()).collect();
    assert_eq!(first, [2; 12], "the longer one, until both have the same left");
}

#[test]
fn a_busy_camera_holds_back_nobody_else() {
    let fleet = vec![work(1, "a", range(NINE, NINE + HOUR)), work(2, "a", range(NINE, NINE + HOUR))];
    let free_from = later() + Duration::from_secs(1000);
    let night = play(fleet, policy(), later(), |window, now, _| {
        let busy = window.device == device(1) && now < free_from;
        if busy { at_once(Outcome::Missed(Class::CameraBusy)) } else { in_a_minute(Outcome::Archived) }
    });
    assert!(night.given_up.is_empty());
    let done = night.starts.iter().filter(|(_, window)| window.device == device(2)).map(|&(at, _)| at).max();
    assert!(done.expect("it was started") < later() + Duration::from_secs(6 * 60), "camera 2 never waited");
    let refused = night.starts.iter().filter(|(at, window)| window.device == device(1) && *at < free_from).count();
    assert!(refused <= 10, "{refused} refused calls in 1,000 s: delays must double");
}

#[test]
fn an_nvr_with_fewer_channels_than_believed_is_asked_little_more_than_it_can_take() {
    let fleet: Vec<_> = (0..8).map(|number| work(number, "a", range(NINE, NINE + 4 * HOUR))).collect();
    let mut running: Vec<Instant> = Vec::new();
    let mut refused = 0;
    let night = play(fleet, Policy { per_nvr: 8, ..policy() }, later(), |_, now, _| {
        running.retain(|&ends| ends > now);
        if running.len() >= 3 {
            refused += 1;
            return at_once(Outcome::Missed(Class::NvrFull));
        }
        running.push(now + Duration::from_secs(60));
        in_a_minute(Outcome::Archived)
    });
    assert!(night.given_up.is_empty());
    let took = night.ended.expect("it ended").since(later()).as_secs_f64();
    let bound = 8.0 * 24.0 * 60.0 / 3.0;
    assert!(took <= bound * 1.1, "{took} s, where {bound} s are the least");
    assert!(refused <= 20, "{refused} refused calls for 192 windows");
}

#[test]
fn an_overloaded_nvr_is_left_alone_and_then_asked_for_half() {
    let fleet: Vec<_> = (0..4).map(|number| work(number, "a", range(NINE, NINE + HOUR))).collect();
    let storm_ends = later() + Duration::from_secs(300);
    let mut in_storm = 0;
    let night = play(fleet, policy(), later(), |_, now, _| {
        if now < storm_ends {
            in_storm += 1;
            return at_once(Outcome::Missed(Class::NvrOverloaded));
        }
        in_a_minute(Outcome::Archived)
    });
    assert!(night.given_up.is_empty());
    assert!(in_storm <= 12, "{in_storm} calls to an NVR that asked for rest");
}

#[test]
fn an_offline_nvr_is_probed_by_one_attempt_at_a_time_until_it_answers() {
    let mut fleet: Vec<_> = (0..4).map(|number| work(number, "off", range(NINE, NINE + HOUR))).collect();
    fleet.push(work(9, "on", range(NINE, NINE + HOUR)));
    let back = later() + Duration::from_secs(3600);
    let mut probes = Vec::new();
    let night = play(fleet, policy(), later(), |window, now, _| {
        if window.device != device(9) && now < back {
            probes.push(now);
            return (Outcome::Missed(Class::NvrOffline), Duration::from_secs(5));
        }
        in_a_minute(Outcome::Archived)
    });
    assert!(night.given_up.is_empty());
    // All four were in flight when the first answer came; from then on one at a time.
    let later_probes = &probes[4..];
    assert!(later_probes.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(10)), "{later_probes:?}");
    assert!(probes.len() <= 20, "{} probes in an hour", probes.len());
}

/// A stream that plays on, at playback speed say, does not keep the NVR from being probed.
#[test]
fn an_offline_nvr_is_probed_beside_a_stream_from_before() {
    let fleet = (0..4).map(|number| work(number, "a", range(NINE, NINE + HOUR))).collect();
    let mut scheduler = Scheduler::new(fleet, policy(), 7, later());
    let mut started = Vec::new();
    while let Step::Start(window) = scheduler.poll(later()) {
        started.push(window);
    }
    scheduler.streaming(&started[0], later());
    for window in &started[1..] {
        scheduler.complete(window, &Outcome::Missed(Class::NvrOffline), later());
    }
    let Step::WaitUntil(at) = scheduler.poll(later()) else { panic!("it waits for the breaker") };
    assert!(matches!(scheduler.poll(at), Step::Start(_)));
    assert_eq!(scheduler.poll(at), Step::AwaitCompletion, "one call at a time");
}

#[test]
fn an_nvr_that_stays_offline_is_given_up_whole_and_the_run_ends() {
    let fleet: Vec<_> = (0..4).map(|number| work(number, "off", range(NINE, NINE + 24 * HOUR))).collect();
    let night = play(fleet, Policy { busy_attempts: 8, ..policy() }, later(), |_, _, _| {
        at_once(Outcome::Missed(Class::NvrOffline))
    });
    let lost: i64 = night.given_up.iter().map(|lost| lost.ranges.seconds()).sum();
    assert_eq!((lost, night.given_up.len()), (4 * 24 * HOUR, 4));
    assert!(night.given_up.iter().all(|lost| lost.cause == Cause::NvrOffline));
}

/// Footage of one hour with a hole; a part that lies wholly in it comes as empty.
fn with_hole(hole: TimeRange) -> impl FnMut(&Window, Instant, &Night) -> (Outcome, Duration) {
    move |window, _, _| {
        let gone = window.range.intersect(&hole).map_or(0, |part| part.seconds());
        in_a_minute(match window.range.seconds() - gone {
            0 => Outcome::Empty,
            media if gone > 5 => Outcome::Short { media_seconds: media },
            _ => Outcome::Archived,
        })
    }
}

#[test]
fn a_hole_is_known_to_the_minute_after_few_more_calls() {
    let hole = range(NINE + 13 * MINUTE, NINE + 17 * MINUTE + 30);
    let night = play(vec![work(1, "a", range(NINE, NINE + HOUR))], policy(), later(), with_hole(hole));
    let expected: RangeSet = range(NINE + 13 * MINUTE, NINE + 18 * MINUTE).into();
    assert_eq!(night.given_up(Cause::NoFootage), expected);
    assert_eq!(night.archived[&device(1)], RangeSet::from(range(NINE, NINE + HOUR)).subtract(&expected));
    assert!(night.calls() <= 6 + 12, "{} calls", night.calls());
}

/// Found by a hostile night: a part that came empty by chance was believed, because its window was known to have a hole.
#[test]
fn a_part_that_comes_empty_by_chance_is_not_believed() {
    let hole = range(NINE, NINE + 100);
    let mut true_answer = with_hole(hole);
    let mut asked: BTreeMap<TimeRange, u32> = BTreeMap::new();
    let night = play(vec![work(1, "a", range(NINE, NINE + 10 * MINUTE))], policy(), later(), |window, now, night| {
        let times = asked.entry(window.range).or_default();
        *times += 1;
        let by_chance = *times == 1 && window.range.start().get() == NINE + 5 * MINUTE;
        if by_chance { at_once(Outcome::Empty) } else { true_answer(window, now, night) }
    });
    assert_eq!(night.given_up(Cause::NoFootage), RangeSet::from(range(NINE, NINE + 2 * MINUTE)));
    assert_eq!(night.archived[&device(1)].seconds(), 8 * MINUTE);
}

#[test]
fn an_empty_window_is_believed_only_when_a_later_answer_agrees() {
    let hole = range(NINE + 20 * MINUTE, NINE + 30 * MINUTE);
    let night = play(vec![work(1, "a", range(NINE, NINE + HOUR))], policy(), later(), with_hole(hole));
    assert_eq!(night.given_up(Cause::NoFootage), RangeSet::from(hole));
    let asked: Vec<_> = night.starts.iter().filter(|(_, window)| window.range == hole).map(|&(at, _)| at).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].since(asked[0]) >= Duration::from_secs(300));
}

#[test]
fn a_short_answer_that_was_only_early_costs_one_more_call() {
    let night = play(vec![work(1, "a", range(NINE, NINE + HOUR))], policy(), later(), |_, _, night| {
        in_a_minute(if night.calls() == 2 { Outcome::Short { media_seconds: 300 } } else { Outcome::Archived })
    });
    assert_eq!((night.calls(), night.given_up.len()), (7, 0));
}

#[test]
fn what_an_earlier_run_found_empty_needs_one_answer() {
    let mut item = work(1, "a", range(NINE, NINE + 10 * MINUTE));
    item.stretches[0].missing.cause = Cause::NoFootage;
    let night = play(vec![item], policy(), later(), |_, _, _| at_once(Outcome::Empty));
    assert_eq!(night.calls(), 1);
}

#[test]
fn the_rest_of_a_cut_window_is_asked_for() {
    let night = play(vec![work(1, "a", range(NINE, NINE + 10 * MINUTE))], policy(), later(), |window, _, night| {
        let until = window.range.start() + 200;
        in_a_minute(if night.calls() < 2 { Outcome::Prefix { until } } else { Outcome::Archived })
    });
    let asked: Vec<_> = night.starts.iter().map(|(_, window)| window.range.start().get() - NINE).collect();
    assert_eq!(asked, [0, 200, 400]);
    assert!(night.given_up.is_empty());
}

#[test]
fn a_window_that_always_fails_is_given_up_after_its_budget_and_does_not_jump_the_queue() {
    let poison = range(NINE, NINE + 10 * MINUTE);
    for (outcome, cause) in [(Outcome::Broken, Cause::CutShort), (Outcome::Unusable, Cause::Failed)] {
        let night = play(vec![work(1, "a", range(NINE, NINE + HOUR))], policy(), later(), |window, _, _| {
            in_a_minute(if window.range == poison { outcome.clone() } else { Outcome::Archived })
        });
        assert_eq!(night.given_up(cause), RangeSet::from(poison));
        assert_eq!(night.calls(), 5 + 6);
        assert!(night.starts[1..6].iter().all(|(_, window)| window.range != poison), "fresh windows go first");
    }
}

#[test]
fn a_refused_device_is_given_up_whole_and_others_go_on() {
    let fleet = vec![work(1, "a", range(NINE, NINE + HOUR)), work(2, "a", range(NINE, NINE + HOUR))];
    let night = play(fleet, policy(), later(), |window, _, _| {
        let refused = window.device == device(1);
        if refused { at_once(Outcome::Missed(Class::DeviceRefused)) } else { in_a_minute(Outcome::Archived) }
    });
    let refused = GivenUp { device: device(1), ranges: range(NINE, NINE + HOUR).into(), cause: Cause::Refused };
    assert_eq!(night.given_up, [refused]);
    assert_eq!(night.archived[&device(2)].seconds(), HOUR);
}

#[test]
fn a_refused_account_ends_the_run_and_gives_nothing_up() {
    let fleet: Vec<_> = (0..8).map(|number| work(number, "a", range(NINE, NINE + HOUR))).collect();
    let night = play(fleet, policy(), later(), |_, _, _| at_once(Outcome::Missed(Class::AccountRefused)));
    assert!(night.calls() <= 4, "only what was in flight already");
    assert!(night.given_up.is_empty());
}

#[test]
fn a_platform_that_fails_is_left_alone_and_no_window_pays_for_it() {
    let fleet: Vec<_> = (0..40).map(|number| work(number, &number.to_string(), range(NINE, NINE + HOUR))).collect();
    let back = later() + Duration::from_secs(2 * 3600);
    let mut failed = 0;
    let night = play(fleet, policy(), later(), |_, now, _| {
        if now < back {
            failed += 1;
            return at_once(Outcome::Missed(Class::Transient));
        }
        in_a_minute(Outcome::Archived)
    });
    assert!(night.given_up.is_empty(), "{:?}", night.given_up);
    assert!(failed <= 50, "{failed} calls in two hours to a platform that fails");
}

#[test]
fn nothing_starts_after_the_time_to_stop() {
    let mut item = work(1, "a", range(NINE, NINE + 4 * HOUR));
    let stop = later() + Duration::from_secs(600);
    item.stretches[0].stop_at = Some(stop);
    let night = play(vec![item], policy(), later(), |_, _, _| in_a_minute(Outcome::Archived));
    assert_eq!(night.calls(), 10);
    assert!(night.starts.iter().all(|&(at, _)| at < stop));
}

#[test]
fn what_is_older_than_the_nvr_keeps_is_lost_without_a_call_and_the_rest_is_fetched_in_time() {
    let fleet = vec![work(1, "a", range(NINE, NINE + 4 * HOUR))];
    // Two of the four hours are gone when the night begins, and one more second with each second of it.
    let keeps = Duration::from_secs(46 * 3600);
    let policy = Policy { footage: BTreeMap::from([(NvrId::new("a"), keeps)]), ..policy() };
    let night = play(fleet, policy, later(), |window, now, _| {
        assert!(Instant::from(window.range.start()) > now - keeps, "{window} was gone when it was asked for");
        in_a_minute(Outcome::Archived)
    });
    let lost = night.given_up(Cause::Lost);
    assert_eq!(lost.ranges()[0], range(NINE, NINE + 2 * HOUR + 60));
    assert_eq!(lost.seconds() + night.archived[&device(1)].seconds(), 4 * HOUR);
    assert_eq!(lost.ranges().len(), 1, "a minute each for ten minutes is fast enough");
}

/// A job that stops in the morning does not stop what another job asks of the same camera, nor the other way round.
#[test]
fn only_what_has_a_time_to_stop_stops() {
    let mut item = work(1, "a", range(NINE, NINE + 2 * HOUR));
    let endless = work(1, "a", range(NINE + 2 * HOUR, NINE + 3 * HOUR));
    item.stretches[0].stop_at = Some(later() + Duration::from_secs(240));
    item.stretches.extend(endless.stretches);
    let night = play(vec![item], policy(), later(), |_, _, _| in_a_minute(Outcome::Archived));
    let started: Vec<_> = night.starts.iter().map(|(_, window)| (window.range.start().get() - NINE) / 600).collect();
    assert_eq!(started, [0, 1, 2, 3, 12, 13, 14, 15, 16, 17]);
}

#[test]
fn a_window_is_not_asked_for_before_it_has_settled() {
    let begin = Instant::from(UtcSecond::new(NINE));
    let night =
        play(vec![work(1, "a", range(NINE, NINE + HOUR))], policy(), begin, |_, _, _| in_a_minute(Outcome::Archived));
    assert_eq!(night.calls(), 6);
    for (at, window) in &night.starts {
        assert!(*at >= Instant::from(window.range.end() + 120), "{window} at {at}");
    }
}

#[test]
fn after_drain_nothing_starts_and_what_runs_is_awaited() {
    let fleet = vec![work(1, "a", range(NINE, NINE + HOUR)), work(2, "a", range(NINE, NINE + HOUR))];
    let mut scheduler = Scheduler::new(fleet, policy(), 7, later());
    let Step::Start(first) = scheduler.poll(later()) else { panic!("work is ready") };
    scheduler.drain();
    assert_eq!(scheduler.poll(later()), Step::AwaitCompletion);
    scheduler.complete(&first, &Outcome::Cancelled, later());
    assert_eq!(scheduler.poll(later()), Step::Finished);
    assert_eq!(scheduler.remaining_seconds(), 2 * HOUR, "a cancelled window stays to be asked for");
}

fn any_outcome(dice: u32, window: &Window) -> Outcome {
    let seconds = window.range.seconds();
    match dice % 16 {
        0 => Outcome::Broken,
        1 => Outcome::Short { media_seconds: seconds / 2 },
        2 => Outcome::Empty,
        3 => Outcome::Unusable,
        4 => Outcome::Missed(Class::CameraBusy),
        5 => Outcome::Missed(Class::NvrFull),
        6 => Outcome::Missed(Class::NvrOverloaded),
        7 => Outcome::Missed(Class::NvrOffline),
        8 => Outcome::Missed(Class::Transient),
        9 => Outcome::Missed(Class::CameraTrouble),
        10 if seconds > 120 => Outcome::Prefix { until: window.range.start() + 90 },
        11 if dice.is_multiple_of(7) => Outcome::Missed(Class::DeviceRefused),
        _ => Outcome::Archived,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, the night ends, and every second is archived or given up, exactly once.
    #[test]
    fn no_second_is_lost_or_counted_twice(seed in any::<u64>(), cameras in 1..12i64, minutes in 1..200i64) {
        let fleet: Vec<_> = (0..cameras)
            .map(|number| work(number, &(number % 3).to_string(), range(NINE + 7, NINE + 7 + minutes * MINUTE)))
            .collect();
        let run = || {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            play(fleet.clone(), policy(), later(), |window, _, _| {
                (any_outcome(dice.random(), window), Duration::from_millis(dice.random_range(1..90_000)))
            })
        };
        let night = run();
        for camera in 0..cameras {
            let archived = night.archived.get(&device(camera)).cloned().unwrap_or_default();
            let lost = night.given_up.iter().filter(|lost| lost.device == device(camera));
            let lost_seconds: i64 = lost.clone().map(|lost| lost.ranges.seconds()).sum();
            let lost: RangeSet = lost.flat_map(|lost| lost.ranges.ranges()).copied().collect();
            prop_assert_eq!(lost.seconds(), lost_seconds, "given up twice");
            prop_assert!(lost.intersect(&archived).is_empty());
            prop_assert_eq!(lost.seconds() + archived.seconds(), minutes * MINUTE);
            prop_assert_eq!(night.most.get(&format!("device {camera}")).copied(), Some(1));
        }
        prop_assert_eq!(night, run(), "the same seed gives the same night");
    }
}
