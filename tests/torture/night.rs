//! One archive and its platform: runs that are killed, and the one at the end that is not.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use archive::device::{DeviceId, NvrId};
use archive::failpoint::Failpoint;
use archive::recording::{Container, Source};
use archive::report::GapQuery;
use archive::sim::config::CameraConfig;
use archive::sim::moment::{Moment, Period};
use archive::sim::{Config, MediaFault, Scripted, Speed, Trouble};
use archive::time_range::{RangeSet, TimeRange};
use archive::vault::Named;
use archive::vault::name;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::Kill;
use crate::judge::{Judge, hash_of};
use crate::support::stores::{on_postgres, on_s3};
use crate::support::{PATIENCE, Place, device, fleet, range, send, yesterday};
use crate::tally::Tally;

const CAMERAS: [i64; 6] = [1, 2, 3, 11, 12, 13];
const MAIN: &str = "1-3,11-13";
/// The camera that is recorded live.
const LIVE: i64 = 21;

/// The latest moment of a kill, in milliseconds: some hundredths of a second after a whole run of the main job.
fn latest() -> u64 {
    // A server's begins when the lease of the run before it has ended, and objects go to a server that takes its time.
    900 + if on_postgres() { 1_000 } else { 0 } + if on_s3() { 1_500 } else { 0 }
}
/// One kill in three is this early: a start has as much to do as all the rest, as far as this test is concerned.
const EARLY: u64 = 120;
/// A live run comes to its steps within so much, or never.
const LIVE_PATIENCE: Duration = Duration::from_secs(6);

/// How far around a hole a second may count as missing: it is looked for by the minute.
const AROUND_A_HOLE: i64 = 120;

/// What a run is asked for.
#[derive(Clone)]
struct Job {
    devices: String,
    cameras: Vec<i64>,
    range: TimeRange,
}

enum Run {
    Job(Job),
    Live,
}

enum End {
    Killed,
    ByItself,
}

/// One archive.
pub struct Night {
    place: Place,
    random: ChaCha8Rng,
    judge: Judge,
    /// All that was asked for, the main job first.
    jobs: Vec<Job>,
    /// Whether the main job has come to its end.
    is_done: bool,
    /// As what it archives; some change their mind.
    container: Container,
    /// How many calls there had been when a camera was last given an answer that is wrong.
    scripted: BTreeMap<DeviceId, usize>,
    pub kills: u32,
}

/// Whether a step is reached in an archive's first run only.
pub fn is_early(kill: Kill) -> bool {
    matches!(kill, Kill::At(Failpoint::LedgerMigrate | Failpoint::LedgerListed | Failpoint::LedgerMigrated))
}

/// Whether there is such a step where the archives of this program are.
pub fn is_there(step: Failpoint) -> bool {
    use Failpoint as F;
    let in_file = matches!(step, F::LedgerListed);
    // What is published there needs no folders, and is moved aside by its store.
    let in_folder = matches!(step, F::FolderMade | F::AsideMove | F::AsideMoved | F::AsideSynced);
    !(in_file && on_postgres() || in_folder && on_s3())
}

/// Whether a run reaches a step with each of its windows, or nearly so.
fn is_of_each_window(step: Failpoint) -> bool {
    use Failpoint as F;
    matches!(
        step,
        F::LedgerBegin
            | F::LedgerCommit
            | F::LedgerCommitted
            | F::FreeSpace
            | F::StagingCreate
            | F::StagingCreated
            | F::StagingWrite
            | F::StagingWritten
            | F::Remux
            | F::Remuxed
            | F::PublishingNote
            | F::PublishingNoted
            | F::FileSync
            | F::FileSynced
            | F::FolderMake
            | F::Rename
            | F::Renamed
            | F::FolderSync
            | F::FolderSynced
            | F::RowWrite
            | F::RowWritten
    )
}

fn config(seed: u64) -> Config {
    let url_life = "500ms".parse().expect("a length");
    // A run takes most of a second, and most of that streams are under way.
    let fleet = fleet(&[(2, &CAMERAS[..3]), (3, &CAMERAS[3..]), (1, &[LIVE])]);
    let mut config = Config { seed, speed: Speed::Times(6_000.0), url_life, ..fleet };
    let hole = |camera: &mut CameraConfig, from: i64, seconds: i64| {
        let at = |after: i64| Some(Moment::At((yesterday() + after).into()));
        camera.holes.push(Period { from: at(from), to: at(from + seconds) });
    };
    let nvrs = &mut config.stores[0].nvrs;
    hole(&mut nvrs[0].cameras[1], 700, 900);
    hole(&mut nvrs[1].cameras[0], 1_500, 77);
    config
}

impl Night {
    pub async fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let place = Place::new(config(seed)).await;
        // Edges off the grid too.
        let from = yesterday() + random.random_range(0..500);
        let range = range(from, random.random_range(2_000..4_000));
        let main = Job { devices: MAIN.to_owned(), cameras: CAMERAS.to_vec(), range };
        let container = if random.random_ratio(1, 2) { Container::Mp4 } else { Container::Flv };
        let judge = Judge::default();
        // Whether a host that lives is taken for dead is no matter here, and there are many dead ones.
        let settings = place.path().join("settings.toml");
        let text = std::fs::read_to_string(&settings).expect("it was written");
        std::fs::write(settings, text.replace("lease = \"3s\"", "lease = \"1s\"")).expect("it can be written");
        let scripted = BTreeMap::new();
        let mut night = Self { place, random, judge, jobs: vec![main], is_done: false, container, scripted, kills: 0 };
        night.archive_as(container);
        night
    }

    fn archive_as(&mut self, container: Container) {
        self.container = container;
        let settings = self.place.path().join("settings.toml");
        let text = std::fs::read_to_string(&settings).expect("it was written");
        let kept = text.lines().filter(|line| !line.starts_with("container")).map(|line| format!("{line}\n"));
        let section = format!("[archive]\ncontainer = \"{}\"\n", container.extension());
        let text = kept.collect::<String>().replace("[archive]\n", &section);
        std::fs::write(settings, text).expect("it can be written");
    }

    /// One run, or those that it takes to bring one there, is killed.
    pub async fn suffer(&mut self, kill: Kill, tally: &mut Tally) {
        self.trouble();
        match kill {
            Kill::Moment => {
                let latest = if self.random.random_ratio(1, 3) { EARLY } else { latest() };
                let after = Duration::from_micros(self.random.random_range(0..latest * 1000));
                let run = self.main_or_new();
                if let End::Killed = self.run(run, None, Some(after), tally).await {
                    tally.at_moments += 1;
                }
            }
            Kill::LiveMoment => {
                let after = Duration::from_millis(self.random.random_range(0..2_500));
                if let End::Killed = self.run(Run::Live, None, Some(after), tally).await {
                    tally.at_moments += 1;
                    tally.of_live_runs += 1;
                }
            }
            Kill::At(step) => {
                // A recorder that is busy for good keeps a run from most steps for a minute.
                self.no_trouble();
                self.suffer_at(step, tally).await;
            }
        }
    }

    async fn suffer_at(&mut self, step: Failpoint, tally: &mut Tally) {
        use Failpoint as F;
        // Three tries: what is left to do may keep a run from the step, or from reaching it so often.
        for try_number in 0..3 {
            let run = match step {
                F::LiveCreate | F::LiveCreated | F::LiveRename | F::LiveRenamed => Run::Live,
                F::LiveDiscard => {
                    self.kill_at(Run::Live, F::LiveCreated, 1, tally).await;
                    Run::Live
                }
                F::AdoptLook | F::AdoptJudged => {
                    let run = self.new_job(1);
                    self.kill_at(run, F::Renamed, 1, tally).await;
                    // Of a ledger that many share a run puts right what concerns its own cameras.
                    if on_postgres() { self.newest() } else { self.main_or_new() }
                }
                F::AsideMove | F::AsideMoved | F::AsideSynced => {
                    let run = self.new_job(1);
                    self.plant();
                    run
                }
                F::SweepMove | F::SweepMoved => {
                    self.leave_something_in_staging();
                    self.main_or_new()
                }
                F::StagingCut | F::StagingWasCut => {
                    // Of what becomes an MP4 the good part is copied.
                    self.archive_as(Container::Flv);
                    let run = self.new_job(2);
                    self.break_streams();
                    run
                }
                F::Remux | F::Remuxed if self.container != Container::Mp4 => {
                    self.archive_as(Container::Mp4);
                    self.new_job(2)
                }
                F::FolderMade | F::FoldStep | F::RunEnd => self.new_job(1),
                _ if try_number > 0 => self.new_job(2),
                // Now and then it is a live run that comes there.
                F::StagingWritten | F::Remux | F::Remuxed | F::RowWritten | F::LedgerCommitted
                    if self.random.random_ratio(1, 3) =>
                {
                    Run::Live
                }
                _ => self.main_or_new(),
            };
            let is_large = matches!(&run, Run::Job(job) if job.cameras.len() > 1);
            let is_often = try_number == 0 && is_large && is_of_each_window(step);
            let time = if is_often { self.random.random_range(1..=5) } else { 1 };
            if self.kill_at(run, step, time, tally).await {
                return;
            }
            if is_early(Kill::At(step)) {
                break;
            }
        }
        tally.findings.push(format!("{} is never reached", step.name()));
    }

    /// Whether a run was killed when it reached a step for that time.
    async fn kill_at(&mut self, run: Run, step: Failpoint, time: u64, tally: &mut Tally) -> bool {
        let killed = matches!(self.run(run, Some((step, time)), None, tally).await, End::Killed);
        if killed {
            *tally.at.entry(step).or_default() += 1;
        }
        killed
    }

    /// A run that nobody kills, of all that was ever asked for: it finds all that there is, and leaves nothing behind.
    pub async fn finish(mut self, tally: &mut Tally) {
        self.no_trouble();
        for job in self.jobs.clone() {
            let run = Run::Job(job.clone());
            self.run(run, None, None, tally).await;
            self.assert_done(&job, tally).await;
        }
        let mut left: Vec<String> = self.place.stores.all().into_keys().collect();
        left.retain(|name| name.starts_with('.') && !name.starts_with(".aside/"));
        let swept = std::fs::read_dir(self.place.stores.working_folder().join(".swept")).into_iter().flatten();
        left.extend(swept.filter_map(|entry| Some(entry.ok()?.path().display().to_string())));
        left.extend(self.place.stores.uploads().into_iter().map(|name| format!("an upload of {name}")));
        let seed = self.place.platform.config().seed;
        if !left.is_empty() {
            tally.findings.push(format!("archive {seed}: left behind at the end: {left:?}"));
        }
        for source in [Source::Nvr, Source::Live] {
            let notes = self.place.read_ledger().publishing(source).await.expect("the ledger answers");
            if !notes.is_empty() {
                tally.findings.push(format!("archive {seed}: notes at the end: {notes:?}"));
            }
        }
        tally.archives += 1;
        let Place { platform, .. } = self.place;
        platform.shutdown().await;
    }

    /// Every second of a job that is over is archived, or a gap in the ledger at a place where there is no footage.
    async fn assert_done(&self, job: &Job, tally: &mut Tally) {
        let gaps = self.place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
        for &camera in &job.cameras {
            let of_camera = |path: &&archive::report::Gap| path.device == device(camera);
            let why: Vec<_> =
                gaps.iter().filter(of_camera).map(|gap| (gap.cause, gap.attempts, &gap.last_code)).collect();
            let gaps: RangeSet = gaps.iter().filter(of_camera).map(|gap| gap.range).collect();
            let gaps = gaps.intersect(&job.range.into());
            let rows = self.judge.rows.values().filter(|row| row.device == camera).map(|row| row.range);
            let archived: RangeSet = rows.collect::<RangeSet>().intersect(&job.range.into());
            let asked = RangeSet::from(job.range);
            let what = format!("archive {}, camera {camera}, {}", self.place.platform.config().seed, job.range);
            if asked.subtract(&archived) != gaps {
                tally.findings.push(format!("{what}: archived {archived:?}, gaps {gaps:?}"));
            }
            let holes = asked.subtract(&self.place.platform.truth(device(camera), job.range));
            let around = |hole: &TimeRange| TimeRange::new(hole.start() - AROUND_A_HOLE, hole.end() + AROUND_A_HOLE);
            let around: RangeSet = holes.ranges().iter().filter_map(around).collect();
            let untrue = gaps.subtract(&around);
            if !untrue.is_empty() {
                tally.findings.push(format!("{what}: gaps where there is footage: {untrue:?}, of {why:?}"));
            }
        }
    }

    /// A run, with what it is killed by, and a look at what it left.
    async fn run(&mut self, run: Run, at: Option<(Failpoint, u64)>, after: Option<Duration>, tally: &mut Tally) -> End {
        let mut command = match &run {
            Run::Job(job) => self.place.fetch(&job.devices, job.range),
            Run::Live => self.place.archive(&["live", "--device", &LIVE.to_string()]),
        };
        let mut points = "all=tell".to_owned();
        if let Some((step, time)) = at {
            points.push_str(&format!(",{}:{time}=kill", step.name()));
        }
        let seen = self.place.platform.calls().len();
        let said = self.place.path().join("stderr");
        let patience = if matches!(run, Run::Live) && after.is_none() { LIVE_PATIENCE } else { PATIENCE };
        let status = killed_or_ended(command.env("ARCHIVE_FAILPOINTS", points), &said, after, patience).await;
        tally.runs += 1;
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        let what = match (at, after) {
            (Some((step, time)), _) => format!("killed at {}:{time}", step.name()),
            (None, Some(after)) => format!("killed after {} µs", after.as_micros()),
            (None, None) => "not killed".to_owned(),
        };
        self.judge.look(&self.place, seen, &what, tally);
        let Some(code) = status.and_then(|status| status.code()) else {
            self.kills += 1;
            if status.is_some() && after.is_some() {
                let last = said.lines().rev().find_map(|line| line.strip_prefix("failpoint ")?.split(':').next());
                *tally.after.entry(last.unwrap_or("nothing yet").to_owned()).or_default() += 1;
            }
            // One that never came to its step was ended all the same.
            return if status.is_some() { End::Killed } else { End::ByItself };
        };
        if ![0, 3].contains(&code) {
            let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("failpoint ")).collect();
            tally.findings.push(format!("{what}, and it ended with {code}: {}", said.join(" / ")));
        }
        if let Run::Job(job) = run {
            self.is_done |= job.devices == MAIN;
        }
        End::ByItself
    }

    fn main_or_new(&mut self) -> Run {
        if self.is_done { self.new_job(2) } else { Run::Job(self.jobs[0].clone()) }
    }

    /// So many cameras and up to three windows on a day that nobody has asked for.
    fn new_job(&mut self, cameras: usize) -> Run {
        let days = i64::try_from(self.jobs.len()).expect("few jobs");
        let from = self.random.random_range(0..CAMERAS.len() - cameras);
        let cameras = CAMERAS[from..from + cameras].to_vec();
        let devices: Vec<String> = cameras.iter().map(i64::to_string).collect();
        let range = range(yesterday() - days * 86_400, self.random.random_range(300..1_500));
        let job = Job { devices: devices.join(","), cameras, range };
        self.jobs.push(job.clone());
        Run::Job(job)
    }

    fn newest(&self) -> Run {
        Run::Job(self.jobs[self.jobs.len() - 1].clone())
    }

    /// Puts garbage where the newest job's first recording is going to be.
    fn plant(&mut self) {
        let Some(job) = self.jobs.last() else { return };
        let first = job.range.cut_on_grid().next().expect("a range holds a second");
        let source = Source::Nvr;
        let named = Named { device: device(job.cameras[0]), range: first, source, container: self.container };
        let name = name::recording(&named, chrono_tz::Asia::Shanghai);
        let garbage = format!("garbage {}", self.random.random::<u64>()).into_bytes();
        self.place.stores.put(&name, &garbage);
        self.judge.planted.insert(name, hash_of(&garbage));
    }

    fn leave_something_in_staging(&self) {
        let staging = self.place.stores.working_folder().join(".staging");
        std::fs::create_dir_all(&staging).expect("a folder can be made");
        std::fs::write(staging.join("left.part"), "left").expect("a file can be written");
    }

    /// The next streams of the newest job's cameras break in the middle of a tag, behind a part that is worth keeping.
    fn break_streams(&mut self) {
        let cameras = self.jobs.last().map(|job| job.cameras.clone()).unwrap_or_default();
        for camera in cameras {
            let after = self.random.random_range(80..250);
            self.place.platform.script(device(camera), [Scripted::Stream(MediaFault::BreakAfterSeconds(after))]);
        }
    }

    fn no_trouble(&self) {
        for nvr in ["nvr-0", "nvr-1"] {
            self.place.platform.trouble(&NvrId::new(nvr), None);
        }
    }

    /// Something is wrong with the platform now and then: a recorder that is busy, answers and streams that fail.
    fn trouble(&mut self) {
        for nvr in ["nvr-0", "nvr-1"] {
            let trouble = match self.random.random_range(0..8) {
                0 => Some(Trouble::Overloaded),
                1 => Some(Trouble::Taken(1)),
                _ => None,
            };
            self.place.platform.trouble(&NvrId::new(nvr), trouble);
        }
        let camera = device(CAMERAS[self.random.random_range(0..CAMERAS.len())]);
        let after = self.random.random_range(0..600);
        let answer = match self.random.random_range(0..12) {
            0 => Scripted::Stat(-500),
            1 => Scripted::Result(-5),
            2 => Scripted::Result(-4),
            3 => Scripted::Stream(MediaFault::BreakAfterSeconds(after)),
            4 => Scripted::Stream(MediaFault::EndInTagAfterSeconds(after)),
            5 => Scripted::Stream(MediaFault::ShortAfterSeconds(after)),
            6 => Scripted::Stream(MediaFault::HeaderOnly),
            7 => Scripted::Stream(MediaFault::ErrorPage),
            _ => return,
        };
        // Where runs are killed before they ask, such answers would gather, and two of them in a row may be believed.
        let calls = self.place.platform.calls();
        let is_given = |&then: &usize| calls[then..].iter().any(|call| call.device == Some(camera));
        if self.scripted.get(&camera).is_none_or(is_given) {
            self.scripted.insert(camera, calls.len());
            self.place.platform.script(camera, [answer]);
        }
    }
}

/// Starts the program, kills it after a while if it is to be, and waits for its end. Nothing when it went on for longer than
/// anybody waits, and was killed for that.
async fn killed_or_ended(
    command: &mut Command,
    said: &std::path::Path,
    after: Option<Duration>,
    patience: Duration,
) -> Option<ExitStatus> {
    // A file, since a pipe that nobody reads while it runs would hold it up.
    let said = File::create(said).expect("a file can be made");
    let mut child = command.stdout(Stdio::null()).stderr(said).spawn().expect("the program starts");
    let begun = Instant::now();
    let ended = |child: &mut Child| child.try_wait().expect("the process can be asked");
    loop {
        if let Some(status) = ended(&mut child) {
            return Some(status);
        }
        let wait = match after {
            // Here the time is what is tested.
            Some(after) => after.saturating_sub(begun.elapsed()),
            None => patience.saturating_sub(begun.elapsed()),
        };
        if wait.is_zero() {
            send(&child, Signal::KILL);
            let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("the waiting thread lives");
            return after.map(|_| status.expect("the program can be waited for"));
        }
        tokio::time::sleep(wait.min(Duration::from_millis(2))).await;
    }
}
