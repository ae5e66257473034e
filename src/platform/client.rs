//! Calls the gateway: signs, sends, reads, and copes with what a client can cope with by itself: a clock that differs, a
//! call that came twice, a user token that has run out.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Mutex;

use super::body::{Body, Signed};
use super::live;
use super::pace::Pace;
use super::sign::{self, Algorithm};
use super::tls;
use super::wire::{self, Answer, Download, method, param};
use crate::device::DeviceId;
use crate::outcome::{Class, Code};
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

/// An answer longer than this is not one of the gateway's. A device list of 100,000 cameras is 30 MB.
const LONGEST_ANSWER: usize = 64 << 20;

/// A token that was got this recently is not the reason for a refusal.
const FRESH_TOKEN: TimeDelta = TimeDelta::minutes(1);

/// How long a token is used when the login does not say when it ends: a production client caches it for a day. **\[sdk\]**
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(24);

/// Before the same call is made again after -100.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// How long a live channel waits for its first viewer, in seconds. **\[doc\]**
pub const CHANNEL_LIFE_SECONDS: u64 = 10;

/// Which live stream is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayOptions {
    /// The secondary stream instead of the main one.
    pub secondary: bool,
    /// The end of a standing channel, which is kept without a viewer until then. Without it the channel is closed when its
    /// last viewer leaves. **\[doc\]**
    pub standing_until: Option<UtcSecond>,
}

/// Who calls, and how.
#[derive(Clone, Debug)]
pub struct Account {
    /// The gateway.
    pub url: String,
    /// `_aid`.
    pub aid: String,
    /// `_akey`.
    pub akey: String,
    /// What signs.
    pub secret: SecretString,
    /// `_sm`.
    pub algorithm: Algorithm,
    /// The zone in which `startTime` and `endTime` are read; **\[unknown\]**, clients send their own.
    pub time_zone: Tz,
    /// The zone in which `_timestamp` is read; **\[unknown\]** likewise.
    pub timestamp_zone: Tz,
    /// The most calls per second.
    pub calls_per_second: f64,
    /// `_version` of methods for which it is not `v1`.
    pub versions: BTreeMap<String, String>,
    /// How the parameters of methods travel for which that is not a form.
    pub bodies: BTreeMap<String, Body>,
    /// How long a call may take.
    pub call_timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// For methods that want a user token.
    pub login: Option<LoginAccount>,
}

/// Who logs in, and by which method. **\[sdk\]**
#[derive(Clone, Debug)]
pub struct LoginAccount {
    /// By which method.
    pub kind: LoginKind,
    /// The user of the main site, not of the developer console.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

/// The two logins that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// `mobileLogin`, on `m.api`.
    Mobile,
    /// `ssoLogin`, on `cloud.api`.
    Sso,
}

/// Why a call gave nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// The platform answered with a code other than 0, or with a `data.result` other than 0.
    #[error("{method}: the platform answered {}{}", wire::explain(*code), named(codename))]
    Refused {
        /// The method.
        method: &'static str,
        /// What it answered.
        code: Code,
        /// The name that it gave.
        codename: Untrusted,
    },
    /// What came is no answer of the platform's.
    #[error("{method}: no answer of the platform's but HTTP {status}, beginning {first:?}; is platform.url right?")]
    NotThePlatform {
        /// The method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// How the body begins.
        first: Untrusted,
    },
    /// The gateway could not be reached, or the answer broke off.
    #[error("{method}: cannot reach the platform: {why}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// The whole chain of reasons.
        why: Untrusted,
    },
    /// The platform said yes and gave no URL.
    #[error("{method}: the platform answered success without a URL that can be read")]
    NoUrl {
        /// The method.
        method: &'static str,
    },
    /// A list that has no end.
    #[error("{method}: the platform still had something new on page {pages}; no chain has that many stores")]
    Endless {
        /// The method.
        method: &'static str,
        /// How many pages were read.
        pages: usize,
    },
}

fn named(codename: &Untrusted) -> String {
    if codename.is_empty() { String::new() } else { format!(" (it says {codename})") }
}

impl CallError {
    /// What the scheduler is told, after the client has done what it can.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { code, .. } => match wire::classify(*code) {
                // The offset was learned and did not help, or the login was renewed and did not help.
                Class::ClockWrong | Class::TokenRefused => Class::AccountRefused,
                Class::UserRefused => Class::DeviceRefused,
                Class::Repeated => Class::Transient,
                other => other,
            },
            Self::NotThePlatform { .. } | Self::Unreachable { .. } | Self::NoUrl { .. } | Self::Endless { .. } => {
                Class::Transient
            }
        }
    }

    /// The code that was answered, if one was.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NotThePlatform { status, .. } => Some(Code::Http(*status)),
            Self::Unreachable { .. } | Self::NoUrl { .. } | Self::Endless { .. } => None,
        }
    }
}

/// A client of one account. Shared by all that call: the ceiling, the clock's offset and the token are one.
#[derive(Debug)]
pub struct Client {
    account: Account,
    http: reqwest::Client,
    pace: Pace,
    state: Mutex<State>,
    logging_in: Mutex<()>,
}

/// How far the platform's clock was ahead of this machine's when it said its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredOffset {
    /// In whole milliseconds; negative when it was behind.
    pub ahead: TimeDelta,
    /// Which measurement it is, from 1: so that an old one is not taken for a new one.
    pub number: u64,
}

#[derive(Debug, Default)]
struct State {
    /// What the platform's clock is ahead of ours, learned when a call was refused because of it.
    clock_offset: TimeDelta,
    /// The same as the latest answer showed it.
    measured: Option<MeasuredOffset>,
    token: Option<Token>,
}

#[derive(Clone, Debug)]
struct Token {
    value: SecretString,
    got: DateTime<Utc>,
    ends: DateTime<Utc>,
}

/// What the client has already done about refusals of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Remedies {
    clock: bool,
    repeat: bool,
    login: bool,
}

/// What the client does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    LearnClock,
    Pause,
    LogIn,
    None,
}

/// What to do about a refusal of that class: each remedy once a call. `can_log_in`: a login is set, and its token is not
/// a fresh one.
fn remedy(class: Class, done: Remedies, can_log_in: bool) -> Remedy {
    match class {
        Class::ClockWrong if !done.clock => Remedy::LearnClock,
        Class::Repeated if !done.repeat => Remedy::Pause,
        Class::TokenRefused | Class::UserRefused if !done.login && can_log_in => Remedy::LogIn,
        _ => Remedy::None,
    }
}

impl Client {
    /// A client for `account`. Fails when the machine's TLS roots cannot be read.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        let http = tls::builder()
            .connect_timeout(account.connect_timeout)
            .timeout(account.call_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("archive/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let pace = Pace::new(account.calls_per_second);
        Ok(Self { account, http, pace, state: Mutex::default(), logging_in: Mutex::default() })
    }

    /// The account that it calls for.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What the platform's clock is known to be ahead of this machine's.
    pub async fn clock_offset(&self) -> TimeDelta {
        self.state.lock().await.clock_offset
    }

    /// What the platform's clock was ahead of this machine's in the latest answer that said its time, a refusal too; nothing
    /// before the first. Right to half of the time that the answer took, in whole milliseconds. Calls are not signed with it.
    pub async fn measured_offset(&self) -> Option<MeasuredOffset> {
        self.state.lock().await.measured
    }

    /// Asks for one recording: its URL. `start` and `end` are labels in [`Account::time_zone`], ten minutes apart at most.
    /// **\[doc\]**
    pub async fn start_download(
        &self,
        device: DeviceId,
        start: chrono::NaiveDateTime,
        end: chrono::NaiveDateTime,
    ) -> Result<String, CallError> {
        let business = [
            ("id", json!(device.get())),
            ("startTime", json!(start.format(wire::TIME_FORMAT).to_string())),
            ("endTime", json!(end.format(wire::TIME_FORMAT).to_string())),
        ];
        let method = method::START_DOWNLOAD;
        let download: Download = self.call(method, &business).await?;
        match download.result {
            Some(0) if !download.url.is_empty() => Ok(download.url),
            Some(0) | None => Err(CallError::NoUrl { method }),
            Some(result) => {
                Err(CallError::Refused { method, code: Code::Result(result), codename: Untrusted::default() })
            }
        }
    }

    /// Asks for a live stream's URLs, of which there is at least one. The platform closes the channel when nobody pulls within
    /// [`CHANNEL_LIFE_SECONDS`]. **\[doc\]** The documents have version `v1` and a form; a production client sends version `v4`
    /// and a JSON body **\[sdk\]**, which [`Account::versions`] and [`Account::bodies`] may say.
    pub async fn start_play(&self, device: DeviceId, options: PlayOptions) -> Result<wire::Play, CallError> {
        let mut business = vec![("deviceId", json!(device.get())), ("isSlave", json!(u8::from(options.secondary)))];
        if let Some(until) = options.standing_until {
            business.extend([("permanent", json!(true)), ("timeout", json!(until.get()))]);
        }
        let method = method::START_PLAY;
        let play: wire::Play = self.call(method, &business).await?;
        if live::offers(&play).is_empty() { Err(CallError::NoUrl { method }) } else { Ok(play) }
    }

    /// One call of a method, with every remedy that the client has.
    pub(super) async fn call<T: DeserializeOwned + Default>(
        &self,
        method: &'static str,
        business: &[(&str, Value)],
    ) -> Result<T, CallError> {
        Ok(self.remedied(method, business, self.account.login.as_ref()).await?.data())
    }

    /// Calls, and calls again where a remedy is known. `login` is for methods that want a user token.
    async fn remedied(
        &self,
        method: &'static str,
        business: &[(&str, Value)],
        login: Option<&LoginAccount>,
    ) -> Result<Answer, CallError> {
        let mut done = Remedies::default();
        for tries in 0.. {
            let token = match login {
                Some(login) => Some(self.token(login, None).await?),
                None => None,
            };
            let (error, systime) = match self.send(method, business, token.as_ref(), tries).await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let class = match &error {
                CallError::Refused { code, .. } => wire::classify(*code),
                _ => return Err(error),
            };
            let is_old = |token: &Token| Utc::now() - token.got > FRESH_TOKEN;
            let can_log_in = token.as_ref().is_some_and(|token| is_old(token) || class == Class::TokenRefused);
            match (remedy(class, done, can_log_in), systime, login) {
                (Remedy::LearnClock, Some(systime), _) => {
                    done.clock = true;
                    self.state.lock().await.clock_offset = systime - Utc::now();
                }
                (Remedy::Pause, ..) => {
                    done.repeat = true;
                    tokio::time::sleep(REPEAT_PAUSE).await;
                }
                (Remedy::LogIn, _, Some(login)) => {
                    done.login = true;
                    self.token(login, token.as_ref()).await?;
                }
                _ => return Err(error),
            }
        }
        unreachable!("each remedy is tried once")
    }

    /// The user token: the cached one, unless it has ended or is the `refused` one. One login at a time: who waited for
    /// another's takes what that one got.
    async fn token(&self, login: &LoginAccount, refused: Option<&Token>) -> Result<Token, CallError> {
        let _one_at_a_time = self.logging_in.lock().await;
        let cached = self.state.lock().await.token.clone();
        let is_good = |token: &Token| Utc::now() < token.ends && refused.is_none_or(|refused| refused.got < token.got);
        if let Some(token) = cached.filter(is_good) {
            return Ok(token);
        }
        let (method, password) = match login.kind {
            LoginKind::Mobile => (method::MOBILE_LOGIN, login.password.expose_secret().to_owned()),
            LoginKind::Sso => (method::SSO_LOGIN, sign::password_digest(&login.password)),
        };
        let business = [("userName", json!(login.user)), ("password", json!(password))];
        // Boxed because a call may log in, which is a call; this one never does.
        let answer = Box::pin(self.remedied(method, &business, None)).await?;
        let data: wire::Login = answer.data();
        let now = Utc::now();
        let token = Token {
            value: SecretString::from(data.token),
            got: now,
            ends: data.expires.and_then(DateTime::from_timestamp_millis).unwrap_or(now + TOKEN_LIFE),
        };
        self.state.lock().await.token = Some(token.clone());
        Ok(token)
    }

    /// One request. An answer with a code other than 0 is an error, with the platform's clock beside it. Each further try
    /// of a call says a second later: within one second it would carry the same signature, which is -100.
    async fn send(
        &self,
        method: &'static str,
        business: &[(&str, Value)],
        token: Option<&Token>,
        tries: u8,
    ) -> Result<Answer, (CallError, Option<DateTime<Utc>>)> {
        self.pace.turn().await;
        let (begun, sent) = (std::time::Instant::now(), Utc::now());
        let at = sent + self.clock_offset().await + TimeDelta::seconds(tries.into());
        let unreachable = |error: reqwest::Error| {
            (CallError::Unreachable { method, why: Untrusted::new(&chain(&error.without_url())) }, None)
        };
        let request = self.request(self.signed(method, business, at), token).map_err(unreachable)?;
        let response = self.http.execute(request).await.map_err(unreachable)?;
        // The platform reads its clock before it sends; a long body would only blur it.
        let took = begun.elapsed();
        let status = response.status().as_u16();
        let body = read(response).await.map_err(unreachable)?;
        let answer: Answer = serde_json::from_slice(&body).unwrap_or_default();
        let milliseconds = begun.elapsed().as_millis();
        tracing::debug!(method, status, code = answer.stat.code, milliseconds, bytes = body.len(), "called");
        let systime = answer.stat.systime.and_then(platform_time);
        if let Some(systime) = systime {
            let mut state = self.state.lock().await;
            let number = state.measured.map_or(0, |measured| measured.number) + 1;
            state.measured = Some(MeasuredOffset { ahead: offset(systime, sent, took), number });
        }
        match answer.stat.code {
            Some(0) => Ok(answer),
            Some(number) => {
                let codename = Untrusted::new(&answer.stat.codename);
                Err((CallError::Refused { method, code: Code::Stat(number), codename }, systime))
            }
            None => Err((CallError::NotThePlatform { method, status, first: Untrusted::from_bytes(&body) }, None)),
        }
    }

    /// Common and business parameters with their signature. `at` is the platform's time.
    fn signed(&self, method: &str, business: &[(&str, Value)], at: DateTime<Utc>) -> Signed {
        let account = &self.account;
        let version = account.versions.get(method).map_or("v1", String::as_str);
        let timestamp = at.with_timezone(&account.timestamp_zone).format(wire::TIMESTAMP_FORMAT).to_string();
        let common = [
            (param::AID, account.aid.as_str()),
            (param::AKEY, &account.akey),
            (param::METHOD, method),
            (param::SIGN_METHOD, account.algorithm.as_str()),
            (param::REQUEST_MODE, "POST"),
            (param::VERSION, version),
            (param::TIMESTAMP, &timestamp),
        ];
        let common = common.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let body = account.bodies.get(method).copied().unwrap_or_default();
        Signed::new(common, business, body, &account.secret, account.algorithm)
    }

    fn request(&self, signed: Signed, token: Option<&Token>) -> Result<reqwest::Request, reqwest::Error> {
        let request = self.http.post(&self.account.url).headers(self.token_header(token));
        match signed {
            Signed::Form(form) => request.form(&form).build(),
            Signed::Json { query, body } => {
                let request = request.header(CONTENT_TYPE, "application/json").body(Value::Object(body).to_string());
                let mut request = request.build()?;
                request.url_mut().query_pairs_mut().extend_pairs(&query);
                Ok(request)
            }
        }
    }

    fn token_header(&self, token: Option<&Token>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let (Some(token), Some(login)) = (token, &self.account.login) {
            let name = match login.kind {
                LoginKind::Mobile => HeaderName::from_static(wire::TOKEN_HEADER),
                LoginKind::Sso => HeaderName::from_static("ovo-authorization"),
            };
            // OK to leave a token out that no header can carry: the platform then answers that it is missing.
            if let Ok(mut value) = HeaderValue::from_str(token.value.expose_secret()) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// `stat.systime` as a time; nothing beyond the years 2020 to 9999: a clock that has lost the time shows none, and one in seconds
/// an early one.
fn platform_time(milliseconds: i64) -> Option<DateTime<Utc>> {
    const YEAR_2020: i64 = 1_577_836_800_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    (YEAR_2020..YEAR_10000).contains(&milliseconds).then(|| DateTime::from_timestamp_millis(milliseconds)).flatten()
}

/// What the platform's clock is ahead of ours, when it said `systime` in the answer to what was `sent` and `took` so long:
/// it is held to have read its clock half way. In whole milliseconds, as its clock is.
fn offset(systime: DateTime<Utc>, sent: DateTime<Utc>, took: Duration) -> TimeDelta {
    // OK to hold at nothing: a call takes minutes at most.
    let half = TimeDelta::from_std(took / 2).unwrap_or_default();
    TimeDelta::milliseconds((systime - sent - half).num_milliseconds())
}

/// The body, as far as an answer may be long.
async fn read(response: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if body.len() + piece.len() > LONGEST_ANSWER {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// An error with all that caused it: reqwest's own words are seldom the useful ones.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_held_to_read_its_clock_half_way() {
        let sent = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        for (ahead, took, measured) in [(0, 0, 0), (3_000, 200, 2_900), (-3_000, 200, -3_100), (50, 100, 0)] {
            let systime = sent + TimeDelta::milliseconds(ahead);
            let read = offset(systime, sent, Duration::from_millis(took));
            assert_eq!(read, TimeDelta::milliseconds(measured), "{ahead} ms in {took} ms");
        }
    }

    #[test]
    fn a_time_that_no_clock_shows_is_none() {
        assert_eq!(platform_time(1_795_176_000_000), DateTime::from_timestamp(1_795_176_000, 0));
        for milliseconds in [-1, i64::MIN, i64::MAX, 253_402_300_800_000, 8_210_266_876_799_999] {
            assert_eq!(platform_time(milliseconds), None, "{milliseconds}");
        }
    }

    #[test]
    fn each_remedy_is_tried_once() {
        let fresh = Remedies::default();
        let done = Remedies { clock: true, repeat: true, login: true };
        for (class, first) in [
            (Class::ClockWrong, Remedy::LearnClock),
            (Class::Repeated, Remedy::Pause),
            (Class::TokenRefused, Remedy::LogIn),
            (Class::UserRefused, Remedy::LogIn),
        ] {
            assert_eq!(remedy(class, fresh, true), first, "{class:?}");
            assert_eq!(remedy(class, done, true), Remedy::None, "{class:?}");
        }
        assert_eq!(remedy(Class::TokenRefused, fresh, false), Remedy::None);
        for class in [Class::NvrFull, Class::Transient, Class::AccountRefused, Class::DeviceRefused] {
            assert_eq!(remedy(class, fresh, true), Remedy::None, "{class:?}");
        }
    }
}
