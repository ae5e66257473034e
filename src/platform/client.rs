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
use tokio::sync::Mutex;

use super::answers;
use super::body::{Body, Signed};
pub use super::call_error::CallError;
use super::guard::Guard;
use super::pace::Pace;
use super::sign::{self, Algorithm};
use super::tls;
use super::wire::{self, Answer, Download, method, param};
use crate::device::DeviceId;
use crate::outcome::Class;
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

/// A longer answer to a call that gives a URL or a token is not one of the gateway's: those have a few hundred bytes. As many
/// of them as there are streams may be in memory at once.
const LONGEST_ANSWER: usize = 64 << 10;

/// The same of a list. One of 100,000 cameras is 30 MB.
const LONGEST_LIST: usize = 32 << 20;

/// A list with more values than this is none either: each takes a multiple of its text in memory, and `[[],[],…` is little
/// text for many. 100,000 cameras with forty each have as many.
const MOST_VALUES: usize = 4_000_000;

/// How much of a body is looked through for what is to be quoted of it.
const LONGEST_QUOTE: usize = 4 << 10;

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
    /// A client for `account`, for whoever opens no media. Fails when the machine's TLS roots cannot be read.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        Self::build(account, None)
    }

    /// A client for `account` that tells `guard` where the gateway is. Fails like [`Client::new`].
    pub fn telling(account: Account, guard: &Guard) -> Result<Self, reqwest::Error> {
        Self::build(account, Some(guard))
    }

    fn build(account: Account, guard: Option<&Guard>) -> Result<Self, reqwest::Error> {
        let mut http = tls::builder();
        if let Some(guard) = guard {
            http = http.dns_resolver(guard.for_gateway());
        }
        let http = http
            .connect_timeout(account.connect_timeout)
            .timeout(account.call_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("archive/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let pace = Pace::new(account.calls_per_second);
        Ok(Self { account, http, pace, state: Mutex::default(), logging_in: Mutex::default() })
    }

    /// Says how many hosts call for the account now: its ceiling of calls per second is divided among them.
    pub async fn share_calls(&self, hosts: u32) {
        self.pace.share(hosts).await;
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
        answers::recording_url(method, download)
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
        answers::live_urls(method, play)
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
        let most = if is_list(method) { LONGEST_LIST } else { LONGEST_ANSWER };
        let too_long = |most, what, body: &[u8]| {
            let first = self.quoted(body, token);
            (CallError::TooLong { method, most, what, first }, None)
        };
        let body = match read(response, most).await.map_err(unreachable)? {
            Ok(body) if values(&body) > MOST_VALUES => return Err(too_long(MOST_VALUES, "values", &body)),
            // An error page may be as long as it likes: its beginning is quoted.
            Err(first) if status == 200 => return Err(too_long(most, "bytes", &first)),
            Ok(body) | Err(body) => body,
        };
        let answer = answers::read(&body);
        let milliseconds = begun.elapsed().as_millis();
        tracing::debug!(method, status, code = answer.stat.code, milliseconds, bytes = body.len(), "called");
        let systime = answers::platform_time(&answer);
        if let Some(systime) = systime {
            let mut state = self.state.lock().await;
            let number = state.measured.map_or(0, |measured| measured.number) + 1;
            state.measured = Some(MeasuredOffset { ahead: offset(systime, sent, took), number });
        }
        let quoted = |came: &[u8]| self.quoted(came, token);
        answers::accepted(answer, method, status, &body, quoted).map_err(|error| (error, systime))
    }

    /// What came, to be quoted: without what was sent, which an error page may hold.
    fn quoted(&self, came: &[u8], token: Option<&Token>) -> Untrusted {
        let mut text = String::from_utf8_lossy(&came[..came.len().min(LONGEST_QUOTE)]).into_owned();
        let password = self.account.login.as_ref().map(|login| &login.password);
        let secrets = [Some(&self.account.secret), password, token.map(|token| &token.value)];
        for secret in secrets.into_iter().flatten().map(SecretString::expose_secret).filter(|secret| !secret.is_empty())
        {
            let in_a_form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            text = text.replace(secret, "[hidden]").replace(&in_a_form, "[hidden]");
        }
        Untrusted::new(&text)
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

/// What the platform's clock is ahead of ours, when it said `systime` in the answer to what was `sent` and `took` so long:
/// it is held to have read its clock half way. In whole milliseconds, as its clock is.
fn offset(systime: DateTime<Utc>, sent: DateTime<Utc>, took: Duration) -> TimeDelta {
    // OK to hold at nothing: a call takes minutes at most.
    let half = TimeDelta::from_std(took / 2).unwrap_or_default();
    TimeDelta::milliseconds((systime - sent - half).num_milliseconds())
}

fn is_list(method: &str) -> bool {
    matches!(method, method::STORES | method::DEVICE_LIST)
}

/// The whole body; or its beginning, when it has more than `most` bytes.
async fn read(response: reqwest::Response, most: usize) -> Result<Result<Vec<u8>, Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if body.len() + piece.len() > most {
            return Ok(Err(body));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Ok(body))
}

/// No fewer than there are values in a JSON text: commas and brackets in strings are counted too.
fn values(body: &[u8]) -> usize {
    body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
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
