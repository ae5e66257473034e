//! `archive status` as text.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use crate::coverage::Coverage;
use crate::device::NvrId;
use crate::forecast::{Effort, Filling, Keeps, Limit, Lost, Outlook};
use crate::report::{NvrNight, RunRow, SharedWork, Totals};
use crate::time_range::UtcSecond;
use crate::wording;

use super::outlook::{self, Worst};
use super::running::{RunningNow, running};
use super::sharing::sharing;
use super::{MOST_ROWS, causes, table};

/// How many of the newest runs say how an NVR fares lately. The table's header says it, too.
pub const RECENT_RUNS: u32 = 7;

/// How the archive stands.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// The moment that all of it is about (UTC).
    pub now: UtcSecond,
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
    /// Over all devices and all time.
    pub backlog: Backlog,
    /// What runs now.
    pub running: Vec<RunningNow>,
    /// How hosts share the work; nothing where the ledger is one machine's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedWork>,
    /// When the disk is full; nothing when it cannot be asked.
    pub disk: Option<Filling>,
    /// The newest runs, newest first.
    pub runs: Vec<RunRow>,
}

/// What can be told while the ledger's server is away.
#[derive(Clone, Debug, Serialize)]
pub struct Unreached {
    /// The moment that all of it is about (UTC).
    pub now: UtcSecond,
    /// The folder of the recordings, or their address.
    pub root: String,
    /// The ledger's address.
    pub ledger: String,
    /// Why it gives no answer, and what to do.
    pub unreachable: String,
    /// What runs on this machine.
    pub running: Vec<RunningNow>,
}

/// How one NVR stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NvrStatus {
    /// How many devices hang off it.
    pub devices: u64,
    /// How many downloads it is known to take at once.
    pub limit: Option<usize>,
    /// How many downloads at once it is counted on.
    pub at_once: Limit,
    /// How long it keeps footage, when that is known.
    pub keeps: Option<Keeps>,
    /// How often it was asked for a recording, over all runs.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
    /// How often it was left alone because it refused too many, over all runs.
    pub left_alone: u64,
    /// How it fared in the newest runs that asked it anything, newest first.
    pub nights: Vec<NvrNight>,
    /// What is to be had of it.
    pub backlog: Backlog,
}

/// What was asked for, is missing and may still be fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Backlog {
    /// How many windows.
    pub windows: u64,
    /// How much footage, in seconds.
    pub seconds: i64,
    /// What fetching all of it takes, from now on; nothing before the first finished download.
    pub forecast: Option<Effort>,
    /// What of it will be overwritten before it can be reached, were it begun now.
    pub lost: Option<Lost>,
}

impl From<Outlook> for Backlog {
    fn from(outlook: Outlook) -> Self {
        let Outlook { windows, seconds, forecast, lost, .. } = outlook;
        Self { windows, seconds, forecast, lost }
    }
}

/// How the archive stands.
pub fn status(report: &StatusReport, zone: Tz) -> String {
    let totals = &report.totals;
    let coverage = Coverage { asked_seconds: totals.asked_seconds, archived_seconds: totals.archived_seconds };
    let mut text = running(&report.running, report.now, zone);
    // OK to ignore: writing to a String cannot fail.
    let _ = write!(
        text,
        "root    {}\nledger  {}\n{} on {}: {} of {} archived ({coverage})\n",
        report.root,
        report.ledger,
        wording::count(report.devices, "device"),
        wording::count(report.nvrs.len() as u64, "NVR"),
        wording::seconds(totals.archived_seconds),
        wording::seconds(totals.asked_seconds),
    );
    text.push_str(&causes(totals.missing_seconds.iter().map(|(&cause, &seconds)| (cause, seconds))));
    if totals.pruned_seconds > 0 {
        text.push_str(&format!("  pruned: {}, which is not counted\n", wording::seconds(totals.pruned_seconds)));
    }
    text.push_str(&backlog(&report.backlog, report.now, zone));
    if let Some(shared) = &report.shared {
        text.push_str(&sharing(shared, report.now, zone));
    }
    if let Some(disk) = &report.disk {
        text.push_str(&filling(disk, report.now, zone));
    }
    if !report.nvrs.is_empty() {
        text.push_str(&nvrs(report, zone));
    }
    if !report.runs.is_empty() {
        text.push_str(&runs(&report.runs, zone));
    }
    text
}

/// What is known on this machine alone.
pub fn unreached(report: &Unreached, zone: Tz) -> String {
    let Unreached { now, root, ledger, running: runs, .. } = report;
    let nothing = if runs.is_empty() { "nothing runs on this machine\n\n" } else { "" };
    let text = running(runs, *now, zone);
    format!("{text}{nothing}root    {root}\nledger  {ledger}: away, so that nothing else is known at the moment\n")
}

/// The backlog in all.
fn backlog(backlog: &Backlog, now: UtcSecond, zone: Tz) -> String {
    if backlog.seconds == 0 {
        return "no backlog\n".to_owned();
    }
    let mut text = format!("backlog {}", wording::hours(backlog.seconds));
    if let Some(lost) = &backlog.lost {
        let seconds = wording::hours(lost.seconds);
        // OK to ignore: writing to a String cannot fail, here and below.
        let _ = write!(text, ", {seconds} of it past its horizon {}", outlook::by_when(lost, now, zone));
    }
    if let Some(effort) = backlog.forecast {
        let seconds = i64::try_from(effort.seconds).unwrap_or(i64::MAX);
        let _ = write!(text, "; about {} to fetch", wording::hours(seconds));
    }
    text.push('\n');
    text
}

/// `disk    219.4 GiB free above min_free, 3.0 GiB a day: full about 2027-02-02`.
fn filling(disk: &Filling, now: UtcSecond, zone: Tz) -> String {
    let room = disk.free_bytes.saturating_sub(disk.min_free_bytes);
    let a_day = wording::bytes(disk.bytes_per_day);
    let full = match disk.full_at {
        Some(full) if full <= now => "full".to_owned(),
        Some(full) => format!("full about {}", full.to_datetime().with_timezone(&zone).format("%Y-%m-%d")),
        None => "not full within years".to_owned(),
    };
    format!("disk    {} free above min_free; {a_day} a day over the last week: {full}\n", wording::bytes(room))
}

/// The NVRs, the worst of them.
fn nvrs(report: &StatusReport, zone: Tz) -> String {
    let mut nvrs: Vec<(&NvrId, &NvrStatus)> = report.nvrs.iter().collect();
    nvrs.sort_by_key(|&(nvr, status)| worst(nvr, status));
    let mut table = table(&[
        "nvr",
        "devices",
        "backlog",
        "past horizon",
        "at once",
        "calls",
        "refused",
        "last 7 runs",
        "left alone",
        "keeps",
    ]);
    for (nvr, status) in nvrs.iter().take(MOST_ROWS) {
        let lost = status.backlog.lost.as_ref();
        let nights = status.nights.iter();
        let lately = nights.fold((0, 0), |(calls, refused), night| (calls + night.calls, refused + night.refused));
        table.add_row([
            nvr.to_string(),
            status.devices.to_string(),
            wording::hours(status.backlog.seconds),
            lost.map(|lost| outlook::amount_by_when(lost, report.now, zone)).unwrap_or_default(),
            outlook::limit(&status.at_once),
            status.calls.to_string(),
            share(status.refused, status.calls),
            share(lately.1, lately.0),
            status.left_alone.to_string(),
            status.keeps.as_ref().map_or_else(|| "not known".to_owned(), outlook::keeps),
        ]);
    }
    format!("{table}\n{}\n", outlook::more(nvrs.len(), MOST_ROWS, "NVR"))
}

fn worst<'a>(nvr: &'a NvrId, status: &NvrStatus) -> Worst<'a> {
    let lost = status.backlog.lost.map_or(0, |lost| lost.seconds);
    let takes = status.backlog.forecast.map_or(0, |effort| i64::try_from(effort.seconds).unwrap_or(i64::MAX));
    (Reverse([lost, 0, status.backlog.seconds, takes]), nvr)
}

/// `1.3 %`; nothing of nothing.
fn share(part: u64, of: u64) -> String {
    if of == 0 { String::new() } else { format!("{:.1} %", part as f64 * 100.0 / of as f64) }
}

fn runs(runs: &[RunRow], zone: Tz) -> String {
    let mut table = table(&["run", "started", "took", "what", "end", "recordings", "bytes", "missing"]);
    for run in runs {
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
    format!("{table}\n")
}
