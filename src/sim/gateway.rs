//! What the gateway reads of a request, and what it checks before it looks at what is asked: the common parameters, in the
//! order of the vendor's table.

use std::collections::{BTreeMap, HashMap};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::instant::Instant;
use crate::platform::wire::{TIMESTAMP_FORMAT, method, param};
use crate::sim::config::{Config, Hidden};
use crate::sim::moment::Length;
use crate::sim::signature::{Algorithm, expected};

/// A call's parameters, by name.
pub type Parameters = BTreeMap<String, String>;

/// What a request says.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The parameters of the form, or of the query string before a JSON body: those that are signed.
    pub signed: Parameters,
    /// The parameters of a JSON body.
    pub unsigned: Parameters,
}

impl Sent {
    /// Reads a request. A body that says neither that it is a form **\[doc\]** nor that it is JSON **\[sdk\]** says nothing, and
    /// neither does one that is no JSON object. **\[unknown\]** what the platform makes of both, and of a query before a form,
    /// which is passed over here.
    pub fn read(query: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("").to_ascii_lowercase();
        let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect();
        if kind.starts_with("application/x-www-form-urlencoded") {
            return Self { signed: pairs(body), unsigned: Parameters::new() };
        }
        if !kind.starts_with("application/json") {
            return Self::default();
        }
        let object: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let values = object.into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
        Self { signed: pairs(query.as_bytes()), unsigned: values.collect() }
    }

    /// Every parameter; what is not signed cannot take the place of what is.
    pub fn all(&self) -> Parameters {
        self.unsigned.clone().into_iter().chain(self.signed.clone()).collect()
    }
}

/// A value of a JSON body as a form would have it; nothing for what a form cannot have.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The methods that there are. Their version is `v1` **\[doc\]**; that for live streams has `v4` too **\[sdk\]**, and is here the same.
/// Each takes a form **\[doc\]** and a JSON body, with which a production client sends `v4` **\[sdk\]**.
const METHODS: [&str; 6] = [
    method::START_DOWNLOAD,
    method::START_PLAY,
    method::DEVICE_LIST,
    method::STORES,
    method::MOBILE_LOGIN,
    method::SSO_LOGIN,
];

/// How many calls are remembered before old ones are looked for and dropped.
const REMEMBERED: usize = 4096;

/// The checks, and the calls seen of late.
pub struct Gateway {
    akey: String,
    secret: Hidden,
    aid: String,
    key_expired: bool,
    zone: Tz,
    slack: Length,
    allows_repeats: bool,
    seen: HashMap<String, Instant>,
}

impl Gateway {
    /// The gateway of a set-up.
    pub fn new(config: &Config) -> Self {
        Self {
            akey: config.akey.clone(),
            secret: config.secret.clone(),
            aid: config.aid.clone(),
            key_expired: config.key_expired,
            zone: config.zone,
            slack: config.timestamp_slack,
            allows_repeats: config.allows_repeats,
            seen: HashMap::new(),
        }
    }

    /// Checks a call's common parameters. The error is a `stat.code`, that of the first parameter in the order of the
    /// vendor's table that is wrong; a call that is right is remembered, and is -100 when it comes again. **\[unknown\]**, and
    /// decided here: calls with a JSON body are the same when their bodies are the same too, or two cameras could not be asked
    /// for within a second.
    pub fn check(&mut self, sent: &Sent, now: Instant) -> Result<(), i64> {
        let parameters = &sent.signed;
        self.check_key(parameters)?;
        check_method(parameters)?;
        let algorithm = Algorithm::named(required(parameters, param::SIGN_METHOD, 4)?).ok_or(5)?;
        required(parameters, param::REQUEST_MODE, 10)?;
        let version = required(parameters, param::VERSION, 13)?;
        let is_of_live = parameters.get(param::METHOD).is_some_and(|name| name == method::START_PLAY);
        if version != "v1" && !(version == "v4" && is_of_live) {
            return Err(9);
        }
        self.check_timestamp(required(parameters, param::TIMESTAMP, 14)?, now)?;
        let signature = required(parameters, param::SIGNATURE, 6)?;
        if signature != expected(parameters, self.secret.reveal(), algorithm) {
            return Err(7);
        }
        check_format(parameters)?;
        let unsigned = sent.unsigned.iter().map(|(name, value)| format!("&{name}={value}"));
        self.remember(signature.to_owned() + &unsigned.collect::<String>(), now)
    }

    fn check_key(&self, parameters: &Parameters) -> Result<(), i64> {
        let aid = required(parameters, param::AID, 11)?;
        if required(parameters, param::AKEY, 1)? != self.akey {
            return Err(2);
        }
        if self.key_expired {
            return Err(3);
        }
        if aid == self.aid { Ok(()) } else { Err(12) }
    }

    fn check_timestamp(&self, text: &str, now: Instant) -> Result<(), i64> {
        // chrono's own parser takes fewer digits than the vendor's pattern has.
        if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(15);
        }
        let local = NaiveDateTime::parse_from_str(text, TIMESTAMP_FORMAT).map_err(|_| 15)?;
        // The hour that a clock change repeats is right under either reading; the hour that it skips does not exist.
        let near = |at: i64| at.abs_diff(now.as_millis()) <= self.slack.as_millis().max(0).unsigned_abs();
        let read = self.zone.from_local_datetime(&local);
        let candidates = [read.earliest(), read.latest()];
        let right = candidates.iter().flatten().any(|at| near(at.timestamp_millis()));
        if right { Ok(()) } else { Err(16) }
    }

    fn remember(&mut self, call: String, now: Instant) -> Result<(), i64> {
        if self.seen.len() >= REMEMBERED {
            // OK to forget these: their timestamps are too old to pass.
            let slack = self.slack.to_duration();
            self.seen.retain(|_, at| now.since(*at) <= 2 * slack);
        }
        match self.seen.insert(call, now) {
            None => Ok(()),
            Some(_) if self.allows_repeats => Ok(()),
            Some(_) => Err(-100),
        }
    }
}

/// The parameter, when it is there and not empty; else the code that says so.
fn required<'a>(parameters: &'a Parameters, name: &str, missing: i64) -> Result<&'a str, i64> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(missing)
}

fn check_method(parameters: &Parameters) -> Result<(), i64> {
    let name = required(parameters, param::METHOD, 8)?;
    if METHODS.contains(&name) { Ok(()) } else { Err(9) }
}

/// `_format` may be missing. The vendor's table says json and xml; only json is answered here.
fn check_format(parameters: &Parameters) -> Result<(), i64> {
    match parameters.get(param::FORMAT).map(String::as_str) {
        None | Some("" | "json") => Ok(()),
        Some(_) => Err(17),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 20:00:00 in Shanghai.
    const NOW: Instant = Instant::from_millis(1_795_176_000_000);

    fn unsigned() -> Parameters {
        [
            (param::AID, "S107"),
            (param::AKEY, "rehearsal"),
            (param::METHOD, method::DEVICE_LIST),
            (param::SIGN_METHOD, "md5"),
            (param::REQUEST_MODE, "POST"),
            (param::VERSION, "v1"),
            (param::TIMESTAMP, "20261120200000"),
            ("id", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn signed(mut parameters: Parameters) -> Parameters {
        let algorithm = Algorithm::named(&parameters[param::SIGN_METHOD]).unwrap_or(Algorithm::Md5);
        let signature = expected(&parameters, "rehearsal-secret", algorithm);
        parameters.insert(param::SIGNATURE.into(), signature);
        parameters
    }

    fn gateway() -> Gateway {
        Gateway::new(&Config::default())
    }

    /// A form's check.
    fn check(gateway: &mut Gateway, parameters: &Parameters) -> Result<(), i64> {
        gateway.check(&Sent { signed: parameters.clone(), unsigned: Parameters::new() }, NOW)
    }

    fn with(name: &str, value: &str) -> Parameters {
        let mut parameters = unsigned();
        parameters.insert(name.into(), value.into());
        signed(parameters)
    }

    fn without(name: &str) -> Parameters {
        let mut parameters = signed(unsigned());
        parameters.remove(name);
        parameters
    }

    #[test]
    fn a_right_call_passes_once_and_is_repeated_the_second_time() {
        let mut gateway = gateway();
        assert_eq!(check(&mut gateway, &signed(unsigned())), Ok(()));
        assert_eq!(check(&mut gateway, &signed(unsigned())), Err(-100));
        assert_eq!(check(&mut gateway, &with(param::TIMESTAMP, "20261120200001")), Ok(()));
        assert_eq!(check(&mut gateway, &with(param::SIGN_METHOD, "sha1")), Ok(()));
    }

    #[test]
    fn each_missing_parameter_has_its_code() {
        for (name, code) in [
            (param::AKEY, 1),
            (param::SIGN_METHOD, 4),
            (param::SIGNATURE, 6),
            (param::METHOD, 8),
            (param::REQUEST_MODE, 10),
            (param::AID, 11),
            (param::VERSION, 13),
            (param::TIMESTAMP, 14),
        ] {
            assert_eq!(check(&mut gateway(), &without(name)), Err(code), "without {name}");
            assert_eq!(
                check(&mut gateway(), &{
                    let mut p = signed(unsigned());
                    p.insert(name.into(), String::new());
                    p
                }),
                Err(code)
            );
        }
    }

    #[test]
    fn each_wrong_parameter_has_its_code() {
        for (name, value, code) in [
            (param::AKEY, "other", 2),
            (param::SIGN_METHOD, "crc32", 5),
            (param::METHOD, "open.shopweb.device.explode", 9),
            (param::VERSION, "v9", 9),
            (param::AID, "S108", 12),
            (param::TIMESTAMP, "2026-11-20", 15),
            (param::TIMESTAMP, "20261320200000", 15),
            (param::TIMESTAMP, "20261120194959", 16),
            (param::TIMESTAMP, "20261120201001", 16),
            (param::FORMAT, "xml", 17),
        ] {
            assert_eq!(check(&mut gateway(), &with(name, value)), Err(code), "{name}={value}");
        }
        assert_eq!(check(&mut gateway(), &with(param::FORMAT, "json")), Ok(()));
        let expired = Config { key_expired: true, ..Config::default() };
        assert_eq!(check(&mut Gateway::new(&expired), &signed(unsigned())), Err(3));
    }

    #[test]
    fn a_changed_parameter_breaks_the_signature() {
        let mut parameters = signed(unsigned());
        parameters.insert("id".into(), "2".into());
        assert_eq!(check(&mut gateway(), &parameters), Err(7));
    }

    #[test]
    fn the_first_wrong_parameter_of_the_table_is_named() {
        let mut parameters = unsigned();
        assert_eq!(check(&mut gateway(), &Parameters::new()), Err(11));
        parameters.insert(param::TIMESTAMP.into(), "nonsense".into());
        assert_eq!(check(&mut gateway(), &parameters), Err(15), "before the missing signature");
    }

    #[test]
    fn old_signatures_are_forgotten() {
        let mut gateway = gateway();
        for number in 0..REMEMBERED {
            gateway.seen.insert(number.to_string(), NOW);
        }
        let later = NOW + std::time::Duration::from_secs(1201);
        assert_eq!(gateway.remember("new".to_owned(), later), Ok(()));
        assert_eq!(gateway.seen.len(), 1);
    }

    fn headers(kind: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a header's value"))])
    }

    #[test]
    fn a_request_is_a_form_or_a_query_with_a_json_body() {
        let form =
            Sent::read("_aid=no", &headers("application/x-www-form-urlencoded; charset=utf-8"), b"_aid=S107&n=a+b");
        assert_eq!((form.signed["n"].as_str(), form.signed["_aid"].as_str(), form.unsigned.len()), ("a b", "S107", 0));
        let body = br#"{"deviceId": 5, "permanent": true, "name": "x", "none": null, "list": [1], "_aid": "S108"}"#;
        let json = Sent::read("_aid=S107&n=%22", &headers("application/json"), body);
        assert_eq!((json.signed.len(), json.signed["n"].as_str()), (2, "\""));
        let all = json.all();
        assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), ["_aid", "deviceId", "n", "name", "permanent"]);
        assert_eq!((all["_aid"].as_str(), all["deviceId"].as_str(), all["permanent"].as_str()), ("S107", "5", "true"));
        for (kind, body) in [("text/plain", "_aid=S107"), ("application/json", "[1]"), ("application/json", "{")] {
            assert!(Sent::read("", &headers(kind), body.as_bytes()).all().is_empty(), "{kind} {body}");
        }
    }

    #[test]
    fn what_is_in_a_json_body_is_neither_signed_nor_a_common_parameter() {
        let mut gateway = gateway();
        let body = [("deviceId".to_owned(), "5".to_owned())].into();
        let mut sent = Sent { signed: signed(unsigned()), unsigned: body };
        assert_eq!(gateway.check(&sent, NOW), Ok(()));
        assert_eq!(gateway.check(&sent, NOW), Err(-100));
        sent.unsigned.insert("deviceId".into(), "6".into());
        assert_eq!(gateway.check(&sent, NOW), Ok(()), "another call within the same second");
        let (name, value) = sent.signed.remove_entry(param::AKEY).expect("it is there");
        sent.unsigned.insert(name, value);
        assert_eq!(gateway.check(&sent, NOW), Err(1));
        sent.signed.insert(param::AKEY.into(), "rehearsal".into());
        sent.signed.insert(param::SIGNATURE.into(), "0".into());
        assert_eq!(gateway.check(&sent, NOW), Err(7));
    }

    #[test]
    fn live_streams_have_a_version_of_their_own() {
        let asked = |name: &str| {
            let mut parameters = unsigned();
            parameters
                .extend([(param::METHOD, name), (param::VERSION, "v4")].map(|(n, v)| (n.to_owned(), v.to_owned())));
            check(&mut gateway(), &signed(parameters))
        };
        assert_eq!((asked(method::START_PLAY), asked(method::START_DOWNLOAD)), (Ok(()), Err(9)));
    }
}
