//! Live streams of the simulated platform over real sockets, and `archive play` before them.

use archive::flv::{Cut, Cutter, End, Parser, Report};
use archive::platform::wire::{Answer, Play, method};
use archive::sim::config::{CameraConfig, FirstTimestamp};
use archive::sim::hls::HlsForm;
use archive::sim::log::{LiveForm, LiveRecord};
use archive::sim::moment::{Moment, Period};
use archive::sim::{Config, LiveFault, LiveUrls, MediaEvent, Running, Scripted};
use archive::time_range::{TimeRange, UtcSecond};
use futures::StreamExt as _;
use reqwest::StatusCode;

use crate::sim_server::{Caller, device, start};
use crate::support::{PATIENCE, fleet, until};

/// Camera 1 sends H.264, camera 2 H.265, camera 3 is refused; their clocks run sixty times too fast.
pub fn cameras() -> Config {
    let set_up = r#"
        live_speed = 60.0
        channel_life = "10m"
        [[stores]]
        id = 1
        name = "store"
        [[stores.nvrs]]
        id = "nvr"
        cameras = [{ id = 1 }, { id = 2, codec = "h265" }, { id = 3, refused = true }]
    "#;
    Config::from_toml(set_up).expect("a right set-up")
}

async fn ask(caller: &Caller, running: &Running, business: &[(&str, &str)]) -> (Option<i64>, Play) {
    let answer: Answer = caller.call(running, method::START_PLAY, business).await;
    (answer.stat.code, answer.data())
}

async fn play(caller: &Caller, running: &Running, device: &str) -> Play {
    let (stat, play) = ask(caller, running, &[("deviceId", device), ("isSlave", "0")]).await;
    assert_eq!(stat, Some(0));
    play
}

/// Reads a live FLV until it has shown so many seconds, up to the end of a tag, and leaves.
async fn watch(response: reqwest::Response, seconds: i64) -> Report {
    let mut parser = Parser::new();
    let mut body = response.bytes_stream();
    while parser.report().footage_milliseconds() < seconds * 1000 || parser.report().end != End::Boundary {
        parser.push(&body.next().await.expect("it has no end").expect("it does not break"));
    }
    parser.report()
}

fn ended(running: &Running) -> Option<LiveRecord> {
    running.live().into_iter().find(|record| !matches!(record.live, MediaEvent::Opened | MediaEvent::Refused))
}

#[tokio::test]
async fn each_code_of_the_vendors_page_is_answered() {
    let running = start(cameras()).await;
    let caller = Caller::new(&running);
    for (number, code) in [("1", 0), ("3", 103_064), ("77", 103_092)] {
        let (stat, _) = ask(&caller, &running, &[("deviceId", number), ("isSlave", "1")]).await;
        assert_eq!(stat, Some(code), "device {number}");
    }
    let calls = running.calls();
    assert_eq!(calls.iter().map(|call| call.device).collect::<Vec<_>>(), [1, 3, 77].map(|n| Some(device(n))));
    let live = calls[0].play.expect("a right call");
    assert_eq!((live.secondary, live.permanent, live.channel), (true, false, Some(1)));
    assert_eq!(calls[1].play.and_then(|play| play.channel), None);
    running.shutdown().await;
}

#[tokio::test]
async fn a_live_flv_is_whole_for_as_long_as_it_is_watched() {
    for first_timestamp in [FirstTimestamp::Zero, FirstTimestamp::Uptime] {
        let running = start(Config { first_timestamp, ..cameras() }).await;
        let caller = Caller::new(&running);
        let before = running.live_now().to_utc_second();
        let play = play(&caller, &running, "1").await;
        assert_eq!((play.vencodingname.as_str(), play.tlsflv.as_str()), ("H264", ""));
        let response = caller.get(&play.flv).await;
        assert_eq!((response.status(), response.content_length()), (StatusCode::OK, None));
        let report = watch(response, 60).await;
        assert_eq!((report.end, report.garbage.stretches, report.previous_size_mismatches), (End::Boundary, 0, 0));
        assert_eq!((report.video.backward.count, report.video.forward.count, report.audio.forward.count), (0, 0, 0));
        let shown = report.video.last_timestamp - report.video.first_timestamp + 200;
        assert_eq!((shown, report.video.counted_milliseconds), (report.footage_milliseconds(), shown));
        assert_eq!(report.video.first_timestamp == 0, first_timestamp == FirstTimestamp::Zero);
        assert_eq!((report.picture_size, report.video.configurations.seen), (Some((160, 90)), 1));

        until("the viewer has left", || ended(&running).is_some()).await;
        let left = ended(&running).expect("it has left");
        assert_eq!((left.live, left.form, left.device), (MediaEvent::Dropped, LiveForm::Flv, Some(device(1))));
        let seconds = left.seconds.expect("it has shown something");
        // It begins at the keyframe before: at most two seconds earlier.
        assert!(seconds.start() + 2 > before && seconds.start() <= running.live_now().to_utc_second(), "{seconds:?}");
        assert!(seconds.seconds() >= 60);
        assert_eq!(running.open_channels(), 0, "its last viewer has left");
        assert_eq!(caller.get(&play.flv).await.status(), StatusCode::NOT_FOUND);
        running.shutdown().await;
    }
}

/// No frame is lost, and each piece is whole.
#[tokio::test]
async fn a_live_stream_can_be_cut_while_it_comes() {
    let running = start(Config { first_timestamp: FirstTimestamp::Uptime, ..cameras() }).await;
    let caller = Caller::new(&running);
    let mut body = caller.get(&play(&caller, &running, "1").await.flv).await.bytes_stream();
    let (mut cutter, mut whole) = (Cutter::new(), Parser::new());
    (1..=3).for_each(|piece| cutter.mark(piece * 15_000));
    let mut pieces: Vec<(i64, Parser)> = Vec::new();
    while whole.report().footage_milliseconds() < 60_000 {
        let bytes = body.next().await.expect("it has no end").expect("it does not break");
        whole.push(&bytes);
        let cut = cutter.push(&bytes, |cut| match cut {
            Cut::Begins { milliseconds, .. } => pieces.push((milliseconds, Parser::new())),
            Cut::Bytes(bytes) => pieces.last_mut().expect("a piece has begun").1.push(bytes),
        });
        assert_eq!(cut, Ok(()));
    }
    assert_eq!(pieces.iter().map(|(begins, _)| *begins).collect::<Vec<_>>(), [0, 16_000, 30_000, 46_000]);
    let reports: Vec<Report> = pieces.iter().map(|(_, parser)| parser.report()).collect();
    for report in &reports {
        assert_eq!(
            (report.end, report.video.first_timestamp, report.picture_size),
            (End::Boundary, 0, Some((160, 90)))
        );
    }
    let frames: u64 = reports.iter().map(|report| report.video.frames + report.audio.frames).sum();
    assert_eq!(frames, whole.report().video.frames + whole.report().audio.frames);
    running.shutdown().await;
}

#[tokio::test]
async fn the_secondary_stream_is_smaller_and_both_may_be_watched_at_once() {
    let running = start(cameras()).await;
    let caller = Caller::new(&running);
    let main = play(&caller, &running, "1").await;
    let (_, secondary) = ask(&caller, &running, &[("deviceId", "1"), ("isSlave", "1")]).await;
    let (main, secondary) = (caller.get(&main.flv).await, caller.get(&secondary.flv).await);
    let (main, secondary) = tokio::join!(watch(main, 10), watch(secondary, 10));
    assert_eq!((main.picture_size, secondary.picture_size), (Some((160, 90)), Some((96, 54))));
    running.shutdown().await;
}

#[tokio::test]
async fn a_channel_that_nobody_pulls_is_closed_and_a_standing_one_is_not() {
    let life = "200ms".parse().expect("a length");
    let running = start(Config { channel_life: life, ..cameras() }).await;
    let caller = Caller::new(&running);
    let url = play(&caller, &running, "1").await.flv;
    let in_an_hour = (running.now().to_utc_second() + 3600).get().to_string();
    let business = [("deviceId", "1"), ("isSlave", "0"), ("permanent", "true"), ("timeout", &*in_an_hour)];
    let (stat, standing) = ask(&caller, &running, &business).await;
    assert_eq!(stat, Some(0));
    until("the other channel is closed", || running.open_channels() == 1).await;
    assert_eq!(caller.get(&url).await.status(), StatusCode::NOT_FOUND);
    watch(caller.get(&standing.flv).await, 1).await;
    until("the viewer has left", || ended(&running).is_some()).await;
    assert_eq!(running.open_channels(), 1);
    running.shutdown().await;
}

#[tokio::test]
async fn scripted_faults_happen_where_they_should() {
    let running = start(cameras()).await;
    let caller = Caller::new(&running);
    running.script_live(
        device(1),
        [
            Scripted::Stat(-500),
            Scripted::Live(LiveFault::NotFound),
            Scripted::Live(LiveFault::DropAfterSeconds(7)),
            Scripted::Live(LiveFault::ChangeAfterSeconds(5)),
            Scripted::Live(LiveFault::StallAfterSeconds(3)),
        ],
    );
    assert_eq!(ask(&caller, &running, &[("deviceId", "1"), ("isSlave", "0")]).await.0, Some(-500));
    let hidden = play(&caller, &running, "1").await;
    assert_eq!(caller.get(&hidden.flv).await.status(), StatusCode::NOT_FOUND);

    let mut body = caller.get(&play(&caller, &running, "1").await.flv).await.bytes_stream();
    let mut parser = Parser::new();
    while let Some(Ok(bytes)) = body.next().await {
        parser.push(&bytes);
    }
    assert_eq!(parser.report().footage_milliseconds(), 7000);
    let dropped = ended(&running).expect("it broke off");
    assert_eq!((dropped.live, dropped.seconds.map(|range| range.seconds())), (MediaEvent::Failed, Some(7)));

    let changed = watch(caller.get(&play(&caller, &running, "1").await.flv).await, 12).await;
    assert_eq!(changed.video.configurations.seen, 2);
    assert_eq!((changed.picture_size, changed.last_picture_size), (Some((160, 90)), Some((96, 54))));
    assert_eq!((changed.end, changed.video.forward.count, changed.garbage.stretches), (End::Boundary, 0, 0));

    let mut stalled = caller.get(&play(&caller, &running, "1").await.flv).await.bytes_stream();
    let mut parser = Parser::new();
    while parser.report().footage_milliseconds() < 3000 {
        parser.push(&stalled.next().await.expect("it does not end").expect("it does not break"));
    }
    running.shutdown().await;
    // What was still on its way is the rest of the third second.
    while let Some(Ok(bytes)) = stalled.next().await {
        parser.push(&bytes);
    }
    assert_eq!((parser.report().footage_milliseconds(), parser.report().end), (3000, End::Boundary));
}

/// An hour of live pictures, a minute long, that ends at about now.
pub fn from_an_hour_ago() -> Config {
    Config { live_from: "-1h".parse().expect("a time"), first_timestamp: FirstTimestamp::Uptime, ..cameras() }
}

#[tokio::test]
async fn a_reconnect_goes_on_in_the_same_live_time_with_the_same_timestamps() {
    let running = start(from_an_hour_ago()).await;
    let caller = Caller::new(&running);
    let before = running.live_now().to_utc_second();
    let mut shown: Vec<(TimeRange, Report)> = Vec::new();
    for seconds in [30, 90, 4] {
        let response = caller.get(&play(&caller, &running, "1").await.flv).await;
        let report = watch(response, seconds).await;
        let left = || running.live().into_iter().filter_map(|record| record.seconds).next_back();
        until("the viewer has left", || left().is_some_and(|range| shown.iter().all(|(other, _)| *other != range)))
            .await;
        shown.push((left().expect("it has shown something"), report));
    }
    assert!(shown[0].0.start() + 2 > before, "{:?} was before {before}", shown[0].0);
    for pair in shown.windows(2) {
        let ((before, one), (after, two)) = (pair[0], pair[1]);
        // Nothing is shown twice beside what lies between the last keyframe and where the viewer left.
        assert!(after.start() + 2 >= before.end(), "{after:?} after {before:?}");
        let on_the_clock = (after.start() - before.start()) * 1000;
        assert_eq!(two.video.first_timestamp - one.video.first_timestamp, on_the_clock, "{before:?} and {after:?}");
    }
    assert!(running.live_now().to_utc_second() >= shown[2].0.end());
    running.shutdown().await;
}

#[tokio::test]
async fn a_standing_channel_ends_on_the_cameras_clock() {
    let (live_from, channel_life) = ("-10d".parse().expect("a time"), "1ms".parse().expect("a length"));
    let running = start(Config { live_from, channel_life, ..cameras() }).await;
    let caller = Caller::new(&running);
    // A day is 24 minutes here, and long over on the platform's clock.
    assert!(running.live_now().to_utc_second() < running.now().to_utc_second() - 9 * 86_400);
    for (ahead, stands) in [(86_400, true), (-600, false)] {
        let timeout = (running.live_now().to_utc_second() + ahead).get().to_string();
        let business = [("deviceId", "1"), ("isSlave", "0"), ("permanent", "true"), ("timeout", &*timeout)];
        let (stat, standing) = ask(&caller, &running, &business).await;
        assert_eq!(stat, Some(0));
        if stands {
            watch(caller.get(&standing.flv).await, 1).await;
            until("the viewer has left", || ended(&running).is_some()).await;
            assert_eq!(running.open_channels(), 1);
        } else {
            until("it is closed", || running.open_channels() == 1).await;
        }
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_live_flv_may_end_or_pause() {
    let running = start(cameras()).await;
    let caller = Caller::new(&running);
    let pause = LiveFault::PauseAfterSeconds { after: 5, seconds: 8 };
    running.script_live(device(1), [LiveFault::EndAfterSeconds(7), pause].map(Scripted::Live));

    let body = caller.get(&play(&caller, &running, "1").await.flv).await.bytes().await.expect("it ends cleanly");
    let mut parser = Parser::new();
    parser.push(&body);
    assert_eq!((parser.report().footage_milliseconds(), parser.report().end), (7000, End::Boundary));
    let record = ended(&running).expect("it has ended");
    assert_eq!((record.live, record.seconds.map(|range| range.seconds())), (MediaEvent::Failed, Some(7)));

    let response = caller.get(&play(&caller, &running, "1").await.flv).await;
    let report = watch(response, 20).await;
    // The pause ends in a second without a keyframe, which come every two. A jump is from one picture to the next.
    assert_eq!((report.video.forward.count, report.video.forward.largest), (1, 9200));
    assert_eq!((report.video.backward.count, report.garbage.stretches, report.end), (0, 0, End::Boundary));
    let of_the_pause = || running.live().into_iter().find(|record| record.left_out.is_some());
    until("the viewer has left", || of_the_pause().is_some()).await;
    let record = of_the_pause().expect("it has left");
    let (seconds, left_out) = (record.seconds.expect("pictures"), record.left_out.expect("a pause"));
    assert_eq!((left_out.start() - seconds.start(), left_out.end() - seconds.start()), (5, 14));
    running.shutdown().await;
}

/// Asks for the playlist until it is as wanted.
async fn playlist_that(caller: &Caller, url: &str, wanted: impl Fn(&str) -> bool) -> String {
    let asking = async {
        loop {
            let playlist = caller.get(url).await.text().await.expect("a playlist");
            if wanted(&playlist) {
                return playlist;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the playlist comes to be as wanted")
}

#[tokio::test]
async fn a_live_hls_may_end_or_pause() {
    let running = start(from_an_hour_ago()).await;
    let caller = Caller::new(&running);
    let pause = LiveFault::PauseAfterSeconds { after: 8, seconds: 12 };
    running.script_live(device(1), [LiveFault::EndAfterSeconds(20), pause].map(Scripted::Live));

    let url = play(&caller, &running, "1").await.hls;
    let ended = playlist_that(&caller, &url, |playlist| playlist.ends_with("#EXT-X-ENDLIST\n")).await;
    assert_eq!(segments(&ended).len(), 5);
    assert_eq!(caller.get(&url).await.text().await.expect("a playlist"), ended, "it grows no longer");

    let url = play(&caller, &running, "1").await.hls;
    let number = |name: &str| name.trim_start_matches("segment-").trim_end_matches(".ts").parse::<i64>();
    let numbers = |playlist: &str| segments(playlist).into_iter().filter_map(|name| number(name).ok()).collect();
    // The channel was opened in segment 1, so the pause begins in 3 and ends in 5 or 6.
    let behind = playlist_that(&caller, &url, |playlist| {
        let named: Vec<i64> = numbers(playlist);
        assert!(!named.iter().any(|number| (3..=5).contains(number)), "{playlist}");
        named.last().is_some_and(|&newest| newest > 5)
    })
    .await;
    let first = numbers(&behind)[0];
    assert!(first > 5 && behind.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{first}\n")), "{behind}");
    let newest = url.replace("index.m3u8", segments(&behind).last().expect("a segment"));
    assert_eq!(caller.get(&newest).await.status(), StatusCode::OK);
    let seconds = running.live().last().and_then(|record| record.seconds).expect("the log says what it shows");
    assert_eq!((seconds.seconds(), seconds.start().get() % 4), (4, 0));
    running.shutdown().await;
}

#[tokio::test]
async fn a_stream_ends_where_its_camera_goes_off() {
    let mut config = cameras();
    let off = UtcSecond::floor(chrono::Utc::now()) + 60;
    let period = Period { from: Some(Moment::At(off.into())), to: None };
    config.stores[0].nvrs[0].cameras = vec![CameraConfig { id: 1, offline: vec![period], ..CameraConfig::default() }];
    let running = start(config).await;
    let caller = Caller::new(&running);
    let url = play(&caller, &running, "1").await.flv;
    let body = caller.get(&url).await.bytes().await.expect("it ends cleanly");
    let mut parser = Parser::new();
    parser.push(&body);
    let seconds = ended(&running).and_then(|record| record.seconds).expect("it has shown something");
    assert_eq!(parser.report().footage_milliseconds(), seconds.seconds() * 1000);
    assert_eq!(parser.report().end, End::Boundary);
    assert_eq!(seconds.end(), off);
    assert_eq!(caller.get(&url).await.status(), StatusCode::NOT_FOUND, "its last viewer has left");
    running.shutdown().await;
}

/// The lines of a playlist that name segments.
fn segments(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| line.starts_with("segment-")).collect()
}

#[tokio::test]
async fn hls_moves_on_and_keeps_its_channel_open() {
    for (number, hls) in [("1", HlsForm::Ts), ("2", HlsForm::Fmp4)] {
        let running = start(Config { hls, ..cameras() }).await;
        let caller = Caller::new(&running);
        let url = play(&caller, &running, number).await.hls;
        let folder = url.strip_suffix("index.m3u8").expect("a playlist").to_owned();
        let first = caller.get(&url).await.text().await.expect("a playlist");
        assert!(first.contains("#EXT-X-MEDIA-SEQUENCE:0\n"), "{first}");
        let moved_on = async {
            loop {
                // A player asks again and again, too; each answer is waited for.
                let playlist = caller.get(&url).await.text().await.expect("a playlist");
                if playlist.contains("#EXT-X-MEDIA-SEQUENCE:2\n") {
                    return playlist;
                }
            }
        };
        let playlist = tokio::time::timeout(PATIENCE, moved_on).await.expect("the playlist moves on");
        assert_eq!(segments(&playlist).len(), 5);
        let newest = format!("{folder}{}", segments(&playlist)[4]);
        let bytes = caller.get(&newest).await.bytes().await.expect("a segment");
        match hls {
            HlsForm::Ts => assert!(bytes.len() % 188 == 0 && bytes[0] == 0x47),
            HlsForm::Fmp4 => {
                assert_eq!(&bytes[4..8], b"moof");
                assert!(playlist.contains("#EXT-X-MAP:URI=\"init-h265.mp4\""), "{playlist}");
                let map = caller.get(&format!("{folder}init-h265.mp4")).await.bytes().await.expect("a map");
                assert_eq!(&map[4..8], b"ftyp");
            }
        }
        assert_eq!(caller.get(&format!("{folder}segment-999.ts")).await.status(), StatusCode::NOT_FOUND);
        let events = running.live();
        assert!(events.iter().all(|event| event.form == LiveForm::Hls), "{events:?}");
        assert_eq!(events.last().map(|event| event.live), Some(MediaEvent::Refused));
        running.shutdown().await;
    }
}

#[tokio::test]
async fn live_streams_that_somebody_else_serves_are_answered_as_they_are_set() {
    let set_up = r#"
        tls_urls = true
        [[stores]]
        id = 1
        name = "store"
        [[stores.loose_cameras]]
        id = 1
        live_urls = { flv = "http://127.0.0.1:1/x.flv", tlshls = "https://127.0.0.1:1/x.m3u8" }
        [[stores.loose_cameras]]
        id = 2
        codec = "h265"
        [[stores.loose_cameras]]
        id = 3
        refused = true
        live_urls = { hls = "http://127.0.0.1:1/x.m3u8" }
    "#;
    let running = start(Config::from_toml(set_up).expect("a right set-up")).await;
    let caller = Caller::new(&running);
    let given = Play {
        flv: "http://127.0.0.1:1/x.flv".into(),
        tlshls: "https://127.0.0.1:1/x.m3u8".into(),
        vencodingname: "H264".into(),
        ..Play::default()
    };
    assert_eq!(play(&caller, &running, "1").await, given);
    assert_eq!(running.open_channels(), 0);
    assert!(play(&caller, &running, "2").await.hls.starts_with("http://127.0.0.1:"), "served here until it is said");
    let urls = ["flv", "rtmp", "hls", "rtsp", "tlsflv", "tlshls"].map(|name| format!("rtmp://127.0.0.1:2/{name}"));
    let [flv, rtmp, hls, rtsp, tlsflv, tlshls] = urls;
    let (all, vencodingname) = (LiveUrls { flv, rtmp, hls, rtsp, tlsflv, tlshls }, "H265".to_owned());
    running.set_live_urls(device(2), all.clone());
    let LiveUrls { flv, rtmp, hls, rtsp, tlsflv, tlshls } = all;
    assert_eq!(play(&caller, &running, "2").await, Play { flv, rtmp, hls, rtsp, tlsflv, tlshls, vencodingname });
    let (stat, _) = ask(&caller, &running, &[("deviceId", "3"), ("isSlave", "0")]).await;
    assert_eq!(stat, Some(103_064), "who may not watch gets no URL");
    running.shutdown().await;
}

#[tokio::test]
async fn a_platform_with_a_login_wants_the_token_for_live_streams_too() {
    let login = toml::from_str("user = 'night'\npassword = 'watch'").expect("TOML");
    let running = start(Config { login: Some(login), ..fleet(&[(1, &[1])]) }).await;
    let caller = Caller::new(&running);
    let (stat, play) = ask(&caller, &running, &[("deviceId", "1"), ("isSlave", "0")]).await;
    assert_eq!((stat, play), (Some(9_990_001), Play::default()));
    running.shutdown().await;
}

/// ffmpeg's complaints about a stream, and the times of its pictures in seconds, as far as it read.
fn seen_by_ffmpeg(url: &str, seconds: u32) -> (String, Vec<f64>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("seen.mkv");
    let (seconds, name) = (seconds.to_string(), file.to_str().expect("a plain name"));
    // Errors alone: of fragmented MP4 it says with each segment that it knows the initialization already.
    let read = ["-v", "error", "-nostdin", "-y", "-i", url, "-t", &seconds];
    let wrote =
        std::process::Command::new("ffmpeg").args(read).args(["-c", "copy", name]).output().expect("ffmpeg starts");
    assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
    let decode = ["-v", "error", "-nostdin", "-i", name, "-f", "null", "-"];
    let decoded = std::process::Command::new("ffmpeg").args(decode).output().expect("ffmpeg starts");
    let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", name];
    let listed = std::process::Command::new("ffprobe").args(entries).output().expect("ffprobe starts");
    let times = String::from_utf8_lossy(&listed.stdout);
    let times = times.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    let said = [wrote.stderr, decoded.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), times)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ffmpeg"]
async fn ffmpeg_plays_every_form_without_a_word() {
    let forms = [("1", HlsForm::Ts), ("1", HlsForm::Fmp4), ("2", HlsForm::Ts), ("2", HlsForm::Fmp4)];
    // All at once: ffmpeg mostly waits for what is to come.
    futures::future::join_all(forms.map(|(number, hls)| ffmpeg_plays(number, hls))).await;
}

async fn ffmpeg_plays(number: &str, hls: HlsForm) {
    let running = start(Config { hls, live_speed: 3.0, ..cameras() }).await;
    let caller = Caller::new(&running);
    let play = play(&caller, &running, number).await;
    // HLS first: the channel is closed when the viewer of its FLV leaves.
    for url in [play.hls, play.flv].into_iter().filter(|url| !url.is_empty()) {
        let case = format!("device {number}, {hls:?}, {url}");
        let (said, times) = tokio::task::spawn_blocking(move || seen_by_ffmpeg(&url, 20)).await.expect("it ends");
        assert_eq!(said, "", "{case}");
        assert!(times.len() >= 98, "{case}: {} pictures", times.len());
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.2).abs() < 0.002), "{case}: {times:?}");
    }
    running.shutdown().await;
}
