//! Writes the archive's catalog, at the end of a run and every hour of a live one: [`crate::catalog`] says what is in it, and [`crate::reindex`] reads it.
//!
//! It costs what the run brought, not what the archive holds: the ledger knows which recordings the catalog does not name. Where
//! the files that it has written are gone, or it has never written any, it names all of them.
//!
//! # The order, and what a crash leaves at each step
//!
//! 1. A new file of recordings is made durable under its name. Crash: recordings that are named twice, which is once.
//! 2. The ledger is told that they are named. Crash: a state that says nothing of the newest recordings; their time counts as
//!    asked for.
//! 3. The state is replaced. Crash: nothing to do.
//!
//! Two hosts that end in the same moment both find themselves the last, and both write. That is harmless: a file of recordings takes the
//! place of nothing, so the second one's is refused before the ledger hears of it, and it begins again with the next number; what
//! both have named is named twice, which is once. Of two states the later one stays, and either is as good as a crash leaves it.

use crate::catalog::{Header, Kind, RecordingLine, UtcText, VERSION};
use crate::event::{Event, StopReason};
use crate::ledger::{Ledger, LedgerError};
use crate::publish::{ArchiveError, blocking};
use crate::recording::Recording;
use crate::time_range::UtcSecond;
use crate::vault::{CatalogFile, Vault, VaultError};

/// How often it is begun again because another host was faster.
const TRIES: usize = 10;

/// How many devices one question to the ledger is about.
const DEVICES: usize = 64;

/// Writes down what the catalog does not say yet, unless a run has `stopped` because the archive's disk is full or fails, or its store is away. Gives what
/// is to be told when it cannot, which is no failure of the run: the ledger has it all.
pub async fn bring_up_to_date(
    ledger: &Ledger,
    vault: &Vault,
    now: UtcSecond,
    stopped: Option<&StopReason>,
) -> Option<Event> {
    if matches!(stopped, Some(StopReason::DiskFull(_) | StopReason::Broken(_) | StopReason::StoreAway(_))) {
        return None;
    }
    match ledger.refuse_hosts().await {
        Ok(()) => {}
        // The last of many hosts does it for all.
        Err(LedgerError::OnServer { .. }) => return None,
        Err(error) => return Some(Event::CatalogNotWritten { why: error.to_string() }),
    }
    // Whoever wants the end does not wait until all of a large archive is named, which takes minutes: the next run does it.
    let in_a_hurry = matches!(stopped, Some(StopReason::Signal));
    for _ in 0..TRIES {
        match write(ledger, vault, now, in_a_hurry).await {
            Ok(true) => return None,
            Ok(false) => {}
            Err(error) => return Some(Event::CatalogNotWritten { why: error.to_string() }),
        }
    }
    Some(Event::CatalogNotWritten { why: "others write it at the same time, again and again".to_owned() })
}

/// Writes down what the catalog does not say yet; nothing, where that is all and somebody is `in_a_hurry`. Beside a run of the
/// other source, whose newest recordings it may leave to the next time. False when another host had the file's number first: then
/// the ledger has heard of nothing, and may have less to name by now.
async fn write(ledger: &Ledger, vault: &Vault, now: UtcSecond, in_a_hurry: bool) -> Result<bool, ArchiveError> {
    let on = vault.clone();
    let _lock = blocking(move || on.lock_catalog()).await?;
    let newest = vault.catalog_segments()?.last().copied();
    let known = ledger.catalog_segment().await?;
    // Another archive's folder, or one whose catalog was deleted, has less than the ledger has written.
    let is_there = known.is_some_and(|known| newest.is_some_and(|newest| newest >= known));
    let mut writer =
        Writer { ledger, vault, now, number: newest.map_or(1, |newest| newest.saturating_add(1)), file: None };
    let last = ledger.newest_change().await?;
    match is_there {
        true => writer.name_new(last).await?,
        false if in_a_hurry => return Ok(true),
        false => writer.name_all().await?,
    }
    let segment = match writer.file.take() {
        Some(file) => {
            let number = writer.number;
            if !blocking(move || file.publish()).await? {
                return Ok(false);
            }
            ledger.catalogued(number, last).await?;
            Some(number)
        }
        None => newest,
    };
    write_state(ledger, vault, now, segment).await?;
    Ok(true)
}

struct Writer<'a> {
    ledger: &'a Ledger,
    vault: &'a Vault,
    now: UtcSecond,
    /// Of the file that is written, if there is anything to write.
    number: u64,
    file: Option<CatalogFile>,
}

impl Writer<'_> {
    /// Names the recordings of all changes up to `last` that are not named yet.
    async fn name_new(&mut self, last: i64) -> Result<(), ArchiveError> {
        let mut after = 0;
        while let Some((up_to, recordings)) = self.ledger.uncatalogued(after, last).await? {
            after = up_to;
            self.name(recordings).await?;
        }
        Ok(())
    }

    /// Names all recordings.
    async fn name_all(&mut self) -> Result<(), ArchiveError> {
        let mut after = None;
        loop {
            let recordings = self.ledger.recordings_after(after).await?;
            let Some(last) = recordings.last() else { return Ok(()) };
            after = Some((last.device, last.range.start()));
            self.name(recordings).await?;
        }
    }

    async fn name(&mut self, recordings: Vec<Recording>) -> Result<(), ArchiveError> {
        let (file, vault, number) = (self.file.take(), self.vault.clone(), self.number);
        let header = header(Kind::Recordings, self.now, Some(number));
        let appended = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => begin(vault.new_catalog_segment(number)?, &header)?,
            };
            let lines: Vec<_> = recordings.iter().map(RecordingLine::of).collect();
            file.append(&lines)?;
            Ok::<_, VaultError>(file)
        });
        self.file = Some(appended.await?);
        Ok(())
    }
}

async fn write_state(ledger: &Ledger, vault: &Vault, now: UtcSecond, segment: Option<u64>) -> Result<(), ArchiveError> {
    let (on, nvrs) = (vault.clone(), ledger.nvr_lines().await?);
    let mut file = blocking(move || {
        let mut file = begin(on.new_catalog_state()?, &header(Kind::State, now, segment))?;
        file.append(&nvrs)?;
        Ok::<_, VaultError>(file)
    })
    .await?;
    let devices: Vec<_> = ledger.devices().await?.into_iter().map(|row| row.facts.device).collect();
    for some in devices.chunks(DEVICES) {
        let lines = ledger.device_lines(some.to_vec()).await?;
        file = blocking(move || file.append(&lines).map(|()| file)).await?;
    }
    // OK to ignore what it says: a state takes the place of any.
    blocking(move || file.publish()).await?;
    Ok(())
}

fn begin(mut file: CatalogFile, header: &Header) -> Result<CatalogFile, VaultError> {
    file.append(std::slice::from_ref(header))?;
    Ok(file)
}

fn header(catalog: Kind, now: UtcSecond, segment: Option<u64>) -> Header {
    Header { catalog, version: VERSION, written: UtcText(now), segment }
}

#[cfg(test)]
mod tests;
