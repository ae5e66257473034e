//! The parser on real files, damaged ones, and noise.

use proptest::prelude::*;

use super::*;
use crate::recording::{AudioCodec, VideoCodec};

const FILES: [&str; 19] = [
    "config-after-10-frames",
    "cut-at-boundary",
    "cut-in-body",
    "cut-in-header",
    "empty",
    "error-page",
    "error.json",
    "g711a",
    "garbage-5kB-in-the-middle",
    "header-only",
    "hevc-hvc1",
    "hevc-id12",
    "restarts-from-zero-after-300s",
    "start-at-86400s",
    "whole",
    "whole-aac",
    "wraps-32-bit-after-300s",
    "wrong-previous-size-x3",
    "zeros-in-the-middle",
];

fn file(name: &str) -> Vec<u8> {
    if name == "zeros-in-the-middle" {
        let mut bytes = file("whole");
        bytes[30_000..40_000].fill(0);
        return bytes;
    }
    let path = format!("{}/tests/fixtures/flv/{name}.flv", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn parse_in_pieces(bytes: &[u8], piece: usize) -> Report {
    let mut parser = Parser::new();
    bytes.chunks(piece.max(1)).for_each(|piece| parser.push(piece));
    parser.report()
}

fn parse(bytes: &[u8]) -> Report {
    parse_in_pieces(bytes, bytes.len())
}

/// What must be true of any report on any bytes.
fn check(bytes: &[u8], report: &Report) {
    assert_eq!(report.total_bytes, bytes.len() as u64);
    assert!(report.good_bytes <= report.garbage.first_offset.unwrap_or(report.total_bytes));
    assert!(report.garbage.bytes <= report.total_bytes);
    assert_eq!(report.garbage.first_offset.is_some(), report.garbage.stretches > 0);
    let kept = &bytes[..usize::try_from(report.good_bytes).unwrap()];
    let prefix = parse(kept);
    let expected = if kept.is_empty() { End::FileHeader } else { End::Boundary };
    assert_eq!(prefix.end, expected, "a file that is cut off at good_bytes is clean");
    assert_eq!(prefix.garbage, Garbage::default());
    if !kept.is_empty() {
        let same = Report { total_bytes: report.total_bytes, end: report.end, garbage: report.garbage, ..prefix };
        assert_eq!(same, *report, "everything else speaks of the first good_bytes");
    }
}

#[test]
fn pieces_of_any_size_give_the_same_report() {
    for name in FILES {
        let bytes = file(name);
        let whole = parse(&bytes);
        check(&bytes, &whole);
        for piece in [1, 7, 1448] {
            assert_eq!(parse_in_pieces(&bytes, piece), whole, "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn ten_minutes_are_ten_minutes_wherever_the_clock_starts_wraps_or_restarts() {
    for name in [
        "whole",
        "start-at-86400s",
        "wraps-32-bit-after-300s",
        "restarts-from-zero-after-300s",
        "wrong-previous-size-x3",
        "config-after-10-frames",
        "hevc-hvc1",
        "hevc-id12",
        "whole-aac",
    ] {
        let bytes = file(name);
        let report = parse(&bytes);
        assert_eq!(report.footage_milliseconds(), 600_000, "{name}");
        assert_eq!((report.video.frames, report.video.counted_milliseconds), (600, 600_000), "{name}");
        assert_eq!((report.good_bytes, report.end), (bytes.len() as u64, End::Boundary), "{name}");
        assert_eq!(report.garbage, Garbage::default(), "{name}");
        assert_eq!(report.video.forward, Jumps::default(), "{name}");
    }
}

#[test]
fn timestamps_are_carried_on_through_a_wrap_and_back_through_a_restart() {
    let wrap = parse(&file("wraps-32-bit-after-300s")).video;
    assert_eq!((wrap.first_timestamp, wrap.last_timestamp), (4_294_667_296, 4_295_266_296));
    let restart = parse(&file("restarts-from-zero-after-300s")).video;
    assert_eq!((restart.first_timestamp, restart.last_timestamp), (0, 299_000));
    assert_eq!(restart.backward, Jumps { count: 1, total: 299_000, largest: 299_000 });
}

#[test]
fn streams_are_what_they_are() {
    let aac = parse(&file("whole-aac"));
    assert_eq!(aac.media_facts().video_codec, Some(VideoCodec::H264));
    assert_eq!(aac.media_facts().audio_codec, Some(AudioCodec::Aac));
    assert_eq!(aac.media_facts().picture_size, Some((64, 48)));
    assert_eq!(aac.media_facts().first_timestamp, 128);
    assert_eq!((aac.video.keyframes, aac.video.configurations.seen), (60, 1));
    assert!((aac.audio.counted_milliseconds - 600_000).abs() <= 256, "{:?}", aac.audio);
    assert!((aac.audio.media_milliseconds - 600_000).abs() <= 256, "{:?}", aac.audio);

    let g711 = parse(&file("g711a"));
    assert_eq!(g711.audio_codec, Some(AudioCodec::G711A));
    assert_eq!((g711.audio.counted_milliseconds, g711.video.media_milliseconds), (20_000, 20_000));

    for name in ["hevc-hvc1", "hevc-id12"] {
        let hevc = parse(&file(name));
        assert_eq!(hevc.video_codec, Some(VideoCodec::H265), "{name}");
        assert_eq!(hevc.picture_size, Some((1280, 720)), "{name}");
        assert_eq!(hevc.video.configurations.seen, 1, "{name}");
    }
}

#[test]
fn claims_are_read_and_not_believed() {
    let cut = parse(&file("cut-at-boundary"));
    assert_eq!(cut.claims.duration, Some(600.0));
    assert_eq!(cut.footage_milliseconds(), 299_000);
}

#[test]
fn the_end_is_where_it_is() {
    for (name, end, behind) in [
        ("cut-at-boundary", End::Boundary, 0),
        ("cut-in-body", End::TagBody, 24),
        ("cut-in-header", End::TagHeader, 5),
        ("header-only", End::Boundary, 0),
        ("empty", End::FileHeader, 0),
    ] {
        let report = parse(&file(name));
        assert_eq!((report.end, report.total_bytes - report.good_bytes), (end, behind), "{name}");
    }
}

#[test]
fn every_end_of_a_file_is_told_apart() {
    let bytes = &file("whole")[..2000];
    for length in 13..bytes.len() {
        let report = parse(&bytes[..length]);
        assert_eq!(report.end == End::Boundary, report.good_bytes == length as u64, "{length}");
        check(&bytes[..length], &report);
    }
}

#[test]
fn garbage_in_the_middle_is_measured_to_the_byte() {
    let report = parse(&file("garbage-5kB-in-the-middle"));
    let garbage = report.garbage;
    assert_eq!((garbage.stretches, garbage.bytes, garbage.resynced), (1, 5000, true));
    assert_eq!(garbage.first_offset, Some(report.good_bytes));
    assert_eq!(report.footage_milliseconds(), 299_000);
    // The end of sequence is a tag too.
    assert_eq!(garbage.tags_after, 302);
}

#[test]
fn bytes_lost_inside_a_tag_cost_that_tag_and_no_earlier_one() {
    let whole = file("whole");
    // The tags at 1462 and 1528 become one broken one.
    let broken = [&whole[..1500], &whole[1540..]].concat();
    let report = parse(&broken);
    assert_eq!(report.good_bytes, 1462);
    assert_eq!(report.video.frames, 1);
    assert!(report.garbage.resynced);
    assert_eq!(report.previous_size_mismatches, 0);
}

#[test]
fn wrong_sizes_are_counted_and_cost_nothing() {
    let mut bytes = file("whole");
    let report = parse(&file("wrong-previous-size-x3"));
    assert_eq!((report.previous_size_mismatches, report.video.frames), (3, 600));
    // The very last one too.
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let report = parse(&bytes);
    assert_eq!((report.previous_size_mismatches, report.good_bytes), (1, bytes.len() as u64));
}

#[test]
fn what_is_no_flv_is_kept_to_quote() {
    let page = file("error-page");
    let Signature::NotFlv(first) = parse_in_pieces(&page, 1).signature else { panic!("an HTML page is no FLV") };
    assert_eq!(first.as_slice(), &page[..64]);
    assert_eq!(parse(b"").signature, Signature::Undecided);
    assert_eq!(parse(b"FL").signature, Signature::Undecided);
}

#[test]
fn a_configuration_that_repeats_is_harmless_and_one_that_differs_is_counted() {
    let whole = file("whole");
    let (start, configuration, rest) = (&whole[..187], &whole[187..245], &whole[245..]);
    let mut other = configuration.to_vec();
    other[30] ^= 1;
    let bytes = [start, configuration, configuration, &other, rest].concat();
    let seen = parse(&bytes).video.configurations;
    assert_eq!((seen.seen, seen.repeated, seen.changed, seen.frames_before_first), (3, 1, 1, 0));
    assert_eq!(parse(&file("config-after-10-frames")).video.configurations.frames_before_first, 10);
}

#[test]
fn the_parser_is_small_and_holds_no_heap_whatever_length_it_is_sent() {
    // `Parser` owns no pointer: what it holds is its size.
    assert!(size_of::<Parser>() <= 1280, "{}", size_of::<Parser>());
    let largest = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".as_slice(), &[18, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]].concat();
    assert_eq!(parse(&largest).end, End::TagBody);
    let absurd = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".as_slice(), &[18, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(parse(&absurd).end, End::Garbage);
}

/// A damaged copy of a sample, small enough to be parsed many times.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (0..4_u8, any::<prop::sample::Index>(), 0..300_usize, any::<u8>());
    let file_name =
        prop::sample::select(&["whole-aac", "g711a", "hevc-hvc1", "hevc-id12", "config-after-10-frames"][..]);
    (file_name, prop::collection::vec(change, 0..6)).prop_map(|(name, changes)| {
        let mut bytes = file(name);
        bytes.truncate(6000);
        for (kind, at, length, value) in changes {
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            match kind {
                0 => bytes[start] = value,
                1 => drop(bytes.drain(start..end)),
                2 => drop(bytes.splice(start..start, std::iter::repeat_n(value, length))),
                _ => bytes[start..end].fill(value & 1),
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    })
}

/// An FLV header and tags whose headers are mostly sane and whose bodies are anything.
fn tags() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..400);
    let tag = (prop::sample::select(&[8_u8, 9, 18][..]), body, any::<u32>(), any::<bool>());
    prop::collection::vec(tag, 0..12).prop_map(|tags| {
        let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (kind, body, timestamp, right) in tags {
            let size = u32::try_from(body.len()).unwrap();
            let [upper, time @ ..] = timestamp.to_be_bytes();
            bytes.push(kind);
            bytes.extend(&size.to_be_bytes()[1..]);
            bytes.extend(time);
            bytes.extend([upper, 0, 0, 0]);
            bytes.extend(&body);
            bytes.extend((size + 10 + u32::from(right)).to_be_bytes());
        }
        bytes
    })
}

fn check_with_splits(bytes: &[u8], splits: &[usize]) {
    let whole = parse(bytes);
    check(bytes, &whole);
    let mut parser = Parser::new();
    let mut rest = bytes;
    for split in splits.iter().cycle() {
        let (piece, after) = rest.split_at((*split).min(rest.len()));
        parser.push(piece);
        // A report in between changes nothing.
        parser.report();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(parser.report(), whole);
}

proptest! {
    #[test]
    fn noise_is_survived_and_splits_change_nothing(
        noise in prop::collection::vec(any::<u8>(), 0..2000),
        splits in prop::collection::vec(1..100_usize, 1..20),
    ) {
        check_with_splits(&noise, &splits);
        check_with_splits(&[b"FLV\x01\x05\0\0\0\x09\0\0\0\0", &noise[..]].concat(), &splits);
    }

    #[test]
    fn damage_is_survived_and_splits_change_nothing(
        bytes in damaged(),
        splits in prop::collection::vec(1..1000_usize, 1..20),
    ) {
        check_with_splits(&bytes, &splits);
    }

    #[test]
    fn tags_with_any_body_are_survived_and_all_of_them_found(
        bytes in tags(),
        splits in prop::collection::vec(1..100_usize, 1..20),
    ) {
        check_with_splits(&bytes, &splits);
        prop_assert_eq!(parse(&bytes).good_bytes, bytes.len() as u64);
    }

    #[test]
    fn the_first_tag_behind_any_garbage_is_found(
        noise in prop::collection::vec(any::<u8>(), 11..3000),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = file("whole");
        let boundaries = [187, 245, 1462, 1528, 1587];
        let at = boundaries[at.index(boundaries.len())];
        let report = parse(&[&whole[..at], &noise, &whole[at..]].concat());
        prop_assert_eq!(report.good_bytes, at as u64);
        prop_assert_eq!((report.garbage.bytes, report.garbage.resynced), (noise.len() as u64, true));
    }
}
