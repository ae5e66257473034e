//! Tests of the ledger as its callers see it.

mod copying;
pub(in crate::ledger) mod engines;
mod live_runs;
mod model;
mod narrow;
mod opening;
mod picture;
mod publishing;
mod queries;
mod rebuilding;
mod sharing;
mod strange;
mod upkeep;

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Ledger, RunStart};
use crate::device::DeviceId;
use crate::outcome::{Attempt, Class, Code, Outcome};
use crate::recording::{AudioCodec, ContentHash, MediaFacts, Recording, Source, VideoCodec};
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Window;

/// 2026-11-20T00:00:00Z.
const DAY: i64 = 1_795_132_800;

struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a test needs a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn open(&self) -> Ledger {
        Ledger::open(self.path()).expect("a fresh ledger opens")
    }

    /// The file as a person with `sqlite3` sees it.
    fn shell(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).expect("the ledger is an SQLite file")
    }
}

fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("test devices are not negative")
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
}

fn window(number: i64, start: i64, end: i64) -> Window {
    Window { device: device(number), range: range(start, end) }
}

fn start(at: i64) -> RunStart {
    RunStart { started: UtcSecond::new(at), what: "archive run jobs.toml".to_owned(), source: Source::Nvr }
}

fn attempt(started: i64, outcome: Outcome, code: Option<Code>) -> Attempt {
    Attempt { started: UtcSecond::new(started), milliseconds: 60_000, bytes: 600, outcome, code, detail: None }
}

fn busy(started: i64) -> Attempt {
    attempt(started, Outcome::Missed(Class::NvrFull), Some(Code::Result(-4)))
}

fn recording(number: i64, start: i64, end: i64) -> Recording {
    Recording {
        device: device(number),
        range: range(start, end),
        path: format!("store 1/{number}/{start}.flv"),
        bytes: 75_000_000,
        blake3: ContentHash([7; 32]),
        media: MediaFacts {
            media_milliseconds: (end - start) * 1000,
            first_timestamp: 12,
            video_codec: Some(VideoCodec::H264),
            audio_codec: Some(AudioCodec::Aac),
            picture_size: Some((1280, 720)),
        },
        source: Source::Nvr,
        clock_offset: None,
        archived_at: UtcSecond::new(end + 3600),
        note: String::new(),
    }
}
