//! The simulated platform over real sockets, seen by a plain HTTP client.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use archive::device::{DeviceId, NvrId};
use archive::mac::UrlMacs;
use archive::platform::media::{MediaClient, Patience};
use archive::platform::wire::lists::DeviceList;
use archive::platform::wire::{Answer, Download, Login, TOKEN_HEADER, method};
use archive::sim::signature::{Algorithm, expected};
use archive::sim::{Config, MediaEvent, MediaFault, Running, Scripted, Speed};
use archive::time_range::{TimeRange, UtcSecond};
use chrono_tz::Asia::Shanghai;
use reqwest::StatusCode;

use crate::support::guard;

/// A client that knows just enough of the contract to call, and numbers its calls so that none repeats.
pub struct Caller {
    http: reqwest::Client,
    url: String,
    calls: std::cell::Cell<u32>,
    token: Option<String>,
}

impl Caller {
    pub fn new(running: &Running) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client without settings");
        Self { http, url: running.url(), calls: 0.into(), token: None }
    }

    pub async fn call(&self, running: &Running, method: &str, business: &[(&str, &str)]) -> Answer {
        let text = self.send(running, method, business).await.text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    async fn send(&self, running: &Running, method: &str, business: &[(&str, &str)]) -> reqwest::Response {
        self.calls.set(self.calls.get() + 1);
        let now = running.now().to_utc_second().to_datetime().with_timezone(&Shanghai);
        let common = [
            ("_aid", "S107"),
            ("_akey", "rehearsal"),
            ("_mt", method),
            ("_sm", "md5"),
            ("_requestMode", "POST"),
            ("_version", "v1"),
        ];
        let pairs = common.iter().chain(business).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut form: BTreeMap<String, String> = pairs.collect();
        form.insert("_timestamp".into(), now.format("%Y%m%d%H%M%S").to_string());
        form.insert("n".into(), self.calls.get().to_string());
        form.insert("_sig".into(), expected(&form, "rehearsal-secret", Algorithm::Md5));
        let mut request = self.http.post(&self.url).form(&form);
        if let Some(token) = &self.token {
            request = request.header(TOKEN_HEADER, token);
        }
        request.send().await.expect("the gateway answers")
    }

    pub async fn ask(&self, running: &Running, device: i64, range: TimeRange) -> (Option<i64>, Download) {
        let local = |second: UtcSecond| second.to_datetime().with_timezone(&Shanghai).format("%F %T").to_string();
        let (id, start, end) = (device.to_string(), local(range.start()), local(range.end()));
        let business = [("id", &*id), ("startTime", &start), ("endTime", &end)];
        let answer = self.call(running, method::START_DOWNLOAD, &business).await;
        (answer.stat.code, answer.data())
    }

    pub async fn url(&self, running: &Running, device: i64, range: TimeRange) -> String {
        let (stat, download) = self.ask(running, device, range).await;
        assert_eq!((stat, download.result), (Some(0), Some(0)), "device {device}");
        download.url
    }

    pub async fn get(&self, url: &str) -> reqwest::Response {
        self.http.get(url).send().await.expect("the media server answers")
    }
}

pub fn device(number: i64) -> DeviceId {
    DeviceId::new(number).expect("not negative")
}

pub async fn start(config: Config) -> Running {
    archive::sim::start(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port")
}

pub async fn rehearsal() -> Running {
    archive::sim::start_rehearsal().await.expect("a free port")
}

/// The whole ten minutes that ended at least `back` windows ago.
pub fn window(running: &Running, back: i64) -> TimeRange {
    let end = running.now().to_utc_second().get().div_euclid(600) * 600 - back * 600;
    TimeRange::new(UtcSecond::new(end - 600), UtcSecond::new(end)).expect("ten minutes")
}

/// Camera 1's recorder is busy for the first seconds, so most tests use camera 4, whose recorder is free.
const FREE: i64 = 4;

#[tokio::test]
async fn a_window_is_granted_streamed_whole_and_used_up() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    assert!(url.contains("/FLV_02"), "{url}");
    let response = caller.get(&url).await;
    assert_eq!((response.status(), response.content_length()), (StatusCode::OK, None));
    let body = response.bytes().await.expect("the whole stream");
    assert_eq!(&body[..3], b"FLV");
    assert!((1_000_000..2_500_000).contains(&body.len()), "{} bytes", body.len());
    assert_eq!(caller.get(&url).await.status(), StatusCode::NOT_FOUND);

    let events: Vec<_> = running.media().iter().map(|record| record.media).collect();
    assert_eq!(events, [MediaEvent::Opened, MediaEvent::SentWhole, MediaEvent::Refused]);
    assert_eq!(running.media()[1].bytes, body.len() as u64);
    assert_eq!(running.max_open_per_device()[&device(FREE)], 1);
    let calls = running.calls();
    assert_eq!((calls.len(), calls[0].device, calls[0].result), (1, Some(device(FREE)), Some(0)));
    running.shutdown().await;
}

#[tokio::test]
async fn a_camera_has_one_download_and_a_busy_recorder_few() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let range = window(&running, 1);
    let url = caller.url(&running, FREE, range).await;
    assert_eq!(caller.ask(&running, FREE, range).await.1.result, Some(-3));
    caller.get(&url).await.bytes().await.expect("the whole stream");
    assert_eq!(caller.ask(&running, FREE, range).await.1.result, Some(0));

    assert_eq!(caller.ask(&running, 1, range).await.1.result, Some(0));
    assert_eq!(caller.ask(&running, 2, range).await.1.result, Some(-4));
    running.shutdown().await;
}

#[tokio::test]
async fn recordings_that_somebody_else_serves_are_named_by_their_window_and_take_no_channel() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.media_base = Some("http://127.0.0.1:1/files/".to_owned());
    config.stores[1].nvrs[0].channels = 1;
    let running = start(config).await;
    let caller = Caller::new(&running);
    let range = window(&running, 1);
    for camera in [FREE, FREE, 6] {
        let expected = format!("http://127.0.0.1:1/files/{camera}_{}_600.flv", range.start().get());
        assert_eq!(caller.url(&running, camera, range).await, expected);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn what_somebody_else_serves_may_be_named_after_the_camera_and_its_recorder_too() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.camera_mac_first = true;
    let plain = start(config.clone()).await;
    config.media_base = Some("http://127.0.0.1:1/{macs}_".to_owned());
    let elsewhere = start(config).await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for camera in [FREE, 6] {
        let url = Caller::new(&plain).url(&plain, camera, window(&plain, 1)).await;
        here.push(UrlMacs::of_url(&url).expect(&url));
        let url = Caller::new(&elsewhere).url(&elsewhere, camera, window(&elsewhere, 1)).await;
        there.push(UrlMacs::of_url(&url).expect(&url));
    }
    assert_eq!(here, there);
    plain.shutdown().await;
    elsewhere.shutdown().await;
}

#[tokio::test]
async fn the_same_window_has_the_same_bytes_and_another_has_others() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let mut bodies = Vec::new();
    for back in [1, 1, 2] {
        let url = caller.url(&running, FREE, window(&running, back)).await;
        bodies.push(caller.get(&url).await.bytes().await.expect("the whole stream"));
    }
    assert!(bodies[0] == bodies[1] && bodies[0] != bodies[2]);
    running.shutdown().await;
}

#[tokio::test]
async fn scripted_answers_come_one_by_one_and_then_the_world_again() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let range = window(&running, 1);
    running.script(device(FREE), [Scripted::Stat(7), Scripted::Result(-5), Scripted::Stat(424_242)]);
    assert_eq!(caller.ask(&running, FREE, range).await, (Some(7), Download::default()));
    assert_eq!(caller.ask(&running, FREE, range).await.1.result, Some(-5));
    assert_eq!(caller.ask(&running, FREE, range).await.0, Some(424_242));
    assert_eq!(caller.ask(&running, FREE, range).await.1.result, Some(0));

    running.script_method(method::STORES, [Scripted::Http(502, "<html>".into())]);
    let response = caller.send(&running, method::STORES, &[]).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.text().await.expect("a body"), "<html>");
    assert_eq!(running.calls().last().map(|call| (call.http, call.stat)), Some((502, None)));
    running.shutdown().await;
}

/// What a stream with that fault sends, and whether it ended without an error.
async fn stream(running: &Running, caller: &Caller, fault: MediaFault) -> (Vec<u8>, bool) {
    running.script(device(FREE), [Scripted::Stream(fault)]);
    let url = caller.url(running, FREE, window(running, 1)).await;
    let mut response = caller.get(&url).await;
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

#[tokio::test]
async fn streams_go_wrong_as_they_are_told() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let whole = stream(&running, &caller, MediaFault::GarbageAfterSeconds(0)).await.0.len() - 5000;

    let (body, clean) = stream(&running, &caller, MediaFault::BreakAfterSeconds(60)).await;
    assert!(!clean && body.starts_with(b"FLV") && body.len() < whole / 5, "{} of {whole}", body.len());
    let (in_tag, clean) = stream(&running, &caller, MediaFault::EndInTagAfterSeconds(60)).await;
    assert!(clean && in_tag.len() > whole / 20 && in_tag.len() < whole / 5);
    let (short, clean) = stream(&running, &caller, MediaFault::ShortAfterSeconds(60)).await;
    assert!(clean && in_tag.starts_with(&short) && in_tag.len() == short.len() + 24);
    let (header, clean) = stream(&running, &caller, MediaFault::HeaderOnly).await;
    assert!(clean && header.starts_with(b"FLV") && header.len() < 1000);
    assert_eq!(stream(&running, &caller, MediaFault::Nothing).await, (vec![], true));
    let (page, clean) = stream(&running, &caller, MediaFault::ErrorPage).await;
    assert!(clean && page.starts_with(b"<html>"));
    let (late, clean) = stream(&running, &caller, MediaFault::ShortAfterSeconds(10_000)).await;
    assert!(clean && late.len() < whole, "a fault after the end happens in the last second");
    running.shutdown().await;
}

#[tokio::test]
async fn a_stalled_stream_stays_open_and_a_dropped_one_is_seen() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    running.script(device(FREE), [Scripted::Stream(MediaFault::StallAfterSeconds(2))]);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    let mut response = caller.get(&url).await;
    let first = response.chunk().await.expect("some bytes").expect("not the end");
    assert!(first.starts_with(b"FLV"));
    assert_eq!(caller.ask(&running, FREE, window(&running, 1)).await.1.result, Some(-3));
    drop(response);
    while !running.media().iter().any(|record| record.media == MediaEvent::Dropped) {
        tokio::task::yield_now().await;
    }
    assert_eq!(caller.ask(&running, FREE, window(&running, 1)).await.1.result, Some(0));
    running.shutdown().await;
}

#[tokio::test]
async fn a_growing_file_is_complete_only_for_those_who_ask_again() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let (whole, _) = stream(&running, &caller, MediaFault::ShortAfterSeconds(10_000)).await;
    running.script(device(FREE), [Scripted::Stream(MediaFault::Grows { from: 60, per_second: 600 })]);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    let response = caller.get(&url).await;
    let length = response.content_length().expect("a growing file has a length");
    let mut body = response.bytes().await.expect("what there is").to_vec();
    assert_eq!(body.len() as u64, length);
    assert!(body.len() < whole.len());
    let mut total = 0;
    while body.len() < whole.len() || (body.len() as u64) < total {
        let range = format!("bytes={}-", body.len());
        let more = caller.http.get(&url).header("range", range).send().await.expect("an answer");
        if more.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            tokio::task::yield_now().await;
            continue;
        }
        assert_eq!(more.status(), StatusCode::PARTIAL_CONTENT);
        let claimed = more.headers()["content-range"].to_str().expect("text").to_owned();
        total = claimed.rsplit('/').next().and_then(|total| total.parse().ok()).expect("a total");
        body.extend_from_slice(&more.bytes().await.expect("the rest"));
    }
    assert!(body.starts_with(&whole), "the same bytes as the stream has");
    assert_eq!(caller.get(&url).await.status(), StatusCode::NOT_FOUND, "after the last byte it is used up");
    running.shutdown().await;
}

/// A client that waits for more to gather would get a chunk for each wait, and be slower than the footage.
#[tokio::test]
async fn a_chunked_stream_is_known_to_give_a_chunk_at_a_time() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    let patience = Duration::from_secs(30);
    let patience = Patience { connect: patience, first_byte: patience, stall: patience };
    let client = MediaClient::new(patience, guard(&running));
    let client = client.expect("the machine's TLS roots");
    for (scripted, gathers) in
        [(Scripted::Whole, false), (Scripted::Stream(MediaFault::Grows { from: 60, per_second: 1 }), true)]
    {
        running.script(device(FREE), [scripted]);
        let url = caller.url(&running, FREE, window(&running, 1)).await;
        let stream = client.open(&url, 0).await.expect("it opens").expect("it has a beginning");
        assert_eq!(stream.gathers, gathers);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_set_speed_paces_the_stream() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.speed = Speed::Times(1.0);
    let running = start(config).await;
    let caller = Caller::new(&running);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    let mut response = caller.get(&url).await;
    let mut seen = 0;
    while seen < 3000 {
        seen += response.chunk().await.expect("some bytes").expect("not the end").len();
    }
    assert_eq!(running.media().len(), 1, "it is open and far from its end");
    running.shutdown().await;
}

#[tokio::test]
async fn the_first_byte_may_wait_for_the_recorder() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.first_byte_after = "1h".parse().expect("a length");
    let running = start(config).await;
    let caller = Caller::new(&running);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    let mut response = caller.get(&url).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(caller.ask(&running, FREE, window(&running, 1)).await.1.result, Some(-3));
    running.shutdown().await;
    assert!(response.chunk().await.is_err(), "a shutdown breaks it off before its first byte");
}

#[tokio::test]
async fn no_answer_at_all_can_be_forced() {
    let running = rehearsal().await;
    let caller = Caller::new(&running);
    running.script(device(FREE), [Scripted::Silence]);
    let silent = caller.ask(&running, FREE, window(&running, 1));
    let logged = async {
        while running.calls().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = silent => panic!("an answer came"),
        () = logged => {}
    }
    let record = &running.calls()[0];
    assert_eq!((record.http, record.answered), (0, None));
    running.shutdown().await;
}

#[tokio::test]
async fn the_gateway_takes_its_time_and_the_log_says_when_it_answered() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.answer_after = "50ms".parse().expect("a length");
    let running = start(config).await;
    let caller = Caller::new(&running);
    assert_eq!(caller.ask(&running, FREE, window(&running, 1)).await.1.result, Some(0));
    let now = running.now();
    let record = &running.calls()[0];
    assert_eq!(record.answered, Some(record.at + std::time::Duration::from_millis(50)));
    assert!(record.answered.is_some_and(|answered| answered <= now), "the answer came before {record:?} says");
    assert_eq!(record.nvr.as_ref().map(NvrId::as_str), Some("market-nvr"));
}

#[tokio::test]
async fn the_token_is_wanted_once_a_login_is_set() {
    let mut config = Config::rehearsal(rehearsal().await.now());
    config.login = Some(toml::from_str("user = 'night'\npassword = 'watch'").expect("TOML"));
    let running = start(config).await;
    let mut caller = Caller::new(&running);
    let range = window(&running, 1);
    assert_eq!(caller.ask(&running, FREE, range).await.0, Some(9_990_001));
    let wrong = [("userName", "night"), ("password", "day")];
    assert_eq!(caller.call(&running, method::MOBILE_LOGIN, &wrong).await.stat.code, Some(103_095));
    let right = [("userName", "night"), ("password", "watch")];
    let login: Login = caller.call(&running, method::MOBILE_LOGIN, &right).await.data();
    caller.token = Some(login.token);
    assert_eq!(caller.ask(&running, FREE, range).await.1.result, Some(0));
    let list: DeviceList = caller.call(&running, method::DEVICE_LIST, &[("id", "2")]).await.data();
    assert_eq!(list.list.read[0].devices.read.len(), 3);
    running.revoke_token();
    assert_eq!(caller.ask(&running, FREE, range).await.0, Some(9_990_001));
    running.shutdown().await;
}

#[tokio::test]
async fn the_truth_knows_the_hole() {
    let running = rehearsal().await;
    let now = running.now().to_utc_second();
    let two_days = TimeRange::new(now - 2 * 86_400, now).expect("two days");
    assert_eq!(running.truth(device(4), two_days).seconds(), 2 * 86_400);
    assert_eq!(running.truth(device(5), two_days).seconds(), 2 * 86_400 - 1200);
    assert!(running.truth(device(99), two_days).is_empty());
    running.shutdown().await;
}

#[tokio::test]
async fn the_log_has_a_line_for_each_call_and_each_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl");
    let running = archive::sim::serve(archive::sim::Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        akey: None,
        secret: None,
        seed: Some(3),
        faults: None,
        speed: None,
        config: None,
        log: Some(log.clone()),
    })
    .await
    .expect("a free port");
    let caller = Caller::new(&running);
    let url = caller.url(&running, FREE, window(&running, 1)).await;
    caller.get(&url).await.bytes().await.expect("the whole stream");
    let text = std::fs::read_to_string(&log).expect("the log");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["method"], &lines[0]["result"]), (&method::START_DOWNLOAD.into(), &0.into()));
    assert_eq!((&lines[1]["media"], &lines[2]["media"]), (&"opened".into(), &"sent_whole".into()));
    running.shutdown().await;
}

/// What a fetch of that window by that server gives; nothing when it was refused, failed or would stall.
async fn attempt(running: &Running, caller: &Caller, range: TimeRange) -> Option<Vec<u8>> {
    let (_, download) = caller.ask(running, FREE, range).await;
    if download.result != Some(0) {
        return None;
    }
    let mut response = caller.get(&download.url).await;
    let opened = running.media().into_iter().rfind(|record| record.media == MediaEvent::Opened)?;
    if matches!(opened.fault, Some(MediaFault::StallAfterSeconds(_))) {
        drop(response);
        let dropped =
            |record: &archive::sim::MediaRecord| record.lease == opened.lease && record.media == MediaEvent::Dropped;
        while !running.media().iter().any(dropped) {
            tokio::task::yield_now().await;
        }
        return None;
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

#[tokio::test]
async fn behind_hostile_faults_the_same_footage_can_be_had() {
    let calm = rehearsal().await;
    let mut config = Config::rehearsal(calm.now());
    config.faults = archive::sim::Profile::Hostile;
    config.busy_after_drop = Some("0s".parse().expect("a length"));
    config.url_life = "1s".parse().expect("a length");
    let hostile = start(config).await;
    let (calm_caller, hostile_caller) = (Caller::new(&calm), Caller::new(&hostile));
    let mut failures = 0;
    for back in 1..=30 {
        let range = window(&calm, back);
        let truth = attempt(&calm, &calm_caller, range).await.expect("nothing goes wrong here");
        let begun = std::time::Instant::now();
        // A file that grows keeps its camera busy until its URL has expired, however often it is asked meanwhile.
        while attempt(&hostile, &hostile_caller, range).await.as_ref() != Some(&truth) {
            failures += 1;
            assert!(begun.elapsed() < crate::support::PATIENCE, "window {back} cannot be had");
        }
    }
    assert!(failures > 0, "something goes wrong");
    calm.shutdown().await;
    hostile.shutdown().await;
}
