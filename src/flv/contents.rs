//! What the whole tags so far add up to.

use super::amf::Claims;
use super::report::{Configurations, TagCounts, Track};
use super::tag::{Content, Kind, TagHeader};
use super::timeline::Timeline;
use crate::recording::{AudioCodec, VideoCodec};

/// Samples in an AAC frame.
const AAC_SAMPLES: i64 = 1024;
/// Bytes of one channel of G.711 in a millisecond.
const G711_BYTES: i64 = 8;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contents {
    pub previous_size_mismatches: u64,
    pub tags: TagCounts,
    pub video_codec: Option<VideoCodec>,
    pub audio_codec: Option<AudioCodec>,
    pub picture_size: Option<(u16, u16)>,
    pub last_picture_size: Option<(u16, u16)>,
    pub claims: Option<Claims>,
    video: Stream<VideoCodec>,
    audio: Stream<AudioCodec>,
    keyframes: u64,
    end_of_sequence: bool,
    aac_rate: Option<u32>,
    aac_frames: i64,
    g711_bytes: i64,
}

/// What pictures and sound have in common.
#[derive(Clone, Copy, Debug)]
struct Stream<Codec> {
    timeline: Timeline,
    configurations: Configurations,
    configuration: Option<u64>,
    codec: Option<Codec>,
    codec_changes: u64,
}

impl<Codec> Default for Stream<Codec> {
    fn default() -> Self {
        Self {
            timeline: Timeline::default(),
            configurations: Configurations::default(),
            configuration: None,
            codec: None,
            codec_changes: 0,
        }
    }
}

impl<Codec: Copy + PartialEq> Stream<Codec> {
    fn codec(&mut self, codec: Codec) {
        if self.codec.is_some_and(|before| before != codec) {
            self.codec_changes += 1;
        }
        self.codec = Some(codec);
    }

    fn configuration(&mut self, hash: u64) {
        self.configurations.seen += 1;
        match self.configuration {
            Some(before) if before == hash => self.configurations.repeated += 1,
            Some(_) => self.configurations.changed += 1,
            None => {}
        }
        self.configuration = Some(hash);
    }

    fn frame(&mut self, timestamp: u32) {
        if self.configuration.is_none() {
            self.configurations.frames_before_first += 1;
        }
        self.timeline.frame(timestamp);
    }

    fn track(&self) -> Track {
        let timeline = self.timeline.ended();
        Track {
            frames: timeline.frames,
            keyframes: 0,
            first_timestamp: timeline.first,
            last_timestamp: timeline.last,
            backward: timeline.backward,
            forward: timeline.forward,
            usual_interval: timeline.usual(),
            media_milliseconds: timeline.footage(),
            counted_milliseconds: timeline.counted(),
            configurations: self.configurations,
            codec_changes: self.codec_changes,
            end_of_sequence: false,
        }
    }
}

impl Contents {
    /// One more whole tag.
    pub fn add(&mut self, header: TagHeader, content: Content) {
        match header.kind {
            Kind::Video => self.tags.video += 1,
            Kind::Audio => self.tags.audio += 1,
            Kind::Script => self.tags.script += 1,
        }
        match content {
            Content::VideoFrame { codec, key } => {
                self.video_codec(codec);
                self.video.frame(header.timestamp);
                self.keyframes += u64::from(key);
            }
            Content::VideoConfiguration { codec, hash, picture_size } => {
                self.video_codec(codec);
                self.video.configuration(hash);
                self.picture_size = self.picture_size.or(picture_size);
                self.last_picture_size = picture_size.or(self.last_picture_size);
            }
            Content::VideoEnd => self.end_of_sequence = true,
            Content::AudioFrame { codec, sound } => {
                self.audio_codec(codec);
                self.audio.frame(header.timestamp);
                self.aac_frames += i64::from(codec == AudioCodec::Aac);
                self.g711_bytes += i64::from(sound);
            }
            Content::AudioConfiguration { hash, rate } => {
                self.audio_codec(AudioCodec::Aac);
                self.audio.configuration(hash);
                self.aac_rate = rate.or(self.aac_rate);
            }
            Content::MetaData(claims) => {
                self.claims.get_or_insert(claims);
            }
            Content::Other => {}
        }
    }

    fn video_codec(&mut self, codec: VideoCodec) {
        self.video_codec.get_or_insert(codec);
        self.video.codec(codec);
    }

    fn audio_codec(&mut self, codec: AudioCodec) {
        self.audio_codec.get_or_insert(codec);
        self.audio.codec(codec);
    }

    pub fn video_track(&self) -> Track {
        Track { keyframes: self.keyframes, end_of_sequence: self.end_of_sequence, ..self.video.track() }
    }

    pub fn audio_track(&self) -> Track {
        let track = self.audio.track();
        let counted_milliseconds = match (self.audio.codec, self.aac_rate) {
            (Some(AudioCodec::Aac), Some(rate)) => self.aac_frames * AAC_SAMPLES * 1000 / i64::from(rate),
            (Some(AudioCodec::G711A | AudioCodec::G711U), _) => self.g711_bytes / G711_BYTES,
            _ => track.counted_milliseconds,
        };
        Track { counted_milliseconds, ..track }
    }
}
