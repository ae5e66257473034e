//! The `[[job]]` sections: what is fetched from NVRs, and what is recorded live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono_tz::Tz;

use super::raw::{Given, Reader, Section};
use super::validate::{read_name, required};
use super::{JobSettings, LiveJobSettings, values};
use crate::calendar::{self, Asked, When};
use crate::device::DeviceId;
use crate::time_range::UtcSecond;

/// The end of the year 9999: as of then nothing is still to come, and only a range that never holds a second is wrong.
const LAST_SECOND: UtcSecond = UtcSecond::new(253_402_300_799);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Download,
    Live,
}

/// What only a job that fetches from NVRs can say.
const OF_DOWNLOADS: [&str; 5] = ["range", "last", "from", "to", "stop_at"];

/// The jobs, those that fetch from NVRs and those that record live. `zone` is the devices' local time.
pub(super) fn read(reader: &mut Reader, file: &mut Section, zone: Tz) -> (Vec<JobSettings>, Vec<LiveJobSettings>) {
    let (mut jobs, mut live_jobs) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    let mut recorded: BTreeMap<DeviceId, String> = BTreeMap::new();
    for mut section in reader.sections(file, "job") {
        let name = read_name(reader, &mut section, &mut names);
        let here = &mut section;
        let kind = values::choice(&[("download", Kind::Download), ("live", Kind::Live)]);
        let kind = reader.read(here, "kind", kind).unwrap_or(Kind::Download);
        let devices = required(reader, here, "devices", values::devices);
        let time_zone = reader.read(here, "time_zone", values::zone);
        let hours = reader.read_list(here, "hours", values::hours);
        let keep = reader.read(here, "keep", values::a_day_at_least);
        // OK to leave a job out below: a mistake was reported for it.
        match kind {
            Kind::Download => {
                let asked = read_asked(reader, here, time_zone.unwrap_or(zone));
                let stop_at = reader.read(here, "stop_at", values::clock);
                warn_of_what_is_not_kept(reader, here, asked.as_ref(), keep);
                if let (Some(devices), Some(asked)) = (devices, asked) {
                    jobs.push(JobSettings { name, devices, asked, hours, stop_at, time_zone, keep });
                }
            }
            Kind::Live => {
                refuse_what_only_downloads_have(reader, here);
                let secondary = reader.read(here, "secondary", values::truth).unwrap_or(false);
                if let Some(devices) = devices {
                    refuse_second_stream(reader, here, &devices, &recorded);
                    recorded.extend(devices.iter().map(|&device| (device, name.clone())));
                    live_jobs.push(LiveJobSettings { name, devices, hours, secondary, time_zone, keep });
                }
            }
        }
        reader.finish(section);
    }
    (jobs, live_jobs)
}

fn refuse_what_only_downloads_have(reader: &mut Reader, section: &mut Section) {
    for key in OF_DOWNLOADS {
        if let Some(given) = section.take(key) {
            let text = format!("{}: a live job has no {key}: it records in its hours", section.name);
            reader.mistake(&given.place, text);
        }
    }
}

/// What is fetched late and is too old by then goes with the next pruning.
fn warn_of_what_is_not_kept(reader: &mut Reader, section: &Section, asked: Option<&Asked>, keep: Option<Duration>) {
    if let (Some(Asked::Last(last)), Some(keep)) = (asked, keep)
        && keep < *last
    {
        let text = format!(
            "{}: its last is longer than its keep; what is older than that is fetched and pruned",
            section.name
        );
        reader.warn(&section.place, text);
    }
}

fn refuse_second_stream(
    reader: &mut Reader,
    section: &Section,
    devices: &BTreeSet<DeviceId>,
    recorded: &BTreeMap<DeviceId, String>,
) {
    if let Some((device, other)) = devices.iter().find_map(|device| Some((device, recorded.get(device)?))) {
        let text = format!("{}: device {device} is also in \"{other}\"; a camera is recorded live once", section.name);
        reader.mistake(&section.place, text);
    }
}

fn read_asked(reader: &mut Reader, section: &mut Section, zone: Tz) -> Option<Asked> {
    let (range, last) = (section.take("range"), section.take("last"));
    let (from, to) = (section.take("from"), section.take("to"));
    let ways = [range.is_some(), last.is_some(), from.is_some() || to.is_some()];
    if ways.into_iter().filter(|&is_written| is_written).count() != 1 || (from.is_none() && to.is_some()) {
        let ways = "write one of range = \"yesterday\", last = \"26h\", or from and to";
        reader.mistake(&section.place, format!("{}: it must have one range of time; {ways}", section.name));
        return None;
    }
    let read_when = |reader: &mut Reader, key, given: Given| reader.check(&given, key, values::when);
    match (range, last, from) {
        (Some(range), ..) => reader.check(&range, "range", values::day),
        (_, Some(last), _) => reader.check(&last, "last", values::last),
        (_, _, Some(from)) => {
            let from = read_when(reader, "from", from);
            let to = to.map_or(Some(When::Now), |to| read_when(reader, "to", to));
            let asked = Asked::Between { from: from?, to: to? };
            if let Err(error) = calendar::resolve(&asked, &[], zone, LAST_SECOND) {
                reader.mistake(&section.place, format!("{}: {error}", section.name));
            }
            Some(asked)
        }
        // OK: exactly one is there, as was checked above.
        (None, None, None) => None,
    }
}
