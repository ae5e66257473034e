//! A lost ledger made anew from the catalog: whatever stands in its lines, what comes out keeps the ledger's rule, and comes out
//! again.

use std::fs;
use std::path::Path;

use archive::adopt::Check;
use archive::catalog::{RecordingLine, StateLine};
use archive::recording::Source;
use archive::reindex::{self, Job, ReindexError};
use archive::report::Reindexed;
use archive::time_range::{RangeSet, TimeRange, UtcSecond};
use archive::vault::{Vault, name};
use chrono_tz::Tz;
use rusqlite::Connection;

/// The recordings that are in the archive, each of three bytes.
const FILES: [&str; 3] = [
    "5/2026-11-20/5_20261120T090000+0800_600s.flv",
    "5/2026-11-20/5_20261120T091000+0800_600s.flv",
    "7/2026-11-20/7_20261120T090000+0800_600s_live.mp4",
];

/// The input is `state.jsonl`, a line `--`, and `recordings-000001.jsonl`.
pub fn holds(input: &[u8]) {
    for line in input.split(|&byte| byte == b'\n') {
        is_read_back(line);
    }
    // In memory where there is such a folder: it is made a thousand times.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder");
    let root = folder.path().join("recordings");
    for file in FILES {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, "FLV").expect("a file");
    }
    let parts: Vec<&[u8]> = split_once(input, b"\n--\n");
    fs::create_dir(root.join(".catalog")).expect("a folder");
    fs::write(root.join(".catalog/state.jsonl"), parts[0]).expect("a file");
    if let Some(recordings) = parts.get(1) {
        fs::write(root.join(".catalog/recordings-000001.jsonl"), recordings).expect("a file");
    }

    let ledger = folder.path().join("ledger.db");
    let first = match reindexed(&root, &ledger) {
        Ok(done) => done,
        Err(ReindexError::Newer { .. }) => {
            assert!(!ledger.exists(), "a newer catalog makes no ledger");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(first.archived_seconds >= 0 && first.asked_seconds >= 0, "{first:?}");
    let rows = rule_holds(&ledger);
    // What was no recording was moved aside, so the second time there is less to do, and the same comes out.
    let second = reindexed(&root, &ledger).expect("what could be read once can be read again");
    assert!(second.set_aside.is_empty(), "{second:?}");
    assert_eq!(rule_holds(&ledger), rows);
    let sums = |done: &Reindexed| (done.recordings, done.archived_seconds, done.asked_seconds, done.missing.clone());
    assert_eq!(sums(&first), sums(&second));
}

fn split_once<'a>(input: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    match input.windows(by.len()).position(|window| window == by) {
        Some(at) => vec![&input[..at], &input[at + by.len()..]],
        None => vec![input],
    }
}

/// What a line says can be written, and then says the same.
fn is_read_back(line: &[u8]) {
    if let Ok(state) = serde_json::from_slice::<StateLine>(line) {
        let text = serde_json::to_vec(&state).expect("it can be written");
        assert_eq!(serde_json::from_slice::<StateLine>(&text).expect("it was read once"), state);
    }
    if let Ok(read) = serde_json::from_slice::<RecordingLine>(line)
        && let Some(named) = read.path.rsplit('/').next().and_then(name::parse)
        && let Ok(recording) = read.recording(named.device, named.range, named.source)
    {
        let again = RecordingLine::of(&recording).recording(named.device, named.range, named.source);
        assert_eq!(again.expect("it was one"), recording);
    }
}

fn reindexed(root: &Path, ledger: &Path) -> Result<Reindexed, ReindexError> {
    let now = UtcSecond::new(1_795_300_000);
    let check = Check { source: Source::Nvr, now, tolerance_seconds: 5, platform_zone: Tz::Asia__Shanghai };
    let job = Job { ledger: ledger.to_owned(), replace: true, default_zone: Tz::Asia__Shanghai, check };
    reindex::reindex(&Vault::open(root).expect("an archive"), job, |_| {})
}

/// Asked for or archived is archived or missing, each second once. Gives all rows.
fn rule_holds(ledger: &Path) -> Vec<(i64, [RangeSet; 3])> {
    let ledger = Connection::open(ledger).expect("a ledger");
    let whole: String = ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(whole, "ok");
    let mut devices = ledger.prepare("SELECT device FROM device ORDER BY device").expect("a table");
    let devices: Vec<i64> =
        devices.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a number")).collect();
    let rule = |device: i64| {
        let [asked, archived, missing] = ["asked", "archived", "missing"].map(|table| {
            let sql = format!("SELECT start, end FROM {table} WHERE device = ?1");
            let mut rows = ledger.prepare(&sql).expect("a table");
            let ranges = rows.query_map([device], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
            let ranges: Vec<TimeRange> = ranges
                .map(|row| row.expect("numbers"))
                .map(|(start, end)| TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range"))
                .collect();
            let seconds: i64 = ranges.iter().map(TimeRange::seconds).sum();
            let set: RangeSet = ranges.into_iter().collect();
            assert_eq!(set.seconds(), seconds, "rows of {table} overlap");
            set
        });
        assert!(archived.intersect(&missing).is_empty(), "{device}: archived and missing");
        let both = |one: &RangeSet, other: &RangeSet| -> RangeSet { one.into_iter().chain(other).copied().collect() };
        assert_eq!(both(&asked, &archived), both(&archived, &missing), "{device}");
        (device, [asked, archived, missing])
    };
    devices.into_iter().map(rule).collect()
}
