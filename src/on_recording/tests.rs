//! That the run is never held up, and that nothing is passed over without being counted.

use super::*;
use crate::device::DeviceId;
use crate::recording::{ContentHash, MediaFacts, Source};
use crate::time_range::{TimeRange, UtcSecond};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn archived(number: i64) -> Event {
    let start = UtcSecond::new(1_795_136_400 + 600 * number);
    let recording = Recording {
        device: DeviceId::new(5).expect("not negative"),
        range: TimeRange::new(start, start + 600).expect("a range"),
        path: format!("5/day/{number}.flv"),
        bytes: 1000,
        blake3: ContentHash([7; 32]),
        media: MediaFacts::default(),
        source: Source::Nvr,
        clock_offset: None,
        archived_at: start,
        note: String::new(),
    };
    Event::Archived { recording: Box::new(recording) }
}

fn on(script: &str, folder: &Path) -> OnRecording {
    let words = ["sh", "-c", script, "sh"].map(str::to_owned).into_iter().chain([folder.display().to_string()]);
    let program = Program { words: words.collect(), time_limit: PATIENCE, hidden: Vec::new() };
    OnRecording { program, at_once: 2, waiting: 100, root: PathBuf::from("/archive") }
}

/// Tells of so many recordings at once, and waits for what comes of it.
async fn run(on: OnRecording, recordings: i64, stop: CancellationToken) -> Tally {
    let (events, receiver) = mpsc::unbounded_channel();
    let (mut onward, watching) = on.watch(receiver, stop);
    for number in 0..recordings {
        events.send(archived(number)).expect("somebody listens");
    }
    drop(events);
    let mut passed_on = 0;
    while onward.recv().await.is_some() {
        passed_on += 1;
    }
    assert_eq!(passed_on, recordings, "every event is passed on");
    tokio::time::timeout(PATIENCE, watching).await.expect("in time").expect("it does not panic")
}

#[tokio::test]
async fn each_recording_has_its_run_with_its_facts() {
    let folder = tempfile::tempdir().expect("a folder");
    let script =
        r#"echo "$ARCHIVE_DEVICE $ARCHIVE_FROM $ARCHIVE_TO $ARCHIVE_PATH $ARCHIVE_BYTES" >"$1/${ARCHIVE_NAME##*/}""#;
    let tally = run(on(script, folder.path()), 5, CancellationToken::new()).await;
    assert_eq!(tally, Tally { done: 5, failed: 0, passed_over: 0 });
    let said = std::fs::read_to_string(folder.path().join("2.flv")).expect("it wrote");
    assert_eq!(said, "5 2026-11-20T01:20:00Z 2026-11-20T01:30:00Z /archive/5/day/2.flv 1000\n");
}

#[tokio::test]
async fn no_more_run_at_once_than_may() {
    let folder = tempfile::tempdir().expect("a folder");
    // A third one would find two folders there, and fail.
    let script = r#"mkdir "$1/a" 2>/dev/null && { sleep 0.02; rmdir "$1/a"; exit; }
                    mkdir "$1/b" && { sleep 0.02; rmdir "$1/b"; }"#;
    let tally = run(on(script, folder.path()), 12, CancellationToken::new()).await;
    assert_eq!(tally, Tally { done: 12, failed: 0, passed_over: 0 });
}

#[tokio::test]
async fn what_finds_no_room_is_passed_over_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let narrow = OnRecording { waiting: 3, ..on("exit 1", folder.path()) };
    let tally = run(narrow, 50, CancellationToken::new()).await;
    assert_eq!((tally.done, tally.failed + tally.passed_over), (0, 50));
    assert!(tally.passed_over > 0, "{tally:?}");
}

#[tokio::test]
async fn what_is_not_done_in_time_at_the_end_is_killed_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut slow = on("exec sleep 60", folder.path());
    slow.program.time_limit = Duration::from_millis(200);
    let tally = run(slow, 5, CancellationToken::new()).await;
    assert_eq!((tally.done, tally.failed + tally.passed_over), (0, 5));
}

#[tokio::test]
async fn after_a_stop_nothing_more_is_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = CancellationToken::new();
    stop.cancel();
    let tally = run(on("exit 0", folder.path()), 20, stop).await;
    assert_eq!((tally.failed, tally.done + tally.passed_over), (0, 20));
}
