//! What the platform's log says of whoever called: whether a camera was asked while it streamed, and whether an NVR that
//! was offline was left alone.
//!
//! The log's moments are the platform's. What a caller knows, and when, is not in it: a call may be on its way while a
//! refusal is on its way back. So the checks allow for what may have been under way, and are right on a slow machine too.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::device::{DeviceId, NvrId};
use archive::instant::Instant;
use archive::sim::{CallRecord, MediaEvent, MediaRecord};

/// How long an NVR that is offline is left alone, and how many calls may come although it should be.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// The delay after the first refusal; it doubles with each further one.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// How many attempts may have been under way when the first refusal arrived, beside the refused one.
    pub under_way: usize,
}

/// The log has whole milliseconds, and so has the program's own clock: two moments may each be cut by one.
const CUT: Duration = Duration::from_millis(2);

impl Breaker {
    /// The least pause after so many refusals in a row: delays are spread by a quarter to either side.
    fn least(&self, refusals: u32) -> Duration {
        let plain = self.first.saturating_mul(2u32.saturating_pow(refusals - 1)).min(self.longest);
        (plain * 3 / 4).saturating_sub(CUT)
    }
}

/// One attempt to get a URL: a call; or, after -100, the call and its repetition.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    came: Instant,
    answered: Instant,
    /// What the NVR answered; nothing when it was not asked.
    said: Option<i64>,
}

fn attempts(calls: &[CallRecord], nvr: &NvrId) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut repeated: BTreeMap<DeviceId, Instant> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.nvr.as_ref() == Some(nvr)) {
        let (Some(device), Some(answered)) = (call.device, call.answered) else { continue };
        let before = repeated.remove(&device);
        let came = before.unwrap_or(call.at);
        if call.stat == Some(-100) && before.is_none() {
            repeated.insert(device, came);
        } else {
            attempts.push(Attempt { came, answered, said: call.result });
        }
    }
    attempts.sort_by_key(|attempt| attempt.answered);
    attempts
}

/// What was wrong with the calls of `nvr` while it was offline: from a refusal on until it says something else, attempts
/// come one at a time, each after the pause that belongs to the refusals so far.
pub fn asked_while_offline(calls: &[CallRecord], nvr: &NvrId, breaker: Breaker) -> Vec<String> {
    let attempts = attempts(calls, nvr);
    let mut wrong = Vec::new();
    let mut rest = &attempts[..];
    while let Some(first) = rest.iter().position(|attempt| attempt.said == Some(1)) {
        let is_back = |attempt: &Attempt| attempt.said.is_some_and(|said| said != 1);
        let behind = &rest[first + 1..];
        // The attempt that finds it back is the last that has to keep to the rule.
        let length = behind.iter().position(is_back).map_or(behind.len(), |back| back + 1);
        wrong.extend(one_outage(nvr, &rest[first], &behind[..length], breaker));
        rest = &behind[length..];
    }
    wrong
}

fn one_outage(nvr: &NvrId, first: &Attempt, others: &[Attempt], breaker: Breaker) -> Option<String> {
    let mut others = others.to_vec();
    others.sort_by_key(|attempt| attempt.came);
    let (mut refusals, mut free_at) = (1, first.answered + breaker.least(1));
    let mut early = Vec::new();
    for attempt in others {
        if attempt.came < free_at {
            early.push(attempt);
            continue;
        }
        free_at = attempt.answered;
        if attempt.said == Some(1) {
            refusals += 1;
            free_at = free_at + breaker.least(refusals);
        }
    }
    (early.len() > breaker.under_way).then(|| {
        format!(
            "{nvr}, offline from {}: {} attempts came too early, and only {} may have been under way: {early:?}",
            first.answered,
            early.len(),
            breaker.under_way
        )
    })
}

/// How often in a row `nvr` has said at last that it is offline.
pub fn last_refusals(calls: &[CallRecord], nvr: &NvrId) -> usize {
    attempts(calls, nvr).iter().rev().filter(|attempt| attempt.said.is_some()).take_while(|a| a.said == Some(1)).count()
}

/// The calls that asked for a camera whose stream was still being sent, and came whole afterwards. When a stream is broken
/// off, the platform may learn of it later than the caller, so those say nothing.
pub fn asked_while_streaming(calls: &[CallRecord], media: &[MediaRecord]) -> Vec<String> {
    let mut wrong = Vec::new();
    for end in media.iter().filter(|event| event.media == MediaEvent::SentWhole) {
        let opened = media
            .iter()
            .rfind(|event| event.media == MediaEvent::Opened && event.lease == end.lease && event.at <= end.at);
        let Some(opened) = opened else { continue };
        let during = |call: &&CallRecord| call.device == end.device && opened.at < call.at && call.at < end.at;
        wrong.extend(calls.iter().filter(during).map(|call| format!("{call:?} came while {opened:?} streamed")));
    }
    wrong
}

/// The checks themselves, with logs that are made up: what breaks the rule is found, and nothing else is.
mod the_checks {
    use archive::time_range::{TimeRange, UtcSecond};

    use super::*;

    /// Pauses of at least 75, 150, 300 and 300 ms.
    const BREAKER: Breaker =
        Breaker { first: Duration::from_millis(100), longest: Duration::from_millis(400), under_way: 2 };

    fn at(milliseconds: i64) -> Instant {
        Instant::from_millis(1_000_000 + milliseconds)
    }

    /// A call that came so many milliseconds after the beginning and took ten.
    fn call(camera: i64, came: i64, said: i64) -> CallRecord {
        CallRecord {
            at: at(came),
            answered: Some(at(came + 10)),
            play: None,
            method: "startRecReqDown".to_owned(),
            device: DeviceId::new(camera),
            nvr: Some(NvrId::new("nvr")),
            range: TimeRange::new(UtcSecond::new(0), UtcSecond::new(600)),
            http: 200,
            stat: Some(0),
            result: Some(said),
            lease: None,
        }
    }

    fn repeated(camera: i64, came: i64) -> CallRecord {
        CallRecord { stat: Some(-100), result: None, ..call(camera, came, 1) }
    }

    fn wrong(calls: &[CallRecord]) -> usize {
        asked_while_offline(calls, &NvrId::new("nvr"), BREAKER).len()
    }

    /// Refusals at 0, 90, 260, 600 and 950, and what there is beside.
    fn outage(beside: impl IntoIterator<Item = CallRecord>) -> Vec<CallRecord> {
        let probes = [0, 90, 260, 600, 950].map(|came| call(1, came, 1));
        let mut calls: Vec<_> = probes.into_iter().chain([call(1, 1300, 0)]).chain(beside).collect();
        calls.sort_by_key(|call| call.at);
        calls
    }

    #[test]
    fn one_probe_at_a_time_after_its_pause_is_right() {
        assert_eq!(wrong(&outage([])), 0);
        assert_eq!(wrong(&outage((0..20).map(|number| call(2, -50 + number, 0)))), 0, "while it was online");
        assert_eq!(wrong(&outage((0..20).map(|number| call(2, 1311 + number, 0)))), 0, "as soon as it is back");
        assert_eq!(wrong(&[]), 0);
    }

    #[test]
    fn what_was_under_way_is_forgiven_and_no_more() {
        let under_way = |cameras: i64| outage((2..2 + cameras).map(|camera| call(camera, 5, 1)));
        assert_eq!(wrong(&under_way(2)), 0);
        assert_eq!(wrong(&under_way(3)), 1);
        // However late one of them arrives.
        assert_eq!(wrong(&outage([call(2, 5, 1), call(3, 265, 1)])), 0);
    }

    #[test]
    fn two_probes_at_once_are_found() {
        let twins = |each: i64| [90, 260, 600, 950].map(|came| call(2, came + each, 1));
        assert_eq!(wrong(&outage(twins(0))), 1);
        assert_eq!(wrong(&outage(twins(5))), 1, "the first has not been answered yet");
    }

    #[test]
    fn probes_that_come_too_early_are_found() {
        let every = |pause: i64| (0..9).map(|number| call(1, number * pause, 1)).collect::<Vec<_>>();
        assert_eq!(wrong(&every(310)), 0);
        assert_eq!(wrong(&every(11)), 1, "no pause at all");
        assert_eq!(wrong(&every(160)), 1, "pauses that do not grow");
    }

    #[test]
    fn each_outage_is_looked_at_by_itself() {
        let mut calls = outage([call(2, 5, 1), call(3, 6, 1)]);
        let again = outage([call(2, 5, 1), call(3, 6, 1), call(4, 7, 1)]);
        let later = |at: Instant| at + Duration::from_secs(60);
        calls.extend(again.into_iter().map(|call| CallRecord {
            at: later(call.at),
            answered: call.answered.map(later),
            ..call
        }));
        assert_eq!(wrong(&calls), 1);
    }

    #[test]
    fn a_call_and_its_repetition_are_one_attempt() {
        let probe = [call(1, 0, 1), repeated(1, 90), call(1, 1100, 1), call(1, 1300, 1), call(1, 1700, 0)];
        assert_eq!(wrong(&probe), 0);
        // While it waits to be repeated, nobody else may ask.
        let others = |number: i64| (0..number).map(|number| call(2 + number, 300 + 200 * number, 1));
        let mut calls: Vec<_> = probe.iter().cloned().chain(others(3)).collect();
        calls.sort_by_key(|call| call.at);
        assert_eq!(wrong(&calls), 1);
        // What was repeated because of a call before the outage was under way.
        let mut calls = outage([repeated(2, -5), call(2, 995, 1), repeated(3, -5), call(3, 996, 1)]);
        assert_eq!(wrong(&calls), 0);
        calls.extend([repeated(4, -5), call(4, 997, 1)]);
        calls.sort_by_key(|call| call.at);
        assert_eq!(wrong(&calls), 1);
    }

    #[test]
    fn another_recorders_calls_are_not_counted() {
        let others = (0..50).map(|number| CallRecord { nvr: Some(NvrId::new("other")), ..call(9, 20 * number, 1) });
        assert_eq!(wrong(&outage(others)), 0);
        assert_eq!(last_refusals(&outage([]), &NvrId::new("other")), 0);
    }

    #[test]
    fn the_last_refusals_are_counted_from_the_end() {
        let nvr = NvrId::new("nvr");
        assert_eq!(last_refusals(&outage([]), &nvr), 0, "it came back");
        let mut calls = outage([]);
        calls.extend([call(1, 2000, 1), call(1, 2100, 1)]);
        assert_eq!(last_refusals(&calls, &nvr), 2);
    }

    #[test]
    fn a_camera_that_is_asked_while_it_streams_is_found() {
        let event = |media, milliseconds| MediaRecord {
            at: at(milliseconds),
            media,
            lease: 7,
            device: DeviceId::new(1),
            range: None,
            fault: None,
            bytes: 0,
        };
        let media = [event(MediaEvent::Opened, 20), event(MediaEvent::SentWhole, 400)];
        assert!(asked_while_streaming(&[call(1, 0, 0), call(2, 100, 0), call(1, 400, 0)], &media).is_empty());
        assert_eq!(asked_while_streaming(&[call(1, 0, 0), call(1, 100, -3)], &media).len(), 1);
        let broken = [event(MediaEvent::Opened, 20), event(MediaEvent::Dropped, 400)];
        assert!(asked_while_streaming(&[call(1, 100, -3)], &broken).is_empty());
    }
}
