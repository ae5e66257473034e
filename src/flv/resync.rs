//! Finding the next whole tag in noise, without keeping the noise.
//!
//! A tag's type is everywhere in noise. So a place where a tag may begin is only noted, with the place where it would
//! end; when the bytes there are the PreviousTagSize that it would have, it was a tag.

use super::tag::{HEADER, PREVIOUS_SIZE, TagHeader};

/// How many places are noted at once. A likely header turns up once in a billion bytes of noise; the true one, and a few
/// that lie inside its body, are all that there ever should be.
const NOTED: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// The offset just after its PreviousTagSize.
    end: u64,
    whole_size: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Resync {
    /// The last 16 bytes.
    window: u128,
    /// The offset just after the last byte.
    offset: u64,
    candidates: [Option<Candidate>; NOTED],
    /// The nearest end of a candidate.
    next_end: u64,
}

impl Resync {
    /// Begins to search at an offset.
    pub fn new(offset: u64) -> Self {
        // Ones, which no header is made of, stand for the bytes before.
        Self { window: u128::MAX, offset, candidates: [None; NOTED], next_end: u64::MAX }
    }

    /// The next byte. When it completes a whole tag: the offset at which the tag begins.
    pub fn push(&mut self, byte: u8) -> Option<u64> {
        self.window = (self.window << 8) | u128::from(byte);
        self.offset += 1;
        if self.offset == self.next_end
            && let Some(start) = self.confirm()
        {
            return Some(start);
        }
        // The stream id: the cheapest test, and the one that noise fails.
        if self.window & 0x00ff_ffff == 0 {
            self.note();
        }
        None
    }

    fn confirm(&mut self) -> Option<u64> {
        // OK to cut: the last four bytes are what is meant.
        let sent = self.window as u32;
        for place in &mut self.candidates {
            let Some(candidate) = place.take_if(|candidate| candidate.end == self.offset) else { continue };
            if candidate.whole_size == sent {
                return Some(candidate.end - PREVIOUS_SIZE as u64 - u64::from(candidate.whole_size));
            }
        }
        self.find_next_end();
        None
    }

    fn note(&mut self) {
        let [_, _, _, _, _, header @ ..] = self.window.to_be_bytes();
        let header: [u8; HEADER] = header;
        let Some(header) = TagHeader::read(&header) else { return };
        let end = self.offset + u64::from(header.size) + PREVIOUS_SIZE as u64;
        let candidate = Candidate { end, whole_size: header.whole_size() };
        // Of too many, those that are decided soonest are kept: a far end is what a false header claims.
        let furthest = self.candidates.iter_mut().max_by_key(|place| place.map_or(u64::MAX, |held| held.end));
        if let Some(place) = furthest
            && place.is_none_or(|held| held.end > end)
        {
            *place = Some(candidate);
        }
        self.find_next_end();
    }

    fn find_next_end(&mut self) {
        self.next_end = self.candidates.iter().flatten().map(|candidate| candidate.end).min().unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(size: u8) -> Vec<u8> {
        let body = vec![0x55; usize::from(size)];
        [&[9, 0, 0, size, 0, 0, 0, 0, 0, 0, 0][..], &body, &[0, 0, 0, size + 11]].concat()
    }

    fn first_tag(bytes: &[u8]) -> Option<u64> {
        let mut resync = Resync::new(1000);
        bytes.iter().find_map(|&byte| resync.push(byte))
    }

    #[test]
    fn a_tag_is_found_where_it_begins() {
        assert_eq!(first_tag(&tag(20)), Some(1000));
        assert_eq!(first_tag(&[&[9; 33][..], &tag(20)].concat()), Some(1033));
        assert_eq!(first_tag(&[&[0; 33][..], &tag(0)].concat()), Some(1033));
    }

    #[test]
    fn a_header_without_its_size_at_the_end_is_no_tag() {
        let mut broken = tag(20);
        broken[34] += 1;
        assert_eq!(first_tag(&broken), None);
        assert_eq!(first_tag(&[broken, tag(30)].concat()), Some(1035));
    }

    #[test]
    fn false_headers_before_a_tag_do_not_hide_it() {
        let false_headers = [9, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0].repeat(20);
        assert_eq!(first_tag(&[&false_headers, &tag(20)[..]].concat()), Some(1220));
    }
}
