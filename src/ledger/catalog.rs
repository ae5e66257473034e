//! What the archive's catalog is written from: which recordings it does not name yet, and all that is known beside recordings.

use rusqlite::{Connection, OptionalExtension, params};

use super::Ledger;
use super::changes::stored;
use super::error::{Fault, LedgerError};
use super::missing;
use super::queries::{RECORDING_COLUMNS, RECORDING_JOINS, device, read_recording, unsigned};
use super::ranges::{ALWAYS, Merged};
use crate::catalog::{DeviceLine, LimitLine, MacsLine, NvrLine, StateLine, UtcText};
use crate::device::DeviceId;
use crate::recording::Recording;
use crate::time_range::UtcSecond;

/// How many recordings one question gives at most.
const PAGE: u32 = 5_000;

impl Ledger {
    /// The number of the catalog's newest file of recordings, as far as this ledger has written it; nothing when it has to be
    /// written from the beginning.
    pub async fn catalog_segment(&self) -> Result<Option<u64>, LedgerError> {
        self.read(segment).await
    }

    /// The number of the last change that the catalog may lack; 0 when there is none.
    pub async fn newest_change(&self) -> Result<i64, LedgerError> {
        self.read(newest_change).await
    }

    /// Some of the recordings that the catalog does not name, from the first change after `after` up to `last`, and the change up
    /// to which these are all; nothing when there is no more.
    pub async fn uncatalogued(&self, after: i64, last: i64) -> Result<Option<(i64, Vec<Recording>)>, LedgerError> {
        self.read(move |connection| uncatalogued(connection, after, last)).await
    }

    /// The next recordings of all, in the order of devices and time; none when there are no more.
    pub async fn recordings_after(&self, after: Option<(DeviceId, UtcSecond)>) -> Result<Vec<Recording>, LedgerError> {
        self.read(move |connection| recordings_after(connection, after)).await
    }

    /// Says that the catalog names every recording up to that change, in files up to that number.
    pub async fn catalogued(&self, segment: u64, change: i64) -> Result<(), LedgerError> {
        self.write(move |connection| catalogued(connection, segment, change)).await
    }

    /// What is known of NVRs, as the catalog has it.
    pub async fn nvr_lines(&self) -> Result<Vec<StateLine>, LedgerError> {
        self.read(nvr_lines).await
    }

    /// What is known of these devices, as the catalog has it.
    pub async fn device_lines(&self, devices: Vec<DeviceId>) -> Result<Vec<StateLine>, LedgerError> {
        self.read(move |connection| devices.iter().map(|&device| device_line(connection, device)).collect()).await
    }
}

/// Notes that the catalog lacks a recording.
pub(super) fn note(connection: &Connection, recording: &Recording) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO uncatalogued (device, start) VALUES (?1, ?2)")?
        .execute(params![recording.device.get(), recording.range.start().get()])?;
    Ok(())
}

fn segment(connection: &Connection) -> Result<Option<u64>, Fault> {
    let mut statement = connection.prepare_cached("SELECT segment FROM catalog")?;
    statement.query_row([], |row| Ok(unsigned(row, 0))).optional()?.transpose()
}

fn newest_change(connection: &Connection) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(change), 0) FROM uncatalogued")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn uncatalogued(connection: &Connection, after: i64, last: i64) -> Result<Option<(i64, Vec<Recording>)>, Fault> {
    let up_to: Option<i64> = connection
        .prepare_cached(
            "SELECT max(change) FROM (SELECT change FROM uncatalogued WHERE change > ?1 AND change <= ?2
                 ORDER BY change LIMIT ?3)",
        )?
        .query_row(params![after, last, PAGE], |row| row.get(0))?;
    let Some(up_to) = up_to else { return Ok(None) };
    // One that is gone by now is not to be named.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RECORDING_COLUMNS}, u.device FROM uncatalogued AS u
             CROSS JOIN recording AS r ON r.device = u.device AND r.start = u.start {RECORDING_JOINS}
         WHERE u.change > ?1 AND u.change <= ?2 ORDER BY u.change"
    ))?;
    Ok(Some((up_to, recordings(statement.query([after, up_to])?)?)))
}

fn recordings_after(connection: &Connection, after: Option<(DeviceId, UtcSecond)>) -> Result<Vec<Recording>, Fault> {
    let (device, start) = after.map_or((-1, 0), |(device, start)| (device.get(), start.get()));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RECORDING_COLUMNS}, r.device FROM recording AS r {RECORDING_JOINS}
         WHERE (r.device, r.start) > (?1, ?2) ORDER BY r.device, r.start LIMIT ?3"
    ))?;
    recordings(statement.query(params![device, start, PAGE])?)
}

/// Recordings whose device follows their own columns.
fn recordings(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Recording>, Fault> {
    let mut recordings = Vec::new();
    while let Some(row) = rows.next()? {
        recordings.push(read_recording(device(row, row.as_ref().column_count() - 1)?, row)?);
    }
    Ok(recordings)
}

pub(super) fn catalogued(connection: &Connection, segment: u64, change: i64) -> Result<(), Fault> {
    connection.execute("DELETE FROM uncatalogued WHERE change <= ?1", [change])?;
    connection.execute("DELETE FROM catalog", [])?;
    connection.execute("INSERT INTO catalog (segment) VALUES (?1)", [stored(segment)])?;
    Ok(())
}

fn nvr_lines(connection: &Connection) -> Result<Vec<StateLine>, Fault> {
    let mut lines = Vec::new();
    let mut statement = connection.prepare_cached("SELECT nvr, store, seen FROM nvr ORDER BY nvr")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        lines.push(StateLine::Nvr(NvrLine { nvr: row.get(0)?, store: row.get(1)?, seen: utc(row, 2)? }));
    }
    let mut statement = connection.prepare_cached(
        "SELECT nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone, learned_at FROM nvr_limit
         ORDER BY nvr",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        lines.push(StateLine::Limit(LimitLine {
            nvr: row.get(0)?,
            playbacks: row.get(1)?,
            probe_seconds: row.get(2)?,
            keeps_seconds: row.get(3)?,
            calls: row.get(4)?,
            refused: row.get(5)?,
            left_alone: row.get(6)?,
            learned: UtcText(UtcSecond::new(row.get(7)?)),
        }));
    }
    Ok(lines)
}

fn device_line(connection: &Connection, device: DeviceId) -> Result<StateLine, Fault> {
    let asked = Merged::Asked.within(connection, device, ALWAYS)?;
    let asked = asked.ranges().iter().map(|range| [UtcText(range.start()), UtcText(range.end())]).collect();
    let missing = missing::lines(connection, device)?;
    let mut statement = connection.prepare_cached(
        "SELECT d.name, d.store_number, d.store, d.puid, d.nvr, d.channel, d.online, d.seen, d.zone, m.first_mac,
             m.second_mac, m.learned_at
         FROM device AS d LEFT JOIN media_mac AS m ON m.device = d.device WHERE d.device = ?1",
    )?;
    let mut rows = statement.query([device.get()])?;
    let Some(row) = rows.next()? else {
        return Err(Fault::BadValue(format!("device {device} has no row any more")));
    };
    let macs = match (row.get(9)?, row.get(10)?, utc(row, 11)?) {
        (Some(first), Some(second), Some(learned)) => Some(MacsLine { first, second, learned }),
        _ => None,
    };
    Ok(StateLine::Device(Box::new(DeviceLine {
        device: device.get(),
        name: row.get(0)?,
        store_number: row.get(1)?,
        store: row.get(2)?,
        puid: row.get(3)?,
        nvr: row.get(4)?,
        channel: row.get(5)?,
        online: row.get(6)?,
        seen: utc(row, 7)?,
        zone: row.get(8)?,
        macs,
        asked,
        missing,
    })))
}

fn utc(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<UtcText>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|second| UtcText(UtcSecond::new(second))))
}
