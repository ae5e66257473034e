//! How hosts share one night's work: who takes part, what is to be done at each NVR, and which host does it.
//!
//! A host that is not heard of for as long as it said loses what it holds to whoever asks for work next; the server's clock alone
//! tells when that is. It may not notice, however: so a lease has a number, and what is written about a camera is refused in
//! its own transaction when the number has changed ([`Ledger::guard`]). The row of the lease is locked until that transaction
//! ends, so nobody can take the lease in between.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::error::{Fault, LedgerError};
use super::lock::host_name;
use super::queries::unsigned;
use super::session::{Session, values};
use super::{Keeper, Ledger};
use crate::device::{DeviceId, NvrId};
use crate::lease::{Demand, GivenBack, HostId, HostState, Lease, Shared, Tally};

/// A host `h` that is alive, as far as the host of that parameter may say; `NULL` is anybody else. A server that was away itself was
/// out of everybody's hearing. So may others have been for as long as a host was that has joined again: they get the time to come
/// back as well, and to write down what they had in their hands.
pub(super) fn is_alive(to: &str) -> String {
    format!(
        "h.left_at IS NULL AND clock_timestamp() < greatest(h.until, pg_postmaster_start_time() + (h.until - h.seen),
             (SELECT me.joined FROM host AS me WHERE me.host = {to} AND me.again = 1) + (h.until - h.seen))"
    )
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
    /// Joins the hosts of this ledger, which is to be on a server ([`Self::is_shared`]). `lasts` is how long this one is waited
    /// for when it is not heard of.
    pub async fn join(&self, name: String, state: HostState, lasts: Duration) -> Result<HostId, LedgerError> {
        self.join_as(name, state, lasts, false).await
    }

    /// The same of one that was not heard of for too long. Perhaps others were not either, and for the same reason: so it takes
    /// nothing from one that is dead before that one has had its time to be heard of again.
    pub async fn join_again(&self, name: String, state: HostState, lasts: Duration) -> Result<HostId, LedgerError> {
        self.join_as(name, state, lasts, true).await
    }

    async fn join_as(
        &self,
        name: String,
        state: HostState,
        lasts: Duration,
        again: bool,
    ) -> Result<HostId, LedgerError> {
        self.shared_write(move |session| {
            let joined = session.one(
                "INSERT INTO host (name, machine, pid, until, streams, backlog_seconds, hungry, again)
                 VALUES (?1, ?2, ?3, clock_timestamp() + ?4 * INTERVAL '1 millisecond', ?5, ?6, ?7, ?8) RETURNING host",
                values![
                    &name,
                    &host_name(),
                    std::process::id(),
                    millis(lasts),
                    number(state.streams),
                    state.backlog_seconds,
                    state.hungry,
                    again,
                ],
            )?;
            Ok(HostId::new(joined))
        })
        .await
    }

    /// Says what there is to do, as this host plans it. Whoever holds an NVR keeps it, and what is said of it. One that was
    /// finished before this host joined is to be done again: a new host is a new run.
    pub async fn offer(&self, host: HostId, demands: Vec<Demand>) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            let said = said(session)?;
            // Only what the ledger does not say already, since hosts that begin a night together all offer the same.
            let is_new = |demand: &&Demand| {
                let new = (demand.backlog_seconds, demand.loses_at.map(|at| at.get()));
                demand.backlog_seconds > 0 && said.get(demand.nvr.as_str()) != Some(&new)
            };
            let lines: Vec<Line<'_>> = demands.iter().filter(is_new).map(Line::from).collect();
            let lines = serde_json::to_string(&lines).map_err(|error| Fault::BadValue(error.to_string()))?;
            // In one order, so that two hosts that offer do not wait for each other.
            session.execute(
                &format!(
                    "INSERT INTO nvr_share (nvr, backlog_seconds, loses_at)
                     SELECT d.nvr, max(d.backlog_seconds), min(d.loses_at)
                     FROM jsonb_to_recordset(?1::JSONB) AS d (nvr TEXT, backlog_seconds BIGINT, loses_at BIGINT)
                     GROUP BY d.nvr ORDER BY d.nvr
                     ON CONFLICT (nvr) DO UPDATE SET backlog_seconds = excluded.backlog_seconds,
                         loses_at = excluded.loses_at,
                         finished_at = CASE WHEN nvr_share.finished_at > (SELECT joined FROM host WHERE host = ?2)
                             THEN nvr_share.finished_at END
                     WHERE NOT EXISTS (SELECT 1 FROM host AS h WHERE h.host = nvr_share.host AND h.host <> ?2
                         AND {})",
                    is_alive("?2")
                ),
                values![&lines, host.get()],
            )?;
            Ok(())
        })
        .await
    }

    /// Says that this host is alive, for `lasts` from now, and how it is; gives how all hosts and their work stand.
    /// [`LedgerError::HostLost`] when somebody has taken an NVR from it as from a dead one.
    pub async fn beat(&self, host: HostId, state: HostState, lasts: Duration) -> Result<Shared, LedgerError> {
        self.shared_write(move |session| {
            is_heard_of(session, host, lasts)?;
            session.execute(
                "UPDATE host SET streams = ?2, backlog_seconds = ?3, hungry = ?4 WHERE host = ?1",
                values![host.get(), number(state.streams), state.backlog_seconds, state.hungry],
            )?;
            shared(session, Some(host))
        })
        .await
    }

    /// Leases up to `most` NVRs that nobody holds, or only a host that is dead: what is lost first first, then where there is
    /// the most to do. Counts as a beat.
    pub async fn claim(&self, host: HostId, most: usize, lasts: Duration) -> Result<Vec<Lease>, LedgerError> {
        self.shared_write(move |session| {
            is_heard_of(session, host, lasts)?;
            // OK to pass over what is locked: somebody claims it just now, or its dead holder is writing the last time. What nobody
            // holds is read from an index that is in this order, so that a claim costs the same however much is free.
            let claimed = session.all(
                &format!(
                    "WITH unheld AS (
                         SELECT s.nvr, s.host AS held_by, s.loses_at, s.backlog_seconds FROM nvr_share AS s
                         WHERE s.host IS NULL AND s.finished_at IS NULL AND s.backlog_seconds > 0
                         ORDER BY s.loses_at, s.backlog_seconds DESC, s.nvr LIMIT ?2 FOR UPDATE SKIP LOCKED
                     ), left_behind AS (
                         SELECT s.nvr, s.host AS held_by, s.loses_at, s.backlog_seconds
                         FROM nvr_share AS s JOIN host AS h ON h.host = s.host
                         WHERE s.finished_at IS NULL AND s.backlog_seconds > 0 AND s.host <> ?1 AND ({}) IS NOT TRUE
                         ORDER BY s.loses_at, s.backlog_seconds DESC, s.nvr LIMIT ?2 FOR UPDATE OF s SKIP LOCKED
                     ), free AS (
                         SELECT * FROM unheld UNION ALL SELECT * FROM left_behind
                         ORDER BY loses_at, backlog_seconds DESC, nvr LIMIT ?2
                     )
                     UPDATE nvr_share AS s SET host = ?1, epoch = s.epoch + 1 FROM free
                     WHERE s.nvr = free.nvr RETURNING s.nvr, s.epoch, free.held_by",
                    is_alive("?1")
                ),
                values![host.get(), number(most)],
                |row| Ok((Lease { nvr: NvrId::new(row.get(0)?), epoch: row.get(1)? }, row.get::<Option<i64>>(2)?)),
            )?;
            let mut dead: Vec<i64> = claimed.iter().filter_map(|(_, held_by)| *held_by).collect();
            dead.sort_unstable();
            dead.dedup();
            for dead in dead {
                // It joins as another when it wakes, so that nothing in its hands passes for the new one's.
                session.execute(
                    "UPDATE host SET left_at = clock_timestamp() WHERE host = ?1 AND left_at IS NULL",
                    values![dead],
                )?;
            }
            Ok(claimed.into_iter().map(|(lease, _)| lease).collect())
        })
        .await
    }

    /// Gives leases back. One that somebody else has taken since is his.
    pub async fn give_back(&self, host: HostId, given: Vec<GivenBack>) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            for GivenBack { lease, rest } in &given {
                let (backlog, loses_at) = rest.as_ref().map_or((0, None), |rest| (rest.backlog_seconds, rest.loses_at));
                session.execute(
                    "UPDATE nvr_share SET host = NULL, backlog_seconds = ?4, loses_at = ?5,
                         finished_at = CASE WHEN ?4 > 0 THEN NULL ELSE clock_timestamp() END
                     WHERE nvr = ?1 AND epoch = ?2 AND host = ?3",
                    values![lease.nvr.as_str(), lease.epoch, host.get(), backlog, loses_at.map(|at| at.get())],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Leaves the hosts; what this one still holds is free.
    pub async fn leave(&self, host: HostId) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            session.execute("UPDATE nvr_share SET host = NULL WHERE host = ?1", values![host.get()])?;
            session.execute(
                "UPDATE host SET left_at = clock_timestamp() WHERE host = ?1 AND left_at IS NULL",
                values![host.get()],
            )?;
            Ok(())
        })
        .await
    }

    /// From now on, everything that this ledger is told about these cameras is kept only while that lease stands: else it is
    /// [`LedgerError::LeaseLost`], and nothing of it is kept. It stays so when the lease is given back, until another one
    /// takes its place. Without effect on a file, which no other host writes.
    pub fn guard(&self, devices: &[DeviceId], lease: &Lease) {
        if let Keeper::Server(database) = &self.keeper {
            database.guards().set(devices, lease);
        }
    }

    async fn shared_write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        match self.is_shared() {
            true => self.write(work).await,
            false => Err(LedgerError::NotShared { ledger: self.name.clone() }),
        }
    }
}

/// Notes that a host is heard of, unless it was taken for dead.
fn is_heard_of(session: Session<'_>, host: HostId, lasts: Duration) -> Result<(), Fault> {
    let heard_of = session.execute(
        "UPDATE host SET seen = clock_timestamp(), until = clock_timestamp() + ?2 * INTERVAL '1 millisecond'
         WHERE host = ?1 AND left_at IS NULL",
        values![host.get(), millis(lasts)],
    )?;
    if heard_of == 0 { Err(LedgerError::HostLost { host }.into()) } else { Ok(()) }
}

/// What there is to do at each NVR, and when it loses footage, as the ledger says it of those that are not finished.
fn said(session: Session<'_>) -> Result<BTreeMap<String, (i64, Option<i64>)>, Fault> {
    let said = session.all(
        "SELECT nvr, backlog_seconds, loses_at FROM nvr_share WHERE finished_at IS NULL",
        values![],
        |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))),
    )?;
    Ok(said.into_iter().collect())
}

/// How all hosts and their work stand, as that host may say, or anybody.
pub(super) fn shared(session: Session<'_>, host: Option<HostId>) -> Result<Shared, Fault> {
    let is_alive = is_alive("?1");
    let hosts = session.all(
        &format!(
            "SELECT h.host, h.streams, h.backlog_seconds, h.hungry FROM host AS h WHERE {is_alive} ORDER BY h.host"
        ),
        values![host.map(HostId::get)],
        |row| {
            let state =
                HostState { streams: count(unsigned(row, 1)?), backlog_seconds: row.get(2)?, hungry: row.get(3)? };
            Ok((HostId::new(row.get(0)?), state))
        },
    )?;
    let mut shared = Shared { hosts, ..Shared::default() };
    // Counted by host first: who is alive is then asked some hundred times, and not once for each NVR.
    session.each(
        &format!(
            "SELECT CASE WHEN s.is_over THEN 2 WHEN {is_alive} THEN 1 ELSE 0 END, CAST(sum(s.nvrs) AS BIGINT),
                 CAST(sum(s.seconds) AS BIGINT)
             FROM (
                 SELECT host, finished_at IS NOT NULL OR (host IS NULL AND backlog_seconds = 0) AS is_over, count(*) AS nvrs,
                     sum(backlog_seconds) AS seconds FROM nvr_share GROUP BY 1, 2
             ) AS s LEFT JOIN host AS h ON h.host = s.host GROUP BY 1 ORDER BY 1"
        ),
        values![host.map(HostId::get)],
        |row| {
            let tally = Tally { nvrs: count(unsigned(row, 1)?), seconds: row.get(2)? };
            match row.get::<i64>(0)? {
                0 => shared.free = tally,
                1 => shared.leased = tally,
                _ => shared.finished = tally,
            }
            Ok(())
        },
    )?;
    if shared.leased.nvrs > 0 {
        // What was offered once says less than what their hosts do.
        shared.leased.seconds = shared.hosts.iter().map(|(_, state)| state.backlog_seconds).sum();
    }
    Ok(shared)
}

fn millis(lasts: Duration) -> i64 {
    i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
