//! What is noted before it is published, and what of it is left after a crash.

use super::super::LedgerError;
use super::super::open::migrations;
use super::*;

const FILE: &str = "store 1/5/1795132800.flv";

async fn noted(ledger: &Ledger) -> [Vec<String>; 2] {
    [ledger.publishing(Source::Nvr).await.unwrap(), ledger.publishing(Source::Live).await.unwrap()]
}

#[tokio::test]
async fn a_note_outlives_its_process_and_goes_with_the_recordings_row() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    assert_eq!(recording(5, DAY, DAY + 600).path, FILE);
    ledger.note_publishing(Source::Nvr, FILE.to_owned()).await.unwrap();
    ledger.note_publishing(Source::Nvr, FILE.to_owned()).await.unwrap();
    ledger.note_publishing(Source::Live, "other".to_owned()).await.unwrap();
    drop(ledger);

    let ledger = scratch.open();
    assert_eq!(noted(&ledger).await, [vec![FILE.to_owned()], vec!["other".to_owned()]]);
    ledger.add_recording(recording(5, DAY, DAY + 600)).await.unwrap();
    assert_eq!(noted(&ledger).await, [vec![], vec!["other".to_owned()]]);
    ledger.forget_publishing("other".to_owned()).await.unwrap();
    assert_eq!(noted(&ledger).await, [vec![], vec![]] as [Vec<String>; 2]);
}

#[tokio::test]
async fn a_note_stays_when_the_row_is_refused() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    ledger.add_recording(recording(5, DAY - 300, DAY + 300)).await.unwrap();
    ledger.note_publishing(Source::Nvr, FILE.to_owned()).await.unwrap();
    let error = ledger.add_recording(recording(5, DAY, DAY + 600)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Overlap { .. }), "{error}");
    assert_eq!(noted(&ledger).await[0], [FILE]);
}

#[tokio::test]
async fn an_upload_is_noted_for_as_long_as_its_file_is() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let upload = |number: &str| ledger.note_upload(FILE.to_owned(), number.to_owned());
    assert!(!upload("1").await.unwrap(), "nobody publishes it");
    ledger.note_publishing(Source::Nvr, FILE.to_owned()).await.unwrap();
    assert_eq!(ledger.noted_upload(FILE.to_owned()).await.unwrap(), None);
    for number in ["1", "2"] {
        assert!(upload(number).await.unwrap());
        assert_eq!(ledger.noted_upload(FILE.to_owned()).await.unwrap().as_deref(), Some(number));
    }
    ledger.add_recording(recording(5, DAY, DAY + 600)).await.unwrap();
    assert!(!upload("3").await.unwrap(), "it has its row");
    assert_eq!(ledger.noted_upload(FILE.to_owned()).await.unwrap(), None);
}

/// What runs of this version leave is noted; of what one of an older version left, nobody knows but by looking everywhere.
#[tokio::test]
async fn only_runs_of_older_versions_leave_what_nobody_noted() {
    let scratch = Scratch::new();
    let target = refinery::Target::Version(8);
    migrations::migrations::runner().set_target(target).run(&mut scratch.shell()).unwrap();
    let run = |ended: &str, source: &str| {
        let values =
            format!("(started, pid, host, what, ended, exit, source) VALUES (1, 1, '', '', {ended}, '{source}')");
        scratch.shell().execute(&format!("INSERT INTO run {values}"), []).unwrap();
    };
    run("2, 3", "nvr");
    run("NULL, NULL", "live");
    let ledger = scratch.open();
    assert!(!ledger.left_unnoted(Source::Nvr).await.unwrap(), "it ended");
    assert!(ledger.left_unnoted(Source::Live).await.unwrap(), "it was cut off");
    ledger.recovered(Source::Nvr).await.unwrap();
    assert!(ledger.left_unnoted(Source::Live).await.unwrap(), "the other was looked after");
    ledger.recovered(Source::Live).await.unwrap();
    assert!(!ledger.left_unnoted(Source::Live).await.unwrap(), "once is enough");
    drop(ledger);

    let cut_off = scratch.open();
    cut_off.begin_run(start(DAY)).await.unwrap();
    drop(cut_off);
    let ledger = scratch.open();
    ledger.begin_run(start(DAY + 60)).await.unwrap();
    assert!(!ledger.left_unnoted(Source::Nvr).await.unwrap());
}

#[tokio::test]
async fn how_often_an_nvr_was_left_alone_is_taken_over_from_its_nights() {
    let scratch = Scratch::new();
    let target = refinery::Target::Version(8);
    migrations::migrations::runner().set_target(target).run(&mut scratch.shell()).unwrap();
    scratch
        .shell()
        .execute_batch(
            "INSERT INTO run (run, started, pid, host, what) VALUES (1, 1, 1, '', ''), (2, 2, 1, '', '');
             INSERT INTO nvr_limit (nvr, playbacks, calls, refused, learned_at) VALUES ('a', 4, 9, 3, 2), ('b', 4, 9, 3, 2);
             INSERT INTO nvr_night VALUES ('a', 1, 4, 4, 1, 2), ('a', 2, 4, 5, 2, 3);",
        )
        .unwrap();
    let learned = scratch.open().learned_limits().await.unwrap();
    assert_eq!(learned.values().map(|learned| learned.left_alone).collect::<Vec<_>>(), [5, 0]);
}
