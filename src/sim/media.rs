//! What a media URL sends: the footage piece by piece at the set speed, and the ways in which that goes wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::sim::config::Speed;
use crate::sim::draw::draw;
use crate::sim::fault::MediaFault;
use crate::sim::footage::Footage;
use crate::sim::log::{MediaEvent, MediaRecord};
use crate::sim::model::{Lease, Play};
use crate::sim::server::Shared;
use crate::window::Window;

/// How many seconds of media go into one chunk when nothing paces them.
const UNPACED_SECONDS: usize = 16;
/// A cut after so many bytes of a piece is inside its first tag: a header has 11, and no picture is shorter than 16.
const INSIDE_FIRST_TAG: usize = 24;
/// How long an aborted connection lingers, so that what was written before has mostly left the machine.
pub(super) const BEFORE_ABORT: Duration = Duration::from_millis(100);
const NOISE_BYTES: usize = 5000;
const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n";

/// Answers a GET of the download's URL.
pub fn serve(shared: Arc<Shared>, lease: Lease, headers: &HeaderMap) -> Response {
    let Some(play) = shared.open(lease) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let sending = Sending { shared, lease, play, bytes: 0, ended: false };
    match sending.play.fault.clone() {
        Some(MediaFault::Grows { from, per_second }) => growing(sending, from, per_second, headers),
        Some(MediaFault::Nothing) => sending.all_at_once(StatusCode::OK, "video/x-flv", Bytes::new()),
        Some(MediaFault::ErrorPage) => {
            sending.all_at_once(StatusCode::OK, "text/html", Bytes::from_static(PAGE.as_bytes()))
        }
        Some(MediaFault::Http(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            sending.all_at_once(status, "text/plain", body.into())
        }
        fault => {
            let script = Script::new(&sending.play.footage, fault.as_ref());
            let body = playback(sending, script);
            ([(header::CONTENT_TYPE, "video/x-flv")], body).into_response()
        }
    }
}

/// A request that is being answered. Whatever way it ends, the world is told once.
struct Sending {
    shared: Arc<Shared>,
    lease: Lease,
    play: Play,
    bytes: u64,
    ended: bool,
}

impl Sending {
    /// Says how it ended. It is said before the last bytes are handed over, so that a client that has seen the end never
    /// finds its own download in the way.
    fn end(&mut self, event: MediaEvent) {
        if !self.ended {
            self.ended = true;
            self.shared.close(self.record(event));
        }
    }

    fn record(&self, media: MediaEvent) -> MediaRecord {
        MediaRecord {
            at: self.shared.now(),
            media,
            lease: self.lease,
            device: Some(self.play.window.device),
            range: Some(self.play.window.range),
            fault: self.play.fault.clone(),
            bytes: self.bytes,
        }
    }

    fn all_at_once(mut self, status: StatusCode, kind: &'static str, body: Bytes) -> Response {
        self.bytes = body.len() as u64;
        self.end(MediaEvent::Failed);
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end(MediaEvent::Dropped);
    }
}

/// Where a stream stops being right, and what it does there.
#[derive(Debug)]
struct Script {
    /// The first piece that is not sent as it is.
    until: usize,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Every piece was sent.
    Finish,
    EndClean,
    EndInTag,
    Break,
    Stall,
    Garbage,
}

impl Script {
    fn new(footage: &Footage, fault: Option<&MediaFault>) -> Self {
        // Piece 0 is the header, so media second `n` is piece `n + 1`. A stream without media has nowhere to go wrong.
        let at = |seconds: u32| match footage.seconds() {
            0 => footage.pieces(),
            all => 1 + (seconds as usize).min(all - 1),
        };
        let (until, then) = match fault {
            Some(MediaFault::BreakAfterSeconds(n)) => (at(*n), Then::Break),
            Some(MediaFault::EndInTagAfterSeconds(n)) => (at(*n), Then::EndInTag),
            Some(MediaFault::ShortAfterSeconds(n)) => (at(*n), Then::EndClean),
            Some(MediaFault::StallAfterSeconds(n)) => (at(*n), Then::Stall),
            Some(MediaFault::GarbageAfterSeconds(n)) => (at(*n), Then::Garbage),
            Some(MediaFault::HeaderOnly) => (1, Then::EndClean),
            _ => (footage.pieces(), Then::Finish),
        };
        let then = if until == footage.pieces() { Then::Finish } else { then };
        Self { until, then }
    }
}

/// A stream on its way.
struct Playback {
    sending: Sending,
    script: Script,
    next: usize,
    started: tokio::time::Instant,
    stop: CancellationToken,
}

fn playback(sending: Sending, script: Script) -> Body {
    let stop = sending.shared.stop.clone();
    let playback = Playback { sending, script, next: 0, started: tokio::time::Instant::now(), stop };
    Body::from_stream(stream::unfold(Some(playback), |state| async { state?.advance().await }))
}

type Chunk = Result<Bytes, io::Error>;

impl Playback {
    /// The next chunk, and what is left after it.
    async fn advance(mut self) -> Option<(Chunk, Option<Self>)> {
        if self.stop.is_cancelled() {
            return Some((Err(aborted()), None));
        }
        if self.next < self.script.until {
            let chunk = self.pieces().await;
            return Some((chunk, Some(self)));
        }
        let inside_tag = || {
            let mut piece = self.sending.play.footage.piece(self.script.until);
            piece.truncate(INSIDE_FIRST_TAG);
            Bytes::from(piece)
        };
        match self.script.then {
            Then::Finish => None,
            Then::EndClean => {
                self.sending.end(MediaEvent::Failed);
                None
            }
            Then::EndInTag => {
                let chunk = inside_tag();
                self.script.then = Then::EndClean;
                Some((Ok(self.count(chunk)), Some(self)))
            }
            Then::Break if self.next == self.script.until => {
                let chunk = inside_tag();
                self.next += 1;
                Some((Ok(self.count(chunk)), Some(self)))
            }
            Then::Break => {
                self.wait(tokio::time::sleep(BEFORE_ABORT)).await;
                self.sending.end(MediaEvent::Failed);
                Some((Err(aborted()), None))
            }
            Then::Stall => {
                self.stop.cancelled().await;
                Some((Err(aborted()), None))
            }
            Then::Garbage => {
                let noise = noise(self.sending.play.window);
                self.script = Script { until: self.sending.play.footage.pieces(), then: Then::Finish };
                Some((Ok(self.count(noise)), Some(self)))
            }
        }
    }

    /// One piece when the speed is set, else several; none after the script's end.
    async fn pieces(&mut self) -> Chunk {
        let config = &self.sending.shared.config;
        let first = self.started + config.first_byte_after.to_duration();
        let (count, due) = match config.speed {
            Speed::Max => (UNPACED_SECONDS, first),
            Speed::Times(times) => (1, first + Duration::from_secs_f64(self.next as f64 / times)),
        };
        self.wait(tokio::time::sleep_until(due)).await;
        let end = self.script.until.min(self.next + count);
        let mut bytes = Vec::new();
        for index in self.next..end {
            bytes.append(&mut self.sending.play.footage.piece(index));
        }
        self.next = end;
        let chunk = self.count(bytes.into());
        if self.script.then == Then::Finish && self.next == self.script.until {
            self.sending.end(MediaEvent::SentWhole);
        }
        Ok(chunk)
    }

    fn count(&mut self, chunk: Bytes) -> Bytes {
        self.sending.bytes += chunk.len() as u64;
        chunk
    }

    /// Waits, but not beyond the server's end.
    async fn wait(&self, sleep: tokio::time::Sleep) {
        tokio::select! {
            () = sleep => {}
            () = self.stop.cancelled() => {}
        }
    }
}

pub(super) fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the simulated media server broke off")
}

/// Bytes that are no FLV, the same for the same window.
fn noise(window: Window) -> Bytes {
    let parts = [window.device.get().cast_unsigned(), window.range.start().get().cast_unsigned()];
    (0..NOISE_BYTES as u64).map(|index| draw(&[parts[0], parts[1], index]).to_le_bytes()[0]).collect()
}

/// A file that is sent as far as it has grown, from where the client asks.
fn growing(mut sending: Sending, from: u32, per_second: u32, headers: &HeaderMap) -> Response {
    let elapsed = sending.shared.now().since(sending.play.granted).as_secs();
    let seconds = u64::from(from) + elapsed.saturating_mul(u64::from(per_second));
    let footage = &sending.play.footage;
    let pieces = footage.pieces_of(usize::try_from(seconds).unwrap_or(usize::MAX));
    let length = footage.size_of(pieces);
    let start = range_start(headers);
    if start.is_some_and(|start| start >= length) {
        sending.end(MediaEvent::Failed);
        let unsatisfied = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
        return (StatusCode::RANGE_NOT_SATISFIABLE, unsatisfied).into_response();
    }
    let first = start.unwrap_or(0);
    let common = [
        (header::CONTENT_TYPE, "video/x-flv".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, (length - first).to_string()),
    ];
    let body = resume(sending, first, pieces);
    match start {
        None => (StatusCode::OK, common, body).into_response(),
        Some(first) => {
            let range = [(header::CONTENT_RANGE, format!("bytes {first}-{}/{length}", length - 1))];
            (StatusCode::PARTIAL_CONTENT, common, range, body).into_response()
        }
    }
}

/// Sends pieces up to number `pieces`, from byte `first` of the file on.
fn resume(sending: Sending, first: u64, pieces: usize) -> Body {
    let footage = &sending.play.footage;
    let (mut index, mut before) = (0, first);
    while index < pieces && footage.piece_size(index) as u64 <= before {
        before -= footage.piece_size(index) as u64;
        index += 1;
    }
    // OK to cut: less than one piece is left to skip.
    let state = (sending, index, before as usize);
    Body::from_stream(stream::unfold(state, move |(mut sending, index, skip)| async move {
        if index >= pieces {
            return None;
        }
        let end = pieces.min(index + UNPACED_SECONDS);
        let mut bytes: Vec<u8> = (index..end).flat_map(|index| sending.play.footage.piece(index)).collect();
        bytes.drain(..skip.min(bytes.len()));
        sending.bytes += bytes.len() as u64;
        if end == pieces {
            let whole = pieces == sending.play.footage.pieces();
            sending.end(if whole { MediaEvent::SentWhole } else { MediaEvent::Failed });
        }
        Some((Ok::<_, io::Error>(Bytes::from(bytes)), (sending, end, 0)))
    }))
}

/// N of `Range: bytes=N-`; other forms are as good as no header, which HTTP allows.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
