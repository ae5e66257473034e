//! Makes folders so that a power loss does not take them away with all that is synced in them: each is durable in the one above it
//! before anything is put into it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Vault, VaultError, failed};
use crate::failpoint::{Failpoint, reached};

/// Makes a folder, and those above it that are not there, each durable in the one above.
pub(crate) fn make_folder(folder: &Path) -> Result<(), VaultError> {
    make(folder).map(drop)
}

/// The same; says whether it was made.
fn make(folder: &Path) -> Result<bool, VaultError> {
    if folder.as_os_str().is_empty() {
        return Ok(false);
    }
    reached(Failpoint::FolderMake).map_err(failed("make the folder", folder))?;
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(_) if folder.is_dir() => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = folder.parent() {
                make(parent)?;
            }
            match fs::create_dir(folder) {
                // OK when it is there by now: another download of the same device and day made it.
                Err(error) if !folder.is_dir() => return Err(failed("make the folder", folder)(error)),
                _ => {}
            }
        }
        Err(error) => return Err(failed("make the folder", folder)(error)),
    }
    reached(Failpoint::FolderMade).map_err(failed("make the folder", folder))?;
    folder.parent().map_or(Ok(()), sync_folder)?;
    Ok(true)
}

/// Makes the folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), VaultError> {
    // What stands above a relative path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let synced = reached(Failpoint::FolderSync).and_then(|()| File::open(path)?.sync_all());
    synced.and_then(|()| reached(Failpoint::FolderSynced)).map_err(failed("sync the folder", path))
}

impl Vault {
    /// Makes a folder below the root, and sees to it that it is durable, and so are those above it.
    ///
    /// Whoever made one that is there may have been killed before it was durable, or be another process that is just about to see
    /// to it: so each process does it once for each folder.
    pub(super) fn make_durable_folder(&self, folder: &Path) -> Result<(), VaultError> {
        if folder == self.here.as_path() || self.durable.folders().contains(folder) {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(self.here.as_path());
        self.make_durable_folder(above)?;
        if !make(folder)? {
            sync_folder(above)?;
        }
        self.durable.folders().insert(folder.to_owned());
        Ok(())
    }

    /// The same of one that was found to be gone: whoever prunes removes folders that are empty.
    pub(super) fn make_durable_folder_again(&self, folder: &Path) -> Result<(), VaultError> {
        self.durable.folders().retain(|known| !folder.starts_with(known));
        self.make_durable_folder(folder)
    }

    /// Makes a published file durable, and its name: that of a run that may have been killed before it did so itself.
    pub fn make_durable(&self, relative: &str) -> Result<(), VaultError> {
        if self.objects.is_some() {
            // What is complete there is durable.
            return Ok(());
        }
        let path = self.path_of(relative);
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed("sync", &path))?;
        let folder = path.parent().unwrap_or(self.here.as_path());
        self.make_durable_folder(folder)?;
        sync_folder(folder)
    }
}

/// The folders below a root that this process knows to be durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable(Arc<Mutex<HashSet<PathBuf>>>);

impl Durable {
    fn folders(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        // OK to go on after a panic elsewhere: the set is whole between any two steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
