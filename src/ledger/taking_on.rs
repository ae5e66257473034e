//! The beginning of a run on a ledger that many hosts share. Each of them takes on the whole night's work, and all but the first
//! find nearly all of it done: so what is new is found out first, and only that is written, some cameras at a time, so that
//! nobody waits long for a camera.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::error::{Fault, LedgerError};
use super::queries::device;
use super::ranges::{ALWAYS, Merged};
use super::session::{Session, values};
use super::{Ledger, changes, devices, zones};
use crate::device::{DeviceId, NvrId};
use crate::report::ServedBy;
use crate::time_range::RangeSet;

/// How many cameras one transaction takes.
const AT_ONCE: usize = 200;

/// What is taken on of one camera.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    zone: Option<Tz>,
    served: Option<ServedBy>,
    ranges: RangeSet,
}

impl Part {
    fn is_nothing(&self) -> bool {
        self.zone.is_none() && self.served.is_none() && self.ranges.is_empty()
    }
}

impl Ledger {
    /// The same as [`Self::take_on`] of a file, but for the one transaction.
    pub(super) async fn take_on_in_parts(
        &self,
        in_zones: Vec<(Tz, Vec<DeviceId>)>,
        served: Vec<ServedBy>,
        wanted: Vec<(DeviceId, RangeSet)>,
    ) -> Result<(), LedgerError> {
        let mut parts: BTreeMap<DeviceId, Part> = BTreeMap::new();
        for (zone, devices) in in_zones {
            self.write(move |session| zones::add(session, zone)).await?;
            for device in devices {
                parts.entry(device).or_default().zone = Some(zone);
            }
        }
        for one in served {
            let device = one.device;
            parts.entry(device).or_default().served = Some(one);
        }
        for (device, ranges) in wanted {
            let part = parts.entry(device).or_default();
            part.ranges = ranges.ranges().iter().chain(part.ranges.ranges()).copied().collect();
        }
        let parts = self.read(move |session| new_of(session, parts.clone())).await?;
        // In the order of the cameras, as everybody has it, so that hosts follow each other rather than meet.
        let parts: Vec<(DeviceId, Part)> = parts.into_iter().collect();
        for some in parts.chunks(AT_ONCE) {
            let some = some.to_vec();
            self.write(move |session| some.iter().try_for_each(|(device, part)| take_on(session, *device, part)))
                .await?;
        }
        Ok(())
    }
}

/// What of it the ledger does not say already.
fn new_of(session: Session<'_>, mut parts: BTreeMap<DeviceId, Part>) -> Result<BTreeMap<DeviceId, Part>, Fault> {
    session.each(
        "SELECT d.device, d.zone, d.nvr, n.store FROM device AS d LEFT JOIN nvr AS n ON n.nvr = d.nvr",
        values![],
        |row| {
            let Some(part) = parts.get_mut(&device(row, 0)?) else { return Ok(()) };
            let (zone, nvr, store): (&str, Option<&str>, Option<&str>) = (row.get(1)?, row.get(2)?, row.get(3)?);
            part.zone = part.zone.filter(|wanted| wanted.name() != zone);
            let says_more = |served: &ServedBy| {
                served.nvr.as_ref().map(NvrId::as_str) != nvr
                    || served.nvr.is_some() && served.store.is_some() && served.store.as_deref() != store
            };
            part.served = part.served.take().filter(says_more);
            Ok(())
        },
    )?;
    let devices: Vec<DeviceId> = parts.keys().copied().collect();
    for (device, asked) in Merged::Asked.within_of(session, &devices, ALWAYS)? {
        if let Some(part) = parts.get_mut(&device) {
            part.ranges = part.ranges.subtract(&asked);
        }
    }
    parts.retain(|_, part| !part.is_nothing());
    Ok(parts)
}

fn take_on(session: Session<'_>, device: DeviceId, part: &Part) -> Result<(), Fault> {
    if let Some(zone) = part.zone {
        changes::set_zone(session, device, zone)?;
    }
    if let Some(served) = &part.served {
        devices::serve(session, served)?;
    }
    changes::ask(session, device, &part.ranges)
}
