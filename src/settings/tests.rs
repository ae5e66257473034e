//! Settings from files, environment and flags; and every mistake that a file can hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::*;
use crate::bandwidth::Ceiling;
use crate::calendar::When;
use crate::time_range::UtcSecond;

const EXAMPLE: &str = include_str!("../../jobs.example.toml");

/// A folder with a settings file, the environment beside it, and flags that name the file.
struct Bench {
    folder: TempDir,
    environment: BTreeMap<String, String>,
    flags: Flags,
}

impl Bench {
    fn with_file(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("jobs.toml");
        fs::write(&config, text).expect("a file in it");
        let flags = Flags { config: Some(config), ..Flags::default() };
        Self { folder, environment: BTreeMap::new(), flags }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn load(&self) -> Result<Settings, SettingsErrors> {
        Settings::load(&self.flags, &|name| self.environment.get(name).cloned())
    }

    fn load_with_credentials(&self) -> Result<(Settings, Credentials), SettingsErrors> {
        Settings::load_with_credentials(&self.flags, &|name| self.environment.get(name).cloned())
    }

    /// The mistakes, as they are shown, without the folder's name.
    fn mistakes(&self) -> String {
        let shown = self.load().expect_err("this file is full of mistakes").to_string();
        shown.replace(&self.path(""), "")
    }
}

fn devices(numbers: impl IntoIterator<Item = i64>) -> BTreeSet<DeviceId> {
    numbers.into_iter().filter_map(DeviceId::new).collect()
}

/// The example with every setting that is at its default taken out of its comment.
fn example_in_full() -> String {
    let is_setting =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| !" \n".contains(c)));
    EXAMPLE.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_and_names_two_stores() {
    let settings = Bench::with_file(EXAMPLE).load().unwrap();
    let jobs: Vec<_> = settings.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(jobs, ["nightly", "tills", "stocktaking"]);
    assert_eq!(settings.jobs[0].devices, devices([1, 2, 3, 4, 5, 7]));
    assert_eq!(settings.jobs[0].asked, Asked::Yesterday);
    assert_eq!(settings.jobs[0].stop_at, NaiveTime::from_hms_opt(7, 0, 0));
    assert!(matches!(settings.jobs[2].asked, Asked::Between { from: When::Local(_), to: When::Local(_) }));
    let [live] = &settings.live_jobs[..] else { panic!("{:?}", settings.live_jobs) };
    assert_eq!((live.name.as_str(), &live.devices, live.secondary), ("vault", &devices([6]), false));
    assert_eq!(live.hours.iter().map(ToString::to_string).collect::<Vec<_>>(), ["08:00-23:00"]);
    let map = settings.nvr_map();
    assert_eq!(map.nvr_of(DeviceId::new(7).unwrap()).as_str(), "store 2");
    assert_eq!(settings.nvrs[0].footage, Some(Duration::from_secs(30 * 86_400)));
    assert!(settings.warnings.is_empty());
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    let (short, full) =
        (Bench::with_file(EXAMPLE).load().unwrap(), Bench::with_file(&example_in_full()).load().unwrap());
    assert!(example_in_full().contains("\nstreams = 16"));
    assert_eq!(ArchiveSettings { time_zone_is_stated: false, ..full.archive }, short.archive);
    assert_eq!((full.retry, full.prune), (short.retry, short.prune));
    assert_eq!((full.platform.versions.len(), full.platform.bodies.len()), (1, 1));
    let none = PlatformSettings { versions: BTreeMap::new(), bodies: BTreeMap::new(), ..full.platform };
    assert_eq!(none, short.platform);
    let nothing = Settings::load(&Flags::default(), &|_| None).unwrap();
    assert_eq!((short.archive, short.retry), (nothing.archive, nothing.retry));
    assert_eq!(short.platform, nothing.platform);
}

#[test]
fn the_example_names_every_key_there_is() {
    let full = EXAMPLE.replace("# [platform.login]", "[platform.login]");
    let live = ("[[job]]", "name = 'x'\nkind = 'live'\n");
    let headers = ["[platform]", "[platform.login]", "[archive]", "[retry]", "[prune]", "[[nvr]]", "[[job]]"];
    let named = |header: &'static str| (header, if header.starts_with("[[") { "name = 'x'\n" } else { "" });
    for (header, name) in headers.into_iter().map(named).chain([live]) {
        let said = Bench::with_file(&format!("{header}\n{name}0 = 1\n")).mistakes();
        let keys = said.lines().find_map(|line| line.split_once("the keys here are ")).expect("the list of keys").1;
        let documented: String =
            full.split(header).skip(1).map(|part| part.split("\n[").next().unwrap_or(part)).collect();
        for key in keys.split(", ").filter(|key| !["secret", "password", "versions", "bodies", "login"].contains(key)) {
            let is_there = documented.lines().any(|line| {
                line.trim_start_matches(['#', ' ']).trim_start_matches("or: ").starts_with(&format!("{key} = "))
            });
            assert!(is_there, "{header} {key} is not in jobs.example.toml");
        }
    }
}

#[test]
fn a_live_job_has_hours_and_no_range_and_a_camera_is_recorded_live_once() {
    let file = "[[job]]\nname = 'a'\nkind = 'live'\ndevices = '1-3'\nsecondary = true\n\
                [[job]]\nname = 'b'\nkind = 'live'\ndevices = [4]\nhours = '09:00-22:00'\n\
                [[job]]\nname = 'c'\ndevices = '1-4'\nrange = 'yesterday'\n";
    let settings = Bench::with_file(file).load().unwrap();
    let live: Vec<_> = settings.live_jobs.iter().map(|job| (job.name.as_str(), job.secondary)).collect();
    assert_eq!((live, settings.jobs.len()), (vec![("a", true), ("b", false)], 1));
    let file = "[[job]]\nname = 'a'\nkind = 'live'\ndevices = '1-3'\nlast = '1h'\nstop_at = '07:00'\nsecondary = 'yes'\n\
                [[job]]\nname = 'a'\nkind = 'live'\ndevices = '3'\n\
                [[job]]\nname = 'd'\nkind = 'lives'\ndevices = '9'\nsecondary = true\n";
    let said = Bench::with_file(file).mistakes();
    insta::assert_snapshot!(said, @r#"
    jobs.toml:5:8: [[job]] "a": a live job has no last: it records in its hours
    jobs.toml:6:11: [[job]] "a": a live job has no stop_at: it records in its hours
    jobs.toml:7:13: secondary: wants true or false, without quotes, and this is a text
    jobs.toml:8:1: [[job]] "a": the name is taken; give each its own
    jobs.toml:8:1: [[job]] "a": device 3 is also in "a"; a camera is recorded live once
    jobs.toml:12:1: [[job]] "d": it must have one range of time; write one of range = "yesterday", last = "26h", or from and to
    jobs.toml:14:8: kind: "lives" is not known; write "download" or "live"
    jobs.toml:16:13: [[job]] "d": there is no setting "secondary"; the keys here are name, kind, devices, time_zone, hours, keep, range, last, from, to, stop_at
    "#);
}

#[test]
fn a_job_says_for_how_long_it_keeps_and_a_day_is_the_least() {
    let file = "[prune]\nmost = '10 GiB'\n[[job]]\nname = 'a'\ndevices = 1\nlast = '30 days'\nkeep = '7 days'\n\
                [[job]]\nname = 'b'\nkind = 'live'\ndevices = 1\nkeep = '1 day'\n[[job]]\nname = 'c'\ndevices = 1\nlast = '1h'\n";
    let settings = Bench::with_file(file).load().unwrap();
    let keeps = (settings.jobs[0].keep, settings.live_jobs[0].keep, settings.jobs[1].keep);
    let days = |count: u64| Some(Duration::from_secs(count * 86_400));
    assert_eq!(keeps, (days(7), days(1), None));
    assert_eq!((settings.prune.most, settings.prune.max_share), (Some(10 << 30), 0.2));
    let [warning] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
    assert!(warning.to_string().contains("longer than its keep"), "{warning}");
    let said = Bench::with_file("[[job]]\nname = 'a'\ndevices = 1\nlast = '1h'\nkeep = '23h'\n").mistakes();
    assert!(said.contains("less than a day"), "{said}");
}

#[test]
fn an_archive_is_of_flvs_or_of_mp4s() {
    let archive = |container| Bench::with_file(&format!("[archive]\ncontainer = \"{container}\"\n"));
    assert_eq!(archive("mp4").load().expect("it is one of the two").archive.container, Container::Mp4);
    let refused = archive("ts").mistakes();
    assert!(refused.contains("\"ts\" is not known; write \"flv\" or \"mp4\""), "{refused}");
}

#[test]
fn a_method_may_have_a_version_and_a_body_of_its_own() {
    let file = "[platform.versions]\n'live' = 'v4'\n[platform.bodies]\n'live' = 'json'\n'list' = 'form'";
    let platform = Bench::with_file(file).load().unwrap().platform;
    assert_eq!(platform.versions, BTreeMap::from([("live".to_owned(), "v4".to_owned())]));
    assert_eq!(platform.bodies, BTreeMap::from([("live".to_owned(), Body::Json), ("list".to_owned(), Body::Form)]));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file =
        "[archive]\nroot = 'of the file'\nledger = 'of the file.db'\nstreams = 3\n[platform]\naid = 'of the file'";
    let mut bench = Bench::with_file(file).variable("ARCHIVE_ROOT", "of the environment").variable("ARCHIVE_AID", "");
    bench = bench.variable("ARCHIVE_LEDGER", "of the environment.db");
    bench.flags.ledger = Some("of the flag.db".to_owned());
    let settings = bench.load().unwrap();
    assert_eq!(settings.archive.root, Path::new("of the environment"));
    assert_eq!(settings.archive.ledger, Path::new("of the flag.db").into());
    assert_eq!((settings.archive.streams, settings.archive.per_nvr), (3, 4));
    assert_eq!(settings.platform.aid, "of the file");

    bench.flags.streams = Some("many".to_owned());
    let said = bench.variable("ARCHIVE_URL", "ftp://example.com").mistakes();
    insta::assert_snapshot!(said, @r#"
    --streams: streams: "many" is not a whole number from 1 to 10000
    environment, ARCHIVE_URL: url: is not an http or https URL; write for example "https://openapi.opretail.com/m.api"
    "#);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let bench = Bench::with_file("[archive]\nstreams = 7");
    let config = bench.path("jobs.toml");
    let settings = Settings::load(&Flags::default(), &|name| (name == "ARCHIVE_CONFIG").then(|| config.clone()));
    assert_eq!(settings.unwrap().archive.streams, 7);
    let missing = Settings::load(&Flags::default(), &|name| (name == "ARCHIVE_CONFIG").then(|| config.clone() + "x"));
    assert!(missing.unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let said = Bench::with_file(
        r#"
[platform]
url = "opretail"
signature = "sha256"
secret = "hush"
calls_per_second = 0
time_zone = "Asia/Schanghai"
call_timeout = 30
login = "me"
[platform.versions]
open.shopweb = "v1"
[platform.bodies]
"open.shopweb.device.startNewMediaPlay" = "xml"
open.shopweb = "json"

[archive]
strems = 16
min_free = "5 gallons"
per_nvr = 0
tolerance = "2m"
root = "s3://bucket"

[retry]
first_delay = "1h"
speed = "fast"

[[nvr]]
name = "one"
devices = "1-5"

[[nvr]]
name = "two"
devices = ["4", 9, "12-10"]

[[nvr]]
name = "two"
devices = [5]
channels = true

[[job]]
name = "night"
devices = "1-99999999"
range = "tomorrow"
hours = ["09:00-22:00", "9-22"]
stop_at = "7"

[[job]]
devices = []
last = "26h"
from = "2026-11-20"

[nvrs]
"#,
    )
    .mistakes();
    assert!(!said.contains("hush"));
    insta::assert_snapshot!(said, @r#"
    jobs.toml:3:7: url: is not a URL; write for example "https://openapi.opretail.com/m.api"
    jobs.toml:4:13: signature: "sha256" is not known; write "md5" or "sha1"
    jobs.toml:5:10: secret: a secret does not belong in this file; set secret_file or secret_command, or the environment variable ARCHIVE_SECRET
    jobs.toml:6:20: calls_per_second: "0" is not a number above 0
    jobs.toml:7:13: time_zone: "Asia/Schanghai" is not a time zone; write for example "Asia/Shanghai" or "UTC"
    jobs.toml:8:16: call_timeout: 30 has no unit; write for example "30s"
    jobs.toml:9:9: login is a text; write a table under [platform.login]
    jobs.toml:11:1: [platform.versions]: put the method's name in quotes, so that its dots are part of it
    jobs.toml:13:43: open.shopweb.device.startNewMediaPlay: "xml" is not known; write "form" or "json"
    jobs.toml:14:1: [platform.bodies]: put the method's name in quotes, so that its dots are part of it
    jobs.toml:17:10: [archive]: there is no setting "strems"; did you mean "streams"?
    jobs.toml:18:12: min_free: "5 gallons" is not a size; write for example "5 GiB" or "500 MB"
    jobs.toml:19:11: per_nvr: "0" is not a whole number from 1 to 10000
    jobs.toml:20:13: tolerance: is a minute or more; write less, such as "5s"
    jobs.toml:21:8: root is in an object store, so say where the ledger is: ledger = "/var/lib/archive/ledger.db"
    jobs.toml:23:1: [retry]: first_delay is longer than max_delay; raise max_delay
    jobs.toml:25:9: [retry]: there is no setting "speed"; the keys here are first_delay, max_delay, attempts, busy_attempts, refused_share, recheck_after
    jobs.toml:33:11: devices: "12-10" ends before it starts; write the smaller number first
    jobs.toml:35:1: [[nvr]] "two": the name is taken; give each its own
    jobs.toml:35:1: [[nvr]] "two": device 5 is also at "one"; a device has one NVR
    jobs.toml:38:12: channels: is true or false; write a number
    jobs.toml:42:11: devices: "1-99999999" makes more than a million devices; check its ends
    jobs.toml:43:9: range: "tomorrow" is not a date; write "2026-11-20", "yesterday" or "today"
    jobs.toml:44:25: hours: "9-22" is not a span of hours; write "09:00-22:00"
    jobs.toml:45:11: stop_at: "7" is not a time of day; write "07:00"
    jobs.toml:47:1: [[job]]: name is missing
    jobs.toml:47:1: [[job]]: it must have one range of time; write one of range = "yesterday", last = "26h", or from and to
    jobs.toml:48:11: devices: is empty; name a device or leave the line out
    jobs.toml:52:1: there is no setting "nvrs"; did you mean "nvr"?
    "#);
}

#[test]
fn what_is_not_toml_is_reported_without_quoting_the_line() {
    let said = Bench::with_file("[platform]\nsecret = \"hush\nakey = 'a\n[archive\n").mistakes();
    assert!(!said.contains("hush"), "{said}");
    insta::assert_snapshot!(said, @r#"
    jobs.toml:2:15: not TOML: invalid basic string, expected `"`
    jobs.toml:3:10: not TOML: invalid literal string, expected `'`
    jobs.toml:4:9: not TOML: unclosed table, expected `]`
    "#);
}

#[test]
fn an_account_is_missed_only_by_those_who_need_it() {
    let bench = Bench::with_file("[platform.login]\nuser = 'me'\n");
    assert!(bench.load().is_ok());
    let said = bench.load_with_credentials().unwrap_err().to_string();
    insta::assert_snapshot!(said, @r#"
    there is no access key: set akey in [platform], or the environment variable ARCHIVE_AKEY
    there is no secret: set secret_file or secret_command, or the environment variable ARCHIVE_SECRET
    there is no password: set password_file or password_command, or the environment variable ARCHIVE_PASSWORD
    "#);
}

#[test]
fn a_one_off_needs_only_the_environment() {
    let environment = |name: &str| match name {
        "ARCHIVE_AKEY" => Some("key".to_owned()),
        "ARCHIVE_SECRET" => Some("hush".to_owned()),
        _ => None,
    };
    let (settings, credentials) = Settings::load_with_credentials(&Flags::default(), &environment).unwrap();
    assert_eq!((credentials.akey.as_str(), credentials.secret.expose_secret()), ("key", "hush"));
    assert!(settings.jobs.is_empty() && credentials.login.is_none());
    assert!(!format!("{credentials:?}").contains("hush"));
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut bench = Bench::with_file("").variable("ARCHIVE_AKEY", "key");
    let secret = bench.path("secret");
    let config = format!("[platform]\nsecret_file = {secret:?}\n");
    fs::write(bench.path("jobs.toml"), config).unwrap();
    fs::write(&secret, "hush \n").unwrap();
    for (mode, warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let (settings, credentials) = bench.load_with_credentials().unwrap();
        assert_eq!(credentials.secret.expose_secret(), "hush ");
        assert_eq!(settings.warnings.len(), warnings, "{mode:o}: {:?}", settings.warnings);
    }
    fs::write(&secret, "\n").unwrap();
    assert!(bench.load_with_credentials().unwrap_err().to_string().contains("it is empty"));
    fs::remove_file(&secret).unwrap();
    assert!(bench.load_with_credentials().unwrap_err().to_string().contains("cannot read"));
    bench = bench.variable("ARCHIVE_SECRET", "of the environment");
    assert_eq!(bench.load_with_credentials().unwrap().1.secret.expose_secret(), "of the environment");
}

#[cfg(unix)]
#[test]
fn a_command_may_give_the_secret_and_the_password() {
    let file = |command: &str| {
        format!(
            "[platform]\nakey = 1234\nsecret_command = {command}\n[platform.login]\nkind = 'sso'\nuser = 'me'\n\
             password_command = ['printf', 'open sesame\\r\\n']"
        )
    };
    let (_, credentials) = Bench::with_file(&file("['echo', 'hush']")).load_with_credentials().unwrap();
    assert_eq!((credentials.akey.as_str(), credentials.secret.expose_secret()), ("1234", "hush"));
    let login = credentials.login.unwrap();
    assert_eq!((login.kind, login.password.expose_secret()), (LoginKind::Sso, "open sesame"));
    for (command, reason) in [
        ("['false']", "failed"),
        ("['true']", "it is empty"),
        ("['no such program here']", "cannot run"),
        ("['printf', '\\377']", "not UTF-8"),
        ("'echo hush'", "is not a command"),
        ("[]", "is not a command"),
    ] {
        let said = Bench::with_file(&file(command)).load_with_credentials().unwrap_err().to_string();
        assert!(said.contains(reason), "{command}: {said}");
    }
}

#[test]
fn a_command_is_not_run_when_the_settings_are_wrong() {
    let bench = Bench::with_file("");
    let trace = bench.path("trace");
    let config = format!("[platform]\nakey = 'a'\nsecret_command = ['touch', {trace:?}]\n[retry]\nattempts = 0\n");
    fs::write(bench.path("jobs.toml"), config).unwrap();
    bench.load_with_credentials().unwrap_err();
    assert!(!Path::new(&trace).exists());
}

#[test]
fn clear_text_is_warned_of_unless_it_stays_on_the_machine() {
    for (url, warnings) in [
        ("http://openapi.opretail.com/m.api", 1),
        ("http://localhost.example.com/m.api", 1),
        ("https://openapi.opretail.com/m.api", 0),
        ("http://127.0.0.1:8500/m.api", 0),
        ("http://[::1]:8500/m.api", 0),
        ("http://localhost:8500/m.api", 0),
    ] {
        let mut flags = Flags { url: Some(url.to_owned()), ..Flags::default() };
        let settings = Settings::load(&flags, &|_| None).unwrap();
        assert_eq!(settings.warnings.len(), warnings, "{url}");
        flags.url = Some(url.replace("://", "://me:hush@"));
        let said = Settings::load(&flags, &|_| None).unwrap_err().to_string();
        assert!(said.starts_with("--url: url: holds a user or a password") && !said.contains("hush"), "{said}");
    }
}

#[test]
fn times_and_lists_may_be_written_as_toml_has_them() {
    let settings = Bench::with_file(
        "[[job]]\nname = 1\ndevices = 5\nfrom = 2026-11-20T09:00:00+08:00\nstop_at = 07:00:00\nhours = '22:00-02:00'\n\
         [[job]]\nname = 2\ndevices = [5, '7,10-12']\nfrom = 2026-11-20\nto = 2026-11-20T22:00:00\ntime_zone = 'UTC'",
    )
    .load()
    .unwrap();
    let [first, second] = &settings.jobs[..] else { panic!("{:?}", settings.jobs) };
    assert!(matches!(first.asked, Asked::Between { from: When::At(_), to: When::Now }), "{:?}", first.asked);
    assert_eq!((first.devices.clone(), first.hours.len()), (devices([5]), 1));
    assert!(matches!(second.asked, Asked::Between { from: When::Local(_), to: When::Local(_) }));
    assert_eq!((second.devices.clone(), second.time_zone), (devices([5, 7, 10, 11, 12]), Some(Tz::UTC)));
    assert_eq!(first.time_zone, None);
}

#[test]
fn a_range_that_can_never_hold_a_second_is_a_mistake_and_one_to_come_is_not() {
    let job = |range: &str| format!("[[job]]\nname = 'a'\ndevices = 5\n{range}");
    assert!(Bench::with_file(&job("from = 9000-01-01\nto = '9000-01-02 12:00'")).load().is_ok());
    assert!(Bench::with_file(&job("from = 2026-11-20")).load().is_ok());
    let said = Bench::with_file(&job("from = 2026-11-20\nto = 2026-11-19")).mistakes();
    assert!(said.starts_with("jobs.toml:1:1: [[job]] \"a\": the range ends"), "{said}");
    assert!(Bench::with_file(&job("from = 1900-01-01")).mistakes().contains("outside the years 1970 to 9999"));
    for none in ["", "to = 'now'", "range = 'today'\nlast = '2h'"] {
        assert!(Bench::with_file(&job(none)).mistakes().contains("it must have one range of time"), "{none}");
    }
}

#[test]
fn a_bandwidth_is_in_bytes_or_in_bits() {
    let read = |text: &str| Bench::with_file(&format!("[archive]\nbandwidth = '{text}'")).load();
    for (text, bytes) in [
        ("4 MiB/s", 4 << 20),
        ("4MiB/s", 4 << 20),
        ("1.5 MB/s", 1_500_000),
        ("500 kB/s", 500_000),
        ("1000 B/s", 1000),
        (" 2 GiB /s ", 2 << 30),
        ("16 Mbit/s", 2_000_000),
        ("500 kbit/s", 62_500),
        ("2.5Gbit/s", 312_500_000),
        ("1 Mibit/s", 131_072),
        ("8000 bit/s", 1000),
    ] {
        let ceiling = Ceiling::new(bytes).map(Ceilings::Always).expect("not 0");
        assert_eq!(read(text).map(|settings| settings.archive.bandwidth), Ok(ceiling), "{text}");
    }
    for text in
        ["4 MiB", "4", "4/s", "4 M/s", "16 Mb/s", "16 Mbps", "-4 MiB/s", "fast", "/s", "B/s", "bit/s", "4 MiB/h"]
    {
        let said = Bench::with_file(&format!("[archive]\nbandwidth = '{text}'")).mistakes();
        let place = format!("jobs.toml:2:13: bandwidth: {text:?} is not a bandwidth; write for example \"4 MiB/s\"");
        assert!(said.starts_with(&place), "{said}");
    }
    for text in ["0 MiB/s", "0bit/s", "999 B/s", "4 kbit/s"] {
        let said = Bench::with_file(&format!("[archive]\nbandwidth = '{text}'")).mistakes();
        assert!(said.contains("is too little for any recording; write for example"), "{said}");
    }
}

#[test]
fn a_bandwidth_may_have_hours_in_the_devices_time() {
    let file = "[archive]\ntime_zone = 'Europe/Berlin'\n[archive.bandwidth]\n'09:00-22:00' = '2 MB/s'\n'23:00-01:00' = '8 Mbit/s'";
    let bandwidth = Bench::with_file(file).load().unwrap().archive.bandwidth;
    // 2026-11-20, of which Berlin's clock shows an hour more than UTC.
    let at = |hour: i64| bandwidth.at(UtcSecond::new(1_795_132_800 + hour * 3600)).map(Ceiling::bytes_per_second);
    assert_eq!(
        [7, 8, 20, 21, 22, 23, 24].map(at),
        [None, Some(2_000_000), Some(2_000_000), None, Some(1_000_000), Some(1_000_000), None]
    );
    assert_eq!(Bench::with_file("").load().unwrap().archive.bandwidth, Ceilings::None);
}

#[test]
fn every_mistake_in_a_bandwidths_hours_is_reported_with_its_line() {
    let said = Bench::with_file("[archive]\nbandwidth = {}").mistakes();
    assert!(said.contains("jobs.toml:2:13: bandwidth: is empty; write for example"), "{said}");
    let said = Bench::with_file(
        r#"
[archive.bandwidth]
"9-22" = "2 MiB/s"
"09:00-22:00" = "0 MiB/s"
"22:00-23:00" = 4
"23:00-24:00" = ["4 MiB/s"]
"09:00-09:00" = "4 Mb/s"
"#,
    )
    .mistakes();
    insta::assert_snapshot!(said, @r#"
    jobs.toml:3:10: bandwidth: "9-22" is not a span of hours; write "09:00-22:00"
    jobs.toml:4:17: bandwidth: "0 MiB/s" is too little for any recording; write for example "4 MiB/s" or, in bits, "16 Mbit/s", or leave the line out for no ceiling
    jobs.toml:5:17: bandwidth: 4 has no unit; write for example "4 MiB/s" or, in bits, "16 Mbit/s"
    jobs.toml:6:17: bandwidth: is a list; write a text in quotes
    jobs.toml:7:17: bandwidth: "09:00-09:00" is not a span of hours; write "09:00-22:00"
    jobs.toml:7:17: bandwidth: "4 Mb/s" is not a bandwidth; write for example "4 MiB/s" or, in bits, "16 Mbit/s"
    "#);
}

#[test]
fn the_bandwidths_of_the_example_can_be_copied() {
    let lines = EXAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches("# or: ").trim_start_matches("# ").strip_prefix("bandwidth = "));
    let read: Vec<_> = lines
        .map(|value| {
            let settings = Bench::with_file(&format!("[archive]\nbandwidth = {value}")).load();
            settings.expect("the example is right").archive.bandwidth
        })
        .collect();
    assert!(matches!(read[..], [Ceilings::Always(_), Ceilings::ByHour { .. }]), "{read:?}");
}

#[test]
fn columns_count_characters() {
    let said = Bench::with_file("[archive]\nroot = '店'\n\"门店一号\" = 1").mistakes();
    assert!(said.starts_with("jobs.toml:3:10: [archive]: there is no setting"), "{said}");
}

#[test]
fn a_list_of_devices_is_bounded() {
    assert_eq!(parse_device_list("5,7, 10-14"), Ok(devices([5, 7, 10, 11, 12, 13, 14])));
    assert_eq!(parse_device_list("1-1000000").unwrap().len(), 1_000_000);
    for many in ["0-1000000", "1-1000000,1000001", "0-9223372036854775807"] {
        assert!(matches!(parse_device_list(many), Err(NotADeviceList::TooMany(_))), "{many}");
    }
    assert_eq!(parse_device_list("7-5"), Err(NotADeviceList::Backwards("7-5".to_owned())));
    for unreadable in ["", "5,", "-5", "5-", "a", "1-2-3", "5;7"] {
        assert!(matches!(parse_device_list(unreadable), Err(NotADeviceList::Unreadable(_))), "{unreadable}");
    }
}

/// Lines of a settings file, mostly of the right shape and with the wrong content.
fn some_line() -> impl Strategy<Value = String> {
    let keys =
        "platform|archive|retry|nvr|job|name|devices|range|last|from|to|hours|stop_at|url|secret|versions|bodies|login";
    let value = prop_oneof![
        "\"[0-9:a-z, -]{0,12}\"",
        "[0-9]{1,20}",
        Just("[]".to_owned()),
        Just("[[1, 'x'], {a = 1}]".to_owned()),
        Just("{}".to_owned()),
        Just("true".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("-inf".to_owned()),
        "\\PC{0,20}",
    ];
    prop_oneof![
        (keys, value).prop_map(|(key, value)| format!("{key} = {value}")),
        keys.prop_map(|key| format!("[{key}]")),
        keys.prop_map(|key| format!("[[{key}]]")),
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(lines in prop::collection::vec(some_line(), 0..12)) {
        let text = lines.join("\n");
        let bench = Bench::with_file(&text);
        match bench.load() {
            Ok(settings) => prop_assert!(settings.archive.streams > 0),
            Err(errors) => {
                prop_assert!(!errors.mistakes().is_empty());
                let lines = text.lines().count() + 1;
                for mistake in errors.mistakes() {
                    let is_inside = matches!(mistake.place, Place::File { line, .. } if (1..=lines).contains(&line));
                    prop_assert!(is_inside, "{}", mistake);
                }
            }
        }
    }

    #[test]
    fn no_list_of_devices_makes_it_panic(text in "[0-9,\\- ]{0,24}|\\PC{0,24}") {
        if let Ok(devices) = parse_device_list(&text) {
            prop_assert!(!devices.is_empty() && devices.len() <= 1_000_000);
        }
    }
}
