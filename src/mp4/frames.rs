//! The frames of an MP4 that was made of an FLV when it was published, one by one, as the FLV's reader gives them.
//!
//! They come in the order in which they lie in the file: a second of sound at once, and its pictures around it. Their
//! timestamps are milliseconds after the FLV's first frame, less than zero where sound came before that. What is held is the index,
//! and the frame that is coming in.

use super::published::{FACTS, Facts};
use super::tables::{self, Sample, Track};
use crate::flv::Frame;

/// No index of ours is larger: 2²⁰ frames take a third of that.
const LARGEST_INDEX: u64 = 64 << 20;
/// Nor what stands beside it.
const LARGEST_FACTS: u64 = 1 << 20;
/// No frame of an FLV is larger.
const LARGEST_FRAME: usize = 16 << 20;

/// The reader: [`Frames::push`] bytes, and be given what they complete.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    state: State,
    /// Bytes dealt with.
    offset: u64,
    tracks: Vec<Track>,
    facts: Option<Facts>,
    /// The frame that comes next or is coming in, by its track's number, and its first bytes.
    next: Option<(usize, Sample)>,
    unread: Vec<u8>,
    /// The number of each track's coding that was told.
    told: Vec<Option<usize>>,
    has_media: bool,
    problem: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum State {
    /// The first bytes of a box.
    Header(Vec<u8>),
    /// A box that is read when it is whole.
    Keep { kind: Kept, left: u64, body: Vec<u8> },
    /// One that is not read.
    Skip { left: u64 },
    /// The box of the frames.
    Media { left: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    Index,
    Facts,
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::new())
    }
}

impl Frames {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the file says of itself, once it was read so far. A file that says nothing is none of ours.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// Whether it came upon what it cannot read; what follows is not read.
    pub fn is_lost(&self) -> bool {
        self.problem.is_some()
    }

    /// What is wrong with it, when it ends here.
    pub fn problem(&self) -> Option<&'static str> {
        const CUT: &str = "it ends before all that it should have came";
        let is_whole = self.has_media
            && matches!(&self.state, State::Header(bytes) if bytes.is_empty())
            && self.tracks.iter().all(Track::is_through)
            && self.next.is_none();
        self.problem.or((!is_whole).then_some(CUT))
    }

    /// The next bytes of the file, in pieces of any size; `out` is given what they complete, in the file's order.
    pub fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() && self.problem.is_none() {
            let taken = match &mut self.state {
                State::Header(head) => {
                    let wanted = wanted(head) - head.len();
                    let taken = wanted.min(bytes.len());
                    head.extend_from_slice(&bytes[..taken]);
                    taken
                }
                State::Keep { left, body, .. } => {
                    let taken = step(left, bytes);
                    body.extend_from_slice(&bytes[..taken]);
                    taken
                }
                State::Skip { left } => step(left, bytes),
                State::Media { left } => {
                    let within = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    let taken = self.media(&bytes[..within], &mut out);
                    if let State::Media { left } = &mut self.state {
                        *left -= taken as u64;
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
            self.offset += taken as u64;
            if let Err(problem) = self.advance() {
                self.problem = Some(problem);
            }
        }
    }

    /// Goes on to what comes next, when what is being read is whole. Boxes without a body are whole at once.
    fn advance(&mut self) -> Result<(), &'static str> {
        if let State::Header(head) = &self.state
            && !head.is_empty()
            && head.len() == wanted(head)
        {
            let head = head.clone();
            self.state = self.opened(&head)?;
        }
        match &mut self.state {
            State::Keep { kind, left: 0, body } => {
                let (kind, body) = (*kind, std::mem::take(body));
                match kind {
                    Kept::Index => {
                        self.tracks = tables::tracks(&body).ok_or("its index (moov) cannot be read")?;
                        self.told = vec![None; self.tracks.len()];
                    }
                    Kept::Facts => {
                        self.facts = Some(Facts::read(&body).ok_or("what it says of itself cannot be read")?)
                    }
                }
                self.state = State::default();
            }
            State::Skip { left: 0 } => self.state = State::default(),
            State::Media { left: 0 } => {
                if self.next.is_some() || !self.tracks.iter().all(Track::is_through) {
                    return Err("its index (moov) tells of frames that it does not have");
                }
                self.state = State::default();
            }
            _ => {}
        }
        Ok(())
    }

    /// What a box is read as, by its header.
    fn opened(&mut self, head: &[u8]) -> Result<State, &'static str> {
        const NO_BOX: &str = "it is no MP4, or not from its beginning to its end";
        let kind = head.get(4..8).ok_or(NO_BOX)?;
        let size = match head.get(8..16).and_then(|long| long.first_chunk().copied()) {
            Some(long) if head[..4] == [0, 0, 0, 1] => u64::from_be_bytes(long),
            _ => u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])),
        };
        let left = size.checked_sub(head.len() as u64).ok_or(NO_BOX)?;
        let keep = |kind, most| match left <= most {
            true => Ok(State::Keep { kind, left, body: Vec::new() }),
            false => Err("its index (moov) is larger than any that is believed"),
        };
        match kind {
            b"moov" if self.tracks.is_empty() => keep(Kept::Index, LARGEST_INDEX),
            b"uuid" if head.get(8..24) == Some(&FACTS) => keep(Kept::Facts, LARGEST_FACTS),
            b"mdat" if self.facts.is_none() => Err("it is no MP4 that was made of a recording"),
            b"mdat" if !self.has_media => {
                self.has_media = true;
                Ok(State::Media { left })
            }
            b"ftyp" | b"uuid" => Ok(State::Skip { left }),
            _ => Err(NO_BOX),
        }
    }

    /// Takes some of the frames' bytes; says how many.
    fn media(&mut self, bytes: &[u8], out: &mut impl FnMut(Frame<'_>)) -> usize {
        const ASTRAY: &str = "its index (moov) does not say where its frames are";
        if self.next.is_none() {
            match self.find_next() {
                Some(next) => self.next = Some(next),
                // Nothing of it is any frame's.
                None if self.tracks.iter().all(Track::is_through) => return bytes.len(),
                None => {
                    self.problem = Some(ASTRAY);
                    return bytes.len();
                }
            }
        }
        let Some((number, sample)) = self.next else { return bytes.len() };
        // Ours lie one behind the other.
        let is_here = self.offset.checked_sub(self.unread.len() as u64) == Some(sample.offset);
        if !is_here || sample.size > LARGEST_FRAME || sample.size == 0 {
            self.problem = Some(ASTRAY);
            return bytes.len();
        }
        let taken = (sample.size - self.unread.len()).min(bytes.len());
        if self.unread.is_empty() && taken == sample.size {
            self.tell(number, sample, &bytes[..taken], out);
            self.next = None;
            return taken;
        }
        self.unread.extend_from_slice(&bytes[..taken]);
        if self.unread.len() == sample.size {
            let unread = std::mem::take(&mut self.unread);
            self.tell(number, sample, &unread, out);
            self.next = None;
            // The room is used again.
            self.unread = unread;
            self.unread.clear();
        }
        taken
    }

    /// The next frame as they lie in the file.
    fn find_next(&mut self) -> Option<(usize, Sample)> {
        let at = |track: &Track| track.next_offset();
        let (number, _) = self
            .tracks
            .iter()
            .enumerate()
            .filter_map(|(number, track)| Some((number, at(track)?)))
            .min_by_key(|(_, at)| *at)?;
        Some((number, self.tracks[number].next()?))
    }

    fn tell(&mut self, number: usize, sample: Sample, payload: &[u8], out: &mut impl FnMut(Frame<'_>)) {
        let (track, zero) = (&self.tracks[number], self.facts.as_ref().map_or(0, |facts| facts.zero));
        if self.told[number] != Some(sample.coding) {
            self.told[number] = Some(sample.coding);
            out(Frame::Coding(track.codings[sample.coding].clone()));
        }
        // OK to cut: a file holds some hours at most.
        let timestamp = sample.time.wrapping_sub(zero) as u32;
        let Sample { composition, key, .. } = sample;
        out(Frame::Sample { track: track.kind, timestamp, composition, key, payload });
    }
}

/// How many bytes the header of a box has, as far as its first bytes say.
fn wanted(head: &[u8]) -> usize {
    match head {
        [0, 0, 0, 1, ..] if head.len() >= 8 => 16,
        [_, _, _, _, b'u', b'u', b'i', b'd', ..] => 24,
        _ => 8,
    }
}

/// Takes as many bytes as are left of a box.
fn step(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    taken
}
