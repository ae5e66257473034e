//! The simulated platform's server: the one place that reads a clock and holds the sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::sim::config::{Config, Hidden, LiveUrls, Speed};
use crate::sim::error::SimError;
use crate::sim::fault::Profile;
use crate::sim::gateway::Sent;
use crate::sim::live;
use crate::sim::log::{CallRecord, LiveRecord, Log, MediaEvent, MediaRecord};
use crate::sim::media;
use crate::sim::model::{Lease, Play};
use crate::sim::moment::Length;
use crate::sim::script::{Scripted, Trouble};
use crate::sim::world::World;
use crate::time_range::{RangeSet, TimeRange};

/// How long a shutdown waits for connections to end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// What every request needs.
pub struct Shared {
    /// The set-up.
    pub config: Config,
    /// Set when the server ends: nothing waits any longer.
    pub stop: CancellationToken,
    /// `http://host:port`, in front of every media URL.
    pub origin: String,
    log: Log,
    clock: Clock,
    world: Mutex<World>,
}

/// The platform's clock: the machine's, read once and carried on by tokio's, and as far ahead as the set-up says.
struct Clock {
    start: Instant,
    since: tokio::time::Instant,
}

impl Clock {
    fn new(config: &Config) -> Self {
        let start = Instant::from_millis(wall_clock().as_millis().saturating_add(config.clock_ahead.as_millis()));
        Self { start, since: tokio::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        self.start + self.since.elapsed()
    }
}

/// This machine's clock. One that is set before 1970 reads as 1970.
fn wall_clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_millis(0) + since
}

impl Shared {
    /// The time on the platform's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    // The world stays locked while the log is written, so that the log's order is the order in which things happened.

    /// Opens a download's URL; nothing when it is unknown, used up or expired.
    pub fn open(&self, lease: Lease) -> Option<Play> {
        let mut world = self.world();
        let at = self.now();
        let play = world.model.open(lease, at);
        self.log.media(MediaRecord {
            at,
            media: if play.is_some() { MediaEvent::Opened } else { MediaEvent::Refused },
            lease,
            device: play.as_ref().map(|play| play.window.device),
            range: play.as_ref().map(|play| play.window.range),
            fault: play.as_ref().and_then(|play| play.fault.clone()),
            bytes: 0,
        });
        play
    }

    /// Says that a request for a download's URL has ended.
    pub fn close(&self, record: MediaRecord) {
        let mut world = self.world();
        world.model.close(record.lease, record.media == MediaEvent::SentWhole, record.at);
        self.log.media(record);
    }

    /// Looks at the world or changes it, at one moment, and writes down what came of it.
    pub fn with_world<T>(&self, change: impl FnOnce(&mut World, &Log, Instant) -> T) -> T {
        let mut world = self.world();
        let now = self.now();
        change(&mut world, &self.log, now)
    }

    /// OK to go on after a panic elsewhere: what it holds is a rehearsal's state, and every use leaves it whole.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `archive simulate` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Overrides the set-up's access key.
    pub akey: Option<String>,
    /// Overrides the set-up's secret.
    pub secret: Option<Hidden>,
    /// Overrides the set-up's seed.
    pub seed: Option<u64>,
    /// Overrides the set-up's faults.
    pub faults: Option<Profile>,
    /// Overrides the set-up's speed.
    pub speed: Option<Speed>,
    /// The set-up; the rehearsal's when there is none.
    pub config: Option<PathBuf>,
    /// Where to write a JSON line for each call and each event of a stream.
    pub log: Option<PathBuf>,
}

/// Starts what `archive simulate` is told to start.
pub async fn serve(options: Options) -> Result<Running, SimError> {
    let mut config = match &options.config {
        Some(path) => {
            let read = tokio::fs::read_to_string(path).await;
            let text = read.map_err(|source| SimError::Read { path: path.clone(), source })?;
            Config::from_toml(&text)?
        }
        None => Config::rehearsal(wall_clock()),
    };
    config.akey = options.akey.unwrap_or(config.akey);
    config.secret = options.secret.unwrap_or(config.secret);
    config.seed = options.seed.unwrap_or(config.seed);
    config.faults = options.faults.unwrap_or(config.faults);
    config.speed = options.speed.unwrap_or(config.speed);
    start_logging(config, options.listen, options.log.as_deref()).await
}

/// Starts a simulated platform inside this process.
pub async fn start(config: Config, listen: SocketAddr) -> Result<Running, SimError> {
    start_logging(config, listen, None).await
}

/// Starts the rehearsal's platform on a free port of the loopback interface.
pub async fn start_rehearsal() -> Result<Running, SimError> {
    start(Config::rehearsal(wall_clock()), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

async fn start_logging(config: Config, listen: SocketAddr, log: Option<&Path>) -> Result<Running, SimError> {
    config.check()?;
    let failed = |source| SimError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let mut address = listener.local_addr().map_err(failed)?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let clock = Clock::new(&config);
    let shared = Arc::new(Shared {
        world: Mutex::new(World::new(&config, clock.start)),
        log: Log::new(log)?,
        stop: CancellationToken::new(),
        origin: format!("http://{address}"),
        clock,
        config,
    });
    let router = Router::new()
        .route("/m.api", post(call))
        .route("/{file}", get(file))
        .route("/rtsp/{channel}/{file}", get(live_file))
        .with_state(Arc::clone(&shared));
    let stop = shared.stop.clone();
    let server = tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!("the simulated platform stopped listening: {error}");
        }
    });
    Ok(Running { shared, server })
}

/// Answers a call of the gateway.
async fn call(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sent = Sent::read(query.as_deref().unwrap_or(""), &headers, &body);
    let reply = {
        let mut world = shared.world();
        // Whoever reached the gateway under a name reaches the media server under it too.
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin = host.map_or_else(|| shared.origin.clone(), |host| format!("http://{host}"));
        let reply = world.call(&origin, &headers, &sent, shared.now());
        shared.log.call(reply.record.clone());
        reply
    };
    let Some(response) = reply.response else {
        shared.stop.cancelled().await;
        return Response::default();
    };
    if shared.config.answer_after > Length::default() {
        tokio::select! {
            () = tokio::time::sleep(shared.config.answer_after.to_duration()) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    response
}

/// Answers a media URL: `FLV_<recorder>_<camera>_<time>_<number>.flv`, or with the two addresses the other way round.
async fn file(State(shared): State<Arc<Shared>>, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    let number = name.strip_suffix(".flv").and_then(|name| name.rsplit_once('_')).map(|(_, number)| number);
    // Lease 0 does not exist, and is refused like every other that is unknown.
    let lease = number.and_then(|number| Lease::from_str_radix(number, 16).ok()).unwrap_or(0);
    media::serve(shared, lease, &headers)
}

/// Answers a live channel's URL: `live.flv`, `index.m3u8`, or one of the files that the playlist names.
async fn live_file(State(shared): State<Arc<Shared>>, UrlPath((channel, name)): UrlPath<(String, String)>) -> Response {
    if name == "live.flv" { live::serve_flv(shared, channel) } else { live::serve_hls(&shared, &channel, &name) }
}

/// A simulated platform that is running.
pub struct Running {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Running {
    /// The gateway's URL.
    pub fn url(&self) -> String {
        format!("{}/m.api", self.shared.origin)
    }

    /// The set-up.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The time on the platform's clock.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// The time on the clocks of live cameras.
    pub fn live_now(&self) -> Instant {
        self.shared.with_world(|world, _, now| world.channels.clock().at(now))
    }

    /// Every call of the gateway so far, in order.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.shared.log.calls()
    }

    /// Every opening and ending of a stream so far, in order.
    pub fn media(&self) -> Vec<MediaRecord> {
        self.shared.log.media_events()
    }

    /// Every event of live channels so far, in order.
    pub fn live(&self) -> Vec<LiveRecord> {
        self.shared.log.live_events()
    }

    /// How many live channels are open.
    pub fn open_channels(&self) -> usize {
        self.shared.with_world(|world, _, now| world.channels.count(now))
    }

    /// The seconds of `range` of which footage exists now.
    pub fn truth(&self, device: DeviceId, range: TimeRange) -> RangeSet {
        let now = self.now();
        self.shared.world().model.truth(device, range, now)
    }

    /// Forces the next answers to `startRecReqDown` for `device`, one by one.
    pub fn script(&self, device: DeviceId, answers: impl IntoIterator<Item = Scripted>) {
        self.shared.world().scripts.add(device, answers);
    }

    /// Forces the next answers to `startNewMediaPlay` for `device`, one by one.
    pub fn script_live(&self, device: DeviceId, answers: impl IntoIterator<Item = Scripted>) {
        self.shared.world().scripts.add_live(device, answers);
    }

    /// Forces the next answers to a method, one by one, for whatever it is called.
    pub fn script_method(&self, method: &str, answers: impl IntoIterator<Item = Scripted>) {
        self.shared.world().scripts.add_for_method(method, answers);
    }

    /// Puts a recorder into that trouble from now on, or out of it; what the set-up says of it goes on beside.
    pub fn trouble(&self, nvr: &NvrId, trouble: Option<Trouble>) {
        self.shared.world().model.trouble(nvr, trouble);
    }

    /// Says where somebody else serves the live streams of `device` from now on, of which calls then give exactly these URLs.
    /// A [`Scripted::Live`] does nothing to them.
    pub fn set_live_urls(&self, device: DeviceId, urls: LiveUrls) {
        self.shared.world().live_urls.insert(device, urls);
    }

    /// Ends the user token before its time.
    pub fn revoke_token(&self) {
        self.shared.world().revoke_token();
    }

    /// The most streams of each device that were open at once.
    pub fn max_open_per_device(&self) -> BTreeMap<DeviceId, u32> {
        self.shared.world().model.most_open().clone()
    }

    /// The most streams of each recorder that were open at once.
    pub fn max_open_per_nvr(&self) -> BTreeMap<NvrId, u32> {
        self.shared.world().model.most_open_by_nvr().clone()
    }

    /// Breaks off whatever streams, and stops listening.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        let mut server = self.server;
        if tokio::time::timeout(SHUTDOWN_PATIENCE, &mut server).await.is_err() {
            server.abort();
        }
    }
}
