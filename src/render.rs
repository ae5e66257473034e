//! Answers as text for people. JSON is the same values, serialized.

mod devices;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono_tz::Tz;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::coverage::Coverage;
use crate::device::NvrId;
use crate::event::{StopReason, Summary};
use crate::plan::{DevicePlan, Forecast};
use crate::report::{Gap, RunRow, Totals};
use crate::window::Cause;
use crate::wording;

pub use devices::{DeviceLine, devices};

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// How many windows would be asked for.
    pub windows: u64,
    /// How much time they cover, in seconds.
    pub seconds: i64,
    /// How much of what is asked for is there already.
    pub coverage: Coverage,
    /// What it will take, when there is history to tell from.
    pub forecast: Option<Forecast>,
    /// Choices that were made for the person.
    pub notes: Vec<String>,
    /// Device by device.
    pub devices: Vec<DevicePlan>,
}

/// How the archive stands.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// The folder of the recordings.
    pub root: String,
    /// The ledger's file.
    pub ledger: String,
    /// How many devices anything was ever asked of.
    pub devices: u64,
    /// The NVRs that they hang off; a device of which nothing is known counts as its own.
    pub nvrs: BTreeMap<NvrId, NvrStatus>,
    /// Over all devices and all time.
    pub totals: Totals,
    /// The newest runs, newest first.
    pub runs: Vec<RunRow>,
}

/// How one NVR stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NvrStatus {
    /// How many devices hang off it.
    pub devices: u64,
    /// How many downloads it is known to take at once.
    pub limit: Option<usize>,
    /// How often it was asked for a recording, over all runs.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
}

/// What a run came to.
pub fn summary(summary: &Summary) -> String {
    if summary.asked_seconds == 0 && summary.stopped.is_none() {
        return format!("{}\n", summary.outcome());
    }
    let coverage = Coverage { asked_seconds: summary.asked_seconds, archived_seconds: summary.archived_seconds };
    let mut text = format!(
        "{}: {} of {} archived ({coverage}); this run: {}, {}, {}\n",
        summary.outcome(),
        wording::seconds(summary.archived_seconds),
        wording::seconds(summary.asked_seconds),
        wording::count(summary.recordings, "recording"),
        wording::bytes(summary.bytes),
        wording::count(summary.attempts, "attempt"),
    );
    text.push_str(&causes(summary.missing.iter().map(|&(cause, seconds)| (cause, seconds))));
    for nvr in &summary.refusing {
        // OK to ignore: writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "  nvr {} refused {} of {}, and was left alone {}",
            nvr.nvr,
            nvr.refused,
            wording::count(nvr.calls, "call"),
            wording::count(nvr.left_alone, "time"),
        );
    }
    if let Some(reason) = &summary.stopped {
        let why = match reason {
            StopReason::Signal => "a signal asked for it",
            StopReason::StopAt => "its time to stop came",
            StopReason::AccountRefused(why) | StopReason::DiskFull(why) | StopReason::Broken(why) => why,
        };
        let _ = writeln!(text, "stopped early: {why}");
    }
    text
}

/// What is missing, by cause, a line each.
fn causes(missing: impl Iterator<Item = (Cause, i64)>) -> String {
    missing.map(|(cause, seconds)| format!("  missing: {:<12} {}\n", cause, wording::seconds(seconds))).collect()
}

/// The gaps, a line each, of `asked_seconds` that were asked for.
pub fn gaps(gaps: &[Gap], asked_seconds: i64) -> String {
    if gaps.is_empty() && asked_seconds == 0 {
        return "nothing was ever asked for here\n".to_owned();
    }
    if gaps.is_empty() {
        return format!("no gaps: all that was asked for, {}, is archived\n", wording::seconds(asked_seconds));
    }
    let mut table = table(&["device", "from", "to", "length", "cause", "attempts", "last code", "last try (UTC)"]);
    for gap in gaps {
        table.add_row([
            gap.device.to_string(),
            gap.from_local.clone(),
            gap.to_local.clone(),
            wording::seconds(gap.seconds),
            gap.cause.to_string(),
            gap.attempts.to_string(),
            gap.last_code.clone().unwrap_or_default(),
            gap.last_try.map(|time| time.to_string()).unwrap_or_default(),
        ]);
    }
    let seconds = gaps.iter().map(|gap| gap.seconds).sum();
    let sum = format!("{}, {} in all", wording::count(gaps.len() as u64, "gap"), wording::seconds(seconds));
    format!("{table}\n{sum}\n")
}

/// What a run would do.
pub fn plan(report: &PlanReport, zone: Tz) -> String {
    let mut text = String::new();
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let mut table = table(&["device", "nvr", "archived", "to fetch", "windows", "from", "to"]);
    for device in report.devices.iter().filter(|device| !device.missing.is_empty()) {
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
    if report.coverage.asked_seconds == 0 {
        text.push_str("nothing to fetch: nothing is asked for\n");
    } else if report.windows == 0 {
        text.push_str("nothing to fetch: all that is asked for is archived\n");
    } else {
        let _ = writeln!(text, "{table}");
        let windows = wording::count(report.windows, "window");
        let _ = writeln!(text, "{windows}, {}; {} archived already", wording::seconds(report.seconds), report.coverage);
    }
    match report.forecast {
        Some(forecast) if report.windows > 0 => {
            let seconds = i64::try_from(forecast.seconds).unwrap_or(i64::MAX);
            let _ = writeln!(text, "about {} in {}", wording::bytes(forecast.bytes), wording::seconds(seconds));
        }
        None if report.windows > 0 => text.push_str("no forecast: the ledger has no finished downloads to tell from\n"),
        _ => {}
    }
    text
}

/// How the archive stands.
pub fn status(report: &StatusReport, zone: Tz) -> String {
    let totals = &report.totals;
    let coverage = Coverage { asked_seconds: totals.asked_seconds, archived_seconds: totals.archived_seconds };
    let mut text = format!(
        "root    {}\nledger  {}\n{} on {}: {} of {} archived ({coverage})\n",
        report.root,
        report.ledger,
        wording::count(report.devices, "device"),
        wording::count(report.nvrs.len() as u64, "NVR"),
        wording::seconds(totals.archived_seconds),
        wording::seconds(totals.asked_seconds),
    );
    text.push_str(&causes(totals.missing_seconds.iter().map(|(&cause, &seconds)| (cause, seconds))));
    if !report.nvrs.is_empty() {
        let mut nvrs = table(&["nvr", "devices", "at once", "calls", "refused"]);
        for (nvr, status) in &report.nvrs {
            nvrs.add_row([
                nvr.to_string(),
                status.devices.to_string(),
                status.limit.map_or_else(|| "not known".to_owned(), |limit| limit.to_string()),
                status.calls.to_string(),
                status.refused.to_string(),
            ]);
        }
        let _ = writeln!(text, "{nvrs}\n");
    }
    let mut table = table(&["run", "started", "took", "what", "end", "recordings", "bytes", "missing"]);
    for run in &report.runs {
        let counts = run.counts.unwrap_or_default();
        table.add_row([
            run.run.get().to_string(),
            wording::time(run.started, zone),
            run.ended.map(|ended| wording::seconds(ended - run.started)).unwrap_or_default(),
            run.what.clone(),
            run.exit.map_or_else(|| run.state.clone(), |exit| format!("exit {exit}")),
            counts.recordings.to_string(),
            wording::bytes(counts.bytes),
            wording::seconds(counts.missing_seconds),
        ]);
    }
    if !report.runs.is_empty() {
        let _ = writeln!(text, "{table}");
    }
    text
}

/// A table without borders; numbers stand to the right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for (index, name) in header.iter().enumerate() {
        let is_number = matches!(
            *name,
            "device"
                | "devices"
                | "channel"
                | "attempts"
                | "windows"
                | "run"
                | "recordings"
                | "bytes"
                | "at once"
                | "calls"
                | "refused"
        );
        if let Some(column) = table.column_mut(index).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
