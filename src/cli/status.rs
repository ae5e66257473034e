//! `archive status`: its arguments.

use clap::Args;

use super::Common;

/// `archive status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How many runs to show.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub runs: u32,
    /// Show it again every two seconds, until Ctrl-C; with --json, a line each time.
    #[arg(long)]
    pub watch: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
