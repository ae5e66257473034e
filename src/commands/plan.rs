//! `archive plan`, and `--dry-run`: what a run would do, and no more. Changes nothing, and calls nobody.

use std::collections::BTreeMap;

use crate::cli::{Common, PlanArgs, Selection};
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::plan::{History, Plan, Rate, Width};
use crate::render::{self, PlanReport};
use crate::run::planning;
use crate::settings::Settings;

use super::requests::{self, Requests};
use super::zones::Zones;
use super::{context, logging, print_result, recorders};

/// From how many of the newest attempts a forecast is made.
const HISTORY_ATTEMPTS: u32 = 20_000;

pub(super) async fn run(args: PlanArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    match args.file {
        Some(file) => show_jobs(&args.jobs, &Common { config: Some(file), ..args.common }).await,
        None => show_selection(&args.selection, &args.common).await,
    }
}

pub(super) async fn show_selection(selection: &Selection, common: &Common) -> anyhow::Result<ExitCode> {
    let settings = context::settings(common)?;
    let requests = requests::of_selection(selection, &Zones::read(&settings).await?, requests::now())?;
    show(common, &settings, requests).await
}

pub(super) async fn show_jobs(jobs: &[String], common: &Common) -> anyhow::Result<ExitCode> {
    let settings = context::settings(common)?;
    let requests = requests::of_jobs(&settings, jobs, &Zones::read(&settings).await?, requests::now())?;
    show(common, &settings, requests).await
}

async fn show(common: &Common, settings: &Settings, requests: Requests) -> anyhow::Result<ExitCode> {
    let (plan, history) = if settings.archive.ledger.try_exists()? {
        let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
        let nvrs = recorders::read(settings, &ledger).await?.map;
        (planning::plan(&ledger, &requests.asked, &nvrs).await?, history(&ledger).await?)
    } else {
        (Plan::new(&requests.asked, &BTreeMap::new(), &settings.nvr_map()), History::default())
    };
    let width = Width { streams: settings.archive.streams, per_nvr: settings.archive.per_nvr };
    let report = PlanReport {
        windows: plan.windows(),
        seconds: plan.seconds(),
        coverage: plan.coverage(),
        forecast: plan.forecast(&history, width),
        notes: requests.notes,
        devices: plan.devices,
    };
    print_result(common, &report, || render::plan(&report, settings.archive.time_zone))?;
    Ok(ExitCode::Complete)
}

async fn history(ledger: &Ledger) -> anyhow::Result<History> {
    let rows = ledger.history(HISTORY_ATTEMPTS).await?;
    let by_device: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let rate =
                Rate { bytes_per_second: row.bytes_per_second, fetch_seconds_per_second: row.seconds_per_second };
            (row.device, rate)
        })
        .collect();
    let attempts: f64 = rows.iter().map(|row| row.attempts as f64).sum();
    let mean = |value: fn(&crate::report::DeviceHistory) -> f64| {
        rows.iter().map(|row| value(row) * row.attempts as f64).sum::<f64>() / attempts
    };
    let overall = (attempts > 0.0).then(|| Rate {
        bytes_per_second: mean(|row| row.bytes_per_second),
        fetch_seconds_per_second: mean(|row| row.seconds_per_second),
    });
    Ok(History { overall, by_device })
}
