//! `archive gaps`: what is missing, and why.

use std::io::IsTerminal as _;

use crate::cli::GapsArgs;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render::{self, StripStyle};
use crate::report::GapQuery;

use super::zones::Zones;
use super::{context, logging, print, print_result, report, requests};

/// How wide a line is where nothing says it.
const WIDTH: usize = 80;
/// How many cameras a terminal is shown without being asked for the strip.
const MOST_LINES: usize = 20;

/// Answers with exit code 0 whether or not there are gaps: the question was answered.
pub(super) async fn run(args: GapsArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    if args.strip {
        let picture = report::of_selection(&args.selection, &settings, &ledger, requests::now()).await?;
        let text = picture.map_or_else(|| render::gaps(&[], 0, 0), |picture| render::strip(&picture, style(None)));
        print(&text)?;
        return Ok(ExitCode::Complete);
    }
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
    if std::io::stdout().is_terminal()
        && !args.common.json
        && !gaps.is_empty()
        && let Some(picture) = report::of_selection(&args.selection, &settings, &ledger, requests::now()).await?
    {
        print(&format!("\n{}", render::strip(&picture, style(Some(MOST_LINES)))))?;
    }
    Ok(ExitCode::Complete)
}

/// As wide as the terminal is, in colours where it has any and nobody forbids them (`NO_COLOR`, see <https://no-color.org>).
fn style(most: Option<usize>) -> StripStyle {
    let says = |name: &str| context::environment(name).filter(|value| !value.is_empty());
    let stdout = std::io::stdout();
    let size =
        rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col)).filter(|&width| width > 0);
    let width = size.or_else(|| says("COLUMNS")?.parse().ok()).unwrap_or(WIDTH);
    let coloured = stdout.is_terminal() && says("NO_COLOR").is_none() && says("TERM").is_none_or(|term| term != "dumb");
    StripStyle { width, coloured, most }
}
