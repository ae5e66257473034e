//! The units for systemd, judged by systemd itself.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure that a unit may have at most, in tenths, of 100.
const MOST_EXPOSED: &str = "20";

fn units() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let entries = std::fs::read_dir(folder).expect("the units are there");
    entries.map(|entry| entry.expect("the folder can be read").path()).collect()
}

fn judge(arguments: &[&str], unit: &Path) {
    let mut judged = Command::new("systemd-analyze");
    judged.args(arguments).arg(unit);
    // Units that a timer names are beside it.
    judged.env("SYSTEMD_UNIT_PATH", format!("{}:", unit.parent().expect("a folder").display()));
    let output = judged.output().expect("systemd-analyze is there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", unit.display());
    assert!(arguments[0] != "verify" || said.is_empty(), "{}: {said}", unit.display());
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_nothing_wrong_with_any_unit_and_little_exposed() {
    let folder = tempfile::tempdir().expect("a folder");
    let units = units();
    assert!(units.len() >= 7, "{units:?}");
    for unit in &units {
        let text = std::fs::read_to_string(unit).expect("a unit is text");
        // Where the program is here.
        let text = text.replace("/usr/bin/archive", env!("CARGO_BIN_EXE_archive"));
        std::fs::write(folder.path().join(unit.file_name().expect("a name")), text).expect("it can be written");
    }
    // With what one of many hosts has besides.
    let besides = folder.path().join("archive.service.d");
    std::fs::create_dir(&besides).expect("a folder");
    let drop_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/many-hosts.conf");
    std::fs::copy(drop_in, besides.join("many-hosts.conf")).expect("it can be copied");
    for unit in &units {
        let unit = folder.path().join(unit.file_name().expect("a name"));
        judge(&["verify", "--man=no"], &unit);
        if unit.extension().is_some_and(|extension| extension == "service") {
            judge(&["security", "--no-pager", "--offline=true", "--threshold", MOST_EXPOSED], &unit);
        }
    }
}

/// Every unit calls the program with arguments that it takes.
#[test]
fn the_units_call_commands_that_there_are() {
    use clap::Parser as _;

    let mut called = 0;
    for unit in units() {
        let text = std::fs::read_to_string(&unit).expect("a unit is text");
        for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let parsed = archive::cli::Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok_and(|cli| cli.command.is_some()), "{}: {line}", unit.display());
            called += 1;
        }
    }
    assert_eq!(called, 4);
}
