//! Published files without a row in the ledger: what a crash between the rename and the commit leaves behind.
//!
//! Each is read whole, judged against the time that its name says, and adopted when it is that; else it is moved aside.
//! Only after a run that did not end properly, and only on days of which something is missing, whoever asked for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::fetch;
use crate::flv;
use crate::judge::{self, Ending, Judgement};
use crate::recording::{ContentHash, Recording, Source};
use crate::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use crate::vault::{Found, Named, Vault, VaultError};

/// How files are examined.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Of which source's runs the files are looked for: those of the other may be in the middle of publishing theirs.
    pub source: Source,
    /// When it is done.
    pub now: UtcSecond,
    /// How much shorter than its name says a recording may be, in seconds.
    pub tolerance_seconds: i64,
    /// The zone in which the platform reads labels.
    pub platform_zone: Tz,
}

/// What is to be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// It is what its name says.
    Whole(Box<Recording>),
    /// It is not.
    Spoiled {
        /// Its name below the root.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// Finds the files whose time is `missing`, and examines them. Blocks on the disk.
pub fn find(vault: &Vault, missing: &BTreeMap<DeviceId, RangeSet>, check: Check) -> Result<Vec<Orphan>, VaultError> {
    let mut orphans = Vec::new();
    for (&device, missing) in missing {
        let days = vault.days_of(device)?;
        for day in days.into_iter().filter(|&day| may_start_on(missing, day)) {
            for found in vault.recordings_of_day(device, day)? {
                let Named { range, source, .. } = found.named;
                if source != check.source {
                    continue;
                }
                if missing.covers(&range) {
                    orphans.push(examine(&found, &vault.path_of(&found.path), check));
                } else if !missing.intersect(&range.into()).is_empty() {
                    let why = "part of its time is archived already".to_owned();
                    orphans.push(Orphan::Spoiled { path: found.path, why });
                }
            }
        }
    }
    Ok(orphans)
}

/// Whether a recording of some of these ranges may stand in the folder of that local day, whatever the zone.
fn may_start_on(missing: &RangeSet, day: NaiveDate) -> bool {
    const FURTHEST_ZONE: i64 = 15 * 3600;
    let midnight = UtcSecond::floor(day.and_time(chrono::NaiveTime::MIN).and_utc());
    let around = TimeRange::new(midnight - FURTHEST_ZONE, midnight + 86_400 + FURTHEST_ZONE);
    around.is_some_and(|around| !missing.intersect(&around.into()).is_empty())
}

fn examine(found: &Found, path: &Path, check: Check) -> Orphan {
    let Named { device, range, source, .. } = found.named;
    let (report, hash, bytes) = match read(path) {
        Ok(read) => read,
        Err(error) => return Orphan::Spoiled { path: found.path.clone(), why: format!("it cannot be read: {error}") },
    };
    match judge::judge(&report, Ending::Clean, range.seconds(), check.tolerance_seconds) {
        Judgement::Whole { good_bytes } if good_bytes == bytes => {
            // A window ends on the grid unless it was asked for with an odd edge; a prefix hardly ever does.
            let is_prefix = range.end().get().rem_euclid(GRID_SECONDS) != 0;
            Orphan::Whole(Box::new(Recording {
                device,
                range,
                path: found.path.clone(),
                bytes,
                blake3: hash,
                media: report.media_facts(),
                source,
                clock_offset: None,
                archived_at: check.now,
                note: fetch::note(range, is_prefix, &report, check.platform_zone, check.tolerance_seconds),
            }))
        }
        other => Orphan::Spoiled { path: found.path.clone(), why: format!("it is not whole: {other:?}") },
    }
}

fn read(path: &Path) -> io::Result<(flv::Report, ContentHash, u64)> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 256 << 10]);
    let (mut parser, mut hasher, mut bytes) = (flv::Parser::new(), blake3::Hasher::new(), 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((parser.report(), ContentHash(*hasher.finalize().as_bytes()), bytes));
        }
        parser.push(&buffer[..read]);
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}
