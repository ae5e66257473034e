//! `archive status`: how the archive stands, and what is still to be had.

use std::collections::BTreeMap;

use crate::cli::StatusArgs;
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::exit_code::ExitCode;
use crate::forecast::{self, NvrForecast};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::render::{self, Backlog, NvrStatus, StatusReport};
use crate::report::NvrNight;
use crate::settings::Settings;
use crate::time_range::{ALL_TIME, UtcSecond};

use super::past::Past;
use super::{context, logging, print_result, recorders, requests};

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let report = read(&settings, &ledger, requests::now(), args.runs).await?;
    print_result(&args.common, &report, || render::status(&report, settings.archive.time_zone))?;
    Ok(ExitCode::Complete)
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
    Ok(StatusReport {
        now,
        root: settings.archive.root.display().to_string(),
        ledger: settings.archive.ledger.display().to_string(),
        devices: devices.len() as u64,
        nvrs: nvrs(&devices, &map, settings, &past, forecast.nvrs, nights),
        totals: ledger.totals(devices, ALL_TIME).await?,
        backlog: forecast.all.into(),
        runs: ledger.runs(runs).await?,
    })
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
