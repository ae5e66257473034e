//! `archive reindex`: makes a lost or damaged ledger anew.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use crate::adopt::Check;
use crate::cli::ReindexArgs;
use crate::exit_code::ExitCode;
use crate::ledger::LedgerError;
use crate::recording::Source;
use crate::reindex::{self, Job, Progress, ReindexError};
use crate::render;
use crate::wording;

use super::{UsageError, context, logging, print_result, requests, root, work};

/// How often it says how far it is.
const SAID_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(args: ReindexArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let archive = &settings.archive;
    // Before anything is made in the wrong place.
    let root = root::place(archive)?;
    if !root.is_there() {
        let none = ReindexError::NoArchive { root: archive.root.clone() };
        return Err(UsageError(none.to_string()).into());
    }
    let Some(ledger) = archive.ledger.file().map(ToOwned::to_owned) else {
        let what = "make the ledger anew in a file (--ledger), and bring it there with `archive migrate`".to_owned();
        return Err(LedgerError::OnServer { ledger: archive.ledger.name(), what }.into());
    };
    work::make_folder(&ledger)?;
    let vault = root.open()?;
    let job = Job {
        ledger,
        replace: args.replace,
        default_zone: archive.time_zone,
        check: Check {
            source: Source::Nvr,
            now: requests::now(),
            tolerance_seconds: context::tolerance_seconds(&settings),
            platform_zone: settings.platform.time_zone,
        },
    };
    let (quiet, mut said) = (args.common.quiet, Instant::now());
    let progress = move |so_far: Progress| {
        if !quiet && said.elapsed() >= SAID_EVERY {
            said = Instant::now();
            tell(so_far);
        }
    };
    let made = tokio::task::spawn_blocking(move || reindex::reindex(&vault, job, progress)).await?;
    // As they are, so that the exit code is told from them.
    let done = made.map_err(|error| match error {
        ReindexError::Ledger(error) => anyhow::Error::new(error),
        ReindexError::Vault(error) => anyhow::Error::new(error),
        ReindexError::NoArchive { .. } => anyhow::Error::new(UsageError(error.to_string())),
        newer @ ReindexError::Newer { .. } => anyhow::Error::new(newer),
    })?;
    print_result(&args.common, &done, || render::reindexed(&done, archive.time_zone))?;
    Ok(ExitCode::Complete)
}

fn tell(Progress { named, looked_at }: Progress) {
    let named = wording::count(named, "recording");
    let looked_at = wording::count(looked_at, "file");
    // OK to ignore a closed stderr: it says no more than that somebody has to wait.
    let _ = writeln!(io::stderr(), "{named} found by the catalog, {looked_at} looked through");
}
