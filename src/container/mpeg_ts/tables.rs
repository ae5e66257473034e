//! The two tables of an MPEG-TS that say where its streams are: PAT, then PMT.

use crate::recording::{AudioCodec, VideoCodec};

/// A section's length has 12 bits, of which these tables may use up to 1021, and three bytes are before it.
const LONGEST_SECTION: usize = 1024;

/// The first stream of pictures and the first of sound, by PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    pub video: Option<(u16, VideoCodec)>,
    pub audio: Option<(u16, AudioCodec)>,
}

/// A table's section, put together from packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    bytes: Vec<u8>,
}

impl Section {
    /// The payload of the next packet; the section, when that completes it.
    pub fn push(&mut self, payload: &[u8], begins: bool) -> Option<Vec<u8>> {
        if !begins {
            // Without a beginning these are the middle of something unknown.
            return if self.bytes.is_empty() { None } else { self.add(payload) };
        }
        // What is before the pointer still belongs to the section before.
        let (&pointer, rest) = payload.split_first()?;
        let (before, after) = rest.split_at_checked(usize::from(pointer))?;
        let finished = if self.bytes.is_empty() { None } else { self.add(before) };
        self.bytes.clear();
        let found = self.add(after);
        found.or(finished)
    }

    fn add(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let room = LONGEST_SECTION.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let &[_, high, low] = self.bytes.first_chunk::<3>()?;
        let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
        if length > LONGEST_SECTION {
            self.bytes.clear();
        }
        if self.bytes.len() < length || self.bytes.is_empty() {
            return None;
        }
        self.bytes.truncate(length);
        Some(std::mem::take(&mut self.bytes))
    }
}

/// A section's entries, if it is of that table and in force: what is behind the eight bytes of its head, without its checksum.
fn entries(section: &[u8], table: u8) -> Option<&[u8]> {
    let body = section.get(8..section.len().checked_sub(4)?)?;
    (section[0] == table && section[5] & 1 == 1).then_some(body)
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

/// The PID of the first program's PMT, out of a PAT.
pub(super) fn map_pid(section: &[u8]) -> Option<u16> {
    let programs = entries(section, 0)?.chunks_exact(4);
    // Program 0 is the network's own table.
    let mut numbered = programs.filter(|entry| entry[..2] != [0, 0]);
    numbered.next().map(|entry| pid(entry[2], entry[3]))
}

/// The streams, out of a PMT.
pub(super) fn program(section: &[u8]) -> Option<Program> {
    let (&[_, _, high, low], rest) = entries(section, 2)?.split_first_chunk::<4>()?;
    let mut rest = rest.get(length(high, low)..)?;
    let mut program = Program::default();
    while let Some((&[kind, pid_high, pid_low, high, low], after)) = rest.split_first_chunk::<5>() {
        let pid = pid(pid_high, pid_low);
        if let Some(codec) = video_codec(kind) {
            program.video.get_or_insert((pid, codec));
        } else if let Some(codec) = audio_codec(kind) {
            program.audio.get_or_insert((pid, codec));
        }
        rest = after.get(length(high, low)..).unwrap_or_default();
    }
    Some(program)
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}

/// By ISO/IEC 13818-1, and for 0x80 GB/T 28181. Those that have no name in the ledger get that of their kind in MP4.
fn video_codec(kind: u8) -> Option<VideoCodec> {
    Some(match kind {
        0x1b => VideoCodec::H264,
        0x24 => VideoCodec::H265,
        0x01 => VideoCodec::FourCc(*b"mp1v"),
        0x02 => VideoCodec::FourCc(*b"mp2v"),
        0x10 => VideoCodec::FourCc(*b"mp4v"),
        0x33 => VideoCodec::FourCc(*b"vvc1"),
        0x80 => VideoCodec::FourCc(*b"svac"),
        _ => return None,
    })
}

/// The same of sound. 0x90 and 0x91 are private numbers, with which Chinese recorders mean G.711 **\[unknown\]** here. FLV's
/// format 2 is MP3, and 15 whatever has no other.
fn audio_codec(kind: u8) -> Option<AudioCodec> {
    Some(match kind {
        0x0f | 0x11 => AudioCodec::Aac,
        0x90 => AudioCodec::G711A,
        0x91 => AudioCodec::G711U,
        0x03 | 0x04 => AudioCodec::Other(2),
        // AC-3; G.722.1, G.723.1, G.729 and SVAC.
        0x81 | 0x92 | 0x93 | 0x99 | 0x9b => AudioCodec::Other(15),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of that table with these entries, and no checksum to speak of.
    fn section(table: u8, entries: &[u8]) -> Vec<u8> {
        let length = u8::try_from(5 + entries.len() + 4).expect("short");
        [&[table, 0xb0, length, 0, 1, 0xc1, 0, 0], entries, &[0; 4]].concat()
    }

    #[test]
    fn the_first_program_and_its_first_streams_are_taken() {
        let pat = section(0, &[0, 0, 0xe0, 0x10, 0, 1, 0xf0, 0x00, 0, 2, 0xe1, 0]);
        assert_eq!(map_pid(&pat), Some(0x1000));
        let streams =
            [0x06, 0xe1, 1, 0xf0, 0, 0x91, 0xe1, 2, 0xf0, 2, 9, 9, 0x24, 0xe1, 3, 0xf0, 0, 0x1b, 0xe1, 4, 0xf0, 0];
        let pmt = section(2, &[&[0xe1, 0, 0xf0, 1, 9], &streams[..]].concat());
        let expected = Program { video: Some((0x103, VideoCodec::H265)), audio: Some((0x102, AudioCodec::G711U)) };
        assert_eq!(program(&pmt), Some(expected));
        assert_eq!((program(&pat), map_pid(&pmt)), (None, None));
    }

    #[test]
    fn a_section_is_put_together_across_packets() {
        let pat = section(0, &[0, 1, 0xf0, 0x00]);
        for at in 0..pat.len() {
            let mut whole = Section::default();
            assert_eq!(whole.push(&pat[5..], false), None, "the middle of something");
            assert_eq!(whole.push(&[&[0], &pat[..at]].concat(), true), None);
            assert_eq!(
                whole.push(&[&pat[at..], &[0xff; 20]].concat(), false),
                (at > 0).then(|| pat.clone()),
                "at {at}"
            );
        }
        let mut two = Section::default();
        assert_eq!(two.push(&[&[0], &pat[..5]].concat(), true), None);
        let tail = u8::try_from(pat.len() - 5).expect("short");
        assert_eq!(two.push(&[&[tail], &pat[5..]].concat(), true), Some(pat.clone()));
    }
}
