//! The `archive` program: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use archive::cli::Cli;
use archive::commands;

fn main() -> ExitCode {
    let cli = match Cli::parse_arguments() {
        Ok(cli) => cli,
        Err(code) => return code.into(),
    };
    commands::dispatch(cli).into()
}
