//! Follows the structure of an FLV as its bytes pass by, in pieces of any size.
//!
//! Nothing is buffered but the first bytes of a tag's body, and nothing is allocated: what the parser holds is little
//! more than a kilobyte, whatever lengths it is sent. Bodies are stepped over by arithmetic.
//!
//! An FLV is a header, then tags, and behind each tag its size (PreviousTagSize). Field defects that it lives with:
//! sizes that do not match, garbage between tags, an end anywhere. What to make of them is for [`crate::judge`].
//!
//! A live stream has no end: [`Cutter`] makes pieces of it that have one. [`Frames`] hands out the frames of a file.

mod amf;
mod contents;
mod cut;
mod frames;
mod picture;
mod report;
mod resync;
mod tag;
#[cfg(test)]
mod tests;
mod timeline;

pub use amf::Claims;
pub use cut::{Cut, CutError, Cutter, Seam};
pub use frames::{Coding, Frame, Frames, TrackKind};
pub(crate) use picture::{avc_unit_size, hevc_unit_size};
pub use report::{Configurations, End, FirstBytes, Garbage, Jumps, Report, Signature, TagCounts, Track};
pub(crate) use timeline::Timeline;

use contents::Contents;
use report::QUOTED;
use resync::Resync;
use tag::{Content, HEAD, HEADER, PREVIOUS_SIZE, TagHeader};

/// Bytes of the file header: `FLV`, version, flags, and the offset at which the first PreviousTagSize is.
const FILE_HEADER: usize = 9;
/// A file header that claims to be longer is not believed.
const LONGEST_FILE_HEADER: u32 = 64;

/// The parser: [`Parser::push`] bytes, ask for a [`Report`] at any time.
#[derive(Clone, Debug)]
pub struct Parser {
    state: State,
    /// The first bytes of whatever is being read.
    head: Head,
    /// Bytes pushed and dealt with.
    offset: u64,
    good_bytes: u64,
    garbage: Garbage,
    /// A tag with a wrong PreviousTagSize, until the bytes behind it tell whether it was one.
    doubtful: Option<Tag>,
    contents: Contents,
}

#[derive(Clone, Copy, Debug)]
enum State {
    FileHeader,
    /// The rest of an unusually long file header, then the first PreviousTagSize.
    FileHeaderRest {
        left: u32,
    },
    FirstPreviousSize,
    NotFlv,
    TagHeader,
    TagBody {
        start: u64,
        header: TagHeader,
        left: u32,
    },
    PreviousSize(Tag),
    Garbage {
        start: u64,
        resync: Resync,
    },
}

#[derive(Clone, Copy, Debug)]
struct Tag {
    start: u64,
    header: TagHeader,
    content: Content,
}

impl Tag {
    /// The offset just after its PreviousTagSize.
    fn end(&self) -> u64 {
        self.start + u64::from(self.header.whole_size()) + PREVIOUS_SIZE as u64
    }
}

#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; HEAD],
    length: usize,
}

impl Head {
    /// Moves bytes over until `wanted` are here; says how many.
    fn fill(&mut self, wanted: usize, bytes: &[u8]) -> usize {
        let taken = wanted.min(HEAD).saturating_sub(self.length).min(bytes.len());
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        taken
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The first `N` bytes, when there are as many.
    fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.as_slice().first_chunk().copied()
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser that has seen nothing.
    pub fn new() -> Self {
        Self {
            state: State::FileHeader,
            head: Head { bytes: [0; HEAD], length: 0 },
            offset: 0,
            good_bytes: 0,
            garbage: Garbage::default(),
            doubtful: None,
            contents: Contents::default(),
        }
    }

    /// The next piece of the input, of any size.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // OK: each state takes at least a byte of what there is, or moves on to one that does.
            let taken = match self.state {
                State::FileHeader => self.file_header(bytes),
                State::FileHeaderRest { left } => self.file_header_rest(left, bytes),
                State::FirstPreviousSize => self.first_previous_size(bytes),
                State::NotFlv => self.not_flv(bytes),
                State::TagHeader => self.tag_header(bytes),
                State::TagBody { start, header, left } => self.tag_body(start, header, left, bytes),
                State::PreviousSize(tag) => self.previous_size(tag, bytes),
                State::Garbage { .. } => self.search(bytes),
            };
            bytes = &bytes[taken..];
        }
    }

    fn enter(&mut self, state: State) {
        self.head.length = 0;
        self.state = state;
    }

    fn fill(&mut self, wanted: usize, bytes: &[u8]) -> usize {
        let taken = self.head.fill(wanted, bytes);
        self.offset += taken as u64;
        taken
    }

    fn file_header(&mut self, bytes: &[u8]) -> usize {
        let taken = self.fill(FILE_HEADER, bytes);
        let known = self.head.length.min(3);
        if self.head.as_slice()[..known] != b"FLV"[..known] {
            self.state = State::NotFlv;
        } else if let Some([_, _, _, _, _, length @ ..]) = self.head.array::<FILE_HEADER>() {
            let length = u32::from_be_bytes(length);
            // A length that cannot be true is read as the usual one.
            let believed = if length <= LONGEST_FILE_HEADER { length } else { 0 };
            self.enter(State::FileHeaderRest { left: believed.saturating_sub(FILE_HEADER as u32) });
        }
        taken
    }

    fn file_header_rest(&mut self, left: u32, bytes: &[u8]) -> usize {
        let (taken, left) = self.step_over(left, bytes);
        self.state = if left == 0 { State::FirstPreviousSize } else { State::FileHeaderRest { left } };
        taken
    }

    fn first_previous_size(&mut self, bytes: &[u8]) -> usize {
        let taken = self.fill(PREVIOUS_SIZE, bytes);
        if let Some(size) = self.head.array::<PREVIOUS_SIZE>() {
            self.contents.previous_size_mismatches += u64::from(size != [0; PREVIOUS_SIZE]);
            self.good_bytes = self.offset;
            self.enter(State::TagHeader);
        }
        taken
    }

    fn not_flv(&mut self, bytes: &[u8]) -> usize {
        self.head.fill(QUOTED, bytes);
        self.offset += bytes.len() as u64;
        bytes.len()
    }

    fn tag_header(&mut self, bytes: &[u8]) -> usize {
        let taken = self.fill(HEADER, bytes);
        let Some(header) = self.head.array::<HEADER>() else { return taken };
        let start = self.offset - HEADER as u64;
        let doubtful = self.doubtful.take();
        match TagHeader::read(&header) {
            Some(read) => {
                if let Some(tag) = doubtful {
                    self.accept(tag, true);
                }
                self.enter(State::TagBody { start, header: read, left: read.size });
            }
            None => self.lose_track(doubtful.map_or(start, |tag| tag.start), start, &header),
        }
        taken
    }

    fn tag_body(&mut self, start: u64, header: TagHeader, left: u32, bytes: &[u8]) -> usize {
        // OK: a body is 8 MiB at most.
        let body = &bytes[..bytes.len().min(left as usize)];
        let mut seen = 0;
        loop {
            let wanted = tag::wanted(header.kind, self.head.as_slice());
            let filled = self.head.fill(wanted, &body[seen..]);
            seen += filled;
            if filled == 0 {
                break;
            }
        }
        let (taken, left) = self.step_over(left, bytes);
        if left > 0 {
            self.state = State::TagBody { start, header, left };
        } else {
            let content = tag::content(header, self.head.as_slice());
            self.enter(State::PreviousSize(Tag { start, header, content }));
        }
        taken
    }

    fn step_over(&mut self, left: u32, bytes: &[u8]) -> (usize, u32) {
        // OK: no more than `left`, so that it fits both ways.
        let taken = bytes.len().min(left as usize);
        self.offset += taken as u64;
        (taken, left - taken as u32)
    }

    fn previous_size(&mut self, tag: Tag, bytes: &[u8]) -> usize {
        let taken = self.fill(PREVIOUS_SIZE, bytes);
        if let Some(size) = self.head.array().map(u32::from_be_bytes) {
            if size == tag.header.whole_size() {
                self.accept(tag, false);
            } else {
                self.doubtful = Some(tag);
            }
            self.enter(State::TagHeader);
        }
        taken
    }

    fn accept(&mut self, tag: Tag, mismatch: bool) {
        if self.garbage.first_offset.is_some() {
            self.garbage.tags_after += 1;
            return;
        }
        self.contents.add(tag.header, tag.content);
        self.contents.previous_size_mismatches += u64::from(mismatch);
        self.good_bytes = tag.end();
    }

    /// What begins at `start` is no tag. The search goes on behind it, from `known_from`, of which these bytes are known.
    fn lose_track(&mut self, start: u64, known_from: u64, known: &[u8]) {
        self.garbage.first_offset.get_or_insert(start);
        self.garbage.stretches += 1;
        self.garbage.resynced = false;
        let mut resync = Resync::new(known_from);
        for &byte in known {
            // OK: too few bytes for a whole tag.
            resync.push(byte);
        }
        self.enter(State::Garbage { start, resync });
    }

    fn search(&mut self, bytes: &[u8]) -> usize {
        let State::Garbage { start, resync } = &mut self.state else { return 0 };
        for (index, &byte) in bytes.iter().enumerate() {
            let Some(tag) = resync.push(byte) else { continue };
            self.garbage.bytes += tag - *start;
            self.garbage.resynced = true;
            self.garbage.tags_after += 1;
            self.offset += index as u64 + 1;
            self.enter(State::TagHeader);
            return index + 1;
        }
        self.offset += bytes.len() as u64;
        bytes.len()
    }

    /// What the input is, as if it ended here. Costs no more than a copy of the parser.
    pub fn report(&self) -> Report {
        let mut settled = self.clone();
        // A wrong PreviousTagSize alone does not undo a tag: many senders write nothing else.
        if let Some(tag) = settled.doubtful.take() {
            settled.accept(tag, true);
        }
        if let State::Garbage { start, .. } = settled.state {
            settled.garbage.bytes += settled.offset - start;
        }
        let contents = &settled.contents;
        Report {
            signature: settled.signature(),
            total_bytes: settled.offset,
            good_bytes: settled.good_bytes,
            end: settled.end(),
            garbage: settled.garbage,
            previous_size_mismatches: contents.previous_size_mismatches,
            tags: contents.tags,
            video: contents.video_track(),
            audio: contents.audio_track(),
            video_codec: contents.video_codec,
            audio_codec: contents.audio_codec,
            picture_size: contents.picture_size,
            last_picture_size: contents.last_picture_size,
            claims: contents.claims.unwrap_or_default(),
        }
    }

    /// What the first bytes are. Costs next to nothing.
    pub fn signature(&self) -> Signature {
        match self.state {
            State::FileHeader => Signature::Undecided,
            State::NotFlv => {
                let mut bytes = [0; QUOTED];
                let length = self.head.length.min(QUOTED);
                bytes[..length].copy_from_slice(&self.head.bytes[..length]);
                // OK: 64 at most.
                Signature::NotFlv(FirstBytes { bytes, length: length as u8 })
            }
            _ => Signature::Flv,
        }
    }

    fn end(&self) -> End {
        match self.state {
            State::FileHeader | State::FileHeaderRest { .. } | State::FirstPreviousSize | State::NotFlv => {
                End::FileHeader
            }
            State::TagHeader if self.head.length == 0 => End::Boundary,
            State::TagHeader => End::TagHeader,
            State::TagBody { .. } | State::PreviousSize(_) => End::TagBody,
            State::Garbage { .. } => End::Garbage,
        }
    }
}
