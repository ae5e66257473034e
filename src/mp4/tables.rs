//! The index of an MP4 that [`super::index`] wrote, read back: each sample with its place, its time and its coding.
//!
//! It is not a reader of any MP4: what this program does not write it does not know, and takes for damage. Nothing is believed
//! that would need more memory than the index has bytes.

use crate::flv::{Coding, TrackKind};

/// Bytes of a sample entry's fields before its boxes: of pictures, and of sound.
const PICTURE_FIELDS: usize = 78;
const SOUND_FIELDS: usize = 28;

/// A sample of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Where it lies in the file, and how many bytes it has.
    pub(super) offset: u64,
    pub(super) size: usize,
    /// When it is decoded, in milliseconds of the film, and how much later it is shown.
    pub(super) time: i64,
    pub(super) composition: i32,
    pub(super) key: bool,
    /// The number of its coding.
    pub(super) coding: usize,
}

/// A track, and how far it was gone through.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) kind: TrackKind,
    pub(super) codings: Vec<Coding>,
    scale: i64,
    /// When it begins, in milliseconds.
    begins: i64,
    durations: Runs<u32>,
    /// Nothing when each sample is shown when it is decoded.
    compositions: Option<Runs<i32>>,
    /// Nothing when each is one.
    keys: Option<Vec<u32>>,
    next_key: usize,
    sizes: Vec<u32>,
    next: usize,
    chunks: Vec<u64>,
    places: Vec<[u32; 3]>,
    /// The chunk of the next sample, which of `places` tells of it, how many of its samples were gone through, and their bytes.
    chunk: usize,
    place: usize,
    in_chunk: u32,
    bytes_in_chunk: u64,
    tick: i64,
}

/// Values, each with how many samples in a row have it.
#[derive(Clone, Debug)]
struct Runs<T> {
    runs: Vec<(u32, T)>,
    run: usize,
    used: u32,
}

impl<T: Copy> Runs<T> {
    fn new(runs: Vec<(u32, T)>) -> Self {
        Self { runs, run: 0, used: 0 }
    }

    fn next(&mut self) -> Option<T> {
        loop {
            let (count, value) = *self.runs.get(self.run)?;
            if self.used < count {
                self.used += 1;
                return Some(value);
            }
            (self.run, self.used) = (self.run + 1, 0);
        }
    }
}

impl Track {
    /// Whether all samples were given.
    pub(super) fn is_through(&self) -> bool {
        self.next == self.sizes.len()
    }

    /// Where the next sample lies.
    pub(super) fn next_offset(&self) -> Option<u64> {
        if self.is_through() { None } else { self.chunks.get(self.chunk)?.checked_add(self.bytes_in_chunk) }
    }

    /// The next sample; nothing when there is none, or the index does not tell it.
    pub(super) fn next(&mut self) -> Option<Sample> {
        let offset = self.next_offset()?;
        let size = *self.sizes.get(self.next)?;
        let chunk = u32::try_from(self.chunk).ok()?;
        // They count from 1.
        while self.places.get(self.place + 1).is_some_and(|next| next[0] <= chunk + 1) {
            self.place += 1;
        }
        let [_, samples, description] = *self.places.get(self.place)?;
        let coding = usize::try_from(description).ok()?.checked_sub(1).filter(|&coding| coding < self.codings.len())?;
        let key = match &self.keys {
            None => true,
            Some(keys) => keys.get(self.next_key).is_some_and(|&key| key as usize == self.next + 1),
        };
        self.next_key += usize::from(key);
        // To the nearest: what was rounded down to a tick is what it was.
        let time = self.begins + (self.tick * 2000 + self.scale).div_euclid(self.scale * 2);
        let composition = match &mut self.compositions {
            None => 0,
            Some(runs) => runs.next()?,
        };
        self.tick = self.tick.checked_add(i64::from(self.durations.next()?)).filter(|tick| *tick < i64::MAX / 4000)?;
        self.next += 1;
        self.in_chunk += 1;
        self.bytes_in_chunk += u64::from(size);
        if self.in_chunk >= samples {
            (self.chunk, self.in_chunk, self.bytes_in_chunk) = (self.chunk + 1, 0, 0);
        }
        Some(Sample { offset, size: size as usize, time, composition, key, coding })
    }
}

/// The tracks of pictures and sound in the body of a `moov`; nothing when it is none of ours.
pub(super) fn tracks(moov: &[u8]) -> Option<Vec<Track>> {
    boxes(moov).filter(|(kind, _)| kind == b"trak").map(|(_, trak)| track(trak)).collect()
}

fn track(trak: &[u8]) -> Option<Track> {
    let media = child(trak, b"mdia")?;
    let kind = match child(media, b"hdlr")?.get(8..12)? {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => return None,
    };
    let scale = i64::from(u32_at(child(media, b"mdhd")?, 12)?);
    // An edit without media, if any, is when the track begins.
    let begins = match child(trak, b"edts").and_then(|edits| child(edits, b"elst")) {
        Some(edits) if u32_at(edits, 4)? > 0 && u32_at(edits, 12)? == u32::MAX => i64::from(u32_at(edits, 8)?),
        _ => 0,
    };
    let table = child(child(media, b"minf")?, b"stbl")?;
    let codings = boxes(child(table, b"stsd")?.get(8..)?).map(|(kind, entry)| coding(kind, entry));
    let list = |kind| child(table, kind).map(|body| body.get(8..).unwrap_or_default());
    let pairs =
        |body: &[u8]| body.chunks_exact(8).filter_map(|pair| Some((u32_at(pair, 0)?, u32_at(pair, 4)?))).collect();
    let numbers = |body: &[u8]| body.chunks_exact(4).filter_map(|number| u32_at(number, 0)).collect::<Vec<u32>>();
    let compositions = list(b"ctts").map(|body| {
        let runs: Vec<(u32, u32)> = pairs(body);
        Runs::new(runs.into_iter().map(|(count, value)| (count, value.cast_signed())).collect())
    });
    let triples = list(b"stsc")?.chunks_exact(12);
    let track = Track {
        kind,
        codings: codings.collect::<Option<_>>()?,
        scale,
        begins,
        durations: Runs::new(pairs(list(b"stts")?)),
        compositions,
        keys: list(b"stss").map(numbers),
        next_key: 0,
        // Behind a size that they all have, which is none, and their number.
        sizes: numbers(child(table, b"stsz")?.get(12..)?),
        next: 0,
        chunks: list(b"co64")?
            .chunks_exact(8)
            .filter_map(|offset| offset.first_chunk().copied().map(u64::from_be_bytes))
            .collect(),
        places: triples.filter_map(|place| Some([u32_at(place, 0)?, u32_at(place, 4)?, u32_at(place, 8)?])).collect(),
        chunk: 0,
        place: 0,
        in_chunk: 0,
        bytes_in_chunk: 0,
        tick: 0,
    };
    Some(track).filter(|track| track.scale > 0)
}

fn coding(kind: [u8; 4], entry: &[u8]) -> Option<Coding> {
    let record = |fields: usize, kind| Some(child(entry.get(fields..)?, kind)?.to_vec());
    let channels = || u8::try_from(u16_at(entry, 16)?).ok();
    match &kind {
        b"avc1" => Some(Coding::H264(record(PICTURE_FIELDS, b"avcC")?)),
        b"hvc1" => Some(Coding::H265(record(PICTURE_FIELDS, b"hvcC")?)),
        b"mp4a" => Some(Coding::Aac(audio_specific_config(child(entry.get(SOUND_FIELDS..)?, b"esds")?.get(4..)?)?)),
        b"alaw" => Some(Coding::G711A(channels()?)),
        b"ulaw" => Some(Coding::G711U(channels()?)),
        _ => None,
    }
}

/// What an elementary stream's descriptor has for a decoder: descriptors within descriptors, each behind a tag and a length.
fn audio_specific_config(bytes: &[u8]) -> Option<Vec<u8>> {
    // Of the stream, of its decoder, and what is particular to it; with the bytes that the first two have before the next.
    let stream = descriptor(bytes, 3)?.get(3..)?;
    let decoder = descriptor(stream, 4)?.get(13..)?;
    Some(descriptor(decoder, 5)?.to_vec())
}

fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (_, mut rest) = bytes.split_first().filter(|(first, _)| **first == tag)?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        // Seven bits at a time; the highest says whether more come.
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return rest.get(..length);
        }
    }
    None
}

/// The boxes of a body, each with its type and body, up to the first that does not fit.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let &[s3, s2, s1, s0, k0, k1, k2, k3] = rest.first_chunk()?;
        let size = u32::from_be_bytes([s3, s2, s1, s0]) as usize;
        let (whole, behind) = rest.split_at_checked(size)?;
        let body = whole.get(8..)?;
        rest = behind;
        Some(([k0, k1, k2, k3], body))
    })
}

/// The body of the first box of that type.
fn child<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(found, _)| found == kind).map(|(_, body)| body)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}
