//! Who is told of a run: each kind of notice at a small receiver beside the vendor's documented form, pings, and what comes of it
//! when nobody takes them.

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use archive::sim::{Config, Speed};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse as _, Response};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Place, code, ended, fleet, range, send, stderr, stdout, until, yesterday};

/// What makes a URL a secret.
const TOKEN: &str = "693a91f6-7abc-4bc4-97a0";

/// What came to the receiver.
#[derive(Clone, Debug)]
struct Posted {
    method: String,
    /// The path, with the query.
    path: String,
    kind: String,
    body: String,
}

impl Posted {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Somebody's webhooks: what comes of a post, its path says.
struct Receiver {
    url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    async fn start() -> Self {
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let seen = Arc::clone(&posted);
        let app = axum::Router::new().fallback(move |request: Request| {
            let seen = Arc::clone(&seen);
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
                let posted = Posted {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    kind: parts.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("")).to_owned(),
                    body: String::from_utf8(body.to_vec()).expect("text"),
                };
                let answer = answer(&posted.path);
                seen.lock().expect("whole").push(posted);
                answer
            }
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, posted }
    }

    /// What came to paths that begin so, in order.
    fn at(&self, path: &str) -> Vec<Posted> {
        self.posted.lock().expect("whole").iter().filter(|posted| posted.path.starts_with(path)).cloned().collect()
    }
}

/// As the vendors answer: HTTP 200 whatever comes of it, with a code in the body.
fn answer(path: &str) -> Response {
    let kind = path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
    match kind {
        "dingtalk" | "wecom" => json!({"errcode": 0, "errmsg": "ok"}).to_string().into_response(),
        "feishu" => json!({"code": 0, "msg": "success", "data": {}}).to_string().into_response(),
        "refuses" => json!({"errcode": 310_000, "errmsg": format!("no robot at {path}")}).to_string().into_response(),
        "fails" => (StatusCode::BAD_GATEWAY, format!("cannot POST {path}")).into_response(),
        "moved" => (StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response(),
        _ => "ok".into_response(),
    }
}

/// A file's job for ten minutes of yesterday of these cameras, with more sections.
async fn place(devices: &str, more: &str) -> Place {
    of(fleet(&[(4, &[1, 2])]), devices, more).await
}

async fn of(config: Config, devices: &str, more: &str) -> Place {
    let asked = range(yesterday(), 600);
    let (from, to) = (asked.start(), asked.end());
    let job = format!("[[job]]\nname = \"night\"\ndevices = \"{devices}\"\nfrom = \"{from}\"\nto = \"{to}\"\n");
    Place::with_settings(config, &format!("{job}{more}")).await
}

fn night(place: &Place) -> Command {
    place.archive(&["run", "settings.toml"])
}

async fn finished(mut command: Command, expected: i32) -> Output {
    let output = ended(command.spawn().expect("the program starts")).await;
    assert_eq!(code(&output), expected, "{}\n{}", stdout(&output), stderr(&output));
    output
}

fn notify(receiver: &Receiver, kind: &str, path: &str, more: &str) -> String {
    format!("[[notify]]\nkind = \"{kind}\"\nurl = \"{}{path}\"\n{more}\n", receiver.url)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_posted_in_its_vendors_form() {
    let receiver = Receiver::start().await;
    let kinds = ["json", "dingtalk", "wecom", "feishu", "slack"];
    let paths = ["/json", "/dingtalk?access_token=x", "/wecom?key=x", "/feishu/hook/x", "/slack/T0/B0/x"];
    let sections: String = kinds.iter().zip(paths).map(|(kind, path)| notify(&receiver, kind, path, "")).collect();
    let place = place("1,404", &sections).await;
    // One camera does not exist, so that there is something to tell.
    let output = finished(night(&place), 3).await;
    let said = stdout(&output);
    assert!(said.starts_with("archive: gaps remain, 50.00 % archived: run night, on "), "{said}");
    assert!(said.contains("device 404: 10 min, refused\n") && said.ends_with("exit code 3\n"), "{said}");
    let text = said.trim_end();
    let posted = |path: &str| match &receiver.at(path)[..] {
        [one] => {
            assert_eq!((one.method.as_str(), one.kind.as_str()), ("POST", "application/json; charset=utf-8"));
            one.json()
        }
        other => panic!("{path}: {other:?}"),
    };
    // https://open.dingtalk.com/document/robots/custom-robot-access
    assert_eq!(posted("/dingtalk?access_token=x"), json!({"msgtype": "text", "text": {"content": text}}));
    // https://developer.work.weixin.qq.com/document/path/91770
    assert_eq!(posted("/wecom?key=x"), json!({"msgtype": "text", "text": {"content": text}}));
    // https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
    assert_eq!(posted("/feishu/hook/x"), json!({"msg_type": "text", "content": {"text": text}}));
    // https://api.slack.com/messaging/webhooks
    assert_eq!(posted("/slack/T0/B0/x"), json!({"text": text}));
    let own = posted("/json");
    for (key, value) in [
        ("what", json!("run night")),
        ("exit", json!(3)),
        ("outcome", json!("gaps remain")),
        ("asked_seconds", json!(1200)),
        ("archived_seconds", json!(600)),
        ("recordings", json!(1)),
        ("missing", json!([["refused", 600]])),
        ("failure", Value::Null),
        ("text", json!(said)),
    ] {
        assert_eq!(own[key], value, "{key} in {own}");
    }
    assert_eq!(own["worst"][0]["name"], "device 404");
    assert!(own["began_utc"].as_str().is_some_and(|time| time.ends_with('Z')), "{own}");
    assert_eq!(own["next"]["backlog_seconds"], 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_when_it_was_wished_and_of_the_jobs_that_were_named() {
    let receiver = Receiver::start().await;
    let other = "[[job]]\nname = \"other\"\ndevices = \"2\"\nlast = \"1h\"\n";
    let sections = [
        notify(&receiver, "slack", "/always", ""),
        notify(&receiver, "slack", "/gaps", "when = \"gaps\""),
        notify(&receiver, "slack", "/failure", "when = \"failure\""),
        notify(&receiver, "slack", "/of-others", "jobs = [\"other\"]"),
        notify(&receiver, "slack", "/of-these", "jobs = [\"night\", \"other\"]"),
    ];
    let place = place("1", &format!("{other}{}", sections.concat())).await;
    let count = |path: &str| receiver.at(path).len();
    let counts = || ["/always", "/gaps", "/failure", "/of-others", "/of-these"].map(count);
    let run = || place.archive(&["run", "settings.toml", "--job", "night"]);
    finished(run(), 0).await;
    assert_eq!(counts(), [1, 0, 0, 0, 1]);
    // A run that does not begin: a job that is not there.
    finished(place.archive(&["run", "settings.toml", "--job", "nigth"]), 2).await;
    assert_eq!(counts(), [2, 1, 1, 0, 1]);
    // What somebody does by hand is told to nobody.
    finished(place.fetch("2", range(yesterday(), 600)), 0).await;
    assert_eq!(counts(), [2, 1, 1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_pinged_at_the_start_and_at_the_end_as_it_was() {
    let receiver = Receiver::start().await;
    let other = "start = \"?state=run\"\nsuccess = \"?state=complete\"\nfailure = false\ntext = false";
    let ping = |path: &str, more: &str| format!("[[ping]]\nurl = \"{}{path}\"\n{more}\n", receiver.url);
    let sections = [
        ping("/hc/uuid", ""),
        ping("/kuma/push?x=1", other),
        ping("/strict", "success_exit_codes = [0]\nstart = false"),
    ];
    let place = place("1,404", &sections.concat()).await;
    let output = finished(night(&place), 3).await;
    let seen = |path: &str| -> Vec<(String, String)> {
        receiver
            .at(path)
            .into_iter()
            .map(|posted| (format!("{} {}", posted.method, posted.path), posted.body))
            .collect()
    };
    let none = String::new();
    let text = stdout(&output);
    assert_eq!(seen("/hc"), [("GET /hc/uuid/start".into(), none.clone()), ("POST /hc/uuid".into(), text.clone())]);
    let ends = ["GET /kuma/push?x=1&state=run", "GET /kuma/push?x=1&state=complete"];
    assert_eq!(seen("/kuma"), ends.map(|end| (end.to_owned(), none.clone())));
    assert_eq!(seen("/strict"), [("POST /strict/3".into(), text)]);
    // The account is refused, and cannot even be read: both are told, since the file says to whom.
    let mut refused = night(&place);
    refused.env("ARCHIVE_SECRET", "wrong");
    finished(refused, 4).await;
    let mut unread = night(&place);
    unread.env_remove("ARCHIVE_SECRET");
    finished(unread, 2).await;
    let ends: Vec<String> = seen("/hc").into_iter().map(|(end, _)| end).skip(2).collect();
    assert_eq!(ends, ["GET /hc/uuid/start", "POST /hc/uuid/4", "GET /hc/uuid/start", "POST /hc/uuid/2"]);
    let last = seen("/hc").pop().expect("the last one").1;
    assert!(last.starts_with("archive: did not begin: run night, on ") && last.contains("no secret"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_is_not_taken_changes_nothing_and_shows_no_url() {
    let receiver = Receiver::start().await;
    let nobody = {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("an address")
    };
    let sections = [
        notify(&receiver, "dingtalk", &format!("/refuses?access_token={TOKEN}"), ""),
        notify(&receiver, "wecom", &format!("/wrong/{TOKEN}"), ""),
        notify(&receiver, "slack", &format!("/fails/{TOKEN}"), ""),
        notify(&receiver, "json", &format!("/moved/{TOKEN}"), ""),
        format!("[[notify]]\nurl = \"http://{nobody}/{TOKEN}\"\n"),
        "[[notify]]\nurl_file = \"no-such-file\"\n[[notify]]\nurl_variable = \"UNSET\"\n".to_owned(),
        format!("[[notify]]\nkind = \"slack\"\nurl_command = [\"echo\", \"{}/commanded\"]\n", receiver.url),
    ];
    let place = place("1", &sections.concat()).await;
    let output = finished(place.archive(&["run", "settings.toml", "-vv"]), 0).await;
    let said = stderr(&output);
    for why in [
        "errcode 310000",
        "HTTP 200 without errcode",
        "HTTP 502",
        "HTTP 302: it redirects",
        "onnection refused",
        "cannot read no-such-file",
        "the environment variable UNSET is not set",
    ] {
        assert!(said.contains(why), "no {why:?} in {said}");
    }
    assert!(!said.contains(TOKEN) && !stdout(&output).contains(TOKEN), "{said}");
    assert!(said.contains("to 127.0.0.1 was not taken"), "{said}");
    let tries = ["/refuses", "/wrong", "/fails", "/moved", "/elsewhere", "/commanded"];
    assert_eq!(tries.map(|path| receiver.at(path).len()), [1, 1, 3, 1, 0, 1]);
    // Nothing of it is in the archive either.
    for file in ["recordings/ledger.db", "recordings/.catalog/state.jsonl"] {
        let bytes = std::fs::read(place.path().join(file)).expect("it is there");
        assert!(!bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_by_a_signal_is_told_of() {
    let receiver = Receiver::start().await;
    let sections = [
        format!("[[ping]]\nurl = \"{}/hc\"\n", receiver.url),
        notify(&receiver, "json", "/failure", "when = \"failure\""),
    ];
    // Footage comes as slowly as it plays.
    let config = Config { speed: Speed::Times(1.0), ..fleet(&[(4, &[1])]) };
    let place = of(config, "1", &sections.concat()).await;
    let child = night(&place).spawn().expect("the program starts");
    until("something is asked for", || !place.platform.calls().is_empty()).await;
    send(&child, Signal::TERM);
    let stopped = ended(child).await;
    assert_eq!(code(&stopped), 5, "{}", stderr(&stopped));
    let pings: Vec<String> = receiver.at("/hc").into_iter().map(|posted| posted.path).collect();
    assert_eq!(pings, ["/hc/start", "/hc/5"]);
    let told = receiver.at("/failure")[0].json();
    assert_eq!((&told["outcome"], &told["stopped"]["reason"]), (&json!("stopped by a signal"), &json!("signal")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_the_ledger_held_is_told_and_so_is_a_live_run() {
    let receiver = Receiver::start().await;
    let live = "[[job]]\nname = \"door\"\nkind = \"live\"\ndevices = \"2\"\n";
    let sections = format!("{live}{}", notify(&receiver, "json", "/all", ""));
    let place = place("1", &sections).await;
    let child = place.archive(&["live", "settings.toml", "--for", "1s"]).spawn().expect("the program starts");
    let recorded = ended(child).await;
    // How much of a second comes is chance.
    assert!([0, 3].contains(&code(&recorded)), "{}", stderr(&recorded));
    finished(night(&place), 0).await;
    let lock = std::fs::File::open(place.root().join(".lock")).expect("an archive has a lock");
    lock.lock().expect("it is free");
    finished(night(&place), 6).await;
    let told: Vec<Value> = receiver.at("/all").iter().map(Posted::json).collect();
    let whats: Vec<&Value> = told.iter().map(|told| &told["what"]).collect();
    assert_eq!(whats, ["live door", "run night", "run night"]);
    assert_eq!((&told[2]["exit"], &told[2]["outcome"]), (&json!(6), &json!("did not begin")));
    assert!(told[2]["failure"].as_str().is_some_and(|why| why.contains("another run")), "{}", told[2]);
}
