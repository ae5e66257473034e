//! What live streams that mean harm cost in memory: 64 MiB, and 512 KiB for each, whatever they send.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures::StreamExt as _;
use rustix::process::Signal;

use archive::recording::Recording;
use archive::sim::config::LiveUrls;

use crate::broken_server::{FLV_HEADER, picture};
use crate::support::{Place, device, ended, fleet, send, stderr, until};

const CAMERAS: [i64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// What the program may take, in KiB.
const MOST_MEMORY: u64 = (64 << 10) + 512 * CAMERAS.len() as u64;

/// What was filmed before the program started is not claimed, so the server takes that long before it sends anything.
const SOME_FOOTAGE: Duration = Duration::from_secs(3);

const MP4: &[u8] = include_bytes!("../../src/sim/clips/h265.mp4");

/// Serves that of an HTTP server; gives its address.
async fn serve(app: Router) -> String {
    let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = here.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(here, app).await });
    format!("http://{address}")
}

/// Records what is at `urls` with the program, until `bytes` of each camera are written, as what came last may not be; gives the
/// most memory that it had, in KiB, and what became of it.
async fn recorded(urls: LiveUrls, bytes: u64) -> (u64, Place, Vec<Recording>) {
    let place = Place::new(fleet(&[(16, &CAMERAS)])).await;
    for camera in CAMERAS {
        place.platform.set_live_urls(device(camera), urls.clone());
    }
    // However slow this machine is, no stream is given up.
    let settings = place.path().join("settings.toml");
    let quick = std::fs::read_to_string(&settings).expect("it is there");
    let patient = quick.replace("stall_timeout = \"2s\"", "stall_timeout = \"60s\"");
    std::fs::write(settings, patient).expect("a file can be written");
    let cameras = CAMERAS.map(|camera| camera.to_string()).join(",");
    let child = place.archive(&["live", "--device", &cameras]).spawn().expect("the program starts");
    until("all streams have come", || {
        let files = std::fs::read_dir(place.root().join(".live")).into_iter().flatten();
        let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        sizes.filter(|size| *size >= bytes).count() == CAMERAS.len()
    })
    .await;
    let memory = most_memory(child.id());
    send(&child, Signal::TERM);
    let output = ended(child).await;
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    place.assert_true(&CAMERAS).await;
    let recordings = place.recordings(&CAMERAS).await;
    assert_eq!(recordings.len(), CAMERAS.len(), "{}", stderr(&output));
    (memory, place, recordings)
}

/// The most memory that a process has had, in KiB.
fn most_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the program goes on");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// An FLV has tags of 8 MiB; the last one does not end.
#[tokio::test(flavor = "multi_thread")]
async fn flv_tags_of_any_size_take_no_memory() {
    let large = picture(5_000, (8 << 20) - 1);
    let small: Vec<u8> = (0..5).flat_map(|second| picture(second * 1_000, 500)).collect();
    let whole = Bytes::from([FLV_HEADER, &small, &large, &picture(6_000, 500)].concat());
    let broken_off = Bytes::from(picture(7_000, (8 << 20) - 1)[..6 << 20].to_vec());
    let (good, all) = (whole.len() as u64, (whole.len() + broken_off.len()) as u64);
    let answer = move || {
        let sent = futures::stream::iter([whole.clone(), broken_off.clone()].map(Ok::<_, std::io::Error>));
        let body = Body::from_stream(sent.chain(futures::stream::pending()));
        async move {
            tokio::time::sleep(SOME_FOOTAGE).await;
            body
        }
    };
    let flv = serve(Router::new().route("/a.flv", get(answer))).await + "/a.flv";
    let (memory, _place, recordings) = recorded(LiveUrls { flv, ..LiveUrls::default() }, all - (1 << 20)).await;
    for recording in recordings {
        assert_eq!(recording.bytes, good, "up to the last whole tag: {}", recording.path);
    }
    assert!(memory <= MOST_MEMORY, "{memory} KiB of {MOST_MEMORY}");
}

/// Segments of 16 MiB, with an initialization.
#[tokio::test(flavor = "multi_thread")]
async fn hls_segments_of_any_size_take_no_memory() {
    const LARGE: usize = 16 << 20;
    let at = |name: &[u8; 4]| MP4.windows(4).position(|bytes| bytes == name).expect("it has one") - 4;
    let initialization = Bytes::from_static(&MP4[..at(b"moof")]);
    // Its frames are followed by nothing for a long while.
    let size = u32::try_from(LARGE).expect("some megabytes").to_be_bytes();
    let mut segment = [&MP4[at(b"moof")..at(b"mdat")], &size, &MP4[at(b"mdat") + 4..]].concat();
    segment.resize(at(b"mdat") - at(b"moof") + LARGE, 0);
    let (bytes, segment) = ((initialization.len() + segment.len()) as u64, Bytes::from(segment));
    let answer = move |Path(file): Path<String>| {
        let answer = match file.as_str() {
            "a.m3u8" => Ok(Bytes::from_static(
                b"#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\n0.m4s\n",
            )),
            "init.mp4" => Ok(initialization.clone()),
            "0.m4s" => Ok(segment.clone()),
            _ => Err(StatusCode::NOT_FOUND),
        };
        async move {
            if file.ends_with(".m3u8") {
                tokio::time::sleep(SOME_FOOTAGE).await;
            }
            answer
        }
    };
    let hls = serve(Router::new().route("/{file}", get(answer))).await + "/a.m3u8";
    let (memory, _place, recordings) = recorded(LiveUrls { hls, ..LiveUrls::default() }, bytes - (1 << 20)).await;
    for recording in recordings {
        assert_eq!(recording.bytes, bytes, "{}", recording.path);
    }
    assert!(memory <= MOST_MEMORY, "{memory} KiB of {MOST_MEMORY}");
}
