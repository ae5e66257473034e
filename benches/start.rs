//! How long it takes from the command to the first call to the platform, with a ledger of a year of 1,000 cameras, 52 million
//! recordings, of which one in a thousand is missing: after a night that ended, and after one that was killed at work.
//!
//! `cargo bench --bench start` prints its figures last. The ledger takes 5 GB and some minutes to fill. Settings: START_WINDOWS
//! (52560000; `START_WINDOWS=100000` to try it out), START_ROUNDS (15), START_FOLDER (where ledger and archive go; TMPDIR),
//! START_LEDGER (a ledger to use again; filled when it is not there).
//!
//! The time is that from starting the process to the first byte of a call at a socket of this process's own. It answers nothing,
//! and the run is told to end. A night that is killed is one against the simulated platform. Before each round the ledger is set
//! back to the evening before, so that every start has the night's whole work to find; except where figures say *again*.

#[path = "start/ledger.rs"]
mod ledger;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archive::sim::config::{CameraConfig, Config, NvrConfig, Speed, StoreConfig};
use archive::sim::{MediaEvent, Running};
use rustix::process::{Pid, Signal, kill_process};

type Failure = Box<dyn std::error::Error>;

/// Downloads at once in a night that is killed.
const STREAMS: usize = 32;
/// How many downloads it has ended by then.
const ENDED: usize = 48;
/// How long anything is waited for before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: i64| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let (windows, rounds) = (number("START_WINDOWS", 52_560_000)?, number("START_ROUNDS", 15)?.max(1));
    let folder = tempfile::tempdir_in(std::env::var_os("START_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from))?;
    let path = std::env::var_os("START_LEDGER").map_or_else(|| folder.path().join("ledger.db"), PathBuf::from);
    let ledger = ledger::Big::at(&path, windows)?;
    println!("{} cameras, {} days, {:.1} GB", ledger.cameras, ledger.days, ledger.bytes()? as f64 / 1e9);

    let runtime = tokio::runtime::Runtime::new()?;
    let platform = runtime.block_on(archive::sim::start(chain(ledger.cameras), ([127, 0, 0, 1], 0).into()))?;
    let place = Place::new(folder.path(), path, &ledger, platform)?;
    let mut figures = Vec::new();
    for asks in [Asks::Job, Asks::OneOff] {
        let name = asks.name();
        figures.push((name.to_owned(), measure(rounds, || place.ready(&ledger), || place.start(asks))?));
        figures.push((format!("{name}-again"), measure(rounds, || Ok(()), || place.start(asks))?));
        let killed = || {
            place.ready(&ledger)?;
            place.kill_a_night()
        };
        figures.push((format!("{name}-after-a-kill"), measure(rounds, killed, || place.start(asks))?));
    }
    for (name, [median, longest]) in figures {
        println!("figure start/{name} {median:.1} ms");
        println!("figure start/{name}-longest {longest:.1} ms");
    }
    Ok(())
}

/// What a start is asked for.
#[derive(Clone, Copy)]
enum Asks {
    /// All cameras' yesterday: `archive run jobs.toml`.
    Job,
    /// Ten minutes of one camera.
    OneOff,
}

impl Asks {
    fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::OneOff => "one-off",
        }
    }

    fn arguments(self, jobs: &str) -> Vec<&str> {
        match self {
            Self::Job => vec!["run", jobs],
            Self::OneOff => vec!["--config", jobs, "--device", "5", "--date", "yesterday", "--hours", "09:00-09:10"],
        }
    }
}

/// An archive, and both platforms that it may be told to ask.
struct Place {
    root: PathBuf,
    jobs: String,
    socket: TcpListener,
    platform: Running,
}

impl Place {
    fn new(folder: &Path, path: PathBuf, ledger: &ledger::Big, platform: Running) -> Result<Self, Failure> {
        let (root, jobs) = (folder.join("recordings"), folder.join("jobs.toml"));
        let text = format!(
            "[platform]\nakey = \"rehearsal\"\ncalls_per_second = 1000\n\
             [archive]\nroot = {root:?}\nledger = {path:?}\nmin_free = \"1 MiB\"\nstreams = {STREAMS}\n\
             [[job]]\nname = \"nightly\"\ndevices = \"1-{}\"\nrange = \"yesterday\"\n",
            ledger.cameras
        );
        std::fs::write(&jobs, text)?;
        let socket = TcpListener::bind(("127.0.0.1", 0))?;
        Ok(Self { root, jobs: jobs.display().to_string(), socket, platform })
    }

    /// The ledger as it was in the evening, and an archive without last night's files.
    fn ready(&self, ledger: &ledger::Big) -> Result<(), Failure> {
        if self.root.exists() {
            std::fs::remove_dir_all(&self.root)?;
        }
        // A root without its mark would be refused, as one whose disk is not mounted.
        std::fs::create_dir(&self.root)?;
        std::fs::write(self.root.join(".archive-root"), ledger::MARK)?;
        ledger.set_back()
    }

    fn archive(&self, asks: Asks, url: &str) -> Result<Child, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
        command.args(asks.arguments(&self.jobs)).arg("--quiet").env_clear();
        command.env("ARCHIVE_URL", url).env("ARCHIVE_SECRET", "rehearsal-secret");
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
    }

    /// Milliseconds from the start of a process to its first call.
    fn start(&self, asks: Asks) -> Result<f64, Failure> {
        let url = format!("http://{}/m.api", self.socket.local_addr()?);
        let begun = Instant::now();
        let mut child = self.archive(asks, &url)?;
        let (mut connection, _) = self.socket.accept()?;
        let mut first = [0; 1];
        connection.read_exact(&mut first)?;
        let took = begun.elapsed();
        send(&child, Signal::TERM)?;
        // Whoever still waits for an answer gets one; others connect in vain.
        connection.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        drop(connection);
        let status = child.wait()?;
        self.socket.set_nonblocking(true)?;
        while self.socket.accept().is_ok() {}
        self.socket.set_nonblocking(false)?;
        match status.code() {
            Some(5) => Ok(took.as_secs_f64() * 1000.0),
            _ => Err(format!("the run did not stop when it was told to, but ended with {status}").into()),
        }
    }

    /// A night that is killed with streams under way, after some have ended.
    fn kill_a_night(&self) -> Result<(), Failure> {
        let seen = self.platform.media().len();
        let mut child = self.archive(Asks::Job, &self.platform.url())?;
        let begun = Instant::now();
        while self.platform.media()[seen..].iter().filter(|event| event.media == MediaEvent::SentWhole).count() < ENDED
        {
            if begun.elapsed() > PATIENCE {
                return Err("the night does not get on".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        send(&child, Signal::KILL)?;
        child.wait()?;
        Ok(())
    }
}

fn send(child: &Child, signal: Signal) -> Result<(), Failure> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process without a number")?;
    Ok(kill_process(pid, signal)?)
}

/// The chain that the ledger's cameras belong to; a window takes two seconds.
fn chain(cameras: i64) -> Config {
    let camera = |id| CameraConfig { id, ..CameraConfig::default() };
    let nvrs = (0..(cameras + ledger::PER_NVR - 1) / ledger::PER_NVR).map(|nvr| NvrConfig {
        id: ledger::nvr(nvr),
        cameras: (1..=cameras).filter(|id| (id - 1) / ledger::PER_NVR == nvr).map(camera).collect(),
        ..NvrConfig::default()
    });
    let store = StoreConfig { id: 1, name: "chain".to_owned(), nvrs: nvrs.collect(), ..StoreConfig::default() };
    Config { stores: vec![store], speed: Speed::Times(300.0), ..Config::default() }
}

/// Median and longest of so many rounds.
fn measure(
    rounds: i64,
    prepare: impl Fn() -> Result<(), Failure>,
    start: impl Fn() -> Result<f64, Failure>,
) -> Result<[f64; 2], Failure> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        prepare()?;
        // What the last round wrote is not to be written in this one's time.
        rustix::fs::sync();
        times.push(start()?);
    }
    times.sort_by(f64::total_cmp);
    println!("{rounds} rounds: best {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]);
    Ok([times[times.len() / 2], times[times.len() - 1]])
}
