//! How much runs have written lately, to say when a disk will be full.

use super::Ledger;
use super::error::{Fault, LedgerError};
use super::session::{Session, values};
use crate::forecast::Wrote;
use crate::time_range::UtcSecond;

impl Ledger {
    /// What each run wrote that ended after `since`, and when the first run of all began.
    pub async fn written(&self, since: UtcSecond) -> Result<(Vec<Wrote>, Option<UtcSecond>), LedgerError> {
        self.read(move |session| read(session, since)).await
    }
}

fn read(session: Session<'_>, since: UtcSecond) -> Result<(Vec<Wrote>, Option<UtcSecond>), Fault> {
    let written = session.all(
        "SELECT started, ended, bytes FROM run WHERE ended > ?1 ORDER BY run",
        values![since.get()],
        |row| {
            let bytes: Option<i64> = row.get(2)?;
            Ok(Wrote {
                from: UtcSecond::new(row.get(0)?),
                to: UtcSecond::new(row.get(1)?),
                bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            })
        },
    )?;
    let first: Option<i64> = session.one("SELECT min(started) FROM run", values![])?;
    Ok((written, first.map(UtcSecond::new)))
}
