//! A live stream over HLS, into pieces: segments as they are, one behind the other.
//!
//! Time is counted in the playlist's durations. A segment is there as soon as the playlist names it, so that is when it
//! arrives, as far as its time is concerned; a cut falls between two segments.
//!
//! A segment is kept apart until all of it is there and was found to be good, so that a torn one spoils nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::container::Examiner;
use crate::flv::Seam;
use crate::hls::{self, Follower, Playlist, Polled, Segment};
use crate::instant;
use crate::platform::media::MediaError;
use crate::recording::Container;
use crate::untrusted::Untrusted;
use crate::vault::{Spool, VaultError};

use super::pieces::{Begin, Pieces};
use super::{Context, Ended, Failure};

/// No playlist has so many bytes; one byte more, so that the reader of playlists says so.
const LONGEST_PLAYLIST: u64 = hls::LONGEST_PLAYLIST as u64 + 1;

/// What a segment of live video may have, since it is kept apart until it is whole: 32 Mbit/s for as long as the playlist says
/// that it lasts, and a keyframe or two; and no more than a minute at 8 Mbit/s.
const SEGMENT_BYTES_A_SECOND: u64 = 4 << 20;
const SEGMENT_BYTES_BESIDE: u64 = 4 << 20;
const LONGEST_SEGMENT: u64 = 64 << 20;

/// What an initialization may have, which is held for as long as segments need it.
const LONGEST_MAP: u64 = 128 << 10;

/// How many of a segment's first bytes are looked at to tell what it is, and quoted if it is nothing.
const FIRST: u64 = 64;

/// By how much pictures may be sent out of the order in which they are shown, in milliseconds.
const REORDERED: i64 = 1_000;

/// How often a segment is asked for before it counts as left out.
const SEGMENT_TRIES: u32 = 3;

/// Before a playlist or a segment that did not come is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Why nothing more comes.
enum End {
    Ended(Ended),
    Failed(Failure),
}

impl<T: Into<Failure>> From<T> for End {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

fn interrupted(why: impl Into<String>) -> End {
    End::Ended(Ended::interrupted(why))
}

/// Records a stream until it ends, one way or another.
pub(super) async fn record(context: &Context, url: Url, pieces: &mut Pieces<'_>) -> Result<Ended, Failure> {
    let mut stream = Stream { context, url, follower: Follower::new(), media: 0, map: None, broken: false };
    match stream.record(pieces).await {
        End::Ended(ended) => Ok(ended),
        End::Failed(failure) => Err(failure),
    }
}

struct Stream<'a> {
    context: &'a Context,
    /// Of its playlist.
    url: Url,
    follower: Follower,
    /// Where its clock stands: the end of the last segment that was taken, or left out, in milliseconds.
    media: i64,
    /// The initialization that segments need now, and where it came from.
    map: Option<(Arc<Url>, Vec<u8>)>,
    /// Whether something was left out since the last segment.
    broken: bool,
}

impl Stream<'_> {
    async fn record(&mut self, pieces: &mut Pieces<'_>) -> End {
        let clock = self.context.tools.clock;
        let (mut news, mut news_came) = (Instant::now(), clock.now());
        loop {
            let asked = clock.now();
            let polled = match self.poll().await {
                Ok(polled) => polled,
                Err(end) => return end,
            };
            let next = match polled {
                Ok(polled) => {
                    match self.take(&polled, pieces, news).await {
                        Ok(true) => (news, news_came) = (Instant::now(), clock.now()),
                        Ok(false) => {}
                        Err(end) => return end,
                    }
                    if polled.ended {
                        return interrupted("the platform ended the stream");
                    }
                    polled.next_poll
                }
                // What is closed stays closed.
                Err(
                    error @ (PollError::Playlist(_)
                    | PollError::Media(
                        MediaError::Status { status: 400..500, .. } | MediaError::Denied(_) | MediaError::Astray(_),
                    )),
                ) => {
                    return interrupted(error.to_string());
                }
                Err(error) if news.elapsed() >= self.context.job.stall => return interrupted(error.to_string()),
                Err(_not_yet) => RETRY_PAUSE,
            };
            // A server may be between two segments for as long as one of them lasts, by the clock of the cameras, which simulated
            // ones have of their own.
            let stall = self.context.job.stall.max(next * 3);
            if news.elapsed() >= self.context.job.stall && clock.now().since(news_came) >= next * 3 {
                return interrupted(format!("nothing new came that could be used for {} s", stall.as_secs_f64()));
            }
            let took = clock.now().since(asked);
            if !self.context.wait(next.saturating_sub(took)).await {
                return End::Ended(Ended::Stopped);
            }
        }
    }

    /// Asks for the playlist once; for that of the best variant, when there is a choice.
    async fn poll(&mut self) -> Result<Result<Polled, PollError>, End> {
        // OK to try twice: a master playlist leads to a media playlist, and another one is an error.
        let (body, from) = match self.get_playlist().await? {
            Ok(got) => got,
            Err(error) => return Ok(Err(error)),
        };
        match Playlist::read(&body, &from) {
            Ok(Playlist::Media(media)) => Ok(Ok(self.follower.follow(media))),
            Ok(Playlist::Variant(url)) => {
                self.url = url;
                let (body, from) = match self.get_playlist().await? {
                    Ok(got) => got,
                    Err(error) => return Ok(Err(error)),
                };
                Ok(self.follower.take(&body, &from).map_err(PollError::Playlist))
            }
            Err(error) => Ok(Err(PollError::Playlist(error))),
        }
    }

    async fn get_playlist(&self) -> Result<Result<(Vec<u8>, Url), PollError>, End> {
        let mut body = Vec::new();
        let take = |bytes: &[u8]| {
            body.extend_from_slice(bytes);
            Ok(())
        };
        let got = self.get(&self.url, LONGEST_PLAYLIST, Duration::ZERO, take).await?;
        Ok(got.map(|from| (body, from)))
    }

    /// Gives `take` the whole of a URL, if it has no more than `most` bytes; says where it came from in the end. However slowly it
    /// comes, it comes within the stall time, or within `patience`, if that is longer.
    async fn get(
        &self,
        url: &Url,
        most: u64,
        patience: Duration,
        mut take: impl FnMut(&[u8]) -> Result<(), VaultError>,
    ) -> Result<Result<Url, PollError>, End> {
        let patience = patience.max(self.context.job.stall);
        let getting = async {
            let Some(mut stream) = self.context.tools.media.open(url.as_str(), 0).await? else {
                return Err(PollError::Nothing);
            };
            let mut left = most;
            while let Some(bytes) = stream.next().await? {
                left = left.checked_sub(bytes.len() as u64).ok_or(PollError::TooLong { most })?;
                take(&bytes)?;
            }
            Ok(stream.url)
        };
        let got = tokio::select! {
            biased;
            () = self.context.stop.cancelled() => return Err(End::Ended(Ended::Stopped)),
            got = tokio::time::timeout(patience, getting) => got.unwrap_or(Err(PollError::Slow { patience })),
        };
        match got {
            // That is not the server's fault.
            Err(PollError::Archive(error)) => Err(error.into()),
            got => Ok(got),
        }
    }

    /// Takes what is new. Says whether anything of it was of use.
    async fn take(&mut self, polled: &Polled, pieces: &mut Pieces<'_>, news: Instant) -> Result<bool, End> {
        let arrival = pieces.now();
        let mut taken = false;
        // What the playlist names behind each segment, in milliseconds: so much earlier that segment was there.
        let mut behind: i64 = polled.segments.iter().map(|segment| segment.milliseconds).sum();
        // The playlist is looked at about as often as its longest segment lasts.
        let longest = polled.segments.iter().map(|segment| segment.milliseconds).max().unwrap_or(0);
        let step = longest.max(i64::try_from(polled.next_poll.as_millis()).unwrap_or(0));
        for segment in &polled.segments {
            behind -= segment.milliseconds;
            let there = instant::Instant::from_millis(arrival.as_millis() - behind);
            let (begins, ends) = (self.media, self.media + segment.milliseconds);
            self.media = ends;
            // What a first playlist names of the past may be there already.
            let is_new = pieces.container().is_none();
            if is_new && there.to_utc_second() <= pieces.covered() {
                (self.broken, taken) = (true, true);
                continue;
            }
            let Some(mut found) = self.fetch(segment).await? else {
                self.broken = true;
                if !taken && news.elapsed() >= self.context.job.stall {
                    return Ok(false);
                }
                continue;
            };
            let leaps = self.broken
                || match segment.seam {
                    hls::Seam::None => false,
                    // A server may sign the address of its initialization anew each time.
                    hls::Seam::Map => found.map_changed,
                    hls::Seam::First | hls::Seam::Restarted | hls::Seam::Skipped { .. } | hls::Seam::Discontinuity => {
                        true
                    }
                };
            (self.broken, taken) = (false, true);
            let is_other = pieces.container() != Some(found.container);
            let is_due = pieces.next_cut().is_some_and(|cut| begins >= cut);
            if is_new || leaps || is_other || is_due {
                let seam = match (is_new, leaps, is_other) {
                    (true, ..) => Seam::First,
                    (_, true, _) => Seam::Hole,
                    (.., true) => Seam::Changed,
                    _ => Seam::Mark,
                };
                let container = found.container;
                // Its first picture was there as long before its end as it lasts.
                let arrival = instant::Instant::from_millis(there.as_millis() - segment.milliseconds);
                pieces.begin(Begin { container, arrival, media: begins, seam, before: None, step })?;
                if let Some((_, map)) = self.map.as_ref().filter(|_| container == Container::Mp4) {
                    pieces.append(map)?;
                }
            }
            found.bytes.read(found.good_bytes, |bytes| pieces.append(bytes))?;
            pieces.heard(there, ends)?;
            pieces.settle().await.map_err(End::Failed)?;
            // The last pictures of a segment may be in the next one, as far as their time is concerned.
            if pieces.is_over(ends - REORDERED) {
                return Err(End::Ended(Ended::Over));
            }
            if let Some(known_until) = pieces.lost_after(arrival) {
                return Err(End::Ended(Ended::Lost { known_until }));
            }
            if pieces.problem.is_some() {
                return Err(interrupted("what came cannot be used"));
            }
            if let Some(ended) = self.context.tell_codec(pieces) {
                return Err(End::Ended(ended));
            }
        }
        Ok(taken)
    }

    /// A segment, with the initialization that it needs at hand; nothing when it does not come, or is of no use.
    async fn fetch(&mut self, segment: &Segment) -> Result<Option<Found>, End> {
        let mut map_changed = false;
        if let Some(url) = &segment.map
            && self.map.as_ref().is_none_or(|(known, _)| known != url)
        {
            let Some(mut came) = self.get_patiently(url, "initialization", segment, LONGEST_MAP).await? else {
                return Ok(None);
            };
            let map = first_of(&mut came, LONGEST_MAP)?;
            map_changed = self.map.as_ref().is_some_and(|(_, known)| *known != map);
            self.map = Some((Arc::clone(url), map));
        }
        let Some(mut bytes) = self.get_patiently(&segment.url, "segment", segment, longest(segment)).await? else {
            return Ok(None);
        };
        let first = first_of(&mut bytes, FIRST)?;
        let Some(container) = container_of(&first) else {
            let first = Untrusted::from_bytes(&first);
            return Err(interrupted(format!("a segment is neither MPEG-TS nor fragmented MP4, but begins {first:?}")));
        };
        let mut examiner = Examiner::new(container);
        let map = self.map.as_ref().filter(|_| container == Container::Mp4).map_or(&[][..], |(_, map)| map);
        examiner.push(map);
        bytes.read(u64::MAX, |bytes| {
            examiner.push(bytes);
            Ok(())
        })?;
        let examined = examiner.examined();
        if let Some(problem) = examined.problem {
            tracing::warn!(sequence = segment.sequence, "a segment of a live stream is of no use: {problem}");
            return Ok(None);
        }
        // A torn segment would spoil those behind it.
        let good_bytes = examined.good_bytes.saturating_sub(map.len() as u64);
        Ok(Some(Found { container, bytes, good_bytes, map_changed }))
    }

    /// What belongs to a segment, when it comes: `most` bytes of it.
    async fn get_patiently(&self, url: &Url, what: &str, segment: &Segment, most: u64) -> Result<Option<Spool>, End> {
        let patience = Duration::from_millis(segment.milliseconds.unsigned_abs()) * 3;
        for tries in 1.. {
            let mut came = self.context.tools.vault.spool();
            let error = match self.get(url, most, patience, |bytes| came.append(bytes)).await? {
                Ok(_) => return Ok(Some(came)),
                Err(error) => error,
            };
            // OK to count an address that is not asked: it is the same the next time.
            let is_gone = matches!(
                error,
                PollError::Media(
                    MediaError::Status { status: 400..500, .. } | MediaError::Denied(_) | MediaError::Astray(_)
                ) | PollError::TooLong { .. }
            );
            if is_gone || tries >= SEGMENT_TRIES {
                tracing::warn!("the {what} of a live stream did not come: {error}");
                return Ok(None);
            }
            if !self.context.wait(RETRY_PAUSE).await {
                return Err(End::Ended(Ended::Stopped));
            }
        }
        unreachable!("the tries end")
    }
}

/// Why something of a stream did not come.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Playlist(#[from] hls::PlaylistError),
    #[error("the media server has nothing of it")]
    Nothing,
    #[error("the media server sent more than {most} bytes")]
    TooLong { most: u64 },
    /// It cannot be kept, which ends the run.
    #[error(transparent)]
    Archive(#[from] VaultError),
    #[error("it was not there after {} s", patience.as_secs_f64())]
    Slow { patience: Duration },
}

/// A segment that came.
struct Found {
    container: Container,
    bytes: Spool,
    /// How many of them, from the first one on.
    good_bytes: u64,
    /// Whether its initialization is another one than the last segment's.
    map_changed: bool,
}

/// How many bytes a segment may have.
fn longest(segment: &Segment) -> u64 {
    let seconds = segment.milliseconds.unsigned_abs().div_ceil(1000);
    (seconds * SEGMENT_BYTES_A_SECOND + SEGMENT_BYTES_BESIDE).min(LONGEST_SEGMENT)
}

/// The first bytes of what came: `most`, or as many as there are.
fn first_of(came: &mut Spool, most: u64) -> Result<Vec<u8>, VaultError> {
    let mut first = Vec::new();
    came.read(most, |bytes| {
        first.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(first)
}

/// What a segment's first bytes say it is.
fn container_of(bytes: &[u8]) -> Option<Container> {
    const MP4_BOXES: [&[u8]; 6] = [b"ftyp", b"styp", b"sidx", b"moof", b"emsg", b"prft"];
    match bytes {
        [0x47, ..] => Some(Container::MpegTs),
        [_, _, _, _, kind @ ..] if MP4_BOXES.iter().any(|name| kind.starts_with(name)) => Some(Container::Mp4),
        _ => None,
    }
}
