//! A ledger made anew from what the catalog has of another one.

use proptest::prelude::*;
use rusqlite::types::Value;

use super::model::{self, Model};
use super::*;
use crate::catalog::{DeviceLine, MissingLine, StateLine, UtcText};
use crate::ledger::{LedgerError, Rebuilding, Rebuilt};
use crate::report::{DeviceFacts, Learned, ServedBy};
use crate::time_range::ALL_TIME;
use crate::window::Cause;

const NOW: UtcSecond = UtcSecond::new(DAY + 86_400);

/// All that people can see of a ledger, but runs and attempts; and the tables behind it.
fn all_rows(scratch: &Scratch) -> Vec<(String, Vec<Value>)> {
    let shell = scratch.shell();
    let mut all = Vec::new();
    for table in [
        "gaps",
        "coverage",
        "recordings",
        "asked",
        "archived",
        "missing",
        "device",
        "nvr",
        "nvr_limit",
        "media_mac",
        "utc_offset",
    ] {
        let mut statement = shell.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            all.push((table.to_owned(), (0..columns).map(|column| row.get(column).unwrap()).collect()));
        }
    }
    all
}

/// All that the catalog is made of.
async fn lines_and_recordings(ledger: &Ledger) -> (Vec<StateLine>, Vec<Recording>) {
    let mut lines = ledger.nvr_lines().await.unwrap();
    let devices = ledger.devices().await.unwrap().into_iter().map(|row| row.facts.device).collect();
    lines.extend(ledger.device_lines(devices).await.unwrap());
    (lines, ledger.recordings_after(None).await.unwrap())
}

fn rebuild(scratch: &Scratch, lines: &[StateLine], recordings: &[Recording]) -> (i64, Rebuilt) {
    let mut new = Rebuilding::begin(&scratch.path(), NOW, false).unwrap();
    // As if they had been read from the files.
    for line in lines {
        new.restore(&serde_json::from_str(&serde_json::to_string(line).unwrap()).unwrap()).unwrap();
    }
    for recording in recordings {
        new.add(recording, false).unwrap();
    }
    let without_file = new.settle().unwrap();
    (without_file, new.finish(NOW).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_a_ledger_made_anew_says_the_same(steps in model::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (old, new) = (Scratch::new(), Scratch::new());
            let ledger = old.open();
            let run = ledger.begin_run(start(0)).await.unwrap();
            let mut model = Model::new();
            for (at, (number, step)) in steps.iter().enumerate() {
                model::apply(&ledger, &mut model, run, *number, step, 1_000 + at as i64).await;
            }
            let (lines, recordings) = lines_and_recordings(&ledger).await;
            let (without_file, _) = rebuild(&new, &lines, &recordings);
            assert_eq!(without_file, 0);
            assert_eq!(all_rows(&new), all_rows(&old));
        });
    }
}

/// A ledger in which there is something of everything.
async fn busy_ledger(scratch: &Scratch) -> Ledger {
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    let berlin = chrono_tz::Europe::Berlin;
    ledger.set_zone(vec![device(6)], berlin).await.unwrap();
    let facts = DeviceFacts {
        name: Some("till \u{1b}[31m".into()),
        store: Some("Süd".into()),
        store_number: Some(4),
        puid: Some("0014100a5349".into()),
        channel: Some(3),
        online: Some(true),
        seen: Some(UtcSecond::new(DAY - 5)),
        ..DeviceFacts::unknown(device(5))
    };
    ledger.know_devices(vec![facts, DeviceFacts::unknown(device(9))]).await.unwrap();
    let nvr = crate::device::NvrId::new("store 4");
    let served = ServedBy { device: device(6), nvr: Some(nvr.clone()), store: Some("4".to_owned()) };
    ledger.serve_devices(vec![served]).await.unwrap();
    let macs = crate::mac::UrlMacs::of_url("http://x/FLV_0014100a5349_0014101b6008_20200526230051.flv").unwrap();
    ledger.learn_macs(device(5), macs, UtcSecond::new(DAY)).await.unwrap();
    let learned = Learned { limit: 3, probe_pause: None, keeps: None, calls: 9, refused: 2, left_alone: 1 };
    let alone = crate::device::NvrId::of_device_alone(device(5));
    ledger.learn_limits(run, vec![(nvr, learned), (alone, learned)], UtcSecond::new(DAY + 1)).await.unwrap();
    for number in [5, 6] {
        ledger.ask(vec![(device(number), range(DAY, DAY + 6_000).into())]).await.unwrap();
        for start in [0, 600, 1_800] {
            let one = recording(number, DAY + start, DAY + start + 600);
            ledger.record_archived(run, attempt(DAY, Outcome::Archived, None), one, None).await.unwrap();
        }
        ledger.record_missed(run, window(number, DAY + 1_200, DAY + 1_800), busy(DAY + 60)).await.unwrap();
        ledger.mark_missing(device(number), range(DAY + 2_400, DAY + 3_000).into(), Cause::Pruned, NOW).await.unwrap();
    }
    ledger
}

#[tokio::test]
async fn devices_recorders_zones_and_what_was_learned_come_back() {
    let (old, new) = (Scratch::new(), Scratch::new());
    let (lines, recordings) = lines_and_recordings(&busy_ledger(&old).await).await;
    assert_eq!((lines.len(), recordings.len()), (2 + 2 + 3, 6));
    let (without_file, rebuilt) = rebuild(&new, &lines, &recordings);
    assert_eq!((without_file, &rebuilt.moved_aside[..]), (0, &[][..]));
    assert_eq!((rebuilt.asked_seconds, rebuilt.archived_seconds), (12_000, 3_600));
    let missing = [(Cause::NotTried, 6_000), (Cause::NvrBusy, 1_200), (Cause::Pruned, 1_200)];
    assert_eq!(rebuilt.missing_seconds, missing.into());
    assert_eq!(all_rows(&new), all_rows(&old));
    // And it works like any other.
    let ledger = new.open();
    ledger.begin_run(start(DAY)).await.unwrap();
    ledger.add_recording(recording(5, DAY + 1_200, DAY + 1_800)).await.unwrap();
}

#[tokio::test]
async fn time_whose_file_is_gone_is_missing_and_not_tried() {
    let (old, new) = (Scratch::new(), Scratch::new());
    let (lines, recordings) = lines_and_recordings(&busy_ledger(&old).await).await;
    let (without_file, _) = rebuild(&new, &lines, &recordings[1..]);
    assert_eq!(without_file, 600);
    let ledger = new.open();
    let missing = ledger.missing(vec![device(5)], range(DAY, DAY + 1_800)).await.unwrap();
    let causes: Vec<_> = missing[&device(5)].iter().map(|missing| (missing.range, missing.cause)).collect();
    assert_eq!(causes, [(range(DAY, DAY + 600), Cause::NotTried), (range(DAY + 1_200, DAY + 1_800), Cause::NvrBusy),]);
}

#[tokio::test]
async fn a_line_of_what_cannot_be_is_refused_and_changes_nothing() {
    let new = Scratch::new();
    let mut rebuilding = Rebuilding::begin(&new.path(), NOW, false).unwrap();
    let good = DeviceLine {
        device: 5,
        name: None,
        store_number: None,
        store: None,
        puid: None,
        nvr: Some("an nvr without a line".to_owned()),
        channel: None,
        online: None,
        seen: None,
        zone: "Asia/Shanghai".to_owned(),
        macs: None,
        asked: vec![[UtcText(NOW), UtcText(NOW + 600)]],
        missing: Vec::new(),
    };
    for bad in [
        DeviceLine { device: -1, ..good.clone() },
        DeviceLine { zone: "Atlantis".to_owned(), ..good.clone() },
        DeviceLine { asked: vec![[UtcText(NOW), UtcText(NOW)]], ..good.clone() },
    ] {
        let refused = rebuilding.restore(&StateLine::Device(Box::new(bad.clone()))).unwrap_err();
        assert!(matches!(refused, LedgerError::Damaged { .. }), "{bad:?}: {refused}");
    }
    // What is missing without having been asked for, twice, and for a cause that nobody knows, ends in one state all the same.
    let odd = |from: i64, to: i64| MissingLine {
        from: UtcText(NOW + from),
        to: UtcText(NOW + to),
        cause: "eaten".to_owned(),
        attempts: 3,
        last_code: None,
        last_detail: None,
        last_try: Some(UtcText(NOW)),
    };
    let line = DeviceLine { missing: vec![odd(300, 900), odd(600, 1_200), odd(9, 9)], ..good };
    rebuilding.restore(&StateLine::Device(Box::new(line))).unwrap();
    assert_eq!(rebuilding.settle().unwrap(), 300);
    rebuilding.finish(NOW).unwrap();
    let ledger = new.open();
    assert_eq!(ledger.asked(vec![device(5)], ALL_TIME).await.unwrap()[&device(5)].seconds(), 900);
    let missing = ledger.missing(vec![device(5)], ALL_TIME).await.unwrap().remove(&device(5)).unwrap();
    let seconds: Vec<_> = missing.iter().map(|missing| (missing.range.seconds(), missing.cause)).collect();
    assert_eq!(seconds, [(300, Cause::NotTried), (600, Cause::NotTried)]);
}

#[tokio::test]
async fn only_what_is_damaged_or_gone_is_replaced_unless_one_says_so() {
    let scratch = Scratch::new();
    drop(busy_ledger(&scratch).await);
    let whole = std::fs::read(scratch.path()).unwrap();
    let refused = Rebuilding::begin(&scratch.path(), NOW, false).map(|_| ()).unwrap_err();
    assert!(matches!(refused, LedgerError::Whole { .. }), "{refused}");
    std::fs::write(scratch.path(), "no ledger").unwrap();
    let refused = Rebuilding::begin(&scratch.path(), NOW, false).map(|_| ()).unwrap_err();
    assert!(matches!(refused, LedgerError::NotALedger { .. }), "{refused}");

    for (found, replaced) in [(whole.clone(), true), (b"no ledger".to_vec(), true), (Vec::new(), false)] {
        std::fs::write(scratch.path(), &found).unwrap();
        let new = Rebuilding::begin(&scratch.path(), NOW, replaced).unwrap();
        assert_eq!(std::fs::read(scratch.path()).unwrap(), found, "it stays until the new one is whole");
        let rebuilt = new.finish(NOW).unwrap();
        assert_eq!(std::fs::read(&rebuilt.moved_aside[0]).unwrap(), found, "it is moved aside, as it was");
        assert_eq!(scratch.open().devices().await.unwrap(), []);
    }

    // One page in the middle, which opening it does not touch.
    let mut damaged = whole;
    let page = damaged.len() / 4096 / 2 * 4096;
    damaged[page..page + 4096].fill(0xa5);
    std::fs::write(scratch.path(), &damaged).unwrap();
    let rebuilt = Rebuilding::begin(&scratch.path(), NOW, false).unwrap().finish(NOW).unwrap();
    assert_eq!(std::fs::read(&rebuilt.moved_aside[0]).unwrap(), damaged);
}

#[tokio::test]
async fn what_an_interrupted_rebuilding_left_is_in_nobodys_way() {
    let scratch = Scratch::new();
    let beside = scratch.folder.path().join("ledger.db.rebuilding");
    std::fs::write(&beside, "half a ledger").unwrap();
    // A crash after the old ledger was moved aside leaves its log.
    std::fs::write(scratch.folder.path().join("ledger.db-wal"), "a log without a ledger").unwrap();
    drop(Rebuilding::begin(&scratch.path(), NOW, false).unwrap());
    assert!(!beside.exists() && !scratch.path().exists(), "one that was not finished leaves nothing");
    let rebuilt = Rebuilding::begin(&scratch.path(), NOW, false).unwrap().finish(NOW).unwrap();
    assert_eq!(std::fs::read(&rebuilt.moved_aside[0]).unwrap(), b"a log without a ledger");
    let name = rebuilt.moved_aside[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(name, "ledger.db.damaged-20261121T000000Z-wal");
    assert_eq!(scratch.open().devices().await.unwrap(), []);
}

#[tokio::test]
async fn nothing_is_rebuilt_under_a_run() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    ledger.begin_run(start(DAY)).await.unwrap();
    let held = Rebuilding::begin(&scratch.path(), NOW, true).map(|_| ()).unwrap_err();
    assert!(matches!(held, LedgerError::Held { .. }), "{held}");
}

#[tokio::test]
async fn what_the_catalog_lacks_is_what_came_since() {
    let scratch = Scratch::new();
    let ledger = busy_ledger(&scratch).await;
    assert_eq!(ledger.catalog_segment().await.unwrap(), None);
    let last = ledger.newest_change().await.unwrap();
    let (up_to, six) = ledger.uncatalogued(0, last).await.unwrap().unwrap();
    assert_eq!((up_to, six.len()), (last, 6));
    assert_eq!(ledger.uncatalogued(up_to, last).await.unwrap(), None);
    // While they are written, another comes.
    let newer = recording(5, DAY + 3_000, DAY + 3_600);
    ledger.add_recording(newer.clone()).await.unwrap();
    ledger.catalogued(1, last).await.unwrap();
    let left = ledger.newest_change().await.unwrap();
    assert_eq!(ledger.catalog_segment().await.unwrap(), Some(1));
    assert_eq!(ledger.uncatalogued(0, left).await.unwrap(), Some((left, vec![newer])));
}
