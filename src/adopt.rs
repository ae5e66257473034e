//! Published files without a row in the ledger: what a crash between the rename and the commit leaves behind.
//!
//! Each is read whole, judged against the time that its name says, and adopted when it is that; else it is moved aside.
//! Only the days on which something is still missing are looked at, and only after a run that did not end by itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;

use crate::flv;
use crate::judge::{self, Ending, Judgement};
use crate::plan::Plan;
use crate::recording::{ContentHash, Recording, Source};
use crate::time_range::{RangeSet, UtcSecond};
use crate::vault::{Found, Vault, VaultError, name};

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

/// Finds the files whose time the plan still misses, and examines them. Blocks on the disk.
pub fn find(
    vault: &Vault,
    plan: &Plan,
    zone_of: impl Fn(crate::device::DeviceId) -> Tz,
    now: UtcSecond,
    tolerance_seconds: i64,
) -> Result<Vec<Orphan>, VaultError> {
    let mut orphans = Vec::new();
    for device in &plan.devices {
        let missing: RangeSet = device.missing.iter().map(|stretch| stretch.range).collect();
        for day in days(&missing, zone_of(device.device)) {
            for found in vault.recordings_of_day(device.device, day)? {
                let untouched = missing.intersect(&found.range.into()).is_empty();
                if untouched {
                    continue;
                }
                orphans.push(if missing.covers(&found.range) {
                    examine(&found, &vault.path_of(&found.path), now, tolerance_seconds)
                } else {
                    let why = "part of its time is archived already".to_owned();
                    Orphan::Spoiled { path: found.path, why }
                });
            }
        }
    }
    Ok(orphans)
}

/// The local days in which a recording of some of these ranges may start.
fn days(missing: &RangeSet, zone: Tz) -> Vec<NaiveDate> {
    let mut days = Vec::new();
    for range in missing {
        let last = name::day_of(range.end() - 1, zone);
        let mut day = name::day_of(range.start(), zone);
        while day <= last {
            if days.last() != Some(&day) {
                days.push(day);
            }
            match day.checked_add_days(Days::new(1)) {
                Some(next) => day = next,
                None => break,
            }
        }
    }
    days
}

fn examine(found: &Found, path: &Path, now: UtcSecond, tolerance_seconds: i64) -> Orphan {
    let (report, hash, bytes) = match read(path) {
        Ok(read) => read,
        Err(error) => return Orphan::Spoiled { path: found.path.clone(), why: format!("it cannot be read: {error}") },
    };
    match judge::judge(&report, Ending::Clean, found.range.seconds(), tolerance_seconds) {
        Judgement::Whole { good_bytes } if good_bytes == bytes => Orphan::Whole(Box::new(Recording {
            device: found.device,
            range: found.range,
            path: found.path.clone(),
            bytes,
            blake3: hash,
            media: report.media_facts(),
            source: Source::Nvr,
            archived_at: now,
            note: judge::notes(&report, tolerance_seconds),
        })),
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
