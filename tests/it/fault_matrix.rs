//! The table of faults, docs/faults.md: each is provoked in a run of the real program, and what comes of it is what is written there.
//!
//! `UPDATE_FAULTS=1 cargo test --test it fault_matrix` writes the table anew. The faults themselves are in `faults.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use archive::report::GapQuery;
use futures::{StreamExt as _, stream};

use crate::faults::{self, BEFORE, Fault, asked};
use crate::support::{Place, code, ended, stderr, stdout, until};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// How many runs go on at once. They mostly wait for the disk and for each other.
const AT_ONCE: usize = 6;

const HEAD: &str = "\
# Faults, and what comes of them

Each row is a run of the program that met that fault, in `cargo test`. `tests/it/fault_matrix.rs` makes this table and fails when
it is not what happens. Where the real thing cannot be had in a test, the step answers as if the system had said so
(`src/failpoint.rs`), which the name in brackets tells.

One camera is asked for ten minutes; where an archive was there before, it holds the ten minutes before them. In every row each
second that was asked for is archived or a gap, each row of the ledger has its file, and, where nothing else is said, nothing is
left in `.staging/` and the next run without the fault completes the archive.
";

/// What a run with a fault did.
struct Row {
    did: String,
    printed: String,
    exit: i32,
    ledger: String,
    /// What of it must not be.
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_does_what_the_table_says() {
    let faults = faults::all();
    let rows: Vec<(&Fault, Row)> = stream::iter(&faults)
        .map(|fault| async move { (fault, provoke(fault).await) })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut text = HEAD.to_owned();
    let mut chapter = "";
    let wrong: Vec<&String> = rows.iter().flat_map(|(_, row)| &row.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (fault, row) in &rows {
        if fault.chapter != chapter {
            chapter = fault.chapter;
            write!(text, "\n## {chapter}\n\n").expect("a string takes everything");
            text.push_str("| fault | what the program did | what it printed | exit code | what the ledger says |\n");
            text.push_str("|---|---|---|---|---|\n");
        }
        let Row { did, printed, exit, ledger, .. } = row;
        writeln!(text, "| {} | {did} | {printed} | {exit} | {ledger} |", fault.name)
            .expect("a string takes everything");
    }
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        std::fs::write(TABLE, &text).expect("the table can be written");
    }
    let written = std::fs::read_to_string(TABLE).unwrap_or_default();
    for (now, then) in text.lines().zip(written.lines()) {
        assert_eq!(now, then, "docs/faults.md says otherwise; UPDATE_FAULTS=1 writes it anew");
    }
    assert_eq!(text.lines().count(), written.lines().count(), "docs/faults.md has other rows");
}

async fn provoke(fault: &Fault) -> Row {
    let place = Place::with_settings((fault.platform)(), "").await;
    if !fault.settings.is_empty() {
        let file = place.path().join("settings.toml");
        let settings = std::fs::read_to_string(&file).expect("there are settings");
        let settings = settings.replace("min_free = \"1 MiB\"", fault.settings);
        std::fs::write(&file, settings).expect("a file can be written");
    }
    if fault.archived_before {
        let first = place.fetch("1", BEFORE()).spawn().expect("the program starts");
        let first = ended(first).await;
        assert_eq!(code(&first), 0, "{}: {}", fault.name, stderr(&first));
    }
    (fault.prepare)(&place);
    let calls = place.platform.calls().len();
    let before: BTreeSet<String> = place.files().into_keys().collect();
    let child = (fault.command)(&place).spawn().expect("the program starts");
    if let Some(meanwhile) = fault.meanwhile {
        until("a stream is under way", || staged(&place.root()) > 0).await;
        meanwhile(&place);
    }
    let output = ended(child).await;
    let asked_platform = place.platform.calls().len() - calls;
    let shown = format!("{}: {}{}", fault.name, stdout(&output), stderr(&output));
    let mut wrong = Vec::new();
    if code(&output) != fault.exit {
        wrong.push(format!("the exit code is {}, not {}: {shown}", code(&output), fault.exit));
    }
    let did = format!("{} of the platform; {}", times(asked_platform), left(&place, &before));
    let mut row = Row { wrong, did, printed: printed(&output, &place), exit: code(&output), ledger: String::new() };
    if let Some(mend) = fault.mend {
        mend(&place);
    }
    row.ledger = said_by_the_ledger(&place, &shown).await;
    if fault.mend.is_some() {
        let again = ended(place.fetch("1", asked()).spawn().expect("the program starts")).await;
        match code(&again) {
            0 => place.assert_true(&[1]).await,
            other => row.wrong.push(format!("the run after {shown}\nended with {other}: {}", stderr(&again))),
        }
    }
    row
}

fn times(calls: usize) -> String {
    match calls {
        0 => "asked nothing".to_owned(),
        1 => "asked once".to_owned(),
        calls => format!("asked {calls} times"),
    }
}

/// What of media came to lie in the archive.
fn left(place: &Place, before: &BTreeSet<String>) -> String {
    let (mut published, mut aside, mut staged) = (0, 0, 0);
    for name in place.files().keys().filter(|&name| !before.contains(name)) {
        match name {
            name if name.starts_with(".staging") => staged += 1,
            name if name.starts_with(".aside") => aside += 1,
            _ => published += 1,
        }
    }
    let mut text = match published {
        0 => "kept no file".to_owned(),
        1 => "kept a file".to_owned(),
        published => format!("kept {published} files"),
    };
    if aside > 0 {
        text.push_str(", moved one aside");
    }
    if staged > 0 {
        text.push_str(", left one in staging");
    }
    text
}

/// How large the largest file in staging is.
fn staged(root: &Path) -> u64 {
    let entries = std::fs::read_dir(root.join(".staging")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).max().unwrap_or(0)
}

/// The lines that say what went wrong, without what is another at each run.
fn printed(output: &Output, place: &Place) -> String {
    let all = stderr(output);
    let wrong = |line: &&str| line.contains("stopping: ") || line.starts_with("archive: ");
    let last = all.lines().rfind(wrong).or_else(|| all.lines().last()).unwrap_or("nothing");
    let line = match last.split_once("stopping: ") {
        Some((_, why)) => format!("stopping: {why}"),
        None => last.to_owned(),
    };
    let words: Vec<String> = line.split(' ').map(|word| normalised(word, place)).collect();
    format!("`{}`", words.join(" ").replace('|', "\\|").replace('`', "'"))
}

/// A word without what is another at each run: paths, free space.
fn normalised(word: &str, place: &Place) -> String {
    let folder = place.path().display().to_string();
    let Some((before, path)) = word.split_once(&folder) else { return word.to_owned() };
    let end = path.trim_end_matches([':', ',', ';', '.', ')', '\'', '`']);
    let after = &path[end.len()..];
    // A file of media has its time in its name.
    let kept = match end.rsplit_once('/') {
        Some((folder, file)) if file.ends_with(".flv") || folder.ends_with(".staging") => {
            let top: Vec<&str> = folder.split('/').take(3).collect();
            format!("{}/…", top.join("/"))
        }
        _ => match end.find("/1/") {
            Some(device) => format!("{}/1/…", &end[..device]),
            None => end.to_owned(),
        },
    };
    format!("{before}{}{after}", kept.trim_start_matches('/'))
}

async fn said_by_the_ledger(place: &Place, shown: &str) -> String {
    if !place.ledger_path().exists() {
        return "there is none".to_owned();
    }
    let ledger = match archive::ledger::Ledger::open_read_only(&place.ledger_path()) {
        Ok(ledger) => ledger,
        Err(_) => return "it is left as it is".to_owned(),
    };
    let gaps = ledger.gaps(GapQuery::default()).await.expect("the ledger answers");
    let runs = ledger.runs(1).await.expect("the ledger answers");
    let rows = place.recordings(&[1]).await;
    let archived: i64 = rows.iter().map(|row| row.range.seconds()).sum();
    // How much of a stream came until it was cut is another at each run.
    let is_cut = archived % asked().seconds() != 0;
    let amount = |seconds: i64| if is_cut { "a part".to_owned() } else { format!("{seconds} s") };
    let mut said = vec![format!("{} archived", amount(archived))];
    said.extend(gaps.iter().map(|gap| format!("{} {}", amount(gap.seconds), gap.cause)));
    let missing: i64 = gaps.iter().map(|gap| gap.seconds).sum();
    assert!(archived + missing <= asked().seconds() + BEFORE().seconds(), "a second in two states: {shown}");
    let files = place.files();
    for row in &rows {
        assert_eq!(files.get(&row.path), Some(&row.blake3), "a row without its file: {shown}");
    }
    match runs.first() {
        Some(run) => said.push(match run.exit {
            Some(exit) => format!("the run ended with {exit}"),
            None => format!("the run is {}", run.state),
        }),
        None => said.push("no run".to_owned()),
    }
    said.join("; ")
}
