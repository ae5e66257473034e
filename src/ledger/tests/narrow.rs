//! What keeps the ledger small: that nothing is lost by it.

use proptest::prelude::*;

use super::super::attempts::{FOLD_ROWS, FOLD_STEPS};
use super::super::open::migrations;
use super::*;
use crate::recording::Container;
use crate::report::{DeviceHistory, RunId};

const DAY_SECONDS: i64 = 86_400;

/// An attempt at a window of its own.
async fn try_once(ledger: &Ledger, run: RunId, number: i64, attempt: Attempt) {
    let window = window(number, attempt.started.get(), attempt.started.get() + 600);
    ledger.record_missed(run, window, attempt).await.unwrap();
}

fn downloaded(started: i64, bytes: u64, milliseconds: u64) -> Attempt {
    Attempt { bytes, milliseconds, ..attempt(started, Outcome::Archived, None) }
}

/// What people ask of attempts, whether or not they were folded away: by device, day, outcome and code.
fn sums(scratch: &Scratch) -> Vec<String> {
    let shell = scratch.shell();
    let mut statement = shell
        .prepare(
            "SELECT device || ' ' || day || ' ' || outcome || ' ' || coalesce(code, '-') || ': ' || sum(attempts) || ' '
                 || sum(seconds) || ' ' || sum(milliseconds) || ' ' || sum(bytes)
             FROM (
                 SELECT device, date(started_utc) AS day, outcome, code, 1 AS attempts,
                     unixepoch(to_utc) - unixepoch(from_utc) AS seconds, milliseconds, bytes
                 FROM attempts
                 UNION ALL
                 SELECT device, day_utc, outcome, code, attempts, window_seconds, milliseconds, bytes FROM attempt_days
             )
             GROUP BY device, day, outcome, code ORDER BY device, day, outcome, code",
        )
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn count(scratch: &Scratch, table: &str) -> i64 {
    scratch.shell().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn attempts_that_are_folded_away_leave_their_sums_and_younger_ones_stay() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    for day in 0..4 {
        let at = DAY + day * DAY_SECONDS;
        try_once(&ledger, run, 5, downloaded(at, 6_000 + day as u64, 1_001)).await;
        try_once(&ledger, run, 5, downloaded(at + 700, 7_000, 2_003)).await;
        try_once(&ledger, run, 6, downloaded(at + 1400, 9_000, 9_007)).await;
        try_once(&ledger, run, 6, busy(at + 2100)).await;
    }
    let (before, history) = (sums(&scratch), ledger.history(1_000).await.unwrap());
    assert_eq!(before.len(), 4 * 3);

    assert_eq!(ledger.fold_attempts(UtcSecond::new(DAY + 2 * DAY_SECONDS)).await.unwrap(), 8);
    assert_eq!((count(&scratch, "attempt"), count(&scratch, "attempt_day")), (8, 6));
    let oldest: String =
        scratch.shell().query_row("SELECT min(started_utc) FROM attempts", [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, UtcSecond::new(DAY + 2 * DAY_SECONDS).to_string());
    assert_eq!(sums(&scratch), before);
    assert_eq!(ledger.history(1_000).await.unwrap(), history);

    assert_eq!(ledger.fold_attempts(UtcSecond::new(DAY + 2 * DAY_SECONDS)).await.unwrap(), 0, "it is done");
    // In the middle of a day, whose sums the next call goes on with.
    for hours in [1, 48] {
        ledger.fold_attempts(UtcSecond::new(DAY + 3 * DAY_SECONDS + hours * 600)).await.unwrap();
        assert_eq!(sums(&scratch), before);
        assert_eq!(ledger.history(1_000).await.unwrap(), history);
    }
    assert_eq!(count(&scratch, "attempt"), 1, "the newest one stays, whatever its age");
    try_once(&ledger, run, 5, busy(DAY)).await;
    let newest: i64 = scratch.shell().query_row("SELECT max(attempt) FROM attempt", [], |row| row.get(0)).unwrap();
    assert_eq!(newest, 17, "no number is given twice");
}

/// What the newest attempts tell is not diluted by old ones only because those were folded away.
#[tokio::test]
async fn history_leaves_out_folded_days_that_are_older_than_it_asks_for() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    for day in 0..3 {
        for window in 0..4 {
            let at = DAY + day * DAY_SECONDS + window * 600;
            try_once(&ledger, run, 5, downloaded(at, 600 * (day as u64 + 1), 6_000)).await;
        }
    }
    ledger.fold_attempts(UtcSecond::new(DAY + 2 * DAY_SECONDS)).await.unwrap();
    let seen = |history: Vec<DeviceHistory>| history.first().map(|one| (one.attempts, one.bytes_per_second));
    assert_eq!(seen(ledger.history(4).await.unwrap()), Some((4, 3.0)));
    assert_eq!(seen(ledger.history(8).await.unwrap()), Some((8, 2.5)));
    assert_eq!(seen(ledger.history(5).await.unwrap()), Some((8, 2.5)), "a folded day counts as a whole");
    assert_eq!(seen(ledger.history(12).await.unwrap()), Some((12, 2.0)));
}

#[tokio::test]
async fn one_call_folds_so_many_attempts_and_the_next_one_goes_on() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    try_once(&ledger, run, 5, downloaded(DAY, 1, 1)).await;
    let most = u64::from(FOLD_ROWS) * u64::from(FOLD_STEPS);
    let copies = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n <= {most})
         INSERT INTO attempt (run, device, start, seconds, started, milliseconds, bytes, outcome)
         SELECT run, device, start, seconds, started, milliseconds, bytes, outcome FROM n, (SELECT * FROM attempt)"
    );
    scratch.shell().execute_batch(&format!("PRAGMA synchronous = OFF; {copies}")).unwrap();
    let later = UtcSecond::new(DAY + 1);
    assert_eq!(ledger.fold_attempts(later).await.unwrap(), most);
    assert_eq!(ledger.fold_attempts(later).await.unwrap(), 1);
    assert_eq!(count(&scratch, "attempt"), 1);
    let kept: i64 = scratch.shell().query_row("SELECT sum(attempts) FROM attempt_day", [], |row| row.get(0)).unwrap();
    assert_eq!(kept.unsigned_abs(), most + 1);
}

/// As a clock leaves them that was wrong for a while.
#[tokio::test]
async fn attempts_that_are_dated_in_the_future_keep_no_old_ones_from_being_folded() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    for at in [DAY + 900 * DAY_SECONDS, DAY, DAY + 600, DAY + 1200] {
        try_once(&ledger, run, 5, busy(at)).await;
    }
    assert_eq!(ledger.fold_attempts(UtcSecond::new(DAY + 2000)).await.unwrap(), 2);
    assert_eq!(count(&scratch, "attempt"), 2);
}

/// A recording under that name, which is read back as it was written; whether the name itself is stored.
async fn is_name_stored(scratch: &Scratch, recording: Recording) -> bool {
    let ledger = scratch.open();
    ledger.add_recording(recording.clone()).await.unwrap();
    let read = ledger.recordings_overlapping(recording.device, recording.range).await.unwrap();
    assert_eq!(read, std::slice::from_ref(&recording));
    let shell = scratch.shell();
    let path: String = shell.query_row("SELECT path FROM recordings", [], |row| row.get(0)).unwrap();
    assert_eq!(path, recording.path);
    let stored = shell.query_row("SELECT own_name IS NOT NULL FROM recording", [], |row| row.get(0)).unwrap();
    shell.execute_batch("DELETE FROM recording; DELETE FROM archived;").unwrap();
    stored
}

fn named(recording: Recording, name: &str) -> Recording {
    Recording { path: format!("5/2026-11-20/{name}"), ..recording }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

const NINE: i64 = 1_795_136_400;

#[tokio::test]
async fn a_name_that_says_something_else_than_its_row_is_kept_as_it_is() {
    let scratch = Scratch::new();
    let nine = recording(5, NINE, NINE + 600);
    let usual = "5_20261120T090000+0800_600s.flv";
    assert!(!is_name_stored(&scratch, named(nine.clone(), usual)).await);
    for other in [
        "",
        ".flv",
        "5_.flv",
        "5_20261120T090000+0800_600s",
        "5_20261120T090000+0800_600s.FLV",
        "5_20261120T090000+0800_600s.mkv",
        "5_20261120T090000+0800_600s_live.flv",
        "5_20261120T090000+0800_601s.flv",
        "5_20261120T090000+0800_0600s.flv",
        "5_20261120T090001+0800_600s.flv",
        "5_20261120T010000-0000_600s.flv",
        "5_20261120T090100+0801_600s.flv",
        "5_20261120T090000++8+0_600s.flv",
        "05_20261120T090000+0800_600s.flv",
        "6_20261120T090000+0800_600s.flv",
        "5_20261120T090000+08é_600s.flv",
    ] {
        assert!(is_name_stored(&scratch, named(nine.clone(), other)).await, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_name_that_its_row_tells_takes_no_room_and_is_read_back(
        number in 0..1_000_000i64,
        start in 86_400..253_402_000_000i64,
        seconds in 1..=600i64,
        quarters in -56..=56i64,
        container in 0..Container::ALL.len(),
        live in proptest::bool::ANY,
    ) {
        let (source, word) = if live { (Source::Live, "_live") } else { (Source::Nvr, "") };
        let offset = chrono::FixedOffset::east_opt(i32::try_from(quarters * 900).unwrap()).unwrap();
        let local = UtcSecond::new(start).to_datetime().with_timezone(&offset).format("%Y%m%dT%H%M%S%z");
        let extension = Container::ALL[container].extension();
        let name = format!("{number}_{local}_{seconds}s{word}.{extension}");
        let recording = Recording { source, ..named(recording(number, start, start + seconds), &name) };
        runtime().block_on(async { assert!(!is_name_stored(&Scratch::new(), recording).await, "{name}"); });
    }

    #[test]
    fn any_name_is_read_back(name in "\\PC*", tail in "5_[0-9T+-]{10,22}_600s[._a-z]{0,9}") {
        let nine = recording(5, NINE, NINE + 600);
        runtime().block_on(async {
            for name in [&name, &tail] {
                is_name_stored(&Scratch::new(), named(nine.clone(), name)).await;
            }
        });
    }
}

fn lines(shell: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = shell.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect::<Vec<_>>().join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_an_older_ledger_held_wide_is_all_there_when_it_is_narrow() {
    let scratch = Scratch::new();
    let shell = scratch.shell();
    migrations::migrations::runner().set_target(refinery::Target::Version(7)).run(&mut scratch.shell()).unwrap();
    shell
        .execute_batch(
            "INSERT INTO device (device) VALUES (5), (12);
             INSERT INTO folder VALUES (1, '5/2026-11-20/'), (2, '');
             INSERT INTO format VALUES (1, 'H264', 'AAC', 1280, 720), (2, NULL, NULL, NULL, NULL);
             INSERT INTO run (run, started, pid, host, what) VALUES (3, 1, 1, 'host', 'what');
             INSERT INTO attempt VALUES
                 (1, 3, 5, 1795136400, 1795137000, 1795220000, 61000, 150000000, 'archived', NULL, NULL),
                 (2, 3, 5, 1795137000, 1795137600, 1795220001, 20, 0, 'nvr full', 'result -4', NULL),
                 (4, 3, 5, 1795137000, 1795137600, 1795220002, 20, 0, 'nvr full', 'result -5', 'said \"no\"'),
                 (9, 3, 12, 1795137000, 1795137061, 1795220003, 21, 7, 'unusable', NULL, '<html>'),
                 (10, 3, 12, 1795137000, 1795137061, 1795220004, 21, 7, 'archived', 'http 206', NULL);
             INSERT INTO recording (device, start, end, folder, name, bytes, blake3, format, media_milliseconds,
                 first_timestamp, source, archived_at, note, clock_offset) VALUES
                 (5, 1795136400, 1795137000, 1, '5_20261120T090000+0800_600s.flv', 1, randomblob(32), 1, 2, 3, 'nvr', 4, NULL, NULL),
                 (5, 1795137000, 1795137600, 1, '5_20261120T091000+0800_601s.flv', 1, randomblob(32), 1, 2, 3, 'nvr', 4, NULL, NULL),
                 (5, 1795137600, 1795138200, 2, 'till 5.flv', 1, randomblob(32), 2, 2, 3, 'nvr', 4, 'a note', NULL),
                 (12, 1795136400, 1795136900, 1, '12_20261119T213000-0330_500s_live.ts', 1, randomblob(32), 2, 2, 3, 'live', 4, 'n', -90),
                 (12, 1795137000, 1795137600, 1, '12_20261119T214000-0330_600s_live.mp4', 1, randomblob(32), 2, 2, 3, 'live', 4, '', 0),
                 (12, 1795137600, 1795138200, 1, '12_20261119T215000-0330_600s_live.flv', 1, randomblob(32), 2, 2, 3, 'nvr', 4, NULL, NULL);",
        )
        .unwrap();
    let (recordings, attempts) = ("SELECT * FROM recordings ORDER BY 1, 2", "SELECT * FROM attempts ORDER BY 1");
    let before = (lines(&shell, recordings), lines(&shell, attempts));
    assert_eq!((before.0.len(), before.1.len()), (6, 5));
    drop(shell);

    let ledger = scratch.open();
    let shell = scratch.shell();
    assert_eq!((lines(&shell, recordings), lines(&shell, attempts)), before);
    let own = lines(&shell, "SELECT device, start, quarters, container FROM recording WHERE own_name IS NOT NULL");
    assert_eq!(own.len(), 3, "{own:?}");
    assert_eq!(lines(&shell, "PRAGMA foreign_key_check"), Vec::<String>::new());
    assert_eq!(lines(&shell, "PRAGMA integrity_check").len(), 1);
    let recordings = ledger.recordings_overlapping(device(12), range(NINE, NINE + 600)).await.unwrap();
    assert_eq!(recordings[0].path, "5/2026-11-20/12_20261119T213000-0330_500s_live.ts");
    assert_eq!((recordings[0].source, recordings[0].clock_offset), (Source::Live, Some(-90)));
    // The one with a code counts as well.
    assert_eq!(ledger.history(100).await.unwrap().len(), 2);
}
