//! From what a person wrote, on the command line or in a file, to what is asked of each device.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use chrono_tz::Tz;

use crate::calendar::{self, Asked, CalendarError, HourSpan, When};
use crate::cli::Selection;
use crate::device::DeviceId;
use crate::plan::Request;
use crate::settings::{JobSettings, Settings, parse_device_list};
use crate::time_range::{ALL_TIME, TimeRange, UtcSecond};

use super::UsageError;
use super::zones::Zones;

/// What is asked, of whom, in which local time.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    /// In the words of whoever asked.
    pub(super) what: String,
    /// What is asked of each device.
    pub(super) asked: BTreeMap<DeviceId, Request>,
    /// The devices' local time.
    pub(super) zones: BTreeMap<DeviceId, Tz>,
    /// Choices that were made for the person.
    pub(super) notes: Vec<String>,
}

/// Now, on this machine's clock.
pub(super) fn now() -> UtcSecond {
    UtcSecond::floor(Utc::now())
}

/// What the flags select. Both devices and a time are needed.
pub(super) fn of_selection(selection: &Selection, zones: &Zones, now: UtcSecond) -> anyhow::Result<Requests> {
    let devices =
        devices(&selection.devices)?.ok_or_else(|| UsageError("which cameras? add --device 5,7,10-14".to_owned()))?;
    let asked = asked(selection)?.ok_or_else(|| {
        let ways = "add --from and --to, --last 24h, or --date yesterday";
        UsageError(format!("which time? {ways}"))
    })?;
    let hours = hours(&selection.hours)?;
    let mut requests = Requests { what: describe(selection), ..Requests::default() };
    for (zone, devices) in zones.groups(&devices) {
        requests.add(&devices, &asked, &hours, zone, None, now).map_err(|error| UsageError(error.to_string()))?;
    }
    if requests.is_empty() {
        return Err(UsageError("these hours leave nothing of that time".to_owned()).into());
    }
    Ok(requests)
}

/// What the jobs of a file ask, all of them or those named. A job whose time has not come yet asks for nothing.
pub(super) fn of_jobs(
    settings: &Settings,
    names: &[String],
    zones: &Zones,
    now: UtcSecond,
) -> anyhow::Result<Requests> {
    let known: BTreeSet<&str> = settings.jobs.iter().map(|job| job.name.as_str()).collect();
    if let Some(live) = settings.live_jobs.iter().find(|job| names.contains(&job.name)) {
        return Err(UsageError(format!("job {0:?} records live: archive live FILE --job {0:?}", live.name)).into());
    }
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(UsageError(format!("no job is called {unknown:?}; the file has: {known}")).into());
    }
    let wanted = |job: &&JobSettings| names.is_empty() || names.contains(&job.name);
    let jobs: Vec<&JobSettings> = settings.jobs.iter().filter(wanted).collect();
    if jobs.is_empty() {
        let only_live =
            if settings.live_jobs.is_empty() { "" } else { "; those of kind \"live\" are for archive live" };
        return Err(UsageError(format!("there is no job to run: add a [[job]] to the file{only_live}")).into());
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let mut requests = Requests { what: format!("run {}", names.join(", ")), ..Requests::default() };
    for job in jobs {
        requests.add_job(job, zones, now)?;
    }
    Ok(requests)
}

/// What a question to the ledger is about, by zone of the devices; everything that is left out means all.
pub(super) fn of_question(
    selection: &Selection,
    zones: &Zones,
    now: UtcSecond,
) -> anyhow::Result<Vec<(BTreeSet<DeviceId>, TimeRange)>> {
    if !selection.hours.is_empty() {
        return Err(UsageError("--hours is for fetching; a question takes --from and --to".to_owned()).into());
    }
    let devices = devices(&selection.devices)?.unwrap_or_else(|| zones.known_devices());
    let Some(asked) = asked(selection)? else {
        return Ok(vec![(devices, ALL_TIME)]);
    };
    let mut questions = Vec::new();
    for (zone, devices) in zones.groups(&devices) {
        let resolved = calendar::resolve(&asked, &[], zone, now).map_err(|error| UsageError(error.to_string()))?;
        questions.extend(resolved.ranges.ranges().iter().map(|&range| (devices.clone(), range)));
    }
    Ok(questions)
}

impl Requests {
    fn is_empty(&self) -> bool {
        self.asked.values().all(|request| request.ranges().is_empty())
    }

    fn add_job(&mut self, job: &JobSettings, zones: &Zones, now: UtcSecond) -> anyhow::Result<()> {
        let groups = match job.time_zone {
            Some(zone) => vec![(zone, job.devices.clone())],
            None => zones.groups(&job.devices),
        };
        for (zone, devices) in groups {
            for &device in &devices {
                if let Some(other) = self.zones.insert(device, zone).filter(|&other| other != zone) {
                    let mistake =
                        format!("job {:?}: device {device} is in {zone}, and in {other} in another job", job.name);
                    return Err(UsageError(mistake).into());
                }
            }
            let stop_at = job.stop_at.map(|time| calendar::next_local_time(time, zone, now));
            match self.add(&devices, &job.asked, &job.hours, zone, stop_at, now) {
                Ok(true) => {}
                Ok(false) => self.notes.push(format!("job {:?}: its hours leave nothing of its time", job.name)),
                // Tonight's other jobs are not to wait for next month's; and midnight's "today" is empty.
                Err(early @ (CalendarError::AllInFuture { .. } | CalendarError::EndsBeforeStart { .. })) => {
                    self.notes.push(format!("job {:?} asks for nothing: {early}", job.name));
                }
                Err(error) => return Err(UsageError(format!("job {:?}: {error}", job.name)).into()),
            }
        }
        Ok(())
    }

    /// Asks the same of each of these devices. False when that is nothing.
    fn add(
        &mut self,
        devices: &BTreeSet<DeviceId>,
        asked: &Asked,
        hours: &[HourSpan],
        zone: Tz,
        stop_at: Option<UtcSecond>,
        now: UtcSecond,
    ) -> Result<bool, CalendarError> {
        let resolved = calendar::resolve(asked, hours, zone, now)?;
        self.notes.extend(resolved.notes.iter().map(ToString::to_string));
        for &device in devices {
            self.zones.insert(device, zone);
            self.asked.entry(device).or_default().add(&resolved.ranges, stop_at);
        }
        Ok(!resolved.ranges.is_empty())
    }
}

/// The cameras that `--device` names, however often it was given; nothing when it was not.
pub(super) fn devices(lists: &[String]) -> anyhow::Result<Option<BTreeSet<DeviceId>>> {
    if lists.is_empty() {
        return Ok(None);
    }
    let mut devices = BTreeSet::new();
    for list in lists {
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

/// The daily hours that `--hours` names.
pub(super) fn hours(spans: &[String]) -> anyhow::Result<Vec<HourSpan>> {
    let parse = |span: &String| span.parse().map_err(|error| UsageError(format!("--hours: {error}")).into());
    spans.iter().map(parse).collect()
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
