//! A night of the real scheduler against the model.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use archive::device::NvrId;
use archive::instant::Instant;
use archive::report::Learned;
use archive::scheduler::{Policy, Scheduler, Step};
use archive::window::Window;

use super::model::{Answer, BEGIN, Fleet, Night, Recorder, World};

/// What happened, and what the next night starts with.
pub struct Played {
    pub night: Night,
    pub learned: BTreeMap<NvrId, Learned>,
    /// Seconds that were given up, by whatever cause.
    pub given_up_seconds: i64,
}

/// Something that happens at a moment: a stream that begins, or an attempt that ends. Ordered by moment, then by order of
/// arrival, so that the same seed gives the same night.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    order: u64,
    attempt: usize,
    begins: bool,
}

/// Plays a whole night. `watch` sees every start, for what must always be true.
pub fn play(
    fleet: &Fleet,
    policy: Policy,
    learned: BTreeMap<NvrId, Learned>,
    mut watch: impl FnMut(&Window, Instant),
) -> Played {
    let mut world = World::new(fleet);
    let mut now = Instant::from(BEGIN);
    let keeps = |(index, recorder): (usize, &Recorder)| {
        Some((fleet.nvr(index), Duration::from_secs(recorder.keeps_seconds?.unsigned_abs())))
    };
    let footage = fleet.recorders.iter().enumerate().filter_map(keeps).collect();
    let policy = Policy { learned, footage, ..policy };
    let mut scheduler = Scheduler::new(fleet.work(), policy, fleet.seed, now);
    let mut due: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    let mut attempts: Vec<Option<(Window, Answer)>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut order = 0;
    let mut given_up_seconds = 0;
    loop {
        let wake = match scheduler.poll(now) {
            Step::Start(window) => {
                watch(&window, now);
                let answer = world.ask(&window, now);
                let attempt = free.pop().unwrap_or_else(|| {
                    attempts.push(None);
                    attempts.len() - 1
                });
                order += 2;
                if answer.streams {
                    due.push(Reverse(Due { at: answer.begins, order, attempt, begins: true }));
                }
                due.push(Reverse(Due { at: answer.ends, order: order + 1, attempt, begins: false }));
                attempts[attempt] = Some((window, answer));
                continue;
            }
            Step::Lost(lost) => {
                given_up_seconds += lost.ranges.seconds();
                continue;
            }
            Step::Finished => break,
            Step::WaitUntil(at) => Some(at),
            Step::AwaitCompletion => None,
        };
        match (due.peek().map(|Reverse(first)| first.at), wake) {
            (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                let Reverse(first) = due.pop().expect("it was looked at");
                now = first.at;
                if first.begins {
                    let (window, _) = attempts[first.attempt].as_ref().expect("it has not ended");
                    scheduler.streaming(window, now);
                    continue;
                }
                let (window, answer) = attempts[first.attempt].take().expect("it ends once");
                free.push(first.attempt);
                world.end(&window, &answer, now);
                for given_up in scheduler.complete(&window, &answer.outcome, now) {
                    given_up_seconds += given_up.ranges.seconds();
                }
            }
            (_, Some(wake)) => {
                assert!(wake > now, "a wait must end later than it begins");
                now = wake;
            }
            (_, None) => panic!("seed {}: it waits for an ending, and nothing runs", fleet.seed),
        }
    }
    assert!(due.is_empty(), "seed {}: finished while something runs", fleet.seed);
    Played { night: world.night, learned: scheduler.learned().into_iter().collect(), given_up_seconds }
}
