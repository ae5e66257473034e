//! The names of recordings: made from numbers, read from anything.

use archive::device::DeviceId;
use archive::recording::{Container, Source};
use archive::time_range::{ALL_TIME, TimeRange, UtcSecond};
use archive::vault::{Named, name};
use chrono_tz::{TZ_VARIANTS, Tz};

/// The input is the name of a file, and the numbers that one is made from.
pub fn holds(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(named) = name::parse(text)
    {
        assert!(named.range.seconds() > 0 && text.bytes().all(is_plain), "{text:?}");
        let numbers = text.split('_').map(|part| part.trim_end_matches('s'));
        let written: Vec<&str> = numbers.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit())).collect();
        assert!(
            written.iter().all(|number| *number == "0" || !number.starts_with('0')),
            "{text:?} is never written so"
        );
        if ALL_TIME.contains(named.range.start()) {
            is_read_back(&named, Tz::UTC);
            is_read_back(&named, Tz::Asia__Shanghai);
        }
    }
    let mut numbers = input.chunks(8).map(|bytes| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(padded)
    });
    let mut number = |most: u64| numbers.next().unwrap_or_default() % most;
    let device = i64::try_from(number(1 << 63)).ok().and_then(DeviceId::new).expect("not negative");
    // OK: 1970 to 9999, less a week at both ends for what zones and the length add.
    let start = 700_000 + i64::try_from(number(253_400_000_000)).expect("it has 38 bits");
    let seconds = 1 + i64::try_from(number(600_000)).expect("small");
    let kind = number(6) as usize;
    let zone = TZ_VARIANTS[number(TZ_VARIANTS.len() as u64) as usize];
    let range = TimeRange::new(UtcSecond::new(start), UtcSecond::new(start + seconds)).expect("it has a second");
    let named = Named { device, range, source: Source::ALL[kind % 2], container: Container::ALL[kind / 2] };
    is_read_back(&named, zone);
}

fn is_read_back(named: &Named, zone: Tz) {
    let path = name::recording(named, zone);
    let parts: Vec<&str> = path.split('/').collect();
    let [device, day, file] = parts[..] else { panic!("{path:?} is not in a folder of a folder") };
    assert_eq!(device, named.device.to_string());
    assert_eq!(day, name::day_of(named.range.start(), zone).to_string());
    assert_eq!(name::parse(file), Some(*named), "{path:?}");
    assert!([device, day, file].iter().all(|part| part.bytes().all(is_plain)), "{path:?}");
    assert!(path.len() < 100 && !path.contains(".."), "{path:?}");
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte)
}
