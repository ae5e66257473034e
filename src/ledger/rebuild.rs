//! A ledger's file made anew, in the place of one that is lost or damaged. It blocks, and is one process's alone: both runs' locks are
//! held until it stands.
//!
//! # The order, and what a crash leaves at each step
//!
//! 1. The new ledger is written to `ledger.db.rebuilding`, beside its place. Crash: that file, which the next rebuilding
//!    deletes; the old one is as it was.
//! 2. It is synced, and its log folded into it. Crash: the same.
//! 3. The old ledger is moved aside, its `-wal` and `-shm` after it. Crash: no ledger, and perhaps a log without one. The next
//!    rebuilding moves that aside as well; no run makes an empty ledger beside a catalog ([`crate::commands`]).
//! 4. The new one gets its name, and the folder is synced. Crash: nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::lock::RunLock;
use super::queries::recordings_overlapping;
use super::ranges::Merged;
use super::session::Session;
use super::{catalog, changes, open, restore, zones};
use crate::catalog::StateLine;
use crate::device::DeviceId;
use crate::recording::{Recording, Source};
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Cause;

/// How many changes one transaction takes: few enough for what it keeps in memory to undo them.
const LARGEST_BATCH: u32 = 20_000;

/// How long a run that is just ending is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A ledger that is being made. Dropping it leaves what stands in its place as it is.
#[derive(Debug)]
pub struct Rebuilding {
    connection: Connection,
    /// Where it is to stand.
    place: PathBuf,
    /// Where it is made. After the connection, which is closed first.
    beside: Beside,
    /// Changes since the last commit.
    uncommitted: u32,
    _no_run: [RunLock; 2],
}

/// A file that is deleted with this value, unless it has got another name.
#[derive(Debug)]
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // OK to ignore a failure: the next rebuilding deletes it.
        let _ = delete(&self.0);
    }
}

/// Deletes a ledger that was not finished, and its logs.
fn delete(beside: &Path) -> Result<(), LedgerError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = with_suffix(beside, suffix);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&left, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// What a new ledger holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Seconds that were asked for.
    pub asked_seconds: i64,
    /// Seconds that are archived.
    pub archived_seconds: i64,
    /// Seconds that are missing, by cause.
    pub missing_seconds: BTreeMap<Cause, i64>,
    /// Where the ledger went that stood in its place, and its log, if there were any.
    pub moved_aside: Vec<PathBuf>,
}

impl Rebuilding {
    /// Begins, while no run goes on. A whole ledger in that place is refused with [`LedgerError::Whole`], and what is no ledger,
    /// newer or cannot be read with the error that tells so, unless it is to be `replaced`. Reads all of it, to know.
    pub fn begin(place: &Path, now: UtcSecond, replaced: bool) -> Result<Self, LedgerError> {
        let since = now.to_string();
        let no_run = [
            RunLock::take_patiently(place, Source::Nvr, &since, PATIENCE)?,
            RunLock::take_patiently(place, Source::Live, &since, PATIENCE)?,
        ];
        let beside = Beside(with_suffix(place, ".rebuilding"));
        delete(&beside.0)?;
        let connection = open::for_rebuilding(&beside.0)?;
        let rebuilding = Self { connection, place: place.to_owned(), beside, uncommitted: 0, _no_run: no_run };
        match rebuilding.check_what_stands() {
            Ok(()) if !replaced => Err(LedgerError::Whole { ledger: place.to_owned() }),
            // OK with anything but a lock: it is moved aside, whatever it is.
            Err(locked @ LedgerError::Locked { .. }) => Err(locked),
            Err(LedgerError::NotThere { .. } | LedgerError::Damaged { .. }) => Ok(()),
            Err(other) if !replaced => Err(other),
            _ => Ok(()),
        }?;
        rebuilding.execute("BEGIN")?;
        Ok(rebuilding)
    }

    /// Why what stands in the place is no whole ledger. One of an older version is whole.
    fn check_what_stands(&self) -> Result<(), LedgerError> {
        let place = &self.place;
        if fs::metadata(place).is_ok_and(|file| file.is_file() && file.len() == 0) {
            return Err(LedgerError::NotThere { ledger: place.clone() });
        }
        let standing = match open::for_reading(place) {
            Err(LedgerError::Older { .. }) => return Ok(()),
            opened => opened?,
        };
        let damaged = |why: String| LedgerError::Damaged { ledger: place.clone(), why };
        let at_fault = |error: rusqlite::Error| Fault::from(error).at(place);
        let found: String = standing.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(at_fault)?;
        if found != "ok" {
            return Err(damaged(found.replace('\n', "; ")));
        }
        let (found, expected) = (schema(&standing).map_err(at_fault)?, self.of_file(schema)?);
        // OK with more than that: somebody may have made an index.
        match expected.difference(&found).next() {
            None => Ok(()),
            Some((kind, name, _)) => Err(damaged(format!("its {kind} {name} is not there, or not what it should be"))),
        }
    }

    /// Puts back what a line of the catalog's state says; an NVR comes before its devices. [`LedgerError::Damaged`] when the
    /// line is of nothing that can be.
    pub fn restore(&mut self, line: &StateLine) -> Result<(), LedgerError> {
        self.change(|session| restore::line(session, line))
    }

    /// Adds a recording; its time was also asked for when `was_asked` says so. [`LedgerError::Overlap`] when another has some of
    /// its time.
    pub fn add(&mut self, recording: &Recording, was_asked: bool) -> Result<(), LedgerError> {
        self.change(|session| {
            changes::add_recording(session, recording)?;
            match was_asked {
                true => Merged::Asked.add(session, recording.device, recording.range),
                false => Ok(()),
            }
        })
    }

    /// Says that the catalog names all that was added so far, in files up to that number.
    pub fn catalogued(&mut self, segment: u64) -> Result<(), LedgerError> {
        self.change(|session| catalog::catalogued(session, segment, i64::MAX))
    }

    /// The time zone of a device of which no line of the state told.
    pub fn set_zone(&mut self, device: DeviceId, zone: Tz) -> Result<(), LedgerError> {
        self.change(|session| {
            zones::add(session, zone)?;
            changes::set_zone(session, device, zone)
        })
    }

    /// The recordings that share a second with `within`.
    pub fn recordings(&self, device: DeviceId, within: TimeRange) -> Result<Vec<Recording>, LedgerError> {
        self.ask(|session| recordings_overlapping(session, device, within, u32::MAX))
    }

    /// Makes the ledger's rule true, whatever was put back: what was asked for and is neither archived nor missing was archived
    /// once, and its file is gone, so that it is missing, not tried. Gives how many seconds that are.
    pub fn settle(&mut self) -> Result<i64, LedgerError> {
        let devices = self.ask(restore::devices)?;
        let mut without_file = 0;
        for device in devices {
            without_file += self.change(|session| restore::settle(session, device))?;
        }
        Ok(without_file)
    }

    /// Steps 2 to 4: makes it durable and puts it in its place. What stands there is moved aside, with `now` in its name.
    pub fn finish(self, now: UtcSecond) -> Result<Rebuilt, LedgerError> {
        let mut rebuilt = self.ask(restore::sums)?;
        self.execute("COMMIT")?;
        // As every ledger is kept from now on.
        let mode: String = self.of_file(|new| new.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)))?;
        if mode != "wal" {
            let why = "its file system does not allow a write-ahead log (a network share?): put it on a local disk";
            return Err(LedgerError::CannotOpen { ledger: self.place, why: why.to_owned() });
        }
        let Self { connection, place, beside, _no_run, .. } = self;
        connection.close().map_err(|(_, error)| Fault::from(error).at(&beside.0))?;
        File::open(&beside.0).and_then(|file| file.sync_all()).map_err(|error| cannot(&beside.0, &error))?;
        let stamp = now.to_datetime().format("%Y%m%dT%H%M%SZ");
        for suffix in ["", "-wal", "-shm"] {
            let old = with_suffix(&place, suffix);
            if let Some(aside) = move_aside(&old, &with_suffix(&place, &format!(".damaged-{stamp}")), suffix)? {
                rebuilt.moved_aside.push(aside);
            }
        }
        sync_folder(&place)?;
        // OK to look no further: no run goes on, and nobody else makes a ledger.
        fs::rename(&beside.0, &place).map_err(|error| cannot(&place, &error))?;
        sync_folder(&place)?;
        Ok(rebuilt)
    }

    fn ask<T>(&self, question: impl FnOnce(Session<'_>) -> Result<T, Fault>) -> Result<T, LedgerError> {
        question(Session::Sqlite(&self.connection)).map_err(|fault| fault.at(&self.beside.0))
    }

    fn of_file<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        question(&self.connection).map_err(|error| Fault::from(error).at(&self.beside.0))
    }

    /// OK without a savepoint: what fails here has changed nothing that counts, or ends the rebuilding.
    fn change<T>(&mut self, change: impl FnOnce(Session<'_>) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let done = self.ask(change)?;
        self.uncommitted += 1;
        if self.uncommitted >= LARGEST_BATCH {
            self.uncommitted = 0;
            self.execute("COMMIT")?;
            self.execute("BEGIN")?;
        }
        Ok(done)
    }

    fn execute(&self, sql: &str) -> Result<(), LedgerError> {
        self.of_file(|new| new.execute_batch(sql))
    }
}

/// The kind, name and statement of all that the schema has.
fn schema(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, String, Option<String>)>> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames a file, if it is there, to a name that is free.
fn move_aside(from: &Path, to: &Path, suffix: &str) -> Result<Option<PathBuf>, LedgerError> {
    let there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !there(from) {
        return Ok(None);
    }
    let names = std::iter::once(to.to_owned()).chain((1..).map(|number| with_suffix(to, &format!(".{number}"))));
    // OK to look first: one process at a time rebuilds a ledger. A free name is found before the numbers end.
    let free = names.map(|name| with_suffix(&name, suffix)).find(|name| !there(name));
    let free = free.unwrap_or_else(|| with_suffix(to, suffix));
    fs::rename(from, &free).map_err(|error| cannot(from, &error))?;
    Ok(Some(free))
}

pub(super) fn sync_folder(file: &Path) -> Result<(), LedgerError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot(folder, &error))
}

pub(super) fn cannot(path: &Path, error: &std::io::Error) -> LedgerError {
    let ledger = path.to_owned();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => LedgerError::DiskFull { ledger },
        _ => LedgerError::CannotOpen { ledger, why: error.to_string() },
    }
}
