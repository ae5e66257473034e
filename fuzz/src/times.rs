//! Times, spans of hours and lengths of time as people write them, and what they come to.

use std::time::Duration;

use archive::calendar::{self, Asked, CalendarError, HourSpan, Resolved, When};
use archive::time_range::{ALL_TIME, RangeSet, TimeRange, UtcSecond};
use chrono_tz::Tz;

/// Days are gone through one by one where there are hours: of longer ranges that takes too long for a fuzzer, and is no other.
const LONGEST: i64 = 120 * 86_400;

/// The input is a zone and the time that it is (in seconds since 1970), and then a text on each line.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let mut head = lines.next().unwrap_or_default().split(' ');
    let zone: Tz = head.next().and_then(|name| name.parse().ok()).unwrap_or(Tz::Asia__Shanghai);
    let now = UtcSecond::new(head.next().and_then(|number| number.parse().ok()).unwrap_or(1_795_176_000));
    let lines: Vec<&str> = lines.take(5).collect();

    let whens: Vec<When> = lines.iter().filter_map(|line| told(line.parse())).collect();
    let hours: Vec<HourSpan> = lines.iter().filter_map(|line| told(line.parse())).collect();
    for span in &hours {
        assert_eq!(span.to_string().parse(), Ok(*span), "{span}");
    }
    for line in &lines {
        if let Some(length) = told(calendar::parse_duration(line)) {
            is_last(line, length);
        }
        let _ = told(calendar::moment(told(line.parse()).unwrap_or(When::Now), zone, now));
    }
    let days = lines.iter().filter_map(|line| told(Asked::day(line)));
    let lasts = lines.iter().filter_map(|line| told(Asked::last(line)));
    let froms = whens
        .iter()
        .flat_map(|from| whens.iter().chain([&When::Now]).map(|to| Asked::Between { from: *from, to: *to }));
    for asked in days.chain(lasts).chain(froms) {
        is_resolved(&asked, &hours, zone, now);
    }
}

/// What was read; a refusal quotes what was typed.
fn told<T>(read: Result<T, CalendarError>) -> Option<T> {
    read.map_err(|error| assert!(!error.to_string().contains(['\n', '\u{1b}']), "{error}")).ok()
}

fn is_last(line: &str, length: Duration) {
    let expected = (length.as_secs() > 0).then_some(Asked::Last(length));
    assert_eq!(Asked::last(line).ok(), expected, "{line:?}");
}

fn is_resolved(asked: &Asked, hours: &[HourSpan], zone: Tz, now: UtcSecond) {
    let Some(all) = told(calendar::resolve(asked, &[], zone, now)) else { return };
    let [whole] = all.ranges.ranges() else { panic!("{asked:?} without hours is {:?}", all.ranges) };
    assert!(whole.end() <= now, "{asked:?} as of {now} is {whole}");
    let day = 86_400;
    assert!(whole.start() >= ALL_TIME.start() - day && whole.end() <= ALL_TIME.end() + day, "{whole}");
    are_shown(&all);
    if hours.is_empty() || whole.seconds() > LONGEST {
        return;
    }
    let Some(masked) = told(calendar::resolve(asked, hours, zone, now)) else { return };
    are_shown(&masked);
    assert!(masked.ranges.subtract(&all.ranges).is_empty(), "{asked:?} with {hours:?} is more than without");
    // A look at a second here and there: an open one is asked for; a closed one only where the clock comes twice to it.
    for step in 0..50 {
        let at = whole.start() + whole.seconds() / 50 * step;
        let Some(second) = TimeRange::new(at, at + 1) else { continue };
        let is_open = hours.iter().any(|span| span.holds(at, zone));
        let is_taken = masked.ranges.covers(&second);
        assert!(is_taken || !is_open || !whole.contains(at), "{at} in {zone} is lost to {hours:?}");
        assert!(
            is_open || !is_taken || calendar::label_exists_twice(second, zone),
            "{at} in {zone} is not of {hours:?}"
        );
    }
    let both: RangeSet = hours
        .iter()
        .filter_map(|span| calendar::resolve(asked, &[*span], zone, now).ok())
        .flat_map(|one| one.ranges.ranges().to_vec())
        .collect();
    assert_eq!(masked.ranges, both, "each span adds its own: {asked:?} {hours:?}");
}

fn are_shown(resolved: &Resolved) {
    for note in &resolved.notes {
        assert!(!note.to_string().is_empty());
    }
}
