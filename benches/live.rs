//! What a live run takes while it goes on for a day with fifty cameras at once: memory after each hour, processor time, and
//! whether all of it is archived.
//!
//! The simulated platform is a process of its own. Its cameras' clocks run many times too fast, and so does the recording
//! program's, which is in this process: so what is measured here is the recording, and the day takes minutes.
//!
//! `cargo bench --bench live` prints its figures last. `LIVE_HOURS` (24), `LIVE_CAMERAS` (50) and `LIVE_SPEED` (240) make it
//! shorter or slower. What is published is deleted on the way, so that a day fits on any disk.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use archive::clock::WallClock;
use archive::device::DeviceId;
use archive::event::Event;
use archive::ledger::Ledger;
use archive::live::{Camera, LiveJob, LiveTools, execute};
use archive::platform::client::{Account, Client};
use archive::platform::guard::Guard;
use archive::platform::media::{MediaClient, Patience};
use archive::platform::sign::Algorithm;
use archive::time_range::UtcSecond;
use archive::transfers::Transfers;
use archive::vault::Vault;
use chrono_tz::Asia::Shanghai;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

/// 2026-11-20T00:00:00Z.
const START: UtcSecond = UtcSecond::new(1_795_132_800);
const PATIENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn setting(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (hours, cameras) = (setting("LIVE_HOURS", 24), setting("LIVE_CAMERAS", 50));
    let speed = setting("LIVE_SPEED", 240) as f64;
    let folder = tempfile::tempdir()?;
    let mut platform = Platform::start(folder.path(), cameras, speed)?;
    let clock = WallClock::simulated(START.into(), speed);
    let (tools, events) = tools(folder.path(), &platform.url, clock)?;
    let before = processor_seconds()?;
    let watching = tokio::spawn(watch(events, tools.vault.clone(), clock, hours));
    let summary = execute(job(cameras, hours), tools).await?;
    let memory = watching.await??;
    let processor = processor_seconds()? - before;
    platform.process.kill()?;
    platform.process.wait()?;

    for (hour, mebibytes) in memory.iter().enumerate() {
        println!("after {:>2} h: {mebibytes:.1} MiB", hour + 1);
    }
    let figure = |name: &str, value: f64, unit: &str| println!("figure live/{name} {value:.2} {unit}");
    figure("memory_after_first_hour", memory.first().copied().unwrap_or_default(), "MiB");
    figure("memory_after_last_hour", memory.last().copied().unwrap_or_default(), "MiB");
    figure("most_memory", most_memory()?, "MiB");
    figure("archived", summary.archived_seconds as f64 * 100.0 / summary.asked_seconds as f64, "%");
    figure("pieces", summary.recordings as f64, "files");
    figure("bytes", summary.bytes as f64 / f64::from(1 << 30), "GiB");
    figure("processor_per_camera_hour", processor * 1000.0 / (cameras * hours) as f64, "ms");
    Ok(())
}

/// Takes down the memory after each hour, and deletes what is published.
async fn watch(
    mut events: UnboundedReceiver<Event>,
    vault: Vault,
    clock: WallClock,
    hours: i64,
) -> Result<Vec<f64>, Failure> {
    let mut memory = Vec::new();
    while let Some(event) = events.recv().await {
        let Event::LiveArchived { recording } = event else { continue };
        for day in vault.days_of(recording.device)? {
            for found in vault.recordings_of_day(recording.device, day)? {
                std::fs::remove_file(vault.path_of(&found.path))?;
            }
        }
        let past = (clock.now().to_utc_second() - START) / 3600;
        while (memory.len() as i64) < past.min(hours) {
            memory.push(memory_of("VmRSS")?);
        }
    }
    Ok(memory)
}

struct Platform {
    process: Child,
    url: String,
}

impl Platform {
    fn start(folder: &Path, cameras: i64, speed: f64) -> Result<Self, Failure> {
        let ids: Vec<String> = (1..=cameras).map(|id| format!("{{ id = {id} }}")).collect();
        let from = START.to_datetime().format("%Y-%m-%dT%H:%M:%SZ");
        let config = format!(
            "live_speed = {speed:.1}\nlive_from = \"{from}\"\nchannel_life = \"10m\"\n[[stores]]\nid = 1\nname = \"store\"\n\
             [[stores.nvrs]]\nid = \"nvr\"\ncameras = [{}]\n",
            ids.join(", ")
        );
        let file = folder.join("platform.toml");
        std::fs::write(&file, config)?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_archive"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--akey", "bench", "--secret", "bench", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("the platform has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let url = line.trim().rsplit(' ').next().ok_or("the platform did not say where it is")?.to_owned();
        Ok(Self { process, url })
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // OK to ignore: it is gone already, if all went well.
        let _ = self.process.kill();
    }
}

fn tools(folder: &Path, url: &str, clock: WallClock) -> Result<(LiveTools, UnboundedReceiver<Event>), Failure> {
    let account = Account {
        url: url.to_owned(),
        aid: "S107".to_owned(),
        akey: "bench".to_owned(),
        secret: "bench".into(),
        algorithm: Algorithm::Md5,
        time_zone: Shanghai,
        timestamp_zone: Shanghai,
        calls_per_second: 1000.0,
        versions: BTreeMap::new(),
        bodies: BTreeMap::new(),
        call_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        login: None,
    };
    let root = folder.join("recordings");
    let guard = Guard::new(&url.parse()?, &[]);
    let vault = Vault::open(&root)?;
    let (events, seen) = mpsc::unbounded_channel();
    let tools = LiveTools {
        ledger: Arc::new(Ledger::open(root.join("ledger.db"))?),
        vault,
        client: Arc::new(Client::new(account)?),
        media: MediaClient::new(Patience { connect: PATIENCE, first_byte: PATIENCE, stall: PATIENCE }, guard)?,
        transfers: Arc::new(Transfers::start()?),
        events,
        stop: CancellationToken::new(),
        clock,
    };
    Ok((tools, seen))
}

fn job(cameras: i64, hours: i64) -> LiveJob {
    let camera = Camera {
        zone: Shanghai,
        secondary: false,
        hours: Vec::new(),
        until: Some(START + hours * 3600),
        until_is_relative: false,
    };
    LiveJob {
        what: "bench".to_owned(),
        cameras: (1..=cameras).filter_map(|id| Some((DeviceId::new(id)?, camera.clone()))).collect(),
        platform_zone: Shanghai,
        tolerance_seconds: 5,
        stall: PATIENCE,
        min_free: 0,
        keep_attempts: Duration::from_secs(90 * 86_400),
        lease: archive::lease::LeaseTimes::default(),
        catalog_every: std::time::Duration::from_secs(3_600),
        seed: 1,
    }
}

/// A line of the system's account of this process, in MiB.
fn memory_of(line: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|said| said.strip_prefix(line)?.strip_prefix(':'));
    let kibibytes: f64 = found.and_then(|value| value.split_whitespace().next()).ok_or("no such line")?.parse()?;
    Ok(kibibytes / 1024.0)
}

fn most_memory() -> Result<f64, Failure> {
    memory_of("VmHWM")
}

/// Processor time of this process so far, in the system's ticks of a hundredth of a second.
fn processor_seconds() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = status.rsplit(')').next().ok_or("no processor time")?;
    let ticks: Vec<&str> = after_name.split_whitespace().collect();
    let sum = |first: usize| ticks.get(first).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    // Fields 14 and 15 of the line, counted from the process's number.
    Ok((sum(11) + sum(12)) / 100.0)
}
