//! Exported films beside ffmpeg: it decodes them without a word, and finds every packet as it was in the recording.

use std::path::Path;
use std::process::Command;

use md5::{Digest as _, Md5};

use crate::export::{ByHand, fixture};

pub fn output(program: &str, arguments: &str, file: &Path) -> String {
    let mut command = Command::new(program);
    // The file stands where the arguments have a dot.
    arguments.split_whitespace().for_each(|word| {
        if word == "." {
            command.arg(file)
        } else {
            command.arg(word)
        };
    });
    let output = command.output().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{program} {arguments}: {complaints}");
    said.into_owned()
}

/// Time of decoding in milliseconds, size and hash of a track's packets.
pub fn packets(film: &Path, track: &str) -> Vec<(i64, String)> {
    let arguments = format!(
        "-v warning -select_streams {track} -show_packets -show_data_hash md5 -show_entries packet=dts_time,data_hash \
         -of csv=p=0 ."
    );
    let lines = output("ffprobe", &arguments, film);
    let packet = |line: &str| {
        let (seconds, hash) = line.split_once(",MD5:").unwrap_or_else(|| panic!("{line:?}"));
        let seconds: f64 = seconds.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
        ((seconds * 1000.0).round() as i64, hash.trim_end_matches(',').to_owned())
    };
    lines.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// What an FLV has, read in the plainest way: timestamp and hash of its pictures (9) or its sound (8). `prefix` is what stands
/// before the codec's bytes.
pub fn sent(flv: &[u8], kind: u8, prefix: usize) -> Vec<(i64, String)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
    let (mut rest, mut sent) = (&flv[13..], Vec::new());
    while !rest.is_empty() {
        let (size, body) = (number(&rest[1..4]), &rest[11..11 + number(&rest[1..4])]);
        // Old and enhanced configurations, the end of the sequence, and AAC's configuration are no frames.
        let is_frame = match kind {
            9 if body[0] & 0x80 != 0 => matches!(body[0] & 15, 1 | 3),
            9 => body[1] == 1,
            _ => body[0] >> 4 != 10 || body[1] == 1,
        };
        if rest[0] == kind && is_frame {
            let timestamp = number(&rest[4..7]) | usize::from(rest[7]) << 24;
            let long = usize::from(kind == 9 && body[0] & 0x8f == 0x81) * 3;
            sent.push((timestamp as i64, hex::encode(Md5::digest(&body[prefix + long..]))));
        }
        rest = &rest[size + 15..];
    }
    sent
}

/// Three recordings of ten minutes with a gap of ten before the second and the third; the film is asked for from the 35th second
/// to ten before the end.
fn across_two_gaps(names: [&str; 3]) -> ByHand {
    let mut place = ByHand::new(3000);
    for (name, after_nine) in names.into_iter().zip([0, 1200, 2400]) {
        place.add(after_nine, 600, "flv", &fixture(name));
    }
    place.miss(600, 600);
    place.miss(1800, 600);
    place.wanted.range = crate::support::range(place.wanted.range.start() + 35, 2955);
    place
}

/// That a film has what these recordings have of its time: each packet, and at its time.
fn check(names: [&str; 3], sound: Option<usize>) {
    let place = across_two_gaps(names);
    let exported = place.film("film.mp4").unwrap_or_else(|error| panic!("{names:?}: {error}"));
    let film = exported.output.as_path();
    assert_eq!(
        output("ffmpeg", "-v warning -nostdin -xerror -err_detect explode -i . -f null -", film),
        "",
        "{names:?}"
    );
    for (kind, track, prefix) in [Some((9, "v", 5)), sound.map(|prefix| (8, "a", prefix))].into_iter().flatten() {
        let mut expected = Vec::new();
        for (name, at) in names.into_iter().zip([0, 1_200_000, 2_400_000]) {
            let flv = fixture(name);
            let mut first = sent(&flv, 9, 5)[0].0;
            if let Some(prefix) = sound {
                first = first.min(sent(&flv, 8, prefix)[0].0);
            }
            expected.extend(sent(&flv, kind, prefix).into_iter().map(|(time, hash)| (at + time - first, hash)));
        }
        // From the last keyframe before its beginning, up to its end.
        let zero = exported.manifest.sources[0].shown.as_ref().expect("it is shown");
        let begins = chrono::DateTime::parse_from_rfc3339(&zero.begins_utc).expect("a time").timestamp_millis();
        let begins = begins - crate::export::NINE * 1000;
        assert!((15_000..=35_000).contains(&begins), "{names:?}: {begins}");
        expected.retain(|(time, _)| (begins..2_990_000).contains(time));
        let found = packets(film, track);
        assert_eq!(found.len(), expected.len(), "{names:?} {track}");
        for ((at, hash), (time, sent)) in found.iter().zip(&expected) {
            assert_eq!(hash, sent, "{names:?} {track} at {at}");
            // Sound's timestamps are rounded, and senders date it by when it comes.
            let slack = if kind == 9 { 0 } else { 110 };
            assert!((at - (time - begins)).abs() <= slack, "{names:?} {track}: {at}, sent {time}");
        }
    }
}

#[test]
#[ignore = "needs ffmpeg and ffprobe"]
fn every_packet_is_where_it_was_and_what_it_was() {
    check(["whole", "whole", "whole"], None);
    check(["start-at-86400s", "wrong-previous-size-x3", "whole"], None);
    check(["whole-aac", "whole-aac", "whole-aac"], Some(2));
    check(["hevc-hvc1", "hevc-id12", "hevc-hvc1"], None);
}

/// The picture size changes on the way, and A-law is sound that ffmpeg does not write into an MP4 but reads from it.
#[test]
#[ignore = "needs ffmpeg and ffprobe"]
fn codings_change_on_the_way_and_a_law_stays_what_it_is() {
    let mut place = ByHand::new(608);
    let small = include_bytes!("../../src/sim/clips/small.flv");
    place.add(0, 600, "flv", &fixture("whole"));
    place.add(600, 8, "flv", small);
    let exported = place.film("film.mp4").expect("sizes may change");
    let film = exported.output.as_path();
    let told = exported.manifest.film.as_ref().expect("a film");
    assert_eq!(told.codings, ["H264 64x48", "H264 96x54"]);
    // What looks at the packets beside ffmpeg's decoder goes on with the first picture's configuration, and says so at `error`.
    let sizes = output("ffprobe", "-v fatal -select_streams v -show_entries frame=width -of csv=p=0 .", film);
    // Side data has lines of its own, which are empty.
    let lines = sizes.lines().map(|line| line.trim_end_matches(','));
    let widths: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!((widths.iter().filter(|width| **width == "64").count(), widths.len()), (600, told.pictures as usize));
    assert_eq!(widths.last(), Some(&"96"));

    let mut place = ByHand::new(60);
    place.add(0, 20, "flv", &fixture("g711a"));
    place.add(40, 20, "flv", &fixture("g711a"));
    let exported = place.film("film.mp4").expect("A-law can be joined");
    let film = exported.output.as_path();
    // That one channel is taken for mono is a warning of its own.
    output("ffmpeg", "-v error -nostdin -xerror -err_detect explode -i . -f null -", film);
    let sound: Vec<String> = packets(film, "a").into_iter().map(|(_, hash)| hash).collect();
    let once: Vec<String> = sent(&fixture("g711a"), 8, 1).into_iter().map(|(_, hash)| hash).collect();
    assert_eq!(sound, [once.clone(), once].concat());
}

/// What is missing can be read where it is missing.
#[test]
#[ignore = "needs ffmpeg and ffprobe"]
fn a_track_of_text_says_what_is_missing() {
    let place = across_two_gaps(["whole", "whole", "whole"]);
    let exported = place.film("film.mp4").expect("it can be joined");
    let text = output("ffmpeg", "-v error -nostdin -i . -map 0:s -f srt -", exported.output.as_path());
    for line in ["00:09:30,000 --> 00:19:30,000", "No recording: pruned", "2026-11-20 09:10–09:20+08:00"] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(text.matches("No recording").count(), 2, "{text}");
}
