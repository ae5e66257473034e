//! What may be written, what is said of what may not, and that a URL is shown by neither.

use std::collections::BTreeSet;

use crate::message::Kind;
use crate::notice::When;
use crate::settings::{Flags, PingSettings, Settings, SettingsErrors};

const URL: &str = "https://hooks.example/robot/send?access_token=693a91f6abcd";

fn read(text: &str) -> Result<Settings, SettingsErrors> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("jobs.toml");
    std::fs::write(&file, text).expect("a file");
    let flags = Flags { config: Some(file), ..Flags::default() };
    let variable = |name: &str| (name == "HOOK").then(|| URL.to_owned());
    Settings::load(&flags, &variable)
}

#[test]
fn a_notice_has_its_defaults() {
    let settings = read("[[notify]]\nurl_variable = \"HOOK\"\n[[ping]]\nurl_variable = \"HOOK\"").expect("right");
    let notify = &settings.notices.notify[0];
    assert_eq!((notify.kind, notify.when), (Kind::Json, When::Always));
    let (url, warnings) = notify.url.clone().read().expect("it is set");
    assert_eq!((url.exposed(), warnings.len()), (URL, 0));
    let ping = &settings.notices.pings[0];
    let endings = [&ping.start, &ping.success, &ping.failure].map(|ending| ending.as_deref());
    assert_eq!(endings, [Some("/start"), Some(""), Some("/{exit}")]);
    assert!(ping.text && ping.success_exit_codes.iter().eq(&[0, 3]));
    assert_eq!(settings.notices.variables, ["HOOK", "HOOK"]);
    assert!(!format!("{settings:?}").contains("693a91f6"));
}

#[test]
fn commands_have_their_bounds() {
    let text =
        "[on_recording]\ncommand = [\"rclone\", \"copyto\"]\n[on_finish]\ncommand = [\"true\"]\ntime_limit = \"1h\"";
    let notices = read(text).expect("right").notices;
    let on_recording = notices.on_recording.expect("it is there");
    assert_eq!((on_recording.at_once, on_recording.waiting, on_recording.time_limit.as_secs()), (2, 1000, 600));
    assert_eq!(notices.on_finish.expect("it is there").time_limit.as_secs(), 3600);
    assert!(read("").expect("right").notices.on_finish.is_none());
}

#[test]
fn a_url_in_a_file_that_others_read_is_warned_of() {
    let settings = read(&format!("[[notify]]\nurl = \"{URL}\"")).expect("right");
    let said: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("chmod 600") && !said[0].contains("693a91f6"), "{said:?}");
}

#[test]
fn a_url_that_cannot_be_had_is_told_when_it_is_wanted_and_is_no_mistake() {
    let origin = |line: &str| read(&format!("[[notify]]\n{line}")).expect("right").notices.notify[0].url.clone();
    let why = |line: &str| origin(line).read().expect_err("there is none");
    assert_eq!(why("url_variable = \"UNSET\""), "the environment variable UNSET is not set");
    assert!(why("url_file = \"/no/such/file\"").contains("cannot read /no/such/file"));
    assert!(why("url_command = [\"false\"]").contains("\"false\" failed"));
    let shown = why("url_command = [\"echo\", \"not-a-url-693a91f6\"]");
    assert_eq!(shown, "is not a URL");
    let (url, warnings) = origin("url_command = [\"echo\", \"http://hooks.example/x\"]").read().expect("a URL");
    assert_eq!(url.host, "hooks.example");
    assert!(warnings[0].contains("https://"), "{warnings:?}");
}

#[test]
fn mistakes_are_told_together_and_quote_no_url() {
    let text = "
[[notify]]
kind = \"teams\"
when = \"never\"
url = \"hooks.example/693a91f6abcd\"
[[notify]]
url_file = \"a\"
url_command = [\"b\"]
jobs = [\"night\"]
[[ping]]
url_variable = \"HOOK\"
start = \"start\"
success_exit_codes = [0, 9]
[on_recording]
at_once = 0
command = \"rclone\"
[on_finish]
time_limit = \"10m\"
";
    let said = read(text).expect_err("mistakes").to_string();
    let said: Vec<&str> = said.lines().map(|line| line.split_once("jobs.toml:").expect("a place").1).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    3:8: kind: "teams" is not known; write "json" or "dingtalk" or "wecom" or "feishu" or "slack"
    4:8: when: "never" is not known; write "always" or "gaps" or "failure"
    5:7: url: is not a URL; write for example "https://…"
    6:1: [[notify]]: write one of url_file, url_command, url_variable, or url
    9:9: jobs: no job is called "night"
    12:9: start: is no ending of a URL; write "/start", "?state=run", "" for none, or false to send nothing
    13:26: success_exit_codes: is no exit code; write a list of some from 0 to 7: [0, 3]
    15:11: at_once: "0" is not a whole number from 1 to 100
    16:11: command: is not a command; write the program and its arguments as a list, such as ["pass", "show", "archive"]
    17:1: [on_finish]: command is missing
    "#);
}

#[test]
fn the_example_names_every_key_there_is() {
    const EXAMPLE: &str = include_str!("../../../jobs.example.toml");
    for header in ["[[notify]]", "[[ping]]", "[on_recording]", "[on_finish]"] {
        let said = read(&format!("{header}\n0 = 1\n")).expect_err("there is no such key").to_string();
        let keys = said.lines().find_map(|line| line.split_once("the keys here are ")).expect("the list of keys").1;
        let (_, section) = EXAMPLE.split_once(&format!("\n# {header}\n")).expect("the section");
        let section = section.split("\n# [").next().unwrap_or(section);
        for key in keys.split(", ") {
            let is_there = |line: &str| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} = "));
            assert!(section.lines().any(|line| is_there(line.trim_start_matches("# or: "))), "{header} {key}");
        }
    }
}

#[test]
fn what_the_example_shows_is_right_and_at_its_default() {
    const EXAMPLE: &str = include_str!("../../../jobs.example.toml");
    let (_, shown) = EXAMPLE.split_once("\n# [[notify]]\n").expect("the section");
    let job = "[[job]]\nname = \"nightly\"\ndevices = 1\nrange = \"yesterday\"\n";
    let taken = |line: &str| line.strip_prefix("# ").unwrap_or(line.strip_prefix('#').unwrap_or(line)).to_owned();
    let is_setting = |line: &&str| line.starts_with("# [") || line.contains(" = ");
    let lines: Vec<String> =
        shown.lines().filter(is_setting).filter(|line| !line.contains("or: ")).map(taken).collect();
    let notices = read(&format!("{job}[[notify]]\n{}", lines.join("\n"))).expect("right").notices;
    assert_eq!((notices.notify[0].kind, notices.notify[0].when), (Kind::DingTalk, When::Gaps));
    let shown = format!("{:?}", PingSettings { jobs: BTreeSet::new(), ..notices.pings[0].clone() });
    let bare = read("[[ping]]\nurl_file = \"healthchecks.url\"").expect("right").notices.pings[0].clone();
    let place = |debug: &str| debug.split("File {").next().map(str::to_owned);
    assert_eq!(place(&shown), place(&format!("{bare:?}")));
    let ends = |debug: &str| debug.rsplit_once("start: ").map(|(_, ends)| ends.to_owned());
    assert_eq!(ends(&shown), ends(&format!("{bare:?}")));
    let on_recording = notices.on_recording.expect("it is there");
    assert_eq!((on_recording.at_once, on_recording.waiting, on_recording.time_limit.as_secs()), (2, 1000, 600));
    assert_eq!(notices.on_finish.expect("it is there").time_limit.as_secs(), 600);
}
