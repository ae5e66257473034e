//! Goes with a run: counts its events while they pass, and says about once a second in a file how it stands.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::clock::WallClock;
use crate::event::Event;
use crate::progress_file::ProgressFile;
use crate::underway::Tally;

/// How often the file is replaced, at the most.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands `events` on to whoever displays them, until their sender is gone. Meanwhile `file` says how the run stands, and is gone in
/// the end. A disk that takes its time holds up neither the events nor the run.
pub async fn follow(
    mut events: UnboundedReceiver<Event>,
    onward: UnboundedSender<Event>,
    file: ProgressFile,
    mut tally: Tally,
) {
    let clock = WallClock::start();
    let mut looks = tokio::time::interval(PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut writing: Option<JoinHandle<()>> = None;
    let mut is_news = false;
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                tally.note(&event, clock.now());
                is_news = true;
                // OK to ignore a closed channel: whoever displays the run may go before it ends.
                let _ = onward.send(event);
            }
            _ = looks.tick(), if is_news && writing.as_ref().is_none_or(JoinHandle::is_finished) => {
                is_news = false;
                let (file, now) = (file.clone(), tally.snapshot(clock.now()));
                writing = Some(tokio::task::spawn_blocking(move || {
                    // OK to pass over a failure: nothing hangs on it, and the next one may succeed.
                    let _ = serde_json::to_string(&now).map(|text| file.write(&text));
                }));
            }
        }
    }
    // The display ends with this, and is not kept waiting for a disk.
    drop(onward);
    if let Some(writing) = writing {
        // OK to ignore how it ended: then nothing is written after this.
        let _ = writing.await;
        file.remove();
    }
}
