//! Cameras that come and go while a run goes on, because hosts share the NVRs of a night.
//!
//! What is leased is added, and stands in line like what was there from the beginning. What another host is to have is
//! released: nothing more of it starts, and once nothing of it runs it is forgotten, with what was learned of its NVR handed
//! out for whoever takes it next.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::lease::Demand;
use crate::report::Learned;
use crate::time_range::UtcSecond;

use super::camera::Camera;
use super::horizon::Horizon;
use super::line::NvrLine;
use super::{Policy, Scheduler, Work};

/// How some cameras stand, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Seconds of footage that are neither archived nor given up.
    pub left_seconds: i64,
    /// Whether an attempt at any of them is under way.
    pub runs: bool,
    /// Whether nothing of them runs, and nothing more will start by itself.
    pub is_done: bool,
}

/// What there is to do at each NVR. When it loses footage is told only where that is soon, by the hour: elsewhere what takes
/// longest is to be begun first.
pub fn demands(work: &[Work], policy: &Policy, now: Instant) -> Vec<Demand> {
    let mut by_nvr: BTreeMap<&NvrId, (i64, Option<UtcSecond>)> = BTreeMap::new();
    for Work { nvr, stretches, .. } in work {
        let (seconds, oldest) = by_nvr.entry(nvr).or_default();
        *seconds += stretches.iter().map(|stretch| stretch.missing.range.seconds()).sum::<i64>();
        let starts = stretches.iter().map(|stretch| stretch.missing.range.start());
        *oldest = starts.chain(*oldest).min();
    }
    let demand = |(nvr, (backlog_seconds, oldest)): (&NvrId, (i64, Option<UtcSecond>))| {
        let remembered = policy.learned.get(nvr).and_then(|learned| learned.keeps);
        let horizon = Horizon::new(policy.footage.get(nvr).copied(), remembered);
        let loses_at = oldest.and_then(|oldest| horizon.hurry(oldest, now).overwritten_at());
        Demand { nvr: nvr.clone(), backlog_seconds, loses_at }
    };
    by_nvr.into_iter().map(demand).collect()
}

impl Scheduler {
    /// Takes on cameras that it does not have, or has forgotten. `learned` is what is known by now of their NVRs. A camera of
    /// which an attempt is under way stays as it is.
    pub fn add(&mut self, work: Vec<Work>, learned: BTreeMap<NvrId, Learned>, now: Instant) {
        self.policy.learned.extend(learned);
        let nvrs: BTreeSet<NvrId> = work.iter().map(|item| item.nvr.clone()).collect();
        for nvr in nvrs {
            if let Some(&line) = self.by_nvr.get(&nvr) {
                self.renew_if_empty(line, now);
            }
        }
        self.take_on(work, now);
    }

    /// Starts nothing more of these cameras. What waits is taken out without being given up, and so is what running attempts
    /// leave.
    pub fn release(&mut self, devices: &[DeviceId], now: Instant) {
        for index in self.positions(devices) {
            self.cameras[index].release();
            self.refresh_camera(index, now);
        }
    }

    /// How these cameras stand, together.
    pub fn standing(&self, devices: &[DeviceId]) -> Standing {
        let mut standing = Standing { left_seconds: 0, runs: false, is_done: true };
        for &index in devices.iter().filter_map(|device| self.by_device.get(device)) {
            let camera = &self.cameras[index];
            standing.left_seconds += camera.remaining_seconds();
            standing.runs |= camera.is_in_flight();
            standing.is_done &= camera.is_done(self.policy.settle);
        }
        standing
    }

    /// How many more downloads it could run, if it had work for them. None while the platform itself fails, or once it drains:
    /// more work would only wait here.
    pub fn spare_streams(&self, now: Instant) -> usize {
        let idle = self.draining || self.platform_is_held(now);
        if idle { 0 } else { self.policy.streams.max(1).saturating_sub(self.running) }
    }

    /// Leaves out cameras of which nothing runs; others stay. Gives what was learned of NVRs that no camera is left of: their
    /// counts begin anew when they come back.
    pub fn forget(&mut self, devices: &[DeviceId], now: Instant) -> Vec<(NvrId, Learned)> {
        let mut left = BTreeSet::new();
        for index in self.positions(devices) {
            let nvr = self.cameras[index].nvr;
            if self.cameras[index].is_in_flight() || !self.nvrs[nvr].cameras.contains(&index) {
                continue;
            }
            self.cameras[index].release();
            self.refresh_camera(index, now);
            self.nvrs[nvr].cameras.retain(|&camera| camera != index);
            self.refresh_nvr(nvr, now);
            left.insert(nvr);
        }
        let mut learned = Vec::new();
        for nvr in left {
            let line = &self.nvrs[nvr];
            if line.cameras.is_empty() {
                let one = line.learned();
                self.policy.learned.insert(line.id.clone(), one);
                learned.push((line.id.clone(), one));
                self.renew_if_empty(nvr, now);
            }
        }
        learned
    }

    /// Puts new cameras in line.
    pub(super) fn take_on(&mut self, work: Vec<Work>, now: Instant) {
        let mut new = Vec::with_capacity(work.len());
        for item in work {
            let store = self.policy.stores.get(&item.nvr).cloned();
            let nvr = self.line_of(&item.nvr, store, now);
            let next = self.cameras.len();
            let index = *self.by_device.entry(item.device).or_insert(next);
            let camera = Camera::new(&item, nvr);
            if index == next {
                self.cameras.push(camera);
            } else if self.cameras[index].is_in_flight() {
                continue;
            } else {
                // Whatever line it stood in when it was last here.
                self.forget(&[item.device], now);
                self.cameras[index] = camera;
            }
            self.nvrs[nvr].cameras.push(index);
            new.push(index);
        }
        // Afterwards, when the lines in front of NVRs are complete.
        for index in new {
            self.refresh_camera(index, now);
        }
    }

    /// An NVR without cameras is looked at as `policy` now knows it. OK because nothing of it runs.
    fn renew_if_empty(&mut self, nvr: usize, now: Instant) {
        let line = &self.nvrs[nvr];
        if line.cameras.is_empty() {
            let (id, store) = (line.id.clone(), line.store);
            self.nvrs[nvr] = NvrLine::new(id, store, &self.policy, now);
        }
    }

    fn positions(&self, devices: &[DeviceId]) -> Vec<usize> {
        devices.iter().filter_map(|device| self.by_device.get(device).copied()).collect()
    }
}
