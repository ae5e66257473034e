//! What a test forces: answers, one by one, and a recorder's troubles.

use std::collections::{HashMap, VecDeque};

use crate::device::DeviceId;
use crate::platform::wire::method::START_PLAY;
use crate::sim::fault::{LiveFault, MediaFault};

/// One forced answer. It is given to a call whose common parameters are right, and uses nothing of the world except
/// where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scripted {
    /// That `stat.code`, with the vendor's name for it.
    Stat(i64),
    /// `stat.code` 0 and that `data.result`, without a URL. Like the two below it is for downloads: a live stream is answered
    /// as it is.
    Result(i64),
    /// A URL, whatever the world is like, whose stream goes wrong in that way and no other.
    Stream(MediaFault),
    /// A URL, whatever the world is like, that plays all the footage there is.
    Whole,
    /// That HTTP status and body instead of the gateway's.
    Http(u16, String),
    /// No answer; the connection stays open.
    Silence,
    /// What the world answers by itself, and a live stream that goes wrong in that way. A download is answered as it is.
    Live(LiveFault),
    /// What the world answers by itself.
    AsIs,
}

/// What a test does to a recorder: unlike what a set-up says, it needs no moment at which it begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not online (1).
    Offline,
    /// Its CPU is too busy (-5).
    Overloaded,
    /// So many of its channels are taken by somebody else's playback (-4).
    Taken(u32),
}

/// What is still to be forced.
#[derive(Default)]
pub struct Scripts {
    by_device: HashMap<DeviceId, VecDeque<Scripted>>,
    live_by_device: HashMap<DeviceId, VecDeque<Scripted>>,
    by_method: HashMap<String, VecDeque<Scripted>>,
}

impl Scripts {
    /// Forces the next answers to `startRecReqDown` for `device`, after those already forced.
    pub fn add(&mut self, device: DeviceId, answers: impl IntoIterator<Item = Scripted>) {
        self.by_device.entry(device).or_default().extend(answers);
    }

    /// The same of `startNewMediaPlay`.
    pub fn add_live(&mut self, device: DeviceId, answers: impl IntoIterator<Item = Scripted>) {
        self.live_by_device.entry(device).or_default().extend(answers);
    }

    /// Forces the next answers to a method, for whatever it is called.
    pub fn add_for_method(&mut self, method: &str, answers: impl IntoIterator<Item = Scripted>) {
        self.by_method.entry(method.to_owned()).or_default().extend(answers);
    }

    /// Takes the next forced answer; the method's come before the device's.
    pub fn next(&mut self, method: &str, device: Option<DeviceId>) -> Option<Scripted> {
        let of_method = self.by_method.get_mut(method).and_then(VecDeque::pop_front);
        let of_device = if method == START_PLAY { &mut self.live_by_device } else { &mut self.by_device };
        of_method.or_else(|| of_device.get_mut(&device?)?.pop_front())
    }
}
