//! Files that get their names once they are whole and durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::recording::ContentHash;
use crate::vault::{VaultError, failed, rename_without_replacing, sync_folder};

use super::ExportError;

/// A file under another name beside its own; deleted when it is dropped before it got its own.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    to: PathBuf,
    is_placed: bool,
}

impl Part {
    /// A new one that is to be called `to`, open for reading and writing.
    pub(super) fn create(to: &Path) -> Result<(Self, File), ExportError> {
        let Some(name) = to.file_name() else {
            return Err(failed("write to", to)(io::ErrorKind::InvalidInput.into()).into());
        };
        let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        let path = to.with_file_name(name);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = opened.map_err(failed("create", &path))?;
        Ok((Self { path, to: to.to_owned(), is_placed: false }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes its bytes durable and gives it its name: never over another file, unless `force` says so.
    pub(super) fn place(mut self, file: &File, force: bool) -> Result<(), ExportError> {
        file.sync_all().map_err(failed("sync", &self.path))?;
        let renamed =
            if force { fs::rename(&self.path, &self.to) } else { rename_without_replacing(&self.path, &self.to) };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ExportError::Exists { path: self.to.clone() });
            }
            other => other.map_err(failed("rename", &self.path))?,
        }
        self.is_placed = true;
        sync_folder(self.to.parent().unwrap_or(Path::new(".")))?;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_placed {
            // OK to ignore: its name says that it is no whole file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Refuses what is there already.
pub(super) fn must_not_be_there(path: &Path) -> Result<(), ExportError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(ExportError::Exists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look for", path)(error).into()),
    }
}

/// Writes a whole small file.
pub(super) fn write(to: &Path, bytes: &[u8], force: bool) -> Result<(), ExportError> {
    let (part, mut file) = Part::create(to)?;
    io::Write::write_all(&mut file, bytes).map_err(failed("write to", part.path()))?;
    part.place(&file, force)
}

/// The BLAKE3 of what is in a file that was just written, from its beginning.
pub(super) fn hash(file: &mut File, path: &Path) -> Result<ContentHash, VaultError> {
    io::Seek::rewind(file).map_err(failed("read back", path))?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; super::source::PIECE]);
    loop {
        match file.read(&mut buffer).map_err(failed("read back", path))? {
            0 => return Ok(ContentHash(*hasher.finalize().as_bytes())),
            read => hasher.update(&buffer[..read]),
        };
    }
}
