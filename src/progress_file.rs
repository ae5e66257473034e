//! The file in which a run says what it is doing: beside the ledger, replaced about once a second, gone with the run. Nothing hangs
//! on it: it is never synced, and a run whose disk does not take it goes on.
//!
//! A run that is killed leaves it behind. Whoever reads it asks the ledger's lock whether its run goes on.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::recording::Source;

/// What is longer was not written here.
const LONGEST: u64 = 1 << 20;

/// Where it is.
#[derive(Clone, Debug)]
pub struct ProgressFile {
    path: PathBuf,
}

impl ProgressFile {
    /// That of the run of this source, whose ledger is at `ledger`.
    pub fn beside(ledger: &Path, source: Source) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(match source {
            Source::Nvr => ".running",
            Source::Live => ".live.running",
        });
        Self { path: path.into() }
    }

    /// Replaces it, in one step for whoever reads. Blocks on the disk.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut part = self.path.as_os_str().to_owned();
        part.push(".part");
        fs::write(&part, text)?;
        fs::rename(&part, &self.path)
    }

    /// What it says; nothing when there is none.
    pub fn read(&self) -> Option<String> {
        let mut text = String::new();
        File::open(&self.path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Takes it away.
    pub fn remove(&self) {
        // OK to ignore a failure: what is left behind is known by its run's end.
        let _ = fs::remove_file(&self.path);
    }
}
