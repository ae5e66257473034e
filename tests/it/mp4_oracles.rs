//! Recordings that are archived as MP4 beside ffmpeg: it decodes them without a word, and finds every packet as it came; and so it does
//! in a film of some of them and FLVs.

use std::fs;

use archive::recording::{Container, Recording, Source};

use crate::export::{ByHand, fixture};
use crate::export_oracles::{output, packets, sent};
use crate::mp4::{Publisher, after_nine};

/// Sound's timestamps are rounded, and senders date it by when it comes.
const SLACK: i64 = 110;

/// The window with the footage of a fixture, as MP4.
async fn archived(publisher: &Publisher, name: &str, at: i64) -> Recording {
    let recording = publisher.publish(&fixture(name), after_nine(at, 600), Source::Nvr).await;
    assert!(recording.path.ends_with(".mp4"), "{name}: {}", recording.note);
    recording
}

fn assert_same(name: &str, found: &[(i64, String)], expected: &[(i64, String)], slack: i64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((at, hash), (time, sent)) in found.iter().zip(expected) {
        assert_eq!(hash, sent, "{name} at {at}");
        assert!((at - time).abs() <= slack, "{name}: {at}, sent {time}");
    }
}

#[tokio::test]
#[ignore = "needs ffmpeg and ffprobe"]
async fn every_packet_of_an_archived_mp4_is_where_it_was_and_what_it_was() {
    let publisher = Publisher::new(Container::Mp4);
    let cases = [
        ("whole", None, ""),
        ("start-at-86400s", None, ""),
        ("whole-aac", Some(2), ""),
        ("hevc-hvc1", None, ""),
        ("hevc-id12", None, ""),
        // That one channel is taken for mono is a warning of ffmpeg's own.
        ("g711a", Some(1), "error"),
    ];
    for (number, (name, sound, quiet)) in (0..).zip(cases) {
        let recording = archived(&publisher, name, number * 600).await;
        let path = publisher.path(&recording);
        let level = if quiet.is_empty() { "warning" } else { quiet };
        let decode = format!("-v {level} -nostdin -xerror -err_detect explode -i . -f null -");
        assert_eq!(output("ffmpeg", &decode, &path), "", "{name}");
        let flv = fixture(name);
        let pictures = sent(&flv, 9, 5);
        let sounds = sound.map(|prefix| sent(&flv, 8, prefix)).unwrap_or_default();
        let first = pictures[0].0.min(sounds.first().map_or(i64::MAX, |sound| sound.0));
        let from_first = |packets: Vec<(i64, String)>| -> Vec<(i64, String)> {
            packets.into_iter().map(|(time, hash)| (time - first, hash)).collect()
        };
        assert_same(name, &packets(&path, "v"), &from_first(pictures), 0);
        assert_same(name, &packets(&path, "a"), &from_first(sounds), SLACK);
    }
}

#[tokio::test]
#[ignore = "needs ffmpeg and ffprobe"]
async fn a_film_of_flvs_and_mp4s_has_the_packets_of_one_of_flvs() {
    let publisher = Publisher::new(Container::Mp4);
    let flv = fixture("whole-aac");
    let mp4 = archived(&publisher, "whole-aac", 0).await;
    let mp4 = fs::read(publisher.path(&mp4)).expect("it is there");
    let film = |containers: [&str; 3]| {
        let mut place = ByHand::new(3000);
        for (at, container) in [0, 1200, 2400].into_iter().zip(containers) {
            place.add(at, 600, container, if container == "mp4" { &mp4 } else { &flv });
        }
        place.wanted.range = after_nine(35, 2955);
        let exported = place.film("film.mp4").expect("it can be joined");
        let decode = "-v warning -nostdin -xerror -err_detect explode -i . -f null -";
        assert_eq!(output("ffmpeg", decode, &exported.output), "", "{containers:?}");
        ["v", "a"].map(|track| packets(&exported.output, track))
    };
    let [pictures, sounds] = film(["flv"; 3]);
    for containers in [["mp4"; 3], ["flv", "mp4", "flv"], ["mp4", "flv", "mp4"]] {
        let found = film(containers);
        assert_same(&format!("{containers:?} pictures"), &found[0], &pictures, 0);
        assert_same(&format!("{containers:?} sound"), &found[1], &sounds, SLACK);
    }
}
