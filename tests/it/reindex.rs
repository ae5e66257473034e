//! A ledger that is lost or damaged, and made anew from the archive.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use archive::device::NvrId;
use archive::live::{LiveJob, execute};
use archive::recording::Source;
use archive::report::GapQuery;
use archive::sim::config::{CameraConfig, Speed};
use archive::sim::moment::{Moment, Period};
use archive::sim::{Config, Scripted, Trouble};
use archive::time_range::{TimeRange, UtcSecond};
use archive::window::Cause;
use rusqlite::types::Value;
use rustix::process::Signal;

use crate::live_support::{fast, job, record, tools};
use crate::support::{Place, code, device, ended, expect_code, fleet, range, send, stderr, stdout, until, yesterday};

async fn run(command: std::process::Command) -> Output {
    let mut command = command;
    ended(command.spawn().expect("the program starts")).await
}

async fn reindex(place: &Place) -> serde_json::Value {
    let output = run(place.archive(&["reindex", "--json"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("the result is JSON")
}

/// What the views of docs/ledger.md say, and the tables behind them, but for runs and attempts.
fn rows(place: &Place) -> Vec<(&'static str, Vec<Value>)> {
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger is there");
    let mut all = Vec::new();
    for table in
        ["gaps", "coverage", "recordings", "asked", "archived", "missing", "device", "nvr", "nvr_limit", "media_mac"]
    {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        let mut statement = ledger.prepare(&sql).expect("the table is there");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("it can be read");
        while let Some(row) = rows.next().expect("it can be read") {
            all.push((table, (0..columns).map(|column| row.get(column).expect("a value")).collect()));
        }
    }
    all
}

/// Deletes the ledger with its logs and locks.
fn lose_ledger(place: &Place) {
    for entry in fs::read_dir(place.root()).expect("the root is there") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ledger.db")) {
            fs::remove_file(path).expect("it can be deleted");
        }
    }
    assert!(!place.ledger_path().exists());
}

/// The windows that the platform was asked for since its `first` call.
fn asked_since(place: &Place, first: usize) -> BTreeSet<(i64, TimeRange)> {
    let calls = place.platform.calls().into_iter().skip(first);
    calls.filter_map(|call| Some((call.device?.get(), call.range?))).collect()
}

fn segments(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.root().join(".catalog")).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.display().to_string().contains("recordings-")).collect();
    paths.sort();
    paths
}

fn lines(path: &PathBuf) -> usize {
    fs::read_to_string(path).expect("it can be read").lines().count()
}

/// Nine cameras of three recorders, over 56 windows each: one has a hole, one is refused, one is played by somebody, and one
/// recorder is away. A tenth camera is recorded live.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ledger_of_500_windows_is_made_anew_as_it_was() {
    let mut config = Config { allows_repeats: true, ..fast(120.0, &[]) };
    config.stores = fleet(&[(4, &[1, 2, 3, 10]), (3, &[4, 5, 6]), (3, &[7, 8, 9])]).stores;
    let period = |from: i64, to: i64| Period {
        from: Some(Moment::At((yesterday() + from).into())),
        to: Some(Moment::At((yesterday() + to).into())),
    };
    let cameras = |config: &mut Config, id: i64, change: &dyn Fn(&mut CameraConfig)| {
        let nvrs = config.stores.iter_mut().flat_map(|store| &mut store.nvrs);
        nvrs.flat_map(|nvr| &mut nvr.cameras).filter(|camera| camera.id == id).for_each(change);
    };
    cameras(&mut config, 2, &|camera| camera.holes = vec![period(3_000, 4_950)]);
    cameras(&mut config, 3, &|camera| camera.refused = true);
    let place = Place::with_settings(config, "busy_attempts = 3\n").await;
    place.platform.trouble(&NvrId::new("nvr-2"), Some(Trouble::Offline));
    place.platform.script(device(1), vec![Scripted::Result(-4); 20]);
    record(&place, &[10], 240).await;
    let asked = range(yesterday(), 56 * 600);
    let before = run(place.fetch("1-9", asked)).await;
    assert_eq!(code(&before), 3, "{}", stderr(&before));

    let known = rows(&place);
    let count = |table: &str| known.iter().filter(|(of, _)| *of == table).count();
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    let causes: BTreeSet<Cause> = gaps.iter().map(|gap| gap.cause).collect();
    assert!(count("recordings") > 200, "{} recordings: {gaps:?}", count("recordings"));
    for cause in [Cause::NoFootage, Cause::Refused, Cause::NvrOffline, Cause::NvrBusy] {
        assert!(causes.contains(&cause), "{causes:?}");
    }
    let recordings = place.recordings(&(1..=10).collect::<Vec<_>>()).await;
    assert!(recordings.iter().any(|recording| recording.source == Source::Live));

    lose_ledger(&place);
    let done = reindex(&place).await;
    assert_eq!(rows(&place), known);
    assert_eq!((&done["read"], &done["without_file_seconds"]), (&0.into(), &0.into()), "{done}");
    assert_eq!(done["recordings"], recordings.len());
    for nothing in ["set_aside", "left", "first_strangers", "first_unreadable", "moved_aside"] {
        assert_eq!(done[nothing], serde_json::json!([]), "{done}");
    }

    // What is archived is not asked for again, and what is not, is.
    let calls = place.platform.calls().len();
    place.platform.trouble(&NvrId::new("nvr-2"), None);
    let after = run(place.fetch("1-9", asked)).await;
    assert_eq!(code(&after), 3, "{}", stderr(&after));
    let asked = asked_since(&place, calls);
    for recording in &recordings {
        let again =
            asked.iter().find(|(number, range)| *number == recording.device.get() && range.overlaps(&recording.range));
        assert_eq!(again, None, "{} was there", recording.path);
    }
    assert!(asked.iter().filter(|(number, _)| *number == 7).count() >= 56);
    place.assert_true(&(1..=10).collect::<Vec<_>>()).await;
}

async fn two_cameras() -> Place {
    let place = Place::new(fleet(&[(4, &[1, 2])])).await;
    let output = run(place.fetch("1,2", range(yesterday(), 6 * 600))).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_no_run_begins_anew_and_the_message_says_what_to_do() {
    let place = two_cameras().await;
    let known = rows(&place);
    lose_ledger(&place);
    for emptied in [false, true] {
        if emptied {
            fs::write(place.ledger_path(), "").expect("a file can be written");
        }
        let output = run(place.fetch("1", range(yesterday(), 600))).await;
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("archive reindex"), "{}", stderr(&output));
        assert!(fs::metadata(place.ledger_path()).map_or(0, |file| file.len()) == 0, "nothing was begun");
    }
    let done = reindex(&place).await;
    assert_eq!(done["moved_aside"].as_array().map(Vec::len), Some(1), "the empty file");
    assert_eq!(rows(&place), known);
    let output = run(place.archive(&["reindex"])).await;
    assert_eq!(code(&output), 1, "there is no need to");
    assert!(stderr(&output).contains("--replace"), "{}", stderr(&output));
    assert_eq!(rows(&place), known);
    let output = run(place.archive(&["reindex", "--replace"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("the old ledger is now"), "{}", stdout(&output));
    assert_eq!(rows(&place), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_catalog_every_file_is_read_and_what_is_none_is_moved_aside_or_named() {
    let place = two_cameras().await;
    let known = place.recordings(&[1, 2]).await;
    lose_ledger(&place);
    fs::remove_dir_all(place.root().join(".catalog")).expect("it can be deleted");
    let path = |index: usize| place.root().join(&known[index].path);
    // One is cut, one holds time that another one holds, one is somebody's own.
    let cut = fs::read(path(0)).expect("it can be read");
    fs::write(path(0), &cut[..cut.len() / 2]).expect("it can be written");
    let doubled = known[1].path.replace("_600s", "_540s");
    fs::copy(path(1), place.root().join(&doubled)).expect("it can be copied");
    fs::write(place.root().join("1/notes.txt"), "mine").expect("it can be written");

    let done = reindex(&place).await;
    assert_eq!((&done["recordings"], &done["read"], &done["catalog_written"]), (&11.into(), &11.into(), &().into()));
    assert_eq!((&done["strangers"], &done["first_strangers"][0]), (&1.into(), &"1/notes.txt".into()));
    let aside = done["set_aside"].as_array().expect("a list");
    assert_eq!(aside.len(), 2, "{done}");
    // Of the two that hold the same time, the shorter one is found first.
    let now = place.recordings(&[1, 2]).await;
    let same = now.iter().filter(|new| {
        known.iter().any(|old| (&old.path, old.blake3, &old.media) == (&new.path, new.blake3, &new.media))
    });
    assert_eq!(same.count(), 10);
    // Nobody knows what was asked for, so it is what is archived; and what is asked for is what is not there.
    assert_eq!(done["asked_seconds"], done["archived_seconds"]);
    let calls = place.platform.calls().len();
    let output = run(place.fetch("1,2", range(yesterday(), 6 * 600))).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let windows = asked_since(&place, calls);
    assert_eq!(windows, [(1, known[0].range), (1, range(yesterday() + 600 + 540, 60))].into());
    assert!(lines(&segments(&place)[0]) == 1 + 13, "the catalog is whole again");
}

/// The files of a run that was killed are in no catalog.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_published_is_found_and_the_rest_is_fetched_once() {
    let place = Place::new(Config { speed: Speed::Times(6_000.0), ..fleet(&[(1, &[1]), (1, &[2])]) }).await;
    assert_eq!(code(&run(place.fetch("1,2", range(yesterday(), 2 * 600))).await), 0);
    let asked = range(yesterday(), 24 * 600);
    let mut child = place.fetch("1,2", asked).spawn().expect("the program starts");
    until("some are published", || place.files().keys().filter(|name| name.ends_with("s.flv")).count() > 9).await;
    child.kill().expect("it can be killed");
    child.wait().expect("it can be waited for");
    let published = place.files().into_iter().filter(|(name, _)| name.ends_with("s.flv")).count();

    lose_ledger(&place);
    let done = reindex(&place).await;
    assert_eq!(done["recordings"], published, "{done}");
    assert_eq!(done["read"], published - 4, "{done}");
    let archived = place.recordings(&[1, 2]).await;
    let calls = place.platform.calls().len();
    assert_eq!(code(&run(place.fetch("1,2", asked)).await), 0);
    for (number, window) in asked_since(&place, calls) {
        let there = archived.iter().find(|one| one.device == device(number) && one.range.overlaps(&window));
        assert_eq!(there, None, "{window} of device {number} was there");
    }
    place.assert_true(&[1, 2]).await;
    assert_eq!(place.recordings(&[1, 2]).await.len(), 48);
    assert_eq!(lines(segments(&place).last().expect("a segment")), 1 + 48 - 4, "it has caught up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_file_is_gone_is_a_gap_and_one_that_was_changed_is_judged_anew() {
    let place = two_cameras().await;
    let known = place.recordings(&[1, 2]).await;
    lose_ledger(&place);
    fs::remove_file(place.root().join(&known[3].path)).expect("it can be deleted");
    // Another recording stands there by now: whole, and not the one that the catalog names.
    let other = fs::read(place.root().join(&known[7].path)).expect("it can be read");
    let mut longer = other.clone();
    longer.extend_from_slice(&other[13..]);
    fs::write(place.root().join(&known[4].path), &longer[..other.len() - 5]).expect("it can be written");
    let done = reindex(&place).await;
    assert_eq!(done["without_file_seconds"], 1_200, "{done}");
    assert_eq!((&done["recordings"], &done["read"]), (&10.into(), &0.into()), "{done}");
    assert_eq!(done["set_aside"].as_array().map(Vec::len), Some(1), "{done}");
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    let missing: Vec<_> = gaps.iter().map(|gap| (gap.device.get(), gap.range, gap.cause)).collect();
    assert_eq!(missing, [(1, range(known[3].range.start(), 1_200), Cause::NotTried)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_cannot_be_read_are_named_and_a_newer_catalog_is_refused() {
    let place = two_cameras().await;
    let known = place.recordings(&[1, 2]).await;
    lose_ledger(&place);
    let segment = &segments(&place)[0];
    let text = fs::read_to_string(segment).expect("it can be read");
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    fs::write(segment, &newer).expect("it can be written");
    let output = run(place.archive(&["reindex"])).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("recordings-000001.jsonl was written by a newer version"), "{}", stderr(&output));
    let left: Vec<_> = fs::read_dir(place.root())
        .expect("the root is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(!left.iter().any(|name| name == "ledger.db" || name == "ledger.db.rebuilding"), "{left:?}");

    let mut bytes = text.into_bytes();
    let second = bytes.iter().position(|&byte| byte == b'\n').expect("lines") + 1;
    bytes[second + 5] = 0xff;
    fs::write(segment, &bytes).expect("it can be written");
    let done = reindex(&place).await;
    assert_eq!((&done["unreadable_lines"], &done["recordings"], &done["read"]), (&1.into(), &12.into(), &1.into()));
    assert!(done["first_unreadable"][0].as_str().is_some_and(|line| line.contains("recordings-000001.jsonl:2: ")));
    let now = place.recordings(&[1, 2]).await;
    let hashes = |all: &[archive::recording::Recording]| all.iter().map(|one| one.blake3).collect::<Vec<_>>();
    assert_eq!(hashes(&now), hashes(&known));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_named_moved_aside_and_made_anew() {
    let place = two_cameras().await;
    let known = rows(&place);
    let mut damaged = fs::read(place.ledger_path()).expect("it can be read");
    damaged[4096..].fill(0xa5);
    fs::write(place.ledger_path(), &damaged).expect("it can be written");
    for command in [place.archive(&["gaps"]), place.fetch("1", range(yesterday(), 600))] {
        let output = run(command).await;
        assert_eq!(code(&output), 1);
        assert!(
            stderr(&output).contains("is damaged") && stderr(&output).contains("archive reindex"),
            "{}",
            stderr(&output)
        );
    }
    let done = reindex(&place).await;
    let aside = PathBuf::from(done["moved_aside"][0].as_str().expect("a path"));
    assert_eq!(fs::read(place.path().join(aside)).expect("it is there"), damaged);
    assert_eq!(rows(&place), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_anew_under_a_run_and_nothing_where_no_archive_is() {
    let place = Place::new(Config { speed: Speed::Times(60.0), ..fleet(&[(1, &[1])]) }).await;
    let output = run(place.archive(&["reindex"])).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(!place.root().exists());
    fs::create_dir(place.root()).expect("a folder can be made");
    let output = run(place.archive(&["reindex", "--replace"])).await;
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("is its disk mounted?"), "{}", stderr(&output));
    assert!(!place.ledger_path().exists());
    let first = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
    until("it streams", || !place.platform.media().is_empty()).await;
    for ledger in ["recordings/ledger.db", "other.db"] {
        let output = run(place.archive(&["reindex", "--replace", "--ledger", ledger])).await;
        assert_eq!(code(&output), 6, "{}", stderr(&output));
    }
    send(&first, Signal::INT);
    assert_eq!(code(&ended(first).await), 5);
}

/// What the catalog costs is what the night brought, and it heals.
#[tokio::test(flavor = "multi_thread")]
async fn each_run_names_what_it_brought_and_a_catalog_that_is_gone_is_written_again() {
    let place = two_cameras().await;
    let fetch = async |window: i64| {
        let output = run(place.fetch("1", range(yesterday() + window * 600, 600))).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        output
    };
    fetch(5).await;
    fetch(6).await;
    let counts = || segments(&place).iter().map(lines).collect::<Vec<_>>();
    assert_eq!(counts(), [1 + 12, 1 + 1], "a run that brought nothing leaves no file");
    fs::remove_dir_all(place.root().join(".catalog")).expect("it can be deleted");
    fetch(7).await;
    assert_eq!(counts(), [1 + 14]);
    // That it cannot be written is said, and no failure of the run.
    fs::remove_dir_all(place.root().join(".catalog")).expect("it can be deleted");
    fs::write(place.root().join(".catalog"), "in its way").expect("it can be written");
    let said = stderr(&fetch(8).await);
    assert!(said.contains("catalog was not brought up to date"), "{said}");
    fs::remove_file(place.root().join(".catalog")).expect("it can be deleted");
    fetch(9).await;
    assert_eq!(counts(), [1 + 16]);
    let known = rows(&place);
    lose_ledger(&place);
    assert_eq!(reindex(&place).await["read"], 0);
    assert_eq!(rows(&place), known);
}

/// Whoever may not write is told so; a user who may not is needed for it.
#[test]
fn a_ledger_that_may_not_be_written_is_named_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let place = runtime.block_on(two_cameras());
    let before = fs::read(place.ledger_path()).expect("it can be read");
    let all = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(place.path(), all(0o755)).expect("it is ours");
    fs::set_permissions(place.root(), all(0o555)).expect("it is ours");
    fs::set_permissions(place.ledger_path(), all(0o444)).expect("it is ours");
    let mut command = place.fetch("1", range(yesterday() + 6_000, 600));
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65_534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = expect_code(command, 1);
    let said = stderr(&output);
    assert!(said.contains("ledger.db") && said.contains("give this user the right"), "{said}");
    assert_eq!(fs::read(place.ledger_path()).expect("it can be read"), before);
    fs::set_permissions(place.root(), all(0o755)).expect("it is ours");
}

/// It may go on for months.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_names_what_it_brought_while_it_goes_on() {
    let place = Place::new(fast(240.0, &[1])).await;
    let (tools, _events) = tools(&place);
    let stop = tools.stop.clone();
    let job = LiveJob { catalog_every: Duration::from_millis(20), ..job(&[1], None) };
    let running = tokio::spawn(execute(job, tools));
    until("a piece is named", || !segments(&place).is_empty()).await;
    stop.cancel();
    running.await.expect("no panic").expect("it ends");
    let known = rows(&place);
    lose_ledger(&place);
    assert_eq!(reindex(&place).await["read"], 0);
    assert_eq!(rows(&place), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_for_people_and_other_programs_too() {
    let place = two_cameras().await;
    let text = fs::read_to_string(&segments(&place)[0]).expect("it can be read");
    let known = place.recordings(&[1, 2]).await;
    assert_eq!(text.lines().count(), 1 + known.len());
    for line in text.lines().skip(1) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let row = known.iter().find(|row| value["path"] == row.path.as_str()).expect("a recording");
        assert_eq!((&value["bytes"], &value["blake3"]), (&row.bytes.into(), &row.blake3.to_string().into()));
        assert_eq!(value["archived"], row.archived_at.to_string());
    }
    let state = fs::read_to_string(place.root().join(".catalog/state.jsonl")).expect("it can be read");
    let device: serde_json::Value = serde_json::from_str(state.lines().last().expect("a line")).expect("JSON");
    let end: UtcSecond = yesterday() + 3_600;
    assert_eq!(device["device"]["asked"], serde_json::json!([[yesterday().to_string(), end.to_string()]]));
}
