//! What can go wrong with a ledger, in words for the person who has to act.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

use super::postgres::{Failure, Late};
use crate::device::NvrId;
use crate::failpoint::{self, Failpoint};
use crate::lease::HostId;
use crate::live_runs::{self, HeldCamera};
use crate::recording::Recording;
use crate::time_range::TimeRange;

/// Why the ledger could not do what it was asked. Nothing of the request is kept when one of these comes back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// Another run holds the ledger.
    #[error(
        "another run holds {}: {holder}. Wait for it to end, or stop it; a process that is gone holds nothing",
        .ledger.display()
    )]
    Held {
        /// The ledger.
        ledger: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// There is none.
    #[error(
        "there is no ledger at {}: either nothing has run yet, or it lies elsewhere (see --ledger, --root and --config), or \
         it was lost: `archive reindex` makes it anew from the recordings",
        .ledger.display()
    )]
    NotThere {
        /// Where it would be.
        ledger: PathBuf,
    },
    /// There is none any more.
    #[error(
        "there is no ledger at {}, but the archive in {} had one. With a new one everything would be fetched again: name \
         the right one with --ledger, or let `archive reindex` make it anew from the recordings",
        .ledger.display(), .root.display()
    )]
    Lost {
        /// Where it would be.
        ledger: PathBuf,
        /// The archive's folder.
        root: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{} is not a ledger: {why}. It was left as it is; name another file, or, if it was a ledger once, let \
         `archive reindex --replace` move it aside and make a new one from the recordings",
        .ledger.display()
    )]
    NotALedger {
        /// The file.
        ledger: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Somebody else takes files out of its archive.
    #[error("another verify or prune works on the archive of {}, perhaps on another machine; wait for it to end, or stop it", .ledger.display())]
    UpkeepHeld {
        /// The ledger.
        ledger: PathBuf,
    },
    /// A newer version of this program has written it.
    #[error(
        "{} was written by a newer version (its schema is {found}, this program knows {known}). Use that version; \
         nothing was changed",
        .ledger.display()
    )]
    Newer {
        /// The ledger.
        ledger: PathBuf,
        /// Its schema's number.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// An older version has written it, and it was opened only for reading.
    #[error(
        "{} was written by an older version (its schema is {found}, this program reads {known}). Any command that \
         writes brings it up to date",
        .ledger.display()
    )]
    Older {
        /// The ledger.
        ledger: PathBuf,
        /// Its schema's number.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// The file's bytes do not fit together.
    #[error(
        "{} is damaged: {why}. It was left as it is: `archive reindex` moves it aside and makes a new one from the \
         recordings",
        .ledger.display()
    )]
    Damaged {
        /// The ledger.
        ledger: PathBuf,
        /// What was found.
        why: String,
    },
    /// There is no need to make it anew.
    #[error(
        "{} is a whole ledger: there is nothing to rebuild. With --replace it is moved aside all the same, and with it what \
         only it knows: attempts and runs",
        .ledger.display()
    )]
    Whole {
        /// The ledger.
        ledger: PathBuf,
    },
    /// Somebody else keeps it locked.
    #[error(
        "{} is locked by another program for longer than {waited_seconds} s (a sqlite3 shell with an open transaction, \
         a backup?). Close it and try again",
        .ledger.display()
    )]
    Locked {
        /// The ledger.
        ledger: PathBuf,
        /// How long the lock was waited for.
        waited_seconds: u64,
    },
    /// The file may not be written.
    #[error(
        "{} cannot be written: give this user the right to write the file and its folder, and look whether their disk is \
         mounted read-only",
        .ledger.display()
    )]
    ReadOnly {
        /// The ledger.
        ledger: PathBuf,
    },
    /// No space is left for it.
    #[error("the disk of {} is full: free some space and run again", .ledger.display())]
    DiskFull {
        /// The ledger.
        ledger: PathBuf,
    },
    /// Its disk does not do what it is asked.
    #[error(
        "the disk of {} fails, or this user's quota on it is used up: {why}. The system's log (dmesg) says more; what was \
         committed stands",
        .ledger.display()
    )]
    DiskFails {
        /// The ledger.
        ledger: PathBuf,
        /// What SQLite said, which does not tell a quota from a failure.
        why: String,
    },
    /// It could not be opened at all.
    #[error("{} cannot be opened: {why}", .ledger.display())]
    CannotOpen {
        /// The ledger or the lock file beside it.
        ledger: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A recording would cover time that another one covers already.
    #[error("device {}: {} cannot be recorded for {}, {held_path} already holds {held_range} of it",
        .refused.device, .refused.path, .refused.range)]
    Overlap {
        /// What was to be added.
        refused: Box<Recording>,
        /// The range of the recording that is there.
        held_range: TimeRange,
        /// Its path.
        held_path: String,
    },
    /// A ledger is there where a new one was to be made.
    #[error("{} is a ledger already: a copy is made only where there is none", .ledger.display())]
    NotEmpty {
        /// The ledger.
        ledger: PathBuf,
    },
    /// It is not whole yet.
    #[error(
        "{} is being filled from {from}, and is no ledger before that is done: let the same `archive migrate` go on, or, if that \
         was a mistake, drop the database and make it anew",
        .ledger.display()
    )]
    BeingFilled {
        /// The ledger.
        ledger: PathBuf,
        /// The ledger that it is filled from.
        from: String,
    },
    /// A copy of a ledger has another row than the one that it is of.
    #[error(
        "{} has not the rows of the ledger that it was copied from: the first that differs is {row}. Nothing uses it yet: \
         delete it and copy again",
        .ledger.display()
    )]
    Differs {
        /// The copy.
        ledger: PathBuf,
        /// The row's table and key.
        row: String,
    },
    /// A run that the ledger does not know, or that has ended.
    #[error("run {0} is not under way in this ledger")]
    NoSuchRun(i64),
    /// Its server is away.
    #[error(
        "the ledger's server {} is away: {why} (waited {waited_seconds} s). Start it, or mend the way to it; what was \
         committed stands, and a run that is begun again goes on from there",
        .ledger.display()
    )]
    Unreachable {
        /// The ledger.
        ledger: PathBuf,
        /// How long it was waited for.
        waited_seconds: u64,
        /// What the server or the system said last.
        why: String,
    },
    /// What was to be written was about an NVR that another host has taken over since.
    #[error(
        "{nvr} is another host's now: this one was not heard of for too long, and nothing that it still had was kept"
    )]
    LeaseLost {
        /// The NVR.
        nvr: NvrId,
    },
    /// The host has left, or was taken for dead.
    #[error("{host} was not heard of for too long and is taken for dead: it has to join again")]
    HostLost {
        /// The host.
        host: HostId,
    },
    /// The live run was taken for dead, or has left.
    #[error("this live run was not heard of for too long and is taken for dead: it has to join again")]
    LiveLost,
    /// Other live runs record some of the cameras.
    #[error(
        "others record these cameras into {} already: {}. Stop them, or name other cameras; nothing was begun",
        .ledger.display(), live_runs::told(.held)
    )]
    CamerasHeld {
        /// The ledger.
        ledger: PathBuf,
        /// Which, and by whom.
        held: Vec<HeldCamera>,
    },
    /// Hosts cannot share it.
    #[error("{} is a file of this machine: hosts share only a ledger on a server", .ledger.display())]
    NotShared {
        /// The ledger.
        ledger: PathBuf,
    },
    /// What was asked for is made for the file of one machine.
    #[error("{} is on a server: {what}", .ledger.display())]
    OnServer {
        /// The ledger.
        ledger: PathBuf,
        /// What to do instead.
        what: String,
    },
    /// The thread that writes has ended.
    #[error("the ledger's writer has stopped: the program is ending, or an earlier error stopped it")]
    WriterGone,
    /// Anything else that the engine reports.
    #[error("{}: {why}", .ledger.display())]
    Engine {
        /// The ledger.
        ledger: PathBuf,
        /// What it said.
        why: String,
    },
}

/// Who holds a ledger, as it wrote itself into the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("process {} on {host} since {since}", .pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string()))]
pub struct Holder {
    /// Its process id, when it could be read.
    pub pid: Option<u32>,
    /// Its host's name.
    pub host: String,
    /// When its run began, as text in UTC.
    pub since: String,
}

/// An error inside the ledger, before it is known which file it is about.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Postgres(#[from] Failure),
    #[error(transparent)]
    Late(#[from] Late),
    #[error(transparent)]
    Refused(#[from] LedgerError),
    #[error("{0}")]
    BadValue(String),
}

/// Says that a step is reached. An error that a test puts there is what SQLite makes of it: of what a write fails with, it knows
/// only the full disk.
pub(super) fn reached(step: Failpoint) -> Result<(), Fault> {
    failpoint::reached(step).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
            _ => ffi::SQLITE_IOERR_WRITE,
        };
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    })
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl Fault {
    /// The same for people: with the file's name, and what to do.
    pub(super) fn at(self, ledger: &Path) -> LedgerError {
        let ledger = ledger.to_path_buf();
        match self {
            Self::Refused(error) => error,
            Self::BadValue(why) => LedgerError::Damaged { ledger, why },
            Self::Postgres(failure) => failure.at(&ledger),
            Self::Late(late) => LedgerError::Unreachable { ledger, waited_seconds: 0, why: late.to_string() },
            Self::Sqlite(error) if is_of_no_ledger(&error) => {
                let why = match error {
                    // The statement would say nothing to a person.
                    rusqlite::Error::SqlInputError { msg, .. } => msg,
                    error => error.to_string(),
                };
                LedgerError::Damaged { ledger, why }
            }
            Self::Sqlite(error) => {
                let why = error.to_string();
                match error.sqlite_error_code() {
                    Some(ErrorCode::NotADatabase) => {
                        LedgerError::NotALedger { ledger, why: "it is no SQLite database".to_owned() }
                    }
                    Some(ErrorCode::DatabaseCorrupt) => LedgerError::Damaged { ledger, why },
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                        LedgerError::Locked { ledger, waited_seconds: super::open::BUSY_SECONDS }
                    }
                    Some(ErrorCode::ReadOnly) => LedgerError::ReadOnly { ledger },
                    Some(ErrorCode::DiskFull) => LedgerError::DiskFull { ledger },
                    Some(ErrorCode::SystemIoFailure) => LedgerError::DiskFails { ledger, why },
                    Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                        LedgerError::CannotOpen { ledger, why }
                    }
                    _ => LedgerError::Engine { ledger, why },
                }
            }
        }
    }
}

/// Whether the file has other tables or values than every ledger that this program writes.
fn is_of_no_ledger(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => true,
        // SQLite has no code of its own for these.
        error => {
            let why = error.to_string();
            why.starts_with("no such table") || why.starts_with("no such column")
        }
    }
}
