//! The table `publishing`: which files are about to get their final names. What of it is left after a crash is all that can lack
//! a recording's row.

use super::error::Fault;
use super::session::{Session, values};
use crate::device::DeviceId;
use crate::recording::Source;

/// A file is its camera's, whose number its name begins with: 5/2026-11-20/5_20261120T090000+0800_600s.flv.
fn about(session: Session<'_>, path: &str) -> Result<(), Fault> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.split('_').next().and_then(|number| number.parse().ok()).and_then(DeviceId::new) {
        Some(device) => session.about_a_file(device).map(drop),
        None => Ok(()),
    }
}

pub(super) fn note(session: Session<'_>, source: Source, path: &str) -> Result<(), Fault> {
    about(session, path)?;
    // OK to replace: the same file, which an earlier attempt of this run could not publish.
    session.execute(
        "INSERT INTO publishing (path, live) VALUES (?1, ?2) ON CONFLICT (path) DO UPDATE SET live = excluded.live",
        values![path, source == Source::Live],
    )?;
    Ok(())
}

/// Notes the number of the upload with which an object store is given the file; nothing when there is no note of it any more.
pub(super) fn note_upload(session: Session<'_>, path: &str, upload: &str) -> Result<bool, Fault> {
    about(session, path)?;
    let noted = session.execute("UPDATE publishing SET upload = ?2 WHERE path = ?1", values![path, upload])?;
    Ok(noted > 0)
}

/// The number of the upload that was noted, if one was.
pub(super) fn upload(session: Session<'_>, path: &str) -> Result<Option<String>, Fault> {
    let noted = session.first("SELECT upload FROM publishing WHERE path = ?1", values![path], |row| row.get(0))?;
    Ok(noted.flatten())
}

pub(super) fn forget(session: Session<'_>, path: &str) -> Result<(), Fault> {
    about(session, path)?;
    session.execute("DELETE FROM publishing WHERE path = ?1", values![path])?;
    Ok(())
}

/// What was noted, in the order of the names.
pub(super) fn noted(session: Session<'_>, source: Source) -> Result<Vec<String>, Fault> {
    // OK without an index: as many rows as there were streams at most.
    let noted = "SELECT path FROM publishing WHERE live = ?1 ORDER BY path";
    session.all(noted, values![source == Source::Live], |row| row.get(0))
}

/// Whether a run that noted nothing was cut off or failed, and nobody has looked yet for what it left.
pub(super) fn left_unnoted(session: Session<'_>, source: Source) -> Result<bool, Fault> {
    session.one(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM run WHERE source = ?1 AND notes_publishing = 0 AND recovered = 0
             AND (ended IS NULL OR exit = 1)) THEN 1 ELSE 0 END",
        values![source.as_str()],
    )
}

pub(super) fn recovered(session: Session<'_>, source: Source) -> Result<(), Fault> {
    session.execute(
        "UPDATE run SET recovered = 1 WHERE source = ?1 AND notes_publishing = 0 AND recovered = 0",
        values![source.as_str()],
    )?;
    Ok(())
}
