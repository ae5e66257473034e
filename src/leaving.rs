//! How files leave their final names: moved aside when they are not what they were, deleted when their retention has ended.
//! One process at a time does so ([`hold`]), on whichever machine. Runs go on beside it.
//!
//! # A file that is moved aside, and what a crash leaves at each step
//!
//! 1. The ledger notes it, durably; its recording stands. Crash: the next start goes on with step 2.
//! 2. It is renamed into `.aside/`, durably. Crash: a recording without its file, which the note tells of; the next start finds
//!    no file to move and goes on with step 3.
//! 3. In one transaction the recording goes, its time becomes a gap, and so does the note. Crash: nothing to do.
//!
//! The recording stands until its file is gone because, while it does, nobody asks for its time, and so nobody can be publishing
//! a new file under the name that is being cleared.
//!
//! # A file that is deleted
//!
//! 1. In one transaction its recording goes, its time is pruned, and the file is noted. Crash: a file without a recording, which
//!    no start adopts, since its note is in another table than theirs; the next start goes on with step 2.
//! 2. It is deleted, and so are folders that are empty then, durably. Crash: a note without a file.
//! 3. The note is taken back. Crash: nothing to do.
//!
//! So there is never a recording without its file; and nobody can be publishing under that name either, since what is pruned is
//! not asked for again.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::Recovery;
use crate::ledger::{Ledger, LedgerError, UpkeepPatience};
use crate::publish::{ArchiveError, blocking};
use crate::recording::Recording;
use crate::time_range::UtcSecond;
use crate::upkeep::{Fate, Finding, Leaving};
use crate::vault::{Hold, Vault, VaultError};

/// Another's end is waited for, since the start of a run holds this for moments; and for a server that finds a connection gone as long
/// as its keepalives take.
const PATIENCE: UpkeepPatience = UpkeepPatience { others: Duration::from_secs(5), own: Duration::from_secs(40) };

/// The right to take files out of an archive.
pub(crate) struct Upkeep<'a> {
    ledger: &'a Ledger,
    _hold: Hold,
}

impl Drop for Upkeep<'_> {
    fn drop(&mut self) {
        self.ledger.release_upkeep();
    }
}

/// Takes that right, from others on this machine by the vault and from others elsewhere by the ledger. An error when another process
/// has it.
pub(crate) async fn hold<'a>(ledger: &'a Ledger, vault: &Vault) -> Result<Upkeep<'a>, ArchiveError> {
    let on = vault.clone();
    let hold = blocking(move || on.hold_upkeep()).await?;
    ledger.hold_upkeep(PATIENCE).await?;
    Ok(Upkeep { ledger, _hold: hold })
}

/// The same for who waits for nobody; nothing when another process has it.
async fn try_hold<'a>(ledger: &'a Ledger, vault: &Vault) -> Result<Option<Upkeep<'a>>, ArchiveError> {
    let hold = match vault.try_hold_upkeep() {
        Err(VaultError::UpkeepHeld { .. }) => return Ok(None),
        hold => hold?,
    };
    match ledger.hold_upkeep(UpkeepPatience { others: Duration::ZERO, ..PATIENCE }).await {
        Err(LedgerError::UpkeepHeld { .. }) => Ok(None),
        held => Ok(Some(held.map(|()| Upkeep { ledger, _hold: hold })?)),
    }
}

/// Moves aside the file of a recording that is not what it was, if there is one, and makes its time a gap. Says where it is
/// now; nothing at all when the recording went meanwhile.
pub(crate) async fn set_aside(
    ledger: &Ledger,
    vault: &Vault,
    recording: &Recording,
    finding: &Finding,
    now: UtcSecond,
) -> Result<Option<Option<PathBuf>>, ArchiveError> {
    let (code, detail) = (finding.code().to_owned(), finding.to_string());
    if !ledger.note_aside(recording.clone(), code.clone(), detail.clone()).await? {
        return Ok(None);
    }
    let leaving = Leaving {
        path: recording.path.clone(),
        device: recording.device,
        start: recording.range.start(),
        fate: Fate::Aside { code, detail },
    };
    // Who was kept from its work for long after the note may find that somebody else has done it, and that the name is another file's.
    if !ledger.is_leaving(leaving.path.clone()).await? {
        return Ok(None);
    }
    let moved = move_aside(vault, &leaving.path).await?;
    ledger.lose(leaving, now).await?;
    Ok(Some(moved))
}

/// Deletes the files of recordings whose retention has ended.
pub(crate) async fn delete(ledger: &Ledger, vault: &Vault, recordings: Vec<Recording>) -> Result<(), ArchiveError> {
    let paths: Vec<String> = recordings.iter().map(|recording| recording.path.clone()).collect();
    ledger.prune(recordings).await?;
    delete_noted(ledger, vault, paths).await
}

/// Finishes what a crash or a failing disk kept from being finished. Says which files were moved aside, and what could not be
/// dealt with. The caller has the hold.
pub(crate) async fn finish(ledger: &Ledger, vault: &Vault, now: UtcSecond) -> Result<Vec<Recovery>, ArchiveError> {
    let mut recovered = Vec::new();
    for leaving in ledger.leaving().await? {
        match finish_one(ledger, vault, leaving, now).await {
            Ok(done) => recovered.extend(done),
            // A file that cannot be moved or deleted keeps no night from beginning; its note stays.
            Err(ArchiveError::Vault(error @ (VaultError::Io { .. } | VaultError::Away { .. }))) => {
                recovered.push(Recovery::Left { why: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(recovered)
}

/// The same at the start of a run, which waits for nobody: whoever has the hold has seen to it already.
pub(crate) async fn finish_at_start(
    ledger: &Ledger,
    vault: &Vault,
    now: UtcSecond,
) -> Result<Vec<Recovery>, ArchiveError> {
    if ledger.leaving().await?.is_empty() {
        return Ok(Vec::new());
    }
    match try_hold(ledger, vault).await? {
        Some(_hold) => finish(ledger, vault, now).await,
        None => Ok(Vec::new()),
    }
}

async fn finish_one(
    ledger: &Ledger,
    vault: &Vault,
    leaving: Leaving,
    now: UtcSecond,
) -> Result<Option<Recovery>, ArchiveError> {
    let stands = ledger.has_recording_at(leaving.device, leaving.start, leaving.path.clone()).await?;
    match &leaving.fate {
        Fate::Aside { detail, .. } if stands => {
            let why = detail.clone();
            let moved = move_aside(vault, &leaving.path).await?;
            ledger.lose(leaving, now).await?;
            Ok(moved.map(|path| Recovery::SetAside { path, why }))
        }
        Fate::Deleted if !stands => {
            delete_noted(ledger, vault, vec![leaving.path]).await?;
            Ok(None)
        }
        // Not left by this program: but what stands must not go, whatever is noted.
        _ => {
            ledger.forget_leaving(vec![leaving.path]).await?;
            Ok(None)
        }
    }
}

async fn move_aside(vault: &Vault, path: &str) -> Result<Option<PathBuf>, VaultError> {
    let (on, path) = (vault.clone(), path.to_owned());
    blocking(move || on.set_aside_if_there(&path)).await
}

async fn delete_noted(ledger: &Ledger, vault: &Vault, paths: Vec<String>) -> Result<(), ArchiveError> {
    let (on, names) = (vault.clone(), paths.clone());
    blocking(move || on.delete(&names)).await?;
    Ok(ledger.forget_leaving(paths).await?)
}
