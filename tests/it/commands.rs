//! The program as a person calls it: exit codes, output, what it refuses, and what it never shows.

use std::process::Command;

use archive::sim::config::{Hidden, LoginConfig};
use archive::sim::{Config, Speed};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, SECRET, code, ended, expect_code, fleet, range, send, stderr, stdout, until, yesterday};

async fn run(command: Command) -> std::process::Output {
    let mut command = command;
    ended(command.spawn().expect("the program starts")).await
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

#[test]
fn the_rehearsal_ends_with_one_gap_and_exit_code_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
    command.args(["rehearse", "--root"]).arg(folder.path().join("rehearsal")).env_clear();
    let output = expect_code(command, 3);
    let said = stdout(&output);
    for expected in
        ["no footage", "1 gap, 20 min in all", "17 h 40 min of 18 h archived", "ledger.db", "jobs.example.toml"]
    {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_settings_are_exit_code_2_and_say_what_to_do() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    for (arguments, expected) in [
        (&["--device", "1"][..], "which time?"),
        (&["--last", "1h"], "which cameras?"),
        (&["--device", "one", "--last", "1h"], "one"),
        (&["--device", "1", "--from", "yesterday noon"], "is not a time"),
        (&["--device", "1", "--from", "2026-11-20 10:00", "--to", "2026-11-20 09:00"], "ends"),
        (&["--device", "1", "--to", "now"], "--to needs --from"),
        (&["--device", "1", "--last", "1h", "--date", "today"], "cannot be used with"),
        (&["run", "no-such-file.toml"], "no-such-file.toml"),
        (&["simulate", "--speed", "warp"], "speed"),
        (&["fly"], "fly"),
    ] {
        let output = run(place.archive(arguments)).await;
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    assert!(!place.root().exists(), "a mistake in the line touches nothing");
    assert!(place.platform.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_in_a_file_is_reported_together() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let file = place.path().join("jobs.toml");
    let text =
        "[archive]\nstreems = 4\ntolerance = \"soon\"\n[[job]]\nname = \"a\"\ndevices = \"x\"\nrange = \"never\"\n";
    std::fs::write(&file, text).expect("a file can be written");
    let output = run(place.archive(&["run", "jobs.toml"])).await;
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    for line in ["jobs.toml:2", "jobs.toml:3", "jobs.toml:6", "jobs.toml:7"] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_calls_nobody() {
    let place = Place::new(fleet(&[(1, &[1, 2])])).await;
    let (from, to) = (yesterday().to_string(), (yesterday() + 7200).to_string());
    let selection = ["--device", "1-2", "--from", &from, "--to", &to];
    let dry = run(place.archive(&[&selection[..], &["--dry-run", "--json"]].concat())).await;
    let planned = run(place.archive(&[&["plan"], &selection[..], &["--json"]].concat())).await;
    assert_eq!((code(&dry), code(&planned)), (0, 0), "{}{}", stderr(&dry), stderr(&planned));
    // The clock and the disk go on meanwhile.
    let lasting = |output| {
        let mut report = json(output);
        for passing in ["now", "disk"] {
            report.as_object_mut().expect("a report").remove(passing);
        }
        report
    };
    assert_eq!(lasting(&dry), lasting(&planned));
    assert_eq!((&json(&dry)["windows"], &json(&dry)["seconds"]), (&Value::from(24), &Value::from(14_400)));
    assert!(!place.root().exists() && place.platform.calls().is_empty());

    assert_eq!(code(&run(place.fetch("1", range(yesterday(), 3600))).await), 0);
    let after = json(&run(place.archive(&[&["plan"], &selection[..], &["--json"]].concat())).await);
    assert_eq!(after["windows"], Value::from(18));
    assert!(after["forecast"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{after}");
    let text = stdout(&run(place.archive(&[&["plan"], &selection[..]].concat())).await);
    assert!(text.contains("18 windows, 3 h") && text.contains("25.00 % archived already"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_file_run_all_or_by_name() {
    let place = Place::new(fleet(&[(2, &[1, 2])])).await;
    let (from, to) = (yesterday().to_string(), (yesterday() + 1200).to_string());
    let job = |name: &str, devices: u32| {
        format!("[[job]]\nname = \"{name}\"\ndevices = \"{devices}\"\nfrom = \"{from}\"\nto = \"{to}\"\n")
    };
    let text = format!("[archive]\nmin_free = \"1 MiB\"\n{}{}", job("first", 1), job("second", 2));
    std::fs::write(place.path().join("jobs.toml"), text).expect("a file can be written");
    assert_eq!(code(&run(place.archive(&["run", "jobs.toml", "--job", "second"])).await), 0);
    assert_eq!((place.archived(1).await.seconds(), place.archived(2).await.seconds()), (0, 1200));
    let unknown = run(place.archive(&["run", "jobs.toml", "--job", "third"])).await;
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("first, second"));
    let output = run(place.archive(&["run", "jobs.toml", "--json"])).await;
    assert_eq!(code(&output), 0);
    assert_eq!(json(&output)["archived_seconds"], Value::from(2400));
    assert_eq!(place.archived(1).await.seconds(), 1200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_on_the_same_ledger_is_refused_and_names_the_first() {
    let place = Place::new(Config { speed: Speed::Times(60.0), ..fleet(&[(1, &[1])]) }).await;
    let first = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
    until("the first run streams", || !place.platform.media().is_empty()).await;
    let second = run(place.fetch("1", range(yesterday(), 600))).await;
    assert_eq!(code(&second), 6, "{}", stderr(&second));
    assert!(stderr(&second).contains(&first.id().to_string()), "{}", stderr(&second));
    // Questions are answered meanwhile.
    assert_eq!(code(&run(place.archive(&["gaps"])).await), 0);
    assert_eq!(code(&run(place.archive(&["status"])).await), 0);
    send(&first, Signal::INT);
    assert_eq!(code(&ended(first).await), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_below_min_free_is_exit_code_7_and_everything_stays_planned() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let settings = place.path().join("full.toml");
    std::fs::write(&settings, "[archive]\nmin_free = \"4000 TiB\"\n").expect("a file can be written");
    let mut command = place.fetch("1", range(yesterday(), 600));
    command.env("ARCHIVE_CONFIG", &settings);
    let output = run(command).await;
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    assert!(stdout(&output).contains("min_free"), "{}", stdout(&output));
    assert!(place.platform.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_by_command_and_by_sql_agree() {
    let mut config = fleet(&[(2, &[1, 2, 3]), (1, &[4])]);
    config.stores[0].nvrs[0].cameras[1].refused = true;
    config.stores[0].nvrs[1].offline = vec![Default::default()];
    let place = Place::with_settings(config, "busy_attempts = 5\n").await;
    assert_eq!(code(&run(place.fetch("1-4", range(yesterday() + 30, 3000))).await), 3);
    let by_command = json(&run(place.archive(&["gaps", "--json"])).await);
    let by_command: Vec<String> = by_command
        .as_array()
        .expect("a list of gaps")
        .iter()
        .map(|gap| {
            let names =
                ["device", "from_utc", "to_utc", "from_local", "to_local", "seconds", "cause", "attempts", "last_code"];
            names.map(|name| text(&gap[name])).join("|")
        })
        .collect();
    let by_sql = place.stores.ask("select * from gaps");
    let by_sql: Vec<String> =
        by_sql.lines().map(|line| line.split('|').take(9).collect::<Vec<_>>().join("|")).collect();
    assert_eq!(by_command, by_sql);
    assert_eq!(by_sql.len(), 2, "{by_sql:?}");
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// The secret, the password and the token, at the highest verbosity: in no output, no file, no process list.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_ever_shown_or_stored() {
    const PASSWORD: &str = "a-password-to-look-for";
    let login =
        LoginConfig { user: "night".into(), password: Hidden::new(PASSWORD), token_life: "1h".parse().unwrap() };
    let config = Config { login: Some(login), speed: Speed::Times(300.0), ..fleet(&[(2, &[1, 2])]) };
    let place = Place::new(config).await;
    let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
    let login = "[platform.login]\nkind = \"mobile\"\nuser = \"night\"\n";
    std::fs::write(place.path().join("settings.toml"), format!("{settings}{login}")).expect("a file can be written");

    let mut command = place.fetch("1-2", range(yesterday(), 1200));
    command.arg("-vv").env("ARCHIVE_PASSWORD", PASSWORD);
    let child = command.spawn().expect("the program starts");
    until("a stream is open", || !place.platform.media().is_empty()).await;
    let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).expect("the process is there");
    let output = ended(child).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("startRecReqDown"), "at this verbosity calls are logged");

    let mut places: Vec<(String, Vec<u8>)> =
        vec![("the command line".into(), line), ("stdout".into(), output.stdout), ("stderr".into(), output.stderr)];
    for name in ["ledger.db", "ledger.db-wal"] {
        if let Ok(bytes) = std::fs::read(place.root().join(name)) {
            places.push((name.into(), bytes));
        }
    }
    for name in place.files().into_keys() {
        let bytes = place.stores.read(&name).expect("a file can be read");
        places.push((name, bytes));
    }
    for (name, bytes) in &places {
        for secret in [SECRET, PASSWORD] {
            assert!(!contains(bytes, secret.as_bytes()), "{secret:?} is in {name}");
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_never_touches_what_is_there() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    assert_eq!(code(&run(place.fetch("1", range(yesterday(), 600))).await), 0);
    let files = place.files();
    let output = run(place.archive(&["rehearse", "--root", "recordings"])).await;
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("not empty"), "{}", stderr(&output));
    assert_eq!(place.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_says_whether_anything_was_asked_for() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let early = run(place.archive(&["gaps"])).await;
    assert_eq!(code(&early), 1);
    assert!(stderr(&early).contains("there is no ledger at"), "{}", stderr(&early));
    assert_eq!(code(&run(place.fetch("1", range(yesterday(), 600))).await), 0);
    let answers =
        [(&["gaps"][..], "no gaps: all that was asked for, 10 min"), (&["gaps", "--device", "9"], "nothing was ever")];
    for (question, answer) in answers {
        let output = run(place.archive(question)).await;
        assert!(stdout(&output).contains(answer), "{question:?}: {}", stdout(&output));
    }
}

/// A one-off without the settings file reads times where the device is, and does not relabel what is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_devices_zone_is_remembered() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let mut first = place.fetch("1", range(yesterday(), 600));
    first.args(["--time-zone", "Europe/Berlin"]);
    assert_eq!(code(&run(first).await), 0);
    assert_eq!(code(&run(place.fetch("1", range(yesterday() + 600, 600))).await), 0);
    let names: Vec<String> = place.recordings(&[1]).await.into_iter().map(|row| row.path).collect();
    assert!(names.iter().all(|name| name.contains("+0100") || name.contains("+0200")), "{names:?}");
}

/// The first run of a newer version brings the ledger up to date; a question alone changes nothing, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_is_brought_up_to_date_by_a_run() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    assert_eq!(code(&run(place.fetch("1", range(yesterday(), 600))).await), 0);
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    ledger
        .execute_batch(
            "DROP VIEW coverage;
             CREATE VIEW coverage AS SELECT 1;
             DROP INDEX pruned;
             DROP VIEW verify_rounds;
             DROP TABLE verify_round;
             DROP TABLE leaving;
             DROP VIEW attempt_days;
             DROP VIEW attempts;
             DROP VIEW recordings;
             DROP TABLE attempt_day;
             CREATE TABLE wide AS
                 SELECT a.attempt, a.run, a.device, a.start, a.end, a.started, a.milliseconds, a.bytes, o.word AS outcome,
                     o.code, a.detail
                 FROM attempt AS a JOIN outcome AS o ON o.outcome = a.outcome;
             DROP TABLE attempt;
             ALTER TABLE wide RENAME TO attempt;
             DROP TABLE outcome;
             CREATE TABLE wide AS
                 SELECT device, start, end, folder, name, bytes, blake3, format, media_milliseconds, first_timestamp,
                     source, clock_offset, archived_at, note
                 FROM recording;
             DROP TABLE recording;
             ALTER TABLE wide RENAME TO recording;
             CREATE VIEW attempts AS SELECT * FROM attempt;
             CREATE VIEW recordings AS SELECT * FROM recording;
             DROP TABLE publishing;
             DROP TABLE uncatalogued;
             DROP TABLE catalog;
             DROP TABLE archive_mark;
             DROP INDEX being_recorded;
             DROP INDEX narrow_missing;
             ALTER TABLE run DROP COLUMN notes_publishing;
             ALTER TABLE nvr_limit DROP COLUMN left_alone;
             DELETE FROM refinery_schema_history WHERE version >= 8;",
        )
        .expect("the last steps can be undone");
    drop(ledger);
    assert_eq!(code(&run(place.archive(&["gaps"])).await), 1);
    let output = run(place.fetch("1", range(yesterday() + 600, 600))).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(place.archived(1).await.seconds(), 1200);
}

/// Two ledgers over one folder: the second run must not sweep what the first one streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_run_at_a_time_whatever_the_ledger() {
    let place = Place::new(Config { speed: Speed::Times(60.0), ..fleet(&[(1, &[1])]) }).await;
    let first = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
    until("the first run streams", || !place.platform.media().is_empty()).await;
    let mut second = place.fetch("1", range(yesterday(), 600));
    second.args(["--ledger", "other.db"]);
    let output = run(second).await;
    assert_eq!(code(&output), 6, "{}", stderr(&output));
    send(&first, Signal::INT);
    assert_eq!(code(&ended(first).await), 5);
}

/// A clock that differs is found out at the login as well, and eight cameras that begin at once log in once.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_survives_a_clock_that_differs_and_happens_once() {
    let login = LoginConfig { user: "night".into(), password: Hidden::new("pw"), token_life: "1h".parse().unwrap() };
    let ahead = "3h".parse().expect("a length");
    let cameras: Vec<i64> = (1..=8).collect();
    let place = Place::new(Config { login: Some(login), clock_ahead: ahead, ..fleet(&[(8, &cameras)]) }).await;
    let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
    std::fs::write(place.path().join("settings.toml"), format!("{settings}[platform.login]\nuser = \"night\"\n"))
        .expect("a file can be written");
    let mut command = place.fetch("1-8", range(yesterday(), 600));
    command.env("ARCHIVE_PASSWORD", "pw");
    let output = run(command).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let logins: Vec<_> = place
        .platform
        .calls()
        .iter()
        .filter(|call| call.method.ends_with("mobileLogin"))
        .map(|call| call.stat)
        .collect();
    assert_eq!(logins, [Some(16), Some(0)]);
}

/// A user token that the platform forgets is renewed once, without losing a window.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_made_once_and_renewed_when_its_token_is_refused() {
    let login = LoginConfig { user: "night".into(), password: Hidden::new("pw"), token_life: "1h".parse().unwrap() };
    let place = Place::new(Config { login: Some(login), ..fleet(&[(1, &[1])]) }).await;
    let with_login = |range| {
        let mut command = place.fetch("1", range);
        let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
        let file = place.path().join("login.toml");
        std::fs::write(&file, format!("{settings}[platform.login]\nuser = \"night\"\n"))
            .expect("a file can be written");
        command.env("ARCHIVE_CONFIG", file).env("ARCHIVE_PASSWORD", "pw");
        command
    };
    place.platform.script(crate::support::device(1), [archive::sim::Scripted::Stat(9_990_001)]);
    assert_eq!(code(&run(with_login(range(yesterday(), 1200))).await), 0);
    // The second login comes within the same second, which the platform answers with -100 first.
    let calls = place.platform.calls();
    let logins = calls.iter().filter(|call| call.method.ends_with("mobileLogin") && call.stat == Some(0)).count();
    assert_eq!(logins, 2, "at the start, and after the refusal");
    // Without a login the same platform refuses the account, and says what to set.
    let output = run(place.fetch("1", range(yesterday() - 600, 600))).await;
    assert_eq!(code(&output), 4);
    assert!(stdout(&output).contains("[platform.login]"), "{}", stdout(&output));
}
