//! HLS: the media playlist of a live channel, and its segments as MPEG-TS or fragmented MP4.
//!
//! One clip of four seconds for each form is repeated. Its times are rewritten, and in MPEG-TS its packets' counters, so that
//! the segments make one continuous stream. They are pictures alone, without sound.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use serde::Deserialize;

use crate::sim::channels::Codec;

/// Seconds of a segment.
pub const SEGMENT_SECONDS: u64 = 4;
/// How many segments a playlist names.
const LISTED: u64 = 5;
/// How many segments before those are still served: a client may have an older playlist.
const KEPT: u64 = 3;
/// A segment on the clock of both forms, 90,000 a second.
const SEGMENT_TICKS: u64 = SEGMENT_SECONDS * 90_000;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MPEG_TS: &str = "video/mp2t";
const MP4: &str = "video/mp4";

/// In which form segments come. **\[unknown\]** which the vendor's servers send; fragmented MP4 is usual for H.265.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HlsForm {
    /// MPEG-TS.
    #[default]
    Ts,
    /// Fragmented MP4, with an `EXT-X-MAP`.
    Fmp4,
}

/// A channel's HLS, as far as it is there.
#[derive(Clone, Debug)]
pub struct Hls {
    /// The codec in the beginning.
    pub codec: Codec,
    /// The form of its segments.
    pub form: HlsForm,
    /// The first segment whose pictures are of the other codec.
    pub changes_at: Option<u64>,
    /// Segments that never come, if any: those before the last of them are no longer named when the one behind them is there.
    pub left_out: Option<Range<u64>>,
    /// How many segments have been finished since the first; segments that are left out count.
    pub finished: u64,
    /// Whether there will be no more.
    pub ended: bool,
}

impl Hls {
    /// A file of the channel's, with its media type; nothing when there is none of that name, or none yet, or no longer.
    pub fn file(&self, name: &str) -> Option<(&'static str, Vec<u8>)> {
        if name == "index.m3u8" {
            return Some((PLAYLIST, self.playlist().into_bytes()));
        }
        if let Some(codec) = [Codec::H264, Codec::H265].into_iter().find(|codec| name == map_name(*codec)) {
            return Some((MP4, parts_of_mp4(codec).0.to_vec()));
        }
        let index = self.segment(name)?;
        let codec = self.codec_of(index);
        Some(match self.form {
            HlsForm::Ts => (MPEG_TS, ts_segment(codec, index)),
            HlsForm::Fmp4 => (MP4, mp4_segment(codec, index)),
        })
    }

    /// The number of the segment that a file is; nothing when it is none, or there is none of that name.
    pub fn segment(&self, name: &str) -> Option<u64> {
        let (stem, extension) = name.strip_prefix("segment-")?.split_once('.')?;
        let index: u64 = stem.parse().ok()?;
        let kept = self.listed().start.saturating_sub(KEPT)..self.finished;
        let is_left_out = self.left_out.as_ref().is_some_and(|left_out| left_out.contains(&index));
        (kept.contains(&index) && !is_left_out && extension == self.extension()).then_some(index)
    }

    fn playlist(&self) -> String {
        let listed = self.listed();
        let first = listed.start;
        let version = if self.form == HlsForm::Fmp4 { 7 } else { 3 };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        );
        if self.changes_at.is_some_and(|changes_at| changes_at < first) {
            text.push_str("#EXT-X-DISCONTINUITY-SEQUENCE:1\n");
        }
        for index in listed {
            let codec = self.codec_of(index);
            let changes = self.changes_at == Some(index);
            if changes {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if self.form == HlsForm::Fmp4 && (changes || index == first) {
                // OK to ignore: writing to a string does not fail.
                let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", map_name(codec));
            }
            let _ = writeln!(text, "#EXTINF:{SEGMENT_SECONDS}.000,\nsegment-{index}.{}", self.extension());
        }
        if self.ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    /// The segments that the playlist names: their numbers have no hole, since a playlist can only say the first.
    fn listed(&self) -> Range<u64> {
        let named = |range: Range<u64>| range.start.max(range.end.saturating_sub(LISTED))..range.end;
        match &self.left_out {
            Some(left_out) if self.finished > left_out.end => named(left_out.end..self.finished),
            Some(left_out) => named(0..self.finished.min(left_out.start)),
            None => named(0..self.finished),
        }
    }

    fn extension(&self) -> &'static str {
        match self.form {
            HlsForm::Ts => "ts",
            HlsForm::Fmp4 => "m4s",
        }
    }

    fn codec_of(&self, index: u64) -> Codec {
        match (self.codec, self.changes_at.is_some_and(|changes_at| index >= changes_at)) {
            (codec, false) => codec,
            (Codec::H264, true) => Codec::H265,
            (Codec::H265, true) => Codec::H264,
        }
    }
}

fn map_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "init-h264.mp4",
        Codec::H265 => "init-h265.mp4",
    }
}

// OK to index below, and to take the boxes and packets for what they are: the clips are part of the program, and tests read
// them.

/// Bytes of an MPEG-TS packet.
const PACKET: usize = 188;
/// Clock values of MPEG-TS have 33 bits.
const TICKS_MASK: u64 = (1 << 33) - 1;

fn ts_clip(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::H264 => include_bytes!("clips/h264.ts"),
        Codec::H265 => include_bytes!("clips/h265.ts"),
    }
}

/// The clip as segment number `index`: its clocks so much later, and its packets counted on.
fn ts_segment(codec: Codec, index: u64) -> Vec<u8> {
    let mut segment = ts_clip(codec).to_vec();
    let ticks = index.wrapping_mul(SEGMENT_TICKS);
    let mut counted: BTreeMap<u16, u64> = BTreeMap::new();
    for packet in segment.chunks_exact(PACKET) {
        if packet[3] & 0x10 != 0 {
            *counted.entry(pid(packet)).or_default() += 1;
        }
    }
    for packet in segment.chunks_exact_mut(PACKET) {
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let before = counted.get(&pid(packet)).copied().unwrap_or(0).wrapping_mul(index);
        // OK to cut: a counter has four bits.
        packet[3] = packet[3] & 0xf0 | (packet[3].wrapping_add((before & 15) as u8) & 15);
        let payload = if has_adaptation { 5 + usize::from(packet[4]) } else { 4 };
        // The adaptation field's own length, then flags, of which one says that a PCR follows.
        if has_adaptation && packet[4] >= 7 && packet[5] & 0x10 != 0 {
            let clock = &mut packet[6..11];
            let base =
                clock[..4].iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte)) << 1 | u64::from(clock[4] >> 7);
            let base = base.wrapping_add(ticks) & TICKS_MASK;
            clock[..4].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
            clock[4] = clock[4] & 0x7f | ((base & 1) as u8) << 7;
        }
        let begins_pes = packet[1] & 0x40 != 0 && has_payload && packet[payload..].starts_with(&[0, 0, 1, 0xe0]);
        if begins_pes {
            let flags = packet[payload + 7];
            if flags & 0x80 != 0 {
                add_ticks(&mut packet[payload + 9..payload + 14], ticks);
            }
            if flags & 0x40 != 0 {
                add_ticks(&mut packet[payload + 14..payload + 19], ticks);
            }
        }
    }
    segment
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// Adds to a PTS or DTS: 3, 15 and 15 bits, a marker bit behind each.
fn add_ticks(field: &mut [u8], ticks: u64) {
    let bits = |byte: u8, mask: u8| u64::from(byte & mask);
    let old = bits(field[0], 0x0e) << 29
        | bits(field[1], 0xff) << 22
        | bits(field[2], 0xfe) << 14
        | bits(field[3], 0xff) << 7
        | bits(field[4], 0xfe) >> 1;
    let new = old.wrapping_add(ticks) & TICKS_MASK;
    // OK to cut: each part is masked, or as long as the byte.
    field[0] = field[0] & 0xf1 | ((new >> 29) as u8 & 0x0e);
    field[1] = (new >> 22) as u8;
    field[2] = ((new >> 14) as u8 & 0xfe) | 1;
    field[3] = (new >> 7) as u8;
    field[4] = ((new << 1) as u8 & 0xfe) | 1;
}

fn mp4_clip(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::H264 => include_bytes!("clips/h264.mp4"),
        Codec::H265 => include_bytes!("clips/h265.mp4"),
    }
}

/// The initialization, `ftyp` and `moov`; and the fragment, `moof` and `mdat`.
fn parts_of_mp4(codec: Codec) -> (&'static [u8], &'static [u8]) {
    let clip = mp4_clip(codec);
    clip.split_at(position_of(clip, b"moof"))
}

/// Where the first box of that type begins, at whatever depth; the end when there is none.
fn position_of(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).map_or(bytes.len(), |at| at - 4)
}

/// The fragment as segment number `index`: numbered from 1, and decoded so much later.
fn mp4_segment(codec: Codec, index: u64) -> Vec<u8> {
    let mut segment = parts_of_mp4(codec).1.to_vec();
    // Each is a full box: size, type, version and flags, then the number; `tfdt` is of version 1, with 64 bits.
    let number = position_of(&segment, b"mfhd") + 12;
    segment[number..number + 4].copy_from_slice(&((index as u32).wrapping_add(1)).to_be_bytes());
    let time = position_of(&segment, b"tfdt") + 12;
    segment[time..time + 8].copy_from_slice(&index.wrapping_mul(SEGMENT_TICKS).to_be_bytes());
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 2] = [Codec::H264, Codec::H265];

    fn hls(finished: u64) -> Hls {
        Hls { codec: Codec::H264, form: HlsForm::Ts, changes_at: None, left_out: None, finished, ended: false }
    }

    fn text(hls: &Hls) -> String {
        let (kind, bytes) = hls.file("index.m3u8").expect("a playlist");
        assert_eq!(kind, PLAYLIST);
        String::from_utf8(bytes).expect("text")
    }

    /// The counter of each packet with payload, by PID.
    fn counters(segments: &[Vec<u8>]) -> BTreeMap<u16, Vec<u8>> {
        let mut counters: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        for packet in segments.iter().flat_map(|segment| segment.chunks_exact(PACKET)) {
            assert_eq!(packet[0], 0x47);
            if packet[3] & 0x10 != 0 {
                counters.entry(pid(packet)).or_default().push(packet[3] & 15);
            }
        }
        counters
    }

    #[test]
    fn a_playlist_moves_on_and_serves_what_it_names() {
        assert_eq!(
            text(&hls(1)),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:4.000,\nsegment-0.ts\n"
        );
        let later = hls(9);
        assert!(text(&later).contains("#EXT-X-MEDIA-SEQUENCE:4\n"), "{}", text(&later));
        assert_eq!(text(&later).lines().filter(|line| line.starts_with("segment-")).count(), 5);
        for line in text(&later).lines().filter(|line| line.starts_with("segment-")) {
            assert!(later.file(line).is_some_and(|(kind, _)| kind == MPEG_TS), "{line}");
        }
        assert!(later.file("segment-1.ts").is_some(), "for who is late");
        for name in ["segment-0.ts", "segment-9.ts", "segment-5.m4s", "segment-x.ts", "", "live.flv"] {
            assert!(later.file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_change_of_codec_is_a_discontinuity_and_stays_counted() {
        let changed = |form, finished| Hls { form, changes_at: Some(2), ..hls(finished) };
        let fmp4 = text(&changed(HlsForm::Fmp4, 4));
        let maps: Vec<_> = fmp4.lines().filter(|line| line.starts_with("#EXT-X-MAP")).collect();
        assert_eq!(maps, ["#EXT-X-MAP:URI=\"init-h264.mp4\"", "#EXT-X-MAP:URI=\"init-h265.mp4\""]);
        assert!(fmp4.contains("segment-1.m4s\n#EXT-X-DISCONTINUITY\n"), "{fmp4}");
        assert!(changed(HlsForm::Fmp4, 4).file("init-h265.mp4").is_some_and(|(_, bytes)| bytes[4..8] == *b"ftyp"));
        assert!(!text(&changed(HlsForm::Ts, 7)).contains("DISCONTINUITY-SEQUENCE"));
        assert!(text(&changed(HlsForm::Ts, 8)).contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    }

    /// The numbers of the segments that the playlist names, which are all there.
    fn named(hls: &Hls) -> Vec<u64> {
        let text = text(hls);
        let names = text.lines().filter(|line| line.starts_with("segment-"));
        let numbers: Vec<u64> = names.map(|name| hls.segment(name).expect("what it names is there")).collect();
        let first = numbers.first().map(|first| format!("#EXT-X-MEDIA-SEQUENCE:{first}\n"));
        assert!(first.is_none_or(|first| text.contains(&first)), "{text}");
        numbers
    }

    #[test]
    fn a_playlist_stands_still_where_segments_are_left_out_and_goes_on_behind_them() {
        let paused = |finished| Hls { left_out: Some(6..9), ..hls(finished) };
        for finished in 6..=9 {
            assert_eq!(named(&paused(finished)), [1, 2, 3, 4, 5], "{finished}");
        }
        assert_eq!(named(&paused(10)), [9]);
        assert!(paused(10).segment("segment-8.ts").is_none() && paused(9).segment("segment-6.ts").is_none());
        assert_eq!(named(&paused(20)), [15, 16, 17, 18, 19]);
        assert!(text(&hls(3)).ends_with("segment-2.ts\n"));
        assert!(text(&Hls { ended: true, ..hls(3) }).ends_with("segment-2.ts\n#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn packets_of_successive_segments_are_counted_on() {
        for codec in CODECS {
            let segments: Vec<Vec<u8>> = (0..40).map(|index| ts_segment(codec, index)).collect();
            for (pid, counters) in counters(&segments) {
                let next = |pair: &[u8]| (pair[0] + 1) & 15 == pair[1];
                assert!(counters.windows(2).all(next), "{codec:?}, packets {pid}");
            }
        }
    }

    #[test]
    fn times_of_successive_segments_run_on_and_wrap() {
        let mut field = [0x31, 0, 1, 0, 1];
        add_ticks(&mut field, TICKS_MASK);
        assert_eq!(field, [0x3f, 0xff, 0xff, 0xff, 0xff]);
        add_ticks(&mut field, 1 + 90_000);
        assert_eq!(field, [0x31, 0x00, 0x05, 0xbf, 0x21]);
        for codec in CODECS {
            assert_eq!(ts_segment(codec, 0), ts_clip(codec), "the clip begins at 0");
            let time = |index| {
                let segment = mp4_segment(codec, index);
                let at = position_of(&segment, b"tfdt");
                (segment[at + 8], u64::from_be_bytes(segment[at + 12..at + 20].try_into().expect("eight")))
            };
            assert_eq!((time(0), time(7)), ((1, 0), (1, 7 * 360_000)));
        }
    }
}
