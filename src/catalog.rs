//! What stands in an archive's `.catalog/`: all that a ledger knows of its recordings and gaps and that the recordings' names and
//! bytes do not tell. A lost ledger is made anew from it ([`crate::reindex`]).
//!
//! Two kinds of files, in lines of JSON that people and other programs can read:
//!
//! - `recordings-000001.jsonl` and on: a [`Header`], and a [`RecordingLine`] for every recording that came since the file before.
//!   Written once, at the end of a run. The newest line of a recording counts, and one whose file is gone says nothing.
//! - `state.jsonl`: a [`Header`], and [`StateLine`]s for all devices and NVRs. Replaced as a whole at the end of a run.
//!
//! Times are UTC, ranges exclude their ends. Fields that a version does not know are passed over, and a field that is left out is
//! one of which nothing is known.

use std::fmt;

use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::device::DeviceId;
use crate::recording::{ContentHash, MediaFacts, Recording, Source};
use crate::time_range::{TimeRange, UtcSecond};

/// The version of what stands in these files. A newer one means that fields have changed their meaning.
pub const VERSION: u32 = 1;

/// A moment, as text: `2026-11-20T01:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcText(pub UtcSecond);

const TIME: &str = "%Y-%m-%dT%H:%M:%SZ";

impl Serialize for UtcText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UtcText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = NaiveDateTime::parse_from_str(&text, TIME);
        time.map(|time| Self(UtcSecond::floor(time.and_utc()))).map_err(serde::de::Error::custom)
    }
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `recordings-….jsonl`.
    Recordings,
    /// `state.jsonl`.
    State,
}

/// The first line of each file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What the file is.
    pub catalog: Kind,
    /// In which version of what these files say.
    pub version: u32,
    /// When it was written.
    pub written: UtcText,
    /// The number of the newest file of recordings when it was written: this one's own, or, of the state, that up to which it
    /// says what was asked for; nothing when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
}

/// A recording. Its name says the rest: the camera, its time, where it came from, and its container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingLine {
    /// Its name below the archive's root.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 of its bytes as they came.
    pub blake3: String,
    /// When it was published.
    pub archived: UtcText,
    /// As of [`MediaFacts::media_milliseconds`].
    pub media_milliseconds: i64,
    /// As of [`MediaFacts::first_timestamp`].
    pub first_timestamp: i64,
    /// The pictures' codec, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// The sound's codec, when there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// In pixels, when the stream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// As of [`Recording::clock_offset`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset: Option<i64>,
    /// What a person should know before trusting it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Why a line cannot be what it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine(String);

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RecordingLine {
    /// The line of a recording.
    pub fn of(recording: &Recording) -> Self {
        let media = &recording.media;
        let (width, height) = media.picture_size.unzip();
        Self {
            path: recording.path.clone(),
            bytes: recording.bytes,
            blake3: recording.blake3.to_string(),
            archived: UtcText(recording.archived_at),
            media_milliseconds: media.media_milliseconds,
            first_timestamp: media.first_timestamp,
            video: media.video_codec.map(|codec| codec.stored()),
            audio: media.audio_codec.map(|codec| codec.to_string()),
            width,
            height,
            clock_offset: recording.clock_offset,
            note: recording.note.clone(),
        }
    }

    /// The recording, with what its name says.
    pub fn recording(self, device: DeviceId, range: TimeRange, source: Source) -> Result<Recording, BadLine> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.blake3, &mut hash)
            .map_err(|_| BadLine(format!("{:?} is no BLAKE3 hash", self.blake3)))?;
        let bad = |error: crate::recording::UnknownCodec| BadLine(error.to_string());
        let media = MediaFacts {
            media_milliseconds: self.media_milliseconds,
            first_timestamp: self.first_timestamp,
            video_codec: self.video.map(|text| text.parse()).transpose().map_err(bad)?,
            audio_codec: self.audio.map(|text| text.parse()).transpose().map_err(bad)?,
            picture_size: self.width.zip(self.height),
        };
        Ok(Recording {
            device,
            range,
            path: self.path,
            bytes: self.bytes,
            blake3: ContentHash(hash),
            media,
            source,
            clock_offset: self.clock_offset,
            archived_at: self.archived.0,
            note: self.note,
        })
    }
}

/// What is known beside the recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateLine {
    /// A recorder that was named. Before the devices that it serves.
    Nvr(NvrLine),
    /// What was learned of a recorder, or of what stands for one.
    Limit(LimitLine),
    /// A camera, and what was asked of it.
    Device(Box<DeviceLine>),
}

/// As of the ledger's table `nvr`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NvrLine {
    /// Its name.
    pub nvr: String,
    /// Its store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// When the platform last listed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<UtcText>,
}

/// As of the ledger's table `nvr_limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitLine {
    /// Whose.
    pub nvr: String,
    /// How many downloads it takes at once.
    pub playbacks: i64,
    /// How long was last waited before one more was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_seconds: Option<i64>,
    /// How far back it keeps footage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_seconds: Option<i64>,
    /// How often it was asked for a recording.
    pub calls: i64,
    /// How often it refused.
    pub refused: i64,
    /// How often it was left alone.
    pub left_alone: i64,
    /// When that was learned.
    pub learned: UtcText,
}

/// As of the ledger's tables `device`, `media_mac`, `asked` and `missing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLine {
    /// Its number.
    pub device: i64,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its store's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_number: Option<i64>,
    /// Its store's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Its recorder, as the platform's list says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub puid: Option<String>,
    /// Its recorder, as the last run took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nvr: Option<String>,
    /// Its channel there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<i64>,
    /// Whether it was online when it was listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// When the platform last listed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<UtcText>,
    /// Its time zone, by its IANA name.
    pub zone: String,
    /// The addresses in the name of its media URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<MacsLine>,
    /// What was ever asked for.
    #[serde(default)]
    pub asked: Vec<[UtcText; 2]>,
    /// What of it is not archived.
    #[serde(default)]
    pub missing: Vec<MissingLine>,
}

/// As of the ledger's table `media_mac`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacsLine {
    /// The one that comes first.
    pub first: String,
    /// The other.
    pub second: String,
    /// When it was last another one.
    pub learned: UtcText,
}

/// As of the ledger's table `missing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLine {
    /// Its first second.
    pub from: UtcText,
    /// The first one after it.
    pub to: UtcText,
    /// Why.
    pub cause: String,
    /// How many attempts were made at it, over all runs.
    #[serde(default)]
    pub attempts: u32,
    /// The last code that decided an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_code: Option<String>,
    /// What else the last attempt had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_detail: Option<String>,
    /// When the cause was last learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_try: Option<UtcText>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{AudioCodec, VideoCodec};
    use crate::time_range::ALL_TIME;

    fn recording() -> Recording {
        let range = TimeRange::new(UtcSecond::new(1_795_132_800), UtcSecond::new(1_795_133_400)).unwrap();
        Recording {
            device: DeviceId::new(5).unwrap(),
            range,
            path: "5/2026-11-20/5_20261120T080000+0800_600s_live.ts".to_owned(),
            bytes: 75_000_000,
            blake3: ContentHash([0xab; 32]),
            media: MediaFacts {
                media_milliseconds: 600_000,
                first_timestamp: -3,
                video_codec: Some(VideoCodec::FourCc(*b"av01")),
                audio_codec: Some(AudioCodec::Other(11)),
                picture_size: Some((1280, 720)),
            },
            source: Source::Live,
            clock_offset: Some(-1_500),
            archived_at: range.end() + 3,
            note: "it begins 1.2 s before its time; \u{1b}[31m \"quoted\"\n".to_owned(),
        }
    }

    #[test]
    fn a_recording_is_read_back_as_it_was_written_in_one_line() {
        let (full, bare) =
            (recording(), Recording { media: MediaFacts::default(), note: String::new(), ..recording() });
        for written in [full, Recording { clock_offset: None, ..bare }] {
            let text = serde_json::to_string(&RecordingLine::of(&written)).unwrap();
            assert!(!text.contains(['\n', '\u{1b}']), "{text}");
            let line: RecordingLine = serde_json::from_str(&text).unwrap();
            assert_eq!(line.recording(written.device, written.range, written.source), Ok(written));
        }
    }

    #[test]
    fn every_moment_that_can_be_asked_for_is_read_back() {
        for moment in [ALL_TIME.start(), recording().archived_at, ALL_TIME.end() - 1, ALL_TIME.end()] {
            let text = serde_json::to_string(&UtcText(moment)).unwrap();
            assert_eq!(serde_json::from_str::<UtcText>(&text).unwrap(), UtcText(moment), "{text}");
        }
    }

    /// So that a later version may add fields without a new number.
    #[test]
    fn fields_that_are_not_known_are_passed_over_and_what_is_left_out_is_not_known() {
        let text = r#"{"device": {"device": 5, "zone": "Asia/Shanghai", "colour": "red"}}"#;
        let StateLine::Device(line) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        assert_eq!((line.device, line.asked.len(), line.missing.len(), line.name), (5, 0, 0, None));
    }

    #[test]
    fn a_hash_or_a_codec_that_is_none_is_refused() {
        let good = RecordingLine::of(&recording());
        let bad = [
            RecordingLine { blake3: "abcd".to_owned(), ..good.clone() },
            RecordingLine { video: Some("VHS".to_owned()), ..good },
        ];
        for line in bad {
            let Recording { device, range, source, .. } = recording();
            assert!(line.clone().recording(device, range, source).is_err(), "{line:?}");
        }
    }
}
