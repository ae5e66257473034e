//! What each subcommand does: one file each. The only place where errors become words for a person, and an exit code.

mod context;
mod gaps;
mod logging;
mod one_off;
mod plan;
mod rehearse;
mod requests;
mod run;
mod simulate;
mod status;
mod work;

use std::fmt;

use crate::cli::{Cli, Command, Common};
use crate::exit_code::ExitCode;
use crate::ledger::LedgerError;
use crate::run::RunError;
use crate::settings::SettingsErrors;
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
            eprintln!("archive: cannot start the threads that everything runs on: {error}");
            return ExitCode::Failure;
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            None => one_off::run(cli.one_off).await,
            Some(Command::Run(args)) => run::run(args).await,
            Some(Command::Plan(args)) => plan::run(args).await,
            Some(Command::Gaps(args)) => gaps::run(args).await,
            Some(Command::Status(args)) => status::run(args).await,
            Some(Command::Rehearse(args)) => rehearse::run(args).await,
            Some(Command::Simulate(args)) => simulate::run(args).await,
        }
    });
    // Whatever still waits for the disk or the network is not waited for: the ledger has all that counts.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        eprintln!("archive: {error:#}");
        exit_code_of(&error)
    })
}

/// The exit code that an error ends in, wherever in the chain it lies.
fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        if cause.is::<UsageError>() || cause.is::<SettingsErrors>() {
            return ExitCode::Usage;
        }
        if matches!(cause.downcast_ref(), Some(LedgerError::Held { .. }))
            || matches!(cause.downcast_ref(), Some(RunError::Ledger(LedgerError::Held { .. })))
        {
            return ExitCode::Held;
        }
        if matches!(cause.downcast_ref(), Some(VaultError::Full { .. }))
            || matches!(cause.downcast_ref(), Some(RunError::Vault(VaultError::Full { .. })))
        {
            return ExitCode::DiskFull;
        }
    }
    ExitCode::Failure
}

/// Prints a result on stdout.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
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
