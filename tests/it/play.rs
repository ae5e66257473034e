//! `archive play` before the simulated platform, and how live streams are asked for.

use std::process::Command;

use archive::outcome::Code;
use archive::platform::body::Body;
use archive::platform::client::{Account, Client, PlayOptions};
use archive::platform::wire::method::{START_DOWNLOAD, START_PLAY};
use archive::sim::log::LiveCall;
use archive::sim::{Config, Scripted};
use archive::time_range::UtcSecond;
use axum::http::{HeaderMap, Uri};
use serde_json::Value;

use crate::codes::{account, client};
use crate::live::{cameras, from_an_hour_ago};
use crate::sim_server::{device, start};
use crate::support::{Place, SECRET, code, ended, range, stderr, stdout, until, yesterday};

async fn run(mut command: Command) -> std::process::Output {
    ended(command.spawn().expect("the program starts")).await
}

/// A player that writes down its words, and whether it was told the secret.
fn player(place: &Place, ending: &str) -> (String, std::path::PathBuf) {
    let (script, seen) = (place.path().join("player.sh"), place.path().join("seen"));
    let text = format!(
        "printf '%s\\n' \"$@\" \"${{ARCHIVE_SECRET-no secret}}\" >{0}.new; mv {0}.new {0}\n{ending}\n",
        seen.display()
    );
    std::fs::write(&script, text).expect("a file can be written");
    (script.display().to_string(), seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_the_urls_and_the_codec() {
    let place = Place::new(Config { tls_urls: true, ..cameras() }).await;
    for (device, codec, chosen, urls) in [
        ("1", "H264", "tlsflv", &["flv", "hls", "rtmp", "rtsp", "tlsflv", "tlshls"][..]),
        ("2", "H265", "tlshls", &["hls", "rtsp", "tlshls"]),
    ] {
        let output = run(place.archive(&["play", "--device", device, "--json"])).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((shown["codec"].as_str(), shown["chosen"].as_str()), (Some(codec), Some(chosen)), "{shown}");
        let names: Vec<&str> = shown["urls"].as_object().expect("URLs").keys().map(String::as_str).collect();
        assert_eq!(names, urls);
        assert_eq!((shown["device"].to_string().as_str(), shown["stream"].as_str()), (device, Some("main")));
    }
    let said = stdout(&run(place.archive(&["play", "-d", "1", "--secondary", "--protocol", "rtsp"])).await);
    for expected in
        ["device 1, secondary stream, H264", "* rtsp    rtsp://127.0.0.1:", "  flv     http://", "within 10 s"]
    {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    let calls = place.platform.calls();
    let secondary: Vec<_> = calls.iter().filter_map(|call| call.play).map(|live| live.secondary).collect();
    assert_eq!(secondary, [false, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_as_the_table_says_and_names_the_code() {
    let place = Place::new(cameras()).await;
    for (arguments, expected, said) in [
        (&["--device", "3"][..], 1, "NO_AUTH_USER"),
        (&["--device", "77"], 1, "NO_DEVICE"),
        (
            &["--device", "2", "--protocol", "flv"],
            1,
            "no flv of this stream, whose pictures are \"H265\"; it offers hls, rtsp",
        ),
        (&["--device", "five"], 2, "five"),
        (&[], 2, "--device"),
    ] {
        let output = run(place.archive(&[&["play"], arguments].concat())).await;
        assert_eq!(code(&output), expected, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said) && output.stdout.is_empty(), "{arguments:?}: {}", stderr(&output));
    }
    let place = Place::new(Config { key_expired: true, ..cameras() }).await;
    let output = run(place.archive(&["play", "--device", "1"])).await;
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("renew it"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_gets_the_url_as_its_last_word_and_no_secret() {
    let place = Place::new(cameras()).await;
    let (script, seen) = player(&place, "exit 0");
    let output = run(place.archive(&["play", "-d", "1", "--exec", "/bin/sh", &script, "--title", "a b; rm x"])).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""), "{}", stderr(&output));
    let words = std::fs::read_to_string(seen).expect("the player ran");
    let words: Vec<&str> = words.lines().collect();
    assert_eq!((words[0], words[1], words[3]), ("--title", "a b; rm x", "no secret"));
    assert!(words[2].starts_with("http://127.0.0.1:") && words[2].ends_with("/live.flv"), "{}", words[2]);
    assert!(!stderr(&output).contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_players_failure_is_told_with_what_it_said() {
    let place = Place::new(cameras()).await;
    let (script, _) = player(&place, "echo 'no display' >&2; exit 3");
    let output = run(place.archive(&["play", "-d", "1", "--exec", "/bin/sh", &script])).await;
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("no display") && stderr(&output).contains("exit status: 3"),
        "{}",
        stderr(&output)
    );
    let output = run(place.archive(&["play", "-d", "1", "--exec", "/no/such/player"])).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("cannot start the player \"/no/such/player\""), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_url_reaches_neither_a_player_nor_a_terminal() {
    let place = Place::new(cameras()).await;
    let (script, seen) = player(&place, "exit 0");
    let answer = |url: &str| {
        let data = serde_json::json!({ "flv": url, "vencodingname": "H264\u{1b}[2J" });
        Scripted::Http(200, serde_json::json!({ "stat": { "code": 0 }, "data": data }).to_string())
    };
    // Each call is about another camera: the same call within a second is one that the platform refuses at first.
    let mut devices = 1..;
    let mut next_device = || devices.next().map_or_else(String::new, |number: u32| number.to_string());
    for url in ["--script=/tmp/evil.lua", "file:///etc/passwd", "http://", "\u{1b}]0;title\u{7}"] {
        place.platform.script_method(START_PLAY, [answer(url), answer(url), answer(url)]);
        let output = run(place.archive(&["play", "-d", &next_device(), "--exec", "/bin/sh", &script])).await;
        assert_eq!(code(&output), 1, "{url:?}");
        assert!(stderr(&output).contains("no player can be trusted with"), "{}", stderr(&output));
        for more in [&[][..], &["--json"]] {
            let device = next_device();
            let shown = run(place.archive(&[&["play", "-d", &device], more].concat())).await;
            assert_eq!(code(&shown), 0, "{}", stderr(&shown));
            assert!(![&shown.stdout[..], &shown.stderr].concat().contains(&0x1b), "{}", stdout(&shown));
        }
    }
    // A player reaches what this program reaches, so it is sent nowhere else either.
    for url in ["http://169.254.169.254/latest/live.flv", "http://[fe80::1]/live.flv", "http://0/live.flv"] {
        place.platform.script_method(START_PLAY, [answer(url)]);
        let output = run(place.archive(&["play", "-d", &next_device(), "--exec", "/bin/sh", &script])).await;
        assert_eq!(code(&output), 1, "{url:?}");
        assert!(stderr(&output).contains("never asked for media"), "{}", stderr(&output));
    }
    assert!(!seen.exists());
    // An answer without any URL is the platform's failure.
    place.platform.script_method(START_PLAY, [answer("")]);
    let output = run(place.archive(&["play", "-d", &next_device()])).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("without a URL"), "{}", stderr(&output));
}

/// The channel would be closed when nobody pulls: the player pulls while the program waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_channel_is_open_for_the_player() {
    let place = Place::new(cameras()).await;
    let (script, seen) = player(&place, "read -r word || exit 0");
    let mut command = place.archive(&["play", "-d", "1", "--exec", "/bin/sh", &script]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("the program starts");
    until("the player has its URL", || seen.exists()).await;
    let url = std::fs::read_to_string(&seen).expect("it was written").lines().next().expect("a URL").to_owned();
    let mut stream = reqwest::get(&url).await.expect("the channel is open");
    let first = stream.chunk().await.expect("it does not break").expect("it has begun");
    assert_eq!(&first[..3], b"FLV");
    drop(child.stdin.take());
    assert_eq!(code(&ended(child).await), 0);
}

/// A standing channel as the client asks for it, and as the platform understands it.
#[tokio::test]
async fn the_client_asks_for_standing_channels_in_the_documents_words() {
    let platform = start(cameras()).await;
    let client = client(&platform);
    let later = platform.now().to_utc_second() + 3600;
    let standing = PlayOptions { secondary: true, standing_until: Some(later) };
    for options in [PlayOptions::default(), standing] {
        client.start_play(device(1), options).await.expect("a live stream");
    }
    let asked: Vec<_> = platform.calls().iter().filter_map(|call| call.play).collect();
    let asked: Vec<_> = asked.iter().map(|live| (live.secondary, live.permanent, live.channel)).collect();
    assert_eq!(asked, [(false, false, Some(1)), (true, true, Some(2))]);
    platform.shutdown().await;
}

/// Whatever stands in the settings, the simulated platform understands the same.
#[tokio::test]
async fn the_client_asks_with_a_form_or_with_a_json_body() {
    let methods = [START_PLAY, START_DOWNLOAD].map(str::to_owned);
    for (version, body) in [("v1", Body::Form), ("v4", Body::Form), ("v1", Body::Json), ("v4", Body::Json)] {
        let case = format!("{version}, {body:?}");
        let running = start(Config { channel_life: "1ms".parse().expect("a length"), ..from_an_hour_ago() }).await;
        let mut account = account(&running);
        account.versions.insert(START_PLAY.to_owned(), version.to_owned());
        account.bodies.extend(methods.clone().map(|method| (method, body)));
        let client = Client::new(account.clone()).expect("a client without a proxy");
        let standing =
            PlayOptions { secondary: true, standing_until: Some(running.live_now().to_utc_second() + 36_000) };
        for options in [standing, PlayOptions::default()] {
            let play = client.start_play(device(1), options).await;
            assert!(play.is_ok_and(|play| !play.flv.is_empty()), "{case}");
        }
        until("the channel that does not stand is closed", || running.open_channels() == 1).await;
        let asked: Vec<_> = running.calls().iter().map(|call| (call.device, call.play)).collect();
        let call = |number, secondary, permanent| LiveCall { secondary, permanent, channel: Some(number) };
        let expected = [call(1, true, true), call(2, false, false)].map(|call| (Some(device(1)), Some(call)));
        assert_eq!(asked, expected, "{case}");

        let (from, to) = archive::calendar::platform_labels(range(yesterday(), 600), chrono_tz::Asia::Shanghai);
        client.start_download(device(1), from, to).await.expect("a URL");
        assert_eq!(running.calls()[2].range, Some(range(yesterday(), 600)), "{case}");

        let wrong = Account { secret: "another".to_owned().into(), ..account };
        let client = Client::new(wrong).expect("a client without a proxy");
        let refused = client.start_play(device(1), PlayOptions::default()).await;
        assert_eq!(refused.err().and_then(|error| error.code()), Some(Code::Stat(7)), "{case}");
        running.shutdown().await;
    }
}

/// What is on the wire: the common parameters in the query string, and a JSON object whose values have their types.
#[tokio::test(flavor = "multi_thread")]
async fn a_json_body_is_sent_as_a_production_client_sends_it() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let keep = move |uri: Uri, headers: HeaderMap, body: String| async move {
        seen.send((uri, headers, body)).expect("the test waits for it");
    };
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("http://{}/cloud.api", listener.local_addr().expect("it listens"));
    let server = tokio::spawn(axum::serve(listener, axum::Router::new().fallback(keep)).into_future());

    let of_live = |table: &str, value: &str| format!("[platform.{table}]\n'{START_PLAY}' = '{value}'\n");
    let place = Place::with_settings(cameras(), &(of_live("versions", "v4") + &of_live("bodies", "json"))).await;
    let mut account = Account { url: url.clone(), ..account(&place.platform) };
    account.versions.insert(START_PLAY.to_owned(), "v4".to_owned());
    account.bodies.insert(START_PLAY.to_owned(), Body::Json);
    let standing = PlayOptions { secondary: true, standing_until: Some(UtcSecond::new(1_795_176_000)) };
    let client = Client::new(account).expect("a client without a proxy");
    let nothing = client.start_play(device(5), standing).await.expect_err("no answer of the platform's");
    assert_eq!(nothing.code(), Some(Code::Http(200)));
    // The program's settings say the same.
    let mut command = place.archive(&["play", "--device", "5"]);
    command.env("ARCHIVE_URL", &url);
    assert_ne!(code(&run(command).await), 0);

    for expected in
        [r#"{"deviceId":5,"isSlave":1,"permanent":true,"timeout":1795176000}"#, r#"{"deviceId":5,"isSlave":0}"#]
    {
        let (uri, headers, body) = requests.recv().await.expect("a request");
        assert_eq!((uri.path(), headers["content-type"].as_bytes()), ("/cloud.api", &b"application/json"[..]));
        assert_eq!(body, expected);
        let query = uri.query().expect("a query");
        let names: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        assert_eq!(names, ["_aid", "_akey", "_mt", "_requestMode", "_sig", "_sm", "_timestamp", "_version"]);
        assert!(query.ends_with("_version=v4") && query.contains("_requestMode=POST"), "{query}");
    }
    server.abort();
}
