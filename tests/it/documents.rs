//! What the README says, held against the program: its queries, causes, exit codes, settings and commands.

use std::collections::BTreeSet;

use archive::cli::Cli;
use archive::exit_code::ExitCode;
use archive::ledger::Ledger;
use archive::window::Cause;
use clap::CommandFactory as _;
use rusqlite::Connection;

const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../jobs.example.toml");

/// The blocks of the README in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    README.split(&opening).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

/// The first cells of the table under a heading, in order.
fn first_cells(heading: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(heading).unwrap_or_else(|| panic!("the README has no {heading:?}"));
    let table = rest.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
}

/// What stands between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[tokio::test]
async fn its_queries_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    drop(Ledger::open(&path).expect("a new ledger"));
    let ledger = Connection::open(&path).expect("SQLite opens it");
    let queries = blocks("sql");
    assert_eq!(queries.len(), 3);
    for query in queries {
        let mut statement = ledger.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let rows = statement.query_map([], |_row| Ok(())).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(rows.collect::<Result<Vec<()>, _>>().is_ok(), "{query}");
    }
}

#[test]
fn it_explains_every_cause() {
    let explained: BTreeSet<&str> = first_cells("The causes:").into_iter().flat_map(quoted).collect();
    // What retention deleted is no gap.
    let gaps = Cause::ALL.into_iter().filter(|&cause| cause != Cause::Pruned);
    assert_eq!(explained, gaps.map(Cause::as_str).collect());
}

#[test]
fn it_lists_every_exit_code_in_order() {
    let codes = [
        ExitCode::Complete,
        ExitCode::Failure,
        ExitCode::Usage,
        ExitCode::Gaps,
        ExitCode::AccountRefused,
        ExitCode::Stopped,
        ExitCode::Held,
        ExitCode::DiskFull,
    ];
    let numbers: Vec<String> = codes.into_iter().map(|code| (code as u8).to_string()).collect();
    assert_eq!(first_cells("## Exit codes"), numbers);
}

#[test]
fn its_settings_are_in_the_example() {
    let rows = first_cells("## Settings");
    let settings = rows.iter().filter_map(|cell| cell.strip_prefix("`[")?.split_once("] "));
    let mut checked = 0;
    for (section, names) in settings {
        let (_, rest) = EXAMPLE.split_once(&format!("\n[{section}]\n")).unwrap_or_else(|| panic!("no [{section}]"));
        let section_text = rest.split("\n[").next().unwrap_or(rest);
        let written = |name: &str| section_text.contains(&format!("{name} = "));
        for name in names.split([',', '`', ' ']).filter(|name| !name.is_empty()) {
            assert!(written(name), "jobs.example.toml has no {name} in [{section}]");
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} settings were found in the README's table");
}

#[test]
fn it_lists_every_command() {
    let listed: BTreeSet<&str> = first_cells("## Commands")
        .into_iter()
        .filter_map(|cell| cell.strip_prefix("`archive ")?.split([' ', '`']).next())
        .filter(|word| !word.starts_with('-'))
        .collect();
    let cli = Cli::command();
    assert_eq!(listed, cli.get_subcommands().map(|command| command.get_name()).collect());
}

/// Steps at which the program can be killed are for tests alone: a build that is not theirs has none of them.
#[test]
fn only_tests_have_failpoints() {
    let features = |edges: &str| {
        let mut tree = std::process::Command::new(env!("CARGO"));
        tree.args(["tree", "--offline", "--locked", "--depth", "0", "--format", "{p} {f}", "--edges", edges]);
        let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (built, tested) = (features("no-dev"), features("all"));
    assert!(built.starts_with("archive ") && !built.contains("failpoints"), "{built:?}");
    assert!(tested.contains("failpoints"), "{tested:?}");
}
