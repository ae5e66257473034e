//! What `verify` and `prune` do with files that are published: look at them folder by folder, read them back from the disk,
//! delete them. Neither ever makes an archive: where none is, its disk is not mounted.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Advice;

use super::{Hold, UPKEEP_LOCK, Vault, VaultError, failed, sync_folder};
use crate::device::DeviceId;
use crate::recording::ContentHash;

/// Files are read in pieces of this many bytes: few system calls, and still within a processor's cache.
const PIECE: usize = 1 << 20;

/// How long another's end is waited for: the start of a run holds this for moments.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What reading a file back gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// All of it.
    Whole {
        /// How many bytes.
        bytes: u64,
        /// Their BLAKE3.
        blake3: ContentHash,
    },
    /// Somebody asked for the end meanwhile.
    Stopped,
}

impl Vault {
    /// The archive at `root`, which must be there.
    pub fn existing(root: &Path) -> Result<Self, VaultError> {
        match fs::metadata(root).map_err(failed("find the archive's folder", root))? {
            metadata if metadata.is_dir() => Self::at(root),
            _ => Err(failed("find the archive's folder", root)(io::ErrorKind::NotADirectory.into())),
        }
    }

    /// Keeps others from taking files out of this archive, for as long as the value lives; it may be waited for a while. Runs
    /// go on beside it.
    pub fn hold_upkeep(&self) -> Result<Hold, VaultError> {
        let begun = Instant::now();
        loop {
            match self.try_hold_upkeep() {
                Err(VaultError::UpkeepHeld { .. }) if begun.elapsed() < PATIENCE => std::thread::sleep(RETRY_PAUSE),
                taken => return taken,
            }
        }
    }

    /// The same, without waiting.
    pub fn try_hold_upkeep(&self) -> Result<Hold, VaultError> {
        let path = self.here.join(UPKEEP_LOCK);
        let file = File::create(&path).map_err(failed("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Hold { locked: file }),
            Err(TryLockError::WouldBlock) => Err(VaultError::UpkeepHeld { root: self.root().to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// Whether there is a folder of a camera's, with anything in it. Where there is none, a disk may not be mounted.
    pub fn has_folder_of(&self, device: DeviceId) -> Result<bool, VaultError> {
        if let Some(objects) = &self.objects {
            return objects.has_any_below(&device.to_string());
        }
        let folder = self.here.join(device.to_string());
        match fs::read_dir(&folder).and_then(|mut entries| entries.next().transpose()) {
            Ok(first) => Ok(first.is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("read the folder", &folder)(error)),
        }
    }

    /// The sizes of the files in a folder below the root, by name; none when there is no such folder. It is opened once, and
    /// its files are asked for by their names in it, so that no path is looked up again for each.
    pub fn sizes_in(&self, relative: &str) -> Result<HashMap<String, u64>, VaultError> {
        if let Some(objects) = &self.objects {
            return objects.sizes_in(relative);
        }
        let folder = self.path_of(relative);
        let sizes = || -> io::Result<HashMap<String, u64>> {
            let mut sizes = HashMap::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                // No name of ours is no text.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let metadata = match entry.metadata() {
                    // Somebody may have put a recording elsewhere, with a link in its place.
                    Ok(metadata) if metadata.is_symlink() => fs::metadata(entry.path()),
                    other => other,
                };
                match metadata {
                    Ok(metadata) if metadata.is_file() => {
                        sizes.insert(name, metadata.len());
                    }
                    Ok(_) => {}
                    // It went meanwhile, or is a link to nothing.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(sizes)
        };
        match sizes() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
            other => other.map_err(failed("look into the folder", &folder)),
        }
    }

    /// The size of a file below the root; nothing when there is none.
    pub fn size_of(&self, relative: &str) -> Result<Option<u64>, VaultError> {
        if let Some(objects) = &self.objects {
            return objects.size_of(relative);
        }
        let path = self.path_of(relative);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look for", &path)(error)),
        }
    }

    /// Moves aside what stands under a name below the root, whatever it is; nothing when nothing does.
    pub fn set_aside_if_there(&self, relative: &str) -> Result<Option<PathBuf>, VaultError> {
        if self.objects.is_some() {
            return self.size_of(relative)?.map(|_| self.set_aside(relative)).transpose();
        }
        let path = self.path_of(relative);
        match fs::symlink_metadata(&path) {
            Ok(_) => self.set_aside(relative).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look for", &path)(error)),
        }
    }

    /// Reads a file back from the disk, not from what memory still has of it, and leaves nothing of it there: a night that
    /// reads a terabyte must not push out what others use.
    pub fn read_back(&self, relative: &str, is_stopped: &dyn Fn() -> bool) -> Result<ReadBack, VaultError> {
        let path = self.path_of(relative);
        if let Some(objects) = &self.objects {
            return hash(objects.open(relative)?, is_stopped).map_err(failed("read", &path));
        }
        let read = || -> io::Result<ReadBack> {
            let file = File::open(&path)?;
            // OK to ignore that a file system does not take advice, here and below: it is read all the same.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
            let whole = hash(&file, is_stopped)?;
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            Ok(whole)
        };
        read().map_err(failed("read", &path))
    }

    /// Deletes files below the root, and the folders that are empty then; all of it is durable when this returns. What is not
    /// there any more is fine.
    pub fn delete(&self, relative: &[String]) -> Result<(), VaultError> {
        if let Some(objects) = &self.objects {
            return objects.delete(relative);
        }
        let mut folders: Vec<&Path> = Vec::new();
        for name in relative {
            let path = self.path_of(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("delete", &path)(error)),
                _ => {}
            }
            folders.extend(Path::new(name).parent());
        }
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            self.close_folder(&self.here.join(folder))?;
        }
        Ok(())
    }

    /// Removes a folder that is empty, and those above it that are empty then, up to the root; makes durable what is gone.
    fn close_folder(&self, folder: &Path) -> Result<(), VaultError> {
        let mut folder = folder;
        while folder != self.here {
            match fs::remove_dir(folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Something is in it; or it is no folder of ours to remove.
                Err(_) => break,
            }
            let Some(above) = folder.parent() else { break };
            folder = above;
        }
        sync_folder(folder)
    }
}

/// Reads to the end, or until somebody asks for the end.
fn hash(mut file: impl Read, is_stopped: &dyn Fn() -> bool) -> io::Result<ReadBack> {
    let (mut hasher, mut piece, mut bytes) = (blake3::Hasher::new(), vec![0; PIECE], 0);
    loop {
        if is_stopped() {
            return Ok(ReadBack::Stopped);
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(ReadBack::Whole { bytes, blake3: ContentHash(*hasher.finalize().as_bytes()) }),
            Ok(read) => {
                hasher.update(&piece[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive_with(files: &[&str]) -> (tempfile::TempDir, Vault) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            fs::write(path, file).expect("a file can be written");
        }
        let vault = Vault::existing(root.path()).expect("it is there");
        (root, vault)
    }

    fn names(files: &[&str]) -> Vec<String> {
        files.iter().map(|&file| file.to_owned()).collect()
    }

    #[test]
    fn an_archive_that_is_not_there_is_not_made() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let missing = root.path().join("recordings");
        assert!(Vault::existing(&missing).is_err() && !missing.exists());
    }

    #[test]
    fn deleting_takes_empty_folders_with_it_and_no_others() {
        let (root, vault) = archive_with(&["5/2026-11-20/a", "5/2026-11-20/b", "5/2026-11-21/a", "6/2026-11-20/a"]);
        vault.delete(&names(&["5/2026-11-20/a", "5/2026-11-20/gone"])).expect("it is deleted");
        assert_eq!(vault.sizes_in("5/2026-11-20").expect("it is there").into_keys().collect::<Vec<_>>(), ["b"]);
        vault.delete(&names(&["5/2026-11-20/b", "6/2026-11-20/a"])).expect("they are deleted");
        assert!(!root.path().join("5/2026-11-20").exists() && root.path().join("5/2026-11-21/a").exists());
        assert!(!root.path().join("6").exists());
        assert!(vault.has_folder_of(DeviceId::new(5).expect("not negative")).expect("it is read"));
        assert!(!vault.has_folder_of(DeviceId::new(6).expect("not negative")).expect("it is read"));
        vault.delete(&names(&["6/2026-11-20/a"])).expect("once more is fine");
    }

    #[test]
    fn a_file_is_read_back_whole_or_not_at_all() {
        let (_root, vault) = archive_with(&["5/2026-11-20/a"]);
        let whole = vault.read_back("5/2026-11-20/a", &|| false).expect("it is read");
        let expected = ContentHash(*blake3::hash(b"5/2026-11-20/a").as_bytes());
        assert_eq!(whole, ReadBack::Whole { bytes: 14, blake3: expected });
        assert_eq!(vault.read_back("5/2026-11-20/a", &|| true).expect("it is read"), ReadBack::Stopped);
        assert!(vault.read_back("5/2026-11-20/b", &|| false).is_err());
        assert_eq!(vault.size_of("5/2026-11-20/b").expect("it is looked for"), None);
    }

    #[test]
    fn one_at_a_time_takes_files_out() {
        let (_root, vault) = archive_with(&[]);
        let held = vault.hold_upkeep().expect("nobody has it");
        assert!(matches!(vault.try_hold_upkeep(), Err(VaultError::UpkeepHeld { .. })));
        drop(held);
        assert!(vault.try_hold_upkeep().is_ok());
    }
}
