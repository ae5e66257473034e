//! The keeper of recordings in an object store: what stands below a prefix of a bucket, and how it gets there and away.
//!
//! An object is published by one call: the one that completes its upload, which replaces nothing that stands there already
//! ([`store`]). Before it nothing is visible. Its BLAKE3 and all that the ledger says of it are among the object's metadata, so
//! that nobody has to read it to know what it is.
//!
//! What streams in, what is judged and what is on its way is in a folder of this machine, the spool ([`super::outgoing`]).
//!
//! Whoever calls this waits for the network, as those who call a folder's keeper wait for the disk. The requests are made on
//! threads of their own, so that it does not matter on which the caller waits.

mod error;
mod reading;
mod s3;
mod store;
mod uploading;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt as _;
use object_store::path::Path as Key;
use object_store::{Attribute, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::{VaultError, failed, name};
use crate::absence::Absence;
use crate::catalog::RecordingLine;
use crate::recording::{ContentHash, Recording};

use error::{is_transient, told};
use store::Store;

pub use reading::Reading;
pub use s3::Bucket;
pub use uploading::Patience;
pub(super) use uploading::{Over, Placed};

/// The metadata of an object that says what the ledger does of it, as a line of the catalog.
const LINE: &str = "archive-recording";
/// The BLAKE3 of its bytes, for other programs.
const BLAKE3: &str = "archive-blake3";
/// A store takes two kilobytes of metadata **\[doc\]**; this leaves some of it to the hash and to names.
const LONGEST_LINE: usize = 1_800;

/// Parts that are in memory at once, over all uploads.
const PARTS_IN_MEMORY: usize = 16;

/// Where an archive's recordings are, in an object store. Copies share connections and threads.
#[derive(Clone)]
pub struct Objects(Arc<Shared>);

struct Shared {
    store: Store,
    /// Without a slash at either end; empty for the whole bucket.
    prefix: String,
    /// For people: `s3://bucket/prefix`.
    address: PathBuf,
    threads: Option<Runtime>,
    parts: Arc<Semaphore>,
    /// Whether it is away.
    absence: Absence,
    /// Whether nobody waits any more for a store that is away.
    hurry: AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // The last copy may go on a thread that must not wait.
            threads.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Objects").field(&self.0.address).finish()
    }
}

impl Objects {
    /// The archive in that bucket. Asks the store for nothing yet.
    pub fn connect(bucket: &Bucket) -> Result<Self, VaultError> {
        let address = PathBuf::from(bucket.address());
        let store = Store::s3(bucket).map_err(failed("set up the way to", &address))?;
        Self::new(store, bucket.prefix.clone(), address)
    }

    /// One that is gone with its last copy, for tests.
    #[cfg(feature = "failpoints")]
    pub fn in_memory() -> Self {
        let made = Self::new(Store::in_memory(), "some/where".to_owned(), PathBuf::from("s3://memory/some/where"));
        made.expect("threads can be had")
    }

    fn new(store: Store, prefix: String, address: PathBuf) -> Result<Self, VaultError> {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let threads = threads.map_err(failed("start threads for", &address))?;
        let parts = Arc::new(Semaphore::new(PARTS_IN_MEMORY));
        let (threads, absence, hurry) = (Some(threads), Absence::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Shared { store, prefix, address, threads, parts, absence, hurry })))
    }

    /// For people: `s3://bucket/prefix`.
    pub fn address(&self) -> &PathBuf {
        &self.0.address
    }

    /// Says that nobody waits any more until a store that is away has come back: somebody wants the end.
    pub fn hurry(&self) {
        self.0.hurry.store(true, Ordering::Relaxed);
    }

    /// Tells from now on when the store is away, with why, and when it is back.
    pub fn absence(&self) -> watch::Receiver<Option<String>> {
        self.0.absence.watch()
    }

    fn is_in_a_hurry(&self) -> bool {
        self.0.hurry.load(Ordering::Relaxed)
    }

    /// The key of a name below the archive's root.
    fn key(&self, relative: &str) -> Key {
        let parts = self.0.prefix.split('/').chain(relative.split('/'));
        parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect::<Vec<String>>().join("/").into()
    }

    /// For people: where a name below the root is.
    pub(super) fn shown(&self, relative: &str) -> PathBuf {
        self.0.address.join(relative)
    }

    /// Does what waits for the network, and waits for it.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (done, waiting) = std::sync::mpsc::sync_channel(1);
        // OK: it is taken away when the last copy goes, and here is one.
        let threads = self.0.threads.as_ref().expect("threads live as long as the store");
        threads.spawn(async move {
            // OK to ignore that nobody waits: then the process ends.
            let _ = done.send(work.await);
        });
        // OK: a request that panics is a mistake of this program, which has been told by then.
        waiting.recv().expect("a request to the store is answered")
    }

    fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        relative: &str,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, VaultError> {
        self.wait(work).map_err(|error| self.failed(doing, relative, error))
    }

    fn failed(&self, doing: &'static str, relative: &str, error: object_store::Error) -> VaultError {
        let (is_away, path, source) = (is_transient(&error), self.shown(relative), told(error));
        match is_away {
            true => VaultError::Away { doing, path, source },
            false => failed(doing, &path)(source),
        }
    }

    /// What stands under a name, if anything does.
    fn head(&self, relative: &str) -> Result<Option<(ObjectMeta, object_store::Attributes)>, VaultError> {
        let (objects, key) = (self.clone(), self.key(relative));
        self.ask("look for", relative, async move { objects.look_at(&key).await })
    }

    async fn look_at(&self, key: &Key) -> object_store::Result<Option<(ObjectMeta, object_store::Attributes)>> {
        match self.0.store.objects().get_opts(key, GetOptions { head: true, ..GetOptions::default() }).await {
            Ok(found) => Ok(Some((found.meta, found.attributes))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The size of what stands under a name; nothing when nothing does.
    pub(super) fn size_of(&self, relative: &str) -> Result<Option<u64>, VaultError> {
        Ok(self.head(relative)?.map(|(meta, _)| meta.size))
    }

    /// What a recording's metadata says of it, where that fits its name and size: whoever published it had judged it. Reads no
    /// byte of it.
    pub(super) fn described(&self, relative: &str) -> Result<Option<Recording>, VaultError> {
        let Some((meta, attributes)) = self.head(relative)? else { return Ok(None) };
        Ok(describes(relative, meta.size, &attributes))
    }

    /// The names directly below a folder of the root, with a size for what is an object; nothing for what is a folder.
    pub(super) fn entries(&self, folder: &str) -> Result<Vec<(String, Option<u64>)>, VaultError> {
        let (store, key) = (self.0.store.objects(), self.key(folder));
        let listed = self.ask("list", folder, async move { store.list_with_delimiter(Some(&key)).await })?;
        let last = |key: &Key| key.filename().map(ToOwned::to_owned);
        let folders = listed.common_prefixes.iter().filter_map(last).map(|name| (name, None));
        let objects = listed.objects.iter().filter_map(|meta| Some((last(&meta.location)?, Some(meta.size))));
        Ok(folders.chain(objects).collect())
    }

    /// The sizes of the objects in a folder, by name.
    pub(super) fn sizes_in(&self, folder: &str) -> Result<HashMap<String, u64>, VaultError> {
        let entries = self.entries(folder)?.into_iter();
        Ok(entries.filter_map(|(name, size)| Some((name, size?))).collect())
    }

    /// Whether anything stands below a folder of the root.
    pub(super) fn has_any_below(&self, folder: &str) -> Result<bool, VaultError> {
        let (store, key) = (self.0.store.objects(), self.key(folder));
        self.ask("list", folder, async move { Ok(store.list(Some(&key)).try_next().await?.is_some()) })
    }

    /// The bytes of what stands under a name, as a stream.
    pub(super) fn open(&self, relative: &str) -> Result<Reading, VaultError> {
        let (store, key) = (self.0.store.objects(), self.key(relative));
        let got = self.ask("read", relative, async move { store.get(&key).await })?;
        let threads = self.0.threads.as_ref().expect("threads live as long as the store");
        Ok(Reading::of(got.into_stream(), threads))
    }

    /// A small object as text; nothing when there is none.
    pub(super) fn text(&self, relative: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let (store, key) = (self.0.store.objects(), self.key(relative));
        let got = async move {
            match store.get(&key).await {
                Ok(got) => Ok(Some(got.bytes().await?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.ask("read", relative, got)
    }

    /// Writes a small object, in the place of nothing; says whether it did. Some stores do not know how, and put it in the place of
    /// whatever stands there.
    pub(super) fn create(&self, relative: &str, bytes: &[u8]) -> Result<bool, VaultError> {
        let (store, key, payload) = (self.0.store.objects(), self.key(relative), PutPayload::from(bytes.to_vec()));
        let put = async move {
            match store.put_opts(&key, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.ask("write", relative, put)
    }

    /// Writes a small object, in the place of whatever stands there.
    pub(super) fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), VaultError> {
        let (store, key, payload) = (self.0.store.objects(), self.key(relative), PutPayload::from(bytes.to_vec()));
        self.ask("write", relative, async move { store.put(&key, payload).await.map(drop) })
    }

    /// Begins an upload and aborts it: what publishing needs a right to, and leaves nothing.
    pub(super) fn try_it(&self) -> Result<(), VaultError> {
        const TRIAL: &str = ".archive-trial";
        let (objects, key) = (self.clone(), self.key(TRIAL));
        let tried = async move {
            let id = objects.0.store.begin(&key, object_store::Attributes::new()).await?;
            objects.0.store.abort(&store::Begun { key, id }).await
        };
        self.ask("begin and abort an upload of", TRIAL, tried)
    }

    /// Deletes what stands under these names. What is not there any more is fine.
    pub(super) fn delete(&self, names: &[String]) -> Result<(), VaultError> {
        for name in names {
            let (store, key) = (self.0.store.objects(), self.key(name));
            let deleted = async move {
                match store.delete(&key).await {
                    Err(object_store::Error::NotFound { .. }) => Ok(()),
                    other => other,
                }
            };
            self.ask("delete", name, deleted)?;
        }
        Ok(())
    }

    /// Gives what stands under a name another one that nothing stands under; that it is deleted under the old one comes last.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), VaultError> {
        let (store, old, new) = (self.0.store.objects(), self.key(from), self.key(to));
        self.ask("copy aside", from, async move { store.copy(&old, &new).await })?;
        self.delete(&[from.to_owned()])
    }
}

/// What metadata says of a recording of that name and size, if it says all of it.
fn describes(relative: &str, bytes: u64, attributes: &object_store::Attributes) -> Option<Recording> {
    let line = attributes.get(&Attribute::Metadata(LINE.into()))?;
    let line: RecordingLine = serde_json::from_str(line).ok()?;
    let named = name::parse_path(relative)?;
    if line.path != relative || line.bytes != bytes {
        return None;
    }
    line.recording(named.device, named.range, named.source).ok()
}

/// The metadata of a recording. A line that is too long for a store is left out: whoever wants to know reads the object then.
fn attributes(recording: &Recording) -> object_store::Attributes {
    let mut attributes = object_store::Attributes::new();
    attributes.insert(Attribute::Metadata(BLAKE3.into()), recording.blake3.to_string().into());
    // OK to leave out what cannot be written, which no plain struct is.
    let line = serde_json::to_string(&RecordingLine::of(recording)).map(|line| ascii(&line)).unwrap_or_default();
    if !line.is_empty() && line.len() <= LONGEST_LINE {
        attributes.insert(Attribute::Metadata(LINE.into()), line.into());
    }
    attributes
}

/// The same JSON in characters that a header can hold.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' => text.push(character),
            // OK: beyond ASCII only text within quotes has any, and there this says the same.
            other => other.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    text
}

/// The hash that metadata says, where it says no more.
fn hash_of(attributes: &object_store::Attributes) -> Option<ContentHash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(attributes.get(&Attribute::Metadata(BLAKE3.into()))?.as_bytes(), &mut hash).ok()?;
    Some(ContentHash(hash))
}
