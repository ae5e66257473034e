//! What goes wrong, how often, and how it follows from the seed.

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::sim::draw::draw;
use crate::time_range::TimeRange;

/// How often things go wrong by themselves, in answers out of a thousand:
///
/// | fault | typical | hostile |
/// |---|---|---|
/// | `stat` -500, -999 | 3 each | 20 each |
/// | `data.result` 2, -1 | 5 each | 20 each |
/// | connection breaks in mid-tag | 10 | 50 |
/// | clean end in mid-tag | 2 | 20 |
/// | stall | 1 | 10 |
/// | HTML page | 2 | 20 |
/// | 5 kB of noise between two tags | 2 | 20 |
/// | first ask of a window only: nothing, header only, clean but short, still growing | 2 each | 15 each |
///
/// The last row looks like missing footage. It never comes twice for one window, so that a client which asks again can
/// always learn the truth. Outages, CPU storms and other people's playback are not drawn: a set-up says when they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing goes wrong by itself.
    #[default]
    None,
    /// An ordinary night.
    Typical,
    /// A quarter of all answers are bad.
    Hostile,
}

/// How a stream goes wrong. Seconds are of media, counted from the stream's first frame; when the stream is not that
/// long, it happens in its last second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaFault {
    /// The connection is aborted in the middle of a tag, so that the client sees an error.
    BreakAfterSeconds(u32),
    /// The body ends cleanly, in the middle of a tag.
    EndInTagAfterSeconds(u32),
    /// The body ends cleanly on a tag's boundary, as if there were no more footage.
    ShortAfterSeconds(u32),
    /// No byte more, and the connection stays open.
    StallAfterSeconds(u32),
    /// 5,000 bytes of noise between two tags; then the stream goes on.
    GarbageAfterSeconds(u32),
    /// A file that claims to be complete and grows: so many seconds when it is granted, and so many more a second. It
    /// has a length, takes `Range`, and its URL stays good until its last byte was sent.
    Grows {
        /// Seconds of media that are there at once.
        from: u32,
        /// Seconds of media that come each second.
        per_second: u32,
    },
    /// The FLV header and the metadata, and no frame.
    HeaderOnly,
    /// Status 200 with an empty body.
    Nothing,
    /// Status 200 with an HTML page.
    ErrorPage,
    /// Another status, with that body.
    Http(u16, String),
}

/// How a live channel goes wrong. Seconds are of media: of a viewer's own stream when it is FLV, since the channel was opened
/// when it is HLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveFault {
    /// The URLs are given, and nothing is found there.
    NotFound,
    /// The connection is aborted; HLS is not found any longer.
    DropAfterSeconds(u32),
    /// No byte more, and the connection stays open; the HLS playlist grows no longer.
    StallAfterSeconds(u32),
    /// The body ends cleanly, after a tag; the HLS playlist says that it is at its end.
    EndAfterSeconds(u32),
    /// Nothing is sent for some time of the camera's, and the connection stays open. Then the stream goes on with the next
    /// keyframe of what is shown then: the timestamps jump, and what was shown meanwhile never comes. The HLS playlist does
    /// not grow; then it begins anew behind the segments that are left out, which keep their numbers.
    PauseAfterSeconds {
        /// Seconds of media before it.
        after: u32,
        /// How long it lasts on the camera's clock; in an FLV up to a second more, until the keyframe.
        seconds: u32,
    },
    /// The pictures have another size from the next keyframe on, which a new sequence header says; HLS changes between H.264
    /// and H.265, after a discontinuity.
    ChangeAfterSeconds(u32),
}

/// What goes wrong with one answer to `startRecReqDown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The gateway fails with that `stat.code`.
    Stat(i64),
    /// The NVR fails with that `data.result`.
    Result(i64),
    /// The URL is given, and its stream goes wrong.
    Media(MediaFault),
}

/// Faults in answers per thousand; they are tried in this order.
struct Rates {
    system: u64,
    unknown: u64,
    play: u64,
    request: u64,
    breaks: u64,
    ends_in_tag: u64,
    stalls: u64,
    page: u64,
    garbage: u64,
    /// Each of the four that look like missing footage.
    lookalike: u64,
}

const TYPICAL: Rates = Rates {
    system: 3,
    unknown: 3,
    play: 5,
    request: 5,
    breaks: 10,
    ends_in_tag: 2,
    stalls: 1,
    page: 2,
    garbage: 2,
    lookalike: 2,
};

const HOSTILE: Rates = Rates {
    system: 20,
    unknown: 20,
    play: 20,
    request: 20,
    breaks: 50,
    ends_in_tag: 20,
    stalls: 10,
    page: 20,
    garbage: 20,
    lookalike: 15,
};

/// What goes wrong with the answer number `ask` (from 0) for this window. A function of its arguments alone, so that the
/// order in which windows are asked for changes nothing.
pub fn drawn(profile: Profile, seed: u64, device: DeviceId, range: TimeRange, ask: u32) -> Option<Fault> {
    let rates = match profile {
        Profile::None => return None,
        Profile::Typical => &TYPICAL,
        Profile::Hostile => &HOSTILE,
    };
    let number = draw(&[seed, device.get().cast_unsigned(), range.start().get().cast_unsigned(), u64::from(ask)]);
    // OK to cut to 32 bits: a window has at most 600 seconds.
    let after = ((number >> 32) % range.seconds().unsigned_abs()) as u32;
    let lookalike = if ask == 0 { rates.lookalike } else { 0 };
    let table = [
        (rates.system, Fault::Stat(-500)),
        (rates.unknown, Fault::Stat(-999)),
        (rates.play, Fault::Result(2)),
        (rates.request, Fault::Result(-1)),
        (rates.breaks, Fault::Media(MediaFault::BreakAfterSeconds(after))),
        (rates.ends_in_tag, Fault::Media(MediaFault::EndInTagAfterSeconds(after))),
        (rates.stalls, Fault::Media(MediaFault::StallAfterSeconds(after))),
        (rates.page, Fault::Media(MediaFault::ErrorPage)),
        (rates.garbage, Fault::Media(MediaFault::GarbageAfterSeconds(after))),
        (lookalike, Fault::Media(MediaFault::Nothing)),
        (lookalike, Fault::Media(MediaFault::HeaderOnly)),
        (lookalike, Fault::Media(MediaFault::ShortAfterSeconds(after))),
        (lookalike, Fault::Media(MediaFault::Grows { from: after, per_second: 200 })),
    ];
    let mut left = (number & 0xffff_ffff) % 1000;
    for (rate, fault) in table {
        if left < rate {
            return Some(fault);
        }
        left -= rate;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_range::UtcSecond;

    fn window(index: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(index * 600), UtcSecond::new(index * 600 + 600)).expect("ten minutes")
    }

    fn faults(profile: Profile, seed: u64, ask: u32) -> Vec<Option<Fault>> {
        let device = DeviceId::new(5).expect("five");
        (0..4000).map(|index| drawn(profile, seed, device, window(index), ask)).collect()
    }

    #[test]
    fn the_rates_are_as_documented() {
        let bad = |profile, ask| faults(profile, 1, ask).iter().flatten().count();
        assert_eq!(bad(Profile::None, 0), 0);
        assert!((100..230).contains(&bad(Profile::Typical, 0)), "{} of 4000, not about 164", bad(Profile::Typical, 0));
        assert!(
            (930..1150).contains(&bad(Profile::Hostile, 0)),
            "{} of 4000, not about 1040",
            bad(Profile::Hostile, 0)
        );
    }

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(faults(Profile::Hostile, 1, 0), faults(Profile::Hostile, 1, 0));
        assert_ne!(faults(Profile::Hostile, 1, 0), faults(Profile::Hostile, 2, 0));
    }

    #[test]
    fn what_looks_like_missing_footage_never_comes_a_second_time() {
        let lookalike = |fault: &Option<Fault>| {
            matches!(
                fault,
                Some(Fault::Media(
                    MediaFault::Nothing
                        | MediaFault::HeaderOnly
                        | MediaFault::ShortAfterSeconds(_)
                        | MediaFault::Grows { .. }
                ))
            )
        };
        assert!(faults(Profile::Hostile, 1, 0).iter().any(lookalike));
        assert!(!faults(Profile::Hostile, 1, 1).iter().any(lookalike));
    }
}
