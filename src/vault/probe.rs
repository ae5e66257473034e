//! Whether the archive's disk does what publishing needs of it, tried with a file that nobody misses.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{STAGING, Vault, VaultError, failed, rename_without_replacing, sync_folder};

/// What the file is called, with the process's number behind it: neither a recording's name nor one that is swept up.
const TRIAL: &str = ".archive-trial";

/// What a trial took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// How long it took.
    pub took: Duration,
    /// Whether it was made in the archive; else in the nearest folder above it that is there.
    pub in_archive: bool,
}

impl Vault {
    /// Does with a small file what publishing does with a recording: writes it in staging, syncs it, renames it into the root,
    /// syncs that; and deletes it. Leaves nothing behind, and makes no folder. Blocks on the disk.
    pub fn try_disk(root: &Path) -> Result<Trial, VaultError> {
        let in_archive = root.try_exists().map_err(failed("look for", root))?;
        let there = root.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
        let folder = if in_archive { root } else { there };
        let staging = Some(folder.join(STAGING)).filter(|staging| staging.is_dir());
        let name = format!("{TRIAL}-{}", std::process::id());
        let (from, to) = (staging.as_deref().unwrap_or(folder).join(format!("{name}.part")), folder.join(&name));
        let begun = Instant::now();
        let tried = publish(&from, &to, folder);
        // OK to ignore that one of them is not there: each is only where the trial came to.
        let _ = fs::remove_file(&from);
        let deleted = fs::remove_file(&to);
        tried?;
        deleted.map_err(failed("delete", &to))?;
        Ok(Trial { took: begun.elapsed(), in_archive })
    }
}

fn publish(from: &Path, to: &Path, folder: &Path) -> Result<(), VaultError> {
    let mut file = File::create(from).map_err(failed("create", from))?;
    file.write_all(b"a trial of archive check\n").map_err(failed("write to", from))?;
    file.sync_all().map_err(failed("sync", from))?;
    rename_without_replacing(from, to).map_err(failed("rename out of staging", from))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_trial_leaves_nothing_and_makes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("a/b");
        assert!(!Vault::try_disk(&root).expect("the folder above is there").in_archive);
        assert!(names(folder.path()).is_empty(), "no archive is made");
        Vault::open(&root).expect("an archive");
        assert!(Vault::try_disk(&root).expect("it works").in_archive);
        assert_eq!(names(&root), [STAGING]);
        assert!(names(&root.join(STAGING)).is_empty());
    }

    #[test]
    fn a_root_that_is_no_folder_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("file");
        fs::write(&root, "").expect("it can be written");
        assert!(Vault::try_disk(&root).is_err());
        assert_eq!(names(folder.path()), ["file"]);
    }
}
