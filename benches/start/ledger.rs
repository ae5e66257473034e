//! A ledger of many windows, with a row for each: as nights bring them, and as folding leaves their attempts.
//!
//! It is filled by SQL and not through the ledger's own operations, which would take most of an hour: each of those merges ranges
//! and writes a window durably. The tables are the ledger's own, made by opening it; that the program accepts what is in them is
//! seen by every start that is measured.

use std::path::{Path, PathBuf};

use archive::ledger::Ledger;
use rusqlite::{Connection, params};

use super::Failure;

pub const PER_NVR: i64 = 8;
/// What the archive of the ledger is marked with.
pub const MARK: &str = "start-bench";
const WINDOW: i64 = 600;
const DAY: i64 = 86_400;
/// Cameras live in `Asia/Shanghai`, and days are theirs.
const EAST: i64 = 8 * 3600;
/// One window in so many is missing.
const MISSING_ONE_IN: i64 = 991;
/// How many days' attempts are kept one by one.
const KEPT_DAYS: i64 = 90;

/// What a recorder is called.
pub fn nvr(number: i64) -> String {
    format!("nvr {number}")
}

/// A ledger that is filled.
pub struct Big {
    path: PathBuf,
    pub cameras: i64,
    pub days: i64,
    /// The last moment that was asked for by the evening.
    until: i64,
}

impl Big {
    /// The one at `path`, which is made when it is not there: of some windows more or less, up to the day before yesterday.
    pub fn at(path: &Path, windows: i64) -> Result<Self, Failure> {
        let days = (windows / 144_000).clamp(1, 365);
        let cameras = (windows / (days * DAY / WINDOW)).max(1);
        if !path.exists() {
            let now = chrono::Utc::now().timestamp();
            let until = (now + EAST).div_euclid(DAY) * DAY - EAST - DAY;
            let unfinished = path.with_extension("unfinished");
            for rest in ["", "-wal", "-shm"] {
                let rest = PathBuf::from(format!("{}{rest}", unfinished.display()));
                if rest.exists() {
                    std::fs::remove_file(rest)?;
                }
            }
            drop(Ledger::open(&unfinished)?);
            fill(&unfinished, cameras, until - days * DAY, until)?;
            std::fs::rename(unfinished, path)?;
        }
        // One that an older version filled is brought up to date.
        drop(Ledger::open(path)?);
        let shell = Connection::open(path)?;
        let until: i64 = shell.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let (cameras, from): (i64, i64) =
            shell.query_row("SELECT count(DISTINCT device), min(start) FROM asked", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        Ok(Self { path: path.to_owned(), cameras, days: (until - from) / DAY, until })
    }

    pub fn bytes(&self) -> Result<u64, Failure> {
        Ok(std::fs::metadata(&self.path)?.len())
    }

    /// Takes back what was asked for and done since the evening. Leaves the file as the last run's end leaves it: without a log of
    /// its own.
    pub fn set_back(&self) -> Result<(), Failure> {
        let mut shell = Connection::open(&self.path)?;
        let change = shell.transaction()?;
        // By device, since the tables are ordered so: a look at each of many millions of rows would take their time.
        for device in 1..=self.cameras {
            for table in ["asked", "archived", "missing", "recording"] {
                let late = format!("DELETE FROM {table} WHERE device = ?1 AND start >= ?2");
                change.prepare_cached(&late)?.execute(params![device, self.until])?;
            }
            for table in ["asked", "archived"] {
                let cut = format!(
                    "UPDATE {table} SET end = ?2 WHERE device = ?1 AND end > ?2
                         AND start = (SELECT max(start) FROM {table} WHERE device = ?1)"
                );
                change.prepare_cached(&cut)?.execute(params![device, self.until])?;
            }
        }
        change.execute("DELETE FROM attempt WHERE attempt > ?1", [kept_windows(self.days) * self.cameras])?;
        change.execute("DELETE FROM nvr_night WHERE run > ?1", [self.days])?;
        change.execute("DELETE FROM run WHERE run > ?1", [self.days])?;
        change.execute("DELETE FROM publishing", [])?;
        change.execute("DELETE FROM uncatalogued", [])?;
        change.execute("DELETE FROM archive_mark", [])?;
        change.execute("INSERT INTO archive_mark (mark) VALUES (?1)", [MARK])?;
        change.commit()?;
        shell.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

/// How many of a camera's windows still have their attempts one by one.
fn kept_windows(days: i64) -> i64 {
    days.min(KEPT_DAYS) * (DAY / WINDOW)
}

/// Writes all tables as so many nights leave them, for times from `from` until `until`.
fn fill(path: &Path, cameras: i64, from: i64, until: i64) -> Result<(), Failure> {
    println!("filling {}", path.display());
    let mut shell = Connection::open(path)?;
    // Who stops it begins anew.
    shell.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")?;
    let days = (until - from) / DAY;
    let change = shell.transaction()?;
    change.execute_batch(
        "INSERT INTO format VALUES (1, 'H264', 'AAC', 1920, 1080);
         INSERT INTO outcome VALUES (1, 'nvr full', 'result -4');",
    )?;
    change.execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
         INSERT INTO run (run, started, ended, pid, host, what, exit, attempts, recordings, bytes, archived_seconds,
             missing_seconds, notes_publishing)
         SELECT n, ?2 + n * 86400 + 3600, ?2 + n * 86400 + 25000, 1000 + n, 'host', 'run nightly', 3, 0, 0, 0, 0, 0, 1 FROM n",
        params![days, from],
    )?;
    for number in 0..(cameras + PER_NVR - 1) / PER_NVR {
        let name = nvr(number);
        change.execute(
            "INSERT INTO nvr (nvr, store, seen) VALUES (?1, ?2, ?3)",
            params![name, number.to_string(), until],
        )?;
        change.execute(
            "INSERT INTO nvr_limit (nvr, playbacks, calls, refused, learned_at) VALUES (?1, 4, 400000, 4000, ?2)",
            params![name, until],
        )?;
        change.execute("INSERT INTO nvr_night SELECT ?1, run, 4, 1152, 12, 0 FROM run", [name])?;
    }
    change.commit()?;
    for device in 1..=cameras {
        let change = shell.transaction()?;
        fill_camera(&change, device, from, days)?;
        change.commit()?;
        if device % 100 == 0 {
            println!("{device} of {cameras} cameras");
        }
    }
    shell.pragma_update(None, "user_version", until)?;
    shell.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    // On the disk before it is measured with.
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}

fn fill_camera(change: &Connection, device: i64, from: i64, days: i64) -> Result<(), Failure> {
    let (a_day, until) = (DAY / WINDOW, from + days * DAY);
    let windows = days * a_day;
    let (puid, channel) = (nvr((device - 1) / PER_NVR), (device - 1) % PER_NVR);
    change
        .prepare_cached(
            "INSERT INTO device (device, name, store_number, store, puid, nvr, channel, online, seen)
             VALUES (?1, 'camera ' || ?1, 1, 'chain', ?2, ?2, ?3, 1, ?4)",
        )?
        .execute(params![device, puid, channel, until])?;
    change
        .prepare_cached(
            "INSERT INTO media_mac VALUES (?1, printf('02:00:00:00:%02x:%02x', ?1 / 256, ?1 % 256), ?2, ?3)",
        )?
        .execute(params![device, format!("06:00:00:00:00:{:02x}", (device - 1) / PER_NVR % 256), until])?;
    change.prepare_cached("INSERT INTO asked VALUES (?1, ?2, ?3)")?.execute(params![device, from, until])?;

    // The primes spread the missing windows, and differently for each camera.
    let is_missing = |window: i64| (window * 7919 + device * 131) % MISSING_ONE_IN == 0;
    let mut archived = change.prepare_cached("INSERT INTO archived VALUES (?1, ?2, ?3)")?;
    let mut missing = change.prepare_cached(
        "INSERT INTO missing VALUES (?1, ?2, ?2 + 600, 'nvr busy', 3, 'result -4', NULL,
             replace(datetime(?2 + 90000, 'unixepoch'), ' ', 'T') || 'Z',
             replace(datetime(?2, 'unixepoch'), ' ', 'T') || 'Z', replace(datetime(?2 + 600, 'unixepoch'), ' ', 'T') || 'Z',
             datetime(?2 + 28800, 'unixepoch') || '+08:00', datetime(?2 + 29400, 'unixepoch') || '+08:00')",
    )?;
    let mut begins = from;
    for window in (0..windows).filter(|&window| is_missing(window)) {
        let at = from + window * WINDOW;
        if begins < at {
            archived.execute(params![device, begins, at])?;
        }
        missing.execute(params![device, at])?;
        begins = at + WINDOW;
    }
    if begins < until {
        archived.execute(params![device, begins, until])?;
    }

    change
        .prepare_cached(
            "WITH RECURSIVE day (day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM day WHERE day + 1 < ?2)
             INSERT INTO folder (folder, path)
             SELECT (?1 - 1) * ?2 + day + 1, ?1 || '/' || date(?3 + 28800 + day * 86400, 'unixepoch') || '/' FROM day",
        )?
        .execute(params![device, days, from])?;
    change
        .prepare_cached(
            "WITH RECURSIVE w (w) AS (SELECT 0 UNION ALL SELECT w + 1 FROM w WHERE w + 1 < ?2 * 144)
             INSERT INTO recording (device, start, seconds, live, folder, quarters, container, bytes, blake3, format,
                 media_milliseconds, first_timestamp, archived_at)
             SELECT ?1, ?3 + w * 600, 600, 0, (?1 - 1) * ?2 + w / 144 + 1, 32, 0, 150000000 + w, randomblob(32), 1,
                 599960, 86400123, ?3 + (w / 144 + 1) * 86400 + 7200
             FROM w WHERE (w * 7919 + ?1 * 131) % ?4 <> 0",
        )?
        .execute(params![device, days, from, MISSING_ONE_IN])?;
    let kept = kept_windows(days);
    change
        .prepare_cached(
            "WITH RECURSIVE w (w) AS (SELECT 0 UNION ALL SELECT w + 1 FROM w WHERE w + 1 < ?2)
             INSERT INTO attempt (attempt, run, device, start, seconds, started, milliseconds, bytes, outcome)
             SELECT (?1 - 1) * ?2 + w + 1, (?3 + w) / 144 + 1, ?1, ?4 + (?3 + w) * 600, 600,
                 ?4 + ((?3 + w) / 144 + 1) * 86400 + 7200, 61234, 150000000 + w, ((?3 + w) * 7919 + ?1 * 131) % ?5 = 0
             FROM w",
        )?
        .execute(params![device, kept, windows - kept, from, MISSING_ONE_IN])?;
    change
        .prepare_cached(
            "WITH RECURSIVE day (day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM day WHERE day + 1 < ?2)
             INSERT INTO attempt_day SELECT (?3 + 7200) / 86400 + 1 + day, ?1, 0, 144, 86400, 8817696, 21600000000, 0
             FROM day WHERE day < ?2",
        )?
        .execute(params![device, (windows - kept) / a_day, from])?;
    Ok(())
}
