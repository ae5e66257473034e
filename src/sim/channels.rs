//! The live channels: how long each lives, and where the cameras' clocks stand. Time comes in as an argument.
//!
//! The cameras' clocks all show the same, whichever channel is looked at and however often it was opened. What a viewer does
//! goes by the platform's clock; the end of a standing channel is a time that a client knows, and so one of the cameras'.
//!
//! **\[doc\]** A channel that nobody pulls within 10 s of the answer is closed, and so is one whose last viewer leaves. A
//! standing channel is kept without a viewer until its time is up. **\[unknown\]**, and decided here: each call opens a
//! channel of its own; a standing channel that is being watched when its time is up lives until its last viewer leaves; who
//! plays HLS, and so holds no connection, has left when nothing was asked for as long as a new channel waits for its first
//! viewer; and the URLs of a channel that is closed are not found.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::DeviceId;
use crate::instant::Instant;
use crate::sim::draw::draw;
use crate::sim::fault::LiveFault;
use crate::sim::moment::Length;
use crate::time_range::UtcSecond;

/// How the pictures of a live stream are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264: every form of stream.
    #[default]
    H264,
    /// H.265: neither FLV nor RTMP. **\[doc\]**
    H265,
}

impl Codec {
    /// The platform's name of it; the vendor's page shows `H264` alone. **\[doc\]**
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which camera.
    pub device: DeviceId,
    /// Its secondary stream instead of the main one.
    pub secondary: bool,
    /// The end of a standing channel, on the cameras' clocks.
    pub standing_until: Option<Instant>,
}

/// What the cameras' clocks show: a time of their own when the platform starts, and so many times as fast from then on.
#[derive(Clone, Copy, Debug)]
pub struct LiveClock {
    started: Instant,
    from: Instant,
    speed: f64,
}

impl LiveClock {
    /// Clocks that show `from` when the platform's shows `started`. `speed` is above 0.
    pub fn new(started: Instant, from: Instant, speed: f64) -> Self {
        Self { started, from, speed }
    }

    /// What they show when the platform's clock shows `now`.
    pub fn at(&self, now: Instant) -> Instant {
        self.from + now.since(self.started).mul_f64(self.speed)
    }

    /// When they come to the beginning of `second`, on the platform's clock; its start for what was before.
    pub fn time_of(&self, second: UtcSecond) -> Instant {
        let milliseconds = Instant::from(second).since(self.from).as_millis() as f64 / self.speed;
        // Rounded up, so that the second has begun by then.
        self.started + Duration::from_millis(milliseconds.ceil() as u64)
    }
}

/// An open channel, as a viewer finds it.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its number, from 1.
    pub number: u64,
    /// What was asked for.
    pub wanted: Wanted,
    /// How its pictures are coded.
    pub codec: Codec,
    /// When it was opened, on the platform's clock.
    pub opened: Instant,
    /// What goes wrong with it.
    pub fault: Option<LiveFault>,
    clock: LiveClock,
    viewers: u32,
    /// Until when it waits for a first viewer; nothing once one came.
    waits_until: Option<Instant>,
    /// Until when those who only ask for playlists and segments are held to be there.
    asked_until: Option<Instant>,
}

impl Channel {
    /// What its camera's clock shows at `now`.
    pub fn camera_clock(&self, now: Instant) -> Instant {
        self.clock.at(now)
    }

    /// The second that its camera's clock shows.
    pub fn camera_second(&self, now: Instant) -> UtcSecond {
        self.camera_clock(now).to_utc_second()
    }

    /// When its camera's clock comes to the beginning of `second`.
    pub fn time_of(&self, second: UtcSecond) -> Instant {
        self.clock.time_of(second)
    }

    fn is_open(&self, now: Instant) -> bool {
        let stands = self.wanted.standing_until.is_some_and(|until| self.camera_clock(now) < until);
        let is_waited_for = [self.waits_until, self.asked_until].into_iter().flatten().any(|until| now < until);
        self.viewers > 0 || stands || is_waited_for
    }
}

/// Every channel that is open.
pub struct Channels {
    open: BTreeMap<String, Channel>,
    last: u64,
    seed: u64,
    life: Length,
    clock: LiveClock,
}

impl Channels {
    /// No channel. `life` is how long one waits for a viewer, on the platform's clock; `clock` is the cameras'.
    pub fn new(seed: u64, life: Length, clock: LiveClock) -> Self {
        Self { open: BTreeMap::new(), last: 0, seed, life, clock }
    }

    /// The cameras' clock.
    pub fn clock(&self) -> LiveClock {
        self.clock
    }

    /// Opens a channel: its name, which is part of its URLs, and its number.
    pub fn open(&mut self, wanted: Wanted, codec: Codec, fault: Option<LiveFault>, now: Instant) -> (String, u64) {
        self.expire(now);
        self.last += 1;
        let name = name(self.seed, self.last);
        let channel = Channel {
            number: self.last,
            wanted,
            codec,
            opened: now,
            fault,
            clock: self.clock,
            viewers: 0,
            waits_until: Some(now + self.life.to_duration()),
            asked_until: None,
        };
        self.open.insert(name.clone(), channel);
        (name, self.last)
    }

    /// The channel of that name; nothing when there is none, or it is closed.
    pub fn find(&mut self, name: &str, now: Instant) -> Option<Channel> {
        self.expire(now);
        self.open.get(name).cloned()
    }

    /// A viewer comes, and stays until [`Channels::leave`]. Nothing when there is no such channel, or it is closed.
    pub fn watch(&mut self, name: &str, now: Instant) -> Option<Channel> {
        self.expire(now);
        let channel = self.open.get_mut(name)?;
        channel.viewers += 1;
        channel.waits_until = None;
        Some(channel.clone())
    }

    /// A viewer asks for a playlist or a segment, and is gone with the answer. Nothing when there is no such channel.
    pub fn ask(&mut self, name: &str, now: Instant) -> Option<Channel> {
        self.expire(now);
        let later = now + self.life.to_duration();
        let channel = self.open.get_mut(name)?;
        channel.waits_until = None;
        channel.asked_until = Some(later);
        Some(channel.clone())
    }

    /// A viewer who came with [`Channels::watch`] leaves.
    pub fn leave(&mut self, name: &str, now: Instant) {
        if let Some(channel) = self.open.get_mut(name) {
            channel.viewers = channel.viewers.saturating_sub(1);
        }
        self.expire(now);
    }

    /// How many channels are open.
    pub fn count(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.open.len()
    }

    fn expire(&mut self, now: Instant) {
        self.open.retain(|_, channel| channel.is_open(now));
    }
}

/// A name in the form of the vendor's, that of a UUID. **\[doc\]**
fn name(seed: u64, number: u64) -> String {
    let (high, low) = (draw(&[seed, number, 0]), draw(&[seed, number, 1]));
    let digits = format!("{high:016x}{low:016x}");
    // OK to cut by bytes: they are digits.
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_millis(1_795_176_000_000);

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    fn channels() -> Channels {
        Channels::new(1, Length::seconds(10), LiveClock::new(START, START, 1.0))
    }

    fn wanted(standing_until: Option<Instant>) -> Wanted {
        Wanted { device: DeviceId::new(5).expect("not negative"), secondary: false, standing_until }
    }

    fn opened(channels: &mut Channels, standing_until: Option<Instant>) -> String {
        channels.open(wanted(standing_until), Codec::H264, None, START).0
    }

    #[test]
    fn a_channel_waits_ten_seconds_for_its_first_viewer() {
        let mut channels = channels();
        let name = opened(&mut channels, None);
        assert_eq!(channels.count(after(9)), 1);
        assert_eq!(channels.count(after(10)), 0);
        assert!(channels.watch(&name, after(10)).is_none());
        let name = opened(&mut channels, None);
        assert!(channels.watch(&name, after(9)).is_some());
        assert_eq!(channels.count(after(3600)), 1, "while it is watched");
    }

    #[test]
    fn it_is_closed_at_once_when_its_last_viewer_leaves() {
        let mut channels = channels();
        let name = opened(&mut channels, None);
        for _ in 0..2 {
            assert!(channels.watch(&name, after(1)).is_some());
        }
        channels.leave(&name, after(2));
        assert!(channels.watch(&name, after(3)).is_some(), "one is left");
        channels.leave(&name, after(4));
        channels.leave(&name, after(4));
        assert!(channels.watch(&name, after(4)).is_none(), "within the first ten seconds too");
    }

    #[test]
    fn a_standing_channel_needs_no_viewer_until_its_time_is_up() {
        let mut channels = channels();
        let name = opened(&mut channels, Some(after(60)));
        assert!(channels.watch(&name, after(50)).is_some());
        channels.leave(&name, after(51));
        assert_eq!(channels.count(after(59)), 1);
        assert_eq!(channels.count(after(60)), 0);
        let name = opened(&mut channels, Some(after(60)));
        assert!(channels.watch(&name, after(50)).is_some());
        assert_eq!(channels.count(after(90)), 1, "whoever watches then may stay");
        channels.leave(&name, after(90));
        assert_eq!(channels.count(after(90)), 0);
        opened(&mut channels, Some(after(3)));
        assert_eq!(channels.count(after(9)), 1, "a time that is too soon takes nothing away");
    }

    #[test]
    fn who_asks_for_playlists_keeps_a_channel_for_as_long_as_a_first_viewer_may_take() {
        let mut channels = channels();
        let name = opened(&mut channels, None);
        for second in [9, 18, 27] {
            assert!(channels.ask(&name, after(second)).is_some());
        }
        assert_eq!(channels.count(after(36)), 1);
        assert!(channels.ask(&name, after(37)).is_none());
        let name = opened(&mut channels, None);
        assert!(channels.ask(&name, START).is_some() && channels.watch(&name, START).is_some());
        channels.leave(&name, after(1));
        assert_eq!(channels.count(after(9)), 1, "one viewer of two left");
    }

    #[test]
    fn each_call_has_a_channel_of_its_own() {
        let mut channels = channels();
        let (one, two) = (opened(&mut channels, None), opened(&mut channels, None));
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
        assert!(channels.watch("", START).is_none());
        assert_eq!(channels.watch(&two, START).map(|channel| channel.number), Some(2));
    }

    #[test]
    fn the_cameras_clocks_run_as_fast_as_the_set_up_says_and_show_the_same_on_every_channel() {
        let an_hour_ago = START - Duration::from_secs(3600);
        let mut channels = Channels::new(1, Length::seconds(10), LiveClock::new(START, an_hour_ago, 60.0));
        let (one, _) = channels.open(wanted(None), Codec::H264, None, START);
        let early = channels.watch(&one, after(5)).expect("it is open");
        let (two, _) = channels.open(wanted(None), Codec::H264, None, after(20));
        let late = channels.watch(&two, after(25)).expect("it is open");
        for channel in [early, late] {
            assert_eq!(channel.camera_clock(START), an_hour_ago);
            assert_eq!(channel.camera_second(after(2)), an_hour_ago.to_utc_second() + 120);
            assert_eq!(channel.camera_clock(after(60) + Duration::from_secs(1)), after(60));
            assert_eq!(channel.time_of(an_hour_ago.to_utc_second() + 120), after(2));
            assert_eq!(channel.time_of(an_hour_ago.to_utc_second() - 5), START, "not before the platform is there");
        }
    }

    #[test]
    fn a_standing_channels_time_is_up_on_the_cameras_clock_and_its_viewers_patience_is_not() {
        let an_hour_ago = START - Duration::from_secs(3600);
        let mut channels = Channels::new(1, Length::seconds(10), LiveClock::new(START, an_hour_ago, 60.0));
        // Half an hour of the cameras' clocks, which is half a minute.
        let name = opened(&mut channels, Some(START - Duration::from_secs(1800)));
        assert!(channels.watch(&name, after(11)).is_some());
        channels.leave(&name, after(12));
        assert_eq!(channels.count(after(29)), 1);
        assert_eq!(channels.count(after(30)), 0);
        channels.open(wanted(None), Codec::H264, None, after(40));
        assert_eq!(channels.count(after(49)), 1, "ten seconds are ten seconds");
        assert_eq!(channels.count(after(50)), 0);
    }

    proptest! {
        /// A stream sends a second when it is over, and so waits until then: it would send it too early, or wait again.
        #[test]
        fn a_second_has_begun_when_its_time_comes_and_not_long_before(
            ahead in -10_000_000_000_i64..10_000_000_000, speed in 0.001_f64..1000.0, second in 0..1_000_000_i64,
        ) {
            let from = Instant::from_millis(START.as_millis() + ahead);
            let clock = LiveClock::new(START, from, speed);
            let second = from.to_utc_second() + second;
            let time = clock.time_of(second);
            let shown = clock.at(time + Duration::from_millis(1));
            prop_assert!(shown >= second.into(), "{} is before {}", shown, second);
            if time > START {
                let before = clock.at(time - Duration::from_millis(1));
                prop_assert!(before <= second.into(), "{} is after {}", before, second);
            }
        }
    }
}
