//! `archive run jobs.toml`

use crate::cli::{Common, RunArgs};
use crate::display::Style;
use crate::exit_code::ExitCode;
use crate::settings::{Credentials, Settings};

use super::telling::{self, Ran, Telling};
use super::zones::Zones;
use super::{context, logging, plan, requests, work};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let style = logging::start(&args.common);
    let common = Common { config: Some(args.file), ..args.common };
    if args.dry_run {
        return plan::show_jobs(&args.jobs, &common).await;
    }
    let (settings, credentials) = match context::settings_with_credentials(&common) {
        Ok(loaded) => loaded,
        Err(error) => return Err(telling::not_begun(&common, &args.jobs, error).await),
    };
    let all = settings.jobs.iter().map(|job| &job.name);
    let telling = Telling::of_jobs(&common, &settings, "run", &args.jobs, all);
    telling.end(fetch(style, &settings, credentials, &args.jobs).await).await
}

async fn fetch(style: Style, settings: &Settings, credentials: Credentials, jobs: &[String]) -> anyhow::Result<Ran> {
    let clients = context::clients(settings, credentials);
    let (zones, opened) = Zones::read_for_a_run(settings).await?;
    let requests = requests::of_jobs(settings, jobs, &zones, requests::now())?;
    work::execute(style, settings, clients, requests, opened).await
}
