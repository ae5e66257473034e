//! The fleets that nights are played on.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::model::{Fleet, Recorder, Span, fleet};

const DAY: i64 = 86_400;
const HOUR_MS: i64 = 3_600_000;

/// a) 100 NVRs of 1 to 8 channels, 8 cameras each, one day.
pub fn plain(seed: u64) -> Fleet {
    fleet(seed, (0..100).map(|index| Recorder::plain(1 + index % 8)).collect(), 8, DAY)
}

/// b) The same, with limits that change every two hours.
pub fn changing(seed: u64) -> Fleet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut fleet = plain(seed);
    for recorder in &mut fleet.recorders {
        let every_two_hours = (0..200).map(|step| (step * 2 * HOUR_MS, random.random_range(1..=8usize)));
        recorder.channels = every_two_hours.collect();
    }
    fleet
}

/// c) With a two-hour outage of a third of them.
pub fn outages(seed: u64) -> Fleet {
    let mut fleet = plain(seed);
    for recorder in fleet.recorders.iter_mut().step_by(3) {
        recorder.offline = vec![Span { from: HOUR_MS, to: 3 * HOUR_MS }];
    }
    fleet
}

/// d) CPU storms: three to eight minutes, every hour or so.
pub fn storms(seed: u64) -> Fleet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut fleet = plain(seed);
    for recorder in &mut fleet.recorders {
        let mut at = 0;
        for _ in 0..60 {
            at += random.random_range(30..120) * 60_000;
            let to = at + random.random_range(3..8) * 60_000;
            recorder.overloaded.push(Span { from: at, to });
            at = to;
        }
    }
    fleet
}

/// e) One NVR with 32 cameras and 4 channels.
pub fn one_large(seed: u64) -> Fleet {
    fleet(seed, vec![Recorder::plain(4)], 32, DAY)
}

/// f) Playback at 1×: a window takes as long as it is.
pub fn playback_speed(seed: u64) -> Fleet {
    let recorders = (0..20).map(|index| Recorder { pace: 600_000, ..Recorder::plain(1 + index % 8) });
    fleet(seed, recorders.collect(), 8, DAY)
}

/// g) 1,250 NVRs, 10,000 cameras, one week.
pub fn week(seed: u64) -> Fleet {
    fleet(seed, (0..1_250).map(|index| Recorder::plain(1 + index % 8)).collect(), 8, 7 * DAY)
}

/// h) Twice as much work as the horizon allows: two days of footage, of which the oldest is overwritten as time goes on.
pub fn overloaded(seed: u64) -> Fleet {
    let seconds = 2 * DAY;
    // What a channel can fetch in the time that the footage is kept is half of what its cameras recorded.
    let recorders = (0..50).map(|index| {
        let channels = 1 + index % 4;
        let windows_per_camera = seconds / 600;
        let work = 8 * windows_per_camera / channels as i64;
        let pace = 2 * seconds * 1000 / work;
        Recorder { pace, keeps_seconds: Some(seconds + 3600), ..Recorder::plain(channels) }
    });
    fleet(seed, recorders.collect(), 8, seconds)
}
