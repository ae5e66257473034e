//! What is run for recordings and at the end, and the metrics that are written: by the real program.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Place, SECRET, code, ended, fleet, range, stderr, stdout, yesterday};

/// A file's job for an hour of yesterday of one camera, with more sections.
async fn place(more: &str) -> Place {
    let asked = range(yesterday(), 3600);
    let (from, to) = (asked.start(), asked.end());
    let job = format!("[[job]]\nname = \"night\"\ndevices = \"1\"\nfrom = \"{from}\"\nto = \"{to}\"\n");
    Place::with_settings(fleet(&[(4, &[1, 2])]), &format!("{job}{more}")).await
}

async fn finished(mut command: Command) -> Output {
    let output = ended(command.spawn().expect("the program starts")).await;
    assert_eq!(code(&output), 0, "{}\n{}", stdout(&output), stderr(&output));
    output
}

fn command(section: &str, script: &str) -> String {
    format!("[{section}]\ncommand = [\"sh\", \"-c\", '''{script}''']\n")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recording_is_copied_elsewhere_and_the_end_is_told_with_its_facts() {
    let copy = r#"mkdir -p "copy/${ARCHIVE_NAME%/*}" && cp "$ARCHIVE_PATH" "copy/$ARCHIVE_NAME"
                  echo "$ARCHIVE_DEVICE $ARCHIVE_BYTES $ARCHIVE_BLAKE3" >"copy/$ARCHIVE_NAME.facts"
                  env >"copy/$ARCHIVE_NAME.env""#;
    let finish = r#"env >finished.env; echo "$ARCHIVE_SUMMARY" >finished.txt"#;
    let place = place(&format!("{}{}", command("on_recording", copy), command("on_finish", finish))).await;
    let mut run = place.archive(&["run", "settings.toml"]);
    // What opens a ledger on a server and an object store, whether or not there is one.
    run.envs(
        ["PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]
            .map(|name| (name, "hush")),
    );
    let output = finished(run).await;
    let recordings = place.recordings(&[1]).await;
    assert_eq!(recordings.len(), 6);
    for recording in &recordings {
        let copied = place.path().join("copy").join(&recording.path);
        let bytes = std::fs::read(&copied).expect("it was copied");
        assert_eq!(blake3::hash(&bytes).as_bytes(), &recording.blake3.0);
        let facts = read(&copied.with_extension("flv.facts"));
        assert_eq!(facts, format!("1 {} {}\n", recording.bytes, recording.blake3));
        let environment = read(&copied.with_extension("flv.env"));
        let from = format!("ARCHIVE_FROM={}\n", recording.range.start());
        assert!(environment.contains(&from), "{environment}");
        assert!(!environment.contains(SECRET) && !environment.contains("hush"), "{environment}");
    }
    let environment = read(&place.path().join("finished.env"));
    for fact in [
        "ARCHIVE_WHAT=run night\n",
        "ARCHIVE_EXIT=0\n",
        "ARCHIVE_OUTCOME=complete\n",
        "ARCHIVE_RECORDINGS=6\n",
        "ARCHIVE_MISSING_SECONDS=0\n",
        "ARCHIVE_ON_RECORDING_DONE=6\n",
        "ARCHIVE_ON_RECORDING_PASSED_OVER=0\n",
    ] {
        assert!(environment.contains(fact), "no {fact} in {environment}");
    }
    for secret in [SECRET, "ARCHIVE_AKEY", "hush"] {
        assert!(!environment.contains(secret), "{environment}");
    }
    assert_eq!(read(&place.path().join("finished.txt")).trim_end(), stdout(&output).trim_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_or_hangs_changes_nothing_and_is_told_with_its_last_words() {
    let copy = "echo no space at the other end >&2; exit 9";
    let finish = "echo waiting for the other end >&2; exec sleep 60";
    let sections = format!("{}{}time_limit = \"300ms\"\n", command("on_recording", copy), command("on_finish", finish));
    let place = place(&sections).await;
    let output = finished(place.archive(&["run", "settings.toml"])).await;
    let said = stderr(&output);
    assert_eq!(said.matches("exit status: 9; it said: no space at the other end").count(), 6, "{said}");
    assert!(said.contains("on_recording failed for 6 recordings"), "{said}");
    assert!(said.contains("on_finish: \"sh\" took longer than 0.3 s and was killed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_by_hand_is_copied_too_and_a_rehearsal_is_not() {
    let sections = format!(
        "{}{}",
        command("on_recording", "echo $ARCHIVE_NAME >>copied.txt"),
        "[[ping]]\nurl = \"http://127.0.0.1:1/x\"\n"
    );
    let place = place(&sections).await;
    let fetched = finished(place.fetch("2", range(yesterday(), 600))).await;
    assert_eq!(read(&place.path().join("copied.txt")).lines().count(), 1);
    assert!(!stderr(&fetched).contains("ping"), "{}", stderr(&fetched));
    let rehearsed = finished(place.archive(&["rehearse", "settings.toml", "--root", "rehearsed"])).await;
    assert_eq!(read(&place.path().join("copied.txt")).lines().count(), 1);
    assert!(!stderr(&rehearsed).contains("ping"), "{}", stderr(&rehearsed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_behind_is_copied_when_it_is_adopted() {
    let place = place(&command("on_recording", "echo $ARCHIVE_NAME >>copied.txt")).await;
    let mut killed = place.archive(&["run", "settings.toml"]);
    killed.env("ARCHIVE_FAILPOINTS", "renamed:2=kill");
    assert!(!ended(killed.spawn().expect("the program starts")).await.status.success());
    std::fs::remove_file(place.path().join("copied.txt")).unwrap_or_default();
    let before = place.recordings(&[1]).await;
    let output = finished(place.archive(&["run", "settings.toml"])).await;
    assert!(stderr(&output).contains("adopted"), "{}", stderr(&output));
    let mut copied: Vec<String> = read(&place.path().join("copied.txt")).lines().map(str::to_owned).collect();
    copied.sort();
    let is_new = |path: &String| before.iter().all(|recording| recording.path != *path);
    let all = place.recordings(&[1]).await.into_iter().map(|recording| recording.path);
    assert_eq!(copied, all.filter(is_new).collect::<Vec<_>>());
}

async fn metrics() -> String {
    // Appended, as all else is, to the last section; a table of the file may be written in parts.
    let place = place("[[nvr]]\nname = 'a \"cellar\" \\ b'\ndevices = \"1\"\n").await;
    let settings = place.path().join("settings.toml");
    let with_file = read(&settings).replace("[archive]\n", "[archive]\nmetrics_file = \"archive.prom\"\n");
    std::fs::write(&settings, with_file).expect("written");
    finished(place.archive(&["run", "settings.toml"])).await;
    finished(place.fetch("2", range(yesterday(), 600))).await;
    let first = read(&place.path().join("archive.prom"));
    assert!(first.contains("archive_asked_seconds 3600\n"), "a one-off wrote it: {first}");
    finished(place.archive(&["run", "settings.toml"])).await;
    read(&place.path().join("archive.prom"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_say_how_the_whole_archive_stands() {
    let metrics = metrics().await;
    for line in [
        "archive_asked_seconds 4200",
        "archive_archived_seconds 4200",
        "archive_coverage_ratio 1",
        "archive_missing_seconds{cause=\"nvr offline\"} 0",
        "archive_nvr_calls_total{nvr=\"a \\\"cellar\\\" \\\\ b\"} 6",
        "archive_last_run_exit_code{source=\"nvr\"} 0",
        "archive_last_run_bytes{source=\"nvr\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
    assert!(metrics.contains("\narchive_last_success_timestamp_seconds{source=\"nvr\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool, of Debian's package prometheus"]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    use std::io::Write as _;
    let metrics = metrics().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool is needed: {error}"));
    promtool.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("it reads");
    let checked = promtool.wait_with_output().expect("it ends");
    let said = stdout(&checked) + &stderr(&checked);
    assert!(checked.status.success() && said.trim().is_empty(), "{said}\n{metrics}");
}
