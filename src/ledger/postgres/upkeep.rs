//! Which process takes files out of an archive that many machines reach: one at a time, by a lock on a connection of its own. It ends
//! with the process, and with the connection: before each file, who holds it asks on that very connection whether it is still there.

use std::time::{Duration, Instant};

use deadpool_postgres::Object;

use super::super::error::LedgerError;
use super::{ANSWER, Database, Turn};

/// "arcu": the lock's name.
const UPKEEP: i64 = 1_634_886_517;

/// Between two tries at a lock that another process has.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock that is held for as long as this is there.
pub(in crate::ledger) struct UpkeepLock(Option<Object>);

impl Database {
    /// Takes the lock; nothing when another process has it for longer than `patience`.
    pub(in crate::ledger) fn lock_upkeep(&self, patience: Duration) -> Result<Option<UpkeepLock>, LedgerError> {
        let begun = Instant::now();
        self.persist(None, |turn| {
            // From here on its connection is closed and not used by others, whatever comes: it may have the lock.
            let lock = UpkeepLock(Some(self.connection(turn)?));
            loop {
                let asked = lock.client().query_one("SELECT pg_try_advisory_lock($1)", &[&UPKEEP]);
                let taken = Turn::of(ANSWER).wait(self.handle(), asked).map_err(|fault| self.setback(fault))?;
                if taken.get(0) {
                    return Ok(Some(lock));
                }
                if begun.elapsed() >= patience {
                    return Ok(None);
                }
                self.pause(PAUSE);
            }
        })
    }

    /// Whether the lock is still held: the server answers on its connection.
    pub(in crate::ledger) fn still_locks(&self, lock: &UpkeepLock) -> bool {
        let asked = lock.client().simple_query("");
        Turn::of(ANSWER).wait(self.handle(), asked).is_ok()
    }
}

impl UpkeepLock {
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
