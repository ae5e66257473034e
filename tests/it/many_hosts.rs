//! Many hosts, one archive: real processes with one ledger on a PostgreSQL server and one object store, against one platform.

use std::process::{Child, Command};

use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::recording::Recording;
use archive::sim::Config;
use archive::sim::config::Speed;
use archive::time_range::{RangeSet, TimeRange};
use rustix::process::Signal;

use crate::object_store_server::{BUCKET, CREDENTIALS, Server};
use crate::postgres::program::server;
use crate::support::{Place, code, device, ended, fleet, range, send, stderr, until, yesterday};

const NVRS: i64 = 60;
const WINDOWS: i64 = 2;

/// How long a host is waited for that is not heard of.
const LEASE: &str = "3s";

struct Chain {
    place: Place,
    store: Server,
    ledger: String,
    asked: TimeRange,
}

impl Chain {
    /// Sixty recorders with a camera each, none of whose streams is over in a moment.
    async fn new() -> Self {
        let cameras: Vec<[i64; 1]> = (1..=NVRS).map(|number| [number]).collect();
        let nvrs: Vec<(u32, &[i64])> = cameras.iter().map(|cameras| (1, &cameras[..])).collect();
        let config = Config { speed: Speed::Times(600.0), ..fleet(&nvrs) };
        let place = Place::new(config).await;
        let settings = place.path().join("settings.toml");
        let text = std::fs::read_to_string(&settings).expect("it was written");
        let text = text.replace("[archive]\n", &format!("[archive]\nlease = \"{LEASE}\"\nstreams = 4\n"));
        std::fs::write(&settings, text).expect("it can be written");
        let (asked, ledger) = (range(yesterday(), WINDOWS * 600), server().database());
        // So that its tables are there to be asked.
        drop(Ledger::open(LedgerPlace::parse(&ledger).expect("an address")).expect("a new ledger"));
        Self { place, store: Server::start(), ledger, asked }
    }

    /// Another process with a spool of its own, as on a machine of its own.
    fn host(&self, name: &str) -> Child {
        let devices = format!("1-{NVRS}");
        let mut command: Command = self.place.fetch(&devices, self.asked);
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", self.store.url())
            .env("XDG_CACHE_HOME", self.place.path().join(name))
            .env("ARCHIVE_ROOT", format!("s3://{BUCKET}/chain"))
            .env("ARCHIVE_LEDGER", &self.ledger);
        command.spawn().expect("the program starts")
    }

    fn ask(&self, question: &str) -> String {
        let database = self.ledger.split(['/', '?']).nth(3).expect("a database");
        server().psql(database, question).trim().to_owned()
    }

    fn count(&self, question: &str) -> i64 {
        self.ask(question).parse().expect("a number")
    }

    /// The number of the host that this process is.
    fn number(&self, host: &Child) -> i64 {
        self.count(&format!("SELECT max(host) FROM hosts WHERE pid = {}", host.id()))
    }

    async fn recordings(&self) -> Vec<Recording> {
        let place = LedgerPlace::parse(&self.ledger).expect("an address");
        let ledger = Ledger::open_read_only(place).expect("it is there");
        let mut all = Vec::new();
        for number in 1..=NVRS {
            all.extend(ledger.recordings_overlapping(device(number), self.asked).await.expect("the ledger answers"));
        }
        all
    }

    /// All is archived, each window once: a row and an object, and nothing else.
    async fn assert_whole(&self) {
        let rows = self.recordings().await;
        for number in 1..=NVRS {
            let archived: RangeSet =
                rows.iter().filter(|row| row.device == device(number)).map(|row| row.range).collect();
            assert_eq!(archived, RangeSet::from(self.asked), "camera {number}");
        }
        let seconds: i64 = rows.iter().map(|row| row.range.seconds()).sum();
        assert_eq!(seconds, NVRS * WINDOWS * 600, "some of it is archived twice");
        let mut objects = self.store.keys();
        objects.retain(|key| !key.contains("/.catalog/") && !key.ends_with("/.archive-root"));
        let mut named: Vec<String> = rows.iter().map(|row| format!("chain/{}", row.path)).collect();
        named.sort_unstable();
        objects.sort_unstable();
        assert_eq!(objects, named);
        assert_eq!(self.store.uploads(), [""; 0], "an upload is open");
        let most = self.place.platform.max_open_per_device();
        assert!(most.values().all(|&open| open <= 1), "a camera was asked twice at once: {most:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and moto_server"]
async fn two_of_four_hosts_are_killed_and_one_sleeps_and_the_rest_archive_all_of_it_once() {
    let chain = Chain::new().await;
    let mut hosts: Vec<Child> = (1..=4).map(|number| chain.host(&format!("host{number}"))).collect();
    let holding = "SELECT count(DISTINCT host) FROM nvr_share WHERE host IS NOT NULL";
    until("all four have leased something", || chain.count(holding) == 4).await;
    until("some of it is archived", || chain.count("SELECT count(*) FROM recording") > 4).await;
    let slept = chain.number(&hosts[2]);
    send(&hosts[2], Signal::STOP);
    for host in &hosts[..2] {
        send(host, Signal::KILL);
    }
    let held = chain.count(&format!("SELECT count(*) FROM nvr_share WHERE host = {slept}"));
    assert!(held > 0, "it held nothing");
    // Others have taken all that it held, so it is taken for dead, and for more than three times as long as that takes.
    let lost = format!("SELECT count(*) FROM hosts WHERE host = {slept} AND state = 'gone'");
    until("it is taken for dead", || chain.count(&lost) == 1).await;
    let newest = chain.count("SELECT coalesce(max(attempt), 0) FROM attempt");
    let woke = chain.count("SELECT CAST(extract(epoch FROM clock_timestamp()) AS BIGINT)");
    let sleeper = hosts[2].id();
    send(&hosts[2], Signal::CONT);
    let fourth = ended(hosts.remove(3)).await;
    let third = ended(hosts.remove(2)).await;
    for (name, output) in [("third", &third), ("fourth", &fourth)] {
        assert_eq!(code(output), 0, "the {name}: {}", stderr(output));
    }
    for host in hosts {
        ended(host).await;
    }
    // What it had in its hands when it fell asleep is nowhere: whatever it wrote since, it had begun since.
    let late = format!(
        "SELECT count(*) FROM attempt AS a JOIN run AS r ON r.run = a.run
         WHERE r.pid = {sleeper} AND a.attempt > {newest} AND a.started < {woke}"
    );
    assert_eq!(chain.count(&late), 0, "it wrote down what it had begun before it was taken for dead");
    chain.assert_whole().await;
}
