//! Writes a film's frames as they come, and its index behind them.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::num::NonZeroU32;
use std::path::Path;

use crate::export::ExportError;
use crate::export::source::Timed;
use crate::flv::{Coding, TrackKind};
use crate::joining::{Plan, Ticks};
use crate::manifest::{Film, Still};
use crate::mp4::{self, Entry, FILM_SCALE, Sample, Track};
use crate::vault::failed;

use super::{Line, SOME_RATE, sound_ticks};

/// Sound is gathered for so long, in milliseconds, or until it has so many bytes: players then read a second of pictures and a
/// second of sound at once.
const GATHERED: i64 = 1000;
const GATHERED_BYTES: usize = 256 << 10;
/// A picture that stands for longer than this, in milliseconds, and for so many times as long as the one before, is noted.
const STILL: i64 = 2000;
const UNUSUAL: i64 = 4;
/// Written at once.
const BUFFER: usize = 1 << 20;

/// A film that is being written.
pub(super) struct Writer<'a> {
    file: BufWriter<File>,
    path: &'a Path,
    /// Bytes written.
    offset: u64,
    video: Track,
    audio: Track,
    video_ticks: Ticks,
    audio_ticks: Ticks,
    sound: Sound,
    /// The last picture, and for how long the one before it stood, in milliseconds of the film.
    last_picture: Option<(i64, i64)>,
    stills: Vec<Still>,
}

/// Sound that is not written yet.
#[derive(Default)]
struct Sound {
    bytes: Vec<u8>,
    /// Where each packet stands in the track, its size, and its coding.
    packets: Vec<(i64, usize)>,
    coding: Option<Coding>,
    since: i64,
    /// Where the last one ends, in ticks.
    ends: i64,
}

impl<'a> Writer<'a> {
    /// Begins a film in an empty file. `rate` is sound's samples a second.
    pub(super) fn begin(file: File, path: &'a Path, rate: Option<u32>) -> Result<Self, ExportError> {
        let film = NonZeroU32::new(FILM_SCALE).unwrap_or(NonZeroU32::MIN);
        let rate = rate.and_then(NonZeroU32::new).or(NonZeroU32::new(SOME_RATE)).unwrap_or(film);
        let mut writer = Self {
            file: BufWriter::with_capacity(BUFFER, file),
            path,
            offset: 0,
            video: Track::new(film),
            audio: Track::new(rate),
            video_ticks: Ticks::new(film.get(), TrackKind::Video),
            audio_ticks: Ticks::new(rate.get(), TrackKind::Audio),
            sound: Sound::default(),
            last_picture: None,
            stills: Vec::new(),
        };
        writer.write(&mp4::opening(0))?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<u64, ExportError> {
        self.file.write_all(bytes).map_err(failed("write to", self.path))?;
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Ok(offset)
    }

    /// The next frame of a file, which comes in the film at that time, in milliseconds.
    pub(super) fn frame(
        &mut self,
        track: TrackKind,
        at: i64,
        frame: &Timed<'_>,
        coding: &Coding,
    ) -> Result<(), ExportError> {
        match track {
            TrackKind::Video => self.picture(at, frame, coding),
            TrackKind::Audio => self.sound(at, frame.payload, coding),
        }
    }

    fn picture(&mut self, at: i64, frame: &Timed<'_>, coding: &Coding) -> Result<(), ExportError> {
        if !self.sound.packets.is_empty() && at - self.sound.since >= GATHERED {
            self.write_sound()?;
        }
        let at = self.video_ticks.place(at, 0);
        self.note_still(at);
        let offset = self.write(frame.payload)?;
        let sample =
            Sample { at, composition: frame.composition, offset, size: frame.payload.len() as u64, key: frame.key };
        Ok(self.video.add(sample, &Entry::Media(coding.clone()))?)
    }

    fn note_still(&mut self, at: i64) {
        let Some((last, usual)) = self.last_picture else {
            self.last_picture = Some((at, STILL));
            return;
        };
        let step = at - last;
        if step > STILL && step > usual.saturating_mul(UNUSUAL) {
            self.stills.push(Still { at_milliseconds: last, milliseconds: step });
            self.last_picture = Some((at, usual));
        } else {
            self.last_picture = Some((at, step));
        }
    }

    fn sound(&mut self, at: i64, payload: &[u8], coding: &Coding) -> Result<(), ExportError> {
        let is_other = self.sound.coding.as_ref().is_some_and(|before| before != coding);
        let is_much = self.sound.bytes.len() + payload.len() > GATHERED_BYTES;
        if is_other || is_much || (!self.sound.packets.is_empty() && at - self.sound.since >= GATHERED) {
            self.write_sound()?;
        }
        if self.sound.packets.is_empty() {
            (self.sound.since, self.sound.coding) = (at, Some(coding.clone()));
        }
        let length = sound_ticks(coding, payload, self.audio.scale());
        let at = self.audio_ticks.place(at, length);
        self.sound.ends = at + length;
        self.sound.packets.push((at, payload.len()));
        self.sound.bytes.extend_from_slice(payload);
        Ok(())
    }

    fn write_sound(&mut self) -> Result<(), ExportError> {
        let mut sound = std::mem::take(&mut self.sound);
        let mut offset = self.write(&sound.bytes)?;
        if let Some(coding) = sound.coding.take() {
            let entry = Entry::Media(coding);
            for (at, size) in sound.packets.drain(..) {
                let size = size as u64;
                self.audio.add(Sample { at, composition: 0, offset, size, key: true }, &entry)?;
                offset += size;
            }
        }
        // The room is used again.
        sound.bytes.clear();
        self.sound = sound;
        Ok(())
    }

    /// Writes what is left, the lines of text and the index. Gives the file back, and what can be said of the film.
    pub(super) fn end(mut self, plan: &Plan, lines: &[Line]) -> Result<(File, Film), ExportError> {
        let ends = self.sound.ends;
        self.write_sound()?;
        self.note_still(plan.length);
        self.video.end(plan.length)?;
        self.audio.end(ends)?;
        let text = self.text(lines, plan.length)?;
        let media_bytes = self.offset - mp4::OPENING;
        let codings = [&self.video, &self.audio].into_iter().flat_map(|track| track.entries().iter().map(described));
        let mut film = Film {
            file: String::new(),
            bytes: 0,
            blake3: String::new(),
            begins_utc: String::new(),
            milliseconds: 0,
            pictures: self.video.samples() as u64,
            sounds: self.audio.samples() as u64,
            codings: codings.collect(),
            stills: std::mem::take(&mut self.stills),
        };
        let empty = || Track::new(NonZeroU32::MIN);
        let tracks =
            vec![std::mem::replace(&mut self.video, empty()), std::mem::replace(&mut self.audio, empty()), text];
        let index = mp4::index(tracks, plan.zero.div_euclid(1000))?;
        self.write(&index)?;
        film.bytes = self.offset;
        self.file.flush().map_err(failed("write to", self.path))?;
        let mut file = self.file.into_inner().map_err(|error| failed("write to", self.path)(error.into_error()))?;
        let opening = mp4::opening(media_bytes);
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&opening));
        written.map_err(failed("write to", self.path))?;
        Ok((file, film))
    }

    /// The lines' track: each for its time, and nothing between them.
    fn text(&mut self, lines: &[Line], length: i64) -> Result<Track, ExportError> {
        let mut track = Track::new(NonZeroU32::new(FILM_SCALE).unwrap_or(NonZeroU32::MIN));
        let mut cursor = 0;
        for line in lines {
            if line.from > cursor {
                self.line(&mut track, cursor, "")?;
            }
            self.line(&mut track, line.from, &line.text)?;
            cursor = line.until;
        }
        if !lines.is_empty() && cursor < length {
            self.line(&mut track, cursor, "")?;
        }
        track.end(length.max(cursor))?;
        Ok(track)
    }

    fn line(&mut self, track: &mut Track, at: i64, text: &str) -> Result<(), ExportError> {
        // OK to cut: a line says a cause and two times.
        let bytes = [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let offset = self.write(&bytes)?;
        let sample = Sample { at, composition: 0, offset, size: bytes.len() as u64, key: true };
        Ok(track.add(sample, &Entry::Text)?)
    }
}

/// A coding in words.
fn described(entry: &Entry) -> String {
    let Entry::Media(coding) = entry else { return "text".to_owned() };
    match (coding.picture_size(), coding.sample_rate()) {
        (Some((width, height)), _) => format!("{} {width}x{height}", coding.name()),
        (None, Some(rate)) => format!("{} {rate} Hz", coding.name()),
        (None, None) => coding.name(),
    }
}
