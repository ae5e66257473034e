//! The cutter on made streams, on real files, and on noise.

use proptest::prelude::*;

use super::*;
use crate::flv::{End, Garbage, Parser, Report};

const METADATA: &[u8] = b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09";

#[derive(Clone, Debug)]
struct Tag {
    kind: Kind,
    timestamp: u32,
    body: Vec<u8>,
}

impl Tag {
    fn video(timestamp: u32, key: bool, payload: &[u8]) -> Self {
        Self::new(Kind::Video, timestamp, &[if key { 0x17 } else { 0x27 }, 1, 0, 0, 0], payload)
    }

    fn audio(timestamp: u32, payload: &[u8]) -> Self {
        Self::new(Kind::Audio, timestamp, &[0xaf, 1], payload)
    }

    fn video_configuration(number: u8) -> Self {
        Self::new(Kind::Video, 0, &[0x17, 0, 0, 0, 0], &[1, number])
    }

    fn audio_configuration() -> Self {
        Self::new(Kind::Audio, 0, &[0xaf, 0], &[0x14, 0x08])
    }

    fn metadata() -> Self {
        Self::new(Kind::Script, 0, METADATA, &[])
    }

    fn new(kind: Kind, timestamp: u32, prefix: &[u8], payload: &[u8]) -> Self {
        Self { kind, timestamp, body: [prefix, payload].concat() }
    }

    fn is_frame(&self) -> bool {
        self.kind != Kind::Script && self.body[1] == 1
    }

    fn is_keyframe(&self) -> bool {
        self.kind == Kind::Video && self.is_frame() && self.body[0] == 0x17
    }
}

fn file(tags: &[Tag]) -> Vec<u8> {
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        write(&mut bytes, tag.kind, tag.timestamp, &tag.body);
    }
    bytes
}

/// The tags of a whole file.
fn tags(file: &[u8]) -> Vec<Tag> {
    let (mut rest, mut tags) = (&file[FILE_HEADER + PREVIOUS_SIZE..], Vec::new());
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let header = TagHeader::read(header).expect("a tag");
        let end = HEADER + header.size as usize;
        tags.push(Tag { kind: header.kind, timestamp: header.timestamp, body: rest[HEADER..end].to_vec() });
        rest = &rest[end + PREVIOUS_SIZE..];
    }
    tags
}

/// A piece: its beginning, and its bytes.
type Piece = (i64, Vec<u8>);

/// The pieces of an input that comes in chunks.
fn cut(bytes: &[u8], chunk: usize, marks: &[i64]) -> (Vec<Piece>, Result<(), CutError>) {
    let mut cutter = Cutter::new();
    marks.iter().for_each(|mark| cutter.mark(*mark));
    let mut pieces: Vec<Piece> = Vec::new();
    let mut result = Ok(());
    for chunk in bytes.chunks(chunk.max(1)) {
        result = cutter.push(chunk, |cut| match cut {
            Cut::Begins { milliseconds, .. } => pieces.push((milliseconds, Vec::new())),
            Cut::Bytes(bytes) => pieces.last_mut().expect("a piece has begun").1.extend_from_slice(bytes),
        });
    }
    (pieces, result)
}

/// The pieces of an input that comes in chunks, and how many bytes at the end of the last one are of a tag that is not whole.
fn raw(bytes: &[u8], chunk: usize, marks: &[i64]) -> (Vec<Piece>, usize) {
    let mut cutter = Cutter::new();
    marks.iter().for_each(|mark| cutter.mark(*mark));
    let mut pieces: Vec<Piece> = Vec::new();
    for chunk in bytes.chunks(chunk.max(1)) {
        let result = cutter.push(chunk, |cut| match cut {
            Cut::Begins { milliseconds, .. } => pieces.push((milliseconds, Vec::new())),
            Cut::Bytes(bytes) => pieces.last_mut().expect("a piece has begun").1.extend_from_slice(bytes),
        });
        assert_eq!(result, Ok(()));
    }
    (pieces, usize::try_from(cutter.unfinished()).expect("in memory"))
}

fn parse(bytes: &[u8]) -> Report {
    let mut parser = Parser::new();
    parser.push(bytes);
    parser.report()
}

fn is_whole(piece: &[u8]) -> Report {
    let report = parse(piece);
    assert_eq!((report.end, report.garbage, report.previous_size_mismatches), (End::Boundary, Garbage::default(), 0));
    assert_eq!(report.good_bytes, piece.len() as u64);
    report
}

fn frames(tags: &[Tag]) -> Vec<Vec<u8>> {
    tags.iter().filter(|tag| tag.is_frame()).map(|tag| tag.body.clone()).collect()
}

/// Pictures every 200 ms with a keyframe every 2 s, sound every 64 ms, from `first` on, for so many seconds.
fn stream(first: u32, seconds: u32) -> Vec<Tag> {
    let mut all = vec![Tag::metadata(), Tag::video_configuration(1), Tag::audio_configuration()];
    let mut frames: Vec<(u32, Tag)> = (0..seconds * 5)
        .map(|n| (n * 200, Tag::video(first.wrapping_add(n * 200), n % 10 == 0, &n.to_be_bytes())))
        .chain((0..seconds * 1000 / 64).map(|n| (n * 64, Tag::audio(first.wrapping_add(n * 64), &n.to_be_bytes()))))
        .collect();
    frames.sort_by_key(|(at, _)| *at);
    all.extend(frames.into_iter().map(|(_, tag)| tag));
    all
}

fn begins(pieces: &[Piece]) -> Vec<i64> {
    pieces.iter().map(|(begins, _)| *begins).collect()
}

#[test]
fn a_cut_is_at_the_first_keyframe_at_or_after_its_mark() {
    // It wraps at 32 bits on the way.
    let source = stream(u32::MAX - 5_000, 20);
    for (marks, expected) in [
        (&[][..], &[0][..]),
        (&[6_000], &[0, 6_000]),
        (&[6_001], &[0, 8_000]),
        (&[4_100, 4_200, 5_999, 12_000], &[0, 6_000, 12_000]),
        (&[-5, 0], &[0]),
        (&[60_000], &[0]),
    ] {
        let (pieces, result) = cut(&file(&source), 1000, marks);
        assert_eq!((begins(&pieces), result), (expected.to_vec(), Ok(())), "{marks:?}");
        for (_, piece) in &pieces {
            let report = is_whole(piece);
            assert_eq!((report.video.first_timestamp, report.video.configurations.seen), (0, 1));
            assert_eq!((report.tags.script, report.audio.configurations.seen), (1, 1));
            assert_eq!((report.video.forward.count, report.video.backward.count), (0, 0));
        }
    }
}

#[test]
fn without_a_cut_and_from_zero_the_bytes_are_the_same() {
    let source = file(&stream(0, 9));
    let (pieces, result) = cut(&source, 7, &[]);
    assert_eq!((pieces.len(), result), (1, Ok(())));
    assert_eq!(pieces[0].1, source);
}

#[test]
fn a_configuration_before_a_cut_belongs_to_the_new_piece_alone() {
    let mut source = stream(0, 8);
    let at = source.iter().position(|tag| tag.is_keyframe() && tag.timestamp == 4_000).expect("a keyframe");
    source.insert(at, Tag::video_configuration(2));
    let (pieces, _) = cut(&file(&source), 4096, &[4_000]);
    let changed: Vec<u64> = pieces.iter().map(|(_, piece)| is_whole(piece).video.configurations.changed).collect();
    assert_eq!(changed, [0, 0]);
    assert!(tags(&pieces[1].1).iter().any(|tag| tag.body == Tag::video_configuration(2).body));
    // It makes a cut of its own; the same one again does not.
    source.insert(at + 30, Tag::video_configuration(2));
    let (seams, _) = seams(&file(&source), &[6_000]);
    assert_eq!(seams, [(0, Seam::First), (4_000, Seam::Changed), (6_000, Seam::Mark)]);
}

#[test]
fn a_leap_of_the_pictures_clock_is_a_hole_unless_pictures_are_always_so_rare() {
    let mut source = stream(0, 8);
    source.retain(|tag| !tag.is_frame() || !(3_000..5_500).contains(&tag.timestamp));
    let (begun, cutter) = seams(&file(&source), &[]);
    assert_eq!(begun, [(0, Seam::First), (5_600, Seam::Hole)]);
    assert_eq!(cutter.latest(), Some(7_800));
    let rare: Vec<Tag> = (0..9).map(|n| Tag::video(n * 5_000, true, &[1])).collect();
    assert_eq!(seams(&file(&rare), &[]).0, [(0, Seam::First)]);
    assert_eq!(Cutter::new().latest(), None);
    // The first picture at 0, the next by the camera's uptime.
    let late: Vec<Tag> = [0, 86_400_000, 86_400_200].map(|at| Tag::video(at, true, &[1])).to_vec();
    assert_eq!(seams(&file(&late), &[]).0, [(0, Seam::First), (86_400_000, Seam::Hole)]);
}

/// Where pieces begin and how they follow one another, with the cutter as it is then.
fn seams(bytes: &[u8], marks: &[i64]) -> (Vec<(i64, Seam)>, Cutter) {
    let mut cutter = Cutter::new();
    cutter.mark(-1_000_000);
    cutter.unmark();
    marks.iter().for_each(|mark| cutter.mark(*mark));
    let mut seams = Vec::new();
    let result = cutter.push(bytes, |cut| {
        if let Cut::Begins { milliseconds, seam, .. } = cut {
            seams.push((milliseconds, seam));
        }
    });
    assert_eq!(result, Ok(()));
    (seams, cutter)
}

#[test]
fn a_clock_that_restarts_goes_on_where_it_was() {
    let mut source = stream(500_000, 4);
    source.extend(stream(0, 4));
    let (pieces, _) = cut(&file(&source), 100, &[2_000, 5_000]);
    assert_eq!(begins(&pieces), [0, 2_000, 5_800], "a picture that restarts has the time of the one before");
    for (_, piece) in &pieces {
        let report = is_whole(piece);
        assert_eq!((report.video.backward.count, report.video.forward.count), (0, 0));
        assert!(report.audio.forward.count == 0 && report.audio.last_timestamp < 5_000);
    }
}

#[test]
fn sound_alone_is_cut_anywhere() {
    let source: Vec<Tag> = stream(0, 10).into_iter().filter(|tag| tag.kind == Kind::Audio).collect();
    let (pieces, _) = cut(&file(&source), 100, &[3_000]);
    assert_eq!(begins(&pieces), [0, 3_008]);
    assert_eq!(is_whole(&pieces[1].1).audio.first_timestamp, 0);
}

#[test]
fn what_is_no_flv_is_an_error_and_what_came_before_stays_good() {
    assert_eq!(cut(b"<html>", 2, &[]).1, Err(CutError::NotFlv));
    assert_eq!(cut(b"", 2, &[]), (vec![], Ok(())));
    let mut source = file(&stream(0, 4));
    let offset = source.len() as u64;
    source.extend_from_slice(&[0x55; 400]);
    let (pieces, result) = cut(&source, 64, &[2_000]);
    assert_eq!(result, Err(CutError::NoTag { offset }));
    assert_eq!(begins(&pieces), [0, 2_000]);
    assert_eq!(frames(&tags(&[&pieces[0].1[..], &pieces[1].1[13..]].concat())), frames(&stream(0, 4)));
}

#[test]
fn real_files_are_cut_without_losing_a_frame() {
    for name in ["whole", "whole-aac", "hevc-hvc1", "hevc-id12", "start-at-86400s", "wraps-32-bit-after-300s", "g711a"]
    {
        let path = format!("{}/tests/fixtures/flv/{name}.flv", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let whole = parse(&source);
        let quarter = whole.footage_milliseconds() / 4;
        let (pieces, result) = cut(&source, 1_400, &[quarter, 2 * quarter, 3 * quarter]);
        assert_eq!((pieces.len(), result), (4, Ok(())), "{name}");
        let reports: Vec<Report> = pieces.iter().map(|(_, piece)| is_whole(piece)).collect();
        let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
        assert_eq!(sum(|report| report.video.frames), whole.video.frames, "{name}");
        assert_eq!(sum(|report| report.audio.frames), whole.audio.frames, "{name}");
        let footage: i64 = reports.iter().map(Report::footage_milliseconds).sum();
        assert!((footage - whole.footage_milliseconds()).abs() <= 5, "{name}: {footage}");
        for (report, number) in reports.iter().zip(0..) {
            // A file may begin with sound that is a little older than its first picture; a cut never does.
            let late = report.main_track().first_timestamp;
            assert!(late == 0 || number == 0 && late < 200, "{name}, piece {number}: {late}");
            assert_eq!((report.video_codec, report.picture_size), (whole.video_codec, whole.picture_size), "{name}");
        }
    }
}

fn any_tag() -> impl Strategy<Value = (u8, u32, Vec<u8>)> {
    (0..13u8, 0..400u32, prop::collection::vec(any::<u8>(), 1..40))
}

/// A stream in which anything may follow anything, with frames in order of time.
fn any_stream() -> impl Strategy<Value = Vec<Tag>> {
    (any::<u32>(), prop::collection::vec(any_tag(), 1..120)).prop_map(|(first, raw)| {
        let mut at = first;
        let tag = |(choice, step, payload): (u8, u32, Vec<u8>)| {
            at = at.wrapping_add(step);
            match choice {
                0 => Tag::video_configuration(payload[0]),
                1 => Tag::audio_configuration(),
                2 => Tag::metadata(),
                3 => Tag::new(Kind::Script, at, b"\x02\0\x05onCue", &payload),
                4..=6 => Tag::audio(at, &payload),
                7 | 8 => Tag::video(at, true, &payload),
                // Some of them are too large to be held.
                9 if payload[0] < 32 => Tag::video(at, payload[0] % 2 == 0, &payload.repeat(3_000)),
                _ => Tag::video(at, false, &payload),
            }
        };
        raw.into_iter().map(tag).collect()
    })
}

#[test]
fn a_large_tag_passes_as_it_comes_and_is_not_held() {
    let tag = |bytes| Tag::video(1_000, true, &vec![7; bytes]);
    let source = file(&[Tag::video(0, true, &[1]), tag(5 << 20), Tag::video(2_000, true, &[1])]);
    let (mut cutter, mut came, mut most) = (Cutter::new(), Vec::new(), 0);
    for chunk in source.chunks(50_000) {
        let before = came.len();
        let result = cutter.push(chunk, |cut| {
            if let Cut::Bytes(bytes) = cut {
                came.extend_from_slice(bytes);
            }
        });
        assert_eq!(result, Ok(()));
        assert!(came.len() - before + 500 >= chunk.len() || came.len() == source.len(), "it is held back");
        most = most.max(cutter.unread.capacity() + cutter.out.capacity());
    }
    assert_eq!(came, source);
    assert!(most <= 4 * LONGEST_HELD, "{most} bytes are held");
    assert_eq!(cutter.unfinished(), 0);
}

#[test]
fn an_opening_that_is_too_large_is_left_out_whatever_its_size() {
    let metadata = |bytes| Tag::new(Kind::Script, 0, METADATA, &vec![0; bytes]);
    for bytes in [LONGEST_OPENING, LONGEST_HELD, LONGEST_HELD + 1, 1 << 20] {
        let source = [metadata(bytes), Tag::video(0, true, &[1]), metadata(bytes), Tag::video(40, true, &[2])];
        let (pieces, unfinished) = raw(&file(&source), 1_000, &[]);
        assert_eq!((pieces.len(), unfinished), (1, 0));
        assert_eq!(pieces[0].1, file(&[Tag::video(0, true, &[1]), Tag::video(40, true, &[2])]), "{bytes}");
    }
}

proptest! {
    #[test]
    fn every_frame_is_in_one_piece_and_every_piece_is_whole(
        source in any_stream(), marks in prop::collection::vec(-1_000..30_000i64, 0..6), chunk in 1..300usize,
    ) {
        let (pieces, result) = cut(&file(&source), chunk, &marks);
        prop_assert_eq!(result, Ok(()));
        let mut all = Vec::new();
        for (_, piece) in &pieces {
            is_whole(piece);
            all.extend(frames(&tags(piece)));
        }
        prop_assert_eq!(all, frames(&source));
        // Where the pieces begin, found out from the source alone. A piece may begin with what is no frame, at time zero.
        let first = source.iter().find(|tag| tag.is_frame()).map_or(0, |tag| tag.timestamp);
        let time = |tag: &Tag| i64::from(tag.timestamp.wrapping_sub(first));
        let mut left = marks.clone();
        let (mut expected, mut has_video) = (Vec::new(), false);
        let (mut main, mut usual, mut coded, mut shown) = (None, None, None, None);
        for tag in &source {
            let is_picture = tag.kind == Kind::Video && tag.is_frame();
            let is_main = is_picture || tag.is_frame() && !has_video;
            let begins_one = tag.is_keyframe() || is_main && !is_picture;
            let opens = tag.is_frame() || tag.kind == Kind::Script && tag.body != METADATA;
            let now = if tag.is_frame() { time(tag) } else { 0 };
            let mut due = begins_one && left.iter().any(|mark| *mark <= now);
            if is_main {
                let step = main.replace(now).map(|before| now - before);
                let least = usual.map_or(20_000, |usual: i64| 2_000.max(4 * usual));
                due |= step.is_some_and(|step| step > least);
                usual = step.or(usual);
            }
            if is_picture {
                due |= has_video && coded != shown;
                shown = coded.clone();
                has_video = true;
            } else if tag.kind == Kind::Video {
                coded = Some(tag.body.clone());
            }
            if opens && (due || expected.is_empty()) {
                left.retain(|mark| *mark > now);
            }
            if opens && (due || expected.is_empty()) {
                expected.push(now);
            }
        }
        prop_assert_eq!(begins(&pieces), expected);
    }

    #[test]
    fn the_latest_configurations_open_each_piece(source in any_stream(), marks in prop::collection::vec(0..20_000i64, 0..6)) {
        let (pieces, _) = cut(&file(&source), 64, &marks);
        let latest = |before: usize, is: fn(&Tag) -> bool| {
            source[..before].iter().rev().find(|tag| is(tag)).map(|tag| tag.body.clone())
        };
        let mut before = 0;
        for (_, piece) in &pieces {
            let tags = tags(piece);
            let first = tags.iter().position(Tag::is_frame).unwrap_or(0);
            prop_assert!(tags.iter().take(first).all(|tag| tag.timestamp == 0));
            let frame = (before..source.len()).find(|index| source[*index].is_frame()).unwrap_or(before);
            for is in [
                |tag: &Tag| tag.kind == Kind::Video && tag.body[1] == 0,
                |tag: &Tag| tag.kind == Kind::Audio && tag.body[1] == 0,
                |tag: &Tag| tag.body == METADATA,
            ] {
                let opening = tags[..first].iter().rev().find(|tag| is(tag)).map(|tag| tag.body.clone());
                if first > 0 {
                    prop_assert_eq!(opening, latest(frame, is));
                }
            }
            let shown = frames(&tags).len();
            let ends = (before..source.len()).filter(|index| source[*index].is_frame()).nth(shown.saturating_sub(1));
            before = ends.map_or(before, |index| index + 1);
        }
    }

    #[test]
    fn however_it_comes_and_wherever_it_ends_the_same_comes_out_and_is_whole_but_for_what_is_unfinished(
        source in any_stream(), large in 65_000..66_000usize, chunk in 1..3_000usize, missing in 0..70_000usize,
    ) {
        let at = source.last().map_or(0, |tag| tag.timestamp);
        let source = [source, vec![Tag::video(at, true, &vec![7; large])]].concat();
        let mut bytes = file(&source);
        bytes.truncate(bytes.len().saturating_sub(missing));
        let at_once = raw(&bytes, bytes.len(), &[10_000]);
        prop_assert_eq!(&raw(&bytes, chunk, &[10_000]), &at_once);
        let (mut pieces, unfinished) = at_once;
        if unfinished > 0 {
            let (_, last) = pieces.last_mut().expect("one has begun");
            last.truncate(last.len() - unfinished);
        }
        let mut all = Vec::new();
        for (_, piece) in &pieces {
            is_whole(piece);
            all.extend(frames(&tags(piece)));
        }
        prop_assert!(frames(&source).starts_with(&all));
        // None is missing that came whole.
        prop_assert_eq!(all.len() as u64, parse(&bytes).video.frames + parse(&bytes).audio.frames);
    }

    #[test]
    fn noise_never_panics_and_never_goes_back(noise in prop::collection::vec(any::<u8>(), 0..400), cut_at in 0..400usize) {
        let mut bytes = file(&stream(7, 1));
        bytes.truncate(cut_at);
        bytes.extend(noise);
        let (pieces, _) = cut(&bytes, 13, &[0, 100]);
        for (_, piece) in pieces {
            is_whole(&piece);
        }
    }
}
