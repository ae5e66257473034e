//! What the README claims about the ledger: 1,000 cameras asked for round the clock for a year, 52 million windows, of
//! which one in a thousand is missing; and what a window costs to write and to keep.
//!
//! The year is written through the ledger's own operations. What is archived between two missing windows is written as
//! one long recording, so that filling takes seconds: the tables of merged ranges, which gaps are read from, are the
//! same as after 52 million windows. What a window costs is measured on a ledger of real ten-minute recordings.
//!
//! `cargo bench --bench ledger` prints its figures last.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use archive::device::DeviceId;
use archive::ledger::Ledger;
use archive::outcome::{Attempt, Class, Code, Outcome};
use archive::recording::{AudioCodec, Container, ContentHash, MediaFacts, Recording, Source, VideoCodec};
use archive::report::{GapQuery, RunId, RunStart};
use archive::time_range::{GRID_SECONDS, TimeRange, UtcSecond};
use archive::vault::name::{self, Named};
use archive::window::Window;
use futures::stream::{self, StreamExt, TryStreamExt};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CAMERAS: i64 = 1_000;
const WINDOWS_A_DAY: i64 = 144;
const WINDOWS_A_YEAR: i64 = 365 * WINDOWS_A_DAY;
const MISSING_PER_CAMERA: usize = 53;
/// 2026-01-01T00:00:00Z.
const YEAR: i64 = 1_767_225_600;
/// How many requests wait at once: what a night of many NVRs has under way.
const TOGETHER: usize = 256;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut figures = Vec::new();
    questions(&folder.path().join("year.db"), &mut figures).await?;
    windows(&folder.path().join("month.db"), &mut figures).await?;
    for (name, value, unit) in figures {
        println!("figure ledger/{name} {value:.2} {unit}");
    }
    Ok(())
}

type Figures = Vec<(&'static str, f64, &'static str)>;

async fn questions(path: &Path, figures: &mut Figures) -> Result<(), Failure> {
    let begun = Instant::now();
    fill_year(path).await?;
    println!("filled the year in {:.1} s", begun.elapsed().as_secs_f64());

    // As the ledger itself reads: without a mutex around every value.
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let shell = rusqlite::Connection::open_with_flags(path, flags)?;
    let expected = usize::try_from(shell.query_row("SELECT count(*) FROM gaps", [], |row| row.get::<_, i64>(0))?)?;
    println!("{expected} gaps");
    let one = "SELECT * FROM gaps WHERE device = 500";
    let day = "SELECT * FROM gaps WHERE to_utc > '2026-11-20' AND from_utc < '2026-11-21'";
    let coverage = "SELECT * FROM coverage WHERE device = 500";
    figures.push(("gaps-all", median_ms(15, || rows(&shell, "SELECT * FROM gaps"))?, "ms"));
    figures.push(("gaps-device", median_ms(101, || rows(&shell, one))?, "ms"));
    figures.push(("gaps-day", median_ms(15, || rows(&shell, day))?, "ms"));
    figures.push(("coverage-device", median_ms(15, || rows(&shell, coverage))?, "ms"));
    figures.push(("open", median_ms(15, || Ok(Ledger::open(path).map(drop)?))?, "ms"));
    figures.push(("open-read-only", median_ms(15, || Ok(Ledger::open_read_only(path).map(drop)?))?, "ms"));

    let ledger = Ledger::open_read_only(path)?;
    let cameras: Vec<_> = (0..CAMERAS).filter_map(DeviceId::new).collect();
    let begun = Instant::now();
    assert_eq!(ledger.gaps(GapQuery::default()).await?.len(), expected);
    figures.push(("gaps-all-typed", ms(begun.elapsed()), "ms"));
    let begun = Instant::now();
    black_box(ledger.missing(cameras, windows_range(0, WINDOWS_A_YEAR)).await?);
    figures.push(("plan-all", ms(begun.elapsed()), "ms"));
    Ok(())
}

/// Every camera: asked for a year, [`MISSING_PER_CAMERA`] windows at random places tried and missing, the rest archived.
async fn fill_year(path: &Path) -> Result<(), Failure> {
    let ledger = Ledger::open(path)?;
    let run = begin(&ledger).await?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let cameras = (0..CAMERAS).filter_map(DeviceId::new);
    ledger.ask(cameras.clone().map(|device| (device, windows_range(0, WINDOWS_A_YEAR).into())).collect()).await?;
    for device in cameras {
        let mut holes = BTreeSet::new();
        while holes.len() < MISSING_PER_CAMERA {
            holes.insert(random.random_range(0..WINDOWS_A_YEAR));
        }
        let missed = holes
            .iter()
            .map(|&hole| ledger.record_missed(run, Window { device, range: windows_range(hole, hole + 1) }, busy()));
        stream::iter(missed).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
        let starts = std::iter::once(0).chain(holes.iter().map(|hole| hole + 1));
        let ends = holes.iter().copied().chain([WINDOWS_A_YEAR]);
        let between = starts.zip(ends).filter(|(start, end)| start < end);
        let archived =
            between.map(|(start, end)| ledger.record_archived(run, whole(), recording(device, start, end), None));
        stream::iter(archived).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

/// Twenty cameras for a month, as nights bring them: all cameras at once, window after window.
async fn windows(path: &Path, figures: &mut Figures) -> Result<(), Failure> {
    let ledger = Ledger::open(path)?;
    let run = begin(&ledger).await?;
    let (cameras, month, alone) = (20, 30 * WINDOWS_A_DAY, 1_000);
    let devices: Vec<_> = (0..cameras).filter_map(DeviceId::new).collect();
    let everything = devices.iter().map(|&device| (device, windows_range(0, month).into())).collect();
    ledger.ask(everything).await?;

    let all: Vec<_> = (0..month).flat_map(|window| devices.iter().map(move |&device| (device, window))).collect();
    let (one_by_one, together) = all.split_at(alone);
    let begun = Instant::now();
    for &(device, window) in one_by_one {
        ledger.record_archived(run, whole(), recording(device, window, window + 1), None).await?;
    }
    figures.push(("windows-one-by-one", one_by_one.len() as f64 / begun.elapsed().as_secs_f64(), "1/s"));
    let begun = Instant::now();
    let requests = together
        .iter()
        .map(|&(device, window)| ledger.record_archived(run, whole(), recording(device, window, window + 1), None));
    stream::iter(requests).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
    figures.push(("windows-together", together.len() as f64 / begun.elapsed().as_secs_f64(), "1/s"));

    drop(ledger);
    figures.push(("bytes-per-window", used_bytes(path)? / all.len() as f64, "B"));
    let ledger = Ledger::open(path)?;
    let begun = Instant::now();
    let folded = ledger.fold_attempts(UtcSecond::new(YEAR + 367 * 86_400)).await?;
    figures.push(("folded-attempts", folded as f64 / begun.elapsed().as_secs_f64(), "1/s"));
    drop(ledger);
    figures.push(("bytes-per-window-folded", used_bytes(path)? / all.len() as f64, "B"));
    Ok(())
}

/// The pages of the file that hold anything; the others are used again.
fn used_bytes(path: &Path) -> Result<f64, Failure> {
    let shell = rusqlite::Connection::open(path)?;
    let number = |name: &str| shell.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok(((number("page_count")? - number("freelist_count")?) * number("page_size")?) as f64)
}

async fn begin(ledger: &Ledger) -> Result<RunId, Failure> {
    let start = RunStart { started: UtcSecond::new(YEAR), what: "bench".to_owned(), source: Source::Nvr };
    Ok(ledger.begin_run(start).await?)
}

fn windows_range(first: i64, end: i64) -> TimeRange {
    let at = |window| UtcSecond::new(YEAR + window * GRID_SECONDS);
    TimeRange::new(at(first), at(end)).expect("the bench asks for at least one window")
}

fn busy() -> Attempt {
    let outcome = Outcome::Missed(Class::NvrFull);
    Attempt { outcome, code: Some(Code::Result(-4)), bytes: 0, ..whole() }
}

fn whole() -> Attempt {
    Attempt {
        started: UtcSecond::new(YEAR + 366 * 86_400),
        milliseconds: 61_234,
        bytes: 150_000_000,
        outcome: Outcome::Archived,
        code: None,
        detail: None,
    }
}

fn recording(device: DeviceId, first: i64, end: i64) -> Recording {
    let range = windows_range(first, end);
    let named = Named { device, range, source: Source::Nvr, container: Container::Flv };
    Recording {
        device,
        range,
        path: name::recording(&named, chrono_tz::Asia::Shanghai),
        bytes: 150_000_000,
        blake3: ContentHash(*blake3::hash(range.to_string().as_bytes()).as_bytes()),
        media: MediaFacts {
            media_milliseconds: range.seconds() * 1000 - 40,
            first_timestamp: 86_400_123,
            video_codec: Some(VideoCodec::H264),
            audio_codec: Some(AudioCodec::Aac),
            picture_size: Some((1920, 1080)),
        },
        source: Source::Nvr,
        clock_offset: None,
        archived_at: UtcSecond::new(YEAR + 366 * 86_400),
        note: String::new(),
    }
}

/// Runs a query and looks at every value of every row.
fn rows(shell: &rusqlite::Connection, sql: &str) -> Result<(), Failure> {
    let mut statement = shell.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            black_box(row.get_ref(column)?);
        }
    }
    Ok(())
}

fn median_ms(rounds: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    work()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    // The best round beside the median says whether the machine was quiet.
    println!("{rounds} rounds: best {:.2} ms, median {:.2} ms", ms(times[0]), ms(times[rounds / 2]));
    Ok(ms(times[rounds / 2]))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
