//! Live recording in process, on the clock of simulated cameras.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::clock::WallClock;
use archive::event::{Event, Summary};
use archive::ledger::Ledger;
use archive::live::{Camera, LiveJob, LiveTools, execute};
use archive::platform::client::{Account, Client};
use archive::platform::media::{MediaClient, Patience};
use archive::platform::sign::Algorithm;
use archive::report::GapQuery;
use archive::sim::Config;
use archive::sim::moment::Moment;
use archive::time_range::{TimeRange, UtcSecond};
use archive::vault::Vault;
use archive::window::Cause;
use chrono_tz::Asia::Shanghai;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{KEY, PATIENCE, Place, SECRET, device, fleet, range, yesterday};

/// A platform whose cameras' clocks begin a little after a grid mark of yesterday, and run so many times too fast.
pub fn fast(speed: f64, cameras: &[i64]) -> Config {
    Config {
        live_from: Moment::At((yesterday() + 123).into()),
        live_speed: speed,
        channel_life: "10m".parse().expect("a length"),
        ..fleet(&[(4, cameras)])
    }
}

/// What records, on the same clock as the cameras.
pub fn tools(place: &Place) -> (LiveTools, mpsc::UnboundedReceiver<Event>) {
    let account = Account {
        url: place.platform.url(),
        aid: "S107".to_owned(),
        akey: KEY.to_owned(),
        secret: SECRET.into(),
        algorithm: Algorithm::Md5,
        time_zone: Shanghai,
        timestamp_zone: Shanghai,
        calls_per_second: 1000.0,
        versions: BTreeMap::new(),
        call_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        login: None,
        bodies: BTreeMap::new(),
    };
    let second = std::time::Duration::from_secs(1);
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: second };
    std::fs::create_dir_all(place.root()).expect("a folder can be made");
    let (events, seen) = mpsc::unbounded_channel();
    let tools = LiveTools {
        ledger: Arc::new(Ledger::open(&place.ledger_path()).expect("a new ledger")),
        vault: Vault::open(&place.root()).expect("a new archive"),
        client: Arc::new(Client::new(account).expect("a client")),
        media: MediaClient::new(patience).expect("a client"),
        events,
        stop: CancellationToken::new(),
        clock: WallClock::simulated(place.platform.live_now(), place.platform.config().live_speed),
    };
    (tools, seen)
}

/// To record these cameras, up to `end` or for ever.
pub fn job(cameras: &[i64], end: Option<UtcSecond>) -> LiveJob {
    let camera = Camera { zone: Shanghai, secondary: false, hours: Vec::new(), until: end };
    LiveJob {
        what: "a test".to_owned(),
        cameras: cameras.iter().map(|&number| (device(number), camera.clone())).collect(),
        platform_zone: Shanghai,
        tolerance_seconds: 5,
        stall: std::time::Duration::from_secs(1),
        min_free: 0,
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
