//! What people are told at the end of a run: where most is missing, in the names that they know, and what goes next.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde::Serialize;

use crate::device::{DeviceId, NvrId, NvrMap};
use crate::event::{Shortfall, Summary};
use crate::exit_code::ExitCode;
use crate::forecast::Lost;
use crate::report::DeviceRow;
use crate::time_range::UtcSecond;
use crate::window::Cause;

/// How many places are named; who wants all of them asks `archive gaps`.
const MOST_PLACES: usize = 5;

/// A run, as people are told of it.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// The command or the jobs, in the words of whoever asked.
    pub what: String,
    /// The machine that it ran on.
    pub host: String,
    /// When it began (UTC).
    pub began: UtcSecond,
    /// When it ended (UTC).
    pub ended: UtcSecond,
    /// The exit code of the program.
    pub exit: u8,
    /// How it ended, in a word or two.
    pub outcome: &'static str,
    /// What it came to; nothing when it did not begin, or came to no proper end.
    #[serde(flatten)]
    pub summary: Option<Summary>,
    /// What went wrong when it did not begin, or came to no proper end.
    pub failure: Option<String>,
    /// Where most of what the run was asked for is missing, worst first.
    pub worst: Vec<Place>,
    /// How many more places lack something.
    pub more_places: u64,
    /// What is still to be had of all that was ever asked for; nothing when nobody looked.
    pub next: Option<Next>,
    /// The devices' local time, in which people read times.
    #[serde(skip)]
    pub zone: Tz,
}

/// A store, an NVR or a camera of which something is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What people call it.
    pub name: String,
    /// How many of its cameras lack something.
    pub cameras: u64,
    /// How many of its cameras the run was asked for.
    pub of_cameras: u64,
    /// How much is missing there, in seconds.
    pub missing_seconds: i64,
    /// Why most of that is.
    pub cause: Cause,
}

/// What is still to be had of all that was ever asked for, and what of it will be overwritten first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Next {
    /// How much may still be fetched, in seconds.
    pub backlog_seconds: i64,
    /// What of it will be overwritten before it can be reached.
    pub lost: Option<Lost>,
    /// The NVR that loses most of that.
    pub lost_at: Option<NvrId>,
}

/// When something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the end of every run.
    Always,
    /// When not all that was asked for is archived, whatever the reason.
    Gaps,
    /// When the run did not finish its work.
    Failure,
}

impl When {
    /// Whether a run that ended so is told of.
    pub fn tells(self, exit: u8) -> bool {
        match self {
            Self::Always => true,
            Self::Gaps => exit != ExitCode::Complete as u8,
            Self::Failure => ![ExitCode::Complete as u8, ExitCode::Gaps as u8].contains(&exit),
        }
    }
}

/// Which cameras the run was asked for, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Cameras<'a> {
    /// What was asked for.
    pub asked: &'a BTreeSet<DeviceId>,
    /// What the ledger knows of cameras.
    pub known: &'a [DeviceRow],
    /// Which NVR serves which.
    pub nvrs: &'a NvrMap,
}

/// Where most is missing, worst first, and how many more places lack something. Cameras are put together by store, or by NVR
/// where the store is not known; one that is alone in lacking something is named itself.
pub fn worst(short: &[Shortfall], cameras: Cameras<'_>) -> (Vec<Place>, u64) {
    let rows: BTreeMap<DeviceId, &DeviceRow> = cameras.known.iter().map(|row| (row.facts.device, row)).collect();
    let mut of_cameras: BTreeMap<Site, u64> = BTreeMap::new();
    for &device in cameras.asked {
        *of_cameras.entry(site(device, &rows, cameras.nvrs)).or_default() += 1;
    }
    let mut by_site: BTreeMap<Site, Vec<&Shortfall>> = BTreeMap::new();
    for camera in short {
        by_site.entry(site(camera.device, &rows, cameras.nvrs)).or_default().push(camera);
    }
    let mut places: Vec<Place> = by_site
        .into_iter()
        .map(|(site, short)| {
            let name = name(&site, &short, &rows);
            let cameras = short.len() as u64;
            let of_cameras = of_cameras.get(&site).copied().unwrap_or_default().max(cameras);
            let mut missing: BTreeMap<Cause, i64> = BTreeMap::new();
            for (&cause, &seconds) in short.iter().flat_map(|camera| &camera.missing) {
                *missing.entry(cause).or_default() += seconds;
            }
            let most = missing.iter().max_by_key(|&(_, seconds)| seconds);
            let cause = most.map_or(Cause::NotTried, |(&cause, _)| cause);
            Place { name, cameras, of_cameras, missing_seconds: missing.values().sum(), cause }
        })
        .collect();
    // OK to sort by the sum alone: what comes out equal stays in the order of its names.
    places.sort_by_key(|place| std::cmp::Reverse(place.missing_seconds));
    let more = places.len().saturating_sub(MOST_PLACES) as u64;
    places.truncate(MOST_PLACES);
    (places, more)
}

/// Where a camera is, as far as anything tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    /// In the store of that number or, without one, that name.
    Store(String),
    /// Behind that NVR, whose store is not known.
    Nvr(NvrId),
    /// Nobody knows.
    Alone(DeviceId),
}

fn site(device: DeviceId, rows: &BTreeMap<DeviceId, &DeviceRow>, nvrs: &NvrMap) -> Site {
    let nvr = nvrs.known(device);
    let store = nvr.and_then(|nvr| nvrs.store_of(nvr)).map(str::to_owned);
    match (store.or_else(|| rows.get(&device)?.facts.store_identity()), nvr) {
        (Some(store), _) => Site::Store(store),
        (None, Some(nvr)) => Site::Nvr(nvr.clone()),
        (None, None) => Site::Alone(device),
    }
}

fn name(site: &Site, short: &[&Shortfall], rows: &BTreeMap<DeviceId, &DeviceRow>) -> String {
    let facts = |device: &DeviceId| rows.get(device).map(|row| &row.facts);
    let site = match site {
        Site::Store(store) => {
            let listed = short.iter().find_map(|camera| facts(&camera.device)?.store.as_ref());
            let is_number = store.chars().all(|c| c.is_ascii_digit());
            let unlisted = if is_number { format!("store {store}") } else { store.clone() };
            Some(listed.map_or(unlisted, ToString::to_string))
        }
        Site::Nvr(nvr) => Some(format!("nvr {nvr}")),
        Site::Alone(_) => None,
    };
    let [camera] = short else { return site.unwrap_or_default() };
    let device = camera.device;
    let camera = match facts(&device).and_then(|facts| facts.name.as_ref()) {
        Some(name) => format!("{name} (device {device})"),
        None => format!("device {device}"),
    };
    site.map_or_else(|| camera.clone(), |site| format!("{site}, {camera}"))
}

#[cfg(test)]
mod tests;
