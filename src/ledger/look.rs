//! Looking at a ledger's file without a change: whether it is whole, may be written, and who holds it.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::ErrorCode;
use rustix::fs::{Access, access};
use rustix::process::{Pid, test_kill_process};

use super::error::Fault;
use super::lock::{RunLock, host_name};
use super::session::{Session, values};
use super::{Holder, Ledger, LedgerError};
use crate::ledger_place::LedgerPlace;
use crate::recording::Source;

/// Among how many runs those that go on are looked for.
const NEWEST_RUNS: u32 = 50;

impl Ledger {
    /// Looks through the file for damage, for so long at most. False when that was not enough; what was found is an error.
    pub async fn is_whole(&self, patience: Duration) -> Result<bool, LedgerError> {
        self.read(move |session| {
            // A server looks after its files itself: here only whether all views have what they are made of.
            let Session::Sqlite(connection) = session else {
                for view in ["gaps", "coverage", "runs", "recordings", "attempts", "attempt_days", "verify_rounds"] {
                    session.each(&format!("SELECT * FROM {view} LIMIT 0"), values![], |_| Ok(()))?;
                }
                return Ok(true);
            };
            let handle = connection.get_interrupt_handle();
            let (done, waiting) = mpsc::channel::<()>();
            let watch = std::thread::spawn(move || {
                if waiting.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                    handle.interrupt();
                }
            });
            let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
            drop(done);
            // OK to ignore how it ended: it only waits and interrupts.
            let _ = watch.join();
            match found {
                Ok(found) if found == "ok" => Ok(true),
                Ok(found) => Err(Fault::BadValue(found)),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Who holds the ledger at that place for a run of that source at this moment. Changes nothing; a run that begins in the instant
    /// of the question waits for its end.
    pub fn holder(place: impl Into<LedgerPlace>, source: Source) -> Option<Holder> {
        match place.into() {
            LedgerPlace::File(path) => RunLock::holder(&path, source),
            // Nobody holds a server's: any number of runs may go on.
            LedgerPlace::Server(_) => None,
        }
    }

    /// Whether there is a ledger at that place. An empty file, which is what a crash of the file system may leave of one, is none.
    pub fn is_there(place: &LedgerPlace) -> Result<bool, LedgerError> {
        match place {
            LedgerPlace::File(path) => match std::fs::metadata(path) {
                Ok(file) => Ok(file.len() > 0),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(LedgerError::CannotOpen { ledger: path.clone(), why: error.to_string() }),
            },
            LedgerPlace::Server(_) => match Self::open_read_only(place) {
                Ok(_) | Err(LedgerError::Older { .. }) => Ok(true),
                Err(LedgerError::NotThere { .. }) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Which processes run on a server's ledger, by their machines and numbers: those that are heard of, and of this machine
    /// those that there are. None of a file, whose lock tells.
    pub async fn living(&self) -> Result<Vec<(String, u32)>, LedgerError> {
        if !self.is_shared() {
            return Ok(Vec::new());
        }
        let heard_of = "SELECT machine, pid FROM host WHERE left_at IS NULL AND until > clock_timestamp()
             UNION SELECT machine, pid FROM live_run WHERE left_at IS NULL AND until > clock_timestamp()";
        let mut living =
            self.read(|session| session.all(heard_of, values![], |row| Ok((row.get(0)?, row.get(1)?)))).await?;
        let here = host_name();
        let is_there = |pid: u32| {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
        };
        let runs = self.runs(NEWEST_RUNS).await?.into_iter().filter(|run| run.ended.is_none() && run.host == here);
        living.extend(runs.map(|run| run.pid).filter(|&pid| is_there(pid)).map(|pid| (here.clone(), pid)));
        living.sort();
        living.dedup();
        Ok(living)
    }

    /// Whether this user may write the ledger at that place, or make it; and if not, which file or folder keeps it from that.
    pub fn may_write(place: &LedgerPlace) -> Result<(), PathBuf> {
        // Of a server, it says so itself when it is asked.
        let Some(path) = place.file() else { return Ok(()) };
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let file = path.exists().then_some(path);
        // SQLite makes its log beside the file.
        for place in [Some(folder), file].into_iter().flatten() {
            if access(place, Access::WRITE_OK).is_err() {
                return Err(place.to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RunEnd, RunStart};
    use crate::time_range::UtcSecond;

    #[tokio::test]
    async fn who_holds_a_ledger_is_told_while_it_is_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        assert_eq!(Ledger::holder(&path, Source::Nvr), None);
        let ledger = Ledger::open(&path).expect("a ledger");
        assert_eq!(Ledger::holder(&path, Source::Nvr), None);
        let started = UtcSecond::new(1_795_132_800);
        let start = RunStart { started, what: "a test".to_owned(), source: Source::Nvr };
        let run = ledger.begin_run(start).await.expect("it is free");
        let holder = Ledger::holder(&path, Source::Nvr).expect("the run holds it");
        assert_eq!(holder.pid, Some(std::process::id()));
        assert_eq!(Ledger::holder(&path, Source::Live), None);
        let end = RunEnd { ended: started + 1, exit: 0, counts: crate::report::RunCounts::default() };
        ledger.end_run(run, end).await.expect("it is under way");
        assert_eq!(Ledger::holder(&path, Source::Nvr), None);
    }

    #[tokio::test]
    async fn a_damaged_ledger_is_found_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        drop(Ledger::open(&path).expect("a ledger"));
        let patience = Duration::from_secs(60);
        assert_eq!(Ledger::open_read_only(&path).expect("it is there").is_whole(patience).await, Ok(true));
        let mut bytes = std::fs::read(&path).expect("it can be read");
        // Every page but the first, which says what the file is.
        bytes[4096..].fill(0xa5);
        std::fs::write(&path, bytes).expect("it can be written");
        let looked = match Ledger::open_read_only(&path) {
            Ok(ledger) => ledger.is_whole(patience).await,
            Err(error) => Err(error),
        };
        assert!(looked.is_err(), "{looked:?}");
    }
}
