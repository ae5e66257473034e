//! Runs the person's program for each recording, beside the run that brings them: for copies elsewhere, say.
//!
//! The run never waits for it. What comes while as many wait as may is passed over: counted, said, and left to a copy of the
//! whole root. So it is when the run was told to stop, and when what waits at the run's end is not done in time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::program::{Failed, Program};
use crate::recording::Recording;

/// How long what runs may go on once somebody wants the end.
const HURRY: Duration = Duration::from_secs(10);

/// How many failures are said one by one.
const MOST_SAID: u64 = 10;

/// What is run for each recording, and within which bounds.
#[derive(Clone, Debug)]
pub struct OnRecording {
    /// The program. Its time limit is also how long what waits at the run's end may take in all.
    pub program: Program,
    /// How many run at once.
    pub at_once: usize,
    /// How many recordings may wait.
    pub waiting: usize,
    /// The archive's folder.
    pub root: PathBuf,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recordings for which it ended well.
    pub done: u64,
    /// Recordings for which it failed.
    pub failed: u64,
    /// Recordings for which it was never run, or was cut off.
    pub passed_over: u64,
}

impl OnRecording {
    /// Runs it for each recording that `events` tell of, and passes every event on. What is left when they end, or when somebody
    /// says stop, is done as the bounds allow.
    pub fn watch(
        self,
        events: UnboundedReceiver<Event>,
        stop: CancellationToken,
    ) -> (UnboundedReceiver<Event>, JoinHandle<Tally>) {
        let (onward, passed_on) = mpsc::unbounded_channel();
        let watching =
            Watching { on: self, waiting: VecDeque::new(), running: JoinSet::new(), tally: Tally::default() };
        (passed_on, tokio::spawn(watching.watch(events, onward, stop)))
    }
}

struct Watching {
    on: OnRecording,
    waiting: VecDeque<Recording>,
    running: JoinSet<Result<(), Failed>>,
    tally: Tally,
}

impl Watching {
    async fn watch(
        mut self,
        mut events: UnboundedReceiver<Event>,
        onward: UnboundedSender<Event>,
        stop: CancellationToken,
    ) -> Tally {
        loop {
            self.start();
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    if let Some(recording) = event.recording() {
                        self.take(recording.clone());
                    }
                    // OK to ignore a closed channel: whoever displays the run may go before it ends.
                    let _ = onward.send(event);
                }
                Some(ended) = self.running.join_next() => self.count(ended.ok()),
            }
        }
        // Whoever displays the run need not wait for the rest.
        drop(onward);
        self.finish(stop).await
    }

    fn take(&mut self, recording: Recording) {
        if self.waiting.len() < self.on.waiting {
            self.waiting.push_back(recording);
            return;
        }
        if self.tally.passed_over == 0 {
            tracing::warn!(
                "on_recording cannot keep up: {} recordings wait, so it is not run for the next ones; a copy of the whole archive \
                 brings them",
                self.on.waiting
            );
        }
        self.tally.passed_over += 1;
    }

    fn start(&mut self) {
        while self.running.len() < self.on.at_once {
            let Some(recording) = self.waiting.pop_front() else { return };
            let (program, facts) = (self.on.program.clone(), facts(&recording, &self.on.root));
            self.running.spawn(async move { program.run(&facts).await });
        }
    }

    /// What is left at the run's end, for as long as one may take; not for long when somebody wants the end.
    async fn finish(mut self, stop: CancellationToken) -> Tally {
        let until = tokio::time::Instant::now() + self.on.program.time_limit;
        let hurry = async {
            stop.cancelled().await;
            tokio::time::sleep(HURRY).await;
        };
        tokio::pin!(hurry);
        loop {
            if stop.is_cancelled() {
                self.tally.passed_over += self.waiting.drain(..).count() as u64;
            }
            self.start();
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.count(ended.ok()),
                    None => break,
                },
                () = stop.cancelled(), if !self.waiting.is_empty() => {}
                () = &mut hurry => break,
                () = tokio::time::sleep_until(until) => break,
            }
        }
        self.tally.passed_over += (self.waiting.len() + self.running.len()) as u64;
        // Each is killed with its group.
        self.running.shutdown().await;
        let Tally { failed, passed_over, .. } = self.tally;
        if failed + passed_over > 0 {
            tracing::warn!(
                "on_recording failed for {failed} recordings, and was not run to its end for {passed_over}: a copy of the whole \
                 archive brings what is missing"
            );
        }
        self.tally
    }

    fn count(&mut self, ended: Option<Result<(), Failed>>) {
        match ended {
            Some(Ok(())) => self.tally.done += 1,
            Some(Err(error)) => {
                self.tally.failed += 1;
                if self.tally.failed <= MOST_SAID {
                    tracing::warn!("on_recording: {error}");
                }
            }
            // OK to say no more of it: its task was lost with a panic, which has been printed.
            None => self.tally.failed += 1,
        }
    }
}

/// What the program is told.
fn facts(recording: &Recording, root: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("ARCHIVE_DEVICE", recording.device.to_string()),
        ("ARCHIVE_FROM", recording.range.start().to_string()),
        ("ARCHIVE_TO", recording.range.end().to_string()),
        ("ARCHIVE_SOURCE", recording.source.as_str().to_owned()),
        ("ARCHIVE_ROOT", root.display().to_string()),
        ("ARCHIVE_NAME", recording.path.clone()),
        ("ARCHIVE_PATH", root.join(&recording.path).display().to_string()),
        ("ARCHIVE_BYTES", recording.bytes.to_string()),
        ("ARCHIVE_BLAKE3", recording.blake3.to_string()),
    ]
}

#[cfg(test)]
mod tests;
