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
use super::leases::millis;
use super::lock::host_name;
use super::queries::device;
use super::session::{Session, values};
use super::{Keeper, Ledger, changes};
use crate::device::DeviceId;
use crate::live_runs::{HeldCamera, LiveJoined, LiveRunId};
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
        self.shared_write(move |session| {
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
        self.shared_write(move |session| {
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
    pub async fn beat_live(&self, run: LiveRunId, lasts: Duration) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            let heard_of = session.execute(
                "UPDATE live_run SET seen = clock_timestamp(), until = clock_timestamp() + ?2 * INTERVAL '1 millisecond',
                     beats = beats + 1 WHERE live_run = ?1 AND left_at IS NULL",
                values![run.get(), millis(lasts)],
            )?;
            if heard_of == 0 { Err(LedgerError::LiveLost.into()) } else { Ok(()) }
        })
        .await
    }

    /// A live run has ended: its cameras are nobody's.
    pub async fn leave_live(&self, run: LiveRunId) -> Result<(), LedgerError> {
        self.shared_write(move |session| {
            // In this order, since whoever takes cameras has their table before he has a row of the other.
            session.execute("DELETE FROM live_camera WHERE live_run = ?1", values![run.get()])?;
            session.execute(
                "UPDATE live_run SET left_at = clock_timestamp() WHERE live_run = ?1 AND left_at IS NULL",
                values![run.get()],
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
                "UPDATE live_run SET left_at = clock_timestamp() WHERE token = ?1 AND left_at IS NULL",
                values![&token],
            )?;
            bury_the_dead(session)
        })
        .await
    }

    /// The cameras that other living live runs record than this one. Takes the cameras of those that are dead from them first, so that
    /// nothing which they still say about one passes for true. None of a file, of which live runs keep each other out by locks.
    pub async fn recorded_elsewhere(&self, run: Option<LiveRunId>) -> Result<BTreeSet<DeviceId>, LedgerError> {
        if !self.is_shared() {
            return Ok(BTreeSet::new());
        }
        self.write(move |session| {
            session.alone_with(ALONE)?;
            bury_the_dead(session)?;
            let cameras = session.all(
                "SELECT device FROM live_camera WHERE live_run IS DISTINCT FROM ?1",
                values![run.map(LiveRunId::get)],
                |row| device(row, 0),
            )?;
            Ok(cameras.into_iter().collect())
        })
        .await
    }

    /// Says of what is missing of `ranges` that it was interrupted, as [`Self::mark_missing`] does; not if a live run has the camera by
    /// now that is another than `run`.
    pub async fn interrupt(
        &self,
        run: Option<LiveRunId>,
        device: DeviceId,
        ranges: RangeSet,
        at: UtcSecond,
    ) -> Result<(), LedgerError> {
        let is_shared = self.is_shared();
        self.write(move |session| {
            // First, so that who takes the camera after the look finds it done, and says afterwards what it records.
            session.about_a_file(device)?;
            if is_shared && is_anothers(session, run, device)? {
                return Ok(());
            }
            changes::mark_missing(session, device, &ranges, Cause::LiveInterrupted, at)
        })
        .await
    }

    /// From now on, what this ledger is told of these cameras is kept only while they are that live run's: else it is
    /// [`LedgerError::LiveLost`]. That files of theirs are there is taken down all the same. Without effect on a file.
    pub fn guard_live(&self, cameras: &[DeviceId], run: LiveRunId) {
        if let Keeper::Server(database) = &self.keeper {
            database.guards().set_live(cameras, run);
        }
    }
}

fn join(session: Session<'_>, cameras: &[DeviceId], lasts: Duration) -> Result<LiveJoined, Fault> {
    let joined = session.first(
        "INSERT INTO live_run (machine, pid, until) VALUES (?1, ?2, clock_timestamp() + ?3 * INTERVAL '1 millisecond')
         RETURNING live_run, token",
        values![&host_name(), std::process::id(), millis(lasts)],
        |row| Ok(LiveJoined { run: LiveRunId::new(row.get(0)?), token: row.get(1)? }),
    )?;
    let joined = joined.ok_or_else(|| Fault::BadValue("a new row of live_run has no number".to_owned()))?;
    for device in cameras {
        session.execute(
            "INSERT INTO live_camera (device, live_run) VALUES (?1, ?2)",
            values![device.get(), joined.run.get()],
        )?;
    }
    Ok(joined)
}

/// Takes their cameras from live runs that are dead. One that is heard of in this moment is not: its row is looked at again once it was
/// waited for.
fn bury_the_dead(session: Session<'_>) -> Result<(), Fault> {
    session.execute(
        &format!(
            "UPDATE live_run AS h SET left_at = clock_timestamp() WHERE h.left_at IS NULL AND ({IS_ALIVE}) IS NOT TRUE"
        ),
        values![],
    )?;
    session.execute(
        "DELETE FROM live_camera AS c USING live_run AS h WHERE h.live_run = c.live_run AND h.left_at IS NOT NULL",
        values![],
    )?;
    // Those of a month ago are of no use to anybody.
    session.execute(
        "DELETE FROM live_run WHERE left_at IS NOT NULL AND until < clock_timestamp() - INTERVAL '30 days'",
        values![],
    )?;
    Ok(())
}

/// Who has what of these cameras.
fn held(session: Session<'_>, cameras: &[DeviceId]) -> Result<Vec<HeldCamera>, Fault> {
    let mut all = session.all(
        "SELECT c.device, h.live_run, h.machine, h.pid, h.beats
         FROM live_camera AS c JOIN live_run AS h ON h.live_run = c.live_run ORDER BY c.device",
        values![],
        |row| {
            Ok(HeldCamera {
                device: device(row, 0)?,
                run: LiveRunId::new(row.get(1)?),
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

fn is_anothers(session: Session<'_>, run: Option<LiveRunId>, device: DeviceId) -> Result<bool, Fault> {
    let found = session.first(
        "SELECT 1 FROM live_camera WHERE device = ?1 AND live_run IS DISTINCT FROM ?2",
        values![device.get(), run.map(LiveRunId::get)],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}
