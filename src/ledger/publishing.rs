//! The table `publishing`: which files are about to get their final names. What of it is left after a crash is all that can lack
//! a recording's row.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::error::Fault;
use crate::recording::Source;

pub(super) fn note(connection: &Connection, source: Source, path: &str) -> Result<(), Fault> {
    // OK to replace: the same file, which an earlier attempt of this run could not publish.
    connection
        .prepare_cached("INSERT OR REPLACE INTO publishing (path, live) VALUES (?1, ?2)")?
        .execute(params![path, source == Source::Live])?;
    Ok(())
}

/// Notes the number of the upload with which an object store is given the file; nothing when there is no note of it any more.
pub(super) fn note_upload(connection: &Connection, path: &str, upload: &str) -> Result<bool, Fault> {
    let noted = connection
        .prepare_cached("UPDATE publishing SET upload = ?2 WHERE path = ?1")?
        .execute(params![path, upload])?;
    Ok(noted > 0)
}

/// The number of the upload that was noted, if one was.
pub(super) fn upload(connection: &Connection, path: &str) -> Result<Option<String>, Fault> {
    let mut statement = connection.prepare_cached("SELECT upload FROM publishing WHERE path = ?1")?;
    Ok(statement.query_row([path], |row| row.get(0)).optional()?.flatten())
}

pub(super) fn forget(connection: &Connection, path: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM publishing WHERE path = ?1")?.execute([path])?;
    Ok(())
}

/// What was noted, in the order of the names.
pub(super) fn noted(connection: &Connection, source: Source) -> Result<Vec<String>, Fault> {
    // OK without an index: as many rows as there were streams at most.
    let mut statement = connection.prepare_cached("SELECT path FROM publishing WHERE live = ?1 ORDER BY path")?;
    let paths = statement.query_map([source == Source::Live], |row| row.get(0))?;
    Ok(paths.collect::<Result<_, _>>()?)
}

/// Whether a run that noted nothing was cut off or failed, and nobody has looked yet for what it left.
pub(super) fn left_unnoted(connection: &Connection, source: Source) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM run WHERE source = ?1 AND notes_publishing = 0 AND recovered = 0
             AND (ended IS NULL OR exit = 1))",
    )?;
    Ok(statement.query_row([source.as_str()], |row| row.get(0))?)
}

pub(super) fn recovered(connection: &Connection, source: Source) -> Result<(), Fault> {
    connection.execute(
        "UPDATE run SET recovered = 1 WHERE source = ?1 AND notes_publishing = 0 AND recovered = 0",
        [source.as_str()],
    )?;
    Ok(())
}
