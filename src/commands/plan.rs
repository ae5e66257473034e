//! `archive plan`, and `--dry-run`: what a run would do, and no more. Changes nothing, and calls nobody.

use std::collections::BTreeMap;

use crate::cli::{Common, PlanArgs, Selection};
use crate::exit_code::ExitCode;
use crate::forecast::{Disk, Forecast};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::render::{self, PlanReport};
use crate::run::planning;
use crate::settings::Settings;

use super::past::Past;
use super::requests::{self, Requests};
use super::zones::Zones;
use super::{context, logging, print_result, recorders, root};

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
    let report = forecast(settings, requests).await?;
    print_result(common, &report, || render::plan(&report, settings.archive.time_zone))?;
    Ok(ExitCode::Complete)
}

/// What a run of these requests would fetch, and what that takes.
pub(super) async fn forecast(settings: &Settings, requests: Requests) -> anyhow::Result<PlanReport> {
    let now = requests::now();
    let (plan, nvrs, past) = if Ledger::is_there(&settings.archive.ledger)? {
        let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
        let nvrs = recorders::read(settings, &ledger).await?.map;
        (planning::plan(&ledger, &requests.asked, &nvrs).await?, nvrs, Past::read(&ledger).await?)
    } else {
        let nvrs = settings.nvr_map();
        (Plan::new(&requests.asked, &BTreeMap::new(), &nvrs), nvrs, Past::default())
    };
    let forecast = past.forecast(&plan, settings, &nvrs, now);
    Ok(PlanReport {
        now,
        coverage: plan.coverage(),
        outlook: forecast.all,
        disk: disk(settings, &forecast),
        notes: requests.notes,
        nvrs: forecast.nvrs,
        devices: plan.devices,
    })
}

/// Whether the disk holds it. A disk that cannot be asked is no reason to say nothing of the plan.
fn disk(settings: &Settings, forecast: &Forecast) -> Option<Disk> {
    match root::place(&settings.archive).and_then(|root| root.free_bytes()) {
        Ok(free_bytes) => Some(forecast.on_disk(free_bytes, settings.archive.min_free)),
        Err(error) => {
            tracing::warn!("nobody can say whether the disk holds it: {error}");
            None
        }
    }
}
