//! What a run is doing at this moment, as its events tell it, for whoever asks from another terminal. Of bounded size, however many
//! streams there are.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::device::{DeviceId, NvrId};
use crate::event::Event;
use crate::instant::Instant;
use crate::outcome::{Attempt, Class, Outcome};
use crate::time_range::UtcSecond;
use crate::window::Window;

/// How many streams, NVRs and live cameras are told one by one; of the others there is only how many they are.
const MOST: usize = 50;

/// Over how many of its snapshots the rate of a run is measured: at one a second, ten seconds.
const RATE_SNAPSHOTS: usize = 10;

/// A run that is younger than this says nothing of its end, in milliseconds.
const TOO_YOUNG: i64 = 10_000;

/// A run as it was at one moment. Times are UTC, amounts since the run began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Underway {
    /// Its process.
    pub pid: u32,
    /// The command or the job.
    pub what: String,
    /// When this was so.
    pub told: i64,
    /// How many windows it planned; 0 for a live run.
    pub planned_windows: u64,
    /// How much footage that is, in seconds.
    pub planned_seconds: i64,
    /// How many windows are archived by now.
    pub archived_windows: u64,
    /// How many stretches of time it will not ask for again.
    pub given_up: u64,
    /// How much of the planned footage is archived, given up or on its way, in seconds.
    pub done_seconds: i64,
    /// Bytes that came, whatever they came to.
    pub bytes: u64,
    /// Bytes a second, over the last seconds.
    pub bytes_per_second: u64,
    /// When it ends if it goes on like this; nothing before there is anything to go by.
    pub ends: Option<i64>,
    /// How many downloads stream.
    pub streaming: u64,
    /// Those of them that began first.
    pub streams: Vec<Stream>,
    /// NVRs that refused a call, or are left alone; the worst of them.
    pub nvrs: Vec<NvrNow>,
    /// Servers that give no answer, and are waited for.
    pub waits: Vec<Waits>,
    /// How many cameras are recorded live.
    pub live: u64,
    /// How many are to be and are not, because no stream comes.
    pub interrupted: u64,
    /// Live cameras, those without a stream first.
    pub cameras: Vec<LiveNow>,
}

/// One download that streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stream {
    /// The camera.
    pub device: i64,
    /// Its NVR.
    pub nvr: String,
    /// The window's start.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// When it began.
    pub since: i64,
    /// Footage so far, in seconds.
    pub media_seconds: i64,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes a second since it began.
    pub bytes_per_second: u64,
}

/// What one NVR has refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NvrNow {
    /// Which.
    pub nvr: String,
    /// How often it was asked for a recording and has answered, one way or another.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
    /// Until when it is left alone.
    pub held_until: Option<i64>,
    /// How many downloads it is believed to take at once, if that was told.
    pub limit: Option<usize>,
}

/// A server that the run waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// Which: `the ledger` or `the object store`.
    pub for_what: String,
    /// Since when (UTC).
    pub since: i64,
    /// What is known of the reason.
    pub why: String,
}

/// One camera that is to be recorded live.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveNow {
    /// The camera.
    pub device: i64,
    /// Since when its stream comes, or does not.
    pub since: i64,
    /// Why none comes; nothing while one does.
    pub interrupted: Option<String>,
}

/// Keeps count of a run's events.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    now: Underway,
    begun: Option<Instant>,
    running: BTreeMap<Window, Running>,
    nvrs: BTreeMap<NvrId, NvrNow>,
    cameras: BTreeMap<DeviceId, LiveNow>,
    /// Milliseconds of footage that is archived or given up.
    settled: i64,
    /// Bytes of attempts that have ended.
    ended_bytes: u64,
    /// What had come at the last snapshots.
    came: VecDeque<(Instant, u64)>,
}

#[derive(Clone, Debug)]
struct Running {
    nvr: NvrId,
    since: Instant,
    media: i64,
    bytes: u64,
}

impl Tally {
    /// Of a process's run, in the words of whoever asked for it.
    pub fn new(pid: u32, what: &str) -> Self {
        let now = Underway { pid, what: what.to_owned(), ..Underway::default() };
        Self { now, ..Self::default() }
    }

    /// Counts what happened at that moment.
    pub fn note(&mut self, event: &Event, at: Instant) {
        match event {
            Event::Started { windows, seconds } => {
                (self.now.planned_windows, self.now.planned_seconds) = (*windows, *seconds);
                self.begun = Some(at);
            }
            Event::AttemptStarted { window, nvr } => {
                self.running.insert(*window, Running { nvr: nvr.clone(), since: at, media: 0, bytes: 0 });
            }
            Event::Streaming { window, media_milliseconds, bytes } => {
                if let Some(running) = self.running.get_mut(window) {
                    (running.media, running.bytes) = (*media_milliseconds, *bytes);
                }
            }
            Event::AttemptEnded { window, attempt } => self.ended(window, attempt),
            Event::NvrHeld { nvr, until, limit, .. } => {
                let held = self.nvr(nvr);
                held.held_until = until.map(|until| until.to_utc_second().get());
                held.limit = Some(*limit);
            }
            Event::Away { server, why } => {
                let (for_what, since) = (server.to_string(), at.to_utc_second().get());
                self.now.waits.retain(|waits| waits.for_what != for_what);
                self.now.waits.push(Waits { for_what, since, why: why.clone() });
            }
            Event::Back { server } => {
                let for_what = server.to_string();
                self.now.waits.retain(|waits| waits.for_what != for_what);
            }
            Event::GivenUp { window, .. } => {
                self.now.given_up += 1;
                self.settled += window.range.seconds() * 1000;
            }
            Event::LiveBegan { device, .. } => self.live(*device, at.to_utc_second(), None),
            Event::LiveInterrupted { device, since, why, .. } => self.live(*device, *since, Some(why.clone())),
            Event::LiveArchived { recording } => {
                self.now.archived_windows += 1;
                self.ended_bytes += recording.bytes;
            }
            Event::Recovered(_)
            | Event::Archived { .. }
            | Event::NvrLearned { .. }
            | Event::HostJoined { .. }
            | Event::HostLost { .. }
            | Event::LeaseLost { .. }
            | Event::HostsAwaited { .. }
            | Event::LiveWaits { .. }
            | Event::LiveJoinedAgain
            | Event::LiveTaken { .. }
            | Event::SpoolFull { .. }
            | Event::SpoolHasRoom
            | Event::AmbiguousLabel { .. }
            | Event::CatalogNotWritten { .. }
            | Event::Stopping(_)
            | Event::Ended(_) => {}
        }
    }

    fn ended(&mut self, window: &Window, attempt: &Attempt) {
        self.ended_bytes += attempt.bytes;
        match attempt.outcome {
            Outcome::Archived => {
                self.now.archived_windows += 1;
                self.settled += window.range.seconds() * 1000;
            }
            Outcome::Prefix { until } => self.settled += (until - window.range.start()) * 1000,
            _ => {}
        }
        let Some(running) = self.running.remove(window) else { return };
        let refused =
            matches!(attempt.outcome, Outcome::Missed(Class::NvrFull | Class::NvrOverloaded | Class::NvrOffline));
        let nvr = self.nvr(&running.nvr);
        nvr.calls += 1;
        nvr.refused += u64::from(refused);
    }

    fn nvr(&mut self, nvr: &NvrId) -> &mut NvrNow {
        let new = || NvrNow { nvr: nvr.to_string(), ..NvrNow::default() };
        self.nvrs.entry(nvr.clone()).or_insert_with(new)
    }

    fn live(&mut self, device: DeviceId, since: UtcSecond, interrupted: Option<String>) {
        let (device_number, since) = (device.get(), since.get());
        let new = LiveNow { device: device_number, since, interrupted };
        match self.cameras.get_mut(&device) {
            // The same stream tells its codec later, and the same lull is told at each try.
            Some(known) if known.interrupted.is_some() == new.interrupted.is_some() => {
                known.interrupted = new.interrupted;
            }
            _ => drop(self.cameras.insert(device, new)),
        }
    }

    /// How it stands at that moment.
    pub fn snapshot(&mut self, at: Instant) -> Underway {
        let now = at.to_utc_second().get();
        let on_its_way: i64 = self.running.values().map(|running| running.media).sum();
        let bytes = self.ended_bytes + self.running.values().map(|running| running.bytes).sum::<u64>();
        let done = self.settled + on_its_way;
        self.came.push_back((at, bytes));
        if self.came.len() > RATE_SNAPSHOTS + 1 {
            self.came.pop_front();
        }
        let bytes_per_second =
            self.came.front().map_or(0, |&(from, before)| rate(bytes.saturating_sub(before), millis(at, from)));
        let mut streams: Vec<(&Window, &Running)> = self.running.iter().collect();
        streams.sort_by_key(|(window, running)| (running.since, **window));
        streams.truncate(MOST);
        let mut nvrs: Vec<NvrNow> = self.nvrs.values().map(|nvr| without_the_past(nvr, now)).collect();
        nvrs.retain(|nvr| nvr.refused > 0 || nvr.held_until.is_some());
        nvrs.sort_by(|a, b| (b.held_until, b.refused, &a.nvr).cmp(&(a.held_until, a.refused, &b.nvr)));
        nvrs.truncate(MOST);
        let interrupted = self.cameras.values().filter(|camera| camera.interrupted.is_some()).count();
        let mut cameras: Vec<LiveNow> = self.cameras.values().cloned().collect();
        cameras.sort_by_key(|camera| (camera.interrupted.is_none(), camera.device));
        cameras.truncate(MOST);
        Underway {
            told: now,
            done_seconds: done / 1000,
            bytes,
            bytes_per_second,
            ends: self.ends(at, done).map(|end| end.to_utc_second().get()),
            streaming: self.running.len() as u64,
            streams: streams.into_iter().map(|(window, running)| stream(window, running, at)).collect(),
            nvrs,
            live: (self.cameras.len() - interrupted) as u64,
            interrupted: interrupted as u64,
            cameras,
            ..self.now.clone()
        }
    }

    /// What is left takes as long for each second of footage as what is done.
    fn ends(&self, at: Instant, done: i64) -> Option<Instant> {
        let begun = self.begun?;
        let (elapsed, planned) = (millis(at, begun), self.now.planned_seconds.saturating_mul(1000));
        if done <= 0 || elapsed < TOO_YOUNG {
            return None;
        }
        let left = (planned - done).max(0) as f64 * elapsed as f64 / done as f64;
        Some(Instant::from_millis(at.as_millis().saturating_add(left as i64)))
    }
}

/// A moment that has passed holds nobody back.
fn without_the_past(nvr: &NvrNow, now: i64) -> NvrNow {
    NvrNow { held_until: nvr.held_until.filter(|&until| until > now), ..nvr.clone() }
}

fn stream(window: &Window, running: &Running, at: Instant) -> Stream {
    Stream {
        device: window.device.get(),
        nvr: running.nvr.to_string(),
        from: window.range.start().get(),
        to: window.range.end().get(),
        since: running.since.to_utc_second().get(),
        media_seconds: running.media / 1000,
        bytes: running.bytes,
        bytes_per_second: rate(running.bytes, millis(at, running.since)),
    }
}

fn millis(at: Instant, from: Instant) -> i64 {
    at.as_millis().saturating_sub(from.as_millis())
}

fn rate(bytes: u64, milliseconds: i64) -> u64 {
    u64::try_from(milliseconds)
        .ok()
        .filter(|&length| length > 0)
        .map_or(0, |length| bytes.saturating_mul(1000) / length)
}

#[cfg(test)]
mod tests;
