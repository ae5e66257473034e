//! Recorders and cameras as they truly are.
//!
//! The model knows what no platform tells: how many channels a recorder really has and when, when it is offline or overloaded,
//! where footage is missing. From that it also knows the least time that any scheduler needs.

use archive::device::{DeviceId, NvrId};
use archive::scheduler::{Stretch, Work};
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use archive::window::{Cause, Missing, Window};

/// When a night begins: 2026-11-21T00:00:00Z.
pub const BEGIN: UtcSecond = UtcSecond::new(1_795_219_200);

/// A stretch of a night, in milliseconds since its begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from: i64,
    pub to: i64,
}

/// A store's line to the world, too narrow for all of its cameras at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NarrowUplink {
    /// The store: the position of any one of its recorders, all of which have the same uplink.
    pub store: usize,
    /// How many streams at full speed it carries; more of them share it.
    pub streams: u64,
}

/// One recorder, as it truly is.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// How many it plays at a time: from each of these moments on (milliseconds since the night's begin), that many.
    pub channels: Vec<(i64, usize)>,
    pub offline: Vec<Span>,
    pub overloaded: Vec<Span>,
    /// How many milliseconds of streaming a window takes, before chance.
    pub pace: i64,
    /// Footage older than this many seconds before now is gone; it moves on with time.
    pub keeps_seconds: Option<i64>,
    /// The uplink that its streams go through, when that is a narrow one.
    pub uplink: Option<NarrowUplink>,
    /// How many of a thousand streams break off.
    pub drops_per_mille: u64,
    /// How many milliseconds a camera stays busy after a stream that broke off.
    pub busy_after_drop: i64,
}

/// One camera.
#[derive(Clone, Debug)]
pub struct Camera {
    pub device: DeviceId,
    pub recorder: usize,
    pub asked: TimeRange,
    pub holes: RangeSet,
}

/// Recorders and their cameras.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub seed: u64,
    pub recorders: Vec<Recorder>,
    pub cameras: Vec<Camera>,
}

impl Recorder {
    pub fn plain(channels: usize) -> Self {
        Self {
            channels: vec![(i64::MIN, channels)],
            offline: Vec::new(),
            overloaded: Vec::new(),
            pace: 75_000,
            keeps_seconds: None,
            uplink: None,
            drops_per_mille: 0,
            busy_after_drop: 0,
        }
    }

    pub fn channels_at(&self, at: i64) -> usize {
        self.channels.iter().rev().find(|(from, _)| *from <= at).map_or(0, |&(_, channels)| channels)
    }

    pub fn is_in(stretches: &[Span], at: i64) -> bool {
        stretches.iter().any(|stretch| stretch.from <= at && at < stretch.to)
    }
}

impl Fleet {
    pub fn nvr(&self, recorder: usize) -> NvrId {
        NvrId::new(&format!("nvr {recorder}"))
    }

    /// The store that a recorder stands in: one of its own, unless it shares an uplink.
    pub fn store_of(&self, recorder: usize) -> usize {
        self.recorders[recorder].uplink.map_or(recorder, |narrow| narrow.store)
    }

    /// What a scheduler is told of it: everything asked for, nothing tried yet.
    pub fn work(&self) -> Vec<Work> {
        self.cameras
            .iter()
            .map(|camera| Work {
                device: camera.device,
                nvr: self.nvr(camera.recorder),
                stretches: vec![Stretch {
                    missing: Missing { range: camera.asked, cause: Cause::NotTried, attempts: 0 },
                    stop_at: None,
                }],
            })
            .collect()
    }

    pub fn windows(&self) -> u64 {
        let windows = |range: &TimeRange| (range.seconds() as u64).div_ceil(GRID_SECONDS as u64);
        self.cameras.iter().map(|camera| windows(&camera.asked)).sum()
    }

    /// How long the stream of a window takes, in milliseconds: its recorder's pace, in proportion to its length, a fifth
    /// more or less by chance that follows from the seed.
    pub fn takes(&self, recorder: usize, window: &Window) -> i64 {
        let chance = (chance(self.seed, window) % 1000) as i64;
        self.recorders[recorder].pace * window.range.seconds() / GRID_SECONDS * (800 + chance * 400 / 1000) / 1000
    }

    /// The least time in milliseconds that any scheduler needs: the largest of a camera's own work, a recorder's work over
    /// its true channels, a store's work over its uplink, and all work over all streams; outages added.
    pub fn lower_bound(&self, streams: usize) -> i64 {
        let mut of_recorder = vec![0i64; self.recorders.len()];
        let mut longest_camera = vec![0i64; self.recorders.len()];
        for camera in &self.cameras {
            let own: i64 = camera
                .asked
                .cut_on_grid()
                .map(|range| self.takes(camera.recorder, &Window { device: camera.device, range }))
                .sum();
            of_recorder[camera.recorder] += own;
            longest_camera[camera.recorder] = longest_camera[camera.recorder].max(own);
        }
        let mut bound = of_recorder.iter().sum::<i64>() / streams as i64;
        for (index, recorder) in self.recorders.iter().enumerate() {
            bound = bound.max(recorder.time_for(of_recorder[index], usize::MAX));
            bound = bound.max(recorder.time_for(longest_camera[index], 1));
            if let Some(narrow) = recorder.uplink {
                let of_store =
                    of_recorder.iter().zip(&self.recorders).filter(|(_, other)| other.uplink == Some(narrow));
                bound = bound.max(of_store.map(|(work, _)| work).sum::<i64>() / narrow.streams as i64);
            }
        }
        bound
    }
}

impl Recorder {
    /// How long this much streaming takes when every channel, up to `most`, is always used while it is online.
    fn time_for(&self, work: i64, most: usize) -> i64 {
        let mut edges: Vec<i64> = self.channels.iter().map(|&(from, _)| from.max(0)).collect();
        edges.extend(self.offline.iter().flat_map(|stretch| [stretch.from.max(0), stretch.to.max(0)]));
        edges.push(0);
        edges.sort_unstable();
        edges.dedup();
        let mut left = work;
        for (position, &from) in edges.iter().enumerate() {
            let width = if Self::is_in(&self.offline, from) { 0 } else { self.channels_at(from).min(most) as i64 };
            let until = edges.get(position + 1).copied();
            let done = until.map_or(i64::MAX, |until| (until - from).saturating_mul(width));
            if done >= left && width > 0 {
                return from + left / width;
            }
            left -= done;
        }
        i64::MAX
    }
}

/// `cameras` cameras on each of these recorders, asked for the `seconds` before the night's begin.
pub fn fleet(seed: u64, recorders: Vec<Recorder>, cameras: i64, seconds: i64) -> Fleet {
    let asked = TimeRange::new(BEGIN - 3600 - seconds, BEGIN - 3600).expect("a range holds a second");
    let cameras = (0..recorders.len() as i64 * cameras)
        .map(|number| Camera {
            device: DeviceId::new(number).expect("not negative"),
            recorder: (number / cameras) as usize,
            asked,
            holes: RangeSet::new(),
        })
        .collect();
    Fleet { seed, recorders, cameras }
}

impl Camera {
    /// How many seconds of a range are not there: holes, and what is older than `gone`.
    pub fn holes_in(&self, range: TimeRange, gone: Option<UtcSecond>) -> i64 {
        let mut missing = self.holes.intersect(&range.into());
        if let Some(old) = gone.and_then(|gone| TimeRange::new(range.start(), gone.min(range.end()))) {
            missing.insert(old);
        }
        missing.seconds()
    }
}

/// A number that follows from the seed and the window.
pub fn chance(seed: u64, window: &Window) -> u64 {
    let mut hash = seed ^ (window.device.get() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= (window.range.start().get() as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash >> 40
}
