//! What we say of MPEG-TS and MP4 beside ffprobe, which shares no code with ours: packet times, codecs, picture sizes.

use std::path::Path;
use std::process::Command;

use archive::container::{Examined, Examiner};
use archive::recording::Container;

/// What each file is made of: pictures of 12 s with `-bf` and a rate, sound or none, and a start.
struct Made {
    video: &'static str,
    rate: u32,
    bframes: u32,
    sound: bool,
    start: u32,
}

const MADE: [Made; 6] = [
    Made { video: "libx264", rate: 25, bframes: 0, sound: false, start: 0 },
    Made { video: "libx264", rate: 25, bframes: 3, sound: true, start: 3600 },
    Made { video: "libx264", rate: 30, bframes: 2, sound: false, start: 95_440 },
    Made { video: "libx265", rate: 25, bframes: 0, sound: true, start: 10 },
    Made { video: "libx265", rate: 15, bframes: 4, sound: true, start: 0 },
    Made { video: "libx265", rate: 12, bframes: 2, sound: false, start: 95_435 },
];

fn output(program: &str, arguments: &str, file: &Path) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("its output is text")
}

fn make(made: &Made, container: Container, file: &Path) {
    let Made { video, rate, bframes, start, .. } = made;
    let sound = if made.sound { "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=12 -c:a aac" } else { "" };
    let quiet = if *video == "libx265" { "-x265-params log-level=none -tag:v hvc1" } else { "" };
    let form = match container {
        Container::MpegTs => "-muxdelay 0 -muxpreload 0 -f mpegts",
        _ => "-f mp4 -movflags frag_keyframe+empty_moov+default_base_moof",
    };
    let arguments = format!(
        "-v error -nostdin -y -f lavfi -i testsrc2=size=128x96:rate={rate}:duration=12 {sound} -c:v {video} {quiet} \
         -preset ultrafast -bf {bframes} -g {} -pix_fmt yuv420p -output_ts_offset {start} {form}",
        rate * 2
    );
    output("ffmpeg", &arguments, file);
}

/// Decoding times of the pictures in milliseconds, as they were sent.
fn packet_times(file: &Path) -> Vec<f64> {
    let arguments = "-v error -select_streams v -show_entries packet=dts_time -of csv=p=0";
    let text = output("ffprobe", arguments, file);
    let lines = text.lines().map(|line| line.trim_end_matches(',')).filter(|line| !line.is_empty());
    lines.map(|line| 1000.0 * line.parse::<f64>().unwrap_or_else(|error| panic!("{line:?}: {error}"))).collect()
}

fn examine(container: Container, bytes: &[u8]) -> Examined {
    let mut examiner = Examiner::new(container);
    bytes.chunks(1448).for_each(|piece| examiner.push(piece));
    examiner.examined()
}

#[test]
#[ignore = "needs ffmpeg"]
fn footage_codecs_and_sizes_are_what_ffprobe_sees() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for container in [Container::MpegTs, Container::Mp4] {
        for (index, made) in MADE.iter().enumerate() {
            let file = folder.path().join(format!("{index}.{}", container.extension()));
            make(made, container, &file);
            let what = format!("{container:?}, {} at {}", made.video, made.rate);
            let bytes = std::fs::read(&file).expect("ffmpeg wrote it");
            let ours = examine(container, &bytes);
            let media = ours.media;
            assert_eq!((ours.problem.as_deref(), ours.note.as_str()), (None, ""), "{what}");

            let streams = output("ffprobe", "-v error -show_entries stream=codec_name,width,height -of csv=p=0", &file);
            let codec = media.video_codec.expect("pictures").to_string();
            let theirs = if streams.contains("hevc,128,96") { "H265" } else { "H264" };
            assert_eq!((codec.as_str(), media.picture_size), (theirs, Some((128, 96))), "{what}: {streams}");
            let sound = media.audio_codec.map(|codec| codec.to_string());
            assert_eq!(sound.as_deref(), streams.contains("aac").then_some("AAC"), "{what}");

            let times = packet_times(&file);
            assert_eq!(times.len(), 12 * made.rate as usize, "{what}");
            let expected = times[times.len() - 1] - times[0] + 1000.0 / f64::from(made.rate);
            assert!((media.media_milliseconds as f64 - expected).abs() <= 2.0, "{what}: {media:?}, {expected}");
            // Where it begins: an MP4 says of it what its fragments say, and its list of edits is not read.
            if container == Container::MpegTs {
                // ffprobe counts times before a wrap of 33 bits from there backwards.
                let wrap = (1_u64 << 33) as f64 / 90.0;
                let apart = (media.first_timestamp as f64 - times[0] + 1.0).rem_euclid(wrap);
                assert!(apart <= 2.0, "{what}: {media:?}, {}", times[0]);
                assert_eq!(ours.good_bytes, bytes.len() as u64, "{what}");
            }
        }
    }
}

/// A file that is cut anywhere and then cut back to what we call good is one in which ffmpeg finds nothing wrong, and in it
/// are the pictures that we counted.
#[test]
#[ignore = "needs ffmpeg"]
fn what_is_kept_of_a_cut_file_is_clean() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for container in [Container::MpegTs, Container::Mp4] {
        for made in [&MADE[1], &MADE[4]] {
            let file = folder.path().join(format!("whole.{}", container.extension()));
            make(made, container, &file);
            let bytes = std::fs::read(&file).expect("ffmpeg wrote it");
            let kept = folder.path().join(format!("kept.{}", container.extension()));
            let mut seen = 0;
            for step in 1..20 {
                // A fixed walk over the file that is prime to its packets' size; every third at the end of a packet.
                let at = bytes.len() * step / 20 + step * 7;
                let at = if step % 3 == 0 { at / 188 * 188 } else { at }.min(bytes.len());
                let ours = examine(container, &bytes[..at]);
                if ours.problem.is_some() {
                    continue;
                }
                std::fs::write(&kept, &bytes[..usize::try_from(ours.good_bytes).expect("in memory")]).expect("written");
                let what = format!("{container:?} {} cut at {at}, kept {}", made.video, ours.good_bytes);
                let times = packet_times(&kept);
                let expected = times[times.len() - 1] - times[0] + 1000.0 / f64::from(made.rate);
                assert!((ours.media.media_milliseconds as f64 - expected).abs() <= 2.0, "{what}: {ours:?}, {expected}");
                // At the end of a packet, whether a picture of unknown length was whole is anyone's guess.
                if container == Container::Mp4 || step % 3 != 0 {
                    let decode = "-v error -nostdin -xerror -err_detect explode -i";
                    let mut ffmpeg = Command::new("ffmpeg");
                    ffmpeg.args(decode.split(' ')).arg(&kept).args(["-f", "null", "-"]);
                    let decoded = ffmpeg.output().expect("ffmpeg runs");
                    let complaints = String::from_utf8_lossy(&decoded.stderr);
                    assert!(decoded.status.success() && complaints.is_empty(), "{what}: {complaints}");
                }
                seen += 1;
            }
            assert!(seen > 10, "{container:?}: only {seen} had pictures");
        }
    }
}
