//! Who hears of a run's events: the display, and whoever asks from another terminal.

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;

use crate::display::{self, Style};
use crate::event::Event;
use crate::follow;
use crate::progress_file::ProgressFile;
use crate::recording::Source;
use crate::settings::Settings;
use crate::underway::Tally;

/// Those who listen.
pub(super) struct Listening {
    followed: JoinHandle<()>,
    shown: JoinHandle<()>,
}

/// Starts to listen to the run of that source: where it is to send its events, and who then hears them.
pub(super) fn listen(
    settings: &Settings,
    style: Style,
    source: Source,
    what: &str,
) -> (UnboundedSender<Event>, Listening) {
    let (events, of_run) = mpsc::unbounded_channel();
    let (onward, to_show) = mpsc::unbounded_channel();
    let file = ProgressFile::beside(&settings.archive.ledger, source);
    let tally = Tally::new(std::process::id(), what);
    let followed = tokio::spawn(follow::follow(of_run, onward, file, tally));
    let shown = tokio::spawn(display::show(to_show, style, settings.archive.time_zone));
    (events, Listening { followed, shown })
}

impl Listening {
    /// Waits until all has been heard. The sender must be gone with the run.
    pub(super) async fn end(self) {
        for listener in [self.followed, self.shown] {
            if let Err(error) = listener.await {
                tracing::warn!("what the run did could not be shown to its end: {error}");
            }
        }
    }
}
