//! What streams may come to, one by one: the archive holds what is good, and the ledger says why the rest is missing.

use archive::outcome::Code;
use archive::report::GapQuery;
use archive::sim::moment::{Moment, Period};
use archive::sim::{Config, MediaFault, Scripted};
use archive::time_range::{RangeSet, TimeRange};
use archive::window::Cause;

use crate::support::{Place, code, device, ended, fleet, range, stderr, yesterday};

const CAMERA: i64 = 1;

async fn fetch(place: &Place, devices: &str, asked: TimeRange) -> std::process::Output {
    ended(place.fetch(devices, asked).spawn().expect("the program starts")).await
}

/// A run over one window whose first streams go wrong in these ways. Gives the exit code.
async fn with_faults(place: &Place, faults: impl IntoIterator<Item = MediaFault>) -> i32 {
    place.platform.script(device(CAMERA), faults.into_iter().map(Scripted::Stream));
    let output = fetch(place, "1", range(yesterday(), 600)).await;
    place.assert_true(&[CAMERA]).await;
    code(&output)
}

fn one_camera() -> Config {
    fleet(&[(4, &[CAMERA])])
}

async fn missing(place: &Place) -> Vec<(Cause, i64)> {
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    gaps.into_iter().map(|gap| (gap.cause, gap.seconds)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_keeps_its_good_prefix_and_the_rest_is_asked_for() {
    for fault in [
        MediaFault::BreakAfterSeconds(300),
        MediaFault::EndInTagAfterSeconds(300),
        MediaFault::StallAfterSeconds(300),
        MediaFault::GarbageAfterSeconds(300),
    ] {
        let place = Place::new(one_camera()).await;
        assert_eq!(with_faults(&place, [fault.clone()]).await, 0, "{fault:?}");
        let kept = place.recordings(&[CAMERA]).await;
        assert_eq!(kept.len(), 2, "{fault:?}: {kept:?}");
        // Five seconds less than came, so that nothing is lost at the seam.
        let prefix = kept[0].range.seconds();
        assert!((285..=300).contains(&prefix), "{fault:?}: a prefix of {prefix} s");
        assert_eq!(place.archived(CAMERA).await, RangeSet::from(range(yesterday(), 600)), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_footage_is_never_published_and_is_tried_again() {
    for fault in [
        MediaFault::ErrorPage,
        MediaFault::Nothing,
        MediaFault::HeaderOnly,
        MediaFault::BreakAfterSeconds(30),
        MediaFault::ShortAfterSeconds(400),
        MediaFault::Http(404, "gone".into()),
    ] {
        let place = Place::new(one_camera()).await;
        assert_eq!(with_faults(&place, [fault.clone()]).await, 0, "{fault:?}");
        let kept = place.recordings(&[CAMERA]).await;
        assert_eq!(kept.len(), 1, "{fault:?}: {kept:?}");
        assert_eq!(kept[0].range, range(yesterday(), 600), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_is_quoted_and_the_window_is_a_gap() {
    let place = Place::new(one_camera()).await;
    assert_eq!(with_faults(&place, vec![MediaFault::ErrorPage; 50]).await, 3);
    assert_eq!(missing(&place).await, [(Cause::Failed, 600)]);
    let output = ended(place.archive(&["gaps", "--json"]).spawn().expect("the program starts")).await;
    assert_eq!(code(&output), 0);
    let detail = place.stores.ask("SELECT detail FROM attempts WHERE outcome = 'unusable' LIMIT 1");
    assert!(detail.contains("no FLV") && detail.contains("html"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_server_that_refuses_is_named_by_its_code() {
    let place = Place::new(one_camera()).await;
    assert_eq!(with_faults(&place, vec![MediaFault::Http(403, "no".into()); 50]).await, 3);
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    assert_eq!(gaps[0].last_code, Some(Code::Http(403).to_string()));
}

/// A media server that is down is not the windows' fault: the NVR is left alone, and what it cost is few calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_media_server_that_is_down_costs_few_calls_and_the_windows_nothing() {
    let place = Place::with_settings(one_camera(), "busy_attempts = 5\n").await;
    place.platform.script(device(CAMERA), vec![Scripted::Stream(MediaFault::Http(503, "down".into())); 4]);
    assert_eq!(code(&fetch(&place, "1", range(yesterday(), 6 * 600)).await), 0, "it came back");
    let place = Place::with_settings(one_camera(), "busy_attempts = 5\n").await;
    place.platform.script(device(CAMERA), vec![Scripted::Stream(MediaFault::Http(503, "down".into())); 500]);
    assert_eq!(code(&fetch(&place, "1", range(yesterday(), 144 * 600)).await), 3);
    assert_eq!(missing(&place).await, [(Cause::Failed, 144 * 600)]);
    let calls = place.platform.calls().iter().filter(|call| call.stat == Some(0)).count();
    assert_eq!(calls, 5);
}

/// Footage before a jump and footage behind it: where a broken stream's end lies, only a whole answer tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_never_covers_a_hole_that_shows_as_a_jump() {
    let start = yesterday();
    let mut config = Config { hole: archive::sim::footage::Hole::Jump, ..one_camera() };
    let at = |seconds: i64| Some(Moment::At((start + seconds).into()));
    config.stores[0].nvrs[0].cameras[0].holes = vec![Period { from: at(120), to: at(300) }];
    let place = Place::new(config).await;
    with_faults(&place, [MediaFault::BreakAfterSeconds(200)]).await;
    let hole = RangeSet::from(range(start + 120, 180));
    assert_eq!(place.archived(CAMERA).await.intersect(&hole), RangeSet::new());
    assert_eq!(missing(&place).await, [(Cause::NoFootage, 180)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_still_grows_is_fetched_to_its_end() {
    let place = Place::new(one_camera()).await;
    let growing = MediaFault::Grows { from: 200, per_second: 150 };
    assert_eq!(with_faults(&place, [growing]).await, 0);
    let kept = place.recordings(&[CAMERA]).await;
    assert_eq!(kept.iter().map(|row| row.range).collect::<Vec<_>>(), [range(yesterday(), 600)]);
    assert_eq!(place.platform.calls().len(), 1, "one call, the same URL again and again");
}

/// A hole in the middle of a window is known to the minute, and costs few calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_from_minute_3_to_minute_7_30_is_a_gap_to_the_minute() {
    let start = yesterday();
    let mut config = one_camera();
    let at = |seconds: i64| Some(Moment::At((start + seconds).into()));
    config.stores[0].nvrs[0].cameras[0].holes = vec![Period { from: at(180), to: at(450) }];
    let place = Place::new(config).await;
    let output = fetch(&place, "1", range(start, 3600)).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    place.assert_true(&[CAMERA]).await;
    assert_eq!(missing(&place).await, [(Cause::NoFootage, 300)]);
    let hole = RangeSet::from(range(start + 180, 300));
    assert_eq!(place.archived(CAMERA).await, RangeSet::from(range(start, 3600)).subtract(&hole));
    let calls = place.platform.calls().len();
    assert!(calls <= 6 + 12, "{calls} calls for six windows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_fetches_nothing_twice_and_asks_only_for_gaps() {
    let mut config = fleet(&[(4, &[1, 2])]);
    let start = yesterday();
    let at = |seconds: i64| Some(Moment::At((start + seconds).into()));
    config.stores[0].nvrs[0].cameras[0].holes = vec![Period { from: at(600), to: at(1200) }];
    let place = Place::new(config).await;
    assert_eq!(code(&fetch(&place, "1-2", range(start, 3600)).await), 3);
    let (files, seen) = (place.files(), place.platform.calls().len());
    assert_eq!(code(&fetch(&place, "1-2", range(start, 3600)).await), 3);
    assert_eq!(place.files(), files);
    let calls = place.platform.calls();
    // The first run may have asked the same within this second, which the platform answers with -100.
    let again = calls[seen..].iter().filter(|call| call.stat == Some(0));
    let again: Vec<_> = again.map(|call| (call.device, call.range)).collect();
    assert_eq!(again, [(Some(device(1)), Some(range(start + 600, 600)))], "one answer more settles a known hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_recorder_is_a_gap_with_that_cause_and_others_go_on() {
    let mut config = fleet(&[(2, &[1, 2]), (2, &[3])]);
    config.stores[0].nvrs[0].offline = vec![Period::default()];
    let place = Place::with_settings(config, "busy_attempts = 5\n").await;
    let output = fetch(&place, "1-3", range(yesterday(), 1800)).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(missing(&place).await, [(Cause::NvrOffline, 1800), (Cause::NvrOffline, 1800)]);
    assert_eq!(place.archived(3).await.seconds(), 1800);
}

/// `yesterday` is a mark of the grid; odd edges are trimmed, not widened.
#[tokio::test(flavor = "multi_thread")]
async fn odd_edges_are_asked_for_as_they_are() {
    let place = Place::new(one_camera()).await;
    let asked = TimeRange::new(yesterday() + 417, yesterday() + 1337).expect("a range");
    assert_eq!(code(&fetch(&place, "1", asked).await), 0);
    let ranges: Vec<_> = place.recordings(&[CAMERA]).await.into_iter().map(|row| row.range).collect();
    let edge = |from: i64, to: i64| TimeRange::new(yesterday() + from, yesterday() + to).expect("a range");
    assert_eq!(ranges, [edge(417, 600), edge(600, 1200), edge(1200, 1337)]);
    let called: Vec<_> = place.platform.calls().iter().filter_map(|call| call.range).collect();
    assert_eq!(called, ranges);
}
