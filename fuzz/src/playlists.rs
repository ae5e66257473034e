//! HLS playlists, one after the other.

use std::time::Duration;

use archive::hls::{Follower, Playlist, Seam};
use url::Url;

use super::shown;

/// The input is playlists as they come one after the other, with a zero byte between them.
pub fn holds(input: &[u8]) {
    let base = Url::parse("http://media.example:5581/hls/x/index.m3u8?token=1").expect("a URL");
    let mut follower = Follower::new();
    let mut last = None;
    for body in input.split(|&byte| byte == 0).take(16) {
        match Playlist::read(body, &base) {
            Ok(Playlist::Variant(url)) => is_fetched(&url),
            Ok(Playlist::Media(_)) => {}
            Err(error) => shown::is_harmless(&error),
        }
        let polled = match follower.take(body, &base) {
            Ok(polled) => polled,
            Err(error) => {
                shown::is_harmless(&error);
                continue;
            }
        };
        assert!(polled.next_poll >= Duration::from_millis(100) && polled.next_poll <= Duration::from_secs(10));
        for segment in &polled.segments {
            assert!((1..=60_000).contains(&segment.milliseconds), "{segment:?}");
            is_fetched(&segment.url);
            segment.map.iter().for_each(|map| is_fetched(map));
            match (segment.seam, last) {
                (Seam::First, None) | (Seam::Restarted, Some(_)) => {}
                (Seam::Skipped { segments }, Some(last)) => {
                    assert!(segments > 0 && segment.sequence == last + 1 + segments, "{segment:?} after {last}");
                }
                (Seam::None | Seam::Map | Seam::Discontinuity, Some(last)) => {
                    assert_eq!(segment.sequence, last + 1, "{segment:?}");
                }
                (seam, last) => panic!("{seam:?} after {last:?}"),
            }
            last = Some(segment.sequence);
        }
        // The same again brings nothing, and is waited for half as long, or as short as it may.
        let again = follower.take(body, &base).expect("it was read before");
        assert_eq!((again.segments, again.ended), (Vec::new(), polled.ended));
        assert!(again.next_poll <= polled.next_poll);
    }
}

fn is_fetched(url: &Url) {
    assert!(["http", "https"].contains(&url.scheme()) && url.has_host(), "{url}");
}
