//! `archive live` where things are odd: clocks that differ, hours, long outages, cuts that a crash hits, and HLS servers that do
//! what servers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use archive::clock::WallClock;
use archive::event::Event;
use archive::live::{LiveJob, LiveTools, execute};
use archive::platform::media::{MediaClient, Patience};
use archive::recording::Source;
use archive::sim::config::LiveUrls;
use archive::sim::moment::{Moment, Period};
use archive::sim::{Config, MediaEvent};
use archive::time_range::{RangeSet, TimeRange, UtcSecond};
use archive::window::Cause;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

use crate::live_support::{asked, fast, gaps, job, record, tools};
use crate::support::{PATIENCE, Place, device, ended, range, stderr, yesterday};

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_dated_by_the_platforms_clock_and_say_how_far_it_is_ahead() {
    let ahead = "90s".parse().expect("a length");
    let place = Place::new(Config { clock_ahead: ahead, live_speed: 1.0, ..fast(1.0, &[1]) }).await;
    let (tools, _events) = tools(&place);
    // The platform's cameras show its own time, 90 s ahead of this machine's.
    let here = WallClock::start();
    // A second of footage comes at once, once a second.
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: PATIENCE };
    let media = MediaClient::new(patience, place.guard()).expect("a client");
    let tools = LiveTools { clock: here, media, ..tools };
    // Four seconds from now on, reckoned before anybody knew that it is 90 s later.
    let until = here.now().to_utc_second() + 4;
    let mut job = LiveJob { stall: PATIENCE, ..job(&[1], Some(until)) };
    job.cameras.get_mut(&device(1)).expect("it is the one").until_is_relative = true;
    let summary = execute(job, tools).await.expect("it ends");
    let asked = asked(&place, 1).await;
    let end = asked.end();
    // What a loaded machine takes to begin is not asked for.
    assert!((89..=91).contains(&(end - until)) && (1..=5).contains(&asked.seconds()), "{asked}");
    let pieces = place.recordings(&[1]).await;
    let last = pieces.last().expect("something was recorded");
    assert_eq!(last.range.end(), end);
    let offset = last.clock_offset.expect("the platform told the time");
    assert!((89_000..=91_000).contains(&offset), "{offset}");
    assert_eq!(summary.asked_seconds, asked.seconds(), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_kept_to_and_nothing_else_is_asked_for() {
    let place = Place::new(fast(60.0, &[1])).await;
    let (tools, _events) = tools(&place);
    let local = |second: UtcSecond| second.to_datetime().with_timezone(&chrono_tz::Asia::Shanghai).format("%H:%M");
    // The clock begins 123 s after a mark.
    let span = |from: i64, to: i64| format!("{}-{}", local(yesterday() + from), local(yesterday() + to));
    let mut job = job(&[1], Some(yesterday() + 600));
    let hours = [span(180, 240), span(300, 420)];
    let camera = job.cameras.get_mut(&device(1)).expect("it is the one");
    camera.hours = hours.iter().map(|hours| hours.parse().expect("a span")).collect();
    let summary = execute(job, tools).await.expect("it ends");
    let wanted: RangeSet = [range(yesterday() + 180, 60), range(yesterday() + 300, 120)].into_iter().collect();
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    let asked = place.read_ledger().asked(vec![device(1)], ever).await.expect("the ledger answers");
    assert_eq!(asked[&device(1)], wanted);
    assert_eq!(summary.asked_seconds, 180);
    assert!(summary.archived_seconds > 60, "{summary:?}");
    let calls = place.platform.calls().iter().filter(|call| call.play.is_some()).count();
    assert!(calls <= 6, "{calls} calls for two streams");
    place.assert_true(&[1]).await;
}

/// Nothing comes for half an hour: one gap, which the ledger has in ten-minute steps, and few words about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_is_one_gap_and_few_rows() {
    let mut config = fast(120.0, &[1]);
    let at = |seconds: i64| Some(Moment::At((yesterday() + seconds).into()));
    config.stores[0].nvrs[0].cameras[0].offline = vec![Period { from: at(240), to: at(2100) }];
    let place = Place::new(config).await;
    let (asked, summary) = record(&place, &[1], 2400).await;
    let gaps = gaps(&place).await;
    let outage: i64 = gaps.iter().map(|(_, gap)| gap.seconds()).sum();
    assert!(gaps.iter().all(|(cause, _)| *cause == Cause::LiveInterrupted), "{gaps:?}");
    assert!(gaps.iter().any(|(_, gap)| gap.seconds() >= 1800), "{gaps:?}");
    assert_eq!(summary.asked_seconds, asked.seconds());
    assert_eq!(summary.archived_seconds, asked.seconds() - outage);
    let count =
        |table: &str| -> i64 { place.stores.ask(&format!("SELECT count(*) FROM {table}")).parse().expect("a count") };
    assert!(
        count("attempt") <= 16 && count("missing") <= 16,
        "{} attempts, {} rows",
        count("attempt"),
        count("missing")
    );
    place.assert_true(&[1]).await;
}

/// A crash between the rename and the commit, of a piece that reaches beyond its mark as far as the keyframe.
#[tokio::test(flavor = "multi_thread")]
async fn a_piece_without_a_row_is_adopted_although_nobody_asked_for_its_last_second() {
    let place = Place::new(fast(60.0, &[1])).await;
    record(&place, &[1], 600).await;
    let pieces = place.recordings(&[1]).await;
    let lost = &pieces[0];
    let (start, end) = (lost.range.start().get(), lost.range.end().get());
    let mark = end - 2;
    place.stores.change(&format!(
            "DELETE FROM recording; DELETE FROM archived; DELETE FROM asked; DELETE FROM missing;
             INSERT INTO asked VALUES (1, {start}, {mark});
             INSERT INTO missing (device, start, \"end\", cause, attempts) VALUES (1, {start}, {mark}, 'being recorded', 0);
             INSERT INTO publishing (path, live) VALUES ('{}', 1);
             UPDATE run SET ended = NULL, exit = NULL;",
            lost.path
        ));
    let other = range(yesterday() - 86_400, 60);
    let output = ended(place.fetch("1", other).spawn().expect("the program starts")).await;
    assert!(stderr(&output).contains("adopted"), "{}", stderr(&output));
    let adopted = place.recordings(&[1]).await;
    let adopted: Vec<_> = adopted.into_iter().filter(|piece| piece.range != other).collect();
    assert_eq!(
        adopted.iter().map(|piece| (piece.range, piece.blake3)).collect::<Vec<_>>(),
        [(lost.range, lost.blake3)]
    );
    assert_eq!(adopted[0].source, Source::Live);
    assert_eq!(gaps(&place).await, []);
}

/// An HLS server of our own. Its playlist grows as fast as the cameras' clocks run.
struct Server {
    begun: Instant,
    speed: f64,
    polls: AtomicU64,
    /// Before each segment of its playlist.
    prefix: &'static str,
    /// From which segment on nobody gets any.
    closed_from: u64,
}

const SECONDS: u64 = 4;
const TS: &[u8] = include_bytes!("../../src/sim/clips/h265.ts");
const MP4: &[u8] = include_bytes!("../../src/sim/clips/h265.mp4");

impl Server {
    async fn start(speed: f64, prefix: &'static str, closed_from: u64) -> String {
        let (begun, polls) = (Instant::now(), AtomicU64::new(0));
        let server = Arc::new(Self { begun, speed, polls, prefix, closed_from });
        let app = Router::new().route("/{file}", get(Self::answer)).with_state(server);
        let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = here.local_addr().expect("it has one");
        tokio::spawn(async move { axum::serve(here, app).await });
        format!("http://{address}/index.m3u8")
    }

    async fn answer(State(server): State<Arc<Self>>, Path(file): Path<String>) -> Result<Vec<u8>, StatusCode> {
        let moof = MP4.windows(4).position(|name| name == b"moof").expect("a fragment") - 4;
        match file.as_str() {
            "index.m3u8" => Ok(server.playlist().into_bytes()),
            "init.mp4" => Ok(MP4[..moof].to_vec()),
            name => {
                let (number, extension) = name.split_once('.').ok_or(StatusCode::NOT_FOUND)?;
                let number: u64 = number.parse().map_err(|_| StatusCode::NOT_FOUND)?;
                if number >= server.closed_from {
                    return Err(StatusCode::FORBIDDEN);
                }
                Ok(if extension == "ts" { TS.to_vec() } else { MP4[moof..].to_vec() })
            }
        }
    }

    fn playlist(&self) -> String {
        let poll = self.polls.fetch_add(1, Ordering::Relaxed);
        // Six are there at the beginning; six are listed.
        let first = (self.begun.elapsed().as_secs_f64() * self.speed) as u64 / SECONDS;
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        let extension = if self.prefix.contains("MAP") { "m4s" } else { "ts" };
        for number in first..first + 6 {
            text.push_str(&self.prefix.replace("POLL", &poll.to_string()));
            text.push_str(&format!("#EXTINF:{SECONDS}.0,\n{number}.{extension}\n"));
        }
        text
    }
}

/// Records what such a server sends, for so many seconds; gives the platform and how often it was interrupted.
async fn recorded_from(prefix: &'static str, closed_from: u64, seconds: i64) -> (Place, Vec<String>) {
    const SPEED: f64 = 20.0;
    let place = Place::new(fast(SPEED, &[1])).await;
    let hls = Server::start(SPEED, prefix, closed_from).await;
    place.platform.set_live_urls(device(1), LiveUrls { hls, ..LiveUrls::default() });
    let (tools, mut events) = tools(&place);
    let end = tools.clock.now().to_utc_second() + seconds;
    execute(job(&[1], Some(end)), tools).await.expect("it ends");
    let mut interruptions = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::LiveInterrupted { why, .. } = event {
            interruptions.push(why);
        }
    }
    place.assert_true(&[1]).await;
    assert!(place.platform.live().iter().all(|event| event.live != MediaEvent::Opened), "nobody else served it");
    (place, interruptions)
}

/// Each segment is a piece of its own, and is dated by when it was filmed, not by when it was listed.
#[tokio::test(flavor = "multi_thread")]
async fn segments_that_all_begin_anew_are_pieces_one_behind_the_other() {
    let (place, interruptions) = recorded_from("#EXT-X-DISCONTINUITY\n", u64::MAX, 80).await;
    assert_eq!(interruptions, Vec::<String>::new());
    let pieces = place.recordings(&[1]).await;
    assert!(pieces.len() >= 10, "{pieces:?}");
    assert!(pieces.iter().all(|piece| (1..=8).contains(&piece.range.seconds())), "{pieces:?}");
    // What is missing lies between two of them, where a second is begun by one and ended by the other, and at the beginning.
    let missing = gaps(&place).await;
    assert!(missing.iter().all(|(cause, gap)| *cause == Cause::LiveInterrupted && gap.seconds() <= 12), "{missing:?}");
    let asked: TimeRange = asked(&place, 1).await;
    assert!(missing.iter().map(|(_, gap)| gap.seconds()).sum::<i64>() * 2 < asked.seconds(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initialization_whose_address_is_signed_anew_makes_no_new_pieces() {
    let map = "#EXT-X-MAP:URI=\"init.mp4?token=POLL\"\n";
    let (place, interruptions) = recorded_from(map, u64::MAX, 60).await;
    assert_eq!(interruptions, Vec::<String>::new());
    let pieces = place.recordings(&[1]).await;
    assert_eq!(pieces.len(), 1, "{pieces:?}");
    assert!(pieces[0].path.ends_with("_live.mp4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_goes_on_without_its_segments_is_an_interruption() {
    let (place, interruptions) = recorded_from("", 12, 100).await;
    assert!(interruptions.iter().any(|why| why.contains("nothing new came that could be used")), "{interruptions:?}");
    let missing = gaps(&place).await;
    assert!(missing.iter().all(|(cause, _)| *cause == Cause::LiveInterrupted), "{missing:?}");
    assert!(missing.iter().any(|(_, gap)| gap.seconds() > 30), "{missing:?}");
    assert!(place.archived(1).await.seconds() > 10);
}

/// A live run whose camera is refused says so for as long as it goes on, and takes back what it asked for ahead of time.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_camera_is_a_gap_up_to_the_end_of_the_run_and_no_further() {
    let mut config = Config { live_speed: 600.0, ..fast(600.0, &[1]) };
    config.stores[0].nvrs[0].cameras[0].refused = true;
    let place = Place::new(config).await;
    let (tools, mut events) = tools(&place);
    let (stop, clock, begun) = (tools.stop.clone(), tools.clock, tools.clock.now().to_utc_second());
    let running = tokio::spawn(execute(job(&[1], None), tools));
    let refused = events.recv().await.expect("it is refused");
    assert!(matches!(refused, Event::LiveInterrupted { .. }), "{refused:?}");
    // Over two marks of the grid.
    let waited = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while asked(&place, 1).await.end() < begun + 1500 {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("the run goes on");
    stop.cancel();
    running.await.expect("it does not panic").expect("it ends");
    let asked = asked(&place, 1).await;
    assert!(asked.seconds() > 600 && asked.end() <= clock.now().to_utc_second(), "{asked}");
    assert_eq!(gaps(&place).await, [(Cause::Refused, asked)]);
    let calls = place.platform.calls().iter().filter(|call| call.play.is_some()).count();
    assert_eq!(calls, 1);
}
