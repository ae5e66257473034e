//! The archive's root, once it is known that it is the one that the ledger knows: an empty folder where a disk should be mounted
//! is none to begin anew in.

use std::path::Path;

use crate::ledger::Ledger;
use crate::settings::ArchiveSettings;
use crate::vault::{Vault, VaultError};

/// Refuses a root without an archive, where the settings say that one must be there. Makes nothing.
pub(super) fn refuse_a_missing_one(archive: &ArchiveSettings) -> Result<(), VaultError> {
    if archive.must_exist && !Vault::is_archive(&archive.root)? {
        return Err(VaultError::NoArchive { root: archive.root.clone() });
    }
    Ok(())
}

/// The archive of the ledger, for a command that writes; made when it is a new ledger's. Before anything is made, it is known
/// that it is the right one.
pub(super) async fn open(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<Vault> {
    Ok(open_at(&archive.root, ledger).await?.publishing_as(archive.container))
}

async fn open_at(root: &Path, ledger: &Ledger) -> anyhow::Result<Vault> {
    if is_known(root, ledger).await? {
        return Ok(Vault::open(root)?);
    }
    // A ledger of an older version, which did not mark archives.
    let has_recordings = !ledger.recordings_after(None).await?.is_empty();
    if has_recordings && !Vault::is_archive(root)? {
        return Err(VaultError::FolderGone { folder: root.to_owned() }.into());
    }
    let vault = Vault::open(root)?;
    let mark = vault.mark(&new_mark(root))?;
    // Another run may have been faster.
    let noted = ledger.note_archive_mark(mark).await?;
    is_the_one(root, noted)?;
    Ok(vault)
}

/// The archive of the ledger, which must be there.
pub(super) async fn existing(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<Vault> {
    is_known(&archive.root, ledger).await?;
    Ok(Vault::existing(&archive.root)?)
}

/// Whether the ledger knows the archive at `root`; not, when it knows none. Another one is refused.
pub(super) async fn is_known(root: &Path, ledger: &Ledger) -> anyhow::Result<bool> {
    let Some(wanted) = ledger.archive_mark().await? else { return Ok(false) };
    is_the_one(root, wanted)?;
    Ok(true)
}

fn is_the_one(root: &Path, wanted: String) -> Result<(), VaultError> {
    match Vault::mark_at(root)? {
        Some(found) if found == wanted => Ok(()),
        found => Err(VaultError::NotTheArchive { root: root.to_owned(), found, wanted }),
    }
}

/// A mark that no other archive has. Nothing hangs on whether it can be guessed.
fn new_mark(root: &Path) -> String {
    let now = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
    let hash = blake3::hash(format!("{now} {} {}", std::process::id(), root.display()).as_bytes());
    hex::encode(&hash.as_bytes()[..16])
}
