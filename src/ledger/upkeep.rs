//! What `verify` and `prune` ask of the ledger and tell it: recordings in pages, files that leave, rounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::changes::stored;
use super::error::Fault;
use super::missing::{self, Loss};
use super::queries::{self, device, second, unsigned};
use super::ranges::Merged;
use super::session::{Row, Session, values};
use super::{Keeper, Ledger, LedgerError, locked};
use crate::device::DeviceId;
use crate::recording::Recording;
use crate::retention::Sums;
use crate::time_range::{TimeRange, UtcSecond};
use crate::upkeep::{Fate, Leaving, Round, RoundCounts};
use crate::window::Cause;

/// How long the right to take files out is waited for.
#[derive(Clone, Copy, Debug)]
pub struct UpkeepPatience {
    /// While another process has it.
    pub others: Duration,
    /// While perhaps only the server does not know yet that the connection is gone with which this process had it.
    pub own: Duration,
}

const ASIDE: &str = "aside";
const DELETED: &str = "deleted";

impl Ledger {
    /// The first `most` of the recordings that share a second with `within`, whole, in order. What follows begins at the end of
    /// the last of them.
    pub async fn recordings_page(
        &self,
        device: DeviceId,
        within: TimeRange,
        most: u32,
    ) -> Result<Vec<Recording>, LedgerError> {
        self.read(move |session| queries::recordings_overlapping(session, device, within, most)).await
    }

    // Files that leave.

    /// Takes the right to take files out of the archive, which one process has at a time; [`LedgerError::UpkeepHeld`] when another has
    /// it for longer than it is waited for. It ends with [`Self::release_upkeep`], with this value, or with the process. Of a file, whoever
    /// may work with its archive has the hold of the vault, and this says nothing more.
    pub async fn hold_upkeep(&self, patience: UpkeepPatience) -> Result<(), LedgerError> {
        let Keeper::Server(database) = &self.keeper else { return Ok(()) };
        let on = Arc::clone(database);
        match database.aside(move || on.lock_upkeep(patience.others)).await? {
            Some(lock) => {
                *locked(&self.upkeep) = Some((lock, patience));
                Ok(())
            }
            None => Err(LedgerError::UpkeepHeld { ledger: self.name.clone() }),
        }
    }

    /// Gives it up.
    pub fn release_upkeep(&self) {
        *locked(&self.upkeep) = None;
    }

    /// Before a file is noted that is to leave: who lost the hold with its connection takes it anew, unless another has it by now.
    async fn still_holds_upkeep(&self) -> Result<(), LedgerError> {
        let held = locked(&self.upkeep).take();
        let (Keeper::Server(database), Some((lock, patience))) = (&self.keeper, held) else { return Ok(()) };
        let on = Arc::clone(database);
        match database.aside(move || Ok(Some(lock).filter(|lock| on.still_locks(lock)))).await? {
            Some(lock) => {
                *locked(&self.upkeep) = Some((lock, patience));
                Ok(())
            }
            None => self.hold_upkeep(UpkeepPatience { others: patience.own, ..patience }).await,
        }
    }

    /// Notes that a file which is not what its recording says is about to be moved aside. False when the recording is there no
    /// more, so that the file is nobody's business.
    pub async fn note_aside(&self, recording: Recording, code: String, detail: String) -> Result<bool, LedgerError> {
        self.still_holds_upkeep().await?;
        let fate = Fate::Aside { code, detail };
        self.write(move |session| {
            let Recording { device, range, ref path, .. } = recording;
            session.about(device)?;
            let stands = stands(session, device, range.start(), path)?.is_some_and(|held| held == recording);
            if stands {
                note(session, &Leaving { path: path.clone(), device, start: range.start(), fate: fate.clone() })?;
            }
            Ok(stands)
        })
        .await
    }

    /// Takes out the recording of a file that was noted and moved aside: its time is a gap from now on. Nothing changes when the
    /// note is there no more.
    pub async fn lose(&self, leaving: Leaving, at: UtcSecond) -> Result<(), LedgerError> {
        self.write(move |session| {
            let Fate::Aside { code, detail } = &leaving.fate else { return Ok(()) };
            session.about(leaving.device)?;
            if !forget(session, &leaving.path)? {
                return Ok(());
            }
            if let Some(recording) = stands(session, leaving.device, leaving.start, &leaving.path)? {
                let loss = Loss { cause: Cause::Corrupt, code: Some(code), detail: Some(detail), at: Some(at) };
                take_out(session, &recording, &loss)?;
            }
            Ok(())
        })
        .await
    }

    /// Takes out recordings whose retention has ended, and notes that their files are about to be deleted.
    pub async fn prune(&self, recordings: Vec<Recording>) -> Result<(), LedgerError> {
        self.still_holds_upkeep().await?;
        self.write(move |session| {
            // Without a time, so that one night's joins the next one's, however many there are.
            let loss = Loss { cause: Cause::Pruned, code: None, detail: None, at: None };
            for recording in &recordings {
                let Recording { device, range, path, .. } = recording;
                session.about(*device)?;
                if stands(session, *device, range.start(), path)?.is_some() {
                    take_out(session, recording, &loss)?;
                    let (path, start) = (path.clone(), range.start());
                    note(session, &Leaving { path, device: *device, start, fate: Fate::Deleted })?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether a file is still noted that is about to leave.
    pub async fn is_leaving(&self, path: String) -> Result<bool, LedgerError> {
        self.read(move |session| {
            session.one(
                "SELECT CASE WHEN EXISTS (SELECT 1 FROM leaving WHERE path = ?1) THEN 1 ELSE 0 END",
                values![&path],
            )
        })
        .await
    }

    /// Says that the files of these names have left.
    pub async fn forget_leaving(&self, paths: Vec<String>) -> Result<(), LedgerError> {
        self.write(move |session| {
            for path in &paths {
                forget(session, path)?;
            }
            Ok(())
        })
        .await
    }

    /// The files that were noted and have not left, by name.
    pub async fn leaving(&self) -> Result<Vec<Leaving>, LedgerError> {
        self.read(noted).await
    }

    /// Whether that file is a recording's.
    pub async fn has_recording_at(
        &self,
        device: DeviceId,
        start: UtcSecond,
        path: String,
    ) -> Result<bool, LedgerError> {
        self.read(move |session| Ok(stands(session, device, start, &path)?.is_some())).await
    }

    // What is due.

    /// What each of these cameras has that ends up to its moment; those without any are left out.
    pub async fn due(&self, before: BTreeMap<DeviceId, UtcSecond>) -> Result<BTreeMap<DeviceId, Sums>, LedgerError> {
        self.read(move |session| {
            let mut due = BTreeMap::new();
            for (&device, &until) in &before {
                due.extend(due_of(session, device, until)?.map(|sums| (device, sums)));
            }
            Ok(due)
        })
        .await
    }

    /// How much time is archived, over all cameras, in seconds.
    pub async fn archived_seconds(&self) -> Result<i64, LedgerError> {
        self.read(|session| {
            session.one("SELECT CAST(coalesce(sum(\"end\" - start), 0) AS BIGINT) FROM archived", values![])
        })
        .await
    }

    // Rounds.

    /// The newest round.
    pub async fn newest_round(&self) -> Result<Option<Round>, LedgerError> {
        self.read(newest_round).await
    }

    /// Begins a round, which is the newest from then on.
    pub async fn begin_round(&self, at: UtcSecond) -> Result<Round, LedgerError> {
        self.write(move |session| {
            let round =
                session.one("INSERT INTO verify_round (began) VALUES (?1) RETURNING round", values![at.get()])?;
            Ok(Round { round, began: at, ended: None, reached: None, counts: RoundCounts::default() })
        })
        .await
    }

    /// Says how far a round has come, and what was read in it; and whether it has come round.
    pub async fn keep_round(&self, round: Round) -> Result<(), LedgerError> {
        self.write(move |session| {
            let Round { round, ended, reached, counts, .. } = round;
            let (device, reached) = reached.unzip();
            session.execute(
                "UPDATE verify_round SET ended = ?2, device = ?3, reached = ?4, files = ?5, bytes = ?6, corrupt = ?7
                 WHERE round = ?1",
                values![
                    round,
                    ended.map(UtcSecond::get),
                    device.map(DeviceId::get),
                    reached.map(UtcSecond::get),
                    stored(counts.files),
                    stored(counts.bytes),
                    stored(counts.corrupt),
                ],
            )?;
            Ok(())
        })
        .await
    }
}

/// The recording of that name, if it stands.
fn stands(session: Session<'_>, device: DeviceId, start: UtcSecond, path: &str) -> Result<Option<Recording>, Fault> {
    let Some(second) = TimeRange::new(start, start + 1) else { return Ok(None) };
    let held = queries::recordings_overlapping(session, device, second, 1)?;
    Ok(held.into_iter().find(|recording| recording.path == path && recording.range.start() == start))
}

/// Takes out a recording's row; its time, whether it was ever asked for or not, is missing from now on: nothing that was
/// archived goes without a word.
fn take_out(session: Session<'_>, recording: &Recording, loss: &Loss<'_>) -> Result<(), Fault> {
    let Recording { device, range, .. } = *recording;
    session.execute(
        "DELETE FROM recording WHERE device = ?1 AND start = ?2",
        values![device.get(), range.start().get()],
    )?;
    Merged::Archived.remove(session, device, range)?;
    Merged::Asked.add(session, device, range)?;
    missing::add_lost(session, device, range, loss)
}

fn note(session: Session<'_>, leaving: &Leaving) -> Result<(), Fault> {
    let (fate, code, detail) = match &leaving.fate {
        Fate::Aside { code, detail } => (ASIDE, Some(code), Some(detail)),
        Fate::Deleted => (DELETED, None, None),
    };
    // OK to replace: the same file, of which an earlier note was not finished.
    session.execute(
        "INSERT INTO leaving (path, device, start, fate, code, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (path) DO UPDATE SET device = excluded.device, start = excluded.start, fate = excluded.fate,
             code = excluded.code, detail = excluded.detail",
        values![&leaving.path, leaving.device.get(), leaving.start.get(), fate, code, detail],
    )?;
    Ok(())
}

/// Whether there was a note.
fn forget(session: Session<'_>, path: &str) -> Result<bool, Fault> {
    Ok(session.execute("DELETE FROM leaving WHERE path = ?1", values![path])? > 0)
}

fn noted(session: Session<'_>) -> Result<Vec<Leaving>, Fault> {
    session.all("SELECT path, device, start, fate, code, detail FROM leaving ORDER BY path", values![], |row| {
        Ok(Leaving {
            path: row.get(0)?,
            device: device(row, 1)?,
            start: UtcSecond::new(row.get(2)?),
            fate: match row.get(3)? {
                DELETED => Fate::Deleted,
                _ => Fate::Aside {
                    code: row.get::<Option<String>>(4)?.unwrap_or_default(),
                    detail: row.get::<Option<String>>(5)?.unwrap_or_default(),
                },
            },
        })
    })
}

fn due_of(session: Session<'_>, device: DeviceId, until: UtcSecond) -> Result<Option<Sums>, Fault> {
    // OK to ask for starts first, which the key has in order: what ends up to then began before.
    let sums = session.first(
        "SELECT count(*), CAST(coalesce(sum(bytes), 0) AS BIGINT), CAST(coalesce(sum(seconds), 0) AS BIGINT),
             min(start), max(\"end\")
         FROM recording WHERE device = ?1 AND start < ?2 AND \"end\" <= ?2",
        values![device.get(), until.get()],
        |row| {
            Ok(Sums {
                files: unsigned(row, 0)?,
                bytes: unsigned(row, 1)?,
                seconds: row.get(2)?,
                oldest: second(row, 3)?,
                newest: second(row, 4)?,
            })
        },
    )?;
    Ok(sums.filter(|sums| sums.files > 0))
}

fn newest_round(session: Session<'_>) -> Result<Option<Round>, Fault> {
    let newest = "SELECT round, began, ended, device, reached, files, bytes, corrupt FROM verify_round
                  ORDER BY round DESC LIMIT 1";
    session.first(newest, values![], read_round)
}

fn read_round(row: &Row<'_>) -> Result<Round, Fault> {
    let reached = match (row.get::<Option<i64>>(3)?, second(row, 4)?) {
        (Some(_), Some(reached)) => Some((device(row, 3)?, reached)),
        _ => None,
    };
    Ok(Round {
        round: row.get(0)?,
        began: UtcSecond::new(row.get(1)?),
        ended: second(row, 2)?,
        reached,
        counts: RoundCounts { files: unsigned(row, 5)?, bytes: unsigned(row, 6)?, corrupt: unsigned(row, 7)? },
    })
}
