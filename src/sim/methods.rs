//! What the methods besides the download answer, and how the parameters of downloads and live streams are read.

use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::device::DeviceId;
use crate::instant::Instant;
use crate::platform::wire::{LONGEST_DOWNLOAD_SECONDS, Play, TIME_FORMAT};
use crate::sim::answer::{PARAMETER_ERROR, RANGE_ERROR};
use crate::sim::channels::{Codec, Wanted};
use crate::sim::config::{CameraConfig, LiveUrls, LoginConfig, StoreConfig};
use crate::sim::draw::{draw, of_text};
use crate::sim::gateway::Parameters;
use crate::sim::model::Model;
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Window;

/// The device that a download is asked for.
pub fn device(parameters: &Parameters) -> Option<DeviceId> {
    parameters.get("id")?.parse().ok()
}

/// The window that a download is asked for. The error is a `stat.code`.
pub fn window(parameters: &Parameters, zone: Tz) -> Result<Window, i64> {
    let device = device(parameters).ok_or(PARAMETER_ERROR)?;
    let label = |name: &str| NaiveDateTime::parse_from_str(parameters.get(name)?, TIME_FORMAT).ok();
    let (Some(from), Some(to)) = (label("startTime"), label("endTime")) else { return Err(RANGE_ERROR) };
    // The labels' difference is what is asked for, on a day of a clock change too: a recorder knows no zones.
    let start = zone.from_local_datetime(&from).earliest().ok_or(RANGE_ERROR)?;
    let start = UtcSecond::new(start.timestamp());
    let range = TimeRange::new(start, start + (to - from).num_seconds());
    let range = range.filter(|range| range.seconds() <= LONGEST_DOWNLOAD_SECONDS);
    range.map(|range| Window { device, range }).ok_or(RANGE_ERROR)
}

/// The camera that a live stream is asked of.
pub fn watched_device(parameters: &Parameters) -> Option<DeviceId> {
    parameters.get("deviceId")?.parse().ok()
}

/// Which live stream is asked for. The error is a `stat.code`. A standing channel wants a time; a time alone makes none.
/// **\[doc\]**
pub fn wanted(parameters: &Parameters) -> Result<Wanted, i64> {
    let device = watched_device(parameters).ok_or(PARAMETER_ERROR)?;
    let secondary = match parameters.get("isSlave").map(String::as_str) {
        Some("0") => false,
        Some("1") => true,
        _ => return Err(PARAMETER_ERROR),
    };
    let standing = match parameters.get("permanent").map(String::as_str) {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(PARAMETER_ERROR),
    };
    let timeout: Option<i64> = match parameters.get("timeout").map(String::as_str) {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_no_number| PARAMETER_ERROR)?),
    };
    let standing_until = match (standing, timeout) {
        (false, _) => None,
        (true, Some(seconds)) => Some(Instant::from(UtcSecond::new(seconds))),
        (true, None) => return Err(PARAMETER_ERROR),
    };
    Ok(Wanted { device, secondary, standing_until })
}

/// `data` of `startNewMediaPlay`. FLV and RTMP are there for H.264 only. **\[doc\]** Nothing serves the `rtsp` and `rtmp` URLs:
/// they are only there to be read. `with_tls` adds the URLs for TLS, which are the same ones here.
pub fn play(origin: &str, channel: &str, codec: Codec, with_tls: bool) -> Play {
    let host = origin.strip_prefix("http://").unwrap_or(origin);
    let flv = if codec == Codec::H264 { format!("{origin}/rtsp/{channel}/live.flv") } else { String::new() };
    let rtmp = if codec == Codec::H264 { format!("rtmp://{host}/rtsp/{channel}") } else { String::new() };
    let hls = format!("{origin}/rtsp/{channel}/index.m3u8");
    let tls = |url: &String| if with_tls { url.clone() } else { String::new() };
    Play {
        tlsflv: tls(&flv),
        tlshls: tls(&hls),
        flv,
        rtmp,
        hls,
        rtsp: format!("rtsp://{host}/rtsp/{channel}"),
        vencodingname: codec.name().to_owned(),
    }
}

/// The same of a live stream that somebody else serves.
pub fn play_elsewhere(urls: LiveUrls, codec: Codec) -> Play {
    let LiveUrls { flv, rtmp, hls, rtsp, tlsflv, tlshls } = urls;
    Play { flv, rtmp, hls, rtsp, tlsflv, tlshls, vencodingname: codec.name().to_owned() }
}

/// `data` of `getVideoDeviceList`. The error is a `stat.code`. **\[sdk\]**
pub fn device_list(parameters: &Parameters, stores: &[StoreConfig], model: &Model, now: Instant) -> Result<Value, i64> {
    let wanted: i64 = parameters.get("id").and_then(|id| id.parse().ok()).ok_or(PARAMETER_ERROR)?;
    let store = stores.iter().filter(|store| store.id == wanted);
    let list: Vec<Value> = store.map(|store| store_devices(store, model, now)).collect();
    Ok(json!({ "list": list }))
}

/// A store with its cameras; the channels of a recorder count from 1.
fn store_devices(store: &StoreConfig, model: &Model, now: Instant) -> Value {
    let device = |camera: &CameraConfig, puid: &str, channel: usize| {
        let online = DeviceId::new(camera.id).is_some_and(|device| model.is_online(device, now));
        let name = if camera.name.is_empty() { format!("camera {}", camera.id) } else { camera.name.clone() };
        json!({
            "id": camera.id,
            "name": name,
            "online": i64::from(online),
            "puid": puid,
            "channel_id": channel,
            "slaveChannel_id": channel + 100,
        })
    };
    let mut devices = Vec::new();
    for nvr in &store.nvrs {
        devices.extend(nvr.cameras.iter().enumerate().map(|(index, camera)| device(camera, &nvr.id, index + 1)));
    }
    devices.extend(store.loose_cameras.iter().map(|camera| device(camera, "", 0)));
    json!({ "id": store.id, "name": store.name, "devices": devices })
}

/// `data` of `getDepartments`: ten stores a page unless asked, a hundred at most. **\[sdk\]**
pub fn stores(parameters: &Parameters, stores: &[StoreConfig]) -> Value {
    let number = |name: &str, missing: usize| {
        parameters.get(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(missing)
    };
    let size = number("pageSize", 10).min(100);
    let skipped = (number("pageNumber", 1) - 1).saturating_mul(size);
    let rows: Vec<Value> = stores
        .iter()
        .skip(skipped)
        .take(size)
        .map(|store| json!({ "id": store.id, "name": store.name, "organizeId": 1, "organizeName": "all stores" }))
        .collect();
    json!({ "total": stores.len(), "rows": rows })
}

/// The user tokens of the one account that there is.
pub struct Tokens {
    login: LoginConfig,
    token: String,
    /// Set by the first login.
    good_until: Option<Instant>,
}

impl Tokens {
    /// Tokens of that account. The same account always gets the same token, as the vendor's support says.
    pub fn new(seed: u64, login: &LoginConfig) -> Self {
        let token = format!("{:016x}", draw(&[seed, of_text(&login.user)]));
        Self { login: login.clone(), token, good_until: None }
    }

    /// `mobileLogin`, with the password as it is. The error is a `stat.code`. **\[sdk\]**
    pub fn mobile_login(&mut self, parameters: &Parameters, now: Instant) -> Result<Value, i64> {
        let password = self.login.password.reveal().to_owned();
        self.log_in(parameters, &password, now)?;
        Ok(json!({ "token": self.token }))
    }

    /// `ssoLogin`, with the password's MD5 in lower-case hexadecimal. The error is a `stat.code`. **\[sdk\]**
    pub fn sso_login(&mut self, parameters: &Parameters, now: Instant) -> Result<Value, i64> {
        let password = hex::encode(Md5::digest(self.login.password.reveal()));
        let until = self.log_in(parameters, &password, now)?;
        Ok(json!({ "token": self.token, "tokenExpirationTimestamp": until.as_millis() }))
    }

    fn log_in(&mut self, parameters: &Parameters, password: &str, now: Instant) -> Result<Instant, i64> {
        let sent = |name: &str| parameters.get(name).map_or("", String::as_str);
        if sent("userName") != self.login.user {
            return Err(103_094);
        }
        if sent("password") != password {
            return Err(103_095);
        }
        let until = now + self.login.token_life.to_duration();
        self.good_until = Some(until);
        Ok(until)
    }

    /// Whether `token` is good now.
    pub fn accepts(&self, token: &str, now: Instant) -> bool {
        token == self.token && self.good_until.is_some_and(|until| now < until)
    }

    /// Ends the token before its time, as the platform may.
    pub fn revoke(&mut self) {
        self.good_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::config::Config;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_window_is_read_in_the_set_ups_zone() {
        let asked =
            parameters(&[("id", "5"), ("startTime", "2026-11-20 20:00:00"), ("endTime", "2026-11-20 20:10:00")]);
        let read = window(&asked, chrono_tz::Asia::Shanghai).expect("a right window");
        assert_eq!(read.to_string(), "device 5 2026-11-20T12:00:00Z/2026-11-20T12:10:00Z");
    }

    #[test]
    fn a_wrong_range_is_refused() {
        for (start, end) in [
            ("2026-11-20 20:00:00", "2026-11-20 20:10:01"),
            ("2026-11-20 20:00:00", "2026-11-20 20:00:00"),
            ("2026-11-20 20:00:00", "2026-11-20 19:00:00"),
            ("20261120200000", "2026-11-20 20:10:00"),
            ("2026-11-20 20:00:00", ""),
        ] {
            let asked = parameters(&[("id", "5"), ("startTime", start), ("endTime", end)]);
            assert_eq!(window(&asked, chrono_tz::UTC), Err(RANGE_ERROR), "{start} to {end}");
        }
        assert_eq!(window(&parameters(&[("id", "five")]), chrono_tz::UTC), Err(PARAMETER_ERROR));
    }

    #[test]
    fn a_live_stream_is_asked_for_in_the_documents_words() {
        let asked = |pairs: &[(&str, &str)]| wanted(&parameters(pairs));
        let (device, standing_until) = (DeviceId::new(5).expect("not negative"), None);
        let main = [("deviceId", "5"), ("isSlave", "0")];
        assert_eq!(asked(&main), Ok(Wanted { device, secondary: false, standing_until }));
        assert_eq!(
            asked(&[("deviceId", "5"), ("isSlave", "1"), ("timeout", "1593097150")]),
            Ok(Wanted { device, secondary: true, standing_until }),
            "a time alone makes no standing channel"
        );
        let standing = [main[0], main[1], ("permanent", "true"), ("timeout", "1593097150")];
        let until = Some(Instant::from_millis(1_593_097_150_000));
        assert_eq!(asked(&standing), Ok(Wanted { device, secondary: false, standing_until: until }));
        for wrong in [&standing[..3], &[main[0]], &[main[1]], &[main[0], ("isSlave", "2")], &[("id", "5"), main[1]]] {
            assert_eq!(asked(wrong), Err(PARAMETER_ERROR), "{wrong:?}");
        }
    }

    #[test]
    fn flv_and_rtmp_are_offered_for_h264_alone() {
        let offer = play("http://127.0.0.1:8500", "name", Codec::H264, false);
        assert_eq!(offer.flv, "http://127.0.0.1:8500/rtsp/name/live.flv");
        assert_eq!(offer.rtmp, "rtmp://127.0.0.1:8500/rtsp/name");
        assert!(offer.tlsflv.is_empty() && offer.tlshls.is_empty());
        let offer = play("http://127.0.0.1:8500", "name", Codec::H265, true);
        assert!(offer.flv.is_empty() && offer.tlsflv.is_empty() && offer.rtmp.is_empty());
        assert_eq!((&offer.tlshls, offer.vencodingname.as_str()), (&offer.hls, "H265"));
    }

    #[test]
    fn stores_come_in_pages() {
        let all: Vec<StoreConfig> =
            (1..=25).map(|id| StoreConfig { id, name: format!("store {id}"), ..StoreConfig::default() }).collect();
        let page = |pairs: &[(&str, &str)]| {
            let data = stores(&parameters(pairs), &all);
            let ids: Vec<i64> =
                data["rows"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_i64()).collect();
            (data["total"].as_i64(), ids)
        };
        assert_eq!(page(&[]), (Some(25), (1..=10).collect()));
        assert_eq!(page(&[("pageNumber", "3")]), (Some(25), (21..=25).collect()));
        assert_eq!(page(&[("pageSize", "100")]), (Some(25), (1..=25).collect()));
        assert_eq!(page(&[("pageNumber", "9")]), (Some(25), vec![]));
    }

    #[test]
    fn a_device_list_names_each_cameras_recorder() {
        let now = Instant::from_millis(1_795_176_000_000);
        let config = Config::rehearsal(now);
        let model = Model::new(&config, now);
        let data = device_list(&parameters(&[("id", "2")]), &config.stores, &model, now).expect("a store's number");
        let devices = data["list"][0]["devices"].as_array().expect("devices").clone();
        let seen: Vec<_> =
            devices.iter().map(|d| (d["id"].as_i64(), d["puid"].as_str(), d["channel_id"].as_i64())).collect();
        let nvr = Some("market-nvr");
        assert_eq!(seen, [(Some(4), nvr, Some(1)), (Some(5), nvr, Some(2)), (Some(6), nvr, Some(3))]);
        assert_eq!(device_list(&parameters(&[]), &config.stores, &model, now), Err(PARAMETER_ERROR));
    }

    #[test]
    fn a_token_is_good_from_login_until_it_expires_or_is_revoked() {
        let login: LoginConfig =
            toml::from_str("user = 'night'\npassword = 'watch'\ntoken_life = '10s'").expect("TOML");
        let mut tokens = Tokens::new(1, &login);
        let (now, later) = (Instant::from_millis(0), Instant::from_millis(10_000));
        assert_eq!(tokens.mobile_login(&parameters(&[("userName", "day"), ("password", "watch")]), now), Err(103_094));
        assert_eq!(tokens.mobile_login(&parameters(&[("userName", "night"), ("password", "x")]), now), Err(103_095));
        let right = parameters(&[("userName", "night"), ("password", "watch")]);
        let data = tokens.mobile_login(&right, now).expect("the right password");
        let token = data["token"].as_str().expect("a token").to_owned();
        assert!(tokens.accepts(&token, now) && !tokens.accepts("other", now) && !tokens.accepts(&token, later));
        // printf watch | md5sum
        let hashed = parameters(&[("userName", "night"), ("password", "d2974c96dc96b3f30a6168bcc4b25b02")]);
        let again = tokens.sso_login(&hashed, later).expect("the right password");
        assert_eq!(
            (again["token"].as_str(), again["tokenExpirationTimestamp"].as_i64()),
            (Some(&*token), Some(20_000))
        );
        assert!(tokens.accepts(&token, later));
        tokens.revoke();
        assert!(!tokens.accepts(&token, later));
    }
}
