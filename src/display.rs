//! Shows a run while it happens: bars on a terminal, lines elsewhere. The only module that draws.
//!
//! Everything goes to stderr: stdout is for results.

mod bars;
mod lines;

use chrono_tz::Tz;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;

use bars::Bars;

pub use bars::BesideBars;

/// How a run is shown.
#[derive(Clone, Debug)]
pub enum Style {
    /// Bars for what streams, lines for what deserves one; log lines pass beside them.
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
        let line = lines::line(&event, zone).filter(|line| line.is_important || !matches!(style, Style::Quiet));
        match &mut bars {
            Some(bars) => {
                bars.note(&event, zone);
                if let Some(line) = line.filter(|line| line.is_important || line.is_ending) {
                    bars.print(&line.text);
                }
            }
            None => {
                if let Some(line) = line {
                    eprintln!("{}", line.text);
                }
            }
        }
    }
    if let Some(bars) = bars {
        bars.clear();
    }
}
