//! `archive init`: a first file of jobs, over all cameras that the platform lists or the ledger knows.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::InitArgs;
use crate::device::{DeviceId, NvrId};
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::nvrs::Nvrs;
use crate::render::{self, CameraEntry, JobsFile, NvrEntry};
use crate::report::{DeviceFacts, DeviceRow};
use crate::settings::{Credentials, LoginKind, Settings, Signature};
use crate::wording;

use super::{UsageError, context, logging, print_result, refresh, requests};

/// What was written.
#[derive(Serialize)]
struct Written {
    file: String,
    cameras: u64,
    nvrs: u64,
    /// Cameras of which nobody knows the NVR.
    alone: u64,
    /// Stores that the platform refused to list.
    refused_stores: u64,
}

pub(super) async fn run(args: InitArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    refuse_to_overwrite(&args.output)?;
    let (settings, credentials, rows, refused_stores) = if args.from_ledger {
        let settings = context::settings(&args.common)?;
        let rows = Ledger::open_read_only(&settings.archive.ledger)?.devices().await?;
        (settings, None, rows, 0)
    } else {
        let (settings, credentials) = context::settings_with_credentials(&args.common)?;
        let (devices, refused) = refresh::list(&args.common, &settings, credentials.clone()).await?;
        (settings, Some(credentials), devices.into_iter().map(row).collect(), refused)
    };
    // A camera may be listed twice, in two stores.
    let rows: BTreeMap<DeviceId, DeviceRow> = rows.into_iter().map(|row| (row.facts.device, row)).collect();
    let rows: Vec<DeviceRow> = rows.into_values().collect();
    if rows.is_empty() {
        let nothing = "the ledger knows no camera: leave --from-ledger out, and the platform is asked for its list";
        return Err(UsageError(nothing.to_owned()).into());
    }
    let mut file = cameras(&settings, &rows);
    let whose = if args.from_ledger { "the ledger knows" } else { "the platform lists" };
    let counted = wording::count(rows.len() as u64, "camera");
    let now = requests::now().to_datetime().with_timezone(&settings.archive.time_zone);
    file.made = format!("{counted}, as {whose} them on {}", now.format("%Y-%m-%d"));
    (file.platform, file.login) = platform(&settings, credentials.as_ref());
    file.secret_file = secret_file();
    file.archive = archive(&settings);
    write(&args.output, &file)?;
    let written = Written {
        file: args.output.display().to_string(),
        cameras: rows.len() as u64,
        nvrs: file.nvrs.len() as u64,
        alone: file.alone.len() as u64,
        refused_stores,
    };
    print_result(&args.common, &written, || text(&written))?;
    Ok(if refused_stores == 0 { ExitCode::Complete } else { ExitCode::Failure })
}

fn refuse_to_overwrite(path: &Path) -> anyhow::Result<()> {
    // A link that leads nowhere is there too.
    if path.symlink_metadata().is_ok() {
        let mistake = format!("{} is there already, and stays as it is: name another file with -o", path.display());
        return Err(UsageError(mistake).into());
    }
    Ok(())
}

/// What the platform listed just now, as the ledger would have it.
fn row(facts: DeviceFacts) -> DeviceRow {
    DeviceRow { facts, macs: None, zone: String::new(), asked: false }
}

/// The cameras by their recorders, store by store.
fn cameras(settings: &Settings, rows: &[DeviceRow]) -> JobsFile {
    let map = Nvrs::decide(&settings.nvr_map(), rows).map;
    let mut nvrs: BTreeMap<NvrId, Vec<&DeviceRow>> = BTreeMap::new();
    let mut file = JobsFile::default();
    for row in rows {
        match map.known(row.facts.device) {
            Some(nvr) => nvrs.entry(nvr.clone()).or_default().push(row),
            None => file.alone.push(camera(row)),
        }
    }
    for (nvr, rows) in nvrs {
        let store = map.store_of(&nvr).map(str::to_owned);
        let store_name = rows.iter().find_map(|row| row.facts.store.clone());
        let cameras = rows.into_iter().map(camera).collect();
        file.nvrs.push(NvrEntry { name: nvr.to_string(), store, store_name, cameras });
    }
    let number = |nvr: &NvrEntry| nvr.store.as_ref().and_then(|store| store.parse::<i64>().ok()).unwrap_or(i64::MAX);
    file.nvrs.sort_by(|a, b| (number(a), &a.store, &a.name).cmp(&(number(b), &b.store, &b.name)));
    file
}

fn camera(row: &DeviceRow) -> CameraEntry {
    let facts = &row.facts;
    CameraEntry { device: facts.device, name: facts.name.clone(), is_offline: facts.online == Some(false) }
}

type Pairs = Vec<(&'static str, String)>;

/// What of `[platform]` and its login is not as it is by default.
fn platform(settings: &Settings, credentials: Option<&Credentials>) -> (Pairs, Pairs) {
    let set = &settings.platform;
    let zone = |zone: chrono_tz::Tz| zone.name().to_owned();
    let mut pairs = vec![("url", set.url.to_string()), ("aid", set.aid.clone())];
    pairs.extend(credentials.map(|credentials| ("akey", credentials.akey.clone())));
    pairs.extend((set.signature == Signature::Sha1).then(|| ("signature", "sha1".to_owned())));
    pairs.push(("time_zone", zone(set.time_zone)));
    pairs.push(("timestamp_zone", zone(set.timestamp_zone)));
    let Some(login) = credentials.and_then(|credentials| credentials.login.as_ref()) else {
        return (pairs, Vec::new());
    };
    let kind = match login.kind {
        LoginKind::Mobile => "mobile",
        LoginKind::Sso => "sso",
    };
    (pairs, vec![("kind", kind.to_owned()), ("user", login.user.clone())])
}

/// Where the secret is, or is to be put.
fn secret_file() -> String {
    context::environment("ARCHIVE_SECRET_FILE")
        .filter(|file| !file.is_empty())
        .unwrap_or_else(|| "archive.secret".to_owned())
}

fn archive(settings: &Settings) -> Pairs {
    let set = &settings.archive;
    let mut pairs = vec![("root", set.root.display().to_string())];
    if set.ledger != set.root.join("ledger.db").into() {
        pairs.push(("ledger", set.ledger.setting()));
    }
    // Else what the ledger knows of a camera comes first.
    pairs.extend(set.time_zone_is_stated.then(|| ("time_zone", set.time_zone.name().to_owned())));
    pairs
}

/// Writes the file, once it is known that a run would read it as it is meant.
fn write(path: &Path, file: &JobsFile) -> anyhow::Result<()> {
    let text = render::jobs_file(file);
    let shown = path.display();
    let read = Settings::of_text(&shown.to_string(), &text)
        .context("what would be written is no file of jobs, which is a defect of this program: please report it")?;
    let devices = read.jobs.iter().flat_map(|job| &job.devices).copied().collect();
    anyhow::ensure!(
        render::cameras_of(file) == devices && read.nvrs.len() == file.nvrs.len(),
        "what would be written names other cameras, which is a defect of this program: please report it"
    );
    let cannot = || format!("cannot write {shown}");
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)
}

fn text(written: &Written) -> String {
    let Written { file, cameras, nvrs, alone, .. } = written;
    let alone = match alone {
        0 => String::new(),
        alone => format!(", {alone} of them without a known NVR"),
    };
    format!(
        "wrote {file}: {} on {}{alone}\n\
         Put the secret into {} (chmod 600), or leave it in ARCHIVE_SECRET. Then:\n\
         \x20   archive check {file}\n\x20   archive plan {file}\n\x20   archive run {file}\n",
        wording::count(*cameras, "camera"),
        wording::count(*nvrs, "NVR"),
        secret_file(),
    )
}
