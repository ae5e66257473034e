//! Which archive the ledger is of.

use rusqlite::{Connection, OptionalExtension as _};

use super::Ledger;
use super::error::{Fault, LedgerError};

impl Ledger {
    /// The mark of the archive that it is of; nothing when it does not know yet.
    pub async fn archive_mark(&self) -> Result<Option<String>, LedgerError> {
        self.read(read).await
    }

    /// Notes the mark of the archive that it is of, unless it has one. Says which it has now.
    pub async fn note_archive_mark(&self, mark: String) -> Result<String, LedgerError> {
        self.write(move |connection| {
            if let Some(noted) = read(connection)? {
                return Ok(noted);
            }
            connection.execute("INSERT INTO archive_mark (mark) VALUES (?1)", [&mark])?;
            Ok(mark)
        })
        .await
    }
}

fn read(connection: &Connection) -> Result<Option<String>, Fault> {
    let mut statement = connection.prepare_cached("SELECT mark FROM archive_mark")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}
