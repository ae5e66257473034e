//! Cuts an FLV that has no end into pieces that are each an FLV of their own.
//!
//! A piece begins at the first keyframe at or after a mark, and wherever what follows cannot be one file with what was before:
//! where the pictures' configuration changes, and behind a hole in the pictures' time. It opens with a file header, the latest metadata, and the latest
//! configurations, and its timestamps begin at zero. Every frame of the input is in exactly one piece, in its order and byte
//! for byte; what is written anew is around the frames.
//!
//! What is held is the tag that is coming in, and the latest of the three kinds of tag that a piece opens with. Of a tag that is
//! larger than cameras usually send no more than the beginning is held, which says where it belongs; the rest passes as it comes.

use std::collections::BTreeSet;

use thiserror::Error;

use super::tag::{Content, HEAD, HEADER, Kind, PREVIOUS_SIZE, TagHeader, content};
use super::{FILE_HEADER, LONGEST_FILE_HEADER};

/// A track's step back by more than this, in milliseconds, is a restart of its clock; less is disorder. As in the judge's
/// timeline.
const DISORDER: i64 = 500;
/// How far apart the tracks' clocks may be when the second one begins, in milliseconds; beyond it they are not one clock.
const ONE_CLOCK: i64 = 20_000;

/// No metadata or configuration has more bytes; what has is left out, since it would be held, and written into every piece.
const LONGEST_OPENING: usize = 16 << 10;

/// A tag whose body has more bytes is not held until it is whole. More than an opening has.
const LONGEST_HELD: usize = 64 << 10;

/// A step of the main track's clock by more than this, in milliseconds, is a hole, if it is also [`UNUSUAL`] times as long as
/// the step before: there are cameras that send a picture every few seconds.
const HOLE: i64 = 2_000;
const UNUSUAL: i64 = 4;
/// The same for the first step, of which nobody knows yet whether it is unusual: some senders date the first picture 0, and
/// the next by the camera's uptime.
const FIRST_HOLE: i64 = 20_000;

/// What comes out, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A new piece begins. Its first frame is so many milliseconds after the input's first frame: zero for the first piece.
    Begins {
        /// Milliseconds of media.
        milliseconds: i64,
        /// How it follows the piece before.
        seam: Seam,
        /// The time of the latest picture before it (of the latest sound, where there are no pictures).
        before: Option<i64>,
    },
    /// The next bytes of the piece that has begun last. A piece that ends after any of them is whole, but for what
    /// [`Cutter::unfinished`] says.
    Bytes(&'a [u8]),
}

/// How a piece follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// There is none before.
    First,
    /// At a mark; nothing lies between them.
    Mark,
    /// The pictures are coded otherwise from here on; nothing lies between them.
    Changed,
    /// The clock leapt ahead: there is a hole between them, or the camera's clock was set.
    Hole,
}

/// Why nothing more can be cut. What came out before stays good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CutError {
    /// It does not begin as an FLV does.
    #[error("what came is no FLV")]
    NotFlv,
    /// There is something else than a tag where a tag should be.
    #[error("at byte {offset} there is no FLV tag")]
    NoTag {
        /// Where, counted from the input's first byte.
        offset: u64,
    },
}

/// The cutter: [`Cutter::mark`] where to cut, [`Cutter::push`] the bytes.
#[derive(Clone, Debug, Default)]
pub struct Cutter {
    /// The first bytes of what is being read: the file header with the first PreviousTagSize, or a tag with that behind it.
    unread: Vec<u8>,
    /// Bytes of the input before those.
    offset: u64,
    /// The rest of a tag of which the beginning was dealt with.
    passing: Option<Passing>,
    /// The file header's flags, once it has been read: whether there are pictures, whether there is sound.
    flags: Option<u8>,
    failed: Option<CutError>,
    /// In milliseconds after the first frame.
    marks: BTreeSet<i64>,
    opening: Opening,
    video: Clock,
    audio: Clock,
    /// Where the piece began, once one has.
    piece: Option<i64>,
    /// The latest time of any frame, counted like the marks.
    latest: i64,
    /// The main track's last step, in milliseconds.
    last_step: Option<i64>,
    /// The pictures' configuration at the last picture, if another came since.
    replaced: Option<Option<Vec<u8>>>,
    out: Vec<u8>,
}

/// A tag that is too large to be held.
#[derive(Clone, Copy, Debug)]
struct Passing {
    header: TagHeader,
    /// Bytes of its body that are still to come.
    body_left: usize,
    /// Bytes of the PreviousTagSize behind it that are still to come. It is passed over, and written anew.
    size_left: usize,
    /// Whether it comes out; an opening that is too large does not.
    is_kept: bool,
}

/// What a piece opens with: the latest metadata and configurations, in the order in which they are written.
#[derive(Clone, Debug, Default)]
struct Opening {
    tags: [Option<Kept>; 3],
}

#[derive(Clone, Debug)]
struct Kept {
    kind: Kind,
    body: Vec<u8>,
    /// Whether it came since the last frame, and so is not in the piece yet. It is written before the next frame: that may be
    /// one with which a new piece begins, and then it has nothing to do with the old one.
    is_new: bool,
}

impl Opening {
    /// The pictures' configuration.
    fn configuration(&self) -> Option<&[u8]> {
        let [_, video, _] = &self.tags;
        video.as_ref().map(|kept| kept.body.as_slice())
    }
}

/// A track's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// The last frame's timestamp as it was sent, and its time after the input's first frame.
    last: Option<(u32, i64)>,
}

impl Cutter {
    /// A cutter that has seen nothing, and has no marks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a new piece at the first keyframe that is at least `milliseconds` after the input's first frame; at the next one
    /// when such a keyframe is over. Marks without a keyframe between them make one cut. An input without pictures is cut at
    /// any sound.
    pub fn mark(&mut self, milliseconds: i64) {
        self.marks.insert(milliseconds);
    }

    /// Takes back every mark that has not made a cut.
    pub fn unmark(&mut self) {
        self.marks.clear();
    }

    /// The latest picture's time, in milliseconds after the input's first frame; the latest sound's, where there are no pictures.
    /// Nothing before the first.
    pub fn latest(&self) -> Option<i64> {
        self.video.last.or(self.audio.last).map(|(_, time)| time)
    }

    /// How many bytes at the end of what came out are of a tag whose rest has not come yet: so many more than are whole, should
    /// nothing follow. Zero unless that tag is larger than cameras usually send.
    pub fn unfinished(&self) -> u64 {
        self.passing.filter(|passing| passing.is_kept).map_or(0, |passing| {
            // OK: no more of a body is left than it has.
            (HEADER + passing.header.size as usize - passing.body_left) as u64
        })
    }

    /// The next bytes of the input, in pieces of any size; `out` is given what they complete, and of a large tag what they are. After
    /// an error there is nothing more, and the error again.
    pub fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(Cut<'_>)) -> Result<(), CutError> {
        while !bytes.is_empty() && self.failed.is_none() {
            let taken = match self.passing.take() {
                Some(passing) => self.pass(passing, bytes, &mut out),
                None => self.gather(bytes, &mut out),
            };
            bytes = &bytes[taken..];
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Takes bytes of what is held until it is dealt with; says how many.
    fn gather(&mut self, bytes: &[u8], out: &mut impl FnMut(Cut<'_>)) -> usize {
        let wanted = self.wanted();
        // OK: what is wanted is more than what is there, until it is dealt with below.
        let taken = (wanted - self.unread.len()).min(bytes.len());
        self.unread.extend_from_slice(&bytes[..taken]);
        // More may be wanted when the length is known.
        match self.check().map(|()| self.unread.len() == self.wanted()) {
            Ok(true) => self.take(out),
            Ok(false) => {}
            Err(error) => self.failed = Some(error),
        }
        taken
    }

    /// Lets bytes of a large tag pass; says how many.
    fn pass(&mut self, mut passing: Passing, bytes: &[u8], out: &mut impl FnMut(Cut<'_>)) -> usize {
        let (body, behind) = bytes.split_at(bytes.len().min(passing.body_left));
        let size = behind.len().min(passing.size_left);
        passing.body_left -= body.len();
        passing.size_left -= size;
        self.offset += (body.len() + size) as u64;
        if passing.is_kept && !body.is_empty() {
            out(Cut::Bytes(body));
        }
        if passing.size_left > 0 {
            self.passing = Some(passing);
        } else if passing.is_kept {
            out(Cut::Bytes(&passing.header.whole_size().to_be_bytes()));
        }
        body.len() + size
    }

    /// How many bytes make the file header or the tag that is being read, as far as that is known; of a large tag, its beginning.
    fn wanted(&self) -> usize {
        match (self.flags, self.unread.first_chunk::<FILE_HEADER>(), self.unread.first_chunk::<HEADER>()) {
            (None, None, _) => FILE_HEADER,
            (None, Some(header), _) => header_size(header) + PREVIOUS_SIZE,
            (Some(_), _, None) => HEADER,
            (Some(_), _, Some(header)) => {
                let size = TagHeader::read(header).map_or(0, |header| header.size as usize);
                if size > LONGEST_HELD { HEADER + HEAD } else { HEADER + size + PREVIOUS_SIZE }
            }
        }
    }

    /// Whether what is there can be what it should be.
    fn check(&self) -> Result<(), CutError> {
        let known = self.unread.len().min(3);
        match (self.flags, self.unread.first_chunk::<HEADER>()) {
            (None, _) if self.unread[..known] != b"FLV"[..known] => Err(CutError::NotFlv),
            (Some(_), Some(header)) if TagHeader::read(header).is_none() => {
                Err(CutError::NoTag { offset: self.offset })
            }
            _ => Ok(()),
        }
    }

    /// Deals with a whole file header, a whole tag, or the beginning of a large one.
    fn take(&mut self, out: &mut impl FnMut(Cut<'_>)) {
        let unread = std::mem::take(&mut self.unread);
        self.offset += unread.len() as u64;
        match (self.flags, unread.first_chunk::<HEADER>().and_then(TagHeader::read)) {
            (Some(_), Some(header)) if header.size as usize > LONGEST_HELD => {
                let body = &unread[HEADER..];
                let is_kept = self.tag(header, body, out);
                let body_left = header.size as usize - body.len();
                self.passing = Some(Passing { header, body_left, size_left: PREVIOUS_SIZE, is_kept });
            }
            (Some(_), Some(header)) => {
                self.tag(header, &unread[HEADER..unread.len() - PREVIOUS_SIZE], out);
            }
            // OK to index: a file header has nine bytes.
            _ => self.flags = Some(unread[4]),
        }
        // The room is used again.
        self.unread = unread;
        self.unread.clear();
    }

    /// Deals with a tag by its body, or as much of that as is there; says whether it is one that comes out where it stands.
    fn tag(&mut self, header: TagHeader, body: &[u8], out: &mut impl FnMut(Cut<'_>)) -> bool {
        let seen = content(header, &body[..body.len().min(HEAD)]);
        let place = match seen {
            Content::MetaData(_) => 0,
            Content::VideoConfiguration { .. } => 1,
            Content::AudioConfiguration { .. } => 2,
            _ => {
                self.frame_or_other(header, seen, body, out);
                return true;
            }
        };
        if header.size as usize > LONGEST_OPENING {
            return false;
        }
        let before = self.opening.tags[place].take().map(|kept| kept.body);
        if matches!(seen, Content::VideoConfiguration { .. }) && before.as_deref() != Some(body) {
            self.replaced.get_or_insert(before);
        }
        self.opening.tags[place] = Some(Kept { kind: header.kind, body: body.to_vec(), is_new: true });
        false
    }

    fn frame_or_other(&mut self, header: TagHeader, seen: Content, body: &[u8], out: &mut impl FnMut(Cut<'_>)) {
        let (is_frame, is_main, may_begin) = match seen {
            Content::VideoFrame { key, .. } => (true, true, key),
            Content::AudioFrame { .. } => (true, self.video.last.is_none(), self.video.last.is_none()),
            _ => (false, false, false),
        };
        let (had_pictures, latest) = (self.video.last.is_some(), self.latest());
        let time = if is_frame { self.time(header) } else { self.latest };
        let is_hole = latest.filter(|_| is_main).is_some_and(|latest| self.leaps(time - latest));
        self.latest = self.latest.max(time);
        self.out.clear();
        let has_begun = self.piece.is_some();
        let is_marked = may_begin && self.marks.first().is_some_and(|mark| *mark <= time);
        let is_picture = is_frame && header.kind == Kind::Video;
        let replaced = self.replaced.take_if(|_| is_picture);
        let is_changed =
            had_pictures && replaced.is_some_and(|before| before.as_deref() != self.opening.configuration());
        let seam = match (has_begun, is_hole, is_changed, is_marked) {
            (false, ..) => Some(Seam::First),
            (_, true, ..) => Some(Seam::Hole),
            (_, _, true, _) => Some(Seam::Changed),
            (.., true) => Some(Seam::Mark),
            _ => None,
        };
        let is_due = seam.is_some();
        if let Some(seam) = seam {
            self.marks = self.marks.split_off(&(time + 1));
            self.piece = Some(time);
            out(Cut::Begins { milliseconds: time, seam, before: latest });
            self.write_file_header();
        }
        let timestamp = timestamp(time, self.piece);
        for kept in self.opening.tags.iter_mut().flatten() {
            if kept.is_new || is_due {
                kept.is_new = false;
                write(&mut self.out, kept.kind, timestamp, &kept.body);
            }
        }
        write_header(&mut self.out, TagHeader { timestamp, ..header });
        self.out.extend_from_slice(body);
        if body.len() == header.size as usize {
            self.out.extend_from_slice(&header.whole_size().to_be_bytes());
        }
        out(Cut::Bytes(&self.out));
    }

    /// Notes a step of the main track's clock; says whether it leaps over a hole.
    fn leaps(&mut self, step: i64) -> bool {
        let usual = self.last_step.replace(step);
        match usual {
            Some(usual) => step > HOLE && step > usual.saturating_mul(UNUSUAL),
            None => step > FIRST_HOLE,
        }
    }

    /// A frame's time after the input's first frame. A track whose clock restarts goes on where it was.
    fn time(&mut self, header: TagHeader) -> i64 {
        let raw = header.timestamp;
        let (own, other) = match header.kind {
            Kind::Audio => (&mut self.audio, self.video),
            Kind::Video | Kind::Script => (&mut self.video, self.audio),
        };
        // OK to read a difference as signed: it is the one within 2³¹ ms, 24 days.
        let step = |last: u32| i64::from(raw.wrapping_sub(last).cast_signed());
        let time = match (own.last, other.last) {
            (Some((last, time)), _) => time + Some(step(last)).filter(|step| *step >= -DISORDER).unwrap_or(0),
            (None, Some((last, time))) => time + Some(step(last)).filter(|step| step.abs() <= ONE_CLOCK).unwrap_or(0),
            (None, None) => 0,
        };
        own.last = Some((raw, time));
        time
    }

    fn write_file_header(&mut self) {
        let flags = self.flags.unwrap_or_default();
        self.out.extend_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, FILE_HEADER as u8, 0, 0, 0, 0]);
    }
}

/// Bytes of the file header: what it says, unless that cannot be.
fn header_size(header: &[u8; FILE_HEADER]) -> usize {
    let [_, _, _, _, _, length @ ..] = *header;
    let length = u32::from_be_bytes(length);
    let believed = if length <= LONGEST_FILE_HEADER { length as usize } else { FILE_HEADER };
    believed.max(FILE_HEADER)
}

/// A time as a timestamp of its piece, modulo 2³² as FLV has it. Sound that is sent after a picture and belongs just before it
/// begins with it.
fn timestamp(time: i64, piece: Option<i64>) -> u32 {
    let since = (time - piece.unwrap_or(time)).max(0);
    (since & 0xffff_ffff) as u32
}

/// Writes a tag, and its PreviousTagSize.
fn write(out: &mut Vec<u8>, kind: Kind, timestamp: u32, body: &[u8]) {
    // OK to cut: what is kept has some kilobytes.
    let header = TagHeader { kind, size: body.len() as u32, timestamp };
    write_header(out, header);
    out.extend_from_slice(body);
    out.extend_from_slice(&header.whole_size().to_be_bytes());
}

fn write_header(out: &mut Vec<u8>, header: TagHeader) {
    let [high, low @ ..] = header.timestamp.to_be_bytes();
    out.push(match header.kind {
        Kind::Audio => 8,
        Kind::Video => 9,
        Kind::Script => 18,
    });
    out.extend_from_slice(&header.size.to_be_bytes()[1..]);
    out.extend_from_slice(&low);
    out.extend_from_slice(&[high, 0, 0, 0]);
}

#[cfg(test)]
mod tests;
