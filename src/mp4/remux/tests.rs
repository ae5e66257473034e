//! What goes into an MP4 comes out of it.

use proptest::prelude::*;

use super::*;
use crate::device::DeviceId;
use crate::flv::{self, Parser};
use crate::mp4::frames;
use crate::mp4::published::{Examiner, seal};
use crate::recording::{ContentHash, MediaFacts, Source};
use crate::time_range::{TimeRange, UtcSecond};

const CLIP: &[u8] = include_bytes!("../../sim/clips/small.flv");

fn facts(media: MediaFacts) -> Facts {
    let start = UtcSecond::new(1_795_136_400);
    Facts {
        device: DeviceId::new(5).expect("not negative"),
        range: TimeRange::new(start, start + 8).expect("a range"),
        source: Source::Live,
        media,
        clock_offset: Some(-40),
        note: "picture size changed \"twice\"".to_owned(),
        zero: 0,
    }
}

fn tag(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32).to_be_bytes();
    let [high, low @ ..] = timestamp.to_be_bytes();
    let head = [&[kind], &size[1..], &low, &[high, 0, 0, 0]].concat();
    [&head, body, &(body.len() as u32 + 11).to_be_bytes()].concat()
}

fn file(tags: &[Vec<u8>]) -> Vec<u8> {
    [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tags.concat()].concat()
}

/// In pieces of that size.
fn mp4_of(flv: &[u8], piece: usize, facts: Facts) -> Result<Vec<u8>, Unfit> {
    let mut planner = Planner::new(8_000);
    flv.chunks(piece).for_each(|piece| planner.push(piece));
    let is_unfit = planner.is_unfit();
    let plan = planner.finish(facts)?;
    assert!(!is_unfit);
    let (mut copier, mut mp4) = (Copier::new(8_000), plan.head);
    let head = mp4.len() as u64;
    let mut write = |bytes: &[u8]| {
        mp4.extend_from_slice(bytes);
        Ok::<_, ()>(())
    };
    for piece in flv.chunks(piece) {
        copier.push(piece, &mut write).expect("nothing fails");
    }
    let copied = copier.finish(&mut write).expect("nothing fails");
    assert_eq!((copied, mp4.len() as u64), (plan.media_bytes, head + plan.media_bytes));
    let hash = ContentHash(*blake3::hash(&mp4).as_bytes());
    mp4.extend(seal(hash));
    Ok(mp4)
}

/// A track's frames, with how they are coded.
fn frames_of(
    track: TrackKind,
    mut read: impl FnMut(&mut dyn FnMut(Frame<'_>)),
) -> Vec<(i64, i32, bool, Vec<u8>, Coding)> {
    let (mut coding, mut seen) = (None, Vec::new());
    read(&mut |frame| match frame {
        Frame::Coding(new) if new.is_video() == (track == TrackKind::Video) => coding = Some(new),
        Frame::Sample { track: its, timestamp, composition, key, payload } if its == track => {
            let time = i64::from(timestamp.cast_signed());
            seen.push((time, composition, key, payload.to_vec(), coding.clone().expect("it was told before")));
        }
        _ => {}
    });
    seen
}

fn of_flv(track: TrackKind, flv: &[u8]) -> Vec<(i64, i32, bool, Vec<u8>, Coding)> {
    frames_of(track, |out| flv::Frames::new().push(flv, out))
}

fn of_mp4(track: TrackKind, mp4: &[u8], piece: usize) -> Vec<(i64, i32, bool, Vec<u8>, Coding)> {
    let mut frames = frames::Frames::new();
    let seen = frames_of(track, |out| mp4.chunks(piece).for_each(|piece| frames.push(piece, &mut *out)));
    assert_eq!(frames.problem(), None);
    seen
}

fn media(flv: &[u8]) -> MediaFacts {
    let mut parser = Parser::new();
    parser.push(flv);
    parser.report().media_facts()
}

fn examined(mp4: &[u8]) -> Result<(Facts, u64), String> {
    let mut examiner = Examiner::default();
    mp4.chunks(1000).for_each(|piece| examiner.push(piece));
    examiner.finish()
}

#[test]
fn an_mp4_says_what_was_said_of_the_flv() {
    let told = facts(media(CLIP));
    let mp4 = mp4_of(CLIP, 777, told.clone()).expect("it fits");
    let (found, bytes) = examined(&mp4).expect("it is whole");
    assert_eq!((found, bytes), (told, mp4.len() as u64));
}

#[test]
fn sound_before_the_first_picture_keeps_its_distance() {
    let flv = file(&[
        tag(9, 5000, b"\x17\x00\0\0\0record"),
        tag(8, 4900, b"\xaf\x00\x12\x10"),
        tag(9, 5000, b"\x17\x01\0\0\x50key"),
        tag(8, 4940, b"\xaf\x01sound"),
        tag(9, 5040, b"\x27\x01\xff\xff\xd8inter"),
        tag(8, 4963, b"\xaf\x01other"),
    ]);
    let mp4 = mp4_of(&flv, 9, facts(MediaFacts::default())).expect("it fits");
    let times = |track| of_mp4(track, &mp4, 11).into_iter().map(|frame| frame.0).collect::<Vec<_>>();
    assert_eq!((times(TrackKind::Video), times(TrackKind::Audio)), (vec![0, 40], vec![-60, -37]));
    assert_eq!(examined(&mp4).expect("it is whole").0.zero, 60);
}

#[test]
fn a_larger_picture_is_told_with_its_first_frame() {
    let flv = file(&[
        tag(9, 0, b"\x17\x00\0\0\0small"),
        tag(9, 0, b"\x17\x01\0\0\0one"),
        tag(9, 40, b"\x17\x00\0\0\0large"),
        tag(9, 40, b"\x17\x01\0\0\0two"),
        tag(9, 80, b"\x17\x00\0\0\0small"),
        tag(9, 80, b"\x17\x01\0\0\0three"),
    ]);
    let mp4 = mp4_of(&flv, 100, facts(MediaFacts::default())).expect("it fits");
    assert_eq!(of_mp4(TrackKind::Video, &mp4, 7), of_flv(TrackKind::Video, &flv));
}

#[test]
fn what_an_mp4_cannot_hold_is_refused_and_says_why() {
    let config = tag(9, 0, b"\x17\x00\0\0\0record");
    let picture = tag(9, 0, b"\x17\x01\0\0\0key");
    let many = (0..70_u8).flat_map(|number| {
        [tag(9, 0, &[b"\x17\x00\0\0\0", &[number][..]].concat()), tag(9, u32::from(number) * 40, b"\x17\x01\0\0\0key")]
    });
    for (tags, why) in [
        (vec![config.clone(), picture.clone(), tag(8, 1, b"\x22mp3")], "sound in flv-2"),
        (vec![picture.clone()], "pictures before the decoder configuration"),
        (vec![tag(8, 0, b"\xaf\x01sound")], "sound before the decoder configuration"),
        (
            vec![config.clone(), picture.clone(), tag(9, 40, b"\x91hvc1\0\0\x05five"), tag(9, 40, b"\x90hvc1five")],
            "pictures in H264 and then in H265",
        ),
        (
            vec![tag(8, 0, b"\x72law"), tag(8, 20, b"\x73law")],
            "sound in G711A 8000 Hz 1 ch and then in G711A 8000 Hz 2 ch",
        ),
        (vec![config.clone()], "there is no frame"),
        (vec![config.clone(), picture.clone(), b"<html>this is no tag".to_vec()], "bytes that are no FLV"),
        (many.collect(), "more than 64 decoder configurations"),
    ] {
        let unfit = mp4_of(&file(&tags), 64, facts(MediaFacts::default())).expect_err(why);
        assert_eq!(unfit.to_string(), why);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_frame_comes_out_as_it_went_in(flv_piece in 1..5_000_usize, mp4_piece in 1..5_000_usize) {
        let mp4 = mp4_of(CLIP, flv_piece, facts(media(CLIP))).expect("it fits");
        for track in [TrackKind::Video, TrackKind::Audio] {
            let (sent, mut found) = (of_flv(track, CLIP), of_mp4(track, &mp4, mp4_piece));
            let begins = of_flv(TrackKind::Video, CLIP)[0].0;
            for (frame, sent) in found.iter_mut().zip(&sent) {
                // Packets of sound stand one behind the other, however they were dated.
                let slack = if track == TrackKind::Video { 0 } else { 100 };
                prop_assert!((sent.0 - begins - frame.0).abs() <= slack, "{} as {}", sent.0, frame.0);
                frame.0 = sent.0;
            }
            prop_assert_eq!(found, sent);
        }
    }

    #[test]
    fn nothing_but_all_of_it_as_it_was_is_whole(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mp4 = mp4_of(CLIP, 4096, facts(media(CLIP))).expect("it fits");
        prop_assert!(examined(&mp4[..cut.index(mp4.len())]).is_err());
        let mut other = mp4.clone();
        let at = at.index(mp4.len());
        other[at] = to;
        prop_assert_eq!(examined(&other).is_ok(), other == mp4);
        other.push(0);
        prop_assert!(examined(&other).is_err());
    }

    /// Whatever a disk made of it: nothing but an error comes of it.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
        let mut frames = frames::Frames::new();
        frames.push(&bytes, |_| {});
        let mut mp4 = mp4_of(CLIP, 4096, facts(media(CLIP))).expect("it fits");
        let at = at.index(mp4.len());
        let end = mp4.len().min(at + bytes.len());
        mp4[at..end].copy_from_slice(&bytes[..end - at]);
        frames::Frames::new().push(&mp4, |_| {});
    }
}
