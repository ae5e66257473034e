//! A file that streams in, until it is published or dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::failpoint::{Failpoint, reached};
use crate::recording::ContentHash;

use super::{LivePiece, Vault, VaultError, failed, rename_without_replacing, sync_folder};

/// Writes are gathered to this many bytes: cameras send drops of a few kilobytes, and each write costs a system call.
const GATHERED: usize = 256 << 10;

/// What comes in pieces of this many bytes is written without being gathered.
const LARGE: usize = 64 << 10;

/// How the name of a staging file ends into which another one is rewritten.
pub(super) const REMUX: &str = ".mp4.part";

/// A staging file. Dropping it without publishing deletes it, unless it is a live stream's.
#[derive(Debug)]
pub struct Staging {
    vault: Vault,
    path: PathBuf,
    file: File,
    gathered: Vec<u8>,
    /// Of what was written: what is gathered is hashed with the write.
    hasher: blake3::Hasher,
    bytes: u64,
    /// Whether it stays when it is dropped.
    stays: bool,
    /// How much of the spool's room it has.
    room: u64,
}

impl Staging {
    pub(super) fn create(vault: Vault, path: PathBuf) -> Result<Self, VaultError> {
        let anew = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = reached(Failpoint::StagingCreate).and_then(|()| anew()).map_err(failed("create", &path))?;
        // From here on it is deleted when something fails.
        let staging = Self::of(vault, file, path, false);
        reached(Failpoint::StagingCreated).map_err(failed("create", &staging.path))?;
        Ok(staging)
    }

    /// A live stream's, which must not be there yet and stays when it is dropped: what came live cannot be asked for again.
    pub(super) fn create_live(vault: Vault, path: PathBuf) -> Result<Self, VaultError> {
        let new = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let created = reached(Failpoint::LiveCreate).and_then(|()| new());
        let file = created.and_then(|file| reached(Failpoint::LiveCreated).map(|()| file));
        Ok(Self::of(vault, file.map_err(failed("create", &path))?, path, true))
    }

    /// A live stream's that is there already, to be published or discarded.
    pub(super) fn reopen_live(vault: Vault, path: PathBuf) -> Result<Self, VaultError> {
        let old = OpenOptions::new().read(true).write(true).open(&path);
        let mut staging = Self::of(vault, old.map_err(failed("open", &path))?, path, true);
        let hashed = rehash(&mut staging.file, &mut staging.hasher);
        staging.bytes = hashed.map_err(failed("read", &staging.path))?;
        Ok(staging)
    }

    fn of(vault: Vault, file: File, path: PathBuf, stays: bool) -> Self {
        Self { vault, path, file, gathered: Vec::new(), hasher: blake3::Hasher::new(), bytes: 0, stays, room: 0 }
    }

    /// A new, empty one beside it, for the same in another container. Dropping it deletes it, whatever it stands beside.
    pub fn beside(&self) -> Result<Self, VaultError> {
        self.vault.check_root()?;
        let mut path = self.path.clone().into_os_string();
        path.push(REMUX);
        Self::create(self.vault.clone(), path.into())
    }

    /// Reads its first `bytes`, piece by piece, until there are no more or `each` says that it has seen enough.
    pub fn read_first(
        &mut self,
        bytes: u64,
        mut each: impl FnMut(&[u8]) -> Result<ControlFlow<()>, VaultError>,
    ) -> Result<(), VaultError> {
        self.flush()?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed("read back", &self.path))?;
        let (mut left, mut buffer) = (bytes, vec![0; GATHERED]);
        loop {
            let most = usize::try_from(left).map_or(GATHERED, |left| left.min(GATHERED));
            let read = self.file.read(&mut buffer[..most]).map_err(failed("read back", &self.path))?;
            left -= read as u64;
            if read == 0 || each(&buffer[..read])?.is_break() {
                break;
            }
        }
        // What is appended is appended at its end.
        self.file.seek(SeekFrom::End(0)).map(drop).map_err(failed("read back", &self.path))
    }

    /// The BLAKE3 of what was appended so far.
    pub fn blake3(&mut self) -> Result<ContentHash, VaultError> {
        self.flush()?;
        Ok(ContentHash(*self.hasher.finalize().as_bytes()))
    }

    /// Whether it outlives its process.
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it from its beginning, piece by piece.
    pub fn read(&mut self, each: impl FnMut(&[u8])) -> Result<(), VaultError> {
        self.flush()?;
        read_all(&mut self.file, each).map(drop).map_err(failed("read", &self.path))
    }

    /// Moves it out of the way, as it is.
    pub fn set_aside(self) -> Result<PathBuf, VaultError> {
        self.vault.set_aside_file(&self.path)
    }

    /// Gives a live stream's staging file the name that says what is known of it by now.
    pub fn rename_live(&mut self, piece: &LivePiece) -> Result<(), VaultError> {
        let to = self.vault.live_path(piece);
        if to != self.path {
            let renamed = reached(Failpoint::LiveRename).and_then(|()| rename_without_replacing(&self.path, &to));
            renamed.map_err(failed("rename", &self.path))?;
            self.path = to;
            reached(Failpoint::LiveRenamed).map_err(failed("rename", &self.path))?;
        }
        Ok(())
    }

    /// Deletes it.
    pub fn discard(self) -> Result<(), VaultError> {
        let deleted = reached(Failpoint::LiveDiscard).and_then(|()| fs::remove_file(&self.path));
        deleted.map_err(failed("delete", &self.path))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// It has another name, under which it stays.
    pub(super) fn has_gone(&mut self) {
        self.stays = true;
        // As the file's size: what a remux had beside it goes by itself.
        self.vault.room.waits(std::mem::take(&mut self.room));
    }

    /// How many bytes were appended.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        // Before anything else, so that what is refused has changed nothing.
        self.take_room(bytes.len() as u64)?;
        self.bytes += bytes.len() as u64;
        if bytes.len() >= LARGE {
            self.flush()?;
            // Whoever gets so much at once has memory of its own for it.
            self.gathered = Vec::new();
            return self.write(bytes);
        }
        if self.gathered.len() + bytes.len() > GATHERED {
            self.flush()?;
        }
        // All at once, since it would be doubled beyond what it ever holds.
        self.gathered.reserve_exact(GATHERED - self.gathered.len());
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what was gathered, so that a crash of this process leaves it behind.
    pub fn flush(&mut self) -> Result<(), VaultError> {
        let gathered = std::mem::take(&mut self.gathered);
        let written = self.write(&gathered);
        self.gathered = gathered;
        self.gathered.clear();
        written
    }

    /// Hashes and writes. Both want many bytes at once: BLAKE3 takes eight kilobytes abreast, and of less than one it makes
    /// twice the work. They are still in the processor's cache for the second of the two.
    fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        // Only a bench is ever built without: its ledger's hashes are those of nothing.
        if cfg!(not(unhashed)) {
            self.hasher.update(bytes);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let written = reached(Failpoint::StagingWrite).and_then(|()| self.file.write_all(bytes));
        written.and_then(|()| reached(Failpoint::StagingWritten)).map_err(failed("write to", &self.path))
    }

    /// What is made of a stream that came whole is let in, however full it is: it takes the other's place in a moment.
    fn take_room(&mut self, bytes: u64) -> Result<(), VaultError> {
        let is_remux = self.path.to_str().is_some_and(|path| path.ends_with(REMUX));
        match self.stays || is_remux {
            true => self.vault.room.take_anyway(bytes),
            false => self.vault.take_room(bytes)?,
        }
        self.room += bytes;
        Ok(())
    }

    /// Keeps only the first `bytes`: the good part of a stream that was cut.
    pub fn truncate(&mut self, bytes: u64) -> Result<(), VaultError> {
        self.flush()?;
        if bytes >= self.bytes {
            return Ok(());
        }
        let cut = reached(Failpoint::StagingCut).and_then(|()| self.file.set_len(bytes));
        cut.and_then(|()| reached(Failpoint::StagingWasCut)).map_err(failed("cut", &self.path))?;
        let cut = (self.bytes - bytes).min(self.room);
        self.room -= cut;
        self.vault.room.free(cut);
        self.bytes = bytes;
        // A hash cannot be taken back, so what is left is read once more; cut streams are rare.
        self.hasher = blake3::Hasher::new();
        let rehashed = rehash(&mut self.file, &mut self.hasher);
        rehashed.map(drop).map_err(failed("read back", &self.path))
    }

    /// Steps 2 to 4 of publishing: makes the bytes durable, gives the file its final name below the root, and makes the
    /// name durable. Blocks on the disk. A file that stands under that name already has no row in the ledger, or this
    /// window would not have been fetched: it is set aside, and its new place is told. Only where a folder keeps recordings; an
    /// object store has [`Vault::send_off`].
    pub fn publish(mut self, relative: &str) -> Result<Published, VaultError> {
        self.flush()?;
        let synced = reached(Failpoint::FileSync).and_then(|()| self.file.sync_all());
        synced.and_then(|()| reached(Failpoint::FileSynced)).map_err(failed("sync", &self.path))?;
        self.vault.check_root()?;
        let to = self.vault.path_of(relative);
        let folder = to.parent().unwrap_or(&self.vault.here);
        self.vault.make_durable_folder(folder)?;
        let mut set_aside = None;
        match reached(Failpoint::Rename).and_then(|()| rename_without_replacing(&self.path, &to)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                set_aside = Some(self.vault.set_aside(relative)?);
                rename_without_replacing(&self.path, &to)
            }
            // Whoever prunes removes folders that are empty, as this one was a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.vault.check_root()?;
                self.vault.make_durable_folder_again(folder)?;
                rename_without_replacing(&self.path, &to)
            }
            other => other,
        }
        .map_err(failed("publish", &to))?;
        self.stays = true;
        reached(Failpoint::Renamed).map_err(failed("publish", &to))?;
        sync_folder(folder)?;
        Ok(Published { bytes: self.bytes, blake3: ContentHash(*self.hasher.finalize().as_bytes()), set_aside })
    }
}

/// What publishing gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The file's size.
    pub bytes: u64,
    /// The BLAKE3 of its bytes.
    pub blake3: ContentHash,
    /// Where a file went that stood under the same name.
    pub set_aside: Option<PathBuf>,
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.vault.room.free(self.room);
        if !self.stays {
            // OK to ignore a failure: whatever stays in staging is swept when the next run starts.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Hashes the whole file; says how many bytes it has.
fn rehash(file: &mut File, hasher: &mut blake3::Hasher) -> io::Result<u64> {
    read_all(file, |bytes| {
        hasher.update(bytes);
    })
}

/// Reads the whole file, and leaves it at its end; says how many bytes it has.
fn read_all(file: &mut File, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; GATHERED];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(bytes);
        }
        each(&buffer[..read]);
        bytes += read as u64;
    }
}
