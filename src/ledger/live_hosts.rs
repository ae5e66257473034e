//! Whose cameras are recorded live by whom, where many machines may do that into one archive.
//!
//! A live run says which cameras it records, and is believed for as long as it is heard of; the server's clock alone tells when that
//! is over. From then on its cameras are nobody's: whoever starts next takes them from it, in one transaction, and puts right what it
//! left. It may not notice, however: so what it says about a camera is refused once that was taken ([`Ledger::guard_live`]), and it has
//! to join again. That a file of its is there it may say at any time: nobody else has it.
//!
//! Who takes cameras, from the dead or from nobody, locks the table of them: one does so at a time. Who writes about one, or says that he
//! is alive, waits for nobody but whoever takes that very camera.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::{Fault, LedgerError};
use super::lock::host_name;
use super::queries::device;
use super::session::{Session, values};
use super::{Keeper, Ledger, changes};
use crate::device::DeviceId;
use crate::live_hosts::{HeldCamera, LiveHostId, LiveJoined};
use crate::time_range::{RangeSet, UtcSecond};
use crate::window::Cause;

/// Whoever takes cameras does so alone. Writers about cameras lock single rows, and are not kept waiting by this.
const ALONE: &str = "LOCK TABLE live_camera IN SHARE ROW EXCLUSIVE MODE";

/// A live run `h` that is alive. A server that was away itself was out of everybody's hearing.
const IS_ALIVE: &str = "h.left_at IS NULL
    AND clock_timestamp() < greatest(h.until, pg_postmaster_start_time() + (h.until - h.seen))";

impl Ledger {
    /// Joins the live runs of this ledger, which is to be on a server ([`Self::is_shared`]), with these cameras. When others record
    /// some of them, or did a moment ago and are not known to be dead, it joins with none: the error says who. `lasts` is for how long
    /// this one is believed to record when it is not heard of.
    pub async fn join_live(
        &self,
        cameras: Vec<DeviceId>,
        lasts: Duration,
    ) -> Result<Result<LiveJoined, Vec<HeldCamera>>, LedgerError> {
        self.write_shared(move |session| {
            session.alone_with(ALONE)?;
            bury_the_dead(session)?;
            let held = held(session, &cameras)?;
            match held.is_empty() {
                true => Ok(Ok(join(session, &cameras, lasts)?)),
                false => Ok(Err(held)),
            }
        })
        .await
    }

    /// That they are refused, as an error.
    pub fn cameras_held(&self, held: Vec<HeldCamera>) -> LedgerError {
        LedgerError::CamerasHeld { ledger: self.name.clone(), held }
    }

    /// The same of one that was taken for dead: with what of its cameras others have not taken. Says who has the rest.
    pub async fn join_live_again(
        &self,
        cameras: Vec<DeviceId>,
        lasts: Duration,
    ) -> Result<(LiveJoined, Vec<HeldCamera>), LedgerError> {
        self.write_shared(move |session| {
            session.alone_with(ALONE)?;
            bury_the_dead(session)?;
            let held = held(session, &cameras)?;
            let is_free = |device: &&DeviceId| held.iter().all(|camera| camera.device != **device);
            let free: Vec<DeviceId> = cameras.iter().filter(is_free).copied().collect();
            Ok((join(session, &free, lasts)?, held))
        })
        .await
    }

    /// Says that a live run is alive, for `lasts` from now. [`LedgerError::LiveLost`] when it was taken for dead.
    pub async fn beat_live(&self, host: LiveHostId, lasts: Duration) -> Result<(), LedgerError> {
        self.write_shared(move |session| {
            let heard_of = session.execute(
                "UPDATE live_host SET seen = clock_timestamp(), until = clock_timestamp() + ?2 * INTERVAL '1 millisecond',
                     beats = beats + 1 WHERE live_host = ?1 AND left_at IS NULL",
                values![host.get(), millis(lasts)],
            )?;
            if heard_of == 0 { Err(LedgerError::LiveLost.into()) } else { Ok(()) }
        })
        .await
    }

    /// A live run has ended: its cameras are nobody's.
    pub async fn leave_live(&self, host: LiveHostId) -> Result<(), LedgerError> {
        self.write_shared(move |session| {
            // In this order, since whoever takes cameras has their table before he has a row of the other.
            session.execute("DELETE FROM live_camera WHERE live_host = ?1", values![host.get()])?;
            session.execute(
                "UPDATE live_host SET left_at = clock_timestamp() WHERE live_host = ?1 AND left_at IS NULL",
                values![host.get()],
            )?;
            Ok(())
        })
        .await
    }

    /// Says that the live run of that token is gone, which whoever has the lock knows that it was written into: nobody waits for it any
    /// longer. Without effect on a file.
    pub async fn live_is_gone(&self, token: String) -> Result<(), LedgerError> {
        if !self.is_shared() {
            return Ok(());
        }
        self.write(move |session| {
            session.alone_with(ALONE)?;
            session.execute(
                "UPDATE live_host SET left_at = clock_timestamp() WHERE token = ?1 AND left_at IS NULL",
                values![&token],
            )?;
            bury_the_dead(session)
        })
        .await
    }

    /// The cameras that other living live runs record than this one. Takes the cameras of those that are dead from them first, so that
    /// nothing which they still say about one passes for true. None of a file, of which live runs keep each other out by locks.
    pub async fn recorded_elsewhere(&self, host: Option<LiveHostId>) -> Result<BTreeSet<DeviceId>, LedgerError> {
        if !self.is_shared() {
            return Ok(BTreeSet::new());
        }
        self.write(move |session| {
            session.alone_with(ALONE)?;
            bury_the_dead(session)?;
            let cameras = session.all(
                "SELECT device FROM live_camera WHERE live_host IS DISTINCT FROM ?1",
                values![host.map(LiveHostId::get)],
                |row| device(row, 0),
            )?;
            Ok(cameras.into_iter().collect())
        })
        .await
    }

    /// Says of what is missing of `ranges` that it was interrupted, as [`Self::mark_missing`] does; not if a live run has the camera by
    /// now that is another than `host`.
    pub async fn interrupt(
        &self,
        host: Option<LiveHostId>,
        device: DeviceId,
        ranges: RangeSet,
        at: UtcSecond,
    ) -> Result<(), LedgerError> {
        let is_shared = self.is_shared();
        self.write(move |session| {
            // First, so that who takes the camera after the look finds it done, and says afterwards what it records.
            session.about_a_file(device)?;
            if is_shared && is_anothers(session, host, device)? {
                return Ok(());
            }
            changes::mark_missing(session, device, &ranges, Cause::LiveInterrupted, at)
        })
        .await
    }

    /// From now on, what this ledger is told of these cameras is kept only while they are that live run's: else it is
    /// [`LedgerError::LiveLost`]. That files of theirs are there is taken down all the same. Without effect on a file.
    pub fn guard_live(&self, cameras: &[DeviceId], host: LiveHostId) {
        if let Keeper::Server(database) = &self.keeper {
            database.guards().set_live(cameras, host);
        }
    }

    async fn write_shared<T, W>(&self, work: W) -> Result<T, LedgerError>
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

fn join(session: Session<'_>, cameras: &[DeviceId], lasts: Duration) -> Result<LiveJoined, Fault> {
    let joined = session.first(
        "INSERT INTO live_host (machine, pid, until) VALUES (?1, ?2, clock_timestamp() + ?3 * INTERVAL '1 millisecond')
         RETURNING live_host, token",
        values![&host_name(), std::process::id(), millis(lasts)],
        |row| Ok(LiveJoined { host: LiveHostId::new(row.get(0)?), token: row.get(1)? }),
    )?;
    let joined = joined.ok_or_else(|| Fault::BadValue("a new row of live_host has no number".to_owned()))?;
    for device in cameras {
        session.execute(
            "INSERT INTO live_camera (device, live_host) VALUES (?1, ?2)",
            values![device.get(), joined.host.get()],
        )?;
    }
    Ok(joined)
}

/// Takes their cameras from live runs that are dead. One that is heard of in this moment is not: its row is looked at again once it was
/// waited for.
fn bury_the_dead(session: Session<'_>) -> Result<(), Fault> {
    session.execute(
        &format!(
            "UPDATE live_host AS h SET left_at = clock_timestamp() WHERE h.left_at IS NULL AND ({IS_ALIVE}) IS NOT TRUE"
        ),
        values![],
    )?;
    session.execute(
        "DELETE FROM live_camera AS c USING live_host AS h WHERE h.live_host = c.live_host AND h.left_at IS NOT NULL",
        values![],
    )?;
    Ok(())
}

/// Who has what of these cameras.
fn held(session: Session<'_>, cameras: &[DeviceId]) -> Result<Vec<HeldCamera>, Fault> {
    let mut all = session.all(
        "SELECT c.device, h.live_host, h.machine, h.pid, h.beats
         FROM live_camera AS c JOIN live_host AS h ON h.live_host = c.live_host ORDER BY c.device",
        values![],
        |row| {
            Ok(HeldCamera {
                device: device(row, 0)?,
                host: LiveHostId::new(row.get(1)?),
                machine: row.get(2)?,
                pid: row.get(3)?,
                beats: row.get(4)?,
            })
        },
    )?;
    let wanted: BTreeSet<&DeviceId> = cameras.iter().collect();
    all.retain(|camera| wanted.contains(&camera.device));
    Ok(all)
}

fn is_anothers(session: Session<'_>, host: Option<LiveHostId>, device: DeviceId) -> Result<bool, Fault> {
    let found = session.first(
        "SELECT 1 FROM live_camera WHERE device = ?1 AND live_host IS DISTINCT FROM ?2",
        values![device.get(), host.map(LiveHostId::get)],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn millis(lasts: Duration) -> i64 {
    i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
}
