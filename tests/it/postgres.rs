//! A night whose ledger is on a PostgreSQL server: the same as one in a file, and whole when the server crashes in the midst.

#[path = "../postgres/server.rs"]
mod program;

use std::process::Command;
use std::sync::Arc;

use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::report::GapQuery;
use archive::time_range::UtcSecond;

use crate::support::{Place, device, expect_code, finish, fleet, range, stderr, stdout, until, yesterday};
use program::{Server, server};

fn on(url: &str, mut command: Command) -> Command {
    command.env("ARCHIVE_LEDGER", url);
    command
}

fn open(url: &str) -> Ledger {
    Ledger::open_read_only(LedgerPlace::parse(url).expect("an address")).expect("it is there")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_night_on_a_server_is_what_it_is_in_a_file() {
    let (url, wanted) = (server().database(), range(yesterday(), 3600));
    let (here, there) = (Place::new(fleet(&[(2, &[1, 2])])).await, Place::new(fleet(&[(2, &[1, 2])])).await);
    expect_code(here.fetch("1,2,9", wanted), 4);
    let first = expect_code(on(&url, there.fetch("1,2,9", wanted)), 4);
    assert!(!there.root().join("ledger.db").exists(), "{}", stderr(&first));

    let (file, ledger) = (here.read_ledger(), open(&url));
    let gaps = ledger.gaps(GapQuery::default()).await.expect("an answer");
    let told =
        |gaps: &[archive::report::Gap]| gaps.iter().map(|gap| (gap.device, gap.range, gap.cause)).collect::<Vec<_>>();
    assert_eq!(told(&gaps), told(&file.gaps(GapQuery::default()).await.expect("an answer")));
    assert!(!gaps.is_empty(), "nobody knows camera 9");
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    for number in [1, 2] {
        let (on_server, in_file) = futures::join!(
            ledger.recordings_overlapping(device(number), ever),
            file.recordings_overlapping(device(number), ever)
        );
        let names = |recordings: Result<Vec<archive::recording::Recording>, _>| {
            let recordings = recordings.expect("an answer");
            recordings.into_iter().map(|recording| (recording.path, recording.blake3)).collect::<Vec<_>>()
        };
        let names = (names(on_server), names(in_file));
        assert_eq!(names.0, names.1);
        assert_eq!(names.0.len(), 6);
    }
    // What people ask with psql.
    let database = url.split(['/', '?']).nth(3).expect("a database");
    let rows = server().psql(database, "SELECT path FROM recordings ORDER BY device, from_utc");
    assert!(rows.lines().all(|path| there.root().join(path).is_file()), "{rows}");
    assert_eq!(rows.lines().count(), 12);

    // All commands take it, and none says the password.
    let url = url.replace("archive@", "archive:hush@");
    for arguments in [&["status"][..], &["gaps"], &["status", "--json"], &["verify"], &["devices"], &["report"]] {
        let done = finish(on(&url, there.archive(arguments)));
        let said = format!("{}{}", stdout(&done), stderr(&done));
        assert!(done.status.code().is_some_and(|code| code == 0 || code == 3 || code == 4), "{arguments:?}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
    let refused = expect_code(on(&url, there.archive(&["reindex"])), 1);
    assert!(stderr(&refused).contains("archive migrate"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_run_goes_on_when_the_server_has_crashed_in_its_midst() {
    let server = Arc::new(Server::start());
    let (url, wanted) = (server.database(), range(yesterday(), 4 * 3600));
    let place = Place::new(fleet(&[(2, &[1, 2]), (2, &[3, 4])])).await;
    let mut command = on(&url, place.fetch("1-4", wanted));
    let running = command.spawn().expect("the program starts");
    for published in [4, 20] {
        until("some are published", || place.files().keys().filter(|name| !name.starts_with('.')).count() >= published)
            .await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.crash_and_restart()).await.expect("it is up again");
    }
    let ended = crate::support::ended(running).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let ledger = open(&url);
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    let (mut rows, mut files) = (0, place.files());
    for number in 1..5 {
        for recording in ledger.recordings_overlapping(device(number), ever).await.expect("an answer") {
            assert_eq!(files.remove(&recording.path), Some(recording.blake3), "{}", recording.path);
            rows += 1;
        }
    }
    assert_eq!(rows, 4 * 24);
    assert!(files.is_empty(), "files without a row: {files:?}");
    assert_eq!(ledger.gaps(GapQuery::default()).await.expect("an answer"), []);
}
