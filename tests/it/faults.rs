//! The faults of the table in docs/faults.md: how each is provoked, and with which exit code a run must end that meets it.

use std::fs;
use std::process::{Command, Stdio};

use archive::recording::Source;
use archive::sim::{Config, Speed};
use archive::time_range::TimeRange;
use archive::vault::Vault;

use crate::support::{Place, fleet, range, yesterday};

/// A fault, and how it is provoked.
pub struct Fault {
    /// Under which heading it stands.
    pub chapter: &'static str,
    /// What goes wrong.
    pub name: String,
    /// The exit code that the run must end with.
    pub exit: i32,
    /// The platform that the run is against.
    pub platform: fn() -> Config,
    /// Lines of `[archive]` in the place of `min_free`.
    pub settings: &'static str,
    /// Whether [`BEFORE`] was archived by a run before.
    pub archived_before: bool,
    /// What is done before the run.
    pub prepare: Box<dyn Fn(&Place) + Send + Sync>,
    /// The run.
    pub command: Box<dyn Fn(&Place) -> Command + Send + Sync>,
    /// What is done once its stream is under way.
    pub meanwhile: Option<fn(&Place)>,
    /// What puts it right: the next run must then archive all that was asked for.
    pub mend: Option<fn(&Place)>,
}

/// What is asked for.
pub fn asked() -> TimeRange {
    range(yesterday(), 600)
}

/// What may be archived already.
pub const BEFORE: fn() -> TimeRange = || range(yesterday() - 600, 600);

/// One camera, which is free again soon after a URL was not used.
fn camera() -> Config {
    let length = |text: &str| text.parse().expect("a length");
    Config { url_life: length("1s"), busy_after_drop: Some(length("0s")), ..fleet(&[(4, &[1])]) }
}

/// One camera, whose ten minutes take three seconds: something can happen meanwhile.
fn slow_camera() -> Config {
    Config { speed: Speed::Times(200.0), filler: 4_000, ..camera() }
}

/// Where the archive is while its disk is not mounted.
fn away(place: &Place) -> std::path::PathBuf {
    place.path().join("away")
}

/// What an unmounted disk leaves: an empty folder.
fn unmount(place: &Place) {
    fs::rename(place.root(), away(place)).expect("it can be moved");
    fs::create_dir(place.root()).expect("a folder can be made");
}

/// Fails when anything was made in the empty folder.
fn mount(place: &Place) {
    fs::remove_dir(place.root()).expect("nothing was made where the disk should be mounted");
    fs::rename(away(place), place.root()).expect("it can be moved");
}

fn add_setting(place: &Place, line: &str) {
    let file = place.path().join("settings.toml");
    let settings = fs::read_to_string(&file).expect("there are settings");
    let settings = settings.replace("[archive]", &format!("[archive]\n{line}"));
    fs::write(file, settings).expect("a file can be written");
}

fn change_ledger(place: &Place, sql: &str) {
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    ledger.execute_batch(sql).expect("it can be changed");
}

/// Keeps the ledger beside itself, and puts it back.
fn keep_ledger(place: &Place) {
    // Else some of it is in its log.
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    ledger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("its log can be folded into it");
    drop(ledger);
    fs::copy(place.ledger_path(), place.path().join("kept.db")).expect("it can be copied");
}

fn put_ledger_back(place: &Place) {
    for end in ["-wal", "-shm"] {
        // OK when there is none.
        let _ = fs::remove_file(place.root().join(format!("ledger.db{end}")));
    }
    fs::copy(place.path().join("kept.db"), place.ledger_path()).expect("it can be copied");
}

impl Fault {
    fn new(chapter: &'static str, name: impl Into<String>, exit: i32) -> Self {
        Self {
            chapter,
            name: name.into(),
            exit,
            platform: camera,
            settings: "",
            archived_before: false,
            prepare: Box::new(|_| {}),
            command: Box::new(|place| place.fetch("1", asked())),
            meanwhile: None,
            mend: Some(|_| {}),
        }
    }

    /// A step that answers as if the system had said so.
    fn at(chapter: &'static str, doing: &str, points: &'static str, exit: i32) -> Self {
        let command = move |place: &Place| {
            let mut command = place.fetch("1", asked());
            command.env("ARCHIVE_FAILPOINTS", points);
            command
        };
        Self { command: Box::new(command), ..Self::new(chapter, format!("{doing} (`{points}`)"), exit) }
    }

    fn with(self, prepare: impl Fn(&Place) + Send + Sync + 'static) -> Self {
        Self { prepare: Box::new(prepare), ..self }
    }

    fn later(self) -> Self {
        Self { archived_before: true, ..self }
    }
}

/// All of them, chapter by chapter.
pub fn all() -> Vec<Fault> {
    [full(), failing(), refused(), unmounted(), ledger()].into_iter().flatten().collect()
}

fn full() -> Vec<Fault> {
    const CHAPTER: &str = "The disk is full";
    let at = |doing, points| Fault::at(CHAPTER, doing, points, 7);
    vec![
        Fault { settings: "min_free = \"1000 TiB\"", ..Fault::new(CHAPTER, "less is free than `min_free`", 7) }.mended(
            |place| {
                let file = place.path().join("settings.toml");
                let settings = fs::read_to_string(&file).expect("there are settings");
                fs::write(file, settings.replace("1000 TiB", "1 MiB")).expect("a file can be written");
            },
        ),
        Fault { platform: slow_camera, ..at("less is free than `min_free` while streaming", "free-space:3+=ENOSPC") },
        at("the archive's folders are made", "archive-open=ENOSPC"),
        at("the ledger is made", "ledger-migrate=ENOSPC"),
        at("the staging file is made", "staging-create=ENOSPC"),
        at("the stream is written", "staging-write=ENOSPC"),
        at("the stream is written, later", "staging-write:3+=ENOSPC"),
        at("the user's quota is used up while the stream is written", "staging-write:2+=EDQUOT"),
        Fault { settings: "min_free = \"1 MiB\"\ncontainer = \"mp4\"", ..at("an MP4 is made of it", "remuxed=ENOSPC") },
        at("the file is synced", "file-sync=ENOSPC"),
        Fault {
            platform: || Config { filler: 4_000, ..camera() },
            command: Box::new(|place| {
                let fetch = place.fetch("1", asked());
                // A shell sets it, in blocks of 512 bytes.
                let mut command = Command::new("sh");
                command
                    .args(["-c", "ulimit -f 4096; exec \"$0\" \"$@\""])
                    .arg(fetch.get_program())
                    .args(fetch.get_args());
                for (name, value) in fetch.get_envs() {
                    command.env(name, value.unwrap_or_default());
                }
                command.current_dir(place.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                command
            }),
            ..Fault::new(CHAPTER, "a file may not be larger than 2 MiB (`ulimit -f`)", 7)
        },
        at("its folder is made", "folder-make:3+=ENOSPC"),
        at("the file gets its name", "rename=ENOSPC"),
        at("the quota is used up as the file gets its name", "rename=EDQUOT"),
        at("a new folder is synced", "folder-sync:5+=ENOSPC"),
        at("the ledger begins to write", "ledger-begin=ENOSPC"),
        at("the ledger notes the file's name", "ledger-commit:4+=ENOSPC"),
        at("the ledger writes the file's row", "ledger-commit:4+=ENOSPC").later(),
    ]
}

fn failing() -> Vec<Fault> {
    const CHAPTER: &str = "The disk fails";
    let at = |doing, points| Fault::at(CHAPTER, doing, points, 1);
    vec![
        at("its free space is asked for", "free-space:2+=EIO"),
        at("the archive's folders are made", "archive-open=EIO"),
        at("the ledger is opened", "ledger-open=EIO"),
        at("the staging file is made", "staging-create=EIO"),
        at("the stream is written", "staging-write:2+=EIO"),
        at("the file is synced", "file-sync=EIO"),
        at("the file gets its name", "rename=EIO"),
        at("a new folder is synced", "folder-sync:5+=EIO"),
        at("the file's folder is synced", "folder-sync:6+=EIO"),
        at("the file gets its row", "row-write=EIO"),
        at("the ledger notes the file's name", "ledger-commit:4+=EIO"),
        at("the ledger's quota is used up", "ledger-commit:4+=EDQUOT"),
    ]
}

fn refused() -> Vec<Fault> {
    const CHAPTER: &str = "The disk may not be written";
    let at = |doing, points| Fault::at(CHAPTER, doing, points, 1);
    vec![
        at("it is mounted read-only: the archive's folders", "archive-open=EROFS"),
        at("it is mounted read-only: the staging file", "staging-create=EROFS"),
        at("it becomes read-only while streaming", "staging-write:2+=EROFS"),
        at("it becomes read-only before the file gets its name", "rename=EROFS"),
        at("it becomes read-only: the ledger", "ledger-commit:4+=EROFS"),
        at("this user may not make the archive's folders", "archive-open=EACCES"),
        at("this user may not make the staging file", "staging-create=EACCES"),
        at("this user may not make the camera's folder", "folder-make:3+=EACCES"),
        at("this user may not rename", "rename=EACCES"),
        Fault::new(CHAPTER, "a file stands where the archive should", 1)
            .with(|place| fs::write(place.root(), "").expect("a file can be written"))
            .mended(|place| fs::remove_file(place.root()).expect("it can be deleted")),
    ]
}

fn unmounted() -> Vec<Fault> {
    const CHAPTER: &str = "The archive's disk is not mounted";
    let new = |name| Fault::new(CHAPTER, name, 1).later();
    vec![
        Fault {
            settings: "min_free = \"1 MiB\"\nledger = \"elsewhere.db\"",
            ..new("an empty folder, and the ledger elsewhere")
        }
        .with(unmount)
        .mended(mount),
        Fault {
            settings: "min_free = \"1 MiB\"\nledger = \"elsewhere.db\"",
            ..new("no folder, and the ledger elsewhere")
        }
        .with(|place| fs::rename(place.root(), away(place)).expect("it can be moved"))
        .mended(|place| fs::rename(away(place), place.root()).expect("nothing was made there")),
        Fault {
            settings: "min_free = \"1 MiB\"\nledger = \"elsewhere.db\"",
            ..new("an empty folder, and a ledger of an older version elsewhere")
        }
        .with(|place| {
            change_ledger(place, "DELETE FROM archive_mark");
            unmount(place);
        })
        .mended(mount),
        new("an empty folder, the ledger gone with the disk, and `must_exist`")
            .with(|place| {
                add_setting(place, "must_exist = true");
                unmount(place);
            })
            .mended(mount),
        new("another archive's disk")
            .with(|place| {
                let mark = place.root().join(".archive-root");
                fs::rename(&mark, away(place)).expect("it can be moved");
                fs::write(mark, "0123\n").expect("a file can be written");
            })
            .mended(|place| fs::rename(away(place), place.root().join(".archive-root")).expect("it can be moved")),
        Fault { meanwhile: Some(unmount), platform: slow_camera, ..new("it goes while a stream comes in") }
            .mended(mount),
    ]
}

fn ledger() -> Vec<Fault> {
    const CHAPTER: &str = "The ledger is damaged or strange";
    let new = |name| Fault::new(CHAPTER, name, 1).later().mended(put_ledger_back);
    let changed = |name, change: fn(&mut Vec<u8>)| {
        new(name).with(move |place| {
            keep_ledger(place);
            let mut bytes = fs::read(place.ledger_path()).expect("it can be read");
            change(&mut bytes);
            fs::write(place.ledger_path(), bytes).expect("it can be written");
        })
    };
    let other = |name, sql: &'static str| {
        new(name).with(move |place| {
            keep_ledger(place);
            change_ledger(place, sql);
        })
    };
    vec![
        changed("it is no database", |bytes| bytes.fill(b'x')),
        changed("its pages are garbage", |bytes| bytes[4096..].fill(0xa5)),
        changed("half of it is gone", |bytes| bytes.truncate(bytes.len() / 8192 * 4096)),
        other("a table is gone", "PRAGMA foreign_keys = OFF; DROP TABLE missing;"),
        other("another program's database", "PRAGMA application_id = 7;"),
        other(
            "a newer version's",
            "UPDATE refinery_schema_history SET version = 999
                 WHERE version = (SELECT max(version) FROM refinery_schema_history);",
        ),
        new("it is gone, and the archive is there").with(|place| {
            keep_ledger(place);
            fs::remove_file(place.ledger_path()).expect("it can be deleted");
        }),
        Fault { mend: None, ..new("another program has it locked") }.with(|place| {
            let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
            ledger.execute_batch("BEGIN IMMEDIATE").expect("nobody else has it");
            // Until the tests end.
            Box::leak(Box::new(ledger));
        }),
        Fault { mend: None, exit: 6, ..new("another run writes to the archive, with another ledger") }.with(|place| {
            let vault = Vault::existing(&place.root()).expect("it is there");
            Box::leak(Box::new(vault.hold(Source::Nvr).expect("nobody else has it")));
        }),
        Fault::new(CHAPTER, "a folder stands in its place", 1)
            .with(|place| fs::create_dir_all(place.ledger_path()).expect("a folder can be made"))
            .mended(|place| fs::remove_dir(place.ledger_path()).expect("it is empty")),
    ]
}

impl Fault {
    fn mended(self, mend: fn(&Place)) -> Self {
        Self { mend: Some(mend), ..self }
    }
}
