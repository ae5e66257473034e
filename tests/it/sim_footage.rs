//! The simulated footage before independent judges: `ffmpeg`, `ffprobe` and `flvmeta` must be installed, so these are
//! ignored unless they are asked for.

use std::path::Path;
use std::process::Command;

use archive::sim::Config;
use archive::sim::config::FirstTimestamp;
use archive::sim::footage::{Footage, Hole};
use archive::time_range::{RangeSet, TimeRange, UtcSecond};

use crate::sim_server::{Caller, device, rehearsal, start, window};

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
}

fn run(program: &str, arguments: &[&str]) -> (String, String) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// ffmpeg decodes all of it without a word.
fn decodes(file: &Path) {
    let name = file.to_str().expect("a plain name");
    let (out, err) = run("ffmpeg", &["-v", "error", "-nostdin", "-i", name, "-f", "null", "-"]);
    assert_eq!((out.as_str(), err.as_str()), ("", ""), "{name}");
}

/// flvmeta finds no error; its warnings are about our metadata's claims.
fn is_sound(file: &Path) {
    let name = file.to_str().expect("a plain name");
    let (found, _) = run("flvmeta", &["--check", "--level=error", name]);
    assert!(found.starts_with("0 error(s)"), "{name}: {found}");
}

/// Times of the packets in seconds, as ffprobe sees them.
fn packets(file: &Path, stream: &str) -> Vec<f64> {
    let name = file.to_str().expect("a plain name");
    let entries = "packet=pts_time";
    let arguments = ["-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", name];
    run("ffprobe", &arguments).0.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn ffmpeg_decodes_every_kind_of_window() {
    let folder = tempfile::tempdir().expect("a folder");
    type Case<'a> = (&'a str, &'a [TimeRange], Hole, u32, usize, f64);
    let cases: [Case; 7] = [
        ("whole", &[range(0, 600)], Hole::Squeeze, 0, 3000, 599.8),
        ("one second", &[range(7, 8)], Hole::Squeeze, 0, 5, 0.8),
        ("odd edges", &[range(13, 134)], Hole::Squeeze, 0, 605, 120.8),
        ("squeezed", &[range(0, 61), range(303, 310), range(501, 600)], Hole::Squeeze, 0, 835, 166.8),
        ("jump", &[range(0, 61), range(303, 310), range(501, 600)], Hole::Jump, 0, 835, 599.8),
        ("uptime", &[range(0, 600)], Hole::Squeeze, 86_400_000, 3000, 86_999.8),
        ("wrap", &[range(0, 600)], Hole::Squeeze, u32::MAX - 299_999, 3000, 4_294_967.296 + 299.8),
    ];
    for (name, stretches, hole, first, pictures, last) in cases {
        let stretches: RangeSet = stretches.iter().copied().collect();
        let footage = Footage::new(device(5), range(0, 600), &stretches, hole, first);
        let bytes: Vec<u8> = (0..footage.pieces()).flat_map(|index| footage.piece(index)).collect();
        let file = folder.path().join(format!("{name}.flv"));
        std::fs::write(&file, bytes).expect("the file is written");
        decodes(&file);
        if name != "wrap" {
            is_sound(&file);
        }
        let video = packets(&file, "v");
        assert_eq!(video.len(), pictures, "{name}");
        assert!((video.last().expect("pictures") - last).abs() < 0.001, "{name} ends at {:?}", video.last());
        for times in [video, packets(&file, "a")] {
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{name}: time runs on");
        }
    }
}

#[test]
#[ignore = "needs ffmpeg and flvmeta"]
fn ffmpeg_passes_over_filler() {
    let folder = tempfile::tempdir().expect("a folder");
    let footage = Footage::new(device(5), range(0, 60), &range(0, 60).into(), Hole::Squeeze, 0).with_filler(85_000);
    let bytes: Vec<u8> = (0..footage.pieces()).flat_map(|index| footage.piece(index)).collect();
    let file = folder.path().join("filled.flv");
    std::fs::write(&file, bytes).expect("the file is written");
    decodes(&file);
    is_sound(&file);
    assert_eq!(packets(&file, "v").len(), 300);
}

#[tokio::test]
#[ignore = "needs ffmpeg"]
async fn ffmpeg_decodes_what_the_server_sends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.first_timestamp = FirstTimestamp::Uptime;
    let running = start(config).await;
    let caller = Caller::new(&running);
    for number in [4, 5, 6] {
        let url = caller.url(&running, number, window(&running, 1)).await;
        let body = caller.get(&url).await.bytes().await.expect("the whole stream");
        let file = folder.path().join(format!("{number}.flv"));
        std::fs::write(&file, body).expect("the file is written");
        decodes(&file);
        assert_eq!(packets(&file, "v").len(), 3000);
    }
    running.shutdown().await;
}
