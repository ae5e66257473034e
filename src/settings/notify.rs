//! `[[notify]]`, `[[ping]]`, `[on_recording]` and `[on_finish]`: who is told of a run, and what is run for it.
//!
//! A webhook's URL lets whoever has it post, so it is a secret. It is read when it is used, and not before: a notice that cannot
//! be sent is no reason to leave a night's footage to be overwritten, so a URL that cannot be had is a warning of the run, where
//! a slip of the pen in the file is a mistake as everywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::raw::{Reader, Section, Value};
use super::remark::Place;
use super::secret::{self, Names, Origin};
use super::validate::required;
use super::values;
use crate::message::{Kind, SecretUrl};
use crate::notice::When;

/// The most programs at once, and the most recordings that may wait for one.
const MOST_AT_ONCE: u32 = 100;
const MOST_WAITING: u32 = 1_000_000;

/// What a URL's settings are called. No variable is: a URL's has the name that the file gives it.
const URL: Names = Names { inline: "url", file: "url_file", command: "url_command", variable: "", file_variable: "" };

/// Who is told of runs, and what is run for them.
#[derive(Clone, Debug, Default)]
pub struct NoticeSettings {
    /// The `[[notify]]`s, in the file's order.
    pub notify: Vec<NotifySettings>,
    /// The `[[ping]]`s, in the file's order.
    pub pings: Vec<PingSettings>,
    /// `[on_recording]`
    pub on_recording: Option<OnRecordingSettings>,
    /// `[on_finish]`
    pub on_finish: Option<OnFinishSettings>,
    /// The environment variables that hold URLs.
    pub variables: Vec<String>,
}

/// One `[[notify]]`
#[derive(Clone, Debug)]
pub struct NotifySettings {
    /// In whose form it is posted. Default: our own JSON.
    pub kind: Kind,
    /// Of which ends it tells. Default: of all.
    pub when: When,
    /// Where it is posted.
    pub url: UrlOrigin,
    /// Only of runs with one of these jobs; none means all.
    pub jobs: BTreeSet<String>,
}

/// One `[[ping]]`
#[derive(Clone, Debug)]
pub struct PingSettings {
    /// The URL without an ending.
    pub url: UrlOrigin,
    /// What is put behind it at the start of a run; nothing when no start is told. Default: `/start`.
    pub start: Option<String>,
    /// At a good end. Default: nothing is put behind it.
    pub success: Option<String>,
    /// At any other end, where `{exit}` is the exit code. Default: `/{exit}`.
    pub failure: Option<String>,
    /// The exit codes of a good end. Default: 0 and 3.
    pub success_exit_codes: BTreeSet<u8>,
    /// Whether the summary's text is posted with it. Default: yes.
    pub text: bool,
    /// Only of runs with one of these jobs; none means all.
    pub jobs: BTreeSet<String>,
}

/// `[on_recording]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRecordingSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How many run at once. Default: 2.
    pub at_once: usize,
    /// How long each may take, and how long what waits at the run's end may take in all. Default: 10 minutes.
    pub time_limit: Duration,
    /// How many recordings may wait. Default: 1000.
    pub waiting: usize,
}

/// `[on_finish]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnFinishSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may take. Default: 10 minutes.
    pub time_limit: Duration,
}

/// Where a URL is, which is not read yet.
#[derive(Clone, Debug)]
pub struct UrlOrigin(Whence);

#[derive(Clone, Debug)]
enum Whence {
    At(Origin),
    /// In a variable that is not set.
    Unset(String),
}

impl UrlOrigin {
    /// Reads it: a file is read, or a command is run. Gives warnings with it; what is wrong is said without quoting it.
    pub fn read(self) -> Result<(SecretUrl, Vec<String>), String> {
        let origin = match self.0 {
            Whence::At(origin) => origin,
            Whence::Unset(variable) => return Err(format!("the environment variable {variable} is not set")),
        };
        let mut reader = Reader::default();
        let Some(text) = secret::read(&mut reader, &URL, Some(origin)) else {
            let mistakes: Vec<String> = reader.mistakes.iter().map(ToString::to_string).collect();
            return Err(mistakes.join("; "));
        };
        let url = SecretUrl::read(text.expose_secret()).map_err(str::to_owned)?;
        let mut warnings: Vec<String> = reader.warnings.iter().map(ToString::to_string).collect();
        if url.is_clear_text {
            let host = &url.host;
            warnings
                .push(format!("what is posted to {host}, and the URL itself, can be read on the way: write https://"));
        }
        Ok((url, warnings))
    }
}

/// Reads all of it. `jobs` are the names of the file's jobs.
pub(super) fn read(
    reader: &mut Reader,
    file: &mut Section,
    jobs: &BTreeSet<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> NoticeSettings {
    let mut settings = NoticeSettings::default();
    for mut section in reader.sections(file, "notify") {
        let here = &mut section;
        let kinds = [
            ("json", Kind::Json),
            ("dingtalk", Kind::DingTalk),
            ("wecom", Kind::WeCom),
            ("feishu", Kind::Feishu),
            ("slack", Kind::Slack),
        ];
        let whens = [("always", When::Always), ("gaps", When::Gaps), ("failure", When::Failure)];
        let kind = reader.read(here, "kind", values::choice(&kinds)).unwrap_or(Kind::Json);
        let when = reader.read(here, "when", values::choice(&whens)).unwrap_or(When::Always);
        let url = read_url(reader, here, environment, &mut settings.variables);
        let jobs = read_jobs(reader, here, jobs);
        reader.finish(section);
        // OK to leave it out otherwise, here and below: a mistake was reported for it.
        settings.notify.extend(url.map(|url| NotifySettings { kind, when, url, jobs }));
    }
    for mut section in reader.sections(file, "ping") {
        let ping = read_ping(reader, &mut section, jobs, environment, &mut settings.variables);
        reader.finish(section);
        settings.pings.extend(ping);
    }
    let mut section = reader.section(file, "on_recording", "[on_recording]");
    let here = &mut section;
    let command = required(reader, here, "command", values::command);
    let at_once = reader.read(here, "at_once", values::count(MOST_AT_ONCE)).unwrap_or(2);
    let waiting = reader.read(here, "waiting", values::count(MOST_WAITING)).unwrap_or(1000);
    let time_limit = read_time_limit(reader, here);
    reader.finish(section);
    settings.on_recording = command.map(|command| OnRecordingSettings {
        command,
        // OK: counts that fit in 32 bits fit in an address.
        at_once: at_once as usize,
        time_limit,
        waiting: waiting as usize,
    });
    let mut section = reader.section(file, "on_finish", "[on_finish]");
    let command = required(reader, &mut section, "command", values::command);
    let time_limit = read_time_limit(reader, &mut section);
    reader.finish(section);
    settings.on_finish = command.map(|command| OnFinishSettings { command, time_limit });
    settings
}

fn read_time_limit(reader: &mut Reader, section: &mut Section) -> Duration {
    reader.read(section, "time_limit", values::positive_duration).unwrap_or(Duration::from_secs(600))
}

fn read_ping(
    reader: &mut Reader,
    section: &mut Section,
    jobs: &BTreeSet<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
    variables: &mut Vec<String>,
) -> Option<PingSettings> {
    let url = read_url(reader, section, environment, variables);
    let mut ending_of = |key, default: &str| match section.take(key) {
        None => Some(default.to_owned()),
        Some(given) if matches!(given.value, Value::Truth(false)) => None,
        Some(given) => reader.check(&given, key, ending),
    };
    let (start, success) = (ending_of("start", "/start"), ending_of("success", ""));
    let failure = ending_of("failure", "/{exit}");
    let is_given = section.has("success_exit_codes");
    let codes = reader.read_list(section, "success_exit_codes", exit_code);
    let success_exit_codes = if is_given { codes.into_iter().collect() } else { BTreeSet::from([0, 3]) };
    let text = reader.read(section, "text", values::truth).unwrap_or(true);
    let jobs = read_jobs(reader, section, jobs);
    Some(PingSettings { url: url?, start, success, failure, success_exit_codes, text, jobs })
}

/// What goes behind a URL.
fn ending(value: &Value) -> values::Read<String> {
    match value {
        Value::Text(text) if text.is_empty() || text.starts_with(['/', '?']) => Ok(text.clone()),
        _ => Err("is no ending of a URL; write \"/start\", \"?state=run\", \"\" for none, or false to send nothing"
            .to_owned()),
    }
}

fn exit_code(value: &Value) -> values::Read<u8> {
    let number = match value {
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    number
        .filter(|code| *code <= 7)
        .ok_or_else(|| "is no exit code; write a list of some from 0 to 7: [0, 3]".to_owned())
}

fn read_jobs(reader: &mut Reader, section: &mut Section, known: &BTreeSet<&str>) -> BTreeSet<String> {
    let known_job = |value: &Value| {
        let name = values::label(value)?;
        match known.contains(name.as_str()) {
            true => Ok(name),
            false => Err(format!("no job is called {name:?}")),
        }
    };
    reader.read_list(section, "jobs", known_job).into_iter().collect()
}

/// Where the URL is: in the file itself, in another one, in a command's output, or in a variable of the environment.
fn read_url(
    reader: &mut Reader,
    section: &mut Section,
    environment: &dyn Fn(&str) -> Option<String>,
    variables: &mut Vec<String>,
) -> Option<UrlOrigin> {
    let [written, file, command, variable] =
        ["url", "url_file", "url_command", "url_variable"].map(|key| section.take(key));
    let ways = "one of url_file, url_command, url_variable, or url";
    if [&written, &file, &command, &variable].into_iter().flatten().count() != 1 {
        reader.mistake(&section.place, format!("{}: write {ways}", section.name));
        return None;
    }
    let origin = if let Some(given) = written {
        let url = reader.check(&given, "url", written_url)?;
        warn_if_others_can_read(reader, &given.place);
        Whence::At(Origin::Environment(url.into()))
    } else if let Some(given) = file {
        let path = reader.check(&given, "url_file", values::path)?;
        Whence::At(Origin::File { path, place: given.place, is_credential: false })
    } else if let Some(given) = command {
        Whence::At(Origin::Command(reader.check(&given, "url_command", values::command)?, given.place))
    } else {
        let given = variable?;
        let name = reader.check(&given, "url_variable", values::text)?;
        variables.push(name.clone());
        let value = environment(&name).map(|url| Whence::At(Origin::Environment(url.into())));
        value.unwrap_or(Whence::Unset(name))
    };
    Some(UrlOrigin(origin))
}

/// What is wrong is not quoted: it may be half of a secret.
fn written_url(value: &Value) -> values::Read<String> {
    let text = values::text(value)?;
    SecretUrl::read(&text).map(|_url| text).map_err(|why| format!("{why}; write for example \"https://…\""))
}

/// A URL that stands in the settings file is as secret as that file is.
#[cfg(unix)]
fn warn_if_others_can_read(reader: &mut Reader, place: &Place) {
    use std::os::unix::fs::MetadataExt as _;

    let Place::File { file, .. } = place else { return };
    // OK to say nothing when there is no such file: the settings were not read from one.
    let Ok(metadata) = std::fs::metadata(Path::new(&**file)) else { return };
    let mode = metadata.mode() & 0o777;
    if mode & 0o044 != 0 {
        let text = format!(
            "url: whoever reads this file may post there, and its mode is {mode:04o}; run: chmod 600 {file}, or use url_file"
        );
        reader.warn(place, text);
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &mut Reader, _: &Place) {}

#[cfg(test)]
mod tests;
