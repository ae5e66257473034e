//! One attempt of a run: fetched, published, and written down, in a task of its own.

use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::fetch::{self, Fetched};
use crate::mac::UrlMacs;
use crate::outcome::{Attempt, Outcome};
use crate::publish::{self, Brought, Done};
use crate::recording::Recording;
use crate::report::RunId;
use crate::window::Window;

use super::{RunError, Tools};

/// An attempt that has ended, and is in the ledger.
pub(super) struct Attempted {
    pub(super) attempt: Attempt,
    /// What was published, when something was: the whole window or its first part.
    pub(super) recording: Option<Box<Recording>>,
    /// Where a file went that stood under the recording's name without being in the ledger.
    pub(super) set_aside: Option<PathBuf>,
    /// The two addresses in the media URL's name, when it gave any.
    pub(super) macs: Option<UrlMacs>,
}

/// One attempt, and what it brought: published, and in the ledger.
pub(super) async fn attempt(
    run: RunId,
    window: Window,
    zone: Tz,
    tools: &Tools,
    cut: &CancellationToken,
    url_given: &UnboundedSender<Window>,
) -> Result<Attempted, RunError> {
    // OK to ignore a closed channel here: as in `emit`, and the run's own is open for as long as attempts are awaited.
    let (url_given, events) = (url_given.clone(), tools.events.clone());
    let progress = move |step| match step {
        fetch::Step::UrlGiven => drop(url_given.send(window)),
        fetch::Step::Streamed { media_milliseconds, bytes } => {
            drop(events.send(Event::Streaming { window, media_milliseconds, bytes }));
        }
    };
    let Fetched { attempt, ready, macs } = tools.fetcher.fetch(window, zone, cut, Arc::new(progress)).await?;
    let Some(ready) = ready else {
        tools.ledger.record_missed(run, window, attempt.clone()).await?;
        return Ok(Attempted { attempt, recording: None, set_aside: None, macs });
    };
    let brought = Brought { run, window, attempt: attempt.clone() };
    match publish::publish(&tools.ledger, &tools.vault, ready, Some(brought)).await? {
        Done::Archived { recording, set_aside, attempt: published } => {
            let attempt = published.unwrap_or(attempt);
            Ok(Attempted { attempt, recording: Some(recording), set_aside, macs })
        }
        // A live run that goes on beside this one was faster with some of it. What is still missing, the next run fetches.
        Done::Overtaken(recovery) => {
            drop(tools.events.send(Event::Recovered(recovery)));
            let why = "a live recording of some of its time was published meanwhile".to_owned();
            let nothing = Attempt { outcome: Outcome::Cancelled, detail: Some(why), ..attempt.clone() };
            tools.ledger.record_missed(run, window, nothing).await?;
            Ok(Attempted { attempt, recording: None, set_aside: None, macs })
        }
    }
}
