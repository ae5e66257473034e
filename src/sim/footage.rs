//! The simulated recorders' footage: one short clip, repeated with running timestamps, written as FLV piece by piece.
//!
//! This is an FLV writer of its own. It must never use the crate's parser: one mistake could then confirm itself.

use std::sync::LazyLock;

use crate::device::DeviceId;
use crate::time_range::{RangeSet, TimeRange};

mod live;

pub use live::{KEYFRAME_SECONDS, LiveFootage};

/// How the clips were made is in the README beside them.
static CLIP: LazyLock<Clip> = LazyLock::new(|| Clip::read(include_bytes!("clip.flv")));
/// The same pictures in a smaller size, without sound.
static SMALL_CLIP: LazyLock<Clip> = LazyLock::new(|| Clip::read(include_bytes!("clips/small.flv")));

/// Milliseconds from one picture to the next.
const PICTURE_MS: u32 = 200;
/// Milliseconds of one AAC frame: 1024 samples at 16 kHz.
const SOUND_MS: u32 = 64;
/// Pictures in a second.
const PICTURES: u32 = 1000 / PICTURE_MS;
/// How long the clip is.
const CLIP_SECONDS: u32 = 8;
/// AAC frames in the clip.
const CLIP_SOUNDS: u32 = CLIP_SECONDS * 1000 / SOUND_MS;

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;
/// What surrounds a tag's payload: its header, and the PreviousTagSize after it.
const TAG_OVERHEAD: usize = 11 + 4;
/// "FLV", version 1, sound and pictures, a header of nine bytes; then the PreviousTagSize before the first tag.
const FILE_HEADER: [u8; 13] = [b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0];
/// The header of a NAL unit of H.264 that holds nothing but filler, its payload, and what ends it.
const FILLER_UNIT: u8 = 12;
const FILLER: u8 = 0xff;
const FILLER_END: u8 = 0x80;
/// A keyframe of AVC that says "end of sequence".
const END_OF_SEQUENCE: [u8; 5] = [0x17, 2, 0, 0, 0];

/// The payloads of a clip's tags. One without sound has an empty audio configuration.
struct Clip {
    video_config: &'static [u8],
    audio_config: &'static [u8],
    pictures: Vec<&'static [u8]>,
    sounds: Vec<&'static [u8]>,
}

impl Clip {
    /// OK to index and to assume the order: the file is part of the program, and a test reads it.
    fn read(file: &'static [u8]) -> Self {
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        let mut rest = &file[FILE_HEADER.len()..];
        while rest.len() >= TAG_OVERHEAD {
            let size = usize::from(rest[1]) << 16 | usize::from(rest[2]) << 8 | usize::from(rest[3]);
            match rest[0] {
                VIDEO => video.push(&rest[11..11 + size]),
                AUDIO => audio.push(&rest[11..11 + size]),
                _ => {}
            }
            rest = &rest[size + TAG_OVERHEAD..];
        }
        let pictures = video[1..=(CLIP_SECONDS * PICTURES) as usize].to_vec();
        // The first frame after the configuration is the encoder's priming.
        let sounds = audio.get(2..2 + CLIP_SOUNDS as usize).unwrap_or_default().to_vec();
        let audio_config = audio.first().copied().unwrap_or_default();
        Self { video_config: video[0], audio_config, pictures, sounds }
    }
}

/// What a stream shows of a hole inside its window. **\[unknown\]** which of the two the vendor's servers do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hole {
    /// Squeezed out: the stream is shorter, and its timestamps run on.
    #[default]
    Squeeze,
    /// The timestamps jump.
    Jump,
}

/// One second of media.
#[derive(Clone, Copy, Debug)]
struct Second {
    /// Its place on the stream's clock.
    at: u64,
    /// Its place in its stretch of footage, where the clip begins anew.
    in_stretch: u64,
}

/// The FLV of one window: piece 0 is the file's header with metadata and configuration, then one piece a second of
/// media, then the end-of-sequence tag. A window's bytes follow from the arguments of [`Footage::new`] alone.
#[derive(Clone, Debug)]
pub struct Footage {
    preface: Vec<u8>,
    seconds: Vec<Second>,
    first_timestamp: u32,
    /// What stands behind each picture, in its tag; mostly nothing.
    filler: Vec<u8>,
}

impl Footage {
    /// The footage of `stretches`, all of them inside `asked`. `first_timestamp` is in milliseconds.
    pub fn new(device: DeviceId, asked: TimeRange, stretches: &RangeSet, hole: Hole, first_timestamp: u32) -> Self {
        let seconds = seconds(stretches, hole);
        let mut preface = FILE_HEADER.to_vec();
        // The claimed duration is what was asked for, whatever there is: such claims are not to be believed.
        let texts = [("device", device.to_string()), ("start", asked.start().to_string())];
        tag(&mut preface, SCRIPT, 0, &metadata(Some(asked.seconds() as f64), Picture::Large, &texts));
        if !seconds.is_empty() {
            tag(&mut preface, VIDEO, first_timestamp, CLIP.video_config);
            tag(&mut preface, AUDIO, first_timestamp, CLIP.audio_config);
        }
        Self { preface, seconds, first_timestamp, filler: Vec::new() }
    }

    /// The same with so many bytes of filler behind each picture, as encoders put there that keep to a rate. Decoders pass
    /// over it; the file is as large as that of a better camera.
    pub fn with_filler(mut self, bytes: u32) -> Self {
        self.filler = filler(bytes);
        self
    }

    /// Seconds of media.
    pub fn seconds(&self) -> usize {
        self.seconds.len()
    }

    /// How many pieces make the whole file.
    pub fn pieces(&self) -> usize {
        self.pieces_of(self.seconds.len())
    }

    /// How many pieces there are when only `seconds` of media are: the end-of-sequence tag comes with the last.
    pub fn pieces_of(&self, seconds: usize) -> usize {
        let whole = seconds >= self.seconds.len();
        1 + seconds.min(self.seconds.len()) + usize::from(whole && !self.seconds.is_empty())
    }

    /// The bytes of a piece; none for a piece that does not exist.
    pub fn piece(&self, index: usize) -> Vec<u8> {
        if index == 0 {
            return self.preface.clone();
        }
        let mut bytes = Vec::new();
        match self.seconds.get(index - 1) {
            Some(second) => write_second(&mut bytes, *second, &CLIP, self.first_timestamp, &self.filler),
            None if index + 1 == self.pieces() => tag(&mut bytes, VIDEO, self.end_timestamp(), &END_OF_SEQUENCE),
            None => {}
        }
        bytes
    }

    /// How many bytes a piece has, without writing it.
    pub fn piece_size(&self, index: usize) -> usize {
        if index == 0 {
            return self.preface.len();
        }
        match self.seconds.get(index - 1) {
            Some(second) => {
                let around = TAG_OVERHEAD + self.filler.len();
                let pictures: usize = pictures_of(*second, &CLIP).map(|(_, payload)| payload.len() + around).sum();
                let sounds: usize = sounds_of(*second).map(|(_, payload)| payload.len() + TAG_OVERHEAD).sum();
                pictures + sounds
            }
            None if index + 1 == self.pieces() => END_OF_SEQUENCE.len() + TAG_OVERHEAD,
            None => 0,
        }
    }

    /// The bytes of the first `pieces` pieces together.
    pub fn size_of(&self, pieces: usize) -> u64 {
        (0..pieces).map(|index| self.piece_size(index) as u64).sum()
    }

    fn end_timestamp(&self) -> u32 {
        let end = self.seconds.last().map_or(0, |last| last.at + 1);
        self.first_timestamp.wrapping_add(wrapped(end * 1000))
    }
}

/// Every second of the stretches, in order.
fn seconds(stretches: &RangeSet, hole: Hole) -> Vec<Second> {
    let Some(first) = stretches.ranges().first().map(TimeRange::start) else { return Vec::new() };
    let mut seconds: Vec<Second> = Vec::new();
    for stretch in stretches {
        let at = match hole {
            Hole::Squeeze => seconds.len() as u64,
            // OK here and below: the ranges of a set come in order, and hold at least a second.
            Hole::Jump => (stretch.start() - first).unsigned_abs(),
        };
        seconds
            .extend((0..stretch.seconds().unsigned_abs()).map(|in_stretch| Second { at: at + in_stretch, in_stretch }));
    }
    seconds
}

/// A NAL unit with so many bytes of filler, as FLV has it: behind its length. None for no bytes.
fn filler(bytes: u32) -> Vec<u8> {
    if bytes == 0 {
        return Vec::new();
    }
    let mut unit = bytes.saturating_add(2).to_be_bytes().to_vec();
    unit.push(FILLER_UNIT);
    unit.resize(unit.len() + bytes as usize, FILLER);
    unit.push(FILLER_END);
    unit
}

/// Writes a second's tags in order of time, with `filler` behind each picture.
fn write_second(bytes: &mut Vec<u8>, second: Second, clip: &Clip, first_timestamp: u32, filler: &[u8]) {
    let mut sounds = sounds_of(second).peekable();
    for (picture_at, picture) in pictures_of(second, clip) {
        while let Some((at, sound)) = sounds.next_if(|(at, _)| *at < picture_at) {
            tag(bytes, AUDIO, first_timestamp.wrapping_add(wrapped(at)), sound);
        }
        long_tag(bytes, VIDEO, first_timestamp.wrapping_add(wrapped(picture_at)), picture, filler);
    }
    for (at, sound) in sounds {
        tag(bytes, AUDIO, first_timestamp.wrapping_add(wrapped(at)), sound);
    }
}

/// Milliseconds as FLV has them: modulo 2³².
fn wrapped(milliseconds: u64) -> u32 {
    (milliseconds & 0xffff_ffff) as u32
}

/// A second's pictures with their times on the stream's clock, in milliseconds.
fn pictures_of(second: Second, clip: &Clip) -> impl Iterator<Item = (u64, &'static [u8])> {
    let first = (second.in_stretch % u64::from(CLIP_SECONDS)) as usize * PICTURES as usize;
    (0..PICTURES as usize).map(move |n| (second.at * 1000 + n as u64 * u64::from(PICTURE_MS), clip.pictures[first + n]))
}

/// A second's AAC frames with their times. The sound runs on over holes, since its frames do not begin on seconds.
fn sounds_of(second: Second) -> impl Iterator<Item = (u64, &'static [u8])> {
    let sound_ms = u64::from(SOUND_MS);
    let first = (second.at * 1000).div_ceil(sound_ms);
    let end = (second.at * 1000 + 1000).div_ceil(sound_ms);
    (first..end).map(move |n| (n * sound_ms, CLIP.sounds[(n % u64::from(CLIP_SOUNDS)) as usize]))
}

/// Writes a tag and the PreviousTagSize after it.
fn tag(bytes: &mut Vec<u8>, kind: u8, timestamp: u32, payload: &[u8]) {
    long_tag(bytes, kind, timestamp, payload, &[]);
}

/// The same with more payload behind the first.
fn long_tag(bytes: &mut Vec<u8>, kind: u8, timestamp: u32, payload: &[u8], more: &[u8]) {
    // OK to cut: payloads are the clip's, or short metadata; how long a filler may be is checked.
    let size = (payload.len() + more.len()) as u32;
    let [high, time @ ..] = timestamp.to_be_bytes();
    bytes.push(kind);
    bytes.extend_from_slice(&size.to_be_bytes()[1..]);
    bytes.extend_from_slice(&time);
    bytes.push(high);
    bytes.extend_from_slice(&[0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(more);
    bytes.extend_from_slice(&(size + 11).to_be_bytes());
}

/// In which size the pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// 160×90: recordings, and the main live stream.
    Large,
    /// 96×54: the secondary live stream.
    Small,
}

impl Picture {
    fn clip(self) -> &'static Clip {
        match self {
            Self::Large => &CLIP,
            Self::Small => &SMALL_CLIP,
        }
    }

    const fn size(self) -> (f64, f64) {
        match self {
            Self::Large => (160.0, 90.0),
            Self::Small => (96.0, 54.0),
        }
    }
}

/// `onMetaData` in AMF0, with a duration where one is claimed. `texts` make one stream's bytes differ from another's.
fn metadata(duration: Option<f64>, picture: Picture, texts: &[(&str, String)]) -> Vec<u8> {
    const NUMBER: u8 = 0;
    const STRING: u8 = 2;
    const ECMA_ARRAY: u8 = 8;
    let (width, height) = picture.size();
    let mut numbers = vec![
        ("width", width),
        ("height", height),
        ("framerate", f64::from(PICTURES)),
        ("videocodecid", 7.0),
        ("audiocodecid", 10.0),
        ("audiosamplerate", 16_000.0),
    ];
    numbers.splice(0..0, duration.map(|seconds| ("duration", seconds)));

    let mut bytes = vec![STRING];
    short_text(&mut bytes, "onMetaData");
    bytes.push(ECMA_ARRAY);
    bytes.extend_from_slice(&((numbers.len() + texts.len()) as u32).to_be_bytes());
    for (name, number) in numbers {
        short_text(&mut bytes, name);
        bytes.push(NUMBER);
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for (name, text) in texts {
        short_text(&mut bytes, name);
        bytes.push(STRING);
        short_text(&mut bytes, text);
    }
    bytes.extend_from_slice(&[0, 0, 9]);
    bytes
}

/// A text with its length in front. OK to cut the length: only names and numbers are written.
fn short_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time_range::UtcSecond;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
    }

    fn footage(stretches: &[TimeRange], hole: Hole, first_timestamp: u32) -> Footage {
        let device = DeviceId::new(5).expect("five");
        Footage::new(device, range(0, 600), &stretches.iter().copied().collect(), hole, first_timestamp)
    }

    fn file(footage: &Footage) -> Vec<u8> {
        (0..footage.pieces()).flat_map(|index| footage.piece(index)).collect()
    }

    /// Kind and timestamp of each tag; every length and trailer is checked on the way.
    fn tags(file: &[u8]) -> Vec<(u8, u32, bool)> {
        let number = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
        assert_eq!(file[..13], FILE_HEADER);
        let (mut rest, mut tags) = (&file[13..], Vec::new());
        while !rest.is_empty() {
            let size = number(&rest[1..4]) as usize;
            assert_eq!(number(&rest[11 + size..15 + size]), size as u32 + 11);
            assert_eq!(rest[8..11], [0, 0, 0]);
            let keyframe = rest[0] == VIDEO && rest[11] == 0x17 && rest[12] == 1;
            tags.push((rest[0], u32::from(rest[7]) << 24 | number(&rest[4..7]), keyframe));
            rest = &rest[15 + size..];
        }
        tags
    }

    #[test]
    fn the_clip_is_what_its_readme_says() {
        assert_eq!((CLIP.pictures.len(), CLIP.sounds.len()), (40, 125));
        assert_eq!((CLIP.video_config[..2].to_vec(), CLIP.audio_config[1]), (vec![0x17, 0], 0));
        for (index, picture) in CLIP.pictures.iter().enumerate() {
            assert_eq!(picture[0], if index % 10 == 0 { 0x17 } else { 0x27 }, "picture {index}");
            assert_eq!(picture[1..5], [1, 0, 0, 0], "no picture is shown later than it is decoded");
        }
        assert!(CLIP.sounds.iter().all(|sound| sound[1] == 1));
    }

    #[test]
    fn ten_minutes_are_3000_pictures_in_order_of_time() {
        let all = tags(&file(&footage(&[range(0, 600)], Hole::Squeeze, 0)));
        let pictures: Vec<u32> =
            all.iter().filter(|(kind, ..)| *kind == VIDEO).map(|(_, at, _)| *at).skip(1).take(3000).collect();
        assert_eq!(pictures, (0..3000).map(|n| n * 200).collect::<Vec<_>>());
        assert_eq!(all.iter().filter(|(kind, ..)| *kind == AUDIO).count(), 1 + 9375);
        assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].1), "timestamps never run backward");
        assert_eq!(all.last(), Some(&(VIDEO, 600_000, false)));
    }

    #[test]
    fn a_hole_is_squeezed_out_or_jumped_over_and_ends_on_a_keyframe() {
        let stretches = [range(0, 61), range(301, 311)];
        for (hole, resumes, ends) in [(Hole::Squeeze, 61_000, 71_000), (Hole::Jump, 301_000, 311_000)] {
            let all = tags(&file(&footage(&stretches, hole, 0)));
            let resumed = all.iter().find(|(kind, at, _)| *kind == VIDEO && *at >= 61_000);
            assert_eq!(resumed, Some(&(VIDEO, resumes, true)), "{hole:?}");
            assert_eq!(all.last().map(|tag| tag.1), Some(ends), "{hole:?}");
        }
    }

    #[test]
    fn without_footage_there_is_the_header_and_metadata_alone() {
        let nothing = footage(&[], Hole::Squeeze, 0);
        assert_eq!((nothing.pieces(), nothing.seconds()), (1, 0));
        assert_eq!(tags(&file(&nothing)), [(SCRIPT, 0, false)]);
    }

    #[test]
    fn uptime_wraps_at_32_bits() {
        let all = tags(&file(&footage(&[range(0, 4)], Hole::Squeeze, u32::MAX - 1999)));
        let pictures: Vec<u32> = all.iter().filter(|(kind, ..)| *kind == VIDEO).map(|(_, at, _)| *at).collect();
        assert_eq!(pictures[1], u32::MAX - 1999);
        assert_eq!(pictures[11], 0);
    }

    #[test]
    fn windows_differ_and_the_same_window_does_not() {
        let of = |number, start| {
            let asked = range(start, start + 60);
            let device = DeviceId::new(number).expect("not negative");
            file(&Footage::new(device, asked, &asked.into(), Hole::Squeeze, 0))
        };
        assert_eq!(of(5, 600), of(5, 600));
        assert_ne!(of(5, 600), of(6, 600));
        assert_ne!(of(5, 600), of(5, 1200));
    }

    #[test]
    fn filler_is_a_unit_of_its_own_behind_each_picture() {
        let plain = footage(&[range(0, 4)], Hole::Squeeze, 0);
        let filled = plain.clone().with_filler(100_000);
        let of = |footage: &Footage| tags(&file(footage));
        assert_eq!(of(&filled), of(&plain));
        assert_eq!(file(&filled).len(), file(&plain).len() + 4 * 5 * (4 + 2 + 100_000));
        // Lengths before units, in every picture's tag: they must add up to it.
        let (whole, mut at, mut fillers) = (file(&filled), 13, 0);
        while at < whole.len() {
            let size = u32::from_be_bytes([0, whole[at + 1], whole[at + 2], whole[at + 3]]) as usize;
            let payload = &whole[at + 11..at + 11 + size];
            let is_picture = whole[at] == VIDEO && payload[1] == 1;
            let mut rest = if is_picture { &payload[5..] } else { &[] };
            while let Some((length, units)) = rest.split_first_chunk() {
                let (unit, behind) = units.split_at(u32::from_be_bytes(*length) as usize);
                fillers += usize::from(unit[0] == FILLER_UNIT && unit.len() == 100_002);
                rest = behind;
            }
            assert!(rest.is_empty());
            at += size + TAG_OVERHEAD;
        }
        assert_eq!(fillers, 4 * 5);
    }

    proptest! {
        #[test]
        fn a_piece_is_as_long_as_it_says(
            raw in prop::collection::vec((0..600i64, 1..90i64), 0..5), jump: bool, first: u32, filler in 0..3000u32,
        ) {
            let stretches: Vec<_> = raw.into_iter().map(|(start, len)| range(start, (start + len).min(600))).collect();
            let hole = if jump { Hole::Jump } else { Hole::Squeeze };
            let made = footage(&stretches, hole, first).with_filler(filler);
            for index in 0..made.pieces() + 2 {
                prop_assert_eq!(made.piece(index).len(), made.piece_size(index));
            }
            prop_assert_eq!(made.size_of(made.pieces()), file(&made).len() as u64);
        }
    }
}
