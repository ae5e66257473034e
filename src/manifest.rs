//! What an export says of itself, beside it: of which recordings it is made, what is missing in it and why.

use serde::Serialize;

use crate::device::DeviceId;
use crate::recording::Source;
use crate::report::Gap;
use crate::time_range::TimeRange;

/// What was exported, and what of what was asked for could not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// The program, with its version.
    pub made_by: String,
    /// When (UTC).
    pub made_utc: String,
    /// What was asked for.
    pub asked: Vec<Stretch>,
    /// The film; nothing where the recordings were copied as they are.
    pub film: Option<Film>,
    /// The recordings of that time, in its order, also those that could not be used.
    pub sources: Vec<SourceFile>,
    /// What is missing of that time, and why: the ledger's gaps.
    pub gaps: Vec<Gap>,
    /// What of that time was never asked of any recorder, so that nobody knows what was there.
    pub never_asked: Vec<Stretch>,
    /// What of that time was archived once, until its retention ended.
    pub pruned: Vec<Stretch>,
}

impl Manifest {
    /// Whether anything is missing that the ledger knows to be missing.
    pub fn has_gaps(&self) -> bool {
        !(self.gaps.is_empty() && self.never_asked.is_empty() && self.pruned.is_empty())
    }

    /// The recordings that could not be used as they should have been.
    pub fn failed(&self) -> impl Iterator<Item = &SourceFile> {
        self.sources.iter().filter(|source| source.problem.is_some())
    }
}

/// A stretch of one camera's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The camera.
    pub device: DeviceId,
    /// The time, in seconds since 1970.
    #[serde(flatten)]
    pub range: TimeRange,
    /// Its start in UTC, as text.
    pub from_utc: String,
    /// Its end in UTC, as text.
    pub to_utc: String,
    /// Its start in the camera's local time, with the offset.
    pub from_local: String,
    /// Its end in the camera's local time, with the offset.
    pub to_local: String,
    /// How long it is.
    pub seconds: i64,
}

/// The one file that recordings were joined into. Times of the film are milliseconds after its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Film {
    /// Its name, without its folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 of its bytes.
    pub blake3: String,
    /// The moment at which it begins (UTC, with milliseconds): its first picture's, or that from which it was asked for.
    pub begins_utc: String,
    /// How long it is.
    pub milliseconds: i64,
    /// Pictures.
    pub pictures: u64,
    /// Packets of sound.
    pub sounds: u64,
    /// How its pictures and its sound are coded: more than one of a kind where that changes on the way.
    pub codings: Vec<String>,
    /// Where one picture stands for longer than two seconds and than usual: gaps, and holes within recordings.
    pub stills: Vec<Still>,
}

/// A picture that stands until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Still {
    /// When it comes.
    pub at_milliseconds: i64,
    /// For how long it stands.
    pub milliseconds: i64,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// The time that it covers, on the recorder's clock (the platform's, of a live one).
    #[serde(flatten)]
    pub time: Stretch,
    /// Its name below the archive's root.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 of its bytes when it was published. Whatever was used of it had it still.
    pub blake3: String,
    /// From where it was recorded.
    pub recorded: Source,
    /// Of a live one, by how much the platform's clock was ahead of the recording machine's, when that is known.
    pub clock_offset_milliseconds: Option<i64>,
    /// What was noted of it when it was published.
    pub note: String,
    /// Why it could not be used, or not all of it.
    pub problem: Option<String>,
    /// What of it is in the film.
    pub shown: Option<Shown>,
    /// What its copy is called.
    pub copy: Option<String>,
}

/// What of a recording is in the film.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// When its first frame comes.
    pub at_milliseconds: i64,
    /// When its last frame ends.
    pub until_milliseconds: i64,
    /// The moment of its first frame (UTC, with milliseconds): the range's start, and what the file's timestamps say beyond it.
    pub begins_utc: String,
    /// Pictures.
    pub pictures: u64,
    /// Packets of sound.
    pub sounds: u64,
    /// Frames of the time that was asked for that no decoder could begin with, so that they were left out.
    pub undecodable: u64,
    /// By how much later than its moment a frame is shown, since the recording before has more footage than its time; less than
    /// zero where the two have footage in common.
    pub late_milliseconds: i64,
    /// How much of its end is left out, since the next recording begins with it.
    pub again_milliseconds: i64,
}
