//! Cameras that come and go while a run goes on, because hosts share the NVRs of a night.
//!
//! What is leased is added, and stands in line like what was there from the beginning. What another host is to have is
//! released: nothing more of it starts, and once nothing of it runs it is forgotten, with what was learned of its NVR handed
//! out for whoever takes it next.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::report::Learned;

use super::camera::Camera;
use super::line::NvrLine;
use super::{Scheduler, Work};

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

    /// Whether an attempt at any of these cameras is under way.
    pub fn runs_any(&self, devices: &[DeviceId]) -> bool {
        self.positions(devices).into_iter().any(|index| self.cameras[index].is_in_flight())
    }

    /// Whether of all these cameras nothing runs, and nothing more will start by itself.
    pub fn is_done(&self, devices: &[DeviceId]) -> bool {
        self.positions(devices).into_iter().all(|index| self.cameras[index].is_done(self.policy.settle))
    }

    /// Seconds of footage of these cameras that are neither archived nor given up.
    pub fn remaining_seconds_of(&self, devices: &[DeviceId]) -> i64 {
        self.positions(devices).into_iter().map(|index| self.cameras[index].remaining_seconds()).sum()
    }

    /// How many more downloads it could run, if it had work for them.
    pub fn spare_streams(&self) -> usize {
        self.policy.streams.max(1).saturating_sub(self.running)
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
