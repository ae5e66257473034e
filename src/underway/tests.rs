//! A run's events, counted.

use super::*;
use crate::event::Server;
use crate::time_range::TimeRange;
use crate::window::Cause;

const START: i64 = 1_795_132_800;

fn at(milliseconds: i64) -> Instant {
    Instant::from_millis(START * 1000 + milliseconds)
}

fn window(device: i64, number: i64) -> Window {
    let start = UtcSecond::new(START - 86_400 + number * 600);
    let range = TimeRange::new(start, start + 600).expect("ten minutes");
    Window { device: DeviceId::new(device).expect("not negative"), range }
}

fn begin(tally: &mut Tally, window: Window, milliseconds: i64) {
    tally.note(&Event::AttemptStarted { window, nvr: NvrId::new("store 1") }, at(milliseconds));
}

fn end(tally: &mut Tally, window: Window, outcome: Outcome, bytes: u64, milliseconds: i64) {
    let started = UtcSecond::new(START);
    let attempt = Attempt { started, milliseconds: 1, bytes, outcome, code: None, detail: None };
    tally.note(&Event::AttemptEnded { window, attempt }, at(milliseconds));
}

#[test]
fn what_streams_and_what_is_done_is_told_with_an_end() {
    let mut tally = Tally::new(7, "run nightly");
    tally.note(&Event::Started { windows: 4, seconds: 2400 }, at(0));
    assert_eq!(tally.snapshot(at(0)).ends, None);
    begin(&mut tally, window(5, 0), 0);
    begin(&mut tally, window(6, 0), 0);
    let streaming = |window, media_milliseconds, bytes| Event::Streaming { window, media_milliseconds, bytes };
    tally.note(&streaming(window(5, 0), 300_000, 4_000), at(10_000));
    tally.note(&streaming(window(6, 0), 300_000, 6_000), at(10_000));
    let now = tally.snapshot(at(20_000));
    assert_eq!((now.pid, now.planned_windows, now.streaming, now.done_seconds), (7, 4, 2, 600));
    assert_eq!((now.bytes, now.bytes_per_second), (10_000, 500));
    assert_eq!(now.ends, Some(START + 80), "a quarter took twenty seconds");
    assert_eq!((now.streams[0].device, now.streams[0].media_seconds, now.streams[0].bytes_per_second), (5, 300, 200));

    end(&mut tally, window(5, 0), Outcome::Archived, 9_000, 30_000);
    end(&mut tally, window(6, 0), Outcome::Broken, 7_000, 30_000);
    tally.note(&Event::GivenUp { window: window(6, 1), cause: Cause::NvrBusy }, at(30_000));
    let now = tally.snapshot(at(30_000));
    assert_eq!((now.archived_windows, now.given_up, now.streaming, now.done_seconds), (1, 1, 0, 1200));
    assert_eq!(now.bytes, 16_000, "what came to nothing came all the same");
}

#[test]
fn who_refuses_and_who_is_left_alone_is_told_until_it_is_over() {
    let mut tally = Tally::new(7, "run nightly");
    for (number, class) in [(0, Class::NvrFull), (1, Class::NvrOffline), (2, Class::CameraBusy)] {
        begin(&mut tally, window(5, number), 0);
        end(&mut tally, window(5, number), Outcome::Missed(class), 0, 0);
    }
    let nvr = NvrId::new("store 1");
    tally.note(&Event::NvrHeld { nvr, class: Class::NvrFull, until: Some(at(60_000)), limit: 3 }, at(0));
    let now = tally.snapshot(at(1_000));
    let held = |held_until| NvrNow { nvr: "store 1".to_owned(), calls: 3, refused: 2, held_until, limit: Some(3) };
    assert_eq!(now.nvrs, [held(Some(START + 60))]);
    assert_eq!(tally.snapshot(at(60_000)).nvrs, [held(None)]);
}

#[test]
fn a_live_camera_is_told_with_since_when_it_streams_or_does_not() {
    let mut tally = Tally::new(7, "live");
    let device = window(5, 0).device;
    let began = || Event::LiveBegan { device, via: "flv", said: "".into(), codec: None };
    let interrupted = |why: &str| {
        let retry = std::time::Duration::from_secs(1);
        Event::LiveInterrupted { device, since: UtcSecond::new(START + 9), why: why.to_owned(), retry }
    };
    tally.note(&began(), at(0));
    tally.note(&began(), at(2_000));
    let now = tally.snapshot(at(3_000));
    assert_eq!((now.live, now.interrupted, now.cameras[0].since), (1, 0, START));
    tally.note(&interrupted("stalled"), at(10_000));
    tally.note(&interrupted("refused"), at(11_000));
    let now = tally.snapshot(at(12_000));
    assert_eq!((now.live, now.interrupted, now.cameras[0].since), (0, 1, START + 9));
    assert_eq!(now.cameras[0].interrupted.as_deref(), Some("refused"));
}

/// A file that is written once a second stays small, and what is not in it is counted.
#[test]
fn of_ten_thousand_streams_a_snapshot_stays_small() {
    let mut tally = Tally::new(7, "run nightly");
    for device in 0..10_000 {
        let window = window(device, 0);
        tally.note(&Event::AttemptStarted { window, nvr: NvrId::new(&format!("nvr {device}")) }, at(0));
        let nvr = NvrId::new(&format!("nvr {device}"));
        tally.note(&Event::NvrHeld { nvr, class: Class::NvrFull, until: Some(at(60_000)), limit: 1 }, at(0));
        let interrupted = Event::LiveInterrupted {
            device: window.device,
            since: UtcSecond::new(START),
            why: "stalled".to_owned(),
            retry: std::time::Duration::ZERO,
        };
        tally.note(&interrupted, at(0));
    }
    let now = tally.snapshot(at(1_000));
    assert_eq!((now.streaming, now.interrupted), (10_000, 10_000));
    let text = serde_json::to_string(&now).expect("JSON");
    assert!(text.len() < 40_000, "{}", text.len());
    assert_eq!(serde_json::from_str::<Underway>(&text).expect("it is read back"), now);
}

#[test]
fn what_is_waited_for_is_told_since_when_until_it_is_back() {
    let mut tally = Tally::new(7, "run nightly");
    let away = |server, why: &str| Event::Away { server, why: why.to_owned() };
    tally.note(&away(Server::Ledger, "refused"), at(1_000));
    tally.note(&away(Server::Store, "timed out"), at(2_000));
    let waits =
        |for_what: &str, since, why: &str| Waits { for_what: for_what.into(), since: START + since, why: why.into() };
    assert_eq!(
        tally.snapshot(at(9_000)).waits,
        [waits("the ledger", 1, "refused"), waits("the object store", 2, "timed out")]
    );
    tally.note(&Event::Back { server: Server::Ledger }, at(10_000));
    assert_eq!(tally.snapshot(at(10_000)).waits, [waits("the object store", 2, "timed out")]);
    // What an older program has written says nothing of it.
    assert_eq!(serde_json::from_str::<Underway>("{\"pid\": 7}").expect("it is read").waits, []);
}
