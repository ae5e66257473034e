//! From what a person wrote, on the command line or in a file, to what is asked of each device.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use chrono::Utc;
use chrono_tz::Tz;

use crate::calendar::{self, Asked, HourSpan, When};
use crate::cli::Selection;
use crate::device::DeviceId;
use crate::plan::Request;
use crate::settings::{JobSettings, Settings, parse_device_list};
use crate::time_range::{TimeRange, UtcSecond};

use super::UsageError;

/// What is asked, of whom, in which local time.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    /// In the words of whoever asked.
    pub(super) what: String,
    /// What is asked of each device.
    pub(super) asked: BTreeMap<DeviceId, Request>,
    /// The devices' local time, where a job says it.
    pub(super) zones: BTreeMap<DeviceId, Tz>,
    /// Choices that were made for the person.
    pub(super) notes: Vec<String>,
}

/// Now, on this machine's clock.
pub(super) fn now() -> UtcSecond {
    UtcSecond::floor(Utc::now())
}

/// What the flags select. Both devices and a time are needed.
pub(super) fn of_selection(selection: &Selection, zone: Tz, now: UtcSecond) -> anyhow::Result<Requests> {
    let devices = devices(selection)?.ok_or_else(|| UsageError("which cameras? add --device 5,7,10-14".to_owned()))?;
    let asked = asked(selection)?.ok_or_else(|| {
        let ways = "add --from and --to, --last 24h, or --date yesterday";
        UsageError(format!("which time? {ways}"))
    })?;
    let hours = hours(selection)?;
    let mut requests = Requests { what: describe(selection), ..Requests::default() };
    requests.add(&devices, &asked, &hours, zone, None, now)?;
    Ok(requests)
}

/// What the jobs of a file ask, all of them or those named.
pub(super) fn of_jobs(settings: &Settings, names: &[String], now: UtcSecond) -> anyhow::Result<Requests> {
    let known: BTreeSet<&str> = settings.jobs.iter().map(|job| job.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(UsageError(format!("no job is called {unknown:?}; the file has: {known}")).into());
    }
    let wanted = |job: &&JobSettings| names.is_empty() || names.contains(&job.name);
    let jobs: Vec<&JobSettings> = settings.jobs.iter().filter(wanted).collect();
    if jobs.is_empty() {
        return Err(UsageError("there is no job to run: add a [[job]] to the file".to_owned()).into());
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let mut requests = Requests { what: format!("run {}", names.join(", ")), ..Requests::default() };
    for job in jobs {
        let stop_at = job.stop_at.map(|time| calendar::next_local_time(time, job.time_zone, now));
        requests
            .add(&job.devices, &job.asked, &job.hours, job.time_zone, stop_at, now)
            .with_context(|| format!("job {:?}", job.name))?;
        for &device in &job.devices {
            requests.zones.insert(device, job.time_zone);
        }
    }
    Ok(requests)
}

/// Devices and one range for a question to the ledger; everything that is left out means all.
pub(super) fn of_question(
    selection: &Selection,
    zone: Tz,
    now: UtcSecond,
) -> anyhow::Result<(Option<Vec<DeviceId>>, Option<TimeRange>)> {
    if !selection.hours.is_empty() {
        return Err(UsageError("--hours is for fetching; a question takes --from and --to".to_owned()).into());
    }
    let devices = devices(selection)?.map(|devices| devices.into_iter().collect());
    let within = match asked(selection)? {
        None => None,
        Some(asked) => {
            let resolved = calendar::resolve(&asked, &[], zone, now).map_err(|error| UsageError(error.to_string()))?;
            resolved.ranges.ranges().first().copied()
        }
    };
    Ok((devices, within))
}

impl Requests {
    /// Asks the same of each of these devices. What two jobs ask of one device is asked once, until the later of their
    /// ends.
    fn add(
        &mut self,
        devices: &BTreeSet<DeviceId>,
        asked: &Asked,
        hours: &[HourSpan],
        zone: Tz,
        stop_at: Option<UtcSecond>,
        now: UtcSecond,
    ) -> anyhow::Result<()> {
        let resolved = calendar::resolve(asked, hours, zone, now).map_err(|error| UsageError(error.to_string()))?;
        self.notes.extend(resolved.notes.iter().map(ToString::to_string));
        for &device in devices {
            match self.asked.get_mut(&device) {
                None => {
                    self.asked.insert(device, Request { ranges: resolved.ranges.clone(), stop_at });
                }
                Some(request) => {
                    for &range in &resolved.ranges {
                        request.ranges.insert(range);
                    }
                    request.stop_at = request.stop_at.zip(stop_at).map(|(a, b)| a.max(b));
                }
            }
        }
        Ok(())
    }
}

fn devices(selection: &Selection) -> anyhow::Result<Option<BTreeSet<DeviceId>>> {
    if selection.devices.is_empty() {
        return Ok(None);
    }
    let mut devices = BTreeSet::new();
    for list in &selection.devices {
        devices.extend(parse_device_list(list).map_err(|error| UsageError(format!("--device: {error}")))?);
    }
    Ok(Some(devices))
}

fn asked(selection: &Selection) -> anyhow::Result<Option<Asked>> {
    let usage = |flag: &str, error: &dyn std::fmt::Display| UsageError(format!("{flag}: {error}"));
    if let Some(last) = &selection.last {
        return Ok(Some(Asked::last(last).map_err(|error| usage("--last", &error))?));
    }
    if let Some(date) = &selection.date {
        return Ok(Some(Asked::day(date).map_err(|error| usage("--date", &error))?));
    }
    match (&selection.from, &selection.to) {
        (None, None) => Ok(None),
        (Some(from), to) => {
            let from: When = from.parse().map_err(|error| usage("--from", &error))?;
            let to: When = to.as_deref().unwrap_or("now").parse().map_err(|error| usage("--to", &error))?;
            Ok(Some(Asked::Between { from, to }))
        }
        (None, Some(_)) => Err(UsageError("--to needs --from".to_owned()).into()),
    }
}

fn hours(selection: &Selection) -> anyhow::Result<Vec<HourSpan>> {
    let parse = |span: &String| span.parse().map_err(|error| UsageError(format!("--hours: {error}")).into());
    selection.hours.iter().map(parse).collect()
}

/// The one-off in its own words, for the ledger.
fn describe(selection: &Selection) -> String {
    let mut words = vec![format!("device {}", selection.devices.join(","))];
    let named =
        [("from", &selection.from), ("to", &selection.to), ("last", &selection.last), ("date", &selection.date)];
    words.extend(named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))));
    words.extend(selection.hours.iter().map(|hours| format!("hours {hours}")));
    words.join(" ")
}
