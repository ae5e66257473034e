//! Follows the playlist of a live HLS stream: which segments are new, what is between them and those before, and when to ask
//! again.
//!
//! A playlist is read from scratch each time ([`Playlist::read`]); what was already handed out is known by its sequence
//! number ([`Follower`]). Of a playlist that goes far back, the segments at its end are kept ([`Media`]). RFC 8216 says what is
//! what. Sound in a playlist of its own (`EXT-X-MEDIA`) is not followed.

mod lines;
mod playlist;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use url::Url;

pub use lines::LONGEST_PLAYLIST;
pub use playlist::{Media, Playlist};

use crate::untrusted::Untrusted;

/// No server is asked more often, whatever its playlist says.
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// Servers drop segments from their playlist after three target durations or so, and none is asked less often.
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// Why a playlist cannot be followed. Nothing of it has been handed out then, and another one may be tried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaylistError {
    /// It is no playlist.
    #[error("the server sent no HLS playlist; what it sent begins with {0:?}")]
    NotPlaylist(Untrusted),
    /// It has more bytes than [`LONGEST_PLAYLIST`], or more than 8,192 lines.
    #[error("the playlist has more than 256 KiB or 8,192 lines, which no live stream's has")]
    TooLong,
    /// A line of it cannot be read.
    #[error("the playlist has a line that cannot be read: {0:?}")]
    Unreadable(Untrusted),
    /// A master playlist without any variant.
    #[error("the master playlist names no variant of the stream")]
    NoVariant,
    /// A master playlist where a media playlist should be.
    #[error("the playlist names other playlists, where segments were expected")]
    Nested,
    /// Its segments are encrypted.
    #[error("the stream is encrypted ({method}), and only streams that are not can be recorded")]
    Encrypted {
        /// The method, as it was sent.
        method: Untrusted,
    },
    /// Its segments are parts of files.
    #[error("the playlist's segments are parts of a larger file (EXT-X-BYTERANGE), which are not supported")]
    ByteRange,
    /// It has single pictures alone, for searching.
    #[error("the playlist has keyframes only (EXT-X-I-FRAMES-ONLY), not a stream")]
    KeyframesOnly,
    /// A URI leads elsewhere than to an http(s) server.
    #[error("the playlist leads to {uri:?}, which is no http or https address")]
    NotHttp {
        /// The URI, as it was sent.
        uri: Untrusted,
    },
    /// A segment's duration is missing or absurd.
    #[error("the playlist's segment {uri:?} has no duration (EXTINF) above 0 and up to 60 s")]
    Duration {
        /// The segment's URI, as it was sent.
        uri: Untrusted,
    },
    /// Sequence numbers beyond 64 bits.
    #[error("the playlist's sequence numbers are too large")]
    Numbers,
}

/// What a fetched playlist brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The segments that were not handed out before, in order.
    pub segments: Vec<Segment>,
    /// How long after this playlist was asked for the next one is due: 100 ms to 10 s.
    pub next_poll: Duration,
    /// Whether the server says that these were the last ones.
    pub ended: bool,
}

/// A segment to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its sequence number. It runs on from segment to segment, but for a [`Seam::Skipped`] and a [`Seam::Restarted`].
    pub sequence: u64,
    /// Where it is.
    pub url: Arc<Url>,
    /// Its duration in milliseconds as the playlist has it, from 1 to 60,000.
    pub milliseconds: i64,
    /// Where the initialization (`EXT-X-MAP`) is that it needs before it, if any.
    pub map: Option<Arc<Url>>,
    /// What is between it and the segment before.
    pub seam: Seam,
}

/// What is between a segment and the one that was handed out before it: the first of these that applies, in this order. After
/// each of them but `None`, the map may be another one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// It is the first one.
    First,
    /// The server's sequence numbers went back: it was restarted, and what it lists is new.
    Restarted,
    /// Segments that came and went between two polls.
    Skipped {
        /// How many.
        segments: u64,
    },
    /// The server says that it does not continue the one before: other times, or another codec.
    Discontinuity,
    /// It needs another initialization than the one before.
    Map,
    /// Nothing: it continues the one before.
    None,
}

/// Follows a media playlist. Holds the last playlist that brought something, and no more.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    /// The newest playlist with a segment. Everything before its end was handed out, or skipped.
    newest: Option<Media>,
}

impl Follower {
    /// One that has seen nothing: all that the first playlist lists is new.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next playlist, as it was fetched from `base`: after redirects, that is where it came from in the end.
    pub fn take(&mut self, body: &[u8], base: &Url) -> Result<Polled, PlaylistError> {
        match Playlist::read(body, base)? {
            Playlist::Media(media) => Ok(self.follow(media)),
            Playlist::Variant(_) => Err(PlaylistError::Nested),
        }
    }

    /// The same of a playlist that was read before.
    pub fn follow(&mut self, media: Media) -> Polled {
        let (target, ended) = (media.target, media.ended);
        let segments = self.news(media);
        // RFC 8216, 6.3.4: half of the target duration after a playlist that did not change.
        let wait = if segments.is_empty() { target / 2 } else { target };
        Polled { segments, next_poll: wait.clamp(SHORTEST_POLL, LONGEST_POLL), ended }
    }

    fn news(&mut self, media: Media) -> Vec<Segment> {
        let Some(last) = media.segments.back() else { return Vec::new() };
        let (from, seam, before) = match &self.newest {
            None => (media.kept(), Seam::First, last),
            Some(newest) => {
                let next = newest.end();
                // OK: a playlist is kept only when it has segments.
                let Some(before) = newest.segments.back() else { return Vec::new() };
                if media.first < newest.first || media.end() < next {
                    if is_older(&media, newest) {
                        return Vec::new();
                    }
                    (media.kept(), Seam::Restarted, before)
                } else if media.kept() > next {
                    (media.kept(), Seam::Skipped { segments: media.kept() - next }, before)
                } else {
                    (next, Seam::None, before)
                }
            }
        };
        let mut map = &before.map;
        let mut segments = Vec::new();
        for sequence in from..media.end() {
            let Some(listed) = media.segment(sequence) else { break };
            let seam = match seam {
                seam if seam != Seam::None && sequence == from => seam,
                _ if listed.discontinuity => Seam::Discontinuity,
                _ if listed.map != *map => Seam::Map,
                _ => Seam::None,
            };
            map = &listed.map;
            segments.push(Segment {
                sequence,
                url: Arc::clone(&listed.url),
                milliseconds: listed.milliseconds,
                map: listed.map.clone(),
                seam,
            });
        }
        self.newest = Some(media);
        segments
    }
}

/// Whether a playlist whose numbers went back is an older one of the same server, out of some cache, and not one of a server
/// that was restarted: it brings nothing new, and where both number a segment, that is the same file. Queries are left out,
/// since some servers sign each answer anew.
fn is_older(media: &Media, newest: &Media) -> bool {
    let common = media.kept().max(newest.kept())..media.end().min(newest.end());
    let is_same = |sequence| match (media.segment(sequence), newest.segment(sequence)) {
        (Some(one), Some(other)) => one.url.path() == other.url.path(),
        _ => false,
    };
    media.end() <= newest.end() && !common.is_empty() && common.into_iter().all(is_same)
}
