//! `archive check`: what is in the way of a first night is told with what to do about it, and nothing is changed.

use std::process::{Command, Output};

use archive::platform::wire::method;
use archive::sim::Config;
use serde_json::Value;

use crate::support::{Place, code, ended, expect_code, fleet, range, stderr, stdout, yesterday};

const JOB: &str = "[[job]]\nname = \"nightly\"\ndevices = \"5,6\"\nrange = \"yesterday\"\n";

async fn place(config: Config) -> Place {
    Place::with_settings(config, JOB).await
}

async fn run(mut command: Command) -> Output {
    ended(command.spawn().expect("the program starts")).await
}

/// The findings, and the exit code.
async fn check(command: Command) -> (Vec<Value>, i32) {
    let output = run(command).await;
    let findings = serde_json::from_slice(&output.stdout);
    (findings.unwrap_or_else(|error| panic!("{error}: {}\n{}", stdout(&output), stderr(&output))), code(&output))
}

/// The verdict on a part; nothing when it was not looked at.
fn verdict<'a>(findings: &'a [Value], part: &str) -> &'a str {
    let found = findings.iter().find(|finding| finding["part"] == part);
    found.and_then(|finding| finding["verdict"].as_str()).unwrap_or("nothing")
}

fn text(findings: &[Value], part: &str) -> String {
    let found = findings.iter().find(|finding| finding["part"] == part).unwrap_or(&Value::Null);
    format!("{}\n{}", found["found"].as_str().unwrap_or(""), found["fix"].as_str().unwrap_or(""))
}

const PARTS: [&str; 11] =
    ["settings", "secret", "cameras", "ledger", "root", "disk", "files", "gateway", "clock", "account", "device"];

#[tokio::test(flavor = "multi_thread")]
async fn before_a_first_night_all_is_looked_at_and_nothing_is_made() {
    let place = place(fleet(&[(4, &[5, 6])])).await;
    let (findings, code) = check(place.archive(&["check", "settings.toml", "--json"])).await;
    assert_eq!(code, 0, "{findings:#?}");
    assert_eq!(findings.iter().map(|finding| &finding["part"]).collect::<Vec<_>>(), PARTS);
    for part in PARTS {
        // Nobody has asked for the list yet.
        let expected = if part == "cameras" { "warn" } else { "pass" };
        assert_eq!(verdict(&findings, part), expected, "{part}: {findings:#?}");
    }
    assert!(text(&findings, "device").contains("device 5 gave FLV H264"), "{findings:#?}");
    assert!(!place.root().exists(), "no archive was made");
    let calls = place.platform.calls();
    assert_eq!(calls.iter().filter(|call| call.method == method::START_DOWNLOAD).count(), 1);

    let output = run(place.archive(&["check", "settings.toml", "--no-device"])).await;
    let shown = stdout(&output);
    assert!(shown.contains("✓ ok   gateway") && shown.contains("! warn cameras"), "{shown}");
    assert!(shown.ends_with("ready; 1 thing to look at\n"), "{shown}");
    let calls = place.platform.calls();
    assert_eq!(calls.iter().filter(|call| call.method == method::START_DOWNLOAD).count(), 1, "no camera was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_an_archive_the_ledger_stays_as_it_is() {
    let place = place(fleet(&[(4, &[5, 6])])).await;
    let fetch = place.fetch("5", range(yesterday(), 600));
    assert_eq!(code(&run(fetch).await), 0);
    let before = (place.files(), std::fs::read(place.ledger_path()).expect("a ledger"));
    let (findings, code) = check(place.archive(&["check", "--device", "6", "--json"])).await;
    assert_eq!(code, 0, "{findings:#?}");
    assert!(text(&findings, "ledger").contains("is whole"), "{findings:#?}");
    assert!(text(&findings, "root").contains("the ledger knows"), "{findings:#?}");
    assert!(text(&findings, "device").contains("device 6 gave"), "{findings:#?}");
    assert_eq!((place.files(), std::fs::read(place.ledger_path()).expect("a ledger")), before);

    // Another disk is mounted where the archive was.
    std::fs::rename(place.root(), place.path().join("away")).expect("it can be moved");
    std::fs::create_dir(place.root()).expect("a folder");
    let away = place.path().join("away/ledger.db").display().to_string();
    let (findings, code) = check(place.archive(&["check", "--ledger", &away, "--no-device", "--json"])).await;
    assert_eq!((code, verdict(&findings, "root")), (1, "fail"), "{findings:#?}");
    assert_eq!(std::fs::read_dir(place.root()).expect("a folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_ends_with_a_code_of_its_own() {
    let place = place(fleet(&[(4, &[5, 6])])).await;
    let mut wrong_secret = place.archive(&["check", "--json"]);
    wrong_secret.env("ARCHIVE_SECRET", "another");
    let (findings, code) = check(wrong_secret).await;
    assert_eq!((code, verdict(&findings, "account"), verdict(&findings, "gateway")), (4, "fail", "pass"));
    assert!(text(&findings, "account").contains("check the secret"), "{findings:#?}");

    let mut no_secret = place.archive(&["check", "--json"]);
    no_secret.env_remove("ARCHIVE_SECRET");
    let (findings, code) = check(no_secret).await;
    assert_eq!((code, verdict(&findings, "secret"), verdict(&findings, "disk")), (2, "fail", "pass"));
    assert_eq!(verdict(&findings, "gateway"), "nothing", "it cannot be asked");

    let (findings, code) = check(place.archive(&["check", "--streams", "many", "--json"])).await;
    assert_eq!((code, findings.len(), verdict(&findings, "settings")), (2, 1, "fail"));

    let (findings, code) = check(place.archive(&["check", "--device", "77", "--json"])).await;
    assert_eq!((code, verdict(&findings, "device"), verdict(&findings, "account")), (1, "fail", "pass"));

    let mut nobody = place.archive(&["check", "--json"]);
    nobody.env("ARCHIVE_URL", "http://127.0.0.1:1/m.api");
    let (findings, code) = check(nobody).await;
    assert_eq!((code, verdict(&findings, "gateway"), verdict(&findings, "account")), (1, "fail", "nothing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_read_in_another_zone_is_told_from_a_clock_that_is_wrong() {
    let place = Place::with_settings(fleet(&[(4, &[5])]), "").await;
    let file = place.path().join("zone.toml");
    std::fs::write(&file, "[platform]\ntimestamp_zone = \"America/New_York\"\n").expect("a file can be written");
    let (findings, code) = check(place.archive(&["check", "zone.toml", "--device", "5", "--json"])).await;
    assert_eq!((code, verdict(&findings, "clock")), (4, "fail"), "{findings:#?}");
    assert!(text(&findings, "clock").contains("timestamp_zone"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_none_and_a_disk_that_is_full_are_told() {
    let place = place(fleet(&[(4, &[5, 6])])).await;
    std::fs::create_dir(place.root()).expect("a folder");
    std::fs::write(place.ledger_path(), "no ledger at all, and long enough to be taken for one")
        .expect("it is written");
    std::fs::write(place.path().join("full.toml"), "[archive]\nmin_free = \"9000 TiB\"\n").expect("it is written");
    let command = place.archive(&["check", "full.toml", "--no-device"]);
    let output = tokio::task::spawn_blocking(|| expect_code(command, 1)).await.expect("it ends");
    let shown = stdout(&output);
    assert!(shown.contains("✗ FAIL ledger") && shown.contains("✗ FAIL disk"), "{shown}");
    assert!(shown.ends_with("not ready: 2 things in the way of a run\n"), "{shown}");
}
