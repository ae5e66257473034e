//! A model of recorders in virtual time: what a scheduler has to do with, without sockets and without waiting.
//!
//! It knows what no platform tells: how many channels a recorder really has and when, when it is offline or overloaded,
//! where footage is missing. From that it also knows the least time that any scheduler needs.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::device::{DeviceId, NvrId};
use archive::instant::Instant;
use archive::outcome::{Class, Outcome};
use archive::scheduler::{Stretch, Work};
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use archive::window::{Cause, Missing, Window};

/// How long the platform takes to answer a call.
pub const REPLY: Duration = Duration::from_millis(300);

/// When a night begins: 2026-11-21T00:00:00Z.
pub const BEGIN: UtcSecond = UtcSecond::new(1_795_219_200);

/// A stretch of a night, in milliseconds since its begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from: i64,
    pub to: i64,
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
        }
    }

    fn channels_at(&self, at: i64) -> usize {
        self.channels.iter().rev().find(|(from, _)| *from <= at).map_or(0, |&(_, channels)| channels)
    }

    fn is_in(stretches: &[Span], at: i64) -> bool {
        stretches.iter().any(|stretch| stretch.from <= at && at < stretch.to)
    }
}

impl Fleet {
    pub fn nvr(&self, recorder: usize) -> NvrId {
        NvrId::new(&format!("nvr {recorder}"))
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
        let mut hash = self.seed ^ (window.device.get() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= (window.range.start().get() as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let chance = ((hash >> 40) % 1000) as i64;
        self.recorders[recorder].pace * window.range.seconds() / GRID_SECONDS * (800 + chance * 400 / 1000) / 1000
    }

    /// The least time in milliseconds that any scheduler needs: the largest of a camera's own work, a recorder's work over
    /// its true channels, and all work over all streams; outages added.
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

/// What happened in a night.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Night {
    /// Milliseconds from the begin to the last stream's end.
    pub makespan: i64,
    pub calls: u64,
    pub refused: u64,
    pub archived_seconds: i64,
    /// Seconds that were gone before they were asked for.
    pub lost_seconds: i64,
    /// The most calls that began within one second.
    pub peak_calls: u64,
}

/// The recorders while a night goes on.
pub struct World<'a> {
    pub fleet: &'a Fleet,
    pub night: Night,
    by_device: BTreeMap<DeviceId, usize>,
    running: Vec<usize>,
    camera_runs: Vec<bool>,
    second: (i64, u64),
}

/// A call's answer, and when the attempt is over.
pub struct Answer {
    pub outcome: Outcome,
    /// When the URL comes, or the refusal.
    pub begins: Instant,
    pub ends: Instant,
    /// Whether a channel is taken until then.
    pub streams: bool,
}

impl<'a> World<'a> {
    pub fn new(fleet: &'a Fleet) -> Self {
        let by_device = fleet.cameras.iter().enumerate().map(|(index, camera)| (camera.device, index)).collect();
        let running = vec![0; fleet.recorders.len()];
        let camera_runs = vec![false; fleet.cameras.len()];
        Self { fleet, night: Night::default(), by_device, running, camera_runs, second: (0, 0) }
    }

    pub fn camera_of(&self, window: &Window) -> usize {
        self.by_device[&window.device]
    }

    /// Asks for a window. Panics when its camera has a download already: no scheduler may do that.
    pub fn ask(&mut self, window: &Window, now: Instant) -> Answer {
        let at = now.since(Instant::from(BEGIN)).as_millis() as i64;
        self.count_call(at);
        let index = self.camera_of(window);
        let camera = &self.fleet.cameras[index];
        assert!(!self.camera_runs[index], "{window}: its camera has a download already");
        let recorder = &self.fleet.recorders[camera.recorder];
        let refusal = if Recorder::is_in(&recorder.offline, at) {
            Some(Class::NvrOffline)
        } else if Recorder::is_in(&recorder.overloaded, at) {
            Some(Class::NvrOverloaded)
        } else if self.running[camera.recorder] >= recorder.channels_at(at) {
            Some(Class::NvrFull)
        } else {
            None
        };
        if let Some(class) = refusal {
            self.night.refused += 1;
            self.camera_runs[index] = true;
            return Answer { outcome: Outcome::Missed(class), begins: now + REPLY, ends: now + REPLY, streams: false };
        }
        self.running[camera.recorder] += 1;
        self.camera_runs[index] = true;
        let gone = recorder.keeps_seconds.map(|keeps| now.to_utc_second() - keeps);
        let there = camera.holes_in(window.range, gone);
        let takes = Duration::from_millis(self.fleet.takes(camera.recorder, window).unsigned_abs());
        let outcome = match window.range.seconds() - there {
            0 => Outcome::Empty,
            media if there > 5 => Outcome::Short { media_seconds: media },
            _ => Outcome::Archived,
        };
        Answer { outcome, begins: now + REPLY, ends: now + REPLY + takes, streams: true }
    }

    /// An attempt is over.
    pub fn end(&mut self, window: &Window, answer: &Answer, now: Instant) {
        let index = self.camera_of(window);
        self.camera_runs[index] = false;
        if answer.streams {
            self.running[self.fleet.cameras[index].recorder] -= 1;
        }
        if answer.outcome == Outcome::Archived {
            self.night.archived_seconds += window.range.seconds();
            self.night.makespan = now.since(Instant::from(BEGIN)).as_millis() as i64;
        }
    }

    /// How many downloads a recorder really takes now: what only an oracle knows.
    pub fn true_room(&self, recorder: usize, now: Instant) -> usize {
        let at = now.since(Instant::from(BEGIN)).as_millis() as i64;
        let truth = &self.fleet.recorders[recorder];
        if Recorder::is_in(&truth.offline, at) || Recorder::is_in(&truth.overloaded, at) {
            return 0;
        }
        truth.channels_at(at).saturating_sub(self.running[recorder])
    }

    fn count_call(&mut self, at: i64) {
        self.night.calls += 1;
        let second = at / 1000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.night.peak_calls = self.night.peak_calls.max(self.second.1);
    }
}

impl Camera {
    /// How many seconds of a range are not there: holes, and what is older than `gone`.
    fn holes_in(&self, range: TimeRange, gone: Option<UtcSecond>) -> i64 {
        let mut missing = self.holes.intersect(&range.into());
        if let Some(old) = gone.and_then(|gone| TimeRange::new(range.start(), gone.min(range.end()))) {
            missing.insert(old);
        }
        missing.seconds()
    }
}
