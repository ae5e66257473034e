//! The files of the archive: staging, publishing, sweeping, free space.
//!
//! Below the root:
//!
//! ```text
//! .staging/                                 what streams in; nothing there is a recording
//! .swept/                                   what earlier runs left in staging, about to be deleted
//! .live/                                    what streams in live; whatever a crash leaves there is published later
//! .lock                                     held by the one run from NVRs that writes here
//! .live.lock                                held by the one run of live streams that writes here
//! .upkeep.lock                              held by the one process that takes files out
//! .aside/                                   files that stood under a final name and were not what it says
//! .archive-root                             the archive's mark, which the ledger knows too
//! .catalog/                                 what the ledger knows and no file tells, for when the ledger is lost
//! 5/2026-11-20/5_20261120T090000+0800_600s.flv
//! ```
//!
//! # The order of publishing, and what a crash leaves at each step
//!
//! 1. The stream is written to a staging file. Crash: a staging file, swept at the next start and deleted beside its work; a
//!    live stream's is kept, since nobody can ask for it again, and what of it is whole is published at the next start.
//! 2. `fsync` of the file. Crash: the same.
//! 3. Rename to the final name, which never replaces a file. Crash: a whole file under its final name without a row in
//!    the ledger, or, since the rename itself may be lost, a staging file. The first is checked and adopted.
//! 4. `fsync` of the directory. Crash: a whole file without a row. Checked, made durable once more, and adopted.
//!
//! `publish.rs` has the ledger noting the name before step 2, durably, and writing the recording's row after
//! [`Staging::publish`] has returned: so the files that a crash leaves without a row are known by their names.
//!
//! So a row implies a file (invariant 1), and every media file without one is in `.staging`, in `.swept`, or about to be
//! adopted or, as `leaving.rs` has it, deleted (invariant 2). A name is made from numbers alone: nothing that the platform sends reaches a path (invariant 4).

mod catalog;
mod error;
mod folders;
mod listing;
pub mod name;
mod objects;
mod outgoing;
mod place;
mod probe;
mod room;
mod root;
mod spool;
mod staging;
mod upkeep;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use rustix::fs::RenameFlags;
use tokio::sync::watch;

use crate::device::DeviceId;
use crate::failpoint::{Failpoint, reached};
use crate::recording::{Container, Source};
use crate::time_range::TimeRange;

use folders::Durable;
use room::Room;

pub(crate) use error::failed;
pub(crate) use folders::{make_folder, sync_folder};

pub use catalog::{CatalogFile, CatalogLines, CatalogLock};
pub use error::VaultError;
pub use listing::Strangers;
pub use name::{LivePiece, Named};
pub use objects::{Bucket, Objects, Patience, Reading};
pub use outgoing::{Outgoing, Uploaded};
pub use place::Place;
pub use probe::Trial;
pub use room::SpoolRoom;
pub use spool::Spool;
pub use staging::{Published, Staging};
pub use upkeep::ReadBack;

const STAGING: &str = ".staging";
const SWEPT: &str = ".swept";
const LIVE: &str = ".live";
const ASIDE: &str = ".aside";
const CATALOG: &str = ".catalog";
const LOCK: &str = ".lock";
const LIVE_LOCK: &str = ".live.lock";
const UPKEEP_LOCK: &str = ".upkeep.lock";

/// More than anybody leaves in a lock, in bytes.
const LONGEST_WORD: u64 = 1024;

/// Keeps other runs out of an archive. The system frees it with the process, however that ends.
#[derive(Debug)]
pub struct Hold {
    locked: File,
}

impl Hold {
    /// What was [left](Self::leave) in it by whoever had it last: his process is gone, or done with it. Nothing where nobody left
    /// anything, or it cannot be read.
    pub fn left(&self) -> Option<String> {
        let mut left = String::new();
        (&self.locked).rewind().and_then(|()| (&self.locked).take(LONGEST_WORD).read_to_string(&mut left)).ok()?;
        Some(left).filter(|left| !left.is_empty())
    }

    /// Leaves a word for whoever has it next. OK when that fails: it only saves him time.
    pub fn leave(&self, word: &str) {
        let left = self.locked.set_len(0).and_then(|()| (&self.locked).rewind());
        if let Err(error) = left.and_then(|()| (&self.locked).write_all(word.as_bytes())) {
            tracing::debug!("nothing could be left in a lock: {error}");
        }
    }
}

/// What a sweep found in staging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: u64,
    /// How large they are together.
    pub bytes: u64,
}

/// A recording's file found below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What its name says.
    pub named: Named,
    /// Its name below the root.
    pub path: String,
}

/// Where the archive lives: a folder, or an object store with a folder of this machine for what is not there yet. One run at a
/// time writes to it: see [`Vault::hold`].
#[derive(Clone, Debug)]
pub struct Vault {
    /// The folder on this machine: the root itself, or the spool of an object store.
    here: PathBuf,
    /// Which folder that was when it was opened.
    identity: root::Identity,
    durable: Durable,
    publishes_as: Container,
    /// Who keeps what is published, when that is not the folder.
    objects: Option<Objects>,
    /// How much its spool may hold, and holds.
    room: Arc<Room>,
}

/// The camera of a recording's file, by its name below the root.
pub fn device_of(relative: &str) -> Option<DeviceId> {
    name::parse_path(relative).map(|named| named.device)
}

impl Vault {
    /// The archive at `root`, which is made if it is not there.
    pub fn open(root: &Path) -> Result<Self, VaultError> {
        let staging = root.join(STAGING);
        reached(Failpoint::ArchiveOpen).map_err(failed("make the folder", &staging))?;
        make_folder(&staging)?;
        Self::at(root)
    }

    /// The same in an object store, whose spool is made if it is not there.
    fn open_in(objects: Objects, spool: &Path) -> Result<Self, VaultError> {
        Ok(Self { objects: Some(objects), ..Self::open(spool)? })
    }

    fn at(root: &Path) -> Result<Self, VaultError> {
        let identity = root::Identity::of(root).map_err(failed("look for", root))?;
        let (here, durable) = (root.to_owned(), Durable::default());
        Ok(Self { here, identity, durable, publishes_as: Container::Flv, objects: None, room: Arc::default() })
    }

    /// The same one, into which what came as FLV is published as `container`, where that can hold it.
    pub fn publishing_as(self, container: Container) -> Self {
        Self { publishes_as: container, ..self }
    }

    /// In which container what came as FLV is to be published.
    pub fn publishes_as(&self) -> Container {
        self.publishes_as
    }

    /// Where the archive lives; of an object store an address, for people.
    pub fn root(&self) -> &Path {
        self.objects.as_ref().map_or(&self.here, |objects| objects.address())
    }

    /// The folder of this machine in which files are written before they are published: the root itself, unless that is elsewhere.
    pub fn working_folder(&self) -> &Path {
        &self.here
    }

    /// Where a file of the archive is; in an object store an address, for people.
    pub fn path_of(&self, relative: &str) -> PathBuf {
        self.objects.as_ref().map_or_else(|| self.here.join(relative), |objects| objects.shown(relative))
    }

    /// Tells from now on when the object store is away, with why, and when it is back. Nothing of a folder.
    pub fn absence(&self) -> Option<watch::Receiver<Option<String>>> {
        self.objects.as_ref().map(Objects::absence)
    }

    /// Opens a published file for reading.
    pub fn open_file(&self, relative: &str) -> Result<Box<dyn Read + Send>, VaultError> {
        let path = self.path_of(relative);
        match &self.objects {
            None => Ok(Box::new(File::open(&path).map_err(failed("open", &path))?)),
            Some(objects) => Ok(Box::new(objects.open(relative)?)),
        }
    }

    /// Keeps every other run of that source out of this archive, whatever its ledger, for as long as the value lives.
    pub fn hold(&self, source: Source) -> Result<Hold, VaultError> {
        self.check_root()?;
        let path = self.here.join(match source {
            Source::Nvr => LOCK,
            Source::Live => LIVE_LOCK,
        });
        // What is in it stays: it may be another's.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Hold { locked: file }),
            Err(TryLockError::WouldBlock) => Err(VaultError::Held { root: self.root().to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// Takes what earlier runs left in staging out of it, for [`Self::delete_swept`].
    pub fn sweep(&self) -> Result<Swept, VaultError> {
        let (staging, folder) = (self.here.join(STAGING), self.here.join(SWEPT));
        let mut swept = Swept::default();
        for entry in fs::read_dir(&staging).map_err(failed("read the folder", &staging))? {
            let file = entry.and_then(|entry| entry.metadata()).map_err(failed("read the folder", &staging))?;
            swept.files += 1;
            swept.bytes += file.len();
        }
        if swept.files == 0 {
            return Ok(swept);
        }
        for number in 0.. {
            fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
            let to = folder.join(number.to_string());
            match reached(Failpoint::SweepMove).and_then(|()| rename_without_replacing(&staging, &to)) {
                // What an earlier start swept and did not come to delete.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // A run that is just ending deletes what it swept.
                Err(_) if !folder.exists() => {}
                Err(error) => return Err(failed("sweep", &staging)(error)),
                Ok(()) => break,
            }
        }
        reached(Failpoint::SweepMoved).map_err(failed("sweep", &staging))?;
        // OK when it is there by now: whoever opens the archive makes it.
        fs::create_dir_all(&staging).map_err(failed("make the folder", &staging))?;
        Ok(swept)
    }

    /// Deletes what was swept. Blocks on the disk, which takes some hundredths of a second for a file of 100 MB.
    pub fn delete_swept(&self) -> Result<(), VaultError> {
        let swept = self.here.join(SWEPT);
        match reached(Failpoint::SweepDelete).and_then(|()| fs::remove_dir_all(&swept)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete", &swept)(error)),
            _ => reached(Failpoint::SweepDeleted).map_err(failed("delete", &swept)),
        }
    }

    /// A new, empty staging file.
    pub fn stage(&self, device: DeviceId, range: TimeRange) -> Result<Staging, VaultError> {
        self.check_root()?;
        let path = self.here.join(STAGING).join(name::staging(device, range));
        Staging::create(self.clone(), path)
    }

    /// A new, empty staging file of a live stream. It outlives its process.
    pub fn stage_live(&self, piece: &LivePiece) -> Result<Staging, VaultError> {
        self.make_live_folder()?;
        Staging::create_live(self.clone(), self.live_path(piece))
    }

    /// For bytes of a live stream of which nobody knows yet whether they are of use.
    pub fn spool(&self) -> Spool {
        Spool::new(self.clone())
    }

    fn live_folder(&self) -> PathBuf {
        self.here.join(LIVE)
    }

    fn make_live_folder(&self) -> Result<PathBuf, VaultError> {
        self.check_root()?;
        let folder = self.live_folder();
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        Ok(folder)
    }

    /// A file on the archive's disk that is gone with whoever holds it. Not among the downloads' staging files, which are swept as a
    /// whole while a live run goes on.
    fn live_file_without_a_name(&self) -> Result<File, VaultError> {
        let folder = self.make_live_folder()?;
        // OK that on a disk without such files it has a name for a moment: what a crash leaves then is an empty file.
        tempfile::tempfile_in(&folder).map_err(failed("create a file in", &folder))
    }

    /// Deletes what runs that were cut off left beside staging files of live streams, which are there still. Only while no live run
    /// goes on.
    pub fn discard_live_remuxes(&self) -> Result<(), VaultError> {
        let folder = self.here.join(LIVE);
        for name in names_in(&folder)?.into_iter().filter(|name| name.ends_with(staging::REMUX)) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(failed("delete", &path))?;
        }
        Ok(())
    }

    /// The staging files of live streams that are there, earliest first. Names that are none of ours are passed over.
    pub fn live_pieces(&self) -> Result<Vec<LivePiece>, VaultError> {
        let names = names_in(&self.here.join(LIVE))?;
        let mut pieces: Vec<LivePiece> = names.iter().filter_map(|name| name::parse_live_staging(name)).collect();
        pieces.sort_by_key(|piece| (piece.device, piece.start));
        Ok(pieces)
    }

    /// The staging file of a live stream that was left behind, to be published or discarded.
    pub fn reopen_live(&self, piece: &LivePiece) -> Result<Staging, VaultError> {
        Staging::reopen_live(self.clone(), self.live_path(piece))
    }

    fn live_path(&self, piece: &LivePiece) -> PathBuf {
        self.here.join(LIVE).join(name::live_staging(piece))
    }

    /// Bytes that this user may still write.
    pub fn free_bytes(&self) -> Result<u64, VaultError> {
        // Else it would be another disk's.
        self.check_root()?;
        free_bytes_of(&self.here)
    }

    /// Bytes that this user may still write to an archive that need not be there yet: those of the nearest folder above
    /// that is. Makes nothing.
    pub fn free_bytes_at(root: &Path) -> Result<u64, VaultError> {
        let there = root.ancestors().find(|folder| folder.exists());
        free_bytes_of(there.unwrap_or(Path::new(".")))
    }

    /// The local days of which there is a folder of a device's, in order.
    pub fn days_of(&self, device: DeviceId) -> Result<Vec<NaiveDate>, VaultError> {
        let names = self.names_in(&device.to_string())?;
        let mut days: Vec<NaiveDate> = names.iter().filter_map(|name| name.parse().ok()).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// The recordings' files of one device whose local day is `day`, by their names; other files are passed over.
    pub fn recordings_of_day(&self, device: DeviceId, day: NaiveDate) -> Result<Vec<Found>, VaultError> {
        let folder = name::folder(device, day);
        let mut found = Vec::new();
        for file in self.names_in(&folder)? {
            if let Some(named) = name::parse(&file).filter(|named| named.device == device) {
                found.push(Found { named, path: format!("{folder}/{file}") });
            }
        }
        found.sort_by_key(|file| file.named.range);
        Ok(found)
    }

    /// The names in a folder below the root; none when there is no such folder.
    fn names_in(&self, folder: &str) -> Result<Vec<String>, VaultError> {
        match &self.objects {
            None => names_in(&self.here.join(folder)),
            Some(objects) => Ok(objects.entries(folder)?.into_iter().map(|(name, _)| name).collect()),
        }
    }

    /// The recording's file of that name below the root; nothing when there is none, or the name is no recording's.
    pub fn recording_at(&self, relative: &str) -> Result<Option<Found>, VaultError> {
        let Some(named) = name::parse_path(relative) else { return Ok(None) };
        if let Some(objects) = &self.objects {
            return Ok(objects.size_of(relative)?.map(|_| Found { named, path: relative.to_owned() }));
        }
        let path = self.path_of(relative);
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(Some(Found { named, path: relative.to_owned() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look for", &path)(error)),
        }
    }

    /// Moves a file that is not what its name says out of the way; it is never deleted.
    pub fn set_aside(&self, relative: &str) -> Result<PathBuf, VaultError> {
        match &self.objects {
            None => self.set_aside_file(&self.path_of(relative)),
            Some(objects) => {
                let to = self.free_name_aside(objects, relative)?;
                objects.rename(relative, &to)?;
                Ok(objects.shown(&to))
            }
        }
    }

    /// A name in `.aside` of an object store that nothing has.
    fn free_name_aside(&self, objects: &Objects, relative: &str) -> Result<String, VaultError> {
        let name = format!("{ASIDE}/{}", relative.replace('/', "_"));
        for number in 0.. {
            let free = if number == 0 { name.clone() } else { format!("{name}.{number}") };
            if objects.size_of(&free)?.is_none() {
                return Ok(free);
            }
        }
        unreachable!("a free name is found before the numbers end")
    }

    fn set_aside_file(&self, from: &Path) -> Result<PathBuf, VaultError> {
        self.check_root()?;
        if let Some(objects) = &self.objects {
            // The spool may be deleted as a whole, and this must not get lost.
            let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let to = self.free_name_aside(objects, &name)?;
            objects.write(&to, from, objects::Over::Anything)?;
            fs::remove_file(from).map_err(failed("delete", from))?;
            return Ok(objects.shown(&to));
        }
        let folder = self.here.join(ASIDE);
        // Durably: it holds what must not get lost.
        self.make_durable_folder(&folder)?;
        let below = from.strip_prefix(&self.here).unwrap_or(from);
        let name = below.to_string_lossy().replace('/', "_");
        for number in 0.. {
            let to = folder.join(if number == 0 { name.clone() } else { format!("{name}.{number}") });
            match reached(Failpoint::AsideMove).and_then(|()| rename_without_replacing(from, &to)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("set aside", from)(error)),
                Ok(()) => {
                    reached(Failpoint::AsideMoved).map_err(failed("set aside", from))?;
                    sync_folder(&folder)?;
                    // Else a power cut could bring it back under its old name.
                    from.parent().map_or(Ok(()), sync_folder)?;
                    reached(Failpoint::AsideSynced).map_err(failed("set aside", from))?;
                    return Ok(to);
                }
            }
        }
        unreachable!("a free name is found before the numbers end")
    }
}

fn free_bytes_of(folder: &Path) -> Result<u64, VaultError> {
    match reached(Failpoint::FreeSpace) {
        Err(full) if full.kind() == io::ErrorKind::StorageFull => return Ok(0),
        other => other.map_err(failed("ask for the free space of", folder))?,
    }
    let stat =
        rustix::fs::statvfs(folder).map_err(|errno| failed("ask for the free space of", folder)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The names in a folder, those that are no text left out: no name of ours is one. None when there is no such folder.
fn names_in(folder: &Path) -> Result<Vec<String>, VaultError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read the folder", folder)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect::<io::Result<_>>().map_err(failed("read the folder", folder))
}

/// Renames, and fails with `AlreadyExists` rather than replace a file.
pub(crate) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        // Some file systems (older NFS, some FUSE ones) cannot do it in one step. OK to look first: one process at a
        // time writes to an archive.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            if to.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests;
