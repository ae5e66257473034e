//! Whether an archive is what its ledger says, and its files what the platform sent. Reads the ledger with SQL of its own, and
//! knows the footage from the simulated platform.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use archive::device::DeviceId;
use archive::flv::{Frame, Frames, Parser, TrackKind};
use archive::mp4;
use archive::mp4::published::Examiner;
use archive::sim::CallRecord;
use archive::sim::footage::{Footage, Hole};
use archive::time_range::{TimeRange, UtcSecond};
use chrono::DateTime;
use rusqlite::{Connection, OpenFlags};

use crate::support::Place;
use crate::tally::Tally;

/// A recording, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub device: i64,
    pub range: TimeRange,
    pub bytes: u64,
    pub blake3: String,
}

/// What tells one state of a file from another, so that it is read once only.
type State = (u64, u64, i64, i64);

/// What is known of an archive from the last time that it was looked at.
#[derive(Default)]
pub struct Judge {
    /// What was committed, by path.
    pub rows: BTreeMap<String, Row>,
    /// Files by path: their state, and their hash then.
    read: BTreeMap<String, (State, String)>,
    /// Garbage that the test put under names that a recording may get, by name.
    pub planted: BTreeMap<String, String>,
}

/// What the ledger holds: recordings, and the notes of what is being published. Nothing when there is no ledger yet.
fn ledger(path: &Path) -> rusqlite::Result<(BTreeMap<String, Row>, Vec<String>)> {
    if !path.exists() {
        return Ok(Default::default());
    }
    let ledger = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let has_tables: bool =
        ledger
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'publishing')", [], |row| row.get(0))?;
    if !has_tables {
        return Ok(Default::default());
    }
    let mut recordings = ledger.prepare(
        "SELECT f.path || r.name, r.device, r.start, r.end, r.bytes, lower(hex(r.blake3))
         FROM recording AS r JOIN folder AS f ON f.folder = r.folder",
    )?;
    let rows = recordings.query_map([], |row| {
        let range = TimeRange::new(UtcSecond::new(row.get(2)?), UtcSecond::new(row.get(3)?));
        let range = range.ok_or(rusqlite::Error::InvalidQuery)?;
        Ok((row.get(0)?, Row { device: row.get(1)?, range, bytes: row.get::<_, i64>(4)? as u64, blake3: row.get(5)? }))
    })?;
    let rows = rows.collect::<rusqlite::Result<_>>()?;
    let mut notes = ledger.prepare("SELECT path FROM publishing")?;
    let notes = notes.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok((rows, notes))
}

impl Judge {
    /// Looks at everything. `seen`: how many calls the platform had when the rows were looked at last; `what` was done since.
    pub fn look(&mut self, place: &Place, seen: usize, what: &str, tally: &mut Tally) {
        let found = tally.findings.len();
        let (rows, notes) = match ledger(&place.ledger_path()) {
            Ok(read) => read,
            Err(error) => return tally.findings.push(format!("the ledger cannot be read: {error} ({what})")),
        };
        let calls = place.platform.calls();
        self.nothing_asked_for_again(&calls[seen..], tally);
        self.nothing_lost(&rows, tally);
        let files = self.files(place, tally);
        for (path, row) in &rows {
            tally.rows_checked += 1;
            if files.get(path).is_none_or(|(bytes, hash)| (*bytes, hash) != (row.bytes, &row.blake3)) {
                tally.rows_without_file += 1;
                tally.findings.push(format!("{path} is {:?}, and its row says {row:?}", files.get(path)));
            }
        }
        for (path, (_, hash)) in &files {
            if self.planted.get(path) == Some(hash) {
                continue;
            }
            if !rows.contains_key(path) && !notes.contains(path) {
                tally.not_whole += 1;
                tally.findings.push(format!("{path} has neither a row nor a note"));
            }
        }
        self.rows = rows;
        let seed = place.platform.config().seed;
        for finding in &mut tally.findings[found..] {
            finding.push_str(&format!(" (archive {seed}, {what})"));
        }
    }

    fn nothing_asked_for_again(&self, calls: &[CallRecord], tally: &mut Tally) {
        for call in calls {
            let (Some(device), Some(asked)) = (call.device, call.range) else { continue };
            let twice = self.rows.iter().find(|(_, row)| row.device == device.get() && row.range.overlaps(&asked));
            if let Some((path, _)) = twice {
                tally.fetched_twice += 1;
                tally.findings.push(format!("device {device} {asked} was asked for, and was archived as {path}"));
            }
        }
    }

    fn nothing_lost(&self, now: &BTreeMap<String, Row>, tally: &mut Tally) {
        for (path, row) in self.rows.iter().filter(|(path, row)| now.get(*path) != Some(row)) {
            tally.bytes_lost += row.bytes;
            tally.seconds_lost += row.range.seconds();
            tally.findings.push(format!("{path} had a row, which is {:?} now: {row:?}", now.get(path)));
        }
    }

    /// Every file under a final name, with its size and hash. Those that are new or have changed are compared with what the
    /// platform sent.
    fn files(&mut self, place: &Place, tally: &mut Tally) -> BTreeMap<String, (u64, String)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![place.root()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("a folder can be read").path();
                let name = path.strip_prefix(place.root()).expect("below the root").display().to_string();
                let is_file = path.is_file();
                if name.starts_with(".aside/") && is_file {
                    self.is_planted(&name, &path, tally);
                } else if name != ".aside" && (name.starts_with('.') || name.starts_with("ledger.db")) {
                    // Staging, what was swept, locks, and the ledger.
                } else if is_file {
                    files.insert(name.clone(), self.file(&name, &path, place, tally));
                } else {
                    folders.push(path);
                }
            }
        }
        files
    }

    fn is_planted(&self, name: &str, path: &Path, tally: &mut Tally) {
        let bytes = std::fs::read(path).expect("a file can be read");
        if !self.planted.values().any(|hash| *hash == hash_of(&bytes)) {
            tally.findings.push(format!("{name} was moved aside, and is none of the test's garbage"));
        }
    }

    fn file(&mut self, name: &str, path: &Path, place: &Place, tally: &mut Tally) -> (u64, String) {
        let facts = std::fs::metadata(path).expect("the file is there");
        let state = (facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec());
        if let Some((_, hash)) = self.read.get(name).filter(|(then, _)| *then == state) {
            return (facts.len(), hash.clone());
        }
        let bytes = std::fs::read(path).expect("a file can be read");
        let hash = hash_of(&bytes);
        if self.planted.get(name) != Some(&hash) {
            tally.files_checked += 1;
            if let Err(why) = is_whole(name, &bytes, place) {
                tally.not_whole += 1;
                tally.findings.push(format!("{name} is not whole: {why}"));
            }
        }
        self.read.insert(name.to_owned(), (state, hash.clone()));
        (facts.len(), hash)
    }
}

pub fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// What the name of a recording says: `5/2026-11-20/5_20261120T090000+0800_600s.flv`, or `.mp4`; and whether it is a live one.
fn named(name: &str) -> Option<(DeviceId, TimeRange, bool)> {
    let stem = name.rsplit('/').next()?;
    let stem = stem.strip_suffix(".flv").or_else(|| stem.strip_suffix(".mp4"))?;
    let mut parts = stem.split('_');
    let (device, label, seconds, live) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    let start = DateTime::parse_from_str(label, "%Y%m%dT%H%M%S%z").ok()?.timestamp();
    let seconds: i64 = seconds.strip_suffix('s')?.parse().ok()?;
    let range = TimeRange::new(UtcSecond::new(start), UtcSecond::new(start + seconds))?;
    Some((DeviceId::new(device.parse().ok()?)?, range, live.is_some()))
}

/// Whether the footage begins with these bytes.
fn is_begun_by(footage: &Footage, mut bytes: &[u8]) -> bool {
    for piece in (0..footage.pieces()).map(|index| footage.piece(index)) {
        let length = piece.len().min(bytes.len());
        if piece[..length] != bytes[..length] {
            return false;
        }
        bytes = &bytes[length..];
    }
    bytes.is_empty()
}

/// Whether the frames of an MP4 are the footage's first pictures and first sound.
fn has_frames_of(footage: &Footage, mp4: &[u8]) -> bool {
    let (mut sent, mut found) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    let add = |to: &mut [Vec<Vec<u8>>; 2], frame: Frame<'_>| {
        if let Frame::Sample { track, payload, .. } = frame {
            to[usize::from(track == TrackKind::Audio)].push(payload.to_vec());
        }
    };
    let mut frames = Frames::new();
    for piece in (0..footage.pieces()).map(|index| footage.piece(index)) {
        frames.push(&piece, |frame| add(&mut sent, frame));
    }
    mp4::frames::Frames::new().push(mp4, |frame| add(&mut found, frame));
    found.iter().zip(&sent).all(|(found, sent)| sent.starts_with(found))
}

/// By how much a stream may be shorter than its window, in seconds; the setting's default.
const TOLERANCE: i64 = 5;

/// Why a file is not what the platform sent for the time in its name: all of it, or all up to where the stream ended too early.
fn is_whole(name: &str, bytes: &[u8], place: &Place) -> Result<(), String> {
    let (device, range, is_live) = named(name).ok_or("its name is no recording's")?;
    let is_mp4 = name.ends_with(".mp4");
    let allowed = if is_live { 0 } else { TOLERANCE };
    let enough = (range.seconds() - allowed) * 1000;
    if is_mp4 {
        let mut examiner = Examiner::default();
        examiner.push(bytes);
        let (facts, _) = examiner.finish()?;
        if facts.media.media_milliseconds < enough {
            return Err(format!("{facts:?}"));
        }
    } else {
        let mut parser = Parser::new();
        parser.push(bytes);
        let report = parser.report();
        if report.good_bytes != bytes.len() as u64 || report.footage_milliseconds() < enough {
            return Err(format!("{report:?}"));
        }
    }
    if is_live {
        // Pieces begin and end wherever somebody came to see them: to be sound to the last byte must do.
        return Ok(());
    }
    let calls = place.platform.calls().into_iter().filter(|call| call.device == Some(device));
    let mut asked: Vec<TimeRange> = calls.filter_map(|call| call.range).collect();
    asked.retain(|asked| asked.start() == range.start() && asked.end() >= range.end());
    asked.sort_unstable();
    asked.dedup();
    for asked in asked {
        let truth = place.platform.truth(device, asked);
        let footage = Footage::new(device, asked, &truth, Hole::Squeeze, 0);
        if if is_mp4 { has_frames_of(&footage, bytes) } else { is_begun_by(&footage, bytes) } {
            return Ok(());
        }
    }
    Err(format!("{} bytes, which the platform never sent for it", bytes.len()))
}
