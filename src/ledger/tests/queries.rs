//! What is asked of a ledger, and what people ask it with `sqlite3`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{DeviceFacts, GapQuery, LedgerError, RunEnd, ServedBy};
use super::*;
use crate::device::NvrId;
use crate::mac::{Mac, UrlMacs};
use crate::report::{Learned, NvrNight, RunCounts};
use crate::time_range::RangeSet;
use crate::untrusted::Untrusted;
use crate::window::Cause;

#[tokio::test]
async fn a_recording_is_read_back_as_it_was_written() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    let plain = recording(5, DAY, DAY + 600);
    let mut odd = recording(5, DAY + 600, DAY + 1200);
    odd.media = MediaFacts { video_codec: Some(VideoCodec::FourCc(*b"av01")), ..MediaFacts::default() };
    odd.source = Source::Live;
    odd.clock_offset = Some(-90_250);
    odd.path = "bare.flv".to_owned();
    odd.note = "the local hour exists twice".to_owned();
    ledger.record_archived(run, attempt(DAY, Outcome::Archived, None), plain.clone(), None).await.unwrap();
    ledger.add_recording(odd.clone()).await.unwrap();

    let all = ledger.recordings_overlapping(device(5), range(DAY + 599, DAY + 601)).await.unwrap();
    assert_eq!(all, [plain, odd]);
    assert_eq!(ledger.recordings_overlapping(device(5), range(DAY + 1200, DAY + 1300)).await.unwrap(), []);
}

#[tokio::test]
async fn an_overlapping_recording_is_refused_and_changes_nothing() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    let whole = attempt(DAY, Outcome::Archived, None);
    ledger.record_archived(run, whole.clone(), recording(5, DAY, DAY + 600), None).await.unwrap();
    let refused = ledger.record_archived(run, whole, recording(5, DAY + 599, DAY + 1200), None).await.unwrap_err();
    assert!(matches!(&refused, LedgerError::Overlap { held_range, .. } if *held_range == range(DAY, DAY + 600)));
    let archived = ledger.archived(vec![device(5)], range(DAY, DAY + 1200)).await.unwrap();
    assert_eq!(archived[&device(5)], RangeSet::from(range(DAY, DAY + 600)));
    let attempts: i64 = scratch.shell().query_row("SELECT count(*) FROM attempt", [], |row| row.get(0)).unwrap();
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn of_requests_that_travel_together_only_the_wrong_one_fails() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    // Every second one overlaps the one before it.
    let recordings = (0..100).map(|i| recording(5, DAY + 300 * i, DAY + 300 * i + 301));
    let done = futures::future::join_all(recordings.map(|recording| ledger.add_recording(recording))).await;
    for (i, done) in done.iter().enumerate() {
        assert_eq!(done.is_ok(), i % 2 == 0, "{i}: {done:?}");
    }
    assert_eq!(ledger.recordings_overlapping(device(5), range(DAY, DAY + 40_000)).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_gap_is_cut_to_the_range_that_is_asked_about() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    ledger
        .ask(vec![(device(5), range(DAY, DAY + 7200).into()), (device(6), range(DAY, DAY + 60).into())])
        .await
        .unwrap();
    ledger.set_zone(vec![device(5)], chrono_tz::Europe::Berlin).await.unwrap();
    let query = GapQuery {
        devices: Some(vec![device(5)]),
        within: Some(range(DAY + 3600, DAY + 10_000)),
        causes: Some(vec![Cause::NotTried]),
    };
    let gaps = ledger.gaps(query.clone()).await.unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].range, gaps[0].seconds), (range(DAY + 3600, DAY + 7200), 3600));
    assert_eq!(
        (gaps[0].from_local.as_str(), gaps[0].to_local.as_str()),
        ("2026-11-20 02:00:00+01:00", "2026-11-20 03:00:00+01:00")
    );
    assert_eq!(gaps[0].from_utc, "2026-11-20T01:00:00Z");
    let others = GapQuery { causes: Some(vec![Cause::Failed]), ..query };
    assert_eq!(ledger.gaps(others).await.unwrap(), []);
}

#[tokio::test]
async fn a_day_is_the_devices_own_and_has_as_many_hours_as_its_clocks_say() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    // 2026-10-24T00:00:00 to 2026-10-27T00:00:00 in Berlin; the 25th has 25 hours. In Havana 2026-11-01 has 25, and
    // its first midnight strikes again an hour later.
    let berlin = range(1_792_792_800, 1_793_055_600);
    let havana = range(1_793_505_600, 1_793_595_600);
    ledger.ask(vec![(device(5), berlin.into()), (device(7), havana.into())]).await.unwrap();
    ledger.set_zone(vec![device(5)], chrono_tz::Europe::Berlin).await.unwrap();
    ledger.set_zone(vec![device(7)], chrono_tz::America::Havana).await.unwrap();
    ledger.add_recording(recording(5, 1_792_792_800 + 3600, 1_792_792_800 + 7200)).await.unwrap();

    let (first, last) = ("2026-10-24".parse().unwrap(), "2026-11-01".parse().unwrap());
    let days = ledger.coverage(None, first, last).await.unwrap();
    let short: Vec<_> = days
        .iter()
        .map(|day| (day.device.get(), day.day.to_string(), day.asked_seconds / 3600, day.archived_seconds / 3600))
        .collect();
    let expected = [
        (5, "2026-10-24".to_owned(), 24, 1),
        (5, "2026-10-25".to_owned(), 25, 0),
        (5, "2026-10-26".to_owned(), 24, 0),
        (7, "2026-11-01".to_owned(), 25, 0),
    ];
    assert_eq!(short, expected);
    assert_eq!(days[0].percent, 4.16);
    let one = ledger.coverage(Some(vec![device(5)]), last, last).await.unwrap();
    assert_eq!(one, []);
}

#[tokio::test]
async fn totals_say_what_was_asked_archived_and_missing_by_cause() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    ledger.ask(vec![(device(5), range(DAY, DAY + 3600).into())]).await.unwrap();
    ledger
        .record_archived(run, attempt(DAY, Outcome::Archived, None), recording(5, DAY, DAY + 600), None)
        .await
        .unwrap();
    ledger.record_missed(run, window(5, DAY + 600, DAY + 1200), busy(DAY)).await.unwrap();
    let totals = ledger.totals(vec![device(5), device(9)], range(DAY - 600, DAY + 1800)).await.unwrap();
    assert_eq!((totals.asked_seconds, totals.archived_seconds), (1800, 600));
    let missing: Vec<_> = totals.missing_seconds.into_iter().collect();
    assert_eq!(missing, [(Cause::NotTried, 600), (Cause::NvrBusy, 600)]);
}

#[tokio::test]
async fn history_is_what_whole_windows_took() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    ledger
        .record_archived(run, attempt(DAY, Outcome::Archived, None), recording(5, DAY, DAY + 600), None)
        .await
        .unwrap();
    ledger.record_missed(run, window(5, DAY + 600, DAY + 1200), busy(DAY)).await.unwrap();
    let history = ledger.history(1000).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].attempts, history[0].footage_seconds), (1, 600));
    assert_eq!((history[0].bytes_per_second, history[0].seconds_per_second), (1.0, 0.1));
    assert_eq!(ledger.history(1).await.unwrap(), [], "the newest attempt archived nothing");
}

#[tokio::test]
async fn what_the_platform_says_of_a_device_adds_to_what_is_known_and_reaches_no_terminal_raw() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let first = DeviceFacts {
        name: Some(Untrusted::new("till\u{1b}[2J")),
        store_number: Some(7),
        store: Some(Untrusted::new("门店一号")),
        channel: Some(3),
        online: Some(true),
        seen: Some(UtcSecond::new(DAY)),
        ..DeviceFacts::unknown(device(5))
    };
    let second = DeviceFacts {
        puid: Some(Untrusted::new("puid\u{9b}1")),
        store_number: Some(7),
        online: Some(false),
        seen: Some(UtcSecond::new(DAY + 60)),
        ..DeviceFacts::unknown(device(5))
    };
    ledger.know_devices(vec![first.clone()]).await.unwrap();
    ledger.know_devices(vec![second]).await.unwrap();
    let devices = ledger.devices().await.unwrap();
    assert_eq!(devices.len(), 1);
    let facts = &devices[0].facts;
    assert_eq!((facts.store_number, &facts.store, facts.channel), (Some(7), &first.store, Some(3)));
    assert_eq!((facts.online, facts.seen), (Some(false), Some(UtcSecond::new(DAY + 60))));
    assert_eq!((devices[0].zone.as_str(), devices[0].asked, devices[0].macs), ("Asia/Shanghai", false, None));
    let texts: (String, String) =
        scratch.shell().query_row("SELECT name, puid FROM device", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(texts, ("till\\u{1b}[2J".to_owned(), "puid\\u{9b}1".to_owned()));
    let nvr: (String, String, i64) = scratch
        .shell()
        .query_row("SELECT nvr, store, seen FROM nvr", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(nvr, ("puid\\u{9b}1".to_owned(), "7".to_owned(), DAY + 60));
}

/// What the settings said of a device's NVR, and the platform's list, are columns of their own: each may be taken back alone.
#[tokio::test]
async fn what_a_run_takes_for_a_devices_nvr_replaces_what_the_last_one_took_and_not_what_the_list_says() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let listed = DeviceFacts { puid: Some(Untrusted::new("P")), ..DeviceFacts::unknown(device(5)) };
    ledger.know_devices(vec![listed]).await.unwrap();
    let columns = || -> (Option<String>, Option<String>) {
        scratch.shell().query_row("SELECT nvr, puid FROM device", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    for nvr in [Some("mine"), Some("P"), None] {
        let served = ServedBy { device: device(5), nvr: nvr.map(NvrId::new), store: Some("7".to_owned()) };
        ledger.serve_devices(vec![served]).await.unwrap();
        assert_eq!(columns(), (nvr.map(str::to_owned), Some("P".to_owned())));
    }
}

#[tokio::test]
async fn the_addresses_of_a_devices_url_are_its_last_ones() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let macs = |last| UrlMacs { first: Mac::new([0, 20, 16, 27, 96, last]), second: Mac::new([2; 6]) };
    for last in [8, 9] {
        ledger.learn_macs(device(5), macs(last), UtcSecond::new(DAY)).await.unwrap();
    }
    ledger.ask(vec![(device(6), range(DAY, DAY + 60).into())]).await.unwrap();
    let devices = ledger.devices().await.unwrap();
    let known: Vec<_> = devices.iter().map(|row| (row.facts.device.get(), row.macs, row.asked)).collect();
    assert_eq!(known, [(5, Some(macs(9)), false), (6, None, true)]);
    scratch.shell().execute("UPDATE media_mac SET first_mac = 'tampered'", []).unwrap();
    let error = ledger.devices().await.unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
}

/// The documentation's examples are taken from it, so that they cannot rot.
#[tokio::test]
async fn the_documented_queries_answer_their_questions() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    // 19:00 in Shanghai.
    let evening = DAY + 11 * 3600;
    let asked: RangeSet = range(evening, evening + 1800).into();
    ledger.ask(vec![(device(5), asked.clone()), (device(6), asked)]).await.unwrap();
    ledger.record_missed(run, window(5, evening, evening + 600), busy(DAY)).await.unwrap();
    let whole = attempt(DAY, Outcome::Archived, None);
    ledger.record_archived(run, whole, recording(6, evening, evening + 1800), None).await.unwrap();

    let page = include_str!("../../../docs/ledger.md");
    let queries: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(queries.len(), 3);
    let shell = scratch.shell();
    let first_rows: Vec<Vec<rusqlite::types::Value>> = queries
        .iter()
        .map(|query| {
            let mut statement = shell.prepare(query).unwrap();
            let columns = statement.column_count();
            statement.query_row([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap()
        })
        .collect();
    use rusqlite::types::Value::{Integer, Real, Text};
    assert_eq!(first_rows[0][..2], [Integer(5), Text("2026-11-20 19:10:00+08:00".to_owned())]);
    assert_eq!(first_rows[1], [Text("not tried".to_owned()), Integer(1), Real(0.3)]);
    assert_eq!(first_rows[2][..3], [Integer(5), Text("2026-11-20".to_owned()), Real(0.0)]);
}

#[tokio::test]
async fn what_was_learned_of_an_nvr_is_the_newest_and_its_history_is_kept() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let nvr = NvrId::new("store 1");
    let night = |limit, calls, refused, keeps| Learned {
        limit,
        probe_pause: Some(Duration::from_secs(240)),
        keeps,
        calls,
        refused,
        left_alone: refused / 10,
    };
    let month = Some(Duration::from_secs(30 * 86_400));
    let mut runs = Vec::new();
    // The second night disproves what the first one took for the horizon; the third one asks nothing.
    for (learned, at) in
        [(night(4, 100, 30, month), DAY), (night(6, 50, 0, None), DAY + 86_400), (night(1, 0, 0, month), DAY + 90_000)]
    {
        let run = ledger.begin_run(start(at)).await.unwrap();
        // In two parts, as of an NVR that was leased twice in one night.
        let first =
            Learned { limit: 2, keeps: None, calls: learned.calls / 2, refused: 10.min(learned.refused), ..learned };
        let first = Learned { left_alone: first.refused / 10, ..first };
        let second = Learned {
            calls: learned.calls - first.calls,
            refused: learned.refused - first.refused,
            left_alone: learned.left_alone - first.left_alone,
            ..learned
        };
        for part in [first, second] {
            ledger.learn_limits(run, vec![(nvr.clone(), part)], UtcSecond::new(at)).await.unwrap();
        }
        ledger.end_run(run, RunEnd { ended: UtcSecond::new(at), exit: 0, counts: RunCounts::default() }).await.unwrap();
        runs.push(run);
    }
    let expected = Learned { calls: 150, refused: 30, left_alone: 3, ..night(6, 0, 0, None) };
    assert_eq!(ledger.learned_limits().await.unwrap(), BTreeMap::from([(nvr.clone(), expected)]));
    let newest = NvrNight { run: runs[1], limit: 6, calls: 50, refused: 0, left_alone: 0 };
    let oldest = NvrNight { run: runs[0], limit: 4, calls: 100, refused: 30, left_alone: 3 };
    assert_eq!(ledger.nvr_nights(7).await.unwrap(), BTreeMap::from([(nvr.clone(), vec![newest, oldest])]));
    assert_eq!(ledger.nvr_nights(1).await.unwrap(), BTreeMap::from([(nvr, vec![newest])]));
}
