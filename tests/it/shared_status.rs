//! What `archive status` tells of hosts that share a ledger, and of a ledger whose server is away.

use std::process::Command;

use archive::sim::Config;
use archive::sim::config::Speed;
use rustix::process::Signal;
use serde_json::Value;

use crate::postgres::program::Server;
use crate::support::{Place, code, ended, expect_code, fleet, range, send, stderr, stdout, until, yesterday};

fn on(url: &str, mut command: Command) -> Command {
    command.env("ARCHIVE_LEDGER", url);
    command
}

async fn status(url: &str, place: &Place) -> (i32, Value, String) {
    let done = ended(on(url, place.archive(&["status", "--json"])).spawn().expect("the program starts")).await;
    let said = stderr(&done);
    (code(&done), serde_json::from_str(&stdout(&done)).unwrap_or_else(|error| panic!("{error}: {said}")), said)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn status_shows_the_hosts_and_what_runs_here_while_the_server_is_away() {
    let (server, asked) = (Server::start(), range(yesterday(), 3 * 3600));
    let url = server.database();
    // Slow enough to last through all of this.
    let place = Place::new(Config { speed: Speed::Times(60.0), ..fleet(&[(1, &[1]), (1, &[2])]) }).await;
    let running = on(&url, place.fetch("1,2", asked)).spawn().expect("the program starts");
    let file = place.root().join("ledger.db.running");
    let says = |what: &str| std::fs::read_to_string(&file).is_ok_and(|text| text.contains(what));
    until("a stream is told of", || says("\"media_seconds\"")).await;

    let (ended_with, told, said) = status(&url, &place).await;
    assert_eq!(ended_with, 0, "{said}");
    let host = &told["shared"]["hosts"][0];
    assert_eq!(
        (&host["is_alive"], &host["pid"], &host["nvrs"]),
        (&true.into(), &running.id().into(), &2.into()),
        "{told}"
    );
    assert_eq!((&told["shared"]["leased"]["nvrs"], &told["shared"]["free"]["nvrs"]), (&2.into(), &0.into()), "{told}");
    let text = stdout(&expect_code(on(&url, place.archive(&["status"])), 0));
    assert!(text.contains("1 host at work; NVRs: 0 free, 2 leased"), "{text}");

    server.stop();
    until("the run waits", || says("\"for_what\":\"the ledger\"")).await;
    let as_text = ended(on(&url, place.archive(&["status"])).spawn().expect("the program starts"));
    let (ended_with, told, said) = status(&url, &place).await;
    assert_eq!(ended_with, 1, "{said}");
    assert!(said.contains("is away") && said.contains("Start it, or mend the way to it"), "{said}");
    assert!(told["unreachable"].as_str().is_some_and(|why| why.contains("is away")), "{told}");
    let progress = &told["running"][0]["progress"];
    assert_eq!((&progress["pid"], &progress["waits"][0]["for_what"]), (&running.id().into(), &"the ledger".into()));
    let text = stdout(&as_text.await);
    assert!(text.contains("waiting for the ledger since ") && text.contains("away, so that nothing else"), "{text}");

    server.start_again();
    until("the run waits no longer", || says("\"waits\":[]")).await;
    send(&running, Signal::INT);
    let done = ended(running).await;
    assert_eq!(code(&done), 5, "{}", stderr(&done));
    assert!(stderr(&done).contains("the ledger is back"), "{}", stderr(&done));
    let (_, told, _) = status(&url, &place).await;
    assert_eq!((&told["running"], &told["shared"]["hosts"]), (&Value::Array(vec![]), &Value::Array(vec![])), "{told}");
}
