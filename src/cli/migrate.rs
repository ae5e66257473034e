//! `archive migrate`: its arguments.

use clap::Args;

use super::Common;

/// `archive migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The ledger that is there: `sqlite:` and a file, or `postgres://…`.
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Where it is to be, which must have none yet: the same.
    #[arg(long, value_name = "PLACE")]
    pub to: String,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
