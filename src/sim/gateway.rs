//! What the gateway checks before it looks at what is asked: the common parameters, in the order of the vendor's table.

use std::collections::{BTreeMap, HashMap};

use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use crate::instant::Instant;
use crate::platform::wire::{TIMESTAMP_FORMAT, method, param};
use crate::sim::config::{Config, Hidden};
use crate::sim::moment::Length;
use crate::sim::signature::{Algorithm, expected};

/// A call's parameters, by name.
pub type Parameters = BTreeMap<String, String>;

/// The methods that there are. Their only version is `v1`, with a form as its body. **\[doc\]** A production client sends
/// `v4` with a JSON body for live streams **\[sdk\]**; that is not answered here.
const METHODS: [&str; 6] = [
    method::START_DOWNLOAD,
    method::START_PLAY,
    method::DEVICE_LIST,
    method::STORES,
    method::MOBILE_LOGIN,
    method::SSO_LOGIN,
];

/// How many signatures are remembered before old ones are looked for and dropped.
const REMEMBERED: usize = 4096;

/// The checks, and the signatures seen of late.
pub struct Gateway {
    akey: String,
    secret: Hidden,
    aid: String,
    key_expired: bool,
    zone: Tz,
    slack: Length,
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
            seen: HashMap::new(),
        }
    }

    /// Checks a call's common parameters. The error is a `stat.code`, that of the first parameter in the order of the
    /// vendor's table that is wrong; a call that is right is remembered, and is -100 when it comes again.
    pub fn check(&mut self, parameters: &Parameters, now: Instant) -> Result<(), i64> {
        self.check_key(parameters)?;
        check_method(parameters)?;
        let algorithm = Algorithm::named(required(parameters, param::SIGN_METHOD, 4)?).ok_or(5)?;
        required(parameters, param::REQUEST_MODE, 10)?;
        if required(parameters, param::VERSION, 13)? != "v1" {
            return Err(9);
        }
        self.check_timestamp(required(parameters, param::TIMESTAMP, 14)?, now)?;
        let signature = required(parameters, param::SIGNATURE, 6)?;
        if signature != expected(parameters, self.secret.reveal(), algorithm) {
            return Err(7);
        }
        check_format(parameters)?;
        self.remember(signature, now)
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

    fn remember(&mut self, signature: &str, now: Instant) -> Result<(), i64> {
        if self.seen.len() >= REMEMBERED {
            // OK to forget these: their timestamps are too old to pass.
            let slack = self.slack.to_duration();
            self.seen.retain(|_, at| now.since(*at) <= 2 * slack);
        }
        match self.seen.insert(signature.to_owned(), now) {
            None => Ok(()),
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
        assert_eq!(gateway.check(&signed(unsigned()), NOW), Ok(()));
        assert_eq!(gateway.check(&signed(unsigned()), NOW), Err(-100));
        assert_eq!(gateway.check(&with(param::TIMESTAMP, "20261120200001"), NOW), Ok(()));
        assert_eq!(gateway.check(&with(param::SIGN_METHOD, "sha1"), NOW), Ok(()));
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
            assert_eq!(gateway().check(&without(name), NOW), Err(code), "without {name}");
            assert_eq!(
                gateway().check(
                    &{
                        let mut p = signed(unsigned());
                        p.insert(name.into(), String::new());
                        p
                    },
                    NOW
                ),
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
            assert_eq!(gateway().check(&with(name, value), NOW), Err(code), "{name}={value}");
        }
        assert_eq!(gateway().check(&with(param::FORMAT, "json"), NOW), Ok(()));
        let expired = Config { key_expired: true, ..Config::default() };
        assert_eq!(Gateway::new(&expired).check(&signed(unsigned()), NOW), Err(3));
    }

    #[test]
    fn a_changed_parameter_breaks_the_signature() {
        let mut parameters = signed(unsigned());
        parameters.insert("id".into(), "2".into());
        assert_eq!(gateway().check(&parameters, NOW), Err(7));
    }

    #[test]
    fn the_first_wrong_parameter_of_the_table_is_named() {
        let mut parameters = unsigned();
        assert_eq!(gateway().check(&Parameters::new(), NOW), Err(11));
        parameters.insert(param::TIMESTAMP.into(), "nonsense".into());
        assert_eq!(gateway().check(&parameters, NOW), Err(15), "before the missing signature");
    }

    #[test]
    fn old_signatures_are_forgotten() {
        let mut gateway = gateway();
        for number in 0..REMEMBERED {
            gateway.seen.insert(number.to_string(), NOW);
        }
        let later = NOW + std::time::Duration::from_secs(1201);
        assert_eq!(gateway.remember("new", later), Ok(()));
        assert_eq!(gateway.seen.len(), 1);
    }
}
