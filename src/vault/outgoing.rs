//! What is judged and on its way to an object store: files of the spool's `.ready`, each under the last part of its final name.
//!
//! # The order of publishing there, and what a crash leaves at each step
//!
//! 1. The staging file is synced and gets its name in `.ready`, durably. Crash: a file there, and the ledger's note of its name.
//!    The next start judges and uploads it, so that no NVR is asked for it again.
//! 2. An upload is begun, and the ledger notes its number. Crash: the same, and an upload that nobody completes; the next start
//!    aborts it, by its number and by its name.
//! 3. The bytes are sent. Crash: the same.
//! 4. The upload is completed, in the place of nothing. Crash: a whole object without a row, whose metadata says what it is. The
//!    next start adopts it.
//! 5. The recording's row is written, and the note goes. Crash: a file in `.ready` that nobody needs. The next start deletes it.
//! 6. The file in `.ready` is deleted.
//!
//! Whoever takes over from another host aborts what that one had begun before it does anything else: from then on nothing that the
//! other does, whenever it wakes, can appear under that name. An upload whose number the ledger would not take is not sent.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failpoint::{Failpoint, reached};
use crate::recording::{Recording, Source};

use super::objects::{Objects, Patience, Placed};
use super::{Found, Staging, Vault, VaultError, failed, name, names_in, sync_folder};

/// A store that takes longer to answer was perhaps asked more than once.
const AT_ONCE: Duration = Duration::from_millis(250);

/// How often the upload of a live recording is begun anew that somebody aborted, who took its run for dead: nobody else has what it
/// recorded, and its file is still here. A download is not: another host fetches it.
const LIVE_TRIES: u8 = 3;

pub(super) const READY: &str = ".ready";

/// A judged file that is being uploaded.
#[derive(Debug)]
pub struct Outgoing {
    vault: Vault,
    objects: Objects,
    recording: Recording,
    file: PathBuf,
    upload: String,
    patience: Patience,
    /// How often it is begun anew when somebody has aborted it.
    tries: u8,
    /// Whether it was perhaps begun more than once, since an answer was lost.
    begun_twice: bool,
    /// Where something unknown went that stood under its name.
    set_aside: Option<PathBuf>,
}

/// What became of it.
#[derive(Debug)]
pub enum Uploaded {
    /// It stands under its name; where something unknown went that stood there before.
    Here {
        /// For people.
        set_aside: Option<PathBuf>,
    },
    /// Another recording stands under its name, judged like this one by whoever published it.
    Another(Box<Recording>),
    /// Something unknown stood under its name and was moved aside, which ended the upload, too, or somebody aborted it who took a live
    /// run for dead: another one is begun, and the ledger has to know its number, as before.
    Anew(Box<Outgoing>),
}

impl Vault {
    /// Whether what is published goes to an object store: then [`Self::send_off`] and not [`Staging::publish`] does it.
    pub fn uploads(&self) -> bool {
        self.objects.is_some()
    }

    fn ready_path(&self, relative: &str) -> PathBuf {
        // OK: a recording's file name says all that its folders do.
        let file = relative.rsplit('/').next().unwrap_or(relative);
        self.here.join(READY).join(file)
    }

    /// Steps 1 and 2, until the ledger has to be told. Blocks on disk and network.
    pub fn send_off(&self, staging: Staging, recording: Recording) -> Result<Outgoing, VaultError> {
        self.keep_ready(staging, &recording)?;
        self.send_ready(recording, Patience::default())
    }

    /// Step 1: whatever becomes of the store and of this process, the file is there to be uploaded. Blocks on the disk.
    pub fn keep_ready(&self, mut staging: Staging, recording: &Recording) -> Result<(), VaultError> {
        staging.flush()?;
        let synced = reached(Failpoint::FileSync).and_then(|()| staging.sync());
        synced.map_err(failed("sync", staging.path()))?;
        self.check_root()?;
        let folder = self.here.join(READY);
        self.make_durable_folder(&folder)?;
        let to = self.ready_path(&recording.path);
        // OK to replace: the same time, by an attempt whose note this one has taken over.
        self.room.went(size_of(&to));
        fs::rename(staging.path(), &to).map_err(failed("keep for its upload", &to))?;
        staging.has_gone();
        sync_folder(&folder)?;
        reached(Failpoint::FileSynced).map_err(failed("keep for its upload", &to))
    }

    /// Step 2, of a file that is in `.ready`. Blocks on the network; it and what follows wait with `patience` for a store that is
    /// away, and end with [`VaultError::Away`] after that.
    pub fn send_ready(&self, recording: Recording, patience: Patience) -> Result<Outgoing, VaultError> {
        let file = self.ready_path(&recording.path);
        let Some(objects) = self.objects.clone() else {
            return Err(failed("upload", &file)(io::ErrorKind::Unsupported.into()));
        };
        let asked = Instant::now();
        let upload = objects.begin(&recording, &patience)?;
        let begun_twice = asked.elapsed() > AT_ONCE;
        let vault = self.clone();
        let tries = if recording.source == Source::Live { LIVE_TRIES } else { 0 };
        Ok(Outgoing { vault, objects, recording, file, upload, patience, tries, begun_twice, set_aside: None })
    }

    /// The judged file of that name that did not come to be uploaded, when there is one: where it lies.
    pub fn ready(&self, relative: &str) -> Result<Option<(Found, PathBuf)>, VaultError> {
        let (file, named) = (self.ready_path(relative), name::parse_path(relative));
        let is_there = self.uploads() && file.try_exists().map_err(failed("look for", &file))?;
        Ok(named.filter(|_| is_there).map(|named| (Found { named, path: relative.to_owned() }, file)))
    }

    /// The names below the root of the judged files of a source that are here.
    pub fn all_ready(&self, source: Source) -> Result<Vec<String>, VaultError> {
        if !self.uploads() {
            return Ok(Vec::new());
        }
        let mut files = names_in(&self.here.join(READY))?;
        files.retain(|file| name::parse(file).is_some_and(|named| named.source == source));
        Ok(files.iter().filter_map(|file| name::below_root(file)).collect())
    }

    /// Step 6: the judged file of that name is not needed any more.
    pub fn forget_ready(&self, relative: &str) -> Result<(), VaultError> {
        if !self.uploads() {
            return Ok(());
        }
        self.delete_ready(&self.ready_path(relative))
    }

    /// Moves the judged file of that name out of the way, as it is: where it is then.
    pub fn set_aside_ready(&self, relative: &str) -> Result<PathBuf, VaultError> {
        let file = self.ready_path(relative);
        let bytes = size_of(&file);
        let aside = self.set_aside_file(&file)?;
        self.room.went(bytes);
        Ok(aside)
    }

    fn delete_ready(&self, file: &Path) -> Result<(), VaultError> {
        let bytes = size_of(file);
        match fs::remove_file(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("delete", file)(error)),
            Ok(()) => {
                self.room.went(bytes);
                Ok(())
            }
        }
    }

    /// Deletes what is left in `.ready` of a source, but what the ledger still has a note of: whoever deals with that sends it. Only
    /// while no run of it goes on.
    pub fn clear_ready(&self, source: Source, noted: &[String]) -> Result<(), VaultError> {
        if !self.uploads() {
            return Ok(());
        }
        let folder = self.here.join(READY);
        let noted: HashSet<PathBuf> = noted.iter().map(|path| self.ready_path(path)).collect();
        for file in names_in(&folder)? {
            let is_needed = noted.contains(&folder.join(&file));
            if !is_needed && name::parse(&file).is_some_and(|named| named.source == source) {
                self.delete_ready(&folder.join(file))?;
            }
        }
        Ok(())
    }

    /// Sees to it that nothing that was begun under a name can be completed any more: neither the upload that was noted nor another.
    pub fn abort_uploads(&self, relative: &str, noted: Option<String>) -> Result<(), VaultError> {
        let Some(objects) = &self.objects else { return Ok(()) };
        if let Some(id) = noted {
            objects.abort(relative, id)?;
        }
        abort_all(objects, relative).map(drop)
    }

    /// Aborts every upload to this archive. Only while nobody else writes to it; says how many there were.
    pub fn abort_every_upload(&self) -> Result<u64, VaultError> {
        self.objects.as_ref().map_or(Ok(0), |objects| abort_all(objects, ""))
    }

    /// What an object's metadata says of a recording; nothing where somebody has to read it.
    pub fn described(&self, relative: &str) -> Result<Option<Recording>, VaultError> {
        self.objects.as_ref().map_or(Ok(None), |objects| objects.described(relative))
    }

    /// Puts a file into the store that nobody judged or noted, for tests.
    #[cfg(feature = "failpoints")]
    pub fn put_strange(&self, relative: &str, file: &Path) -> Result<(), VaultError> {
        self.objects
            .as_ref()
            .map_or(Ok(()), |objects| objects.write(relative, file, super::objects::Over::Anything).map(drop))
    }

    /// Says that nobody waits any more for a store that is away.
    pub fn hurry(&self) {
        if let Some(objects) = &self.objects {
            objects.hurry();
        }
    }
}

/// OK to say nothing of one that is not there, or cannot be looked at.
fn size_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// OK to go on where a store does not list uploads, or does not let this account do so: those that count are aborted by number.
fn abort_all(objects: &Objects, relative: &str) -> Result<u64, VaultError> {
    match objects.abort_all(relative) {
        Err(VaultError::Io { source, .. } | VaultError::Away { source, .. }) => {
            tracing::debug!("uploads cannot be listed: {source}");
            Ok(0)
        }
        other => other,
    }
}

impl Outgoing {
    /// The upload's number, which the ledger has to know before [`Self::finish`].
    pub fn upload(&self) -> &str {
        &self.upload
    }

    /// Gives it up: nothing of it will ever be visible. The file stays.
    pub fn abort(self) -> Result<(), VaultError> {
        self.objects.abort(&self.recording.path, self.upload)
    }

    /// Gives this upload up, and begins another one of the same file: the ledger has to know its number, as before.
    pub fn anew(self) -> Result<Self, VaultError> {
        // OK to ignore that it fails: whoever comes to this name next aborts it.
        let _ = self.objects.abort(&self.recording.path, self.upload.clone());
        let anew = self.vault.send_ready(self.recording.clone(), self.patience.clone())?;
        Ok(Self { set_aside: self.set_aside, tries: self.tries.saturating_sub(1), ..anew })
    }

    /// Steps 3 and 4. Blocks on the network.
    pub fn finish(mut self) -> Result<Uploaded, VaultError> {
        let (objects, recording) = (&self.objects, &self.recording);
        let (path, shown) = (recording.path.as_str(), self.vault.path_of(&recording.path));
        let patience = &self.patience;
        let sent = match objects.send(path, &self.upload, &self.file, patience) {
            // Its upload may be gone because it is completed: by a call whose answer was lost.
            Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        reached(Failpoint::Rename).map_err(failed("publish", &shown))?;
        // OK to ignore that it fails: it is never completed, and whoever comes to this name next aborts it.
        let give_up = || drop(objects.abort(path, self.upload.clone()));
        let mut is_moved = false;
        loop {
            // A look first, since not every store knows a completing call that replaces nothing.
            let placed = match (objects.stands(recording, patience)?, &sent) {
                (Placed::Gone, Some(sent)) => objects.complete(recording, &self.upload, sent, patience)?,
                (Placed::Here, _) => {
                    give_up();
                    Placed::Here
                }
                (other, _) => other,
            };
            match placed {
                Placed::Here => break,
                Placed::Another(other) => {
                    give_up();
                    return Ok(Uploaded::Another(other));
                }
                Placed::Unknown if sent.is_some() && !is_moved => {
                    self.set_aside = self.vault.set_aside_if_there(path)?.or(self.set_aside);
                    is_moved = true;
                }
                // Garage takes that something is deleted for the end of all uploads that were begun under its name before.
                Placed::Gone if is_moved || self.tries > 0 => return Ok(Uploaded::Anew(Box::new(self.anew()?))),
                Placed::Unknown | Placed::Gone => {
                    let why = "somebody aborted its upload, or completed another under its name: another host may have taken over";
                    return Err(failed("publish", &shown)(io::Error::other(why)));
                }
            }
        }
        reached(Failpoint::Renamed).map_err(failed("publish", &shown))?;
        if self.begun_twice {
            // OK if it fails: it costs a little room, until `reindex` or a rule of the bucket aborts it.
            let _ = abort_all(objects, path);
        }
        Ok(Uploaded::Here { set_aside: self.set_aside })
    }
}
