//! What is known of devices, and who said it: the platform's list, its media URLs, and the run that used it.

use rusqlite::{Connection, Row, params};

use super::error::Fault;
use super::queries::{device, second};
use crate::device::{DeviceId, NvrId};
use crate::mac::{Mac, UrlMacs};
use crate::report::{DeviceFacts, DeviceRow, ServedBy};
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

/// A device that is asked for before anybody listed it has a row all the same.
pub(super) fn have(connection: &Connection, device: DeviceId) -> Result<(), Fault> {
    connection.prepare_cached("INSERT OR IGNORE INTO device (device) VALUES (?1)")?.execute([device.get()])?;
    Ok(())
}

/// Notes what the platform's list says. What it leaves open stays.
pub(super) fn know(connection: &Connection, facts: &DeviceFacts) -> Result<(), Fault> {
    // Escaped here, so that a sqlite3 shell on a terminal is safe too.
    let name = facts.name.as_ref().map(ToString::to_string);
    let store = facts.store.as_ref().map(ToString::to_string);
    let puid = facts.puid.as_ref().map(ToString::to_string);
    let seen = facts.seen.map(UtcSecond::get);
    if let Some(puid) = &puid {
        connection
            .prepare_cached(
                "INSERT INTO nvr (nvr, store, seen) VALUES (?1, ?2, ?3) ON CONFLICT (nvr) DO UPDATE SET
                     store = coalesce(excluded.store, store), seen = coalesce(excluded.seen, seen)",
            )?
            .execute(params![puid, facts.store_identity(), seen])?;
    }
    connection
        .prepare_cached(
            "INSERT INTO device (device, name, store_number, store, puid, channel, online, seen)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (device) DO UPDATE SET name = coalesce(excluded.name, name),
                 store_number = coalesce(excluded.store_number, store_number),
                 store = coalesce(excluded.store, store), puid = coalesce(excluded.puid, puid),
                 channel = coalesce(excluded.channel, channel), online = coalesce(excluded.online, online),
                 seen = coalesce(excluded.seen, seen)",
        )?
        .execute(params![
            facts.device.get(),
            name,
            facts.store_number,
            store,
            puid,
            facts.channel,
            facts.online,
            seen
        ])?;
    Ok(())
}

/// Notes by which NVR a run takes the device to be served, in place of what an earlier run took.
pub(super) fn serve(connection: &Connection, served: &ServedBy) -> Result<(), Fault> {
    let nvr = served.nvr.as_ref().map(NvrId::as_str);
    if let Some(nvr) = nvr {
        connection
            .prepare_cached(
                "INSERT INTO nvr (nvr, store) VALUES (?1, ?2) ON CONFLICT (nvr) DO UPDATE SET store = excluded.store
                     WHERE excluded.store IS NOT NULL AND excluded.store IS NOT store",
            )?
            .execute(params![nvr, served.store])?;
    }
    have(connection, served.device)?;
    connection
        .prepare_cached("UPDATE device SET nvr = ?2 WHERE device = ?1 AND nvr IS NOT ?2")?
        .execute(params![served.device.get(), nvr])?;
    Ok(())
}

/// Notes the two addresses in the name of a media URL.
pub(super) fn learn_macs(connection: &Connection, device: DeviceId, macs: UrlMacs, at: UtcSecond) -> Result<(), Fault> {
    have(connection, device)?;
    connection
        .prepare_cached(
            "INSERT INTO media_mac (device, first_mac, second_mac, learned_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (device) DO UPDATE SET first_mac = excluded.first_mac, second_mac = excluded.second_mac,
                 learned_at = excluded.learned_at",
        )?
        .execute(params![device.get(), macs.first.to_string(), macs.second.to_string(), at.get()])?;
    Ok(())
}

/// Every device that there is a row of.
pub(super) fn all(connection: &Connection) -> Result<Vec<DeviceRow>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT d.device, d.name, d.store_number, d.store, d.puid, d.channel, d.online, d.seen, m.first_mac,
             m.second_mac, d.zone, EXISTS (SELECT 1 FROM asked AS a WHERE a.device = d.device)
         FROM device AS d LEFT JOIN media_mac AS m ON m.device = d.device ORDER BY d.device",
    )?;
    let mut rows = statement.query([])?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(read(row)?);
    }
    Ok(devices)
}

fn read(row: &Row<'_>) -> Result<DeviceRow, Fault> {
    let text = |column| Ok::<_, Fault>(row.get::<_, Option<String>>(column)?.as_deref().map(Untrusted::new));
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
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error: crate::mac::NotAMac| Fault::BadValue(error.to_string()))).transpose()
}
