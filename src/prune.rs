//! `prune`: deletes what every job lets go, as [`crate::retention`] decides.
//!
//! The plan is made first, from the ledger alone, and is a value. It is carried out camera by camera, in steps of some hundred
//! files, each of which a crash may cut off ([`crate::leaving`]). Runs go on beside it: they ask for nothing that is archived
//! or pruned, and a folder that is removed while one publishes into it is made again.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use crate::device::DeviceId;
use crate::leaving;
use crate::ledger::{Ledger, LedgerError};
use crate::publish::{ArchiveError, blocking};
use crate::retention::{Capped, DevicePrune, PrunePlan, Sums};
use crate::time_range::{ALL_TIME, TimeRange, UtcSecond};
use crate::untrusted::Untrusted;
use crate::vault::{Vault, VaultError};

/// How many files one step deletes.
const STEP: u32 = 256;
/// How many recordings are taken from the ledger at once while a plan is made.
const PAGE: u32 = 256;
/// What is over the cap is left out day by day, so that no camera is pruned far ahead of the others.
const DAY_SECONDS: i64 = 86_400;

/// What goes when each of these cameras loses what ends up to its moment, but `most_bytes` at most: then the oldest first.
pub async fn plan(
    ledger: &Ledger,
    before: BTreeMap<DeviceId, UtcSecond>,
    most_bytes: Option<u64>,
) -> Result<PrunePlan, LedgerError> {
    let due = ledger.due(before.clone()).await?;
    let in_all = due.values().fold(Sums::default(), |sums, &one| sums.plus(one));
    let stores: BTreeMap<DeviceId, Option<Untrusted>> =
        ledger.devices().await?.into_iter().map(|row| (row.facts.device, row.facts.store)).collect();
    let of = |device: DeviceId, until: UtcSecond, sums: Sums| {
        let store = stores.get(&device).cloned().flatten();
        DevicePrune { device, store, until, sums }
    };
    let devices = match most_bytes {
        Some(most) if in_all.bytes > most => {
            let capped = oldest_first(ledger, &before, &due, most).await?;
            capped.taken().map(|(device, until, sums)| of(device, until, sums)).collect()
        }
        _ => due.iter().filter_map(|(&device, &sums)| Some(of(device, *before.get(&device)?, sums))).collect(),
    };
    Ok(PrunePlan::new(devices, in_all, ledger.archived_seconds().await?))
}

/// Takes the oldest days first, over all cameras, until no more fits.
async fn oldest_first(
    ledger: &Ledger,
    before: &BTreeMap<DeviceId, UtcSecond>,
    due: &BTreeMap<DeviceId, Sums>,
    most: u64,
) -> Result<Capped, LedgerError> {
    let day_of = |moment: UtcSecond| moment.get().div_euclid(DAY_SECONDS);
    let mut capped = Capped::new(most);
    // Per camera, from where on it is still to be looked through, by the day of that.
    let begin = |(&device, sums): (&DeviceId, &Sums)| sums.oldest.map(|oldest| (day_of(oldest), device, oldest));
    let mut next: BTreeSet<(i64, DeviceId, UtcSecond)> = due.iter().filter_map(begin).collect();
    while let Some((day, device, from)) = next.pop_first() {
        let Some(&until) = before.get(&device) else { continue };
        let Some(within) = TimeRange::new(from, until) else { continue };
        let page = ledger.recordings_page(device, within, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        let mut rest = (!is_last).then_some(()).and_then(|()| page.last()).map(|last| last.range.end());
        for recording in page {
            let range = recording.range;
            if range.end() > until {
                rest = None;
                break;
            }
            if day_of(range.start()) > day {
                rest = Some(range.start());
                break;
            }
            if !capped.take(device, range, recording.bytes) {
                return Ok(capped);
            }
        }
        next.extend(rest.map(|from| (day_of(from).max(day), device, from)));
    }
    Ok(capped)
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The recordings.
    pub deleted: Sums,
    /// Whether somebody asked for the end before all of the plan was done; the next one goes on.
    pub is_stopped: bool,
}

/// Deletes what the plan says, while the caller has the hold (`leaving::hold`), until somebody cancels `stop`.
pub async fn execute(
    plan: &PrunePlan,
    ledger: &Ledger,
    vault: &Vault,
    stop: &CancellationToken,
) -> Result<Pruned, ArchiveError> {
    let mut pruned = Pruned::default();
    for DevicePrune { device, until, .. } in &plan.devices {
        let Some(within) = TimeRange::new(ALL_TIME.start(), *until) else { continue };
        loop {
            if stop.is_cancelled() {
                return Ok(Pruned { is_stopped: true, ..pruned });
            }
            let mut step = ledger.recordings_page(*device, within, STEP).await?;
            // The last one may go on beyond that moment.
            step.retain(|recording| recording.range.end() <= *until);
            if step.is_empty() {
                break;
            }
            let sums = step.iter().fold(Sums::default(), |mut sums, recording| {
                sums.add(recording.range, recording.bytes);
                sums
            });
            // Else all of them would go from the ledger, and still be on a disk that is mounted later.
            let (on, device) = (vault.clone(), *device);
            if !blocking(move || on.has_folder_of(device)).await? {
                let folder = vault.path_of(&device.to_string());
                return Err(VaultError::FolderGone { folder }.into());
            }
            leaving::delete(ledger, vault, step).await?;
            pruned.deleted = pruned.deleted.plus(sums);
        }
    }
    Ok(pruned)
}
