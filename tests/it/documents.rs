//! What the documents say, held against the program: the queries, causes, exit codes, settings and commands of both READMEs, and
//! that every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use archive::cli::Cli;
use archive::exit_code::ExitCode;
use archive::ledger::Ledger;
use archive::window::Cause;
use clap::CommandFactory as _;
use rusqlite::Connection;

use crate::shown_commands::{blocks, documents};

const EXAMPLE: &str = include_str!("../../jobs.example.toml");
const OPERATING: &str = include_str!("../../docs/operating.md");

/// A README, and above which words its tables stand.
struct Readme {
    text: &'static str,
    commands: &'static str,
    settings: &'static str,
    codes: &'static str,
    causes: &'static str,
}

const READMES: [Readme; 2] = [
    Readme {
        text: include_str!("../../README.md"),
        commands: "\n## Commands\n",
        settings: "\n## Settings\n",
        codes: "\n## Exit codes\n",
        causes: "\nThe causes:\n",
    },
    Readme {
        text: include_str!("../../README.zh-CN.md"),
        commands: "\n## 命令\n",
        settings: "\n## 设置\n",
        codes: "\n## 退出码\n",
        causes: "\n缺口的原因：\n",
    },
];

impl Readme {
    /// The first cells of the table under a heading, in order.
    fn first_cells(&self, heading: &str) -> Vec<&'static str> {
        let (_, rest) = self.text.split_once(heading).unwrap_or_else(|| panic!("a README has no {heading:?}"));
        let table = rest.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
        table.map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
    }
}

/// What stands between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[tokio::test]
async fn every_query_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    drop(Ledger::open(&path).expect("a new ledger"));
    let ledger = Connection::open(&path).expect("SQLite opens it");
    let queries: Vec<String> = documents().values().flat_map(|text| blocks(text, "sql")).collect();
    assert!(queries.len() >= 9, "{queries:?}");
    for query in queries {
        let mut statement = ledger.prepare(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let rows = statement.query_map([], |_row| Ok(())).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(rows.collect::<Result<Vec<()>, _>>().is_ok(), "{query}");
    }
}

#[test]
fn they_explain_every_cause() {
    // What retention deleted is no gap.
    let gaps: BTreeSet<&str> =
        Cause::ALL.into_iter().filter(|&cause| cause != Cause::Pruned).map(Cause::as_str).collect();
    for readme in READMES {
        let explained: BTreeSet<&str> = readme.first_cells(readme.causes).into_iter().flat_map(quoted).collect();
        assert_eq!(explained, gaps);
    }
    // And what to do about it.
    let (_, advice) = OPERATING.split_once("\n## A gap\n").expect("it has that");
    let advised: BTreeSet<&str> =
        advice.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).take(gaps.len()).collect();
    assert_eq!(advised, gaps);
}

#[test]
fn they_list_every_exit_code_in_order() {
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
    for readme in READMES {
        assert_eq!(readme.first_cells(readme.codes), numbers);
    }
}

#[test]
fn their_settings_are_in_the_example() {
    let [rows, chinese] = READMES.map(|readme| readme.first_cells(readme.settings));
    // The last one is the file itself, in words.
    assert_eq!(rows[..rows.len() - 1], chinese[..chinese.len() - 1]);
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
fn they_list_every_command() {
    let cli = Cli::command();
    let commands: BTreeSet<&str> = cli.get_subcommands().map(|command| command.get_name()).collect();
    for readme in READMES {
        let cells = readme.first_cells(readme.commands).into_iter();
        let words = cells.filter_map(|cell| cell.strip_prefix("`archive ")?.split([' ', '`']).next());
        let listed: BTreeSet<&str> = words.filter(|word| !word.starts_with('-')).collect();
        assert_eq!(listed, commands);
    }
}

/// What is typed is the same in both languages, but for what a comment says.
#[test]
fn both_show_the_same() {
    let [english, chinese] = READMES.map(|readme| {
        let shown = ["sh", "sql", ""].map(|language| blocks(readme.text, language)).concat();
        let lines = shown.iter().flat_map(|block| block.lines());
        let typed = lines.map(|line| line.split("  #").next().unwrap_or(line).trim_end().to_owned());
        let sections =
            readme.text.lines().filter(|line| line.starts_with("##")).map(|line| line.split(' ').next().map(str::len));
        (typed.collect::<Vec<_>>(), sections.collect::<Vec<_>>())
    });
    assert_eq!(english, chinese);
    let [english, chinese] = READMES.map(|readme| readme.first_cells(readme.commands));
    assert_eq!(english, chinese);
}

/// The name by which a link finds a heading: what can be said in lower case, with a hyphen for each space.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = documents();
    let mut missing = Vec::new();
    let mut count = 0;
    for (name, text) in &documents {
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { PathBuf::from(name) } else { folder.join(file) };
            // "docs/../CHANGELOG.md" is a file, and no name of a document.
            let target = target.strip_prefix("docs/..").map(Path::to_owned).unwrap_or(target);
            let found = match documents.get(&target.display().to_string()) {
                Some(text) if !heading.is_empty() => {
                    let mut headings =
                        text.lines().filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
                    headings.any(|line| anchor(line) == heading)
                }
                _ => heading.is_empty() && root.join(&target).exists(),
            };
            if !found {
                missing.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 40, "only {count} links were found");
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
