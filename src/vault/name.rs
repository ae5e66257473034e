//! What files are called: made from numbers alone, read back without a doubt.
//!
//! A final name says the device, the local time of the start with its offset from UTC, and the length:
//! `5_20261120T090000+0800_600s.flv`; what was recorded live says so, `5_20261120T090000+0800_600s_live.ts`. The local time
//! is what people look for; the offset keeps the hour that a clock change repeats apart from its first showing.

use chrono::{DateTime, FixedOffset, NaiveDate, Offset as _, TimeZone as _};
use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::instant::Instant;
use crate::recording::{Container, Source};
use crate::time_range::{TimeRange, UtcSecond};

const LABEL: &str = "%Y%m%dT%H%M%S%z";
const LIVE: &str = "live";
/// Stands for a clock offset that is not known.
const UNKNOWN: &str = "x";

/// What a recording's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The camera.
    pub device: DeviceId,
    /// The time that it covers.
    pub range: TimeRange,
    /// Where it came from.
    pub source: Source,
    /// What holds its streams.
    pub container: Container,
}

/// What the name of a live stream's staging file says: all that is known of it but its bytes, so that it can be published
/// after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivePiece {
    /// The camera.
    pub device: DeviceId,
    /// The time of its first picture, on the platform's clock.
    pub start: Instant,
    /// By how many milliseconds the platform's clock was ahead of this machine's, when it is known.
    pub clock_offset: Option<i64>,
    /// What no other of the run's pieces has: two may begin in the same millisecond.
    pub number: u64,
    /// What holds its streams.
    pub container: Container,
}

/// The folder of a device's recordings of one local day, below the root.
pub fn folder(device: DeviceId, day: NaiveDate) -> String {
    format!("{device}/{day}")
}

/// The final name of a recording, below the root, for a device whose local time is `zone`.
pub fn recording(named: &Named, zone: Tz) -> String {
    let start = local_start(named.range, zone);
    format!("{}/{}", folder(named.device, start.date_naive()), file(named, start))
}

/// A recording's file name, for a start with its offset.
fn file(named: &Named, start: DateTime<FixedOffset>) -> String {
    let Named { device, range, source, container } = *named;
    let live = match source {
        Source::Nvr => "",
        Source::Live => "_live",
    };
    format!("{device}_{}_{}s{live}.{}", start.format(LABEL), range.seconds(), container.extension())
}

/// The local day in whose folder a recording that starts at `start` stands.
pub fn day_of(start: UtcSecond, zone: Tz) -> NaiveDate {
    whole_minutes(start.to_datetime().with_timezone(&zone)).date_naive()
}

fn local_start(range: TimeRange, zone: Tz) -> DateTime<FixedOffset> {
    whole_minutes(range.start().to_datetime().with_timezone(&zone))
}

/// The same moment under an offset of whole minutes: `%z` shows no seconds, which only offsets before 1972 have.
fn whole_minutes(time: DateTime<Tz>) -> DateTime<FixedOffset> {
    let seconds = time.offset().fix().local_minus_utc();
    let minutes = seconds.div_euclid(60) * 60;
    let offset = FixedOffset::east_opt(minutes).unwrap_or(time.offset().fix());
    offset.from_utc_datetime(&time.naive_utc())
}

/// The name of a staging file; it is never read back.
pub(super) fn staging(device: DeviceId, range: TimeRange) -> String {
    format!("{device}_{}_{}s.part", range.start().get(), range.seconds())
}

/// The name of a live stream's staging file.
pub(super) fn live_staging(piece: &LivePiece) -> String {
    let offset = piece.clock_offset.map_or_else(|| UNKNOWN.to_owned(), |offset| offset.to_string());
    let LivePiece { device, start, number, container, .. } = piece;
    format!("{device}_{}_{offset}_{number}.{}", start.as_millis(), container.extension())
}

/// What the name of a live stream's staging file says; nothing when it is none.
pub(super) fn parse_live_staging(file: &str) -> Option<LivePiece> {
    let (stem, extension) = file.rsplit_once('.')?;
    let mut parts = stem.split('_');
    let (device, start, offset, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let clock_offset = if offset == UNKNOWN { None } else { Some(offset.parse().ok()?) };
    Some(LivePiece {
        device: device.parse().ok()?,
        start: Instant::from_millis(start.parse().ok()?),
        clock_offset,
        number: number.parse().ok()?,
        container: Container::from_extension(extension)?,
    })
}

/// What a recording's name below the root says; nothing when it is no recording's, or stands in no recording's folder.
pub(super) fn parse_path(path: &str) -> Option<Named> {
    let (in_folder, file) = path.rsplit_once('/')?;
    let named = parse(file)?;
    let day = in_folder.strip_prefix(&format!("{}/", named.device))?.parse().ok()?;
    (folder(named.device, day) == in_folder).then_some(named)
}

/// The whole name of a recording below the root, by its last part, which says all that its folders do.
pub(super) fn below_root(file: &str) -> Option<String> {
    let named = parse(file)?;
    let label = DateTime::parse_from_str(file.split('_').nth(1)?, LABEL).ok()?;
    Some(format!("{}/{file}", folder(named.device, label.date_naive())))
}

/// What a file name (without its folder) says; nothing when it is no recording's, or says it otherwise than names are made:
/// numbers can be read in more ways than they are written.
pub fn parse(text: &str) -> Option<Named> {
    let (stem, extension) = text.rsplit_once('.')?;
    let mut parts = stem.split('_');
    let (device, start, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let source = match parts.next() {
        None => Source::Nvr,
        Some(LIVE) => Source::Live,
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    let device = device.parse().ok()?;
    let label = DateTime::parse_from_str(start, LABEL).ok()?;
    let start = UtcSecond::floor(label.to_utc());
    let seconds: i64 = seconds.strip_suffix('s')?.parse().ok()?;
    let range = TimeRange::new(start, UtcSecond::new(start.get().checked_add(seconds)?))?;
    let named = Named { device, range, source, container: Container::from_extension(extension)? };
    (file(&named, label) == text).then_some(named)
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

    fn from_nvr(range: TimeRange) -> Named {
        Named { device: device(), range, source: Source::Nvr, container: Container::Flv }
    }

    #[test]
    fn a_name_says_local_time_with_its_offset() {
        let nine = from_nvr(range(1_795_136_400, 600));
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(recording(&nine, zone), "5/2026-11-20/5_20261120T090000+0800_600s.flv");
        let live = Named { source: Source::Live, container: Container::MpegTs, ..nine };
        assert_eq!(recording(&live, zone), "5/2026-11-20/5_20261120T090000+0800_600s_live.ts");
    }

    #[test]
    fn the_hour_that_comes_twice_has_two_names() {
        // 2026-11-01 01:00 in New York, before and after the clocks go back.
        let (first, second) = (range(1_793_509_200, 600), range(1_793_512_800, 600));
        let zone = chrono_tz::America::New_York;
        assert_eq!(recording(&from_nvr(first), zone), "5/2026-11-01/5_20261101T010000-0400_600s.flv");
        assert_eq!(recording(&from_nvr(second), zone), "5/2026-11-01/5_20261101T010000-0500_600s.flv");
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
            "5_20261120T090000+0800_600s_live_x.flv",
            "5_20261120T090000+0800_600s.mkv",
            "5_20261120T090000+0800_600.flv",
            "5_20261120T090000+0800_99999999999999999999s.flv",
            " 5_20261120T090000+0800_600s.flv",
            "+5_20261120T090000+0800_600s.flv",
            "05_20261120T090000+0800_600s.flv",
            "5_20261120T090000+08:00_600s.flv",
            "5_20261120T090000+0800_0600s.flv",
            "5_20261120T090000+0800_+600s.flv",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_elsewhere_is_no_recordings() {
        const FILE: &str = "5_20261120T090000+0800_600s.flv";
        assert!(parse_path(&format!("5/2026-11-20/{FILE}")).is_some());
        for folder in ["", "/", "5/", "6/2026-11-20/", "/5/2026-11-20/", "5/2026-11-20/../", "../5/2026-11-20/", "5/x/"]
        {
            assert_eq!(parse_path(&format!("{folder}{FILE}")), None, "{folder}");
        }
    }

    proptest! {
        #[test]
        fn names_are_read_back(
            start in 0..4_102_444_800i64,
            seconds in 1..=600i64,
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            container in 0..Container::ALL.len(),
            live in proptest::bool::ANY,
        ) {
            let source = if live { Source::Live } else { Source::Nvr };
            let named = Named { source, container: Container::ALL[container], ..from_nvr(range(start, seconds)) };
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let name = recording(&named, zone);
            let file = name.rsplit('/').next().expect("a path has a last part");
            prop_assert_eq!(parse(file), Some(named));
            prop_assert!(name.starts_with(&folder(device(), day_of(named.range.start(), zone))));
            prop_assert_eq!(parse_path(&name), Some(named));
        }

        #[test]
        fn names_of_live_staging_are_read_back(
            start in -4_102_444_800_000..4_102_444_800_000i64,
            clock_offset in proptest::option::of(-1_000_000..1_000_000i64),
            number in proptest::num::u64::ANY,
            container in 0..Container::ALL.len(),
        ) {
            let start = Instant::from_millis(start);
            let piece = LivePiece { device: device(), start, clock_offset, number, container: Container::ALL[container] };
            prop_assert_eq!(parse_live_staging(&live_staging(&piece)), Some(piece));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            let _ = (parse(&text), parse_path(&text), parse_live_staging(&text));
        }
    }
}
