//! What verify and prune tell the ledger.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::super::GapQuery;
use super::*;
use crate::retention::Sums;
use crate::time_range::{ALL_TIME, RangeSet};
use crate::upkeep::{Fate, Leaving, RoundCounts};
use crate::window::{Cause, Missing};

/// Four recordings of ten minutes, of which the first two were asked for.
async fn archived(scratch: &Scratch) -> (Ledger, Vec<Recording>) {
    let ledger = scratch.open();
    ledger.ask(vec![(device(5), range(DAY, DAY + 1200).into())]).await.unwrap();
    let recordings: Vec<_> = (0..4).map(|number| recording(5, DAY + 600 * number, DAY + 600 * (number + 1))).collect();
    for recording in &recordings {
        ledger.add_recording(recording.clone()).await.unwrap();
    }
    (ledger, recordings)
}

async fn missing(ledger: &Ledger) -> Vec<Missing> {
    ledger.missing(vec![device(5)], ALL_TIME).await.unwrap().remove(&device(5)).unwrap()
}

#[tokio::test]
async fn what_is_pruned_night_by_night_is_one_row_and_no_part_of_the_coverage() {
    let scratch = Scratch::new();
    let (ledger, recordings) = archived(&scratch).await;
    for one in recordings[..3].iter() {
        ledger.prune(vec![one.clone()]).await.unwrap();
    }
    let expected = Missing { range: range(DAY, DAY + 1800), cause: Cause::Pruned, attempts: 0 };
    assert_eq!(missing(&ledger).await, [expected]);
    assert_eq!(ledger.gaps(GapQuery::default()).await.unwrap(), []);
    let noted: Vec<_> = ledger.leaving().await.unwrap().into_iter().map(|one| (one.path, one.fate)).collect();
    assert_eq!(noted, recordings[..3].iter().map(|one| (one.path.clone(), Fate::Deleted)).collect::<Vec<_>>());
    // Nobody asked for the third one; nothing that was archived goes without a word.
    let asked = ledger.asked(vec![device(5)], ALL_TIME).await.unwrap().remove(&device(5)).unwrap();
    assert_eq!(asked, RangeSet::from(range(DAY, DAY + 1800)));

    let totals = ledger.totals(vec![device(5)], ALL_TIME).await.unwrap();
    assert_eq!((totals.asked_seconds, totals.archived_seconds, totals.pruned_seconds), (0, 0, 1800));
    assert!(totals.missing_seconds.is_empty());
    assert_eq!(ledger.coverage(None, NaiveDate::MIN, NaiveDate::MAX).await.unwrap(), []);
    ledger.ask(vec![(device(5), range(DAY, DAY + 3000).into())]).await.unwrap();
    let days = ledger.coverage(None, NaiveDate::MIN, NaiveDate::MAX).await.unwrap();
    let days: Vec<_> = days.iter().map(|day| (day.asked_seconds, day.archived_seconds, day.percent)).collect();
    assert_eq!(days, [(1200, 600, 50.0)]);
}

#[tokio::test]
async fn what_is_corrupt_is_a_gap_that_says_what_was_found() {
    let scratch = Scratch::new();
    let (ledger, recordings) = archived(&scratch).await;
    let (code, detail) = ("hash".to_owned(), "its hash is another".to_owned());
    assert!(ledger.note_aside(recordings[1].clone(), code.clone(), detail.clone()).await.unwrap());
    assert_eq!(missing(&ledger).await, [], "it stands until its file has left");
    let leaving = ledger.leaving().await.unwrap();
    let fate = Fate::Aside { code, detail };
    let start = UtcSecond::new(DAY + 600);
    assert_eq!(leaving, [Leaving { path: recordings[1].path.clone(), device: device(5), start, fate }]);
    ledger.lose(leaving[0].clone(), UtcSecond::new(DAY + 9000)).await.unwrap();
    let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
    let found: Vec<_> = gaps.iter().map(|gap| (gap.range, gap.cause, gap.last_code.as_deref(), gap.last_try)).collect();
    let expected = (range(DAY + 600, DAY + 1200), Cause::Corrupt, Some("hash"), Some(UtcSecond::new(DAY + 9000)));
    assert_eq!(found, [expected]);

    // It came anew: what is noted of the old one is nobody's business.
    ledger.add_recording(Recording { bytes: 1, ..recordings[1].clone() }).await.unwrap();
    assert!(!ledger.note_aside(recordings[1].clone(), "size".to_owned(), String::new()).await.unwrap());
    ledger.lose(leaving[0].clone(), UtcSecond::new(DAY + 9600)).await.unwrap();
    assert_eq!(missing(&ledger).await, []);
}

#[tokio::test]
async fn what_is_due_ends_up_to_its_moment() {
    let scratch = Scratch::new();
    let (ledger, recordings) = archived(&scratch).await;
    let before = |at: i64| BTreeMap::from([(device(5), UtcSecond::new(at)), (device(6), UtcSecond::new(at))]);
    let mut sums = Sums::default();
    sums.add(recordings[0].range, recordings[0].bytes);
    sums.add(recordings[1].range, recordings[1].bytes);
    for at in [DAY + 1200, DAY + 1799] {
        assert_eq!(ledger.due(before(at)).await.unwrap(), BTreeMap::from([(device(5), sums)]));
    }
    assert!(ledger.due(before(DAY + 599)).await.unwrap().is_empty());
    assert_eq!(ledger.archived_seconds().await.unwrap(), 2400);
    let page = ledger.recordings_page(device(5), range(DAY + 900, DAY + 9000), 2).await.unwrap();
    assert_eq!(page, recordings[1..3]);
}

#[tokio::test]
async fn a_round_goes_on_where_it_was() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    assert_eq!(ledger.newest_round().await.unwrap(), None);
    let mut round = ledger.begin_round(UtcSecond::new(DAY)).await.unwrap();
    assert_eq!(ledger.newest_round().await.unwrap(), Some(round));
    round.reached = Some((device(0), UtcSecond::new(DAY + 600)));
    round.counts = RoundCounts { files: 1, bytes: 75_000_000, corrupt: 1 };
    ledger.keep_round(round).await.unwrap();
    assert_eq!(ledger.newest_round().await.unwrap(), Some(round));
    round.ended = Some(UtcSecond::new(DAY + 900));
    ledger.keep_round(round).await.unwrap();
    let next = ledger.begin_round(UtcSecond::new(DAY + 900)).await.unwrap();
    assert_eq!((round.round, next.round), (1, 2));
    assert_eq!(ledger.newest_round().await.unwrap(), Some(next));
}
