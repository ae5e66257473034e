//! The arguments of `archive export`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Selection};

/// `archive export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which camera and what time; with --flv also several cameras.
    #[command(flatten)]
    pub selection: Selection,
    /// The film to write, `incident.mp4`; its manifest is written beside it as `incident.mp4.json`. With --flv a folder.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Copy the recordings as they are into a folder, instead of joining them.
    #[arg(long)]
    pub flv: bool,
    /// Replace what is there under these names.
    #[arg(long)]
    pub force: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
