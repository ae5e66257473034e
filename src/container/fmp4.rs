//! Follows a fragmented MP4 box by box.
//!
//! Its initialization (`moov`) says what the tracks are; then come fragments, each of times (`moof`) and frames (`mdat`). A
//! file may be cut behind any `mdat` that came whole. Only `moov` and `moof` are held in memory, and no larger ones than are
//! believed; frames are stepped over.

mod boxes;

use boxes::Tracks;

use super::Examined;
use super::streams::Streams;
use crate::untrusted::Untrusted;

/// An initialization is a few kilobytes.
const LARGEST_MOOV: u64 = 128 << 10;
/// A fragment's times are some twenty bytes a frame, and no segment of a live stream lasts longer than a minute.
const LARGEST_MOOF: u64 = 128 << 10;
/// How many of the first bytes are kept to quote from what is no MP4.
const QUOTED: usize = 64;
/// What an MP4 or one of its segments can begin with.
const FIRST: [&[u8; 4]; 11] =
    [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"emsg", b"prft", b"uuid"];

/// The scanner: push bytes, ask at any time.
#[derive(Clone, Debug)]
pub struct Scanner {
    state: State,
    /// The first bytes of the file.
    first: Vec<u8>,
    total_bytes: u64,
    tracks: Tracks,
    has_moov: bool,
    has_bare_mdat: bool,
    /// The last `moof`'s body, until the `mdat` behind it.
    moof: Option<Vec<u8>>,
    /// Bytes dealt with.
    offset: u64,
    /// The last place where the file may be cut, with what was found up to there.
    good: (u64, Streams),
}

#[derive(Clone, Debug)]
enum State {
    /// The first bytes of a box: 8, or 16 where the size has 64 bits.
    Header { bytes: [u8; 16], filled: usize },
    /// A box that is not read; without a number, to the end of the file.
    Skip { left: Option<u64> },
    /// A box that is read when it is whole.
    Keep { kind: Kept, left: u64, body: Vec<u8> },
    /// The frames of the last `moof`.
    Frames { size: Option<u64>, left: Option<u64> },
    /// What came is not read, nor anything behind it.
    Lost(Lost),
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    Moov,
    Moof,
}

#[derive(Clone, Copy, Debug)]
enum Lost {
    NoMp4,
    NoBox { at: u64 },
    LargeMoov { at: u64 },
    LargeMoof { at: u64 },
    BadMoof { at: u64 },
}

impl Lost {
    fn text(self) -> String {
        match self {
            Self::NoMp4 => "it is no MP4".to_owned(),
            Self::NoBox { at } => format!("from byte {at} on it is no MP4"),
            Self::LargeMoov { at } => {
                format!("the initialization (moov) at byte {at} is larger than any that is believed")
            }
            Self::LargeMoof { at } => format!("the fragment (moof) at byte {at} is larger than any that is believed"),
            Self::BadMoof { at } => format!("the fragment (moof) before byte {at} cannot be read"),
        }
    }
}

impl State {
    const NEXT_BOX: Self = Self::Header { bytes: [0; 16], filled: 0 };
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            state: State::NEXT_BOX,
            first: Vec::new(),
            total_bytes: 0,
            tracks: Tracks::default(),
            has_moov: false,
            has_bare_mdat: false,
            moof: None,
            offset: 0,
            good: (0, Streams::default()),
        }
    }
}

impl Scanner {
    /// The next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        self.first.extend_from_slice(&bytes[..bytes.len().min(QUOTED.saturating_sub(self.first.len()))]);
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Header { bytes: head, filled } => {
                    let wanted = if *filled >= 8 { 16 } else { 8 };
                    let taken = bytes.len().min(wanted - *filled);
                    head[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
                    *filled += taken;
                    taken
                }
                State::Skip { left: None } | State::Frames { left: None, .. } | State::Lost(_) => bytes.len(),
                State::Skip { left: Some(left) } | State::Frames { left: Some(left), .. } => step(left, bytes),
                State::Keep { left, body, .. } => {
                    let taken = step(left, bytes);
                    body.extend_from_slice(&bytes[..taken]);
                    taken
                }
            };
            bytes = &bytes[taken..];
            self.offset += taken as u64;
            self.advance();
        }
    }

    /// Goes on to what comes next, when what is being read is whole. Boxes without a body are whole at once.
    fn advance(&mut self) {
        if let State::Header { bytes, filled } = self.state {
            let is_long = bytes[..4] == [0, 0, 0, 1];
            if filled == 16 || (filled == 8 && !is_long) {
                self.state = self.opened(bytes, is_long);
            }
        }
        match &mut self.state {
            State::Skip { left: Some(0) } => self.state = State::NEXT_BOX,
            State::Keep { kind, left: 0, body } => {
                let (kind, body) = (*kind, std::mem::take(body));
                match kind {
                    Kept::Moov => {
                        self.tracks = boxes::tracks(&body);
                        self.has_moov = true;
                    }
                    Kept::Moof => self.moof = Some(body),
                }
                self.state = State::NEXT_BOX;
            }
            &mut State::Frames { size: Some(size), left: Some(0) } => {
                self.state = match self.with_frames(size) {
                    Some((tracks, streams)) => {
                        self.tracks = tracks;
                        self.good = (self.offset, streams);
                        State::NEXT_BOX
                    }
                    None => State::Lost(Lost::BadMoof { at: self.offset }),
                };
                self.moof = None;
            }
            _ => {}
        }
    }

    /// What a box is read as, by its header.
    fn opened(&mut self, header: [u8; 16], is_long: bool) -> State {
        let [s3, s2, s1, s0, k0, k1, k2, k3, long @ ..] = header;
        let (kind, length) = ([k0, k1, k2, k3], if is_long { 16 } else { 8 });
        let at = self.offset - length;
        let size = match u32::from_be_bytes([s3, s2, s1, s0]) {
            0 => None,
            1 => Some(u64::from_be_bytes(long)),
            size => Some(u64::from(size)),
        };
        let body = size.map(|size| size.checked_sub(length));
        if at == 0 && !FIRST.contains(&&kind) {
            return State::Lost(Lost::NoMp4);
        }
        if body == Some(None) || !kind.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0xa9) {
            return State::Lost(if at == 0 { Lost::NoMp4 } else { Lost::NoBox { at } });
        }
        let body = body.flatten();
        let kept = |kind, most, otherwise| match body.filter(|body| *body <= most) {
            Some(left) => State::Keep { kind, left, body: Vec::new() },
            None => State::Lost(otherwise),
        };
        match &kind {
            b"moov" => kept(Kept::Moov, LARGEST_MOOV, Lost::LargeMoov { at }),
            b"moof" => {
                // Two at once are never needed.
                self.moof = None;
                kept(Kept::Moof, LARGEST_MOOF, Lost::LargeMoof { at })
            }
            b"mdat" if self.moof.is_some() => State::Frames { size: body, left: body },
            _ => {
                self.has_bare_mdat |= kind == *b"mdat";
                State::Skip { left: body }
            }
        }
    }

    /// With the samples of the last `moof`, whose frames are so many bytes; nothing when it cannot be read.
    fn with_frames(&self, size: u64) -> Option<(Tracks, Streams)> {
        let (mut tracks, mut streams) = (self.tracks, self.good.1);
        boxes::add_fragment(self.moof.as_ref()?, size, &mut tracks, &mut streams)?;
        Some((tracks, streams))
    }

    /// What the file is so far.
    pub fn examined(&self) -> Examined {
        let (mut good_bytes, mut streams) = self.good;
        // Frames up to the end of the file are whole wherever that is.
        if let State::Frames { size: None, .. } = self.state
            && let Some((_, more)) = self.with_frames(self.total_bytes)
        {
            (good_bytes, streams) = (self.total_bytes, more);
        }
        let lost = if let State::Lost(lost) = self.state { Some(lost.text()) } else { None };
        let problem = if streams.has_frames() { None } else { Some(self.problem(lost.as_deref())) };
        Examined {
            media: streams.media_facts(),
            good_bytes,
            total_bytes: self.total_bytes,
            problem,
            note: streams.note(lost),
        }
    }

    /// Why there is no frame.
    fn problem(&self, lost: Option<&str>) -> String {
        let missing = match (self.has_moov, self.tracks.video.is_some() || self.tracks.audio.is_some()) {
            _ if self.total_bytes == 0 => "it is empty",
            _ if matches!(self.state, State::Lost(Lost::NoMp4)) => {
                return format!("it is no MP4; it begins with {:?}", Untrusted::from_bytes(&self.first));
            }
            _ if lost.is_some() => lost.unwrap_or_default(),
            (false, _) => "its initialization (moov) never came",
            (true, false) => "its initialization (moov) has no pictures and no sound that can be read",
            (true, true) if self.has_bare_mdat => "it is no fragmented MP4 (no moof)",
            (true, true) => "it has no whole fragment (moof and mdat) with a picture or a sound",
        };
        missing.to_owned()
    }
}

/// Takes as many bytes as are left of a box.
fn step(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    taken
}
