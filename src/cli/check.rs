//! `archive check`: its arguments.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::device::DeviceId;

/// `archive check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file of jobs that is to run; without one, what flags and environment say.
    #[arg(value_name = "JOBS.TOML")]
    pub file: Option<PathBuf>,
    /// Ask this camera for a minute of footage [default: the first one of the first job].
    #[arg(long, short = 'd', value_name = "N")]
    pub device: Option<DeviceId>,
    /// Ask no camera: its NVR is left alone.
    #[arg(long, conflicts_with = "device")]
    pub no_device: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}
