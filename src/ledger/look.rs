//! Looking at a ledger's file without a change: whether it is whole, may be written, and who holds it.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::ErrorCode;
use rustix::fs::{Access, access};

use super::error::Fault;
use super::lock::RunLock;
use super::session::Session;
use super::{Holder, Ledger, LedgerError};
use crate::recording::Source;

impl Ledger {
    /// Looks through the file for damage, for so long at most. False when that was not enough; what was found is an error.
    pub async fn is_whole(&self, patience: Duration) -> Result<bool, LedgerError> {
        self.read(move |session| {
            let Session::Sqlite(connection) = session;
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

    /// Who holds the ledger at `path` for a run of that source at this moment. Changes nothing; a run that begins in the instant
    /// of the question waits for its end.
    pub fn holder(path: &Path, source: Source) -> Option<Holder> {
        RunLock::holder(path, source)
    }

    /// Whether this user may write the ledger at `path`, or make it; and if not, which file or folder keeps it from that.
    pub fn may_write(path: &Path) -> Result<(), PathBuf> {
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
