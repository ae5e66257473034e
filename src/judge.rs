//! What a stream is worth, given how much footage was asked for. The rules, and nothing but the rules.

use crate::flv::{End, Report, Signature, Track};
use crate::untrusted::Untrusted;

/// A cut stream's prefix is kept from this many seconds on: less is not worth a file of its own.
const SHORTEST_PREFIX_SECONDS: i64 = 60;

/// How the HTTP body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP has it: the last chunk came, or all of the length that was announced. It says that the server was done,
    /// not that the window is covered.
    Clean,
    /// The connection broke, stalled, or was cut off by us.
    Broken,
}

/// What a stream is worth. Milliseconds are of footage, within `good_bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The footage covers what was asked for, within the tolerance. The file is to be truncated to `good_bytes`: what
    /// is behind them, if anything, is half a tag or garbage.
    Whole {
        /// Bytes worth keeping.
        good_bytes: u64,
    },
    /// The stream broke off, its last tag is incomplete, or garbage lies in its middle: more may come of another
    /// attempt, and what is before the break may be worth keeping.
    Cut {
        /// Bytes worth keeping.
        good_bytes: u64,
        /// The footage in them that is known to follow the window's start; often none.
        media_milliseconds: i64,
    },
    /// A clean stream with less footage than was asked for.
    Short {
        /// The footage in it.
        media_milliseconds: i64,
    },
    /// A clean FLV without any picture or sound.
    Empty,
    /// Something else than an FLV, or nothing at all.
    NotFlv {
        /// What it begins with, to quote; empty when nothing came.
        first_bytes: Untrusted,
    },
    /// Frames that no decoder can make anything of.
    Undecodable {
        /// What it lacks.
        why: Undecodable,
    },
}

/// Why frames cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// The pictures' decoder configuration never came.
    #[error("the pictures' decoder configuration never came")]
    NoVideoConfiguration,
    /// There is only sound, and its decoder configuration never came.
    #[error("there is only sound, and its decoder configuration never came")]
    NoAudioConfiguration,
}

/// Judges a stream that has ended, for a window of `asked_seconds`.
///
/// In this order: what cannot be used at all; what covers the window, however it ended; what broke; what is short.
pub fn judge(report: &Report, ending: Ending, asked_seconds: i64, tolerance_seconds: i64) -> Judgement {
    let good_bytes = report.good_bytes;
    let media_milliseconds = report.footage_milliseconds();
    // Behind a jump the footage lies later than its length says, and where, only a whole answer tells: nothing of such a
    // cut stream can be kept.
    let jumped = report.main_track().forward.largest > tolerance_seconds.saturating_mul(1000);
    let cut = Judgement::Cut { good_bytes, media_milliseconds: if jumped { 0 } else { media_milliseconds } };
    match (report.signature, ending) {
        (Signature::NotFlv(first), _) => {
            return Judgement::NotFlv { first_bytes: Untrusted::from_bytes(first.as_slice()) };
        }
        // Nothing, or half a file header, is an answer only if the server meant it.
        (Signature::Undecided, Ending::Clean) => {
            return Judgement::NotFlv { first_bytes: Untrusted::new(&"FLV"[..report.total_bytes.min(3) as usize]) };
        }
        (Signature::Undecided, Ending::Broken) => return cut,
        (Signature::Flv, _) => {}
    }
    if let Some(why) = undecodable(report) {
        return Judgement::Undecodable { why };
    }
    let enough = asked_seconds.saturating_sub(tolerance_seconds).saturating_mul(1000);
    if report.has_frames() && media_milliseconds >= enough {
        Judgement::Whole { good_bytes }
    } else if ending == Ending::Broken || report.end != End::Boundary || report.garbage.first_offset.is_some() {
        cut
    } else if report.has_frames() {
        Judgement::Short { media_milliseconds }
    } else {
        Judgement::Empty
    }
}

fn undecodable(report: &Report) -> Option<Undecodable> {
    if report.video.frames > 0 {
        (report.video_needs_configuration() && report.video.configurations.seen == 0)
            .then_some(Undecodable::NoVideoConfiguration)
    } else {
        (report.audio.frames > 0 && report.audio_needs_configuration() && report.audio.configurations.seen == 0)
            .then_some(Undecodable::NoAudioConfiguration)
    }
}

/// Whole seconds of a cut stream that are worth keeping; nothing when they are less than a minute.
pub fn kept_prefix_seconds(media_milliseconds: i64) -> Option<i64> {
    let seconds = media_milliseconds / 1000;
    (seconds >= SHORTEST_PREFIX_SECONDS).then_some(seconds)
}

/// What a person should know before trusting a file, in a few words each; empty for nearly all.
pub fn notes(report: &Report, tolerance_seconds: i64) -> String {
    let mut notes = Vec::new();
    for (name, track) in [("video", &report.video), ("audio", &report.audio)] {
        notes.extend(disagreement(name, track, tolerance_seconds));
        let configurations = &track.configurations;
        // Frames before the first configuration are footage all the same: it nearly always fits them, and an export
        // puts it before them.
        if configurations.seen > 0 && configurations.frames_before_first > 0 {
            notes.push(format!("{name} configuration late by {} frames", configurations.frames_before_first));
        }
        if configurations.changed > 0 {
            notes.push(format!("{name} configuration changed {} times", configurations.changed));
        }
        if track.codec_changes > 0 {
            notes.push(format!("{name} codec changed {} times", track.codec_changes));
        }
    }
    if report.video.frames > 0 && report.video.keyframes == 0 {
        notes.push("no keyframe".to_owned());
    }
    if report.video.frames > 0
        && report.audio.frames > 0
        && report.audio_needs_configuration()
        && report.audio.configurations.seen == 0
    {
        notes.push("audio configuration never came".to_owned());
    }
    if let (Some(first), Some(last)) = (report.picture_size, report.last_picture_size)
        && first != last
    {
        notes.push(format!("picture size changed from {}x{} to {}x{}", first.0, first.1, last.0, last.1));
    }
    if report.previous_size_mismatches > 0 {
        notes.push(format!("{} wrong PreviousTagSize values", report.previous_size_mismatches));
    }
    notes.join("; ")
}

fn disagreement(name: &str, track: &Track, tolerance_seconds: i64) -> Option<String> {
    let (media, counted) = (track.media_milliseconds, track.counted_milliseconds);
    let apart = (media - counted).abs() > tolerance_seconds.saturating_mul(1000);
    apart.then(|| {
        let by_time = seconds(media);
        let by_count = seconds(counted);
        format!("{name} is {by_time} s by its timestamps and {by_count} s by its frames")
    })
}

fn seconds(milliseconds: i64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::Parser;

    fn file(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/flv/{name}.flv", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn report(bytes: &[u8]) -> Report {
        let mut parser = Parser::new();
        parser.push(bytes);
        parser.report()
    }

    fn verdict(name: &str, ending: Ending) -> Judgement {
        judge(&report(&file(name)), ending, 600, 5)
    }

    #[test]
    fn ten_minutes_of_footage_are_whole_whatever_their_timestamps_and_ending() {
        for name in [
            "whole",
            "whole-aac",
            "hevc-hvc1",
            "hevc-id12",
            "start-at-86400s",
            "wraps-32-bit-after-300s",
            "restarts-from-zero-after-300s",
            "wrong-previous-size-x3",
            "config-after-10-frames",
        ] {
            let good_bytes = file(name).len() as u64;
            for ending in [Ending::Clean, Ending::Broken] {
                assert_eq!(verdict(name, ending), Judgement::Whole { good_bytes }, "{name} {ending:?}");
            }
        }
    }

    #[test]
    fn footage_that_is_all_there_is_whole_without_what_is_behind_it() {
        let whole = file("whole");
        let good_bytes = whole.len() as u64;
        for behind in [&[9, 0, 0][..], &[0; 5000], b"<html>an error at the very end</html>"] {
            let judgement = judge(&report(&[&whole, behind].concat()), Ending::Broken, 600, 5);
            assert_eq!(judgement, Judgement::Whole { good_bytes });
        }
    }

    #[test]
    fn a_break_keeps_what_is_before_it() {
        let cut = Judgement::Cut { good_bytes: 37_328, media_milliseconds: 299_000 };
        assert_eq!(verdict("cut-at-boundary", Ending::Broken), cut);
        for name in ["cut-in-body", "cut-in-header"] {
            for ending in [Ending::Clean, Ending::Broken] {
                let Judgement::Cut { good_bytes, media_milliseconds: 299_000 } = verdict(name, ending) else {
                    panic!("{name}: {:?}", verdict(name, ending));
                };
                assert!(good_bytes < file(name).len() as u64);
            }
        }
        let Judgement::Cut { media_milliseconds, .. } = verdict("garbage-5kB-in-the-middle", Ending::Clean) else {
            panic!("{:?}", verdict("garbage-5kB-in-the-middle", Ending::Clean));
        };
        assert_eq!(media_milliseconds, 299_000);
    }

    #[test]
    fn a_clean_stream_with_too_little_is_short() {
        assert_eq!(verdict("cut-at-boundary", Ending::Clean), Judgement::Short { media_milliseconds: 299_000 });
        assert_eq!(verdict("g711a", Ending::Clean), Judgement::Short { media_milliseconds: 20_000 });
    }

    #[test]
    fn the_tolerance_is_the_line_between_whole_and_short() {
        let report = report(&file("cut-at-boundary"));
        assert_eq!(judge(&report, Ending::Clean, 304, 5), Judgement::Whole { good_bytes: 37_328 });
        assert_eq!(judge(&report, Ending::Clean, 305, 5), Judgement::Short { media_milliseconds: 299_000 });
    }

    #[test]
    fn a_header_without_frames_is_empty_only_when_the_server_was_done() {
        assert_eq!(verdict("header-only", Ending::Clean), Judgement::Empty);
        assert_eq!(verdict("header-only", Ending::Broken), Judgement::Cut { good_bytes: 13, media_milliseconds: 0 });
        // Header, onMetaData and configuration of a real file.
        let configured = &file("whole")[..245];
        assert_eq!(judge(&report(configured), Ending::Clean, 600, 5), Judgement::Empty);
        // No window is so short that nothing covers it.
        assert_eq!(judge(&report(configured), Ending::Clean, 5, 5), Judgement::Empty);
    }

    #[test]
    fn what_is_no_flv_is_quoted() {
        for (name, quote) in [("error-page", "<html>"), ("error.json", "{"), ("empty", "")] {
            let Judgement::NotFlv { first_bytes } = verdict(name, Ending::Clean) else {
                panic!("{name}: {:?}", verdict(name, Ending::Clean));
            };
            assert!(first_bytes.to_string().starts_with(quote), "{name}: {first_bytes}");
            assert_eq!(first_bytes.is_empty(), quote.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_connection_that_breaks_before_the_first_byte_says_nothing_of_the_answer() {
        assert_eq!(verdict("empty", Ending::Broken), Judgement::Cut { good_bytes: 0, media_milliseconds: 0 });
    }

    #[test]
    fn frames_without_any_configuration_are_undecodable() {
        let whole = file("whole");
        let bare = [&whole[..187], &whole[245..]].concat();
        let why = Undecodable::NoVideoConfiguration;
        assert_eq!(judge(&report(&bare), Ending::Clean, 600, 5), Judgement::Undecodable { why });
    }

    #[test]
    fn a_prefix_is_kept_from_a_minute_on_in_whole_seconds() {
        assert_eq!(kept_prefix_seconds(59_999), None);
        assert_eq!(kept_prefix_seconds(60_000), Some(60));
        assert_eq!(kept_prefix_seconds(299_999), Some(299));
    }

    #[test]
    fn most_files_need_no_note() {
        for name in ["whole", "whole-aac", "g711a", "hevc-hvc1", "start-at-86400s", "restarts-from-zero-after-300s"] {
            assert_eq!(notes(&report(&file(name)), 5), "", "{name}");
        }
    }

    #[test]
    fn what_a_person_should_know_is_said() {
        let said = |name| notes(&report(&file(name)), 5);
        assert_eq!(said("config-after-10-frames"), "video configuration late by 10 frames");
        assert_eq!(said("wrong-previous-size-x3"), "3 wrong PreviousTagSize values");
        let (small, large) = (file("whole"), file("hevc-id12"));
        let both = notes(&report(&[&small[..], &large[13..]].concat()), 5);
        assert!(both.contains("video codec changed 1 times"), "{both}");
        assert!(both.contains("picture size changed from 64x48 to 1280x720"), "{both}");
    }

    #[test]
    fn sound_whose_timestamps_run_at_another_speed_is_noted_with_both_times() {
        let mut bytes = file("g711a");
        // Every timestamp is doubled: 20 s of sound then claim to be 40.
        let mut at = 13;
        while let Some(header) = bytes.get(at..at + 11) {
            let size = usize::from(header[2]) << 8 | usize::from(header[3]);
            let doubled = 2 * u32::from_be_bytes([0, header[4], header[5], header[6]]);
            bytes[at + 4..at + 7].copy_from_slice(&doubled.to_be_bytes()[1..]);
            at += 11 + size + 4;
        }
        let note = notes(&report(&bytes), 5);
        assert!(
            note.starts_with("audio is 40.") && note.ends_with("s by its timestamps and 20.0 s by its frames"),
            "{note}"
        );
    }
}
