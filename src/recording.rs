//! An archived window's file, as the ledger knows it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::device::DeviceId;
use crate::time_range::{TimeRange, UtcSecond};

/// How the pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, FLV codec id 7.
    H264,
    /// H.265, as FLV codec id 12 or as the enhanced FourCC `hvc1`.
    H265,
    /// Something else, by its FLV codec id.
    Other(u8),
    /// Something else, by its enhanced FourCC.
    FourCc([u8; 4]),
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::H264 => f.write_str("H264"),
            Self::H265 => f.write_str("H265"),
            Self::Other(id) => write!(f, "flv-{id}"),
            Self::FourCc(name) => write!(f, "{}", name.escape_ascii()),
        }
    }
}

impl VideoCodec {
    /// The text that is stored, and read back. A FourCC is written in hexadecimal: its bytes are the camera's, and could spell
    /// another codec's name.
    pub fn stored(self) -> String {
        match self {
            Self::FourCc(name) => format!("fourcc-{}", hex::encode(name)),
            codec => codec.to_string(),
        }
    }
}

/// A text that names no codec that this version knows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no codec")]
pub struct UnknownCodec(String);

impl FromStr for VideoCodec {
    type Err = UnknownCodec;

    /// Reads what [`Self::stored`] wrote.
    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        let four_cc = |digits: &str| {
            let mut name = [0; 4];
            hex::decode_to_slice(digits, &mut name).ok()?;
            Some(Self::FourCc(name))
        };
        match text {
            "H264" => Some(Self::H264),
            "H265" => Some(Self::H265),
            text => text
                .strip_prefix("flv-")
                .and_then(|id| id.parse().ok().map(Self::Other))
                .or_else(|| text.strip_prefix("fourcc-").and_then(four_cc)),
        }
        .ok_or_else(|| UnknownCodec(text.to_owned()))
    }
}

/// How the sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC, FLV sound format 10.
    Aac,
    /// G.711 A-law, FLV sound format 7.
    G711A,
    /// G.711 µ-law, FLV sound format 8.
    G711U,
    /// Something else, by its FLV sound format.
    Other(u8),
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aac => f.write_str("AAC"),
            Self::G711A => f.write_str("G711A"),
            Self::G711U => f.write_str("G711U"),
            Self::Other(format) => write!(f, "flv-{format}"),
        }
    }
}

impl FromStr for AudioCodec {
    type Err = UnknownCodec;

    /// Reads what `Display` wrote.
    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        match text {
            "AAC" => Some(Self::Aac),
            "G711A" => Some(Self::G711A),
            "G711U" => Some(Self::G711U),
            text => text.strip_prefix("flv-").and_then(|id| id.parse().ok().map(Self::Other)),
        }
        .ok_or_else(|| UnknownCodec(text.to_owned()))
    }
}

/// Where a recording came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Downloaded from the NVR.
    Nvr,
    /// Recorded from a live stream.
    Live,
}

impl Source {
    /// Every source there is.
    pub const ALL: [Self; 2] = [Self::Nvr, Self::Live];

    /// The word that the ledger stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nvr => "nvr",
            Self::Live => "live",
        }
    }
}

/// What holds the streams of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Container {
    /// FLV: all that NVRs give, and live streams over HTTP-FLV.
    Flv,
    /// MPEG-TS: live streams over HLS.
    MpegTs,
    /// Fragmented MP4: live streams over HLS.
    Mp4,
}

impl Container {
    /// Every container there is.
    pub const ALL: [Self; 3] = [Self::Flv, Self::MpegTs, Self::Mp4];

    /// The end of a file's name, without its dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::MpegTs => "ts",
            Self::Mp4 => "mp4",
        }
    }

    /// The container of a file whose name ends so, without the dot.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.extension() == extension)
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A BLAKE3 hash of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the streams in a file are, as its own bytes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaFacts {
    /// Milliseconds of footage that are really there.
    pub media_milliseconds: i64,
    /// The first media timestamp in the file, in milliseconds; cameras often send their uptime.
    pub first_timestamp: i64,
    /// How the pictures are coded, when there are any.
    pub video_codec: Option<VideoCodec>,
    /// How the sound is coded, when there is any.
    pub audio_codec: Option<AudioCodec>,
    /// Width and height in pixels, when the stream tells.
    pub picture_size: Option<(u16, u16)>,
}

/// A file in the archive that holds the whole of one range of one device's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The camera.
    pub device: DeviceId,
    /// The time that it covers.
    pub range: TimeRange,
    /// Its name below the archive's root, with `/` between folders.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 of its bytes.
    pub blake3: ContentHash,
    /// What its streams are.
    pub media: MediaFacts,
    /// Where it came from.
    pub source: Source,
    /// Of a live recording, by how many milliseconds the platform's clock was ahead of this machine's: its range is on the
    /// platform's clock. Nothing when the platform did not tell the time, and for what an NVR recorded.
    pub clock_offset: Option<i64>,
    /// When it was published (UTC).
    pub archived_at: UtcSecond,
    /// What a person should know before trusting it: that a local label was ambiguous, that frames and timestamps
    /// disagree. Empty for nearly all.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_read_back_as_they_were_written() {
        for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Other(2), VideoCodec::FourCc(*b"H264")] {
            assert_eq!(codec.stored().parse(), Ok(codec));
        }
        for codec in [AudioCodec::Aac, AudioCodec::G711A, AudioCodec::G711U, AudioCodec::Other(2)] {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
        assert!("fourcc-zz".parse::<VideoCodec>().is_err());
        assert!("flv-900".parse::<AudioCodec>().is_err());
    }
}
