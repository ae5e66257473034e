//! What a run tells whoever displays it. A run prints nothing; it emits these.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::lease::HostId;
use crate::live_runs::HeldCamera;
use crate::outcome::{Attempt, Class};
use crate::recording::{Recording, VideoCodec};
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;
use crate::window::{Cause, Missing, Window};

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The plan is made and work begins.
    Started {
        /// How many windows the plan holds.
        windows: u64,
        /// How much time they cover.
        seconds: i64,
    },
    /// A file that an earlier run left behind was dealt with.
    Recovered(Recovery),
    /// An attempt began.
    AttemptStarted {
        /// At what.
        window: Window,
        /// On which NVR.
        nvr: NvrId,
    },
    /// Media came.
    Streaming {
        /// For which window.
        window: Window,
        /// Milliseconds of footage so far: there is no length, so this over the window's time is the progress.
        media_milliseconds: i64,
        /// Bytes so far.
        bytes: u64,
    },
    /// An attempt ended, and the ledger knows.
    AttemptEnded {
        /// At what.
        window: Window,
        /// What it came to.
        attempt: Attempt,
    },
    /// What an attempt brought is published, and the ledger knows.
    Archived {
        /// The recording.
        recording: Box<Recording>,
    },
    /// An NVR is left alone for a while.
    NvrHeld {
        /// Which.
        nvr: NvrId,
        /// Why.
        class: Class,
        /// Until when, on the run's clock; nothing when only the number of its downloads was cut.
        until: Option<Instant>,
        /// How many downloads it is believed to take at once.
        limit: usize,
    },
    /// It was found out which NVR serves a device.
    NvrLearned {
        /// The camera.
        device: DeviceId,
        /// Its NVR.
        nvr: NvrId,
    },
    /// It is one of the hosts that share the ledger's work.
    HostJoined {
        /// As which of them.
        host: HostId,
    },
    /// It was not heard of for too long, and others took it for dead: it ends what streams, and joins anew.
    HostLost {
        /// As which it was one of them.
        host: HostId,
    },
    /// Another host has taken over an NVR.
    LeaseLost {
        /// The NVR.
        nvr: NvrId,
    },
    /// It has nothing to do until other hosts have worked off, or given back, what they hold.
    HostsAwaited {
        /// At how many NVRs there is something left for its job.
        nvrs: usize,
    },
    /// Others have cameras that this live run is to record, or had them a moment ago: it waits until they are dead, or heard of.
    LiveWaits {
        /// Which, and who.
        held: Vec<HeldCamera>,
    },
    /// This live run was not heard of for too long, and was taken for dead: it has joined the others again.
    LiveJoinedAgain,
    /// Another live run has taken over a camera meanwhile: this one ends it.
    LiveTaken {
        /// Which, and who.
        held: HeldCamera,
    },
    /// A server that the run works with gives no answer, and is waited for.
    Away {
        /// Which.
        server: Server,
        /// What is known of the reason.
        why: String,
    },
    /// It answers again.
    Back {
        /// Which.
        server: Server,
    },
    /// Nothing new starts until the object store has taken something of what waits in the spool.
    SpoolFull {
        /// What is full, and by how much.
        why: String,
    },
    /// The spool has room again.
    SpoolHasRoom,
    /// Time that this run will not ask for again.
    GivenUp {
        /// Of which device, and which stretch.
        window: Window,
        /// Why.
        cause: Cause,
    },
    /// A window whose local label names another stretch of time too, at the end of summer time.
    AmbiguousLabel {
        /// Which.
        window: Window,
    },
    /// A live stream came, and is being recorded.
    LiveBegan {
        /// Of which camera.
        device: DeviceId,
        /// The platform's name of the URL that was taken, such as `tlsflv`.
        via: &'static str,
        /// How its pictures are coded, as the platform says; empty when it does not.
        said: Untrusted,
        /// The same as the stream's own bytes have it.
        codec: Option<VideoCodec>,
    },
    /// A piece of a live stream is published, and the ledger knows.
    LiveArchived {
        /// The recording.
        recording: Box<Recording>,
    },
    /// No live stream comes; the ledger knows.
    LiveInterrupted {
        /// Of which camera.
        device: DeviceId,
        /// The first second that is missing.
        since: UtcSecond,
        /// What happened.
        why: String,
        /// After how long it is asked for again.
        retry: Duration,
    },
    /// The archive's catalog could not be brought up to date. The ledger has it all, and the next run's end tries again.
    CatalogNotWritten {
        /// What happened.
        why: String,
    },
    /// Nothing more starts; what streams is ended.
    Stopping(StopReason),
    /// Work has ended.
    Ended(Summary),
}

impl Event {
    /// The recording that the archive has from now on, if that is what happened.
    pub fn recording(&self) -> Option<&Recording> {
        match self {
            Self::Archived { recording }
            | Self::LiveArchived { recording }
            | Self::Recovered(Recovery::Adopted { recording }) => Some(recording),
            _ => None,
        }
    }
}

/// What a run works with and may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// That of the ledger.
    Ledger,
    /// The object store of the recordings.
    Store,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger => "the ledger",
            Self::Store => "the object store",
        })
    }
}

/// What was done with something that an earlier run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Staging files were taken out of the way, to be deleted.
    Swept {
        /// How many.
        files: u64,
    },
    /// A published file without a row in the ledger was checked and adopted.
    Adopted {
        /// The recording that it is.
        recording: Box<Recording>,
    },
    /// What an earlier run left behind could not be dealt with, and stays where it is.
    Left {
        /// What keeps it from being dealt with.
        why: String,
    },
    /// A file that stands under a final name, but is not what that name says, was moved aside.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Recovery {
    /// A file that stood under a recording's name when that recording was published, and went to `path`.
    pub fn unknown_file(path: PathBuf) -> Self {
        let why = "it stood under a recording's name, and no row of the ledger knew it".to_owned();
        Self::SetAside { path, why }
    }
}

/// Why a run ends before its work does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason", content = "detail")]
pub enum StopReason {
    /// Somebody asked for it (SIGINT or SIGTERM).
    Signal,
    /// The time that the job must stop at has come.
    StopAt,
    /// The account or the configuration is refused; no other call would fare better.
    AccountRefused(String),
    /// The disk is full or below `min_free`.
    DiskFull(String),
    /// The archive itself fails: its disk or its ledger.
    Broken(String),
    /// All else was done, and the object store was still away: what is judged lies in the spool for the next run.
    StoreAway(String),
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Asked-for seconds.
    pub asked_seconds: i64,
    /// Of them archived, by this run or before.
    pub archived_seconds: i64,
    /// Recordings that this run published.
    pub recordings: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Attempts that this run made.
    pub attempts: u64,
    /// What is missing, by cause, in seconds.
    pub missing: Vec<(Cause, i64)>,
    /// Of whom it is missing. Not in JSON: thousands may be short of something after a bad night.
    #[serde(skip)]
    pub short: Vec<Shortfall>,
    /// NVRs that refused so much that they were left alone for a while.
    pub refusing: Vec<Refusing>,
    /// Why it ended before its work did, when it did.
    pub stopped: Option<StopReason>,
}

/// An NVR that refused more than a run puts up with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusing {
    /// Which.
    pub nvr: NvrId,
    /// How often it was asked for a recording.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
    /// How often it was left alone for that.
    pub left_alone: u64,
}

/// What is missing of one camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The camera.
    pub device: DeviceId,
    /// By cause, in seconds.
    pub missing: BTreeMap<Cause, i64>,
}

impl Shortfall {
    /// The sum of what is missing of a camera; nothing when nothing is. What retention has deleted is no gap.
    pub fn of(device: DeviceId, stretches: impl IntoIterator<Item = Missing>) -> Option<Self> {
        let mut missing = BTreeMap::new();
        for stretch in stretches.into_iter().filter(|stretch| stretch.cause != Cause::Pruned) {
            *missing.entry(stretch.cause).or_default() += stretch.range.seconds();
        }
        (!missing.is_empty()).then_some(Self { device, missing })
    }

    /// What is missing of all of them, by cause, in seconds.
    pub fn by_cause(short: &[Self]) -> Vec<(Cause, i64)> {
        let mut sums: BTreeMap<Cause, i64> = BTreeMap::new();
        for (&cause, &seconds) in short.iter().flat_map(|camera| &camera.missing) {
            *sums.entry(cause).or_default() += seconds;
        }
        sums.into_iter().collect()
    }

    /// How much that is, in seconds.
    pub fn seconds(&self) -> i64 {
        self.missing.values().sum()
    }
}

impl Summary {
    /// Whether all that was asked for is archived.
    pub fn is_complete(&self) -> bool {
        self.archived_seconds >= self.asked_seconds
    }

    /// How it ended, in a word or two for the ledger.
    pub fn outcome(&self) -> &'static str {
        match &self.stopped {
            None if self.asked_seconds == 0 => "nothing was asked for",
            None if self.is_complete() => "complete",
            None => "gaps remain",
            Some(StopReason::Signal) => "stopped by a signal",
            Some(StopReason::StopAt) => "stopped at its time",
            Some(StopReason::AccountRefused(_)) => "account refused",
            Some(StopReason::DiskFull(_)) => "disk full",
            Some(StopReason::Broken(_)) => "failed",
            Some(StopReason::StoreAway(_)) => "object store away",
        }
    }
}
