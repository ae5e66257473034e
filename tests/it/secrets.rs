//! Secret, password and token: sent where they must be, and found nowhere else.

use std::path::Path;
use std::process::Output;

use archive::platform::wire::{Login, method};
use archive::sim::config::{Hidden, LoginConfig};
use archive::sim::{Config, Scripted};
use serde_json::json;

use crate::sim_server::Caller;
use crate::support::{Place, SECRET, code, ended, fleet, range, stderr, stdout, yesterday};

const USER: &str = "night";
const PASSWORD: &str = "watch-and-ward-7";

/// Every file below a folder, the program's own apart.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Runs the program with its password, and looks at what others see of it meanwhile.
async fn run(place: &Place, arguments: &[&str], hidden: &[String]) -> Output {
    let mut command = place.archive(arguments);
    command.env("ARCHIVE_PASSWORD", PASSWORD);
    let child = command.spawn().expect("the program starts");
    // What a list of processes shows.
    let shown = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
    let output = ended(child).await;
    for secret in hidden {
        assert!(!contains(&shown, secret), "{arguments:?} shows {secret} in the list of processes");
        assert!(!contains(&output.stdout, secret), "{arguments:?} prints {secret}: {}", stdout(&output));
        assert!(!contains(&output.stderr, secret), "{arguments:?} says {secret}: {}", stderr(&output));
    }
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_logged_or_written_however_much_is_said_and_whatever_fails() {
    let life = "1h".parse().expect("a length");
    let login = LoginConfig { user: USER.into(), password: Hidden::new(PASSWORD), token_life: life };
    let config = Config { login: Some(login), ..fleet(&[(4, &[1, 2])]) };
    let place = Place::with_settings(config, &format!("[platform.login]\nuser = \"{USER}\"\n")).await;
    // The same user always gets the same token.
    let form = [("userName", USER), ("password", PASSWORD)];
    let answer = Caller::new(&place.platform).call(&place.platform, method::MOBILE_LOGIN, &form).await;
    let token = answer.data::<Login>().token;
    assert!(!token.is_empty());
    let hidden = [SECRET.to_owned(), PASSWORD.to_owned(), token];

    let asked = range(yesterday(), 600);
    let (from, to) = (asked.start().to_string(), asked.end().to_string());
    let fetch = ["-vvv", "--device", "1-2", "--from", &from, "--to", &to];
    let good = run(&place, &fetch, &hidden).await;
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    assert!(stderr(&good).contains("called"), "it was asked to say everything: {}", stderr(&good));
    assert_eq!(code(&run(&place, &["devices", "--refresh", "-vvv"], &hidden).await), 0);
    assert_eq!(code(&run(&place, &["play", "--device", "1", "-vvv", "--json"], &hidden).await), 0);
    let live = run(&place, &["live", "--device", "1", "--for", "1s", "-vvv"], &hidden).await;
    assert!([0, 3].contains(&code(&live)), "{}", stderr(&live));

    // A gateway that quotes what it was sent, refuses, or is none; a platform that says nothing good.
    place.platform.script_method(method::MOBILE_LOGIN, [Scripted::Stat(103_095)]);
    let refused = run(&place, &["play", "--device", "1", "-vvv"], &hidden).await;
    assert_eq!(code(&refused), 4, "{}", stderr(&refused));
    // With a login the password is sent, with any other call the token.
    for (method, sent) in [(method::MOBILE_LOGIN, PASSWORD), (method::START_PLAY, hidden[2].as_str())] {
        let echo = format!("<html>you sent {sent}, and I know {SECRET}</html>");
        let named = json!({ "stat": { "code": -500, "codename": echo } }).to_string();
        for answer in [Scripted::Http(500, echo.clone()), Scripted::Http(200, echo.clone()), Scripted::Http(200, named)]
        {
            place.platform.script_method(method, [answer]);
            let quoting = run(&place, &["play", "--device", "2", "-vvv"], &hidden).await;
            assert_eq!(code(&quoting), 1, "{}", stderr(&quoting));
            assert!(stderr(&quoting).contains("you sent [hidden], and I know [hidden]"), "{}", stderr(&quoting));
        }
    }
    for url in ["http://127.0.0.1:9/m.api", "https://nowhere.invalid/m.api"] {
        let unreachable = run(&place, &["play", "--device", "1", "-vvv", "--url", url], &hidden).await;
        assert_eq!(code(&unreachable), 1, "{}", stderr(&unreachable));
    }

    let written = files(place.path());
    assert!(written.iter().any(|(path, _)| path.ends_with("ledger.db")) && written.len() > 3);
    for (path, bytes) in written {
        for secret in &hidden {
            assert!(!contains(&bytes, secret), "{path} holds {secret}");
        }
    }
}

/// At addresses where nobody listens, so that each command says all that it has to say of the way there.
#[tokio::test(flavor = "multi_thread")]
async fn what_opens_a_ledgers_server_and_an_object_store_is_said_and_written_nowhere() {
    const LEDGER: &str = "hush-ledger";
    const IN_QUERY: &str = "hush-query";
    const OF_PSQL: &str = "hush-psql";
    const STORE: [(&str, &str); 3] =
        [("AWS_ACCESS_KEY_ID", "HUSHID"), ("AWS_SECRET_ACCESS_KEY", "hush-store"), ("AWS_SESSION_TOKEN", "hush-token")];
    let place = Place::new(fleet(&[(4, &[1])])).await;
    let asked = range(yesterday(), 600);
    let (from, to) = (asked.start().to_string(), asked.end().to_string());
    let ledgers = [
        format!("postgres://me:{LEDGER}@127.0.0.1:1/archive"),
        format!("postgres://me@127.0.0.1:1/archive?password={IN_QUERY}"),
        // Nobody can say where this one's password ends.
        format!("postgres://me:{LEDGER}@{IN_QUERY}@127.0.0.1:1/archive"),
    ];
    let commands =
        [&["status", "-vvv"][..], &["check", "-vvv"], &["-vvv", "--device", "1", "--from", &from, "--to", &to]];
    let mut children = Vec::new();
    for arguments in commands {
        for ledger in &ledgers {
            let mut command = place.archive(arguments);
            command.env("ARCHIVE_LEDGER", ledger).env("PGPASSWORD", OF_PSQL);
            children.push((arguments, command.spawn().expect("the program starts")));
        }
        let mut command = place.archive(arguments);
        command
            .envs(STORE)
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env("XDG_CACHE_HOME", place.path().join("cache"))
            .env("ARCHIVE_ROOT", "s3://bucket/prefix")
            .env("ARCHIVE_LEDGER", place.path().join("elsewhere.db"));
        children.push((arguments, command.spawn().expect("the program starts")));
    }
    let hidden = [LEDGER, IN_QUERY, OF_PSQL, STORE[0].1, STORE[1].1, STORE[2].1];
    let hides = |what: &dyn std::fmt::Display, bytes: &[u8]| {
        for secret in hidden {
            assert!(!contains(bytes, secret), "{what} has {secret}: {}", String::from_utf8_lossy(bytes));
        }
    };
    for (arguments, child) in children {
        let output = ended(child).await;
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_ne!(code(&output), 0, "{arguments:?}: {said}");
        hides(&format!("{arguments:?}"), said.as_bytes());
    }
    for (path, bytes) in files(place.path()) {
        hides(&path, &bytes);
    }
}

/// Only where somebody wrote http, and then with one line that says what others can read.
#[tokio::test(flavor = "multi_thread")]
async fn an_http_gateway_is_told_of_in_one_line_and_is_nobodys_default() {
    let place = Place::new(fleet(&[(4, &[1])])).await;
    let plan = |url: Option<&str>| {
        let mut command = place.archive(&["plan", "--device", "1", "--last", "1h"]);
        command.env_remove("ARCHIVE_URL");
        command.envs(url.map(|url| ("ARCHIVE_URL", url)));
        command
    };
    for (url, lines) in
        [(None, 0), (Some("https://gateway.example/m.api"), 0), (Some("http://gateway.example/m.api"), 1)]
    {
        let output = ended(plan(url).spawn().expect("the program starts")).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let said = stderr(&output);
        assert_eq!(said.lines().filter(|line| line.contains("can be read on the way")).count(), lines, "{said}");
        if lines > 0 {
            for what in ["signed calls", "media URLs", "password", "token", "https://"] {
                assert!(said.contains(what), "{what}: {said}");
            }
        }
    }
}
