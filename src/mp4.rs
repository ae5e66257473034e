//! Writes the boxes of an MP4: what stands before the frames, and the index behind them.
//!
//! The frames' bytes never come here. [`Track`] is told where each lies in the file, and keeps of it what the index needs: four
//! bytes of size, and where lengths, compositions or places change, a few more. With what is made of that at the end it comes to
//! about 20 bytes a frame. The records that decoders need (avcC, hvcC,
//! AudioSpecificConfig) are taken over byte for byte.
//!
//! A film is written with its index at its end ([`opening`]). A recording that is published as MP4 has it at its beginning
//! ([`remux`]), says of itself what the ledger says ([`published`]), and is read back frame by frame ([`frames`]).
//!
//! The boxes are `shiguredo_mp4`'s. Its muxer is not used: it keeps a copy of the sample entry for every change from pictures to
//! sound, hundreds of megabytes for a long film, and has no tracks of text.

pub mod frames;
pub mod published;
pub mod remux;
mod tables;

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{
    AudioSampleEntryFields, Co64Box, CttsBox, CttsEntry, DinfBox, EdtsBox, ElstBox, ElstEntry, EsdsBox, HdlrBox,
    MdhdBox, MdiaBox, MinfBox, MoovBox, Mp4aBox, MvhdBox, SampleEntry, SmhdBox, StblBox, StscBox, StscEntry, StsdBox,
    StssBox, StszBox, SttsBox, SttsEntry, TkhdBox, TrakBox, UnknownBox, VisualSampleEntryFields, VmhdBox,
};
use shiguredo_mp4::descriptors::{DecoderConfigDescriptor, DecoderSpecificInfo, EsDescriptor, SlConfigDescriptor};
use shiguredo_mp4::{BoxSize, BoxType, Either, Encode, FixedPointNumber, Mp4FileTime, Uint};
use thiserror::Error;

use crate::flv::{Coding, TrackKind};

/// Bytes of [`opening`].
pub const OPENING: u64 = 32 + MEDIA_HEADER;
/// Bytes of the header of the box that holds the frames.
const MEDIA_HEADER: u64 = 16;
/// The film's clock: milliseconds.
pub const FILM_SCALE: u32 = 1000;
/// Players read the frames of a chunk at once, so it ends with so many bytes.
const LARGEST_CHUNK: u64 = 1 << 20;
/// What players read as a length without a sign is read by some with one.
const LONGEST: i64 = i32::MAX as i64;
const UNITY: FixedPointNumber<i16, i16> = FixedPointNumber::new(1, 0);

/// What cannot be written as MP4.
#[derive(Debug, Error)]
pub enum Mp4Error {
    /// More time between two frames than the format can say.
    #[error("a track pauses for {hours} h, which is longer than an MP4 can say")]
    Pause {
        /// How long the pause is.
        hours: i64,
    },
    /// More frames or larger ones than the format can count.
    #[error("it would have more frames, or larger ones, than an MP4 can count")]
    TooMany,
    /// The boxes could not be written.
    #[error("its index cannot be written: {0}")]
    Boxes(String),
}

impl From<shiguredo_mp4::Error> for Mp4Error {
    fn from(error: shiguredo_mp4::Error) -> Self {
        Self::Boxes(error.to_string())
    }
}

/// How the frames of a track are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Pictures or sound.
    Media(Coding),
    /// Lines of text.
    Text,
}

/// The beginning of a file: its type, and a header for `media_bytes` of frames behind it. Always as long as [`OPENING`].
pub fn opening(media_bytes: u64) -> Vec<u8> {
    [file_type(), media_header(media_bytes)].concat()
}

fn file_type() -> Vec<u8> {
    [&32_u32.to_be_bytes()[..], b"ftypisom\0\0\x02\0isomiso2mp41avc1"].concat()
}

/// Always as long as [`MEDIA_HEADER`].
fn media_header(media_bytes: u64) -> Vec<u8> {
    [&1_u32.to_be_bytes()[..], b"mdat", &(MEDIA_HEADER + media_bytes).to_be_bytes()].concat()
}

/// A frame as a [`Track`] is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it is decoded, in ticks of the track; after the one before.
    pub at: i64,
    /// How much later it is shown, in ticks.
    pub composition: i32,
    /// Where it lies in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
    /// Whether a decoder can begin with it.
    pub key: bool,
}

/// The index of one track.
#[derive(Clone, Debug)]
pub struct Track {
    scale: NonZeroU32,
    entries: Vec<Entry>,
    /// When the first sample is decoded, and the last, in ticks.
    first: Option<i64>,
    last: i64,
    /// Each with how many samples in a row have it.
    durations: Vec<(u32, u32)>,
    compositions: Vec<(u32, i32)>,
    sizes: Vec<u32>,
    keys: Vec<NonZeroU32>,
    chunks: Vec<Chunk>,
    /// How many bytes the last chunk has.
    chunk_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    offset: u64,
    samples: u32,
    /// Its place among the entries.
    entry: u32,
}

impl Track {
    /// An empty one, of so many ticks a second.
    pub fn new(scale: NonZeroU32) -> Self {
        Self {
            scale,
            entries: Vec::new(),
            first: None,
            last: 0,
            durations: Vec::new(),
            compositions: Vec::new(),
            sizes: Vec::new(),
            keys: Vec::new(),
            chunks: Vec::new(),
            chunk_bytes: 0,
        }
    }

    /// Ticks a second.
    pub fn scale(&self) -> u32 {
        self.scale.get()
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.sizes.len()
    }

    /// How its frames are coded, in the order in which they came.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The next frame, and how it is coded.
    pub fn add(&mut self, sample: Sample, entry: &Entry) -> Result<(), Mp4Error> {
        match self.first {
            None => self.first = Some(sample.at),
            Some(_) => self.duration(sample.at - self.last)?,
        }
        self.last = sample.at;
        let entry = match self.entries.iter().rposition(|known| known == entry) {
            Some(index) => index,
            None => {
                self.entries.push(entry.clone());
                self.entries.len() - 1
            }
        };
        let entry = u32::try_from(entry).map_err(|_| Mp4Error::TooMany)?;
        let size = u32::try_from(sample.size).map_err(|_| Mp4Error::TooMany)?;
        self.sizes.push(size);
        let number = u32::try_from(self.sizes.len()).ok().and_then(NonZeroU32::new).ok_or(Mp4Error::TooMany)?;
        if sample.key {
            self.keys.push(number);
        }
        count(&mut self.compositions, sample.composition);
        match self.chunks.last_mut() {
            Some(chunk)
                if chunk.entry == entry
                    && chunk.offset + self.chunk_bytes == sample.offset
                    && self.chunk_bytes < LARGEST_CHUNK =>
            {
                chunk.samples += 1;
                self.chunk_bytes += sample.size;
            }
            _ => {
                self.chunks.push(Chunk { offset: sample.offset, samples: 1, entry });
                self.chunk_bytes = sample.size;
            }
        }
        Ok(())
    }

    /// Says when the last frame ends, in ticks. Nothing can be added afterwards.
    pub fn end(&mut self, at: i64) -> Result<(), Mp4Error> {
        if self.first.is_some() && self.lengths() < self.sizes.len() as u64 {
            self.duration((at - self.last).max(1))?;
            self.last = self.last.max(at);
        }
        Ok(())
    }

    /// Says that its frames lie so many bytes further back in the file.
    fn move_back(&mut self, bytes: u64) {
        self.chunks.iter_mut().for_each(|chunk| chunk.offset += bytes);
    }

    fn lengths(&self) -> u64 {
        self.durations.iter().map(|&(samples, _)| u64::from(samples)).sum()
    }

    fn duration(&mut self, ticks: i64) -> Result<(), Mp4Error> {
        match u32::try_from(ticks).ok().filter(|_| ticks <= LONGEST) {
            Some(ticks) => count(&mut self.durations, ticks),
            // OK: frames are added in order, so that only a pause is out of bounds.
            None => return Err(Mp4Error::Pause { hours: ticks / i64::from(self.scale.get()) / 3600 }),
        }
        Ok(())
    }

    /// Ticks of all its frames.
    fn ticks(&self) -> u64 {
        self.durations.iter().map(|&(samples, ticks)| u64::from(samples) * u64::from(ticks)).sum()
    }

    /// Ticks of the track as ticks of the film, rounded up.
    fn in_film(&self, ticks: u64) -> u64 {
        let in_film = (u128::from(ticks) * u128::from(FILM_SCALE)).div_ceil(u128::from(self.scale.get()));
        // OK: a film of 2⁶⁴ milliseconds is none of ours.
        u64::try_from(in_film).unwrap_or(u64::MAX)
    }

    fn start(&self) -> u64 {
        self.first.map_or(0, |first| self.in_film(first.unsigned_abs()))
    }
}

/// Counts what comes in a row.
fn count<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value && *count < u32::MAX => *count += 1,
        _ => runs.push((1, value)),
    }
}

/// The index of a file with these tracks, of which those without frames are left out. `begins` is when the film begins, in
/// seconds since 1970.
pub fn index(tracks: Vec<Track>, begins: i64) -> Result<Vec<u8>, Mp4Error> {
    let made = Mp4FileTime::from_unix_time(std::time::Duration::from_secs(begins.max(0).unsigned_abs()));
    let mut traks = Vec::new();
    let mut longest = 0;
    for (track, id) in tracks.into_iter().filter(|track| track.first.is_some()).zip(1..) {
        longest = longest.max(track.start() + track.in_film(track.ticks()));
        traks.push(trak(track, id, made)?);
    }
    let movie = MvhdBox {
        creation_time: made,
        modification_time: made,
        timescale: NonZeroU32::new(FILM_SCALE).unwrap_or(NonZeroU32::MIN),
        duration: longest,
        rate: MvhdBox::DEFAULT_RATE,
        volume: MvhdBox::DEFAULT_VOLUME,
        matrix: MvhdBox::DEFAULT_MATRIX,
        next_track_id: traks.len() as u32 + 1,
    };
    let moov = MoovBox { mvhd_box: movie, trak_boxes: traks, mvex_box: None, unknown_boxes: Vec::new() };
    Ok(moov.encode_to_vec()?)
}

fn trak(track: Track, id: u32, made: Mp4FileTime) -> Result<TrakBox, Mp4Error> {
    let kind = match track.entries.first() {
        Some(Entry::Media(coding)) if coding.is_video() => Some(TrackKind::Video),
        Some(Entry::Media(_)) => Some(TrackKind::Audio),
        Some(Entry::Text) | None => None,
    };
    let (start, ticks) = (track.start(), track.ticks());
    let length = track.in_film(ticks);
    let sizes = track.entries.iter().filter_map(|entry| match entry {
        Entry::Media(coding) => coding.picture_size(),
        Entry::Text => None,
    });
    let (width, height) = sizes.fold((0, 0), |(width, height), size| (size.0.max(width), size.1.max(height)));
    let latest = track.compositions.iter().map(|&(_, composition)| composition.max(0)).max().unwrap_or(0);
    let header = TkhdBox {
        flag_track_enabled: true,
        flag_track_in_movie: true,
        flag_track_in_preview: false,
        flag_track_size_is_aspect_ratio: false,
        creation_time: made,
        modification_time: made,
        track_id: id,
        duration: start + length,
        layer: TkhdBox::DEFAULT_LAYER,
        // Tracks of one group stand in for each other: lines of text are in one of their own.
        alternate_group: if kind.is_none() { 2 } else { TkhdBox::DEFAULT_ALTERNATE_GROUP },
        volume: match kind {
            Some(TrackKind::Audio) => TkhdBox::DEFAULT_AUDIO_VOLUME,
            _ => TkhdBox::DEFAULT_VIDEO_VOLUME,
        },
        matrix: TkhdBox::DEFAULT_MATRIX,
        // OK to wrap: 16 bits either way, and no camera's picture needs the highest.
        width: FixedPointNumber::new(width as i16, 0),
        height: FixedPointNumber::new(height as i16, 0),
    };
    // A track that begins later than the film begins with nothing. That, and only that, is an edit that all players know.
    let edits = (start > 0).then(|| EdtsBox {
        elst_box: Some(ElstBox {
            entries: vec![
                ElstEntry { edit_duration: start, media_time: -1, media_rate: UNITY },
                // The last pictures are shown later than they are decoded.
                ElstEntry {
                    edit_duration: length + track.in_film(u64::from(latest.unsigned_abs())),
                    media_time: 0,
                    media_rate: UNITY,
                },
            ],
        }),
        unknown_boxes: Vec::new(),
    });
    let (handler, name, media_header) = match kind {
        Some(TrackKind::Video) => (*b"vide", "pictures", Some(Either::B(VmhdBox::default()))),
        Some(TrackKind::Audio) => (*b"soun", "sound", Some(Either::A(SmhdBox::default()))),
        None => (*b"sbtl", "what is missing", None),
    };
    let more = if kind.is_none() { vec![plain_box(*b"nmhd", vec![0; 4])] } else { Vec::new() };
    let media = MdiaBox {
        mdhd_box: MdhdBox {
            creation_time: made,
            modification_time: made,
            timescale: track.scale,
            duration: ticks,
            language: if kind.is_none() { *b"eng" } else { MdhdBox::LANGUAGE_UNDEFINED },
        },
        hdlr_box: HdlrBox { handler_type: handler, name: [name.as_bytes(), &[0]].concat() },
        minf_box: MinfBox {
            smhd_or_vmhd_box: media_header,
            dinf_box: DinfBox::LOCAL_FILE,
            stbl_box: table(track)?,
            unknown_boxes: more,
        },
        unknown_boxes: Vec::new(),
    };
    Ok(TrakBox { tkhd_box: header, edts_box: edits, mdia_box: media, unknown_boxes: Vec::new() })
}

fn table(track: Track) -> Result<StblBox, Mp4Error> {
    let entries = track.entries.iter().map(sample_entry).collect::<Result<_, Mp4Error>>()?;
    let mut places: Vec<StscEntry> = Vec::new();
    for (index, chunk) in track.chunks.iter().enumerate() {
        let description = NonZeroU32::MIN.saturating_add(chunk.entry);
        let same =
            |last: &StscEntry| last.sample_per_chunk == chunk.samples && last.sample_description_index == description;
        if !places.last().is_some_and(same) {
            // OK: there are no more chunks than samples, which are counted.
            let first_chunk = NonZeroU32::MIN.saturating_add(index as u32);
            places.push(StscEntry {
                first_chunk,
                sample_per_chunk: chunk.samples,
                sample_description_index: description,
            });
        }
    }
    let is_shown_when_decoded = track.compositions.iter().all(|&(_, composition)| composition == 0);
    let is_earlier = track.compositions.iter().any(|&(_, composition)| composition < 0);
    let compositions = track
        .compositions
        .iter()
        .map(|&(sample_count, composition)| CttsEntry { sample_count, sample_offset: i64::from(composition) });
    Ok(StblBox {
        stsd_box: StsdBox { entries },
        stts_box: SttsBox {
            entries: track
                .durations
                .iter()
                .map(|&(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta })
                .collect(),
        },
        ctts_box: (!is_shown_when_decoded)
            .then(|| CttsBox { version: u8::from(is_earlier), entries: compositions.collect() }),
        cslg_box: None,
        stsc_box: StscBox { entries: places },
        // Without the list each is a keyframe.
        stss_box: (track.keys.len() < track.sizes.len()).then_some(StssBox { sample_numbers: track.keys }),
        stsz_box: StszBox::Variable { entry_sizes: track.sizes },
        stco_or_co64_box: Either::B(Co64Box { chunk_offsets: track.chunks.iter().map(|chunk| chunk.offset).collect() }),
        sdtp_box: None,
        unknown_boxes: Vec::new(),
    })
}

fn sample_entry(entry: &Entry) -> Result<SampleEntry, Mp4Error> {
    match entry {
        Entry::Media(coding @ Coding::H264(record)) => picture_entry(*b"avc1", *b"avcC", coding, record),
        Entry::Media(coding @ Coding::H265(record)) => picture_entry(*b"hvc1", *b"hvcC", coding, record),
        Entry::Media(coding @ Coding::Aac(record)) => Ok(SampleEntry::Mp4a(Mp4aBox {
            audio: sound_fields(coding),
            esds_box: EsdsBox { es: elementary_stream(record) },
            unknown_boxes: Vec::new(),
        })),
        Entry::Media(coding @ Coding::G711A(_)) => {
            Ok(SampleEntry::Unknown(plain_box(*b"alaw", sound_fields(coding).encode_to_vec()?)))
        }
        Entry::Media(coding @ Coding::G711U(_)) => {
            Ok(SampleEntry::Unknown(plain_box(*b"ulaw", sound_fields(coding).encode_to_vec()?)))
        }
        Entry::Text => Ok(SampleEntry::Unknown(plain_box(*b"tx3g", text_fields()))),
    }
}

/// The record as it came: what this program does not know of it is kept too.
fn picture_entry(kind: [u8; 4], record_kind: [u8; 4], coding: &Coding, record: &[u8]) -> Result<SampleEntry, Mp4Error> {
    let (width, height) = coding.picture_size().unwrap_or_default();
    let fields = VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width,
        height,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    };
    let mut payload = fields.encode_to_vec()?;
    payload.extend(plain_box(record_kind, record.to_vec()).encode_to_vec()?);
    Ok(SampleEntry::Unknown(plain_box(kind, payload)))
}

fn sound_fields(coding: &Coding) -> AudioSampleEntryFields {
    // Rates above 65535 Hz do not fit; decoders read the record.
    let rate = coding.sample_rate().and_then(|rate| u16::try_from(rate).ok()).unwrap_or_default();
    AudioSampleEntryFields {
        data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        channelcount: u16::from(coding.channels().unwrap_or(1)),
        samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
        samplerate: FixedPointNumber::new(rate, 0),
    }
}

fn elementary_stream(record: &[u8]) -> EsDescriptor {
    EsDescriptor {
        es_id: EsDescriptor::MIN_ES_ID,
        stream_priority: EsDescriptor::LOWEST_STREAM_PRIORITY,
        depends_on_es_id: None,
        url_string: None,
        ocr_es_id: None,
        dec_config_descr: DecoderConfigDescriptor {
            object_type_indication: DecoderConfigDescriptor::OBJECT_TYPE_INDICATION_AUDIO_ISO_IEC_14496_3,
            stream_type: DecoderConfigDescriptor::STREAM_TYPE_AUDIO,
            up_stream: DecoderConfigDescriptor::UP_STREAM_FALSE,
            buffer_size_db: Uint::new(0),
            max_bitrate: 0,
            avg_bitrate: 0,
            dec_specific_info: Some(DecoderSpecificInfo { payload: record.to_vec() }),
        },
        sl_config_descr: SlConfigDescriptor,
    }
}

/// 3GPP timed text: white on black, in the middle below.
fn text_fields() -> Vec<u8> {
    let mut fields = vec![0, 0, 0, 0, 0, 0, 0, 1];
    // Flags; in the middle, at the bottom; the background; the whole picture is its box.
    fields.extend_from_slice(&[0, 0, 0, 0, 1, 0xff, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // All characters in font 1, size 18, white.
    fields.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 18, 0xff, 0xff, 0xff, 0xff]);
    fields.extend_from_slice(b"\0\0\0\x12ftab\0\x01\0\x01\x05Serif");
    fields
}

fn plain_box(kind: [u8; 4], payload: Vec<u8>) -> UnknownBox {
    let box_type = BoxType::Normal(kind);
    UnknownBox { box_type, box_size: BoxSize::with_payload_size(box_type, payload.len() as u64), payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(scale: u32) -> Track {
        Track::new(NonZeroU32::new(scale).expect("not zero"))
    }

    fn sample(at: i64, offset: u64, size: u64) -> Sample {
        Sample { at, composition: 0, offset, size, key: at == 0 }
    }

    fn entry() -> Entry {
        Entry::Media(Coding::H264(vec![1, 100, 0, 30]))
    }

    #[test]
    fn the_opening_is_as_long_as_it_says_and_names_the_size_of_the_media() {
        let opening = opening(1 << 33);
        assert_eq!(opening.len() as u64, OPENING);
        assert_eq!(opening[32..40], *b"\0\0\0\x01mdat");
        assert_eq!(opening[40..48], ((1_u64 << 33) + 16).to_be_bytes());
    }

    #[test]
    fn frames_that_lie_side_by_side_are_one_chunk_until_it_is_large_or_coded_otherwise() {
        let mut film = track(1000);
        let other = Entry::Media(Coding::H264(vec![1, 66, 0, 30]));
        for (at, offset, size, entry) in [
            (0, 48, 100, entry()),
            (40, 148, LARGEST_CHUNK, entry()),
            (80, 148 + LARGEST_CHUNK, 1, entry()),
            (120, 149 + LARGEST_CHUNK, 1, other),
            (160, 151 + LARGEST_CHUNK, 1, entry()),
        ] {
            film.add(sample(at, offset, size), &entry).expect("it can be indexed");
        }
        let chunks: Vec<_> = film.chunks.iter().map(|chunk| (chunk.samples, chunk.entry)).collect();
        assert_eq!(chunks, [(2, 0), (1, 0), (1, 1), (1, 0)]);
    }

    #[test]
    fn lengths_add_up_to_the_end() {
        let mut film = track(1000);
        for at in [0, 40, 80, 90_000, 90_040] {
            film.add(sample(at, 48, 1), &entry()).expect("it can be indexed");
        }
        film.end(100_000).expect("it can be indexed");
        film.end(200_000).expect("an end is an end");
        assert_eq!(film.durations, [(2, 40), (1, 89_920), (1, 40), (1, 9960)]);
        assert_eq!(film.ticks(), 100_000);
    }

    #[test]
    fn a_pause_that_players_misread_is_refused() {
        let mut film = track(48_000);
        film.add(sample(0, 48, 1), &entry()).expect("it can be indexed");
        let error = film.add(sample(48_000 * 3600 * 13, 49, 1), &entry()).expect_err("13 hours are too long");
        assert!(error.to_string().contains("13 h"), "{error}");
    }

    #[test]
    fn a_track_that_begins_later_begins_with_an_empty_edit() {
        let mut film = track(8000);
        film.add(sample(16_000, 48, 1), &Entry::Media(Coding::G711A(1))).expect("it can be indexed");
        film.end(16_800).expect("it can be indexed");
        let bytes = index(vec![track(1000), film], 1_795_136_400).expect("it can be written");
        let at = bytes.windows(4).position(|kind| kind == b"elst").expect("there is one");
        assert_eq!(bytes[at + 8..at + 20], [0, 0, 0, 2, 0, 0, 0x07, 0xd0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(bytes.windows(4).filter(|kind| *kind == b"trak").count(), 1, "the empty track is left out");
        assert!(bytes.windows(4).any(|kind| kind == b"alaw"));
    }

    #[test]
    fn records_are_taken_over_byte_for_byte() {
        let record: Vec<u8> = (0..200).collect();
        for coding in [Coding::H264(record.clone()), Coding::H265(record.clone()), Coding::Aac(record.clone())] {
            let mut film = track(1000);
            film.add(sample(0, 48, 1), &Entry::Media(coding)).expect("it can be indexed");
            film.end(40).expect("it can be indexed");
            let bytes = index(vec![film], 0).expect("it can be written");
            assert!(bytes.windows(record.len()).any(|window| window == record));
        }
    }
}
