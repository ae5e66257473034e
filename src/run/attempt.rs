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
use crate::publish::{self, Brought, Done, Kept};
use crate::recording::Recording;
use crate::report::RunId;
use crate::window::Window;

use super::{RunError, Tools};

/// An attempt that has ended, and is in the ledger unless what it brought has to be uploaded.
pub(super) struct Attempted {
    pub(super) attempt: Attempt,
    /// What was published, when something was: the whole window or its first part.
    pub(super) recording: Option<Box<Recording>>,
    /// What is judged and in the spool, on its way to an object store: then the attempt is not in the ledger yet.
    pub(super) kept: Option<Box<Kept>>,
    /// Where a file went that stood under the recording's name without being in the ledger.
    pub(super) set_aside: Option<PathBuf>,
    /// The two addresses in the media URL's name, when it gave any.
    pub(super) macs: Option<UrlMacs>,
}

/// One attempt, and what it brought: published, and in the ledger; or kept for an upload, which holds up no recorder.
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
    let ended = |attempt| Attempted { attempt, recording: None, kept: None, set_aside: None, macs };
    let Some(ready) = ready else {
        tools.ledger.record_missed(run, window, attempt.clone()).await?;
        return Ok(ended(attempt));
    };
    if tools.vault.uploads() {
        let kept = publish::keep(&tools.ledger, &tools.vault, ready).await?;
        return Ok(Attempted { kept: Some(Box::new(kept)), ..ended(attempt) });
    }
    let brought = Brought { run, window, attempt: attempt.clone() };
    let done = publish::publish(&tools.ledger, &tools.vault, ready, Some(brought)).await?;
    Ok(Attempted { macs, ..published(run, window, attempt, tools, done).await? })
}

/// What an attempt came to whose file was published, or overtaken.
pub(super) async fn published(
    run: RunId,
    window: Window,
    attempt: Attempt,
    tools: &Tools,
    done: Done,
) -> Result<Attempted, RunError> {
    let nothing = Attempted { attempt, recording: None, kept: None, set_aside: None, macs: None };
    match done {
        Done::Archived { recording, set_aside, attempt } => {
            let attempt = attempt.unwrap_or(nothing.attempt);
            Ok(Attempted { attempt, recording: Some(recording), set_aside, kept: None, macs: None })
        }
        // A live run that goes on beside this one was faster with some of it. What is still missing, the next run fetches.
        Done::Overtaken(recovery) => {
            // OK to ignore a closed channel: as in `emit`.
            drop(tools.events.send(Event::Recovered(recovery)));
            let why = "a live recording of some of its time was published meanwhile".to_owned();
            let missed = Attempt { outcome: Outcome::Cancelled, detail: Some(why), ..nothing.attempt.clone() };
            tools.ledger.record_missed(run, window, missed).await?;
            Ok(nothing)
        }
    }
}
