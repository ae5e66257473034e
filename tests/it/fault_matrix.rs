//! The table of faults, docs/faults.md: each is provoked in a run of the real program, and what comes of it is what is written there.
//!
//! `UPDATE_FAULTS=1 cargo test --test it fault_matrix` writes the table anew. The faults themselves are in `faults.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use archive::report::GapQuery;
use archive::time_range::ALL_TIME;
use futures::{StreamExt as _, stream};

use crate::broken_platform;
use crate::broken_server::Observed;
use crate::faults::{self, BEFORE, Fault, asked};
use crate::support::{Place, code, device, ended, stderr, stdout, until};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// How many runs go on at once. They mostly wait for the disk and for each other.
const AT_ONCE: usize = 8;

const HEAD: &str = "\
# Faults, and what comes of them

Each row is a run of the program that met that fault, in `cargo test`. `tests/it/fault_matrix.rs` makes this table and fails when
it is not what happens. Where the real thing cannot be had in a test, the step answers as if the system had said so
(`src/failpoint.rs`), which the name in brackets tells.

One camera is asked for ten minutes; where an archive was there before, it holds the ten minutes before them. In every row each
second of which the ledger knows that it was asked for is archived or a gap, each row of the ledger has its file, and, where nothing else is said, nothing is
left in `.staging/` and the next run without the fault completes the archive. What the ledger says is what it says once the fault is
gone. Against a broken platform a run tries twice.
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
    let of_platform = tokio::spawn(broken_platform::observe_all());
    let runs = faults.iter().enumerate().map(|(at, fault)| async move { (at, fault, provoke(fault).await) });
    // Some wait for most of their time, and nobody for those.
    let mut rows: Vec<(usize, &Fault, Row)> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    rows.sort_by_key(|&(at, ..)| at);
    let wrong: Vec<&String> = rows.iter().flat_map(|(.., row)| &row.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut text = HEAD.to_owned();
    let mut chapter = "";
    for (_, fault, row) in &rows {
        if fault.chapter != chapter {
            chapter = fault.chapter;
            begin(&mut text, chapter);
        }
        write(&mut text, &fault.name, row);
    }
    begin(&mut text, "The platform is broken, or means harm");
    for (name, seen) in of_platform.await.expect("each of them is as it must be") {
        write(&mut text, name, &row_of_platform(&seen));
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

/// Begins a table.
fn begin(text: &mut String, chapter: &str) {
    write!(text, "\n## {chapter}\n\n").expect("a string takes everything");
    text.push_str("| fault | what the program did | what it printed | exit code | what the ledger says |\n");
    text.push_str("|---|---|---|---|---|\n");
}

fn write(text: &mut String, name: &str, row: &Row) {
    let Row { did, printed, exit, ledger, .. } = row;
    writeln!(text, "| {name} | {did} | {printed} | {exit} | {ledger} |").expect("a string takes everything");
}

/// The same of a run against a platform that is broken. Its runs are tried again once, where that may help.
fn row_of_platform(seen: &Observed) -> Row {
    let kept = if seen.recordings.is_empty() { "kept no file" } else { "kept a file" };
    let asked = match (seen.calls, seen.opened) {
        (0, _) => "was understood by nobody",
        (_, 0) => "asked the platform",
        _ => "asked for media",
    };
    let printed = seen.attempts.iter().rev().find(|(_, detail)| !detail.is_empty());
    // The rest is the system's own word for it.
    let fixed = |detail: &str| {
        let told = detail.split_once("failed to lookup");
        without_numbers(told.map_or(detail, |(before, _)| before.trim_end_matches(": ")))
    };
    let printed = printed.map_or_else(String::new, |(_, detail)| fixed(detail));
    let mut said: Vec<String> = seen.gaps.iter().map(|(cause, seconds, _)| format!("{seconds} s {cause}")).collect();
    if said.is_empty() {
        said.push("600 s archived".to_owned());
    }
    Row {
        did: format!("{asked}; {kept}"),
        printed: quoted(if printed.is_empty() { "archived" } else { &printed }),
        exit: seen.exit,
        ledger: said.join("; "),
        wrong: Vec::new(),
    }
}

/// A text without the numbers that are others at each run: ports, and amounts of what goes on for ever.
fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\0']) {
        match c {
            '0'..='9' => digits.push(c),
            other => {
                let is_fixed = digits.len() < 4 || digits == "65536";
                kept.push_str(if is_fixed { &digits } else { "…" });
                digits.clear();
                kept.extend(Some(other).filter(|&other| other != '\0'));
            }
        }
    }
    kept
}

/// As code, in a cell.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 260;
    let mut text = text.replace('|', "\\|").replace('`', "'");
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain(['…']).collect();
    }
    format!("`{text}`")
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
    let words: Vec<&str> = line.split(' ').collect();
    let fixed = |(at, word): (usize, &&str)| match words.get(at + 1..at + 3) {
        // How much is free, where it is not made up.
        Some(&["MiB", "free,"]) if *word != "0" => "…".to_owned(),
        _ => normalised(word, place),
    };
    quoted(&words.iter().enumerate().map(fixed).collect::<Vec<_>>().join(" "))
}

/// A word without what is another at each run: temporary folders, times in names, marks.
fn normalised(word: &str, place: &Place) -> String {
    let folder = format!("{}/", place.path().display());
    let word = word.replace(&folder, "");
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "…".to_owned();
    }
    for folder in ["recordings/.staging/", "recordings/1/"] {
        if let Some((before, path)) = word.split_once(folder) {
            let after = path.trim_start_matches(|c| !":,;)".contains(c));
            return format!("{before}{folder}…{after}");
        }
    }
    word
}

async fn said_by_the_ledger(place: &Place, shown: &str) -> String {
    if !place.ledger_path().exists() {
        return "there is none".to_owned();
    }
    let ledger = match archive::ledger::Ledger::open_read_only(place.ledger_path()) {
        Ok(ledger) => ledger,
        Err(_) => return "nothing".to_owned(),
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
    let totals = ledger.totals(vec![device(1)], ALL_TIME).await.expect("the ledger answers");
    assert_eq!(totals.asked_seconds, archived + missing, "each second is in one state: {shown}");
    let files = place.files();
    for row in &rows {
        assert_eq!(files.get(&row.path), Some(&row.blake3), "a row without its file: {shown}");
    }
    match runs.first() {
        Some(run) => said.push(match run.exit {
            Some(exit) => format!("the run ended with {exit}"),
            None => format!("the run is {}", run.state),
        }),
        None => said.push("it knows of no run".to_owned()),
    }
    said.join("; ")
}
