//! A ledger that moves from one place to another.

use archive::time_range::RangeSet;

use crate::support::{Place, code, expect_code, finish, fleet, range, stderr, stdout, yesterday};

/// Two windows archived, and a third that nobody has asked for yet.
async fn archived() -> Place {
    let place = Place::new(fleet(&[(2, &[1, 2])])).await;
    let fetch = place.fetch("1-2", range(yesterday(), 600));
    tokio::task::spawn_blocking(move || expect_code(fetch, 0)).await.expect("a run");
    place
}

async fn run(place: &Place, arguments: &[&str]) -> std::process::Output {
    let command = place.archive(arguments);
    tokio::task::spawn_blocking(move || finish(command)).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_has_moved_is_the_same_and_the_next_run_goes_on_with_it() {
    let place = archived().await;
    let (from, to) = (place.ledger_path(), place.path().join("moved.db"));
    let from = format!("sqlite:{}", from.display());
    let output = run(&place, &["migrate", "--from", &from, "--to", "sqlite:moved.db", "--json"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("it is JSON");
    assert_eq!(told["complete"], true);
    assert!(told["compared"].as_u64() > Some(10), "{told}");
    assert!(to.is_file() && !place.path().join("moved.db.filling").exists());

    let again = run(&place, &["migrate", "--from", &from, "--to", "moved.db"]).await;
    assert_eq!(code(&again), 2, "{}", stderr(&again));
    assert!(stderr(&again).contains("is a ledger already"), "{}", stderr(&again));

    for question in [["gaps", "--json"], ["status", "--json"]] {
        let mut asked: Vec<String> = Vec::new();
        for ledger in [place.ledger_path(), to.clone()] {
            let output = run(&place, &[&question[..], &["--ledger", &ledger.display().to_string()]].concat()).await;
            // Which ledger it is differs, and what else is on the disk.
            let differs =
                |line: &&str| !["\"ledger\"", "\"free_bytes\"", "\"full_at\""].iter().any(|name| line.contains(name));
            asked.push(stdout(&output).lines().filter(differs).collect());
        }
        assert_eq!(asked[0], asked[1], "{question:?}");
    }

    let seen = place.platform.calls().len();
    let mut fetch = place.fetch("1-2", range(yesterday(), 1200));
    fetch.args(["--ledger", "moved.db"]);
    tokio::task::spawn_blocking(move || expect_code(fetch, 0)).await.expect("a run");
    let asked: RangeSet = place.platform.calls()[seen..].iter().filter_map(|call| call.range).collect();
    assert_eq!(asked, RangeSet::from(range(yesterday() + 600, 600)), "nothing is fetched twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ledger_or_no_place_for_one_is_refused() {
    let place = archived().await;
    let from = place.ledger_path().display().to_string();
    for (to, says) in [
        (from.as_str(), "the same ledger"),
        ("mysql://host/db", "sqlite: and a file, or postgres://"),
        ("sqlite:", "followed by the ledger's file"),
    ] {
        let output = run(&place, &["migrate", "--from", &from, "--to", to]).await;
        assert_eq!(code(&output), 2, "{to}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{to}: {}", stderr(&output));
    }
    let output = run(&place, &["migrate", "--from", "nothing.db", "--to", "moved.db"]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(!place.path().join("moved.db.filling").exists());
}
