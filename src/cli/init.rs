//! `archive init`: its arguments.

use std::path::PathBuf;

use clap::Args;

use super::Common;

/// `archive init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write; one that is there stays as it is.
    #[arg(long, short, default_value = "jobs.toml", value_name = "FILE")]
    pub output: PathBuf,
    /// Take the cameras that the ledger knows, and ask nobody.
    #[arg(long)]
    pub from_ledger: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
