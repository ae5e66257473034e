//! What is known of devices, and who said it: the platform's list, its media URLs, and the run that used it.

use super::error::Fault;
use super::queries::{device, second};
use super::session::{Row, Session, values};
use crate::device::{DeviceId, NvrId};
use crate::mac::{Mac, UrlMacs};
use crate::report::{DeviceFacts, DeviceRow, ServedBy};
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

/// A device that is asked for before anybody listed it has a row all the same.
pub(super) fn have(session: Session<'_>, device: DeviceId) -> Result<(), Fault> {
    if session.about(device)? {
        return Ok(());
    }
    session
        .execute("INSERT INTO device (device) VALUES (?1) ON CONFLICT (device) DO NOTHING", values![device.get()])?;
    // Again: another host may have been the one that put it there.
    session.about(device)?;
    Ok(())
}

/// Notes what the platform's list says. What it leaves open stays.
pub(super) fn know(session: Session<'_>, facts: &DeviceFacts) -> Result<(), Fault> {
    // Escaped here, so that a sqlite3 shell on a terminal is safe too.
    let name = facts.name.as_ref().map(ToString::to_string);
    let store = facts.store.as_ref().map(ToString::to_string);
    let puid = facts.puid.as_ref().map(ToString::to_string);
    let seen = facts.seen.map(UtcSecond::get);
    if let Some(puid) = &puid {
        session.execute(
            "INSERT INTO nvr (nvr, store, seen) VALUES (?1, ?2, ?3) ON CONFLICT (nvr) DO UPDATE SET
                 store = coalesce(excluded.store, nvr.store), seen = coalesce(excluded.seen, nvr.seen)",
            values![puid, facts.store_identity().as_ref(), seen],
        )?;
    }
    session.execute(
        "INSERT INTO device (device, name, store_number, store, puid, channel, online, seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (device) DO UPDATE SET name = coalesce(excluded.name, device.name),
             store_number = coalesce(excluded.store_number, device.store_number),
             store = coalesce(excluded.store, device.store), puid = coalesce(excluded.puid, device.puid),
             channel = coalesce(excluded.channel, device.channel), online = coalesce(excluded.online, device.online),
             seen = coalesce(excluded.seen, device.seen)",
        values![facts.device.get(), &name, facts.store_number, &store, &puid, facts.channel, facts.online, seen,],
    )?;
    Ok(())
}

/// Notes by which NVR a run takes the device to be served, in place of what an earlier run took.
pub(super) fn serve(session: Session<'_>, served: &ServedBy) -> Result<(), Fault> {
    let nvr = served.nvr.as_ref().map(NvrId::as_str);
    if let Some(nvr) = nvr {
        session.execute(
            "INSERT INTO nvr (nvr, store) VALUES (?1, ?2) ON CONFLICT (nvr) DO UPDATE SET store = excluded.store
                 WHERE excluded.store IS NOT NULL AND excluded.store IS DISTINCT FROM nvr.store",
            values![nvr, &served.store],
        )?;
    }
    have(session, served.device)?;
    session.execute(
        "UPDATE device SET nvr = ?2 WHERE device = ?1 AND nvr IS DISTINCT FROM ?2",
        values![served.device.get(), nvr],
    )?;
    Ok(())
}

/// Notes the two addresses in the name of a media URL.
pub(super) fn learn_macs(session: Session<'_>, device: DeviceId, macs: UrlMacs, at: UtcSecond) -> Result<(), Fault> {
    have(session, device)?;
    session.execute(
        "INSERT INTO media_mac (device, first_mac, second_mac, learned_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (device) DO UPDATE SET first_mac = excluded.first_mac, second_mac = excluded.second_mac,
             learned_at = excluded.learned_at",
        values![device.get(), &macs.first.to_string(), &macs.second.to_string(), at.get()],
    )?;
    Ok(())
}

/// Every device that there is a row of.
pub(super) fn all(session: Session<'_>) -> Result<Vec<DeviceRow>, Fault> {
    session.all(
        "SELECT d.device, d.name, d.store_number, d.store, d.puid, d.channel, d.online, d.seen, m.first_mac,
             m.second_mac, d.zone, CASE WHEN EXISTS (SELECT 1 FROM asked AS a WHERE a.device = d.device) THEN 1 ELSE 0 END
         FROM device AS d LEFT JOIN media_mac AS m ON m.device = d.device ORDER BY d.device",
        values![],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<DeviceRow, Fault> {
    let text = |column| Ok::<_, Fault>(row.get::<Option<&str>>(column)?.map(Untrusted::new));
    let facts = DeviceFacts {
        device: device(row, 0)?,
        name: text(1)?,
        store_number: row.get(2)?,
        store: text(3)?,
        puid: text(4)?,
        channel: row.get(5)?,
        online: row.get(6)?,
        seen: second(row, 7)?,
    };
    let macs = mac(row, 8)?.zip(mac(row, 9)?).map(|(first, second)| UrlMacs { first, second });
    Ok(DeviceRow { facts, macs, zone: row.get(10)?, asked: row.get(11)? })
}

fn mac(row: &Row<'_>, column: usize) -> Result<Option<Mac>, Fault> {
    let text: Option<&str> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error: crate::mac::NotAMac| Fault::BadValue(error.to_string()))).transpose()
}
