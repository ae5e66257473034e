//! Which archive the ledger is of.

use super::Ledger;
use super::error::{Fault, LedgerError};
use super::session::{Session, values};

impl Ledger {
    /// The mark of the archive that it is of; nothing when it does not know yet.
    pub async fn archive_mark(&self) -> Result<Option<String>, LedgerError> {
        self.read(read).await
    }

    /// Notes the mark of the archive that it is of, unless it has one. Says which it has now.
    pub async fn note_archive_mark(&self, mark: String) -> Result<String, LedgerError> {
        self.write(move |session| {
            if let Some(noted) = read(session)? {
                return Ok(noted);
            }
            session.execute("INSERT INTO archive_mark (mark) VALUES (?1)", values![&mark])?;
            Ok(mark.clone())
        })
        .await
    }
}

fn read(session: Session<'_>) -> Result<Option<String>, Fault> {
    session.first("SELECT mark FROM archive_mark", values![], |row| row.get(0))
}
