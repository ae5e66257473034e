//! What a plan will take, and what will be lost before it can be reached, as far as history tells.
//!
//! Each NVR works through its share on its own, as the scheduler would have it (`course`), slowed down as far as what all
//! NVRs share asks for it (`shared`), at what footage has cost so far (`rates`). Nothing here knows of refusals, outages
//! or footage that is not there: a forecast is what a night without them takes.
//!
//! Grows with cameras and stretches, not with windows.

mod course;
mod filling;
mod rates;
mod shared;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::device::NvrId;
use crate::instant::Instant;
use crate::plan::{DevicePlan, Plan, windows_in};
use crate::scheduler::Policy;
use crate::time_range::{TimeRange, UtcSecond};

use course::{Camera, Course, Missed, Part, Share, Terms};
use shared::Wish;

pub use filling::{Filling, LATELY_SECONDS, Wrote};
pub use rates::{History, Rate};

/// What a forecast rests on, beside the plan.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// What the scheduler keeps to, with what was learned.
    pub policy: &'a Policy,
    /// What footage has cost so far.
    pub history: &'a History,
    /// The most calls in a second. Every window is at least one.
    pub calls_per_second: f64,
    /// The most bytes in a second over all streams, where there is such a bound.
    pub bytes_per_second: Option<f64>,
    /// When the plan is begun.
    pub now: UtcSecond,
}

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// By NVR, those with nothing to fetch left out.
    pub nvrs: Vec<NvrForecast>,
    /// All of them together.
    pub all: Outlook,
    now: UtcSecond,
}

/// What one NVR's part of a plan comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NvrForecast {
    /// The NVR.
    pub nvr: NvrId,
    /// How many of its cameras have something to fetch.
    pub cameras: u64,
    /// How many downloads at once it is counted on.
    pub limit: Limit,
    /// How long it keeps footage, when that is known.
    pub keeps: Option<Keeps>,
    /// What its part comes to.
    #[serde(flatten)]
    pub outlook: Outlook,
}

/// What is planned, what it takes, and what of it will not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    /// Planned windows.
    pub windows: u64,
    /// Planned footage, in seconds.
    pub seconds: i64,
    /// What fetching takes; nothing before the first finished download.
    pub forecast: Option<Effort>,
    /// What will be overwritten before it can be reached, until the run stops. Without history, what is overwritten now.
    pub lost: Option<Lost>,
    /// The latest time to stop in the plan.
    pub stop_at: Option<UtcSecond>,
    /// What of it will not have begun when its time to stop comes.
    pub left: Option<Left>,
}

/// What fetching takes, were nothing to stop before all is done that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// Bytes to be written.
    pub bytes: u64,
    /// Seconds from start to end.
    pub seconds: u64,
    /// When it ends (UTC).
    pub ends: UtcSecond,
}

/// Footage that is overwritten before it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// How much, in seconds.
    pub seconds: i64,
    /// How much of that is overwritten already.
    pub already_seconds: i64,
    /// When the first of it is overwritten (UTC); the start of the run when that is past.
    pub from: UtcSecond,
    /// When the last of it is (UTC), likewise.
    pub by: UtcSecond,
}

/// Footage whose time to stop comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// How much, in seconds.
    pub seconds: i64,
    /// The first time to stop that leaves something (UTC).
    pub since: UtcSecond,
}

/// How many downloads at once an NVR is counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// How many.
    pub downloads: usize,
    /// Who says so.
    pub source: KnownFrom,
}

/// How long an NVR keeps footage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Keeps {
    /// For how many seconds.
    pub seconds: i64,
    /// Who says so. What was learned is near enough to say what hurries.
    pub source: KnownFrom,
}

/// Where something about an NVR is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownFrom {
    /// Its section in the settings.
    Settings,
    /// Earlier runs.
    Learned,
    /// `per_nvr`, which stands for all of which nothing else is known.
    PerNvr,
}

/// Whether the disk holds what is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes that may still be written there.
    pub free_bytes: u64,
    /// Bytes that are to stay free.
    pub min_free_bytes: u64,
    /// Free bytes above those.
    pub room_bytes: u64,
    /// Whether it holds all; nothing without a forecast of bytes.
    pub holds: Option<bool>,
    /// When it is full if it does not (UTC).
    pub full_at: Option<UtcSecond>,
}

impl Forecast {
    /// What `plan` comes to when it is begun now.
    pub fn of(plan: &Plan, basis: &Basis<'_>) -> Self {
        let mut by_nvr: BTreeMap<&NvrId, Vec<&DevicePlan>> = BTreeMap::new();
        for device in plan.devices.iter().filter(|device| !device.missing.is_empty()) {
            by_nvr.entry(&device.nvr).or_default().push(device);
        }
        let works: Vec<NvrWork> = by_nvr.into_iter().map(|(nvr, devices)| NvrWork::new(nvr, &devices, basis)).collect();
        let level = shared_level(&works, basis);
        let nvrs: Vec<NvrForecast> = works.into_iter().map(|work| work.forecast(level, basis)).collect();
        let all = nvrs.iter().map(|nvr| nvr.outlook).reduce(Outlook::plus).unwrap_or_default();
        Self { nvrs, all, now: basis.now }
    }

    /// Whether a disk with so many free bytes holds it, when `min_free_bytes` of them are to stay free.
    pub fn on_disk(&self, free_bytes: u64, min_free_bytes: u64) -> Disk {
        let room_bytes = free_bytes.saturating_sub(min_free_bytes);
        let holds = self.all.forecast.map(|all| all.bytes <= room_bytes);
        let full_at = (holds == Some(false)).then(|| self.full_at(room_bytes));
        Disk { free_bytes, min_free_bytes, room_bytes, holds, full_at }
    }

    /// When so many bytes are written. OK to take it that each NVR writes evenly until it ends.
    fn full_at(&self, room: u64) -> UtcSecond {
        let mut efforts: Vec<Effort> = self.nvrs.iter().filter_map(|nvr| nvr.outlook.forecast).collect();
        efforts.sort_by_key(|effort| effort.seconds);
        let pace = |effort: &Effort| effort.bytes as f64 / effort.seconds.max(1) as f64;
        let (mut paces, mut written, mut at): (f64, f64, u64) = (efforts.iter().map(pace).sum(), 0.0, 0);
        for effort in &efforts {
            let stretch = (effort.seconds - at) as f64;
            if written + paces * stretch >= room as f64 {
                let until_full = (room as f64 - written) / paces;
                return self.now + (at as f64 + until_full.clamp(0.0, stretch)) as i64;
            }
            written += paces * stretch;
            at = effort.seconds;
            paces -= pace(effort);
        }
        self.now + i64::try_from(at).unwrap_or(i64::MAX)
    }
}

/// How many downloads at once an NVR is counted on: what was learned, or `per_nvr`, up to its channels.
pub fn limit_of(nvr: &NvrId, policy: &Policy) -> Limit {
    let (downloads, source) = match policy.learned.get(nvr) {
        Some(learned) => (learned.limit.max(1), KnownFrom::Learned),
        None => (policy.per_nvr.max(1), KnownFrom::PerNvr),
    };
    match policy.channels.get(nvr) {
        Some(&channels) if channels < downloads => Limit { downloads: channels.max(1), source: KnownFrom::Settings },
        _ => Limit { downloads, source },
    }
}

/// How long an NVR keeps footage: what the settings say, else what was learned.
pub fn keeps_of(nvr: &NvrId, policy: &Policy) -> Option<Keeps> {
    let learned = || Some((policy.learned.get(nvr)?.keeps?, KnownFrom::Learned));
    let stated = policy.footage.get(nvr).map(|&footage| (footage, KnownFrom::Settings));
    let (length, source) = stated.or_else(learned)?;
    Some(Keeps { seconds: whole_seconds(length), source })
}

/// One NVR's part of the plan.
struct NvrWork {
    nvr: NvrId,
    limit: Limit,
    keeps: Option<Keeps>,
    cameras: Vec<Camera>,
    /// Whether all costs are known.
    has_rates: bool,
    /// What is planned, and what of it is overwritten already.
    planned: Outlook,
    /// Windows that are not, and when the last of their footage ends.
    windows: u64,
    footage_ends: Option<UtcSecond>,
    /// Under what it works when nobody else wants anything, and how that goes.
    terms: Terms,
    alone: Course,
}

impl NvrWork {
    fn new(nvr: &NvrId, devices: &[&DevicePlan], basis: &Basis<'_>) -> Self {
        let rates: Vec<_> = devices.iter().map(|device| basis.history.rate(device.device, nvr)).collect();
        let has_rates = rates.iter().all(Option::is_some);
        let nothing = Rate { bytes_per_second: 0.0, fetch_seconds_per_second: 0.0 };
        let cameras = devices.iter().zip(rates);
        let cameras: Vec<Camera> =
            cameras.map(|(device, rate)| Camera { parts: parts_of(device), rate: rate.unwrap_or(nothing) }).collect();
        let (limit, keeps) = (limit_of(nvr, basis.policy), keeps_of(nvr, basis.policy));
        let terms = Terms {
            begins: basis.now,
            downloads: limit.downloads,
            slowed: 1.0,
            keeps: keeps.map(|keeps| keeps.seconds),
            stops: false,
        };
        let (mut missed, mut windows, mut footage_ends) = (Missed::default(), 0, None);
        for camera in &cameras {
            let mut share = Share::of(camera);
            share.pass_over(basis.now.into(), terms, &mut missed);
            windows += share.ranges().map(|range| windows_in(&range)).sum::<u64>();
            footage_ends = footage_ends.max(share.ranges().last().map(|range| range.end()));
        }
        let planned = Outlook {
            windows: devices.iter().map(|device| device.windows()).sum(),
            seconds: devices.iter().map(|device| device.seconds()).sum(),
            stop_at: devices.iter().flat_map(|device| &device.missing).filter_map(|part| part.stop_at).max(),
            lost: missed.lost,
            ..Outlook::default()
        };
        let alone = course::run(&cameras, terms);
        Self { nvr: nvr.clone(), limit, keeps, cameras, has_rates, planned, windows, footage_ends, terms, alone }
    }

    fn forecast(self, level: f64, basis: &Basis<'_>) -> NvrForecast {
        let mut outlook = self.planned;
        if self.has_rates {
            let alone = self.alone.seconds();
            // Who takes no time alone has nothing that could be slowed down.
            let slowed = if level > alone && alone > 0.0 { level / alone } else { 1.0 };
            let terms = Terms { slowed, ..self.terms };
            let done = if slowed > 1.0 { course::run(&self.cameras, terms) } else { self.alone };
            let stopped = match outlook.stop_at {
                Some(_) => course::run(&self.cameras, Terms { stops: true, ..terms }),
                None => done,
            };
            outlook.forecast = Some(self.effort(&done, basis));
            outlook.lost = stopped.missed.lost;
            outlook.left = stopped.missed.left;
        }
        let cameras = self.cameras.len() as u64;
        NvrForecast { nvr: self.nvr, cameras, limit: self.limit, keeps: self.keeps, outlook }
    }

    fn effort(&self, course: &Course, basis: &Basis<'_>) -> Effort {
        let settled = self.footage_ends.map(|end| Instant::from(end) + basis.policy.settle);
        let ends = settled.map_or(course.ends, |settled| settled.max(course.ends));
        let milliseconds = ends.since(basis.now.into()).as_millis();
        let seconds = u64::try_from(milliseconds.div_ceil(1000)).unwrap_or(u64::MAX);
        let ends = basis.now + i64::try_from(seconds).unwrap_or(i64::MAX);
        Effort { bytes: course.bytes.max(0.0) as u64, seconds, ends }
    }
}

/// Until when, in seconds from now, every NVR must stretch its work so that what all share suffices.
fn shared_level(works: &[NvrWork], basis: &Basis<'_>) -> f64 {
    let level = |needs: fn(&NvrWork) -> f64, per_second: f64| {
        let wish = |work: &NvrWork| Wish { alone: work.alone.seconds(), needs: needs(work) };
        let wishes: Vec<Wish> = works.iter().filter(|work| work.has_rates).map(wish).collect();
        // One that bounds nothing is no bound; settings and flags give none such.
        if per_second > 0.0 { shared::level(&wishes, per_second) } else { 0.0 }
    };
    let streams = level(|work| work.alone.downloading, basis.policy.streams.max(1) as f64);
    let calls = level(|work| work.windows as f64, basis.calls_per_second);
    let bytes = basis.bytes_per_second.map_or(0.0, |bound| level(|work| work.alone.bytes, bound));
    streams.max(calls).max(bytes)
}

/// What a device has to fetch; stretches that touch and stop together are one.
fn parts_of(device: &DevicePlan) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for planned in &device.missing {
        let (range, stop_at) = (planned.missing.range, planned.stop_at);
        match parts.last_mut().filter(|last| last.range.end() == range.start() && last.stop_at == stop_at) {
            // OK because both hold a second, and the second one begins where the first one ends.
            Some(last) => last.range = TimeRange::new(last.range.start(), range.end()).unwrap_or(last.range),
            None => parts.push(Part { range, stop_at }),
        }
    }
    parts
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

impl Outlook {
    fn plus(self, other: Self) -> Self {
        Self {
            windows: self.windows + other.windows,
            seconds: self.seconds + other.seconds,
            // OK to go without when one has none: costs are known of all or of none.
            forecast: self.forecast.zip(other.forecast).map(|(one, other)| Effort {
                bytes: one.bytes.saturating_add(other.bytes),
                seconds: one.seconds.max(other.seconds),
                ends: one.ends.max(other.ends),
            }),
            lost: Lost::join(self.lost, other.lost),
            stop_at: self.stop_at.max(other.stop_at),
            left: Left::join(self.left, other.left),
        }
    }
}

impl Lost {
    /// What of a range was lost, of an NVR that keeps footage for so many seconds.
    fn of(range: TimeRange, keeps: i64, begins: UtcSecond) -> Self {
        let already = TimeRange::new(range.start(), range.end().min(begins - keeps));
        Self {
            seconds: range.seconds(),
            already_seconds: already.map_or(0, |already| already.seconds()),
            from: (range.start() + keeps).max(begins),
            by: (range.end() + keeps).max(begins),
        }
    }

    fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
        Some(Self {
            seconds: a.seconds + b.seconds,
            already_seconds: a.already_seconds + b.already_seconds,
            from: a.from.min(b.from),
            by: a.by.max(b.by),
        })
    }
}

impl Left {
    fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
        Some(Self { seconds: a.seconds + b.seconds, since: a.since.min(b.since) })
    }
}

#[cfg(test)]
mod tests;
