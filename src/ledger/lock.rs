//! One run of a source (from NVRs, or live) per ledger at a time: a lock on a file beside it, which the system frees when the process ends, however it
//! ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{Holder, LedgerError};
use crate::recording::Source;

/// Between two tries at a lock.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The lock; dropping it frees the ledger.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, waiting for another's end for a while: one that only opens the ledger is done within moments, and a
    /// process that is just being started holds its parent's lock until then.
    pub(super) fn take_patiently(
        ledger: &Path,
        source: Source,
        since: &str,
        patience: Duration,
    ) -> Result<Self, LedgerError> {
        let begun = Instant::now();
        loop {
            match Self::take(ledger, source, since) {
                Err(LedgerError::Held { .. }) if begun.elapsed() < patience => std::thread::sleep(RETRY_PAUSE),
                taken => return taken,
            }
        }
    }

    /// Takes the lock and writes into its file who holds it `since` when.
    fn take(ledger: &Path, source: Source, since: &str) -> Result<Self, LedgerError> {
        let path = lock_path(ledger, source);
        let cannot = |error: std::io::Error| LedgerError::CannotOpen {
            ledger: lock_path(ledger, source),
            why: error.to_string(),
        };
        // OK never to delete the file: between deleting and creating it two runs could each lock one of their own.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::Held { ledger: ledger.to_path_buf(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let text = format!("{}\n{}\n{since}\n", std::process::id(), host_name());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(cannot)?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock at this moment. OK to take it for an instant to find that out: whoever wants it waits for longer.
    pub(super) fn holder(ledger: &Path, source: Source) -> Option<Holder> {
        // OK to take a file that cannot be opened for one that nobody holds: a run could not have held it either.
        let mut file = File::open(lock_path(ledger, source)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// The name of this host, as far as the system tells it.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn lock_path(ledger: &Path, source: Source) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(match source {
        Source::Nvr => ".lock",
        Source::Live => ".live.lock",
    });
    name.into()
}

/// OK to survive anything here: the holder may be between taking the lock and writing its name.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // OK to ignore an error: what could be read is shown, the refusal stands either way.
    let _ = file.take(1024).read_to_string(&mut text);
    let mut lines = text.lines().map(str::to_owned);
    Holder {
        pid: lines.next().and_then(|line| line.parse().ok()),
        host: lines.next().unwrap_or_else(|| "an unknown host".to_owned()),
        since: lines.next().unwrap_or_else(|| "just now".to_owned()),
    }
}
