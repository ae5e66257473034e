//! What the archive's disk or its object store could not do, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the archive's disk could not do something.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The disk is full, or a quota is.
    #[error("{}: cannot {doing} {}: {source}; {}, and the next run goes on", fullness(source).0, path.display(), fullness(source).1)]
    Full {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run writes to this archive, with another ledger.
    #[error("another run writes to {}; wait for it to end, or stop it", root.display())]
    Held {
        /// The archive's folder.
        root: PathBuf,
    },
    /// Nothing is where recordings should be.
    #[error("there is nothing in {}, where the ledger has recordings: is the disk mounted?", folder.display())]
    FolderGone {
        /// A camera's folder.
        folder: PathBuf,
    },
    /// The root is another folder than the one that was opened.
    #[error(
        "{} is not the folder any more that this run began in: was its disk unmounted, or the folder moved? Nothing was written \
         to what is there now; once it is back, the next run goes on",
        root.display()
    )]
    RootGone {
        /// The archive's folder.
        root: PathBuf,
    },
    /// The root is not the archive that the ledger knows.
    #[error(
        "{} {}: is its disk mounted? If it is the right folder all the same, moved here on purpose, say so: \
         echo {wanted} > {}/.archive-root",
        root.display(), match found {
            None => "is not the archive that the ledger knows, and has no mark of any",
            Some(_) => "is another archive than the one that the ledger knows",
        }, root.display()
    )]
    NotTheArchive {
        /// The folder.
        root: PathBuf,
        /// Its mark, if it has any.
        found: Option<String>,
        /// The mark that the ledger knows.
        wanted: String,
    },
    /// No archive is where one must be.
    #[error(
        "there is no archive in {}, and archive.must_exist says that one is there: is its disk mounted? To begin a new one, take \
         that line out for one run",
        root.display()
    )]
    NoArchive {
        /// The folder.
        root: PathBuf,
    },
    /// Somebody else takes files out of this archive.
    #[error("another verify or prune works on {}; wait for it to end, or stop it", root.display())]
    UpkeepHeld {
        /// The archive's folder.
        root: PathBuf,
    },
    /// The spool of an object store holds as much as it may.
    #[error("{} holds as much as archive.spool_max allows, {} MiB", spool.display(), most >> 20)]
    SpoolFull {
        /// Its folder.
        spool: PathBuf,
        /// How much it may hold, in bytes.
        most: u64,
    },
    /// The object store is not there at the moment, or has trouble of its own: it may well be there later.
    #[error("cannot {doing} {}: {source}", path.display())]
    Away {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {doing} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is full, and what a person can do about it.
fn fullness(error: &io::Error) -> (&'static str, &'static str) {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => ("this user's quota is used up", "delete something, or have the quota raised"),
        io::ErrorKind::FileTooLarge => {
            ("a file may not grow so large", "raise the limit (ulimit -f), or that of the disk")
        }
        _ => ("the disk is full", "free some space"),
    }
}

/// What a person can do about it, behind the system's words; nothing when those say all that is known.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            ". It is mounted read-only, as happens after an error of the disk: the system's log (dmesg) says why"
        }
        io::ErrorKind::PermissionDenied => ". Give this user the rights to it, and to the folder that it is in",
        io::ErrorKind::CrossesDevices => ". The archive and its .staging must be on one file system",
        io::ErrorKind::StaleNetworkFileHandle => ". The share went away: mount it again",
        // Rust has no kind of its own for it.
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            ". The disk or the way to it fails: the system's log (dmesg) says how"
        }
        _ => "",
    }
}

/// Puts what was tried, and with what, beside the system's words.
pub(crate) fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> VaultError + 'a {
    move |source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                VaultError::Full { doing, path, source }
            }
            _ => VaultError::Io { doing, path, source },
        }
    }
}
