//! What a ledger made anew is filled with: the lines of the catalog's state, and what follows from them.

use chrono_tz::Tz;

use super::error::Fault;
use super::queries::device;
use super::ranges::{ALWAYS, Merged};
use super::rebuild::Rebuilt;
use super::session::{Session, values};
use super::{missing, zones};
use crate::catalog::{DeviceLine, LimitLine, NvrLine, StateLine, UtcText};
use crate::device::DeviceId;
use crate::time_range::{RangeSet, TimeRange};

/// Puts back what a line says; an NVR comes before its devices.
pub(super) fn line(session: Session<'_>, line: &StateLine) -> Result<(), Fault> {
    match line {
        StateLine::Nvr(line) => restore_nvr(session, line),
        StateLine::Limit(line) => restore_limit(session, line),
        StateLine::Device(line) => restore_device(session, line),
    }
}

fn restore_nvr(session: Session<'_>, line: &NvrLine) -> Result<(), Fault> {
    session.execute(
        "INSERT INTO nvr (nvr, store, seen) VALUES (?1, ?2, ?3)
         ON CONFLICT (nvr) DO UPDATE SET store = excluded.store, seen = excluded.seen",
        values![&line.nvr, &line.store, second(line.seen)],
    )?;
    Ok(())
}

fn restore_limit(session: Session<'_>, line: &LimitLine) -> Result<(), Fault> {
    session.execute(
        "INSERT INTO nvr_limit (nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone, learned_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (nvr) DO UPDATE SET playbacks = excluded.playbacks, probe_seconds = excluded.probe_seconds,
             keeps_seconds = excluded.keeps_seconds, calls = excluded.calls, refused = excluded.refused,
             left_alone = excluded.left_alone, learned_at = excluded.learned_at",
        values![
            &line.nvr,
            line.playbacks,
            line.probe_seconds,
            line.keeps_seconds,
            line.calls,
            line.refused,
            line.left_alone,
            line.learned.0.get(),
        ],
    )?;
    Ok(())
}

fn restore_device(session: Session<'_>, line: &DeviceLine) -> Result<(), Fault> {
    let bad = |why: String| Fault::BadValue(format!("device {}: {why}", line.device));
    let device = DeviceId::new(line.device).ok_or_else(|| bad("there is no such number".to_owned()))?;
    let zone: Tz = line.zone.parse().map_err(|_| bad(format!("{:?} is no time zone", line.zone)))?;
    let mut asked = RangeSet::new();
    for [from, to] in &line.asked {
        asked.insert(TimeRange::new(from.0, to.0).ok_or_else(|| bad("a range ends before it begins".to_owned()))?);
    }
    super::devices::have(session, device)?;
    zones::add_if_unknown(session, zone)?;
    if let Some(nvr) = &line.nvr {
        session.execute("INSERT INTO nvr (nvr) VALUES (?1) ON CONFLICT (nvr) DO NOTHING", values![nvr])?;
    }
    session.execute(
        "UPDATE device SET name = ?2, store_number = ?3, store = ?4, puid = ?5, nvr = ?6, channel = ?7, online = ?8,
             seen = ?9, zone = ?10 WHERE device = ?1",
        values![
            device.get(),
            &line.name,
            line.store_number,
            &line.store,
            &line.puid,
            &line.nvr,
            line.channel,
            line.online,
            second(line.seen),
            zone.name(),
        ],
    )?;
    if let Some(macs) = &line.macs {
        session.execute(
            "INSERT INTO media_mac (device, first_mac, second_mac, learned_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (device) DO UPDATE SET first_mac = excluded.first_mac, second_mac = excluded.second_mac,
                 learned_at = excluded.learned_at",
            values![device.get(), &macs.first, &macs.second, macs.learned.0.get()],
        )?;
    }
    for &range in &asked {
        Merged::Asked.add(session, device, range)?;
    }
    // A second line of the same device says the same or nothing.
    match missing::overlapping(session, device, ALWAYS)?.is_empty() {
        true => missing::restore(session, device, &line.missing),
        false => Ok(()),
    }
}

fn second(text: Option<UtcText>) -> Option<i64> {
    text.map(|text| text.0.get())
}

/// Every device that there is a row of.
pub(super) fn devices(session: Session<'_>) -> Result<Vec<DeviceId>, Fault> {
    session.all("SELECT device FROM device ORDER BY device", values![], |row| device(row, 0))
}

/// Makes the ledger's rule true of a device, as [`super::Rebuilding::settle`] says.
pub(super) fn settle(session: Session<'_>, device: DeviceId) -> Result<i64, Fault> {
    let missing = missing::overlapping(session, device, ALWAYS)?;
    let missing: RangeSet = missing.iter().map(|stretch| stretch.range).collect();
    let asked = Merged::Asked.within(session, device, ALWAYS)?;
    let archived = Merged::Archived.within(session, device, ALWAYS)?;
    let gone = asked.subtract(&archived).subtract(&missing);
    missing::add_untried(session, device, &gone)?;
    for &range in &missing.subtract(&asked) {
        Merged::Asked.add(session, device, range)?;
    }
    Ok(gone.seconds())
}

/// What the ledger holds.
pub(super) fn sums(session: Session<'_>) -> Result<Rebuilt, Fault> {
    let mut rebuilt = Rebuilt {
        asked_seconds: session.one("SELECT CAST(coalesce(sum(\"end\" - start), 0) AS BIGINT) FROM asked", values![])?,
        archived_seconds: session
            .one("SELECT CAST(coalesce(sum(\"end\" - start), 0) AS BIGINT) FROM archived", values![])?,
        ..Rebuilt::default()
    };
    session.each(
        "SELECT cause, CAST(sum(\"end\" - start) AS BIGINT) FROM missing GROUP BY cause",
        values![],
        |row| {
            rebuilt.missing_seconds.insert(missing::cause(row.get(0)?)?, row.get(1)?);
            Ok(())
        },
    )?;
    Ok(rebuilt)
}
