//! What the archive's catalog is written from: which recordings it does not name yet, and all that is known beside recordings.

use super::Ledger;
use super::changes::stored;
use super::error::{Fault, LedgerError};
use super::missing;
use super::queries::{AFTER_RECORDING, RECORDING_COLUMNS, RECORDING_JOINS, device, read_recording, unsigned};
use super::ranges::{ALWAYS, Merged};
use super::session::{Row, Session, values};
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
        match self.is_shared() {
            // Numbers are given before the rows can be seen: whoever gave one must have come to an end, or his row would be taken
            // for one that the catalog names.
            true => {
                self.write(|session| {
                    session.alone_with("LOCK TABLE uncatalogued IN SHARE MODE")?;
                    newest_change(session)
                })
                .await
            }
            false => self.read(newest_change).await,
        }
    }

    /// Some of the recordings that the catalog does not name, from the first change after `after` up to `last`, and the change up
    /// to which these are all; nothing when there is no more.
    pub async fn uncatalogued(&self, after: i64, last: i64) -> Result<Option<(i64, Vec<Recording>)>, LedgerError> {
        self.read(move |session| uncatalogued(session, after, last)).await
    }

    /// The next recordings of all, in the order of devices and time; none when there are no more.
    pub async fn recordings_after(&self, after: Option<(DeviceId, UtcSecond)>) -> Result<Vec<Recording>, LedgerError> {
        self.read(move |session| recordings_after(session, after)).await
    }

    /// Says that the catalog names every recording up to that change, in files up to that number.
    pub async fn catalogued(&self, segment: u64, change: i64) -> Result<(), LedgerError> {
        self.write(move |session| catalogued(session, segment, change)).await
    }

    /// What is known of NVRs, as the catalog has it.
    pub async fn nvr_lines(&self) -> Result<Vec<StateLine>, LedgerError> {
        self.read(nvr_lines).await
    }

    /// What is known of these devices, as the catalog has it.
    pub async fn device_lines(&self, devices: Vec<DeviceId>) -> Result<Vec<StateLine>, LedgerError> {
        self.read(move |session| devices.iter().map(|&device| device_line(session, device)).collect()).await
    }
}

/// Notes that the catalog lacks a recording.
pub(super) fn note(session: Session<'_>, recording: &Recording) -> Result<(), Fault> {
    session.execute(
        "INSERT INTO uncatalogued (device, start) VALUES (?1, ?2)",
        values![recording.device.get(), recording.range.start().get()],
    )?;
    Ok(())
}

fn segment(session: Session<'_>) -> Result<Option<u64>, Fault> {
    session.first("SELECT segment FROM catalog", values![], |row| unsigned(row, 0))
}

fn newest_change(session: Session<'_>) -> Result<i64, Fault> {
    session.one("SELECT coalesce(max(change), 0) FROM uncatalogued", values![])
}

fn uncatalogued(session: Session<'_>, after: i64, last: i64) -> Result<Option<(i64, Vec<Recording>)>, Fault> {
    let up_to: Option<i64> = session.one(
        "SELECT max(change) FROM (SELECT change FROM uncatalogued WHERE change > ?1 AND change <= ?2
             ORDER BY change LIMIT ?3) AS page",
        values![after, last, PAGE],
    )?;
    let Some(up_to) = up_to else { return Ok(None) };
    // One that is gone by now is not to be named.
    let recordings = session.all(
        &format!(
            "SELECT {RECORDING_COLUMNS}, u.device FROM uncatalogued AS u CROSS JOIN recording AS r {RECORDING_JOINS}
             WHERE r.device = u.device AND r.start = u.start AND u.change > ?1 AND u.change <= ?2 ORDER BY u.change"
        ),
        values![after, up_to],
        read_with_device,
    )?;
    Ok(Some((up_to, recordings)))
}

fn recordings_after(session: Session<'_>, after: Option<(DeviceId, UtcSecond)>) -> Result<Vec<Recording>, Fault> {
    let (device, start) = after.map_or((-1, 0), |(device, start)| (device.get(), start.get()));
    session.all(
        &format!(
            "SELECT {RECORDING_COLUMNS}, r.device FROM recording AS r {RECORDING_JOINS}
             WHERE (r.device, r.start) > (?1, ?2) ORDER BY r.device, r.start LIMIT ?3"
        ),
        values![device, start, PAGE],
        read_with_device,
    )
}

/// A recording whose device follows its own columns.
fn read_with_device(row: &Row<'_>) -> Result<Recording, Fault> {
    read_recording(device(row, AFTER_RECORDING)?, row)
}

pub(super) fn catalogued(session: Session<'_>, segment: u64, change: i64) -> Result<(), Fault> {
    // Two hosts may tell at once, and there is one row.
    session.alone_with("LOCK TABLE catalog IN SHARE ROW EXCLUSIVE MODE")?;
    session.execute("DELETE FROM uncatalogued WHERE change <= ?1", values![change])?;
    session.execute("DELETE FROM catalog", values![])?;
    session.execute("INSERT INTO catalog (segment) VALUES (?1)", values![stored(segment)])?;
    Ok(())
}

fn nvr_lines(session: Session<'_>) -> Result<Vec<StateLine>, Fault> {
    let mut lines = session.all("SELECT nvr, store, seen FROM nvr ORDER BY nvr", values![], |row| {
        Ok(StateLine::Nvr(NvrLine { nvr: row.get(0)?, store: row.get(1)?, seen: utc(row, 2)? }))
    })?;
    lines.extend(session.all(
        "SELECT nvr, playbacks, probe_seconds, keeps_seconds, calls, refused, left_alone, learned_at FROM nvr_limit
         ORDER BY nvr",
        values![],
        |row| {
            Ok(StateLine::Limit(LimitLine {
                nvr: row.get(0)?,
                playbacks: row.get(1)?,
                probe_seconds: row.get(2)?,
                keeps_seconds: row.get(3)?,
                calls: row.get(4)?,
                refused: row.get(5)?,
                left_alone: row.get(6)?,
                learned: UtcText(UtcSecond::new(row.get(7)?)),
            }))
        },
    )?);
    Ok(lines)
}

fn device_line(session: Session<'_>, device: DeviceId) -> Result<StateLine, Fault> {
    let asked = Merged::Asked.within(session, device, ALWAYS)?;
    let asked = asked.ranges().iter().map(|range| [UtcText(range.start()), UtcText(range.end())]).collect();
    let missing = missing::lines(session, device)?;
    let line = session.first(
        "SELECT d.name, d.store_number, d.store, d.puid, d.nvr, d.channel, d.online, d.seen, d.zone, m.first_mac,
             m.second_mac, m.learned_at
         FROM device AS d LEFT JOIN media_mac AS m ON m.device = d.device WHERE d.device = ?1",
        values![device.get()],
        |row| {
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
        },
    )?;
    line.ok_or_else(|| Fault::BadValue(format!("device {device} has no row any more")))
}

fn utc(row: &Row<'_>, column: usize) -> Result<Option<UtcText>, Fault> {
    Ok(row.get::<Option<i64>>(column)?.map(|second| UtcText(UtcSecond::new(second))))
}
