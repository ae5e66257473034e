//! `archive migrate`: a ledger moves from a file to a PostgreSQL server, or back.
//!
//! The new one is filled under another name or mark, so that nothing takes it for a ledger before every row of it is compared;
//! the old one is left as it is. Cut off anywhere, the same command goes on where it was.

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::MigrateArgs;
use crate::exit_code::ExitCode;
use crate::ledger::{Filling, Ledger, Progress};
use crate::ledger_place::LedgerPlace;
use crate::wording;

use super::{UsageError, logging, print_result, requests, work};

/// How often it says how far it is.
const SAID_EVERY: Duration = Duration::from_secs(5);

/// What was done.
#[derive(Debug, Serialize)]
struct Migrated {
    from: String,
    to: String,
    /// Rows that were copied by this command; an earlier one that was cut off may have copied others.
    copied: u64,
    /// Rows that both have, looked at one by one.
    compared: u64,
    /// Whether all is there, and the new ledger may be used.
    complete: bool,
}

pub(super) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let (from, to) = (place("--from", &args.from)?, place("--to", &args.to)?);
    if from == to {
        return Err(UsageError(format!("--from and --to are the same ledger: {from}")).into());
    }
    let source = Ledger::open_read_only(&from)?;
    let _still = source.hold_still(requests::now()).await?;
    let filling = Filling::begin(&to, &from).await?;

    let stop = CancellationToken::new();
    let signals = tokio::spawn(work::stop_on_signals(stop.clone()));
    let (is_stopped, quiet) = (|| stop.is_cancelled(), args.common.quiet);
    let said = Mutex::new(Instant::now());
    let tell = |doing: &'static str| {
        let said = &said;
        move |so_far: Progress| say(quiet, said, doing, so_far)
    };
    let mut migrated = Migrated { from: from.to_string(), to: to.to_string(), copied: 0, compared: 0, complete: false };
    let copied = filling.ledger().copy_from(&source, &is_stopped, &tell("copied")).await?;
    if let Some(copied) = copied {
        migrated.copied = copied;
        if let Some(compared) = filling.ledger().compare_with(&source, &is_stopped, &tell("compared")).await? {
            migrated.compared = compared;
            // On a server, a host may have begun to work on it meanwhile.
            source.refuse_hosts().await?;
            filling.finish().await?;
            migrated.complete = true;
        }
    }
    signals.abort();
    print_result(&args.common, &migrated, || in_words(&migrated))?;
    Ok(if migrated.complete { ExitCode::Complete } else { ExitCode::Stopped })
}

/// The place that an argument names.
fn place(flag: &str, text: &str) -> Result<LedgerPlace, UsageError> {
    let is_a_url = text.contains("://");
    let place = match text.strip_prefix("sqlite:") {
        Some("") => return Err(UsageError(format!("{flag}: sqlite: is followed by the ledger's file"))),
        Some(file) => return Ok(LedgerPlace::File(file.into())),
        None => LedgerPlace::parse(text).map_err(|error| UsageError(format!("{flag}: {error}")))?,
    };
    // Never the text itself: it may have a password.
    if is_a_url && place.file().is_some() {
        let known = "sqlite: and a file, or postgres://user@host/database";
        return Err(UsageError(format!("{flag}: a ledger is at {known}")));
    }
    Ok(place)
}

fn say(quiet: bool, said: &Mutex<Instant>, doing: &str, Progress { table, rows }: Progress) {
    let Ok(mut said) = said.lock() else { return };
    if !quiet && said.elapsed() >= SAID_EVERY {
        *said = Instant::now();
        // OK to ignore a closed stderr: it says no more than that somebody has to wait.
        let _ = writeln!(io::stderr(), "{} {doing}, now of {table}", wording::count(rows, "row"));
    }
}

fn in_words(migrated: &Migrated) -> String {
    let Migrated { from, to, copied, compared, complete } = migrated;
    match complete {
        true => format!(
            "{} copied to {to}; {} compared with {from}, all the same.\nName it in the settings ([archive] ledger); the old \
             one was left as it is.\n",
            wording::count(*copied, "row"),
            wording::count(*compared, "row"),
        ),
        false => format!("Stopped. {from} is as it was, {to} is not whole yet: the same command goes on.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_files_and_servers_and_no_password_is_repeated() {
        assert_eq!(place("--to", "sqlite:a.db").expect("a file"), LedgerPlace::File("a.db".into()));
        assert_eq!(place("--to", "a.db").expect("a file"), LedgerPlace::File("a.db".into()));
        assert!(place("--to", "postgres://me@host/archive").expect("a server").file().is_none());
        for wrong in ["sqlite:", "mysql://me:hush@host/archive", "postgres://me:hu@sh@host/archive"] {
            let refused = place("--to", wrong).expect_err("it is no place");
            assert!(refused.0.starts_with("--to: ") && !refused.0.contains("hu"), "{}", refused.0);
        }
    }
}
