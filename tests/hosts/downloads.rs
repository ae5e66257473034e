//! What the platform and the recorders do with downloads that several hosts ask for.

use archive::outcome::{Class, Outcome};
use archive::window::Window;

use super::model::{Fleet, Recorder, chance};

/// How long the platform takes to give a URL, and to refuse, in milliseconds.
const REPLY: i64 = 300;
const REFUSAL: i64 = 100;

/// One download, or a call that was refused.
#[derive(Clone, Debug)]
pub struct Download {
    pub host: usize,
    pub window: Window,
    pub outcome: Outcome,
    /// From when it streams; nothing when it was refused.
    pub streams_at: Option<i64>,
    pub ends_at: i64,
}

pub struct Downloads<'a> {
    fleet: &'a Fleet,
    /// Which download each camera has.
    open: Vec<Option<usize>>,
    running: Vec<usize>,
    /// All that there ever were, by number; nothing once they have ended.
    all: Vec<Option<Download>>,
    pub calls: u64,
    pub refused: u64,
}

impl<'a> Downloads<'a> {
    pub fn new(fleet: &'a Fleet) -> Self {
        Self {
            fleet,
            open: vec![None; fleet.cameras.len()],
            running: vec![0; fleet.recorders.len()],
            all: Vec::new(),
            calls: 0,
            refused: 0,
        }
    }

    /// The host whose download a camera has.
    pub fn holder(&self, camera: usize) -> Option<usize> {
        self.open[camera].and_then(|number| self.all[number].as_ref()).map(|download| download.host)
    }

    /// Asks for a window at `at` for a host that takes `slowness` thousandths of the usual time. Gives the download's number.
    pub fn ask(&mut self, host: usize, window: Window, slowness: i64, at: i64) -> usize {
        let number = self.all.len();
        self.calls += 1;
        let camera = window.device.get() as usize;
        let recorder = self.fleet.cameras[camera].recorder;
        let truth = &self.fleet.recorders[recorder];
        let refusal = if Recorder::is_in(&truth.offline, at) {
            Some(Class::NvrOffline)
        } else if self.open[camera].is_some() {
            // What the platform answers to a second download of a camera.
            Some(Class::CameraBusy)
        } else {
            (self.running[recorder] >= truth.channels_at(at)).then_some(Class::NvrFull)
        };
        let download = match refusal {
            Some(class) => {
                self.refused += 1;
                let outcome = Outcome::Missed(class);
                Download { host, window, outcome, streams_at: None, ends_at: at + REFUSAL }
            }
            None => {
                self.open[camera] = Some(number);
                self.running[recorder] += 1;
                let streams_at = at + REPLY;
                let breaks = chance(self.fleet.seed ^ self.calls, &window) % 1_000 < truth.drops_per_mille;
                let takes = self.fleet.takes(recorder, &window) * slowness / 1_000 / if breaks { 2 } else { 1 };
                let outcome = if breaks { Outcome::Broken } else { Outcome::Archived };
                Download { host, window, outcome, streams_at: Some(streams_at), ends_at: streams_at + takes }
            }
        };
        self.all.push(Some(download));
        number
    }

    /// The download of that number, unless it has ended or was cut.
    pub fn get(&self, number: usize) -> Option<&Download> {
        self.all[number].as_ref()
    }

    /// A download ends, or is cut: its camera and its channel are free.
    pub fn end(&mut self, number: usize) -> Option<Download> {
        let download = self.all[number].take()?;
        if download.streams_at.is_some() {
            let camera = download.window.device.get() as usize;
            self.open[camera] = None;
            self.running[self.fleet.cameras[camera].recorder] -= 1;
        }
        Some(download)
    }
}
