//! A ledger that is being filled from another one, and is none before all is there.
//!
//! # What a crash leaves at each step
//!
//! A file is made under another name, `ledger.db.filling`, beside its place; a database says in its table `filling` from which
//! ledger it is filled, and no command opens it while it does.
//!
//! 1. Rows are copied ([`super::copying`]). Crash: the beginning of the rows, with which the next call goes on.
//! 2. They are compared. Crash: the same.
//! 3. The file is closed, which folds its log into it, and synced. Crash: the same.
//! 4. It gets its name, and the folder is synced. Of a database, the row in `filling` goes, in one transaction with what new
//!    rows are numbered from. Crash: nothing to do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::{Fault, LedgerError};
use super::lock::RunLock;
use super::postgres::{Database, Purpose};
use super::rebuild::{cannot, sync_folder, with_suffix};
use super::session::{Session, values};
use super::{Keeper, Ledger, open};
use crate::ledger_place::LedgerPlace;
use crate::recording::Source;
use crate::time_range::UtcSecond;

/// The tables of a database whose rows are numbered by it, and by which column.
const NUMBERED: [(&str, &str); 7] = [
    ("run", "run"),
    ("attempt", "attempt"),
    ("outcome", "outcome"),
    ("folder", "folder"),
    ("format", "format"),
    ("verify_round", "round"),
    ("uncatalogued", "change"),
];

/// A ledger that is being filled.
pub struct Filling {
    ledger: Ledger,
    /// Where a file is made, and where it is to stand.
    file: Option<(PathBuf, PathBuf)>,
}

/// That nobody changes a ledger, for as long as this lives.
pub struct Still {
    _no_run: Vec<RunLock>,
}

impl Ledger {
    /// Keeps runs from this ledger. On a server, where nothing can keep them from it, finds out whether one goes on.
    pub async fn hold_still(&self, since: UtcSecond) -> Result<Still, LedgerError> {
        let mut still = Still { _no_run: Vec::new() };
        if self.is_shared() {
            self.refuse_hosts().await?;
            return Ok(still);
        }
        for source in [Source::Nvr, Source::Live] {
            still._no_run.extend(self.lock(source, since).await?);
        }
        Ok(still)
    }

    /// Refuses when a host is at work on a ledger that is on a server.
    pub async fn refuse_hosts(&self) -> Result<(), LedgerError> {
        if !self.is_shared() {
            return Ok(());
        }
        let at_work =
            self.read(|session| session.one::<i64>("SELECT count(*) FROM hosts WHERE state = 'alive'", &[])).await?;
        match at_work {
            0 => Ok(()),
            hosts => {
                let what = format!("{hosts} of its hosts are at work; wait for their end, or stop them");
                Err(LedgerError::OnServer { ledger: self.name.clone(), what })
            }
        }
    }
}

impl Filling {
    /// Begins to fill a ledger that is not there yet from the one at `from`, or goes on where that was cut off. May block for a
    /// moment.
    pub async fn begin(to: &LedgerPlace, from: &LedgerPlace) -> Result<Self, LedgerError> {
        match to {
            LedgerPlace::File(path) => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(LedgerError::NotEmpty { ledger: path.clone() });
                }
                let beside = with_suffix(path, ".filling");
                let ledger = Ledger::open(&beside)?;
                Ok(Self { ledger, file: Some((beside, path.clone())) })
            }
            LedgerPlace::Server(url) => {
                let ledger = Ledger::around(to, Keeper::Server(Database::open(url, Purpose::Filling)?));
                let (name, source) = (to.name(), from.to_string());
                ledger.write(move |session| mark(session, &name, &source)).await?;
                Ok(Self { ledger, file: None })
            }
        }
    }

    /// Where the rows go.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Steps 3 and 4: from now on it is a ledger like others.
    pub async fn finish(self) -> Result<(), LedgerError> {
        let Self { ledger, file } = self;
        match file {
            None => ledger.write(unmark).await,
            Some((beside, place)) => {
                drop(ledger);
                put_in_place(&beside, &place)
            }
        }
    }
}

fn put_in_place(beside: &Path, place: &Path) -> Result<(), LedgerError> {
    // Of the connections so far one that only reads was the last: the last to close that may write folds the log into the file.
    let last = open::for_writing(beside)?;
    last.close().map_err(|(_, error)| Fault::from(error).at(beside))?;
    let log = with_suffix(beside, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let why = "another program has it open: close that, and let the same command go on".to_owned();
        return Err(LedgerError::CannotOpen { ledger: beside.to_path_buf(), why });
    }
    File::open(beside).and_then(|file| file.sync_all()).map_err(|error| cannot(beside, &error))?;
    // A link never replaces what somebody may have put there meanwhile.
    fs::hard_link(beside, place).map_err(|error| cannot(place, &error))?;
    sync_folder(place)?;
    for suffix in ["", ".lock", ".live.lock"] {
        match fs::remove_file(with_suffix(beside, suffix)) {
            // OK: it was never made.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => done.map_err(|error| cannot(beside, &error))?,
        }
    }
    Ok(())
}

/// Notes in a database that it is being filled; refuses when it is a ledger already, or is being filled from another one.
fn mark(session: Session<'_>, name: &Path, source: &str) -> Result<(), Fault> {
    let ledger = || name.to_path_buf();
    match session.first("SELECT source FROM filling", &[], |row| row.get::<String>(0))? {
        Some(marked) if marked == source => Ok(()),
        Some(marked) => Err(LedgerError::BeingFilled { ledger: ledger(), from: marked }.into()),
        None => {
            let is_used = "SELECT CASE WHEN EXISTS (SELECT 1 FROM run) OR EXISTS (SELECT 1 FROM device)
                OR EXISTS (SELECT 1 FROM nvr) OR EXISTS (SELECT 1 FROM archive_mark) THEN 1 ELSE 0 END";
            if session.one(is_used, &[])? {
                return Err(LedgerError::NotEmpty { ledger: ledger() }.into());
            }
            session.execute("INSERT INTO filling (source) VALUES (?1)", values![source]).map(drop)
        }
    }
}

fn unmark(session: Session<'_>) -> Result<(), Fault> {
    for (table, column) in NUMBERED {
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false) FROM {table}"
        );
        session.one::<i64>(&next, &[])?;
    }
    session.execute("DELETE FROM filling", &[]).map(drop)
}
