//! How hosts share their jobs' work: which host holds which NVR, and how all stand. Who takes part, and what there is to do, is in
//! `shared_jobs`.
//!
//! An NVR is held by one host, whatever its job. What there is to do at it is said by job: what one job has finished is another's
//! to do.
//!
//! A host that is not heard of for as long as it said loses what it holds to whoever asks for work next; the server's clock alone
//! tells when that is. It may not notice, however: so a lease has a number, and what is written about a camera is refused in
//! its own transaction when the number has changed ([`Ledger::guard`]). The row of the lease is locked until that transaction
//! ends, so nobody can take the lease in between.

use std::time::Duration;

use serde::Serialize;

use super::error::{Fault, LedgerError};
use super::queries::unsigned;
use super::session::{Row, Session, values};
use super::{Keeper, Ledger};
use crate::device::{DeviceId, NvrId};
use crate::lease::{GivenBack, HostId, HostState, Lease, Shared, Tally};

/// A host `h` that is alive, as far as the host of that parameter may say; `NULL` is anybody else. A server that was away itself was
/// out of everybody's hearing. So may others have been for as long as a host was that has joined again: they get the time to come
/// back as well, and to write down what they had in their hands.
pub(super) fn is_alive(to: &str) -> String {
    format!(
        "h.left_at IS NULL AND clock_timestamp() < greatest(h.until, pg_postmaster_start_time() + (h.until - h.seen),
             (SELECT me.joined FROM host AS me WHERE me.host = {to} AND me.again = 1) + (h.until - h.seen))"
    )
}

/// How many NVRs are kept for a host with another job that waits: as many as fill its streams, about.
const NVRS_OF_A_HOST: i64 = 4;

impl Ledger {
    /// Says that this host is alive, for `lasts` from now, and how it is; gives how all hosts and their work stand.
    /// [`LedgerError::HostLost`] when somebody has taken an NVR from it as from a dead one.
    pub async fn beat(&self, host: HostId, state: HostState, lasts: Duration) -> Result<Shared, LedgerError> {
        self.shared_write(move |session| {
            let job = is_heard_of(session, host, lasts)?;
            session.execute(
                "UPDATE host SET streams = ?2, backlog_seconds = ?3, hungry = ?4 WHERE host = ?1",
                values![host.get(), number(state.streams), state.backlog_seconds, state.hungry],
            )?;
            shared(session, host, job)
        })
        .await
    }

    /// Leases up to `most` NVRs that nobody holds, or only a host that is dead: what is lost first first, then where there is
    /// the most to do. What a host with another job would take next that has less to do there, is left to it. Counts as a beat.
    pub async fn claim(&self, host: HostId, most: usize, lasts: Duration) -> Result<Vec<Lease>, LedgerError> {
        self.shared_write(move |session| {
            let job = is_heard_of(session, host, lasts)?;
            let lease = |row: &Row<'_>| {
                Ok((Lease { nvr: NvrId::new(row.get(0)?), epoch: row.get(1)? }, row.get::<Option<i64>>(2)?))
            };
            let (most, waiting) = (number(most), json(&waiting(session, host, job)?)?);
            let claimed = match left_behind(session, host)? {
                None => session.all(&claim(false), values![host.get(), most, job, &waiting], lease)?,
                Some(dead) => session.all(&claim(true), values![host.get(), most, job, &waiting, &dead], lease)?,
            };
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
        // In one order, as whoever joins locks them.
        let mut given = given;
        given.sort_by(|a, b| a.lease.cmp(&b.lease));
        self.shared_write(move |session| {
            for GivenBack { lease, rest } in &given {
                let (backlog, loses_at) = rest.as_ref().map_or((0, None), |rest| (rest.backlog_seconds, rest.loses_at));
                let given = session.execute(
                    "UPDATE nvr_share SET host = NULL WHERE nvr = ?1 AND epoch = ?2 AND host = ?3",
                    values![lease.nvr.as_str(), lease.epoch, host.get()],
                )?;
                if given == 0 {
                    continue;
                }
                session.execute("UPDATE nvr_job SET held_by = NULL WHERE nvr = ?1", values![lease.nvr.as_str()])?;
                session.execute(
                    "UPDATE nvr_job SET backlog_seconds = ?3, loses_at = ?4,
                         finished_at = CASE WHEN ?3 > 0 THEN NULL ELSE clock_timestamp() END
                     WHERE nvr = ?1 AND job = (SELECT h.job FROM host AS h WHERE h.host = ?2)",
                    values![lease.nvr.as_str(), host.get(), backlog, loses_at.map(|at| at.get())],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Leaves the hosts; what this one still holds is free.
    pub async fn leave(&self, host: HostId) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            // By NVR as well: a job that came at the moment when this host took one from a dead host may say that the dead one has it.
            session.execute(
                "WITH free AS (UPDATE nvr_share SET host = NULL WHERE host = ?1 RETURNING nvr)
                 UPDATE nvr_job SET held_by = NULL WHERE held_by = ?1 OR nvr IN (SELECT f.nvr FROM free AS f)",
                values![host.get()],
            )?;
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

    pub(super) async fn shared_write<T, W>(&self, work: W) -> Result<T, LedgerError>
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

/// The hosts that hold something and are dead, as that host may say: a list that statements read. Nothing when there is none.
fn left_behind(session: Session<'_>, host: HostId) -> Result<Option<String>, Fault> {
    // From one holder to the next: by the index it is as many steps as there are hosts, however many NVRs they hold.
    let dead: Vec<i64> = session.all(
        &format!(
            "WITH RECURSIVE holder AS (
                 SELECT min(host) AS host FROM nvr_share
                 UNION ALL
                 SELECT (SELECT min(s.host) FROM nvr_share AS s WHERE s.host > o.host) FROM holder AS o WHERE o.host IS NOT NULL
             )
             SELECT h.host FROM holder AS o JOIN host AS h ON h.host = o.host WHERE h.host <> ?1 AND ({}) IS NOT TRUE",
            is_alive("?1")
        ),
        values![host.get()],
        |row| row.get(0),
    )?;
    Ok(if dead.is_empty() { None } else { Some(format!("{dead:?}")) })
}

/// An NVR that a host waits for.
#[derive(Serialize)]
struct Waiting {
    nvr: NvrId,
    job: i64,
    backlog_seconds: i64,
}

/// What hosts with other jobs would take next who have streams to spare, and would be given: as much as they could fill these with,
/// about. All that such a job has left would be too much: a host takes some of it, and others would have given up the rest for nobody.
fn waiting(session: Session<'_>, host: HostId, job: i64) -> Result<Vec<Waiting>, Fault> {
    session.all(
        &format!(
            "SELECT o.nvr, o.job, o.backlog_seconds
             FROM (
                 SELECT h.job, count(*) AS hosts FROM host AS h WHERE h.job <> ?2 AND h.hungry = 1 AND {} GROUP BY h.job
             ) AS w, LATERAL (
                 SELECT j.nvr, j.job, j.backlog_seconds
                 FROM nvr_job AS j LEFT JOIN host AS h ON h.host = j.held_by
                     LEFT JOIN nvr_job AS k ON k.nvr = j.nvr AND k.job = h.job
                 WHERE j.job = w.job AND j.finished_at IS NULL AND j.backlog_seconds > 0 AND h.job IS DISTINCT FROM w.job
                     AND (k.job IS NULL OR (j.backlog_seconds, j.job) < (k.backlog_seconds, k.job))
                 ORDER BY j.loses_at, j.backlog_seconds DESC, j.nvr LIMIT w.hosts * {NVRS_OF_A_HOST}
             ) AS o",
            is_alive("?1")
        ),
        values![host.get(), job],
        |row| Ok(Waiting { nvr: NvrId::new(row.get(0)?), job: row.get(1)?, backlog_seconds: row.get(2)? }),
    )
}

/// The statement of a claim: of host `?1`, up to `?2` NVRs, for job `?3`, but for those of `?4` at which others have less to do;
/// those that the hosts `?5` hold are free as well, if there are any.
fn claim(some_are_dead: bool) -> String {
    // Who has as much to do goes by the job's number, so that of two that wait for each other one goes first. Asked of one NVR after the
    // other, as far as they are read: a join would read and sort all that is free.
    let may_be_taken = "j.job = ?3 AND j.finished_at IS NULL AND j.backlog_seconds > 0 AND (
             SELECT 1 FROM waiting AS w
             WHERE w.nvr = j.nvr AND (w.backlog_seconds, w.job) < (j.backlog_seconds, j.job) LIMIT 1) IS NULL";
    let in_order = "ORDER BY loses_at, backlog_seconds DESC, nvr LIMIT ?2";
    let (left_behind, and_left_behind) = match some_are_dead {
        // From what they hold, and not from all that there is to do.
        true => (
            format!(
                ", dead AS MATERIALIZED (
                     SELECT CAST(d.host AS BIGINT) AS host FROM jsonb_array_elements_text(?5::JSONB) AS d (host)
                 ), held AS MATERIALIZED (
                     SELECT s.nvr FROM nvr_share AS s WHERE s.host IN (SELECT d.host FROM dead AS d)
                 ), left_behind AS (
                     SELECT j.nvr, s.host AS held_by, j.loses_at, j.backlog_seconds
                     FROM held AS l JOIN nvr_job AS j ON j.nvr = l.nvr JOIN nvr_share AS s ON s.nvr = l.nvr
                     WHERE {may_be_taken} AND s.host IN (SELECT d.host FROM dead AS d)
                     {in_order} FOR UPDATE OF s SKIP LOCKED
                 )"
            ),
            "UNION ALL SELECT * FROM left_behind",
        ),
        false => (String::new(), ""),
    };
    // OK to pass over what is locked: somebody claims it just now, or its dead holder is writing the last time. What nobody holds is
    // read from an index that is in this order, so that a claim costs the same however much is free.
    format!(
        "WITH waiting AS MATERIALIZED (
             SELECT w.nvr, w.job, w.backlog_seconds
             FROM jsonb_to_recordset(?4::JSONB) AS w (nvr TEXT, job BIGINT, backlog_seconds BIGINT)
         ), unheld AS (
             SELECT j.nvr, s.host AS held_by, j.loses_at, j.backlog_seconds
             FROM nvr_job AS j JOIN nvr_share AS s ON s.nvr = j.nvr
             WHERE {may_be_taken} AND j.held_by IS NULL AND s.host IS NULL {in_order} FOR UPDATE OF s SKIP LOCKED
         ){left_behind}, free AS (
             SELECT * FROM unheld {and_left_behind} {in_order}
         ), taken AS (
             UPDATE nvr_share AS s SET host = ?1, epoch = s.epoch + 1 FROM free
             WHERE s.nvr = free.nvr RETURNING s.nvr, s.epoch, free.held_by
         ), noted AS (
             UPDATE nvr_job AS j SET held_by = ?1 FROM taken AS t WHERE j.nvr = t.nvr
         )
         SELECT nvr, epoch, held_by FROM taken"
    )
}

/// Notes that a host is heard of, unless it was taken for dead. Gives its job.
pub(super) fn is_heard_of(session: Session<'_>, host: HostId, lasts: Duration) -> Result<i64, Fault> {
    let heard_of = session.all(
        "UPDATE host SET seen = clock_timestamp(), until = clock_timestamp() + ?2 * INTERVAL '1 millisecond'
         WHERE host = ?1 AND left_at IS NULL RETURNING job",
        values![host.get(), millis(lasts)],
        |row| row.get(0),
    )?;
    heard_of.first().copied().ok_or_else(|| LedgerError::HostLost { host }.into())
}

/// How all hosts and the work stand, as that host may say who has that job.
fn shared(session: Session<'_>, host: HostId, job: i64) -> Result<Shared, Fault> {
    let hosts = living(session, Some(host))?;
    let others_wait = hosts.iter().any(|&(of, _, state)| of != job && state.hungry);
    let mut shared = Shared { living: hosts.len(), ..Shared::default() };
    shared.hosts = hosts.into_iter().filter(|&(of, ..)| of == job).map(|(_, host, state)| (host, state)).collect();
    let is_alive = is_alive("?1");
    // Counted by host first: who is alive is then asked some hundred times, and not once for each NVR.
    session.each(
        &format!(
            "SELECT CASE WHEN s.is_over THEN 2 WHEN {is_alive} THEN 1 ELSE 0 END, CAST(sum(s.nvrs) AS BIGINT),
                 CAST(sum(s.seconds) AS BIGINT)
             FROM (
                 SELECT held_by, finished_at IS NOT NULL OR backlog_seconds = 0 AS is_over, count(*) AS nvrs,
                     sum(backlog_seconds) AS seconds
                 FROM nvr_job WHERE job = ?2 GROUP BY 1, 2
             ) AS s LEFT JOIN host AS h ON h.host = s.held_by GROUP BY 1 ORDER BY 1"
        ),
        values![host.get(), job],
        |row| {
            let tally = tally(row)?;
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
    if others_wait {
        for Waiting { nvr, backlog_seconds, .. } in waiting(session, host, job)? {
            let least = shared.wanted.entry(nvr).or_insert(backlog_seconds);
            *least = (*least).min(backlog_seconds);
        }
    }
    Ok(shared)
}

/// The hosts that are alive, as that host may say, or anybody: with the job of each, and what it said last.
pub(super) fn living(session: Session<'_>, told: Option<HostId>) -> Result<Vec<(i64, HostId, HostState)>, Fault> {
    session.all(
        &format!(
            "SELECT h.host, h.job, h.streams, h.backlog_seconds, h.hungry FROM host AS h WHERE {} ORDER BY h.host",
            is_alive("?1")
        ),
        values![told.map(HostId::get)],
        |row| {
            let state =
                HostState { streams: count(unsigned(row, 2)?), backlog_seconds: row.get(3)?, hungry: row.get(4)? };
            Ok((row.get(1)?, HostId::new(row.get(0)?), state))
        },
    )
}

/// A tally whose numbers are the second and the third column.
pub(super) fn tally(row: &Row<'_>) -> Result<Tally, Fault> {
    Ok(Tally { nvrs: count(unsigned(row, 1)?), seconds: row.get(2)? })
}

pub(super) fn json<T: Serialize>(lines: &[T]) -> Result<String, Fault> {
    serde_json::to_string(lines).map_err(|error| Fault::BadValue(error.to_string()))
}

pub(super) fn millis(lasts: Duration) -> i64 {
    i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
