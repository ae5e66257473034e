//! One call from its parameters to its answer: the gateway's checks, then the forced answers, then the methods. Time
//! comes in as an argument.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::device::DeviceId;
use crate::instant::Instant;
use crate::platform::wire::{CLOUD_TOKEN_HEADER, TIMESTAMP_FORMAT, TOKEN_HEADER, method, param};
use crate::sim::answer::{answer, download};
use crate::sim::channels::{Channels, LiveClock};
use crate::sim::config::{Config, LiveUrls};
use crate::sim::fault::LiveFault;
use crate::sim::gateway::{Gateway, Parameters, Sent};
use crate::sim::log::{CallRecord, LiveCall};
use crate::sim::methods::{self, Tokens};
use crate::sim::model::{Grant, Model, Refusal};
use crate::sim::script::{Scripted, Scripts};
use crate::window::Window;

/// Everything that calls change.
pub struct World {
    /// Recorders, cameras and downloads.
    pub model: Model,
    /// Live streams.
    pub channels: Channels,
    /// What tests force.
    pub scripts: Scripts,
    /// Where the live streams of some cameras are served when not here.
    pub live_urls: BTreeMap<DeviceId, LiveUrls>,
    config: Config,
    gateway: Gateway,
    tokens: Option<Tokens>,
    calls: u64,
}

/// An answer on its way; no response is no answer at all.
pub struct Reply {
    /// What the client gets.
    pub response: Option<Response>,
    /// What the log gets.
    pub record: CallRecord,
}

/// What a method came to.
enum Came {
    Stat(i64),
    Data(Value),
    /// A live channel's number, and its URLs.
    Play(u64, Value),
    /// `data.result`, and the download with its URL.
    Download(i64, Option<(u64, String)>),
}

impl World {
    /// The world of a set-up whose server starts at `start`.
    pub fn new(config: &Config, start: Instant) -> Self {
        let clock = LiveClock::new(start, config.live_from.resolve(start, config.zone), config.live_speed);
        Self {
            model: Model::new(config, start),
            channels: Channels::new(config.seed, config.channel_life, clock),
            scripts: Scripts::default(),
            live_urls: config.live_urls(),
            gateway: Gateway::new(config),
            tokens: config.login.as_ref().map(|login| Tokens::new(config.seed, login)),
            config: config.clone(),
            calls: 0,
        }
    }

    /// Ends the user token before its time.
    pub fn revoke_token(&mut self) {
        if let Some(tokens) = &mut self.tokens {
            tokens.revoke();
        }
    }

    /// Answers one call. `origin` is put in front of media URLs.
    pub fn call(&mut self, origin: &str, headers: &HeaderMap, sent: &Sent, now: Instant) -> Reply {
        self.calls += 1;
        let parameters = sent.all();
        let method = parameters.get(param::METHOD).map_or("", String::as_str);
        let window = methods::window(&parameters, self.config.zone).ok();
        let device = match method {
            method::START_DOWNLOAD => methods::device(&parameters),
            method::START_PLAY => methods::watched_device(&parameters),
            _ => None,
        };
        let is_live = method == method::START_PLAY;
        let play = methods::wanted(&parameters).ok().filter(|_| is_live).map(|wanted| LiveCall {
            secondary: wanted.secondary,
            permanent: wanted.standing_until.is_some(),
            channel: None,
        });
        let record = CallRecord {
            at: now,
            answered: Some(now + self.config.answer_after.to_duration()),
            method: method.to_owned(),
            device,
            nvr: device.and_then(|device| self.model.nvr_of(device)).cloned(),
            range: window.map(|window| window.range),
            http: 200,
            stat: None,
            result: None,
            lease: None,
            play,
        };
        if let Err(code) = self.gateway.check(sent, now) {
            return self.reply(record, Came::Stat(code), now);
        }
        match self.scripts.next(method, record.device) {
            None | Some(Scripted::AsIs) => self.as_it_is(record, &parameters, headers, origin, None, now),
            Some(Scripted::Live(fault)) => self.as_it_is(record, &parameters, headers, origin, Some(fault), now),
            Some(Scripted::Result(_) | Scripted::Stream(_) | Scripted::Whole) if is_live => {
                self.as_it_is(record, &parameters, headers, origin, None, now)
            }
            Some(scripted) => self.forced(record, scripted, &parameters, origin, now),
        }
    }

    fn as_it_is(
        &mut self,
        record: CallRecord,
        parameters: &Parameters,
        headers: &HeaderMap,
        origin: &str,
        fault: Option<LiveFault>,
        now: Instant,
    ) -> Reply {
        let came = self.method(parameters, headers, origin, fault, now).unwrap_or_else(Came::Stat);
        self.reply(record, came, now)
    }

    /// What the method answers by itself; `fault` is what goes wrong with a live stream. The error is a `stat.code`.
    fn method(
        &mut self,
        parameters: &Parameters,
        headers: &HeaderMap,
        origin: &str,
        fault: Option<LiveFault>,
        now: Instant,
    ) -> Result<Came, i64> {
        let name = parameters.get(param::METHOD).map_or("", String::as_str);
        // Only the methods of `open.shopweb.device` want the token here. **[sdk]** for `open.shopweb.*`; a login cannot.
        if matches!(name, method::START_DOWNLOAD | method::START_PLAY | method::DEVICE_LIST) {
            self.check_token(headers, now)?;
        }
        let tokens = self.tokens.as_mut();
        match name {
            // Without an account in the set-up, every user name is unknown.
            method::MOBILE_LOGIN => tokens.ok_or(103_094)?.mobile_login(parameters, now).map(Came::Data),
            method::SSO_LOGIN => tokens.ok_or(103_094)?.sso_login(parameters, now).map(Came::Data),
            method::DEVICE_LIST => {
                methods::device_list(parameters, &self.config.stores, &self.model, now).map(Came::Data)
            }
            method::START_PLAY => {
                let wanted = methods::wanted(parameters)?;
                let codec = self.model.may_watch(wanted.device)?;
                if let Some(urls) = self.live_urls.get(&wanted.device) {
                    return Ok(Came::Data(json!(methods::play_elsewhere(urls.clone(), codec))));
                }
                let (channel, number) = self.channels.open(wanted, codec, fault, now);
                let play = methods::play(origin, &channel, codec, self.config.tls_urls);
                Ok(Came::Play(number, json!(play)))
            }
            method::STORES => Ok(Came::Data(methods::stores(parameters, &self.config.stores))),
            _ => {
                let window = methods::window(parameters, self.config.zone)?;
                let asked = self.model.ask(window, now);
                Ok(self.downloaded(asked, window, origin, now))
            }
        }
    }

    fn check_token(&self, headers: &HeaderMap, now: Instant) -> Result<(), i64> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let sent = headers.get(TOKEN_HEADER).or_else(|| headers.get(CLOUD_TOKEN_HEADER));
        let good = sent.and_then(|token| token.to_str().ok()).is_some_and(|token| tokens.accepts(token, now));
        if good { Ok(()) } else { Err(9_990_001) }
    }

    fn downloaded(&mut self, asked: Result<Grant, Refusal>, window: Window, origin: &str, now: Instant) -> Came {
        match (asked, &self.config.media_base) {
            (Ok(grant), base) => {
                let macs = self.named_macs(&grant, now);
                let lease = grant.lease;
                let Some(base) = base else {
                    return Came::Download(0, Some((lease, format!("{origin}/{macs}_{lease:08x}.flv"))));
                };
                // Nobody here sees it stream, so that it is over for this platform.
                self.model.close(lease, true, now);
                let (device, start, seconds) = (window.device, window.range.start().get(), window.range.seconds());
                let base = base.replace("{macs}", &macs);
                Came::Download(0, Some((lease, format!("{base}{device}_{start}_{seconds}.flv"))))
            }
            (Err(Refusal::Stat(code)), _) => Came::Stat(code),
            (Err(Refusal::Result(result)), _) => Came::Download(result, None),
        }
    }

    /// What a media URL's name begins with: the camera's address and its recorder's, and the time.
    fn named_macs(&self, grant: &Grant, now: Instant) -> String {
        let Grant { nvr_mac, camera_mac, .. } = grant;
        let (first, second) = if self.config.camera_mac_first { (camera_mac, nvr_mac) } else { (nvr_mac, camera_mac) };
        let time = now.to_utc_second().to_datetime().with_timezone(&self.config.zone).format(TIMESTAMP_FORMAT);
        format!("FLV_{first}_{second}_{time}")
    }

    fn forced(
        &mut self,
        mut record: CallRecord,
        scripted: Scripted,
        parameters: &Parameters,
        origin: &str,
        now: Instant,
    ) -> Reply {
        let fault = match scripted {
            Scripted::Stat(code) => return self.reply(record, Came::Stat(code), now),
            Scripted::Result(result) => return self.reply(record, Came::Download(result, None), now),
            Scripted::Http(status, body) => {
                record.http = status;
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                return Reply { response: Some((status, body).into_response()), record };
            }
            Scripted::Silence => {
                record.http = 0;
                record.answered = None;
                return Reply { response: None, record };
            }
            Scripted::Stream(fault) => Some(fault),
            Scripted::Whole | Scripted::AsIs | Scripted::Live(_) => None,
        };
        let came = match methods::window(parameters, self.config.zone) {
            Ok(window) => {
                let given = self.model.force(window, fault, now);
                self.downloaded(given, window, origin, now)
            }
            Err(code) => Came::Stat(code),
        };
        self.reply(record, came, now)
    }

    fn reply(&self, mut record: CallRecord, came: Came, now: Instant) -> Reply {
        let (seed, call) = (self.config.seed, self.calls);
        let (code, data) = match came {
            Came::Stat(code) => (code, None),
            Came::Data(data) => (0, Some(data)),
            Came::Play(number, data) => {
                record.play = record.play.map(|play| LiveCall { channel: Some(number), ..play });
                (0, Some(data))
            }
            Came::Download(result, accepted) => {
                record.result = Some(result);
                record.lease = accepted.as_ref().map(|(lease, _)| *lease);
                (0, Some(download(seed, call, result, accepted.as_ref().map(|(_, url)| url.as_str()))))
            }
        };
        record.stat = Some(code);
        Reply { response: Some(Json(answer(seed, call, code, data, now)).into_response()), record }
    }
}
