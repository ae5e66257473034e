//! Two others against the same model: the plain pool of workers that sleep on a busy answer, which is the thing to beat,
//! and an oracle that knows what no platform tells, which cannot be beaten by much.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use archive::backoff::Delays;
use archive::instant::Instant;
use archive::outcome::Outcome;
use archive::time_range::TimeRange;
use archive::window::Window;

use super::model::{Answer, BEGIN, Fleet, Night, World};

/// A camera's windows, oldest first.
type Windows = Box<dyn Iterator<Item = TimeRange>>;

/// A worker at work: at which camera's window, with what answer (nothing while it sleeps), after how many refusals.
struct Worker {
    camera: usize,
    windows: Windows,
    window: Window,
    answer: Option<Answer>,
    refusals: u32,
}

/// `workers` threads with one queue, camera after camera; each sleeps in place, longer and longer, while it is refused.
pub fn pool(fleet: &Fleet, workers: usize, delays: Delays) -> Night {
    let mut world = World::new(fleet);
    // One camera is one worker's at a time, or two workers would ask for it at once; a window each in turn, so that the
    // workers spread over the cameras.
    let mut cameras: VecDeque<(usize, Windows)> = fleet
        .cameras
        .iter()
        .enumerate()
        .map(|(index, camera)| (index, Box::new(camera.asked.cut_on_grid()) as Windows))
        .collect();
    let (mut idle, mut now, mut order) = (workers, Instant::from(BEGIN), 0u64);
    let mut due: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut busy: HashMap<u64, Worker> = HashMap::new();
    loop {
        while idle > 0 {
            let Some((camera, mut windows)) = cameras.pop_front() else { break };
            let Some(range) = windows.next() else { continue };
            let window = Window { device: fleet.cameras[camera].device, range };
            let answer = world.ask(&window, now);
            order += 1;
            due.push(Reverse((answer.ends, order)));
            busy.insert(order, Worker { camera, windows, window, answer: Some(answer), refusals: 0 });
            idle -= 1;
        }
        let Some(Reverse((at, key))) = due.pop() else { return world.night };
        now = at;
        order += 1;
        let worker = busy.remove(&key).expect("what is due is busy");
        let Some(answer) = worker.answer else {
            // It has slept, and asks again.
            let answer = world.ask(&worker.window, now);
            due.push(Reverse((answer.ends, order)));
            busy.insert(order, Worker { answer: Some(answer), ..worker });
            continue;
        };
        world.end(&worker.window, &answer, now);
        if matches!(answer.outcome, Outcome::Missed(_)) {
            let refusals = worker.refusals + 1;
            due.push(Reverse((now + delays.after(refusals, 0.5), order)));
            busy.insert(order, Worker { answer: None, refusals, ..worker });
        } else {
            idle += 1;
            cameras.push_back((worker.camera, worker.windows));
        }
    }
}

/// Knows every recorder's true room at every moment, and what is about to be lost: the camera with the most work left
/// goes first, the oldest window that is still there.
pub fn oracle(fleet: &Fleet, streams: usize) -> Night {
    let mut world = World::new(fleet);
    let begin = Instant::from(BEGIN);
    let mut left: Vec<Option<TimeRange>> = fleet.cameras.iter().map(|camera| Some(camera.asked)).collect();
    let mut ready: Vec<BTreeSet<(Reverse<i64>, usize)>> = vec![BTreeSet::new(); fleet.recorders.len()];
    for (index, camera) in fleet.cameras.iter().enumerate() {
        ready[camera.recorder].insert((Reverse(camera.asked.seconds()), index));
    }
    let mut changes: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
    for recorder in &fleet.recorders {
        changes.extend(recorder.channels.iter().map(|&(from, _)| Reverse(from)).filter(|Reverse(from)| *from > 0));
        changes.extend(recorder.offline.iter().chain(&recorder.overloaded).map(|stretch| Reverse(stretch.to)));
    }
    let mut due: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut busy: HashMap<u64, (usize, Window, Answer)> = HashMap::new();
    let (mut now, mut order, mut running) = (begin, 0u64, 0usize);
    let mut woken: BTreeSet<usize> = (0..fleet.recorders.len()).collect();
    loop {
        for recorder in std::mem::take(&mut woken) {
            while running < streams && world.true_room(recorder, now) > 0 {
                let Some((_, index)) = ready[recorder].pop_first() else { break };
                let Some(range) = left[index] else { continue };
                let gone = fleet.recorders[recorder].keeps_seconds.map(|keeps| now.to_utc_second() - keeps);
                let there = TimeRange::new(gone.map_or(range.start(), |gone| gone.max(range.start())), range.end());
                let Some((first, rest)) = there.map(TimeRange::split_at_grid) else { continue };
                left[index] = rest;
                let window = Window { device: fleet.cameras[index].device, range: first };
                let answer = world.ask(&window, now);
                order += 1;
                running += 1;
                due.push(Reverse((answer.ends, order)));
                busy.insert(order, (index, window, answer));
            }
            if running >= streams {
                woken.insert(recorder);
            }
        }
        let ends = due.peek().map(|&Reverse((at, _))| at);
        let change = changes.peek().map(|&Reverse(at)| begin + Duration::from_millis(at.unsigned_abs()));
        match (ends, change) {
            (None, None) => return world.night,
            (Some(ends), change) if change.is_none_or(|change| ends <= change) => {
                let Some(Reverse((_, key))) = due.pop() else { return world.night };
                let (index, window, answer) = busy.remove(&key).expect("what is due is busy");
                now = ends;
                running -= 1;
                world.end(&window, &answer, now);
                if let Some(rest) = left[index] {
                    ready[fleet.cameras[index].recorder].insert((Reverse(rest.seconds()), index));
                }
                woken.insert(fleet.cameras[index].recorder);
            }
            (_, Some(change)) => {
                changes.pop();
                now = now.max(change);
                woken.extend(0..fleet.recorders.len());
            }
            (Some(_), None) => unreachable!("the arm above takes it"),
        }
    }
}
