//! The containers' scanners on real clips, damaged ones, and noise. ffprobe's opinion is in `tests/it/container_oracles.rs`.

use proptest::prelude::*;

use super::*;
use crate::recording::{AudioCodec, VideoCodec};

const TS264: &[u8] = include_bytes!("../sim/clips/h264.ts");
const TS265: &[u8] = include_bytes!("../sim/clips/h265.ts");
const MP264: &[u8] = include_bytes!("../sim/clips/h264.mp4");
const MP265: &[u8] = include_bytes!("../sim/clips/h265.mp4");
const FLV: &[u8] = include_bytes!("../sim/clips/small.flv");

/// Each clip with its container and the codec of its pictures.
const CLIPS: [(&[u8], Container, VideoCodec); 5] = [
    (TS264, Container::MpegTs, VideoCodec::H264),
    (TS265, Container::MpegTs, VideoCodec::H265),
    (MP264, Container::Mp4, VideoCodec::H264),
    (MP265, Container::Mp4, VideoCodec::H265),
    (FLV, Container::Flv, VideoCodec::H264),
];

fn examine_in_pieces(container: Container, bytes: &[u8], piece: usize) -> Examined {
    let mut examiner = Examiner::new(container);
    bytes.chunks(piece.max(1)).for_each(|piece| examiner.push(piece));
    examiner.examined()
}

fn examine(container: Container, bytes: &[u8]) -> Examined {
    examine_in_pieces(container, bytes, bytes.len())
}

/// Where the first box of that type begins.
fn position_of(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).expect("there is one") - 4
}

/// The clip, a second time behind itself, in MP4 without its initialization.
fn twice(clip: &[u8], container: Container) -> Vec<u8> {
    let again = if container == Container::Mp4 { position_of(clip, b"moof") } else { 0 };
    [clip, &clip[again..]].concat()
}

/// With every 33-bit time of its pictures moved.
fn moved(ts: &[u8], ticks: u64) -> Vec<u8> {
    let mut moved = ts.to_vec();
    for packet in moved.chunks_exact_mut(188) {
        let payload = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
        if packet[payload..].starts_with(&[0, 0, 1, 0xe0]) {
            assert_eq!(packet[payload + 7] >> 6, 0b10, "the clips have no DTS");
            let field = &mut packet[payload + 9..payload + 14];
            let mut time = u64::from(field[0] >> 1 & 7) << 30
                | u64::from(field[1]) << 22
                | u64::from(field[2] >> 1) << 15
                | u64::from(field[3]) << 7
                | u64::from(field[4] >> 1);
            time = time.wrapping_add(ticks) & ((1 << 33) - 1);
            let new = [time >> 29 | 0x21, time >> 22, time >> 14 | 1, time >> 7, time << 1 | 1];
            field.copy_from_slice(&new.map(|byte| byte as u8));
            field[0] = 0x21 | (time >> 29) as u8 & 0x0e;
        }
    }
    moved
}

/// With its fragment at another time.
fn decoded_at(mp4: &[u8], time: u64) -> Vec<u8> {
    let mut moved = mp4.to_vec();
    let at = position_of(mp4, b"tfdt") + 12;
    moved[at..at + 8].copy_from_slice(&time.to_be_bytes());
    moved
}

#[test]
fn the_clips_are_what_they_are() {
    for (clip, container, codec) in CLIPS {
        let expected = Examined {
            media: MediaFacts {
                media_milliseconds: if container == Container::Flv { 8000 } else { 4000 },
                first_timestamp: 0,
                video_codec: Some(codec),
                audio_codec: None,
                picture_size: Some(if container == Container::Flv { (96, 54) } else { (160, 120) }),
            },
            good_bytes: clip.len() as u64,
            total_bytes: clip.len() as u64,
            problem: None,
            note: String::new(),
        };
        for piece in [clip.len(), 1, 187, 1448] {
            assert_eq!(examine_in_pieces(container, clip, piece), expected, "{container:?} {codec}, pieces of {piece}");
        }
    }
}

#[test]
fn footage_runs_on_over_segments_and_a_jump_is_one_step() {
    for clip in [TS264, TS265] {
        for start in [0, 90_000, (1 << 33) - 90_000] {
            for (step, is_next) in [(4, true), (100, false), (1 << 17, false), ((1 << 33) / 90_000 - 100, false)] {
                let ticks = start + step * 90_000;
                let both = [moved(clip, start), moved(clip, ticks)].concat();
                let examined = examine(Container::MpegTs, &both);
                assert_eq!(examined.media.media_milliseconds, 8000, "from {start} by {step} s, next: {is_next}");
                assert_eq!(examined.media.first_timestamp, start as i64 / 90);
                assert_eq!(examined.good_bytes, both.len() as u64);
            }
        }
    }
    for clip in [MP264, MP265] {
        let fragment = position_of(clip, b"moof");
        for (start, next) in [(0, 360_000), (1 << 50, (1 << 50) + 360_000), (360_000, 0), (0, 90_000_000)] {
            let both = [decoded_at(clip, start), decoded_at(clip, next)[fragment..].to_vec()].concat();
            let examined = examine(Container::Mp4, &both);
            assert_eq!(examined.media.media_milliseconds, 8000, "{start} then {next}");
            assert_eq!((examined.media.first_timestamp, examined.problem), (start as i64 / 90, None));
            assert_eq!(examined.good_bytes, both.len() as u64);
        }
    }
}

#[test]
fn another_codec_in_the_middle_is_noted() {
    for (one, other, container) in [(TS264, TS265, Container::MpegTs), (MP265, MP264, Container::Mp4)] {
        let examined = examine(container, &[one, other].concat());
        assert_eq!(examined.note, "video codec changed 1 times");
        assert_eq!((examined.media.media_milliseconds, examined.problem), (8000, None));
    }
}

#[test]
fn a_segment_may_end_with_any_whole_packet_and_with_none_that_is_not() {
    let starts: Vec<_> = TS264
        .chunks_exact(188)
        .enumerate()
        .filter(|(_, packet)| packet[1] & 0x5f == 0x41 && packet[2] == 0)
        .map(|(index, _)| index * 188)
        .collect();
    assert_eq!(starts.len(), 20, "pictures");
    let last = starts[19];
    let at = |bytes: usize| examine(Container::MpegTs, &TS264[..bytes]);
    assert_eq!((at(last).good_bytes, at(last).media.media_milliseconds), (last as u64, 3800));
    for broken in [last + 3, last + 187] {
        assert_eq!((at(broken).good_bytes, at(broken).media.media_milliseconds), (last as u64, 3800), "{broken}");
    }
    // In the second packet of a picture.
    let broken = at(starts[10] + 188 + 5);
    assert_eq!((broken.good_bytes, broken.media.media_milliseconds), (starts[10] as u64, 2000));
    // Nothing tells that the picture before was whole.
    assert_eq!((at(last + 1).good_bytes, at(last + 1).media.media_milliseconds), (starts[18] as u64, 3600));
}

#[test]
fn a_picture_that_announces_its_length_is_whole_when_that_came() {
    let mut clip = TS264.to_vec();
    let last = clip.chunks_exact(188).rposition(|packet| packet[1] & 0x40 != 0).expect("a picture") * 188;
    let payload = last + if clip[last + 3] & 0x20 != 0 { 5 + usize::from(clip[last + 4]) } else { 4 };
    assert_eq!(clip[payload..payload + 6], [0, 0, 1, 0xe0, 0, 0]);
    for (length, good) in [(20, clip.len()), (0xffff, last)] {
        clip[payload + 4..payload + 6].copy_from_slice(&u16::to_be_bytes(length));
        assert_eq!(examine(Container::MpegTs, &clip).good_bytes, good as u64, "{length} bytes");
    }
}

#[test]
fn nothing_is_read_behind_bytes_that_are_no_packets() {
    for behind in [&b"<html>"[..], &[0; 500], TS264] {
        let bytes = [TS264, b"x", behind].concat();
        let examined = examine(Container::MpegTs, &bytes);
        assert_eq!((examined.good_bytes, examined.media.media_milliseconds), (TS264.len() as u64, 4000));
        assert_eq!(examined.note, "from byte 18048 on it is no MPEG-TS");
        assert_eq!(examined.total_bytes, bytes.len() as u64);
    }
    let bytes = [MP264, &[0, 0, 0, 3, b'm', b'd', b'a', b't'], MP264].concat();
    let examined = examine(Container::Mp4, &bytes);
    assert_eq!((examined.good_bytes, examined.problem), (MP264.len() as u64, None));
    assert_eq!(examined.note, "from byte 7319 on it is no MP4");
}

#[test]
fn what_plays_nowhere_has_its_reason() {
    let problem = |container, bytes: &[u8]| {
        let examined = examine(container, bytes);
        assert_eq!(examined.media.media_milliseconds, 0);
        examined.problem.unwrap_or_else(|| panic!("{container:?} of {} bytes has no problem", bytes.len()))
    };
    for container in Container::ALL {
        assert_eq!(problem(container, b""), "it is empty");
        let page = problem(container, b"<html>\x1b[0m");
        assert!(page.ends_with("it begins with \"<html>\\u{1b}[0m\""), "{page}");
    }
    assert!(problem(Container::MpegTs, &TS264[..188]).contains("never came"));
    let mut scrambled = TS264.to_vec();
    scrambled.chunks_exact_mut(188).filter(|packet| packet[1] & 0x1f == 1).for_each(|packet| packet[3] |= 0xc0);
    assert!(problem(Container::MpegTs, &scrambled).contains("scrambled"));

    let moof = position_of(MP264, b"moof");
    assert!(problem(Container::Mp4, &MP264[moof..]).contains("(moov) never came"));
    assert!(problem(Container::Mp4, &MP264[..moof]).contains("no whole fragment"));
    let mdat = position_of(MP264, b"mdat");
    assert!(problem(Container::Mp4, &[&MP264[..moof], &MP264[mdat..]].concat()).contains("no fragmented MP4"));
    let large = |kind: &[u8; 4], size: u32| [&size.to_be_bytes(), &kind[..], &[0; 100]].concat();
    assert!(problem(Container::Mp4, &large(b"moov", 2 << 20)).contains("larger than any"));
    assert!(problem(Container::Mp4, &[&MP264[..moof], &large(b"moof", 5 << 20)].concat()).contains("larger than any"));
}

#[test]
fn a_fragment_that_claims_what_cannot_be_is_not_read() {
    let run = position_of(MP264, b"trun") + 12;
    let mut claims = MP264.to_vec();
    claims[run..run + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let examined = examine(Container::Mp4, &claims);
    assert_eq!((examined.good_bytes, examined.media.media_milliseconds), (0, 0));
    assert!(examined.problem.is_some_and(|problem| problem.contains("cannot be read")));
    // What was good before it stays.
    let examined = examine(Container::Mp4, &[MP264, &claims].concat());
    assert_eq!((examined.good_bytes, examined.media.media_milliseconds), (MP264.len() as u64, 4000));
}

#[test]
fn boxes_may_have_sizes_of_64_bits_or_go_on_to_the_end() {
    let mdat = position_of(MP264, b"mdat");
    let body = &MP264[mdat + 8..];
    let long = (body.len() as u64 + 16).to_be_bytes();
    let long = [&MP264[..mdat], &[0, 0, 0, 1], b"mdat", &long, body].concat();
    let open = [&MP264[..mdat], &[0, 0, 0, 0], b"mdat", body].concat();
    for file in [long, open] {
        let examined = examine(Container::Mp4, &file);
        assert_eq!((examined.good_bytes, examined.media.media_milliseconds), (file.len() as u64, 4000));
    }
}

#[test]
fn sound_alone_is_footage_too() {
    let mut sound = TS264.to_vec();
    // The one stream, in the table: H.264 becomes AAC.
    for packet in sound.chunks_exact_mut(188) {
        if let Some(at) = packet.windows(2).position(|pair| pair == [0x1b, 0xe1]) {
            packet[at] = 0x0f;
        }
    }
    let media = examine(Container::MpegTs, &sound).media;
    assert_eq!((media.audio_codec, media.video_codec), (Some(AudioCodec::Aac), None));
    assert_eq!((media.media_milliseconds, media.picture_size), (4000, None));
}

/// What must be true of what is said of any bytes.
fn check(container: Container, bytes: &[u8]) {
    let examined = examine(container, bytes);
    assert_eq!(examined.total_bytes, bytes.len() as u64);
    assert!(examined.good_bytes <= examined.total_bytes);
    let kept = &bytes[..usize::try_from(examined.good_bytes).expect("it is in memory")];
    let again = examine(container, kept);
    assert_eq!((again.good_bytes, &again.media), (examined.good_bytes, &examined.media), "cut off at good_bytes");
    assert_eq!(again.problem.is_some(), examined.problem.is_some());
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_answer(which in 0..5_usize, pieces in prop::collection::vec(1..3000_usize, 1..60)) {
        let (clip, container, _) = CLIPS[which];
        let bytes = twice(clip, container);
        let mut examiner = Examiner::new(container);
        let (mut rest, mut sizes) = (&bytes[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().expect("it has no end")));
            examiner.push(piece);
            rest = after;
        }
        prop_assert_eq!(examiner.examined(), examine(container, &bytes));
    }

    #[test]
    fn a_clip_that_is_cut_anywhere_is_what_is_good_of_it(which in 0..5_usize, at: prop::sample::Index) {
        let (clip, container, _) = CLIPS[which];
        let bytes = twice(clip, container);
        let cut = &bytes[..at.index(bytes.len() + 1)];
        check(container, cut);
        let examined = examine(container, cut);
        let kept = examine(container, &cut[..usize::try_from(examined.good_bytes).expect("it is in memory")]);
        prop_assert_eq!(&examined.note, &kept.note);
        if examined.media.media_milliseconds > 0 {
            prop_assert_eq!(examined.problem, None);
        }
    }

    #[test]
    fn damage_is_survived(
        which in 0..5_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        early: bool,
    ) {
        let (clip, container, _) = CLIPS[which];
        let mut bytes = twice(clip, container);
        // Most of a clip is pictures; its structure is at its beginning.
        let range = if early { 1500 } else { bytes.len() };
        for (at, to) in changes {
            bytes[at.index(range)] = to;
        }
        check(container, &bytes);
        prop_assert_eq!(examine_in_pieces(container, &bytes, 61), examine(container, &bytes));
    }

    #[test]
    fn any_bytes_are_survived(noise in prop::collection::vec(any::<u8>(), 0..2000), step in 1..400_usize) {
        for container in Container::ALL {
            check(container, &noise);
        }
        // With what makes packets and boxes of it.
        let mut packets = noise.clone();
        packets.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        check(Container::MpegTs, &packets);
        let names = [*b"moov", *b"moof", *b"mdat", *b"ftyp"];
        let boxes: Vec<u8> = noise
            .chunks(step)
            .zip(names.iter().cycle())
            .flat_map(|(body, name)| [&(body.len() as u32 + 8).to_be_bytes(), &name[..], body].concat())
            .collect();
        check(Container::Mp4, &boxes);
    }
}
