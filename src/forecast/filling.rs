//! When a disk is full, at the rate at which it was written to lately.

use serde::Serialize;

use crate::time_range::UtcSecond;

/// How far back one looks: a week has all its days.
pub const LATELY_SECONDS: i64 = 7 * DAY;

const DAY: i64 = 86_400;

/// Beyond this nobody plans, and a date would only look like knowledge.
const LONGEST_DAYS: f64 = 3650.0;

/// What one run wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrote {
    /// When it began.
    pub from: UtcSecond,
    /// When it ended, or now.
    pub to: UtcSecond,
    /// How much.
    pub bytes: u64,
}

/// How a disk fills.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Filling {
    /// Bytes that may still be written there.
    pub free_bytes: u64,
    /// Bytes that are to stay free.
    pub min_free_bytes: u64,
    /// Bytes that were written a day over the last week, or since the first run when that is later; a day at least.
    pub bytes_per_day: u64,
    /// When only `min_free_bytes` are left at that rate (UTC), without what is deleted meanwhile. Nothing when nothing was
    /// written, or that is years from now.
    pub full_at: Option<UtcSecond>,
}

impl Filling {
    /// Of a disk with so many free bytes, by what runs wrote since the `first` one.
    pub fn of(
        written: &[Wrote],
        first: Option<UtcSecond>,
        now: UtcSecond,
        free_bytes: u64,
        min_free_bytes: u64,
    ) -> Self {
        let since = now - LATELY_SECONDS;
        let lately: f64 = written.iter().map(|wrote| part_since(wrote, since)).sum();
        let observed = first.map_or(LATELY_SECONDS, |first| now - first).clamp(DAY, LATELY_SECONDS);
        let a_day = lately * DAY as f64 / observed as f64;
        let days = free_bytes.saturating_sub(min_free_bytes) as f64 / a_day;
        let full_at = (a_day > 0.0 && days < LONGEST_DAYS).then(|| now + (days * DAY as f64) as i64);
        Self { free_bytes, min_free_bytes, bytes_per_day: a_day as u64, full_at }
    }
}

/// How much of it was written after `since`, were it written evenly.
fn part_since(wrote: &Wrote, since: UtcSecond) -> f64 {
    let length = wrote.to - wrote.from;
    let part = wrote.to - wrote.from.max(since);
    match (length, part) {
        (_, ..0) => 0.0,
        (..=0, _) => wrote.bytes as f64,
        _ => wrote.bytes as f64 * part as f64 / length as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcSecond = UtcSecond::new(1_795_132_800);

    fn wrote(days_ago: i64, seconds: i64, bytes: u64) -> Wrote {
        let from = NOW - days_ago * DAY;
        Wrote { from, to: from + seconds, bytes }
    }

    #[test]
    fn a_disk_is_full_when_the_nights_of_a_week_have_filled_it() {
        let nights: Vec<Wrote> = (1..=7).map(|night| wrote(night, 3600, 100)).collect();
        let filling = Filling::of(&nights, Some(NOW - 30 * DAY), NOW, 1_050, 50);
        assert_eq!((filling.bytes_per_day, filling.full_at), (100, Some(NOW + 10 * DAY)));
    }

    #[test]
    fn an_archive_that_is_younger_than_a_week_counts_its_own_days() {
        let filling = Filling::of(&[wrote(2, 3600, 100), wrote(1, 3600, 100)], Some(NOW - 2 * DAY), NOW, 1_000, 0);
        assert_eq!((filling.bytes_per_day, filling.full_at), (100, Some(NOW + 10 * DAY)));
        let first_hour = Filling::of(&[wrote(0, 0, 100)], Some(NOW), NOW, 1_000, 0);
        assert_eq!(first_hour.bytes_per_day, 100, "a first night is a day's");
    }

    #[test]
    fn of_a_run_that_went_on_for_a_month_a_week_counts() {
        let filling = Filling::of(&[wrote(28, 28 * DAY, 2_800)], Some(NOW - 28 * DAY), NOW, 1_000, 0);
        assert_eq!(filling.bytes_per_day, 100);
    }

    #[test]
    fn what_is_not_written_to_is_never_full() {
        assert_eq!(Filling::of(&[], None, NOW, 1_000, 0).full_at, None);
        assert_eq!(Filling::of(&[wrote(1, 3600, 1)], None, NOW, u64::MAX, 0).full_at, None);
        let full = Filling::of(&[wrote(1, 3600, 1)], None, NOW, 5, 10);
        assert_eq!(full.full_at, Some(NOW), "it is full already");
    }
}
