//! What a power cut may take, shown by the system calls of a real run, which `strace` writes down: in which order the bytes of a
//! recording, its name, and the ledger's rows are made durable. What is synced before something else begins is on the disk by
//! then, whatever happens next; a kill alone would show nothing of this.

use std::collections::BTreeMap;
use std::process::Command;

use archive::sim::{MediaFault, Scripted};
use archive::wording;
use chrono_tz::Asia::Shanghai;

use crate::support::{Place, device, ended, fleet, range, stderr, yesterday};

/// What is written down: all that changes files, their names or folders, or makes that durable.
const CALLS: &str = "trace=write,writev,pwrite64,pwritev,pwritev2,ftruncate,fsync,fdatasync,sync_file_range,mkdir,mkdirat,\
                     rename,renameat,renameat2,link,linkat,unlink,unlinkat,mmap";

/// How much of each buffer is written down: more than a page of the ledger.
const SHOWN_BYTES: &str = "4200";

/// One system call that succeeded.
#[derive(Debug)]
struct Call {
    /// Lines of the trace at which it began and ended.
    began: usize,
    ended: usize,
    name: String,
    /// The descriptor that comes first, if one does, and its file.
    descriptor: Option<i64>,
    file: String,
    /// Texts and buffers, as far as they are shown.
    texts: Vec<Vec<u8>>,
}

/// Reads `\x41\x42`.
fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.split("\\x").filter(|digits| !digits.is_empty());
    digits.map(|digits| u8::from_str_radix(&digits[..2], 16).expect("strace -xx writes hexadecimal")).collect()
}

/// A path in `<…>` behind a descriptor, which strace may write plainly or in hexadecimal.
fn path_of(text: &str) -> String {
    if text.starts_with("\\x") { String::from_utf8_lossy(&bytes_of(text)).into_owned() } else { text.to_owned() }
}

/// Reads what `strace -f -y -xx` wrote; calls that failed are left out.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (number, begun.to_owned()));
            continue;
        }
        let resumed = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
        let (began, whole) = match resumed {
            Some((_, end)) => {
                let (began, begun) = unfinished.remove(thread).expect("what is resumed was begun");
                (began, format!("{begun}{end}"))
            }
            None => (number, rest.to_owned()),
        };
        let Some((name, arguments)) = whole.split_once('(') else { continue };
        // Behind the arguments comes the result, in a column of its own.
        let Some((arguments, result)) = arguments.rsplit_once(" = ") else { continue };
        if result.starts_with('-') {
            continue;
        }
        let opened = arguments.split_once('<').filter(|(number, _)| number.parse::<i64>().is_ok());
        let descriptor = opened.and_then(|(number, _)| number.parse().ok());
        let file = opened.and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path_of(path)).unwrap_or_default();
        let texts = arguments.split('"').skip(1).step_by(2).map(bytes_of).collect();
        calls.push(Call { began, ended: number, name: name.to_owned(), descriptor, file, texts });
    }
    calls
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn writes(&self) -> bool {
        self.is(&["write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate"])
    }

    fn syncs(&self) -> bool {
        self.is(&["fsync", "fdatasync"])
    }

    fn holds(&self, wanted: &[u8]) -> bool {
        self.texts.iter().any(|text| text.windows(wanted.len()).any(|window| window == wanted))
    }

    /// The paths of a rename, or of a folder that is made.
    fn path(&self, place: usize) -> String {
        self.texts.get(place).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }
}

/// The first sync of `file` that begins after line `after`.
fn synced<'a>(calls: &'a [Call], file: &str, after: usize) -> Option<&'a Call> {
    calls.iter().find(|call| call.syncs() && call.file == file && call.began > after)
}

fn must<'a>(found: Option<&'a Call>, what: &str, of: &str) -> &'a Call {
    found.unwrap_or_else(|| panic!("{of}: {what} is missing"))
}

/// Runs what `fetch` is to run, which must archive all, and gives the calls that it made.
async fn traced(place: &Place, fetch: &Command) -> Vec<Call> {
    let trace = place.path().join("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-xx", "-s", SHOWN_BYTES, "-e", CALLS, "-o"]).arg(&trace);
    traced.arg(fetch.get_program()).args(fetch.get_args()).env_clear().current_dir(place.path());
    traced.envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = ended(traced.spawn().unwrap_or_else(|error| panic!("strace is needed: {error}"))).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    calls(&std::fs::read_to_string(&trace).expect("strace wrote its trace"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace"]
async fn every_step_is_on_the_disk_before_the_next_begins() {
    let place = Place::new(fleet(&[(2, &[1, 2])])).await;
    // One that is cut, so that the sync has something behind the last write to wait for.
    place.platform.script(device(2), [Scripted::Stream(MediaFault::BreakAfterSeconds(200))]);
    let asked = range(yesterday(), 3 * 600);
    let calls = traced(&place, &place.fetch("1,2", asked)).await;
    let recordings = place.recordings(&[1, 2]).await;
    assert!(recordings.len() >= 7, "{recordings:?}");
    let log = place.ledger_path().with_extension("db-wal").display().to_string();
    // What is written through memory would not be seen here.
    let shared = |call: &&Call| call.name == "mmap" && call.file.ends_with(".part");
    assert!(calls.iter().find(shared).is_none());
    let mut announced = 0;
    for recording in &recordings {
        let of = &recording.path;
        let path = place.root().join(of);
        let folder = path.parent().expect("a folder").display().to_string();
        let is_rename =
            |call: &&Call| call.is(&["rename", "renameat", "renameat2"]) && call.path(1).ends_with(of.as_str());
        let rename = must(calls.iter().find(is_rename), "the rename to its name", of);
        let staging = place.path().join(rename.path(0)).display().to_string();

        // 1. The note, before all else.
        let note = calls.iter().find(|call| call.file == log && call.writes() && call.holds(of.as_bytes()));
        let note = must(note, "the note in the ledger", of);
        let noted = must(synced(&calls, &log, note.ended), "the sync of the note", of);
        assert!(noted.ended < rename.began, "{of}: it was renamed before its note was durable");

        // 2. The bytes.
        let last = calls.iter().rfind(|call| call.file == staging && call.writes() && call.began < rename.began);
        let last = must(last, "the last write", of);
        let whole = must(synced(&calls, &staging, last.ended), "the sync of its bytes", of);
        assert!(whole.ended < rename.began, "{of}: it was renamed before its bytes were durable");

        // 3. The name, and the folders that lead to it.
        let named = must(synced(&calls, &folder, rename.ended), "the sync of its folder", of);

        // 4. The row, which has its hash.
        let row = calls.iter().find(|call| call.file == log && call.writes() && call.holds(&recording.blake3.0));
        let row = must(row, "the row in the ledger", of);
        assert!(named.ended < row.began, "{of}: its row was written before its name was durable");
        let made = calls.iter().filter(|call| call.is(&["mkdir", "mkdirat"]));
        for made in made.filter(|made| path.starts_with(place.path().join(made.path(0)))) {
            let made_path = place.path().join(made.path(0));
            let above = made_path.parent().expect("a folder above").display().to_string();
            let durable = must(synced(&calls, &above, made.ended), &format!("the sync of {above}"), of);
            assert!(durable.ended < row.began, "{of}: {above} was durable only after the row was written");
        }

        // 5. And nobody hears of it before the row is on the disk as well.
        let committed = must(synced(&calls, &log, row.ended), "the sync of the row", of);
        let line = format!("device {}  {}", recording.device, wording::range(recording.range, Shanghai));
        let told = calls.iter().find(|call| call.descriptor == Some(2) && call.holds(line.as_bytes()));
        if let Some(told) = told {
            assert!(committed.ended < told.began, "{of}: it was announced before it was durable");
            announced += 1;
        }
    }
    // Not the two halves of the one that was cut: their window is announced.
    assert!(announced >= recordings.len() - 2, "{announced} of {} were announced", recordings.len());
    place.assert_true(&[1, 2]).await;
}

/// A run that was killed may have made the folders, renamed the file, and synced nothing of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace"]
async fn what_a_killed_run_left_is_durable_before_its_row_is_written() {
    for step in ["folder-made:4", "renamed"] {
        let place = Place::new(fleet(&[(1, &[1])])).await;
        let asked = range(yesterday(), 600);
        let killed =
            place.fetch("1", asked).env("ARCHIVE_FAILPOINTS", format!("{step}=kill")).output().expect("it runs");
        assert_eq!(killed.status.code(), None, "{step}: {}", stderr(&killed));

        let calls = traced(&place, &place.fetch("1", asked)).await;
        let recordings = place.recordings(&[1]).await;
        let [recording] = &recordings[..] else { panic!("{step}: {recordings:?}") };
        let path = place.root().join(&recording.path);
        let log = place.ledger_path().with_extension("db-wal").display().to_string();
        let row = calls.iter().find(|call| call.file == log && call.writes() && call.holds(&recording.blake3.0));
        let row = must(row, "the row in the ledger", step);
        let folders = path.ancestors().skip(1).take(3);
        for folder in folders.map(|folder| folder.display().to_string()) {
            let durable = must(synced(&calls, &folder, 0), &format!("the sync of {folder}"), step);
            assert!(durable.ended < row.began, "{step}: {folder} was durable only after the row was written");
        }
        place.assert_true(&[1]).await;
    }
}
