//! What follows a run: its summary is printed, those who want to know are told, the metrics are written, and the person's programs
//! run. None of it changes how the run ends.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::Common;
use crate::device::DeviceId;
use crate::event::Summary;
use crate::exit_code::ExitCode;
use crate::ledger::{Ledger, LedgerError};
use crate::notice::{self, Cameras, Next, Notice};
use crate::notify;
use crate::on_recording::{OnRecording, Tally};
use crate::program::Program;
use crate::render::{self, Measured, StatusReport};
use crate::run::RunError;
use crate::settings::{OnRecordingSettings, Settings};
use crate::time_range::UtcSecond;

use super::{context, exit_code_of, print_result, recorders, requests, said, status, work};

/// How long a program may go on once somebody wants the end.
const HURRY: Duration = Duration::from_secs(10);

/// A run that has ended.
pub(super) struct Ran {
    /// What was asked for, in the words of whoever asked.
    pub(super) what: String,
    /// Of whom.
    pub(super) asked: BTreeSet<DeviceId>,
    /// What it came to.
    pub(super) summary: Result<Summary, RunError>,
    /// What still runs for its recordings.
    pub(super) programs: Option<JoinHandle<Tally>>,
    /// Whether somebody asked for its end by a signal.
    pub(super) signalled: bool,
}

/// A run, from when its settings are known.
pub(super) struct Telling<'a> {
    common: &'a Common,
    settings: &'a Settings,
    what: String,
    began: UtcSecond,
    /// Nobody is told of what somebody does by hand: a ping of it would hide that the night's did not come.
    told: Option<notify::Telling>,
}

impl<'a> Telling<'a> {
    /// Of a run of these of the file's jobs, or of all when none is named: `all` are their names, and `command` runs them.
    pub(super) fn of_jobs(
        common: &'a Common,
        settings: &'a Settings,
        command: &str,
        named: &[String],
        all: impl Iterator<Item = &'a String>,
    ) -> Self {
        let jobs: Vec<String> = if named.is_empty() { all.cloned().collect() } else { named.to_vec() };
        let told = Some(notify::Telling::begin(&settings.notices, &jobs));
        Self { told, ..Self::by_hand(common, settings, format!("{command} {}", jobs.join(", "))) }
    }

    /// Of what somebody does by hand.
    pub(super) fn by_hand(common: &'a Common, settings: &'a Settings, what: String) -> Self {
        Self { common, settings, what, began: requests::now(), told: None }
    }

    /// Tells how it ended, and gives that.
    pub(super) async fn end(mut self, ran: anyhow::Result<Ran>) -> anyhow::Result<ExitCode> {
        let ended = requests::now();
        let (came_to, programs, signalled) = match ran {
            Ok(Ran { what, asked, summary, programs, signalled }) => {
                self.what = what;
                (summary.map(|summary| (asked, summary)).map_err(anyhow::Error::from), programs, signalled)
            }
            // What somebody does by hand and does not begin is nobody's business but theirs.
            Err(error) if self.told.is_none() => return Err(error),
            Err(error) => (Err(error), None, false),
        };
        let told = self.told.take();
        let status = if told.is_some() { self.status().await } else { None };
        let next = status.as_ref().map(next);
        let (notice, done) = match came_to {
            Ok((asked, summary)) => {
                let code = ExitCode::of_run(&summary);
                (of_summary(self.settings, &self.what, self.began, &asked, summary).await, Ok(code))
            }
            Err(error) => (self.of_failure(&error), Err(error)),
        };
        let notice = Notice { ended, next, ..notice };
        let text = render::notice(&notice);
        // An error is told by whoever ends the program.
        let printed = if done.is_ok() { print_result(self.common, &notice, || text.clone()) } else { Ok(()) };
        let hurry = CancellationToken::new();
        let signals = tokio::spawn(work::stop_on_signals(hurry.clone()));
        if let Some(status) = &status {
            self.write_metrics(status).await;
        }
        let run_programs = async {
            // OK to count nothing after a panic: it has been printed.
            let tally = match programs {
                Some(programs) => programs.await.ok(),
                None => None,
            };
            self.run_on_finish(facts(self.settings, &notice, &text, tally), signalled, &hurry).await;
        };
        let tell = async {
            if let Some(told) = told {
                told.end(&notice, &text, &hurry).await;
            }
        };
        tokio::join!(run_programs, tell);
        signals.abort();
        printed.and(done)
    }

    /// How the archive stands; nothing where there is no ledger yet.
    async fn status(&self) -> Option<StatusReport> {
        let read = async {
            let ledger = Ledger::open_read_only(&self.settings.archive.ledger)?;
            status::read(self.settings, &ledger, requests::now(), 0).await
        };
        let warn = |error: &anyhow::Error| tracing::warn!("how the archive stands cannot be told: {}", said(error));
        match read.await {
            Err(error) if matches!(error.downcast_ref(), Some(LedgerError::NotThere { .. })) => None,
            read => read.inspect_err(warn).ok(),
        }
    }

    async fn write_metrics(&self, status: &StatusReport) {
        let Some(path) = self.settings.archive.metrics_file.clone() else { return };
        let written = async {
            let ledger = Ledger::open_read_only(&self.settings.archive.ledger)?;
            let (last_runs, successes) = (ledger.last_runs().await?, ledger.last_successes().await?);
            let text = render::metrics(&Measured { status, last_runs: &last_runs, successes: &successes });
            let file = path.clone();
            tokio::task::spawn_blocking(move || notify::write_metrics(&file, &text)).await??;
            anyhow::Ok(())
        };
        if let Err(error) = written.await {
            tracing::warn!("the metrics cannot be written to {}: {}", path.display(), said(&error));
        }
    }

    /// Runs what is to be run at the end; not for long when somebody wants the end, or wanted it.
    async fn run_on_finish(&self, facts: Vec<(&'static str, String)>, signalled: bool, hurry: &CancellationToken) {
        let Some(on_finish) = &self.settings.notices.on_finish else { return };
        let program = Program {
            words: on_finish.command.clone(),
            time_limit: if signalled { on_finish.time_limit.min(HURRY) } else { on_finish.time_limit },
            hidden: self.settings.notices.variables.clone(),
        };
        let too_late = async {
            hurry.cancelled().await;
            tokio::time::sleep(HURRY).await;
        };
        tokio::select! {
            ended = program.run(&facts) => {
                if let Err(error) = ended {
                    tracing::warn!("on_finish: {error}");
                }
            }
            () = too_late => tracing::warn!("on_finish was stopped before it ended"),
        }
    }

    /// A run that did not begin, or came to no proper end.
    fn of_failure(&self, error: &anyhow::Error) -> Notice {
        let code = exit_code_of(error);
        let outcome = match code {
            ExitCode::Usage | ExitCode::Held => "did not begin",
            ExitCode::AccountRefused => "account refused",
            ExitCode::DiskFull => "disk full",
            _ => "failed",
        };
        let failure = Some(said(error));
        Notice { exit: code as u8, outcome, failure, ..blank(self.settings, &self.what, self.began) }
    }
}

/// Tells of a run of these jobs whose account could not be read, as far as the rest of the settings can; gives the error back.
pub(super) async fn not_begun(common: &Common, jobs: &[String], error: anyhow::Error) -> anyhow::Error {
    // A file with mistakes says nothing that can be trusted, not even who is to be told.
    let Ok(settings) = Settings::load(&context::flags(common), &context::environment) else { return error };
    let all = settings.jobs.iter().map(|job| &job.name);
    let telling = Telling::of_jobs(common, &settings, "run", jobs, all);
    match telling.end(Err(error)).await {
        Err(error) => error,
        // OK: the end of an error is that error.
        Ok(code) => anyhow::anyhow!("ended with {}", code as u8),
    }
}

/// What runs for each recording, as the settings have it.
pub(super) fn on_recording(settings: &Settings) -> anyhow::Result<Option<OnRecording>> {
    let Some(OnRecordingSettings { command, at_once, time_limit, waiting }) = settings.notices.on_recording.clone()
    else {
        return Ok(None);
    };
    let program = Program { words: command, time_limit, hidden: settings.notices.variables.clone() };
    let root = absolute_root(settings).context("the root's folder cannot be found")?;
    Ok(Some(OnRecording { program, at_once, waiting, root }))
}

/// The root's folder for programs with a current directory of their own; an object store's address is the same everywhere.
fn absolute_root(settings: &Settings) -> std::io::Result<std::path::PathBuf> {
    match settings.archive.store {
        None => std::path::absolute(&settings.archive.root),
        Some(_) => Ok(settings.archive.root.clone()),
    }
}

/// A run that has come to its end, for people, with where most is missing in the names that they know.
pub(super) async fn of_summary(
    settings: &Settings,
    what: &str,
    began: UtcSecond,
    asked: &BTreeSet<DeviceId>,
    summary: Summary,
) -> Notice {
    let (mut worst, mut more_places) = (Vec::new(), 0);
    if !summary.short.is_empty() {
        let known = async { Ledger::open_read_only(&settings.archive.ledger)?.devices().await }.await;
        if let Err(error) = &known {
            tracing::warn!("cameras go without their names: {error}");
        }
        let known = known.unwrap_or_default();
        let nvrs = &recorders::of(settings, &known).map;
        (worst, more_places) = notice::worst(&summary.short, Cameras { asked, known: &known, nvrs });
    }
    Notice {
        exit: ExitCode::of_run(&summary) as u8,
        outcome: summary.outcome(),
        summary: Some(summary),
        worst,
        more_places,
        ..blank(settings, what, began)
    }
}

/// A notice of a run of which nothing is known yet.
fn blank(settings: &Settings, what: &str, began: UtcSecond) -> Notice {
    Notice {
        what: what.to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        began,
        ended: requests::now(),
        exit: ExitCode::Failure as u8,
        outcome: "failed",
        summary: None,
        failure: None,
        worst: Vec::new(),
        more_places: 0,
        next: None,
        zone: settings.archive.time_zone,
    }
}

/// What is still to be had, and which NVR loses most of it.
fn next(status: &StatusReport) -> Next {
    let lost_of = |nvr: &render::NvrStatus| nvr.backlog.lost.map_or(0, |lost| lost.seconds);
    let worst = status.nvrs.iter().max_by_key(|(_, nvr)| lost_of(nvr)).filter(|(_, nvr)| lost_of(nvr) > 0);
    Next {
        backlog_seconds: status.backlog.seconds,
        lost: status.backlog.lost,
        lost_at: worst.map(|(nvr, _)| nvr.clone()),
    }
}

/// What the program at the end is told.
fn facts(settings: &Settings, notice: &Notice, text: &str, tally: Option<Tally>) -> Vec<(&'static str, String)> {
    let absolute = |path: &std::path::Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_unknown| path.to_owned());
        path.display().to_string()
    };
    // Of a server, without the password: a program that needs one has its own.
    let ledger = settings.archive.ledger.file().map_or_else(|| settings.archive.ledger.display(), absolute);
    let mut facts = vec![
        ("ARCHIVE_WHAT", notice.what.clone()),
        ("ARCHIVE_OUTCOME", notice.outcome.to_owned()),
        ("ARCHIVE_EXIT", notice.exit.to_string()),
        ("ARCHIVE_BEGAN", notice.began.to_string()),
        ("ARCHIVE_ENDED", notice.ended.to_string()),
        ("ARCHIVE_SUMMARY", text.to_owned()),
        (
            "ARCHIVE_ROOT",
            absolute_root(settings).unwrap_or_else(|_unknown| settings.archive.root.clone()).display().to_string(),
        ),
        ("ARCHIVE_LEDGER", ledger),
    ];
    if let Some(summary) = &notice.summary {
        facts.extend([
            ("ARCHIVE_ASKED_SECONDS", summary.asked_seconds.to_string()),
            ("ARCHIVE_ARCHIVED_SECONDS", summary.archived_seconds.to_string()),
            ("ARCHIVE_MISSING_SECONDS", (summary.asked_seconds - summary.archived_seconds).to_string()),
            ("ARCHIVE_RECORDINGS", summary.recordings.to_string()),
            ("ARCHIVE_BYTES", summary.bytes.to_string()),
            ("ARCHIVE_ATTEMPTS", summary.attempts.to_string()),
        ]);
    }
    if let Some(tally) = tally {
        facts.extend([
            ("ARCHIVE_ON_RECORDING_DONE", tally.done.to_string()),
            ("ARCHIVE_ON_RECORDING_FAILED", tally.failed.to_string()),
            ("ARCHIVE_ON_RECORDING_PASSED_OVER", tally.passed_over.to_string()),
        ]);
    }
    facts
}
