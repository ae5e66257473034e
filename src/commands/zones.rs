//! Whose clock a device shows.
//!
//! What a flag or a file says comes first, then what the ledger knows from earlier runs, then the default. So a one-off
//! without the settings file neither reads times in another zone nor relabels a device's history.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::ledger::Ledger;
use crate::settings::Settings;

use super::work;

/// The devices' local time.
#[derive(Clone, Debug)]
pub(super) struct Zones {
    stated: Option<Tz>,
    known: BTreeMap<DeviceId, Tz>,
    default: Tz,
}

impl Zones {
    /// For a command that writes: from the settings, and from the ledger if there is one, which is brought up to date when it is
    /// of an older version. It is handed on, since opening it a second time costs a start as much again.
    pub(super) async fn read_for_a_run(settings: &Settings) -> anyhow::Result<(Self, Option<Ledger>)> {
        work::refuse_a_lost_one(&settings.archive)?;
        let ledger = match settings.archive.ledger.try_exists()? {
            true => Some(Ledger::open(&settings.archive.ledger)?),
            false => None,
        };
        Ok((Self::of_both(settings, ledger.as_ref()).await?, ledger))
    }

    /// From the settings, and from the ledger if there is one.
    pub(super) async fn read(settings: &Settings) -> anyhow::Result<Self> {
        let ledger = match settings.archive.ledger.try_exists()? {
            true => Some(Ledger::open_read_only(&settings.archive.ledger)?),
            false => None,
        };
        Self::of_both(settings, ledger.as_ref()).await
    }

    async fn of_both(settings: &Settings, ledger: Option<&Ledger>) -> anyhow::Result<Self> {
        let archive = &settings.archive;
        let devices = match ledger {
            Some(ledger) => ledger.devices().await?,
            None => Vec::new(),
        };
        let zone = |name: &str| name.parse().unwrap_or(archive.time_zone);
        let known = devices.into_iter().map(|row| (row.facts.device, zone(&row.zone))).collect();
        let stated = archive.time_zone_is_stated.then_some(archive.time_zone);
        Ok(Self { stated, known, default: archive.time_zone })
    }

    /// A device's local time.
    pub(super) fn of(&self, device: DeviceId) -> Tz {
        self.stated.or_else(|| self.known.get(&device).copied()).unwrap_or(self.default)
    }

    /// Devices by their local time.
    pub(super) fn groups(&self, devices: &BTreeSet<DeviceId>) -> Vec<(Tz, BTreeSet<DeviceId>)> {
        let mut groups: BTreeMap<&str, (Tz, BTreeSet<DeviceId>)> = BTreeMap::new();
        for &device in devices {
            let zone = self.of(device);
            groups.entry(zone.name()).or_insert_with(|| (zone, BTreeSet::new())).1.insert(device);
        }
        groups.into_values().collect()
    }

    /// Every device that the ledger has heard of.
    pub(super) fn known_devices(&self) -> BTreeSet<DeviceId> {
        self.known.keys().copied().collect()
    }
}
