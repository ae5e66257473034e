//! What the parser found, as plain values.

use super::amf::Claims;
use crate::recording::{AudioCodec, MediaFacts, VideoCodec};

/// How many of the first bytes are kept to quote from what is no FLV.
pub(super) const QUOTED: usize = 64;

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Too few bytes to tell; none of them contradicts an FLV.
    Undecided,
    /// An FLV header.
    Flv,
    /// Something else: its first bytes, up to 64.
    NotFlv(FirstBytes),
}

/// The first bytes of something, up to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstBytes {
    pub(super) bytes: [u8; QUOTED],
    pub(super) length: u8,
}

impl FirstBytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Where in its structure the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After a whole tag, or after the file header.
    Boundary,
    /// Inside the file header, or in what is no FLV.
    FileHeader,
    /// Inside a tag's header.
    TagHeader,
    /// Inside a tag's body or the PreviousTagSize behind it.
    TagBody,
    /// In bytes that are no tag, with none found after them.
    Garbage,
}

/// Bytes between or after tags that are no tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Where the first stretch begins.
    pub first_offset: Option<u64>,
    /// How many stretches there are.
    pub stretches: u64,
    /// How many bytes they are in all.
    pub bytes: u64,
    /// Whether whole tags were found after the last stretch.
    pub resynced: bool,
    /// Whole tags after the first stretch. They are counted here and nowhere else.
    pub tags_after: u64,
}

/// Whole tags before the first garbage, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagCounts {
    /// Video: frames, configurations and the end of sequence.
    pub video: u64,
    /// Audio: frames and configurations.
    pub audio: u64,
    /// Script: onMetaData and others.
    pub script: u64,
}

/// Timestamp jumps in one direction, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jumps {
    /// How many.
    pub count: u64,
    /// Their sizes together.
    pub total: i64,
    /// The largest.
    pub largest: i64,
}

impl Jumps {
    pub(super) fn add(&mut self, size: i64) {
        self.count += 1;
        self.total += size;
        self.largest = self.largest.max(size);
    }
}

/// A track's decoder configurations (sequence headers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configurations {
    /// How many came.
    pub seen: u64,
    /// How many of them were the same as the one before; harmless.
    pub repeated: u64,
    /// How many differed from the one before: a new codec, picture size or encoder setting.
    pub changed: u64,
    /// Frames before the first one; all of them when none came.
    pub frames_before_first: u64,
}

/// One track's frames before the first garbage. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// Pictures, or packets of sound. Configurations and frames without a byte of payload are none.
    pub frames: u64,
    /// Frames that are marked as decodable alone; zero for audio.
    pub keyframes: u64,
    /// The first frame's timestamp, as it was sent; zero without frames.
    pub first_timestamp: i64,
    /// The last frame's, carried on beyond 32 bits; zero without frames.
    pub last_timestamp: i64,
    /// Jumps back by more than 500 ms: a restart of the camera's clock.
    pub backward: Jumps,
    /// Steps forward that are more than 500 ms longer than usual: a hole.
    pub forward: Jumps,
    /// The usual step from frame to frame, of late.
    pub usual_interval: i64,
    /// Footage that is really there: the sum of the steps, a jump counting as a usual step, and the last frame too.
    pub media_milliseconds: i64,
    /// The same counted otherwise: frames by their usual interval, AAC by 1024 samples, G.711 by its bytes.
    pub counted_milliseconds: i64,
    /// Decoder configurations.
    pub configurations: Configurations,
    /// How often the codec changed.
    pub codec_changes: u64,
    /// Whether an end of sequence came: evidence that the sender was done, not that everything came.
    pub end_of_sequence: bool,
}

/// What the input is, as if it ended here. Everything but `total_bytes`, `end` and `garbage` speaks of the first
/// `good_bytes` only, so that it is true of a file that is cut off there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// What the first bytes are.
    pub signature: Signature,
    /// How many bytes were pushed.
    pub total_bytes: u64,
    /// The end of the last whole tag, with the PreviousTagSize behind it, before any garbage. A file cut off here is a
    /// clean FLV; zero when there is not even a header.
    pub good_bytes: u64,
    /// Where in its structure the input ended.
    pub end: End,
    /// What was no tag.
    pub garbage: Garbage,
    /// PreviousTagSize values that do not say what they should; players mind, the footage does not.
    pub previous_size_mismatches: u64,
    /// Whole tags.
    pub tags: TagCounts,
    /// The pictures.
    pub video: Track,
    /// The sound.
    pub audio: Track,
    /// How the first pictures are coded.
    pub video_codec: Option<VideoCodec>,
    /// How the first sound is coded.
    pub audio_codec: Option<AudioCodec>,
    /// Width and height of the first configuration that tells, in pixels.
    pub picture_size: Option<(u16, u16)>,
    /// The same of the last one.
    pub last_picture_size: Option<(u16, u16)>,
    /// What the first onMetaData says.
    pub claims: Claims,
}

impl Report {
    /// The track that footage is measured by: the pictures where there are any, else the sound.
    pub const fn main_track(&self) -> &Track {
        if self.video.frames > 0 { &self.video } else { &self.audio }
    }

    /// Milliseconds of footage in the first `good_bytes`.
    pub const fn footage_milliseconds(&self) -> i64 {
        self.main_track().media_milliseconds
    }

    /// Whether there is a picture or a sound at all.
    pub const fn has_frames(&self) -> bool {
        self.main_track().frames > 0
    }

    /// Whether the pictures' codec cannot be decoded without a configuration in the stream.
    pub const fn video_needs_configuration(&self) -> bool {
        matches!(self.video_codec, Some(VideoCodec::H264 | VideoCodec::H265 | VideoCodec::FourCc(_)))
    }

    /// The same of the sound.
    pub const fn audio_needs_configuration(&self) -> bool {
        matches!(self.audio_codec, Some(AudioCodec::Aac))
    }

    /// What the ledger keeps of it. The first timestamp is the main track's; a picture size is onMetaData's claim where
    /// the configuration does not tell.
    pub fn media_facts(&self) -> MediaFacts {
        MediaFacts {
            media_milliseconds: self.footage_milliseconds(),
            first_timestamp: self.main_track().first_timestamp,
            video_codec: self.video_codec,
            audio_codec: self.audio_codec,
            picture_size: self
                .picture_size
                .or_else(|| Some((pixels(self.claims.width?)?, pixels(self.claims.height?)?))),
        }
    }
}

fn pixels(claim: f64) -> Option<u16> {
    // OK to cast: it is within u16's range, and a fraction of a pixel is dropped.
    (claim >= 1.0 && claim <= f64::from(u16::MAX)).then_some(claim as u16)
}
