//! `archive prune`: what goes, what stays, when it refuses, and that what went is not asked for again.

use std::collections::BTreeSet;
use std::fs;

use archive::ledger::Ledger;
use archive::recording::{Recording, Source};
use archive::report::GapQuery;
use archive::time_range::{TimeRange, UtcSecond};

use crate::support::{Place, code, device, fleet, range, stderr, stdout, yesterday};
use crate::verify::{killed_at, run, run_json};

/// So many windows, all of them older than a day.
const WINDOWS: i64 = 6;

fn asked() -> TimeRange {
    range(yesterday() - 2 * 3600, WINDOWS * 600)
}

/// A job of the file, with what else it says.
fn job(name: &str, devices: &str, more: &str) -> String {
    let (from, to) = (asked().start(), asked().end());
    format!("[[job]]\nname = \"{name}\"\ndevices = \"{devices}\"\nfrom = \"{from}\"\nto = \"{to}\"\n{more}\n")
}

/// An archive of three cameras, one of whose jobs keep everything for a day, and what else the file says.
async fn archived(more: &str) -> Place {
    let place = Place::new(fleet(&[(6, &[1, 2, 3])])).await;
    let settings = fs::read_to_string(place.path().join("settings.toml")).expect("it is there");
    let text = format!("{settings}\n{}{more}", job("short", "1-3", "keep = \"1 day\""));
    fs::write(place.path().join("jobs.toml"), text).expect("it can be written");
    let output = run(place.archive(&["run", "jobs.toml"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place
}

async fn pruned(place: &Place) -> i64 {
    let ledger = place.read_ledger();
    let devices = [1, 2, 3].map(device).to_vec();
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    ledger.totals(devices, ever).await.expect("the ledger answers").pruned_seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_job_lets_go_is_deleted_and_not_asked_for_again() {
    let more = job("other", "2", "") + &job("long", "3", "keep = \"30 days\"");
    let place = archived(&more).await;
    let before = place.recordings(&[1, 2, 3]).await;
    let files = place.files();

    let report = run_json(place.archive(&["prune", "jobs.toml", "--dry-run", "--json"]), 0).await;
    assert_eq!(report["plan"]["goes"]["files"], WINDOWS);
    assert_eq!(report["plan"]["devices"].as_array().expect("a list").len(), 1);
    assert_eq!(report["plan"]["devices"][0]["device"], 1);
    let said = run(place.archive(&["prune", "jobs.toml", "--dry-run"])).await;
    assert!(stdout(&said).contains("would be refused"), "{}", stdout(&said));
    let refused = run(place.archive(&["prune", "jobs.toml"])).await;
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("33.3 %") && stderr(&refused).contains("--max-share 0.34"),
        "{}",
        stderr(&refused)
    );
    assert_eq!((place.files(), pruned(&place).await), (files, 0), "neither changes anything");

    let report = run_json(place.archive(&["prune", "jobs.toml", "--max-share", "0.34", "--json"]), 0).await;
    assert_eq!(report["deleted"]["files"], WINDOWS);
    assert!(!place.root().join("1").exists(), "its folders are empty, and gone");
    place.assert_true(&[1, 2, 3]).await;
    assert_eq!(place.recordings(&[1, 2, 3]).await, before[WINDOWS as usize..]);
    assert_eq!(pruned(&place).await, WINDOWS * 600);
    let ledger = place.read_ledger();
    assert_eq!(ledger.gaps(GapQuery::default()).await.expect("the ledger answers"), []);
    let days = ledger.coverage(None, chrono::NaiveDate::MIN, chrono::NaiveDate::MAX).await.expect("the ledger answers");
    assert!(days.iter().all(|day| day.device != device(1) && day.percent == 100.0), "{days:?}");

    // A job goes on asking for it.
    let seen = place.platform.calls().len();
    let output = run(place.archive(&["run", "jobs.toml"])).await;
    assert_eq!((code(&output), place.platform.calls().len()), (0, seen), "{}", stderr(&output));
    assert_eq!(code(&run(place.fetch("1", asked())).await), 0);
    assert_eq!(place.platform.calls().len(), seen);
    let status = run(place.archive(&["status"])).await;
    assert!(stdout(&status).contains("pruned: 1 h"), "{}", stdout(&status));
    let gaps = run(place.archive(&["gaps", "--device", "1"])).await;
    assert!(stdout(&gaps).contains("has been pruned"), "{}", stdout(&gaps));
    let nothing = run(place.archive(&["prune", "jobs.toml"])).await;
    assert!(stdout(&nothing).contains("nothing is older"), "{}", stdout(&nothing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_takes_the_oldest_first_and_what_is_due_in_all_counts_for_the_share() {
    let place = archived("[prune]\nmost = \"1 TiB\"\n").await;
    let rows = place.recordings(&[1, 2, 3]).await;
    // Room for four of eighteen: the oldest day's, camera by camera.
    let sizes: Vec<u64> = rows.iter().map(|row| row.bytes).collect();
    let most = format!("{}B", sizes.iter().take(4).sum::<u64>());
    let refused = run(place.archive(&["prune", "jobs.toml", "--most", &most])).await;
    assert_eq!(code(&refused), 2, "a mistake does not slip through in slices");
    let capped = ["prune", "jobs.toml", "--most", &most, "--max-share", "1", "--json"];
    let dry = run_json(place.archive(&[&capped[..], &["--dry-run"]].concat()), 0).await;
    let report = run_json(place.archive(&capped), 0).await;
    assert_eq!(dry["plan"]["goes"], report["deleted"]);
    let left = place.recordings(&[1, 2, 3]).await;
    let gone = rows.iter().filter(|row| !left.contains(row)).collect::<Vec<_>>();
    assert!((1..=4).contains(&gone.len()), "{gone:?}");
    assert!(gone.iter().map(|row| row.bytes).sum::<u64>() <= sizes.iter().take(4).sum());
    for row in gone {
        let older = |left: &&Recording| left.device == row.device && left.range < row.range;
        assert_eq!(left.iter().find(older), None, "{} went before an older one", row.path);
    }
    place.assert_true(&[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_job_that_says_for_how_long_is_pruned() {
    let place = archived(&job("other", "2", "")).await;
    for (arguments, expected) in [
        (&["prune", "jobs.toml", "--job", "other"][..], "keeps everything"),
        (&["prune", "jobs.toml", "--job", "third"], "short, other"),
        (&["prune", "jobs.toml", "--max-share", "2"], "--max-share"),
        (&["prune", "settings.toml"], "add keep"),
    ] {
        let output = run(place.archive(arguments)).await;
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    let report = run_json(place.archive(&["prune", "jobs.toml", "--job", "short", "--dry-run", "--json"]), 0).await;
    let devices: BTreeSet<i64> =
        report["plan"]["devices"].as_array().expect("a list").iter().filter_map(|one| one["device"].as_i64()).collect();
    assert_eq!(devices, BTreeSet::from([1, 3]), "what another job keeps stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_may_be_killed_at_each_step() {
    const STEPS: [&str; 5] =
        ["ledger-commit", "ledger-committed", "folder-sync", "ledger-commit:2", "ledger-committed:2"];
    for step in STEPS {
        let place = archived("").await;
        let prune = || place.archive(&["prune", "jobs.toml", "--max-share", "1"]);
        killed_at(step, prune()).await;
        for row in place.recordings(&[1, 2, 3]).await {
            assert!(place.root().join(&row.path).is_file(), "{step}: {} has no file", row.path);
        }
        let seen = place.platform.calls().len();
        let output = run(place.archive(&["run", "jobs.toml"])).await;
        assert_eq!((code(&output), place.platform.calls().len()), (0, seen), "{step}: {}", stderr(&output));
        place.assert_true(&[1, 2, 3]).await;
        let output = run(prune()).await;
        assert_eq!(code(&output), 0, "{step}: {}", stderr(&output));
        assert_eq!((place.files().len(), place.recordings(&[1, 2, 3]).await.len()), (0, 0), "{step}");
        assert_eq!(place.read_ledger().leaving().await.expect("the ledger answers"), [], "{step}");
        assert_eq!(pruned(&place).await, 3 * WINDOWS * 600, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_of_a_camera_whose_disk_is_away() {
    let place = archived("").await;
    let before = place.recordings(&[1, 2, 3]).await;
    fs::rename(place.root().join("1"), place.path().join("away")).expect("it can be moved");
    let output = run(place.archive(&["prune", "jobs.toml", "--max-share", "1"])).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("is the disk mounted?"), "{}", stderr(&output));
    assert_eq!(place.recordings(&[1, 2, 3]).await, before);
}

/// A disk that does not let go of a file is said, and tried again; its time is pruned meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_deleted_is_exit_code_1_and_is_deleted_later() {
    let place = archived("").await;
    let row = place.recordings(&[1]).await.remove(0);
    let file = place.root().join(&row.path);
    fs::remove_file(&file).expect("it is there");
    fs::create_dir_all(file.join("strange")).expect("it can be made");
    let prune = || place.archive(&["prune", "jobs.toml", "--max-share", "1"]);
    let output = run(prune()).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot delete"), "{}", stderr(&output));
    assert_eq!(place.recordings(&[1]).await, []);
    let run_of_it = run(place.archive(&["run", "jobs.toml"])).await;
    assert_eq!(code(&run_of_it), 0, "{}", stderr(&run_of_it));
    assert!(stderr(&run_of_it).contains("stays where it is"), "{}", stderr(&run_of_it));
    fs::remove_dir_all(&file).expect("it is there");
    assert_eq!(code(&run(prune()).await), 0);
    assert_eq!(
        (place.files().len(), place.read_ledger().leaving().await.expect("the ledger answers")),
        (0, Vec::new())
    );
}

/// What a kill leaves after the commit, and with some of the files deleted: no file comes back, and no time is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_was_cut_off_is_finished_by_the_next_run_and_nothing_is_adopted() {
    let place = archived("").await;
    let rows = place.recordings(&[1]).await;
    let ledger = Ledger::open(place.ledger_path()).expect("the ledger can be opened");
    ledger.prune(rows.clone()).await.expect("the ledger is written");
    fs::remove_file(place.root().join(&rows[0].path)).expect("it is there");
    // As if a run of an older version had been cut off, which looks for files without a recording everywhere.
    let begun = archive::report::RunStart { started: yesterday(), what: "old".to_owned(), source: Source::Nvr };
    ledger.begin_run(begun).await.expect("nobody has it");
    drop(ledger);
    let shell = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    shell.execute("UPDATE run SET notes_publishing = 0 WHERE ended IS NULL", []).expect("as an upgrade leaves it");
    drop(shell);

    let seen = place.platform.calls().len();
    let output = run(place.archive(&["run", "jobs.toml"])).await;
    assert_eq!((code(&output), place.platform.calls().len()), (0, seen), "{}", stderr(&output));
    assert!(!stderr(&output).contains("adopted"), "{}", stderr(&output));
    assert!(!place.root().join("1").exists());
    assert_eq!(place.read_ledger().leaving().await.expect("the ledger answers"), []);
    place.assert_true(&[1, 2, 3]).await;
    assert_eq!(pruned(&place).await, WINDOWS * 600);
}
