//! Answers as text for people. JSON is the same values, serialized.

mod devices;
mod export;
mod outlook;
mod plan;
mod reindex;
mod status;
mod upkeep;

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::coverage::Coverage;
use crate::event::{StopReason, Summary};
use crate::report::Gap;
use crate::window::Cause;
use crate::wording;

pub use devices::{DeviceLine, devices};
pub use export::{ExportFiles, export, manifest_line};
pub use plan::{PlanReport, plan};
pub use reindex::reindexed;
pub use status::{Backlog, NvrStatus, RECENT_RUNS, StatusReport, status};
pub use upkeep::{PruneReport, mismatch, prune, refusal, unreadable, verify};

/// How many NVRs or devices a table shows: more than a screen is for `--json`.
const MOST_ROWS: usize = 20;

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

/// The gaps, a line each, of what was asked for.
pub fn gaps(gaps: &[Gap], asked_seconds: i64, pruned_seconds: i64) -> String {
    if gaps.is_empty() && asked_seconds == 0 && pruned_seconds > 0 {
        return format!(
            "no gaps: all that was asked for here, {}, has been pruned\n",
            wording::seconds(pruned_seconds)
        );
    }
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
                | "cameras"
                | "footage"
                | "size"
                | "takes"
                | "backlog"
                | "past horizon"
                | "calls"
                | "refused"
                | "last 7 runs"
                | "left alone"
        );
        if let Some(column) = table.column_mut(index).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
