//! The archive's root, once it is known that it is the one that the ledger knows: an empty folder where a disk should be mounted
//! is none to begin anew in.

use crate::ledger::Ledger;
use crate::settings::ArchiveSettings;
use crate::vault::{Bucket, Place, Vault, VaultError};

/// Where the settings say that the archive is. Looks for nothing yet.
pub(super) fn place(archive: &ArchiveSettings) -> Result<Place, VaultError> {
    let Some(store) = &archive.store else { return Ok(Place::Folder(archive.root.clone())) };
    Place::in_bucket(&Bucket {
        name: store.bucket.clone(),
        prefix: store.prefix.clone(),
        endpoint: store.endpoint.clone(),
        spool: store.spool.clone(),
    })
}

/// Refuses a root without an archive, where the settings say that one must be there. Makes nothing.
pub(super) fn refuse_a_missing_one(archive: &ArchiveSettings) -> Result<(), VaultError> {
    if archive.must_exist && !place(archive)?.is_archive()? {
        return Err(VaultError::NoArchive { root: archive.root.clone() });
    }
    Ok(())
}

/// The archive of the ledger, for a command that writes; made when it is a new ledger's. Before anything is made, it is known
/// that it is the right one.
pub(super) async fn open(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<Vault> {
    let most = archive.store.as_ref().and_then(|store| store.spool_max);
    Ok(open_at(archive, ledger).await?.publishing_as(archive.container).bounded(most)?)
}

async fn open_at(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<Vault> {
    let root = place(archive)?;
    if is_known(&root, ledger).await? {
        return Ok(root.open()?);
    }
    // A ledger of an older version, which did not mark archives.
    let has_recordings = !ledger.recordings_after(None).await?.is_empty();
    if has_recordings && !root.is_archive()? {
        return Err(VaultError::FolderGone { folder: archive.root.clone() }.into());
    }
    let vault = root.open()?;
    let ours = new_mark(&root);
    let mark = vault.mark(&ours)?;
    let is_ours = mark == ours;
    // Another run may have been faster.
    let noted = ledger.note_archive_mark(mark).await?;
    if is_ours {
        vault.settle_mark(&noted)?;
    }
    is_the_one(&root, noted)?;
    Ok(vault)
}

/// The archive of the ledger, which must be there.
pub(super) async fn existing(archive: &ArchiveSettings, ledger: &Ledger) -> anyhow::Result<Vault> {
    let root = place(archive)?;
    is_known(&root, ledger).await?;
    Ok(root.existing()?)
}

/// Whether the ledger knows the archive at `root`; not, when it knows none. Another one is refused.
pub(super) async fn is_known(root: &Place, ledger: &Ledger) -> anyhow::Result<bool> {
    let Some(wanted) = ledger.archive_mark().await? else { return Ok(false) };
    is_the_one(root, wanted)?;
    Ok(true)
}

fn is_the_one(root: &Place, wanted: String) -> Result<(), VaultError> {
    match root.mark()? {
        Some(found) if found == wanted => Ok(()),
        found => Err(VaultError::NotTheArchive { root: root.shown().to_owned(), found, wanted }),
    }
}

/// A mark that no other archive has. Nothing hangs on whether it can be guessed.
fn new_mark(root: &Place) -> String {
    let now = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
    let hash = blake3::hash(format!("{now} {} {}", std::process::id(), root.shown().display()).as_bytes());
    hex::encode(&hash.as_bytes()[..16])
}
