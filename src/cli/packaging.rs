//! `archive man` and `archive completions`: their arguments.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `archive man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write them into, which is made when it is not there.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// `archive completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}
