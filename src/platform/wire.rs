//! What travels between a client and the gateway: names, answers, and the one table from codes to what they ask for.
//!
//! The simulated platform shares this module with the client, and nothing else.

use std::fmt;

pub mod lists;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::{Class, Code};

/// The vendor's gateway. **\[doc\]** on http; **\[sdk\]** the same answers on https.
pub const GATEWAY: &str = "https://openapi.opretail.com/m.api";

/// Names of the common parameters. **\[doc\]**
pub mod param {
    /// The open platform's system number, `S107`.
    pub const AID: &str = "_aid";
    /// The developer's access key.
    pub const AKEY: &str = "_akey";
    /// The method's name.
    pub const METHOD: &str = "_mt";
    /// The signature's algorithm: `md5` or `sha1`.
    pub const SIGN_METHOD: &str = "_sm";
    /// `POST` or `GET`.
    pub const REQUEST_MODE: &str = "_requestMode";
    /// The method's version, `v1`.
    pub const VERSION: &str = "_version";
    /// `yyyyMMddHHmmss`, in a zone that is **\[unknown\]**.
    pub const TIMESTAMP: &str = "_timestamp";
    /// Optional; `json` when it is missing.
    pub const FORMAT: &str = "_format";
    /// The signature.
    pub const SIGNATURE: &str = "_sig";
}

/// Names of the methods.
pub mod method {
    /// Start a recording's download. **\[doc\]**
    pub const START_DOWNLOAD: &str = "open.shopweb.device.startRecReqDown";
    /// Start a live stream. **\[doc\]**
    pub const START_PLAY: &str = "open.shopweb.device.startNewMediaPlay";
    /// A store's cameras. **\[sdk\]**
    pub const DEVICE_LIST: &str = "open.shopweb.device.getVideoDeviceList";
    /// The stores. **\[sdk\]**
    pub const STORES: &str = "open.organize.departments.getDepartments";
    /// Log a user in on `m.api`. **\[sdk\]**
    pub const MOBILE_LOGIN: &str = "open.shopweb.security.mobileLogin";
    /// Log a user in on `cloud.api`. **\[sdk\]**
    pub const SSO_LOGIN: &str = "open.shopweb.security.ssoLogin";
}

/// The header in which `m.api` wants the user token. **\[sdk\]**
pub const TOKEN_HEADER: &str = "authenticator";

/// The header in which `cloud.api` wants the user token. **\[sdk\]**
pub const CLOUD_TOKEN_HEADER: &str = "Ovo-Authorization";

/// How `startTime` and `endTime` are written. **\[doc\]**
pub const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// How `_timestamp` is written. **\[doc\]**
pub const TIMESTAMP_FORMAT: &str = "%Y%m%d%H%M%S";

/// The most that one `startRecReqDown` may ask for, in seconds. **\[doc\]**
pub const LONGEST_DOWNLOAD_SECONDS: i64 = 600;

/// A public return code: its number and the vendor's name for it, spelled as the vendor spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatCode {
    /// `stat.code`.
    pub number: i64,
    /// `stat.codename`.
    pub name: &'static str,
    /// What it asks of a client.
    pub class: Class,
    /// What a person can do about it; empty when the client copes alone.
    pub advice: &'static str,
}

const fn stat(number: i64, name: &'static str, class: Class, advice: &'static str) -> StatCode {
    StatCode { number, name, class, advice }
}

const CONSOLE: &str = "; the application has a key and a secret of its own beside the developer's, and every method must \
                       be ticked for it in the developer console";

/// Every code of `stat.code` that anybody wrote down. 0 to 17, -100, -500, -999 and the two 103xxx of the devices are
/// **\[doc\]**; 9990001 and the logins' are **\[sdk\]**.
pub const STAT_CODES: &[StatCode] = &[
    stat(0, "SUCCESS", Class::Go, ""),
    stat(1, "KEY_NOTNULL", Class::AccountRefused, "set platform.akey"),
    stat(2, "KEY_UNLAWFUL", Class::AccountRefused, "check platform.akey"),
    stat(3, "KEY_HAS_EXPIRED", Class::AccountRefused, "the access key has expired: renew it with the vendor"),
    stat(4, "SIGN_METHOD_NOTNULL", Class::AccountRefused, "set platform.signature to \"md5\" or \"sha1\""),
    stat(5, "SIGN_TYPE_NOTEXIST", Class::AccountRefused, "set platform.signature to \"md5\" or \"sha1\""),
    stat(6, "SIGN_NOTNULL", Class::AccountRefused, "a proxy may have dropped the signature"),
    stat(7, "SIGN_WRONG", Class::AccountRefused, "check the secret, and that it belongs to this access key"),
    stat(8, "METHOD_NOTNULL", Class::AccountRefused, "a proxy may have dropped the method's name"),
    stat(9, "METHOD_NOTEXIST_CODE", Class::AccountRefused, "check platform.url and the method's version"),
    stat(10, "REQUESTMODE_NOTNULL", Class::AccountRefused, "a proxy may have dropped the request mode"),
    stat(11, "APPLICATIONID_NOTNULL", Class::AccountRefused, "set platform.aid"),
    stat(12, "APPLICATIONID_NOTSAME", Class::AccountRefused, "platform.aid does not belong to platform.akey"),
    stat(13, "VERSION_NOTNULL", Class::AccountRefused, "check the method's version in the settings"),
    stat(14, "TIMESTAMP_NOTNULL", Class::AccountRefused, "a defect of this program: please report it"),
    stat(15, "TIMESTAMP_FORMAT_ERROR", Class::AccountRefused, "a defect of this program: please report it"),
    stat(16, "TIMESTAMP_OVERTIME", Class::ClockWrong, "set this machine's clock, or platform.timestamp_zone"),
    stat(17, "FORMAT_TYPE_NOTEXIST", Class::AccountRefused, "a defect of this program: please report it"),
    stat(-100, "API_CALL_REPEAT", Class::Repeated, ""),
    stat(-500, "API_SYSTEM_CALL_ERROR", Class::Transient, ""),
    stat(-999, "UNKNOWN_ERROR", Class::Transient, ""),
    stat(103_064, "NO_AUTH_USER", Class::UserRefused, "give this user the device, on the vendor's main site"),
    stat(103_092, "NO_DEVICE", Class::DeviceRefused, "check the device's number against the vendor's device list"),
    stat(9_990_001, "TOKEN_NOT_EXIST", Class::TokenRefused, "set [platform.login]"),
    stat(
        103_094,
        "USERNAME_ERROE",
        Class::AccountRefused,
        "check [platform.login]: it takes the account of the main site, not of the developer console",
    ),
    stat(
        103_095,
        "PASSWORD_ERROE",
        Class::AccountRefused,
        "check [platform.login]: it takes the account of the main site, not of the developer console",
    ),
];

/// A value of `startRecReqDown`'s `data.result`. **\[doc\]**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadResult {
    /// `data.result`.
    pub number: i64,
    /// The vendor's words for it.
    pub meaning: &'static str,
    /// What it asks of a client.
    pub class: Class,
}

const fn result(number: i64, meaning: &'static str, class: Class) -> DownloadResult {
    DownloadResult { number, meaning, class }
}

/// Every value of `data.result` in the vendor's page.
pub const DOWNLOAD_RESULTS: &[DownloadResult] = &[
    result(0, "query success", Class::Go),
    result(1, "NVR is not online", Class::NvrOffline),
    result(2, "failed to process the play message", Class::CameraTrouble),
    result(-1, "download request failed", Class::CameraTrouble),
    result(-2, "IPC is not under NVR", Class::DeviceRefused),
    result(-3, "the camera has a download task already", Class::CameraBusy),
    result(-4, "the NVR's playback channels are full", Class::NvrFull),
    result(-5, "the NVR's CPU usage is too high to download", Class::NvrOverloaded),
    result(-6, "the same playback device is in use", Class::CameraBusy),
];

/// What a code asks of a client. The whole input space: a number that nobody wrote down may mean anything, so it is
/// tried again a few times, and then becomes a gap that quotes it. An HTTP status of 200 says nothing by itself.
pub fn classify(code: Code) -> Class {
    match code {
        Code::Stat(number) => stat_code(number).map_or(Class::Transient, |known| known.class),
        Code::Result(number) => download_result(number).map_or(Class::Transient, |known| known.class),
        Code::Http(200) => Class::Go,
        // 401, 403 and 407 come from proxies and gateways that stand before the platform, which itself answers 200 with
        // a code; a proxy that is being restarted says so too. Trying again is cheap, giving a night up is not.
        Code::Http(_) => Class::Transient,
    }
}

/// The code with its vendor's name and what to do, for people.
pub fn explain(code: Code) -> String {
    match code {
        Code::Stat(number) => match stat_code(number) {
            Some(known) if known.advice.is_empty() => format!("{code} {}", known.name),
            Some(known) => {
                let console = if matches!(number, 2 | 9 | 12 | 103_064) { CONSOLE } else { "" };
                format!("{code} {}: {}{console}", known.name, known.advice)
            }
            None => format!("{code} (not in the vendor's documents)"),
        },
        Code::Result(number) => match download_result(number) {
            Some(known) => format!("{code}: {}", known.meaning),
            None => format!("{code} (not in the vendor's documents)"),
        },
        Code::Http(_) => code.to_string(),
    }
}

fn stat_code(number: i64) -> Option<&'static StatCode> {
    STAT_CODES.iter().find(|known| known.number == number)
}

fn download_result(number: i64) -> Option<&'static DownloadResult> {
    DOWNLOAD_RESULTS.iter().find(|known| known.number == number)
}

/// An answer of the gateway. Everything in it may be missing, and numbers may come as strings. **\[doc, sdk\]**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The gateway's own status.
    #[serde(deserialize_with = "lenient")]
    pub stat: Stat,
    /// The interface's words.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// What the method gives.
    pub data: Value,
}

impl Answer {
    /// `data` as a method's answer; its default when it is null, missing or of another shape.
    pub fn data<T: DeserializeOwned + Default>(&self) -> T {
        T::deserialize(&self.data).unwrap_or_default()
    }
}

/// The gateway's own status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stat {
    /// The call's identifier.
    #[serde(deserialize_with = "lenient_text")]
    pub cid: String,
    /// The public return code; missing when the body is none of the gateway's.
    #[serde(deserialize_with = "lenient_number")]
    pub code: Option<i64>,
    /// Its name.
    #[serde(deserialize_with = "lenient_text")]
    pub codename: String,
    /// The platform's clock: milliseconds since 1970.
    #[serde(deserialize_with = "lenient_number")]
    pub systime: Option<i64>,
}

/// `data` of `startRecReqDown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Download {
    /// One of [`DOWNLOAD_RESULTS`].
    #[serde(deserialize_with = "lenient_number")]
    pub result: Option<i64>,
    /// Where the recording plays; only when `result` is 0.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// `data` of `startNewMediaPlay`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Play {
    /// HTTP-FLV; only for H.264.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub flv: String,
    /// RTMP; only for H.264.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub rtmp: String,
    /// HLS.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub hls: String,
    /// RTSP.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub rtsp: String,
    /// HTTP-FLV over TLS; only for H.264.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub tlsflv: String,
    /// HLS over TLS.
    #[serde(deserialize_with = "lenient_text", skip_serializing_if = "String::is_empty")]
    pub tlshls: String,
    /// How the pictures are coded, such as `H264`.
    #[serde(deserialize_with = "lenient_text")]
    pub vencodingname: String,
}

/// `data` of the two logins.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// The user token.
    #[serde(deserialize_with = "lenient_text")]
    pub token: String,
    /// When it ends, milliseconds since 1970; only `ssoLogin` says it.
    #[serde(rename = "tokenExpirationTimestamp", deserialize_with = "lenient_number")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("token", &"[hidden]").field("expires", &self.expires).finish()
    }
}

/// A number, or a string that holds one, or nothing. **\[sdk\]**: clients see both for `code`, `systime` and `result`.
fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        Value::Bool(flag) => Some(i64::from(flag)),
        _ => None,
    })
}

/// The float as a whole number, when it is one that an `f64` holds exactly.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// A string, or whatever else as its text; empty for nothing.
fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// A value of the expected shape, or its default.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        serde_json::from_str(text).expect("the text is JSON")
    }

    #[test]
    fn numbers_come_as_numbers_or_as_strings() {
        for text in [
            r#"{"stat":{"cid":"a","code":0,"codename":"SUCCESS","systime":1600000000000},"data":{"result":"0","url":"u"}}"#,
            r#"{"stat":{"cid":7,"code":"0","codename":"SUCCESS","systime":"1600000000000"},"data":{"result":0,"url":"u"}}"#,
            r#"{"stat":{"code":" 0 ","systime":1.6e12},"data":{"result":0.0,"url":"u"},"more":[1]}"#,
        ] {
            let read = answer(text);
            assert_eq!((read.stat.code, read.stat.systime), (Some(0), Some(1_600_000_000_000)), "{text}");
            assert_eq!(read.data::<Download>(), Download { result: Some(0), url: "u".into() }, "{text}");
        }
    }

    #[test]
    fn data_may_be_null_missing_or_of_another_shape() {
        for text in
            [r#"{"stat":{"code":7},"data":null}"#, r#"{"stat":{"code":7}}"#, r#"{"stat":{"code":7},"data":"no"}"#]
        {
            assert_eq!(answer(text).data::<Download>(), Download::default(), "{text}");
        }
        assert_eq!(answer("{}").stat.code, None);
        assert_eq!(answer(r#"{"stat":"down"}"#).stat, Stat::default());
    }

    #[test]
    fn a_token_is_not_printed() {
        let login = Login { token: "hush".into(), expires: None };
        assert!(!format!("{login:?}").contains("hush"));
    }
}
