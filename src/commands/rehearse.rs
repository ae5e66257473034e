//! `archive rehearse`: the main job against the simulated platform, in this process. Needs no account.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use crate::bandwidth::Ceilings;
use crate::cli::{Common, RehearseArgs};
use crate::device::NvrId;
use crate::exit_code::ExitCode;
use crate::instant::Instant;
use crate::ledger::Ledger;
use crate::ledger_place::LedgerUrl;
use crate::render;
use crate::report::GapQuery;
use crate::settings::{Credentials, Flags, NoticeSettings, Settings};
use crate::sim::config::{CameraConfig, Hidden, LoginConfig, NvrConfig, StoreConfig};
use crate::sim::moment::Length;
use crate::sim::{self, Config};
use crate::time_range::UtcSecond;

use super::requests::{self, Requests};
use super::zones::Zones;
use super::{UsageError, context, logging, print, print_result, simulate, telling, work};

/// The jobs that are rehearsed when no file is named.
const BUILT_IN: &str = include_str!("rehearse.toml");

/// What the simulated platform knows; a real secret is never asked for, and never sent to it.
const KEY: &str = "rehearsal";
const SECRET: &str = "rehearsal-secret";
const PASSWORD: &str = "rehearsal-password";

pub(super) async fn run(args: RehearseArgs) -> anyhow::Result<ExitCode> {
    let style = logging::start(&args.common);
    // Read once, so that a midnight in between does not put the hole on another day than the jobs.
    let now = Utc::now();
    let root = root(&args.common, now)?;
    let (mut settings, credentials, config) = match &args.file {
        Some(file) => own_file(file, &args.common, &root)?,
        None => built_in(&args.common, &root, now)?,
    };
    let config = Config { seed: args.seed, faults: simulate::profile(args.faults), ..config };
    let platform = sim::start(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    settings.platform.url = platform.url().parse().context("the simulated platform's address is no URL")?;
    if !args.common.json {
        print(&format!("rehearsing against a simulated platform at {}\n", platform.url()))?;
    }
    let zones = Zones::read(&settings).await?;
    let requests = requests::of_jobs(&settings, &[], &zones, UtcSecond::floor(now))?;
    let code = rehearse(&args.common, style, &settings, credentials, requests).await;
    platform.shutdown().await;
    code
}

async fn rehearse(
    common: &Common,
    style: crate::display::Style,
    settings: &Settings,
    credentials: Credentials,
    requests: Requests,
) -> anyhow::Result<ExitCode> {
    let (what, began) = (requests.what.clone(), requests::now());
    let asked = requests.asked.keys().copied().collect();
    let ran = work::execute(style, settings, context::clients(settings, credentials), requests, None).await?;
    let summary = ran.summary?;
    let code = ExitCode::of_run(&summary);
    let notice = telling::of_summary(settings, &what, began, &asked, summary).await;
    let asked_seconds = notice.summary.as_ref().map_or(0, |summary| summary.asked_seconds);
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let gaps = ledger.gaps(GapQuery::default()).await?;
    let (root, ledger) = (settings.archive.root.display(), settings.archive.ledger.display());
    print_result(common, &notice, || {
        format!(
            "{}\n{}\n\
             files   {root}\n\
             ledger  {ledger}   (sqlite3 {ledger} 'select * from gaps')\n\n\
             On a real account: copy jobs.example.toml to jobs.toml, fill it in, and\n\
             \x20   ARCHIVE_SECRET=… archive plan jobs.toml && ARCHIVE_SECRET=… archive run jobs.toml\n",
            render::notice(&notice),
            render::gaps(&gaps, asked_seconds, 0),
        )
    })?;
    Ok(code)
}

/// The folder that was asked for, or a new one. It must be empty: footage of a rehearsal in a real archive would pass for
/// evidence.
fn root(common: &Common, now: DateTime<Utc>) -> anyhow::Result<PathBuf> {
    let name = format!("archive-rehearsal-{}-{}", now.format("%Y%m%dT%H%M%SZ"), std::process::id());
    let root = common.root.as_ref().map_or_else(|| std::env::temp_dir().join(name), PathBuf::from);
    if root.to_string_lossy().contains("://") {
        return Err(UsageError(format!("{} is no folder, and a rehearsal wants one", root.display())).into());
    }
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make the rehearsal's folder {}", root.display()))?;
    let mut entries =
        std::fs::read_dir(&root).with_context(|| format!("cannot read the rehearsal's folder {}", root.display()))?;
    if entries.next().is_some() {
        let mistake = format!("{} is not empty: a rehearsal wants a folder of its own", root.display());
        return Err(UsageError(mistake).into());
    }
    if common.ledger.as_ref().is_some_and(|ledger| LedgerUrl::is_one(ledger)) {
        return Err(UsageError("a rehearsal wants a ledger of its own, in a file".to_owned()).into());
    }
    if let Some(ledger) = common.ledger.as_ref().filter(|ledger| Path::new(ledger).exists()) {
        return Err(UsageError(format!("{ledger} is there already: a rehearsal wants a ledger of its own")).into());
    }
    Ok(root)
}

/// The built-in jobs, written below the root so that a person can read them, and the set-up that belongs to them.
fn built_in(common: &Common, root: &Path, now: DateTime<Utc>) -> anyhow::Result<(Settings, Credentials, Config)> {
    let file = root.join("jobs.toml");
    std::fs::write(&file, BUILT_IN).with_context(|| format!("cannot write {}", file.display()))?;
    let (settings, credentials) = load(&file, common, root)?;
    let config = Config::rehearsal(Instant::from_millis(now.timestamp_millis()));
    Ok((settings, credentials, config))
}

/// Somebody's own jobs, and a set-up in which their devices exist, their NVRs as the file has them.
fn own_file(file: &Path, common: &Common, root: &Path) -> anyhow::Result<(Settings, Credentials, Config)> {
    let (mut settings, credentials) = load(file, common, root)?;
    // A rehearsal is to end while somebody looks on.
    settings.retry.first_delay = Duration::from_millis(200);
    settings.retry.max_delay = Duration::from_secs(2);
    settings.retry.recheck_after = Duration::from_secs(1);
    settings.platform.calls_per_second = 200.0;
    settings.archive.bandwidth = Ceilings::None;
    settings.platform.timestamp_zone = settings.platform.time_zone;
    settings.platform.versions.clear();
    settings.platform.bodies.clear();
    let config = Config {
        aid: settings.platform.aid.clone(),
        zone: settings.platform.time_zone,
        login: credentials.login.as_ref().map(|login| LoginConfig {
            user: login.user.clone(),
            password: Hidden::new(PASSWORD),
            token_life: Length::seconds(86_400),
        }),
        stores: vec![store(&settings)],
        ..Config::default()
    };
    Ok((settings, credentials, config))
}

fn load(file: &Path, common: &Common, root: &Path) -> anyhow::Result<(Settings, Credentials)> {
    let flags = Flags {
        config: Some(file.to_owned()),
        akey: Some(KEY.to_owned()),
        root: Some(root.display().to_string()),
        ledger: Some(common.ledger.clone().unwrap_or_else(|| root.join("ledger.db").display().to_string())),
        ..context::flags(common)
    };
    let environment = |name: &str| match name {
        "ARCHIVE_SECRET" => Some(SECRET.to_owned()),
        "ARCHIVE_PASSWORD" => Some(PASSWORD.to_owned()),
        _ => None,
    };
    let (mut settings, credentials) = Settings::load_with_credentials(&flags, &environment)?;
    // Nobody is told of a rehearsal, and nothing of it is copied elsewhere.
    settings.notices = NoticeSettings::default();
    settings.archive.metrics_file = None;
    Ok((settings, credentials))
}

/// One store with the NVRs of the settings; a device that hangs off none of them gets one of its own.
fn store(settings: &Settings) -> StoreConfig {
    let map = settings.nvr_map();
    let devices = settings.jobs.iter().flat_map(|job| &job.devices).copied();
    let mut nvrs: BTreeMap<NvrId, NvrConfig> = BTreeMap::new();
    for device in devices.collect::<BTreeSet<_>>() {
        let id = map.nvr_of(device);
        let nvr = nvrs.entry(id.clone()).or_insert_with(|| NvrConfig { id: id.to_string(), ..NvrConfig::default() });
        nvr.cameras.push(CameraConfig { id: device.get(), ..CameraConfig::default() });
    }
    StoreConfig { id: 1, name: "rehearsal".to_owned(), nvrs: nvrs.into_values().collect(), ..StoreConfig::default() }
}
