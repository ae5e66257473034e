//! A run from beginning to end: what the one-off, `run` and `rehearse` have in common.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::device::NvrMap;
use crate::display::Style;
use crate::exit_code::ExitCode;
use crate::lease::LeaseTimes;
use crate::ledger::{Ledger, LedgerError};
use crate::recording::Source;
use crate::report::DeviceRow;
use crate::run::{self, Job, Tools};
use crate::scheduler::Policy;
use crate::settings::{ArchiveSettings, Settings};
use crate::vault::{self, Vault};

use super::context::Clients;
use super::requests::Requests;
use super::telling::Ran;
use super::zones::Opened;
use super::{context, progress, recorders, root};

/// Runs what is asked, shows it while it runs, and stops it early on SIGINT or SIGTERM. The ledger is made when there is none.
pub(super) async fn execute(
    style: Style,
    settings: &Settings,
    clients: Clients,
    requests: Requests,
    opened: Option<Opened>,
) -> anyhow::Result<Ran> {
    for note in &requests.notes {
        tracing::warn!("{note}");
    }
    let Opened { ledger, devices: known } = match opened {
        Some(opened) => opened,
        None => Opened::of(open_ledger(&settings.archive)?).await?,
    };
    let vault = root::open(&settings.archive, &ledger).await?;
    let nvrs = recorders::of(settings, &known).map;
    recorders::warn_of_unknown(&nvrs, requests.asked.keys());
    let fetcher = context::fetcher(settings, clients, vault.clone()).await?;
    let stop = CancellationToken::new();
    let asked_to_end = stop.clone();
    let (events, listening) = progress::listen(settings, style, Source::Nvr, &requests.what, &stop)?;
    progress::tell_of_absences(&events, &ledger, &vault);
    let signals = tokio::spawn(stop_on_signals(stop.clone()));
    let ledger = Arc::new(ledger);
    end_waiting_with(&stop, &ledger);
    hurry_at_the_end(&stop, &vault);

    let (what, asked) = (requests.what.clone(), requests.asked.keys().copied().collect());
    let job = job(settings, requests, nvrs, known);
    let summary = run::execute(job, Tools { ledger, vault, fetcher, events, stop }).await;
    signals.abort();
    // The sender is gone with the run, so those who listen come to their end.
    let programs = listening.end().await;
    Ok(Ran { what, asked, summary, programs, signalled: asked_to_end.is_cancelled() })
}

/// Lets a run that is to stop do so while the ledger's server is away.
pub(super) fn end_waiting_with(stop: &CancellationToken, ledger: &Arc<Ledger>) {
    let (stop, ledger) = (stop.clone(), Arc::downgrade(ledger));
    tokio::spawn(async move {
        stop.cancelled().await;
        // OK if it is gone: so is the run.
        if let Some(ledger) = ledger.upgrade() {
            ledger.end_waiting();
        }
    });
}

/// The ledger, for a command that writes; made with its folder when there is none and has been none.
pub(super) fn open_ledger(archive: &ArchiveSettings) -> anyhow::Result<Ledger> {
    refuse_a_lost_one(archive)?;
    make_folder(&archive.beside_ledger())?;
    Ok(Ledger::open(&archive.ledger)?)
}

/// The ledger, for a command that writes and has nothing to do where there is none.
pub(super) fn existing_ledger(archive: &ArchiveSettings) -> anyhow::Result<Ledger> {
    refuse_a_lost_one(archive)?;
    if !Ledger::is_there(&archive.ledger)? {
        return Err(LedgerError::NotThere { ledger: archive.ledger.name() }.into());
    }
    Ok(Ledger::open(&archive.ledger)?)
}

/// Refuses to begin an archive anew that has lost its ledger, or whose ledger lies elsewhere, or whose disk is not mounted.
pub(super) fn refuse_a_lost_one(archive: &ArchiveSettings) -> anyhow::Result<()> {
    root::refuse_a_missing_one(archive)?;
    if Ledger::is_there(&archive.ledger)? || !root::place(archive)?.has_catalog()? {
        return Ok(());
    }
    Err(LedgerError::Lost { ledger: archive.ledger.name(), root: archive.root.clone() }.into())
}

/// Makes the folder of a ledger.
pub(super) fn make_folder(ledger: &Path) -> anyhow::Result<()> {
    if let Some(folder) = ledger.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        vault::make_folder(folder).context("the ledger has no place")?;
    }
    Ok(())
}

fn job(settings: &Settings, requests: Requests, nvrs: NvrMap, known: Vec<DeviceRow>) -> Job {
    let streams = context::streams(settings.archive.streams, "streams");
    Job {
        what: requests.what,
        asked: requests.asked,
        zones: requests.zones,
        default_zone: settings.archive.time_zone,
        platform_zone: settings.platform.time_zone,
        policy: Policy { streams, ..context::policy(settings, &nvrs) },
        nvrs,
        stated_nvrs: settings.nvr_map(),
        known,
        tolerance_seconds: context::tolerance_seconds(settings),
        min_free: settings.archive.min_free,
        keep_attempts: settings.archive.keep_attempts,
        lease: LeaseTimes::lasting(settings.archive.lease),
        seed: seed(),
    }
}

/// Jitter must differ between hosts and nights; nothing else hangs on it.
pub(super) fn seed() -> u64 {
    chrono::Utc::now().timestamp_millis().unsigned_abs() ^ u64::from(std::process::id())
}

/// From when somebody wants the end on, nobody waits for an object store that is away.
pub(super) fn hurry_at_the_end(stop: &CancellationToken, vault: &Vault) {
    if vault.uploads() {
        let (stop, vault) = (stop.clone(), vault.clone());
        tokio::spawn(async move {
            stop.cancelled().await;
            vault.hurry();
        });
    }
}

/// The first signal asks the run to end; a second one ends the process, which a run survives as it survives any crash.
pub(super) async fn stop_on_signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal as listen_to};
    // Else a file that reaches this user's limit ends the process on the spot; as it is, the write fails, which is told.
    // OK when it cannot be had: the next start goes on after any end.
    let _limit_of_files = listen_to(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    signal().await;
    stop.cancel();
    signal().await;
    std::process::exit(ExitCode::Stopped as i32);
}

/// The next SIGINT or SIGTERM.
pub(super) async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("signals cannot be caught, so a run can only be killed: {error}");
            std::future::pending().await
        }
    }
}
