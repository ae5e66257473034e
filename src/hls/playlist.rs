//! One playlist as it was fetched: a choice of others, or segments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{PlaylistError, lines};
use crate::untrusted::Untrusted;

/// No segment is longer, in milliseconds: the standard says that one is as long as the target duration, and those of live
/// streams are a few seconds.
const LONGEST_SEGMENT: f64 = 60_000.0;

/// What the segments that are kept of a playlist may take in memory, in bytes: those of half an hour.
const MOST_KEPT: usize = 128 << 10;
/// What one takes beside its addresses, about.
const EACH: usize = 256;

/// A playlist, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// A master playlist: the media playlist of its variant with the highest bandwidth, the first one of equals.
    Variant(Url),
    /// A media playlist.
    Media(Media),
}

/// A media playlist, checked: nothing in it is encrypted, part of a file, or elsewhere than on an http(s) server. Of a long one
/// the segments at its end are kept; those before count as gone from the server, as they will be soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The first segment's sequence number; that of the first to come when there is none.
    pub(super) first: u64,
    /// How many segments there are before those that are kept.
    pub(super) dropped: u64,
    /// The segments that are kept, numbered on from those.
    pub(super) segments: VecDeque<Listed>,
    /// The target duration, or the longest segment's when that is missing; 10 s at most.
    pub(super) target: Duration,
    /// Whether there will be no more.
    pub(super) ended: bool,
}

/// A segment of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub url: Arc<Url>,
    pub milliseconds: i64,
    /// The initialization that it needs.
    pub map: Option<Arc<Url>>,
    /// Whether it does not continue the one before.
    pub discontinuity: bool,
}

impl Listed {
    /// What it takes in memory, about.
    fn cost(&self) -> usize {
        let address = |url: &Arc<Url>| url.as_str().len();
        EACH + address(&self.url) + self.map.as_ref().map_or(0, address)
    }
}

impl Media {
    /// The number of the first segment that is kept; that of the first to come when there is none.
    pub(super) fn kept(&self) -> u64 {
        // OK: `Playlist::read` saw that it fits.
        self.first + self.dropped
    }

    /// The number behind the last segment's.
    pub(super) fn end(&self) -> u64 {
        // OK: the same.
        self.kept() + self.segments.len() as u64
    }

    pub(super) fn segment(&self, sequence: u64) -> Option<&Listed> {
        self.segments.get(usize::try_from(sequence.checked_sub(self.kept())?).ok()?)
    }
}

impl Playlist {
    /// Reads a body that was fetched from `base`, against which relative URIs are resolved.
    pub fn read(body: &[u8], base: &Url) -> Result<Self, PlaylistError> {
        let text = lines::readable(body)?;
        match m3u8_rs::parse_playlist(text.as_bytes()) {
            Ok(([], m3u8_rs::Playlist::MasterPlaylist(master))) => variant(&master, base).map(Self::Variant),
            Ok(([], m3u8_rs::Playlist::MediaPlaylist(media))) => media_playlist(media, base).map(Self::Media),
            Ok((rest, _)) => Err(PlaylistError::Unreadable(Untrusted::from_bytes(rest))),
            // OK to quote the beginning: the parser does not say where it failed.
            Err(_) => Err(PlaylistError::NotPlaylist(Untrusted::from_bytes(body))),
        }
    }
}

fn variant(master: &m3u8_rs::MasterPlaylist, base: &Url) -> Result<Url, PlaylistError> {
    if let Some(tag) = master.unknown_tags.first() {
        return Err(unread(tag));
    }
    let with_uri = master.variants.iter().filter(|variant| !variant.uri.is_empty());
    // The last of equals is taken by `max_by_key`, so that going backwards it is the first.
    let best = with_uri.rev().max_by_key(|variant| variant.bandwidth).ok_or(PlaylistError::NoVariant)?;
    resolve(&best.uri, base)
}

fn media_playlist(playlist: m3u8_rs::MediaPlaylist, base: &Url) -> Result<Media, PlaylistError> {
    if playlist.i_frames_only {
        return Err(PlaylistError::KeyframesOnly);
    }
    let mut map = None;
    let (mut segments, mut cost, mut dropped, mut longest) = (VecDeque::new(), 0, 0, 0_i64);
    let first = playlist.media_sequence;
    if first.checked_add(playlist.segments.len() as u64).is_none() {
        return Err(PlaylistError::Numbers);
    }
    for segment in playlist.segments {
        // Every tag that gets here is known; the parser calls one unknown when it cannot read its value.
        if let Some(tag) = segment.unknown_tags.first() {
            return Err(unread(tag));
        }
        if segment.byte_range.is_some() || segment.map.as_ref().is_some_and(|map| map.byte_range.is_some()) {
            return Err(PlaylistError::ByteRange);
        }
        if let Some(changed) = segment.map {
            map = Some(Arc::new(resolve(&changed.uri, base)?));
        }
        let milliseconds = f64::from(segment.duration) * 1000.0;
        if !(milliseconds > 0.0 && milliseconds <= LONGEST_SEGMENT) {
            return Err(PlaylistError::Duration { uri: shown(&segment.uri) });
        }
        let listed = Listed {
            url: Arc::new(resolve(&segment.uri, base)?),
            // OK to cast: a minute at most.
            milliseconds: (milliseconds.round() as i64).max(1),
            map: map.clone(),
            discontinuity: segment.discontinuity,
        };
        longest = longest.max(listed.milliseconds);
        cost += listed.cost();
        segments.push_back(listed);
        while cost > MOST_KEPT
            && segments.len() > 1
            && let Some(oldest) = segments.pop_front()
        {
            cost -= oldest.cost();
            dropped += 1;
        }
    }
    let target = match playlist.target_duration {
        0 => Duration::from_millis(longest.unsigned_abs()),
        seconds => Duration::from_secs(seconds),
    };
    Ok(Media { first, dropped, segments, target, ended: playlist.end_list })
}

fn unread(tag: &m3u8_rs::ExtTag) -> PlaylistError {
    PlaylistError::Unreadable(Untrusted::new(&format!("#EXT-{}:{}", tag.tag, tag.rest.as_deref().unwrap_or_default())))
}

/// A URI as it may be shown: without its query, which may hold what lets anybody watch.
fn shown(uri: &str) -> Untrusted {
    Untrusted::new(uri.split('?').next().unwrap_or_default())
}

fn resolve(uri: &str, base: &Url) -> Result<Url, PlaylistError> {
    let url = base.join(uri).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| PlaylistError::NotHttp { uri: shown(uri) })
}
