//! `archive plan` as text.

use std::cmp::Reverse;
use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use crate::coverage::Coverage;
use crate::forecast::{Disk, Effort, KnownFrom, Lost, NvrForecast, Outlook};
use crate::plan::DevicePlan;
use crate::time_range::UtcSecond;
use crate::wording;

use super::outlook::{self, Worst};
use super::{MOST_ROWS, table};

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// The moment that all of it is about (UTC).
    pub now: UtcSecond,
    /// How much of what is asked for is there already.
    pub coverage: Coverage,
    /// What is planned, what it takes, and what of it will not come.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// Whether the disk holds it; nothing when it cannot be asked.
    pub disk: Option<Disk>,
    /// Choices that were made for the person.
    pub notes: Vec<String>,
    /// NVR by NVR, those with nothing to fetch left out.
    pub nvrs: Vec<NvrForecast>,
    /// Device by device.
    pub devices: Vec<DevicePlan>,
}

/// What a run would do.
pub fn plan(report: &PlanReport, zone: Tz) -> String {
    let mut text = String::new();
    for note in &report.notes {
        // OK to ignore: writing to a String cannot fail, here and below.
        let _ = writeln!(text, "note: {note}");
    }
    if report.coverage.asked_seconds == 0 {
        text.push_str("nothing to fetch: nothing is asked for\n");
        return text;
    }
    if report.outlook.windows == 0 {
        text.push_str("nothing to fetch: all that is asked for is archived\n");
        return text;
    }
    text.push_str(&devices(report, zone));
    text.push_str(&nvrs(report, zone));
    let windows = wording::count(report.outlook.windows, "window");
    let seconds = wording::seconds(report.outlook.seconds);
    let _ = writeln!(text, "{windows}, {seconds}; {} archived already", report.coverage);
    match &report.outlook.forecast {
        Some(forecast) => text.push_str(&effort(forecast, report, zone)),
        None => text.push_str("no forecast: the ledger has no finished downloads to tell from\n"),
    }
    for warning in warnings(report, zone) {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// The devices, where they are few.
fn devices(report: &PlanReport, zone: Tz) -> String {
    let devices: Vec<&DevicePlan> = report.devices.iter().filter(|device| !device.missing.is_empty()).collect();
    if devices.len() > MOST_ROWS {
        return String::new();
    }
    let mut table = table(&["device", "nvr", "archived", "to fetch", "windows", "from", "to"]);
    for device in devices {
        let edge = |second| wording::time(second, zone);
        table.add_row([
            device.device.to_string(),
            device.nvr.to_string(),
            device.coverage.to_string(),
            wording::seconds(device.seconds()),
            device.windows().to_string(),
            device.missing.first().map(|stretch| edge(stretch.missing.range.start())).unwrap_or_default(),
            device.missing.last().map(|stretch| edge(stretch.missing.range.end())).unwrap_or_default(),
        ]);
    }
    format!("{table}\n\n")
}

/// The NVRs, the worst of them.
fn nvrs(report: &PlanReport, zone: Tz) -> String {
    let mut nvrs: Vec<&NvrForecast> = report.nvrs.iter().collect();
    nvrs.sort_by_key(|nvr| worst(nvr));
    let mut table = table(&["nvr", "cameras", "windows", "footage", "size", "takes", "ends", "notes"]);
    for nvr in nvrs.iter().take(MOST_ROWS) {
        let forecast = nvr.outlook.forecast;
        let of = |show: &dyn Fn(Effort) -> String| forecast.map(show).unwrap_or_default();
        table.add_row([
            nvr.nvr.to_string(),
            nvr.cameras.to_string(),
            nvr.outlook.windows.to_string(),
            wording::hours(nvr.outlook.seconds),
            of(&|effort| wording::bytes(effort.bytes)),
            of(&|effort| wording::hours(whole(effort.seconds))),
            of(&|effort| wording::soon(effort.ends, report.now, zone)),
            notes(nvr, report.now, zone),
        ]);
    }
    format!("{table}\n{}\n", outlook::more(nvrs.len(), MOST_ROWS, "NVR"))
}

fn worst(nvr: &NvrForecast) -> Worst<'_> {
    let outlook = &nvr.outlook;
    let lost = outlook.lost.map_or(0, |lost| lost.seconds);
    let left = outlook.left.map_or(0, |left| left.seconds);
    let takes = outlook.forecast.map_or(0, |effort| whole(effort.seconds));
    (Reverse([lost, left, takes, outlook.seconds]), &nvr.nvr)
}

fn notes(nvr: &NvrForecast, now: UtcSecond, zone: Tz) -> String {
    let mut notes = Vec::new();
    if let Some(lost) = &nvr.outlook.lost {
        let keeps = nvr.keeps.as_ref().map(|keeps| format!(" (keeps {})", outlook::keeps(keeps)));
        notes.push(format!("{}{}", outlook::lost(lost, now, zone), keeps.unwrap_or_default()));
    }
    if let Some(left) = &nvr.outlook.left {
        let since = wording::soon(left.since, now, zone);
        notes.push(format!("{} left at stop_at ({since})", wording::hours(left.seconds)));
    }
    if nvr.limit.source != KnownFrom::PerNvr {
        notes.push(format!("limit {}", outlook::limit(&nvr.limit)));
    }
    notes.join("; ")
}

/// What all of it takes, and what speaks for it.
fn effort(forecast: &Effort, report: &PlanReport, zone: Tz) -> String {
    let mut text = format!(
        "about {} in {}, until {}",
        wording::bytes(forecast.bytes),
        wording::hours(whole(forecast.seconds)),
        wording::soon(forecast.ends, report.now, zone),
    );
    if let (Some(stop_at), None) = (report.outlook.stop_at, report.outlook.left) {
        let _ = write!(text, ", before its stop_at ({})", wording::soon(stop_at, report.now, zone));
    }
    if let Some(disk) = report.disk.filter(|disk| disk.holds == Some(true)) {
        let _ = write!(text, "; {} free above min_free", wording::bytes(disk.room_bytes));
    }
    text.push('\n');
    text
}

/// What somebody must see before the night begins.
fn warnings(report: &PlanReport, zone: Tz) -> Vec<String> {
    let mut warnings = Vec::new();
    let all = &report.outlook;
    if let Some(lost) = &all.lost {
        warnings.push(loss_warning(lost, report.now, zone));
    }
    if let Some(left) = &all.left {
        let since = wording::soon(left.since, report.now, zone);
        let left = wording::hours(left.seconds);
        warnings.push(format!("it does not end before its stop_at ({since}), which leaves {left} of footage"));
    }
    if let Some(disk) = &report.disk {
        warnings.extend(disk_warning(disk, report, zone));
    }
    warnings
}

fn loss_warning(lost: &Lost, now: UtcSecond, zone: Tz) -> String {
    let (amount, already) = (wording::hours(lost.seconds), wording::hours(lost.already_seconds));
    if lost.already_seconds == lost.seconds {
        return format!("{amount} of footage has been overwritten already");
    }
    let by_when = outlook::by_when(lost, now, zone);
    let already = if lost.already_seconds > 0 { format!(" ({already} of it already)") } else { String::new() };
    format!("{amount} of footage will be overwritten before it can be reached, {by_when}{already}")
}

fn disk_warning(disk: &Disk, report: &PlanReport, zone: Tz) -> Option<String> {
    if disk.free_bytes < disk.min_free_bytes {
        let (free, min_free) = (wording::bytes(disk.free_bytes), wording::bytes(disk.min_free_bytes));
        return Some(format!("the disk has {free} free, and min_free is {min_free}: a run stops at once"));
    }
    let (forecast, full_at) = (report.outlook.forecast?, disk.full_at?);
    let (needs, room) = (wording::bytes(forecast.bytes), wording::bytes(disk.room_bytes));
    let after = wording::hours(full_at - report.now);
    let at = wording::soon(full_at, report.now, zone);
    // What has stopped by then writes no more.
    if report.outlook.left.is_some() && report.outlook.stop_at.is_some_and(|stop| stop <= full_at) {
        return Some(format!("needs {needs}, {room} free above min_free: enough until stop_at, and not for all of it"));
    }
    Some(format!("needs {needs}, {room} free above min_free: it does not fit, stops after about {after} ({at})"))
}

fn whole(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
