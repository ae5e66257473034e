//! Settings: `jobs.toml`, the environment and flags, read and validated once, before anything starts.
//!
//! A flag wins over the environment, the environment over the file, the file over the defaults. Every mistake is
//! reported together, with file and line. Paths are relative to the current directory, wherever they are written.

mod devices;
mod jobs;
mod notify;
mod raw;
mod remark;
mod secret;
mod store;
mod validate;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveTime;
use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

pub use devices::{NotADeviceList, parse_device_list};
pub use notify::{NoticeSettings, NotifySettings, OnFinishSettings, OnRecordingSettings, PingSettings, UrlOrigin};
pub use remark::{Place, Remark, SettingsErrors};
pub use store::StoreSettings;

use crate::bandwidth::Ceilings;
use crate::calendar::{Asked, HourSpan};
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::ledger_place::LedgerPlace;
use crate::media_rule::MediaHost;
use crate::recording::Container;

/// Everything that can be set, except the account's secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where recordings go, and how many streams fetch them.
    pub archive: ArchiveSettings,
    /// How the platform is called.
    pub platform: PlatformSettings,
    /// What follows a failed attempt.
    pub retry: RetrySettings,
    /// How much may be deleted at once.
    pub prune: PruneSettings,
    /// The recorders that the file names, in its order.
    pub nvrs: Vec<NvrSettings>,
    /// The jobs of the file that fetch from NVRs, in its order.
    pub jobs: Vec<JobSettings>,
    /// The jobs of the file that record live, in its order.
    pub live_jobs: Vec<LiveJobSettings>,
    /// Who is told of runs, and what is run for them.
    pub notices: NoticeSettings,
    /// What is allowed and should not stay so; to be shown once.
    pub warnings: Vec<Remark>,
}

impl Settings {
    /// Reads the settings for a command that calls no platform: an account need not be there, and no secret is read.
    ///
    /// `environment` is asked for variables by name, so that tests need not change the process's own.
    pub fn load(flags: &Flags, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        validate::load(flags, environment)
    }

    /// Reads the settings that a file of that name with that text says, without flags and environment, and without any secret.
    pub fn of_text(name: &str, text: &str) -> Result<Self, SettingsErrors> {
        validate::of_text(name, text)
    }

    /// Reads the settings and the account's secrets: a file is read, or a command is run, for each.
    pub fn load_with_credentials(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Credentials), SettingsErrors> {
        validate::load_with_credentials(flags, environment)
    }

    /// Which of the file's recorders serves which device, and where they stand.
    pub fn nvr_map(&self) -> NvrMap {
        let mut map = NvrMap::default();
        for nvr in &self.nvrs {
            if let Some(store) = &nvr.store {
                map.set_store(nvr.name.clone(), store.clone());
            }
            for &device in &nvr.devices {
                map.assign(device, nvr.name.clone());
            }
        }
        map
    }
}

/// What flags may set; they win over everything else. Texts are as typed, and are read like those of the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`, or the file that `run` names; else `ARCHIVE_CONFIG`, else no file.
    pub config: Option<PathBuf>,
    /// `--url`
    pub url: Option<String>,
    /// `--aid`
    pub aid: Option<String>,
    /// `--akey`
    pub akey: Option<String>,
    /// `--root`
    pub root: Option<String>,
    /// `--ledger`
    pub ledger: Option<String>,
    /// `--time-zone`
    pub time_zone: Option<String>,
    /// `--streams`
    pub streams: Option<String>,
    /// `--per-nvr`
    pub per_nvr: Option<String>,
    /// `--most`
    pub most: Option<String>,
    /// `--max-share`
    pub max_share: Option<String>,
}

/// `[archive]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The folder of the recordings, or for people the address of the object store that has them. Default: `recordings`.
    pub root: PathBuf,
    /// The object store, when they are in one. Default: they are not.
    pub store: Option<StoreSettings>,
    /// Where the ledger is: a file, or the address of a PostgreSQL database. Default: `ledger.db` in the root.
    pub ledger: LedgerPlace,
    /// Whether an archive is in the root already, so that an empty one is a disk that is not mounted. Default: no.
    pub must_exist: bool,
    /// In which container what comes as FLV is archived, where that can hold it; never MPEG-TS. Default: FLV.
    pub container: Container,
    /// Bytes that must stay free on the root's disk, or on the spool's. Default: 5 GiB.
    pub min_free: u64,
    /// Downloads at once, over all NVRs. Default: 16.
    pub streams: usize,
    /// Downloads at once that an NVR is first asked for, before anything is learned of it. Default: 4.
    pub per_nvr: usize,
    /// How old a window's end must be before it is asked for. Default: 2 minutes.
    pub settle: Duration,
    /// How much of a window the media may miss and still be whole; below a minute. Default: 5 seconds.
    pub tolerance: Duration,
    /// How long a stream may send nothing. Default: 30 seconds.
    pub stall_timeout: Duration,
    /// How long a stream's first byte may take. Default: 60 seconds.
    pub first_byte_timeout: Duration,
    /// The most bytes per second over all streams, by the devices' local time. Default: no ceiling.
    pub bandwidth: Ceilings,
    /// How long the ledger keeps attempts one by one; of older ones it keeps sums. Default: 90 days.
    pub keep_attempts: Duration,
    /// How long a host that is not heard of keeps what it leased, where many share a ledger. Default: 30 seconds.
    pub lease: Duration,
    /// Where Prometheus' node exporter finds how the archive stands. Default: nowhere.
    pub metrics_file: Option<PathBuf>,
    /// The devices' local time, unless a job says otherwise. Default: Asia/Shanghai.
    pub time_zone: Tz,
    /// Whether anybody said so. If not, what the ledger knows of a device comes before the default.
    pub time_zone_is_stated: bool,
}

impl ArchiveSettings {
    /// Beside which file lies what belongs to the ledger and is of this machine alone: beside the ledger, or where it would be
    /// in the root's folder or the spool's.
    pub fn beside_ledger(&self) -> PathBuf {
        let here = || match &self.store {
            None => self.root.join("ledger.db"),
            Some(store) => store.spool.join(&store.bucket).join(&store.prefix).join("ledger.db"),
        };
        self.ledger.file().map_or_else(here, PathBuf::from)
    }
}

/// `[platform]`, without its secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformSettings {
    /// The gateway; http or https, without a user. Default: `https://openapi.opretail.com/m.api`. **\[sdk\]**
    pub url: Url,
    /// `_aid`. Default: `S107`. **\[doc\]**
    pub aid: String,
    /// `_sm`. Default: md5, as in the vendor's example. **\[doc\]**
    pub signature: Signature,
    /// The zone of `startTime` and `endTime`, which is **\[unknown\]**. Default: Asia/Shanghai.
    pub time_zone: Tz,
    /// The zone of `_timestamp`, which is **\[unknown\]**. Default: Asia/Shanghai.
    pub timestamp_zone: Tz,
    /// The most calls per second; above 0. The platform's own limit is **\[unknown\]**. Default: 5.
    pub calls_per_second: f64,
    /// How long one call may take. Default: 30 seconds.
    pub call_timeout: Duration,
    /// How long a connection may take. Default: 10 seconds.
    pub connect_timeout: Duration,
    /// `_version` of those methods for which it is not `v1`. Default: none.
    pub versions: BTreeMap<String, String>,
    /// How the parameters of those methods travel for which that is not a form. Default: none.
    pub bodies: BTreeMap<String, Body>,
    /// Hosts that are asked for media although they are not in the internet, and the gateway is. Default: none.
    pub media_hosts: Vec<MediaHost>,
}

/// Where a method's own parameters are when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// In a form, as the vendor's pages have it. **\[doc\]**
    Form,
    /// In a JSON object. **\[sdk\]**
    Json,
}

/// The algorithm that signs calls. **\[doc\]**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// `_sm=md5`
    Md5,
    /// `_sm=sha1`
    Sha1,
}

/// What proves to the platform who calls.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The developer's access key.
    pub akey: String,
    /// The secret that belongs to the key.
    pub secret: SecretString,
    /// `[platform.login]`, for methods that want a user token.
    pub login: Option<Login>,
}

/// A user of the platform's main site.
#[derive(Clone, Debug)]
pub struct Login {
    /// By which method it logs in.
    pub kind: LoginKind,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

/// The method of a login. **\[sdk\]**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// `mobileLogin`, on `m.api`. The default.
    Mobile,
    /// `ssoLogin`, on `cloud.api`.
    Sso,
}

/// `[retry]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// The delay after a first failure; each further one doubles it. Default: 10 seconds.
    pub first_delay: Duration,
    /// The longest delay. Default: 10 minutes.
    pub max_delay: Duration,
    /// Failed attempts at one window in one run, before it is left as a gap. Default: 6.
    pub attempts: u32,
    /// How often in a row a camera or an NVR may be busy or offline in one run, without a recording in between, before what
    /// is left of it stays a gap. Default: 40.
    pub busy_attempts: u32,
    /// An NVR that refuses more than this share of its calls while it is online (above 0, up to 1) is left alone for
    /// `max_delay`, and named in the summary. Default: 0.5.
    pub refused_share: f64,
    /// How long after an empty or a short answer the same is asked again. Default: 5 minutes.
    pub recheck_after: Duration,
}

/// `[prune]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PruneSettings {
    /// The most bytes that one run deletes, the oldest first. Default: no cap.
    pub most: Option<u64>,
    /// When more than this share of the archive's time is due (above 0, up to 1), nothing is deleted. Default: 0.2.
    pub max_share: f64,
}

/// One `[[nvr]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvrSettings {
    /// Its name, which no other has.
    pub name: NvrId,
    /// The cameras that hang off it, and off no other.
    pub devices: BTreeSet<DeviceId>,
    /// The most downloads at once that it may be asked for. Default: what is learned.
    pub channels: Option<usize>,
    /// How long it keeps footage. Default: not known.
    pub footage: Option<Duration>,
    /// The store that it stands in. Default: not known.
    pub store: Option<String>,
}

/// One `[[job]]` of kind `live`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveJobSettings {
    /// Its name, which no other job has.
    pub name: String,
    /// The cameras, none of which is in another live job.
    pub devices: BTreeSet<DeviceId>,
    /// Daily hours in the job's zone; none means all.
    pub hours: Vec<HourSpan>,
    /// Whether their secondary streams are recorded instead of the main ones. Default: no.
    pub secondary: bool,
    /// The zone in which its hours are read. Default: the devices' local time.
    pub time_zone: Option<Tz>,
    /// How old what is recorded of its cameras may get, a day at least. Default: it is kept for ever.
    pub keep: Option<Duration>,
}

/// One `[[job]]`, of kind `download` unless it says otherwise
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// Its name, which no other has.
    pub name: String,
    /// The cameras.
    pub devices: BTreeSet<DeviceId>,
    /// The range of time.
    pub asked: Asked,
    /// Daily hours in the job's zone; none means all.
    pub hours: Vec<HourSpan>,
    /// The local time after which nothing new starts. Default: none.
    pub stop_at: Option<NaiveTime>,
    /// The zone in which the job's times are read. Default: the devices' local time.
    pub time_zone: Option<Tz>,
    /// How old what is recorded of its cameras may get, a day at least. Default: it is kept for ever.
    pub keep: Option<Duration>,
}

#[cfg(test)]
mod tests;
