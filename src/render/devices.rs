//! The cameras as a table.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use serde::Serialize;

use crate::device::{DeviceId, NvrId};
use crate::nvrs::KnownFrom;
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;
use crate::wording;

/// One camera.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceLine {
    /// Its number.
    pub device: DeviceId,
    /// Its name.
    pub name: Option<Untrusted>,
    /// Its store's number.
    pub store_number: Option<i64>,
    /// Its store's name.
    pub store: Option<String>,
    /// The NVR that it counts to; one of its own when nobody knows it.
    pub nvr: NvrId,
    /// Who says so; nothing when nobody knows it.
    pub known_from: Option<KnownFrom>,
    /// Its channel on the NVR.
    pub channel: Option<i64>,
    /// Whether it was online when the platform last listed it.
    pub online: Option<bool>,
    /// Its time zone's IANA name.
    pub zone: String,
    /// When the platform last listed it (UTC).
    pub seen: Option<UtcSecond>,
    /// Whether anything of it was ever asked for.
    pub asked: bool,
}

/// The cameras, a line each, in the order in which they are given; those of one store when `store` says so.
pub fn devices(lines: &[DeviceLine], store: Option<i64>, zone: Tz) -> String {
    if lines.is_empty() {
        let (whose, flags) = store.map_or_else(
            || ("device".to_owned(), String::new()),
            |store| (format!("device of store {store}"), format!(" --store {store}")),
        );
        return format!("no {whose} is known; ask the platform with \"archive devices{flags} --refresh\"\n");
    }
    let header = ["device", "name", "store", "nvr", "known from", "channel", "online", "time zone", "last listed"];
    let mut table = super::table(&header);
    for line in lines {
        table.add_row([
            line.device.to_string(),
            line.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            store_text(line),
            line.nvr.to_string(),
            known_from(line.known_from).to_owned(),
            line.channel.map(|channel| channel.to_string()).unwrap_or_default(),
            line.online.map(|online| if online { "yes" } else { "no" }).unwrap_or_default().to_owned(),
            line.zone.clone(),
            line.seen.map(|seen| wording::time(seen, zone)).unwrap_or_default(),
        ]);
    }
    let nvrs: BTreeSet<&NvrId> = lines.iter().map(|line| &line.nvr).collect();
    let unknown = lines.iter().filter(|line| line.known_from.is_none()).count() as u64;
    let mut sum =
        format!("{} on {}", wording::count(lines.len() as u64, "device"), wording::count(nvrs.len() as u64, "NVR"));
    if unknown > 0 {
        sum.push_str(&format!("; nobody knows the NVR of {unknown}, so each counts as its own"));
    }
    format!("{table}\n{sum}\n")
}

fn store_text(line: &DeviceLine) -> String {
    let number = line.store_number.map(|number| number.to_string());
    number.into_iter().chain(line.store.clone()).collect::<Vec<_>>().join(" ")
}

const fn known_from(from: Option<KnownFrom>) -> &'static str {
    match from {
        Some(KnownFrom::Settings) => "settings",
        Some(KnownFrom::List) => "list",
        Some(KnownFrom::Url) => "URL",
        None => "unknown",
    }
}
