//! Hosts that join, their jobs, and what there is to do at each NVR for each of these.
//!
//! Hosts that were asked for the same do it together; hosts with different jobs work side by side. What keeps two of them from one
//! camera is the lease of its NVR, so all must lease it with the same NVR, whatever each believes about who serves it: a host that
//! joins takes the names of those that are at work. Once none is, the next one begins with its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Ledger;
use super::error::{Fault, LedgerError};
use super::leases::{is_alive, json, millis, number};
use super::lock::host_name;
use super::queries::device;
use super::session::{Session, values};
use crate::device::{DeviceId, NvrId};
use crate::lease::{Demand, HostId, Joined, Joining, served_number};

/// "arcm": the lock of whoever joins, so that of two that come at once the second sees the names of the first.
const ONE_JOINS: &str = "SELECT pg_advisory_xact_lock(1634886509)";

/// One NVR's cameras, as the statement reads them.
#[derive(Serialize)]
struct Served<'a> {
    nvr: &'a NvrId,
    devices: &'a [DeviceId],
}

/// One NVR's work, as the statement reads it.
#[derive(Serialize)]
struct Line<'a> {
    nvr: &'a str,
    backlog_seconds: i64,
    loses_at: Option<i64>,
}

impl<'a> From<&'a Demand> for Line<'a> {
    fn from(demand: &'a Demand) -> Self {
        Self {
            nvr: demand.nvr.as_str(),
            backlog_seconds: demand.backlog_seconds,
            loses_at: demand.loses_at.map(|at| at.get()),
        }
    }
}

impl Ledger {
    /// Joins the hosts of this ledger, which is to be on a server ([`Self::is_shared`]). What there is to do is to be offered next
    /// ([`Self::offer`]), by the names that the answer gives.
    pub async fn join(&self, joining: Joining) -> Result<Joined, LedgerError> {
        self.shared_write(move |session| {
            session.alone_with(ONE_JOINS)?;
            let host = HostId::new(join(session, &joining)?);
            if is_named_so(session, host)? {
                return Ok(Joined { host, renamed: BTreeMap::new() });
            }
            // Nobody takes or gives back an NVR until what is said of this job is true of those as well.
            session.all("SELECT 1 FROM nvr_share ORDER BY nvr FOR SHARE", values![], |_| Ok(()))?;
            forget_the_past(session, host, joining.again)?;
            Ok(Joined { host, renamed: name(session, host, &joining)? })
        })
        .await
    }

    /// Says what there is to do for this host's job, as it plans it. Whoever holds an NVR keeps it, and, when it is for the same job,
    /// what is said of it. One that was finished before this host joined is to be done again: a new host is a new run.
    pub async fn offer(&self, host: HostId, demands: Vec<Demand>) -> Result<(), LedgerError> {
        let finished = "CASE WHEN nvr_job.finished_at > (SELECT h.joined FROM host AS h WHERE h.host = ?2)
             THEN nvr_job.finished_at END";
        self.say(host, demands, finished).await
    }

    /// Says that there is something to do, whoever has finished it: what is left is time that nobody else of the job was asked for.
    pub async fn offer_anew(&self, host: HostId, demands: Vec<Demand>) -> Result<(), LedgerError> {
        self.say(host, demands, "NULL").await
    }

    async fn say(&self, host: HostId, demands: Vec<Demand>, finished: &'static str) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            let said = said(session, host)?;
            // Only what the ledger does not say already, since hosts that begin a night together all offer the same.
            let is_new = |demand: &&Demand| {
                let new = (demand.backlog_seconds, demand.loses_at.map(|at| at.get()));
                demand.backlog_seconds > 0 && said.get(demand.nvr.as_str()) != Some(&new)
            };
            let lines: Vec<Line<'_>> = demands.iter().filter(is_new).map(Line::from).collect();
            let lines = json(&lines)?;
            // In one order, so that two hosts that offer do not wait for each other.
            session.execute(
                "INSERT INTO nvr_share (nvr) SELECT d.nvr FROM jsonb_to_recordset(?1::JSONB) AS d (nvr TEXT) ORDER BY d.nvr
                 ON CONFLICT (nvr) DO NOTHING",
                values![&lines],
            )?;
            session.execute(
                &format!(
                    "INSERT INTO nvr_job (nvr, job, backlog_seconds, loses_at)
                     SELECT d.nvr, (SELECT h.job FROM host AS h WHERE h.host = ?2), max(d.backlog_seconds), min(d.loses_at)
                     FROM jsonb_to_recordset(?1::JSONB) AS d (nvr TEXT, backlog_seconds BIGINT, loses_at BIGINT)
                     GROUP BY d.nvr ORDER BY d.nvr
                     ON CONFLICT (nvr, job) DO UPDATE SET backlog_seconds = excluded.backlog_seconds,
                         loses_at = excluded.loses_at, finished_at = {finished}
                     WHERE NOT EXISTS (SELECT 1 FROM host AS h WHERE h.host = nvr_job.held_by AND h.host <> ?2
                         AND h.job = nvr_job.job AND {})",
                    is_alive("?2")
                ),
                values![&lines, host.get()],
            )?;
            Ok(())
        })
        .await
    }

    /// Whether all hosts of this one's job that were there since it joined were asked for the same time as it was.
    pub async fn is_asked_like_others(&self, host: HostId) -> Result<bool, LedgerError> {
        self.read(move |session| {
            session.one(
                "SELECT CASE WHEN EXISTS (
                     SELECT 1 FROM host AS me JOIN host AS h ON h.job = me.job AND h.asked <> me.asked
                     WHERE me.host = ?1 AND (h.left_at IS NULL OR h.left_at > me.joined)
                 ) THEN 0 ELSE 1 END",
                values![host.get()],
            )
        })
        .await
    }
}

fn join(session: Session<'_>, joining: &Joining) -> Result<i64, Fault> {
    let Joining { name, job, served, state, lasts, again } = joining;
    session.one(
        "INSERT INTO host (name, machine, pid, until, streams, backlog_seconds, hungry, again, job, asked, served,
             what)
         VALUES (?1, ?2, ?3, clock_timestamp() + ?4 * INTERVAL '1 millisecond', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         RETURNING host",
        values![
            name,
            &host_name(),
            std::process::id(),
            millis(*lasts),
            number(state.streams),
            state.backlog_seconds,
            state.hungry,
            *again,
            job.key,
            job.asked,
            served_number(served),
            &job.what,
        ],
    )
}

/// Forgets jobs that nobody is at work on, with the names of their leases. A host that was not heard of for an hour is taken for gone:
/// one that was for a shorter time may only have slept, and goes on where nobody has taken what it holds. By one that joins `again`
/// nobody is: what kept it from being heard of may have kept others. Those of a month ago are of no use to anybody.
fn forget_the_past(session: Session<'_>, host: HostId, again: bool) -> Result<(), Fault> {
    if !again {
        session.execute(
            "UPDATE host SET left_at = clock_timestamp() WHERE left_at IS NULL
                 AND greatest(until, pg_postmaster_start_time()) < clock_timestamp() - INTERVAL '1 hour'",
            values![],
        )?;
    }
    session.execute(
        "DELETE FROM nvr_job WHERE job NOT IN (SELECT h.job FROM host AS h WHERE h.host <> ?1 AND h.left_at IS NULL)",
        values![host.get()],
    )?;
    session.execute(
        "DELETE FROM host AS h WHERE h.until < clock_timestamp() - INTERVAL '30 days'
             AND NOT EXISTS (SELECT 1 FROM nvr_share AS s WHERE s.host = h.host)",
        values![],
    )?;
    Ok(())
}

/// Whether a host that is at work on the same job leases each camera with the NVR that this one says. Hosts that begin a night
/// together all say the same, and then nobody needs to look at a chain's cameras.
fn is_named_so(session: Session<'_>, host: HostId) -> Result<bool, Fault> {
    session.one(
        "SELECT CASE WHEN EXISTS (
             SELECT 1 FROM host AS me JOIN host AS h ON h.job = me.job AND h.served = me.served AND h.host <> me.host
             WHERE me.host = ?1 AND h.left_at IS NULL
         ) THEN 1 ELSE 0 END",
        values![host.get()],
    )
}

/// Says with which NVR each camera of a host's job is leased, unless that is said. Gives those that are leased with another NVR than the
/// host says, since hosts that are at work do so.
fn name(session: Session<'_>, host: HostId, joining: &Joining) -> Result<BTreeMap<DeviceId, NvrId>, Fault> {
    let renamed: BTreeMap<DeviceId, NvrId> = session
        .all(
            "SELECT DISTINCT j.device, j.nvr
             FROM (SELECT nvr, unnest(devices) AS device FROM nvr_job) AS j
             JOIN (
                 SELECT d.nvr, unnest(d.devices) AS device
                 FROM jsonb_to_recordset(?1::JSONB) AS d (nvr TEXT, devices BIGINT[])
             ) AS d ON d.device = j.device AND d.nvr <> j.nvr",
            values![&lines(&joining.served)?],
            |row| Ok((device(row, 0)?, NvrId::new(row.get(1)?))),
        )?
        .into_iter()
        .collect();
    let settled = settled(&joining.served, &renamed);
    if !renamed.is_empty() {
        session.execute("UPDATE host SET served = ?2 WHERE host = ?1", values![host.get(), served_number(&settled)])?;
    }
    // Of a job that is known, each camera is.
    session.execute(
        "INSERT INTO nvr_job (nvr, job, devices, held_by)
         SELECT d.nvr, ?2, d.devices, s.host
         FROM jsonb_to_recordset(?1::JSONB) AS d (nvr TEXT, devices BIGINT[])
             LEFT JOIN nvr_share AS s ON s.nvr = d.nvr
         WHERE NOT EXISTS (SELECT 1 FROM nvr_job WHERE job = ?2)
         ORDER BY d.nvr",
        values![&lines(&settled)?, joining.job.key],
    )?;
    Ok(renamed)
}

/// The same cameras by the names that they are leased with.
fn settled(
    served: &BTreeMap<NvrId, Vec<DeviceId>>,
    renamed: &BTreeMap<DeviceId, NvrId>,
) -> BTreeMap<NvrId, Vec<DeviceId>> {
    let mut settled: BTreeMap<NvrId, Vec<DeviceId>> = BTreeMap::new();
    for (nvr, devices) in served {
        for device in devices {
            settled.entry(renamed.get(device).unwrap_or(nvr).clone()).or_default().push(*device);
        }
    }
    // In one order, however they came together.
    settled.values_mut().for_each(|devices| devices.sort_unstable());
    settled
}

fn lines(served: &BTreeMap<NvrId, Vec<DeviceId>>) -> Result<String, Fault> {
    json(&served.iter().map(|(nvr, devices)| Served { nvr, devices }).collect::<Vec<_>>())
}

/// What there is to do at each NVR for a host's job, and when it loses footage, as the ledger says it of those that are not finished.
fn said(session: Session<'_>, host: HostId) -> Result<BTreeMap<String, (i64, Option<i64>)>, Fault> {
    let said = session.all(
        "SELECT j.nvr, j.backlog_seconds, j.loses_at FROM nvr_job AS j
         WHERE j.job = (SELECT h.job FROM host AS h WHERE h.host = ?1) AND j.finished_at IS NULL",
        values![host.get()],
        |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))),
    )?;
    Ok(said.into_iter().collect())
}
