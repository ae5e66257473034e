//! Whose clock a device shows.
//!
//! What a flag or a file says comes first, then what the ledger knows from earlier runs, then the default. So a one-off
//! without the settings file neither reads times in another zone nor relabels a device's history.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::ledger::{Ledger, LedgerError};
use crate::report::DeviceRow;
use crate::settings::Settings;

use super::work;

/// The devices' local time.
#[derive(Clone, Debug)]
pub(super) struct Zones {
    stated: Option<Tz>,
    known: BTreeMap<DeviceId, Tz>,
    default: Tz,
}

/// A ledger that is open for a run, and the devices that it knew then. Handed on, since to open and to ask it a second time costs
/// a start as much again.
pub(super) struct Opened {
    pub(super) ledger: Ledger,
    pub(super) devices: Vec<DeviceRow>,
}

impl Opened {
    /// Asks it for its devices.
    pub(super) async fn of(ledger: Ledger) -> Result<Self, LedgerError> {
        let devices = ledger.devices().await?;
        Ok(Self { ledger, devices })
    }
}

impl Zones {
    /// For a command that writes: from the settings, and from the ledger if there is one, which is brought up to date when it is
    /// of an older version.
    pub(super) async fn read_for_a_run(settings: &Settings) -> anyhow::Result<(Self, Option<Opened>)> {
        work::refuse_a_lost_one(&settings.archive)?;
        if !Ledger::is_there(&settings.archive.ledger)? {
            return Ok((Self::of_both(settings, &[]), None));
        }
        let opened = Opened::of(Ledger::open(&settings.archive.ledger)?).await?;
        Ok((Self::of_both(settings, &opened.devices), Some(opened)))
    }

    /// From the settings, and from the ledger if there is one.
    pub(super) async fn read(settings: &Settings) -> anyhow::Result<Self> {
        let devices = match Ledger::is_there(&settings.archive.ledger)? {
            true => Ledger::open_read_only(&settings.archive.ledger)?.devices().await?,
            false => Vec::new(),
        };
        Ok(Self::of_both(settings, &devices))
    }

    fn of_both(settings: &Settings, devices: &[DeviceRow]) -> Self {
        let archive = &settings.archive;
        let zone = |name: &str| name.parse().unwrap_or(archive.time_zone);
        let known = devices.iter().map(|row| (row.facts.device, zone(&row.zone))).collect();
        let stated = archive.time_zone_is_stated.then_some(archive.time_zone);
        Self { stated, known, default: archive.time_zone }
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
