//! Bytes of which nobody knows yet whether they are of use: few are held in memory, more in a file without a name.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use crate::failpoint::{Failpoint, reached};

use super::{Vault, VaultError, failed};

/// So many bytes are held in memory at most.
const IN_MEMORY: usize = 128 << 10;

/// What is read at once.
const READ: usize = 64 << 10;

/// What came so far. Nothing of it is left when it is dropped, or its process ends.
#[derive(Debug)]
pub struct Spool {
    vault: Vault,
    /// All of it, as long as there is no file.
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault, memory: Vec::new(), file: None }
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.vault.live_file_without_a_name()?),
        };
        // Empty from the second time on.
        let before = std::mem::take(&mut self.memory);
        let written = reached(Failpoint::StagingWrite).and_then(|()| file.write_all(&before));
        let written = written.and_then(|()| file.write_all(bytes));
        written.map_err(failed("write to a file in", &self.vault.live_folder()))
    }

    /// Reads the first `most` bytes of it, or as many as there are, piece by piece.
    pub fn read(&mut self, most: u64, mut each: impl FnMut(&[u8]) -> Result<(), VaultError>) -> Result<(), VaultError> {
        let Some(file) = &mut self.file else {
            let most = usize::try_from(most).map_or(self.memory.len(), |most| most.min(self.memory.len()));
            return each(&self.memory[..most]);
        };
        let folder = self.vault.live_folder();
        let unreadable = || failed("read a file in", &folder);
        file.seek(SeekFrom::Start(0)).map_err(unreadable())?;
        let (mut buffer, mut rest) = (vec![0; READ], (&*file).take(most));
        loop {
            let read = rest.read(&mut buffer).map_err(unreadable())?;
            if read == 0 {
                break;
            }
            each(&buffer[..read])?;
        }
        // What is appended comes behind all of it.
        file.seek(SeekFrom::End(0)).map(drop).map_err(unreadable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_however_much_it_is_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vault = Vault::open(folder.path()).expect("a new archive");
        for pieces in [0, 1, 3, 9, 40] {
            let mut spool = vault.spool();
            let mut all = Vec::new();
            for number in 0..pieces {
                let piece = vec![number; 50_000];
                spool.append(&piece).expect("it is appended");
                all.extend(piece);
                for most in [0, 8, 70_000, all.len(), usize::MAX] {
                    let mut read = Vec::new();
                    let done = spool.read(most as u64, |bytes| {
                        read.extend_from_slice(bytes);
                        Ok(())
                    });
                    done.expect("it is read");
                    assert!(read == all[..most.min(all.len())], "{most} bytes of {pieces} pieces");
                }
            }
            assert_eq!(spool.file.is_some(), all.len() > IN_MEMORY);
            assert!(spool.file.is_none() || spool.memory.capacity() == 0, "it is in memory twice");
            let left = std::fs::read_dir(vault.live_folder()).into_iter().flatten().count();
            assert_eq!(left, 0, "a file with a name");
        }
    }
}
