//! What a live channel's URLs send: an FLV without an end, or HLS. A channel that is closed is not found.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;

use crate::instant::Instant;
use crate::sim::channels::{Channel, Codec};
use crate::sim::fault::LiveFault;
use crate::sim::footage::{KEYFRAME_SECONDS, LiveFootage, Picture};
use crate::sim::hls::{Hls, HlsForm, SEGMENT_SECONDS};
use crate::sim::log::{LiveForm, LiveRecord, MediaEvent};
use crate::sim::media::{BEFORE_ABORT, aborted};
use crate::sim::server::Shared;
use crate::sim::world::World;
use crate::time_range::TimeRange;

/// The most seconds of media in one chunk, for a viewer who reads too slowly.
const MOST_AT_ONCE: u64 = 64;

/// Answers a GET of a channel's `live.flv`.
pub fn serve_flv(shared: Arc<Shared>, name: String) -> Response {
    let opened = shared.with_world(|world, log, now| {
        let channel = may_open(world, &name, now).filter(|channel| channel.codec == Codec::H264);
        let channel = channel.and_then(|_| world.channels.watch(&name, now));
        let device = channel.as_ref().map(|channel| channel.wanted.device);
        log.live(record(channel.as_ref(), LiveForm::Flv, now, 0));
        let channel = channel?;
        let picture = if channel.wanted.secondary { Picture::Small } else { Picture::Large };
        let footage = LiveFootage::new(device?, picture, channel.camera_second(now), |second| {
            world.model.live_timestamp(channel.wanted.device, second)
        });
        Some((channel, footage))
    });
    let Some((channel, footage)) = opened else { return not_found() };
    let viewer =
        Viewer { shared, name, channel, footage, next: 0, begun: false, changed: false, bytes: 0, gone: false };
    let body = Body::from_stream(stream::unfold(Some(viewer), |viewer| async { viewer?.advance().await }));
    ([(header::CONTENT_TYPE, "video/x-flv")], body).into_response()
}

/// Answers a GET of a channel's playlist, or of a file that the playlist names.
pub fn serve_hls(shared: &Shared, name: &str, file: &str) -> Response {
    let form = shared.config.hls;
    let found = shared.with_world(|world, log, now| {
        let channel = may_open(world, name, now);
        let found = channel.as_ref().and_then(|channel| hls(channel, form, now)).and_then(|hls| hls.file(file));
        // What is not there keeps no channel open.
        let channel = channel.filter(|_| found.is_some()).and_then(|_| world.channels.ask(name, now));
        log.live(record(channel.as_ref(), LiveForm::Hls, now, found.as_ref().map_or(0, |(_, bytes)| bytes.len())));
        found
    });
    match found {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => not_found(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "no such stream\n").into_response()
}

/// The channel of that name, unless its camera is off or its fault hides it.
fn may_open(world: &mut World, name: &str, now: Instant) -> Option<Channel> {
    let channel = world.channels.find(name, now)?;
    let sends = world.model.sends_live(channel.wanted.device, channel.camera_clock(now));
    (sends && channel.fault != Some(LiveFault::NotFound)).then_some(channel)
}

/// The channel's HLS as far as it has come. When the channel is opened, one segment is there already.
fn hls(channel: &Channel, form: HlsForm, now: Instant) -> Option<Hls> {
    let mut seconds = channel.camera_clock(now).since(channel.opened).as_secs();
    let mut changes_at = None;
    match channel.fault {
        Some(LiveFault::DropAfterSeconds(n)) if seconds >= u64::from(n) => return None,
        Some(LiveFault::StallAfterSeconds(n)) => seconds = seconds.min(u64::from(n)),
        Some(LiveFault::ChangeAfterSeconds(n)) => changes_at = Some(1 + u64::from(n).div_ceil(SEGMENT_SECONDS)),
        _ => {}
    }
    Some(Hls { codec: channel.codec, form, changes_at, finished: 1 + seconds / SEGMENT_SECONDS })
}

/// That a channel was found, or that none was.
fn record(channel: Option<&Channel>, form: LiveForm, at: Instant, bytes: usize) -> LiveRecord {
    LiveRecord {
        at,
        live: if channel.is_some() { MediaEvent::Opened } else { MediaEvent::Refused },
        form,
        channel: channel.map(|channel| channel.number),
        device: channel.map(|channel| channel.wanted.device),
        seconds: None,
        fault: channel.and_then(|channel| channel.fault),
        bytes: bytes as u64,
    }
}

/// Somebody who watches an FLV. However it ends, the channel is told once.
struct Viewer {
    shared: Arc<Shared>,
    name: String,
    channel: Channel,
    footage: LiveFootage,
    /// The second that is sent next, counted from the first one that was.
    next: u64,
    begun: bool,
    changed: bool,
    bytes: u64,
    gone: bool,
}

type Chunk = Result<Bytes, io::Error>;

impl Viewer {
    /// The next chunk, and what is left after it. A second is sent when it is over: before, it has not been filmed.
    async fn advance(mut self) -> Option<(Chunk, Option<Self>)> {
        let mut bytes = Vec::new();
        if !self.begun {
            self.begun = true;
            bytes = self.footage.preface();
        }
        loop {
            if self.shared.stop.is_cancelled() {
                return Some((Err(aborted()), None));
            }
            let finished = self.channel.camera_second(self.shared.now()) - self.footage.began();
            let finished = finished.max(0).unsigned_abs().min(self.next + MOST_AT_ONCE);
            while self.next < finished && !self.goes_wrong_here() && self.sends() {
                self.change_if_due(&mut bytes);
                bytes.append(&mut self.footage.second(self.next));
                self.next += 1;
            }
            if !bytes.is_empty() {
                self.bytes += bytes.len() as u64;
                return Some((Ok(bytes.into()), Some(self)));
            }
            if !self.sends() {
                self.leave(MediaEvent::Failed);
                return None;
            }
            match self.channel.fault {
                Some(LiveFault::DropAfterSeconds(_)) if self.goes_wrong_here() => {
                    self.wait(tokio::time::sleep(BEFORE_ABORT)).await;
                    self.leave(MediaEvent::Failed);
                    return Some((Err(aborted()), None));
                }
                Some(LiveFault::StallAfterSeconds(_)) if self.goes_wrong_here() => self.shared.stop.cancelled().await,
                _ => {
                    let due = self.channel.time_of(self.footage.began() + self.signed(self.next) + 1);
                    self.wait(tokio::time::sleep(due.since(self.shared.now()))).await;
                }
            }
        }
    }

    /// Whether the stream stalls or breaks off before the next second.
    fn goes_wrong_here(&self) -> bool {
        match self.channel.fault {
            Some(LiveFault::DropAfterSeconds(n) | LiveFault::StallAfterSeconds(n)) => self.next >= u64::from(n),
            _ => false,
        }
    }

    /// Whether the camera is on in the next second.
    fn sends(&self) -> bool {
        let second = self.footage.began() + self.signed(self.next);
        let device = self.channel.wanted.device;
        self.shared.with_world(|world, _, _| world.model.sends_live(device, Instant::from(second)))
    }

    fn change_if_due(&mut self, bytes: &mut Vec<u8>) {
        let Some(LiveFault::ChangeAfterSeconds(n)) = self.channel.fault else { return };
        if !self.changed && self.next == u64::from(n.next_multiple_of(KEYFRAME_SECONDS)) {
            self.changed = true;
            bytes.append(&mut self.footage.change(self.next));
        }
    }

    /// OK to hold at the largest: no stream lasts that long.
    fn signed(&self, seconds: u64) -> i64 {
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }

    fn leave(&mut self, event: MediaEvent) {
        if self.gone {
            return;
        }
        self.gone = true;
        let began = self.footage.began();
        let seconds = TimeRange::new(began, began + self.signed(self.next));
        self.shared.with_world(|world, log, now| {
            world.channels.leave(&self.name, now);
            let left = record(Some(&self.channel), LiveForm::Flv, now, 0);
            log.live(LiveRecord { live: event, seconds, bytes: self.bytes, ..left });
        });
    }

    /// Waits, but not beyond the server's end.
    async fn wait(&self, sleep: tokio::time::Sleep) {
        tokio::select! {
            () = sleep => {}
            () = self.shared.stop.cancelled() => {}
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leave(MediaEvent::Dropped);
    }
}
