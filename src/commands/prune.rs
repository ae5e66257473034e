//! `archive prune jobs.toml`: deletes what is older than the jobs keep it.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use crate::cli::{Common, PruneArgs};
use crate::device::DeviceId;
use crate::exit_code::ExitCode;
use crate::leaving;
use crate::ledger::Ledger;
use crate::prune::{self, Pruned};
use crate::render::{self, PruneReport};
use crate::retention::{self, Wish};
use crate::run::RunError;
use crate::settings::{Flags, Settings};

use super::{UsageError, context, logging, print_result, requests, root, verify, work};

pub(super) async fn run(args: PruneArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let common = Common { config: Some(args.file), ..args.common };
    let flags = Flags { most: args.most, max_share: args.max_share, ..context::flags(&common) };
    let settings = context::settings_of(&flags)?;
    let now = requests::now();
    let mut before = retention::due_before(wishes(&settings).map(|(_, wish)| wish), now);
    let only = devices_of(&settings, &args.jobs)?;
    before.retain(|device, _| only.contains(device));
    let ledger = match args.dry_run {
        true => Ledger::open_read_only(&settings.archive.ledger)?,
        false => work::existing_ledger(&settings.archive)?,
    };
    let vault = root::existing(&settings.archive, &ledger).await?;
    let _hold = match args.dry_run {
        true => None,
        false => Some(leaving::hold(&ledger, &vault).await.map_err(RunError::from)?),
    };
    if !args.dry_run {
        let finished = leaving::finish(&ledger, &vault, now).await.map_err(RunError::from)?;
        finished.iter().for_each(verify::tell_recovery);
    }
    let plan = prune::plan(&ledger, before, settings.prune.most).await?;
    let mut report = PruneReport {
        now,
        dry_run: args.dry_run,
        due_share: plan.due_share(),
        max_share: settings.prune.max_share,
        plan,
        deleted: retention::Sums::default(),
        is_stopped: false,
    };
    if !report.dry_run {
        if report.due_share > report.max_share {
            let refusal = render::refusal(&report, settings.archive.time_zone);
            return Err(UsageError(format!("nothing was pruned: {refusal}")).into());
        }
        let stop = CancellationToken::new();
        let signals = tokio::spawn(work::stop_on_signals(stop.clone()));
        let pruned = prune::execute(&report.plan, &ledger, &vault, &stop).await;
        signals.abort();
        let Pruned { deleted, is_stopped } = pruned.map_err(RunError::from)?;
        (report.deleted, report.is_stopped) = (deleted, is_stopped);
        verify::write_catalog(&ledger, &vault).await;
    }
    print_result(&common, &report, || render::prune(&report, settings.archive.time_zone))?;
    Ok(if report.is_stopped { ExitCode::Stopped } else { ExitCode::Complete })
}

/// What every job of the file wishes, by its name.
fn wishes(settings: &Settings) -> impl Iterator<Item = (&str, Wish<'_>)> {
    let downloads = settings.jobs.iter().map(|job| (job.name.as_str(), &job.devices, job.keep));
    let live = settings.live_jobs.iter().map(|job| (job.name.as_str(), &job.devices, job.keep));
    downloads.chain(live).map(|(name, devices, keep)| (name, Wish { devices, keep }))
}

/// The cameras of those jobs, or of all that let anything go. A job that is named must be one of these.
fn devices_of(settings: &Settings, names: &[String]) -> Result<BTreeSet<DeviceId>, UsageError> {
    for name in names {
        match wishes(settings).find(|(known, _)| known == name) {
            Some((_, Wish { keep: Some(_), .. })) => {}
            Some(_) => return Err(UsageError(format!("job {name:?} has no keep, so it keeps everything"))),
            None => {
                let known: Vec<&str> = wishes(settings).map(|(name, _)| name).collect();
                return Err(UsageError(format!("no job is called {name:?}; the file has: {}", known.join(", "))));
            }
        }
    }
    let wanted = |(name, wish): (&str, Wish<'_>)| {
        let is_named = names.is_empty() || names.iter().any(|wanted| wanted == name);
        (is_named && wish.keep.is_some()).then(|| wish.devices.clone())
    };
    let devices: Vec<BTreeSet<DeviceId>> = wishes(settings).filter_map(wanted).collect();
    if devices.is_empty() {
        let text = "no job of the file says how long it keeps its recordings; add keep = \"90 days\" to those that do";
        return Err(UsageError(text.to_owned()));
    }
    Ok(devices.into_iter().flatten().collect())
}
