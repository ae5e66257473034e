//! A ledger copied whole, from whatever engine to whatever other: here from file to file.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::LedgerError;
use super::super::copying::PAGE;
use super::super::tables::TABLES;
use super::*;

const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;
const NOBODY: &(dyn Fn(super::super::Progress) + Sync) = &|_| {};

/// Rows in every table: more than a page of those that grow, with and without what may be nothing.
fn filled() -> Scratch {
    let scratch = Scratch::new();
    drop(scratch.open());
    let rows = 2 * PAGE + 1;
    let shell = scratch.shell();
    shell
        .execute_batch(&format!(
            "BEGIN;
             CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n;
             INSERT INTO nvr (nvr, store, seen) SELECT 'nvr ' || i, iif(i % 2, 'store \"' || i || '\" 店', NULL), i FROM n;
             INSERT INTO device (device, name, store, nvr, channel, zone, seen, puid, store_number, online)
                 SELECT i, iif(i % 2, 'cam ' || i, NULL), NULL, iif(i % 3, 'nvr ' || i, NULL), i, 'Asia/Shanghai', NULL, 'p', i, i % 2 FROM n;
             INSERT INTO media_mac SELECT i, '00:00:00:00:00:01', '00:00:00:00:00:02', i FROM n;
             INSERT INTO asked SELECT i, 600 * i, 600 * i + 1200 FROM n;
             INSERT INTO archived SELECT i, 600 * i, 600 * i + 600 FROM n;
             INSERT INTO missing (device, start, end, cause, attempts, last_code) SELECT i, 600 * i + 600, 600 * i + 1200, 'nvr busy', i, 'result -4' FROM n;
             INSERT INTO folder (folder, path) SELECT i, i || '/2026-11-20/' FROM n;
             INSERT INTO format (format, video, width) SELECT i, 'H.264', i FROM n;
             INSERT INTO recording (device, start, seconds, live, folder, quarters, container, bytes, blake3, format,
                     media_milliseconds, first_timestamp, archived_at, note)
                 SELECT i, 600 * i, 600, 0, i, 32, 0, 1000 + i, randomblob(32), i, 600000, 0, i, iif(i % 2, 'a note', NULL) FROM n;
             INSERT INTO run (run, started, pid, host, what) SELECT i, i, i, 'here', 'a test' FROM n;
             INSERT INTO outcome (outcome, word, code) SELECT i, 'word ' || i, NULL FROM n;
             INSERT INTO attempt (attempt, run, device, start, seconds, started, milliseconds, bytes, outcome, detail)
                 SELECT i, i, i, 600 * i, 600, i, 5, 6, 0, iif(i % 2, 'why', NULL) FROM n;
             INSERT INTO attempt_day SELECT i, i, i, 1, 600, 5, 6, i FROM n;
             INSERT INTO nvr_limit (nvr, playbacks, calls, refused, learned_at) SELECT 'nvr ' || i, 4, i, 0, i FROM n;
             INSERT INTO nvr_night SELECT 'nvr ' || i, i, 4, i, 0, 0 FROM n;
             INSERT INTO publishing (path, live) SELECT 'path ' || i, i % 2 FROM n;
             INSERT INTO leaving (path, device, start, fate) SELECT 'path ' || i, i, 600 * i, 'aside' FROM n;
             INSERT INTO verify_round (round, began) SELECT i, i FROM n;
             INSERT INTO uncatalogued (change, device, start) SELECT i, i, 600 * i FROM n;
             INSERT INTO catalog (segment) VALUES (7);
             INSERT INTO archive_mark (mark) VALUES ('a mark');
             INSERT INTO utc_offset SELECT 'zone ' || i, i, 8, 8, '+08:00' FROM n;
             COMMIT;"
        ))
        .expect("every table takes its rows");
    scratch
}

fn is_empty(scratch: &Scratch, table: &str) -> bool {
    scratch.shell().query_row(&format!("SELECT NOT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn every_row_of_every_table_is_copied() {
    let (source, copy) = (filled(), Scratch::new());
    let (from, to) = (source.open(), copy.open());
    let copied = to.copy_from(&from, NEVER, NOBODY).await.expect("it is copied");
    for table in TABLES {
        assert!(!is_empty(&copy, table.name), "{}", table.name);
    }
    let compared = to.compare_with(&from, NEVER, NOBODY).await.expect("they are the same");
    // Each ledger has one outcome from its first moment.
    assert_eq!(compared, copied.map(|rows| rows + 1));
}

#[tokio::test]
async fn a_copy_that_is_stopped_anywhere_goes_on_where_it_stands() {
    let (source, copy) = (filled(), Scratch::new());
    let from = source.open();
    let mut stops = 0;
    loop {
        // Some pages each time, in a process of its own as it were: as many as a look at each table takes, and a few more.
        let (to, asked) = (copy.open(), AtomicUsize::new(0));
        let after_a_page = || asked.fetch_add(1, Ordering::Relaxed) > TABLES.len() + 4;
        match to.copy_from(&from, &after_a_page, NOBODY).await.expect("it is copied") {
            Some(_) => break,
            None => stops += 1,
        }
        assert!(stops < 1_000, "it gets no further");
    }
    assert!(stops > 2, "only {stops}");
    assert!(copy.open().compare_with(&from, NEVER, NOBODY).await.expect("they are the same").is_some());
}

#[tokio::test]
async fn a_row_that_is_another_is_named() {
    for (change, row) in [
        ("UPDATE recording SET blake3 = zeroblob(32) WHERE device = 3", "recording: device 3, start 1800"),
        ("UPDATE attempt SET detail = NULL WHERE attempt = 1", "attempt: attempt 1"),
        ("DELETE FROM publishing WHERE path = 'path 2'", "publishing: path \"path 2\""),
        ("INSERT INTO asked VALUES (1, 1, 2)", "asked: device 1, start 1"),
        ("DELETE FROM uncatalogued WHERE change > 1", "uncatalogued: change 2"),
    ] {
        let (source, copy) = (filled(), Scratch::new());
        let (from, to) = (source.open(), copy.open());
        to.copy_from(&from, NEVER, NOBODY).await.expect("it is copied");
        copy.shell().execute_batch(change).expect("it is changed");
        match to.compare_with(&from, NEVER, NOBODY).await {
            Err(LedgerError::Differs { row: named, .. }) => assert_eq!(named, row, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}

/// So that no migration adds what a copy would leave behind.
#[test]
fn the_tables_that_are_copied_are_those_that_a_ledger_has() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let shell = scratch.shell();
    let mut statement = shell
        .prepare(
            "SELECT t.name, c.name, c.type FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'refinery_schema_history' AND c.hidden = 0
             ORDER BY 1, 2",
        )
        .unwrap();
    let column = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let has: Vec<(String, String, String)> =
        statement.query_map([], column).unwrap().collect::<Result<_, _>>().unwrap();
    let mut copied: Vec<(String, String, String)> = TABLES
        .iter()
        .flat_map(|table| {
            let columns = table.described();
            columns.into_iter().map(|(column, kind)| (table.name.to_owned(), column.to_owned(), kind.to_uppercase()))
        })
        .collect();
    copied.sort();
    assert_eq!(copied, has);
}
