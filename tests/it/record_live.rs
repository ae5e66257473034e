//! `archive live`: streams that drop, stall and change, recorded, and healed by a run from the NVR.
//!
//! Cameras' clocks run many times too fast, and so does the recording program's, so that an hour takes half a minute.

use archive::event::Event;
use archive::live::execute;
use archive::recording::{Recording, Source};
use archive::sim::{LiveFault, MediaEvent, Scripted};
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange};
use archive::window::Cause;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::live_support::{asked, fast, gaps, job, record, tools};
use crate::support::{PATIENCE, Place, device, ended, range, stderr, until};

/// How far a live piece may be from the truth, in seconds: with clocks that run this fast, a tenth of a second is long.
const SLACK: i64 = 6;

/// What viewers of a camera were sent, a little wider on both sides.
fn sent(place: &Place, number: i64) -> RangeSet {
    let of_camera = place.platform.live().into_iter().filter(|event| event.device == Some(device(number)));
    let wider = |seconds: TimeRange| range(seconds.start() - SLACK, seconds.seconds() + 2 * SLACK);
    of_camera.filter_map(|event| event.seconds).map(wider).collect()
}

/// The pieces are what they should be: cut on the grid, each within what was sent, none over another.
async fn assert_pieces(place: &Place, number: i64) -> Vec<Recording> {
    place.assert_true(&[1, 2]).await;
    let (sent, pieces) = (sent(place, number), place.recordings(&[number]).await);
    for piece in pieces.iter().filter(|piece| piece.source == Source::Live) {
        assert!(sent.covers(&piece.range), "{} was never sent", piece.path);
        assert!(piece.range.seconds() <= GRID_SECONDS + SLACK, "{}", piece.path);
        let footage = piece.media.media_milliseconds / 1000;
        assert!(footage >= piece.range.seconds() - 5, "{}: {footage} s of footage", piece.path);
        assert!(piece.media.first_timestamp == 0 || !piece.path.ends_with(".flv"), "{}", piece.path);
        assert!(piece.clock_offset.is_some_and(|offset| offset.abs() < 5_000), "{:?}", piece.clock_offset);
    }
    for pair in pieces.windows(2).filter(|pair| pair[0].range.end() == pair[1].range.start()) {
        let past = pair[1].range.start().get().rem_euclid(GRID_SECONDS);
        let live = pair.iter().all(|piece| piece.source == Source::Live);
        assert!(!live || past <= 2, "{} begins {past} s after the mark", pair[1].path);
    }
    pieces
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_with_thirty_drops_is_whole_after_one_run_from_the_nvr() {
    let place = Place::new(fast(60.0, &[1])).await;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let drops = (0..30).map(|_| Scripted::Live(LiveFault::DropAfterSeconds(random.random_range(10..50))));
    place.platform.script_live(device(1), drops);
    let (asked, summary) = record(&place, &[1], 3600).await;
    let recorded = assert_pieces(&place, 1).await;
    let dropped = place.platform.live().iter().filter(|event| event.live == MediaEvent::Failed).count();
    assert_eq!(dropped, 30);
    let gaps = gaps(&place).await;
    assert!(gaps.len() >= 30 && gaps.iter().all(|(cause, _)| *cause == Cause::LiveInterrupted), "{gaps:?}");
    let missing: RangeSet = gaps.iter().map(|(_, range)| *range).collect();
    assert_eq!(summary.asked_seconds, asked.seconds());
    assert_eq!(summary.archived_seconds, asked.seconds() - missing.seconds());
    assert_eq!(summary.missing, [(Cause::LiveInterrupted, missing.seconds())]);
    // Most of it is that the platform refuses a call that is the same as one a second before, which is a minute here.
    assert!(missing.seconds() < 2700, "it was hardly recorded at all: {gaps:?}");

    let healed = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(healed.status.code(), Some(0), "{}", stderr(&healed));
    let pieces = assert_pieces(&place, 1).await;
    let all: RangeSet = pieces.iter().map(|piece| piece.range).collect();
    assert_eq!(all, RangeSet::from(asked), "the sum of all pieces is the hour");
    assert_eq!(pieces.iter().map(|piece| piece.range.seconds()).sum::<i64>(), asked.seconds());
    for piece in pieces.iter().filter(|piece| piece.source == Source::Nvr) {
        assert!(missing.covers(&piece.range), "{} was fetched, and was there", piece.path);
    }
    for call in place.platform.calls().iter().filter_map(|call| call.range) {
        assert!(missing.covers(&call), "{call} was asked for, and was there");
    }
    assert_eq!(pieces.iter().filter(|piece| piece.source == Source::Live).count(), recorded.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_stalls_pauses_and_changes_is_recorded_around() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(
        device(1),
        [
            Scripted::Stat(-500),
            Scripted::Live(LiveFault::NotFound),
            Scripted::Live(LiveFault::EndAfterSeconds(60)),
            Scripted::Live(LiveFault::PauseAfterSeconds { after: 60, seconds: 40 }),
        ],
    );
    let (asked, summary) = record(&place, &[1], 420).await;
    let pieces = assert_pieces(&place, 1).await;
    assert_eq!(summary.asked_seconds, asked.seconds());
    // Each stream, and the one that paused twice.
    assert!(pieces.iter().filter(|piece| piece.range.seconds() < 90).count() >= 2, "{pieces:?}");
    let gaps = gaps(&place).await;
    assert!(gaps.iter().any(|(_, gap)| (30..60).contains(&gap.seconds())), "the pause: {gaps:?}");
    assert!(
        gaps.iter().all(|(cause, gap)| *cause == Cause::LiveInterrupted && asked.contains(gap.start())),
        "{gaps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_pictures_begins_a_new_piece_and_loses_nothing() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(device(1), [Scripted::Live(LiveFault::ChangeAfterSeconds(60))]);
    let (asked, _) = record(&place, &[1], 120).await;
    let pieces = place.recordings(&[1]).await;
    let sizes: Vec<_> = pieces.iter().filter_map(|piece| piece.media.picture_size).collect();
    assert_eq!(sizes, [(160, 90), (96, 54)]);
    assert_eq!(pieces[0].range.end(), pieces[1].range.start());
    assert_eq!(pieces[1].range.end(), asked.end());
    assert_eq!(place.platform.live().iter().filter(|event| event.live == MediaEvent::Opened).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_until_somebody_says_stop_ends_there() {
    let place = Place::new(fast(60.0, &[1, 2])).await;
    let (tools, mut events) = tools(&place);
    let (stop, clock) = (tools.stop.clone(), tools.clock);
    let running = tokio::spawn(execute(job(&[1, 2], None), tools));
    let mut archived = 0;
    while archived < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("pieces come").expect("it runs");
        archived += usize::from(matches!(event, Event::LiveArchived { .. }));
        let recorded = gaps(&place).await.into_iter().filter(|(cause, _)| *cause == Cause::BeingRecorded).count();
        assert!(recorded <= 2);
    }
    stop.cancel();
    let summary = running.await.expect("it does not panic").expect("it ends");
    assert_eq!(summary.stopped, None);
    assert!(summary.missing.iter().all(|(cause, seconds)| *cause == Cause::LiveInterrupted && *seconds < 2 * 60));
    for number in [1, 2] {
        let pieces = assert_pieces(&place, number).await;
        let end = pieces.last().expect("it was recorded").range.end();
        assert!(end <= clock.now().to_utc_second());
        assert_eq!(asked(&place, number).await.end(), end, "nothing more is asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_refused_is_a_gap_that_says_so_and_is_not_asked_again() {
    let mut config = fast(60.0, &[1, 2]);
    config.stores[0].nvrs[0].cameras[1].refused = true;
    let place = Place::new(config).await;
    let (asked, summary) = record(&place, &[1, 2], 60).await;
    assert_eq!(place.archived(2).await, RangeSet::new());
    assert!(summary.missing.contains(&(Cause::Refused, asked.seconds())), "{:?}", summary.missing);
    let calls = place.platform.calls();
    assert_eq!(calls.iter().filter(|call| call.device == Some(device(2))).count(), 1);
}

/// A run from the NVRs beside a live one leaves alone what is being recorded, and fetches what was interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_the_nvr_may_go_on_beside_it() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(device(1), [Scripted::Live(LiveFault::DropAfterSeconds(60))]);
    let (tools, mut events) = tools(&place);
    let (stop, begun) = (tools.stop.clone(), tools.clock.now().to_utc_second());
    let running = tokio::spawn(execute(job(&[1], None), tools));
    let mut began = 0;
    while began < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("streams come").expect("it runs");
        began += usize::from(matches!(event, Event::LiveBegan { .. }));
    }
    until("the ledger knows of the new piece", || {
        let pieces = std::fs::read_dir(place.root().join(".live")).into_iter().flatten().count();
        pieces == 1
    })
    .await;
    let asked = range(begun, 600);
    let healed = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(healed.status.code(), Some(3), "{}", stderr(&healed));
    assert!(String::from_utf8_lossy(&healed.stdout).contains("being recorded"), "{:?}", healed.stdout);
    stop.cancel();
    running.await.expect("it does not panic").expect("it ends");
    place.assert_true(&[1]).await;
    let from_nvr: Vec<_> =
        place.recordings(&[1]).await.into_iter().filter(|piece| piece.source == Source::Nvr).collect();
    assert!(!from_nvr.is_empty(), "the interruption was fetched");
    let left: RangeSet = gaps(&place).await.into_iter().map(|(_, range)| range).collect();
    assert!(left.intersect(&asked.into()).is_empty(), "all of it is there: {left:?}");
}
