//! `archive status` beside a run: what it is doing is told from another process, and no longer than it does it.

use std::io::{BufRead as _, BufReader};

use archive::sim::{Config, Speed};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, code, ended, fleet, range, send, stderr, stdout, until, yesterday};

/// Ten minutes in ten seconds: who asks finds streams under way.
fn slow() -> Config {
    Config { speed: Speed::Times(60.0), ..fleet(&[(1, &[1, 2, 3])]) }
}

async fn status(place: &Place) -> Value {
    let child = place.archive(&["status", "--json"]).spawn().expect("the program starts");
    let output = ended(child).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(&output)))
}

/// Asks until the run has said something that `is_it`.
async fn progress(place: &Place, is_it: impl Fn(&Value) -> bool) -> Value {
    until("the run has a ledger", || place.ledger_path().exists()).await;
    for _ in 0..200 {
        // A ledger that is just being made cannot be read yet.
        let child = place.archive(&["status", "--json"]).spawn().expect("the program starts");
        let output = ended(child).await;
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if is_it(&status["running"][0]["progress"]) {
            return status;
        }
    }
    panic!("the run never said so");
}

fn running_files(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.root()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(".running")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_does_is_told_from_outside_until_it_ends_however_that_is() {
    let place = Place::new(slow()).await;
    let child = place.fetch("1-3", range(yesterday(), 3600)).spawn().expect("the program starts");
    let status_beside = progress(&place, |progress| {
        progress["streams"][0]["media_seconds"].as_i64().is_some_and(|seconds| seconds > 0)
            && progress["nvrs"][0]["refused"].as_i64().is_some_and(|refused| refused > 0)
    })
    .await;
    let running = &status_beside["running"][0];
    assert_eq!((&running["source"], &running["run"]), (&"nvr".into(), &1.into()), "{running:#}");
    let progress_beside = &running["progress"];
    assert_eq!(progress_beside["pid"], child.id());
    assert_eq!(progress_beside["planned_windows"], 18, "{progress_beside:#}");
    assert!(progress_beside["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{progress_beside:#}");
    let text = stdout(&ended(place.archive(&["status"]).spawn().expect("the program starts")).await);
    assert!(text.starts_with("run 1 goes on since "), "{text}");
    assert!(text.contains("streams now") && text.contains("nvr device "), "{text}");
    assert!(text.contains("disk    "), "{text}");

    // Killed, it leaves its file behind, and goes on no longer.
    send(&child, Signal::KILL);
    ended(child).await;
    assert!(!running_files(&place).is_empty());
    assert_eq!(status(&place).await["running"], Value::Array(Vec::new()));

    // Another one says its own, and takes the file away at its end.
    let child = place.fetch("1-3", range(yesterday(), 3600)).spawn().expect("the program starts");
    let pid = child.id();
    progress(&place, |progress| progress["pid"] == pid).await;
    send(&child, Signal::INT);
    assert_eq!(code(&ended(child).await), 5);
    assert_eq!(running_files(&place), Vec::<String>::new());
    let after = status(&place).await;
    assert_eq!(after["running"], Value::Array(Vec::new()));
    assert!(after["disk"]["bytes_per_day"].as_u64().is_some(), "{after:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_is_a_line_of_json_each_time_and_ends_well() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let fetched = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
    assert_eq!(code(&ended(fetched).await), 0);
    let mut child = place.archive(&["status", "--watch", "--json"]).spawn().expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let read = tokio::task::spawn_blocking(move || {
        let lines: Vec<String> = lines.take(2).map(|line| line.expect("text")).collect();
        lines
    });
    for line in read.await.expect("the reader lives") {
        let status: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(status["totals"]["archived_seconds"], 600);
    }
    send(&child, Signal::INT);
    assert_eq!(code(&ended(child).await), 0);
}
