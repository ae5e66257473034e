//! Answers as text for people. JSON is the same values, serialized.

mod check;
mod devices;
mod export;
mod jobs_file;
mod metrics;
mod notice;
mod outlook;
mod plan;
mod reindex;
mod report;
mod running;
mod sharing;
mod status;
mod strip;
mod upkeep;

use comfy_table::{CellAlignment, Table, presets};

use crate::report::Gap;
use crate::window::Cause;
use crate::wording;

pub use check::check;
pub use devices::{DeviceLine, devices};
pub use export::{ExportFiles, export, manifest_line};
pub use jobs_file::{CameraEntry, JobsFile, NvrEntry, jobs_file, of_all as cameras_of};
pub use metrics::{Measured, metrics};
pub use notice::notice;
pub use plan::{PlanReport, plan};
pub use reindex::reindexed;
pub use report::{report, reported};
pub use running::RunningNow;
pub use status::{Backlog, NvrStatus, RECENT_RUNS, StatusReport, Unreached, status, unreached};
pub use strip::{StripStyle, strip};
pub use upkeep::{PruneReport, mismatch, prune, refusal, unreadable, verify};

/// How many NVRs or devices a table shows: more than a screen is for `--json`.
const MOST_ROWS: usize = 20;

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
                | "rate"
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
