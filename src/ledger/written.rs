//! How much runs have written lately, to say when a disk will be full.

use rusqlite::{Connection, params};

use super::Ledger;
use super::error::{Fault, LedgerError};
use crate::forecast::Wrote;
use crate::time_range::UtcSecond;

impl Ledger {
    /// What each run wrote that ended after `since`, and when the first run of all began.
    pub async fn written(&self, since: UtcSecond) -> Result<(Vec<Wrote>, Option<UtcSecond>), LedgerError> {
        self.read(move |connection| read(connection, since)).await
    }
}

fn read(connection: &Connection, since: UtcSecond) -> Result<(Vec<Wrote>, Option<UtcSecond>), Fault> {
    let mut statement = connection.prepare_cached("SELECT started, ended, bytes FROM run WHERE ended > ?1")?;
    let mut rows = statement.query(params![since.get()])?;
    let mut written = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes: Option<i64> = row.get(2)?;
        written.push(Wrote {
            from: UtcSecond::new(row.get(0)?),
            to: UtcSecond::new(row.get(1)?),
            bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        });
    }
    let first: Option<i64> = connection.query_row("SELECT min(started) FROM run", [], |row| row.get(0))?;
    Ok((written, first.map(UtcSecond::new)))
}
