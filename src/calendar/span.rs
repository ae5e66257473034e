//! The next stretch in which something goes on that is bound to daily hours.

use chrono_tz::Tz;

use super::HourSpan;
use crate::time_range::UtcSecond;

/// Daily hours that follow one another without a break for longer than this, in seconds, are taken for hours without an end.
const LONGEST: i64 = 48 * 3600;

/// When something goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub start: UtcSecond,
    /// The first second after it; nothing when it has no end.
    pub end: Option<UtcSecond>,
}

/// The stretch that goes on at `now`, or the next one, within daily `hours` in `zone` (at all times, if there are none) and
/// before `until`. It begins at `now` at the earliest.
pub fn next_span(hours: &[HourSpan], zone: Tz, now: UtcSecond, until: Option<UtcSecond>) -> Option<Span> {
    let is_over = |at: UtcSecond| until.is_some_and(|until| at >= until);
    let holds = |at: UtcSecond| hours.is_empty() || hours.iter().any(|span| span.holds(at, zone));
    // A moment later than `at` before which nothing begins or ends; each step is at least a second long.
    let next = |at: UtcSecond| hours.iter().map(|span| span.same_until(at, zone)).min();
    let mut start = now;
    while !holds(start) {
        start = next(start)?;
        if is_over(start) || start - now > LONGEST {
            return None;
        }
    }
    if is_over(start) {
        return None;
    }
    let mut end = start;
    while holds(end) {
        match next(end) {
            Some(later) if later - start <= LONGEST && !is_over(later) => end = later,
            _ => return Some(Span { start, end: until }),
        }
    }
    Some(Span { start, end: Some(end) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHANGHAI: Tz = chrono_tz::Asia::Shanghai;

    /// Seconds of Shanghai's 20 November 2026.
    fn at(hour: i64, minute: i64) -> UtcSecond {
        UtcSecond::new(1_795_104_000 + hour * 3600 + minute * 60)
    }

    fn spans(hours: &[&str], now: UtcSecond, until: Option<UtcSecond>) -> Option<Span> {
        let hours: Vec<HourSpan> = hours.iter().map(|span| span.parse().expect("a span")).collect();
        next_span(&hours, SHANGHAI, now, until)
    }

    #[test]
    fn it_goes_on_or_comes_next_and_ends_where_the_hours_do() {
        let day = &["09:00-22:00"][..];
        let whole = Span { start: at(9, 0), end: Some(at(22, 0)) };
        assert_eq!(spans(day, at(3, 0), None), Some(whole));
        assert_eq!(spans(day, at(9, 0), None), Some(whole));
        assert_eq!(spans(day, at(12, 30), None), Some(Span { start: at(12, 30), ..whole }));
        assert_eq!(spans(day, at(22, 0), None), Some(Span { start: at(33, 0), end: Some(at(46, 0)) }));
        let both = &["09:00-12:00", "12:00-13:00", "20:00-02:00"][..];
        assert_eq!(spans(both, at(9, 0), None), Some(Span { start: at(9, 0), end: Some(at(13, 0)) }));
        assert_eq!(spans(both, at(13, 0), None), Some(Span { start: at(20, 0), end: Some(at(26, 0)) }));
    }

    #[test]
    fn until_bounds_it() {
        let day = &["09:00-22:00"][..];
        assert_eq!(spans(day, at(12, 0), Some(at(18, 0))), Some(Span { start: at(12, 0), end: Some(at(18, 0)) }));
        assert_eq!(spans(day, at(12, 0), Some(at(12, 0))), None);
        assert_eq!(spans(day, at(3, 0), Some(at(9, 0))), None);
        assert_eq!(spans(&[], at(3, 0), Some(at(9, 0))), Some(Span { start: at(3, 0), end: Some(at(9, 0)) }));
        assert_eq!(spans(&[], at(3, 0), Some(at(2, 0))), None);
    }

    #[test]
    fn hours_without_a_break_have_no_end() {
        let endless = |start| Some(Span { start, end: None });
        assert_eq!(spans(&[], at(3, 0), None), endless(at(3, 0)));
        assert_eq!(spans(&["00:00-24:00"], at(3, 0), None), endless(at(3, 0)));
        assert_eq!(spans(&["08:00-20:00", "20:00-08:00"], at(3, 0), None), endless(at(3, 0)));
    }
}
