//! Looks for what a run of an older version left, which did not note what it published: on every day of which anything is
//! missing, whoever asked for it. Once after the upgrade, if at all.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::device::DeviceId;
use crate::ledger::Ledger;
use crate::publish::{ArchiveError, blocking};
use crate::recording::Source;
use crate::time_range::{ALL_TIME, RangeSet, TimeRange, UtcSecond};
use crate::vault::{Found, Vault, VaultError};
use crate::window::{Cause, Missing};

/// The published files of that source of whose time something is missing: no row has it, and so no row has them.
pub(super) async fn without_a_row(ledger: &Ledger, vault: &Vault, source: Source) -> Result<Vec<Found>, ArchiveError> {
    let devices = ledger.devices().await?.into_iter().map(|row| row.facts.device).collect();
    let missing = ledger.missing(devices, ALL_TIME).await?.into_iter();
    // What retention has deleted must not come back.
    let open = |stretches: Vec<Missing>| {
        stretches.iter().filter(|one| one.cause != Cause::Pruned).map(|one| one.range).collect()
    };
    let missing = missing.map(|(device, stretches)| (device, open(stretches)));
    let (vault, missing) = (vault.clone(), missing.collect());
    Ok(blocking(move || find(&vault, &missing, source)).await?)
}

/// Finds the files. A live piece may reach a little beyond what was asked for, up to the keyframe at which it was cut. Blocks on
/// the disk.
fn find(vault: &Vault, missing: &BTreeMap<DeviceId, RangeSet>, source: Source) -> Result<Vec<Found>, VaultError> {
    let mut files = Vec::new();
    for (&device, missing) in missing {
        let days = vault.days_of(device)?;
        for day in days.into_iter().filter(|&day| may_start_on(missing, day)) {
            let of_day = vault.recordings_of_day(device, day)?.into_iter();
            files.extend(of_day.filter(|found| {
                found.named.source == source && !missing.intersect(&found.named.range.into()).is_empty()
            }));
        }
    }
    Ok(files)
}

/// Whether a recording of some of these ranges may stand in the folder of that local day, whatever the zone.
fn may_start_on(missing: &RangeSet, day: NaiveDate) -> bool {
    const FURTHEST_ZONE: i64 = 15 * 3600;
    let midnight = UtcSecond::floor(day.and_time(chrono::NaiveTime::MIN).and_utc());
    let around = TimeRange::new(midnight - FURTHEST_ZONE, midnight + 86_400 + FURTHEST_ZONE);
    around.is_some_and(|around| !missing.intersect(&around.into()).is_empty())
}
