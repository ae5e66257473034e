//! How much the spool of an object store may hold: what streams in, and what is judged and waits to be uploaded.
//!
//! Only of this process: it alone downloads into that folder. Live streams, which nobody can ask for again, are refused nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::outgoing::READY;
use super::{Vault, VaultError, failed, names_in};

/// The account of a spool, in bytes. Without a bound where nothing was said.
#[derive(Debug, Default)]
pub(super) struct Room {
    most: Option<u64>,
    held: AtomicU64,
    waiting: AtomicU64,
}

impl Room {
    /// Counts so many more; false, and not counted, when that is more than there may be.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let most = self.most.unwrap_or(u64::MAX);
        let sum = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }

    /// The same of what cannot be left out.
    pub(super) fn take_anyway(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many are not there any more.
    pub(super) fn free(&self, bytes: u64) {
        lower(&self.held, bytes);
    }

    /// So many of what is held wait to be uploaded from now on.
    pub(super) fn waits(&self, bytes: u64) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many are uploaded, and not there any more.
    pub(super) fn went(&self, bytes: u64) {
        lower(&self.waiting, bytes);
        self.free(bytes);
    }
}

/// OK to stop at nothing: a file that was there before the account was opened may not be in it.
fn lower(count: &AtomicU64, bytes: u64) {
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
}

/// How a bounded spool stands, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolRoom {
    /// How much it may hold.
    pub most: u64,
    /// How much of what it holds is judged, and waits to be uploaded.
    pub waiting: u64,
}

impl Vault {
    /// The same one, whose spool holds no more than that. What waits there from earlier runs counts. Without effect on a folder.
    pub fn bounded(self, most: Option<u64>) -> Result<Self, VaultError> {
        if most.is_none() || !self.uploads() {
            return Ok(self);
        }
        let (room, folder) = (Room { most, ..Room::default() }, self.here.join(READY));
        for name in names_in(&folder)? {
            let file = folder.join(name);
            let bytes = fs::metadata(&file).map_err(failed("look at", &file))?.len();
            room.take_anyway(bytes);
            room.waits(bytes);
        }
        Ok(Self { room: Arc::new(room), ..self })
    }

    /// How its spool stands; nothing where that has no bound.
    pub fn spool_room(&self) -> Option<SpoolRoom> {
        let most = self.room.most?;
        Some(SpoolRoom { most, waiting: self.room.waiting.load(Ordering::Relaxed) })
    }

    pub(super) fn take_room(&self, bytes: u64) -> Result<(), VaultError> {
        match (self.room.take(bytes), self.room.most) {
            (false, Some(most)) => Err(VaultError::SpoolFull { spool: self.here.clone(), most }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_let_in_is_never_more_than_may_be(most in 0..1000u64, steps in prop::collection::vec((any::<bool>(), 0..400u64), 0..40)) {
            let room = Room { most: Some(most), ..Room::default() };
            let mut inside = Vec::new();
            for (comes, bytes) in steps {
                if comes {
                    let fits = inside.iter().sum::<u64>() + bytes <= most;
                    prop_assert_eq!(room.take(bytes), fits);
                    inside.extend(fits.then_some(bytes));
                } else if let Some(bytes) = inside.pop() {
                    room.free(bytes);
                }
                prop_assert_eq!(room.held.load(Ordering::Relaxed), inside.iter().sum::<u64>());
            }
        }
    }

    #[test]
    fn what_waits_from_earlier_counts_until_it_went() {
        let room = Room { most: Some(10), ..Room::default() };
        room.take_anyway(12);
        room.waits(12);
        assert!(!room.take(1));
        room.went(12);
        assert!(room.take(10) && !room.take(1));
        assert_eq!(room.waiting.load(Ordering::Relaxed), 0);
    }
}
