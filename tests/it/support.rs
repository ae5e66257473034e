//! A simulated platform, a folder for an archive, and the real program between them.

#[allow(dead_code, reason = "not all that use this file do")]
#[path = "stores.rs"]
pub mod stores;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use archive::device::DeviceId;
use archive::ledger::Ledger;
use archive::platform::client::{Account, Client};
use archive::platform::guard::Guard;
use archive::platform::sign::Algorithm;
use archive::recording::{ContentHash, Recording};
use archive::sim::config::{CameraConfig, NvrConfig, StoreConfig};
use archive::sim::{Config, Running, start};
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use chrono_tz::Asia::Shanghai;

use stores::Stores;

/// What the simulated platform's account is called, and what must never be seen.
pub const KEY: &str = "rehearsal";
pub const SECRET: &str = "rehearsal-secret";

/// How long a test waits for something that must come, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings under which a refused call is tried again within milliseconds.
const QUICK: &str = r#"
[platform]
calls_per_second = 1000
[archive]
min_free = "1 MiB"
stall_timeout = "2s"
[retry]
first_delay = "20ms"
max_delay = "200ms"
recheck_after = "50ms"
attempts = 12
"#;

pub fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

pub fn range(start: UtcSecond, seconds: i64) -> TimeRange {
    TimeRange::new(start, start + seconds).expect("a range holds a second")
}

/// A mark of the grid a day ago: settled, and kept by every recorder. The same for as long as the tests run.
pub fn yesterday() -> UtcSecond {
    static YESTERDAY: OnceLock<UtcSecond> = OnceLock::new();
    *YESTERDAY.get_or_init(|| {
        let now = chrono::Utc::now().timestamp();
        UtcSecond::new((now - 86_400).div_euclid(GRID_SECONDS) * GRID_SECONDS)
    })
}

/// One store with these recorders: so many channels, these cameras.
pub fn fleet(nvrs: &[(u32, &[i64])]) -> Config {
    let nvr = |(index, (channels, cameras)): (usize, &(u32, &[i64]))| NvrConfig {
        id: format!("nvr-{index}"),
        channels: *channels,
        cameras: cameras.iter().map(|&id| CameraConfig { id, ..CameraConfig::default() }).collect(),
        ..NvrConfig::default()
    };
    let nvrs = nvrs.iter().enumerate().map(nvr).collect();
    let store = StoreConfig { id: 1, name: "store".into(), nvrs, ..StoreConfig::default() };
    Config { stores: vec![store], ..Config::default() }
}

/// What lets media of a platform pass.
pub fn guard(platform: &Running) -> Guard {
    Guard::new(&platform.url().parse().expect("a URL"), &[])
}

/// A platform, and an archive.
pub struct Place {
    pub platform: Running,
    pub stores: Stores,
    folder: tempfile::TempDir,
}

impl Place {
    pub async fn new(config: Config) -> Self {
        Self::with_settings(config, "").await
    }

    /// `more` is added to the settings file, whose last section is `[retry]`.
    pub async fn with_settings(config: Config, more: &str) -> Self {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let platform = start(config, here).await.expect("a platform on a free port");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("settings.toml"), format!("{QUICK}{more}")).expect("a file can be written");
        let place = Self { platform, stores: Stores::new(folder.path()), folder };
        place.set_in_archive(place.stores.settings());
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds lines below `[archive]` in the settings file.
    pub fn set_in_archive(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let file = self.path().join("settings.toml");
        let settings = std::fs::read_to_string(&file).expect("it was written");
        let settings = settings.replace("[archive]\n", &format!("[archive]\n{lines}\n"));
        std::fs::write(&file, settings).expect("it can be written");
    }

    pub fn root(&self) -> PathBuf {
        self.path().join("recordings")
    }

    /// In the root, unless a test put it elsewhere.
    pub fn ledger_path(&self) -> PathBuf {
        self.stores.ledger_path()
    }

    /// What calls the platform, in this process.
    pub fn client(&self) -> Client {
        let account = Account {
            url: self.platform.url(),
            aid: "S107".to_owned(),
            akey: KEY.to_owned(),
            secret: SECRET.into(),
            algorithm: Algorithm::Md5,
            time_zone: Shanghai,
            timestamp_zone: Shanghai,
            calls_per_second: 1000.0,
            versions: BTreeMap::new(),
            call_timeout: PATIENCE,
            connect_timeout: PATIENCE,
            login: None,
            bodies: BTreeMap::new(),
        };
        Client::new(account).expect("a client")
    }

    /// What lets media of the platform pass.
    pub fn guard(&self) -> Guard {
        guard(&self.platform)
    }

    /// The program, in an environment that holds nothing but what it is told here.
    pub fn archive(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
        command
            .args(arguments)
            .env_clear()
            .env("ARCHIVE_URL", self.platform.url())
            .env("ARCHIVE_AKEY", KEY)
            .env("ARCHIVE_SECRET", SECRET)
            .env("ARCHIVE_CONFIG", self.path().join("settings.toml"))
            .envs(self.stores.environment())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A one-off for these devices and this time.
    pub fn fetch(&self, devices: &str, range: TimeRange) -> Command {
        let (from, to) = (range.start().to_string(), range.end().to_string());
        self.archive(&["--device", devices, "--from", &from, "--to", &to])
    }

    pub fn read_ledger(&self) -> Ledger {
        Ledger::open_read_only(self.stores.ledger()).expect("the ledger is there and can be read")
    }

    pub fn has_ledger(&self) -> bool {
        Ledger::is_there(&self.stores.ledger()).expect("its place can be looked at")
    }

    /// The ledger's recordings of these devices, whatever their time.
    pub async fn recordings(&self, devices: &[i64]) -> Vec<Recording> {
        if !self.has_ledger() {
            return Vec::new();
        }
        let ledger = self.read_ledger();
        let ever = range(UtcSecond::new(0), 253_402_300_800);
        let mut all = Vec::new();
        for &number in devices {
            all.extend(ledger.recordings_overlapping(device(number), ever).await.expect("the ledger answers"));
        }
        all
    }

    /// What the ledger says is archived of a device.
    pub async fn archived(&self, number: i64) -> RangeSet {
        self.recordings(&[number]).await.into_iter().map(|recording| recording.range).collect()
    }

    /// Every media file of the archive, published or not, by its name below the root, with its hash.
    pub fn files(&self) -> BTreeMap<String, ContentHash> {
        let hash = |name: String| {
            let bytes = self.stores.read(&name)?;
            Some((name, ContentHash(*blake3::hash(&bytes).as_bytes())))
        };
        self.stores.all().into_keys().filter_map(hash).collect()
    }

    /// Invariants 1 to 3 of the design: each row has its file, with that size and hash; no other media file lies below the
    /// root; recordings of one device do not overlap.
    pub async fn assert_true(&self, devices: &[i64]) {
        let (rows, seen, mut files) = (self.recordings(devices).await, self.stores.all(), self.files());
        for row in &rows {
            let hash = files.remove(&row.path);
            assert_eq!(hash, Some(row.blake3), "{} is not what its row says", row.path);
            assert_eq!(seen[&row.path].bytes, row.bytes, "{}", row.path);
        }
        assert!(files.is_empty(), "files without a row: {files:?}");
        for pair in rows.windows(2).filter(|pair| pair[0].device == pair[1].device) {
            assert!(pair[0].range.end() <= pair[1].range.start(), "{} and {} overlap", pair[0].path, pair[1].path);
        }
    }
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Output {
    command.output().expect("the program starts")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command to its end, which must be this exit code.
pub fn expect_code(command: Command, expected: i32) -> Output {
    let output = finish(command);
    assert_eq!(code(&output), expected, "{}\n{}", stdout(&output), stderr(&output));
    output
}

/// Waits until `ready` says so; `what` is told when it never does.
pub async fn until(what: &str, ready: impl FnMut() -> bool) {
    until_within(PATIENCE, what, ready).await;
}

/// The same of something that takes long.
pub async fn until_within(patience: Duration, what: &str, mut ready: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let wait = async {
        while !ready() {
            tick.tick().await;
        }
    };
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "in vain: waited until {what}");
}

/// Waits for a child without holding up the platform, which runs on the same threads.
pub async fn ended(child: Child) -> Output {
    ended_within(PATIENCE, child).await
}

/// The same of one that takes long.
pub async fn ended_within(patience: Duration, child: Child) -> Output {
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = tokio::time::timeout(patience, waiting).await.expect("the program ends");
    output.expect("the waiting thread lives").expect("the program can be waited for")
}

/// A child that has sent nothing yet, with a signal for it.
pub fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process has a number");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}
