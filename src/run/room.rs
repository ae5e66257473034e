//! Whether the disk and the spool have room for one more download, and what a run does when they have not: it ends, unless what is
//! on its way to an object store will make room.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use super::{Run, Scheduler, Sharing};
use crate::event::{Event, StopReason};
use crate::instant::Instant;
use crate::outcome::Outcome;
use crate::recording::{Container, Source};
use crate::vault::{SpoolRoom, Vault};
use crate::window::Window;

/// How often the disk's free space is looked at while streams come in. At a gigabit a second, 125 MB come meanwhile.
pub(crate) const LOOKS_AT_DISK: Duration = Duration::from_secs(1);

/// How large a file is thought to be before one has come: ten minutes at 4 Mbit/s.
const UNSEEN: u64 = 300 << 20;

/// A spool that is full now and then, as behind a slow way to the store, is told of no more often than that.
const TELLS: Duration = Duration::from_secs(600);

/// Whether one more download has room.
pub(super) enum Room {
    /// It has.
    Is,
    /// It has not, until something is uploaded.
    Comes(String),
    /// It has not.
    Lacks(StopReason),
}

/// What a run waits for that has no room.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// When to look again; nothing while there is room.
    until: Option<Instant>,
    /// When it was last told.
    told: Option<Instant>,
    /// Whether people think that it still waits.
    is_told: bool,
    /// The largest file that has come, in bytes.
    largest: Option<u64>,
}

impl Waiting {
    /// Nothing starts before that.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }

    /// Something has gone: it is time to look.
    pub(super) fn look_again(&mut self) {
        self.until = None;
    }

    /// A file of that size has come.
    pub(super) fn came(&mut self, bytes: u64) {
        self.largest = self.largest.max(Some(bytes));
    }
}

impl Run {
    pub(super) fn room(&self, streams: usize) -> Room {
        let vault = &self.tools.vault;
        let Some(spool) = vault.spool_room() else { return self.disk() };
        let largest = self.waiting.largest.map_or(UNSEEN, |bytes| bytes + bytes / 4);
        let copies = if vault.publishes_as() == Container::Mp4 { 2 } else { 1 };
        if fits(spool, streams, largest * copies) {
            return self.disk();
        }
        Room::Comes(format!(
            "{} MiB wait in {} to be uploaded, beside {}; archive.spool_max is {} MiB",
            spool.waiting >> 20,
            vault.working_folder().display(),
            crate::wording::count(streams as u64, "stream"),
            spool.most >> 20
        ))
    }

    /// The same of the disk alone.
    pub(super) fn disk(&self) -> Room {
        match check_free_space(&self.tools.vault, self.job.min_free) {
            Ok(()) => Room::Is,
            Err(StopReason::DiskFull(why)) if !self.uploads.is_empty() => Room::Comes(why),
            Err(reason) => Room::Lacks(reason),
        }
    }

    /// Whether an attempt may begin; if not, it goes back into its line.
    pub(super) fn has_room_for(&mut self, window: &Window, streams: usize, scheduler: &mut Scheduler) -> bool {
        let now = self.clock.now();
        match self.room(streams) {
            Room::Is => {
                if std::mem::take(&mut self.waiting.is_told) {
                    self.emit(Event::SpoolHasRoom);
                }
                return true;
            }
            Room::Comes(why) => {
                scheduler.complete(window, &Outcome::Cancelled, now);
                let planning = self.sharing.as_ref().is_some_and(Sharing::is_taking);
                if streams == 0 && self.uploads.is_empty() && !planning {
                    // What fills it is from earlier, and nobody is about to upload it: it is asked for again, if it is missing.
                    if let Err(error) = self.tools.vault.clear_ready(Source::Nvr) {
                        self.stop(scheduler, StopReason::Broken(error.to_string()));
                        return false;
                    }
                }
                self.wait_for_room(why);
            }
            Room::Lacks(reason) => {
                scheduler.complete(window, &Outcome::Cancelled, now);
                self.stop(scheduler, reason);
            }
        }
        false
    }

    fn wait_for_room(&mut self, why: String) {
        let now = self.clock.now();
        self.waiting.until = Some(now + LOOKS_AT_DISK);
        if self.waiting.told.is_none_or(|told| told + TELLS <= now) {
            self.waiting.told = Some(now);
            self.waiting.is_told = true;
            self.emit(Event::SpoolFull { why });
        }
    }

    /// While streams come in: when they leave less than must stay free, they end. So does the run, unless uploads make room.
    pub(super) fn look_at_disk(&mut self, scheduler: &mut Scheduler) {
        match self.disk() {
            Room::Is => {}
            Room::Comes(why) => {
                self.cut.cancel();
                self.cut = self.tools.stop.child_token();
                self.wait_for_room(why);
            }
            Room::Lacks(reason) => self.stop(scheduler, reason),
        }
    }
}

/// Whether one more file of that size fits beside what waits and what so many streams become. One always does beside nothing, or
/// nothing would ever be fetched: what is too large then is cut off where the spool is full.
fn fits(spool: SpoolRoom, streams: usize, of_one: u64) -> bool {
    let streams = u64::try_from(streams).unwrap_or(u64::MAX);
    let becomes = of_one.saturating_mul(streams.saturating_add(1)).saturating_add(spool.waiting);
    becomes <= spool.most || (streams == 0 && spool.waiting == 0)
}

/// When to look whether the disk has room, while streams come in.
pub(crate) fn looks_at_disk() -> Interval {
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOKS_AT_DISK, LOOKS_AT_DISK);
    // A run that was held up looks once.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Whether the archive's disk has as much room as must stay free, in bytes.
pub(crate) fn check_free_space(vault: &Vault, min_free: u64) -> Result<(), StopReason> {
    let free = vault.free_bytes().map_err(|error| StopReason::Broken(error.to_string()))?;
    if free >= min_free {
        return Ok(());
    }
    let root = vault.working_folder().display();
    let (free, wanted) = (free >> 20, min_free >> 20);
    Err(StopReason::DiskFull(format!(
        "{root} has {free} MiB free, and archive.min_free is {wanted} MiB: free some space, or lower min_free"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_count_as_what_they_become_and_one_fits_beside_nothing() {
        let spool = |most, waiting| SpoolRoom { most, waiting };
        assert!(fits(spool(100, 0), 9, 10) && !fits(spool(100, 0), 10, 10));
        assert!(fits(spool(100, 50), 4, 10) && !fits(spool(100, 51), 4, 10));
        assert!(fits(spool(5, 0), 0, 10) && !fits(spool(5, 1), 0, 10) && !fits(spool(5, 0), 1, 10));
        assert!(!fits(spool(u64::MAX - 1, u64::MAX), usize::MAX, u64::MAX));
    }
}
