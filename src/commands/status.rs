//! `archive status`: what runs now, how the archive stands, and what is still to be had.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::cli::StatusArgs;
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::exit_code::ExitCode;
use crate::forecast::{self, Filling, NvrForecast, Wrote};
use crate::ledger::{Holder, Ledger, LedgerError};
use crate::plan::Plan;
use crate::progress_file::ProgressFile;
use crate::recording::Source;
use crate::render::{self, Backlog, NvrStatus, RunningNow, StatusReport, Unreached};
use crate::report::NvrNight;
use crate::settings::Settings;
use crate::time_range::{ALL_TIME, UtcSecond};
use crate::underway::Underway;

use super::past::Past;
use super::{context, logging, print_result, recorders, requests, root, watch};

/// Among so many of the newest runs those that go on are looked for: a live one may go on for months of nights.
const NEWEST_RUNS: u32 = 1000;

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    if args.watch {
        return watch::watch(&args, &settings).await;
    }
    match report(&settings, args.runs).await {
        Ok(report) => {
            print_result(&args.common, &report, || render::status(&report, settings.archive.time_zone))?;
            Ok(ExitCode::Complete)
        }
        Err(error) => {
            if let Some(report) = unreached(&settings, &error) {
                print_result(&args.common, &report, || render::unreached(&report, settings.archive.time_zone))?;
            }
            Err(error)
        }
    }
}

/// What this machine alone knows, if that is an error of a server that is away.
pub(super) fn unreached(settings: &Settings, error: &anyhow::Error) -> Option<Unreached> {
    let Some(LedgerError::Unreachable { .. }) = error.downcast_ref() else { return None };
    Some(Unreached {
        now: requests::now(),
        root: settings.archive.root.display().to_string(),
        ledger: settings.archive.ledger.display(),
        unreachable: error.to_string(),
        running: running_here(&settings.archive.beside_ledger()),
    })
}

/// The runs of this machine, without the ledger: those that said how they are, and whose processes there are.
fn running_here(beside: &Path) -> Vec<RunningNow> {
    let runs = Source::ALL.into_iter().filter_map(|source| {
        let progress = said(beside, source)?;
        let pid = i32::try_from(progress.pid).ok().and_then(Pid::from_raw)?;
        // What a killed run left behind is nobody's.
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return None;
        }
        let holder = format!("process {} on this machine", progress.pid);
        Some(RunningNow { source, run: None, started: None, holder, progress: Some(progress) })
    });
    runs.collect()
}

/// What a run of that source on this machine has said last.
fn said(beside: &Path, source: Source) -> Option<Underway> {
    serde_json::from_str(&ProgressFile::beside(beside, source).read()?).ok()
}

/// All of it, with so many runs.
pub(super) async fn report(settings: &Settings, runs: u32) -> anyhow::Result<StatusReport> {
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    read(settings, &ledger, requests::now(), runs).await
}

/// How the archive stands, with its newest runs.
pub(super) async fn read(
    settings: &Settings,
    ledger: &Ledger,
    now: UtcSecond,
    runs: u32,
) -> anyhow::Result<StatusReport> {
    let known = ledger.devices().await?;
    // A chain's list has more devices than its jobs ask for.
    let devices: Vec<DeviceId> = known.iter().filter(|row| row.asked).map(|row| row.facts.device).collect();
    let map = recorders::of(settings, &known).map;
    let past = Past::read(ledger).await?;
    let backlog = Plan::of_backlog(ledger.missing(devices.clone(), ALL_TIME).await?, &map);
    let forecast = past.forecast(&backlog, settings, &map, now);
    let nights = ledger.nvr_nights(render::RECENT_RUNS).await?;
    let running = running(settings, ledger).await?;
    Ok(StatusReport {
        now,
        root: settings.archive.root.display().to_string(),
        ledger: settings.archive.ledger.display(),
        devices: devices.len() as u64,
        nvrs: nvrs(&devices, &map, settings, &past, forecast.nvrs, nights),
        totals: ledger.totals(devices, ALL_TIME).await?,
        backlog: forecast.all.into(),
        disk: disk(settings, ledger, &running, now).await?,
        runs: ledger.runs(runs).await?,
        shared: ledger.shared_work().await?,
        running,
    })
}

/// The same with what runs now, and what the disk has free.
pub(super) async fn with_what_runs(report: StatusReport, settings: &Settings) -> anyhow::Result<StatusReport> {
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let now = requests::now();
    let running = running(settings, &ledger).await?;
    Ok(StatusReport {
        now,
        disk: disk(settings, &ledger, &running, now).await?,
        runs: ledger.runs(u32::try_from(report.runs.len()).unwrap_or(u32::MAX)).await?,
        shared: ledger.shared_work().await?,
        running,
        ..report
    })
}

/// The runs that go on: those that hold the ledger.
async fn running(settings: &Settings, ledger: &Ledger) -> anyhow::Result<Vec<RunningNow>> {
    if ledger.is_shared() {
        return running_on_server(settings, ledger).await;
    }
    let (place, beside) = (&settings.archive.ledger, settings.archive.beside_ledger());
    let mut running = Vec::new();
    for source in Source::ALL {
        let Some(holder) = Ledger::holder(place, source) else { continue };
        // What a killed run left behind is another process's.
        let progress = said(&beside, source).filter(|said| Some(said.pid) == holder.pid);
        // Its row comes a moment after its hold.
        let mut newest = ledger.runs(NEWEST_RUNS).await?.into_iter();
        let row = newest.find(|row| row.source == source && row.ended.is_none() && Some(row.pid) == holder.pid);
        running.push(RunningNow {
            source,
            run: row.as_ref().map(|row| row.run),
            started: row.map(|row| row.started),
            holder: holder.to_string(),
            progress,
        });
    }
    Ok(running)
}

/// The same of a ledger that many machines share: of those on others, nobody knows how far they are.
async fn running_on_server(settings: &Settings, ledger: &Ledger) -> anyhow::Result<Vec<RunningNow>> {
    let beside = settings.archive.beside_ledger();
    let living = ledger.living().await?;
    let mut runs = ledger.runs(NEWEST_RUNS).await?;
    runs.retain(|run| run.ended.is_none() && living.iter().any(|(host, pid)| (host, *pid) == (&run.host, run.pid)));
    let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let running = runs.into_iter().map(|run| RunningNow {
        source: run.source,
        run: Some(run.run),
        started: Some(run.started),
        // Another machine may have a process of the same number.
        progress: said(&beside, run.source).filter(|said| said.pid == run.pid && run.host == here),
        holder: Holder { pid: Some(run.pid), host: run.host, since: run.started.to_string() }.to_string(),
    });
    Ok(running.collect())
}

/// How the disk fills. One that cannot be asked is no reason to say nothing of the rest.
async fn disk(
    settings: &Settings,
    ledger: &Ledger,
    running: &[RunningNow],
    now: UtcSecond,
) -> anyhow::Result<Option<Filling>> {
    let free = match root::place(&settings.archive).and_then(|root| root.free_bytes()) {
        Ok(free) => free,
        Err(error) => {
            tracing::warn!("nobody can say when the disk is full: {error}");
            return Ok(None);
        }
    };
    let (mut written, first) = ledger.written(now - forecast::LATELY_SECONDS).await?;
    written.extend(running.iter().filter_map(|run| {
        let bytes = run.progress.as_ref()?.bytes;
        Some(Wrote { from: run.started?, to: now, bytes })
    }));
    Ok(Some(Filling::of(&written, first, now, free, settings.archive.min_free)))
}

fn nvrs(
    devices: &[DeviceId],
    map: &NvrMap,
    settings: &Settings,
    past: &Past,
    forecasts: Vec<NvrForecast>,
    mut nights: BTreeMap<NvrId, Vec<NvrNight>>,
) -> BTreeMap<NvrId, NvrStatus> {
    let policy = past.policy(settings, map);
    let mut backlogs: BTreeMap<NvrId, Backlog> =
        forecasts.into_iter().map(|forecast| (forecast.nvr, forecast.outlook.into())).collect();
    let mut counts: BTreeMap<NvrId, u64> = BTreeMap::new();
    for &device in devices {
        *counts.entry(map.nvr_of(device)).or_default() += 1;
    }
    let status = |(nvr, devices): (NvrId, u64)| {
        let learned = past.learned().get(&nvr);
        let status = NvrStatus {
            devices,
            limit: learned.map(|learned| learned.limit),
            at_once: forecast::limit_of(&nvr, &policy),
            keeps: forecast::keeps_of(&nvr, &policy),
            calls: learned.map_or(0, |learned| learned.calls),
            refused: learned.map_or(0, |learned| learned.refused),
            left_alone: learned.map_or(0, |learned| learned.left_alone),
            nights: nights.remove(&nvr).unwrap_or_default(),
            backlog: backlogs.remove(&nvr).unwrap_or_default(),
        };
        (nvr, status)
    };
    counts.into_iter().map(status).collect()
}
