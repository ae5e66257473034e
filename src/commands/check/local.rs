//! What this machine has to say: ledger, root, disk, open files.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::descriptors;
use crate::device::DeviceId;
use crate::ledger::{Ledger, LedgerError};
use crate::readiness::{self, Finding, LedgerState, Part};
use crate::recording::Source;
use crate::settings::{ArchiveSettings, Settings};
use crate::vault::Trial;

use super::super::zones::Zones;
use super::super::{plan, recorders, requests, root, work};

/// For how long the ledger is looked through: somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    let (opened, ledger) = ledger(settings).await;
    let cameras = cameras(settings, opened.as_ref()).await;
    let root = root(settings, opened.as_ref()).await;
    vec![cameras, ledger, root, disk(settings).await, files(settings)]
}

/// The ledger for further questions, when there is one that answers them.
async fn ledger(settings: &Settings) -> (Option<Ledger>, Finding) {
    let place = &settings.archive.ledger;
    let failed = |error: String| (None, Finding::fail(Part::Ledger, error));
    if let Err(lost) = work::refuse_a_lost_one(&settings.archive)
        && lost.is::<LedgerError>()
    {
        return failed(lost.to_string());
    }
    if let Err(place) = Ledger::may_write(place) {
        let finding = Finding::fail(Part::Ledger, format!("this user may not write {}", place.display()));
        return (None, finding.fix("run as the user whose it is, or give this one the right to it"));
    }
    let shown = place.display();
    let judged = |state| {
        let holders = Source::ALL.into_iter().filter_map(|source| Ledger::holder(place, source));
        let holders: Vec<String> = holders.map(|holder| holder.to_string()).collect();
        readiness::ledger(state, &shown, Some(holders.join("; ")).filter(|held| !held.is_empty()).as_deref())
    };
    // A run begins anew where there is none.
    let ledger =
        match Ledger::is_there(place).and_then(|there| there.then(|| Ledger::open_read_only(place)).transpose()) {
            Ok(None) => return (None, judged(None)),
            Ok(Some(ledger)) => Ok(ledger),
            Err(error) => Err(error),
        };
    let ledger = match ledger {
        Ok(ledger) => ledger,
        Err(LedgerError::Older { .. }) => return (None, judged(Some(LedgerState::Older))),
        Err(error) => return failed(error.to_string()),
    };
    match ledger.is_whole(PATIENCE).await {
        Ok(true) => (Some(ledger), judged(Some(LedgerState::Whole))),
        Ok(false) => (Some(ledger), judged(Some(LedgerState::TooLarge))),
        Err(error) => failed(error.to_string()),
    }
}

async fn cameras(settings: &Settings, ledger: Option<&Ledger>) -> Finding {
    let of_jobs = settings.jobs.iter().flat_map(|job| &job.devices);
    let devices: BTreeSet<DeviceId> =
        of_jobs.chain(settings.live_jobs.iter().flat_map(|job| &job.devices)).copied().collect();
    let map = match ledger {
        Some(ledger) => match recorders::read(settings, ledger).await {
            Ok(nvrs) => nvrs.map,
            Err(error) => return Finding::fail(Part::Cameras, error.to_string()),
        },
        None => settings.nvr_map(),
    };
    let unknown = devices.iter().filter(|&&device| map.known(device).is_none()).count();
    readiness::cameras(devices.len() as u64, unknown as u64)
}

async fn root(settings: &Settings, ledger: Option<&Ledger>) -> Finding {
    let (archive, shown) = (&settings.archive, settings.archive.root.display());
    if let Err(missing) = root::refuse_a_missing_one(archive) {
        return Finding::fail(Part::Root, missing.to_string());
    }
    let known = match ledger {
        Some(ledger) => is_known(archive, ledger).await,
        None => Ok(false),
    };
    match known {
        Ok(true) => Finding::pass(Part::Root, format!("{shown} is the archive that the ledger knows")),
        Ok(false) if archive.store.is_some() => {
            Finding::pass(Part::Root, format!("{shown} answers; the first run makes an archive of it"))
        }
        Ok(false) if archive.root.exists() => {
            Finding::pass(Part::Root, format!("{shown} is there; the first run makes an archive of it"))
        }
        Ok(false) => Finding::pass(Part::Root, format!("{shown} is not there yet: the first run makes it")),
        Err(error) => Finding::fail(Part::Root, error.to_string()),
    }
}

async fn is_known(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<bool> {
    root::is_known(&root::place(archive)?, ledger).await
}

async fn disk(settings: &Settings) -> Finding {
    let archive = &settings.archive;
    let root = root::place(archive);
    let tried = tokio::task::spawn_blocking(move || -> Result<(u64, Trial), _> {
        // First what is free: a trial on a full disk says no more than that.
        let root = root?;
        Ok::<_, crate::vault::VaultError>((root.free_bytes()?, root.try_it()?))
    });
    match tried.await {
        Ok(Ok((free, trial))) => readiness::room(free, archive.min_free, night_bytes(settings).await, trial.took),
        Ok(Err(error)) => Finding::fail(Part::Disk, error.to_string()),
        Err(error) => Finding::fail(Part::Disk, format!("it could not be tried: {error}")),
    }
}

/// What the file's jobs would write, were they run now; nothing when nobody can say, as before a first night.
async fn night_bytes(settings: &Settings) -> Option<u64> {
    let zones = Zones::read(settings).await.ok()?;
    let requests = requests::of_jobs(settings, &[], &zones, requests::now()).ok()?;
    Some(plan::forecast(settings, requests).await.ok()?.outlook.forecast?.bytes)
}

fn files(settings: &Settings) -> Finding {
    let asked = settings.archive.streams;
    let needed = descriptors::needed(asked);
    // As a run does it, and with this process's end it is over.
    let limit = descriptors::raise(needed);
    readiness::files(limit, needed, descriptors::streams(limit, asked), asked)
}
