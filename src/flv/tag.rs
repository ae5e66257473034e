//! One FLV tag: its header, and what the first bytes of its body say.

use super::amf::{self, Claims};
use super::picture;
use crate::recording::{AudioCodec, VideoCodec};

/// Bytes of a tag's header.
pub(super) const HEADER: usize = 11;
/// Bytes of the PreviousTagSize behind each tag.
pub(super) const PREVIOUS_SIZE: usize = 4;
/// How much of a body is ever looked at. An SPS and the interesting half of onMetaData lie well within it.
pub(super) const HEAD: usize = 256;
/// No camera's picture is larger; a header that claims more is noise.
const LARGEST_BODY: u32 = 8 << 20;

/// The first bytes of a video body that say what the rest is: flags, then packet type and composition time, or FourCC.
const VIDEO_PREFIX: usize = 5;
/// The same of an audio body: flags and AAC packet type.
const AUDIO_PREFIX: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    Video,
    Script,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TagHeader {
    pub kind: Kind,
    /// Bytes of the body.
    pub size: u32,
    /// Milliseconds, modulo 2³².
    pub timestamp: u32,
}

impl TagHeader {
    /// Nothing when these bytes cannot be a tag's header: another type, a stream id, an absurd size.
    pub fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let &[kind, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0] = bytes else { return None };
        let kind = match kind {
            8 => Kind::Audio,
            9 => Kind::Video,
            18 => Kind::Script,
            _ => return None,
        };
        let size = u32::from_be_bytes([0, s2, s1, s0]);
        // The byte above the other three comes after them.
        let timestamp = u32::from_be_bytes([t3, t2, t1, t0]);
        (size <= LARGEST_BODY).then_some(Self { kind, size, timestamp })
    }

    /// Header and body: what the PreviousTagSize behind it should say.
    pub const fn whole_size(self) -> u32 {
        // OK: no more than `LARGEST_BODY` + 11.
        self.size + HEADER as u32
    }
}

/// What a tag carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content {
    VideoFrame {
        codec: VideoCodec,
        key: bool,
    },
    VideoConfiguration {
        codec: VideoCodec,
        hash: u64,
        picture_size: Option<(u16, u16)>,
    },
    VideoEnd,
    /// `sound` is the G.711 bytes of one channel, 8 a millisecond; zero for any other codec.
    AudioFrame {
        codec: AudioCodec,
        sound: u32,
    },
    AudioConfiguration {
        hash: u64,
        rate: Option<u32>,
    },
    MetaData(Claims),
    Other,
}

/// How many of a body's first bytes are wanted, given those that are there.
pub(super) fn wanted(kind: Kind, head: &[u8]) -> usize {
    match kind {
        Kind::Script => HEAD,
        Kind::Video if head.len() < VIDEO_PREFIX => VIDEO_PREFIX,
        Kind::Video if matches!(video_packet(head), Some((_, Packet::Configuration))) => HEAD,
        Kind::Audio if head.len() < AUDIO_PREFIX => AUDIO_PREFIX,
        Kind::Audio if head[0] >> 4 == 10 && head[1] == 0 => HEAD,
        Kind::Video | Kind::Audio => head.len(),
    }
}

/// Reads the first bytes of a body, as many as were [`wanted`] or as there are.
pub(super) fn content(header: TagHeader, head: &[u8]) -> Content {
    match header.kind {
        Kind::Video => video(header.size, head),
        Kind::Audio => audio(header.size, head),
        Kind::Script => amf::on_meta_data(head).map_or(Content::Other, Content::MetaData),
    }
    .unless_without_payload(header.size)
}

impl Content {
    /// A frame that is all prefix shows no picture and makes no sound.
    fn unless_without_payload(self, size: u32) -> Self {
        let prefix = match self {
            Self::VideoFrame { codec: VideoCodec::Other(_), .. } => 1,
            Self::VideoFrame { .. } => VIDEO_PREFIX,
            Self::AudioFrame { codec: AudioCodec::Aac, .. } => AUDIO_PREFIX,
            Self::AudioFrame { .. } => 1,
            _ => return self,
        };
        if size as usize > prefix { self } else { Self::Other }
    }
}

enum Packet {
    Configuration,
    Frame { key: bool },
    End,
    Other,
}

/// Codec and meaning of a video body, from its first five bytes (or one, for codecs that have no packet type).
fn video_packet(head: &[u8]) -> Option<(VideoCodec, Packet)> {
    let first = *head.first()?;
    let frame_type = (first >> 4) & 7;
    let key = frame_type == 1;
    // Frame type 5 is a command to the player.
    let frame = if frame_type == 5 { Packet::Other } else { Packet::Frame { key } };
    // Enhanced RTMP's ExVideoTagHeader: bit 7, then the packet type where the codec id was, then a FourCC.
    if first & 0x80 != 0 {
        let name: [u8; 4] = head.get(1..5)?.try_into().ok()?;
        let codec = match &name {
            b"avc1" => VideoCodec::H264,
            b"hvc1" => VideoCodec::H265,
            _ => VideoCodec::FourCc(name),
        };
        let packet = match first & 15 {
            0 => Packet::Configuration,
            1 | 3 => frame,
            2 => Packet::End,
            _ => Packet::Other,
        };
        return Some((codec, packet));
    }
    let codec = match first & 15 {
        7 => VideoCodec::H264,
        12 => VideoCodec::H265,
        id => return Some((VideoCodec::Other(id), frame)),
    };
    let packet = match head.get(1)? {
        0 => Packet::Configuration,
        1 => frame,
        2 => Packet::End,
        _ => Packet::Other,
    };
    Some((codec, packet))
}

fn video(size: u32, head: &[u8]) -> Content {
    let Some((codec, packet)) = video_packet(head) else { return Content::Other };
    match packet {
        Packet::Frame { key } => Content::VideoFrame { codec, key },
        Packet::End => Content::VideoEnd,
        Packet::Other => Content::Other,
        Packet::Configuration => {
            let record = head.get(VIDEO_PREFIX..).unwrap_or_default();
            let picture_size = match codec {
                VideoCodec::H264 => picture::avc_size(record),
                VideoCodec::H265 => picture::hevc_size(record),
                VideoCodec::Other(_) | VideoCodec::FourCc(_) => None,
            };
            // A configuration without a record configures nothing.
            if record.is_empty() {
                return Content::Other;
            }
            Content::VideoConfiguration { codec, hash: hash(size, record), picture_size }
        }
    }
}

fn audio(size: u32, head: &[u8]) -> Content {
    let Some(&first) = head.first() else { return Content::Other };
    let codec = match first >> 4 {
        7 => AudioCodec::G711A,
        8 => AudioCodec::G711U,
        10 => AudioCodec::Aac,
        format => AudioCodec::Other(format),
    };
    match (codec, head.get(1..)) {
        (AudioCodec::Aac, Some([0, record @ ..])) if !record.is_empty() => {
            Content::AudioConfiguration { hash: hash(size, record), rate: aac_rate(record) }
        }
        (AudioCodec::Aac, Some([1, ..])) => Content::AudioFrame { codec, sound: 0 },
        (AudioCodec::Aac, _) => Content::Other,
        (AudioCodec::G711A | AudioCodec::G711U, _) => {
            let channels = u32::from(first & 1) + 1;
            Content::AudioFrame { codec, sound: size.saturating_sub(1) / channels }
        }
        (AudioCodec::Other(_), _) => Content::AudioFrame { codec, sound: 0 },
    }
}

/// Samples a second from an AudioSpecificConfig: 5 bits of object type, then 4 of an index, or 15 and 24 bits.
pub(super) fn aac_rate(record: &[u8]) -> Option<u32> {
    const RATES: [u32; 13] = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
    let mut bits = picture::Bits::new(record);
    // Object type 31 means that six more bits tell it.
    if bits.take(5)? == 31 {
        bits.take(6)?;
    }
    let rate = match bits.take(4)? {
        15 => bits.take(24)?,
        index => *RATES.get(index as usize)?,
    };
    (rate > 0).then_some(rate)
}

/// FNV-1a of what is kept of a configuration, and of its size: two that differ only beyond the first bytes *and* are
/// equally long pass for one, which no encoder's are.
fn hash(size: u32, record: &[u8]) -> u64 {
    size.to_be_bytes()
        .iter()
        .chain(record)
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_put_together_with_its_upper_byte_last() {
        let header = TagHeader::read(&[9, 0, 1, 2, 0x34, 0x56, 0x78, 0x12, 0, 0, 0]).unwrap();
        assert_eq!(header, TagHeader { kind: Kind::Video, size: 258, timestamp: 0x1234_5678 });
        assert_eq!(header.whole_size(), 269);
    }

    #[test]
    fn what_no_tag_header_can_be_is_refused() {
        assert!(TagHeader::read(&[10, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]).is_none(), "a type");
        assert!(TagHeader::read(&[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1]).is_none(), "a stream id");
        assert!(TagHeader::read(&[9, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0]).is_none(), "a size");
    }

    #[test]
    fn enhanced_and_old_hevc_are_one_codec() {
        let header = TagHeader { kind: Kind::Video, size: 100, timestamp: 0 };
        let key = Content::VideoFrame { codec: VideoCodec::H265, key: true };
        let inter = Content::VideoFrame { codec: VideoCodec::H265, key: false };
        assert_eq!(content(header, b"\x1c\x01\0\0\0"), key);
        assert_eq!(content(header, b"\x91hvc1"), key, "coded frames");
        assert_eq!(content(header, b"\xa3hvc1"), inter, "coded frames without composition time");
        assert_eq!(content(header, b"\x92hvc1"), Content::VideoEnd);
        assert_eq!(content(header, b"\xd4hvc1"), Content::Other, "colour metadata is no frame");
        let other = Content::VideoFrame { codec: VideoCodec::FourCc(*b"av01"), key: true };
        assert_eq!(content(header, b"\x91av01"), other);
    }

    #[test]
    fn a_frame_that_is_all_prefix_is_no_frame() {
        let header = TagHeader { kind: Kind::Video, size: 5, timestamp: 0 };
        assert_eq!(content(header, b"\x17\x01\0\0\0"), Content::Other);
        assert_eq!(content(TagHeader { size: 0, ..header }, b""), Content::Other);
    }

    #[test]
    fn aac_rates_are_read_from_the_index_or_in_full() {
        assert_eq!(aac_rate(&[0x15, 0x88]), Some(8000));
        assert_eq!(aac_rate(&[0x12, 0x10]), Some(44100));
        // Object type 2, index 15, then 24 bits of 12345.
        assert_eq!(aac_rate(&[0b0001_0111, 0b1000_0000, 0b0001_1000, 0b0001_1100, 0b1000_0000]), Some(12345));
        assert_eq!(aac_rate(&[0x17]), None);
    }
}
