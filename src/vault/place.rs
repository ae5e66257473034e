//! Where an archive is to be, before it is known whether one is there.

use std::path::{Path, PathBuf};

use super::objects::{Bucket, Objects};
use super::{Strangers, Trial, Vault, VaultError, catalog, root};

/// A root as the settings name it.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// An object store, and this machine's folder for what is not there yet.
    Objects {
        /// The store.
        objects: Objects,
        /// The folder.
        spool: PathBuf,
    },
}

impl Place {
    /// That of a bucket. Asks the store for nothing yet.
    pub fn in_bucket(bucket: &Bucket) -> Result<Self, VaultError> {
        Ok(Self::Objects { objects: Objects::connect(bucket)?, spool: bucket.folder() })
    }

    /// For people: the folder's path, or the store's address.
    pub fn shown(&self) -> &Path {
        match self {
            Self::Folder(root) => root,
            Self::Objects { objects, .. } => objects.address(),
        }
    }

    /// The folder of this machine that is written to.
    pub fn working_folder(&self) -> &Path {
        match self {
            Self::Folder(root) => root,
            Self::Objects { spool, .. } => spool,
        }
    }

    /// The archive there, which is made if it is not there.
    pub fn open(&self) -> Result<Vault, VaultError> {
        match self {
            Self::Folder(root) => Vault::open(root),
            Self::Objects { objects, spool } => Vault::open_in(objects.clone(), spool),
        }
    }

    /// The archive there, which must be there; of an object store, whatever is there.
    pub fn existing(&self) -> Result<Vault, VaultError> {
        match self {
            Self::Folder(root) => Vault::existing(root),
            // OK to make the spool: it holds nothing that anybody misses.
            Self::Objects { objects, spool } => Vault::open_in(objects.clone(), spool),
        }
    }

    /// The archive's mark; nothing when there is none.
    pub fn mark(&self) -> Result<Option<String>, VaultError> {
        match self {
            Self::Folder(root) => Vault::mark_at(root),
            Self::Objects { objects, .. } => root::mark_in(objects),
        }
    }

    /// Whether it has a catalog: then it has had a ledger.
    pub fn has_catalog(&self) -> Result<bool, VaultError> {
        match self {
            Self::Folder(root) => Vault::has_catalog_at(root),
            Self::Objects { objects, .. } => catalog::has_catalog_in(objects),
        }
    }

    /// Whether anything of an archive is there: a mark, a catalog, or a camera's folder. Makes nothing.
    pub fn is_archive(&self) -> Result<bool, VaultError> {
        match self {
            Self::Folder(root) => Vault::is_archive(root),
            Self::Objects { .. } if self.mark()?.is_some() || self.has_catalog()? => Ok(true),
            Self::Objects { .. } => Ok(!self.existing()?.devices(&mut Strangers::default())?.is_empty()),
        }
    }

    /// Whether there is a folder to look into. An object store is always there, or says why not when it is asked.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Folder(root) => root.is_dir(),
            Self::Objects { .. } => true,
        }
    }

    /// Bytes that this user may still write to this machine's folder, which need not be there yet.
    pub fn free_bytes(&self) -> Result<u64, VaultError> {
        Vault::free_bytes_at(self.working_folder())
    }

    /// Does with a small file what publishing does with a recording, and deletes it. Leaves nothing behind. Blocks.
    pub fn try_it(&self) -> Result<Trial, VaultError> {
        match self {
            Self::Folder(root) => Vault::try_disk(root),
            Self::Objects { objects, spool } => {
                let trial = Vault::try_disk(spool)?;
                let begun = std::time::Instant::now();
                objects.try_it()?;
                Ok(Trial { took: trial.took + begun.elapsed(), in_archive: trial.in_archive })
            }
        }
    }
}
