//! A chain's ledger as a month of nights leaves it: recorders that were offline for hours, busy evenings, cameras with holes, a few
//! that were refused, footage that was overwritten first, a store whose streams are recorded live.
//!
//! It is filled by SQL, as `benches/start/ledger.rs` says why. Everything follows from the numbers of stores, cameras and windows,
//! so that two ledgers of one evening are the same.

use std::path::Path;

use archive::ledger::Ledger;
use rusqlite::{Connection, Transaction, params};

use super::Failure;

const WINDOW: i64 = 600;
const DAY: i64 = 86_400;
/// Cameras live in `Asia/Shanghai`.
const EAST: i64 = 8 * 3600;
const PER_STORE: i64 = 10;
const PER_NVR: i64 = 5;

const STREETS: [&str; 10] = [
    "人民路店",
    "中山路店",
    "解放路店",
    "建设路店",
    "和平路店",
    "新华路店",
    "文化路店",
    "长江路店",
    "北京路店",
    "南京路店",
];
const PLACES: [&str; 10] =
    ["收银台 1", "收银台 2", "正门", "后门", "仓库", "生鲜区", "日用品区", "酒水区", "办公室", "卸货区"];

/// One row of what is missing, or of what is recorded.
enum Row {
    Recorded { seconds: i64, live: bool },
    Missing { seconds: i64, cause: &'static str, attempts: i64, code: Option<&'static str> },
}

/// A number that looks like chance, of up to three numbers.
fn chance(a: i64, b: i64, c: i64) -> u64 {
    let mut x =
        (a as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) ^ (c as u64);
    x ^= x >> 31;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 29;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 32
}

/// Fills a new ledger: so many cameras, so many days up to `until`, which is on the grid.
pub fn fill(path: &Path, cameras: i64, days: i64, until: i64) -> Result<(), Failure> {
    drop(Ledger::open(path)?);
    let mut shell = Connection::open(path)?;
    shell.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")?;
    let change = shell.transaction()?;
    change.execute_batch("INSERT INTO format VALUES (1, 'H264', 'AAC', 1920, 1080);")?;
    change.execute(
        "INSERT INTO run (run, started, ended, pid, host, what, exit, attempts, recordings, bytes, archived_seconds,
             missing_seconds, notes_publishing) VALUES (1, ?1, ?2, 1000, 'host', 'run nightly', 3, 0, 0, 0, 0, 0, 1)",
        params![until - 20_000, until],
    )?;
    for device in 1..=cameras {
        fill_camera(&change, device, until - days * DAY, until)?;
    }
    change.commit()?;
    shell.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    Ok(())
}

fn fill_camera(change: &Transaction<'_>, device: i64, from: i64, until: i64) -> Result<(), Failure> {
    let (store, nvr) = ((device - 1) / PER_STORE + 1, (device - 1) / PER_NVR + 1);
    let puid = format!("3407{nvr:06}");
    let (street, place) = (STREETS[(store % 10) as usize], PLACES[((device - 1) % PER_STORE) as usize]);
    if (device - 1) % PER_NVR == 0 {
        change.execute(
            "INSERT INTO nvr (nvr, store, seen) VALUES (?1, ?2, ?3)",
            params![puid, store.to_string(), until],
        )?;
        let keeps = (7 + chance(nvr, 7, 0) as i64 % 24) * DAY;
        change.execute(
            "INSERT INTO nvr_limit (nvr, playbacks, calls, refused, learned_at, keeps_seconds) VALUES (?1, 4, 40000, 400, ?2, ?3)",
            params![puid, until, keeps],
        )?;
    }
    change
        .prepare_cached(
            "INSERT INTO device (device, name, store_number, store, puid, nvr, channel, online, seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, 1, ?7)",
        )?
        .execute(params![device, place, store, street, puid, device % PER_NVR, until])?;
    change.prepare_cached("INSERT INTO asked VALUES (?1, ?2, ?3)")?.execute(params![device, from, until])?;

    let mut writer = Writer { change, device, folder: (0, 0), archived: None, missing: None };
    for start in (from..until).step_by(WINDOW as usize) {
        let mut at = start;
        for row in window(device, store, nvr, start, from, until) {
            at += writer.put(at, &row)?;
        }
    }
    writer.end()
}

/// What became of one window.
fn window(device: i64, store: i64, nvr: i64, start: i64, from: i64, until: i64) -> Vec<Row> {
    let missing = |cause, attempts, code| vec![Row::Missing { seconds: WINDOW, cause, attempts, code }];
    let day = (start + EAST) / DAY;
    let hour = (start + EAST) % DAY / 3600;
    let age = until - start;
    if store == 4 && start - from < 5 * DAY {
        return missing("pruned", 0, None);
    }
    if chance(device, 41, 0) % 250 == 7 {
        return missing("refused", 1 + age / DAY, Some("stat 1001"));
    }
    // The last night was stopped at seven, and did not come to all stores.
    if age < 11 * 3600 && store % 3 == 1 {
        return missing("not tried", 0, None);
    }
    // A recorder is away now and then, from some hours to more than a day.
    if let Some(outage) = (day - 1..=day).find(|&day| chance(nvr, day, 1) % 23 == 3) {
        let begins = outage * DAY - EAST + chance(nvr, outage, 2) as i64 % DAY;
        let lasts = 2 * 3600 + chance(nvr, outage, 3) as i64 % (26 * 3600);
        if (begins..begins + lasts).contains(&start) {
            let is_lost = age > 20 * DAY && chance(nvr, outage, 4) % 3 == 1;
            return if is_lost {
                missing("lost", 6, Some("result 1"))
            } else {
                missing("nvr offline", 3, Some("result 1"))
            };
        }
    }
    // Some cameras are switched off at night, and some have holes.
    if chance(device, 17, 0) % 29 == 4 && (1..5).contains(&hour) && chance(device, day, 5) % 3 < 2 {
        return missing("no footage", 2, Some("result -2"));
    }
    if chance(device, day, 6) % 97 == 5 && hour == (chance(device, day, 7) % 24) as i64 {
        return missing("no footage", 2, Some("result -2"));
    }
    let luck = chance(device, start, 8) % 10_000;
    if store % 10 == 7 && age < 4 * DAY && (9..22).contains(&hour) {
        return match luck {
            0..60 => vec![
                Row::Recorded { seconds: 100 + luck as i64 * 7, live: true },
                Row::Missing { seconds: 500 - luck as i64 * 7, cause: "live interrupted", attempts: 0, code: None },
            ],
            _ => vec![Row::Recorded { seconds: WINDOW, live: true }],
        };
    }
    let busy = if (18..22).contains(&hour) { 90 } else { 12 } * if nvr % 7 == 2 { 6 } else { 1 };
    match luck {
        luck if luck < busy => missing("nvr busy", 4 + (luck % 5) as i64, Some("result -4")),
        9_000..9_010 => vec![
            Row::Recorded { seconds: 60 + (luck as i64 - 9_000) * 50, live: false },
            Row::Missing {
                seconds: 540 - (luck as i64 - 9_000) * 50,
                cause: "cut short",
                attempts: 3,
                code: Some("short"),
            },
        ],
        9_100..9_108 => missing("failed", 5, Some("http 502")),
        9_200..9_201 => missing("corrupt", 0, Some("hash")),
        _ => vec![Row::Recorded { seconds: WINDOW, live: false }],
    }
}

/// Writes rows in order, and what is made of rows that touch.
struct Writer<'a> {
    change: &'a Transaction<'a>,
    device: i64,
    /// The folder of a day, and that day.
    folder: (i64, i64),
    archived: Option<(i64, i64)>,
    /// The cause, start and end of the last row of what is missing, which may go on.
    missing: Option<(&'static str, i64, i64)>,
}

impl Writer<'_> {
    fn put(&mut self, at: i64, row: &Row) -> Result<i64, Failure> {
        match *row {
            Row::Recorded { seconds, live } => {
                self.end_gap()?;
                self.archived = match self.archived {
                    Some((start, end)) if end == at => Some((start, at + seconds)),
                    before => {
                        self.end_archived(before)?;
                        Some((at, at + seconds))
                    }
                };
                let day = (at + EAST) / DAY;
                if self.folder.1 != day {
                    self.change
                        .prepare_cached(
                            "INSERT INTO folder (path) VALUES (?1 || '/' || date(?2 + 28800, 'unixepoch') || '/')",
                        )?
                        .execute(params![self.device, at])?;
                    self.folder = (self.change.last_insert_rowid(), day);
                }
                self.change
                    .prepare_cached(
                        "INSERT INTO recording (device, start, seconds, live, folder, quarters, container, bytes, blake3, format,
                             media_milliseconds, first_timestamp, archived_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, 32, ?6, 150000000, randomblob(32), 1, 599960, 86400123, ?2 + 90000)",
                    )?
                    .execute(params![self.device, at, seconds, live, self.folder.0, u8::from(live && at % 1200 == 0)])?;
                Ok(seconds)
            }
            Row::Missing { seconds, cause, attempts, code } => {
                let goes_on = self.missing.is_some_and(|(held, _, end)| held == cause && end == at);
                if !goes_on {
                    self.end_gap()?;
                }
                let text = "CASE WHEN ?7 THEN replace(datetime(?2, 'unixepoch'), ' ', 'T') || 'Z' END";
                let local = "CASE WHEN ?7 THEN datetime(?2 + 28800, 'unixepoch') || '+08:00' END";
                self.change
                    .prepare_cached(&format!(
                        "INSERT INTO missing (device, start, end, cause, attempts, last_code, last_try, from_utc, from_local)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6,
                             CASE WHEN ?5 > 0 THEN replace(datetime(?2 + 90000, 'unixepoch'), ' ', 'T') || 'Z' END, {text}, {local})"
                    ))?
                    .execute(params![self.device, at, at + seconds, cause, attempts, code, !goes_on])?;
                self.missing = Some((cause, at, at + seconds));
                Ok(seconds)
            }
        }
    }

    /// The row that ends a gap says when that is.
    fn end_gap(&mut self) -> Result<(), Failure> {
        if let Some((_, start, _)) = self.missing.take() {
            self.change
                .prepare_cached(
                    "UPDATE missing SET to_utc = replace(datetime(end, 'unixepoch'), ' ', 'T') || 'Z',
                         to_local = datetime(end + 28800, 'unixepoch') || '+08:00' WHERE device = ?1 AND start = ?2",
                )?
                .execute([self.device, start])?;
        }
        Ok(())
    }

    fn end_archived(&self, range: Option<(i64, i64)>) -> Result<(), Failure> {
        if let Some((start, end)) = range {
            let put = "INSERT INTO archived VALUES (?1, ?2, ?3)";
            self.change.prepare_cached(put)?.execute([self.device, start, end])?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), Failure> {
        self.end_gap()?;
        let last = self.archived.take();
        self.end_archived(last)
    }
}
