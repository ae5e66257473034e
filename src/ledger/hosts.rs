//! Who shares the work, and how it stands: for people.

use super::error::{Fault, LedgerError};
use super::leases::{is_alive, living, tally};
use super::session::{Row, Session, values};
use super::{Ledger, queries};
use crate::lease::{HostId, Tally};
use crate::report::{HostRow, SharedWork};
use crate::time_range::UtcSecond;

impl Ledger {
    /// How the hosts and their work stand; nothing of a file, which one machine has for itself. Of hosts, those that are alive, and for
    /// a day those that were not heard of any more.
    pub async fn shared_work(&self) -> Result<Option<SharedWork>, LedgerError> {
        if !self.is_shared() {
            return Ok(None);
        }
        self.read(|session| {
            let [finished, free, mut leased] = tallies(session)?;
            leased.seconds = living(session, None)?.iter().map(|(.., state)| state.backlog_seconds).sum();
            Ok(Some(SharedWork { hosts: hosts(session)?, free, leased, finished }))
        })
        .await
    }
}

/// NVRs that are finished for every job, that are free, and that a living host holds for any of them.
fn tallies(session: Session<'_>) -> Result<[Tally; 3], Fault> {
    let mut tallies = [Tally::default(); 3];
    session.each(
        &format!(
            "SELECT n.state, count(*), CAST(sum(n.seconds) AS BIGINT)
             FROM (
                 SELECT max(CASE WHEN j.finished_at IS NOT NULL OR j.backlog_seconds = 0 THEN 0 WHEN {} THEN 2 ELSE 1 END) AS state,
                     sum(CASE WHEN j.finished_at IS NULL THEN j.backlog_seconds ELSE 0 END) AS seconds
                 FROM nvr_job AS j LEFT JOIN host AS h ON h.host = j.held_by GROUP BY j.nvr
             ) AS n GROUP BY n.state",
            is_alive("NULL")
        ),
        values![],
        |row| {
            let state: usize = row.get::<u32>(0)? as usize;
            tallies[state.min(2)] = tally(row)?;
            Ok(())
        },
    )?;
    Ok(tallies)
}

fn hosts(session: Session<'_>) -> Result<Vec<HostRow>, Fault> {
    // Who leaves by itself does so before its time is over. OK when a server that was away for long makes one look dead that
    // left: it was not heard of.
    let is_alive = is_alive("NULL");
    session.all(
        &format!(
            "SELECT h.host, h.name, h.machine, h.pid, CAST(floor(extract(EPOCH FROM h.joined)) AS BIGINT),
                 CAST(floor(extract(EPOCH FROM h.seen)) AS BIGINT), CASE WHEN {is_alive} THEN 1 ELSE 0 END,
                 h.streams, h.backlog_seconds, h.hungry, coalesce(n.nvrs, 0), h.what
             FROM host AS h LEFT JOIN (
                 SELECT host, count(*) AS nvrs FROM nvr_share WHERE host IS NOT NULL GROUP BY host
             ) AS n ON n.host = h.host
             WHERE ({is_alive}) OR (h.seen > clock_timestamp() - INTERVAL '1 day'
                 AND (h.left_at IS NULL OR h.left_at >= h.until))
             ORDER BY h.host"
        ),
        values![],
        host,
    )
}

fn host(row: &Row<'_>) -> Result<HostRow, Fault> {
    Ok(HostRow {
        host: HostId::new(row.get(0)?),
        name: row.get(1)?,
        machine: row.get(2)?,
        pid: row.get(3)?,
        joined: UtcSecond::new(row.get(4)?),
        seen: UtcSecond::new(row.get(5)?),
        is_alive: row.get(6)?,
        streams: queries::unsigned(row, 7)?,
        backlog_seconds: row.get(8)?,
        is_hungry: row.get(9)?,
        nvrs: queries::unsigned(row, 10)?,
        what: row.get(11)?,
    })
}
