//! From sections as written to [`Settings`]: defaults, bounds, and what must agree with what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use url::Url;

use super::raw::{self, Reader, Section, Value};
use super::remark::{Place, Remark, SettingsErrors};
use super::secret::{self, Origin};
use super::{
    ArchiveSettings, Body, Credentials, Flags, Login, LoginKind, NvrSettings, PlatformSettings, PruneSettings,
    RetrySettings, Settings, Signature, jobs, notify, store, values,
};
use crate::bandwidth::{Ceiling, Ceilings};
use crate::calendar::HourSpan;
use crate::device::{DeviceId, NvrId};
use crate::recording::Container;

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// **\[sdk\]** the vendor's own gateway, on https.
const GATEWAY: &str = "https://openapi.opretail.com/m.api";
/// **\[doc\]** the open platform's system number.
const AID: &str = "S107";
const ZONE: Tz = Tz::Asia__Shanghai;
const MOST_STREAMS: u32 = 10_000;
const MOST_ATTEMPTS: u32 = 100_000;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn load(flags: &Flags, environment: Environment<'_>) -> Result<Settings, SettingsErrors> {
    let mut reader = Reader::default();
    let file = written(flags, environment)?;
    let (settings, _account) = read(&mut reader, file, flags, environment);
    checked(reader, settings)
}

pub(super) fn of_text(name: &str, text: &str) -> Result<Settings, SettingsErrors> {
    let mut reader = Reader::default();
    let file = raw::parse(name, text).map_err(SettingsErrors::new)?;
    let (settings, _account) = read(&mut reader, file, &Flags::default(), &|_| None);
    checked(reader, settings)
}

fn checked(reader: Reader, mut settings: Settings) -> Result<Settings, SettingsErrors> {
    settings.warnings = reader.warnings;
    if reader.mistakes.is_empty() { Ok(settings) } else { Err(SettingsErrors::new(reader.mistakes)) }
}

pub(super) fn load_with_credentials(
    flags: &Flags,
    environment: Environment<'_>,
) -> Result<(Settings, Credentials), SettingsErrors> {
    let mut reader = Reader::default();
    let file = written(flags, environment)?;
    let (mut settings, account) = read(&mut reader, file, flags, environment);
    let credentials = credentials(&mut reader, account);
    settings.warnings = reader.warnings;
    match credentials {
        Some(credentials) if reader.mistakes.is_empty() => Ok((settings, credentials)),
        // OK to trust that there is a mistake: `credentials` reports whatever it does not find.
        _ => Err(SettingsErrors::new(reader.mistakes)),
    }
}

fn read(reader: &mut Reader, mut file: Section, flags: &Flags, environment: Environment<'_>) -> (Settings, Account) {
    let environment = |name: &str| variable(environment, name);
    let mut platform = reader.section(&mut file, "platform", "[platform]");
    let mut archive = reader.section(&mut file, "archive", "[archive]");
    put_over(&mut platform, &mut archive, flags, &environment);
    let mut prune = reader.section(&mut file, "prune", "[prune]");
    prune.put("most", flags.most.clone(), Place::Flag("--most"));
    prune.put("max_share", flags.max_share.clone(), Place::Flag("--max-share"));

    let (platform, account) = read_platform(reader, platform, &environment);
    let archive = read_archive(reader, archive, &environment);
    let retry = reader.section(&mut file, "retry", "[retry]");
    let retry = read_retry(reader, retry);
    let prune = read_prune(reader, prune);
    let nvrs = read_nvrs(reader, &mut file);
    let (jobs, live_jobs) = jobs::read(reader, &mut file, archive.time_zone);
    let names = jobs.iter().map(|job| job.name.as_str()).chain(live_jobs.iter().map(|job| job.name.as_str()));
    let notices = notify::read(reader, &mut file, &names.collect(), &environment);
    reader.finish(file);
    (Settings { archive, platform, retry, prune, nvrs, jobs, live_jobs, notices, warnings: Vec::new() }, account)
}

/// A variable that is empty is one that is not set: it is how a shell unsets it for one command.
fn variable(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

fn written(flags: &Flags, environment: Environment<'_>) -> Result<Section, SettingsErrors> {
    let Some(path) = flags.config.clone().or_else(|| variable(environment, "ARCHIVE_CONFIG").map(PathBuf::from)) else {
        return Ok(Section::empty());
    };
    let name = path.display().to_string();
    let unreadable = |error| {
        let remark = Remark { place: Place::Nowhere, text: format!("cannot read {name}: {error}") };
        SettingsErrors::new(vec![remark])
    };
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    raw::parse(&name, &text).map_err(SettingsErrors::new)
}

fn put_over(platform: &mut Section, archive: &mut Section, flags: &Flags, environment: Environment<'_>) {
    let put = |section: &mut Section, key, variable: Option<&'static str>, flag, value: &Option<String>| {
        if let Some(variable) = variable {
            section.put(key, environment(variable), Place::Environment(variable));
        }
        section.put(key, value.clone(), Place::Flag(flag));
    };
    put(platform, "url", Some("ARCHIVE_URL"), "--url", &flags.url);
    put(platform, "aid", Some("ARCHIVE_AID"), "--aid", &flags.aid);
    put(platform, "akey", Some("ARCHIVE_AKEY"), "--akey", &flags.akey);
    put(archive, "root", Some("ARCHIVE_ROOT"), "--root", &flags.root);
    put(archive, "ledger", Some("ARCHIVE_LEDGER"), "--ledger", &flags.ledger);
    put(archive, "time_zone", None, "--time-zone", &flags.time_zone);
    put(archive, "streams", None, "--streams", &flags.streams);
    put(archive, "per_nvr", None, "--per-nvr", &flags.per_nvr);
}

/// What the settings say of the account; whether all of it is there matters only to commands that use it.
struct Account {
    akey: Option<String>,
    secret: Option<Origin>,
    login: Option<WrittenLogin>,
}

struct WrittenLogin {
    kind: LoginKind,
    user: Option<String>,
    password: Option<Origin>,
}

fn credentials(reader: &mut Reader, account: Account) -> Option<Credentials> {
    if account.akey.is_none() {
        let text = "there is no access key: set akey in [platform], or the environment variable ARCHIVE_AKEY";
        reader.mistake(&Place::Nowhere, text);
    }
    let secret = secret::read(reader, &secret::SECRET, account.secret);
    let login = match account.login {
        None => None,
        Some(written) => {
            let password = secret::read(reader, &secret::PASSWORD, written.password);
            Some(Login { kind: written.kind, user: written.user?, password: password? })
        }
    };
    Some(Credentials { akey: account.akey?, secret: secret?, login })
}

fn read_platform(
    reader: &mut Reader,
    mut section: Section,
    environment: Environment<'_>,
) -> (PlatformSettings, Account) {
    let here = &mut section;
    let platform = PlatformSettings {
        url: read_url(reader, here),
        aid: reader.read(here, "aid", values::label).unwrap_or_else(|| AID.to_owned()),
        signature: reader
            .read(here, "signature", values::choice(&[("md5", Signature::Md5), ("sha1", Signature::Sha1)]))
            .unwrap_or(Signature::Md5),
        time_zone: reader.read(here, "time_zone", values::zone).unwrap_or(ZONE),
        timestamp_zone: reader.read(here, "timestamp_zone", values::zone).unwrap_or(ZONE),
        calls_per_second: reader.read(here, "calls_per_second", values::rate).unwrap_or(5.0),
        call_timeout: reader.read(here, "call_timeout", values::positive_duration).unwrap_or(seconds(30)),
        connect_timeout: reader.read(here, "connect_timeout", values::positive_duration).unwrap_or(seconds(10)),
        media_hosts: reader.read_list(here, "media_hosts", values::media_host),
        versions: read_by_method(reader, here, "versions", values::text),
        bodies: read_by_method(reader, here, "bodies", values::choice(&[("form", Body::Form), ("json", Body::Json)])),
    };
    let account = Account {
        akey: reader.read(here, "akey", values::label),
        secret: secret::origin(reader, here, &secret::SECRET, environment),
        login: read_login(reader, here, environment),
    };
    reader.finish(section);
    (platform, account)
}

fn read_url(reader: &mut Reader, section: &mut Section) -> Url {
    let default = || Url::parse(GATEWAY).expect("the default gateway is a URL");
    let Some(given) = section.take("url") else {
        return default();
    };
    let url = reader.check(&given, "url", values::url).unwrap_or_else(default);
    if values::travels_in_clear_text(&url) {
        let warning = "url: is http, so all of it can be read on the way: signed calls, media URLs, and with [platform.login] \
                       user, password and token; write https:// if it answers";
        reader.warn(&given.place, warning);
    }
    url
}

/// The table `[platform.<key>]`, whose keys are methods' names.
fn read_by_method<T>(
    reader: &mut Reader,
    section: &mut Section,
    key: &'static str,
    read: impl Fn(&Value) -> values::Read<T>,
) -> BTreeMap<String, T> {
    let name = format!("[platform.{key}]");
    let methods = reader.section(section, key, &name).take_rest();
    let mut of_methods = BTreeMap::new();
    for (method, given) in methods {
        if matches!(given.value, Value::Table(_)) {
            let text = format!("{name}: put the method's name in quotes, so that its dots are part of it");
            reader.mistake(&given.place, text);
        } else if let Some(value) = reader.check(&given, &method, &read) {
            of_methods.insert(method, value);
        }
    }
    of_methods
}

fn read_login(reader: &mut Reader, section: &mut Section, environment: Environment<'_>) -> Option<WrittenLogin> {
    let mut section = reader.section(section, "login", "[platform.login]");
    let here = &mut section;
    let kind = reader.read(here, "kind", values::choice(&[("mobile", LoginKind::Mobile), ("sso", LoginKind::Sso)]));
    let user = required(reader, here, "user", values::text);
    let password = secret::origin(reader, here, &secret::PASSWORD, environment);
    let is_written = section.place != Place::Nowhere;
    reader.finish(section);
    is_written.then(|| WrittenLogin { kind: kind.unwrap_or(LoginKind::Mobile), user, password })
}

/// As `[archive] container` names them.
const CONTAINERS: [(&str, Container); 2] = [("flv", Container::Flv), ("mp4", Container::Mp4)];

fn read_archive(reader: &mut Reader, mut section: Section, environment: Environment<'_>) -> ArchiveSettings {
    let here = &mut section;
    let time_zone = reader.read(here, "time_zone", values::zone);
    let (root, store) = store::read(reader, here, environment);
    let archive = ArchiveSettings {
        ledger: reader.read(here, "ledger", values::ledger).unwrap_or_else(|| root.join("ledger.db").into()),
        root,
        store,
        must_exist: reader.read(here, "must_exist", values::truth).unwrap_or(false),
        container: reader.read(here, "container", values::choice(&CONTAINERS)).unwrap_or(Container::Flv),
        min_free: reader.read(here, "min_free", values::size).unwrap_or(5 << 30),
        streams: read_count(reader, here, "streams", MOST_STREAMS).unwrap_or(16),
        per_nvr: read_count(reader, here, "per_nvr", MOST_STREAMS).unwrap_or(4),
        settle: reader.read(here, "settle", values::duration).unwrap_or(seconds(120)),
        tolerance: reader.read(here, "tolerance", values::below_a_minute).unwrap_or(seconds(5)),
        stall_timeout: reader.read(here, "stall_timeout", values::positive_duration).unwrap_or(seconds(30)),
        first_byte_timeout: reader.read(here, "first_byte_timeout", values::positive_duration).unwrap_or(seconds(60)),
        keep_attempts: reader.read(here, "keep_attempts", values::duration).unwrap_or(seconds(90 * 86_400)),
        lease: reader.read(here, "lease", values::positive_duration).unwrap_or(seconds(30)),
        metrics_file: reader.read(here, "metrics_file", values::path),
        bandwidth: read_bandwidth(reader, here, time_zone.unwrap_or(ZONE)),
        time_zone: time_zone.unwrap_or(ZONE),
        time_zone_is_stated: time_zone.is_some(),
    };
    reader.finish(section);
    archive
}

/// One ceiling, or a table with ceilings for hours in `zone`.
fn read_bandwidth(reader: &mut Reader, section: &mut Section, zone: Tz) -> Ceilings {
    const KEY: &str = "bandwidth";
    let given = match section.take(KEY) {
        Some(given) => given,
        None => return Ceilings::None,
    };
    let Value::Table(entries) = &given.value else {
        return reader.check(&given, KEY, values::bandwidth).map_or(Ceilings::None, Ceilings::Always);
    };
    if entries.is_empty() {
        let text = "bandwidth: is empty; write for example { \"09:00-22:00\" = \"2 MiB/s\" }, or leave the line out";
        reader.mistake(&given.place, text);
    }
    let mut hours: Vec<(HourSpan, Ceiling)> = Vec::new();
    for (span, given) in entries {
        let span = reader.check(given, KEY, |_| values::hours(&Value::Text(span.clone())));
        let ceiling = reader.check(given, KEY, values::bandwidth);
        hours.extend(span.zip(ceiling));
    }
    Ceilings::ByHour { zone, hours }
}

fn read_count(reader: &mut Reader, section: &mut Section, key: &'static str, most: u32) -> Option<usize> {
    // OK: a count that fits in 32 bits fits in an address.
    reader.read(section, key, values::count(most)).map(|count| count as usize)
}

fn read_retry(reader: &mut Reader, mut section: Section) -> RetrySettings {
    let here = &mut section;
    let retry = RetrySettings {
        first_delay: reader.read(here, "first_delay", values::positive_duration).unwrap_or(seconds(10)),
        max_delay: reader.read(here, "max_delay", values::positive_duration).unwrap_or(seconds(600)),
        attempts: reader.read(here, "attempts", values::count(MOST_ATTEMPTS)).unwrap_or(6),
        busy_attempts: reader.read(here, "busy_attempts", values::count(MOST_ATTEMPTS)).unwrap_or(40),
        refused_share: reader.read(here, "refused_share", values::share).unwrap_or(0.5),
        recheck_after: reader.read(here, "recheck_after", values::duration).unwrap_or(seconds(300)),
    };
    if retry.first_delay > retry.max_delay {
        reader.mistake(&section.place, "[retry]: first_delay is longer than max_delay; raise max_delay");
    }
    reader.finish(section);
    retry
}

fn read_prune(reader: &mut Reader, mut section: Section) -> PruneSettings {
    let here = &mut section;
    let prune = PruneSettings {
        most: reader.read(here, "most", values::size),
        max_share: reader.read(here, "max_share", values::share).unwrap_or(0.2),
    };
    reader.finish(section);
    prune
}

fn read_nvrs(reader: &mut Reader, file: &mut Section) -> Vec<NvrSettings> {
    let mut nvrs = Vec::new();
    let mut names = BTreeSet::new();
    let mut served: BTreeMap<DeviceId, NvrId> = BTreeMap::new();
    for mut section in reader.sections(file, "nvr") {
        let name = read_name(reader, &mut section, &mut names);
        let here = &mut section;
        let nvr = NvrSettings {
            name: NvrId::new(&name),
            devices: required(reader, here, "devices", values::devices).unwrap_or_default(),
            channels: read_count(reader, here, "channels", MOST_STREAMS),
            footage: reader.read(here, "footage", values::positive_duration),
            store: reader.read(here, "store", values::label),
        };
        let shared = nvr.devices.iter().find_map(|device| Some((device, served.get(device)?)));
        if let Some((device, other)) = shared {
            let text = format!("{}: device {device} is also at \"{other}\"; a device has one NVR", section.name);
            reader.mistake(&section.place, text);
        }
        served.extend(nvr.devices.iter().map(|&device| (device, nvr.name.clone())));
        reader.finish(section);
        nvrs.push(nvr);
    }
    nvrs
}

/// The name, which goes into the section's name too, so that later messages say which it is.
pub(super) fn read_name(reader: &mut Reader, section: &mut Section, names: &mut BTreeSet<String>) -> String {
    let name = required(reader, section, "name", values::label).unwrap_or_default();
    if !name.is_empty() {
        section.name = format!("{} {name:?}", section.name);
        if !names.insert(name.clone()) {
            reader.mistake(&section.place, format!("{}: the name is taken; give each its own", section.name));
        }
    }
    name
}

pub(super) fn required<T>(
    reader: &mut Reader,
    section: &mut Section,
    key: &'static str,
    parse: impl Fn(&Value) -> Result<T, String>,
) -> Option<T> {
    let Some(given) = section.take(key) else {
        if section.place != Place::Nowhere {
            reader.mistake(&section.place, format!("{}: {key} is missing", section.name));
        }
        return None;
    };
    reader.check(&given, key, parse)
}
