//! `archive gaps`: what is missing, and why.

use crate::cli::GapsArgs;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render;
use crate::report::GapQuery;

use super::zones::Zones;
use super::{context, logging, print_result, requests};

/// Answers with exit code 0 whether or not there are gaps: the question was answered.
pub(super) async fn run(args: GapsArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let zones = Zones::read(&settings).await?;
    let (mut gaps, mut asked_seconds, mut pruned_seconds) = (Vec::new(), 0, 0);
    for (devices, within) in requests::of_question(&args.selection, &zones, requests::now())? {
        let devices: Vec<_> = devices.into_iter().collect();
        let totals = ledger.totals(devices.clone(), within).await?;
        asked_seconds += totals.asked_seconds;
        pruned_seconds += totals.pruned_seconds;
        gaps.extend(ledger.gaps(GapQuery { devices: Some(devices), within: Some(within), causes: None }).await?);
    }
    gaps.sort_by_key(|gap| (gap.device, gap.range));
    print_result(&args.common, &gaps, || render::gaps(&gaps, asked_seconds, pruned_seconds))?;
    Ok(ExitCode::Complete)
}
