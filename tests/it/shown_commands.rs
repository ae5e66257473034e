//! Every command that the documentation shows is run as it stands there, by a shell, against the simulated platform.
//!
//! Each document's blocks of `sh` are run one after the other in a folder of their own, so what a block makes, the next one finds. Dates
//! and folders are put in their place by [`PLACEHOLDERS`]; what no test can do stands in [`STAND_INS`] and [`PARSED`], with the reason.
//! A command that is in none of them and is not there fails. What is shown within a sentence is at least understood.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use archive::cli::Cli;
use chrono::{Days, NaiveDate};
use chrono_tz::Asia::Shanghai;
use clap::{CommandFactory as _, Parser as _};

use crate::support::{KEY, Place, SECRET, ended, fleet, stderr, stdout, yesterday};

/// What a reader puts something of their own for, and what stands there in a test. `{here}` is the test's folder, `{-2}` the day
/// before yesterday where the cameras are.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("2026-11-01", "{-9}"),
    ("2026-11-08", "{-3}"),
    ("2026-11-20", "{-2}"),
    ("2026-11-21", "{-1}"),
    ("ARCHIVE_AKEY=…", "ARCHIVE_AKEY=rehearsal"),
    ("--akey …", "--akey rehearsal"),
    ("/srv/", "{here}/srv/"),
    ("/etc/archive", "{here}/etc/archive"),
    ("/var/lib/archive", "{here}/var/lib/archive"),
    ("/etc/systemd/system", "{here}/etc/systemd/system"),
    ("/usr/share/doc/archive/examples", concat!(env!("CARGO_MANIFEST_DIR"), "/packaging")),
    // What a reader writes into the file with an editor.
    ("-m 600 /dev/null", "-m 600 {here}/given.secret"),
    // What has happened to whom this is for.
    ("archive reindex  ", "rm recordings/ledger.db; archive reindex  "),
    // There is no such user where a test runs.
    ("install -o archive", "install"),
];

/// Programs that a test cannot let run, what does their part, and why.
const STAND_INS: &[(&str, &str, &str)] = &[
    (
        "cargo",
        r#"[ "$1" = run ] || exit 0; while [ "$1" != -- ]; do shift; done; shift; exec archive "$@""#,
        "it builds for minutes",
    ),
    ("apt", "", "it changes the machine"),
    ("systemctl", "", "it changes the machine"),
    ("docker", "", "it builds for minutes"),
    ("kubectl", "", "there is no cluster"),
    ("createdb", "", "there is no server"),
    ("psql", "", "there is no server"),
    (
        "sudo",
        r#"while :; do case "$1" in -u) shift 2;; *=*) export "$1"; shift;; *) break;; esac; done; exec "$@""#,
        "there is no other user",
    ),
    ("rsync", r#"for last in "$@"; do from=${to:-}; to=$last; done; cp -a "$from/." "$to""#, "it is not everywhere"),
];

/// What is not run but only understood, by how it begins or what it has, and why.
const PARSED: &[(&str, &str)] = &[
    ("live *", "goes on until it is stopped; record_live.rs runs it"),
    ("simulate *", "goes on until it is stopped; sim_server.rs runs it"),
    ("rehearse*", "takes seconds; commands.rs runs it"),
    ("*--watch*", "goes on until it is stopped"),
    ("*postgres://*", "there is no server; postgres.rs runs it"),
];

/// Commands that end otherwise than with 0: a part of their line, and the code.
const CODES: &[(&str, i32)] = &[];

/// The settings and jobs that the documents speak of, as small as they may be.
const JOBS: &str = r#"
[platform]
calls_per_second = 1000
secret_file = "archive.secret"
[archive]
min_free = "1 MiB"
[retry]
first_delay = "20ms"
max_delay = "200ms"
recheck_after = "50ms"
[[nvr]]
name = "store 1"
devices = "5-7"
footage = "30 days"
[[job]]
name = "nightly"
devices = "5"
from = "2026-11-20 09:00"
to = "2026-11-20 09:10"
keep = "90 days"
[[job]]
name = "vault"
kind = "live"
devices = "6"
"#;

/// The documents for people, by their names in the repository.
pub fn documents() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<PathBuf> = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].map(PathBuf::from).into();
    let docs = std::fs::read_dir(root.join("docs")).expect("there are documents");
    names.extend(docs.map(|entry| Path::new("docs").join(entry.expect("a name").file_name())));
    names.retain(|name| name.extension().is_some_and(|extension| extension == "md"));
    let read = |name: PathBuf| (name.display().to_string(), std::fs::read_to_string(root.join(name)).expect("a text"));
    names.into_iter().map(read).collect()
}

/// The blocks of a document in a language, without the indentation of the list that they stand in.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.trim_start().strip_prefix("```") else { continue };
        let indentation = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: Vec<&str> = inside.map(|line| line.get(indentation..).unwrap_or_default()).collect();
        if opened == language {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// Puts in what stands for the documents' dates and folders.
fn substituted(text: &str, here: &Path) -> String {
    let yesterday: NaiveDate = yesterday().to_datetime().with_timezone(&Shanghai).date_naive();
    let mut text = text.to_owned();
    for (shown, meant) in PLACEHOLDERS {
        text = text.replace(shown, meant);
    }
    for days in 1..=9 {
        let day = yesterday.checked_sub_days(Days::new(days - 1)).expect("a day in this century");
        text = text.replace(&format!("{{-{days}}}"), &day.to_string());
    }
    text.replace("{here}", &here.display().to_string())
}

/// Everything that the documents take for given, below the place's folder.
fn furnish(place: &Place) {
    let here = place.path();
    let drafts = here.join("drafts");
    for folder in ["drafts/bin", "drafts/scripts", "drafts/benches", "srv/new", "srv/archive", "etc/archive"] {
        std::fs::create_dir_all(here.join(folder)).expect("a folder can be made");
    }
    std::fs::create_dir_all(here.join("var/lib/archive")).expect("a folder can be made");
    for secret in ["archive.secret", "given.secret"] {
        std::fs::write(here.join(secret), format!("{SECRET}\n")).expect("a file can be written");
    }
    std::fs::write(here.join("jobs.toml"), substituted(JOBS, here)).expect("a file can be written");
    let program = |name: PathBuf, does: &str| {
        std::fs::write(&name, format!("#!/bin/sh\n{does}\n")).expect("a file can be written");
        std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    for (name, does, _reason) in STAND_INS {
        program(drafts.join("bin").join(name), does);
    }
    // Scripts of the repository are only looked for: what they do takes minutes.
    for folder in ["scripts", "benches"] {
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
        for entry in entries {
            program(drafts.join(folder).join(entry.expect("a name").file_name()), "");
        }
    }
    let patterns: Vec<&str> = PARSED.iter().map(|(pattern, _reason)| *pattern).collect();
    let archive = format!(
        r#"code=0; case "$*" in {} ) ;; * ) {:?} "$@" || code=$?;; esac
{{ printf '%s' "$code"; printf '\037%s' "$@"; printf '\n'; }} >>{:?}"#,
        // Their spaces are the pattern's own.
        patterns.join("|").replace(' ', "\\ "),
        env!("CARGO_BIN_EXE_archive"),
        here.join("log"),
    );
    program(drafts.join("bin/archive"), &archive);
    // The queries are answered in documents.rs; who has no sqlite3 runs nothing else of it.
    if Command::new("sqlite3").arg("-version").stdout(Stdio::null()).status().is_err() {
        program(drafts.join("bin/sqlite3"), "");
    }
    // By another process: a file that this one has open for writing, at the moment in which another test starts a child, is
    // "busy" for whoever runs it.
    let copied = Command::new("cp").args(["-R", "drafts/.", "."]).current_dir(here).status().expect("there is a cp");
    assert!(copied.success());
}

/// A block as a shell runs it, which ends at the first command that fails.
fn shell(place: &Place, script: &str) -> Command {
    let here = place.path();
    let path = format!("{}:{}", here.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = place.archive(&[]);
    let with_account: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_owned())).collect();
    command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(here).env_clear().envs(with_account);
    command.env("PATH", path).env("HOME", here).env("ARCHIVE_CONFIG", here.join("jobs.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the blocks of a document, and gives the mistakes in it, and how often `archive` was called.
async fn run(name: &str, text: &str) -> (String, usize) {
    let shown = blocks(text, "sh");
    let mut calls = 0;
    let place = Place::new(fleet(&[(4, &[5, 6, 7])])).await;
    furnish(&place);
    let mut mistakes = String::new();
    // The README begins with nothing; docs/ is read by somebody who has an archive.
    let first_night = if name == "docs/operating.md" { "archive run jobs.toml" } else { "" };
    for block in std::iter::once(first_night.to_owned()).chain(shown) {
        let script = substituted(&block, place.path());
        let output = ended(shell(&place, &script).spawn().expect("there is a shell")).await;
        let log = std::fs::read_to_string(place.path().join("log")).unwrap_or_default();
        let _ = std::fs::remove_file(place.path().join("log"));
        let said = || format!("{}\n{}", stdout(&output), stderr(&output));
        if !output.status.success() {
            let _ = writeln!(mistakes, "{name}: a command failed in\n{block}\n{}", said());
        }
        for line in log.lines() {
            calls += 1;
            let (code, arguments) = line.split_once('\u{1f}').unwrap_or((line, ""));
            let arguments: Vec<&str> = arguments.split('\u{1f}').collect();
            let line = arguments.join(" ");
            let expected = CODES.iter().find(|(part, _)| line.contains(part)).map_or(0, |&(_, code)| code);
            if code != expected.to_string() {
                let _ = writeln!(mistakes, "{name}: archive {line}: exit code {code}, not {expected}\n{}", said());
            }
            if let Err(error) = understood(&arguments) {
                let _ = writeln!(mistakes, "{name}: {error}");
            }
        }
    }
    (mistakes, calls)
}

fn understood(arguments: &[&str]) -> Result<(), String> {
    match Cli::try_parse_from(std::iter::once("archive").chain(arguments.iter().copied())) {
        Err(error) if error.use_stderr() => Err(format!("archive {}: {error}", arguments.join(" "))),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_is_shown_is_run() {
    assert_eq!(KEY, "rehearsal", "the placeholder says so");
    let documents = documents();
    // documents.rs holds that the Chinese README shows the same.
    let all = documents.iter().filter(|(name, text)| *name != "README.zh-CN.md" && !blocks(text, "sh").is_empty());
    let ran = futures::future::join_all(all.map(|(name, text)| run(name, text))).await;
    let (mistakes, calls): (Vec<String>, Vec<usize>) = ran.into_iter().unzip();
    assert_eq!(mistakes.concat(), "");
    assert!(calls.iter().sum::<usize>() > 25, "archive was called {calls:?} times");
}

/// A line's words, as a shell would part them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match character {
            '"' => {
                quote = !quote;
                word.get_or_insert_default();
            }
            ' ' if !quote => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// What a line means with none, with all before, and with one alone of what stands in brackets.
fn readings(line: &str) -> Vec<Vec<String>> {
    let (base, options): (String, Vec<&str>) = {
        let mut parts = line.split('[');
        let mut base = parts.next().unwrap_or_default().to_owned();
        let mut options = Vec::new();
        for part in parts {
            let (option, rest) = part.split_once(']').unwrap_or((part, ""));
            options.push(option);
            // What may be repeated has dots behind it.
            base.push_str(rest.trim_start_matches('…'));
        }
        (base, options)
    };
    let mut readings = vec![words(&base)];
    for index in 0..options.len() {
        readings.push(words(&format!("{base} {}", options[index])));
        readings.push(words(&format!("{base} {}", options[..=index].join(" "))));
    }
    readings
}

/// The lines of `archive` that stand in sentences, tables, and lines for cron.
fn mentioned(text: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            outside.push_str(line);
            outside.push(' ');
        } else if let Some((_, command)) = line.split_once("&& archive ") {
            lines.push(command.split(" >>").next().unwrap_or(command).to_owned());
        }
    }
    let spans = outside.split('`').skip(1).step_by(2);
    lines.extend(spans.filter_map(|span| Some(span.strip_prefix("archive ")?.to_owned())));
    lines
}

#[test]
fn every_command_that_is_mentioned_is_understood() {
    let mut mistakes = String::new();
    let mut count = 0;
    let cli = Cli::command();
    let parse = |words: &Vec<String>| understood(&words.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, text) in documents() {
        for line in mentioned(&text) {
            // A sentence may call a command by its name alone; what comes of it is not typed.
            if cli.find_subcommand(&line).is_some() || line == "help COMMAND" || line == "ended with $?" {
                continue;
            }
            count += 1;
            let line = line.replace(" N", " 1");
            // Dots at the end are the last option's value, or whatever else there is.
            let shorter = line.trim_end_matches(" …");
            let meant = if parse(&words(shorter)).is_ok() { shorter } else { &line };
            let mut results = readings(meant).iter().map(parse).collect::<Vec<_>>().into_iter();
            let base = results.next().unwrap_or(Ok(()));
            let options: Vec<_> = results.collect();
            // One way or the other: an option may need the one before it, or rule it out.
            let wrong = options.chunks(2).filter_map(|ways| ways.iter().cloned().reduce(Result::or)?.err());
            for error in base.err().into_iter().chain(wrong) {
                let _ = writeln!(mistakes, "{name}: {error}");
            }
        }
    }
    assert_eq!(mistakes, "");
    assert!(count > 60, "only {count} commands were found");
}
