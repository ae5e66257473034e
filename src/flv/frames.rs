//! The frames of an FLV one by one, with their bytes: for whoever puts them into another container.
//!
//! What the judge kept of a stream is tag behind tag up to its end, so that this reads tags and nothing else: it ends at the
//! first bytes that are none. What is held is the tag that is coming in.

use super::picture;
use super::tag::{Content, HEAD, HEADER, Kind, PREVIOUS_SIZE, TagHeader, aac_rate, content};
use super::{FILE_HEADER, LONGEST_FILE_HEADER};
use crate::recording::{AudioCodec, VideoCodec};

/// Bytes of a video body before the configuration or the picture, where there is no composition time behind the FourCC.
const VIDEO_PREFIX: usize = 5;
/// The same with one.
const LONG_VIDEO_PREFIX: usize = 8;
/// Bytes of an audio body before the configuration or the sound.
const AAC_PREFIX: usize = 2;
/// The same of a codec that has no packet type.
const SOUND_PREFIX: usize = 1;

/// How a track's frames are coded: what a decoder must know before the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// H.264, by its AVCDecoderConfigurationRecord.
    H264(Vec<u8>),
    /// H.265, by its HEVCDecoderConfigurationRecord.
    H265(Vec<u8>),
    /// AAC, by its AudioSpecificConfig.
    Aac(Vec<u8>),
    /// G.711 A-law at 8 kHz, by its number of channels.
    G711A(u8),
    /// G.711 µ-law at 8 kHz, by its number of channels.
    G711U(u8),
}

impl Coding {
    /// Whether it is one of pictures.
    pub fn is_video(&self) -> bool {
        matches!(self, Self::H264(_) | Self::H265(_))
    }

    /// The codec's name, as recordings have it.
    pub fn name(&self) -> String {
        match self {
            Self::H264(_) => VideoCodec::H264.to_string(),
            Self::H265(_) => VideoCodec::H265.to_string(),
            Self::Aac(_) => AudioCodec::Aac.to_string(),
            Self::G711A(_) => AudioCodec::G711A.to_string(),
            Self::G711U(_) => AudioCodec::G711U.to_string(),
        }
    }

    /// Width and height in pixels, when it tells.
    pub fn picture_size(&self) -> Option<(u16, u16)> {
        match self {
            Self::H264(record) => picture::avc_size(record),
            Self::H265(record) => picture::hevc_size(record),
            Self::Aac(_) | Self::G711A(_) | Self::G711U(_) => None,
        }
    }

    /// Sound's samples in a second, when it tells.
    pub fn sample_rate(&self) -> Option<u32> {
        match self {
            Self::H264(_) | Self::H265(_) => None,
            Self::Aac(record) => aac_rate(record),
            Self::G711A(_) | Self::G711U(_) => Some(8000),
        }
    }

    /// Sound's channels, when it tells.
    pub fn channels(&self) -> Option<u8> {
        match self {
            Self::H264(_) | Self::H265(_) => None,
            // Behind five bits of object type and four of the rate's index; other layouts are rare, and nothing hangs on it.
            Self::Aac(record) => match record.first_chunk::<2>() {
                Some([_, second]) => Some(second >> 3 & 15).filter(|channels| (1..=7).contains(channels)),
                None => None,
            },
            Self::G711A(channels) | Self::G711U(channels) => Some(*channels),
        }
    }

    /// How many samples a packet of sound of so many bytes stands for, at its rate; none for a picture.
    pub fn samples(&self, bytes: usize) -> i64 {
        match self {
            Self::H264(_) | Self::H265(_) => 0,
            Self::Aac(_) => 1024,
            // OK: a packet is 8 MiB at most.
            Self::G711A(channels) | Self::G711U(channels) => bytes as i64 / i64::from((*channels).max(1)),
        }
    }
}

/// Pictures or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// What a tag brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// How the frames of its track are coded from here on. May come again unchanged.
    Coding(Coding),
    /// A picture, or a packet of sound.
    Sample {
        /// Which of the two.
        track: TrackKind,
        /// When it is decoded, in milliseconds modulo 2³².
        timestamp: u32,
        /// How much later it is shown, in milliseconds.
        composition: i32,
        /// Whether a decoder can begin with it.
        key: bool,
        /// Its bytes, as the codec has them.
        payload: &'a [u8],
    },
    /// A frame of a codec that is none of [`Coding`]'s.
    Foreign {
        /// Whether it is a picture.
        track: TrackKind,
        /// When it is decoded, in milliseconds modulo 2³².
        timestamp: u32,
        /// The codec's name.
        codec: String,
    },
}

/// The reader: [`Frames::push`] bytes, and be given what they complete.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The first bytes of what is being read: the file header with the first PreviousTagSize, or a tag with that behind it.
    unread: Vec<u8>,
    has_header: bool,
    is_lost: bool,
    /// The latest G.711 coding that was told: its tags have no configuration of their own.
    told: Option<Coding>,
}

impl Frames {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it came upon bytes that are no tag; what follows them is not read.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The next bytes of the file, in pieces of any size; `out` is given what they complete, in the file's order.
    pub fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() && !self.is_lost {
            let wanted = self.wanted();
            // OK: what is wanted is more than what is there, until it is dealt with below.
            let taken = (wanted - self.unread.len()).min(bytes.len());
            self.unread.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.is_lost = !self.can_be();
            // More may be wanted now that the length is known.
            if !self.is_lost && self.unread.len() == self.wanted() {
                self.take(&mut out);
            }
        }
    }

    /// How many bytes make the file header or the tag that is being read, as far as that is known.
    fn wanted(&self) -> usize {
        if self.has_header {
            let Some(header) = self.unread.first_chunk::<HEADER>() else { return HEADER };
            // OK to widen: a body is 8 MiB at most.
            return HEADER + TagHeader::read(header).map_or(0, |header| header.size as usize) + PREVIOUS_SIZE;
        }
        let Some(header) = self.unread.first_chunk::<FILE_HEADER>() else { return FILE_HEADER };
        let [_, _, _, _, _, length @ ..] = *header;
        let length = u32::from_be_bytes(length);
        let believed = if length <= LONGEST_FILE_HEADER { length as usize } else { FILE_HEADER };
        believed.max(FILE_HEADER) + PREVIOUS_SIZE
    }

    /// Whether what is there can be what it should be.
    fn can_be(&self) -> bool {
        if self.has_header {
            return self.unread.first_chunk::<HEADER>().is_none_or(|header| TagHeader::read(header).is_some());
        }
        let known = self.unread.len().min(3);
        self.unread[..known] == b"FLV"[..known]
    }

    /// Deals with a whole file header or a whole tag.
    fn take(&mut self, out: &mut impl FnMut(Frame<'_>)) {
        let unread = std::mem::take(&mut self.unread);
        if !self.has_header {
            self.has_header = true;
        } else if let Some(header) = unread.first_chunk::<HEADER>().and_then(TagHeader::read) {
            self.tag(header, &unread[HEADER..unread.len() - PREVIOUS_SIZE], out);
        }
        // The room is used again.
        self.unread = unread;
        self.unread.clear();
    }

    fn tag(&mut self, header: TagHeader, body: &[u8], out: &mut impl FnMut(Frame<'_>)) {
        let timestamp = header.timestamp;
        let track = if header.kind == Kind::Video { TrackKind::Video } else { TrackKind::Audio };
        let foreign = |codec: String| Frame::Foreign { track, timestamp, codec };
        match content(header, &body[..body.len().min(HEAD)]) {
            Content::VideoConfiguration { codec, .. } => match (codec, body.get(VIDEO_PREFIX..)) {
                (VideoCodec::H264, Some(record)) => out(Frame::Coding(Coding::H264(record.to_vec()))),
                (VideoCodec::H265, Some(record)) => out(Frame::Coding(Coding::H265(record.to_vec()))),
                // Its pictures tell.
                _ => {}
            },
            Content::VideoFrame { codec: VideoCodec::H264 | VideoCodec::H265, key } => {
                let (composition, prefix) = composition(body);
                if let Some(payload) = body.get(prefix..).filter(|payload| !payload.is_empty()) {
                    out(Frame::Sample { track, timestamp, composition, key, payload });
                }
            }
            Content::VideoFrame { codec, .. } => out(foreign(codec.to_string())),
            Content::AudioConfiguration { .. } => {
                if let Some(record) = body.get(AAC_PREFIX..) {
                    out(Frame::Coding(Coding::Aac(record.to_vec())));
                }
                self.told = None;
            }
            Content::AudioFrame { codec, .. } => self.sound(codec, timestamp, body, out),
            Content::VideoEnd | Content::MetaData(_) | Content::Other => {}
        }
    }

    fn sound(&mut self, codec: AudioCodec, timestamp: u32, body: &[u8], out: &mut impl FnMut(Frame<'_>)) {
        // OK to default: a frame has a first byte, or it would be none.
        let channels = (body.first().copied().unwrap_or_default() & 1) + 1;
        let (coding, prefix) = match codec {
            AudioCodec::Aac => (None, AAC_PREFIX),
            AudioCodec::G711A => (Some(Coding::G711A(channels)), SOUND_PREFIX),
            AudioCodec::G711U => (Some(Coding::G711U(channels)), SOUND_PREFIX),
            other @ AudioCodec::Other(_) => {
                out(Frame::Foreign { track: TrackKind::Audio, timestamp, codec: other.to_string() });
                return;
            }
        };
        if coding.is_some() && coding != self.told {
            self.told.clone_from(&coding);
            coding.into_iter().for_each(|coding| out(Frame::Coding(coding)));
        }
        if let Some(payload) = body.get(prefix..).filter(|payload| !payload.is_empty()) {
            out(Frame::Sample { track: TrackKind::Audio, timestamp, composition: 0, key: true, payload });
        }
    }
}

/// How much later than decoded a picture is shown, and where its bytes begin.
fn composition(body: &[u8]) -> (i32, usize) {
    let at = match body.first() {
        // Enhanced: packet type 1 has the time behind the FourCC, and type 3 says that it is zero.
        Some(first) if first & 0x80 != 0 && first & 15 == 1 => VIDEO_PREFIX,
        Some(first) if first & 0x80 != 0 => return (0, VIDEO_PREFIX),
        _ => VIDEO_PREFIX - 3,
    };
    let time = match body.get(at..at + 3) {
        // Three bytes with a sign: the two's complement is carried into the fourth.
        Some(&[high, middle, low]) => i32::from_be_bytes([high, middle, low, 0]) >> 8,
        _ => 0,
    };
    (time, if at == VIDEO_PREFIX { LONG_VIDEO_PREFIX } else { VIDEO_PREFIX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flv::Parser;

    fn tag(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u32).to_be_bytes();
        let [high, low @ ..] = timestamp.to_be_bytes();
        let head = [&[kind], &size[1..], &low, &[high, 0, 0, 0]].concat();
        [&head, body, &(body.len() as u32 + 11).to_be_bytes()].concat()
    }

    fn file(tags: &[Vec<u8>]) -> Vec<u8> {
        [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tags.concat()].concat()
    }

    /// What came out, in words.
    fn read(bytes: &[u8], piece: usize) -> Vec<String> {
        let (mut frames, mut seen) = (Frames::new(), Vec::new());
        bytes.chunks(piece.max(1)).for_each(|piece| frames.push(piece, |frame| seen.push(format!("{frame:?}"))));
        seen
    }

    #[test]
    fn bytes_of_frames_come_without_what_flv_puts_before_them() {
        let bytes = file(&[
            tag(9, 0, b"\x17\x00\0\0\0record"),
            tag(8, 0, b"\xaf\x00\x12\x10"),
            tag(9, 40, b"\x17\x01\0\0\x50key"),
            tag(9, 80, b"\x27\x01\xff\xff\xd8inter"),
            tag(8, 81, b"\xaf\x01sound"),
            tag(9, 120, b"\x91hvc1\0\0\x05five"),
            tag(9, 160, b"\xa3hvc1six"),
            tag(8, 161, b"\x72law"),
            tag(8, 162, b"\x82ulaw"),
            tag(8, 163, b"\x22mp3"),
            tag(9, 170, b"\x17\x02\0\0\0"),
        ]);
        let mut seen = Vec::new();
        Frames::new().push(&bytes, |frame| {
            seen.push(match frame {
                Frame::Coding(coding) => format!("{coding:?}"),
                Frame::Sample { timestamp, composition, key, payload, .. } => {
                    format!("{timestamp} {composition} {key} {}", String::from_utf8_lossy(payload))
                }
                Frame::Foreign { codec, .. } => codec,
            });
        });
        let record: Vec<u8> = b"record".to_vec();
        let expected = [
            format!("{:?}", Coding::H264(record)),
            "Aac([18, 16])".to_owned(),
            "40 80 true key".to_owned(),
            "80 -40 false inter".to_owned(),
            "81 0 true sound".to_owned(),
            "120 5 true five".to_owned(),
            "160 0 false six".to_owned(),
            "G711A(1)".to_owned(),
            "161 0 true law".to_owned(),
            "G711U(1)".to_owned(),
            "162 0 true ulaw".to_owned(),
            "flv-2".to_owned(),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn codings_tell_what_they_are_of() {
        let stereo = Coding::Aac(vec![0x12, 0x10]);
        assert_eq!((stereo.sample_rate(), stereo.channels(), stereo.is_video()), (Some(44_100), Some(2), false));
        assert_eq!((Coding::G711A(1).sample_rate(), Coding::G711U(2).channels()), (Some(8000), Some(2)));
        assert_eq!(Coding::H265(vec![]).name(), "H265");
        assert_eq!(Coding::H264(vec![]).picture_size(), None);
    }

    #[test]
    fn nothing_is_read_behind_what_is_no_tag() {
        let whole = file(&[tag(9, 0, b"\x27\x01\0\0\0a")]);
        let mut frames = Frames::new();
        let mut seen = 0;
        frames.push(&[&whole[..], b"<html>garbage</html>", &tag(9, 0, b"\x27\x01\0\0\0b")].concat(), |_| seen += 1);
        assert_eq!((seen, frames.is_lost()), (1, true));
        assert!(read(b"<html>", 1).is_empty());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_frames(piece in 1..40_usize) {
            let bytes: &[u8] = include_bytes!("../sim/clips/small.flv");
            prop_assert_eq!(read(bytes, piece), read(bytes, bytes.len()));
        }

        #[test]
        fn frames_are_as_many_as_the_judge_counts(cut: prop::sample::Index, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            let mut bytes = include_bytes!("../sim/clips/small.flv").to_vec();
            for &(at, to) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            let mut parser = Parser::new();
            parser.push(&bytes);
            let report = parser.report();
            // What is published is what the judge kept.
            bytes.truncate(usize::try_from(report.good_bytes).expect("it is in memory"));
            let mut frames = 0;
            Frames::new().push(&bytes, |frame| frames += u64::from(!matches!(frame, Frame::Coding(_))));
            let counted = report.video.frames + report.audio.frames;
            // Of a frame with a FourCC the judge does not look for a composition time.
            prop_assert!(frames <= counted && (!flips.is_empty() || frames == counted), "{} of {}", frames, counted);
        }
    }
}
