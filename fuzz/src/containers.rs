//! MPEG-TS, fragmented MP4 and FLV files, as they are examined before they are published.

use archive::container::{Examined, Examiner};
use archive::recording::Container;

use super::{pieces, shown};

/// Longer inputs are not pushed byte by byte too.
const SHORT: usize = 2_000;

/// The input is a file of the container that its first byte looks like.
pub fn holds(input: &[u8]) {
    let container = match input.first() {
        Some(b'G') => Container::MpegTs,
        Some(b'F') => Container::Flv,
        _ => Container::Mp4,
    };
    let examined = examine(container, input);
    let mut examiner = Examiner::new(container);
    pieces::of(input, |piece| examiner.push(piece));
    assert_eq!(examiner.examined(), examined, "in pieces");
    if input.len() <= SHORT {
        let mut examiner = Examiner::new(container);
        pieces::single(input, |piece| examiner.push(piece));
        assert_eq!(examiner.examined(), examined, "byte by byte");
    }
    assert_eq!(examined.total_bytes, input.len() as u64);
    assert!(examined.good_bytes <= examined.total_bytes, "{examined:?}");
    assert!(examined.media.media_milliseconds >= 0, "{examined:?}");
    shown::is_harmless(&examined.note);
    examined.problem.iter().for_each(shown::is_harmless);
    // What is kept of it is what was said of it.
    let kept = examine(container, &input[..usize::try_from(examined.good_bytes).expect("it is in memory")]);
    assert_eq!((kept.good_bytes, &kept.media), (examined.good_bytes, &examined.media), "cut off at good_bytes");
    assert_eq!(kept.problem.is_some(), examined.problem.is_some(), "{kept:?} of {examined:?}");
}

fn examine(container: Container, input: &[u8]) -> Examined {
    let mut examiner = Examiner::new(container);
    examiner.push(input);
    examiner.examined()
}
