//! A live run that is killed at any moment: what it wrote up to the last whole tag is there after the next start, of
//! whatever kind.

use std::path::PathBuf;
use std::process::Child;

use archive::flv::Parser;
use archive::recording::{Recording, Source};
use archive::report::GapQuery;
use archive::window::Cause;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::support::{Place, ended, fleet, range, send, stderr, until, yesterday};

const KILLS: usize = 6;

/// The staging files of live streams: names and bytes.
fn staging(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(place.stores.working_folder().join(".live")).into_iter().flatten();
    let read = |path: PathBuf| std::fs::read(&path).ok().map(|bytes| (path, bytes));
    files.filter_map(|entry| read(entry.ok()?.path())).collect()
}

fn start(place: &Place) -> Child {
    place.archive(&["live", "--device", "1,2"]).spawn().expect("the program starts")
}

/// Waits until both streams have brought so many bytes.
async fn until_there_are(place: &Place, bytes: usize) {
    until("both streams come in", || {
        let staged = staging(place);
        staged.len() == 2 && staged.iter().all(|(_, staged)| staged.len() >= bytes)
    })
    .await;
}

/// How much of a file is whole.
fn whole(bytes: &[u8]) -> (usize, i64) {
    let mut parser = Parser::new();
    parser.push(bytes);
    let report = parser.report();
    (report.good_bytes as usize, report.footage_milliseconds())
}

async fn live_recordings(place: &Place) -> Vec<Recording> {
    let all = place.recordings(&[1, 2]).await;
    all.into_iter().filter(|recording| recording.source == Source::Live).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_a_kill_is_adopted_up_to_the_last_whole_tag() {
    let seed: u64 = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let place = Place::new(fleet(&[(2, &[1, 2])])).await;
    for kill in 0..KILLS {
        let known = live_recordings(&place).await.len();
        let child = start(&place);
        until_there_are(&place, random.random_range(9_000..18_000)).await;
        send(&child, Signal::KILL);
        ended(child).await;
        // A kill may fall between any two bytes; what was written here always ends with a tag.
        for (path, bytes) in staging(&place) {
            let file = std::fs::OpenOptions::new().write(true).open(path).expect("it is there");
            file.set_len(bytes.len() as u64 - random.random_range(0..40)).expect("it can be cut");
        }
        let left = staging(&place);
        let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
        assert!(gaps.iter().any(|gap| gap.cause == Cause::BeingRecorded), "seed {seed}: {gaps:?}");

        // Every other time it is a run from the NVRs that comes next, for another device and time.
        if kill % 2 == 1 {
            let other = place.fetch("2", range(yesterday() - 86_400, 60)).spawn().expect("the program starts");
            let output = ended(other).await;
            assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", stderr(&output));
        } else {
            let child = start(&place);
            until("what was left is published", || left.iter().all(|(path, _)| !path.exists())).await;
            send(&child, Signal::KILL);
            ended(child).await;
            let again = place.fetch("2", range(yesterday() - 86_400, 60)).spawn().expect("the program starts");
            assert_eq!(ended(again).await.status.code(), Some(0));
        }
        let recordings = live_recordings(&place).await;
        assert!(recordings.len() >= known + 2, "seed {seed}: {recordings:?}");
        for (path, bytes) in &left {
            let (good, milliseconds) = whole(bytes);
            let found = recordings.iter().find(|recording| {
                recording.blake3.0 == *blake3::hash(&bytes[..good]).as_bytes() && recording.bytes == good as u64
            });
            let found = found.unwrap_or_else(|| panic!("seed {seed}: of {} nothing was kept", path.display()));
            let lost = milliseconds - found.range.seconds() * 1000;
            assert!((0..2_000).contains(&lost), "seed {seed}: {lost} ms of {} are not claimed", found.path);
        }
        let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
        assert!(gaps.iter().all(|gap| gap.cause == Cause::LiveInterrupted), "seed {seed}: {gaps:?}");
        place.assert_true(&[1, 2]).await;
    }

    // The last one ends when it is told to, and leaves nothing undone.
    let child = start(&place);
    until_there_are(&place, 9_000).await;
    send(&child, Signal::TERM);
    let output = ended(child).await;
    assert!(matches!(output.status.code(), Some(0 | 3)), "seed {seed}: {}", stderr(&output));
    assert!(staging(&place).is_empty());
    place.assert_true(&[1, 2]).await;
    let now = chrono::Utc::now().timestamp();
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    assert!(gaps.iter().all(|gap| gap.range.end().get() <= now + 1), "what is still to come is no gap: {gaps:?}");
}
