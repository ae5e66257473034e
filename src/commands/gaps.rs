//! `archive gaps`: what is missing, and why.

use crate::cli::GapsArgs;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render;
use crate::report::GapQuery;

use super::{context, logging, print_result, requests};

/// Answers with exit code 0 whether or not there are gaps: the question was answered.
pub(super) async fn run(args: GapsArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let (devices, within) = requests::of_question(&args.selection, settings.archive.time_zone, requests::now())?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let gaps = ledger.gaps(GapQuery { devices, within, causes: None }).await?;
    print_result(&args.common, &gaps, || render::gaps(&gaps))?;
    Ok(ExitCode::Complete)
}
