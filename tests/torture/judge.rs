//! Whether an archive is what its ledger says, and its files what the platform sent. Reads the ledger with SQL of its own, and
//! knows the footage from the simulated platform.

use std::collections::BTreeMap;

use archive::device::DeviceId;
use archive::flv::{Frame, Frames, Parser, TrackKind};
use archive::mp4;
use archive::mp4::published::Examiner;
use archive::sim::CallRecord;
use archive::sim::footage::{Footage, Hole};
use archive::time_range::{TimeRange, UtcSecond};
use chrono::DateTime;

use crate::support::Place;
use crate::support::stores::Seen;
use crate::tally::Tally;

/// A recording, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub device: i64,
    pub range: TimeRange,
    pub bytes: u64,
    pub blake3: String,
}

/// What is known of an archive from the last time that it was looked at.
#[derive(Default)]
pub struct Judge {
    /// What was committed, by path.
    pub rows: BTreeMap<String, Row>,
    /// Files by path: how they were seen when they were read, and their hash then.
    read: BTreeMap<String, (Seen, String)>,
    /// Garbage that the test put under names that a recording may get, by name.
    pub planted: BTreeMap<String, String>,
}

/// What the ledger holds: recordings, and the notes of what is being published. Nothing when there is no ledger yet; why not,
/// when it holds what it should not.
fn ledger(place: &Place) -> Result<(BTreeMap<String, Row>, Vec<String>), String> {
    if !place.stores.has_table("publishing")? {
        return Ok(Default::default());
    }
    // In one statement, so that both are of one moment: a server may still be about to commit what a killed run sent.
    let lines = place.stores.look(
        "SELECT path, device, from_utc, seconds, bytes, blake3 FROM recordings
         UNION ALL SELECT path, NULL, NULL, NULL, NULL, NULL FROM publishing",
    )?;
    let (mut rows, mut notes) = (BTreeMap::new(), Vec::new());
    for line in lines.lines() {
        let columns: Vec<&str> = line.split('|').collect();
        let [path, device, from, seconds, bytes, blake3] = columns[..] else { return Err(format!("a row: {line}")) };
        if device.is_empty() {
            notes.push(path.to_owned());
            continue;
        }
        let row = || {
            let start = UtcSecond::new(DateTime::parse_from_rfc3339(from).ok()?.timestamp());
            let range = TimeRange::new(start, start + seconds.parse().ok()?)?;
            let (device, bytes) = (device.parse().ok()?, bytes.parse().ok()?);
            Some(Row { device, range, bytes, blake3: blake3.to_owned() })
        };
        rows.insert(path.to_owned(), row().ok_or_else(|| format!("a row: {line}"))?);
    }
    Ok((rows, notes))
}

impl Judge {
    /// Looks at everything. `seen`: how many calls the platform had when the rows were looked at last; `what` was done since.
    pub fn look(&mut self, place: &Place, seen: usize, what: &str, tally: &mut Tally) {
        let found = tally.findings.len();
        let (rows, notes) = match ledger(place) {
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
        for (name, seen) in place.stores.all() {
            if name.starts_with(".aside/") {
                self.is_planted(&name, place, tally);
            } else if !name.starts_with('.') {
                // The others are in staging, or were swept.
                files.insert(name.clone(), self.file(&name, seen, place, tally));
            }
        }
        files
    }

    fn is_planted(&self, name: &str, place: &Place, tally: &mut Tally) {
        let bytes = place.stores.read(name).expect("it is there");
        if !self.planted.values().any(|hash| *hash == hash_of(&bytes)) {
            tally.findings.push(format!("{name} was moved aside, and is none of the test's garbage"));
        }
    }

    fn file(&mut self, name: &str, seen: Seen, place: &Place, tally: &mut Tally) -> (u64, String) {
        if let Some((_, hash)) = self.read.get(name).filter(|(then, _)| *then == seen) {
            return (seen.bytes, hash.clone());
        }
        let bytes = place.stores.read(name).expect("it is there");
        let hash = hash_of(&bytes);
        if self.planted.get(name) != Some(&hash) {
            tally.files_checked += 1;
            if let Err(why) = is_whole(name, &bytes, place) {
                tally.not_whole += 1;
                tally.findings.push(format!("{name} is not whole: {why}"));
            }
        }
        let bytes = seen.bytes;
        self.read.insert(name.to_owned(), (seen, hash.clone()));
        (bytes, hash)
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
