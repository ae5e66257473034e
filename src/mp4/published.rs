//! What an MP4 that was made when a recording was published says of itself, and whether it is whole.
//!
//! Two boxes beside those that players read, of a type (`uuid`) that they pass over. Before the frames stands what the ledger says
//! of the recording and the MP4 does not: what was found in the FLV it was made of, with the note. At the very end
//! stands the BLAKE3 of all bytes before that box. So a file whose row is lost becomes a recording again with the same words, and one
//! of which a part is missing or other than it was does not.

use serde::{Deserialize, Serialize};

use super::Mp4Error;
use super::frames::Frames;
use crate::device::DeviceId;
use crate::recording::{ContentHash, MediaFacts, Source};
use crate::time_range::{TimeRange, UtcSecond};

/// The type of the box with the facts: a UUID made for it.
pub(super) const FACTS: [u8; 16] = *b"\x5c\x0f\x6b\x1e\x4d\x92\x4a\x37\x9e\xd0\x61\xb7\x2a\x88\xf3\x14";
/// The type of the box at the end.
const SEAL: [u8; 16] = *b"\x5c\x0f\x6b\x1e\x4d\x92\x4a\x37\x9e\xd0\x61\xb7\x2a\x88\xf3\x15";
/// Bytes of a box of such a type before its body.
const HEADER: usize = 8 + 16;
/// Bytes of the box at the end.
const SEAL_BYTES: usize = HEADER + 32;
/// The version of what the facts say.
const VERSION: u32 = 1;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The camera.
    pub device: DeviceId,
    /// The time that it covers.
    pub range: TimeRange,
    /// Where it came from.
    pub source: Source,
    /// What the FLV's streams were: its first timestamp is in there too.
    pub media: MediaFacts,
    /// As of [`crate::recording::Recording::clock_offset`].
    pub clock_offset: Option<i64>,
    /// As of [`crate::recording::Recording::note`].
    pub note: String,
    /// When the FLV's first frame is shown, in milliseconds of the MP4: later than zero when sound came before the first picture.
    pub zero: i64,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    device: i64,
    start: i64,
    end: i64,
    source: String,
    media_milliseconds: i64,
    first_timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    video: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture_size: Option<(u16, u16)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock_offset: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    zero_milliseconds: i64,
}

impl Facts {
    /// The box.
    pub(super) fn to_box(&self) -> Result<Vec<u8>, Mp4Error> {
        let media = &self.media;
        let line = Line {
            version: VERSION,
            device: self.device.get(),
            start: self.range.start().get(),
            end: self.range.end().get(),
            source: self.source.as_str().to_owned(),
            media_milliseconds: media.media_milliseconds,
            first_timestamp: media.first_timestamp,
            video: media.video_codec.map(|codec| codec.stored()),
            audio: media.audio_codec.map(|codec| codec.to_string()),
            picture_size: media.picture_size,
            clock_offset: self.clock_offset,
            note: self.note.clone(),
            zero_milliseconds: self.zero,
        };
        let json = serde_json::to_vec(&line).map_err(|error| Mp4Error::Boxes(error.to_string()))?;
        Ok(own_box(FACTS, &json))
    }

    /// Reads what [`Self::to_box`] wrote into the box; nothing when it says it otherwise.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(body).ok().filter(|line: &Line| line.version == VERSION)?;
        Some(Self {
            device: DeviceId::new(line.device)?,
            range: TimeRange::new(UtcSecond::new(line.start), UtcSecond::new(line.end))?,
            source: Source::ALL.into_iter().find(|source| source.as_str() == line.source)?,
            media: MediaFacts {
                media_milliseconds: line.media_milliseconds,
                first_timestamp: line.first_timestamp,
                video_codec: line.video.map(|text| text.parse()).transpose().ok()?,
                audio_codec: line.audio.map(|text| text.parse()).transpose().ok()?,
                picture_size: line.picture_size,
            },
            clock_offset: line.clock_offset,
            note: line.note,
            zero: line.zero_milliseconds,
        })
    }
}

/// The box at the end of a file that has this BLAKE3 without it.
pub fn seal(blake3: ContentHash) -> Vec<u8> {
    own_box(SEAL, &blake3.0)
}

fn own_box(kind: [u8; 16], body: &[u8]) -> Vec<u8> {
    // OK: a note is some hundred bytes.
    let size = (HEADER + body.len()) as u32;
    [&size.to_be_bytes()[..], b"uuid", &kind, body].concat()
}

/// Looks whether a file is one of these, and whole: push its bytes, in pieces of any size.
#[derive(Debug, Default)]
pub struct Examiner {
    frames: Frames,
    hasher: blake3::Hasher,
    /// The last bytes, which may be the box at the end.
    tail: Vec<u8>,
    bytes: u64,
}

impl Examiner {
    /// The next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.frames.push(bytes, |_| {});
        self.tail.extend_from_slice(bytes);
        let hashed = self.tail.len().saturating_sub(SEAL_BYTES);
        self.hasher.update(&self.tail[..hashed]);
        self.tail.drain(..hashed);
    }

    /// Whether it is one of these at all, as far as it was read. If not, it is a live stream's, or nobody knows what.
    pub fn is_ours(&self) -> bool {
        self.frames.facts().is_some()
    }

    /// What it says, and how many bytes it has; why it is not whole.
    pub fn finish(self) -> Result<(Facts, u64), String> {
        let Some(facts) = self.frames.facts() else {
            return Err("it is no MP4 that was made of a recording".to_owned());
        };
        if let Some(problem) = self.frames.problem() {
            return Err(problem.to_owned());
        }
        let found = ContentHash(*self.hasher.finalize().as_bytes());
        if self.tail != seal(found) {
            return Err(
                "it is not whole, or not what it was: its end does not have the BLAKE3 of what is before it".to_owned()
            );
        }
        Ok((facts.clone(), self.bytes))
    }
}
