//! Two hosts that write one catalog at once.

use std::collections::BTreeSet;

use super::*;
use crate::device::DeviceId;
use crate::recording::{ContentHash, MediaFacts, Source};
use crate::time_range::TimeRange;
use crate::vault::{Objects, Place};

const START: i64 = 1_795_136_400;

fn recording(number: i64) -> Recording {
    let start = UtcSecond::new(START + number * 600);
    Recording {
        device: DeviceId::new(5).expect("not negative"),
        range: TimeRange::new(start, start + 600).expect("ten minutes"),
        path: format!("5/2026-11-20/{number}.flv"),
        bytes: 1,
        blake3: ContentHash([0; 32]),
        media: MediaFacts {
            media_milliseconds: 600_000,
            first_timestamp: 0,
            video_codec: None,
            audio_codec: None,
            picture_size: None,
        },
        source: Source::Nvr,
        clock_offset: None,
        archived_at: start + 3600,
        note: String::new(),
    }
}

/// The names that all files of recordings have, with how many files there are.
fn named(vault: &Vault) -> (BTreeSet<String>, usize) {
    let segments = vault.catalog_segments().expect("they are listed");
    let mut names = BTreeSet::new();
    for &number in &segments {
        let mut lines = vault.catalog_segment(number).expect("it is there");
        let header = lines.next_line().expect("it is read").expect("it has a header");
        let header: Header = serde_json::from_slice(header).expect("a header");
        assert_eq!(header.segment, Some(number));
        while let Some(line) = lines.next_line().expect("it is read") {
            let line: RecordingLine = serde_json::from_slice(line).expect("a recording");
            names.insert(line.path);
        }
    }
    (names, segments.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_that_end_at_once_name_everything_and_write_over_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = Ledger::open(folder.path().join("ledger.db")).expect("a ledger");
    let objects = Objects::in_memory();
    // Each host has a spool of its own, and so a lock of its own.
    let host = |name: &str| {
        let place = Place::Objects { objects: objects.clone(), spool: folder.path().join(name) };
        place.open().expect("a vault")
    };
    let (one, two) = (host("one"), host("two"));
    let now = UtcSecond::new(START + 100_000);
    let mut added = BTreeSet::new();
    for round in 0..20 {
        for number in 0..3 {
            let recording = recording(round * 3 + number);
            added.insert(recording.path.clone());
            ledger.add_recording(recording).await.expect("it is new");
        }
        let (first, second) =
            tokio::join!(bring_up_to_date(&ledger, &one, now, None), bring_up_to_date(&ledger, &two, now, None));
        assert!(first.is_none() && second.is_none(), "{first:?} {second:?}");
        let (names, segments) = named(&one);
        assert_eq!(names, added);
        assert!(ledger.newest_change().await.expect("an answer") == 0, "all is named");
        assert_eq!(
            ledger.catalog_segment().await.expect("an answer").map(|newest| newest <= segments as u64),
            Some(true)
        );
    }
}
