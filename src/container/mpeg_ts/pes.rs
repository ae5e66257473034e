//! One PES packet of an MPEG-TS: a frame or some, with a time, spread over packets.

use crate::flv::{avc_unit_size, hevc_unit_size};
use crate::recording::VideoCodec;

/// The bytes up to where a DTS ends: nine of which the last says how long the header is, PTS, DTS.
const HEAD: usize = 19;
/// How much of a frame is searched for a picture size. Its SPS comes first, after a few bytes of other configuration.
const SEARCHED: usize = 512;

/// A PES packet as far as it came.
#[derive(Clone, Debug)]
pub(super) struct Pes {
    head: [u8; HEAD],
    /// How many bytes came.
    received: u64,
    /// The first bytes of the frame, when they are wanted.
    frame: Vec<u8>,
    wants_frame: bool,
    is_timed: bool,
}

/// What a part of a PES packet told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    Nothing,
    /// That it is none that is read.
    NoPes,
    /// Its decoding time, on a clock of 90,000 a second with 33 bits.
    Time(u64),
}

impl Pes {
    pub fn new(wants_frame: bool) -> Self {
        Self { head: [0; HEAD], received: 0, frame: Vec::new(), wants_frame, is_timed: false }
    }

    pub fn push(&mut self, bytes: &[u8]) -> Told {
        // OK to cut: below `HEAD`, or not used.
        let at = self.received.min(HEAD as u64) as usize;
        let headed = bytes.len().min(HEAD - at);
        self.head[at..at + headed].copy_from_slice(&bytes[..headed]);
        self.received += bytes.len() as u64;
        if !self.is_pes() {
            return Told::NoPes;
        }
        if self.wants_frame
            && let Some(header) = self.header_length()
        {
            // What of these bytes is behind the header.
            let skipped = (header + bytes.len() as u64).saturating_sub(self.received).min(bytes.len() as u64);
            let frame = &bytes[skipped as usize..];
            let room = SEARCHED.saturating_sub(self.frame.len());
            self.frame.extend_from_slice(&frame[..frame.len().min(room)]);
        }
        if self.is_timed || !self.has_header() {
            return Told::Nothing;
        }
        self.is_timed = true;
        self.time().map_or(Told::Nothing, Told::Time)
    }

    /// Whether nothing contradicts it: the start code, and the two bits that begin a header with times.
    fn is_pes(&self) -> bool {
        let known = self.received.min(HEAD as u64) as usize;
        self.head[..known.min(3)] == [0, 0, 1][..known.min(3)] && (known < 7 || self.head[6] >> 6 == 0b10)
    }

    /// How many bytes are before the frame, once it is known.
    fn header_length(&self) -> Option<u64> {
        (self.received >= 9).then(|| 9 + u64::from(self.head[8]))
    }

    fn has_header(&self) -> bool {
        self.header_length().is_some_and(|length| self.received >= length.min(HEAD as u64))
    }

    /// Whether a length is announced. Pictures may come without, and then end where the next begin.
    pub fn is_bounded(&self) -> bool {
        self.head[4..6] != [0, 0]
    }

    /// Whether all of it is here, as far as it tells.
    pub fn is_whole(&self) -> bool {
        let announced = 6 + u64::from(u16::from_be_bytes([self.head[4], self.head[5]]));
        self.has_header() && (!self.is_bounded() || self.received >= announced)
    }

    /// The decoding time where there is one, else the time of showing, which is then the same.
    fn time(&self) -> Option<u64> {
        let (flags, length) = (self.head[7] >> 6, self.head[8]);
        match flags {
            0b11 if length >= 10 => Some(timestamp(&self.head[14..])),
            0b10 | 0b11 if length >= 5 => Some(timestamp(&self.head[9..])),
            _ => None,
        }
    }

    /// The size that the frame's SPS tells, when it has one.
    pub fn picture_size(&self, codec: VideoCodec) -> Option<(u16, u16)> {
        let read = match codec {
            VideoCodec::H264 => avc_unit_size,
            VideoCodec::H265 => hevc_unit_size,
            VideoCodec::Other(_) | VideoCodec::FourCc(_) => return None,
        };
        let starts = self.frame.windows(3).enumerate().filter(|(_, code)| *code == [0, 0, 1]);
        // OK: a unit that goes on beyond its end here is read from its beginning, which is all that an SPS needs.
        starts.map(|(at, _)| &self.frame[at + 3..]).find_map(read)
    }
}

/// 3, 15 and 15 bits, a marker bit behind each.
fn timestamp(field: &[u8]) -> u64 {
    let bits = |at: usize, mask: u8| field.get(at).map_or(0, |byte| u64::from(byte & mask));
    bits(0, 0x0e) << 29 | bits(1, 0xff) << 22 | bits(2, 0xfe) << 14 | bits(3, 0xff) << 7 | bits(4, 0xfe) >> 1
}
