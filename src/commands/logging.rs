//! Log lines on stderr, beside the bars where there are any.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::Common;
use crate::display::{BesideBars, Style};

/// Starts the log, and says how a run is to be shown. Other crates' log lines stop at `info`: below that they print what
/// travels, and that is nobody's business.
pub(super) fn start(common: &Common) -> Style {
    let style = if common.quiet {
        Style::Quiet
    } else if io::stderr().is_terminal() && common.verbose == 0 {
        Style::Bars(BesideBars::default())
    } else {
        Style::Lines
    };
    let filter = match common.verbose {
        0 => "warn",
        1 => "warn,archive=info",
        _ => "info,archive=trace",
    };
    let writer = match &style {
        Style::Bars(beside) => {
            let beside = beside.clone();
            BoxMakeWriter::new(move || beside.clone())
        }
        Style::Lines | Style::Quiet => BoxMakeWriter::new(io::stderr),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(writer);
    // OK to go on without: it fails only when a log has been started already, as a test's may.
    let _ = log.try_init();
    style
}
