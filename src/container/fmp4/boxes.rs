//! The boxes inside of `moov` and `moof`, which are read whole: the tracks, and the times of a fragment's samples.

use crate::container::streams::Streams;
use crate::recording::{AudioCodec, VideoCodec};

/// More samples than any fragment has, whatever it claims: an hour of pictures and sound has a quarter of that.
const MOST_SAMPLES: u64 = 1 << 20;

/// The first track of pictures and the first of sound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tracks {
    pub video: Option<Track<VideoCodec>>,
    pub audio: Option<Track<AudioCodec>>,
}

/// What a track needs to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track<Codec> {
    id: u32,
    codec: Codec,
    /// Units of its clock in a second; not zero.
    timescale: u32,
    /// How long a sample is that says nothing else.
    default_duration: u32,
    picture_size: Option<(u16, u16)>,
    /// When the next sample is decoded that says nothing else.
    next: u64,
}

/// The boxes of a body, each with its type and body, up to the first that does not fit.
struct Boxes<'a> {
    rest: &'a [u8],
}

fn boxes(rest: &[u8]) -> Boxes<'_> {
    Boxes { rest }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&head, after) = self.rest.split_first_chunk::<8>()?;
        let [s3, s2, s1, s0, kind @ ..] = head;
        let (size, after, header) = match u32::from_be_bytes([s3, s2, s1, s0]) {
            0 => (self.rest.len() as u64, after, 8),
            1 => {
                let (&size, after) = after.split_first_chunk::<8>()?;
                (u64::from_be_bytes(size), after, 16)
            }
            size => (u64::from(size), after, 8),
        };
        let length = usize::try_from(size.checked_sub(header)?).ok()?;
        let (body, rest) = after.split_at_checked(length)?;
        self.rest = rest;
        Some((kind, body))
    }
}

/// The body of the first box of that type.
fn child<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The body of the box that is reached by these types.
fn inside<'a>(body: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(body, |body, kind| child(body, kind))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_be_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// The tracks of a `moov`'s body.
pub(super) fn tracks(moov: &[u8]) -> Tracks {
    let mut tracks = Tracks::default();
    for (kind, trak) in boxes(moov) {
        if kind == *b"trak" {
            // A track that cannot be read is none; whether one is missing is seen in the end.
            let _ = track(trak, moov, &mut tracks);
        }
    }
    tracks
}

fn track(trak: &[u8], moov: &[u8], tracks: &mut Tracks) -> Option<()> {
    let header = child(trak, b"tkhd")?;
    // Two times are before it, of 64 bits in version 1.
    let id = u32_at(header, if header.first()? == &1 { 20 } else { 12 })?;
    let media = child(trak, b"mdia")?;
    let clock = child(media, b"mdhd")?;
    let timescale = u32_at(clock, if clock.first()? == &1 { 20 } else { 12 })?;
    let handler = child(media, b"hdlr")?.get(8..12)?;
    let descriptions = inside(media, &[b"minf", b"stbl", b"stsd"])?;
    let (name, entry) = boxes(descriptions.get(8..)?).next()?;
    if timescale == 0 {
        return None;
    }
    let extends = child(moov, b"mvex").into_iter().flat_map(boxes);
    let mut ours = extends.filter(|(kind, body)| kind == b"trex" && u32_at(body, 4) == Some(id));
    let default_duration = ours.next().and_then(|(_, body)| u32_at(body, 12)).unwrap_or(0);
    if handler == b"vide" && tracks.video.is_none() {
        let size = (u16_at(entry, 24)?, u16_at(entry, 26)?);
        let picture_size = (size.0 > 0 && size.1 > 0).then_some(size);
        let codec = video_codec(name);
        tracks.video = Some(Track { id, codec, timescale, default_duration, picture_size, next: 0 });
    } else if handler == b"soun" && tracks.audio.is_none() {
        let codec = audio_codec(&name);
        tracks.audio = Some(Track { id, codec, timescale, default_duration, picture_size: None, next: 0 });
    }
    Some(())
}

fn video_codec(name: [u8; 4]) -> VideoCodec {
    match &name {
        b"avc1" | b"avc3" => VideoCodec::H264,
        b"hvc1" | b"hev1" => VideoCodec::H265,
        _ => VideoCodec::FourCc(name),
    }
}

/// FLV's format 15 is whatever has no other.
fn audio_codec(name: &[u8; 4]) -> AudioCodec {
    match name {
        b"mp4a" => AudioCodec::Aac,
        b"alaw" => AudioCodec::G711A,
        b"ulaw" => AudioCodec::G711U,
        b".mp3" => AudioCodec::Other(2),
        _ => AudioCodec::Other(15),
    }
}

/// Adds the samples of a `moof`'s body to the streams. Nothing when it cannot be read, or claims more samples than there are
/// bytes for them: `most`. What was added then is not to be used.
pub(super) fn add_fragment(moof: &[u8], most: u64, tracks: &mut Tracks, streams: &mut Streams) -> Option<()> {
    let mut left = most.min(MOST_SAMPLES);
    for (kind, traf) in boxes(moof) {
        if kind != *b"traf" {
            continue;
        }
        let header = child(traf, b"tfhd")?;
        let id = u32_at(header, 4)?;
        if let Some(track) = tracks.video.as_mut().filter(|track| track.id == id) {
            let before = left;
            add_samples(traf, header, track, &mut left, |codec, time| streams.video.frame(codec, time))?;
            if let Some(size) = track.picture_size.filter(|_| left < before) {
                streams.picture_size(size);
            }
        } else if let Some(track) = tracks.audio.as_mut().filter(|track| track.id == id) {
            add_samples(traf, header, track, &mut left, |codec, time| streams.audio.frame(codec, time))?;
        }
    }
    Some(())
}

fn add_samples<Codec: Copy>(
    traf: &[u8],
    header: &[u8],
    track: &mut Track<Codec>,
    left: &mut u64,
    mut frame: impl FnMut(Codec, i64),
) -> Option<()> {
    let flags = u32_at(header, 0)?;
    // Before the duration: an offset of 64 bits, and the number of a description.
    let at = 8 + if flags & 1 != 0 { 8 } else { 0 } + if flags & 2 != 0 { 4 } else { 0 };
    let default = if flags & 8 != 0 { u32_at(header, at)? } else { track.default_duration };
    if let Some(decoded) = child(traf, b"tfdt") {
        track.next = if decoded.first()? == &1 { u64_at(decoded, 4)? } else { u64::from(u32_at(decoded, 4)?) };
    }
    for (kind, run) in boxes(traf) {
        if kind != *b"trun" {
            continue;
        }
        let (flags, count) = (u32_at(run, 0)?, u32_at(run, 4)?);
        *left = left.checked_sub(u64::from(count))?;
        // Before the samples: an offset, and the first one's flags. Of each: duration, size, flags, offset.
        let start = 8 + if flags & 1 != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 };
        let width = (flags >> 8 & 15).count_ones() as usize * 4;
        for sample in 0..count as usize {
            let fields = run.get(start + sample * width..start + (sample + 1) * width)?;
            let duration = if flags & 0x100 != 0 { u32_at(fields, 0)? } else { default };
            frame(track.codec, milliseconds(track.next, track.timescale));
            track.next = track.next.saturating_add(u64::from(duration));
        }
    }
    Some(())
}

fn milliseconds(time: u64, timescale: u32) -> i64 {
    i64::try_from(u128::from(time) * 1000 / u128::from(timescale)).unwrap_or(i64::MAX)
}
