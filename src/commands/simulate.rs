//! `archive simulate`: the simulated platform as a server of its own.

use crate::cli::{Faults, SimulateArgs};
use crate::exit_code::ExitCode;
use crate::sim::config::Hidden;
use crate::sim::{self, Options, Profile, Speed};

use super::{UsageError, logging, print};

pub(super) async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    logging::start(&crate::cli::Common::default());
    let speed: Option<Speed> = match &args.speed {
        Some(text) => Some(text.parse().map_err(|error| UsageError(format!("--speed: {error}")))?),
        None => None,
    };
    let options = Options {
        listen: args.listen,
        akey: args.akey,
        secret: args.secret.map(Hidden::new),
        seed: args.seed,
        faults: args.faults.map(profile),
        speed,
        config: args.config,
        log: args.log,
    };
    let running = sim::serve(options).await?;
    print(&format!("listening on {}\n", running.url()))?;
    super::work::signal().await;
    running.shutdown().await;
    Ok(ExitCode::Complete)
}

pub(super) fn profile(faults: Faults) -> Profile {
    match faults {
        Faults::None => Profile::None,
        Faults::Typical => Profile::Typical,
        Faults::Hostile => Profile::Hostile,
    }
}
