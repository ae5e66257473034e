//! What a run came to, as somebody reads it on a phone at seven in the morning: the first line says whether to go on reading.

use std::cmp::Reverse;
use std::fmt::Write as _;

use crate::coverage::Coverage;
use crate::event::{Refusing, StopReason, Summary};
use crate::notice::{Next, Notice, Place};
use crate::time_range::TimeRange;
use crate::wording;

use super::outlook;

/// How many NVRs that refused too much are named, those that refused most.
const MOST_REFUSING: usize = 5;

/// A run, told to people.
pub fn notice(notice: &Notice) -> String {
    let Notice { what, host, outcome, zone, .. } = notice;
    let coverage = notice.summary.as_ref().filter(|summary| summary.asked_seconds > 0).map(coverage);
    let share = coverage.map_or_else(String::new, |coverage| format!(", {coverage} archived"));
    let mut text = format!("archive: {outcome}{share}: {what}, on {host}\n");
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(match TimeRange::new(notice.began, notice.ended) {
        Some(range) => format!("{}, {}", wording::range(range, *zone), wording::seconds(range.seconds())),
        None => wording::time(notice.began, *zone),
    });
    if let Some(failure) = &notice.failure {
        line(failure.clone());
    }
    if let Some(summary) = &notice.summary {
        came_to(summary, &mut line);
    }
    for place in &notice.worst {
        line(format!("  {}", worst(place)));
    }
    if notice.more_places > 0 {
        line(format!("  and {}", wording::count(notice.more_places, "more place")));
    }
    if let Some(summary) = &notice.summary {
        held_back(summary, &mut line);
    }
    if let Some(next) = notice.next.as_ref().filter(|next| next.backlog_seconds > 0) {
        line(to_come(next, notice));
    }
    line(format!("exit code {}", notice.exit));
    text
}

fn coverage(summary: &Summary) -> Coverage {
    Coverage { asked_seconds: summary.asked_seconds, archived_seconds: summary.archived_seconds }
}

fn came_to(summary: &Summary, line: &mut impl FnMut(String)) {
    if summary.asked_seconds > 0 {
        let (archived, asked) = (wording::seconds(summary.archived_seconds), wording::seconds(summary.asked_seconds));
        line(format!("{archived} of {asked} archived"));
    }
    if summary.attempts > 0 || summary.recordings > 0 {
        line(format!(
            "this run: {}, {}, {}",
            wording::count(summary.recordings, "recording"),
            wording::bytes(summary.bytes),
            wording::count(summary.attempts, "attempt"),
        ));
    }
    for (cause, seconds) in &summary.missing {
        line(format!("missing: {cause:<12} {}", wording::seconds(*seconds)));
    }
}

/// `Nanjing Road: 3 of 8 cameras, 6 h 40 min, nvr offline`.
fn worst(place: &Place) -> String {
    let cameras = match place.cameras {
        1 => String::new(),
        cameras => format!("{cameras} of {}, ", wording::count(place.of_cameras, "camera")),
    };
    format!("{}: {cameras}{}, {}", place.name, wording::seconds(place.missing_seconds), place.cause)
}

fn held_back(summary: &Summary, line: &mut impl FnMut(String)) {
    let mut refusing: Vec<&Refusing> = summary.refusing.iter().collect();
    refusing.sort_by_key(|nvr| Reverse(nvr.refused));
    for nvr in refusing.iter().take(MOST_REFUSING) {
        line(format!(
            "nvr {} refused {} of {}, and was left alone {}",
            nvr.nvr,
            nvr.refused,
            wording::count(nvr.calls, "call"),
            wording::count(nvr.left_alone, "time"),
        ));
    }
    if refusing.len() > MOST_REFUSING {
        let more = (refusing.len() - MOST_REFUSING) as u64;
        line(format!("and {} refused too much", wording::count(more, "more NVR")));
    }
    if let Some(reason) = &summary.stopped {
        let why = match reason {
            StopReason::Signal => "a signal asked for it",
            StopReason::StopAt => "its time to stop came",
            StopReason::AccountRefused(why)
            | StopReason::DiskFull(why)
            | StopReason::Broken(why)
            | StopReason::StoreAway(why) => why,
        };
        line(format!("stopped early: {why}"));
    }
}

/// `next: 3.5 h will be lost by 04:00, most of it at nvr store 1; backlog 31 h`.
fn to_come(next: &Next, notice: &Notice) -> String {
    let mut text = "next: ".to_owned();
    if let Some(lost) = &next.lost {
        text.push_str(&outlook::lost(lost, notice.ended, notice.zone));
        if let Some(nvr) = &next.lost_at {
            // OK to ignore: writing to a String cannot fail, here and below.
            let _ = write!(text, ", most of it at nvr {nvr}");
        }
        text.push_str("; ");
    }
    let _ = write!(text, "backlog {}", wording::hours(next.backlog_seconds));
    text
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Shanghai;

    use super::*;
    use crate::device::NvrId;
    use crate::forecast::Lost;
    use crate::time_range::UtcSecond;
    use crate::window::Cause;

    /// 2026-11-20 09:00 in Shanghai.
    const NINE: UtcSecond = UtcSecond::new(1_795_136_400);

    fn of(summary: Option<Summary>, exit: u8, outcome: &'static str) -> Notice {
        Notice {
            what: "run night, tills".into(),
            host: "keeper".into(),
            began: NINE,
            ended: NINE + 16_920,
            exit,
            outcome,
            summary,
            failure: None,
            worst: Vec::new(),
            more_places: 0,
            next: None,
            zone: Shanghai,
        }
    }

    fn summary() -> Summary {
        Summary {
            asked_seconds: 558_000,
            archived_seconds: 553_200,
            recordings: 928,
            bytes: 75_161_927_680,
            attempts: 951,
            missing: vec![(Cause::NvrOffline, 3000), (Cause::NoFootage, 1800)],
            short: Vec::new(),
            refusing: vec![Refusing { nvr: NvrId::new("store 2"), calls: 20, refused: 12, left_alone: 1 }],
            stopped: None,
        }
    }

    #[test]
    fn a_night_with_gaps_is_told_with_the_worst_places_and_what_goes_next() {
        let place = |name: &str, cameras, missing_seconds, cause| Place {
            name: name.into(),
            cameras,
            of_cameras: 8,
            missing_seconds,
            cause,
        };
        let lost = Lost { seconds: 12_600, already_seconds: 0, from: NINE + 20_000, by: NINE + 68_400 };
        let told = Notice {
            worst: vec![
                place("Nanjing Road", 3, 3000, Cause::NvrOffline),
                place("Bund, till 2 (device 5)", 1, 1800, Cause::NoFootage),
            ],
            more_places: 1,
            next: Some(Next { backlog_seconds: 111_600, lost: Some(lost), lost_at: Some(NvrId::new("store 1")) }),
            ..of(Some(summary()), 3, "gaps remain")
        };
        insta::assert_snapshot!(notice(&told), @"
        archive: gaps remain, 99.13 % archived: run night, tills, on keeper
        2026-11-20 09:00–13:42+08:00, 4 h 42 min
        6 d 9 h of 6 d 11 h archived
        this run: 928 recordings, 70.0 GiB, 951 attempts
        missing: nvr offline  50 min
        missing: no footage   30 min
          Nanjing Road: 3 of 8 cameras, 50 min, nvr offline
          Bund, till 2 (device 5): 30 min, no footage
          and 1 more place
        nvr store 2 refused 12 of 20 calls, and was left alone 1 time
        next: 3.5 h will be lost by 2026-11-21 04:00, most of it at nvr store 1; backlog 31 h
        exit code 3
        ");
    }

    #[test]
    fn a_run_that_did_not_begin_says_why() {
        let failure = "another run holds the ledger; wait for it to end".to_owned();
        let told = Notice { ended: NINE, failure: Some(failure), ..of(None, 6, "did not begin") };
        insta::assert_snapshot!(notice(&told), @"
        archive: did not begin: run night, tills, on keeper
        2026-11-20 09:00:00+08:00
        another run holds the ledger; wait for it to end
        exit code 6
        ");
    }

    #[test]
    fn of_many_nvrs_that_refuse_the_worst_are_named() {
        let nvr = |number: u64| Refusing {
            nvr: NvrId::new(&format!("n{number}")),
            calls: 100,
            refused: number,
            left_alone: 2,
        };
        let refusing = (1..=8).map(nvr).collect();
        let told = notice(&of(Some(Summary { refusing, ..summary() }), 3, "gaps remain"));
        let named: Vec<&str> = told.lines().filter(|line| line.contains("refused")).collect();
        assert_eq!(named.len(), 6);
        assert_eq!(named[0], "nvr n8 refused 8 of 100 calls, and was left alone 2 times");
        assert_eq!(named[5], "and 3 more NVRs refused too much");
    }

    #[test]
    fn a_run_that_was_asked_for_nothing_says_no_more() {
        let nothing = Summary { asked_seconds: 0, archived_seconds: 0, recordings: 0, attempts: 0, ..summary() };
        let nothing = Summary { missing: Vec::new(), refusing: Vec::new(), ..nothing };
        let told = Notice { ended: NINE, ..of(Some(nothing), 0, "nothing was asked for") };
        assert_eq!(notice(&told).lines().count(), 3);
    }
}
