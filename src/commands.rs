//! What each subcommand does: one file each. The only place where errors become words for a person, and an exit code.

mod check;
mod context;
mod devices;
mod export;
mod gaps;
mod init;
mod live;
mod logging;
mod man;
mod migrate;
mod one_off;
mod past;
mod plan;
mod play;
mod progress;
mod prune;
mod recorders;
mod refresh;
mod rehearse;
mod reindex;
mod report;
mod requests;
mod root;
mod run;
mod simulate;
mod status;
mod telling;
mod verify;
mod watch;
mod work;
mod zones;

use std::fmt;
use std::io::Write as _;

use crate::cli::{Cli, Command, Common};
use crate::exit_code::ExitCode;
use crate::ledger::LedgerError;
use crate::outcome::Class;
use crate::platform::client::CallError;
use crate::run::RunError;
use crate::settings::SettingsErrors;
use crate::sim::SimError;
use crate::vault::VaultError;

/// A mistake in how the program was called.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Does what the arguments say, and tells a person what went wrong.
pub fn dispatch(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&anyhow::Error::new(error).context("cannot start the threads that everything runs on"));
            return ExitCode::Failure;
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            None => one_off::run(cli.one_off).await,
            Some(Command::Run(args)) => run::run(args).await,
            Some(Command::Plan(args)) => plan::run(args).await,
            Some(Command::Gaps(args)) => gaps::run(args).await,
            Some(Command::Report(args)) => report::run(args).await,
            Some(Command::Status(args)) => status::run(args).await,
            Some(Command::Check(args)) => check::run(args).await,
            Some(Command::Init(args)) => init::run(args).await,
            Some(Command::Devices(args)) => devices::run(args).await,
            Some(Command::Play(args)) => play::run(args).await,
            Some(Command::Live(args)) => live::run(args).await,
            Some(Command::Verify(args)) => verify::run(args).await,
            Some(Command::Prune(args)) => prune::run(args).await,
            Some(Command::Migrate(args)) => migrate::run(args).await,
            Some(Command::Export(args)) => export::run(args).await,
            Some(Command::Reindex(args)) => reindex::run(args).await,
            Some(Command::Rehearse(args)) => rehearse::run(args).await,
            Some(Command::Simulate(args)) => simulate::run(args).await,
            Some(Command::Man(args)) => man::man(&args),
            Some(Command::Completions(args)) => man::completions(&args),
        }
    });
    // Whatever still waits for the disk or the network is not waited for: the ledger has all that counts.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        tell(&error);
        exit_code_of(&error)
    })
}

/// Tells a person what went wrong.
fn tell(error: &anyhow::Error) {
    // OK to ignore a closed stderr: there is nobody left to tell, and the exit code says it too.
    let _ = writeln!(std::io::stderr(), "archive: {}", said(error));
}

/// What went wrong, for a person: the error, and what of its causes it does not say itself.
fn said(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The exit code that an error ends in, wherever in the chain it lies.
fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        if cause.is::<UsageError>() || cause.is::<SettingsErrors>() {
            return ExitCode::Usage;
        }
        if let Some(SimError::Config(_) | SimError::Read { .. }) = cause.downcast_ref() {
            return ExitCode::Usage;
        }
        if cause.downcast_ref().is_some_and(|call: &CallError| call.class() == Class::AccountRefused) {
            return ExitCode::AccountRefused;
        }
        let run = cause.downcast_ref::<RunError>();
        let ledger = match run {
            Some(RunError::Ledger(ledger)) => Some(ledger),
            _ => cause.downcast_ref(),
        };
        let vault = match run {
            Some(RunError::Vault(vault)) => Some(vault),
            _ => cause.downcast_ref(),
        };
        match (ledger, vault) {
            (Some(LedgerError::Held { .. } | LedgerError::CamerasHeld { .. } | LedgerError::UpkeepHeld { .. }), _)
            | (_, Some(VaultError::Held { .. } | VaultError::UpkeepHeld { .. })) => return ExitCode::Held,
            (Some(LedgerError::NotEmpty { .. } | LedgerError::BeingFilled { .. }), _) => return ExitCode::Usage,
            (Some(LedgerError::DiskFull { .. }), _) | (_, Some(VaultError::Full { .. })) => return ExitCode::DiskFull,
            _ => {}
        }
    }
    ExitCode::Failure
}

/// Prints a result on stdout.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Whether a result is wanted as JSON, and if so, that.
fn print_result<T: serde::Serialize>(common: &Common, result: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if common.json {
        let mut json = serde_json::to_string_pretty(result)?;
        json.push('\n');
        print(&json)
    } else {
        print(&text())
    }
}
