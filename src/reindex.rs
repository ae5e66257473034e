//! Makes a lost or damaged ledger anew, from the archive itself: the files, and the catalog of what they do not tell.
//!
//! The catalog's newest word on a recording counts, if its file is there and as large as it was. Every other file is read, judged
//! and hashed as one is that a crash left without a row ([`adopt`]), and is adopted or moved aside. Without a catalog that is every
//! file, and what was asked for is what is archived.
//!
//! The old ledger stays where it is until the new one is whole ([`Rebuilding`] has the steps). A crash before leaves the archive as it
//! was, but for files that were moved aside, which would be again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono_tz::Tz;
use thiserror::Error;

use crate::adopt::{self, Check};
use crate::catalog::{Header, Kind, RecordingLine, StateLine, VERSION};
use crate::device::DeviceId;
use crate::ledger::{LedgerError, Rebuilding};
use crate::recording::{Recording, Source};
use crate::report::{Misplaced, Reindexed};
use crate::time_range::TimeRange;
use crate::vault::{CatalogLines, Found, Strangers, Vault, VaultError};

/// How many unreadable lines are quoted.
const MOST_QUOTED: usize = 20;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where the ledger is to stand.
    pub ledger: PathBuf,
    /// Whether it takes the place of one that is whole, newer, or none.
    pub replace: bool,
    /// The local time of devices of which the catalog knows nothing.
    pub default_zone: Tz,
    /// How files are judged of which the catalog knows nothing.
    pub check: Check,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Recordings that the catalog names.
    pub named: u64,
    /// Files that were looked at beside those.
    pub looked_at: u64,
}

/// Why no new ledger was made. The old one is where it was.
#[derive(Debug, Error)]
pub enum ReindexError {
    /// The ledger failed, or is not to be replaced.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive's disk failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is nothing to make one of.
    #[error(
        "there is no archive in {}: neither a recording nor a catalog. Name its folder with --root or --config; is its disk \
         mounted?",
        .root.display()
    )]
    NoArchive {
        /// The folder.
        root: PathBuf,
    },
    /// A newer version of this program has written the catalog.
    #[error(
        "{} was written by a newer version (its format is {found}, this program knows {VERSION}). Use that version; nothing \
         was changed",
        .file.display()
    )]
    Newer {
        /// Which of its files.
        file: PathBuf,
        /// Its format's number.
        found: u32,
    },
}

/// Makes the ledger. Blocks until it stands; tells `progress` now and then.
pub fn reindex(vault: &Vault, job: Job, progress: impl FnMut(Progress)) -> Result<Reindexed, ReindexError> {
    let now = job.check.now;
    let mut rebuilding = Rebuilding::begin(&job.ledger, now, job.replace)?;
    // Nobody writes here meanwhile, whatever their ledger.
    let _no_run = [vault.hold(Source::Nvr)?, vault.hold(Source::Live)?];
    let _nobody_deletes = vault.hold_upkeep()?;
    // Nobody knows of any that was begun.
    vault.abort_every_upload()?;
    if vault.catalog_state()?.is_none() && vault.devices(&mut Strangers::default())?.is_empty() {
        return Err(ReindexError::NoArchive { root: vault.root().to_owned() });
    }
    let mut reindexer = Reindexer {
        vault,
        new: &mut rebuilding,
        done: Reindexed::default(),
        progress,
        so_far: Progress::default(),
        check: job.check,
        default_zone: job.default_zone,
        known: BTreeSet::new(),
        asked_up_to: None,
    };
    reindexer.read_state()?;
    reindexer.read_recordings()?;
    reindexer.look_through()?;
    let mut done = reindexer.done;
    done.without_file_seconds = rebuilding.settle()?;
    let rebuilt = rebuilding.finish(now)?;
    done.asked_seconds = rebuilt.asked_seconds;
    done.archived_seconds = rebuilt.archived_seconds;
    done.missing = rebuilt.missing_seconds.into_iter().collect();
    done.moved_aside = rebuilt.moved_aside;
    Ok(done)
}

struct Reindexer<'a, P> {
    vault: &'a Vault,
    new: &'a mut Rebuilding,
    done: Reindexed,
    progress: P,
    so_far: Progress,
    check: Check,
    default_zone: Tz,
    /// The devices of which something is known.
    known: BTreeSet<DeviceId>,
    /// The newest file of recordings whose time the state has among what was asked for.
    asked_up_to: Option<u64>,
}

impl<P: FnMut(Progress)> Reindexer<'_, P> {
    fn read_state(&mut self) -> Result<(), ReindexError> {
        let Some(mut lines) = self.vault.catalog_state()? else { return Ok(()) };
        if let Some(header) = self.read_header(&mut lines, Kind::State)? {
            self.done.catalog_written = Some(header.written.0);
            self.asked_up_to = header.segment;
        }
        let mut number = 1;
        while let Some(line) = lines.next_line()? {
            number += 1;
            let restored = match serde_json::from_slice::<StateLine>(line) {
                Err(error) => Err(error.to_string()),
                Ok(line) => match self.new.restore(&line) {
                    Ok(()) => {
                        if let StateLine::Device(line) = &line {
                            self.known.extend(DeviceId::new(line.device));
                        }
                        Ok(())
                    }
                    Err(LedgerError::Damaged { why, .. }) => Err(why),
                    Err(other) => return Err(other.into()),
                },
            };
            if let Err(why) = restored {
                self.note_unreadable(&lines, number, &why);
            }
        }
        Ok(())
    }

    /// Adds what the catalog names, the newest first: so that the first word on a time is the last one that was said.
    fn read_recordings(&mut self) -> Result<(), ReindexError> {
        let segments = self.vault.catalog_segments()?;
        for &segment in segments.iter().rev() {
            let mut lines = self.vault.catalog_segment(segment)?;
            self.read_header(&mut lines, Kind::Recordings)?;
            let was_asked = self.asked_up_to.is_none_or(|up_to| segment > up_to);
            let mut number = 1;
            while let Some(line) = lines.next_line()? {
                number += 1;
                match serde_json::from_slice(line) {
                    Err(error) => self.note_unreadable(&lines, number, &error.to_string()),
                    Ok(line) => {
                        if let Err(why) = self.add_named(line, was_asked)? {
                            self.note_unreadable(&lines, number, &why);
                        }
                    }
                }
            }
        }
        match segments.last() {
            Some(&newest) => Ok(self.new.catalogued(newest)?),
            None => Ok(()),
        }
    }

    /// Adds a recording that the catalog names, if its file is there; why the line is none.
    fn add_named(&mut self, line: RecordingLine, was_asked: bool) -> Result<Result<(), String>, ReindexError> {
        let Some((named, bytes)) = self.vault.measure(&line.path)? else {
            // OK to pass over what is no recording's name as if its file were gone: there is none.
            return Ok(Ok(()));
        };
        if bytes != line.bytes {
            // Another file stands there by now, which is looked at like any other.
            return Ok(Ok(()));
        }
        let recording = match line.recording(named.device, named.range, named.source) {
            Ok(recording) => recording,
            Err(bad) => return Ok(Err(bad.to_string())),
        };
        match self.add(&recording, was_asked) {
            Ok(()) => self.so_far.named += 1,
            // Named twice; or a newer recording has its time, and its file is found by and by.
            Err(ReindexError::Ledger(LedgerError::Overlap { .. })) => {}
            Err(other) => return Err(other),
        }
        self.tell();
        Ok(Ok(()))
    }

    fn add(&mut self, recording: &Recording, was_asked: bool) -> Result<(), ReindexError> {
        // Where nobody knows what was asked for, it is what came.
        self.new.add(recording, was_asked || self.done.catalog_written.is_none())?;
        if self.known.insert(recording.device) {
            self.new.set_zone(recording.device, self.default_zone)?;
        }
        self.done.recordings += 1;
        Ok(())
    }

    /// Looks for files that the catalog does not name.
    fn look_through(&mut self) -> Result<(), ReindexError> {
        let mut strangers = Strangers::default();
        for device in self.vault.devices(&mut strangers)? {
            for folder in self.vault.day_folders(device, &mut strangers)? {
                let files = self.vault.recordings_in(&folder, &mut strangers)?;
                let start = files.iter().map(|file| file.named.range.start()).min();
                let end = files.iter().map(|file| file.named.range.end()).max();
                let within = start.zip(end).and_then(|(start, end)| TimeRange::new(start, end));
                let Some(within) = within else { continue };
                let rows: BTreeSet<String> =
                    self.new.recordings(device, within)?.into_iter().map(|recording| recording.path).collect();
                for file in files {
                    self.so_far.looked_at += 1;
                    if !rows.contains(&file.path) {
                        self.settle(file)?;
                    }
                    self.tell();
                }
            }
        }
        self.done.strangers = strangers.count;
        self.done.first_strangers = strangers.first;
        Ok(())
    }

    /// Adopts a file that the catalog does not name, or moves it aside.
    fn settle(&mut self, found: Found) -> Result<(), ReindexError> {
        let holding = self.new.recordings(found.named.device, found.named.range)?;
        let examined = match holding.first() {
            Some(held) => Err(format!("{} holds some of its time", held.path)),
            None => match adopt::recording_in(self.vault, &found, self.check) {
                Ok(examined) => examined,
                // Nobody knows what it is, so it stays; a run that fetches its time moves it aside.
                Err(error) => {
                    let path = self.vault.path_of(&found.path);
                    self.done.left.push(Misplaced { path, why: format!("it cannot be read: {error}") });
                    return Ok(());
                }
            },
        };
        match examined {
            Ok(recording) => {
                self.add(&recording, true)?;
                self.done.read += 1;
            }
            Err(why) => {
                let path = self.vault.set_aside(&found.path)?;
                self.done.set_aside.push(Misplaced { path, why });
            }
        }
        Ok(())
    }

    /// The first line of a file of the catalog; nothing when it cannot be read.
    fn read_header(&mut self, lines: &mut CatalogLines, expected: Kind) -> Result<Option<Header>, ReindexError> {
        let Some(line) = lines.next_line()? else { return Ok(None) };
        match serde_json::from_slice::<Header>(line) {
            Ok(Header { version, .. }) if version > VERSION => {
                Err(ReindexError::Newer { file: lines.path.clone(), found: version })
            }
            Ok(header) if header.catalog == expected => Ok(Some(header)),
            Ok(_) => {
                self.note_unreadable(lines, 1, "it is another kind of file");
                Ok(None)
            }
            Err(error) => {
                self.note_unreadable(lines, 1, &error.to_string());
                Ok(None)
            }
        }
    }

    fn note_unreadable(&mut self, lines: &CatalogLines, number: u64, why: &str) {
        self.done.unreadable_lines += 1;
        if self.done.first_unreadable.len() < MOST_QUOTED {
            self.done.first_unreadable.push(format!("{}:{number}: {why}", lines.path.display()));
        }
    }

    fn tell(&mut self) {
        (self.progress)(self.so_far);
    }
}
