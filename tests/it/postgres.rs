//! A night whose ledger is on a PostgreSQL server: the same as one in a file, and whole when the server crashes in the midst.

#[path = "../postgres/server.rs"]
pub mod program;

use std::process::Command;
use std::sync::Arc;

use archive::ledger::{Ledger, UpkeepPatience};
use archive::ledger_place::LedgerPlace;
use archive::report::GapQuery;
use archive::time_range::UtcSecond;

use crate::support::{PATIENCE, Place, device, expect_code, finish, fleet, range, stderr, stdout, until, yesterday};
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
    expect_code(here.fetch("1,2,9", wanted), 3);
    let first = expect_code(on(&url, there.fetch("1,2,9", wanted)), 3);
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
    for arguments in [
        &["status"][..],
        &["gaps"],
        &["status", "--json"],
        &["verify"],
        &["devices"],
        &["report", "-o", "coverage.html"],
    ] {
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_ledger_moves_to_a_server_and_back_and_is_the_same() {
    let place = Place::new(fleet(&[(2, &[1, 2])])).await;
    expect_code(place.fetch("1,2,9", range(yesterday(), 1800)), 3);
    let (url, file) = (server().database(), place.ledger_path().display().to_string());
    expect_code(place.archive(&["migrate", "--from", &file, "--to", &url]), 0);
    let refused = expect_code(place.archive(&["migrate", "--from", &file, "--to", &url]), 2);
    assert!(stderr(&refused).contains("is a ledger already"), "{}", stderr(&refused));

    // What it numbers goes on after what has come with it.
    let seen = place.platform.calls().len();
    expect_code(on(&url, place.fetch("1,2,9", range(yesterday(), 2400))), 3);
    let asked =
        place.platform.calls()[seen..].iter().filter(|call| call.device.is_some_and(|asked| asked.get() < 9)).count();
    assert_eq!(asked, 2, "what is archived was not asked for again");

    expect_code(place.archive(&["migrate", "--from", &url, "--to", "sqlite:back.db"]), 0);
    let answers = |ledger: &str| {
        let told = finish(place.archive(&["gaps", "--json", "--ledger", ledger]));
        stdout(&told)
    };
    assert_eq!(answers("back.db"), answers(&url));
    assert!(answers("back.db").contains("\"device\": 9"), "{}", answers("back.db"));
}

/// By the real program, with a password that is nowhere but in its environment.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and openssl"]
async fn a_server_is_reached_over_tls_if_its_certificate_is_vouched_for_and_names_it() {
    const PASSWORD: &str = "only who knows this";
    let (server, port) = Server::start_with_tls(PASSWORD);
    let certificate = server.certificate();
    let (place, wanted) = (Place::new(fleet(&[(1, &[1])])).await, range(yesterday(), 600));
    let fetch = |host: &str, mode: &str, password: &str| {
        let url = format!("postgres://archive@{host}:{port}/postgres?{mode}");
        let mut fetch = on(&url, place.fetch("1", wanted));
        fetch.env("PGPASSWORD", password);
        finish(fetch)
    };
    let vouched = format!("sslmode=verify-full&sslrootcert={}", certificate.display());

    let wrong = [
        // Nobody vouches for it.
        ("localhost", "sslmode=verify-full", PASSWORD, "sslrootcert= in the address"),
        ("localhost", "sslmode=prefer", PASSWORD, "sslrootcert= in the address"),
        // It is another's.
        ("127.0.0.1", vouched.as_str(), PASSWORD, "with the name that the certificate has"),
        ("localhost", vouched.as_str(), "a guess", "password authentication failed"),
        // The server takes nobody without.
        ("127.0.0.1", "sslmode=disable", PASSWORD, "no encryption"),
    ];
    for (host, mode, password, why) in wrong {
        let refused = fetch(host, mode, password);
        assert_eq!(refused.status.code(), Some(1), "{mode}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(why), "{host} {mode}: {}", stderr(&refused));
        assert!(!stderr(&refused).contains(PASSWORD) && !stderr(&refused).contains("a guess"), "{}", stderr(&refused));
    }
    assert_eq!(server.psql_at(port, "postgres", "SELECT to_regclass('recording')").trim(), "", "nothing came of those");

    let archived = fetch("localhost", &vouched, PASSWORD);
    assert_eq!(archived.status.code(), Some(0), "{}", stderr(&archived));
    assert_eq!(server.psql_at(port, "postgres", "SELECT count(*) FROM recordings").trim(), "1");
    assert!(!stderr(&archived).contains(PASSWORD));
}

/// As on two machines, whose folders know nothing of each other: what keeps them apart is the ledger.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn one_verify_at_a_time_on_whichever_machine_and_a_run_leaves_alone_what_it_is_at() {
    let (url, place) = (server().database(), Place::new(fleet(&[(1, &[1])])).await);
    let wanted = range(yesterday(), 1200);
    expect_code(on(&url, place.fetch("1", wanted)), 0);
    let elsewhere = Ledger::open(LedgerPlace::parse(&url).expect("an address")).expect("it is there");
    elsewhere.hold_upkeep(UpkeepPatience { others: PATIENCE, own: PATIENCE }).await.expect("nobody has it");
    let row = elsewhere.recordings_overlapping(device(1), wanted).await.expect("an answer").remove(0);
    assert!(elsewhere.note_aside(row, "hash".to_owned(), String::new()).await.expect("an answer"));

    let refused = expect_code(on(&url, place.archive(&["verify"])), 6);
    assert!(stderr(&refused).contains("perhaps on another machine"), "{}", stderr(&refused));
    expect_code(on(&url, place.fetch("1", wanted)), 0);
    assert_eq!(elsewhere.leaving().await.expect("an answer").len(), 1, "the run finished what is another's");
    elsewhere.release_upkeep();
    // It begins with what is left of that: the time is a gap by then, which the next run fetches.
    expect_code(on(&url, place.archive(&["verify"])), 0);
    assert_eq!(elsewhere.leaving().await.expect("an answer"), []);
    assert_eq!(elsewhere.gaps(GapQuery::default()).await.expect("an answer").len(), 1);
    expect_code(on(&url, place.fetch("1", wanted)), 0);
    assert_eq!(elsewhere.gaps(GapQuery::default()).await.expect("an answer"), []);
}
