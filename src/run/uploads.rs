//! What is judged and on its way from the spool to an object store, beside the downloads: a store that is slow or away holds up no
//! recorder, as long as the spool has room.
//!
//! The scheduler hears of such a window when its file is in the spool for good, and everybody else when the ledger has its row. A run
//! whose own work is done waits for [`PATIENCE`]; what is left then lies in the spool, and the next run begins with it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempted, published};
use super::{Run, RunError, Scheduler, Tools};
use crate::event::{Event, Recovery};
use crate::instant::Instant;
use crate::ledger::LedgerError;
use crate::outcome::{Attempt, Outcome};
use crate::publish::{self, Brought, Kept, blocking};
use crate::recording::Recording;
use crate::report::RunId;
use crate::vault::{Patience, VaultError};
use crate::window::Window;

/// Uploads at once: each holds a thread, and parts in memory.
const AT_ONCE: usize = 16;

/// How long a run waits for a store that is away once it has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A run's uploads.
pub(super) struct Uploads {
    tasks: JoinSet<Sent>,
    at_once: Arc<Semaphore>,
    /// Cancelled when the run ends; the next two come from it.
    stop: CancellationToken,
    /// Cancelled when others may have the NVRs of all that is under way: it is theirs then.
    lost: CancellationToken,
    /// Cancelled when the store was waited for long enough.
    enough: CancellationToken,
    /// Cancelled when it was found away after that: nobody who waits for a turn need try.
    hopeless: CancellationToken,
    /// Since when there is nothing else to do.
    alone_since: Option<Instant>,
    /// What kept the last of those back that are left in the spool.
    pub(super) left: Option<String>,
}

/// What became of one.
pub(super) struct Sent {
    window: Window,
    attempt: Attempt,
    came: Result<Attempted, RunError>,
    /// Others have its NVR now, and fetch what this one did not bring into the store.
    is_anothers: bool,
}

impl Uploads {
    pub(super) fn new(stop: &CancellationToken) -> Self {
        let (stop, lost) = (stop.clone(), stop.child_token());
        // Not with the run's end: a store that answers takes what there is.
        let (enough, hopeless) = (lost.child_token(), CancellationToken::new());
        let (tasks, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        Self { tasks, at_once, stop, lost, enough, hopeless, alone_since: None, left: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next one that has ended; nothing when there is none.
    pub(super) async fn next(&mut self) -> Option<Sent> {
        let ended = self.tasks.join_next().await?;
        Some(ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())))
    }

    fn begin(&mut self, run: RunId, window: Window, attempt: Attempt, kept: Kept, tools: Tools) {
        let (at_once, stop, lost) = (Arc::clone(&self.at_once), self.stop.clone(), self.lost.clone());
        let (enough, hopeless) = (self.enough.clone(), self.hopeless.clone());
        self.tasks.spawn(async move {
            let path = kept.recording.path.clone();
            let sending = async {
                let _turn = tokio::select! {
                    biased;
                    () = hopeless.cancelled() => {
                        let why = io::Error::other("the store was away at the run's end");
                        let (doing, path) = ("upload", tools.vault.path_of(&kept.recording.path));
                        return Err(VaultError::Away { doing, path, source: why }.into());
                    }
                    // OK: nobody closes it.
                    turn = at_once.acquire() => turn,
                };
                let brought = Brought { run, window, attempt: attempt.clone() };
                let patience = Patience::until(enough.clone());
                let done = publish::send(&tools.ledger, &tools.vault, kept, Some(brought), patience).await?;
                published(run, window, attempt.clone(), &tools, done).await
            };
            let came = sending.await;
            let is_anothers = match &came {
                Err(RunError::Ledger(LedgerError::LeaseLost { .. })) => true,
                Err(RunError::Vault(VaultError::Away { .. })) => {
                    if enough.is_cancelled() {
                        hopeless.cancel();
                    }
                    lost.is_cancelled() && !stop.is_cancelled()
                }
                _ => false,
            };
            if is_anothers {
                let vault = tools.vault.clone();
                // OK to ignore that it cannot be deleted: the next start does it.
                let _ = blocking(move || vault.forget_ready(&path)).await;
            }
            Sent { window, attempt, came, is_anothers }
        });
    }

    /// Others may have what is under way.
    pub(super) fn are_lost(&mut self) {
        self.lost.cancel();
        self.hopeless.cancel();
        self.lost = self.stop.child_token();
        (self.enough, self.hopeless) = (self.lost.child_token(), CancellationToken::new());
    }

    /// There is something else to do.
    pub(super) fn are_not_alone(&mut self) {
        self.alone_since = None;
    }

    /// There is nothing else to do: until when the store is waited for; nothing when nothing is under way.
    pub(super) fn are_alone(&mut self, now: Instant) -> Option<Instant> {
        if self.tasks.is_empty() {
            return None;
        }
        let until = *self.alone_since.get_or_insert(now) + PATIENCE;
        if until > now {
            return Some(until);
        }
        self.enough.cancel();
        (self.enough, self.hopeless) = (self.lost.child_token(), CancellationToken::new());
        self.alone_since = None;
        None
    }
}

impl Run {
    /// Begins to upload what an attempt has brought.
    pub(super) fn upload(&mut self, window: Window, attempt: Attempt, kept: Kept) {
        self.waiting.came(kept.recording.bytes);
        if let Some(sharing) = &mut self.sharing {
            sharing.is_to_be_written(window.device);
        }
        self.uploads.begin(self.id, window, attempt, kept, self.tools.clone());
    }

    /// Tells everybody of an upload that has ended.
    pub(super) fn sent(&mut self, sent: Sent, scheduler: &mut Scheduler) -> Result<(), RunError> {
        let Sent { window, attempt, came, is_anothers } = sent;
        let now = self.clock.now();
        self.waiting.look_again();
        if let Some(sharing) = &mut self.sharing {
            sharing.was_written(&window, scheduler, now);
        }
        match came {
            Ok(Attempted { attempt, recording, set_aside, .. }) => {
                self.announce(window, attempt, recording, set_aside);
                Ok(())
            }
            Err(RunError::Vault(away @ VaultError::Away { .. })) => {
                let why = match is_anothers {
                    true => format!("{away}. Others may have its NVR now, and it is not kept"),
                    false => format!("{away}. It is judged, and lies in the spool for the next run"),
                };
                if !is_anothers {
                    self.uploads.left = Some(why.clone());
                }
                let attempt = Attempt { outcome: Outcome::Cancelled, detail: Some(why), ..attempt };
                self.emit(Event::AttemptEnded { window, attempt });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Tells of an attempt that is in the ledger, and of what it brought.
    pub(super) fn announce(
        &mut self,
        window: Window,
        attempt: Attempt,
        recording: Option<Box<Recording>>,
        set_aside: Option<PathBuf>,
    ) {
        if let Some(path) = set_aside {
            self.emit(Event::Recovered(Recovery::unknown_file(path)));
        }
        self.emit(Event::AttemptEnded { window, attempt });
        if let Some(recording) = recording {
            self.counts.recordings += 1;
            self.counts.bytes += recording.bytes;
            self.counts.archived_seconds += recording.range.seconds();
            self.emit(Event::Archived { recording });
        }
    }
}
