//! Ceilings by the hour, and the bucket that keeps to them.

use chrono::DateTime;
use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> UtcSecond {
    UtcSecond::floor(DateTime::parse_from_rfc3339(text).expect("a test's time").to_utc())
}

fn ceiling(bytes_per_second: u64) -> Ceiling {
    Ceiling::new(bytes_per_second).expect("not 0")
}

fn by_hour(zone: Tz, hours: &[(&str, u64)]) -> Ceilings {
    let entry = |&(span, bytes): &(&str, u64)| (span.parse().expect("a test's hours"), ceiling(bytes));
    Ceilings::ByHour { zone, hours: hours.iter().map(entry).collect() }
}

fn at(ceilings: &Ceilings, text: &str) -> Option<u64> {
    ceilings.at(utc(text)).map(Ceiling::bytes_per_second)
}

fn between(ceilings: &Ceilings, from: &str, to: &str) -> Option<u64> {
    ceilings.bytes_between(utc(from), utc(to))
}

#[test]
fn hours_are_those_of_the_zone_and_may_go_over_midnight() {
    let ceilings = by_hour(Tz::Asia__Shanghai, &[("09:00-22:00", 7), ("23:30-01:00", 5)]);
    for (shanghai, expected) in [
        ("08:59:59", None),
        ("09:00:00", Some(7)),
        ("21:59:59", Some(7)),
        ("22:00:00", None),
        ("23:29:59", None),
        ("23:30:00", Some(5)),
        ("00:00:00", Some(5)),
        ("00:59:59", Some(5)),
        ("01:00:00", None),
    ] {
        assert_eq!(at(&ceilings, &format!("2026-11-20T{shanghai}+08:00")), expected, "{shanghai}");
    }
    assert_eq!(at(&by_hour(Tz::UTC, &[("00:00-24:00", 3)]), "2026-11-20T00:00:00Z"), Some(3));
    assert_eq!(at(&Ceilings::None, "2026-11-20T12:00:00Z"), None);
    assert_eq!(at(&Ceilings::Always(ceiling(9)), "2026-11-20T12:00:00Z"), Some(9));
}

#[test]
fn where_hours_overlap_the_lower_ceiling_holds() {
    let ceilings = by_hour(Tz::UTC, &[("09:00-22:00", 2), ("00:00-24:00", 8), ("10:00-11:00", 4)]);
    let seen = ["08:00", "09:00", "10:30", "22:00"].map(|time| at(&ceilings, &format!("2026-11-20T{time}:00Z")));
    assert_eq!(seen, [Some(8), Some(2), Some(2), Some(8)]);
}

#[test]
fn the_bytes_of_a_range_are_those_of_its_hours() {
    let day = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    assert_eq!(between(&Ceilings::None, day.0, day.1), None);
    assert_eq!(between(&Ceilings::Always(ceiling(10)), day.0, day.1), Some(864_000));
    let two = by_hour(Tz::UTC, &[("00:00-24:00", 8), ("09:00-22:00", 2)]);
    assert_eq!(between(&two, day.0, day.1), Some(8 * 11 * 3600 + 2 * 13 * 3600));
    assert_eq!(between(&two, "2026-11-20T08:59:50Z", "2026-11-20T09:00:10Z"), Some(80 + 20));
    // A minute without a ceiling is one in which any number may pass.
    let evening = by_hour(Tz::UTC, &[("09:00-22:00", 2)]);
    assert_eq!(between(&evening, "2026-11-20T09:00:00Z", "2026-11-20T22:00:00Z"), Some(2 * 13 * 3600));
    assert_eq!(between(&evening, "2026-11-20T09:00:00Z", "2026-11-20T22:00:01Z"), None);
    assert_eq!(between(&evening, "2026-11-20T08:59:59Z", "2026-11-20T10:00:00Z"), None);
    for ceilings in [&Ceilings::None, &evening] {
        assert_eq!(between(ceilings, day.1, day.0), Some(0), "no time, no bytes");
    }
    assert_eq!(Ceilings::Always(ceiling(u64::MAX)).bytes_between(utc(day.0), utc(day.1)), Some(u64::MAX));
}

#[test]
fn a_clock_that_is_changed_takes_its_hours_with_it() {
    // 03:00 becomes 02:00 on 2026-10-25, so this hour comes twice; on 2026-03-29 it does not come at all.
    let night = by_hour(Tz::Europe__Berlin, &[("00:00-24:00", 3), ("02:00-03:00", 1)]);
    let day = |from: &str, to: &str| between(&night, from, to).expect("a ceiling all day");
    assert_eq!(day("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"), 3 * 23 * 3600 + 2 * 3600);
    assert_eq!(day("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"), 3 * 23 * 3600);
}

proptest! {
    /// In any zone, with any hours, and over clock changes: hours begin and end on whole minutes, so that the ceiling at
    /// the beginning of each is that of all of it.
    #[test]
    fn the_bytes_of_a_range_are_the_sum_of_its_minutes(
        zone in prop::sample::select(vec![Tz::Europe__Berlin, Tz::Australia__Lord_Howe, Tz::Asia__Kathmandu]),
        spans in prop::collection::vec((0u32..1440, 0u32..1440, 1u64..9), 1..4),
        // Some hours before the changes of 2026-10-25 and of 2026-04-04, in UTC.
        start in prop_oneof![29_880_600i64..29_881_500, 29_587_600i64..29_588_600],
        minutes in 0i64..1500,
    ) {
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let mut hours: Vec<(HourSpan, Ceiling)> = vec![("00:00-24:00".parse().expect("a day"), ceiling(9))];
        for (from, to, bytes) in spans {
            hours.extend(format!("{}-{}", clock(from), clock(to)).parse().ok().map(|span| (span, ceiling(bytes))));
        }
        let ceilings = Ceilings::ByHour { zone, hours };
        let start = UtcSecond::new(start * 60);
        let in_minute = |minute: i64| ceilings.at(start + minute * 60).map_or(0, |ceiling| ceiling.bytes_per_second() * 60);
        let sum: u64 = (0..minutes).map(in_minute).sum();
        prop_assert_eq!(ceilings.bytes_between(start, start + minutes * 60), Some(sum));
    }

    /// Whatever streams ask for and whenever, and however the ceiling changes: over no interval do more bytes pass than the
    /// ceilings of that interval give, and a burst.
    #[test]
    fn no_interval_has_more_bytes_than_its_ceilings_and_a_burst(
        steps in prop::collection::vec((0u64..3_000, 1u64..2_000_000, 0usize..3), 1..120),
        rates in prop::array::uniform3(1_000u64..4_000_000),
    ) {
        let mut bucket = Bucket::default();
        let mut now = Instant::from_millis(0);
        // Each moment with the ceiling that holds from it on, and what passed at it.
        let mut passed: Vec<(Instant, u64, u64)> = Vec::new();
        for (pause, wanted, rate) in steps {
            now = now + Duration::from_millis(pause);
            if let Turn::Pass(bytes) = bucket.take(wanted, Ceiling::new(rates[rate]), now) {
                prop_assert!((1..=wanted).contains(&bytes));
                passed.push((now, rates[rate], bytes));
            } else {
                passed.push((now, rates[rate], 0));
            }
        }
        let burst = rates.iter().map(|&rate| ceiling(rate).burst()).max().unwrap_or(0);
        for first in 0..passed.len() {
            let (mut bytes, mut allowed) = (0, burst * 1000);
            for index in first..passed.len() {
                if index > first {
                    // The ceiling may have changed at any moment of a step, also right at its beginning.
                    let rate = passed[index].1.min(passed[index - 1].1);
                    allowed += passed[index].0.since(passed[index - 1].0).as_millis() as u64 * rate;
                }
                bytes += passed[index].2;
                prop_assert!(bytes * 1000 <= allowed, "{bytes} bytes from step {first} to {index}");
            }
        }
    }

    /// Whoever always has more and waits as told gets the ceiling, but for a portion at its end.
    #[test]
    fn demand_gets_what_the_ceiling_gives(rate in 1_000u64..50_000_000, wanted in 1u64..300_000, seconds in 1u64..60) {
        let mut bucket = Bucket::default();
        let (mut now, end) = (Instant::from_millis(0), Instant::from_millis(0) + Duration::from_secs(seconds));
        let (mut bytes, mut waits) = (0, 0);
        while now < end && bytes < 20_000_000 {
            match bucket.take(wanted, Ceiling::new(rate), now) {
                Turn::Pass(passed) => bytes += passed,
                Turn::Wait(wait) => {
                    prop_assert!(wait > Duration::ZERO);
                    now = now + wait;
                    waits += 1;
                }
            }
        }
        let elapsed = now.since(Instant::from_millis(0)).as_millis() as u64;
        let (given, burst) = (elapsed * rate / 1000, ceiling(rate).burst());
        prop_assert!(bytes + PORTION >= given, "{bytes} of {given}");
        prop_assert!(bytes <= given + burst, "{bytes} of {given}");
        // A wait is always long enough.
        prop_assert!(waits <= bytes / wanted.min(PORTION) + 1, "{waits} waits");
    }
}

#[test]
fn a_pause_is_saved_up_to_a_burst_and_no_further() {
    let slow = ceiling(1000);
    let mut bucket = Bucket::default();
    let mut take_all = |now: i64| {
        let mut bytes = 0;
        while let Turn::Pass(passed) = bucket.take(1000, Some(slow), Instant::from_millis(now)) {
            bytes += passed;
        }
        bytes
    };
    assert_eq!(take_all(0), 262_000, "full at first");
    assert_eq!(take_all(10_000), 10_000);
    assert_eq!(take_all(10_000_000), 262_000);
    assert_eq!(ceiling(5_000_000).burst(), 5_000_000, "a second's worth");
}

#[test]
fn hours_without_a_ceiling_hold_nobody_up_and_leave_nothing_behind() {
    let mut bucket = Bucket::default();
    let some = Some(ceiling(1000));
    assert_eq!(bucket.take(1 << 40, None, Instant::from_millis(0)), Turn::Pass(1 << 40));
    assert_eq!(bucket.take(1 << 40, some, Instant::from_millis(1)), Turn::Pass(PORTION));
    while let Turn::Pass(_) = bucket.take(PORTION, some, Instant::from_millis(1)) {}
    assert_eq!(bucket.take(PORTION, some, Instant::from_millis(1)), Turn::Wait(Duration::from_millis(16_384)));
    assert_eq!(bucket.take(PORTION, None, Instant::from_millis(1)), Turn::Pass(PORTION), "as soon as its hour ends");
}
