//! A night on the recorders of [`model`](super::model), in virtual time: asked for windows, it says what happens and when.
//! Nothing waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use archive::device::DeviceId;
use archive::instant::Instant;
use archive::outcome::{Class, Outcome};
use archive::window::Window;

use super::model::{BEGIN, Fleet, Recorder, chance};

/// How long the platform takes to give a URL, on average; and to refuse, which overtakes URLs that were asked for before.
pub const REPLY_MILLISECONDS: i64 = 300;
const REFUSAL_MILLISECONDS: i64 = 100;

/// What happened in a night.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Night {
    /// Milliseconds from the begin to the last stream's end.
    pub makespan: i64,
    pub calls: u64,
    pub refused: u64,
    pub archived_seconds: i64,
    /// The most calls that began within one second.
    pub peak_calls: u64,
    /// The longest that a recorder with work left, online and not overloaded, was not asked for anything, in milliseconds.
    pub longest_idle: i64,
}

/// Something that happens in the course of a night, in the order in which it does.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// An attempt has got its URL.
    Began(Window),
    /// An attempt is over.
    Ended(Window, Outcome),
}

/// The recorders while a night goes on: asked for windows, it says what happens and when.
pub struct World<'a> {
    pub fleet: &'a Fleet,
    pub night: Night,
    by_device: BTreeMap<DeviceId, usize>,
    /// Streams of each recorder, from the call on.
    running: Vec<usize>,
    /// Attempts of each recorder, and since when there are none.
    attempts: Vec<(usize, i64)>,
    cameras: Vec<Busy>,
    uplinks: Vec<Uplink>,
    due: BTreeSet<(i64, u64, Due)>,
    order: u64,
    second: (i64, u64),
}

/// What keeps a camera from being asked.
#[derive(Clone, Debug, Default)]
struct Busy {
    attempt: Option<Attempt>,
    /// The camera stays busy until then, after a stream that was dropped.
    until: i64,
}

#[derive(Clone, Debug)]
struct Attempt {
    window: Window,
    outcome: Outcome,
    /// Milliseconds of streaming at full speed; nothing for a refusal.
    work: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// This camera's answer comes.
    Answer(usize),
    /// The first of this store's streams ends.
    Stream(usize),
}

/// A store's line to the world: its streams share it, each at full speed while there is room for all.
#[derive(Clone, Debug, Default)]
struct Uplink {
    /// In thousandths of a stream at full speed.
    room: Option<u64>,
    /// Thousandths of milliseconds of full speed that each stream has had so far, if it was there from the beginning.
    progress: u64,
    /// As of when.
    at: i64,
    /// Streams by the progress at which they end.
    streams: BTreeSet<(u64, usize)>,
    /// What is noted of it in `due`.
    noted: Option<(i64, u64)>,
}

impl Uplink {
    fn speed(&self) -> u64 {
        let streams = self.streams.len().max(1) as u64;
        self.room.map_or(1_000, |room| (room / streams).clamp(1, 1_000))
    }

    fn advance(&mut self, at: i64) {
        self.progress += (at - self.at).unsigned_abs() * self.speed();
        self.at = at;
    }

    /// When the first of its streams ends, if no other begins or ends.
    fn next(&self) -> Option<i64> {
        let &(end, _) = self.streams.first()?;
        Some(self.at + end.saturating_sub(self.progress).div_ceil(self.speed()) as i64)
    }
}

impl<'a> World<'a> {
    pub fn new(fleet: &'a Fleet) -> Self {
        let mut uplinks = vec![Uplink::default(); fleet.recorders.len()];
        for narrow in fleet.recorders.iter().filter_map(|recorder| recorder.uplink) {
            uplinks[narrow.store].room = Some(narrow.streams * 1_000);
        }
        Self {
            fleet,
            night: Night::default(),
            by_device: fleet.cameras.iter().enumerate().map(|(index, camera)| (camera.device, index)).collect(),
            running: vec![0; fleet.recorders.len()],
            attempts: vec![(0, 0); fleet.recorders.len()],
            cameras: vec![Busy::default(); fleet.cameras.len()],
            uplinks,
            due: BTreeSet::new(),
            order: 0,
            second: (0, 0),
        }
    }

    /// Asks for a window. Panics when its camera has a download already: no scheduler may do that.
    pub fn ask(&mut self, window: &Window, now: Instant) {
        let at = milliseconds(now);
        self.count_call(at);
        let index = self.by_device[&window.device];
        assert!(self.cameras[index].attempt.is_none(), "{window}: its camera has a download already");
        let recorder = self.fleet.cameras[index].recorder;
        self.count_idle(recorder, at);
        let (outcome, work) = match self.refusal(index, at) {
            Some(class) => {
                self.night.refused += 1;
                (Outcome::Missed(class), None)
            }
            None => {
                self.running[recorder] += 1;
                let (outcome, share) = self.stream(index, window, now);
                (outcome, Some(self.fleet.takes(recorder, window) * share / 1_000))
            }
        };
        self.cameras[index].attempt = Some(Attempt { window: *window, outcome, work });
        let reply = match self.cameras[index].attempt.as_ref().and_then(|attempt| attempt.work) {
            Some(_) => REPLY_MILLISECONDS / 2 + (chance(self.night.calls, window) % REPLY_MILLISECONDS as u64) as i64,
            None => REFUSAL_MILLISECONDS,
        };
        self.note(at + reply, Due::Answer(index));
    }

    /// When something happens next, unless somebody asks for something before.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|&(at, ..)| Instant::from(BEGIN) + Duration::from_millis(at.unsigned_abs()))
    }

    /// Lets the next thing happen.
    pub fn happen(&mut self) -> Option<(Instant, Happening)> {
        let now = self.next()?;
        let (at, _, due) = self.due.pop_first()?;
        let happening = match due {
            Due::Answer(index) => self.answer(index, at),
            Due::Stream(store) => {
                let uplink = &mut self.uplinks[store];
                uplink.noted = None;
                uplink.advance(at);
                let (_, index) = uplink.streams.pop_first().expect("what is noted streams");
                self.note_uplink(store);
                self.end(index, at)
            }
        };
        Some((now, happening))
    }

    fn answer(&mut self, index: usize, at: i64) -> Happening {
        let attempt = self.cameras[index].attempt.as_ref().expect("who is answered has asked");
        let window = attempt.window;
        let Some(work) = attempt.work else {
            return self.end(index, at);
        };
        let store = self.fleet.store_of(self.fleet.cameras[index].recorder);
        let uplink = &mut self.uplinks[store];
        uplink.advance(at);
        uplink.streams.insert((uplink.progress + work.unsigned_abs() * 1_000, index));
        self.note_uplink(store);
        Happening::Began(window)
    }

    fn end(&mut self, index: usize, at: i64) -> Happening {
        let Attempt { window, outcome, work } = self.cameras[index].attempt.take().expect("what ends has begun");
        let recorder = self.fleet.cameras[index].recorder;
        self.running[recorder] -= usize::from(work.is_some());
        self.attempts[recorder] = (self.attempts[recorder].0 - 1, at);
        let archived = match outcome {
            Outcome::Archived => window.range.seconds(),
            Outcome::Prefix { until } => until - window.range.start(),
            _ => 0,
        };
        if archived > 0 {
            self.night.archived_seconds += archived;
            self.night.makespan = at;
        }
        if matches!(outcome, Outcome::Prefix { .. } | Outcome::Broken) {
            self.cameras[index].until = at + self.fleet.recorders[recorder].busy_after_drop;
        }
        Happening::Ended(window, outcome)
    }

    /// Whether a window's stream would be refused now, and how.
    fn refusal(&self, index: usize, at: i64) -> Option<Class> {
        let recorder = self.fleet.cameras[index].recorder;
        let truth = &self.fleet.recorders[recorder];
        if Recorder::is_in(&truth.offline, at) {
            Some(Class::NvrOffline)
        } else if Recorder::is_in(&truth.overloaded, at) {
            Some(Class::NvrOverloaded)
        } else if at < self.cameras[index].until {
            Some(Class::CameraBusy)
        } else {
            (self.running[recorder] >= truth.channels_at(at)).then_some(Class::NvrFull)
        }
    }

    /// What a window's stream comes to, and after how many thousandths of its usual time.
    fn stream(&self, index: usize, window: &Window, now: Instant) -> (Outcome, i64) {
        let camera = &self.fleet.cameras[index];
        let recorder = &self.fleet.recorders[camera.recorder];
        let gone = recorder.keeps_seconds.map(|keeps| now.to_utc_second() - keeps);
        let (there, seconds) = (camera.holes_in(window.range, gone), window.range.seconds());
        // By the count of calls, so that a window that broke once may come whole the next time.
        let chance = chance(self.fleet.seed ^ self.night.calls, window);
        match seconds - there {
            0 => (Outcome::Empty, 0),
            media if there > 5 => (Outcome::Short { media_seconds: media }, media * 1_000 / seconds),
            media if chance % 1_000 < recorder.drops_per_mille => {
                let share = (chance / 1_000 % 1_000) as i64;
                // As the judge does: a prefix is a minute or more, and 5 s of it are asked for again.
                let kept = media * share / 1_000 - 5;
                let until = window.range.start() + kept;
                (if kept >= 60 { Outcome::Prefix { until } } else { Outcome::Broken }, share)
            }
            _ => (Outcome::Archived, 1_000),
        }
    }

    /// How many downloads a recorder really takes now: what only an oracle knows.
    pub fn true_room(&self, recorder: usize, now: Instant) -> usize {
        let at = milliseconds(now);
        let truth = &self.fleet.recorders[recorder];
        if Recorder::is_in(&truth.offline, at) || Recorder::is_in(&truth.overloaded, at) {
            return 0;
        }
        truth.channels_at(at).saturating_sub(self.running[recorder])
    }

    pub fn is_online(&self, recorder: usize, now: Instant) -> bool {
        !Recorder::is_in(&self.fleet.recorders[recorder].offline, milliseconds(now))
    }

    fn note(&mut self, at: i64, due: Due) -> (i64, u64) {
        self.order += 1;
        self.due.insert((at, self.order, due));
        (at, self.order)
    }

    fn note_uplink(&mut self, store: usize) {
        if let Some((at, order)) = self.uplinks[store].noted.take() {
            self.due.remove(&(at, order, Due::Stream(store)));
        }
        self.uplinks[store].noted = self.uplinks[store].next().map(|at| self.note(at, Due::Stream(store)));
    }

    fn count_idle(&mut self, recorder: usize, at: i64) {
        let (attempts, since) = self.attempts[recorder];
        self.attempts[recorder].0 += 1;
        if attempts == 0 {
            let truth = &self.fleet.recorders[recorder];
            let excused = truth.offline.iter().chain(&truth.overloaded);
            let excused: i64 = excused.map(|span| (span.to.min(at) - span.from.max(since)).max(0)).sum();
            self.night.longest_idle = self.night.longest_idle.max(at - since - excused);
        }
    }

    fn count_call(&mut self, at: i64) {
        self.night.calls += 1;
        let second = at / 1000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.night.peak_calls = self.night.peak_calls.max(self.second.1);
    }
}

fn milliseconds(now: Instant) -> i64 {
    now.since(Instant::from(BEGIN)).as_millis() as i64
}
