//! Which process takes files out of an archive that many machines reach: one at a time, by a lock on a connection of its own. It ends
//! with the process, and with the connection: who has lost that finds out before the next file ([`UpkeepLock::stands`]).

use deadpool_postgres::Object;

use super::super::error::LedgerError;
use super::Database;

/// "arcu": the lock's name.
const UPKEEP: i64 = 1_634_886_517;

/// A lock that is held for as long as this is there.
pub(in crate::ledger) struct UpkeepLock(Option<Object>);

impl Database {
    /// Takes the lock; nothing when another process has it.
    pub(in crate::ledger) fn lock_upkeep(&self) -> Result<Option<UpkeepLock>, LedgerError> {
        self.persist(None, |turn| {
            // From here on its connection is closed and not used by others, whatever comes: it may have the lock.
            let lock = UpkeepLock(Some(self.connection(turn)?));
            let asked = lock.client().query_one("SELECT pg_try_advisory_lock($1)", &[&UPKEEP]);
            let taken = turn.wait(self.handle(), asked).map_err(|fault| self.setback(fault))?;
            Ok(Some(lock).filter(|_| taken.get(0)))
        })
    }
}

impl UpkeepLock {
    /// Whether its connection is still there, as far as anybody has noticed.
    pub(in crate::ledger) fn stands(&self) -> bool {
        !self.client().is_closed()
    }

    fn client(&self) -> &Object {
        // OK because it is only taken out at the end.
        self.0.as_ref().expect("a lock has its connection")
    }
}

impl Drop for UpkeepLock {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}
