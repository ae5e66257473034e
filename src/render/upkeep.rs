//! `archive verify` and `archive prune` as text.

use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use crate::retention::{PrunePlan, Sums};
use crate::time_range::UtcSecond;
use crate::upkeep::{Mismatch, Round, Unreadable, VerifyEnd, VerifyReport};
use crate::wording;

use super::{MOST_ROWS, table};

/// What a verify came to.
pub fn verify(report: &VerifyReport, zone: Tz) -> String {
    let looked = if report.hashed { "read and hashed" } else { "looked at" };
    // OK to cut off: seconds of a night.
    let took = wording::seconds(report.took_seconds as i64);
    let mut text = format!(
        "{}, {}: {looked} in {took}\n",
        wording::count(report.recordings, "recording"),
        wording::bytes(report.bytes)
    );
    // OK to ignore: writing to a String cannot fail, here and below.
    match (report.corrupt, report.hashed) {
        _ if report.recordings == 0 => {}
        (0, _) if report.is_unsure() => {}
        (0, true) => text.push_str("all of them are what they were\n"),
        (0, false) => text.push_str("all of them are there, with their sizes\n"),
        _ => {}
    }
    if report.corrupt > 0 {
        let _ = writeln!(
            text,
            "{} corrupt, each of them a gap now, which the next run that asks for its time fetches:",
            wording::count(report.corrupt, "recording")
        );
        text.extend(report.mismatches.iter().map(|mismatch| format!("  {}\n", self::mismatch(mismatch, zone))));
        text.push_str(&more(report.corrupt, report.mismatches.len()));
    }
    if report.unreadable_in_all > 0 {
        text.push_str("could not be looked at, which proves nothing; the recordings stand:\n");
        text.extend(report.unreadable.iter().map(|one| format!("  {}\n", unreadable(one))));
        text.push_str(&more(report.unreadable_in_all, report.unreadable.len()));
    }
    if !report.folders_gone.is_empty() {
        let devices: Vec<String> = report.folders_gone.iter().take(MOST_ROWS).map(ToString::to_string).collect();
        let rest = report.folders_gone.len().saturating_sub(MOST_ROWS);
        let and = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let _ = writeln!(
            text,
            "not one folder is there of device {}{and}: is the disk mounted? Their recordings stand. If they are lost for \
             good, --folders-are-gone makes gaps of them",
            devices.join(", ")
        );
    }
    if let Some(round) = &report.came_round {
        let Round { round, began, counts, .. } = round;
        let _ = writeln!(
            text,
            "round {round} has come round: since {}, {} of {} were read, {} of them corrupt",
            wording::time(*began, zone),
            wording::count(counts.files, "file"),
            wording::bytes(counts.bytes),
            counts.corrupt,
        );
    }
    if let Some(Round { round, began, reached: Some((device, reached)), .. }) = &report.round {
        let _ = writeln!(
            text,
            "round {round}, begun {}, has come to device {device}, {}; the next verify --hash goes on there",
            wording::time(*began, zone),
            wording::time(*reached, zone),
        );
    }
    match report.ended {
        VerifyEnd::Complete => {}
        VerifyEnd::Budget => text.push_str("the budget is spent\n"),
        VerifyEnd::Signal => text.push_str("stopped early: a signal asked for it\n"),
    }
    text
}

/// A recording that is a gap now.
pub fn mismatch(mismatch: &Mismatch, zone: Tz) -> String {
    let Mismatch { device, range, path, detail, moved_to, .. } = mismatch;
    let moved = moved_to.as_ref().map(|to| format!("; moved to {}", to.display())).unwrap_or_default();
    format!("device {device} {} {path}: {detail}{moved}", wording::range(*range, zone))
}

/// A file that could not be looked at.
pub fn unreadable(unreadable: &Unreadable) -> String {
    format!("{}: {}", unreadable.path, unreadable.why)
}

fn more(all: u64, named: usize) -> String {
    match all - named as u64 {
        0 => String::new(),
        rest => format!("  and {rest} more\n"),
    }
}

/// What a prune is to delete, or has deleted.
#[derive(Clone, Debug, Serialize)]
pub struct PruneReport {
    /// The moment that it is about (UTC).
    pub now: UtcSecond,
    /// Whether nothing was to be deleted.
    pub dry_run: bool,
    /// What is to go.
    pub plan: PrunePlan,
    /// How much of the archive's time is due, between 0 and 1.
    pub due_share: f64,
    /// How much may be.
    pub max_share: f64,
    /// What was deleted.
    pub deleted: Sums,
    /// Whether a signal ended it early.
    pub is_stopped: bool,
}

/// What a prune is to delete, or has deleted.
pub fn prune(report: &PruneReport, zone: Tz) -> String {
    let plan = &report.plan;
    if plan.due.files == 0 {
        return "nothing is older than its jobs keep it\n".to_owned();
    }
    let mut text = String::new();
    if report.dry_run {
        let mut devices: Vec<_> = plan.devices.iter().collect();
        devices.sort_by_key(|device| (std::cmp::Reverse(device.sums.bytes), device.device));
        let mut table = table(&["device", "store", "recordings", "bytes", "footage", "oldest", "newest"]);
        let day = |moment: Option<UtcSecond>| moment.map(|moment| wording::time(moment, zone)).unwrap_or_default();
        for one in devices.iter().take(MOST_ROWS) {
            table.add_row([
                one.device.to_string(),
                one.store.as_ref().map(ToString::to_string).unwrap_or_default(),
                one.sums.files.to_string(),
                wording::bytes(one.sums.bytes),
                wording::hours(one.sums.seconds),
                day(one.sums.oldest),
                day(one.sums.newest),
            ]);
        }
        // OK to ignore: writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{table}");
        if let rest @ 1.. = devices.len().saturating_sub(MOST_ROWS) {
            let _ = writeln!(text, "and {}; --json has all", wording::count(rest as u64, "device"));
        }
    }
    let (verb, sums) = if report.dry_run { ("would be", plan.goes) } else { ("were", report.deleted) };
    let _ = writeln!(text, "{} {verb} deleted: {}", sums_of(sums), share_of(sums, plan));
    if plan.due.files > plan.goes.files {
        let left = plan.due.files - plan.goes.files;
        let _ = writeln!(text, "{} more are due, and are left to the next ones", wording::count(left, "recording"));
    }
    if report.dry_run && report.due_share > report.max_share {
        let _ = writeln!(text, "but it would be refused: {}", refusal(report, zone));
    }
    if report.is_stopped {
        text.push_str("stopped early: a signal asked for it; the next one goes on\n");
    }
    text
}

/// Why nothing is deleted, and what a person can do.
pub fn refusal(report: &PruneReport, zone: Tz) -> String {
    let plan = &report.plan;
    let lift = ((report.due_share * 100.0).ceil() / 100.0).min(1.0);
    format!(
        "{:.1} % of the archive, {}, is older than its jobs keep it, and more than {:.1} % is not pruned at once. Is every \
         keep right, and this machine's clock, which shows {}? Look at it with --dry-run; if it is right, add --max-share \
         {lift:.2}, or raise max_share in [prune]",
        report.due_share * 100.0,
        sums_of(plan.due),
        report.max_share * 100.0,
        wording::time(report.now, zone),
    )
}

fn sums_of(sums: Sums) -> String {
    format!("{}, {}", wording::count(sums.files, "recording"), wording::bytes(sums.bytes))
}

fn share_of(sums: Sums, plan: &PrunePlan) -> String {
    let (part, all) = (wording::hours(sums.seconds), wording::hours(plan.archived_seconds));
    format!("{part} of {all}")
}
