//! Takes recordings out of the archive: those of a camera and a time joined into one film (MP4), or copies of them as they are.
//! Either way a manifest comes beside them.
//!
//! # How a film is made
//!
//! Each file is read twice. The first time its BLAKE3 is compared with the ledger's, and its timestamps, keyframes and codings
//! are looked at; one that is not what it was is not used, and that is said. Then it is planned where each stands
//! ([`crate::joining`]). The second time the frames are written behind each other into the film, and the hash is compared
//! once more. The index is written at the end ([`crate::mp4`]), so that no more than that and a few frames are ever in memory.
//!
//! What is written has another name until it is whole and durable: a crash leaves a file whose name begins with a dot and ends in
//! `.part`, and nothing else.
//!
//! # How gaps show
//!
//! The film's clock runs on over a gap: the last picture stands, sound is silent, and a track of text says what is missing. Long
//! samples are what every player understands; a list of edits with nothing in its middle is not, and a film that skips a
//! gap would hide it.

mod film;
mod originals;
mod place;
mod source;

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use thiserror::Error;

use crate::device::DeviceId;
use crate::manifest::{Manifest, SourceFile, Stretch};
use crate::mp4::Mp4Error;
use crate::recording::{ContentHash, Recording};
use crate::report::Gap;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::vault::VaultError;
use crate::window::{Cause, Missing};
use crate::wording;

pub use film::film;
pub use originals::originals;

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A disk failed: the archive's, or the one that is written to.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// It cannot be an MP4.
    #[error("{0}; with --flv the recordings are copied as they are")]
    NoMp4(Mp4Error),
    /// What is in a recording cannot be joined with the others, or with any.
    #[error(
        "{path}, at {moment}: {why}; export the time before and the time after that for themselves, or with --flv, which copies the recordings as they are"
    )]
    CannotJoin {
        /// The recording.
        path: String,
        /// When, in the camera's local time.
        moment: String,
        /// What is in the way.
        why: String,
    },
    /// A recording is in a container whose frames are not read.
    #[error(
        "{path} is {container}, recorded live over HLS, which cannot be joined yet; leave its time out, or use --flv, which copies the recordings as they are"
    )]
    Container {
        /// The recording.
        path: String,
        /// What it is.
        container: &'static str,
    },
    /// A recording was moved, deleted or changed between the two readings.
    #[error("{path} was changed or taken away while it was exported; nothing was written, try again")]
    Changed {
        /// The recording.
        path: String,
    },
    /// Nothing is there to export.
    #[error("nothing of that time is archived, so nothing was written; archive gaps says why")]
    Nothing,
    /// What is there cannot be used.
    #[error("none of what is archived of that time can be used, so nothing was written{problems}")]
    Unusable {
        /// Each recording with what is wrong with it, from its punctuation on.
        problems: String,
    },
    /// What is to be written is there already.
    #[error("{} is there already; name another place, or add --force to replace it", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A signal asked for the end.
    #[error("stopped by a signal before it was whole")]
    Stopped,
}

impl From<Mp4Error> for ExportError {
    fn from(error: Mp4Error) -> Self {
        Self::NoMp4(error)
    }
}

/// What one camera has of the time that was asked for, as the ledger knows it at one moment.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The camera.
    pub device: DeviceId,
    /// The time.
    pub range: TimeRange,
    /// The camera's local time.
    pub zone: Tz,
    /// The recordings that have any of it, in order.
    pub recordings: Vec<Recording>,
    /// Its gaps, cut to it.
    pub gaps: Vec<Gap>,
    /// All that is missing and was asked for, also what was pruned.
    pub missing: Vec<Missing>,
}

/// What was written, and what is to be told of it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What the manifest says.
    pub manifest: Manifest,
    /// The manifest's own bytes.
    pub json: String,
    /// Where the film or the folder of copies is.
    pub output: PathBuf,
    /// Where the manifest is.
    pub manifest_path: PathBuf,
    /// The BLAKE3 of the manifest's bytes.
    pub manifest_blake3: ContentHash,
}

impl Wanted {
    fn stretch(&self, range: TimeRange) -> Stretch {
        Stretch {
            device: self.device,
            range,
            from_utc: range.start().to_string(),
            to_utc: range.end().to_string(),
            from_local: wording::time(range.start(), self.zone),
            to_local: wording::time(range.end(), self.zone),
            seconds: range.seconds(),
        }
    }

    fn source(&self, recording: &Recording) -> SourceFile {
        SourceFile {
            time: self.stretch(recording.range),
            path: recording.path.clone(),
            bytes: recording.bytes,
            blake3: recording.blake3.to_string(),
            recorded: recording.source,
            clock_offset_milliseconds: recording.clock_offset,
            note: recording.note.clone(),
            problem: None,
            shown: None,
            copy: None,
        }
    }

    fn pruned(&self) -> Vec<TimeRange> {
        self.missing.iter().filter(|missing| missing.cause == Cause::Pruned).map(|missing| missing.range).collect()
    }

    /// The time of which nobody ever asked for anything.
    fn never_asked(&self) -> Vec<TimeRange> {
        let mut known: RangeSet = self.missing.iter().map(|missing| missing.range).collect();
        self.recordings.iter().for_each(|recording| known.insert(recording.range));
        RangeSet::from(self.range).subtract(&known).ranges().to_vec()
    }
}

/// A manifest of these, before anything was exported.
fn manifest(wanted: &[Wanted], now: UtcSecond) -> Manifest {
    let stretches = |ranges: fn(&Wanted) -> Vec<TimeRange>| {
        wanted.iter().flat_map(|one| ranges(one).into_iter().map(|range| one.stretch(range))).collect()
    };
    Manifest {
        made_by: format!("archive {}", env!("CARGO_PKG_VERSION")),
        made_utc: now.to_string(),
        asked: stretches(|one| vec![one.range]),
        film: None,
        sources: wanted.iter().flat_map(|one| one.recordings.iter().map(|recording| one.source(recording))).collect(),
        gaps: wanted.iter().flat_map(|one| one.gaps.iter().cloned()).collect(),
        never_asked: stretches(Wanted::never_asked),
        pruned: stretches(Wanted::pruned),
    }
}

/// The manifest's bytes.
fn json(manifest: &Manifest) -> Result<String, ExportError> {
    let text = serde_json::to_string_pretty(manifest).map_err(|error| {
        // OK to call it the disk's: nothing else stands between a value and its text.
        crate::vault::failed("write the manifest", std::path::Path::new("-"))(io::Error::other(error))
    })?;
    Ok(text + "\n")
}

/// Milliseconds since 1970 as text.
fn moment(milliseconds: i64) -> String {
    let time = DateTime::from_timestamp_millis(milliseconds).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
