//! What a run that was cut off had judged and not brought into an object store: it is judged once more and uploaded, so that no
//! recorder is asked for it again.

use std::fs::File;
use std::io;

use crate::event::Recovery;
use crate::ledger::Ledger;
use crate::publish::{self, ArchiveError, blocking};
use crate::recording::{Recording, Source};
use crate::time_range::RangeSet;
use crate::vault::{Found, Patience, Vault, VaultError, failed};

use super::{Check, judged};

/// Uploads the judged file of a name under which nothing stands, if it is there; takes the note back if it is not.
pub(super) async fn again(
    ledger: &Ledger,
    vault: &Vault,
    path: String,
    check: Check,
) -> Result<Option<Recovery>, ArchiveError> {
    let (on, name) = (vault.clone(), path.clone());
    let examined = blocking(move || examine(&on, &name, check)).await?;
    let Some(recording) = examined else {
        forget(ledger, vault, path).await?;
        return Ok(None);
    };
    let archived = ledger.recordings_overlapping(recording.device, recording.range).await?;
    if !archived.is_empty() {
        // By another that was faster. What is left of a download is asked for again; what came live nobody else may have.
        let archived: RangeSet = archived.iter().map(|other| other.range).collect();
        let is_superfluous = RangeSet::from(recording.range).subtract(&archived).is_empty();
        if recording.source == Source::Nvr || is_superfluous {
            forget(ledger, vault, path).await?;
            return Ok(None);
        }
        let (on, name) = (vault.clone(), path.clone());
        let aside = blocking(move || on.set_aside_ready(&name)).await?;
        ledger.forget_publishing(path).await?;
        return Ok(Some(Recovery::SetAside { path: aside, why: "part of its time is archived already".to_owned() }));
    }
    let (on, ready) = (vault.clone(), recording.clone());
    let outgoing = blocking(move || on.send_ready(ready, Patience::default())).await?;
    let (recording, _) = publish::upload(ledger, outgoing, recording).await?;
    match publish::record(ledger, vault, &recording, None).await? {
        None => Ok(Some(Recovery::Adopted { recording: Box::new(recording) })),
        overtaken => Ok(overtaken),
    }
}

/// The recording that a judged file is; nothing when there is none, or it is none.
fn examine(vault: &Vault, path: &str, check: Check) -> Result<Option<Recording>, VaultError> {
    let Some((found, file)) = vault.ready(path)? else { return Ok(None) };
    let read = |found: &Found| -> io::Result<Result<Recording, String>> { judged(found, || File::open(&file), check) };
    Ok(read(&found).map_err(failed("read", &file))?.ok())
}

async fn forget(ledger: &Ledger, vault: &Vault, path: String) -> Result<(), ArchiveError> {
    vault.forget_ready(&path)?;
    Ok(ledger.forget_publishing(path).await?)
}
