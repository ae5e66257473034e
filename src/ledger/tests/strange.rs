//! Files that are no ledger, or a damaged one: each is refused in words that say what to do, and left as it is.

use std::fs;
use std::path::Path;

use super::super::open::for_writing;
use super::super::{GapQuery, LedgerError};
use super::*;
use crate::time_range::ALL_TIME;

/// A ledger of some dozen pages.
async fn filled() -> Scratch {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    let windows = (0..300).map(|number| window(number, DAY, DAY + 600));
    ledger.ask(windows.clone().map(|window| (window.device, window.range.into())).collect()).await.unwrap();
    // At once, so that they share their commits.
    let missed = windows.map(|window| ledger.record_missed(run, window, busy(DAY + window.device.get())));
    futures::future::try_join_all(missed).await.unwrap();
    drop(ledger);
    // Its log is folded into it.
    scratch.shell().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(())).unwrap();
    scratch
}

/// All that a person or a run would ask of it.
async fn use_it(path: &Path) -> Result<(), LedgerError> {
    let reading = Ledger::open_read_only(path)?;
    reading.gaps(GapQuery::default()).await?;
    let devices: Vec<_> = reading.devices().await?.into_iter().map(|row| row.facts.device).collect();
    reading.missing(devices, ALL_TIME).await?;
    reading.runs(10).await?;
    drop(reading);
    // What opens it for a run changes nothing yet.
    drop(for_writing(path)?);
    Ok(())
}

/// What it is told must contain all of `told`, and every byte must be where it was.
async fn assert_refused(what: &str, scratch: &Scratch, told: &[&str]) {
    let before = fs::read(scratch.path());
    let refused = use_it(&scratch.path()).await.expect_err(what);
    let text = refused.to_string();
    for part in told.iter().chain(&["ledger.db"]) {
        assert!(text.contains(part), "{what}: {text}");
    }
    assert_eq!(fs::read(scratch.path()).ok(), before.ok(), "{what}: it was changed");
}

#[tokio::test]
async fn damaged_pages_are_named_with_what_to_do() {
    let whole = fs::read(filled().await.path()).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 12, "{pages} pages");
    let remedy = ["is damaged", "`archive reindex`"];
    let file = |bytes: &[u8]| {
        let scratch = Scratch::new();
        fs::write(scratch.path(), bytes).unwrap();
        scratch
    };
    // All pages but the first.
    let mut garbage = whole.clone();
    garbage[4096..].fill(0xa5);
    assert_refused("garbage in its pages", &file(&garbage), &remedy).await;
    let mut schema = whole.clone();
    schema[100..4096].fill(0xff);
    assert_refused("garbage in its schema", &file(&schema), &remedy).await;
    assert_refused("half of it", &file(&whole[..pages / 2 * 4096]), &remedy).await;
    assert_refused("its first page", &file(&whole[..4096]), &remedy).await;
    assert_refused("a little more than its header", &file(&whole[..150]), &["reindex"]).await;
}

#[tokio::test]
async fn missing_tables_are_damage() {
    for table in ["missing", "refinery_schema_history", "device", "run"] {
        let scratch = filled().await;
        scratch.shell().execute_batch(&format!("PRAGMA foreign_keys = OFF; DROP TABLE {table};")).unwrap();
        assert_refused(table, &scratch, &["is damaged", "no such table", "`archive reindex`"]).await;
    }
    let scratch = filled().await;
    scratch.shell().execute_batch("DELETE FROM refinery_schema_history").unwrap();
    assert_refused("no version", &scratch, &["is damaged", "`archive reindex`"]).await;
}

#[tokio::test]
async fn what_is_no_ledger_says_how_to_replace_it() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), "[archive]\nroot = \"recordings\"\n".repeat(100)).unwrap();
    assert_refused("a text", &scratch, &["is not a ledger", "no SQLite database", "reindex --replace"]).await;

    let scratch = Scratch::new();
    scratch.shell().execute_batch("CREATE TABLE song (title TEXT)").unwrap();
    assert_refused("another program's", &scratch, &["another program's", "name another file"]).await;

    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    assert_refused("a folder", &scratch, &["cannot be opened", "it is a folder"]).await;

    let scratch = Scratch::new();
    assert_refused("nothing", &scratch, &["there is no ledger", "`archive reindex`"]).await;
}

#[tokio::test]
async fn a_newer_ledger_is_left_to_its_own_version() {
    let scratch = filled().await;
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (900, 'x', '', '0')";
    scratch.shell().execute(newer, []).unwrap();
    assert_refused("a newer one", &scratch, &["newer version", "900", "nothing was changed"]).await;
}

/// SQLite itself ends a log where it is damaged. What was in it behind that is lost, and what is left is still true to the rule.
#[tokio::test]
async fn a_damaged_log_is_read_as_far_as_it_is_whole() {
    let scratch = filled().await;
    let before = {
        let ledger = Ledger::open_read_only(scratch.path()).unwrap();
        ledger.gaps(GapQuery::default()).await.unwrap()
    };
    let beside = Scratch::new();
    {
        let ledger = scratch.open();
        ledger.begin_run(start(DAY + 86_400)).await.unwrap();
        ledger.add_recording(recording(5, DAY, DAY + 600)).await.unwrap();
        // As a power cut leaves them: copied while they are open.
        fs::copy(scratch.path(), beside.path()).unwrap();
        let log = scratch.folder.path().join("ledger.db-wal");
        let mut log = fs::read(log).unwrap();
        assert!(log.len() > 4096, "{} bytes", log.len());
        log[40..].fill(0xa5);
        fs::write(beside.folder.path().join("ledger.db-wal"), log).unwrap();
    }
    let ledger = beside.open();
    assert_eq!(ledger.gaps(GapQuery::default()).await.unwrap(), before);
    ledger.begin_run(start(DAY + 86_400)).await.unwrap();
    ledger.add_recording(recording(5, DAY, DAY + 600)).await.unwrap();
}

/// Takes as long as a lock is waited for.
#[tokio::test]
async fn a_lock_that_somebody_keeps_is_named() {
    let scratch = filled().await;
    let ledger = scratch.open();
    let shell = scratch.shell();
    shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(ledger.gaps(GapQuery::default()).await.unwrap().len(), 300, "questions are answered all the same");
    let before = fs::read(scratch.path()).unwrap();
    let locked = ledger.begin_run(start(DAY)).await.unwrap_err();
    assert!(matches!(locked, LedgerError::Locked { .. }), "{locked}");
    let text = locked.to_string();
    assert!(text.contains("locked by another program") && text.contains("Close it"), "{text}");
    assert_eq!(fs::read(scratch.path()).unwrap(), before);
    shell.execute_batch("ROLLBACK").unwrap();
    ledger.begin_run(start(DAY)).await.unwrap();
}
