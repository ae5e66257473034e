//! The arguments of `archive report`.

use clap::Args;

use super::{Common, Selection};

/// `archive report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Where the page goes, `coverage.html` say; `-` is stdout. Left out, --json prints what it would be made of.
    #[arg(long, short, value_name = "FILE", required_unless_present = "json", conflicts_with = "json")]
    pub output: Option<String>,
    /// Which devices and what time; all devices and the last 31 days when left out.
    #[command(flatten)]
    pub selection: Selection,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
