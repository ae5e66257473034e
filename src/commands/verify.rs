//! `archive verify`: whether the files are there and are what they were.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use crate::calendar;
use crate::catalog_writer;
use crate::cli::{Common, VerifyArgs};
use crate::event::{Event, Recovery};
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::render;
use crate::run::RunError;
use crate::settings::Settings;
use crate::upkeep::{VerifyEnd, VerifyReport};
use crate::vault::Vault;
use crate::verify::{self, Budget, Told, VerifyJob, VerifyTools};
use crate::wording;

use super::zones::Zones;
use super::{UsageError, context, logging, print_result, requests, root, work};

/// How often somebody who watches is told how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let budget = budget(&args.budget)?;
    let ledger = work::existing_ledger(&settings.archive)?;
    let selection = &args.selection;
    let is_part = !selection.devices.is_empty()
        || selection.from.is_some()
        || selection.to.is_some()
        || selection.last.is_some()
        || selection.date.is_some()
        || !selection.hours.is_empty();
    let parts = match is_part {
        false => None,
        true if budget != Budget::default() => {
            let text = "--budget is for rounds through the whole archive; leave out --device and the time, or --budget";
            return Err(UsageError(text.to_owned()).into());
        }
        true => {
            let zones = Zones::read(&settings).await?;
            let questions = requests::of_question(selection, &zones, requests::now())?.into_iter();
            let parts = questions.flat_map(|(devices, within)| devices.into_iter().map(move |device| (device, within)));
            Some(parts.collect())
        }
    };
    let vault = root::existing(&settings.archive, &ledger).await?;
    let stop = CancellationToken::new();
    let signals = tokio::spawn(work::stop_on_signals(stop.clone()));
    let job = VerifyJob { hash: args.hash, parts, budget, folders_are_gone: args.folders_are_gone };
    let mut tell = teller(&args.common, &settings);
    let verified = verify::execute(job, VerifyTools { ledger: &ledger, vault: &vault, stop, tell: &mut tell }).await;
    signals.abort();
    let report = verified.map_err(RunError::from)?;
    write_catalog(&ledger, &vault).await;
    print_result(&args.common, &report, || render::verify(&report, settings.archive.time_zone))?;
    Ok(exit_code(&report))
}

/// What nobody could look at is worse than a gap, which is known.
fn exit_code(report: &VerifyReport) -> ExitCode {
    match report.ended {
        _ if report.is_unsure() => ExitCode::Failure,
        VerifyEnd::Signal => ExitCode::Stopped,
        VerifyEnd::Complete | VerifyEnd::Budget if report.corrupt > 0 => ExitCode::Gaps,
        VerifyEnd::Complete | VerifyEnd::Budget => ExitCode::Complete,
    }
}

/// A length of time, a size, or one of each.
fn budget(written: &[String]) -> Result<Budget, UsageError> {
    let mut budget = Budget::default();
    for text in written {
        let size = text.parse::<ByteSize>().ok().filter(|_| text.trim_end().ends_with('B'));
        let is_new = match (calendar::parse_duration(text), size) {
            (Ok(time), _) => budget.time.replace(time).is_none(),
            (Err(_), Some(size)) => budget.bytes.replace(size.as_u64()).is_none(),
            (Err(_), None) => {
                let text =
                    format!("--budget: {text:?} is neither a length of time nor a size; write 1h or \"500 GiB\"");
                return Err(UsageError(text));
            }
        };
        if !is_new {
            return Err(UsageError("--budget: one length of time and one size at most".to_owned()));
        }
    }
    Ok(budget)
}

/// Says on stderr what is found, when it is found, and now and then how far it has come.
fn teller(common: &Common, settings: &Settings) -> impl FnMut(Told) {
    let (is_quiet, zone) = (common.quiet, settings.archive.time_zone);
    let mut told = Instant::now();
    move |what| match what {
        Told::Recovered(recovery) => tell_recovery(&recovery),
        Told::Mismatch(mismatch) => tracing::warn!("{}", render::mismatch(&mismatch, zone)),
        Told::Unreadable(one) => tracing::warn!("cannot look at {}", render::unreadable(&one)),
        Told::Progress { recordings, bytes } => {
            if !is_quiet && told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let (recordings, bytes) = (wording::count(recordings, "recording"), wording::bytes(bytes));
                // OK to ignore a closed stderr: it says no more than how far it has come.
                let _ = writeln!(io::stderr(), "{recordings}, {bytes}");
            }
        }
    }
}

/// What has left the archive must not come back when the ledger is made anew from the catalog.
pub(super) async fn write_catalog(ledger: &Ledger, vault: &Vault) {
    let written = catalog_writer::bring_up_to_date(ledger, vault, requests::now(), None).await;
    if let Some(Event::CatalogNotWritten { why }) = written {
        tracing::warn!("the archive's catalog does not say it yet; the next run's end writes it: {why}");
    }
}

/// Says what was done with what an earlier one left behind.
pub(super) fn tell_recovery(recovery: &Recovery) {
    match recovery {
        Recovery::SetAside { path, why } => tracing::warn!("moved aside to {}: {why}", path.display()),
        Recovery::Left { why } => tracing::warn!("left behind by an earlier one, stays where it is: {why}"),
        // OK to say nothing: neither leaves a file, and nobody is to do anything.
        Recovery::Swept { .. } | Recovery::Adopted { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_budget_is_a_time_or_a_size_or_both() {
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(budget(&texts(&["1h"])).expect("a time"), Budget { time: hour, bytes: None });
        let both = budget(&texts(&["500 GiB", "1h"])).expect("both");
        assert_eq!(both, Budget { time: hour, bytes: Some(500 << 30) });
        for wrong in [&["1h", "2h"][..], &["soon"], &["500"], &["500 G"]] {
            assert!(budget(&texts(wrong)).is_err(), "{wrong:?}");
        }
    }
}
