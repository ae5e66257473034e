//! The world behind the gateway: recorders, their channels and troubles, cameras and their footage. Time comes in as an
//! argument, and nothing here reads a clock or a socket.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::sim::channels::Codec;
use crate::sim::config::{CameraConfig, Config, FirstTimestamp, NoFootage, NvrConfig};
use crate::sim::draw::{draw, of_text};
use crate::sim::fault::{self, Fault, MediaFault, Profile};
use crate::sim::footage::{Footage, Hole};
use crate::sim::moment::{Length, Stretch};
use crate::sim::script::Trouble;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::Window;

/// The number of an accepted download, from 1.
pub type Lease = u64;

/// An accepted download.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its number.
    pub lease: Lease,
    /// The recorder's MAC address, twelve hexadecimal digits.
    pub nvr_mac: String,
    /// The camera's.
    pub camera_mac: String,
}

/// Why a download is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `stat.code`.
    Stat(i64),
    /// `data.result`.
    Result(i64),
}

/// What an opened URL plays.
#[derive(Clone, Debug)]
pub struct Play {
    /// What was asked for.
    pub window: Window,
    /// The recording.
    pub footage: Footage,
    /// What goes wrong with it.
    pub fault: Option<MediaFault>,
    /// When the download was accepted; a growing file grows from then on.
    pub granted: Instant,
}

struct Nvr {
    id: NvrId,
    mac: String,
    channels: u32,
    taken: Vec<(u32, Stretch)>,
    offline: Vec<Stretch>,
    overloaded: Vec<Stretch>,
    /// What a test does to it.
    trouble: Option<Trouble>,
    keeps: Length,
}

struct Camera {
    nvr: Option<usize>,
    mac: String,
    holes: RangeSet,
    played: Vec<Stretch>,
    offline: Vec<Stretch>,
    refused: bool,
    codec: Codec,
    busy_until: Instant,
    /// How often each window has come as far as the dice, by its start.
    asks: BTreeMap<UtcSecond, u32>,
}

struct Download {
    play: Play,
    /// How many requests are streaming it: one, or several of a growing file.
    open: u32,
    /// When it is given up unless it is opened.
    expires: Instant,
}

/// The world, at whatever time it is asked.
pub struct Model {
    nvrs: Vec<Nvr>,
    cameras: BTreeMap<DeviceId, Camera>,
    downloads: BTreeMap<Lease, Download>,
    last_lease: Lease,
    most_open: BTreeMap<DeviceId, u32>,
    most_open_by_nvr: BTreeMap<NvrId, u32>,
    seed: u64,
    faults: Profile,
    hole: Hole,
    filler: u32,
    no_footage: NoFootage,
    first_timestamp: FirstTimestamp,
    url_life: Length,
    busy_after_drop: Length,
}

impl Model {
    /// The set-up's world, on the clock of a server that started at `start`.
    pub fn new(config: &Config, start: Instant) -> Self {
        let mut model = Self {
            nvrs: Vec::new(),
            cameras: BTreeMap::new(),
            downloads: BTreeMap::new(),
            last_lease: 0,
            most_open: BTreeMap::new(),
            most_open_by_nvr: BTreeMap::new(),
            seed: config.seed,
            faults: config.faults,
            hole: config.hole,
            filler: config.filler,
            no_footage: config.no_footage,
            first_timestamp: config.first_timestamp,
            url_life: config.url_life,
            busy_after_drop: config.busy_after_drop(),
        };
        for store in &config.stores {
            for nvr in &store.nvrs {
                model.nvrs.push(Nvr::new(nvr, start, config.zone));
                let index = model.nvrs.len() - 1;
                model.add_cameras(&nvr.cameras, Some(index), start, config.zone);
            }
            model.add_cameras(&store.loose_cameras, None, start, config.zone);
        }
        model
    }

    fn add_cameras(&mut self, cameras: &[CameraConfig], nvr: Option<usize>, start: Instant, zone: Tz) {
        for camera in cameras {
            // OK to leave out a negative number: the set-up was checked for it.
            if let Some(device) = DeviceId::new(camera.id) {
                self.cameras.insert(device, Camera::new(camera, nvr, start, zone));
            }
        }
    }

    /// Whether the device's recorder is online; a camera without one is.
    pub fn is_online(&self, device: DeviceId, now: Instant) -> bool {
        let nvr = self.cameras.get(&device).and_then(|camera| camera.nvr);
        nvr.is_none_or(|nvr| !self.nvrs[nvr].is_offline(now))
    }

    /// The device's recorder.
    pub fn nvr_of(&self, device: DeviceId) -> Option<&NvrId> {
        self.cameras.get(&device)?.nvr.map(|nvr| &self.nvrs[nvr].id)
    }

    /// Puts a recorder into that trouble, or out of it.
    pub fn trouble(&mut self, nvr: &NvrId, trouble: Option<Trouble>) {
        if let Some(nvr) = self.nvrs.iter_mut().find(|candidate| candidate.id == *nvr) {
            nvr.trouble = trouble;
        }
    }

    /// Asks for a download.
    pub fn ask(&mut self, window: Window, now: Instant) -> Result<Grant, Refusal> {
        self.expire(now);
        self.refusal(window.device, now).map_or(Ok(()), Err)?;
        let fault = match self.next_fault(window) {
            Some(Fault::Stat(code)) => return Err(Refusal::Stat(code)),
            Some(Fault::Result(result)) => return Err(Refusal::Result(result)),
            Some(Fault::Media(fault)) => Some(fault),
            None => None,
        };
        let footage = self.truth(window.device, window.range, now);
        if footage.is_empty() && self.no_footage == NoFootage::Refuse {
            return Err(Refusal::Result(-1));
        }
        self.grant(window, footage, fault, now)
    }

    /// Gives a download whatever the world is like, with that fault and no other.
    pub fn force(&mut self, window: Window, fault: Option<MediaFault>, now: Instant) -> Result<Grant, Refusal> {
        self.expire(now);
        let footage = self.truth(window.device, window.range, now);
        self.grant(window, footage, fault, now)
    }

    /// What keeps the device from a download now, if anything; the first that applies, from the account inward.
    fn refusal(&self, device: DeviceId, now: Instant) -> Option<Refusal> {
        let Some(camera) = self.cameras.get(&device) else { return Some(Refusal::Stat(103_092)) };
        if camera.refused {
            return Some(Refusal::Stat(103_064));
        }
        let Some(nvr) = camera.nvr else { return Some(Refusal::Result(-2)) };
        let result = if self.nvrs[nvr].is_offline(now) {
            1
        } else if self.nvrs[nvr].is_overloaded(now) {
            -5
        } else if now < camera.busy_until || self.downloads.values().any(|held| held.play.window.device == device) {
            -3
        } else if any(&camera.played, now) {
            -6
        } else if self.held_by(nvr) >= self.nvrs[nvr].free_channels(now) {
            -4
        } else {
            return None;
        };
        Some(Refusal::Result(result))
    }

    /// How many of the recorder's channels downloads hold, whether they are streaming or not yet opened.
    fn held_by(&self, nvr: usize) -> u32 {
        let of_nvr = |device: &DeviceId| self.cameras.get(device).is_some_and(|camera| camera.nvr == Some(nvr));
        self.downloads.values().filter(|held| of_nvr(&held.play.window.device)).count() as u32
    }

    /// Draws the next fault of this window. Refusals are not counted, since they depend on what else is going on.
    fn next_fault(&mut self, window: Window) -> Option<Fault> {
        let camera = self.cameras.get_mut(&window.device)?;
        let ask = camera.asks.entry(window.range.start()).or_default();
        let fault = fault::drawn(self.faults, self.seed, window.device, window.range, *ask);
        *ask += 1;
        fault
    }

    fn grant(
        &mut self,
        window: Window,
        stretches: RangeSet,
        fault: Option<MediaFault>,
        now: Instant,
    ) -> Result<Grant, Refusal> {
        let camera = self.cameras.get(&window.device).ok_or(Refusal::Stat(103_092))?;
        let nvr_mac = camera.nvr.map_or(&camera.mac, |nvr| &self.nvrs[nvr].mac).clone();
        let fault = match fault {
            None if stretches.is_empty() && self.no_footage == NoFootage::Nothing => Some(MediaFault::Nothing),
            other => other,
        };
        let first = match self.first_timestamp {
            FirstTimestamp::Zero => 0,
            FirstTimestamp::Uptime => uptime(self.seed, window.device, window.range.start()),
        };
        let footage = Footage::new(window.device, window.range, &stretches, self.hole, first).with_filler(self.filler);
        self.last_lease += 1;
        let grant = Grant { lease: self.last_lease, nvr_mac, camera_mac: camera.mac.clone() };
        let play = Play { window, footage, fault, granted: now };
        let expires = now + self.url_life.to_duration();
        self.downloads.insert(grant.lease, Download { play, open: 0, expires });
        Ok(grant)
    }

    /// Opens a download's URL. Nothing when it is unknown, used up or expired.
    pub fn open(&mut self, lease: Lease, now: Instant) -> Option<Play> {
        self.expire(now);
        let download = self.downloads.get_mut(&lease)?;
        let several = matches!(download.play.fault, Some(MediaFault::Grows { .. }));
        if download.open > 0 && !several {
            return None;
        }
        download.open += 1;
        let play = download.play.clone();
        self.count_open(play.window.device);
        Some(play)
    }

    fn count_open(&mut self, device: DeviceId) {
        let of_device: u32 =
            self.downloads.values().filter(|held| held.play.window.device == device).map(|held| held.open).sum();
        let most = self.most_open.entry(device).or_default();
        *most = (*most).max(of_device);
        let Some(nvr) = self.cameras.get(&device).and_then(|camera| camera.nvr) else { return };
        let same_nvr =
            |held: &&Download| self.cameras.get(&held.play.window.device).is_some_and(|camera| camera.nvr == Some(nvr));
        let of_nvr: u32 = self.downloads.values().filter(same_nvr).map(|held| held.open).sum();
        let most = self.most_open_by_nvr.entry(self.nvrs[nvr].id.clone()).or_default();
        *most = (*most).max(of_nvr);
    }

    /// How the device's live pictures are coded, if this user may watch it. The error is a `stat.code`. A camera that is
    /// off is no reason for a refusal: there is no code for that. **\[doc\]**
    pub fn may_watch(&self, device: DeviceId) -> Result<Codec, i64> {
        match self.cameras.get(&device) {
            None => Err(103_092),
            Some(camera) if camera.refused => Err(103_064),
            Some(camera) => Ok(camera.codec),
        }
    }

    /// Whether the device sends live: neither it nor its recorder, through which it is reached, is off.
    pub fn sends_live(&self, device: DeviceId, at: Instant) -> bool {
        let is_off = |camera: &Camera| any(&camera.offline, at);
        self.cameras.get(&device).is_some_and(|camera| !is_off(camera)) && self.is_online(device, at)
    }

    /// The timestamp of the picture that a live stream from `second` begins with.
    pub fn live_timestamp(&self, device: DeviceId, second: UtcSecond) -> u32 {
        match self.first_timestamp {
            FirstTimestamp::Zero => 0,
            FirstTimestamp::Uptime => uptime(self.seed, device, second),
        }
    }

    /// Says that a request for a download's URL has ended; `whole` when the last byte of the recording was sent.
    pub fn close(&mut self, lease: Lease, whole: bool, now: Instant) {
        let Some(download) = self.downloads.get_mut(&lease) else { return };
        download.open = download.open.saturating_sub(1);
        if !whole && matches!(download.play.fault, Some(MediaFault::Grows { .. })) {
            download.expires = now + self.url_life.to_duration();
            return;
        }
        let device = download.play.window.device;
        self.downloads.remove(&lease);
        if !whole && let Some(camera) = self.cameras.get_mut(&device) {
            camera.busy_until = now + self.busy_after_drop.to_duration();
        }
    }

    fn expire(&mut self, now: Instant) {
        self.downloads.retain(|_, held| held.open > 0 || now < held.expires);
    }

    /// The seconds of `range` of which footage exists at `now`.
    pub fn truth(&self, device: DeviceId, range: TimeRange, now: Instant) -> RangeSet {
        let Some(camera) = self.cameras.get(&device) else { return RangeSet::new() };
        let now = now.to_utc_second();
        let keeps = camera.nvr.map_or(Length::default(), |nvr| self.nvrs[nvr].keeps);
        let kept = TimeRange::new(now - keeps.as_millis() / 1000, now).and_then(|kept| kept.intersect(&range));
        kept.map_or(RangeSet::new(), |kept| RangeSet::from(kept).subtract(&camera.holes))
    }

    /// The most streams that were open at once, of each device that had any.
    pub fn most_open(&self) -> &BTreeMap<DeviceId, u32> {
        &self.most_open
    }

    /// The most streams that were open at once, of each recorder that had any.
    pub fn most_open_by_nvr(&self) -> &BTreeMap<NvrId, u32> {
        &self.most_open_by_nvr
    }
}

impl Nvr {
    fn new(config: &NvrConfig, start: Instant, zone: Tz) -> Self {
        let resolve = |periods: &[_]| resolve(periods, start, zone);
        Self {
            id: NvrId::new(&config.id),
            mac: mac(of_text(&config.id)),
            channels: config.channels,
            taken: config.taken.iter().map(|taken| (taken.channels, taken.during.resolve(start, zone))).collect(),
            offline: resolve(&config.offline),
            overloaded: resolve(&config.overloaded),
            trouble: None,
            keeps: config.keeps,
        }
    }

    fn is_offline(&self, now: Instant) -> bool {
        any(&self.offline, now) || self.trouble == Some(Trouble::Offline)
    }

    fn is_overloaded(&self, now: Instant) -> bool {
        any(&self.overloaded, now) || self.trouble == Some(Trouble::Overloaded)
    }

    fn free_channels(&self, now: Instant) -> u32 {
        let taken = self.taken.iter().filter(|(_, during)| during.contains(now)).map(|(channels, _)| *channels);
        let by_test = match self.trouble {
            Some(Trouble::Taken(channels)) => channels,
            _ => 0,
        };
        taken.chain([by_test]).fold(self.channels, u32::saturating_sub)
    }
}

impl Camera {
    fn new(config: &CameraConfig, nvr: Option<usize>, start: Instant, zone: Tz) -> Self {
        let seconds = |hole: Stretch| TimeRange::new(hole.from.to_utc_second(), hole.to.to_utc_second());
        let offline = resolve(&config.offline, start, zone);
        let holes = resolve(&config.holes, start, zone).into_iter().chain(offline.iter().copied());
        Self {
            nvr,
            mac: mac(draw(&[config.id.cast_unsigned()])),
            holes: holes.filter_map(seconds).collect(),
            offline,
            codec: config.codec,
            played: resolve(&config.played, start, zone),
            refused: config.refused,
            busy_until: Instant::from_millis(i64::MIN),
            asks: BTreeMap::new(),
        }
    }
}

fn resolve(periods: &[crate::sim::moment::Period], start: Instant, zone: Tz) -> Vec<Stretch> {
    periods.iter().map(|period| period.resolve(start, zone)).collect()
}

fn any(stretches: &[Stretch], now: Instant) -> bool {
    stretches.iter().any(|stretch| stretch.contains(now))
}

/// Twelve hexadecimal digits; the second bit of the first byte says that nobody assigned it.
fn mac(number: u64) -> String {
    format!("02{:010x}", number & 0xff_ffff_ffff)
}

/// The camera's uptime in milliseconds at a second, as 32 bits.
fn uptime(seed: u64, device: DeviceId, second: UtcSecond) -> u32 {
    let booted = draw(&[seed, device.get().cast_unsigned()]);
    let milliseconds = second.get().cast_unsigned().wrapping_mul(1000);
    (milliseconds.wrapping_add(booted) & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests;
