//! A chain that many processes archive together: one ledger on a PostgreSQL server and one object store, against one platform of sixty
//! recorders.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};

use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::recording::Recording;
use archive::sim::Config;
use archive::sim::config::Speed;
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange};

use crate::object_store_server::{BUCKET, CREDENTIALS, Server};
use crate::postgres::program::server;
use crate::support::{Place, device, fleet, range, yesterday};

const NVRS: i64 = 60;

pub struct Chain {
    pub place: Place,
    store: Server,
    ledger: String,
    asked: TimeRange,
}

impl Chain {
    /// Sixty recorders with a camera each, which stream at that speed, of which so many windows are asked for, and lines of
    /// settings below `[archive]`.
    pub async fn new(speed: Speed, windows: i64, settings: &str) -> Self {
        let cameras: Vec<[i64; 1]> = (1..=NVRS).map(|number| [number]).collect();
        let nvrs: Vec<(u32, &[i64])> = cameras.iter().map(|cameras| (1, &cameras[..])).collect();
        let config = Config { speed, ..fleet(&nvrs) };
        let place = Place::new(config).await;
        place.set_in_archive(settings);
        let (asked, ledger) = (range(yesterday(), windows * GRID_SECONDS), server().database());
        // So that its tables are there to be asked.
        drop(Ledger::open(LedgerPlace::parse(&ledger).expect("an address")).expect("a new ledger"));
        Self { place, store: Server::start(), ledger, asked }
    }

    /// Another process with a spool of its own, as on a machine of its own.
    pub fn host(&self, name: &str) -> Child {
        self.host_by(name, &self.ledger, &self.store_url())
    }

    /// The same by other ways to the ledger and to the store.
    pub fn host_by(&self, name: &str, ledger: &str, store: &str) -> Child {
        let devices = format!("1-{NVRS}");
        let mut command: Command = self.place.fetch(&devices, self.asked);
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", store)
            .env("XDG_CACHE_HOME", self.place.path().join(name))
            .env("ARCHIVE_ROOT", format!("s3://{BUCKET}/chain"))
            .env("ARCHIVE_LEDGER", ledger);
        command.spawn().expect("the program starts")
    }

    /// Below which such a process has what streams in, and what waits to be uploaded.
    pub fn spool(&self, name: &str) -> PathBuf {
        self.place.path().join(name).join("archive").join(BUCKET).join("chain")
    }

    pub fn ledger_url(&self) -> String {
        self.ledger.clone()
    }

    /// Where the ledger's server listens.
    pub fn ledger_socket(&self) -> PathBuf {
        let (_, folder) = self.ledger.split_once("?host=").expect("it is reached by a socket");
        PathBuf::from(folder).join(".s.PGSQL.5432")
    }

    /// The ledger by another way to its server.
    pub fn ledger_by(&self, address: SocketAddr) -> String {
        let database = self.ledger.split(['/', '?']).nth(3).expect("a database");
        format!("postgres://archive@{address}/{database}?sslmode=disable")
    }

    pub fn store_url(&self) -> String {
        self.store.url()
    }

    /// How many windows there are to archive.
    pub fn windows(&self) -> i64 {
        NVRS * self.asked.seconds() / GRID_SECONDS
    }

    /// The server's clock, in milliseconds.
    pub fn now(&self) -> i64 {
        self.count("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
    }

    pub fn ask(&self, question: &str) -> String {
        let database = self.ledger.split(['/', '?']).nth(3).expect("a database");
        server().psql(database, question).trim().to_owned()
    }

    pub fn count(&self, question: &str) -> i64 {
        self.ask(question).parse().expect("a number")
    }

    /// The number of the host that this process is.
    pub fn number(&self, host: &Child) -> i64 {
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
    pub async fn assert_whole(&self) {
        let rows = self.recordings().await;
        for number in 1..=NVRS {
            let archived: RangeSet =
                rows.iter().filter(|row| row.device == device(number)).map(|row| row.range).collect();
            assert_eq!(archived, RangeSet::from(self.asked), "camera {number}");
        }
        let seconds: i64 = rows.iter().map(|row| row.range.seconds()).sum();
        assert_eq!(seconds, NVRS * self.asked.seconds(), "some of it is archived twice");
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
