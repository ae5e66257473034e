//! Whether all is ready for a night: what was found out of each part that a run needs, judged, with what to do about it.

use std::time::Duration;

use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::outcome::Class;
use crate::wording;

/// A clock that is no further off than this costs nothing: calls are taken, and footage is dated to the second.
const CLOCK_GOOD_SECONDS: i64 = 5;

/// A refusal because of the time, while the clocks are this near to each other, is the time's zone.
const SAME_CLOCK_SECONDS: i64 = 300;

/// What a run needs, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Flags, environment and file.
    Settings,
    /// Key, secret and password.
    Secret,
    /// Which NVR serves which of the jobs' cameras.
    Cameras,
    /// The ledger's file.
    Ledger,
    /// The folder of the recordings.
    Root,
    /// What its disk does and has room for.
    Disk,
    /// How many files this process may open.
    Files,
    /// Whether the gateway answers.
    Gateway,
    /// This machine's clock beside the platform's.
    Clock,
    /// Whether the account may call.
    Account,
    /// Whether a camera's footage comes.
    Device,
}

impl Part {
    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Secret => "secret",
            Self::Cameras => "cameras",
            Self::Ledger => "ledger",
            Self::Root => "root",
            Self::Disk => "disk",
            Self::Files => "files",
            Self::Gateway => "gateway",
            Self::Clock => "clock",
            Self::Account => "account",
            Self::Device => "device",
        }
    }
}

/// Whether a night can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it should be.
    Pass,
    /// A run copes, and somebody should look at it.
    Warn,
    /// A run would not get far.
    Fail,
}

/// What was found of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of which.
    pub part: Part,
    /// What that means for a run.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it, unless `found` says that too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn pass(part: Part, found: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Pass, found: found.into(), fix: None }
    }

    /// A run copes.
    pub fn warn(part: Part, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, ..Self::pass(part, found) }
    }

    /// A run would not get far.
    pub fn fail(part: Part, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::pass(part, found) }
    }

    /// The same with what to do about it.
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// How a check ends the program: with the settings' code when those are wrong, with the account's when that is refused.
pub fn exit_code(findings: &[Finding]) -> ExitCode {
    let failed = |part: Part| findings.iter().any(|one| one.verdict == Verdict::Fail && one.part == part);
    if failed(Part::Settings) || failed(Part::Secret) {
        ExitCode::Usage
    } else if failed(Part::Account) {
        ExitCode::AccountRefused
    } else if findings.iter().any(|finding| finding.verdict == Verdict::Fail) {
        ExitCode::Failure
    } else {
        ExitCode::Complete
    }
}

/// The jobs' cameras, and of how many of them nobody knows the NVR.
pub fn cameras(cameras: u64, unknown: u64) -> Finding {
    let asked = wording::count(cameras, "camera");
    match (cameras, unknown) {
        (0, _) => Finding::warn(Part::Cameras, "no job asks for any camera").fix(
            "add a [[job]] to the file, or let `archive init` write one over all cameras of the platform's device list",
        ),
        (_, 0) => Finding::pass(Part::Cameras, format!("{asked}, and it is known which NVR serves each")),
        (1, 1) => Finding::pass(Part::Cameras, "1 camera; alone it shares its NVR with nobody"),
        _ => Finding::warn(
            Part::Cameras,
            format!("{asked}, and of {unknown} nobody knows which NVR serves them: each counts as its own"),
        )
        .fix("ask the platform: archive devices --refresh; or name them in an [[nvr]]"),
    }
}

/// What is known of the ledger's file, when it is there and can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// SQLite finds nothing wrong with it.
    Whole,
    /// That took longer than anybody waits.
    TooLarge,
    /// An older version wrote it.
    Older,
}

/// The ledger. `run` is who holds it just now.
pub fn ledger(state: Option<LedgerState>, path: &str, run: Option<&str>) -> Finding {
    let run = run.map(|holder| format!("; a run goes on: {holder}")).unwrap_or_default();
    let found = match state {
        None => format!("there is none at {path} yet: the first run makes it"),
        Some(LedgerState::Whole) => format!("{path} is whole{run}"),
        Some(LedgerState::TooLarge) => {
            format!("{path} can be read; it is too large to be looked through now, and nothing was wrong so far{run}")
        }
        Some(LedgerState::Older) => format!("{path} is an older version's: the next run brings it up to date{run}"),
    };
    Finding::pass(Part::Ledger, found)
}

/// The disk's room. `night` is what the next run is forecast to write, when anything can be.
pub fn room(free: u64, min_free: u64, night: Option<u64>, wrote_in: Duration) -> Finding {
    let room = free.saturating_sub(min_free);
    let has = format!("{} free, of which {} stay free", wording::bytes(free), wording::bytes(min_free));
    let fix = "free some space, put archive.root on a larger disk, lower archive.min_free, or let `archive prune` delete what is old";
    if room == 0 {
        return Finding::fail(Part::Disk, format!("{has}: nothing can be written")).fix(fix);
    }
    let wrote = format!("a trial file was written, synced, renamed and deleted in {} ms", wrote_in.as_millis());
    match night {
        Some(night) if night > room => Finding::warn(
            Part::Disk,
            format!("{has}; the next run needs {}, which does not fit", wording::bytes(night)),
        )
        .fix(fix),
        Some(night) => {
            Finding::pass(Part::Disk, format!("{has}; the next run needs {}; {wrote}", wording::bytes(night)))
        }
        None => Finding::pass(Part::Disk, format!("{has}; {wrote}")),
    }
}

/// Open files: as many as `streams` need of what the system allows.
pub fn files(limit: u64, needed: u64, streams: usize, asked: usize) -> Finding {
    if streams >= asked {
        return Finding::pass(Part::Files, format!("{limit} may be open, {needed} are needed for {asked} streams"));
    }
    Finding::warn(Part::Files, format!("{limit} may be open, which is enough for {streams} of {asked} streams"))
        .fix(format!("ulimit -n {needed} before the start, or LimitNOFILE={needed} in a systemd unit"))
}

/// What a call of the platform came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Given,
    /// A code of the platform's: its class, and the words for it, which say what to do.
    Refused(Class, String),
    /// Nothing of the platform's, in words.
    Nothing(String),
}

impl Answer {
    /// Whether the account was refused, rather than this call.
    fn refuses_account(&self) -> bool {
        matches!(self, Self::Refused(Class::AccountRefused, _))
    }
}

/// The gateway at `url`: whether anything of the platform's came from there.
pub fn gateway(url: &str, answer: &Answer) -> Finding {
    match answer {
        Answer::Given | Answer::Refused(..) => Finding::pass(Part::Gateway, format!("{url} answers")),
        Answer::Nothing(why) => Finding::fail(Part::Gateway, why.clone()).fix(unreachable(why, url)),
    }
}

/// What to do about an answer that did not come, by the words that the system had for it.
fn unreachable(why: &str, url: &str) -> String {
    let why = why.to_lowercase();
    if why.contains("dns error") {
        return format!("this machine does not find the gateway's name: look at its DNS, and at platform.url ({url})");
    }
    if why.contains("certificate") {
        return "its certificate is not trusted: install ca-certificates, set this machine's clock, or have the proxy's \
                certificate trusted"
            .to_owned();
    }
    format!("look whether a firewall or a proxy stands in the way (curl -v {url}), and whether platform.url is right")
}

/// This machine's clock. The platform's was `ahead` of it by so many milliseconds, when it said its time; `refused` when it
/// refused a call's time although the client had corrected it.
pub fn clock(ahead: Option<i64>, refused: bool) -> Finding {
    let ntp = "let it be set over the network: timedatectl set-ntp true";
    let Some(ahead) = ahead.map(|milliseconds| milliseconds / 1000) else {
        return Finding::warn(Part::Clock, "the platform did not tell its time, so nobody can say").fix(ntp);
    };
    let off = format!("{} {}", wording::seconds(ahead.abs()), if ahead < 0 { "ahead of" } else { "behind" });
    match (refused, ahead.abs()) {
        (true, ..=SAME_CLOCK_SECONDS) => Finding::fail(
            Part::Clock,
            "the platform refuses the time of calls, and its clock is the same as this machine's: it reads _timestamp in another zone",
        )
        .fix("set timestamp_zone in [platform], for example to \"UTC\""),
        (true, _) => Finding::fail(Part::Clock, format!("this machine's clock is {off} the platform's, which refuses it"))
            .fix(ntp),
        (false, ..=CLOCK_GOOD_SECONDS) => Finding::pass(Part::Clock, "within 5 s of the platform's"),
        (false, _) => Finding::warn(
            Part::Clock,
            format!("this machine's clock is {off} the platform's; calls are corrected, and what is dated by it is wrong"),
        )
        .fix(ntp),
    }
}

/// The account: what it got when it asked for stores, and when it asked for a recording, if it did.
pub fn account(stores: &Answer, download: Option<&Answer>) -> Option<Finding> {
    let allowed = download.is_some_and(|answer| !matches!(answer, Answer::Nothing(_)) && !answer.refuses_account());
    match stores {
        Answer::Nothing(_) => None,
        Answer::Given if download.is_some_and(Answer::refuses_account) => match download {
            Some(Answer::Refused(_, why)) => Some(Finding::fail(Part::Account, why.clone())),
            _ => None,
        },
        Answer::Given => Some(Finding::pass(Part::Account, "its calls are answered")),
        // A run asks for recordings only.
        Answer::Refused(_, why) if allowed => Some(
            Finding::warn(Part::Account, format!("recordings are answered, and the list of stores is not: {why}"))
                .fix("name recorders in an [[nvr]], or have the method allowed for this account"),
        ),
        Answer::Refused(Class::AccountRefused, why) => Some(Finding::fail(Part::Account, why.clone())),
        Answer::Refused(_, why) => {
            Some(Finding::warn(Part::Account, why.clone()).fix("a run asks again; look whether it passes"))
        }
    }
}

/// What came when a camera was asked for footage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Footage {
    /// FLV with frames: what it is, in words.
    Came(String),
    /// The stream ended without any.
    Empty,
    /// Something else than FLV, or no stream, in words.
    Unusable(String),
    /// Nothing was streamed, since the platform did not give a URL.
    NotGiven(Answer),
}

/// One camera's footage.
pub fn device(name: &str, footage: &Footage) -> Finding {
    let again = "a run asks again and copes; look whether it passes";
    match footage {
        Footage::Came(what) => Finding::pass(Part::Device, format!("{name} gave {what}")),
        Footage::Empty => Finding::warn(Part::Device, format!("{name} gave an empty stream"))
            .fix("its NVR has nothing of that minute: look whether it records, or ask another with --device"),
        Footage::Unusable(why) => Finding::fail(Part::Device, format!("{name}: {why}")),
        Footage::NotGiven(Answer::Refused(Class::DeviceRefused | Class::UserRefused, why)) => {
            Finding::fail(Part::Device, format!("{name}: {why}")).fix("or ask another one with --device")
        }
        Footage::NotGiven(Answer::Refused(Class::AccountRefused, why)) => {
            Finding::fail(Part::Device, format!("{name}: {why}"))
        }
        Footage::NotGiven(Answer::Refused(_, why) | Answer::Nothing(why)) => {
            Finding::warn(Part::Device, format!("{name}: {why}")).fix(again)
        }
        // OK: what was given is one of the others.
        Footage::NotGiven(Answer::Given) => Finding::warn(Part::Device, format!("{name} gave nothing")).fix(again),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(class: Class) -> Answer {
        Answer::Refused(class, "why".to_owned())
    }

    #[test]
    fn the_exit_code_is_the_settings_then_the_accounts() {
        let fail = |part| Finding::fail(part, "x");
        let code = |parts: &[Part]| exit_code(&parts.iter().map(|&part| fail(part)).collect::<Vec<_>>());
        assert_eq!(code(&[]), ExitCode::Complete);
        assert_eq!(code(&[Part::Disk]), ExitCode::Failure);
        assert_eq!(code(&[Part::Disk, Part::Account]), ExitCode::AccountRefused);
        assert_eq!(code(&[Part::Account, Part::Secret]), ExitCode::Usage);
        assert_eq!(exit_code(&[Finding::warn(Part::Account, "x"), Finding::pass(Part::Disk, "y")]), ExitCode::Complete);
    }

    #[test]
    fn a_refused_time_on_the_same_clock_is_the_zones_fault() {
        let fix = |ahead, refused| clock(ahead, refused).fix.unwrap_or_default();
        assert!(fix(Some(100), true).contains("timestamp_zone"));
        assert!(fix(Some(7_200_000), true).contains("timedatectl"));
        assert_eq!(clock(Some(-4_000), false).verdict, Verdict::Pass);
        let behind = clock(Some(90_000), false);
        assert_eq!(behind.verdict, Verdict::Warn);
        assert!(behind.found.contains("1 min 30 s behind the platform's"), "{behind:?}");
        assert_eq!(clock(None, false).verdict, Verdict::Warn);
    }

    #[test]
    fn an_account_that_may_fetch_is_good_enough_without_the_list() {
        let verdict =
            |stores: &Answer, download: Option<&Answer>| account(stores, download).map(|finding| finding.verdict);
        let (no, busy) = (refused(Class::AccountRefused), refused(Class::NvrFull));
        assert_eq!(verdict(&Answer::Given, None), Some(Verdict::Pass));
        assert_eq!(verdict(&Answer::Given, Some(&no)), Some(Verdict::Fail));
        assert_eq!(verdict(&no, None), Some(Verdict::Fail));
        assert_eq!(verdict(&no, Some(&no)), Some(Verdict::Fail));
        assert_eq!(verdict(&no, Some(&busy)), Some(Verdict::Warn));
        assert_eq!(verdict(&no, Some(&Answer::Nothing("x".to_owned()))), Some(Verdict::Fail));
        assert_eq!(verdict(&Answer::Nothing("x".to_owned()), None), None);
    }

    #[test]
    fn a_busy_recorder_is_no_reason_to_put_a_night_off() {
        for class in [Class::NvrFull, Class::NvrOffline, Class::NvrOverloaded, Class::CameraBusy, Class::Transient] {
            assert_eq!(device("device 5", &Footage::NotGiven(refused(class))).verdict, Verdict::Warn, "{class:?}");
        }
        for class in [Class::DeviceRefused, Class::AccountRefused] {
            assert_eq!(device("device 5", &Footage::NotGiven(refused(class))).verdict, Verdict::Fail, "{class:?}");
        }
    }

    #[test]
    fn a_disk_is_judged_by_what_the_next_run_needs() {
        let verdict = |free, night| room(free, 10, night, Duration::ZERO).verdict;
        assert_eq!(verdict(10, None), Verdict::Fail);
        assert_eq!(verdict(11, None), Verdict::Pass);
        assert_eq!(verdict(110, Some(100)), Verdict::Pass);
        assert_eq!(verdict(110, Some(101)), Verdict::Warn);
    }

    #[test]
    fn what_does_not_answer_is_told_by_its_words() {
        let fix = |why: &str| gateway("https://x", &Answer::Nothing(why.to_owned())).fix.unwrap_or_default();
        assert!(fix("error trying to connect: dns error: no such host").contains("DNS"));
        assert!(fix("invalid peer certificate: UnknownIssuer").contains("ca-certificates"));
        assert!(fix("connection refused").contains("firewall"));
    }
}
