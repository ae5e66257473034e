//! `archive verify`: what is found, what becomes of it, and that an archive whose disk is away is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use archive::device::DeviceId;
use archive::ledger::Ledger;
use archive::recording::Recording;
use archive::report::GapQuery;
use archive::time_range::TimeRange;
use archive::upkeep::{Fate, Round, VerifyEnd};
use archive::vault::Vault;
use archive::verify::{self, Budget, Told, VerifyJob, VerifyTools};
use archive::window::Cause;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{Place, code, ended, expect_code, fleet, range, stderr, stdout, yesterday};

pub async fn run(mut command: Command) -> Output {
    ended(command.spawn().expect("the program starts")).await
}

/// Runs a command to its end, which must be this exit code, and gives what it printed as JSON.
pub async fn run_json(command: Command, expected: i32) -> Value {
    let output = run(command).await;
    assert_eq!(code(&output), expected, "{}\n{}", stdout(&output), stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(&output)))
}

/// An archive of these cameras, each with so many windows of ten minutes.
async fn archived(nvrs: &[(u32, &[i64])], windows: i64) -> (Place, TimeRange) {
    let place = Place::new(fleet(nvrs)).await;
    let asked = range(yesterday(), windows * 600);
    assert_eq!(code(&run(place.fetch(&list(nvrs), asked)).await), 0);
    (place, asked)
}

fn list(nvrs: &[(u32, &[i64])]) -> String {
    nvrs.iter().flat_map(|(_, cameras)| *cameras).map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn names<'a>(report: &'a Value, list: &str) -> BTreeSet<&'a str> {
    report[list].as_array().expect("a list").iter().map(|one| one["path"].as_str().expect("a name")).collect()
}

async fn gaps(place: &Place) -> Vec<(DeviceId, TimeRange, Cause, Option<String>)> {
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    gaps.into_iter().map(|gap| (gap.device, gap.range, gap.cause, gap.last_code)).collect()
}

fn aside(place: &Place) -> Vec<String> {
    place.files().into_keys().filter(|name| name.starts_with(".aside/")).collect()
}

fn flip_a_bit(place: &Place, row: &Recording, random: &mut ChaCha8Rng) {
    let path = place.root().join(&row.path);
    let mut bytes = fs::read(&path).expect("it is there");
    let at = random.random_range(0..bytes.len());
    bytes[at] ^= 1 << random.random_range(0..8u32);
    fs::write(&path, bytes).expect("it can be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_each_of_a_hundred_files_is_found_in_those_and_the_next_run_fetches_those() {
    const CAMERAS: [i64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let (place, asked) = archived(&[(6, &CAMERAS[..6]), (6, &CAMERAS[6..])], 10).await;
    let rows = place.recordings(&CAMERAS).await;
    assert_eq!(rows.len(), 120);
    let seed = std::env::var("VERIFY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen: Vec<&Recording> = rows.iter().collect();
    chosen.shuffle(&mut random);
    chosen.truncate(100);
    chosen.iter().for_each(|row| flip_a_bit(&place, row, &mut random));
    let flipped: BTreeSet<&str> = chosen.iter().map(|row| row.path.as_str()).collect();

    // Sizes are what they were.
    assert_eq!(run_json(place.archive(&["verify", "--json"]), 0).await["recordings"], 120);
    let report = run_json(place.archive(&["verify", "--hash", "--json"]), 3).await;
    assert_eq!(names(&report, "mismatches"), flipped, "seed {seed}");
    assert_eq!((&report["recordings"], &report["corrupt"]), (&Value::from(120), &Value::from(100)));
    assert_eq!(aside(&place).len(), 100);
    let seconds: i64 = gaps(&place).await.iter().map(|(_, range, ..)| range.seconds()).sum();
    assert_eq!(seconds, 60_000);
    for (_, _, cause, code) in gaps(&place).await {
        assert_eq!((cause, code.as_deref()), (Cause::Corrupt, Some("hash")));
    }

    let seen = place.platform.calls().len();
    assert_eq!(code(&run(place.fetch("1-12", asked)).await), 0);
    let mut fetched: Vec<_> =
        place.platform.calls()[seen..].iter().filter_map(|call| call.device.zip(call.range)).collect();
    let mut expected: Vec<_> = chosen.iter().map(|row| (row.device, row.range)).collect();
    fetched.sort();
    expected.sort();
    assert_eq!(fetched, expected, "seed {seed}: exactly those, and each once");
    fs::remove_dir_all(place.root().join(".aside")).expect("it is there");
    place.assert_true(&CAMERAS).await;
    let hashes = |rows: &[Recording]| rows.iter().map(|row| (row.path.clone(), row.blake3)).collect::<BTreeMap<_, _>>();
    assert_eq!(hashes(&place.recordings(&CAMERAS).await), hashes(&rows));
    let said = run(place.archive(&["verify", "--hash"])).await;
    assert_eq!(code(&said), 0);
    assert!(stdout(&said).contains("all of them are what they were"), "{}", stdout(&said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_has_another_size_is_found_without_reading_and_only_where_asked() {
    let (place, asked) = archived(&[(2, &[1, 2])], 3).await;
    let rows = place.recordings(&[1, 2]).await;
    let path = |index: usize| place.root().join(&rows[index].path);
    fs::remove_file(path(0)).expect("it is there");
    let bytes = fs::read(path(1)).expect("it is there");
    fs::write(path(1), &bytes[..bytes.len() / 2]).expect("it can be written");
    fs::remove_file(path(4)).expect("it is there");

    let (from, to) = (asked.start().to_string(), asked.end().to_string());
    let selection = ["verify", "--device", "1", "--from", &from, "--to", &to, "--json"];
    let report = run_json(place.archive(&selection), 3).await;
    assert_eq!(names(&report, "mismatches"), BTreeSet::from([rows[0].path.as_str(), &rows[1].path]));
    assert_eq!(report["recordings"], 3);
    let size = serde_json::json!({ "is": "size", "expected": rows[1].bytes, "found": rows[1].bytes / 2 });
    assert!(report["mismatches"].as_array().expect("a list").iter().any(|one| one["found"] == size), "{report}");
    let found: Vec<_> = gaps(&place).await;
    let lost =
        |index: usize, code: &str| (rows[index].device, rows[index].range, Cause::Corrupt, Some(code.to_owned()));
    // Two rows of one cause that touch are one gap.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].1.seconds(), aside(&place).len()), (1200, 1));

    let said = run(place.archive(&["verify"])).await;
    assert_eq!(code(&said), 3, "{}", stderr(&said));
    let text = stdout(&said);
    assert!(text.contains(&rows[4].path) && text.contains("the file is not there"), "{text}");
    assert!(gaps(&place).await.contains(&lost(4, "no file")));
    assert_eq!(code(&run(place.archive(&["verify"])).await), 0, "what is known is not found again");
    assert_eq!(code(&run(place.fetch("1,2", asked)).await), 0);
    assert_eq!(gaps(&place).await, []);
}

/// A corrupt recording is proven; a disk that is away proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_stays_a_recording_and_is_exit_code_1() {
    let (place, _) = archived(&[(2, &[1, 2])], 2).await;
    let rows = place.recordings(&[1, 2]).await;
    // Its disk is not mounted: where the camera's folder was there is none, or an empty one.
    let (folder, away) = (place.root().join("1"), place.path().join("away"));
    fs::rename(&folder, &away).expect("it can be moved");
    for hash in [&["verify"][..], &["verify", "--hash"]] {
        let said = run(place.archive(hash)).await;
        assert_eq!(code(&said), 1, "{}", stderr(&said));
        assert!(stdout(&said).contains("is the disk mounted?"), "{}", stdout(&said));
        if !folder.exists() {
            fs::create_dir(&folder).expect("it can be made");
        }
    }
    fs::remove_dir(&folder).expect("it is empty");
    fs::rename(&away, &folder).expect("it can be moved");

    // Its day is no folder, as a damaged directory may read.
    let day = place.root().join(&rows[0].path).parent().expect("a folder").to_owned();
    fs::rename(&day, &away).expect("it can be moved");
    fs::write(&day, "no folder").expect("it can be written");
    for hash in [&["verify", "--json"][..], &["verify", "--hash", "--json"]] {
        let report = run_json(place.archive(hash), 1).await;
        assert_eq!(
            (&report["corrupt"], report["unreadable_in_all"].as_u64() > Some(0)),
            (&Value::from(0), true),
            "{report}"
        );
    }
    assert_eq!(place.recordings(&[1, 2]).await, rows);
    fs::remove_file(&day).expect("it is there");
    fs::rename(&away, &day).expect("it can be moved");
    assert_eq!(code(&run(place.archive(&["verify", "--hash"])).await), 0);

    // And then it is lost for good.
    fs::remove_dir_all(&folder).expect("it is there");
    let report = run_json(place.archive(&["verify", "--folders-are-gone", "--json"]), 3).await;
    assert_eq!(report["corrupt"], 2);
    assert_eq!(place.recordings(&[1]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_archive_is_none_is_made() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    for command in [&["verify"][..], &["verify", "--hash"]] {
        assert_eq!(code(&run(place.archive(command)).await), 1);
    }
    let wrong = run(place.archive(&["verify", "--hash", "--budget", "soon"])).await;
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
    assert!(!place.root().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_with_a_budget_go_round_the_archive_and_read_nothing_twice_in_a_round() {
    let (place, asked) = archived(&[(2, &[1, 2])], 3).await;
    // More than a byte is in each file: each night reads one, the first that is still to be read.
    let night = || place.archive(&["verify", "--hash", "--budget", "1B", "--json"]);
    let mut reached = BTreeSet::new();
    for number in 1..=6 {
        let report = run_json(night(), 0).await;
        assert_eq!(
            (&report["recordings"], &report["ended"]),
            (&Value::from(1), &Value::from("budget")),
            "night {number}"
        );
        assert_eq!(report["came_round"].is_null(), number < 6, "night {number}: {report}");
        let round = if number < 6 { &report["round"] } else { &report["came_round"] };
        assert!(reached.insert(round["reached"].to_string()), "night {number} went on: {report}");
        assert_eq!((&round["round"], &round["counts"]["files"]), (&Value::from(1), &Value::from(number)));
    }
    // The next one begins anew, and finds what happened to what was read already.
    let row = &place.recordings(&[1]).await[0];
    flip_a_bit(&place, row, &mut ChaCha8Rng::seed_from_u64(1));
    let report = run_json(night(), 3).await;
    assert_eq!(report["round"]["round"], 2);
    assert_eq!(names(&report, "mismatches"), BTreeSet::from([row.path.as_str()]));
    // Without a budget, all of it is read once, from there on.
    let report = run_json(place.archive(&["verify", "--hash", "--json"]), 0).await;
    assert_eq!((&report["recordings"], &report["came_round"]["round"]), (&Value::from(5), &Value::from(2)));
    let shell = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    let rounds = "SELECT count(*), sum(corrupt) FROM verify_rounds WHERE ended_utc IS NOT NULL";
    let rounds: (i64, i64) = shell.query_row(rounds, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("it is read");
    assert_eq!(rounds, (2, 1));
    let both = ["verify", "--hash", "--budget", "1h", "--device", "1"];
    let wrong = run(place.archive(&both)).await;
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
    assert_eq!(asked.seconds(), 1800);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_that_is_asked_to_end_ends_and_goes_on_there_the_next_time() {
    let (place, _) = archived(&[(2, &[1])], 3).await;
    let ledger = Ledger::open(place.ledger_path()).expect("the ledger can be opened");
    let vault = Vault::existing(&place.root()).expect("it is there");
    let stop = CancellationToken::new();
    let budget = Budget { time: None, bytes: Some(1) };
    let job = VerifyJob { hash: true, parts: None, budget, folders_are_gone: false };
    let mut tell = |_: Told| {};
    let tools = VerifyTools { ledger: &ledger, vault: &vault, stop: stop.clone(), tell: &mut tell };
    let first = verify::execute(job.clone(), tools).await.expect("it is looked at");
    assert_eq!((first.recordings, first.ended), (1, VerifyEnd::Budget));
    stop.cancel();
    let job = VerifyJob { budget: Budget::default(), ..job };
    let tools = VerifyTools { ledger: &ledger, vault: &vault, stop, tell: &mut tell };
    let second = verify::execute(job, tools).await.expect("it is looked at");
    assert_eq!((second.recordings, second.ended), (0, VerifyEnd::Signal));
    let reached = |round: Option<Round>| round.expect("it is under way").reached;
    assert_eq!(reached(second.round), reached(first.round));
}

/// Every recording has its file, but for those that are noted to leave.
async fn assert_files(place: &Place, devices: &[i64]) {
    let leaving = place.read_ledger().leaving().await.expect("the ledger answers");
    for row in place.recordings(devices).await {
        let is_noted = leaving.iter().any(|noted| noted.path == row.path);
        assert!(
            is_noted || place.root().join(&row.path).is_file(),
            "{} has no file, and nothing tells of it",
            row.path
        );
    }
}

/// Runs a command that is to be killed at a step.
pub async fn killed_at(step: &str, mut command: Command) {
    command.env("ARCHIVE_FAILPOINTS", format!("{step}=kill"));
    let output = run(command).await;
    assert_eq!(output.status.code(), None, "{step}: {}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_may_be_killed_at_each_step() {
    const STEPS: [&str; 7] = [
        "ledger-commit",
        "ledger-committed",
        "aside-move",
        "aside-moved",
        "aside-synced",
        "ledger-commit:2",
        "ledger-committed:2",
    ];
    let (place, asked) = archived(&[(8, &[1])], STEPS.len() as i64 + 1).await;
    let rows = place.recordings(&[1]).await;
    for (step, row) in STEPS.into_iter().zip(&rows) {
        fs::write(place.root().join(&row.path), "cut").expect("it can be written");
        killed_at(step, place.archive(&["verify"])).await;
        assert_files(&place, &[1]).await;
        // The run finishes what was noted, and fetches it; what was not is found by the next one.
        let first = run(place.fetch("1", asked)).await;
        assert_eq!(code(&first), 0, "{step}: {}", stderr(&first));
        let found = if step == "ledger-commit" { 3 } else { 0 };
        assert_eq!(code(&run(place.archive(&["verify"])).await), found, "{step}");
        assert_eq!(code(&run(place.fetch("1", asked)).await), 0, "{step}");
        assert_eq!(place.read_ledger().leaving().await.expect("the ledger answers"), [], "{step}");
        fs::remove_dir_all(place.root().join(".aside")).expect("it is there");
        place.assert_true(&[1]).await;
    }
    // A disk that refuses proves nothing of what it holds either, but this was found before.
    let row = rows.last().expect("there is one");
    fs::write(place.root().join(&row.path), "cut").expect("it can be written");
    let mut refused = place.archive(&["verify"]);
    refused.env("ARCHIVE_FAILPOINTS", "aside-move=EACCES");
    let refused = run(refused).await;
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    assert!(stdout(&refused).contains("could not be moved aside"), "{}", stdout(&refused));
    assert_eq!(place.recordings(&[1]).await.len(), rows.len());
    assert_eq!(code(&run(place.fetch("1", asked)).await), 0);
    assert_eq!((code(&run(place.archive(&["verify", "--hash"])).await), aside(&place).len()), (0, 1));
}

/// What a kill leaves after the note, and after the file is moved aside: the next run goes on from either.
#[tokio::test(flavor = "multi_thread")]
async fn a_verify_that_was_cut_off_is_finished_by_the_next_run() {
    let (place, asked) = archived(&[(2, &[1])], 3).await;
    let rows = place.recordings(&[1]).await;
    let ledger = Ledger::open(place.ledger_path()).expect("the ledger can be opened");
    for row in &rows[..2] {
        let noted = ledger.note_aside(row.clone(), "hash".to_owned(), "its hash is another".to_owned()).await;
        assert!(noted.expect("the ledger is written"));
    }
    let away = place.root().join(".aside");
    fs::create_dir_all(&away).expect("a folder can be made");
    fs::rename(place.root().join(&rows[1].path), away.join("moved")).expect("it can be moved");
    // A note of another recording than the one that stands is taken back.
    let stale = Recording { bytes: 1, ..rows[2].clone() };
    assert!(!ledger.note_aside(stale, "size".to_owned(), String::new()).await.expect("the ledger answers"));
    drop(ledger);

    let seen = place.platform.calls().len();
    let output = run(place.fetch("1", asked)).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("its hash is another"), "{}", stderr(&output));
    let fetched: BTreeSet<_> = place.platform.calls()[seen..].iter().filter_map(|call| call.range).collect();
    assert_eq!(fetched, rows[..2].iter().map(|row| row.range).collect());
    assert_eq!(place.read_ledger().leaving().await.expect("the ledger answers"), []);
    assert_eq!(aside(&place).len(), 2);
    fs::remove_dir_all(away).expect("it is there");
    place.assert_true(&[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_verify_at_a_time_and_runs_go_on_beside_it() {
    let (place, asked) = archived(&[(2, &[1])], 2).await;
    let vault = Vault::existing(&place.root()).expect("it is there");
    let hold = vault.hold_upkeep().expect("nobody has it");
    let ledger = Ledger::open(place.ledger_path()).expect("the ledger can be opened");
    let row = place.recordings(&[1]).await.remove(0);
    assert!(ledger.note_aside(row, "hash".to_owned(), String::new()).await.expect("the ledger is written"));
    drop(ledger);
    let second = run(place.archive(&["verify"])).await;
    assert_eq!(code(&second), 6, "{}", stderr(&second));
    // What is noted is the business of whoever has the hold.
    assert_eq!(code(&run(place.fetch("1", asked)).await), 0);
    let leaving = place.read_ledger().leaving().await.expect("the ledger answers");
    assert!(matches!(leaving[..], [archive::upkeep::Leaving { fate: Fate::Aside { .. }, .. }]), "{leaving:?}");
    drop(hold);
    assert_eq!(code(&run(place.archive(&["verify"])).await), 0);
    assert_eq!(place.read_ledger().leaving().await.expect("the ledger answers"), []);
    expect_code(place.archive(&["gaps"]), 0);
}
