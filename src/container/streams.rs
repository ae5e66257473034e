//! The pictures and the sound that came out of a container so far.

use crate::flv::Timeline;
use crate::recording::{AudioCodec, MediaFacts, VideoCodec};

/// What is known of a file's streams. It is copied where the file may be cut, so that it is true of what is before the cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streams {
    pub video: Stream<VideoCodec>,
    pub audio: Stream<AudioCodec>,
    /// Of the first pictures that tell.
    pub picture_size: Option<(u16, u16)>,
    /// Of the last ones.
    pub last_picture_size: Option<(u16, u16)>,
}

/// Pictures, or sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<Codec> {
    /// Of the first frame, and of the last one.
    codecs: Option<(Codec, Codec)>,
    codec_changes: u64,
    /// The first frame's decoding time in milliseconds.
    first: Option<i64>,
    timeline: Timeline,
}

impl<Codec> Default for Stream<Codec> {
    fn default() -> Self {
        Self { codecs: None, codec_changes: 0, first: None, timeline: Timeline::default() }
    }
}

impl<Codec: Copy + PartialEq> Stream<Codec> {
    /// The next frame, by its decoding time in milliseconds.
    pub fn frame(&mut self, codec: Codec, milliseconds: i64) {
        let (first, last) = *self.codecs.get_or_insert((codec, codec));
        self.codec_changes += u64::from(last != codec);
        self.codecs = Some((first, codec));
        self.first.get_or_insert(milliseconds);
        // OK to cut: the timeline takes times modulo 2³², and knows a wrap from a jump.
        self.timeline.frame(milliseconds as u32);
    }

    fn footage(&self) -> i64 {
        self.timeline.ended().footage()
    }

    fn note(&self, name: &str) -> Option<String> {
        (self.codec_changes > 0).then(|| format!("{name} codec changed {} times", self.codec_changes))
    }
}

impl Streams {
    pub fn picture_size(&mut self, size: (u16, u16)) {
        self.picture_size.get_or_insert(size);
        self.last_picture_size = Some(size);
    }

    pub fn has_frames(&self) -> bool {
        self.video.first.or(self.audio.first).is_some()
    }

    pub fn media_facts(&self) -> MediaFacts {
        let (footage, first) = match self.video.first {
            Some(first) => (self.video.footage(), Some(first)),
            None => (self.audio.footage(), self.audio.first),
        };
        MediaFacts {
            media_milliseconds: footage,
            first_timestamp: first.unwrap_or(0),
            video_codec: self.video.codecs.map(|(first, _)| first),
            audio_codec: self.audio.codecs.map(|(first, _)| first),
            picture_size: self.picture_size,
        }
    }

    /// As [`crate::judge::notes`] has it for an FLV; `more` is added to it.
    pub fn note(&self, more: Option<String>) -> String {
        let resized = match (self.picture_size, self.last_picture_size) {
            (Some(first), Some(last)) if first != last => {
                Some(format!("picture size changed from {}x{} to {}x{}", first.0, first.1, last.0, last.1))
            }
            _ => None,
        };
        let notes = [self.video.note("video"), self.audio.note("audio"), resized, more];
        notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}
