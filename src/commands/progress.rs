//! Who hears of a run's events: the person's program for each recording, whoever asks from another terminal, and the display.

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::display::{self, Style};
use crate::event::{Event, Server};
use crate::follow;
use crate::ledger::Ledger;
use crate::on_recording;
use crate::progress_file::ProgressFile;
use crate::recording::Source;
use crate::settings::Settings;
use crate::underway::Tally;
use crate::vault::Vault;

use super::telling;

/// Those who listen.
pub(super) struct Listening {
    programs: Option<JoinHandle<on_recording::Tally>>,
    followed: JoinHandle<()>,
    shown: JoinHandle<()>,
}

/// Starts to listen to the run of that source: where it is to send its events, and who then hears them.
pub(super) fn listen(
    settings: &Settings,
    style: Style,
    source: Source,
    what: &str,
    stop: &CancellationToken,
) -> anyhow::Result<(UnboundedSender<Event>, Listening)> {
    let (events, of_run) = mpsc::unbounded_channel();
    let (of_run, programs) = match telling::on_recording(settings)? {
        None => (of_run, None),
        Some(on_recording) => {
            let (of_run, programs) = on_recording.watch(of_run, stop.clone());
            (of_run, Some(programs))
        }
    };
    let (onward, to_show) = mpsc::unbounded_channel();
    let file = ProgressFile::beside(&settings.archive.beside_ledger(), source);
    let tally = Tally::new(std::process::id(), what);
    let followed = tokio::spawn(follow::follow(of_run, onward, file, tally));
    let shown = tokio::spawn(display::show(to_show, style, settings.archive.time_zone));
    Ok((events, Listening { programs, followed, shown }))
}

/// Lets those who listen know when the ledger's server or the object store is away, and when it is back.
pub(super) fn tell_of_absences(events: &UnboundedSender<Event>, ledger: &Ledger, vault: &Vault) {
    let watched = [(Server::Ledger, ledger.absence()), (Server::Store, vault.absence())];
    for (server, absence) in watched {
        // Those who listen come to their end when the run has gone, which is not to wait for this.
        let (Some(mut absence), events) = (absence, events.downgrade()) else { continue };
        tokio::spawn(async move {
            let mut was_away = false;
            while absence.changed().await.is_ok() {
                let away = absence.borrow_and_update().clone();
                let Some(events) = events.upgrade() else { return };
                let event = match away {
                    Some(why) => Event::Away { server, why },
                    None if was_away => Event::Back { server },
                    None => continue,
                };
                was_away = matches!(event, Event::Away { .. });
                // OK to ignore a closed channel: whoever displays the run may go before it ends.
                let _ = events.send(event);
            }
        });
    }
}

impl Listening {
    /// Waits until all has been heard, but for the person's programs, which go on. The sender must be gone with the run.
    pub(super) async fn end(self) -> Option<JoinHandle<on_recording::Tally>> {
        for listener in [self.followed, self.shown] {
            if let Err(error) = listener.await {
                tracing::warn!("what the run did could not be shown to its end: {error}");
            }
        }
        self.programs
    }
}
