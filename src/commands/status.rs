//! `archive status`: how the archive stands.

use std::collections::BTreeMap;

use crate::cli::StatusArgs;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render::{self, StatusReport};
use crate::time_range::{TimeRange, UtcSecond};

use super::{context, logging, print_result};

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let known = ledger.devices().await?;
    let devices = known.iter().map(|row| row.facts.device).collect();
    let totals = match all_time() {
        Some(ever) => ledger.totals(devices, ever).await?,
        None => Default::default(),
    };
    let mut nvrs: BTreeMap<String, u64> = BTreeMap::new();
    for row in &known {
        let nvr = settings.nvr_map().nvr_of(row.facts.device);
        *nvrs.entry(nvr.to_string()).or_default() += 1;
    }
    let report = StatusReport {
        root: settings.archive.root.display().to_string(),
        ledger: settings.archive.ledger.display().to_string(),
        devices: known.len() as u64,
        nvrs,
        totals,
        runs: ledger.runs(args.runs).await?,
    };
    print_result(&args.common, &report, || render::status(&report, settings.archive.time_zone))?;
    Ok(ExitCode::Complete)
}

/// Every second that can have been asked for: the calendar takes requests from 1970 to 9999.
fn all_time() -> Option<TimeRange> {
    TimeRange::new(UtcSecond::new(0), UtcSecond::new(253_402_300_800))
}
