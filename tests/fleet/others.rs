//! Two others against the same model: the plain pool of workers that sleep on a busy answer, which is the thing to beat,
//! and an oracle that knows what no platform tells, which cannot be beaten by much.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use archive::backoff::Delays;
use archive::instant::Instant;
use archive::outcome::Outcome;
use archive::time_range::TimeRange;
use archive::window::Window;

use super::model::{BEGIN, Fleet};
use super::world::{Happening, Night, World};

/// A camera's windows, oldest first.
type Windows = Box<dyn Iterator<Item = TimeRange>>;

/// What a worker has in hand: a camera with what is left of it, and how often it was refused.
struct InHand {
    camera: usize,
    windows: Windows,
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
    let (mut idle, mut now) = (workers, Instant::from(BEGIN));
    let mut busy: BTreeMap<Window, InHand> = BTreeMap::new();
    let mut asleep: BinaryHeap<Reverse<(Instant, Window)>> = BinaryHeap::new();
    loop {
        while idle > 0 {
            let Some((camera, mut windows)) = cameras.pop_front() else { break };
            let Some(range) = windows.next() else { continue };
            let window = Window { device: fleet.cameras[camera].device, range };
            world.ask(&window, now);
            busy.insert(window, InHand { camera, windows, refusals: 0 });
            idle -= 1;
        }
        let wakes = asleep.peek().map(|&Reverse((at, _))| at);
        match (world.next(), wakes) {
            (None, None) => return world.night,
            (Some(at), wakes) if wakes.is_none_or(|wakes| at <= wakes) => {
                let Some((at, happening)) = world.happen() else { continue };
                now = at;
                let Happening::Ended(window, outcome) = happening else { continue };
                let in_hand = busy.remove(&window).expect("what ends is in hand");
                if matches!(outcome, Outcome::Missed(_)) {
                    let refusals = in_hand.refusals + 1;
                    asleep.push(Reverse((now + delays.after(refusals, 0.5), window)));
                    busy.insert(window, InHand { refusals, ..in_hand });
                } else {
                    idle += 1;
                    cameras.push_back((in_hand.camera, in_hand.windows));
                }
            }
            (_, Some(_)) => {
                let Some(Reverse((at, window))) = asleep.pop() else { continue };
                now = at;
                world.ask(&window, now);
            }
            (Some(_), None) => unreachable!("the arm above takes it"),
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
    let by_device: BTreeMap<_, _> =
        fleet.cameras.iter().enumerate().map(|(index, camera)| (camera.device, index)).collect();
    let (mut now, mut running) = (begin, 0usize);
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
                world.ask(&Window { device: fleet.cameras[index].device, range: first }, now);
                running += 1;
            }
            if running >= streams {
                woken.insert(recorder);
            }
        }
        let change = changes.peek().map(|&Reverse(at)| begin + Duration::from_millis(at.unsigned_abs()));
        match (world.next(), change) {
            (None, None) => return world.night,
            (Some(next), change) if change.is_none_or(|change| next <= change) => {
                let Some((at, happening)) = world.happen() else { continue };
                now = at;
                let Happening::Ended(window, _) = happening else { continue };
                let index = by_device[&window.device];
                running -= 1;
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
