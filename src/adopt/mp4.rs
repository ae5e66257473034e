//! Published MP4s that were made of FLVs. Each says of itself what the FLV was, and has the hash of it all at its end: so
//! what it becomes is what it would have become, to the note.

use std::io::{self, Read};

use super::{Check, read};
use crate::mp4::published::Examiner;
use crate::recording::Recording;
use crate::vault::{Found, Named};

/// The recording that a file is, or why it is none; nothing when it is no MP4 that this program made.
pub(super) fn published(found: &Found, file: impl Read, check: Check) -> io::Result<Option<Result<Recording, String>>> {
    let Named { device, range, source, .. } = found.named;
    let mut examiner = Examiner::default();
    let (blake3, _) = read(file, |bytes| examiner.push(bytes))?;
    if !examiner.is_ours() {
        return Ok(None);
    }
    let (facts, bytes) = match examiner.finish() {
        Ok(whole) => whole,
        Err(why) => return Ok(Some(Err(why))),
    };
    if (facts.device, facts.range, facts.source) != (device, range, source) {
        let (device, range) = (facts.device, facts.range);
        return Ok(Some(Err(format!("its name says otherwise than it does: it is of camera {device}, {range}"))));
    }
    if facts.media.media_milliseconds < (range.seconds() - check.tolerance_seconds) * 1000 {
        let footage = facts.media.media_milliseconds / 1000;
        return Ok(Some(Err(format!("it is not whole: it has {footage} s of footage"))));
    }
    Ok(Some(Ok(Recording {
        device,
        range,
        path: found.path.clone(),
        bytes,
        blake3,
        media: facts.media,
        source,
        clock_offset: facts.clock_offset,
        archived_at: check.now,
        note: facts.note,
    })))
}
