//! The FLV parser, and the judge on what it reports.

use archive::flv::{End, Garbage, Parser, Report};
use archive::judge::{self, Ending, Judgement};

use super::{pieces, shown};

/// Longer inputs are not pushed byte by byte too.
const SHORT: usize = 2_000;
const ASKED: [i64; 8] = [i64::MIN, -1, 0, 1, 60, 600, 86_400, i64::MAX];
const TOLERANCES: [i64; 4] = [0, 5, 59, i64::MAX];

/// The input is an FLV, or what came instead of one.
pub fn holds(input: &[u8]) {
    let whole = report(input);
    let mut parser = Parser::new();
    pieces::of(input, |piece| {
        parser.push(piece);
        // A report in between changes nothing.
        parser.report();
    });
    assert_eq!(parser.report(), whole, "in pieces");
    if input.len() <= SHORT {
        let mut parser = Parser::new();
        pieces::single(input, |piece| parser.push(piece));
        assert_eq!(parser.report(), whole, "byte by byte");
    }
    adds_up(input, &whole);
    for tolerance in TOLERANCES {
        shown::is_harmless(&judge::notes(&whole, tolerance));
        for asked in ASKED {
            is_judged_rightly(&whole, asked, tolerance);
        }
        // Who asks for less gets no worse.
        let is_whole =
            |asked: &i64| matches!(judge::judge(&whole, Ending::Clean, *asked, tolerance), Judgement::Whole { .. });
        assert!(ASKED.iter().map(is_whole).is_sorted_by(|less, more| less >= more), "{whole:?}");
    }
}

pub fn report(input: &[u8]) -> Report {
    let mut parser = Parser::new();
    parser.push(input);
    parser.report()
}

fn adds_up(input: &[u8], report: &Report) {
    assert_eq!(report.total_bytes, input.len() as u64);
    assert!(report.good_bytes <= report.garbage.first_offset.unwrap_or(report.total_bytes), "{report:?}");
    assert!(report.garbage.bytes <= report.total_bytes, "{report:?}");
    assert_eq!(report.garbage.first_offset.is_some(), report.garbage.stretches > 0, "{report:?}");
    assert!(report.video.keyframes <= report.video.frames, "{report:?}");
    assert!(report.video.frames <= report.tags.video && report.audio.frames <= report.tags.audio, "{report:?}");
    assert!(report.media_facts().media_milliseconds >= 0, "{report:?}");
    for track in [&report.video, &report.audio] {
        let configurations = &track.configurations;
        assert!(configurations.repeated + configurations.changed <= configurations.seen, "{report:?}");
        assert!(configurations.frames_before_first <= track.frames, "{report:?}");
        assert!(track.forward.total >= track.forward.largest && track.backward.total >= track.backward.largest);
    }
    // A file that is cut off at `good_bytes` is clean, and everything else speaks of it.
    let kept = super::flv::report(&input[..usize::try_from(report.good_bytes).expect("it is in memory")]);
    assert_eq!(kept.end, if report.good_bytes == 0 { End::FileHeader } else { End::Boundary });
    assert_eq!(kept.garbage, Garbage::default());
    if report.good_bytes > 0 {
        let rest = Report { total_bytes: report.total_bytes, end: report.end, garbage: report.garbage, ..kept };
        assert_eq!(rest, *report);
    }
}

fn is_judged_rightly(report: &Report, asked: i64, tolerance: i64) {
    let footage = report.footage_milliseconds();
    let is_enough = i128::from(footage) >= (i128::from(asked) - i128::from(tolerance)) * 1000;
    let clean = judge::judge(report, Ending::Clean, asked, tolerance);
    let broken = judge::judge(report, Ending::Broken, asked, tolerance);
    for judgement in [&clean, &broken] {
        match judgement {
            Judgement::Whole { good_bytes } => {
                assert!(is_enough, "{report:?}");
                assert_eq!(*good_bytes, report.good_bytes);
            }
            Judgement::Cut { good_bytes, media_milliseconds } => {
                assert_eq!(*good_bytes, report.good_bytes);
                assert!([0, footage].contains(media_milliseconds), "{report:?}");
            }
            Judgement::Short { media_milliseconds } => {
                assert!(!is_enough && *media_milliseconds == footage && report.end == End::Boundary, "{report:?}");
            }
            Judgement::NotFlv { first_bytes } => shown::is_harmless(first_bytes),
            Judgement::Empty | Judgement::Undecodable { .. } => {}
        }
    }
    // What covers the window does so however the connection ended, and a break is never the server's last word.
    let is_whole = |judgement: &Judgement| matches!(judgement, Judgement::Whole { .. });
    assert_eq!(is_whole(&clean), is_whole(&broken), "{report:?}");
    assert!(!matches!(broken, Judgement::Short { .. } | Judgement::Empty), "{report:?}");
}
