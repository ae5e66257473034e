//! Arguments, and nothing else: what they mean is for [`crate::commands`] to find out.

mod check;
mod export;
mod init;
mod migrate;
mod packaging;
mod report;
mod status;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device::DeviceId;
use crate::exit_code::ExitCode;

pub use check::CheckArgs;
pub use export::ExportArgs;
pub use init::InitArgs;
pub use migrate::MigrateArgs;
pub use packaging::{CompletionsArgs, ManArgs};
pub use report::ReportArgs;
pub use status::StatusArgs;

const AFTER_HELP: &str = "\
Exit codes: 0 all that was asked for is archived · 1 an unexpected failure · 2 wrong usage or settings · 3 finished, \
gaps remain · 4 the account was refused · 5 stopped early, resumable · 6 another run holds the ledger · 7 the disk is \
full or below min_free.

The secret comes from ARCHIVE_SECRET, a file or a command (see jobs.example.toml), never from a flag.

First steps: `archive rehearse` runs everything against a simulated platform and needs no account.";

/// Saves the recordings of shop cameras before the recorders overwrite them.
#[derive(Debug, Parser)]
#[command(name = "archive", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without one, a one-off: `archive --device 5 --from … --to …`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The one-off.
    #[command(flatten)]
    pub one_off: OneOff,
}

/// A job by hand.
#[derive(Debug, Args)]
pub struct OneOff {
    /// What to fetch.
    #[command(flatten)]
    pub selection: Selection,
    /// Print what would be fetched, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// Devices and time.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// Cameras, by the platform's numbers: `5`, `5,7,10-14`; may be given again.
    #[arg(long = "device", short = 'd', value_name = "LIST")]
    pub devices: Vec<String>,
    /// The start, in the devices' local time unless it carries an offset: `2026-11-20 09:00`, `2026-11-20T09:00+08:00`.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["last", "date"])]
    pub from: Option<String>,
    /// The end, likewise; `now` is allowed.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["last", "date"])]
    pub to: Option<String>,
    /// The time up to now: `24h`, `90m`, `7d`.
    #[arg(long, value_name = "DURATION", conflicts_with = "date")]
    pub last: Option<String>,
    /// A local day: `2026-11-20`, `yesterday`, `today`.
    #[arg(long, value_name = "DAY")]
    pub date: Option<String>,
    /// Only these hours of each local day: `09:00-22:00`; may be given again.
    #[arg(long, value_name = "SPAN")]
    pub hours: Vec<String>,
}

/// Where things are, and how much is said.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// A file of settings (ARCHIVE_CONFIG).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the recordings (ARCHIVE_ROOT) [default: recordings].
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<String>,
    /// The ledger: a file, or postgres://user@host/database (ARCHIVE_LEDGER) [default: ledger.db in the root].
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<String>,
    /// The gateway (ARCHIVE_URL) [default: https://openapi.opretail.com/m.api].
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The open platform's system number (ARCHIVE_AID) [default: S107].
    #[arg(long, value_name = "NUMBER")]
    pub aid: Option<String>,
    /// The access key (ARCHIVE_AKEY).
    #[arg(long, value_name = "KEY")]
    pub akey: Option<String>,
    /// The devices' local time [default: Asia/Shanghai].
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Downloads at once, over all NVRs [default: 16].
    #[arg(long, value_name = "N")]
    pub streams: Option<String>,
    /// Downloads at once that an NVR is first asked for, before anything is learned of it [default: 4].
    #[arg(long, value_name = "N")]
    pub per_nvr: Option<String>,
    /// Say more on stderr; twice for everything.
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on stderr but warnings and errors.
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print the result as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the jobs of a file: what cron calls.
    Run(RunArgs),
    /// Print what a run would fetch, what that takes, and what is lost before; fetch nothing.
    Plan(PlanArgs),
    /// Print what is missing, and why.
    Gaps(GapsArgs),
    /// Draw what is archived and what is missing, and why, as a page for a browser: one file that needs nothing else.
    Report(ReportArgs),
    /// Print how the archive stands: what runs now, coverage, what is missing by cause, what is still to be had of each NVR, the last runs.
    Status(StatusArgs),
    /// Look whether all is ready for a night: settings, ledger, disk, clock, gateway, account, and one camera's footage.
    Check(CheckArgs),
    /// Write a first, commented file of jobs over all cameras of the platform's list.
    Init(InitArgs),
    /// Print the cameras: stores, NVRs and how each NVR is known; --refresh asks the platform first.
    Devices(DevicesArgs),
    /// Print a camera's live URLs, or start a player on the best of them.
    Play(PlayArgs),
    /// Record live streams, as they come, into the archive; what is interrupted stays a gap that a run from the NVRs fetches.
    Live(LiveArgs),
    /// Look whether the files are there and are what they were; what is not becomes a gap, and its file is moved aside.
    Verify(VerifyArgs),
    /// Delete what is older than the jobs of a file keep it.
    Prune(PruneArgs),
    /// Move the ledger from a file to a PostgreSQL server, or back.
    Migrate(MigrateArgs),
    /// Join the recordings of a camera and a time into one MP4, or copy them, with a manifest of what is missing in it.
    Export(ExportArgs),
    /// Make a lost or damaged ledger anew, from the recordings and the archive's catalog.
    Reindex(ReindexArgs),
    /// Run the main job against the simulated platform: needs no account.
    Rehearse(RehearseArgs),
    /// Serve the simulated platform.
    Simulate(SimulateArgs),
    /// Write the manual pages, a file for each command.
    Man(ManArgs),
    /// Print what a shell completes this program's arguments by.
    Completions(CompletionsArgs),
}

/// `archive run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The file of jobs.
    #[arg(value_name = "JOBS.TOML")]
    pub file: PathBuf,
    /// Only the job of this name; may be given again.
    #[arg(long = "job", value_name = "NAME")]
    pub jobs: Vec<String>,
    /// Print what would be fetched, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A file of jobs; without one, what the flags select.
    #[arg(value_name = "JOBS.TOML", conflicts_with_all = ["devices", "from", "to", "last", "date", "hours"])]
    pub file: Option<PathBuf>,
    /// Only the job of this name; may be given again.
    #[arg(long = "job", value_name = "NAME", requires = "file")]
    pub jobs: Vec<String>,
    /// What to fetch.
    #[command(flatten)]
    pub selection: Selection,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive gaps`
#[derive(Debug, Args)]
pub struct GapsArgs {
    /// Which devices and what time; all when left out.
    #[command(flatten)]
    pub selection: Selection,
    /// Print a line of blocks for each camera instead of the table: how much of its time is archived. On a terminal, those of the
    /// cameras that miss most follow the table anyway.
    #[arg(long, conflicts_with = "json")]
    pub strip: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive devices`
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Only this store, by its number.
    #[arg(long, value_name = "N")]
    pub store: Option<i64>,
    /// Ask the platform for its list first, and keep the answer in the ledger.
    #[arg(long)]
    pub refresh: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive play`
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The camera, by the platform's number.
    #[arg(long, short = 'd', value_name = "N")]
    pub device: DeviceId,
    /// Its secondary stream: smaller pictures.
    #[arg(long)]
    pub secondary: bool,
    /// Take this one of the URLs, instead of the best.
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Start a player at once, with the URL as its last argument: `--exec mpv --no-audio`. All that follows is the player's, so
    /// it comes last.
    #[arg(long, value_name = "PROGRAM [ARGS]", num_args = 1.., allow_hyphen_values = true, conflicts_with = "json")]
    pub exec: Vec<OsString>,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive live`
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// A file of jobs, of which those of kind "live" are recorded in their hours; without one, what the flags select.
    #[arg(value_name = "JOBS.TOML", conflicts_with_all = ["devices", "hours", "secondary"])]
    pub file: Option<PathBuf>,
    /// Only the job of this name; may be given again.
    #[arg(long = "job", value_name = "NAME", requires = "file")]
    pub jobs: Vec<String>,
    /// Cameras, by the platform's numbers: `5`, `5,7,10-14`; may be given again.
    #[arg(long = "device", short = 'd', value_name = "LIST")]
    pub devices: Vec<String>,
    /// For so long, from now on: `2h`, `90m`. Without it or --until, until it is stopped (Ctrl-C, SIGTERM).
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    pub length: Option<String>,
    /// Until then, in the devices' local time: `18:00` (the next one), `2026-11-20 18:00`, or with an offset.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only in these hours of each local day: `09:00-22:00`; may be given again.
    #[arg(long, value_name = "SPAN")]
    pub hours: Vec<String>,
    /// The secondary streams: smaller pictures.
    #[arg(long)]
    pub secondary: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// How a live stream travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// FLV over HTTP; only for H.264.
    Flv,
    /// HLS.
    Hls,
    /// RTSP.
    Rtsp,
    /// RTMP; only for H.264.
    Rtmp,
}

/// `archive verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Read every file and compare its hash, instead of looking at sizes only.
    #[arg(long)]
    pub hash: bool,
    /// With --hash: end after so much time or so many bytes, `1h` or `500GiB`; may be given again for one of each. The next one
    /// goes on behind it, and so round the whole archive.
    #[arg(long, value_name = "AMOUNT", requires = "hash")]
    pub budget: Vec<String>,
    /// Of a camera without one folder, believe that they are gone for good, and make gaps of all its recordings.
    #[arg(long)]
    pub folders_are_gone: bool,
    /// Which devices and what time; all when left out.
    #[command(flatten)]
    pub selection: Selection,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// The file of jobs: what is older than `keep` goes, where no job of the file keeps it longer.
    #[arg(value_name = "JOBS.TOML")]
    pub file: PathBuf,
    /// Only the cameras of the job of this name; may be given again.
    #[arg(long = "job", value_name = "NAME")]
    pub jobs: Vec<String>,
    /// Print what would go, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete no more than this, the oldest first: `100GiB` [default: as the file says, else all that is due].
    #[arg(long, value_name = "SIZE")]
    pub most: Option<String>,
    /// Refuse when more than this share of the archive's time is due [default: 0.2].
    #[arg(long, value_name = "SHARE")]
    pub max_share: Option<String>,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive reindex`
#[derive(Debug, Args)]
pub struct ReindexArgs {
    /// Also when the ledger is whole, newer, or no ledger: it is moved aside, never deleted.
    #[arg(long)]
    pub replace: bool,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive rehearse`
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// A file of jobs to rehearse; without one, the example that is built in.
    #[arg(value_name = "JOBS.TOML")]
    pub file: Option<PathBuf>,
    /// What goes wrong on the simulated platform.
    #[arg(long, value_enum, default_value_t = Faults::None)]
    pub faults: Faults,
    /// What the simulated platform's chance starts from.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// How.
    #[command(flatten)]
    pub common: Common,
}

/// `archive simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8500", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The access key that it knows.
    #[arg(long, value_name = "KEY")]
    pub akey: Option<String>,
    /// The secret of that key. It guards nothing but the simulation; a real one never goes into a flag.
    #[arg(long, value_name = "SECRET")]
    pub secret: Option<String>,
    /// What its chance starts from.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What goes wrong.
    #[arg(long, value_enum)]
    pub faults: Option<Faults>,
    /// How fast footage streams: `max`, or so many times its playing speed.
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<String>,
    /// A file that describes its stores, NVRs and cameras.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to write one line of JSON per call and per stream.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// What goes wrong on the simulated platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Nothing beyond what the set-up says.
    None,
    /// What a night brings.
    Typical,
    /// Everything that is known to happen, often.
    Hostile,
}

impl Cli {
    /// Reads the program's arguments; prints help or a mistake itself, and gives the exit code that follows.
    pub fn parse_arguments() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // OK to ignore a closed stdout or stderr: there is nobody left to tell.
            let _ = error.print();
            if error.use_stderr() { ExitCode::Usage } else { ExitCode::Complete }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_one_off_needs_no_subcommand() {
        let line = ["archive", "--device", "5,7", "-d", "9", "--from", "2026-11-20 09:00", "--to", "now", "--dry-run"];
        let cli = Cli::try_parse_from(line).expect("the line is right");
        assert!(cli.command.is_none() && cli.one_off.dry_run);
        assert_eq!(cli.one_off.selection.devices, ["5,7", "9"]);
    }

    #[test]
    fn all_that_follows_exec_is_the_players() {
        let line = ["archive", "play", "-d", "5", "--exec", "mpv", "--json", "-v", "--", "--x"];
        let Ok(Cli { command: Some(Command::Play(args)), .. }) = Cli::try_parse_from(line) else { panic!("{line:?}") };
        assert_eq!(args.exec, ["mpv", "--json", "-v", "--", "--x"]);
        assert!(!args.common.json && args.common.verbose == 0);
        assert!(Cli::try_parse_from(["archive", "play", "-d", "5", "--json", "--exec", "mpv"]).is_err());
    }

    #[test]
    fn a_secret_is_no_flag() {
        let line = ["archive", "run", "jobs.toml", "--secret", "x"];
        assert!(Cli::try_parse_from(line).is_err());
    }
}
