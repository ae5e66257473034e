//! Live recording in process, on the clock of simulated cameras.

use std::sync::Arc;

use archive::clock::WallClock;
use archive::event::{Event, Summary};
use archive::lease::LeaseTimes;
use archive::ledger::Ledger;
use archive::live::{Camera, LiveJob, LiveTools, execute};
use archive::platform::media::{MediaClient, Patience};
use archive::recording::{Recording, Source};
use archive::report::GapQuery;
use archive::sim::Config;
use archive::sim::moment::Moment;
use archive::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use archive::transfers::Transfers;
use archive::vault::Vault;
use archive::window::Cause;
use chrono_tz::Asia::Shanghai;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Place, device, fleet, range, yesterday};

/// A platform whose cameras' clocks begin a little after a grid mark of yesterday, and run so many times too fast.
pub fn fast(speed: f64, cameras: &[i64]) -> Config {
    Config {
        live_from: Moment::At((yesterday() + 123).into()),
        live_speed: speed,
        channel_life: "10m".parse().expect("a length"),
        allows_repeats: true,
        ..fleet(&[(4, cameras)])
    }
}

/// What records, on the same clock as the cameras.
pub fn tools(place: &Place) -> (LiveTools, mpsc::UnboundedReceiver<Event>) {
    let second = std::time::Duration::from_secs(1);
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: second };
    std::fs::create_dir_all(place.root()).expect("a folder can be made");
    let (events, seen) = mpsc::unbounded_channel();
    let tools = LiveTools {
        ledger: Arc::new(Ledger::open(place.stores.ledger()).expect("a new ledger")),
        vault: Vault::open(&place.root()).expect("a new archive"),
        client: Arc::new(place.client()),
        media: MediaClient::new(patience, place.guard()).expect("a client"),
        transfers: Arc::new(Transfers::start().expect("threads")),
        events,
        stop: CancellationToken::new(),
        clock: WallClock::simulated(place.platform.live_now(), place.platform.config().live_speed),
    };
    (tools, seen)
}

/// To record these cameras, up to `end` or for ever.
pub fn job(cameras: &[i64], end: Option<UtcSecond>) -> LiveJob {
    let camera = Camera { zone: Shanghai, secondary: false, hours: Vec::new(), until: end, until_is_relative: false };
    LiveJob {
        what: "a test".to_owned(),
        cameras: cameras.iter().map(|&number| (device(number), camera.clone())).collect(),
        platform_zone: Shanghai,
        tolerance_seconds: 5,
        stall: std::time::Duration::from_secs(1),
        min_free: 0,
        keep_attempts: std::time::Duration::from_secs(90 * 86_400),
        lease: LeaseTimes::default(),
        catalog_every: std::time::Duration::from_secs(3_600),
        seed: 1,
    }
}

/// Records cameras for so many seconds of theirs; gives what was asked for.
pub async fn record(place: &Place, cameras: &[i64], seconds: i64) -> (TimeRange, Summary) {
    let (tools, _events) = tools(place);
    let end = tools.clock.now().to_utc_second() + seconds;
    let summary = execute(job(cameras, Some(end)), tools).await.expect("it ends");
    (asked(place, cameras[0]).await, summary)
}

/// What was asked for of a camera, in one piece.
pub async fn asked(place: &Place, number: i64) -> TimeRange {
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    let asked = place.read_ledger().asked(vec![device(number)], ever).await.expect("the ledger answers");
    let [asked] = asked[&device(number)].ranges() else { panic!("{asked:?}") };
    *asked
}

/// What is missing in the ledger of everything, with why.
pub async fn gaps(place: &Place) -> Vec<(Cause, TimeRange)> {
    let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    gaps.into_iter().map(|gap| (gap.cause, gap.range)).collect()
}

/// How far a live piece may be from the truth, in seconds: half a second of this machine's, which with clocks that run so fast
/// is long.
fn slack(place: &Place) -> i64 {
    (place.platform.config().live_speed / 2.0).ceil() as i64
}

/// What viewers of a camera were sent, a little wider on both sides.
fn sent(place: &Place, number: i64) -> RangeSet {
    let of_camera = place.platform.live().into_iter().filter(|event| event.device == Some(device(number)));
    let slack = slack(place);
    let wider = |seconds: TimeRange| range(seconds.start() - slack, seconds.seconds() + 2 * slack);
    of_camera.filter_map(|event| event.seconds).map(wider).collect()
}

/// The pieces are what they should be: cut on the grid, each within what was sent, none over another.
pub async fn assert_pieces(place: &Place, number: i64) -> Vec<Recording> {
    place.assert_true(&[1, 2]).await;
    let (sent, pieces) = (sent(place, number), place.recordings(&[number]).await);
    for piece in pieces.iter().filter(|piece| piece.source == Source::Live) {
        assert!(sent.covers(&piece.range), "{} was never sent", piece.path);
        assert!(piece.range.seconds() <= GRID_SECONDS + slack(place), "{}", piece.path);
        let footage = piece.media.media_milliseconds / 1000;
        assert!(footage >= piece.range.seconds() - 5, "{}: {footage} s of footage", piece.path);
        assert!(piece.media.first_timestamp == 0 || !piece.path.ends_with(".flv"), "{}", piece.path);
        assert!(piece.clock_offset.is_some_and(|offset| offset.abs() < 5_000), "{:?}", piece.clock_offset);
    }
    for pair in pieces.windows(2).filter(|pair| pair[0].range.end() == pair[1].range.start()) {
        let past = pair[1].range.start().get().rem_euclid(GRID_SECONDS);
        // What HLS kept of the last seconds may close a gap, wherever the stream was asked for again.
        let is_cut = pair.iter().all(|piece| piece.path.ends_with("_live.flv"));
        let is_same = pair[0].media.picture_size == pair[1].media.picture_size;
        assert!(!is_cut || !is_same || past <= 2, "{} begins {past} s after the mark", pair[1].path);
    }
    pieces
}
