//! How times, durations and sizes are written for people, alike everywhere.

use std::collections::BTreeSet;

use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::time_range::{TimeRange, UtcSecond};

/// A range in local time: `2026-11-20 09:00–09:10`; with seconds where they are not zero, with the end's date where it is
/// another day, and with the offset at the end, since a clock change may lie in between.
pub fn range(range: TimeRange, zone: Tz) -> String {
    let (start, end) =
        (range.start().to_datetime().with_timezone(&zone), range.end().to_datetime().with_timezone(&zone));
    let clock = |time: chrono::DateTime<Tz>| {
        let format = if time.timestamp().rem_euclid(60) == 0 { "%H:%M" } else { "%H:%M:%S" };
        time.format(format).to_string()
    };
    let end_date =
        if start.date_naive() == end.date_naive() { String::new() } else { end.format("%Y-%m-%d ").to_string() };
    let start_offset = if start.format("%z").to_string() == end.format("%z").to_string() {
        String::new()
    } else {
        start.format("%:z").to_string()
    };
    format!("{} {}{start_offset}–{end_date}{}{}", start.format("%Y-%m-%d"), clock(start), clock(end), end.format("%:z"))
}

/// A moment in local time, with its offset: `2026-11-20 09:00:00+08:00`.
pub fn time(second: UtcSecond, zone: Tz) -> String {
    second.to_datetime().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// A number of seconds: `45 s`, `9 min`, `4 min 30 s`, `3 d 4 h`. The two largest units that are there.
pub fn seconds(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let sign = if seconds < 0 { "-" } else { "" };
    let mut rest = seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let length = length.unsigned_abs();
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { format!("{sign}{}", parts.join(" ")) }
}

/// A moment as short as somebody can read it who reads it `now`: `04:00`, with its date where that is another one.
pub fn soon(second: UtcSecond, now: UtcSecond, zone: Tz) -> String {
    let (time, today) = (second.to_datetime().with_timezone(&zone), now.to_datetime().with_timezone(&zone));
    let format = if time.date_naive() == today.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.format(format).to_string()
}

/// An amount of footage or of work: `31 h`, `3.5 h`; below an hour as [`seconds`] has it.
pub fn hours(amount: i64) -> String {
    match amount {
        ..3600 => seconds(amount),
        360_000.. => format!("{} h", amount / 3600),
        _ if amount % 3600 == 0 => format!("{} h", amount / 3600),
        _ => format!("{}.{} h", amount / 3600, amount % 3600 / 360),
    }
}

/// A number of bytes in binary units: `512 B`, `1.8 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A count with its noun: `1 window`, `2 windows`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Devices as settings and flags take them, part by part: `1-4`, `7`. In order.
pub fn device_ranges(devices: &BTreeSet<DeviceId>) -> Vec<String> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for device in devices.iter().map(|device| device.get()) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == device => *last = device,
            _ => ranges.push((device, device)),
        }
    }
    let text = |(first, last): (i64, i64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
    }

    #[test]
    fn ranges_are_written_in_local_time() {
        let nine = 1_795_136_400;
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(range(utc(nine, nine + 600), zone), "2026-11-20 09:00–09:10+08:00");
        assert_eq!(range(utc(nine, nine + 450), zone), "2026-11-20 09:00–09:07:30+08:00");
        assert_eq!(range(utc(nine, nine + 86_400), zone), "2026-11-20 09:00–2026-11-21 09:00+08:00");
        // The hour that comes twice in New York.
        let zone = chrono_tz::America::New_York;
        assert_eq!(range(utc(1_793_509_200, 1_793_512_800), zone), "2026-11-01 01:00-04:00–01:00-05:00");
    }

    #[test]
    fn a_moment_has_its_date_where_that_is_another_one() {
        let (zone, nine) = (chrono_tz::Asia::Shanghai, UtcSecond::new(1_795_136_400));
        assert_eq!(soon(nine + 19 * 3600 - 60, nine + 3600, zone), "2026-11-21 03:59");
        assert_eq!(soon(nine + 59, nine, zone), "09:00");
    }

    #[test]
    fn durations_and_sizes_are_short() {
        let shown: Vec<_> = [0, 45, 540, 270, 93_600, 273_600, -60].into_iter().map(seconds).collect();
        assert_eq!(shown, ["0 s", "45 s", "9 min", "4 min 30 s", "1 d 2 h", "3 d 4 h", "-1 min"]);
        let shown: Vec<_> = [0, 3599, 3600, 12_600, 111_600, 359_999, 900_000].into_iter().map(hours).collect();
        assert_eq!(shown, ["0 s", "59 min 59 s", "1 h", "3.5 h", "31 h", "99.9 h", "250 h"]);
        let shown: Vec<_> = [0, 1023, 1024, 1_900_000, 1 << 30, (1 << 20) - 1].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.8 MiB", "1.0 GiB", "1.0 MiB"]);
        assert_eq!((count(1, "window"), count(2, "window")), ("1 window".into(), "2 windows".into()));
    }
}
