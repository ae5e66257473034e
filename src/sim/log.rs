//! What happened: every call and every stream, kept for tests, and as JSON lines in a file for whoever watches from
//! outside.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};

use crate::device::{DeviceId, NvrId};
use crate::instant::Instant;
use crate::sim::error::SimError;
use crate::sim::fault::{LiveFault, MediaFault};
use crate::sim::model::Lease;
use crate::time_range::TimeRange;

/// One call of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// When it came, in milliseconds since 1970 on the platform's clock.
    #[serde(serialize_with = "millis")]
    pub at: Instant,
    /// When it was answered, likewise; nothing when it was not.
    #[serde(serialize_with = "millis_if_any")]
    pub answered: Option<Instant>,
    /// `_mt`, as it was sent; empty when it was not.
    pub method: String,
    /// The device of a `startRecReqDown` or a `startNewMediaPlay`.
    pub device: Option<DeviceId>,
    /// The recorder of that device; nothing when the set-up has none for it.
    pub nvr: Option<NvrId>,
    /// Its range; nothing when it was malformed.
    pub range: Option<TimeRange>,
    /// The HTTP status; 0 when no answer was given.
    pub http: u16,
    /// `stat.code`; nothing when another body was forced.
    pub stat: Option<i64>,
    /// `data.result`.
    pub result: Option<i64>,
    /// The number of the download, when one was accepted.
    pub lease: Option<Lease>,
    /// What a `startNewMediaPlay` asked for; nothing when it was malformed.
    pub play: Option<LiveCall>,
}

/// What a `startNewMediaPlay` asked for, and came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LiveCall {
    /// The secondary stream instead of the main one.
    pub secondary: bool,
    /// Whether the channel was to be a standing one.
    pub permanent: bool,
    /// The number of the channel, when one was opened.
    pub channel: Option<u64>,
}

/// In which form a live channel is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveForm {
    /// HTTP-FLV: one request for as long as it is watched.
    Flv,
    /// A playlist, a segment, or what initializes segments: a request each.
    Hls,
}

/// One event of a live channel's URLs. A viewer of FLV comes and leaves, which are two; a request of HLS is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveRecord {
    /// When, in milliseconds since 1970 on the platform's clock.
    #[serde(serialize_with = "millis")]
    pub at: Instant,
    /// What. A live stream is never sent whole; one whose camera goes off has failed.
    pub live: MediaEvent,
    /// How it is watched.
    pub form: LiveForm,
    /// The number of the channel; nothing when it is unknown or closed.
    pub channel: Option<u64>,
    /// Its camera.
    pub device: Option<DeviceId>,
    /// The seconds, on its camera's clock, whose pictures an FLV has carried so far, or an HLS segment carries.
    pub seconds: Option<TimeRange>,
    /// Those in the middle of them that a pause of an FLV left out.
    pub left_out: Option<TimeRange>,
    /// What was to go wrong.
    pub fault: Option<LiveFault>,
    /// Bytes handed to the connection so far.
    pub bytes: u64,
}

/// What happened to a media URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaEvent {
    /// It was opened.
    Opened,
    /// Its last byte was sent.
    SentWhole,
    /// Its fault ended it.
    Failed,
    /// The client went away before the end.
    Dropped,
    /// It was asked for when it was unknown, used up or expired.
    Refused,
}

/// One event of a media URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaRecord {
    /// When, in milliseconds since 1970 on the platform's clock.
    #[serde(serialize_with = "millis")]
    pub at: Instant,
    /// What.
    pub media: MediaEvent,
    /// The number of the download.
    pub lease: Lease,
    /// Its device and range; nothing of a URL that was refused.
    pub device: Option<DeviceId>,
    /// See `device`.
    pub range: Option<TimeRange>,
    /// What was to go wrong.
    pub fault: Option<MediaFault>,
    /// Bytes handed to the connection so far.
    pub bytes: u64,
}

fn millis<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_millis())
}

fn millis_if_any<S: Serializer>(at: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(Instant::as_millis).serialize(serializer)
}

/// Everything that happened, in order.
pub struct Log {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    calls: Vec<CallRecord>,
    media: Vec<MediaRecord>,
    live: Vec<LiveRecord>,
    file: Option<File>,
}

impl Log {
    /// A log that is kept in memory, and written to `path` when there is one.
    pub fn new(path: Option<&Path>) -> Result<Self, SimError> {
        let open = |path: &Path| {
            let opened = File::options().create(true).append(true).open(path);
            opened.map_err(|source| SimError::Log { path: path.to_owned(), source })
        };
        let file = path.map(open).transpose()?;
        Ok(Self { kept: Mutex::new(Kept { file, ..Kept::default() }) })
    }

    /// Adds a call.
    pub fn call(&self, record: CallRecord) {
        let mut kept = self.kept();
        kept.write(&record);
        kept.calls.push(record);
    }

    /// Adds an event of a media URL.
    pub fn media(&self, record: MediaRecord) {
        let mut kept = self.kept();
        kept.write(&record);
        kept.media.push(record);
    }

    /// Adds an event of a live channel.
    pub fn live(&self, record: LiveRecord) {
        let mut kept = self.kept();
        kept.write(&record);
        kept.live.push(record);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.kept().calls.clone()
    }

    /// Every event of media URLs so far.
    pub fn media_events(&self) -> Vec<MediaRecord> {
        self.kept().media.clone()
    }

    /// Every event of live channels so far.
    pub fn live_events(&self) -> Vec<LiveRecord> {
        self.kept().live.clone()
    }

    /// OK to go on after a panic elsewhere: records are only ever added whole.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Writes one line in one call, so that it is in the file, whole, before the answer is sent.
    fn write(&mut self, record: &impl Serialize) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(record).map_err(std::io::Error::other).and_then(|mut line| {
            line.push(b'\n');
            file.write_all(&line)
        });
        if let Err(error) = written {
            tracing::error!("the simulated platform's log ends here: {error}");
            self.file = None;
        }
    }
}
