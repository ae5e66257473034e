//! A clock that jumps. A run's own never does ([`crate::clock`]); were it to all the same, nothing may be lost by it.

use super::*;

/// Every window is archived once, however the time jumps between two questions: at worst somebody waits for longer.
#[test]
fn a_clock_that_jumps_loses_no_window_and_fetches_none_twice() {
    let hours = |hours: i64| later() + Duration::from_secs(3600 * hours.unsigned_abs());
    // Back and forth by a day, by a minute, and not at all.
    let jumps = [0, 24, 0, 23, 24, 48, 1, 0, 0];
    let asked = range(NINE, NINE + 2 * HOUR);
    let mut scheduler = Scheduler::new(vec![work(1, "a", asked), work(2, "a", asked)], policy(), 7, later());
    let mut running: Vec<Window> = Vec::new();
    let (mut archived, mut busy) = (BTreeMap::<DeviceId, RangeSet>::new(), 0);
    for step in 0..10_000 {
        let now = hours(jumps[step % jumps.len()]);
        match scheduler.poll(now) {
            Step::Finished => {
                assert_eq!(archived.len(), 2);
                assert!(archived.values().all(|archived| *archived == RangeSet::from(asked)), "{archived:?}");
                return;
            }
            Step::Start(window) => running.push(window),
            Step::GiveUp(lost) => panic!("nothing is lost: {lost:?}"),
            Step::WaitUntil(_) | Step::AwaitCompletion => {
                let Some(window) = running.pop() else { continue };
                busy += 1;
                let is_busy = busy % 3 == 0;
                let outcome = if is_busy { Outcome::Missed(Class::CameraBusy) } else { Outcome::Archived };
                assert_eq!(scheduler.complete(&window, &outcome, now), Vec::new());
                if !is_busy {
                    let known = archived.remove(&window.device).unwrap_or_default();
                    assert!(!known.ranges().iter().any(|range| range.overlaps(&window.range)), "{window:?} again");
                    let both = known.ranges().iter().copied().chain([window.range]).collect();
                    archived.insert(window.device, both);
                }
            }
        }
    }
    panic!("it does not end: {archived:?}");
}
