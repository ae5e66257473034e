//! `archive run jobs.toml`

use crate::cli::{Common, RunArgs};
use crate::exit_code::ExitCode;

use super::zones::Zones;
use super::{context, logging, plan, requests, work};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let style = logging::start(&args.common);
    let common = Common { config: Some(args.file), ..args.common };
    if args.dry_run {
        return plan::show_jobs(&args.jobs, &common).await;
    }
    let (settings, credentials) = context::settings_with_credentials(&common)?;
    let clients = context::clients(&settings, credentials);
    let (zones, opened) = Zones::read_for_a_run(&settings).await?;
    let requests = requests::of_jobs(&settings, &args.jobs, &zones, requests::now())?;
    work::work(&common, style, &settings, clients, requests, opened).await
}
