//! Opening a ledger's file: refuse what is none, bring an older one up to date, set SQLite up.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::error::{Fault, LedgerError, reached};
use super::lock::RunLock;
use crate::failpoint::Failpoint;
use crate::recording::Source;

pub(super) mod migrations {
    //! The steps in `migrations/sqlite/`, built into the program.
    refinery::embed_migrations!("migrations/sqlite");
}

/// "arcl", which the first migration writes into the file's header.
const APPLICATION_ID: i64 = 1_634_886_508;

/// How long a lock that another program holds is waited for.
pub(super) const BUSY_SECONDS: u64 = 5;

/// A connection that may write, to a ledger that is there and up to date afterwards.
pub(super) fn for_writing(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = reached(Failpoint::LedgerOpen).and_then(|()| connect(path, flags));
    let mut connection = opened.map_err(|fault| fault.at(path))?;
    // Before anything is changed: a file that is none of ours stays as it is.
    let found = schema_version(&connection, path)?;
    set_up(&connection, path).map_err(|fault| fault.at(path))?;
    if found.is_none_or(|found| found < newest_version()) {
        // Two processes must not migrate at once, and nobody under another run.
        let patience = Duration::from_secs(BUSY_SECONDS);
        let _no_run_from_nvrs = RunLock::take_patiently(path, Source::Nvr, "just now", patience)?;
        let _no_live_run = RunLock::take_patiently(path, Source::Live, "just now", patience)?;
        // Again: the other may have done it meanwhile.
        if schema_version(&connection, path)?.is_none_or(|found| found < newest_version()) {
            reached(Failpoint::LedgerMigrate).map_err(|fault| fault.at(path))?;
            migrate(&mut connection, path)?;
            reached(Failpoint::LedgerMigrated).map_err(|fault| fault.at(path))?;
        }
    }
    Ok(connection)
}

/// A connection that only reads, whether or not a run is going on.
pub(super) fn for_reading(path: &Path) -> Result<Connection, LedgerError> {
    if !path.exists() {
        return Err(LedgerError::NotThere { ledger: path.to_path_buf() });
    }
    let connection = connect_to_read(path).map_err(|fault| fault.at(path))?;
    let known = newest_version();
    match schema_version(&connection, path)? {
        Some(found) if found == known => Ok(connection),
        Some(found) => Err(LedgerError::Older { ledger: path.to_path_buf(), found, known }),
        None => Err(LedgerError::NotALedger { ledger: path.to_path_buf(), why: "it is empty".to_owned() }),
    }
}

fn connect_to_read(path: &Path) -> Result<Connection, Fault> {
    let reading = || connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = reading()?;
    if !needs_undoing(&connection)? {
        return Ok(connection);
    }
    drop(connection);
    // OK beside a run: SQLite undoes only what nobody is writing any more.
    let writing = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    needs_undoing(&writing)?;
    reading()
}

/// Whether somebody was killed in the midst of a change that went by a rollback journal, as all do until the file has its
/// write-ahead log: <https://www.sqlite.org/rescode.html#readonly_rollback>. To ask is to undo it, for one who may write.
fn needs_undoing(connection: &Connection) -> Result<bool, Fault> {
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.extended_code == ffi::SQLITE_READONLY_ROLLBACK => {
            Ok(true)
        }
        asked => Ok(asked.map(|()| false)?),
    }
}

/// A connection to a new ledger that nobody else knows of yet. A crash may leave anything in it, and it is as fast as can be.
pub(super) fn for_rebuilding(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags).map_err(|fault| fault.at(path))?;
    migrate(&mut connection, path)?;
    // Recordings come by nights and are kept by devices, so all of the tables' ends are in use at once: 256 MiB of them.
    let fast = "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -262144;";
    let set_up = || -> Result<(), Fault> {
        let _mode: String = connection.query_row("PRAGMA journal_mode = MEMORY", [], |row| row.get(0))?;
        Ok(connection.execute_batch(fast)?)
    };
    set_up().map_err(|fault| fault.at(path))?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    if path.is_dir() {
        let why = "it is a folder: name a file in it".to_owned();
        return Err(LedgerError::CannotOpen { ledger: path.to_path_buf(), why }.into());
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else SQLite looks at values for a better plan, such as a device's number being 0 or 1, and makes those statements anew
    // at each use, since rusqlite takes the values out of a statement that it keeps. Nothing here hangs on them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Which step of the migrations the file has reached; nothing for an empty one. Refuses any other database.
fn schema_version(connection: &Connection, path: &Path) -> Result<Option<u32>, LedgerError> {
    let known = newest_version();
    match read_version(connection).map_err(|fault| fault.at(path))? {
        Stamp::Empty => Ok(None),
        Stamp::Foreign => Err(LedgerError::NotALedger {
            ledger: path.to_path_buf(),
            why: "it is another program's SQLite database".to_owned(),
        }),
        Stamp::Version(found) if found > known => Err(LedgerError::Newer { ledger: path.to_path_buf(), found, known }),
        Stamp::Version(found) => Ok(Some(found)),
    }
}

enum Stamp {
    Empty,
    Foreign,
    Version(u32),
}

fn read_version(connection: &Connection) -> Result<Stamp, Fault> {
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id == 0 {
        return Ok(if objects == 0 || is_half_made(connection)? { Stamp::Empty } else { Stamp::Foreign });
    }
    if id != APPLICATION_ID {
        return Ok(Stamp::Foreign);
    }
    let version: Option<u32> =
        connection.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))?;
    let nothing = || Fault::BadValue("it does not say of which version it is".to_owned());
    Ok(Stamp::Version(version.ok_or_else(nothing)?))
}

/// Whether a ledger was about to get its tables when its program was killed: there is the list of the steps that were made, which
/// comes before all steps, and nothing on it.
fn is_half_made(connection: &Connection) -> Result<bool, Fault> {
    let others = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'refinery_schema_history'";
    if connection.query_row(others, [], |row| row.get::<_, i64>(0))? > 0 {
        return Ok(false);
    }
    let has_steps = "SELECT EXISTS (SELECT 1 FROM refinery_schema_history)";
    Ok(!connection.query_row(has_steps, [], |row| row.get::<_, bool>(0))?)
}

fn set_up(connection: &Connection, path: &Path) -> Result<(), Fault> {
    if connection.is_readonly("main")? {
        return Err(LedgerError::ReadOnly { ledger: path.to_path_buf() }.into());
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let why = "its file system does not allow a write-ahead log (a network share?): put it on a local disk";
        return Err(LedgerError::CannotOpen { ledger: path.to_path_buf(), why: why.to_owned() }.into());
    }
    // FULL: a commit that was answered survives a power cut.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(())
}

fn newest_version() -> u32 {
    // Once: to list the steps is to hash all their texts.
    static NEWEST: LazyLock<u32> = LazyLock::new(|| {
        let newest = migrations::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
        u32::try_from(newest.unwrap_or(0)).unwrap_or(u32::MAX)
    });
    *NEWEST
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let runner = || migrations::migrations::runner().set_grouped(true);
    let failed = |error| match disk_failure(&error) {
        Some(sqlite) => Fault::from(rusqlite::Error::SqliteFailure(sqlite, None)).at(path),
        None => LedgerError::Engine {
            ledger: path.to_path_buf(),
            why: format!("its schema could not be brought up to date, and was left as it was: {error}"),
        },
    };
    // The list of steps is made in a transaction of its own, before that of the steps.
    runner().set_target(refinery::Target::Version(0)).run(connection).map_err(failed)?;
    reached(Failpoint::LedgerListed).map_err(|fault| fault.at(path))?;
    runner().run(connection).map_err(failed)?;
    Ok(())
}

/// What SQLite said of the disk, when it was that.
fn disk_failure(error: &(dyn std::error::Error + 'static)) -> Option<rusqlite::ffi::Error> {
    let sqlite = std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref());
    match sqlite {
        Some(rusqlite::Error::SqliteFailure(sqlite, _))
            if matches!(sqlite.code, ErrorCode::DiskFull | ErrorCode::SystemIoFailure) =>
        {
            Some(*sqlite)
        }
        _ => None,
    }
}
