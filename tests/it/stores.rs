//! What keeps the archives of the tests: a folder with its ledger in a file; or a ledger on a PostgreSQL server, recordings in an
//! object store, or both. `ARCHIVE_TEST_STORES` says which for all tests of a program: `postgres`, `s3`, `postgres,s3`. Each
//! archive has a database and a prefix of its own; the servers are the program's, and go with it.
//!
//! Which tests mean the same whatever keeps the archive, `scripts/check-stores.sh` says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use archive::ledger_place::LedgerPlace;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use tokio::runtime::Runtime;

use crate::object_store_server::{BUCKET, CREDENTIALS, Server};
use crate::postgres::program::server;

/// What keeps one archive.
pub struct Stores {
    /// Where the ledger's file and the recordings' folder, or the spool, are.
    here: PathBuf,
    /// The address of the ledger's database.
    database: Option<String>,
    /// Below which name the recordings are objects.
    prefix: Option<String>,
}

/// A file or an object, as it is seen without being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub bytes: u64,
    /// Another one once it was written anew.
    pub state: String,
}

fn is_chosen(store: &str) -> bool {
    let chosen = std::env::var("ARCHIVE_TEST_STORES").unwrap_or_default();
    let mut words = chosen.split(',').filter(|word| !word.is_empty());
    assert!(words.clone().all(|word| ["postgres", "s3"].contains(&word)), "ARCHIVE_TEST_STORES: {chosen:?}");
    words.any(|word| word == store)
}

/// Whether ledgers are on a server.
pub fn on_postgres() -> bool {
    is_chosen("postgres")
}

/// Whether recordings are objects.
pub fn on_s3() -> bool {
    is_chosen("s3")
}

/// The object store of this program.
struct Store {
    client: AmazonS3,
    /// For what is asked of it by tests that do not wait in their own way.
    runtime: Runtime,
    server: Server,
    /// Ends with the pipe to it, however this program ends, and the server then.
    _warden: Child,
}

fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let server = Server::start();
        let warden = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill \"$0\"", &server.id().to_string()])
            // Of its own, so that who ends this program with its group does not end it too.
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut builder =
            AmazonS3Builder::new().with_endpoint(server.url()).with_bucket_name(BUCKET).with_allow_http(true);
        for (name, value) in CREDENTIALS {
            builder = builder.with_config(name.to_lowercase().parse().expect("a setting"), value);
        }
        let client = builder.build().expect("a client");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Store { client, runtime: runtime.expect("a thread"), server, _warden: warden }
    })
}

impl Store {
    fn wait<T: Send>(&self, asked: impl Future<Output = object_store::Result<T>> + Send) -> object_store::Result<T> {
        // A thread of its own, since a test's may not be kept waiting in this way.
        std::thread::scope(|scope| scope.spawn(|| self.runtime.block_on(asked)).join().expect("it only asks"))
    }
}

impl Stores {
    /// Those that are chosen, with nothing in them; what is on this machine's disk goes below that folder.
    pub fn new(here: &Path) -> Self {
        static PREFIXES: AtomicU32 = AtomicU32::new(0);
        let prefix = || format!("place{}", PREFIXES.fetch_add(1, Ordering::Relaxed));
        Self {
            here: here.to_owned(),
            database: on_postgres().then(|| server().database()),
            prefix: on_s3().then(prefix),
        }
    }

    /// Lines of `[archive]` that they need: a dead host is found out soon, and one that lives not taken for dead on a busy machine.
    pub fn settings(&self) -> &'static str {
        if self.database.is_some() { "lease = \"3s\"\n" } else { "" }
    }

    /// What the program has to be told of them.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut told: Vec<(&'static str, OsString)> = Vec::new();
        if let Some(prefix) = &self.prefix {
            told.extend(CREDENTIALS.map(|(name, value)| (name, value.into())));
            told.push(("AWS_ENDPOINT_URL", store().server.url().into()));
            told.push(("XDG_CACHE_HOME", self.here.join("cache").into()));
            told.push(("ARCHIVE_ROOT", format!("s3://{BUCKET}/{prefix}").into()));
            told.push(("ARCHIVE_LEDGER", self.ledger_path().into()));
        }
        if let Some(database) = &self.database {
            told.retain(|(name, _)| *name != "ARCHIVE_LEDGER");
            told.push(("ARCHIVE_LEDGER", database.into()));
        }
        told
    }

    /// Where the ledger's file is, if it is one: in the root, unless a test put it elsewhere or that is no folder.
    pub fn ledger_path(&self) -> PathBuf {
        let elsewhere = self.here.join("elsewhere.db");
        if elsewhere.exists() || self.prefix.is_some() { elsewhere } else { self.root().join("ledger.db") }
    }

    pub fn ledger(&self) -> LedgerPlace {
        match &self.database {
            Some(database) => LedgerPlace::parse(database).expect("an address"),
            None => self.ledger_path().into(),
        }
    }

    /// What SQL gives, as psql prints it: a line per row, columns between `|`, and nothing for NULL.
    pub fn ask(&self, question: &str) -> String {
        self.look(question).unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    /// The same, or why not.
    pub fn look(&self, question: &str) -> Result<String, String> {
        match &self.database {
            Some(database) => Ok(psql(database, question)),
            None => in_file(&self.ledger_path(), question).map_err(|error| error.to_string()),
        }
    }

    /// Whether the ledger is there and has come to have this table.
    pub fn has_table(&self, name: &str) -> Result<bool, String> {
        let question = match &self.database {
            Some(_) => format!("SELECT count(to_regclass('{name}'))"),
            None if !self.ledger_path().exists() => return Ok(false),
            None => format!("SELECT count(*) FROM sqlite_schema WHERE name = '{name}'"),
        };
        Ok(self.look(&question)? != "0")
    }

    /// Does what SQL says to the ledger, behind everybody's back: one statement or many.
    pub fn change(&self, statements: &str) {
        if let Some(database) = &self.database {
            psql(database, statements);
            return;
        }
        let ledger = rusqlite::Connection::open(self.ledger_path()).expect("the ledger can be opened");
        ledger.execute_batch(statements).expect("the ledger can be changed");
    }

    fn root(&self) -> PathBuf {
        self.here.join("recordings")
    }

    /// The folder of this machine's that streams come into: the root, or the spool.
    pub fn working_folder(&self) -> PathBuf {
        match &self.prefix {
            Some(prefix) => self.here.join("cache/archive").join(BUCKET).join(prefix),
            None => self.root(),
        }
    }

    /// Every media file and object, published or not, by its name below the root.
    pub fn all(&self) -> BTreeMap<String, Seen> {
        let (mut all, mut folders) = (BTreeMap::new(), vec![self.working_folder()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("a folder can be read").path();
                let name = path.strip_prefix(self.working_folder()).expect("below it").display().to_string();
                if path.is_dir() {
                    // What stands there is no media.
                    folders.extend((name != ".catalog").then_some(path));
                } else if !name.starts_with("ledger.db")
                    && !name.ends_with(".lock")
                    && !name.starts_with(".archive-root")
                {
                    // A run that goes on has renamed it meanwhile.
                    let Ok(facts) = fs::metadata(&path) else { continue };
                    let state = format!("{} {} {}", facts.ino(), facts.mtime(), facts.mtime_nsec());
                    all.insert(name, Seen { bytes: facts.len(), state });
                }
            }
        }
        let Some(prefix) = &self.prefix else { return all };
        let objects = store().wait(store().client.list(Some(&Key::from(prefix.as_str()))).try_collect::<Vec<_>>());
        for object in objects.expect("the store answers") {
            let name = object.location.as_ref().strip_prefix(prefix.as_str()).and_then(|name| name.strip_prefix('/'));
            let name = name.expect("below the prefix");
            if !name.starts_with(".catalog/") && !name.starts_with(".archive-root") {
                let state = format!("{:?} {}", object.e_tag, object.last_modified);
                all.insert(name.to_owned(), Seen { bytes: object.size, state });
            }
        }
        all
    }

    /// The bytes of one of them; nothing when it has another name by now.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        match (fs::read(self.working_folder().join(name)), &self.prefix) {
            (Ok(bytes), _) => Some(bytes),
            (Err(error), None) if error.kind() == ErrorKind::NotFound => None,
            (Err(error), None) => panic!("{name}: {error}"),
            (Err(_), Some(prefix)) => {
                let key = Key::from(format!("{prefix}/{name}"));
                match store().wait(async { store().client.get(&key).await?.bytes().await }) {
                    Ok(bytes) => Some(bytes.to_vec()),
                    Err(object_store::Error::NotFound { .. }) => None,
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        }
    }

    /// The names below which uploads are that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        let Some(prefix) = &self.prefix else { return Vec::new() };
        let mut open = store().server.uploads();
        open.retain(|key| key.starts_with(&format!("{prefix}/")));
        open
    }

    /// Puts bytes under a final name, which nobody knows of.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        if let Some(prefix) = &self.prefix {
            let (key, bytes) = (Key::from(format!("{prefix}/{name}")), bytes.to_vec());
            store().wait(store().client.put(&key, bytes.into())).expect("it can be written");
            return;
        }
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }
}

fn psql(address: &str, statements: &str) -> String {
    let name = address.split(['/', '?']).nth(3).expect("a database");
    server().psql(name, statements).trim_end_matches('\n').to_owned()
}

fn in_file(ledger: &Path, question: &str) -> rusqlite::Result<String> {
    use rusqlite::types::Value;
    let ledger = rusqlite::Connection::open_with_flags(ledger, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = ledger.prepare(question)?;
    let columns = statement.column_count();
    let text = |value: Value| match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(bytes) => format!("\\x{}", hex::encode(bytes)),
    };
    let lines = statement.query_map([], |row| {
        let columns: Vec<String> = (0..columns).map(|index| row.get(index).map(text)).collect::<Result<_, _>>()?;
        Ok(columns.join("|"))
    })?;
    Ok(lines.collect::<rusqlite::Result<Vec<String>>>()?.join("\n"))
}
