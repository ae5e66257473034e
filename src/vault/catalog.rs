//! The files of the archive's catalog. [`crate::catalog`] says what stands in them.
//!
//! Each is written beside its place, synced, and then given its name: it is whole or not there. Crash before: a file that ends in
//! `.part`, which the next one takes the place of.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::objects::Over;
use super::{CATALOG, Objects, Vault, VaultError, failed, rename_without_replacing, sync_folder};

const STATE: &str = "state.jsonl";
const LOCK: &str = "lock";

/// Keeps others from writing the catalog for as long as it lives: a run from NVRs and a live run may end at once.
#[derive(Debug)]
pub struct CatalogLock {
    _locked: File,
}

/// A file of the catalog that is being written. Dropping it without publishing deletes it.
#[derive(Debug)]
pub struct CatalogFile {
    vault: Vault,
    file: BufWriter<File>,
    name: String,
    part: PathBuf,
    is_published: bool,
}

impl Vault {
    /// Waits until nobody else writes the catalog. Makes its folder when there is none. Blocks on the other.
    pub fn lock_catalog(&self) -> Result<CatalogLock, VaultError> {
        self.check_root()?;
        let folder = self.here.join(CATALOG);
        self.make_durable_folder(&folder)?;
        let path = folder.join(LOCK);
        let file = File::create(&path).map_err(failed("create", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(CatalogLock { _locked: file })
    }

    /// Whether the archive at `root`, which need not be there, has a catalog: then it has had a ledger.
    pub fn has_catalog_at(root: &Path) -> Result<bool, VaultError> {
        let state = root.join(CATALOG).join(STATE);
        state.try_exists().map_err(failed("look for", &state))
    }

    /// The numbers of the catalog's files of recordings, oldest first.
    pub fn catalog_segments(&self) -> Result<Vec<u64>, VaultError> {
        let names = self.names_in(CATALOG)?;
        let number = |name: &String| name.strip_prefix("recordings-")?.strip_suffix(".jsonl")?.parse().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A file of recordings of the catalog.
    pub fn catalog_segment(&self, number: u64) -> Result<CatalogLines, VaultError> {
        CatalogLines::open(self, &segment_name(number))
    }

    /// The catalog's state; nothing when there is none.
    pub fn catalog_state(&self) -> Result<Option<CatalogLines>, VaultError> {
        let is_there = match &self.objects {
            None => Self::has_catalog_at(&self.here)?,
            Some(objects) => has_catalog_in(objects)?,
        };
        is_there.then(|| CatalogLines::open(self, STATE)).transpose()
    }

    /// A new file of recordings of that number.
    pub fn new_catalog_segment(&self, number: u64) -> Result<CatalogFile, VaultError> {
        self.new_catalog_file(segment_name(number))
    }

    /// What is to take the place of the catalog's state.
    pub fn new_catalog_state(&self) -> Result<CatalogFile, VaultError> {
        self.new_catalog_file(STATE.to_owned())
    }

    fn new_catalog_file(&self, name: String) -> Result<CatalogFile, VaultError> {
        let part = self.here.join(CATALOG).join(format!("{name}.part"));
        let file = BufWriter::new(File::create(&part).map_err(failed("create", &part))?);
        Ok(CatalogFile { vault: self.clone(), file, name, part, is_published: false })
    }
}

/// Whether an archive in an object store has a catalog.
pub(super) fn has_catalog_in(objects: &Objects) -> Result<bool, VaultError> {
    Ok(objects.size_of(&format!("{CATALOG}/{STATE}"))?.is_some())
}

fn segment_name(number: u64) -> String {
    format!("recordings-{number:06}.jsonl")
}

impl CatalogFile {
    /// Appends a line for each.
    pub fn append<T: Serialize>(&mut self, lines: &[T]) -> Result<(), VaultError> {
        for line in lines {
            let written = serde_json::to_writer(&mut self.file, line).map_err(std::io::Error::from);
            written.and_then(|()| self.file.write_all(b"\n")).map_err(failed("write to", &self.part))?;
        }
        Ok(())
    }

    /// Makes it durable under its name: the state in the place of an older one, a file of recordings in the place of nothing. False
    /// when something has that name, which another host has written just now.
    pub fn publish(mut self) -> Result<bool, VaultError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(failed("sync", &self.part))?;
        if let Some(objects) = &self.vault.objects {
            let (name, is_state) = (format!("{CATALOG}/{}", self.name), self.name == STATE);
            return objects.write(&name, &self.part, if is_state { Over::Anything } else { Over::Nothing });
        }
        let folder = self.vault.here.join(CATALOG);
        let to = folder.join(&self.name);
        let renamed = match self.name == STATE {
            true => fs::rename(&self.part, &to),
            false => rename_without_replacing(&self.part, &to),
        };
        match renamed {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
            other => other.map_err(failed("publish", &to))?,
        }
        self.is_published = true;
        sync_folder(&folder)?;
        Ok(true)
    }
}

impl Drop for CatalogFile {
    fn drop(&mut self) {
        if !self.is_published {
            // OK to ignore a failure: the next one takes its place.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The lines of a file of the catalog.
pub struct CatalogLines {
    /// Which file.
    pub path: PathBuf,
    file: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
}

impl CatalogLines {
    fn open(vault: &Vault, name: &str) -> Result<Self, VaultError> {
        let relative = format!("{CATALOG}/{name}");
        let file = BufReader::with_capacity(1 << 20, vault.open_file(&relative)?);
        Ok(Self { file, path: vault.path_of(&relative), line: Vec::new() })
    }

    /// The next line, whatever stands in it; nothing at the end.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, VaultError> {
        self.line.clear();
        match self.file.read_until(b'\n', &mut self.line).map_err(failed("read", &self.path))? {
            0 => Ok(None),
            _ => Ok(Some(&self.line)),
        }
    }
}
