//! Who stands in line: ready cameras in front of their NVR, NVRs with room in front of their store, stores in front of the
//! run.
//!
//! Within a store what is about to be overwritten goes first, whatever is soonest; then the camera with the most work left,
//! so that no single camera is the tail of the night. Between stores it is fair: each has a share of the streams that goes
//! by how many downloads its NVRs take, so that a store whose streams crawl does not end up with all of them. A store that
//! needs longer than the others for what it has left counts for more, or it would be the tail of the night; so does one
//! whose footage is in danger. None of them takes anybody's share whole.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::backoff::Delays;
use crate::device::NvrId;
use crate::instant::Instant;
use crate::outcome::{Class, Outcome};
use crate::report::Learned;

use super::horizon::{Horizon, Hurry};
use super::nvr::Nvr;
use super::{Policy, Scheduler, Wake};

/// How many times its share a store gets while footage of it is in danger.
const SHARE_IN_DANGER: usize = 4;

/// How many times its share a store gets at the most because it needs longer than the others for what it has left.
const MOST_FOR_LONGEST: i128 = 4;

/// How a camera stands in front of its NVR, and an NVR (as its first camera) in front of its store: what hurries, then what
/// has the most seconds left, then by position, so that the same plan gives the same night.
pub(super) type Rank = (Hurry, Reverse<i64>, usize);

/// How a store stands in front of the run: the one with the smallest part of its share first, then as its first NVR.
pub(super) type StoreRank = (usize, Rank);

/// An NVR with the cameras that stand ready in front of it.
#[derive(Debug)]
pub(super) struct NvrLine {
    pub(super) id: NvrId,
    pub(super) nvr: Nvr,
    pub(super) horizon: Horizon,
    /// Its store's position.
    pub(super) store: usize,
    pub(super) cameras: Vec<usize>,
    pub(super) ready: BTreeSet<Rank>,
    /// Under which rank it stands in front of its store.
    open_as: Option<Rank>,
    /// What it counts for in its store's share.
    work: Amount,
    /// The earliest wake that is set for it.
    pub(super) wake_at: Option<Instant>,
}

/// A store with those of its NVRs that have room, and a camera that is ready.
#[derive(Debug, Default)]
pub(super) struct StoreLine {
    pub(super) open: BTreeSet<Rank>,
    /// Attempts under way at its cameras.
    pub(super) running: usize,
    /// What its NVRs have left together.
    work: Amount,
    /// Under which rank it stands in front of the run.
    open_as: Option<StoreRank>,
}

/// How much is left to do, and how fast it can be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Seconds of footage.
    left_seconds: i64,
    /// How many downloads at once are taken by NVRs that have anything left.
    width: usize,
}

impl Amount {
    /// A part of it is another now.
    fn change(&mut self, was: Self, is: Self) {
        self.left_seconds += is.left_seconds - was.left_seconds;
        self.width = self.width + is.width - was.width;
    }

    /// How much longer than all together it takes, in thousandths: at least as long, and so much longer at the most.
    fn longer_than(self, all: Self) -> i128 {
        let wide = |amount: Self| i128::try_from(amount.width.max(1)).unwrap_or(i128::MAX);
        let (own, of_all) = (i128::from(self.left_seconds), i128::from(all.left_seconds).max(1));
        // OK in 128 bits: seconds of 64 bits, and as many downloads as there are cameras.
        (own * wide(all) * 1_000 / (wide(self) * of_all)).clamp(1_000, MOST_FOR_LONGEST * 1_000)
    }
}

impl NvrLine {
    pub(super) fn new(id: NvrId, store: usize, policy: &Policy, now: Instant) -> Self {
        let remembered = policy.learned.get(&id).and_then(|learned| learned.keeps);
        Self {
            nvr: Nvr::new(&id, policy, now),
            horizon: Horizon::new(policy.footage.get(&id).copied(), remembered),
            id,
            store,
            cameras: Vec::new(),
            ready: BTreeSet::new(),
            open_as: None,
            work: Amount::default(),
            wake_at: None,
        }
    }

    /// What the next night starts with.
    pub(super) fn learned(&self) -> Learned {
        Learned { keeps: self.horizon.learned(), ..self.nvr.learned() }
    }

    /// What an outcome says of the NVR. `asked_with` is how many of its downloads streamed when the attempt began.
    pub(super) fn note(&mut self, outcome: &Outcome, asked_with: usize, now: Instant, delays: &Delays, random: f64) {
        if *outcome != Outcome::Cancelled {
            self.nvr.asked();
        }
        match outcome {
            Outcome::Missed(Class::NvrFull) => self.nvr.full(asked_with, now, delays, random),
            Outcome::Missed(Class::NvrOverloaded) => self.nvr.overloaded(now, delays, random),
            Outcome::Missed(Class::NvrOffline) => self.nvr.went_offline(now, delays, random),
            Outcome::Missed(Class::MediaTrouble) => self.nvr.media_failed(now, delays, random),
            // A camera's own trouble, or the platform's, says nothing of the NVR.
            Outcome::Missed(_) | Outcome::Cancelled => {}
            _ => self.nvr.media_came(now, delays),
        }
    }
}

impl StoreLine {
    /// How much of its share it has, in millionths; less in danger, so that it goes before others. `all` is what the run has
    /// left.
    fn load(&self, hurry: Hurry, all: Amount) -> usize {
        let times = match hurry {
            // OK: it is no more than a few thousand.
            Hurry::None => usize::try_from(self.work.longer_than(all)).unwrap_or(usize::MAX),
            _ => SHARE_IN_DANGER * 1_000,
        };
        self.running * 1_000_000_000 / self.work.width.max(1).saturating_mul(times)
    }
}

impl Scheduler {
    /// The position of the line in front of an NVR, which begins with the first camera that is known to hang off it. `store`
    /// is where it stands; without one it counts as alone in its own.
    pub(super) fn line_of(&mut self, nvr: &NvrId, store: Option<String>, now: Instant) -> usize {
        if let Some(&known) = self.by_nvr.get(nvr) {
            return known;
        }
        let new = self.stores.len();
        let store = match store {
            Some(store) => *self.by_store.entry(store).or_insert(new),
            None => new,
        };
        if store == new {
            self.stores.push(StoreLine::default());
        }
        self.by_nvr.insert(nvr.clone(), self.nvrs.len());
        self.nvrs.push(NvrLine::new(nvr.clone(), store, &self.policy, now));
        self.nvrs.len() - 1
    }

    /// Lets a camera of which nothing is under way stand in front of another NVR.
    pub(super) fn move_camera(&mut self, index: usize, nvr: usize, now: Instant) {
        let old = std::mem::replace(&mut self.cameras[index].nvr, nvr);
        let line = &mut self.nvrs[old];
        line.cameras.retain(|&camera| camera != index);
        if let Some(rank) = self.cameras[index].ready_as.take() {
            line.ready.remove(&rank);
        }
        self.nvrs[nvr].cameras.push(index);
        self.refresh_nvr(old, now);
        self.refresh_camera(index, now);
    }

    /// Puts a camera where it belongs now: into its NVR's line, or to bed until something is due.
    pub(super) fn refresh_camera(&mut self, index: usize, now: Instant) {
        let camera = &mut self.cameras[index];
        let line = &mut self.nvrs[camera.nvr];
        if let Some(rank) = camera.ready_as.take() {
            line.ready.remove(&rank);
        }
        camera.drop_stopped(now);
        match camera.due(self.policy.settle) {
            Some(due) if due <= now => {
                let oldest = camera.oldest_waiting();
                let hurry = oldest.map_or(Hurry::None, |oldest| line.horizon.hurry(oldest, now));
                let rank = (hurry, Reverse(camera.remaining_seconds()), index);
                camera.ready_as = Some(rank);
                line.ready.insert(rank);
                let danger = oldest.and_then(|oldest| line.horizon.in_danger_from(oldest)).filter(|&at| at > now);
                if let Some(at) = danger.filter(|&at| camera.danger_at.is_none_or(|set| at < set)) {
                    camera.danger_at = Some(at);
                    self.wakes.push(Reverse((at, Wake::Danger(index))));
                }
            }
            Some(due) if camera.wake_at.is_none_or(|set| due < set) => {
                camera.wake_at = Some(due);
                self.wakes.push(Reverse((due, Wake::Camera(index))));
            }
            Some(_) | None => {}
        }
        let nvr = camera.nvr;
        self.refresh_nvr(nvr, now);
    }

    /// Puts an NVR where it belongs now: among those of its store that may start something, or to bed until it may.
    pub(super) fn refresh_nvr(&mut self, index: usize, now: Instant) {
        let line = &mut self.nvrs[index];
        let store = &mut self.stores[line.store];
        if let Some(rank) = line.open_as.take() {
            store.open.remove(&rank);
        }
        let left_seconds = line.cameras.iter().map(|&camera| self.cameras[camera].remaining_seconds()).sum();
        let width = if left_seconds > 0 { line.nvr.limit().min(line.cameras.len()) } else { 0 };
        let work = Amount { left_seconds, width };
        store.work.change(line.work, work);
        self.work.change(line.work, work);
        line.work = work;
        if let Some(&(hurry, remaining, _)) = line.ready.first() {
            if line.nvr.has_room(now) {
                let rank = (hurry, remaining, index);
                line.open_as = Some(rank);
                store.open.insert(rank);
            } else if let Some(at) = line.nvr.opens_at(now).filter(|&at| line.wake_at.is_none_or(|set| at < set)) {
                line.wake_at = Some(at);
                self.wakes.push(Reverse((at, Wake::Nvr(index))));
            }
        }
        let store = line.store;
        self.refresh_store(store);
    }

    /// Puts a store where it belongs now: in front of the run, if something of it may start. It stands there by what the whole
    /// run has left at this moment, until something of it begins or ends: OK because that changes little meanwhile.
    fn refresh_store(&mut self, index: usize) {
        let store = &mut self.stores[index];
        if let Some(rank) = store.open_as.take() {
            self.open.remove(&rank);
        }
        if let Some(&(hurry, remaining, _)) = store.open.first() {
            let rank = (store.load(hurry, self.work), (hurry, remaining, index));
            store.open_as = Some(rank);
            self.open.insert(rank);
        }
    }
}
