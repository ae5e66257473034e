//! The ledger: what was asked for, what is archived, what is missing and why. Every SQL statement of the program is in
//! here and in `migrations/`; `docs/ledger.md` describes the tables and views for people.
//!
//! **The rule.** For every device, asked ∪ archived = archived ⊎ missing. Every second that was asked for is therefore
//! in exactly one state: archived, or missing with one cause. Each change keeps the rule within its one transaction.
//!
//! It is a file of this machine, or a database on a server that many machines share; what a change or a question means is the
//! same for both ([`session`]). Of a file, one thread writes ([`writer`]); requests that wait together share a transaction and its
//! fsync, and each is answered once that is on disk. Reading goes on beside it, in this process and in others. Of a server,
//! [`postgres`] tells. The ledger never reads a clock; who shares its work is told by the server's ([`shared_jobs`], [`leases`],
//! [`live_runs`]).

mod attempts;
mod catalog;
mod changes;
mod copying;
mod devices;
mod error;
mod filling;
mod hosts;
mod leases;
mod limits;
mod live_runs;
mod lock;
mod look;
mod mark;
mod media;
mod missing;
mod open;
mod picture;
mod postgres;
mod publishing;
mod queries;
mod ranges;
mod rebuild;
mod restore;
mod session;
mod shared_jobs;
mod tables;
mod taking_on;
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
use tokio::sync::watch;

pub use self::copying::Progress;
use self::error::Fault;
pub use self::error::{Holder, LedgerError};
pub use self::filling::{Filling, Still};
use self::lock::RunLock;
use self::postgres::{Database, Purpose, UpkeepLock};
use self::ranges::Merged;
pub use self::rebuild::{Rebuilding, Rebuilt};
use self::session::Session;
pub use self::upkeep::UpkeepPatience;
use self::writer::Writer;
use crate::device::{DeviceId, NvrId};
use crate::failpoint::Failpoint;
use crate::ledger_place::LedgerPlace;
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

/// An open ledger. Any number of tasks may use it at once. Dropping it waits for what is still to be written to a file, and frees
/// the run's hold.
pub struct Ledger {
    /// For errors: the file, or the server's address without its password.
    name: PathBuf,
    keeper: Keeper,
    /// A hold whose run is not written down yet.
    taken: Mutex<Option<RunLock>>,
    /// The right to take files out of an archive that many machines reach.
    upkeep: Mutex<Option<(UpkeepLock, UpkeepPatience)>>,
    /// The hold of a run. Declared last, so that it is freed when everything is written.
    run: Mutex<Option<RunLock>>,
}

/// What keeps it.
enum Keeper {
    /// A file. No writer when it was opened only for reading.
    File { writer: Option<Writer>, readers: Arc<Readers> },
    /// A server.
    Server(Arc<Database>),
}

impl Ledger {
    /// Opens the ledger, creates it if there is none, and brings an older one up to date. Blocks, for milliseconds
    /// unless it has to be brought up to date or a server is away. What is something else, damaged, or newer than this program
    /// is refused and left as it is.
    pub fn open(place: impl Into<LedgerPlace>) -> Result<Self, LedgerError> {
        let place = place.into();
        let keeper = match &place {
            LedgerPlace::File(path) => {
                let connection = open::for_writing(path)?;
                let writer = Writer::start(path.clone(), connection)?;
                Keeper::File { writer: Some(writer), readers: Arc::new(Readers::of(path)) }
            }
            LedgerPlace::Server(url) => Keeper::Server(Database::open(url, Purpose::Changes)?),
        };
        Ok(Self::around(&place, keeper))
    }

    /// Opens a ledger that is there, for questions only. Works while a run is going on; never creates, changes or
    /// locks anything.
    pub fn open_read_only(place: impl Into<LedgerPlace>) -> Result<Self, LedgerError> {
        let place = place.into();
        let keeper = match &place {
            LedgerPlace::File(path) => {
                let readers = Readers::of(path);
                readers.put_back(open::for_reading(path)?);
                Keeper::File { writer: None, readers: Arc::new(readers) }
            }
            LedgerPlace::Server(url) => Keeper::Server(Database::open(url, Purpose::Questions)?),
        };
        Ok(Self::around(&place, keeper))
    }

    fn around(place: &LedgerPlace, keeper: Keeper) -> Self {
        Self { name: place.name(), keeper, taken: Mutex::default(), upkeep: Mutex::default(), run: Mutex::default() }
    }

    /// Whether many hosts may work with it at once.
    pub fn is_shared(&self) -> bool {
        matches!(self.keeper, Keeper::Server(_))
    }

    /// Says that the run is to end: from now on a server that is away is waited for no longer than some seconds.
    pub fn end_waiting(&self) {
        if let Keeper::Server(database) = &self.keeper {
            database.end_waiting();
        }
    }

    /// Tells from now on when the ledger's server is away, with why, and when it is back. Nothing of a file, which is there.
    pub fn absence(&self) -> Option<watch::Receiver<Option<String>>> {
        match &self.keeper {
            Keeper::File { .. } => None,
            Keeper::Server(database) => Some(database.absence()),
        }
    }

    // Runs.

    /// Takes hold of the ledger for one run; [`LedgerError::Held`] when another one of the same source has it. The hold ends with
    /// [`Self::end_run`], with this value, or with the process.
    pub async fn begin_run(&self, start: RunStart) -> Result<RunId, LedgerError> {
        let taken = locked(&self.taken).take();
        let lock = match taken {
            Some(lock) => Some(lock),
            None => self.lock(start.source, start.started).await?,
        };
        let run = self.write(move |session| changes::begin_run(session, &start)).await?;
        *locked(&self.run) = lock;
        error::reached(Failpoint::RunBegun).map_err(|fault| fault.at(&self.name))?;
        Ok(run)
    }

    /// Takes the hold of [`Self::begin_run`], which then has it already: for who has something to do while the run is written down.
    pub async fn hold(&self, source: Source, since: UtcSecond) -> Result<(), LedgerError> {
        let lock = self.lock(source, since).await?;
        *locked(&self.taken) = lock;
        Ok(())
    }

    /// Nothing on a server: any number of runs may go on at once, and what keeps them apart is the leases.
    async fn lock(&self, source: Source, since: UtcSecond) -> Result<Option<RunLock>, LedgerError> {
        if self.is_shared() {
            return Ok(None);
        }
        let (path, since) = (self.name.clone(), since.to_string());
        let taking = tokio::task::spawn_blocking(move || RunLock::take_patiently(&path, source, &since, RUN_PATIENCE));
        taking
            .await
            .map(|lock| lock.map(Some))
            .unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
    }

    /// Says how the run ended, and lets go of the ledger.
    pub async fn end_run(&self, run: RunId, end: RunEnd) -> Result<(), LedgerError> {
        error::reached(Failpoint::RunEnd).map_err(|fault| fault.at(&self.name))?;
        self.write(move |session| changes::end_run(session, run, &end)).await?;
        *locked(&self.run) = None;
        Ok(())
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, newest: u32) -> Result<Vec<RunRow>, LedgerError> {
        self.read(move |session| queries::runs(session, newest)).await
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
        self.write(move |session| publishing::note(session, source, &path)).await
    }

    /// Notes the number of the upload that brings the file at `path` into an object store, so that whoever comes after a crash can
    /// abort it. When it is not noted any more that the file is published, says so (`false`): somebody else has taken it over, and
    /// the upload must not go on.
    pub async fn note_upload(&self, path: String, upload: String) -> Result<bool, LedgerError> {
        self.write(move |session| publishing::note_upload(session, &path, &upload)).await
    }

    /// The number of the upload that was noted for the file at `path`.
    pub async fn noted_upload(&self, path: String) -> Result<Option<String>, LedgerError> {
        self.read(move |session| publishing::upload(session, &path)).await
    }

    /// Says that no file without a row stands at `path`.
    pub async fn forget_publishing(&self, path: String) -> Result<(), LedgerError> {
        self.write(move |session| publishing::forget(session, &path)).await
    }

    /// The files, by their names below the archive's root, of which runs of that source have noted that they publish them, and
    /// have not written down that they did.
    pub async fn publishing(&self, source: Source) -> Result<Vec<String>, LedgerError> {
        self.read(move |session| publishing::noted(session, source)).await
    }

    /// Whether a run of that source was cut off, or failed, that did not note what it was publishing, as older versions did not.
    /// What it left may lie anywhere.
    pub async fn left_unnoted(&self, source: Source) -> Result<bool, LedgerError> {
        self.read(move |session| publishing::left_unnoted(session, source)).await
    }

    /// Says that the archive has been looked through for what such runs left.
    pub async fn recovered(&self, source: Source) -> Result<(), LedgerError> {
        self.write(move |session| publishing::recovered(session, source)).await
    }

    // Devices.

    /// Notes what the platform's list says of devices. Safe beside a run, of this process or another: of what it changes a run
    /// writes no more than an NVR's store, and a run that begins meanwhile takes what it finds.
    pub async fn know_devices(&self, devices: Vec<DeviceFacts>) -> Result<(), LedgerError> {
        self.write(move |session| devices.iter().try_for_each(|facts| devices::know(session, facts))).await
    }

    /// Notes by which NVRs a run takes devices to be served: for people and for history. What the next run takes is decided
    /// anew.
    pub async fn serve_devices(&self, served: Vec<ServedBy>) -> Result<(), LedgerError> {
        self.write(move |session| served.iter().try_for_each(|one| devices::serve(session, one))).await
    }

    /// Notes the two addresses in the name of a device's media URL.
    pub async fn learn_macs(&self, device: DeviceId, macs: UrlMacs, at: UtcSecond) -> Result<(), LedgerError> {
        self.write(move |session| devices::learn_macs(session, device, macs, at)).await
    }

    /// Says in which time zone devices are. Until then it is `Asia/Shanghai`.
    pub async fn set_zone(&self, devices: Vec<DeviceId>, zone: Tz) -> Result<(), LedgerError> {
        self.write(move |session| {
            zones::add(session, zone)?;
            devices.iter().try_for_each(|&device| changes::set_zone(session, device, zone))
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
        self.write(move |session| learned.iter().try_for_each(|(nvr, one)| limits::learn(session, run, nvr, one, at)))
            .await
    }

    /// What runs learned of how much NVRs can take; calls and refusals are over all runs.
    pub async fn learned_limits(&self) -> Result<BTreeMap<NvrId, Learned>, LedgerError> {
        self.read(limits::learned).await
    }

    /// The same of these NVRs, as far as anything was learned of them.
    pub async fn learned_limits_of(&self, nvrs: Vec<NvrId>) -> Result<BTreeMap<NvrId, Learned>, LedgerError> {
        self.read(move |session| limits::learned_of(session, &nvrs)).await
    }

    /// How each NVR fared in the newest `runs` runs that asked it anything, newest first.
    pub async fn nvr_nights(&self, runs: u32) -> Result<BTreeMap<NvrId, Vec<NvrNight>>, LedgerError> {
        self.read(move |session| limits::nights(session, runs)).await
    }

    // Attempts that are old.

    /// Folds away attempts that began before `before`: their rows are deleted, and their sums kept by day, device and
    /// outcome. Takes a few seconds at most, in steps between which others write, and leaves to the next call what it did not
    /// come to. The newest attempt stays. Returns how many are gone.
    pub async fn fold_attempts(&self, before: UtcSecond) -> Result<u64, LedgerError> {
        let (mut folded, mut after) = (0, 0);
        for _step in 0..attempts::FOLD_STEPS {
            let step = self.write(move |session| attempts::fold(session, after, before)).await?;
            folded += step.attempts;
            // They are almost in the order of their time, so where none is old, what follows is younger still.
            let (1.., Some(last)) = (step.attempts, step.last) else { break };
            after = last;
        }
        Ok(folded)
    }

    // What is asked for, archived and missing.

    /// Adds asked-for time. What of it is neither archived nor asked for already becomes missing, not tried.
    pub async fn ask(&self, wanted: Vec<(DeviceId, RangeSet)>) -> Result<(), LedgerError> {
        self.write(move |session| wanted.iter().try_for_each(|(device, ranges)| changes::ask(session, *device, ranges)))
            .await
    }

    /// The beginning of a run, in one transaction unless many hosts share the ledger: [`Self::set_zone`], [`Self::serve_devices`] and [`Self::ask`].
    pub async fn take_on(
        &self,
        zones: Vec<(Tz, Vec<DeviceId>)>,
        served: Vec<ServedBy>,
        wanted: Vec<(DeviceId, RangeSet)>,
    ) -> Result<(), LedgerError> {
        if self.is_shared() {
            return self.take_on_in_parts(zones, served, wanted).await;
        }
        self.write(move |session| {
            for (zone, devices) in &zones {
                zones::add(session, *zone)?;
                devices.iter().try_for_each(|&device| changes::set_zone(session, device, *zone))?;
            }
            served.iter().try_for_each(|one| devices::serve(session, one))?;
            wanted.iter().try_for_each(|(device, ranges)| changes::ask(session, *device, ranges))
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
        self.write(move |session| changes::record_archived(session, run, &attempt, &recording, rest)).await
    }

    /// Records an attempt that archived nothing. What is missing of the window gets the outcome's cause and one more
    /// attempt; when the outcome says nothing new about the window, only the attempt is kept.
    pub async fn record_missed(&self, run: RunId, window: Window, attempt: Attempt) -> Result<(), LedgerError> {
        self.write(move |session| changes::record_missed(session, run, &window, &attempt)).await
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
        self.write(move |session| changes::mark_missing(session, device, &ranges, cause, at)).await
    }

    /// Takes back what was asked for ahead of time and has not come.
    pub async fn withdraw(&self, device: DeviceId, range: TimeRange) -> Result<(), LedgerError> {
        self.write(move |session| changes::withdraw(session, device, range)).await
    }

    /// What is being recorded live, per device that has any.
    pub async fn being_recorded(&self) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(queries::being_recorded).await
    }

    /// Records a published file that no attempt at a window brought: a piece of a live stream, or what a run left behind
    /// without a row when it was cut off. [`LedgerError::Overlap`] as with [`Self::record_archived`].
    pub async fn add_recording(&self, recording: Recording) -> Result<(), LedgerError> {
        self.write(move |session| changes::add_recording(session, &recording)).await
    }

    /// What of `within` is archived and what is missing, per device, as of one moment.
    pub async fn known(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Known>, LedgerError> {
        self.read(move |session| queries::known(session, &devices, within)).await
    }

    /// What of `within` was asked for and is missing, per device, in order and cut to it.
    pub async fn missing(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Vec<Missing>>, LedgerError> {
        self.read(move |session| missing::narrow(session, &devices, within)).await
    }

    /// What of `within` is archived, per device.
    pub async fn archived(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(move |session| Merged::Archived.within_of(session, &devices, within)).await
    }

    /// What of `within` was ever asked for, per device.
    pub async fn asked(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, RangeSet>, LedgerError> {
        self.read(move |session| Merged::Asked.within_of(session, &devices, within)).await
    }

    /// What became of each second of `within`, per device: in which file it is, or why it is missing.
    pub async fn told(
        &self,
        devices: Vec<DeviceId>,
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, Told>, LedgerError> {
        let told = move |session: Session<'_>| {
            devices.iter().map(|&device| Ok((device, picture::told(session, device, within)?))).collect()
        };
        self.read(told).await
    }

    /// The recordings that share a second with `within`, whole, in order.
    pub async fn recordings_overlapping(
        &self,
        device: DeviceId,
        within: TimeRange,
    ) -> Result<Vec<Recording>, LedgerError> {
        self.read(move |session| queries::recordings_overlapping(session, device, within, u32::MAX)).await
    }

    // Answers for people.

    /// The gaps, by device and time; the same as the view `gaps` shows.
    pub async fn gaps(&self, query: GapQuery) -> Result<Vec<Gap>, LedgerError> {
        self.read(move |session| queries::gaps(session, &query)).await
    }

    /// What was asked for and is archived on each day from `first` to `last`, both included and in each device's local
    /// time; of all devices when none are named. Days without anything asked for are left out.
    pub async fn coverage(
        &self,
        devices: Option<Vec<DeviceId>>,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Vec<CoverageDay>, LedgerError> {
        self.read(move |session| queries::coverage(session, devices.as_deref(), first, last)).await
    }

    /// Sums over devices and a range.
    pub async fn totals(&self, devices: Vec<DeviceId>, within: TimeRange) -> Result<Totals, LedgerError> {
        self.read(move |session| queries::totals(session, &devices, within)).await
    }

    /// How downloads went among the newest `attempts`, per device that has any. Of what was folded away, a day of a device
    /// counts as a whole.
    pub async fn history(&self, attempts: u32) -> Result<Vec<DeviceHistory>, LedgerError> {
        self.read(move |session| attempts::history(session, attempts)).await
    }

    async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        match &self.keeper {
            Keeper::File { writer: Some(writer), .. } => writer.write(work).await,
            Keeper::File { writer: None, .. } => Err(LedgerError::ReadOnly { ledger: self.name.clone() }),
            Keeper::Server(database) => database.write(work).await,
        }
    }

    async fn read<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let readers = match &self.keeper {
            Keeper::File { readers, .. } => Arc::clone(readers),
            Keeper::Server(database) => return database.read(work).await,
        };
        let done = tokio::task::spawn_blocking(move || readers.read(work)).await;
        done.unwrap_or_else(|error| {
            Err(LedgerError::Engine { ledger: self.name.clone(), why: format!("a question was not answered: {error}") })
        })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // What nobody waits for any more must not keep the process.
        self.end_waiting();
    }
}

/// Connections for reading: as many as were ever needed at once.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn of(path: &Path) -> Self {
        Self { path: path.to_path_buf(), idle: Mutex::default() }
    }

    fn read<T>(&self, work: impl FnOnce(Session<'_>) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let idle = locked(&self.idle).pop();
        let mut connection = idle.map_or_else(|| open::for_reading(&self.path), Ok)?;
        let answer = {
            // One transaction, so that a question of several statements sees one state.
            let snapshot = connection.transaction().map_err(|error| Fault::from(error).at(&self.path))?;
            work(Session::Sqlite(&snapshot)).map_err(|fault| fault.at(&self.path))
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
