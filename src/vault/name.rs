//! What files are called: made from numbers alone, read back without a doubt.
//!
//! A final name says the device, the local time of the start with its offset from UTC, and the length:
//! `5_20261120T090000+0800_600s.flv`. The local time is what people look for; the offset keeps the hour that a clock
//! change repeats apart from its first showing.

use chrono::{DateTime, NaiveDate, Offset as _, TimeZone as _};
use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::time_range::{TimeRange, UtcSecond};

const LABEL: &str = "%Y%m%dT%H%M%S%z";

/// The folder of a device's recordings of one local day, below the root.
pub fn folder(device: DeviceId, day: NaiveDate) -> String {
    format!("{device}/{day}")
}

/// The final name of a recording, below the root, for a device whose local time is `zone`.
pub fn recording(device: DeviceId, range: TimeRange, zone: Tz) -> String {
    let start = local_start(range, zone);
    let folder = folder(device, start.date_naive());
    format!("{folder}/{device}_{}_{}s.flv", start.format(LABEL), range.seconds())
}

/// The local day in whose folder a recording that starts at `start` stands.
pub fn day_of(start: UtcSecond, zone: Tz) -> NaiveDate {
    whole_minutes(start.to_datetime().with_timezone(&zone)).date_naive()
}

fn local_start(range: TimeRange, zone: Tz) -> DateTime<chrono::FixedOffset> {
    whole_minutes(range.start().to_datetime().with_timezone(&zone))
}

/// The same moment under an offset of whole minutes: `%z` shows no seconds, which only offsets before 1972 have.
fn whole_minutes(time: DateTime<Tz>) -> DateTime<chrono::FixedOffset> {
    let seconds = time.offset().fix().local_minus_utc();
    let minutes = seconds.div_euclid(60) * 60;
    let offset = chrono::FixedOffset::east_opt(minutes).unwrap_or(time.offset().fix());
    offset.from_utc_datetime(&time.naive_utc())
}

/// The name of a staging file; it is never read back.
pub(super) fn staging(device: DeviceId, range: TimeRange) -> String {
    format!("{device}_{}_{}s.part", range.start().get(), range.seconds())
}

/// What a file name (without its folder) says; nothing when it is no recording's.
pub fn parse(file: &str) -> Option<(DeviceId, TimeRange)> {
    let mut parts = file.strip_suffix("s.flv")?.split('_');
    let (device, start, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let device = device.parse().ok()?;
    let start = UtcSecond::floor(DateTime::parse_from_str(start, LABEL).ok()?.to_utc());
    let seconds: i64 = seconds.parse().ok()?;
    Some((device, TimeRange::new(start, start + seconds)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device() -> DeviceId {
        DeviceId::new(5).expect("not negative")
    }

    fn range(start: i64, seconds: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(start + seconds)).expect("a range holds a second")
    }

    #[test]
    fn a_name_says_local_time_with_its_offset() {
        let nine = range(1_795_136_400, 600);
        assert_eq!(
            recording(device(), nine, chrono_tz::Asia::Shanghai),
            "5/2026-11-20/5_20261120T090000+0800_600s.flv"
        );
    }

    #[test]
    fn the_hour_that_comes_twice_has_two_names() {
        // 2026-11-01 01:00 in New York, before and after the clocks go back.
        let (first, second) = (range(1_793_509_200, 600), range(1_793_512_800, 600));
        let zone = chrono_tz::America::New_York;
        assert_eq!(recording(device(), first, zone), "5/2026-11-01/5_20261101T010000-0400_600s.flv");
        assert_eq!(recording(device(), second, zone), "5/2026-11-01/5_20261101T010000-0500_600s.flv");
    }

    #[test]
    fn other_names_are_no_recordings() {
        for name in [
            "",
            "5.flv",
            "5_20261120T090000+0800_0s.flv",
            "5_20261120T090000+0800_-600s.flv",
            "-5_20261120T090000+0800_600s.flv",
            "5_20261120T090000_600s.flv",
            "5_20261120T090000+0800_600s.flv.part",
            "5_20261120T090000+0800_600s_x.flv",
            "5_20261120T090000+0800_99999999999999999999s.flv",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_are_read_back(start in 0..4_102_444_800i64, seconds in 1..=600i64, zone in 0..chrono_tz::TZ_VARIANTS.len()) {
            let range = range(start, seconds);
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let name = recording(device(), range, zone);
            let file = name.rsplit('/').next().expect("a path has a last part");
            prop_assert_eq!(parse(file), Some((device(), range)));
            prop_assert!(name.starts_with(&folder(device(), day_of(range.start(), zone))));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
