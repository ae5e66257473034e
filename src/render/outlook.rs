//! Words for what a forecast says, the same in the plan and in the status.

use std::cmp::Reverse;

use chrono_tz::Tz;

use crate::device::NvrId;
use crate::forecast::{Keeps, KnownFrom, Limit, Lost};
use crate::time_range::UtcSecond;
use crate::wording;

/// `3.5 h will be lost by 04:00`, or `3.5 h lost already`.
pub(super) fn lost(lost: &Lost, now: UtcSecond, zone: Tz) -> String {
    let verb = if lost.already_seconds == lost.seconds { "lost" } else { "will be lost" };
    format!("{} {verb} {}", wording::hours(lost.seconds), by_when(lost, now, zone))
}

/// `3.5 h by 04:00`, or `3.5 h already`.
pub(super) fn amount_by_when(lost: &Lost, now: UtcSecond, zone: Tz) -> String {
    format!("{} {}", wording::hours(lost.seconds), by_when(lost, now, zone))
}

/// `by 04:00`, or `already`.
pub(super) fn by_when(lost: &Lost, now: UtcSecond, zone: Tz) -> String {
    if lost.already_seconds == lost.seconds {
        return "already".to_owned();
    }
    // To the minute, and not before it is so.
    format!("by {}", wording::soon(lost.by + 59, now, zone))
}

/// `14 d`; what was learned is about right.
pub(super) fn keeps(keeps: &Keeps) -> String {
    match keeps.source {
        KnownFrom::Learned => format!("about {}, learned", wording::seconds(keeps.seconds)),
        KnownFrom::Settings | KnownFrom::PerNvr => wording::seconds(keeps.seconds),
    }
}

/// `4 (learned)`.
pub(super) fn limit(limit: &Limit) -> String {
    let source = match limit.source {
        KnownFrom::Settings => "settings",
        KnownFrom::Learned => "learned",
        KnownFrom::PerNvr => "per_nvr",
    };
    format!("{} ({source})", limit.downloads)
}

/// In which order NVRs are shown: what loses most first, then what leaves most when its time to stop comes, then what
/// ends last or has the most to do.
pub(super) type Worst<'a> = (Reverse<[i64; 4]>, &'a NvrId);

/// Says how many rows a table does not show.
pub(super) fn more(all: usize, shown: usize, noun: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        hidden => format!("and {} that look better; --json has all\n", wording::count(hidden as u64, noun)),
    }
}
