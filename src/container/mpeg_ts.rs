//! Follows an MPEG-TS packet by packet.
//!
//! A file may be cut at the end of any packet behind which no frame goes on. A PES packet that announces its length is whole
//! when that came. One that does not ends where the next one of its stream begins; at the end of the file it passes for whole
//! if the last packet is, since a segment ends there, and for broken off otherwise.

mod pes;
mod tables;

use pes::{Pes, Told};
use tables::{Program, Section};

use super::Examined;
use super::streams::Streams;
use crate::untrusted::Untrusted;

/// Bytes of a packet.
const PACKET: usize = 188;
/// What each begins with.
const SYNC: u8 = 0x47;
/// The PID of the first table.
const PAT: u16 = 0;
/// Ticks of the clock in a millisecond.
const TICKS: i64 = 90;

/// The scanner: push bytes, ask at any time.
#[derive(Clone, Debug)]
pub struct Scanner {
    /// The packet that is being read; of what is no MPEG-TS, its beginning.
    packet: [u8; PACKET],
    filled: usize,
    total_bytes: u64,
    /// Bytes of whole packets in a row.
    offset: u64,
    /// Whether bytes came that are no packet. Nothing is read behind them.
    is_lost: bool,
    pat: Section,
    pmt: Section,
    map_pid: Option<u16>,
    program: Program,
    video: Track,
    audio: Track,
    found: Found,
    /// The last place where the file may be cut, with what was found up to there.
    good: (u64, Found),
}

/// What was found up to some byte.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    streams: Streams,
    has_program: bool,
    has_scrambled: bool,
}

/// A stream on its way.
#[derive(Clone, Debug, Default)]
struct Track {
    pid: Option<u16>,
    pes: Option<Pes>,
    clock: Option<Clock>,
}

/// The clock of 33 bits, carried on.
#[derive(Clone, Copy, Debug)]
struct Clock {
    raw: u64,
    ticks: i64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            packet: [0; PACKET],
            filled: 0,
            total_bytes: 0,
            offset: 0,
            is_lost: false,
            pat: Section::default(),
            pmt: Section::default(),
            map_pid: None,
            program: Program::default(),
            video: Track::default(),
            audio: Track::default(),
            found: Found::default(),
            good: (0, Found::default()),
        }
    }
}

impl Track {
    /// Follows the stream of another PID; nothing changes when it is the same.
    fn follow(&mut self, pid: Option<u16>) {
        if self.pid != pid {
            *self = Self { pid, pes: None, clock: self.clock };
        }
    }

    fn is_settled(&self) -> bool {
        self.pes.as_ref().is_none_or(Pes::is_whole)
    }

    /// The next payload; a time when it tells one, in milliseconds.
    fn push(&mut self, payload: &[u8], begins: bool, wants_frame: bool) -> Option<i64> {
        if begins {
            self.pes = Some(Pes::new(wants_frame));
        }
        match self.pes.as_mut()?.push(payload) {
            Told::Nothing => None,
            Told::NoPes => {
                self.pes = None;
                None
            }
            Told::Time(raw) => Some(self.milliseconds(raw)),
        }
    }

    fn milliseconds(&mut self, raw: u64) -> i64 {
        let ticks = match self.clock {
            // OK: 33 bits.
            None => raw as i64,
            // OK: shifted up and down again, the difference is the one within 2³² ticks, 13 hours, with its sign.
            Some(last) => last.ticks.saturating_add((raw.wrapping_sub(last.raw) << 31).cast_signed() >> 31),
        };
        self.clock = Some(Clock { raw, ticks });
        ticks.div_euclid(TICKS)
    }
}

/// A packet's PID, and whether something begins in it.
fn head(packet: &[u8; PACKET]) -> (u16, bool) {
    (u16::from_be_bytes([packet[1] & 0x1f, packet[2]]), packet[1] & 0x40 != 0)
}

impl Scanner {
    /// The next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        while let Some(&next) = bytes.first() {
            if !self.is_lost && self.filled == 0 && next != SYNC {
                self.is_lost = true;
                if self.is_settled() {
                    self.mark_good();
                }
            }
            let taken = bytes.len().min(PACKET - self.filled);
            self.packet[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.is_lost {
                // Only the beginning is kept, to be quoted.
                return;
            }
            if self.filled == PACKET {
                let packet = self.packet;
                self.packet(&packet);
                self.offset += PACKET as u64;
                self.filled = 0;
            }
        }
    }

    /// What the file is so far.
    pub fn examined(&self) -> Examined {
        let (pid, begins) = head(&self.packet);
        let ends_whole = match self.filled {
            0 => self.is_settled(),
            // Of the packet that is broken off, PID and flags came.
            3.. => self.may_be_cut_before(pid, begins),
            _ => false,
        };
        let is_good = ends_whole && !self.is_lost;
        let (good_bytes, found) = if is_good { (self.offset, self.found_so_far()) } else { self.good };
        let lost = self.is_lost.then(|| format!("from byte {} on it is no MPEG-TS", self.offset));
        Examined {
            media: found.streams.media_facts(),
            good_bytes,
            total_bytes: self.total_bytes,
            problem: self.problem(&found),
            note: found.streams.note(lost),
        }
    }

    fn problem(&self, found: &Found) -> Option<String> {
        if found.streams.has_frames() {
            None
        } else if self.total_bytes == 0 {
            Some("it is empty".to_owned())
        } else if self.is_lost && self.offset == 0 {
            let first = Untrusted::from_bytes(&self.packet[..self.filled.min(64)]);
            Some(format!("it is no MPEG-TS; it begins with {first:?}"))
        } else if found.has_scrambled {
            Some("its packets are scrambled".to_owned())
        } else if found.has_program {
            Some("it has no picture and no sound".to_owned())
        } else {
            Some("the tables that say where its pictures are (PAT, PMT) never came".to_owned())
        }
    }

    fn is_settled(&self) -> bool {
        self.video.is_settled() && self.audio.is_settled()
    }

    /// Whether no frame goes on in the next packet, or behind it.
    fn may_be_cut_before(&self, next_pid: u16, next_begins: bool) -> bool {
        let ends_picture = next_begins && self.video.pid == Some(next_pid);
        let in_open_picture = self.video.pes.as_ref().is_some_and(|pes| !pes.is_bounded());
        self.is_settled() && (ends_picture || !in_open_picture)
    }

    /// With the picture size in the frame that is being read.
    fn found_so_far(&self) -> Found {
        let mut found = self.found;
        if found.streams.picture_size.is_none()
            && let (Some(pes), Some((_, codec))) = (&self.video.pes, self.program.video)
            && let Some(size) = pes.picture_size(codec)
        {
            found.streams.picture_size(size);
        }
        found
    }

    fn mark_good(&mut self) {
        self.found = self.found_so_far();
        self.good = (self.offset, self.found);
    }

    fn packet(&mut self, packet: &[u8; PACKET]) {
        let (pid, begins) = head(packet);
        if self.may_be_cut_before(pid, begins) {
            self.mark_good();
        }
        let is_broken = packet[1] & 0x80 != 0;
        let payload = match packet[3] >> 4 & 3 {
            1 => &packet[4..],
            3 => packet.get(5 + usize::from(packet[4])..).unwrap_or_default(),
            _ => &[],
        };
        let is_ours = [self.video.pid, self.audio.pid].contains(&Some(pid));
        if is_ours && packet[3] & 0xc0 != 0 {
            self.found.has_scrambled = true;
        } else if !is_broken && !payload.is_empty() {
            self.payload(pid, payload, begins);
        }
    }

    fn payload(&mut self, pid: u16, payload: &[u8], begins: bool) {
        if pid == PAT {
            if let Some(section) = self.pat.push(payload, begins) {
                self.map_pid = tables::map_pid(&section).or(self.map_pid);
            }
        } else if self.map_pid == Some(pid) {
            if let Some(program) = self.pmt.push(payload, begins).and_then(|section| tables::program(&section)) {
                self.program = program;
                self.found.has_program = true;
                self.video.follow(program.video.map(|(pid, _)| pid));
                self.audio.follow(program.audio.map(|(pid, _)| pid));
            }
        } else if let Some((_, codec)) = self.program.video.filter(|(video, _)| *video == pid) {
            if begins {
                self.found = self.found_so_far();
            }
            let wants_size = self.found.streams.picture_size.is_none();
            if let Some(milliseconds) = self.video.push(payload, begins, wants_size) {
                self.found.streams.video.frame(codec, milliseconds);
            }
        } else if let Some((_, codec)) = self.program.audio.filter(|(audio, _)| *audio == pid)
            && let Some(milliseconds) = self.audio.push(payload, begins, false)
        {
            self.found.streams.audio.frame(codec, milliseconds);
        }
    }
}
