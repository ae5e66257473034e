//! What a live channel's URLs send: an FLV without an end, or HLS. A channel that is closed is not found.

use std::io;
use std::ops::Range;
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
use crate::time_range::{TimeRange, UtcSecond};

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
    let viewer = Viewer {
        shared,
        name,
        channel,
        footage,
        next: 0,
        begun: false,
        changed: false,
        left_out: None,
        bytes: 0,
        gone: false,
    };
    let body = Body::from_stream(stream::unfold(Some(viewer), |viewer| async { viewer?.advance().await }));
    ([(header::CONTENT_TYPE, "video/x-flv")], body).into_response()
}

/// Answers a GET of a channel's playlist, or of a file that the playlist names.
pub fn serve_hls(shared: &Shared, name: &str, file: &str) -> Response {
    let form = shared.config.hls;
    let found = shared.with_world(|world, log, now| {
        let channel = may_open(world, name, now);
        let hls = channel.as_ref().and_then(|channel| hls(channel, form, now));
        let found = hls.as_ref().and_then(|hls| hls.file(file));
        // What is not there keeps no channel open.
        let channel = channel.filter(|_| found.is_some()).and_then(|_| world.channels.ask(name, now));
        let segment = hls.and_then(|hls| hls.segment(file));
        let seconds = channel.as_ref().and_then(|channel| seconds_of(channel, segment?));
        let bytes = found.as_ref().map_or(0, |(_, bytes)| bytes.len());
        log.live(LiveRecord { seconds, ..record(channel.as_ref(), LiveForm::Hls, now, bytes) });
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

/// The channel's HLS as far as it has come. Segments begin at multiples of their length on the cameras' clocks, the same ones
/// on every channel; when a channel is opened, the last one before is there already, and is its first.
fn hls(channel: &Channel, form: HlsForm, now: Instant) -> Option<Hls> {
    let opened = channel.camera_clock(channel.opened).to_utc_second();
    let first = first_segment(channel);
    // The segments that are finished, or that have begun, when so many seconds have passed since the channel was opened.
    let since_first = |seconds: u64| seconds + (opened - first).unsigned_abs();
    let finished = |seconds: u64| since_first(seconds) / SEGMENT_SECONDS;
    let begun = |seconds: u64| since_first(seconds).div_ceil(SEGMENT_SECONDS);

    let passed = (channel.camera_second(now) - opened).max(0).unsigned_abs();
    let mut hls =
        Hls { codec: channel.codec, form, changes_at: None, left_out: None, finished: finished(passed), ended: false };
    match channel.fault {
        Some(LiveFault::DropAfterSeconds(n)) if passed >= n.into() => return None,
        Some(LiveFault::StallAfterSeconds(n)) => hls.finished = finished(passed.min(n.into())),
        Some(LiveFault::EndAfterSeconds(n)) => {
            hls.finished = finished(passed.min(n.into()));
            hls.ended = passed >= n.into();
        }
        Some(LiveFault::PauseAfterSeconds { after, seconds }) if seconds > 0 => {
            hls.left_out = Some(finished(after.into())..begun(u64::from(after) + u64::from(seconds)));
        }
        Some(LiveFault::ChangeAfterSeconds(n)) => hls.changes_at = Some(begun(n.into())),
        _ => {}
    }
    Some(hls)
}

/// Where the first segment of a channel begins.
fn first_segment(channel: &Channel) -> UtcSecond {
    let opened = channel.camera_clock(channel.opened).to_utc_second();
    // OK: a segment has a few seconds.
    let length = SEGMENT_SECONDS as i64;
    opened - opened.get().rem_euclid(length) - length
}

/// The seconds that a segment of a channel shows.
fn seconds_of(channel: &Channel, segment: u64) -> Option<TimeRange> {
    let begins = i64::try_from(segment.checked_mul(SEGMENT_SECONDS)?).ok()?;
    let start = first_segment(channel) + begins;
    TimeRange::new(start, start + SEGMENT_SECONDS as i64)
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
        left_out: None,
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
    /// The seconds that a pause left out, counted likewise.
    left_out: Option<Range<u64>>,
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
            self.pause_if_due();
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
                self.pause_if_due();
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
                Some(LiveFault::EndAfterSeconds(_)) if self.goes_wrong_here() => {
                    self.leave(MediaEvent::Failed);
                    return None;
                }
                Some(LiveFault::StallAfterSeconds(_)) if self.goes_wrong_here() => self.shared.stop.cancelled().await,
                _ => {
                    let due = self.channel.time_of(self.footage.began() + self.signed(self.next) + 1);
                    self.wait(tokio::time::sleep(due.since(self.shared.now()))).await;
                }
            }
        }
    }

    /// Whether the stream stalls, breaks off or ends before the next second.
    fn goes_wrong_here(&self) -> bool {
        use LiveFault::{DropAfterSeconds, EndAfterSeconds, StallAfterSeconds};
        match self.channel.fault {
            Some(DropAfterSeconds(n) | EndAfterSeconds(n) | StallAfterSeconds(n)) => self.next >= u64::from(n),
            _ => false,
        }
    }

    /// Passes over the seconds of a pause that begins here. The next one is sent when it is over, and so after the pause.
    fn pause_if_due(&mut self) {
        let Some(LiveFault::PauseAfterSeconds { after, seconds }) = self.channel.fault else { return };
        if seconds > 0 && self.next == u64::from(after) {
            let behind = (u64::from(after) + u64::from(seconds)).next_multiple_of(KEYFRAME_SECONDS.into());
            self.left_out = Some(self.next..behind);
            self.next = behind;
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
        // What a pause leaves out is left out when something comes behind it.
        let (end, left_out) = match self.left_out.clone() {
            Some(left_out) if left_out.end == self.next => (left_out.start, None),
            left_out => (self.next, left_out),
        };
        let began = self.footage.began();
        let range =
            |seconds: Range<u64>| TimeRange::new(began + self.signed(seconds.start), began + self.signed(seconds.end));
        let (seconds, left_out) = (range(0..end), left_out.and_then(range));
        self.shared.with_world(|world, log, now| {
            world.channels.leave(&self.name, now);
            let left = record(Some(&self.channel), LiveForm::Flv, now, 0);
            log.live(LiveRecord { live: event, seconds, left_out, bytes: self.bytes, ..left });
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::DeviceId;
    use crate::sim::channels::{Channels, LiveClock, Wanted};
    use crate::sim::moment::Length;

    const START: Instant = Instant::from_millis(1_795_176_000_000);

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    /// A channel that is opened so many seconds after a multiple of four.
    fn channel(opened: u64, fault: Option<LiveFault>) -> Channel {
        let mut channels = Channels::new(1, Length::seconds(10), LiveClock::new(START, START, 1.0));
        let device = DeviceId::new(5).expect("not negative");
        let wanted = Wanted { device, secondary: false, standing_until: None };
        let (name, _) = channels.open(wanted, Codec::H264, fault, after(opened));
        channels.find(&name, after(opened)).expect("it is open")
    }

    /// What the playlist names so many seconds after START, by the seconds since then that each segment shows.
    fn shown(channel: &Channel, now: u64) -> Vec<i64> {
        let Some(hls) = hls(channel, HlsForm::Ts, after(now)) else { return Vec::new() };
        let (_, playlist) = hls.file("index.m3u8").expect("there is a playlist");
        let playlist = String::from_utf8(playlist).expect("text");
        let names = playlist.lines().filter(|line| line.starts_with("segment-"));
        let seconds = names.map(|name| seconds_of(channel, hls.segment(name).expect("it is there")).expect("seconds"));
        seconds.map(|range| range.start() - START.to_utc_second()).collect()
    }

    #[test]
    fn segments_are_the_same_seconds_on_every_channel() {
        assert_eq!(shown(&channel(0, None), 0), [-4], "one is there already");
        assert_eq!(shown(&channel(40, None), 60), [40, 44, 48, 52, 56]);
        for opened in 40..44 {
            let channel = channel(opened, None);
            assert_eq!(shown(&channel, 47), [36, 40], "opened at {opened}");
            assert_eq!(shown(&channel, 48), [36, 40, 44], "opened at {opened}");
        }
    }

    #[test]
    fn a_pause_leaves_out_every_segment_that_it_touches() {
        let paused = |after, seconds| channel(41, Some(LiveFault::PauseAfterSeconds { after, seconds }));
        // From 48 to 58: up to the segment that ends at 60.
        let channel = paused(7, 10);
        for now in 48..64 {
            assert_eq!(shown(&channel, now), [36, 40, 44], "{now}");
        }
        assert_eq!(shown(&channel, 64), [60]);
        assert_eq!(shown(&channel, 68), [60, 64]);
        assert_eq!(shown(&paused(6, 1), 52), [48], "from 47 to 48");
        assert_eq!(shown(&paused(6, 0), 52), [36, 40, 44, 48], "a pause of nothing");
    }

    #[test]
    fn an_end_and_a_stall_come_after_the_last_whole_segment_and_a_break_takes_all_away() {
        let ends = channel(41, Some(LiveFault::EndAfterSeconds(10)));
        let is_ended = |now| hls(&ends, HlsForm::Ts, after(now)).is_some_and(|hls| hls.ended);
        assert!(!is_ended(50) && is_ended(51) && is_ended(80));
        let stalls = channel(41, Some(LiveFault::StallAfterSeconds(10)));
        for now in [51, 80] {
            assert_eq!((shown(&ends, now), shown(&stalls, now)), (vec![36, 40, 44], vec![36, 40, 44]));
        }
        let breaks = channel(41, Some(LiveFault::DropAfterSeconds(10)));
        assert_eq!((shown(&breaks, 50).len(), shown(&breaks, 51).len()), (3, 0));
    }
}
