//! A set-up of the simulated platform: its stores, recorders and cameras, what goes wrong, and how fast it sends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::device::DeviceId;
use crate::sim::channels::Codec;
use crate::sim::error::SimError;
use crate::sim::fault::Profile;
use crate::sim::footage::Hole;
use crate::sim::hls::HlsForm;
use crate::sim::moment::{Length, Moment, Period};

mod rehearsal;

/// How fast a stream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the client reads.
    #[default]
    Max,
    /// So many seconds of media each second; 1 is playback speed.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            // A thousandth already makes a week of ten minutes.
            Ok(times) if times.is_finite() && times >= 0.001 => Ok(Self::Times(times)),
            _ if text == "max" => Ok(Self::Max),
            _ => Err(format!("{text:?} is no speed: write \"max\" or how many times playback speed, such as \"20\"")),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An FLV tag may hold 16 MiB less a byte, and a reader may stop believing sooner.
const MOST_FILLER: u32 = 4 << 20;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The usual error would quote what is there instead.
        let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("write it in quotes"))?;
        Ok(Self(text))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What `startRecReqDown` makes of a window without any footage. **\[unknown\]** which of them the vendor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoFootage {
    /// A URL whose stream is a header and metadata without frames.
    #[default]
    Header,
    /// A URL whose stream has no byte.
    Nothing,
    /// `data.result` -1.
    Refuse,
}

/// Where a stream's timestamps begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstTimestamp {
    /// At 0.
    #[default]
    Zero,
    /// At the camera's uptime, which follows from the seed; it may wrap at 32 bits.
    Uptime,
}

/// The account that the user token is got with. When it is set, the methods of the devices want the token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// `userName`.
    pub user: String,
    /// `password`.
    pub password: Hidden,
    /// How long a token is good after a login.
    #[serde(default = "one_day")]
    pub token_life: Length,
}

/// A whole set-up. Everything that it leaves out has the default named here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What every draw follows from; 1.
    pub seed: u64,
    /// The access key; `rehearsal`.
    pub akey: String,
    /// The secret of the access key; `rehearsal-secret`.
    pub secret: Hidden,
    /// The application's number; `S107`.
    pub aid: String,
    /// Whether the access key has expired (code 3); false.
    pub key_expired: bool,
    /// The zone of `_timestamp`, `startTime` and `endTime`; `Asia/Shanghai`.
    pub zone: Tz,
    /// How far `_timestamp` may be from the platform's clock, either way; 10 minutes.
    pub timestamp_slack: Length,
    /// How far the platform's clock is ahead of this machine's; 0.
    pub clock_ahead: Length,
    /// Whether a call passes that is the same as one before, and so was made within the same second: for live cameras' clocks
    /// that run so fast that a second is minutes. Default: no.
    pub allows_repeats: bool,
    /// What goes wrong by itself; nothing.
    pub faults: Profile,
    /// How fast streams are sent; as fast as they are read.
    pub speed: Speed,
    /// How long the gateway takes to answer; 0. What it answers is settled when the call comes.
    pub answer_after: Length,
    /// How long a URL that nobody opens is good, and keeps its camera and its channel; 30 s.
    pub url_life: Length,
    /// How long the first byte of a stream waits for the recorder; 0. **\[unknown\]** whether it does.
    pub first_byte_after: Length,
    /// How long a camera stays busy (-3) after a stream that did not end whole; 0, and 3 s with hostile faults.
    /// **\[unknown\]** whether it does.
    pub busy_after_drop: Option<Length>,
    /// What a window without any footage gives; a header.
    pub no_footage: NoFootage,
    /// What a hole inside a window looks like; squeezed out.
    pub hole: Hole,
    /// Bytes of filler behind each of a recording's five pictures a second, for footage as large as a better camera's; 0, and
    /// 4 MiB at most.
    pub filler: u32,
    /// Where timestamps begin; at 0.
    pub first_timestamp: FirstTimestamp,
    /// Whether a URL names the camera's MAC address before its recorder's; false. **\[unknown\]** whether it does.
    pub camera_mac_first: bool,
    /// Where recordings are served when not here: what stands before `<device>_<start>_<seconds>.flv` in every media URL, the start
    /// in seconds since 1970; `{macs}` in it is `FLV_<camera>_<recorder>_<time>`. Nobody here sees such a stream, so it takes no
    /// channel, and nothing goes wrong with it. Here.
    pub media_base: Option<String>,
    /// How long a live channel waits for its first viewer; 10 s. **\[doc\]**
    pub channel_life: Length,
    /// What the clocks of live cameras show when the platform starts; the platform's own time.
    pub live_from: Moment,
    /// How many times too fast those clocks run; 1. From an hour before the start, with 60, an hour of live pictures passes in
    /// a minute and ends at the time that it then is.
    pub live_speed: f64,
    /// In which form HLS comes; MPEG-TS.
    pub hls: HlsForm,
    /// Whether `tlsflv` and `tlshls` are given too; false. Nothing here speaks TLS: they are the same http URLs.
    pub tls_urls: bool,
    /// The account for the user token; none is wanted.
    pub login: Option<LoginConfig>,
    /// The stores.
    pub stores: Vec<StoreConfig>,
}

/// A store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its recorders.
    #[serde(default)]
    pub nvrs: Vec<NvrConfig>,
    /// Its cameras that are not under a recorder (-2).
    #[serde(default)]
    pub loose_cameras: Vec<CameraConfig>,
}

/// A recorder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvrConfig {
    /// Its `puid`.
    pub id: String,
    /// How many recordings it plays at a time; 4.
    #[serde(default = "four")]
    pub channels: u32,
    /// Channels that somebody else's playback takes at times; this is also how the number of channels changes.
    #[serde(default)]
    pub taken: Vec<Taken>,
    /// When it is not online (1).
    #[serde(default)]
    pub offline: Vec<Period>,
    /// When its CPU is too busy (-5).
    #[serde(default)]
    pub overloaded: Vec<Period>,
    /// How far back it keeps footage; 30 days.
    #[serde(default = "thirty_days")]
    pub keeps: Length,
    /// Its cameras.
    #[serde(default)]
    pub cameras: Vec<CameraConfig>,
}

/// Playback channels that are taken for some time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// How many.
    pub channels: u32,
    /// When.
    pub during: Period,
}

/// A camera.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// Its device number.
    pub id: i64,
    /// Its name; `camera N` when it is left out.
    #[serde(default)]
    pub name: String,
    /// When there is no footage of it, in whole seconds.
    #[serde(default)]
    pub holes: Vec<Period>,
    /// When somebody else plays it (-6).
    #[serde(default)]
    pub played: Vec<Period>,
    /// Whether this user may not use it (103064).
    #[serde(default)]
    pub refused: bool,
    /// How its live pictures are coded; H.264. Recordings are H.264 here, whatever it says.
    #[serde(default)]
    pub codec: Codec,
    /// When it is off: it sends nothing live, and there is no footage of it.
    #[serde(default)]
    pub offline: Vec<Period>,
    /// Where its live streams are served when not here: a call is answered with exactly these URLs, for both of its streams,
    /// and opens no channel.
    #[serde(default)]
    pub live_urls: Option<LiveUrls>,
}

/// The URLs of a live stream that somebody else serves; those that are left out are not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveUrls {
    /// HTTP-FLV.
    pub flv: String,
    /// RTMP.
    pub rtmp: String,
    /// HLS.
    pub hls: String,
    /// RTSP.
    pub rtsp: String,
    /// HTTP-FLV over TLS.
    pub tlsflv: String,
    /// HLS over TLS.
    pub tlshls: String,
}

fn four() -> u32 {
    4
}

fn thirty_days() -> Length {
    Length::seconds(30 * 86_400)
}

fn one_day() -> Length {
    Length::seconds(86_400)
}

impl Default for NvrConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            channels: four(),
            taken: Vec::new(),
            offline: Vec::new(),
            overloaded: Vec::new(),
            keeps: thirty_days(),
            cameras: Vec::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            akey: "rehearsal".into(),
            secret: Hidden::new("rehearsal-secret"),
            aid: "S107".into(),
            key_expired: false,
            zone: chrono_tz::Asia::Shanghai,
            timestamp_slack: Length::seconds(600),
            clock_ahead: Length::default(),
            allows_repeats: false,
            faults: Profile::None,
            speed: Speed::Max,
            answer_after: Length::default(),
            url_life: Length::seconds(30),
            first_byte_after: Length::default(),
            busy_after_drop: None,
            no_footage: NoFootage::default(),
            hole: Hole::default(),
            filler: 0,
            first_timestamp: FirstTimestamp::default(),
            camera_mac_first: false,
            media_base: None,
            channel_life: Length::seconds(10),
            live_from: Moment::FromStart(Length::default()),
            live_speed: 1.0,
            hls: HlsForm::default(),
            tls_urls: false,
            login: None,
            stores: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a set-up from TOML and checks it; every mistake of the second kind is reported together.
    pub fn from_toml(text: &str) -> Result<Self, SimError> {
        let config: Self = toml::from_str(text).map_err(|error| SimError::Config(named(text, &error)))?;
        config.check()?;
        Ok(config)
    }

    /// How long a camera stays busy after a stream that did not end whole.
    pub fn busy_after_drop(&self) -> Length {
        let usual = if self.faults == Profile::Hostile { Length::seconds(3) } else { Length::default() };
        self.busy_after_drop.unwrap_or(usual)
    }

    /// Where the live streams of some cameras are served when not here.
    pub fn live_urls(&self) -> BTreeMap<DeviceId, LiveUrls> {
        let cameras = self.stores.iter().flat_map(StoreConfig::cameras);
        // OK to leave out a negative number: the set-up is checked for it.
        cameras.filter_map(|camera| Some((DeviceId::new(camera.id)?, camera.live_urls.clone()?))).collect()
    }

    /// Whether the parts fit together.
    pub fn check(&self) -> Result<(), SimError> {
        let mut problems = Vec::new();
        let mut devices = BTreeSet::new();
        let mut recorders = BTreeSet::new();
        for store in &self.stores {
            for nvr in &store.nvrs {
                if !recorders.insert(nvr.id.as_str()) {
                    problems.push(format!("the recorder {:?} is there twice", nvr.id));
                }
            }
            for camera in store.cameras() {
                if camera.id < 0 {
                    problems.push(format!("device {}: numbers begin at 0", camera.id));
                }
                if !devices.insert(camera.id) {
                    problems.push(format!("device {} is there twice", camera.id));
                }
            }
        }
        if self.url_life <= Length::default() {
            problems.push("url_life must be longer than 0".into());
        }
        if self.channel_life <= Length::default() {
            problems.push("channel_life must be longer than 0".into());
        }
        if self.filler > MOST_FILLER {
            problems.push(format!("filler: {} bytes are more than {MOST_FILLER}", self.filler));
        }
        // A live stream has no end, and so no "max".
        if !(0.001..=1000.0).contains(&self.live_speed) {
            problems.push(format!("live_speed: {} is not between 0.001 and 1000", self.live_speed));
        }
        if problems.is_empty() { Ok(()) } else { Err(SimError::Config(problems.join("; "))) }
    }
}

/// What is wrong and in which line. The line itself is not shown: it may be the secret's.
fn named(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

impl StoreConfig {
    /// All of its cameras, those without a recorder last.
    pub fn cameras(&self) -> impl Iterator<Item = &CameraConfig> {
        self.nvrs.iter().flat_map(|nvr| &nvr.cameras).chain(&self.loose_cameras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the README beside this module offers to copy.
    const EXAMPLE: &str = include_str!("example.toml");

    #[test]
    fn a_set_up_is_read_from_toml() {
        let config = Config::from_toml(EXAMPLE).expect("the example is right");
        assert_eq!((config.seed, config.faults, config.speed), (7, Profile::Hostile, Speed::Times(20.0)));
        assert_eq!(config.stores[0].cameras().map(|camera| camera.id).collect::<Vec<_>>(), [5, 6, 9]);
        assert_eq!(config.live_urls()[&DeviceId::new(6).expect("six")].rtmp, "rtmp://127.0.0.1/6");
        assert_eq!(config.stores[0].nvrs[0].taken[0].channels, 1);
    }

    #[test]
    fn the_secret_and_the_password_are_not_printed() {
        let shown = format!("{:?}", Config::from_toml(EXAMPLE).expect("the example is right"));
        assert!(!shown.contains("hush") && !shown.contains("watch"), "{shown}");
    }

    #[test]
    fn a_mistake_in_the_secrets_line_does_not_show_it() {
        let error = Config::from_toml(&EXAMPLE.replacen("\"hush\"", "\"hush", 1)).expect_err("no end").to_string();
        assert!(error.contains("line 9:") && !error.contains("hush"), "{error}");
        let error = Config::from_toml("secret = 987654").expect_err("not text").to_string();
        assert!(error.contains("line 1:") && !error.contains("987654"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, named) in [
            ("seed", "sede", "sede"),
            ("id = 9", "id = 5", "device 5 is there twice"),
            ("\"20\"", "\"fast\"", "is no speed"),
            ("live_speed = 60.0", "live_speed = 0.0", "live_speed: 0 is not between"),
            ("\"h265\"", "\"h266\"", "h266"),
            ("rtmp =", "rtpm =", "rtpm"),
            ("id = 9", "id = -1", "device -1"),
        ] {
            let error = Config::from_toml(&EXAMPLE.replacen(from, to, 1)).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
