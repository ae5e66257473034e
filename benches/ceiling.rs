//! What one PostgreSQL carries of a chain whose hosts share its ledger: beats, leases, plans and archived windows per second, what
//! each costs the server, and how many cameras a night that is.
//!
//! The ledger is a chain's: `CEILING_CAMERAS` (100,000), four on each NVR, with last night archived and this night missing. Its
//! hosts, `CEILING_HOSTS` (200), are ledgers of their own in this process, with connections of their own; `CEILING_BUSY` (16)
//! of them do at once whatever is measured, each as much as it can, for `CEILING_SECONDS` (8). The server keeps its defaults: fsync
//! and synchronous_commit are on. It shares the machine's cores with the hosts, so what it would carry by itself is told by
//! its processor time, which is measured as well.
//!
//!     cargo bench --bench ceiling           needs PostgreSQL's programs
//!
//! Figures are printed last.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/postgres/server.rs"]
mod program;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use archive::device::{DeviceId, NvrId};
use archive::lease::{Demand, GivenBack, HostId, HostJob, HostState, Joining, Lease};
use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::outcome::{Attempt, Outcome};
use archive::recording::{AudioCodec, Container, ContentHash, MediaFacts, Recording, Source, VideoCodec};
use archive::report::{RunId, RunStart};
use archive::time_range::{GRID_SECONDS, TimeRange, UtcSecond};
use archive::vault::name::{self, Named};
use futures::future::join_all;

use program::Server;

/// 2026-11-20T16:00:00Z, when last night's footage begins; this night's begins a day later. Twelve hours each.
const LAST_NIGHT: i64 = 1_795_190_400;
const TONIGHT: i64 = LAST_NIGHT + 86_400;
const FOOTAGE: i64 = 12 * 3600;
const WINDOWS: i64 = FOOTAGE / GRID_SECONDS;
/// In which this night's footage is to be fetched.
const NIGHT_SECONDS: f64 = 10.0 * 3600.0;
const CAMERAS_OF_NVR: i64 = 4;
/// How many NVRs a host leases at once; a 16th of its part of 25,000 among 200 is 7.
const AT_ONCE: usize = 8;
/// Attempts of one host that end at once: twice as many as it has connections.
const ATTEMPTS: usize = 8;
/// Long enough for nobody to be taken for dead.
const LASTS: Duration = Duration::from_secs(3600);

fn size(name: &str, usual: i64) -> i64 {
    std::env::var(name).map_or(usual, |size| size.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A chain's cameras, with last night archived and this night missing. Recordings are four to a camera and not 72, which would
/// take longer to fill in than all else takes: no statement that is measured reads more than a camera's newest one.
fn filling(cameras: i64) -> String {
    let nvrs = cameras / CAMERAS_OF_NVR;
    let (last_end, tonight_end) = (LAST_NIGHT + FOOTAGE, TONIGHT + FOOTAGE);
    format!(
        "SET session_replication_role = replica;
         INSERT INTO nvr (nvr, store) SELECT 'nvr ' || n, 'store ' || n FROM generate_series(0, {nvrs} - 1) AS n;
         INSERT INTO device (device, name, store, nvr, channel)
             SELECT n, 'camera ' || n, 'store ' || n / 4, 'nvr ' || n / 4, n % 4 FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO nvr_limit (nvr, playbacks, calls, refused, learned_at)
             SELECT 'nvr ' || n, 2 + n % 7, 300, 3, {last_end} FROM generate_series(0, {nvrs} - 1) AS n;
         INSERT INTO asked SELECT n, {LAST_NIGHT}, {last_end} FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO archived SELECT n, {LAST_NIGHT}, {last_end} FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO asked SELECT n, {TONIGHT}, {tonight_end} FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO missing (device, start, \"end\", cause, attempts, from_utc, to_utc, from_local, to_local)
             SELECT n, {TONIGHT}, {tonight_end}, 'not tried', 0, '2026-11-21T16:00:00Z', '2026-11-22T04:00:00Z',
                 '2026-11-22T00:00:00+08:00', '2026-11-22T12:00:00+08:00' FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO folder (path) SELECT n || '/2026-11-21/' FROM generate_series(0, {cameras} - 1) AS n;
         INSERT INTO format (video, audio, width, height) VALUES ('h264', 'aac', 1920, 1080);
         INSERT INTO recording (device, start, seconds, live, folder, own_name, bytes, blake3, format, media_milliseconds,
                 first_timestamp, archived_at)
             SELECT n, {LAST_NIGHT} + {GRID_SECONDS} * w, {GRID_SECONDS}, 0, n + 1, n || '.' || w || '.flv', 150000000,
                 decode(repeat('ab', 32), 'hex'), 1, 599960, 86400123, {last_end}
             FROM generate_series(0, {cameras} - 1) AS n, generate_series({WINDOWS} - 4, {WINDOWS} - 1) AS w;
         RESET session_replication_role;
         ANALYZE"
    )
}

/// One host, with a ledger of its own.
struct Host {
    ledger: Ledger,
    id: HostId,
    run: RunId,
}

struct Bench {
    server: &'static Server,
    database: String,
    /// The process that all processes of the server are children of.
    postmaster: u32,
    hosts: Vec<Arc<Host>>,
    busy: usize,
    cameras: i64,
    lasts: Duration,
    figures: Vec<(String, f64, &'static str)>,
}

#[tokio::main]
async fn main() {
    let cameras = size("CEILING_CAMERAS", 100_000);
    let mut bench = Bench::new(cameras).await;
    bench.beginning().await;
    bench.beats().await;
    bench.leases().await;
    bench.plans().await;
    for (name, uploads) in [("windows", false), ("uploaded-windows", true)] {
        bench.windows(name, uploads).await;
    }
    for (name, value, unit) in bench.figures {
        println!("figure ceiling/{name} {value:.2} {unit}");
    }
}

impl Bench {
    async fn new(cameras: i64) -> Self {
        let server = program::server();
        let address = server.database();
        let (_, database) = address.split_once("@/").expect("the address of a socket names no host");
        let database = database.split('?').next().unwrap_or(database).to_owned();
        let place = LedgerPlace::parse(&address).expect("it is an address");
        drop(Ledger::open(place.clone()).expect("the ledger is made"));
        let begun = Instant::now();
        server.psql(&database, &filling(cameras));
        println!("filled for {cameras} cameras in {:.1} s", begun.elapsed().as_secs_f64());
        let postmaster = server.psql(&database, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
        let served: BTreeMap<NvrId, Vec<DeviceId>> =
            (0..cameras / CAMERAS_OF_NVR).map(|nvr| (nvr_of(nvr), cameras_of(nvr))).collect();
        let joining = |number: i64| Joining {
            name: format!("host {number}"),
            job: HostJob::new("bench".to_owned(), &BTreeMap::new()),
            served: served.clone(),
            state: state(),
            lasts: LASTS,
            again: false,
        };
        let begun = Instant::now();
        let mut hosts = Vec::new();
        let mut figures = Vec::new();
        for number in 0..size("CEILING_HOSTS", 200) {
            let ledger = Ledger::open(place.clone()).expect("the ledger opens");
            let start = RunStart { started: UtcSecond::new(TONIGHT), what: "bench".to_owned(), source: Source::Nvr };
            let run = ledger.begin_run(start).await.expect("a run begins");
            let (joining, joins) = (joining(number), Instant::now());
            let id = ledger.join(joining).await.expect("it joins").host;
            // The first says under which NVR each camera is leased; of the rest, one is enough.
            if let Some(name) = ["join", "join-again"].get(usize::try_from(number).unwrap_or(usize::MAX)) {
                figures.push(((*name).to_owned(), joins.elapsed().as_secs_f64() * 1_000.0, "ms"));
            }
            hosts.push(Arc::new(Host { ledger, id, run }));
        }
        println!("{} hosts joined in {:.1} s", hosts.len(), begun.elapsed().as_secs_f64());
        Self {
            server,
            database,
            postmaster: postmaster.trim().parse().expect("a process has a number"),
            busy: usize::try_from(size("CEILING_BUSY", 16)).unwrap_or(1).min(hosts.len()),
            hosts,
            cameras,
            lasts: Duration::from_secs(size("CEILING_SECONDS", 8).unsigned_abs()),
            figures,
        }
    }

    fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push((name.to_owned(), value, unit));
    }

    /// What each host asks and says when it begins: of all hosts but the first, nothing is new.
    async fn beginning(&mut self) {
        let (first, second) = (Arc::clone(&self.hosts[0]), Arc::clone(&self.hosts[self.hosts.len() - 1]));
        let demand = |nvr| Demand {
            nvr: nvr_of(nvr),
            backlog_seconds: CAMERAS_OF_NVR * FOOTAGE,
            loses_at: (nvr % 100 == 0).then(|| UtcSecond::new(TONIGHT + nvr)),
        };
        let demands: Vec<Demand> = (0..self.cameras / CAMERAS_OF_NVR).map(demand).collect();
        for (name, host) in [("offer", &first), ("offer-again", &second)] {
            let (begun, before) = (Instant::now(), self.processor_seconds());
            host.ledger.offer(host.id, demands.clone()).await.expect("it is offered");
            self.figure(name, begun.elapsed().as_secs_f64() * 1_000.0, "ms");
            self.figure(&format!("{name}-processor"), (self.processor_seconds() - before) * 1_000.0, "ms");
        }
        let all: Vec<DeviceId> = (0..self.cameras).filter_map(DeviceId::new).collect();
        let (begun, before) = (Instant::now(), self.processor_seconds());
        first.ledger.known(all, windows(0, WINDOWS)).await.expect("it is known");
        first.ledger.learned_limits().await.expect("it is known");
        self.figure("plan-all", begun.elapsed().as_secs_f64() * 1_000.0, "ms");
        self.figure("plan-all-processor", (self.processor_seconds() - before) * 1_000.0, "ms");
    }

    /// Every host says that it is alive, and hears how all stand.
    async fn beats(&mut self) {
        let hosts = self.hosts.clone();
        self.measure("beats", hosts, |host, done| async move {
            host.ledger.beat(host.id, state(), LASTS).await.expect("it is alive");
            done.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    }

    /// Leases some NVRs, and gives them back half done.
    async fn leases(&mut self) {
        let hosts = self.hosts[..self.busy].to_vec();
        self.measure("leases", hosts, |host, done| async move {
            let leases = host.ledger.claim(host.id, AT_ONCE, LASTS).await.expect("it is alive");
            done.fetch_add(leases.len() as u64, Ordering::Relaxed);
            let half = |lease: Lease| GivenBack {
                rest: Some(Demand { nvr: lease.nvr.clone(), backlog_seconds: FOOTAGE, loses_at: None }),
                lease,
            };
            host.ledger.give_back(host.id, leases.into_iter().map(half).collect()).await.expect("it is given back");
        })
        .await;
    }

    /// What a host asks when it has leased an NVR: what a dead one left of it, what its cameras miss, what it can take.
    async fn plans(&mut self) {
        let hosts = self.hosts[..self.busy].to_vec();
        let next = Arc::new(AtomicU64::new(0));
        let nvrs = self.cameras / CAMERAS_OF_NVR;
        self.measure("plans", hosts, move |host, done| {
            let nvr = i64::try_from(next.fetch_add(7, Ordering::Relaxed)).unwrap_or(0) % nvrs;
            async move {
                let ledger = &host.ledger;
                ledger.publishing(Source::Nvr).await.expect("it is known");
                let known = ledger.known(cameras_of(nvr), windows(0, WINDOWS)).await.expect("it is known");
                assert_eq!(known.len() as i64, CAMERAS_OF_NVR);
                ledger.learned_limits_of(vec![nvr_of(nvr)]).await.expect("it is known");
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
    }

    /// Windows that were fetched are published and written down, each under its lease; into an object store also with the number
    /// of its upload.
    async fn windows(&mut self, name: &str, uploads: bool) {
        let mut work = Vec::new();
        for host in &self.hosts[..self.busy] {
            // As many cameras to a host as it has streams.
            let leases = host.ledger.claim(host.id, 50, LASTS).await.expect("it is alive");
            let mut cameras = Vec::new();
            for lease in &leases {
                let of_nvr = cameras_of(number_of(&lease.nvr));
                host.ledger.guard(&of_nvr, lease);
                cameras.extend(of_nvr);
            }
            for part in 0..ATTEMPTS {
                // Each attempt's turns: window after window of its cameras.
                let own: Vec<DeviceId> = cameras.iter().copied().skip(part).step_by(ATTEMPTS).collect();
                let turns = (0..WINDOWS).flat_map(move |window| own.clone().into_iter().map(move |own| (own, window)));
                work.push((Arc::clone(host), tokio::sync::Mutex::new(turns)));
            }
        }
        self.server.psql(&self.database, "SELECT pg_stat_reset()");
        let (transactions, log) = (self.transactions(), self.log_bytes());
        let work: Vec<_> = work.into_iter().map(Arc::new).collect();
        let written = self
            .measure(name, work, move |own, done| async move {
                let (host, turns) = &*own;
                let Some((device, window)) = turns.lock().await.next() else {
                    return tokio::time::sleep(Duration::from_millis(50)).await;
                };
                let recording = recording(device, window);
                let (ledger, path) = (&host.ledger, recording.path.clone());
                ledger.note_publishing(Source::Nvr, path.clone()).await.expect("it is noted");
                if uploads {
                    assert!(ledger.note_upload(path, "an upload's number".to_owned()).await.expect("it is noted"));
                }
                ledger.record_archived(host.run, whole(), recording, None).await.expect("it is archived");
                done.fetch_add(1, Ordering::Relaxed);
            })
            .await;
        let per_window = (self.transactions() - transactions) / written;
        let bytes = (self.log_bytes() - log) / written;
        self.figure(&format!("{name}-commits-each"), per_window, "commits");
        self.figure(&format!("{name}-log-each"), bytes, "B");
        let per_second = self.figures.iter().find(|(known, ..)| known == name).map_or(0.0, |&(_, value, _)| value);
        self.figure(&format!("{name}-cameras"), per_second * NIGHT_SECONDS / WINDOWS as f64, "cameras");
    }

    /// Lets each of `all` do the same again and again until the time is over, and notes how much was done by all in a second, and
    /// what one costs the server. Gives how much was done.
    async fn measure<T, W, F>(&mut self, name: &str, all: Vec<Arc<T>>, work: W) -> f64
    where
        T: Send + Sync + 'static,
        W: Fn(Arc<T>, Arc<AtomicU64>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let (done, work) = (Arc::new(AtomicU64::new(0)), Arc::new(work));
        let (begun, before) = (Instant::now(), self.processor_seconds());
        let until = begun + self.lasts;
        let tasks = all.into_iter().map(|one| {
            let (done, work) = (Arc::clone(&done), Arc::clone(&work));
            tokio::spawn(async move {
                while Instant::now() < until {
                    work(Arc::clone(&one), Arc::clone(&done)).await;
                }
            })
        });
        for ended in join_all(tasks).await {
            ended.expect("it is measured to the end");
        }
        let (took, done) = (begun.elapsed().as_secs_f64(), done.load(Ordering::Relaxed) as f64);
        self.figure(name, done / took, "1/s");
        self.figure(&format!("{name}-processor"), (self.processor_seconds() - before) * 1_000.0 / done, "ms");
        println!("{name}: {done} in {took:.1} s");
        done
    }

    /// How many transactions have changed anything.
    fn transactions(&self) -> f64 {
        self.number("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    }

    /// How much the server has written ahead, in bytes.
    fn log_bytes(&self) -> f64 {
        self.number("SELECT pg_current_wal_lsn() - '0/0'")
    }

    fn number(&self, question: &str) -> f64 {
        self.server.psql(&self.database, question).trim().parse().expect("it is a number")
    }

    /// Processor time of the server's processes that are there now.
    fn processor_seconds(&self) -> f64 {
        let processes = std::fs::read_dir("/proc").expect("Linux tells of processes").flatten();
        let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
        let ticks = stats.filter_map(|stat| {
            // What follows the name, which may hold anything: the state, the parent, and so on.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
            (number(1)? == u64::from(self.postmaster)).then_some(number(11)? + number(12)?)
        });
        // A hundredth of a second each, wherever Linux is.
        ticks.sum::<u64>() as f64 / 100.0
    }
}

fn state() -> HostState {
    HostState { streams: 200, backlog_seconds: FOOTAGE, hungry: false }
}

fn nvr_of(number: i64) -> NvrId {
    NvrId::new(&format!("nvr {number}"))
}

fn number_of(nvr: &NvrId) -> i64 {
    nvr.as_str().trim_start_matches("nvr ").parse().expect("NVRs are numbered")
}

fn cameras_of(nvr: i64) -> Vec<DeviceId> {
    (nvr * CAMERAS_OF_NVR..(nvr + 1) * CAMERAS_OF_NVR).filter_map(DeviceId::new).collect()
}

fn windows(first: i64, end: i64) -> TimeRange {
    let at = |window| UtcSecond::new(TONIGHT + window * GRID_SECONDS);
    TimeRange::new(at(first), at(end)).expect("a range holds a window")
}

fn whole() -> Attempt {
    Attempt {
        started: UtcSecond::new(TONIGHT + 86_400),
        milliseconds: 61_234,
        bytes: 150_000_000,
        outcome: Outcome::Archived,
        code: None,
        detail: None,
    }
}

fn recording(device: DeviceId, window: i64) -> Recording {
    let range = windows(window, window + 1);
    let named = Named { device, range, source: Source::Nvr, container: Container::Flv };
    Recording {
        device,
        range,
        path: name::recording(&named, chrono_tz::Asia::Shanghai),
        bytes: 150_000_000,
        blake3: ContentHash(*blake3::hash(range.to_string().as_bytes()).as_bytes()),
        media: MediaFacts {
            media_milliseconds: range.seconds() * 1000 - 40,
            first_timestamp: 86_400_123,
            video_codec: Some(VideoCodec::H264),
            audio_codec: Some(AudioCodec::Aac),
            picture_size: Some((1920, 1080)),
        },
        source: Source::Nvr,
        clock_offset: None,
        archived_at: UtcSecond::new(TONIGHT + 86_400),
        note: String::new(),
    }
}
