//! Whether the root is the archive's, or an empty folder where its disk should be mounted.
//!
//! An archive has a mark: a random text in `.archive-root`, which the ledger has too. A disk that is not mounted shows at a start
//! by the mark that is not there, and while a run goes on by another folder under the root's name.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Objects, Strangers, Vault, VaultError, failed, rename_without_replacing, sync_folder};

const MARK: &str = ".archive-root";

/// A mark is text of this many characters at most; what is longer was not written here.
const LONGEST_MARK: usize = 64;

/// Which folder it is, whatever its name: its device's number, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let found = fs::metadata(folder)?;
        Ok(Self(found.dev(), found.ino()))
    }
}

impl Vault {
    /// The mark of the archive at `root`; nothing when there is none. Makes nothing.
    pub fn mark_at(root: &Path) -> Result<Option<String>, VaultError> {
        let path = root.join(MARK);
        match fs::read(&path) {
            Ok(bytes) => mark_of(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Gives the archive that mark, durably, unless it has one. Says which it has now.
    pub fn mark(&self, mark: &str) -> Result<String, VaultError> {
        if let Some(objects) = &self.objects {
            // A look first, since not every store knows a call that replaces nothing.
            if mark_in(objects)?.is_none() {
                objects.create(MARK, format!("{mark}\n").as_bytes())?;
            }
            let gone = || VaultError::RootGone { root: objects.address().clone() };
            return mark_in(objects)?.ok_or_else(gone);
        }
        let (path, part) = (self.here.join(MARK), self.here.join(format!("{MARK}.{mark}")));
        let write = || -> io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(format!("{mark}\n").as_bytes())?;
            file.sync_all()
        };
        let written = write().map_err(failed("write to", &part));
        let named = written.and_then(|()| match rename_without_replacing(&part, &path) {
            // Another run has just begun here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(failed("create", &path)),
        });
        // OK to ignore that it is not there: then it has its name.
        let _ = fs::remove_file(&part);
        named?;
        sync_folder(&self.here)?;
        match Self::mark_at(&self.here)? {
            Some(mark) => Ok(mark),
            None => Err(VaultError::RootGone { root: self.here.clone() }),
        }
    }

    /// Sees to it that the archive bears the mark that its ledger has noted, for a host that has just given it one of its own. Of two
    /// that begin an archive at once in a store that cannot but replace, the second one's stands, and the first one's is noted.
    /// In a folder nothing is replaced, and nothing is to be done.
    pub fn settle_mark(&self, noted: &str) -> Result<(), VaultError> {
        match &self.objects {
            Some(objects) if mark_in(objects)?.as_deref() != Some(noted) => {
                objects.replace(MARK, format!("{noted}\n").as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Whether anything of an archive is at `root`: a mark, a catalog, or a camera's folder. Makes nothing.
    pub fn is_archive(root: &Path) -> Result<bool, VaultError> {
        if !root.try_exists().map_err(failed("look for", root))? {
            return Ok(false);
        }
        if Self::mark_at(root)?.is_some() || Self::has_catalog_at(root)? {
            return Ok(true);
        }
        Ok(!Self::existing(root)?.devices(&mut Strangers::default())?.is_empty())
    }

    /// Fails when the root is another folder than the one that was opened: its disk was unmounted, or it was moved. Whoever is
    /// about to make something in it asks first, or what is meant for the archive's disk lands on the one below.
    pub(super) fn check_root(&self) -> Result<(), VaultError> {
        match Identity::of(&self.here) {
            Ok(found) if found == self.identity => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("look for", &self.here)(error)),
            _ => Err(VaultError::RootGone { root: self.here.clone() }),
        }
    }
}

/// The mark that such a file holds.
fn mark_of(bytes: &[u8], path: &Path) -> Result<String, VaultError> {
    let mark = String::from_utf8_lossy(bytes).trim().to_owned();
    let is_ours = !mark.is_empty()
        && mark.len() <= LONGEST_MARK
        && mark.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match is_ours {
        true => Ok(mark),
        false => Err(failed("read the mark in", path)(io::ErrorKind::InvalidData.into())),
    }
}

/// The mark of an archive in an object store; nothing when there is none.
pub(super) fn mark_in(objects: &Objects) -> Result<Option<String>, VaultError> {
    objects.text(MARK)?.map(|bytes| mark_of(&bytes, &objects.shown(MARK))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_keeps_the_mark_that_it_got_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("archive");
        assert_eq!(Vault::mark_at(&root).expect("nothing is no failure"), None);
        assert!(!Vault::is_archive(&root).expect("nothing is no failure"));
        let vault = Vault::open(&root).expect("an archive");
        assert!(!Vault::is_archive(&root).expect("it can be read"), "an empty one is none yet");
        assert_eq!(vault.mark("one").expect("it can be written"), "one");
        assert_eq!(vault.mark("other").expect("it is there"), "one");
        assert_eq!(Vault::mark_at(&root).expect("it can be read").as_deref(), Some("one"));
        assert!(Vault::is_archive(&root).expect("it can be read"));
        let names: Vec<_> =
            fs::read_dir(&root).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names.len(), 2, "the mark and staging: {names:?}");
        fs::write(root.join(MARK), "rm -rf /").expect("it can be written");
        assert!(Vault::mark_at(&root).is_err(), "that is no mark");
    }

    #[test]
    fn nothing_is_made_in_a_folder_that_took_the_roots_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, away) = (folder.path().join("archive"), folder.path().join("away"));
        let vault = Vault::open(&root).expect("an archive");
        vault.check_root().expect("it is the one");
        fs::rename(&root, &away).expect("it can be moved");
        assert!(matches!(vault.check_root(), Err(VaultError::RootGone { .. })), "it is not there");
        fs::create_dir(&root).expect("a folder");
        assert!(matches!(vault.check_root(), Err(VaultError::RootGone { .. })), "it is another");
        assert!(matches!(vault.lock_catalog(), Err(VaultError::RootGone { .. })));
        assert!(matches!(vault.hold(crate::recording::Source::Nvr), Err(VaultError::RootGone { .. })));
        assert_eq!(fs::read_dir(&root).expect("a folder").count(), 0);
    }
}
