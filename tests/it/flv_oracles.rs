//! Our verdict on FLVs beside that of two programs that share no code with ours: packet times from ffprobe, structure
//! from `flvmeta --check`.
//!
//! Packet times and not durations, since ffprobe's duration repeats onMetaData's claim; and flvmeta beside them, since
//! ffmpeg is silent on a file that ends between tags and stops without a word at garbage.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use archive::flv::{Parser, Report};
use archive::judge::{Ending, Judgement, judge};

/// flvmeta's codes for: cut in a body, cut in a header, a last tag without its PreviousTagSize, an unknown tag.
const BROKEN: [&str; 4] = ["F20016", "F20012", "F12009", "E30013"];

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/flv/{name}.flv"));
    // The others' silence about a missing file would pass for an answer.
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    String::from_utf8(output.stdout).expect("its output is text")
}

/// Decoding times of the pictures, in milliseconds.
fn packet_times(file: &Path) -> Vec<i64> {
    let arguments = "-v error -select_streams v -show_entries packet=dts_time -of csv=p=0";
    let text = output("ffprobe", &arguments.split(' ').collect::<Vec<_>>(), file);
    let time = |line: &str| {
        let seconds: f64 = line.trim_end_matches(',').parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
        (seconds * 1000.0).round() as i64
    };
    text.lines().filter(|line| !line.is_empty()).map(time).collect()
}

/// Footage by times that only rise and have no hole.
fn footage(times: &[i64]) -> i64 {
    times.last().unwrap() - times[0] + (times[1] - times[0])
}

/// Errors and fatal errors, without warnings.
fn flvmeta_codes(file: &Path) -> BTreeSet<String> {
    let is_code = |word: &&str| word.len() == 6 && matches!(word.as_bytes()[0], b'E' | b'F');
    let words = output("flvmeta", &["--check"], file);
    words.split([' ', ':']).filter(is_code).map(str::to_owned).collect()
}

fn is_broken(codes: &BTreeSet<String>) -> bool {
    BROKEN.iter().any(|code| codes.contains(*code))
}

fn report(bytes: &[u8]) -> Report {
    let mut parser = Parser::new();
    bytes.chunks(1448).for_each(|piece| parser.push(piece));
    parser.report()
}

/// Cuts a file where the parser says, and asks the others whether what is left is clean and is what was reported.
fn check_what_is_kept(bytes: &[u8], folder: &Path, what: &str) {
    let report = report(bytes);
    let kept = folder.join("kept.flv");
    std::fs::write(&kept, &bytes[..usize::try_from(report.good_bytes).unwrap()]).expect("a temporary file");
    let codes = flvmeta_codes(&kept);
    assert!(!is_broken(&codes), "{what}: {codes:?}");
    if report.video.frames > 0 {
        let times = packet_times(&kept);
        let ours = (report.video.frames, report.video.first_timestamp, report.video.last_timestamp);
        assert_eq!(ours, (times.len() as u64, times[0], *times.last().unwrap()), "{what}");
    }
}

#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn the_verdict_follows_from_packet_times_and_structure() {
    let mut seen = BTreeSet::new();
    for name in [
        "whole",
        "whole-aac",
        "start-at-86400s",
        "wraps-32-bit-after-300s",
        "wrong-previous-size-x3",
        "g711a",
        "cut-at-boundary",
        "cut-in-body",
        "cut-in-header",
        "garbage-5kB-in-the-middle",
    ] {
        let file = fixture(name);
        let mut times = packet_times(&file);
        let codes = flvmeta_codes(&file);
        if codes.contains("F20016") && !codes.contains("E30013") {
            // ffprobe shows the broken packet as if it were whole.
            times.pop();
        }
        let media_milliseconds = footage(&times);
        let ours = report(&std::fs::read(&file).unwrap());
        let good_bytes = ours.good_bytes;
        for ending in [Ending::Clean, Ending::Broken] {
            let expected = if media_milliseconds >= 595_000 {
                Judgement::Whole { good_bytes }
            } else if is_broken(&codes) || ending == Ending::Broken {
                Judgement::Cut { good_bytes, media_milliseconds }
            } else {
                Judgement::Short { media_milliseconds }
            };
            assert_eq!(judge(&ours, ending, 600, 5), expected, "{name}, {ending:?}, {codes:?}");
            seen.insert(format!("{:?}", std::mem::discriminant(&expected)));
        }
    }
    assert_eq!(seen.len(), 3, "whole, cut and short were all met");
}

#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn what_no_player_opens_is_not_kept() {
    for name in ["empty", "error-page", "error.json", "header-only"] {
        let file = fixture(name);
        assert!(packet_times(&file).is_empty(), "{name}");
        assert!(flvmeta_codes(&file).iter().any(|code| code.starts_with('F')), "{name}");
        let judgement = judge(&report(&std::fs::read(&file).unwrap()), Ending::Clean, 600, 5);
        assert!(matches!(judgement, Judgement::NotFlv { .. } | Judgement::Empty), "{name}: {judgement:?}");
    }
}

#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn what_is_kept_of_a_damaged_file_is_clean() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in
        ["whole", "start-at-86400s", "cut-at-boundary", "cut-in-body", "cut-in-header", "garbage-5kB-in-the-middle"]
    {
        check_what_is_kept(&std::fs::read(fixture(name)).unwrap(), folder.path(), name);
    }
}

/// With frames out of order, sound, a start at an hour and 25 frames a second, cut at any byte.
#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn what_is_kept_of_a_real_stream_is_clean_wherever_it_is_cut() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("stream.flv");
    let arguments = "-v error -nostdin -y -f lavfi -i testsrc2=size=128x96:rate=25:duration=12 \
                     -f lavfi -i sine=frequency=440:sample_rate=44100:duration=12 -c:v libx264 -bf 2 -g 50 \
                     -pix_fmt yuv420p -c:a aac -output_ts_offset 3600";
    output("ffmpeg", &arguments.split_whitespace().collect::<Vec<_>>(), &file);
    let bytes = std::fs::read(&file).expect("ffmpeg wrote it");

    let whole = report(&bytes);
    assert_eq!((whole.video.frames, whole.video.media_milliseconds), (300, 12_000));
    assert!((whole.audio.counted_milliseconds - 12_000).abs() < 100, "{:?}", whole.audio);
    assert_eq!(whole.picture_size, Some((128, 96)));

    // A fixed walk over the file that is prime to its tags' sizes.
    for step in 1..40 {
        let at = bytes.len() * step / 40 + step * 7;
        let at = at.min(bytes.len());
        check_what_is_kept(&bytes[..at], folder.path(), &format!("cut at {at}"));
    }
}
