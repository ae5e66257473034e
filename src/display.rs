//! Shows a run while it happens: bars on a terminal, lines elsewhere. The only module that draws.
//!
//! Everything goes to stderr: stdout is for results.

mod bars;
mod lines;

use std::io::{self, Write as _};

use chrono_tz::Tz;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;

use bars::Bars;

pub use bars::BesideBars;

/// How a run is shown.
#[derive(Clone, Debug)]
pub enum Style {
    /// Bars for what streams, lines for what a person must know; log lines pass beside them.
    Bars(BesideBars),
    /// A line for everything that ends.
    Lines,
    /// Lines for what a person must know, and no others.
    Quiet,
}

/// Shows events until their sender is gone. Times are shown in `zone`.
pub async fn show(mut events: UnboundedReceiver<Event>, style: Style, zone: Tz) {
    let mut bars = match &style {
        Style::Bars(beside) => Some(Bars::new(beside)),
        Style::Lines | Style::Quiet => None,
    };
    while let Some(event) = events.recv().await {
        let line = lines::line(&event, zone).filter(|line| line.is_important || matches!(style, Style::Lines));
        match (&mut bars, line) {
            (Some(bars), line) => {
                bars.note(&event, zone);
                if let Some(line) = line {
                    bars.print(&line.text);
                }
            }
            // OK to ignore a closed stderr: the run goes on, and the ledger has it all.
            (None, Some(line)) => drop(writeln!(io::stderr(), "{}", line.text)),
            (None, None) => {}
        }
    }
    if let Some(bars) = bars {
        bars.clear();
    }
}
