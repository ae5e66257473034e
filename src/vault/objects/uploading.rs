//! How a file of the spool becomes an object.
//!
//! A recording goes up in parts, even when it is one part: until the completing call nothing is visible, and an upload that was
//! aborted cannot be completed any more, however long its process was paused. A single call that writes could not be taken back.
//!
//! A store that is away is asked again, with pauses, for as long as is worth waiting; what was sent is not sent again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::multipart::PartId;
use object_store::{Error, ObjectStoreExt as _, PutPayload, Result};

use super::store::Begun;
use super::{Objects, attributes, describes, hash_of, is_transient, told};
use crate::recording::Recording;
use crate::vault::{VaultError, failed};
use tokio_util::sync::CancellationToken;

/// A part's size. All but the last must have 5 MiB **\[doc\]**, and some stores want all of one size.
const PART: u64 = 8 << 20;
/// Parts of one upload that are on their way at once.
const AT_ONCE: usize = 4;

/// How long a store that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How soon somebody's wish for the end is seen.
const LOOKS: Duration = Duration::from_millis(200);

/// For how long an upload waits for a store that is away.
#[derive(Clone, Debug, Default)]
pub struct Patience(Option<CancellationToken>);

impl Patience {
    /// Until that is cancelled, however long it takes; by default a quarter of an hour.
    pub fn until(given_up: CancellationToken) -> Self {
        Self(Some(given_up))
    }

    fn is_over(&self, begun: Instant) -> bool {
        self.0.as_ref().map_or_else(|| begun.elapsed() >= PATIENCE, CancellationToken::is_cancelled)
    }
}

/// All parts of an upload are with the store; nothing is visible.
#[derive(Debug)]
pub(in crate::vault) struct Sent(Vec<PartId>);

/// What a file may take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vault) enum Over {
    Anything,
    Nothing,
}

/// What the completing call came to.
#[derive(Debug)]
pub(in crate::vault) enum Placed {
    /// The object is the one that was uploaded.
    Here,
    /// Another recording stands there, by what its metadata says.
    Another(Box<Recording>),
    /// Something stands there that nobody knows.
    Unknown,
    /// Nothing stands there, and the upload is gone.
    Gone,
}

impl Objects {
    /// Begins the upload of a recording; gives its number.
    pub(in crate::vault) fn begin(
        &self,
        recording: &Recording,
        patience: &Patience,
    ) -> std::result::Result<String, VaultError> {
        let (objects, key, attributes) = (self.clone(), self.key(&recording.path), attributes(recording));
        let patience = patience.clone();
        let asked = async move {
            objects.patiently(&patience, || async { objects.0.store.begin(&key, attributes.clone()).await }).await
        };
        self.ask("begin to upload", &recording.path, asked)
    }

    /// Aborts an upload: it can never be completed. One that is not there any more is fine.
    pub(in crate::vault) fn abort(&self, relative: &str, id: String) -> std::result::Result<(), VaultError> {
        let (objects, upload) = (self.clone(), Begun { key: self.key(relative), id });
        self.ask("abort the upload of", relative, async move { objects.0.store.abort(&upload).await })
    }

    /// Aborts every upload that was begun at a name, or below it. Says how many there were.
    pub(in crate::vault) fn abort_all(&self, relative: &str) -> std::result::Result<u64, VaultError> {
        let (objects, key) = (self.clone(), self.key(relative));
        let asked = async move {
            let begun = objects.0.store.begun(&key).await?;
            for upload in &begun {
                objects.0.store.abort(upload).await?;
            }
            Ok(begun.len() as u64)
        };
        self.ask("look for uploads of", relative, asked)
    }

    /// Sends a file's bytes as an upload's parts.
    pub(in crate::vault) fn send(
        &self,
        relative: &str,
        id: &str,
        file: &Path,
        patience: &Patience,
    ) -> std::result::Result<Sent, VaultError> {
        let open = || -> io::Result<(File, u64)> {
            let file = File::open(file)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(failed("read", file))?;
        let (objects, upload) = (self.clone(), Begun { key: self.key(relative), id: id.to_owned() });
        let patience = patience.clone();
        let asked = async move { objects.send_parts(upload, file, bytes, &patience).await };
        self.ask("upload", relative, asked).map(Sent)
    }

    async fn send_parts(&self, upload: Begun, file: File, bytes: u64, patience: &Patience) -> Result<Vec<PartId>> {
        let (file, upload, uploads) = (Arc::new(file), &upload, self.0.store.uploads());
        // An empty file is one empty part.
        let starts = (0..bytes.max(1)).step_by(PART as usize).enumerate();
        let parts = futures::stream::iter(starts).map(|(index, start)| {
            let (file, uploads) = (Arc::clone(&file), Arc::clone(&uploads));
            async move {
                // OK: nobody closes it.
                let _room = self.0.parts.acquire().await;
                let length = (bytes - start.min(bytes)).min(PART);
                let read = tokio::task::spawn_blocking(move || {
                    let mut part = vec![0; length as usize];
                    file.read_exact_at(&mut part, start).map(|()| PutPayload::from(part))
                });
                let unreadable = |error: io::Error| Error::NotSupported { source: Box::new(error) };
                let part = read.await?.map_err(unreadable)?;
                let send = || async {
                    match uploads.put_part(&upload.key, &upload.id, index, part.clone()).await {
                        // It may be in vain: somebody may have aborted it meanwhile.
                        Err(error) if is_transient(&error) && self.is_aborted(upload).await => Err(Error::NotFound {
                            path: upload.key.to_string(),
                            source: "the upload was aborted".into(),
                        }),
                        other => other,
                    }
                };
                self.patiently(patience, send).await
            }
        });
        parts.buffered(AT_ONCE).try_collect().await
    }

    /// Whether an upload is certainly not there any more; a store that does not answer says nothing.
    async fn is_aborted(&self, upload: &Begun) -> bool {
        self.0.store.begun(&upload.key).await.is_ok_and(|begun| !begun.iter().any(|other| other.id == upload.id))
    }

    /// Completes a recording's upload, in the place of nothing.
    pub(in crate::vault) fn complete(
        &self,
        recording: &Recording,
        id: &str,
        sent: &Sent,
        patience: &Patience,
    ) -> std::result::Result<Placed, VaultError> {
        let relative = recording.path.as_str();
        let (objects, upload) = (self.clone(), Begun { key: self.key(relative), id: id.to_owned() });
        let (parts, waits) = (sent.0.clone(), patience.clone());
        let completed = self
            .wait(async move { objects.patiently(&waits, || objects.0.store.complete(&upload, parts.clone())).await });
        match completed {
            Ok(()) => Ok(Placed::Here),
            // Also when the answer to an earlier call was lost, and the object is this one.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => {
                self.stands(recording, patience)
            }
            Err(error) => Err(self.failed("complete the upload of", relative, error)),
        }
    }

    /// What stands under a recording's name.
    pub(in crate::vault) fn stands(
        &self,
        recording: &Recording,
        patience: &Patience,
    ) -> std::result::Result<Placed, VaultError> {
        let (objects, key, patience) = (self.clone(), self.key(&recording.path), patience.clone());
        let looked = async move { objects.patiently(&patience, || objects.look_at(&key)).await };
        let Some((meta, attributes)) = self.ask("look for", &recording.path, looked)? else { return Ok(Placed::Gone) };
        if meta.size == recording.bytes && hash_of(&attributes) == Some(recording.blake3) {
            return Ok(Placed::Here);
        }
        Ok(match describes(&recording.path, meta.size, &attributes) {
            Some(other) => Placed::Another(Box::new(other)),
            None => Placed::Unknown,
        })
    }

    /// Writes a whole file as an object. False when it was to be in the place of nothing, and something stands there.
    pub(in crate::vault) fn write(
        &self,
        relative: &str,
        file: &Path,
        over: Over,
    ) -> std::result::Result<bool, VaultError> {
        let open = || -> io::Result<(File, u64)> {
            let file = File::open(file)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (mut opened, bytes) = open().map_err(failed("read", file))?;
        // Not every store can be told to write in the place of nothing.
        if over == Over::Nothing && self.size_of(relative)?.is_some() {
            return Ok(false);
        }
        let (objects, key) = (self.clone(), self.key(relative));
        if bytes <= PART {
            let mut payload = Vec::new();
            io::Read::read_to_end(&mut opened, &mut payload).map_err(failed("read", file))?;
            if over == Over::Nothing {
                return self.create(relative, &payload);
            }
            let (store, payload) = (self.0.store.objects(), PutPayload::from(payload));
            return self.ask("write", relative, async move { store.put(&key, payload).await.map(|_| true) });
        }
        let asked = async move {
            let id = objects.0.store.begin(&key, object_store::Attributes::new()).await?;
            let upload = Begun { key, id };
            let sent = objects.send_parts(upload.clone(), opened, bytes, &Patience::default()).await;
            let done = match sent {
                Ok(parts) if over == Over::Nothing => match objects.0.store.complete(&upload, parts).await {
                    Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                    other => other.map(|()| true),
                },
                Ok(parts) => {
                    objects.0.store.uploads().complete_multipart(&upload.key, &upload.id, parts).await.map(|_| true)
                }
                Err(error) => Err(error),
            };
            if !matches!(done, Ok(true)) {
                // OK to ignore a failure: the next reindex aborts it, or the bucket's own rule.
                let _ = objects.0.store.abort(&upload).await;
            }
            done
        };
        self.ask("write", relative, asked)
    }

    /// Asks until there is an answer, or until nobody waits any more.
    async fn patiently<T, F: Future<Output = Result<T>>>(&self, patience: &Patience, ask: impl Fn() -> F) -> Result<T> {
        let is_over = |begun| patience.is_over(begun) || self.is_in_a_hurry();
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            match ask().await {
                Err(error) if is_transient(&error) && !is_over(begun) => {
                    let (address, why) = (self.0.address.display(), told(error).to_string());
                    self.0.absence.begins(&why);
                    tracing::warn!("{address} takes nothing at the moment, and is asked again in {pause:?}: {why}");
                    let slept = Instant::now();
                    while slept.elapsed() < pause && !is_over(begun) {
                        tokio::time::sleep(LOOKS.min(pause)).await;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => {
                    // Also a refusal is an answer.
                    if !other.as_ref().is_err_and(is_transient) {
                        self.0.absence.ends();
                    }
                    return other;
                }
            }
        }
    }
}
