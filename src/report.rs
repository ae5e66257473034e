//! What goes into the ledger and what is read from it, as plain values. Times are UTC unless a field says otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;

use crate::device::{DeviceId, NvrId};
use crate::lease::{HostId, Tally};
use crate::mac::UrlMacs;
use crate::recording::Source;
use crate::time_range::{TimeRange, UtcSecond};
use crate::untrusted::Untrusted;
use crate::window::Cause;

/// The number of a run in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(i64);

impl RunId {
    /// The run of that number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// What is known of a run when it starts. The ledger adds the process id and the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// When it started.
    pub started: UtcSecond,
    /// The command or the job, for people.
    pub what: String,
    /// From where it records: one run from NVRs and one of live streams may go on at once.
    pub source: Source,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// When.
    pub ended: UtcSecond,
    /// The exit code.
    pub exit: u8,
    /// What it did.
    pub counts: RunCounts,
}

/// What a run did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Attempts at windows.
    pub attempts: u64,
    /// Files published.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The seconds that they cover.
    pub archived_seconds: i64,
    /// Seconds of what the run was asked for that are missing at its end.
    pub missing_seconds: i64,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// Its number.
    pub run: RunId,
    /// When it started.
    pub started: UtcSecond,
    /// When it ended; nothing while it runs, or when it was cut off.
    pub ended: Option<UtcSecond>,
    /// The command or the job.
    pub what: String,
    /// From where it records.
    pub source: Source,
    /// Its exit code.
    pub exit: Option<u8>,
    /// `ended`, `cut off`, or `unfinished`: under way, or cut off since.
    pub state: String,
    /// What it did, when it ended.
    pub counts: Option<RunCounts>,
    /// Its process.
    pub pid: u32,
    /// Its host.
    pub host: String,
}

/// How the work of a ledger on a server is shared at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedWork {
    /// The hosts that are alive, and those that were not heard of any more within the last day, by number.
    pub hosts: Vec<HostRow>,
    /// NVRs with work that nobody holds, or only a dead host.
    pub free: Tally,
    /// NVRs that a host holds which is alive.
    pub leased: Tally,
    /// NVRs of which nothing is left to do.
    pub finished: Tally,
}

/// One of the processes that share the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// Its number.
    pub host: HostId,
    /// The place of its archive, as it names that itself.
    pub name: String,
    /// Its job, in the words of whoever asked for it.
    pub what: String,
    /// What its system calls itself.
    pub machine: String,
    /// Its process there.
    pub pid: u32,
    /// When it joined, by the server's clock as the next.
    pub joined: UtcSecond,
    /// When it was last heard of.
    pub seen: UtcSecond,
    /// Whether it is counted on: else others take over what it holds.
    pub is_alive: bool,
    /// How many downloads it can run at once.
    pub streams: u64,
    /// Footage that it holds and has neither archived nor given up, as it said last, in seconds.
    pub backlog_seconds: i64,
    /// Whether it could do more than it has.
    pub is_hungry: bool,
    /// How many NVRs it holds.
    pub nvrs: u64,
}

/// What the platform's list says of a device. What a field leaves open stays as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceFacts {
    /// The camera.
    pub device: DeviceId,
    /// Its name.
    pub name: Option<Untrusted>,
    /// Its store's number.
    pub store_number: Option<i64>,
    /// Its store's name.
    pub store: Option<Untrusted>,
    /// The recorder that it hangs off.
    pub puid: Option<Untrusted>,
    /// Its channel there.
    pub channel: Option<i64>,
    /// Whether it was online when it was listed.
    pub online: Option<bool>,
    /// When the platform last listed it.
    pub seen: Option<UtcSecond>,
}

impl DeviceFacts {
    /// A device of which nothing is known.
    pub fn unknown(device: DeviceId) -> Self {
        Self {
            device,
            name: None,
            store_number: None,
            store: None,
            puid: None,
            channel: None,
            online: None,
            seen: None,
        }
    }

    /// Its store as [`NvrMap::store_of`](crate::device::NvrMap::store_of) names stores: by number or, without one, by name.
    pub fn store_identity(&self) -> Option<String> {
        self.store_number.map(|number| number.to_string()).or_else(|| self.store.as_ref().map(ToString::to_string))
    }
}

/// One device as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRow {
    /// What the platform's list said of it.
    #[serde(flatten)]
    pub facts: DeviceFacts,
    /// The two addresses in the name of a media URL of it, when any was seen.
    pub macs: Option<UrlMacs>,
    /// Its time zone's IANA name.
    pub zone: String,
    /// Whether anything of it was ever asked for.
    pub asked: bool,
}

/// By which NVR a run took a device to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy {
    /// The camera.
    pub device: DeviceId,
    /// Its NVR; nothing when nobody knew it.
    pub nvr: Option<NvrId>,
    /// The NVR's store, by its number or its name.
    pub store: Option<String>,
}

/// Which gaps are wanted; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapQuery {
    /// Only those of these devices.
    pub devices: Option<Vec<DeviceId>>,
    /// Only what lies in this range: gaps are cut to it.
    pub within: Option<TimeRange>,
    /// Only those with one of these causes.
    pub causes: Option<Vec<Cause>>,
}

/// A stretch of asked-for time without a recording, as long as it has one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The camera.
    pub device: DeviceId,
    /// The time.
    #[serde(flatten)]
    pub range: TimeRange,
    /// Its start in UTC, as text.
    pub from_utc: String,
    /// Its end in UTC, as text.
    pub to_utc: String,
    /// Its start in the device's local time, with the offset.
    pub from_local: String,
    /// Its end in the device's local time, with the offset.
    pub to_local: String,
    /// How long it is.
    pub seconds: i64,
    /// Why.
    pub cause: Cause,
    /// Attempts at its windows, over all runs; of the whole gap, also where it was cut to a range.
    pub attempts: u32,
    /// The code that decided the latest of them, such as `result -4`.
    pub last_code: Option<String>,
    /// When the cause was last learned.
    pub last_try: Option<UtcSecond>,
}

/// One device's day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoverageDay {
    /// The camera.
    pub device: DeviceId,
    /// The day, in the device's local time.
    pub day: NaiveDate,
    /// Seconds of it that were asked for, without what retention has deleted.
    pub asked_seconds: i64,
    /// Those of them that are archived.
    pub archived_seconds: i64,
    /// Archived over asked-for, rounded down to two places: 100 is all.
    pub percent: f64,
}

/// Sums over devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Seconds asked for, without what retention has deleted.
    pub asked_seconds: i64,
    /// Those of them that are archived.
    pub archived_seconds: i64,
    /// The others, by cause.
    pub missing_seconds: BTreeMap<Cause, i64>,
    /// Seconds that were asked for and archived, and that retention has deleted.
    pub pruned_seconds: i64,
}

/// How a device's latest downloads went, to forecast the next ones by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceHistory {
    /// The camera.
    pub device: DeviceId,
    /// The recorder that the last run took it to hang off, when known.
    pub nvr: Option<NvrId>,
    /// Downloads of whole windows that this is drawn from.
    pub attempts: u64,
    /// Seconds of footage that they asked for.
    pub footage_seconds: i64,
    /// Bytes that a second of footage takes.
    pub bytes_per_second: f64,
    /// Seconds that the download of a second of footage takes.
    pub seconds_per_second: f64,
}

/// What was learned of how much an NVR can take, and of how long it keeps footage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// How many downloads it takes at once.
    pub limit: usize,
    /// How long was last waited before one more was tried; nothing when no refusal has shown the limit yet.
    pub probe_pause: Option<Duration>,
    /// How old the oldest footage was that came, where a whole day of older time was answered with none. Nothing when
    /// answers never showed it. Good enough to say what hurries, never to say what is lost.
    pub keeps: Option<Duration>,
    /// How often it was asked for a recording, in the run that this was learned in.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
    /// How often it was left alone because it refused too many.
    pub left_alone: u64,
}

/// How one NVR fared in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NvrNight {
    /// The run.
    pub run: RunId,
    /// How many downloads it was believed to take at once, when the run ended.
    pub limit: usize,
    /// How often it was asked for a recording.
    pub calls: u64,
    /// How many of those it refused.
    pub refused: u64,
    /// How often it was left alone because it refused too many.
    pub left_alone: u64,
}

/// What a ledger was made anew of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reindexed {
    /// Recordings in the new ledger.
    pub recordings: u64,
    /// Those of them of which the catalog knew nothing: by their names and bytes alone, with their hashes as they are now.
    pub read: u64,
    /// Seconds of recordings.
    pub archived_seconds: i64,
    /// Seconds that were asked for.
    pub asked_seconds: i64,
    /// What of that is missing, by cause, in seconds.
    pub missing: Vec<(Cause, i64)>,
    /// Seconds of it that were archived, and whose files are gone: the next run fetches them.
    pub without_file_seconds: i64,
    /// When the catalog's state was written; nothing when there is none, and nobody knows what was asked for.
    pub catalog_written: Option<UtcSecond>,
    /// Files under a recording's name that are none, or hold time that another one holds.
    pub set_aside: Vec<Misplaced>,
    /// Files under a recording's name that could not be read; they stay where they are, and their time is missing.
    pub left: Vec<Misplaced>,
    /// Files and folders among the recordings that are none of theirs; they stay where they are.
    pub strangers: u64,
    /// The names of the first ones, below the root.
    pub first_strangers: Vec<String>,
    /// Lines of the catalog that could not be read.
    pub unreadable_lines: u64,
    /// Where the first ones are, and what is wrong with them.
    pub first_unreadable: Vec<String>,
    /// Where the old ledger went, and its log.
    pub moved_aside: Vec<PathBuf>,
}

/// A file that did not become a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misplaced {
    /// Where it is now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}
