//! Answers as text for people. JSON is the same values, serialized.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono_tz::Tz;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::coverage::Coverage;
use crate::event::{StopReason, Summary};
use crate::plan::{DevicePlan, Forecast};
use crate::report::{Gap, RunRow, Totals};
use crate::window::Cause;
use crate::wording;

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
    /// How many of them hang off which NVR, as far as the settings say.
    pub nvrs: BTreeMap<String, u64>,
    /// Over all devices and all time.
    pub totals: Totals,
    /// The newest runs, newest first.
    pub runs: Vec<RunRow>,
}

/// What a run came to.
pub fn summary(summary: &Summary) -> String {
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
    if let Some(reason) = &summary.stopped {
        let why = match reason {
            StopReason::Signal => "a signal asked for it",
            StopReason::StopAt => "its time to stop came",
            StopReason::AccountRefused(why) | StopReason::DiskFull(why) | StopReason::Broken(why) => why,
        };
        // OK to ignore: writing to a String cannot fail, here and below.
        let _ = writeln!(text, "stopped early: {why}");
    }
    text
}

/// What is missing, by cause, a line each.
fn causes(missing: impl Iterator<Item = (Cause, i64)>) -> String {
    missing.map(|(cause, seconds)| format!("  missing: {:<12} {}\n", cause, wording::seconds(seconds))).collect()
}

/// The gaps, a line each.
pub fn gaps(gaps: &[Gap]) -> String {
    if gaps.is_empty() {
        return "no gaps: all that was asked for is archived\n".to_owned();
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
            device.missing.first().map(|stretch| edge(stretch.range.start())).unwrap_or_default(),
            device.missing.last().map(|stretch| edge(stretch.range.end())).unwrap_or_default(),
        ]);
    }
    if report.windows == 0 {
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
        let is_number = matches!(*name, "device" | "attempts" | "windows" | "run" | "recordings" | "bytes");
        if let Some(column) = table.column_mut(index).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
