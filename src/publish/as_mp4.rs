//! Makes an MP4 of an FLV that is about to be published, where the archive is to hold MP4s and an MP4 can hold it.
//!
//! What the judge said of the FLV stays said: how much footage it is, its note, its streams. What an MP4 cannot hold is published as the
//! FLV that it is, and its note says why: nothing is lost for a container.
//!
//! For a moment both are in staging. A download's FLV is deleted as soon as the MP4 is complete: if that is lost too, it is asked for
//! again. What came live cannot be, so its FLV stays until the ledger has the recording.

use std::io;
use std::ops::ControlFlow;

use tokio::sync::Semaphore;

use super::{ArchiveError, Ready, blocking};
use crate::failpoint::{Failpoint, reached};
use crate::mp4::published::{Facts, seal};
use crate::mp4::remux::{Copier, Planner, Unfit};
use crate::recording::Container;
use crate::vault::{Staging, Vault, VaultError, failed};

/// How many are made at once in this process: each reads and writes as fast as the disk can, and holds an index in memory.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// What is to be published: an MP4 of it; or the same, with the reason why not in its note, where the archive asks for MP4s. And the
/// FLV that an MP4 was made of, if that must outlive it.
pub(super) async fn where_wanted(vault: &Vault, ready: Ready) -> Result<(Ready, Option<Staging>), ArchiveError> {
    if vault.publishes_as() != Container::Mp4 || ready.named.container != Container::Flv {
        return Ok((ready, None));
    }
    // OK without a permit: nobody closes the semaphore.
    let _permit = AT_ONCE.acquire().await.ok();
    Ok(blocking(move || as_mp4(ready)).await?)
}

fn as_mp4(mut ready: Ready) -> Result<(Ready, Option<Staging>), VaultError> {
    let facts = Facts {
        device: ready.named.device,
        range: ready.named.range,
        source: ready.named.source,
        media: ready.media,
        clock_offset: ready.clock_offset,
        note: ready.note.clone(),
        zero: 0,
    };
    match remux(&mut ready.staging, ready.good_bytes, facts)? {
        Ok(mp4) => {
            ready.good_bytes = mp4.bytes();
            ready.named.container = Container::Mp4;
            let flv = std::mem::replace(&mut ready.staging, mp4);
            Ok((ready, Some(flv).filter(Staging::stays)))
        }
        Err(unfit) => {
            let why = format!("it stays an FLV, as an MP4 cannot hold all of it: {unfit}");
            let before = std::mem::take(&mut ready.note);
            ready.note = if before.is_empty() { why } else { format!("{before}; {why}") };
            Ok((ready, None))
        }
    }
}

/// Writes the first `good_bytes` of an FLV into an MP4 beside it, in two readings.
fn remux(flv: &mut Staging, good_bytes: u64, facts: Facts) -> Result<Result<Staging, Unfit>, VaultError> {
    let milliseconds = facts.media.media_milliseconds.max(facts.range.seconds().saturating_mul(1000));
    let mut planner = Planner::new(milliseconds);
    flv.read_first(good_bytes, |bytes| {
        planner.push(bytes);
        Ok(if planner.is_unfit() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let plan = match planner.finish(facts) {
        Ok(plan) => plan,
        Err(unfit) => return Ok(Err(unfit)),
    };
    reached(Failpoint::Remux).map_err(failed("rewrite", flv.path()))?;
    let mut mp4 = flv.beside()?;
    mp4.append(&plan.head)?;
    let mut copier = Copier::new(milliseconds);
    flv.read_first(good_bytes, |bytes| {
        copier.push(bytes, |frames| mp4.append(frames))?;
        Ok(ControlFlow::Continue(()))
    })?;
    if copier.finish(|frames| mp4.append(frames))? != plan.media_bytes {
        let changed = io::Error::other("the second reading found something else than the first");
        return Err(failed("read back", flv.path())(changed));
    }
    let seal = seal(mp4.blake3()?);
    mp4.append(&seal)?;
    mp4.flush()?;
    reached(Failpoint::Remuxed).map_err(failed("rewrite", mp4.path()))?;
    Ok(Ok(mp4))
}
