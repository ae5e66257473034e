//! Opening, refusing, migrating, and who holds the ledger.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::StatementStatus;

use super::super::open::{for_reading, for_writing, migrations};
use super::super::{LedgerError, RunEnd};
use super::*;
use crate::report::RunCounts;

fn schema(connection: &rusqlite::Connection) -> Vec<(String, String, Option<String>)> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_kept_statement_is_not_made_anew_for_other_values() {
    let scratch = Scratch::new();
    drop(scratch.open());
    for connection in [for_writing(&scratch.path()).unwrap(), for_reading(&scratch.path()).unwrap()] {
        // What the largest value is asked of has another plan, to SQLite's mind, where it is compared with 0 or 1.
        let sql = "SELECT max(start) FROM missing WHERE device = ?1 AND start < ?2";
        for number in 0..10 {
            let mut statement = connection.prepare_cached(sql).unwrap();
            statement.exists([number, 600 * number]).unwrap();
        }
        let statement = connection.prepare_cached(sql).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 10, "it was kept");
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}

#[test]
fn a_ledger_upgraded_from_any_step_equals_a_fresh_one() {
    let fresh = Scratch::new();
    drop(fresh.open());
    let expected = schema(&fresh.shell());
    assert!(expected.iter().any(|(_, name, _)| name == "gaps"));

    for migration in migrations::migrations::runner().get_migrations() {
        let old = Scratch::new();
        let target = refinery::Target::Version(migration.version());
        migrations::migrations::runner().set_target(target).run(&mut old.shell()).unwrap();
        drop(old.open());
        assert_eq!(schema(&old.shell()), expected, "from {migration}");
    }
}

#[test]
fn a_ledger_whose_program_was_killed_while_it_made_it_is_made_anew() {
    let fresh = Scratch::new();
    drop(fresh.open());
    let half = Scratch::new();
    let nothing = refinery::Target::Version(0);
    migrations::migrations::runner().set_target(nothing).run(&mut half.shell()).unwrap();
    assert_eq!(schema(&half.shell()).iter().filter(|(kind, ..)| kind == "table").count(), 1);
    drop(half.open());
    assert_eq!(schema(&half.shell()), schema(&fresh.shell()));

    // With one of its steps it is somebody else's.
    let other = Scratch::new();
    migrations::migrations::runner().set_target(nothing).run(&mut other.shell()).unwrap();
    let step = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (1, 'x', '', '0')";
    other.shell().execute(step, []).unwrap();
    assert!(matches!(Ledger::open(other.path()), Err(LedgerError::NotALedger { .. })));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (900, 'x', '', '0')";
    scratch.shell().execute(newer, []).unwrap();

    for refused in [Ledger::open(scratch.path()), Ledger::open_read_only(scratch.path())] {
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(error, LedgerError::Newer { found: 900, .. }), "{error}");
    }
}

#[test]
fn an_older_schema_is_not_read_but_named() {
    let scratch = Scratch::new();
    let target = refinery::Target::Version(1);
    migrations::migrations::runner().set_target(target).run(&mut scratch.shell()).unwrap();
    let error = Ledger::open_read_only(scratch.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LedgerError::Older { found: 1, .. }), "{error}");
}

#[test]
fn what_is_no_ledger_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let text = b"[archive]\nroot = \"recordings\"\n".repeat(100);
    std::fs::write(scratch.path(), &text).unwrap();
    for refused in [Ledger::open(scratch.path()), Ledger::open_read_only(scratch.path())] {
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
    }
    assert_eq!(std::fs::read(scratch.path()).unwrap(), text);

    let other = Scratch::new();
    other.shell().execute_batch("CREATE TABLE song (title TEXT)").unwrap();
    let before = std::fs::read(other.path()).unwrap();
    let error = Ledger::open(other.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
    assert_eq!(std::fs::read(other.path()).unwrap(), before);
}

#[test]
fn a_damaged_ledger_is_named_as_such() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let mut bytes = std::fs::read(scratch.path()).unwrap();
    // The header stays, so that it still is a database; the schema's page does not.
    bytes[100..4096].fill(0xff);
    std::fs::write(scratch.path(), &bytes).unwrap();
    let error = Ledger::open(scratch.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
}

/// A run was killed in the midst of a change, before the ledger has its write-ahead log or while it gets it.
#[test]
fn a_reader_undoes_what_a_killed_run_left_half_written() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let shell = scratch.shell();
    let _mode: String = shell.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).unwrap();
    // So that the change is in the file before it is committed.
    shell.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; CREATE TABLE half (x)").unwrap();
    let more = "INSERT INTO half WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 100)
        SELECT zeroblob(3000) FROM n";
    shell.execute(more, []).unwrap();
    // Its file and its journal, as they are when it is killed now.
    let killed = Scratch::new();
    let journal = |scratch: &Scratch| scratch.path().with_file_name("ledger.db-journal");
    std::fs::copy(scratch.path(), killed.path()).unwrap();
    std::fs::copy(journal(&scratch), journal(&killed)).unwrap();

    drop(Ledger::open_read_only(killed.path()).unwrap());
    assert!(schema(&killed.shell()).iter().all(|(_, name, _)| name != "half"));
    assert!(!journal(&killed).exists());
}

#[test]
fn reading_does_not_create_a_ledger() {
    let scratch = Scratch::new();
    let error = Ledger::open_read_only(scratch.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LedgerError::NotThere { .. }), "{error}");
    assert!(!scratch.path().exists());
}

#[tokio::test]
async fn a_ledger_opened_for_reading_refuses_changes_and_works_beside_a_run() {
    let scratch = Scratch::new();
    let writing = scratch.open();
    writing.begin_run(start(DAY)).await.unwrap();
    let reading = Ledger::open_read_only(scratch.path()).unwrap();
    writing.ask(vec![(device(5), range(DAY, DAY + 600).into())]).await.unwrap();

    assert_eq!(reading.missing(vec![device(5)], range(DAY, DAY + 900)).await.unwrap()[&device(5)].len(), 1);
    assert_eq!(reading.runs(10).await.unwrap()[0].state, "unfinished");
    let error = reading.ask(vec![]).await.unwrap_err();
    assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn one_run_at_a_time_and_the_other_is_told_who_has_it() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.open(), scratch.open());
    let run = first.begin_run(start(DAY)).await.unwrap();

    let error = second.begin_run(start(DAY + 60)).await.unwrap_err();
    let LedgerError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, Some(std::process::id()));
    assert_eq!(holder.since, UtcSecond::new(DAY).to_string());
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");

    let counts = RunCounts { attempts: 3, recordings: 2, bytes: 1, archived_seconds: 1200, missing_seconds: 600 };
    first.end_run(run, RunEnd { ended: UtcSecond::new(DAY + 90), exit: 3, counts }).await.unwrap();
    second.begin_run(start(DAY + 100)).await.unwrap();

    let runs = second.runs(10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.state.as_str()).collect::<Vec<_>>(), ["unfinished", "ended"]);
    assert_eq!((runs[1].exit, runs[1].counts), (Some(3), Some(counts)));
    let again = first.end_run(run, RunEnd { ended: UtcSecond::new(DAY + 91), exit: 0, counts }).await.unwrap_err();
    assert!(matches!(again, LedgerError::NoSuchRun(_)), "{again}");
}

#[tokio::test]
async fn a_run_that_never_ended_is_cut_off_once_there_is_a_next_one() {
    let scratch = Scratch::new();
    let cut_off = scratch.open();
    cut_off.begin_run(start(DAY)).await.unwrap();
    drop(cut_off);

    let ledger = scratch.open();
    ledger.begin_run(start(DAY + 60)).await.unwrap();
    let runs = ledger.runs(1).await.unwrap();
    assert_eq!(runs.len(), 1);
    let states: Vec<_> = ledger.runs(10).await.unwrap().into_iter().map(|run| run.state).collect();
    assert_eq!(states, ["unfinished", "cut off"]);
}

const HELD_LEDGER: &str = "ARCHIVE_TEST_HELD_LEDGER";

/// Not a test of its own: what the next test starts as another process. It holds a run until it is killed.
#[tokio::test]
async fn another_process_that_holds_a_run() {
    let Some(path) = std::env::var_os(HELD_LEDGER) else { return };
    let ledger = Ledger::open(Path::new(&path)).unwrap();
    ledger.begin_run(start(DAY)).await.unwrap();
    println!("\nheld");
    std::io::stdin().lines().for_each(drop);
}

#[tokio::test]
async fn a_killed_process_frees_the_ledger() {
    let scratch = Scratch::new();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "ledger::tests::opening::another_process_that_holds_a_run"])
        .env(HELD_LEDGER, scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(other.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "held"), "it never held the ledger");

    let ledger = scratch.open();
    let error = ledger.begin_run(start(DAY + 60)).await.unwrap_err();
    let LedgerError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, Some(other.id()));

    other.kill().unwrap();
    other.wait().unwrap();
    ledger.begin_run(start(DAY + 61)).await.unwrap();
}

/// A run from the NVRs and a live run are two.
#[tokio::test]
async fn a_live_run_goes_on_beside_a_run_from_the_nvrs() {
    let scratch = Scratch::new();
    let live = RunStart { source: Source::Live, ..start(1) };
    let (one, other, third) = (scratch.open(), scratch.open(), scratch.open());
    one.begin_run(start(1)).await.unwrap();
    other.begin_run(live.clone()).await.unwrap();
    for (again, held) in [(start(2), "from NVRs"), (live.clone(), "live")] {
        let error = third.begin_run(again).await.unwrap_err();
        assert!(matches!(error, LedgerError::Held { .. }), "{held}: {error}");
    }
    let states: Vec<_> = one.runs(9).await.unwrap().into_iter().map(|run| (run.source, run.state)).collect();
    assert_eq!(states, [(Source::Live, "unfinished".to_owned()), (Source::Nvr, "unfinished".to_owned())]);
    drop(other);
    third.begin_run(live).await.unwrap();
}
