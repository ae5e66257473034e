//! `archive status`: how the archive stands.

use std::collections::BTreeMap;

use crate::cli::StatusArgs;
use crate::device::NvrId;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render::{self, NvrStatus, StatusReport};
use crate::time_range::ALL_TIME;

use super::{context, logging, print_result, recorders};

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let known = ledger.devices().await?;
    let served = recorders::of(&settings, &known).map;
    // A chain's list has more devices than its jobs ask for.
    let devices: Vec<_> = known.iter().filter(|row| row.asked).map(|row| row.facts.device).collect();
    let totals = ledger.totals(devices.clone(), ALL_TIME).await?;
    let learned = ledger.learned_limits().await?;
    let mut nvrs: BTreeMap<NvrId, NvrStatus> = BTreeMap::new();
    for &device in &devices {
        nvrs.entry(served.nvr_of(device)).or_default().devices += 1;
    }
    for (nvr, status) in &mut nvrs {
        if let Some(learned) = learned.get(nvr) {
            (status.limit, status.calls, status.refused) = (Some(learned.limit), learned.calls, learned.refused);
        }
    }
    let report = StatusReport {
        root: settings.archive.root.display().to_string(),
        ledger: settings.archive.ledger.display().to_string(),
        devices: devices.len() as u64,
        nvrs,
        totals,
        runs: ledger.runs(args.runs).await?,
    };
    print_result(&args.common, &report, || render::status(&report, settings.archive.time_zone))?;
    Ok(ExitCode::Complete)
}
