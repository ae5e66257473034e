//! The calendar, over zones that change their clocks by an hour, by half an hour, at midnight, and no more.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

const ZONES: [Tz; 7] = [
    Tz::Asia__Shanghai,
    Tz::America__New_York,
    Tz::Europe__Berlin,
    Tz::Australia__Lord_Howe,
    Tz::America__Havana,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
];

fn utc(text: &str) -> UtcSecond {
    UtcSecond::floor(DateTime::parse_from_rfc3339(text).expect("a test's time").to_utc())
}

fn range(from: &str, to: &str) -> TimeRange {
    TimeRange::new(utc(from), utc(to)).expect("a test's range")
}

fn between(from: &str, to: &str) -> Asked {
    Asked::Between { from: from.parse().expect("a test's time"), to: to.parse().expect("a test's time") }
}

fn hours(spans: &[&str]) -> Vec<HourSpan> {
    spans.iter().map(|span| span.parse().expect("a test's hours")).collect()
}

const LATER: &str = "2030-01-01T00:00:00Z";

fn resolved(asked: Asked, spans: &[&str], zone: Tz, now: &str) -> Resolved {
    resolve(&asked, &hours(spans), zone, utc(now)).expect("a test's request")
}

fn ranges(asked: Asked, spans: &[&str], zone: Tz, now: &str) -> Vec<TimeRange> {
    resolved(asked, spans, zone, now).ranges.ranges().to_vec()
}

#[test]
fn days_are_those_of_the_devices_clock() {
    let now = "2026-11-20T17:00:00Z"; // 01:00 on the 21st in Shanghai
    let zone = Tz::Asia__Shanghai;
    assert_eq!(ranges(Asked::Yesterday, &[], zone, now), [range("2026-11-19T16:00:00Z", "2026-11-20T16:00:00Z")]);
    assert_eq!(ranges(Asked::Today, &[], zone, now), [range("2026-11-20T16:00:00Z", now)]);
    assert_eq!(
        ranges(Asked::last("26h").unwrap(), &[], zone, now),
        [range("2026-11-19T15:00:00Z", "2026-11-20T17:00:00Z")]
    );
    assert_eq!(
        ranges(between("2026-11-20 09:00", "2026-11-20T14:00:00+00:00"), &[], zone, now),
        [range("2026-11-20T01:00:00Z", "2026-11-20T14:00:00Z")]
    );
}

#[test]
fn hours_hold_what_the_clock_shows() {
    let span = |text: &str| hours(&[text])[0];
    let berlin = Tz::Europe__Berlin;
    // 03:00 becomes 02:00 at 01:00 UTC.
    let night = span("02:30-04:00");
    for (at, holds) in [("00:29", false), ("00:30", true), ("00:59", true), ("01:00", false), ("01:30", true)] {
        assert_eq!(night.holds(utc(&format!("2026-10-25T{at}:00Z")), berlin), holds, "{at}");
    }
    let changes: Vec<String> =
        std::iter::successors(Some(utc("2026-10-25T00:00:00Z")), |&now| Some(night.same_until(now, berlin)))
            .skip(1)
            .take(4)
            .map(|at| at.to_string())
            .collect();
    let expected = ["00:30:00", "01:00:00", "01:30:00", "03:00:00"].map(|time| format!("2026-10-25T{time}Z"));
    assert_eq!(changes, expected);
    assert!(span("00:00-24:00").holds(utc("2026-10-25T00:59:59Z"), berlin));
}

#[test]
fn a_day_of_a_clock_change_is_an_hour_shorter_or_longer() {
    let length = |zone, date| {
        let day = resolved(Asked::day(date).unwrap(), &[], zone, LATER);
        assert_eq!((day.ranges.ranges().len(), day.notes.len()), (1, 0));
        day.ranges.seconds()
    };
    assert_eq!(length(Tz::America__New_York, "2026-03-08"), 23 * 3600);
    assert_eq!(length(Tz::America__New_York, "2026-11-01"), 25 * 3600);
    assert_eq!(length(Tz::Europe__Berlin, "2026-10-25"), 25 * 3600);
    assert_eq!(length(Tz::Australia__Lord_Howe, "2026-04-05"), 24 * 3600 + 1800);
    assert_eq!(length(Tz::America__Havana, "2026-11-01"), 25 * 3600);
    assert_eq!(length(Tz::Asia__Shanghai, "1991-04-14"), 23 * 3600);
    assert_eq!(length(Tz::Asia__Shanghai, "1991-09-15"), 25 * 3600);
    assert_eq!(length(Tz::Asia__Shanghai, "2026-04-14"), 24 * 3600);
}

#[test]
fn hours_are_a_mask_over_the_range_and_may_cross_midnight() {
    let zone = Tz::Asia__Shanghai;
    let day = Asked::day("2026-11-20").unwrap();
    assert_eq!(ranges(day, &["09:00-22:00"], zone, LATER), [range("2026-11-20T01:00:00Z", "2026-11-20T14:00:00Z")]);
    assert_eq!(
        ranges(day, &["22:00-02:00"], zone, LATER),
        [range("2026-11-19T16:00:00Z", "2026-11-19T18:00:00Z"), range("2026-11-20T14:00:00Z", "2026-11-20T16:00:00Z")]
    );
    assert_eq!(ranges(day, &["00:00-24:00"], zone, LATER), ranges(day, &[], zone, LATER));
    let early = resolved(Asked::Today, &["09:00-22:00"], zone, "2026-11-20T00:30:00Z");
    assert!(early.ranges.is_empty() && early.notes.is_empty());
}

#[test]
fn an_edge_that_comes_twice_takes_the_longer_range_and_says_so() {
    let zone = Tz::America__New_York;
    let got = resolved(between("2026-11-01 01:30", "2026-11-01 01:45"), &[], zone, LATER);
    assert_eq!(got.ranges.ranges(), [range("2026-11-01T05:30:00Z", "2026-11-01T06:45:00Z")]);
    assert_eq!(
        got.notes.iter().map(Note::to_string).collect::<Vec<_>>(),
        [
            "2026-11-01 01:30:00 comes twice in America/New_York (the clock is set back): 2026-11-01T05:30:00Z is taken",
            "2026-11-01 01:45:00 comes twice in America/New_York (the clock is set back): 2026-11-01T06:45:00Z is taken",
        ]
    );
    let masked = resolved(Asked::day("2026-11-01").unwrap(), &["01:30-01:45"], zone, LATER);
    assert_eq!(masked, got);
}

#[test]
fn a_span_to_midnight_ends_where_the_next_day_starts_even_where_midnight_comes_twice() {
    let asked = between("2026-10-31 12:00", "2026-11-01 12:00");
    let got = resolved(asked, &["22:00-24:00"], Tz::America__Havana, LATER);
    assert_eq!(got.ranges.ranges(), [range("2026-11-01T02:00:00Z", "2026-11-01T04:00:00Z")]);
    assert_eq!(got.notes, []);
}

#[test]
fn an_edge_that_does_not_exist_is_the_moment_of_the_leap() {
    let zone = Tz::America__New_York;
    let leap = utc("2026-03-08T07:00:00Z");
    let got = resolved(between("2026-03-08 02:30", "2026-03-08 04:00"), &[], zone, LATER);
    assert_eq!(got.ranges.ranges(), [range("2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z")]);
    assert!(matches!(got.notes[..], [Note::Skipped { taken, .. }] if taken == leap), "{:?}", got.notes);
    let got = resolved(between("2026-03-08 01:00", "2026-03-08 02:59"), &[], zone, LATER);
    assert_eq!(got.ranges.ranges(), [range("2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z")]);
    // Samoa leapt over a whole day.
    let apia = resolved(between("2011-12-30 12:00", "2011-12-31 01:00"), &[], Tz::Pacific__Apia, LATER);
    assert_eq!(apia.ranges.ranges(), [range("2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z")]);
}

#[test]
fn the_future_is_cut_at_now_with_a_note() {
    let (zone, now) = (Tz::Asia__Shanghai, "2026-11-20T04:00:00Z");
    let got = resolved(between("2026-11-20 09:00", "2026-11-20 22:00"), &[], zone, now);
    assert_eq!(got.ranges.ranges(), [range("2026-11-20T01:00:00Z", now)]);
    assert_eq!(got.notes, [Note::FutureCut { asked: utc("2026-11-20T14:00:00Z"), now: utc(now) }]);
    let tomorrow = resolve(&Asked::day("2026-11-21").unwrap(), &[], zone, utc(now));
    assert!(matches!(tomorrow, Err(CalendarError::AllInFuture { .. })), "{tomorrow:?}");
    let backwards = resolve(&between("now", "2026-11-20 09:00"), &[], zone, utc(now));
    assert!(matches!(backwards, Err(CalendarError::EndsBeforeStart { .. })), "{backwards:?}");
}

#[test]
fn times_outside_the_calendar_are_refused() {
    for text in ["1969-12-30", "0001-01-01", "99999-01-01", "-262143-01-01"] {
        let got = text
            .parse::<When>()
            .and_then(|from| resolve(&Asked::Between { from, to: When::Now }, &[], Tz::Asia__Shanghai, utc(LATER)));
        assert!(got.is_err(), "{text}: {got:?}");
    }
    let ages = Asked::Last(Duration::MAX);
    assert_eq!(resolve(&ages, &[], Tz::Asia__Shanghai, utc(LATER)), Err(CalendarError::OutsideCalendar));
    for now in [i64::MIN, i64::MAX] {
        let now = UtcSecond::new(now);
        assert_eq!(resolve(&Asked::Yesterday, &[], Tz::Asia__Shanghai, now), Err(CalendarError::OutsideCalendar));
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_an_example() {
    for wrong in ["", "9:00", "2026-13-01", "tomorrow", "2026-11-20 09", "2026-11-20 25:00", "2026-02-30"] {
        let error = wrong.parse::<When>().expect_err(wrong).to_string();
        assert!(error.contains("2026-11-20 09:00"), "{error}");
    }
    for wrong in ["9-22", "09:00", "09:00-09:00", "24:00-02:00", "09:00-25:00", "09:00-22:00-23:00", ""] {
        let error = wrong.parse::<HourSpan>().expect_err(wrong).to_string();
        assert_eq!(error, format!("{wrong:?} is not a span of hours; write \"09:00-22:00\""));
    }
    for wrong in ["0h", "26", "-1h", "", "h", "99999999999999999999h"] {
        assert!(Asked::last(wrong).is_err(), "{wrong:?}");
    }
    assert_eq!(Asked::last("7d"), Ok(Asked::Last(Duration::from_secs(7 * 86_400))));
    assert_eq!("22:00-00:00".parse::<HourSpan>().unwrap().to_string(), "22:00-24:00");
}

#[test]
fn labels_that_exist_twice_are_known() {
    let zone = Tz::America__New_York; // set back from 02:00 to 01:00 at 06:00 UTC
    let twice = |from, to| label_exists_twice(range(from, to), zone);
    assert!(!twice("2026-11-01T04:50:00Z", "2026-11-01T05:00:00Z"));
    assert!(twice("2026-11-01T04:55:00Z", "2026-11-01T05:05:00Z"));
    assert!(twice("2026-11-01T05:00:00Z", "2026-11-01T05:10:00Z"));
    assert!(twice("2026-11-01T06:50:00Z", "2026-11-01T07:00:00Z"));
    assert!(!twice("2026-11-01T07:00:00Z", "2026-11-01T07:10:00Z"));
    assert!(twice("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"));
    assert!(!label_exists_twice(range("2026-11-01T05:00:00Z", "2026-11-01T05:10:00Z"), Tz::Asia__Shanghai));
    // St John's set its clock back at a minute past midnight.
    assert!(label_exists_twice(range("2010-11-07T01:30:00Z", "2010-11-07T01:40:00Z"), Tz::America__St_Johns));
    assert!(!label_exists_twice(range("2010-11-07T01:20:00Z", "2010-11-07T01:30:00Z"), Tz::America__St_Johns));
}

#[test]
fn the_labels_for_the_platform_are_as_far_apart_as_the_window_is_long() {
    let zone = Tz::America__New_York;
    let (start, end) = platform_labels(range("2026-11-01T05:55:00Z", "2026-11-01T06:05:00Z"), zone);
    assert_eq!((start.to_string(), end.to_string()), ("2026-11-01 01:55:00".into(), "2026-11-01 02:05:00".into()));
    let (start, end) = platform_labels(range("2026-11-20T01:00:00Z", "2026-11-20T01:03:20Z"), Tz::Asia__Shanghai);
    assert_eq!((start.to_string(), end.to_string()), ("2026-11-20 09:00:00".into(), "2026-11-20 09:03:20".into()));
}

#[test]
fn the_next_seven_o_clock_is_today_or_tomorrow() {
    let seven = NaiveTime::from_hms_opt(7, 0, 0).unwrap();
    let zone = Tz::Asia__Shanghai;
    assert_eq!(next_local_time(seven, zone, utc("2026-11-20T15:00:00Z")), utc("2026-11-20T23:00:00Z"));
    assert_eq!(next_local_time(seven, zone, utc("2026-11-20T23:00:00Z")), utc("2026-11-21T23:00:00Z"));
    let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
    let leap = next_local_time(half_past_two, Tz::America__New_York, utc("2026-03-08T05:00:00Z"));
    assert_eq!(leap, utc("2026-03-08T07:00:00Z"));
    let extreme = next_local_time(seven, zone, UtcSecond::new(i64::MAX));
    assert_eq!(extreme, UtcSecond::new(i64::MAX));
}

/// The plainest model of a mask: the label of the second itself.
fn is_open(at: UtcSecond, span: HourSpan, zone: Tz) -> bool {
    let time = local::local_time(at, zone).time();
    if span.ends_next_day() { span.from() <= time || time < span.to() } else { span.from() <= time && time < span.to() }
}

fn some_span() -> impl Strategy<Value = HourSpan> {
    (0..24u32, 0..=24u32)
        .prop_filter("not empty", |(from, to)| from != to)
        .prop_map(|(from, to)| format!("{from:02}:00-{to:02}:00").parse().expect("a span"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_instant_of_a_year_of_days_is_asked_for_exactly_once(
        zone in prop::sample::select(ZONES.to_vec()),
        year in 1986..2027i32,
    ) {
        let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        let mut end_before = None;
        for date in first.iter_days().take(367) {
            let day = resolve(&Asked::Date(date), &[], zone, utc(LATER)).unwrap().ranges;
            prop_assert_eq!(day.ranges().len(), 1);
            prop_assert_eq!(day.ranges()[0].start(), end_before.unwrap_or(day.ranges()[0].start()), "{} {}", zone, date);
            end_before = Some(day.ranges()[0].end());
        }
    }

    #[test]
    fn no_open_second_is_lost_and_no_other_asked_for_but_where_the_clock_is_set_back(
        zone in prop::sample::select(ZONES.to_vec()),
        day in 0..14_000u64,
        span in some_span(),
    ) {
        let date = NaiveDate::from_ymd_opt(1986, 1, 1).unwrap() + Days::new(day);
        let asked = Asked::Between {
            from: When::Local(date.and_time(NaiveTime::MIN)),
            to: When::Local((date + Days::new(2)).and_time(NaiveTime::MIN)),
        };
        let whole = resolve(&asked, &[], zone, utc(LATER)).unwrap().ranges;
        let masked = resolve(&asked, &[span], zone, utc(LATER)).unwrap().ranges;
        prop_assert!(masked.subtract(&whole).is_empty());
        for part in &whole {
            for second in (part.start().get()..part.end().get()).step_by(60) {
                let at = TimeRange::new(UtcSecond::new(second), UtcSecond::new(second + 1)).unwrap();
                let (open, taken) = (is_open(at.start(), span, zone), masked.covers(&at));
                prop_assert!(taken || !open, "{} is lost", at);
                prop_assert!(open || !taken || label_exists_twice(at, zone), "{} was not asked for", at);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9:T+Zhmd -]{0,30}") {
        let zone = Tz::Europe__Berlin;
        let spans: Vec<HourSpan> = text.parse().into_iter().collect();
        let asked = [Asked::day(&text), Asked::last(&text), text.parse().map(|from| Asked::Between { from, to: When::Now })];
        for asked in asked.into_iter().flatten() {
            if let Ok(got) = resolve(&asked, &spans, zone, utc(LATER)) {
                prop_assert!(got.ranges.ranges().iter().all(|held| held.end() <= utc(LATER)));
            }
        }
    }

    #[test]
    fn the_next_local_time_is_after_now_and_within_two_days(
        zone in prop::sample::select(ZONES.to_vec()),
        now in 504_921_600..1_800_000_000i64,
        minute in 0..1440u32,
    ) {
        let time = NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
        let (now, next) = (UtcSecond::new(now), next_local_time(time, zone, UtcSecond::new(now)));
        prop_assert!(next > now && next - now <= 26 * 3600, "{} after {}", next, now);
    }
}
