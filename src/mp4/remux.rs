//! One FLV as one MP4, frame for frame, in two readings of it.
//!
//! The first reading only looks ([`Planner`]): where each frame will lie, and so the index. The second copies the frames ([`Copier`]).
//! What is in memory is the index, about 20 bytes a frame, and a second of sound.
//!
//! The index stands at the beginning, which is what two readings are for: a player that opens the file over a network, or a browser,
//! has it with the first bytes, and can go to any moment from there. With the index at the end it would have to ask for the end first, and
//! some players read all there is until they have it.
//!
//! Frames are those of the FLV, byte for byte and all of them, also those before the first keyframe. Their times are what
//! [`SourceClock`] makes of their timestamps, as for a film: restarts and wraps are gone, holes stay. What is neither picture nor
//! sound (script tags) is left out.

use std::num::NonZeroU32;

use thiserror::Error;

use super::published::Facts;
use super::{Entry, FILM_SCALE, MEDIA_HEADER, Mp4Error, Sample, Track, file_type, index, media_header};
use crate::flv::{Coding, Frame, Frames, TrackKind};
use crate::joining::{SourceClock, Ticks};

/// Sound is gathered for so long, in milliseconds, or until it has so many bytes: players then read a second of pictures and a
/// second of sound at once.
const GATHERED: i64 = 1000;
const GATHERED_BYTES: usize = 256 << 10;
/// While it is planned, times are that much later, in milliseconds: sound may come before the first picture, but no more than that.
const BIAS: i64 = 30_000;
/// More frames than any window has, so that no stream makes an index that is larger than 50 MB or so.
const MOST_FRAMES: usize = 1 << 20;
/// How often a camera may send another configuration.
const MOST_CODINGS: usize = 64;
/// How sound is counted where nothing says it, in samples a second: as G.711 is.
const SOME_RATE: u32 = 8000;

/// Why an FLV cannot be an MP4 without losing something. Told in a note.
#[derive(Debug, Error)]
pub enum Unfit {
    /// A codec that goes into no MP4 of ours.
    #[error("{} in {codec}", noun(*.track))]
    Foreign {
        /// Pictures or sound.
        track: TrackKind,
        /// The codec.
        codec: String,
    },
    /// Frames of which nobody said how they are coded.
    #[error("{} before the decoder configuration", noun(*.0))]
    Uncoded(TrackKind),
    /// No track can hold both.
    #[error("{} in {before} and then in {after}", noun(*.track))]
    Changed {
        /// Pictures or sound.
        track: TrackKind,
        /// What they were.
        before: String,
        /// What they are from then on.
        after: String,
    },
    /// No camera does that.
    #[error("more than {MOST_CODINGS} decoder configurations")]
    Restless,
    /// There is no frame.
    #[error("there is no frame")]
    Empty,
    /// What is in it cannot be read to its end.
    #[error("bytes that are no FLV")]
    Unread,
    /// The format has no way to say it.
    #[error("{0}")]
    Format(#[from] Mp4Error),
}

fn noun(track: TrackKind) -> &'static str {
    match track {
        TrackKind::Video => "pictures",
        TrackKind::Audio => "sound",
    }
}

/// What lies in a row in the MP4.
enum Block<'a> {
    Picture { time: i64, composition: i32, key: bool, coding: &'a Coding, payload: &'a [u8] },
    Sound { packets: &'a [(i64, usize)], coding: &'a Coding, bytes: &'a [u8] },
}

impl Block<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Picture { payload, .. } => payload,
            Self::Sound { bytes, .. } => bytes,
        }
    }
}

/// Puts frames into the order in which they lie in the MP4. The same in both readings.
struct Order {
    clock: SourceClock,
    video: Option<Coding>,
    audio: Option<Coding>,
    /// Sound that is gathered: its packets' times and sizes, and its bytes.
    packets: Vec<(i64, usize)>,
    bytes: Vec<u8>,
    unfit: Option<Unfit>,
}

impl Order {
    /// For a file with so many milliseconds of footage.
    fn new(milliseconds: i64) -> Self {
        let clock = SourceClock::new(milliseconds);
        Self { clock, video: None, audio: None, packets: Vec::new(), bytes: Vec::new(), unfit: None }
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut impl FnMut(Block<'_>)) {
        if self.unfit.is_some() {
            return;
        }
        match frame {
            Frame::Coding(coding) => self.coding(coding, out),
            Frame::Foreign { track, codec, .. } => self.unfit = Some(Unfit::Foreign { track, codec }),
            Frame::Sample { track: TrackKind::Video, timestamp, composition, key, payload } => {
                let time = self.clock.time(TrackKind::Video, timestamp);
                if self.packets.first().is_some_and(|(since, _)| time - since >= GATHERED) {
                    self.flush(out);
                }
                match &self.video {
                    Some(coding) => out(Block::Picture { time, composition, key, coding, payload }),
                    None => self.unfit = Some(Unfit::Uncoded(TrackKind::Video)),
                }
            }
            Frame::Sample { track: TrackKind::Audio, timestamp, payload, .. } => {
                let time = self.clock.time(TrackKind::Audio, timestamp);
                let is_long = self.packets.first().is_some_and(|(since, _)| time - since >= GATHERED);
                if is_long || self.bytes.len() + payload.len() > GATHERED_BYTES {
                    self.flush(out);
                }
                if self.audio.is_none() {
                    self.unfit = Some(Unfit::Uncoded(TrackKind::Audio));
                }
                self.packets.push((time, payload.len()));
                self.bytes.extend_from_slice(payload);
            }
        }
    }

    fn coding(&mut self, coding: Coding, out: &mut impl FnMut(Block<'_>)) {
        let track = if coding.is_video() { TrackKind::Video } else { TrackKind::Audio };
        let known = if coding.is_video() { &mut self.video } else { &mut self.audio };
        // Sound of another rate has another clock. Pictures may become larger, which players follow.
        let kind = |coding: &Coding| (coding.name(), coding.sample_rate(), coding.channels());
        if let Some(before) = known.as_ref().filter(|before| kind(before) != kind(&coding)) {
            let told = |coding: &Coding| match (coding.sample_rate(), coding.channels()) {
                (Some(rate), Some(channels)) => format!("{} {rate} Hz {channels} ch", coding.name()),
                _ => coding.name(),
            };
            self.unfit = Some(Unfit::Changed { track, before: told(before), after: told(&coding) });
            return;
        }
        if known.as_ref() != Some(&coding) {
            if track == TrackKind::Audio {
                // What is gathered is coded as before.
                self.flush(out);
                self.audio = Some(coding);
            } else {
                self.video = Some(coding);
            }
        }
    }

    /// Gives what is gathered of the sound.
    fn flush(&mut self, out: &mut impl FnMut(Block<'_>)) {
        if let Some(coding) = self.audio.as_ref().filter(|_| !self.packets.is_empty()) {
            out(Block::Sound { packets: &self.packets, coding, bytes: &self.bytes });
        }
        // The room is used again.
        self.packets.clear();
        self.bytes.clear();
    }
}

/// The first reading.
pub struct Planner {
    frames: Frames,
    order: Order,
    index: Index,
}

/// What is known of the index so far. Times are [`BIAS`] later, and places are those among the frames.
struct Index {
    video: Indexed,
    audio: Indexed,
    media_bytes: u64,
    failed: Option<Unfit>,
}

struct Indexed {
    track: Track,
    ticks: Ticks,
    /// Where its last frame ends, in ticks, when that is known.
    ends: i64,
}

impl Indexed {
    fn new(rate: u32, track: TrackKind) -> Self {
        let scale = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Self { track: Track::new(scale), ticks: Ticks::new(scale.get(), track), ends: 0 }
    }

    /// In milliseconds.
    fn begins(&self) -> Option<i64> {
        self.track.first.map(|first| first * 1000 / i64::from(self.track.scale()))
    }

    fn make_earlier(&mut self, milliseconds: i64) {
        let ticks = milliseconds * i64::from(self.track.scale()) / 1000;
        self.track.first = self.track.first.map(|first| first - ticks);
    }
}

impl Index {
    fn add(&mut self, block: &Block<'_>) -> Result<(), Unfit> {
        let mut offset = self.media_bytes;
        match *block {
            Block::Picture { time, composition, key, coding, payload } => {
                let at = self.video.ticks.place(time + BIAS, 0);
                let sample = Sample { at, composition, offset, size: payload.len() as u64, key };
                self.video.track.add(sample, &Entry::Media(coding.clone()))?;
            }
            Block::Sound { packets, coding, .. } => {
                if self.audio.track.samples() == 0 {
                    self.audio = Indexed::new(coding.sample_rate().unwrap_or(SOME_RATE), TrackKind::Audio);
                }
                let entry = Entry::Media(coding.clone());
                for &(time, size) in packets {
                    let length = coding.samples(size);
                    let at = self.audio.ticks.place(time + BIAS, length);
                    self.audio.ends = at + length;
                    self.audio
                        .track
                        .add(Sample { at, composition: 0, offset, size: size as u64, key: true }, &entry)?;
                    offset += size as u64;
                }
            }
        }
        self.media_bytes += block.bytes().len() as u64;
        let tracks = [&self.video.track, &self.audio.track];
        if tracks.iter().any(|track| track.entries().len() > MOST_CODINGS) {
            return Err(Unfit::Restless);
        }
        if tracks.iter().map(|track| track.samples()).sum::<usize>() > MOST_FRAMES {
            return Err(Mp4Error::TooMany.into());
        }
        Ok(())
    }
}

/// What the second reading begins with.
#[derive(Debug)]
pub struct Plan {
    /// All that is before the frames.
    pub head: Vec<u8>,
    /// How many bytes of frames come then.
    pub media_bytes: u64,
}

impl Planner {
    /// For an FLV with so many milliseconds of footage.
    pub fn new(milliseconds: i64) -> Self {
        let index = Index {
            video: Indexed::new(FILM_SCALE, TrackKind::Video),
            audio: Indexed::new(SOME_RATE, TrackKind::Audio),
            media_bytes: 0,
            failed: None,
        };
        Self { frames: Frames::new(), order: Order::new(milliseconds), index }
    }

    /// Why it cannot be done, as soon as that is known: nothing more need be read then.
    pub fn is_unfit(&self) -> bool {
        self.order.unfit.is_some() || self.index.failed.is_some() || self.frames.is_lost()
    }

    /// The next bytes of the FLV, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { frames, order, index } = self;
        let mut add = adding(index);
        frames.push(bytes, |frame| order.frame(frame, &mut add));
    }

    /// Says what the MP4 is to be. `facts` are what it is to say of itself, but for where its footage begins.
    pub fn finish(mut self, facts: Facts) -> Result<Plan, Unfit> {
        self.order.flush(&mut adding(&mut self.index));
        if let Some(unfit) = self.order.unfit.or(self.index.failed.take()) {
            return Err(unfit);
        }
        if self.frames.is_lost() {
            return Err(Unfit::Unread);
        }
        let Index { mut video, mut audio, media_bytes, .. } = self.index;
        let Some(earliest) = [video.begins(), audio.begins()].into_iter().flatten().min() else {
            return Err(Unfit::Empty);
        };
        video.track.end(video.track.last + self.order.clock.step(TrackKind::Video))?;
        audio.track.end(audio.ends)?;
        let begins = facts.range.start().get();
        let facts = Facts { zero: BIAS - earliest, ..facts }.to_box()?;
        video.make_earlier(earliest);
        audio.make_earlier(earliest);
        // The index is as long wherever the frames lie.
        let index_bytes = index(vec![video.track.clone(), audio.track.clone()], begins)?.len();
        let before = file_type().len() + index_bytes + facts.len();
        for track in [&mut video.track, &mut audio.track] {
            track.move_back(before as u64 + MEDIA_HEADER);
        }
        let index = index(vec![video.track, audio.track], begins)?;
        Ok(Plan { head: [file_type(), index, facts, media_header(media_bytes)].concat(), media_bytes })
    }
}

/// Adds blocks to the index for as long as it can be done.
fn adding(index: &mut Index) -> impl FnMut(Block<'_>) {
    |block| {
        if index.failed.is_none() {
            index.failed = index.add(&block).err();
        }
    }
}

/// The second reading.
pub struct Copier {
    frames: Frames,
    order: Order,
    copied: u64,
}

impl Copier {
    /// For the same FLV as [`Planner::new`].
    pub fn new(milliseconds: i64) -> Self {
        Self { frames: Frames::new(), order: Order::new(milliseconds), copied: 0 }
    }

    /// The next bytes of the FLV; `out` is given those of the MP4's frames. The first error is given back.
    pub fn push<E>(&mut self, bytes: &[u8], mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self { frames, order, copied } = self;
        let mut failed = Ok(());
        let mut copy = copying(&mut out, copied, &mut failed);
        frames.push(bytes, |frame| order.frame(frame, &mut copy));
        drop(copy);
        failed
    }

    /// Gives what is left, and says how many bytes of frames there were: fewer or more than planned when the file was changed.
    pub fn finish<E>(mut self, mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        let mut failed = Ok(());
        self.order.flush(&mut copying(&mut out, &mut self.copied, &mut failed));
        failed.map(|()| self.copied)
    }
}

fn copying<E>(
    out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    copied: &mut u64,
    failed: &mut Result<(), E>,
) -> impl FnMut(Block<'_>) {
    |block| {
        if failed.is_ok() {
            *copied += block.bytes().len() as u64;
            *failed = out(block.bytes());
        }
    }
}

#[cfg(test)]
mod tests;
