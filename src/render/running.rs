//! What runs now, as text.

use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use crate::recording::Source;
use crate::report::RunId;
use crate::time_range::{TimeRange, UtcSecond};
use crate::underway::{LiveNow, NvrNow, Stream, Underway, Waits};
use crate::wording;

use super::table;

/// How many streams, NVRs and cameras are shown.
const MOST: usize = 10;

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunningNow {
    /// From where it records.
    pub source: Source,
    /// Its number, when the ledger has it by now.
    pub run: Option<RunId>,
    /// When it began (UTC), likewise.
    pub started: Option<UtcSecond>,
    /// Who holds the ledger for it.
    pub holder: String,
    /// How it stands; nothing before it has said so.
    pub progress: Option<Underway>,
}

/// What runs now, a paragraph each; nothing when nothing does.
pub fn running(runs: &[RunningNow], now: UtcSecond, zone: Tz) -> String {
    runs.iter().map(|run| one(run, now, zone)).collect()
}

fn one(run: &RunningNow, now: UtcSecond, zone: Tz) -> String {
    let number = run.run.map(|run| format!("run {}", run.get())).unwrap_or_else(|| "a run".to_owned());
    let kind = match run.source {
        Source::Nvr => "",
        Source::Live => " of live streams",
    };
    let Some(progress) = &run.progress else {
        return format!("{number}{kind} goes on ({}), and has not said yet how it stands\n\n", run.holder);
    };
    let since = run.started.map(|started| format!(" since {}", wording::soon(started, now, zone))).unwrap_or_default();
    let mut text = format!("{number}{kind} goes on{since}: {} ({})\n", progress.what, run.holder);
    for Waits { for_what, since, why } in &progress.waits {
        let since = clock(UtcSecond::new(*since), now, zone);
        // OK to ignore: writing to a String cannot fail.
        let _ = writeln!(text, "waiting for {for_what} since {since}: {why}");
    }
    match run.source {
        Source::Nvr => nvr(&mut text, progress, now, zone),
        Source::Live => live(&mut text, progress, now, zone),
    }
    text.push('\n');
    text
}

fn nvr(text: &mut String, progress: &Underway, now: UtcSecond, zone: Tz) {
    let percent = match progress.planned_seconds {
        0 => String::new(),
        planned => format!(" ({} %)", (progress.done_seconds.clamp(0, planned) * 100) / planned),
    };
    let ends = progress.ends.map(|end| format!("; about until {}", wording::soon(UtcSecond::new(end), now, zone)));
    let given_up = match progress.given_up {
        0 => String::new(),
        given_up => format!(", {given_up} given up for now"),
    };
    // OK to ignore: writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "{} of {} archived{given_up}{percent}; {} at {}/s{}",
        progress.archived_windows,
        wording::count(progress.planned_windows, "window"),
        wording::bytes(progress.bytes),
        wording::bytes(progress.bytes_per_second),
        ends.unwrap_or_default(),
    );
    if !progress.streams.is_empty() {
        streams(text, progress, zone);
    }
    if !progress.nvrs.is_empty() {
        refusals(text, &progress.nvrs, now, zone);
    }
}

fn streams(text: &mut String, progress: &Underway, zone: Tz) {
    let mut table = table(&["device", "streams now", "nvr", "footage", "bytes", "rate"]);
    for stream in progress.streams.iter().take(MOST) {
        let Stream { device, nvr, from, to, media_seconds, bytes, bytes_per_second, .. } = stream;
        let range = TimeRange::new(UtcSecond::new(*from), UtcSecond::new(*to));
        let percent = media_seconds.saturating_mul(100) / (to - from).max(1);
        table.add_row([
            device.to_string(),
            range.map(|range| wording::range(range, zone)).unwrap_or_default(),
            nvr.clone(),
            format!("{percent} %"),
            wording::bytes(*bytes),
            format!("{}/s", wording::bytes(*bytes_per_second)),
        ]);
    }
    let _ = writeln!(text, "{table}");
    more(text, progress.streaming, progress.streams.len().min(MOST), "stream");
}

fn refusals(text: &mut String, nvrs: &[NvrNow], now: UtcSecond, zone: Tz) {
    for NvrNow { nvr, calls, refused, held_until, limit } in nvrs.iter().take(MOST) {
        let held = held_until.map(|until| format!(", left alone until {}", clock(UtcSecond::new(until), now, zone)));
        let limit = limit.map(|limit| format!(", at most {limit} at once")).unwrap_or_default();
        let _ = writeln!(
            text,
            "nvr {nvr} refused {refused} of {}{limit}{}",
            wording::count(*calls, "call"),
            held.unwrap_or_default()
        );
    }
    more(text, nvrs.len() as u64, nvrs.len().min(MOST), "NVR");
}

fn live(text: &mut String, progress: &Underway, now: UtcSecond, zone: Tz) {
    let _ = writeln!(
        text,
        "{} recorded, {} without a stream; {} published, {}",
        wording::count(progress.live, "camera"),
        progress.interrupted,
        wording::count(progress.archived_windows, "piece"),
        wording::bytes(progress.bytes),
    );
    for LiveNow { device, since, interrupted } in progress.cameras.iter().take(MOST) {
        let since = clock(UtcSecond::new(*since), now, zone);
        let _ = match interrupted {
            Some(why) => writeln!(text, "device {device}  no stream since {since}: {why}"),
            None => writeln!(text, "device {device}  recording since {since}"),
        };
    }
    more(text, progress.live + progress.interrupted, progress.cameras.len().min(MOST), "camera");
}

/// `04:00:12`, with its date where that is another one.
pub(super) fn clock(at: UtcSecond, now: UtcSecond, zone: Tz) -> String {
    let (time, today) = (at.to_datetime().with_timezone(&zone), now.to_datetime().with_timezone(&zone));
    let format = if time.date_naive() == today.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.format(format).to_string()
}

fn more(text: &mut String, all: u64, shown: usize, noun: &str) {
    let hidden = all.saturating_sub(shown as u64);
    if hidden > 0 {
        let _ = writeln!(text, "and {} more", wording::count(hidden, noun));
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    #[test]
    fn a_run_is_told_with_its_streams_and_who_refuses() {
        let now = UtcSecond::new(1_795_132_800);
        let stream = Stream {
            device: 5,
            nvr: "store 1".to_owned(),
            from: now.get() - 86_400,
            to: now.get() - 85_800,
            since: now.get() - 3,
            media_seconds: 300,
            bytes: 6 << 20,
            bytes_per_second: 2 << 20,
        };
        let progress = Underway {
            what: "run nightly".to_owned(),
            planned_windows: 156,
            planned_seconds: 93_600,
            archived_windows: 39,
            done_seconds: 23_400,
            bytes: 3 << 30,
            bytes_per_second: 12 << 20,
            ends: Some(now.get() + 3600),
            waits: vec![Waits { for_what: "the ledger".to_owned(), since: now.get() - 5, why: "refused".to_owned() }],
            streaming: 12,
            streams: vec![stream; 12],
            nvrs: vec![NvrNow {
                nvr: "store 2".to_owned(),
                calls: 9,
                refused: 4,
                held_until: Some(now.get() + 60),
                limit: Some(2),
            }],
            ..Underway::default()
        };
        let run = RunningNow {
            source: Source::Nvr,
            run: Some(RunId::new(12)),
            started: Some(now - 1200),
            holder: "process 7 on night".to_owned(),
            progress: Some(progress),
        };
        let text = running(&[run], now, Tz::UTC);
        assert!(
            text.starts_with("run 12 goes on since 2026-11-19 23:40: run nightly (process 7 on night)\n"),
            "{text}"
        );
        assert!(text.contains("waiting for the ledger since 2026-11-19 23:59:55: refused\n"), "{text}");
        assert!(text.contains("39 of 156 windows archived (25 %); 3.0 GiB at 12.0 MiB/s; about until 01:00"), "{text}");
        assert!(text.contains("2026-11-19 00:00–00:10+00:00  store 1     50 %  6.0 MiB  2.0 MiB/s"), "{text}");
        assert!(text.contains("and 2 streams more"), "{text}");
        assert!(
            text.contains("nvr store 2 refused 4 of 9 calls, at most 2 at once, left alone until 00:01:00"),
            "{text}"
        );
    }
}
