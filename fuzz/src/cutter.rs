//! The cutter, which makes files of a live FLV.

use archive::flv::{Cut, CutError, Cutter, End, Garbage, Report};

use super::flv::report;
use super::{pieces, shown};

/// The marks, in milliseconds after the first frame.
const MARKS: [i64; 5] = [-1, 100, 2_000, 10_000, 600_000];
/// Longer inputs are not pushed byte by byte too.
const SHORT: usize = 2_000;

/// The input is a live FLV, or what came instead of one.
pub fn holds(input: &[u8]) {
    let cut_at_once = cut(|push| push(input));
    assert_eq!(cut(|push| pieces::of(input, push)), cut_at_once, "in pieces");
    if input.len() <= SHORT {
        assert_eq!(cut(|push| pieces::single(input, push)), cut_at_once, "byte by byte");
    }
    let (mut files, unfinished, result) = cut_at_once;
    if let Err(error) = result {
        shown::is_harmless(&error);
    }
    if unfinished > 0 {
        let last = files.last_mut().expect("of a file that has begun");
        last.truncate(last.len().checked_sub(unfinished).expect("all of it came out"));
    }
    let reports: Vec<Report> = files.iter().map(|file| report(file)).collect();
    for (file, report) in files.iter().zip(&reports) {
        assert_eq!((report.end, report.garbage), (End::Boundary, Garbage::default()));
        assert_eq!((report.good_bytes, report.previous_size_mismatches), (file.len() as u64, 0));
    }
    // Every frame is in exactly one file. Behind garbage the parser goes on, and the cutter does not.
    let whole = report(input);
    if whole.garbage == Garbage::default() {
        let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
        assert_eq!(sum(|report| report.video.frames), whole.video.frames, "pictures");
        assert_eq!(sum(|report| report.video.keyframes), whole.video.keyframes, "keyframes");
        assert_eq!(sum(|report| report.audio.frames), whole.audio.frames, "sound");
    }
}

/// The files that come out of what is pushed, how much of the last one is of a tag that is not whole, and how it ended.
fn cut(input: impl FnOnce(&mut dyn FnMut(&[u8]))) -> (Vec<Vec<u8>>, usize, Result<(), CutError>) {
    let mut cutter = Cutter::new();
    MARKS.iter().for_each(|mark| cutter.mark(*mark));
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut result = Ok(());
    input(&mut |piece| {
        result = cutter.push(piece, |cut| match cut {
            Cut::Begins { .. } => files.push(Vec::new()),
            Cut::Bytes(bytes) => files.last_mut().expect("a file has begun").extend_from_slice(bytes),
        });
    });
    (files, usize::try_from(cutter.unfinished()).expect("in memory"), result)
}
