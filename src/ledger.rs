//! The ledger: what was asked for, what is archived, what is missing and why. Every SQL statement of the program is in
//! here and in `migrations/`; `docs/ledger.md` describes the tables and views for people.
//!
//! **The rule.** For every device, asked ∪ archived = archived ⊎ missing. Every second that was asked for is therefore
//! in exactly one state: archived, or missing with one cause. Each change keeps the rule within its one transaction.
//!
//! One thread writes ([`writer`]); requests that wait together share a transaction and its fsync, and each is answered
//! once that is on disk. Reading goes on beside it, in this process and in others. The ledger never reads a clock.

mod attempts;
mod catalog;
mod changes;
mod devices;
mod error;
mod limits;
mod lock;
mod look;
mod mark;
mod media;
mod missing;
mod open;
mod picture;
mod publishing;
mod queries;
mod ranges;
mod rebuild;
#[allow(dead_code, unused_macros, unused_imports)]
mod session;
mod upkeep;
mod writer;
mod written;
mod zones;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::Connection;

use self::error::Fault;
pub use self::error::{Holder, LedgerError};
use self::lock::RunLock;
use self::ranges::Merged;
pub use self::rebuild::{Rebuilding, Rebuilt};
use self::writer::Writer;
use crate::device::{DeviceId, NvrId};
use crate::failpoint::Failpoint;
use crate::mac::UrlMacs;
use crate::outcome::Attempt;
use crate::picture::Told;
use crate::plan::Known;
use crate::recording::{Recording, Source};
use crate::report::{
    CoverageDay, DeviceFacts, DeviceHistory, DeviceRow, Gap, GapQuery, Learned, NvrNight, RunEnd, RunId, RunRow,
    RunStart, ServedBy, Totals,
};
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::{Cause, Missing, Window};

/// How long another run's end is waited for.
const RUN_PATIENCE: Duration = Duration::from_secs(1);

/// An open ledger. Any number of tasks may use it at once. Dropping it waits for what is still to be written, and frees
/// the run's hold.
pub struct Ledger {
    path: PathBuf,
    /// Nothing when it was opened only for reading.
    writer: Option<Writer>,
    readers: Arc<Readers>,
    /// A hold whose run is not written down yet.
    taken: Mutex<Option<RunLock>>,
    /// The hold of a run. Declared last, so that it is freed when everything is written.
    run: Mutex<Option<RunLock>>,
}

impl Ledger {
    /// Opens the ledger, creates it if there is none, and brings an older one up to date. Blocks, for milliseconds
    /// unless it has to be brought up to date. A file that is something else, damaged, or newer than this program is
    /// refused and left as it is.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let connection = open::for_writing(path)?;
        let writer = Writer::start(path.to_path_buf(), connection)?;
        Ok(Self { writer: Some(writer), ..Self::around(path) })
    }

    /// Opens a ledger that is there, for questions only. Works while a run is going on; never creates, changes or
    /// locks anything.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let ledger = Self::around(path);
        ledger.readers.put_back(open::for_reading(path)?);
        Ok(ledger)
    }

    fn around(path: &Path) -> Self {
        let readers = Readers { path: path.to_path_buf(), idle: Mutex::default() };
        Self {
            path: path.to_path_buf(),
            writer: None,
            readers: Arc::new(readers),
            taken: Mutex::default(),
            run: Mutex::default(),
        }
    }

    // Runs.

    /// Takes hold of the ledger for one run; [`LedgerError::Held`] when another one of the same source has it. The hold ends with
    /// [`Self::end_run`], with this value, or with the process.
    pub async fn begin_run(&self, start: RunStart) -> Result<RunId, LedgerError> {
        let taken = locked(&self.taken).take();
        let lock = match taken {
            Some(lock) => lock,
            None => self.lock(start.source, start.started).await?,
        };
        let run = self.write(move |connection| changes::begin_run(connection, &start)).await?;
        *locked(&self.run) = Some(lock);
        error::reached(Failpoint::RunBegun).map_err(|fault| fault.at(&self.path))?;
        Ok(run)
    }

    /// Takes the hold of [`Self::begin_run`], which then has it already: for who has something to do while the run is written down.
    pub async fn hold(&self, source: Source, since: UtcSecond) -> Result<(), LedgerError> {
        let lock = self.lock(source, since).await?;
        *locked(&self.taken) = Some(lock);
        Ok(())
    }

    async fn lock(&self, source: Source, since: UtcSecond) -> Result<RunLock, LedgerError> {
        let (path, since) = (self.path.clone(), since.to_string());
        let taking = tokio::task::spawn_blocking(move || RunLock::take_patiently(&path, source, &since, RUN_PATIENCE));
        taking.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
    }

    /// Says how the run ended, and lets go of the ledger.
    pub async fn end_run(&self, run: RunId, end: RunEnd) -> Result<(), LedgerError> {
        error::reached(Failpoint::RunEnd).map_err(|fault| fault.at(&self.path))?;
        self.write(move |connection| changes::end_run(connection, run, &end)).await?;
        *locked(&self.run) = None;
        Ok(())
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, newest: u32) -> Result<Vec<RunRow>, LedgerError> {
        self.read(move |connection| queries::runs(connection, newest)).await
    }

    /// The newest run of each source that has ended.
    pub async fn last_runs(&self) -> Result<Vec<RunRow>, LedgerError> {
        self.read(queries::last_runs).await
    }

    /// When the newest run of each source ended that finished its work, whether gaps remain or not.
    pub async fn last_successes(&self) -> Result<Vec<(Source, UtcSecond)>, LedgerError> {
        self.read(queries::last_successes).await
    }

    // What is being published, for whoever comes after a crash.

    /// Notes that the file at `path`, below the archive's root, is about to get that name. The note goes when its recording is
    /// written down, or with [`Self::forget_publishing`].
    pub async fn note_publishing(&self, source: Source, path: String) -> Result<(), LedgerError> {
        self.write(move |connection| publishing::note(connection, source, &path)).await
    }

    /// Notes the number of the upload that brings the file at `path` into an object store, so that whoever comes after a crash can
    /// abort it. When it is not noted any more that the file is published, says so (`false`): somebody else has taken it over, and
    /// the upload must not go on.
    pub async fn note_upload(&self, path: String, upload: String) -> Result<bool, LedgerError> {
        self.write(move |connection| publishing::note_upload(connection, &path, &upload)).await
    }

    /// The number of the upload that was noted for the file at `path`.
    pub async fn noted_upload(&self, path: String) -> Result<Option<String>, LedgerError> {
        self.read(move |connection| publishing::upload(connection, &path)).await
    }

    /// Says that no file without a row stands at `path`.
    pub async fn forget_publishing(&self, path: String) -> Result<(), LedgerError> {
        self.write(move |connection| publishing::forget(connection, &path)).await
    }

    /// The files, by their names below the archive's root, of which runs of that source have noted that they publish them, and
    /// have not written down that they did.
    pub async fn publishing(&self, source: Source) -> Result<Vec<String>, LedgerError> {
        self.read(move |connection| publishing::noted(connection, source)).await
    }

    /// Whether a run of that source was cut off, or failed, that did not note what it was publishing, as older versions did not.
    /// What it left may lie anywhere.
    pub async fn left_unnoted(&self, source: Source) -> Result<bool, LedgerError> {
        self.read(move |connection| publishing::left_unnoted(connection, source)).await
    }

    /// Says that the archive has been looked through for what such runs left.
    pub async fn recovered(&self, source: Source) -> Result<(), LedgerError> {
        self.write(move |connection| publishing::recovered(connection, source)).await
    }

    // Devices.

    /// Notes what the platform's list says of devices. Safe beside a run, of this process or another: of what it changes a run
    /// writes no more than an NVR's store, and a run that begins meanwhile takes what it finds.
    pub async fn know_devices(&self, devices: Vec<DeviceFacts>) -> Result<(), LedgerError> {
        self.write(move |connection| devices.iter().try_for_each(|facts| devices::know(connection, facts))).await
    }

    /// Notes by which NVRs a run takes devices to be served: for people and for history. What the next run takes is decided
    /// anew.
    pub async fn serve_devices(&self, served: Vec<ServedBy>) -> Result<(), LedgerError> {
        self.write(move |connection| served.iter().try_for_each(|one| devices::serve(connection, one))).await
    }

    /// Notes the two addresses in the name of a device's media URL.
    pub async fn learn_macs(&self, device: DeviceId, macs: UrlMacs, at: UtcSecond) -> Result<(), LedgerError> {
        self.write(move |connection| devices::learn_macs(connection, device, macs, at)).await
    }

    /// Says in which time zone devices are. Until then it is `Asia/Shanghai`.
    pub async fn set_zone(&self, devices: Vec<DeviceId>, zone: Tz) -> Result<(), LedgerError> {
        self.write(move |connection| {
            zones::add(connection, zone)?;
            devices.iter().try_for_each(|&device| changes::set_zone(connection, device, zone))
        })
        .await
    }

    /// Every device that the ledger has heard of.
    pub async fn devices(&self) -> Result<Vec<DeviceRow>, LedgerError> {
        self.read(devices::all).await
    }

    /// Keeps what a run learned of how much NVRs can take; its calls and refusals are added to those of earlier runs.
    pub async fn learn_limits(
        &self,
        run: RunId,
        learned: Vec<(NvrId, Learned)>,
        at: UtcSecond,
    ) -> Result<(), LedgerError> {
        self.write(move |connection| {
            learned.iter().try_for_each(|(nvr, one)| limits::learn(connection, run, nvr, one, at))
        })
        .await
    }

    /// What runs learned of how much NVRs can take; calls and refusals are over all runs.
    pub async fn learned_limits(&self) -> Result<BTreeMap<NvrId, Learned>, LedgerError> {
        self.read(limits::learned).await
    }

    /// How each NVR fared in the newest `runs` runs that asked it anything, newest first.
    pub async fn nvr_nights(&self, runs: u32) -> Result<BTreeMap<NvrId, Vec<NvrNight>>, LedgerError> {
        self.read(move |connection| limits::nights(connection, runs)).await
    }

    // Attempts that are old.

    /// Folds away attempts that began before `before`: their rows are deleted, and their sums kept by day, device and
    /// outcome. Takes a few seconds at most, in steps between which others write, and leaves to the next call what it did not
    /// come to. The newest attempt stays. Returns how many are gone.
    pub async fn fold_attempts(&self, before: UtcSecond) -> Result<u64, LedgerError> {
        let (mut folded, mut after) = (0, 0);
        for _step in 0..attempts::FOLD_STEPS {
            let step = self.write(move |connection| attempts::fold(connection, after, before)).await?;
            folded += step.attempts as u64;
            // They are almost in the order of their time, so where none is old, what follows is younger still.
            let (1.., Some(last)) = (step.attempts, step.last) else { break };
            after = last;
        }
        Ok(folded)
    }

    // What is asked for, archived and missing.

    /// Adds asked-for time. What of it is neither archived nor asked for already becomes missing, not tried.
    pub async fn ask(&self, wanted: Vec<(DeviceId, RangeSet)>) -> Result<(), LedgerError> {
        self.write(move |connection| {
            wanted.iter().try_for_each(|(device, ranges)| changes::ask(connection, *device, ranges))
        })
        .await
    }

    /// The beginning of a run, in one transaction: [`Self::set_zone`], [`Self::serve_devices`] and [`Self::ask`].
    pub async fn take_on(
        &self,
        zones: Vec<(Tz, Vec<DeviceId>)>,
        served: Vec<ServedBy>,
        wanted: Vec<(DeviceId, RangeSet)>,
    ) -> Result<(), LedgerError> {
        self.write(move |connection| {
            for (zone, devices) in &zones {
                zones::add(connection, *zone)?;
                devices.iter().try_for_each(|&device| changes::set_zone(connection, device, *zone))?;
            }
            served.iter().try_for_each(|one| devices::serve(connection, one))?;
            wanted.iter().try_for_each(|(device, ranges)| changes::ask(connection, *device, ranges))
        })
        .await
    }

    /// Records that a published file covers its range, and the attempt that brought it. `rest` is what the attempt was
    /// asked for and did not bring, and why. [`LedgerError::Overlap`] when some of the range has a recording already.
    pub async fn record_archived(
        &self,
        run: RunId,
        attempt: Attempt,
        recording: Recording,
        rest: Option<(TimeRange, Cause)>,
    ) -> Result<(), LedgerError> {
        self.write(move |connection| changes::record_archived(connection, run, &attempt, &recording, rest)).await
    }

    /// Records an attempt that archived nothing. What is missing of the window gets the outcome's cause and one more
    /// attempt; when the outcome says nothing new about the window, only the attempt is kept.
    pub async fn record_missed(&self, run: RunId, window: Window, attempt: Attempt) -> Result<(), LedgerError> {
        self.write(move |connection| changes::record_missed(connection, run, &window, &attempt)).await
    }

    /// Says why what is missing of `ranges` is missing, as learned `at` a time without attempts of its own: that the
    /// NVR is offline, that a second answer agreed that there is no footage.
    pub async fn mark_missing(
        &self,
        device: DeviceId,
        ranges: RangeSet,
        cause: Cause,
        at: UtcSecond,
    ) -> Result<(), LedgerError> {
        self.write(move |connection| changes::mark_missing(connection, device, &ranges, cause, at)).await
    }

    /// Takes back what was asked for ahead of time and has not come.
    pub async fn withdraw(&self, device: DeviceId, range: TimeRange) -> Result<(), LedgerError> {
        self.write(move |connection| changes::withdraw(connection, device, range)).await
    }

    /// What is being recorded live, per device that has any.
    pub async fn being_recorded(&self) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(queries::being_recorded).await
    }

    /// Records a published file that no attempt at a window brought: a piece of a live stream, or what a run left behind
    /// without a row when it was cut off. [`LedgerError::Overlap`] as with [`Self::record_archived`].
    pub async fn add_recording(&self, recording: Recording) -> Result<(), LedgerError> {
        self.write(move |connection| changes::add_recording(connection, &recording)).await
    }

    /// What of `within` is archived and what is missing, per device, as of one moment.
    pub async fn known(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Known>, LedgerError> {
        self.read(move |connection| queries::known(connection, &devices, within)).await
    }

    /// What of `within` was asked for and is missing, per device, in order and cut to it.
    pub async fn missing(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Vec<Missing>>, LedgerError> {
        self.read(move |connection| missing::narrow(connection, &devices, within)).await
    }

    /// What of `within` is archived, per device.
    pub async fn archived(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(move |connection| Merged::Archived.within_of(connection, &devices, within)).await
    }

    /// What of `within` was ever asked for, per device.
    pub async fn asked(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(move |connection| Merged::Asked.within_of(connection, &devices, within)).await
    }

    /// What became of each second of `within`, per device: in which file it is, or why it is missing.
    pub async fn told(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Told>, LedgerError> {
        let told = move |connection: &Connection| {
            devices.iter().map(|&device| Ok((device, picture::told(connection, device, within)?))).collect()
        };
        self.read(told).await
    }

    /// The recordings that share a second with `within`, whole, in order.
    pub async fn recordings_overlapping(
        &self,
        device: DeviceId,
        within: TimeRange,
    ) -> Result<Vec<Recording>, LedgerError> {
        self.read(move |connection| queries::recordings_overlapping(connection, device, within, u32::MAX)).await
    }

    // Answers for people.

    /// The gaps, by device and time; the same as the view `gaps` shows.
    pub async fn gaps(&self, query: GapQuery) -> Result<Vec<Gap>, LedgerError> {
        self.read(move |connection| queries::gaps(connection, &query)).await
    }

    /// What was asked for and is archived on each day from `first` to `last`, both included and in each device's local
    /// time; of all devices when none are named. Days without anything asked for are left out.
    pub async fn coverage(
        &self,
        devices: Option<Vec<DeviceId>>,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Vec<CoverageDay>, LedgerError> {
        self.read(move |connection| queries::coverage(connection, devices.as_deref(), first, last)).await
    }

    /// Sums over devices and a range.
    pub async fn totals(&self, devices: Vec<DeviceId>, within: TimeRange) -> Result<Totals, LedgerError> {
        self.read(move |connection| queries::totals(connection, &devices, within)).await
    }

    /// How downloads went among the newest `attempts`, per device that has any. Of what was folded away, a day of a device
    /// counts as a whole.
    pub async fn history(&self, attempts: u32) -> Result<Vec<DeviceHistory>, LedgerError> {
        self.read(move |connection| attempts::history(connection, attempts)).await
    }

    async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match &self.writer {
            Some(writer) => writer.write(work).await,
            None => Err(LedgerError::ReadOnly { ledger: self.path.clone() }),
        }
    }

    async fn read<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let done = tokio::task::spawn_blocking(move || readers.read(work)).await;
        done.unwrap_or_else(|error| {
            Err(LedgerError::Engine { ledger: self.path.clone(), why: format!("a question was not answered: {error}") })
        })
    }
}

/// Connections for reading: as many as were ever needed at once.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let idle = locked(&self.idle).pop();
        let mut connection = idle.map_or_else(|| open::for_reading(&self.path), Ok)?;
        let answer = {
            // One transaction, so that a question of several statements sees one state.
            let snapshot = connection.transaction().map_err(|error| Fault::from(error).at(&self.path))?;
            work(&snapshot).map_err(|fault| fault.at(&self.path))
        };
        self.put_back(connection);
        answer
    }

    fn put_back(&self, connection: Connection) {
        locked(&self.idle).push(connection);
    }
}

/// OK to go on after a panic elsewhere: what these mutexes guard is replaced whole, never half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
