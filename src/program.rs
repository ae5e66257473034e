//! Runs a program that the person named, bounded in time. No shell reads its words; it is told its facts in its environment,
//! which holds no secret of ours; and what it says on stderr is kept for when it fails.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::ledger_place::LedgerUrl;
use crate::untrusted::Untrusted;

/// Variables that no program inherits from us.
const SECRETS: [&str; 5] = ["ARCHIVE_SECRET", "ARCHIVE_PASSWORD", "ARCHIVE_AKEY", "PGPASSWORD", "IDENTITY_HEADER"];

/// What the variables begin with that open object stores, and what the secret ones among them have in their names. One that
/// only names a file goes too, in vain and to nobody's harm: the file's own rights say who reads it.
const STORES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const OF_SECRETS: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS", "CONNECTION_STRING"];

/// How much of what it says last is kept, in bytes, and shown, in lines.
const LAST_WORDS: usize = 4 << 10;
const LAST_LINES: usize = 3;

/// How long its last words are waited for once it has ended: what it started may hold on to its stderr.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// How long it may take before it is killed, with all that it started in its process group.
    pub time_limit: Duration,
    /// Variables beside our own secrets that it must not inherit.
    pub hidden: Vec<String>,
}

/// Why it did not do what it should.
#[derive(Debug, Error)]
pub enum Failed {
    /// It could not be started.
    #[error("cannot start {program:?}: {source}; is it installed, and in PATH?")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be waited for.
    #[error("cannot wait for {program:?}: {source}")]
    Wait {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with another exit code than 0, or by a signal.
    #[error("{program:?} ended with {status}{}", quoted(said))]
    Ended {
        /// Which.
        program: String,
        /// How.
        status: ExitStatus,
        /// Its last words on stderr.
        said: Vec<Untrusted>,
    },
    /// It took too long, and was killed.
    #[error("{program:?} took longer than {} s and was killed{}", after.as_secs_f64(), quoted(said))]
    TooLong {
        /// Which.
        program: String,
        /// How long it had.
        after: Duration,
        /// Its last words on stderr.
        said: Vec<Untrusted>,
    },
}

fn quoted(said: &[Untrusted]) -> String {
    let lines: Vec<String> = said.iter().map(ToString::to_string).collect();
    if lines.is_empty() { String::new() } else { format!("; it said: {}", lines.join(" / ")) }
}

impl Program {
    /// Runs it to its end, or to that of its time. It is killed too when nobody waits for it any longer.
    pub async fn run(&self, facts: &[(&'static str, String)]) -> Result<(), Failed> {
        let Some((name, arguments)) = self.words.split_first() else { return Ok(()) };
        let program = name.clone();
        let mut command = Command::new(name);
        command.args(arguments);
        for (variable, _) in std::env::vars_os().filter(|(name, value)| is_secret(name, value)) {
            command.env_remove(variable);
        }
        for variable in &self.hidden {
            command.env_remove(variable);
        }
        // Last: a fact may have the name of a setting that is hidden.
        command.envs(facts.iter().map(|(name, value)| (name, value)));
        // What it prints is no result of ours.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // A group of its own, so that what it started goes with it.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| Failed::Start { program: program.clone(), source })?;
        let group = Group::of(&child);
        let listening = tokio::spawn(last_words(child.stderr.take()));
        let ended = tokio::time::timeout(self.time_limit, child.wait()).await;
        if ended.is_err() {
            group.kill();
            // So that it is reaped, and is gone when this is told.
            let _killed = child.wait().await;
        }
        // Whatever it left behind in a good end may go on by itself.
        group.forget();
        let said = match tokio::time::timeout(LAST_WORDS_PATIENCE, listening).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        match ended {
            Err(_elapsed) => Err(Failed::TooLong { program, after: self.time_limit, said }),
            Ok(Err(source)) => Err(Failed::Wait { program, source }),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failed::Ended { program, status, said }),
        }
    }
}

/// Whether a variable of ours is nobody else's business.
fn is_secret(name: &OsStr, value: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    // Of a server's address nobody can say for sure whether it has a password; a file's name never has one.
    let has_address = || name == "ARCHIVE_LEDGER" && LedgerUrl::is_one(&value.to_string_lossy());
    let opens_store =
        || STORES.iter().any(|store| name.starts_with(store)) && OF_SECRETS.iter().any(|secret| name.contains(secret));
    SECRETS.contains(&name.as_str()) || opens_store() || has_address()
}

/// A process group that is killed unless it is forgotten.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(leader) = self.0 {
            // OK to ignore a failure: a group that cannot be found has ended. Its leader has not been waited for, so that the
            // number is nobody else's.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of what is said there, once it ends; or as far as it came when nobody listens any longer.
async fn last_words(stderr: Option<impl AsyncRead + Unpin>) -> Vec<Untrusted> {
    let Some(mut stderr) = stderr else { return Vec::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    // OK to end at a failure as at the end: more cannot be had.
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    let lines: Vec<&[u8]> = kept.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| Untrusted::from_bytes(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str, time_limit: Duration) -> Program {
        let words = ["sh", "-c", script].map(str::to_owned).to_vec();
        Program { words, time_limit, hidden: vec!["HOME".into()] }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_has_its_facts_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out").display().to_string();
        let script = r#"echo "$FACT ${HOME-none} ${ARCHIVE_SECRET-none} ${ARCHIVE_AKEY-none}" >"$OUT""#;
        let facts = [("FACT", "a b; $(c)".to_owned()), ("OUT", out.clone())];
        program(script, LONG).run(&facts).await.expect("it ends well");
        assert_eq!(std::fs::read_to_string(out).expect("it wrote"), "a b; $(c) none none none\n");
    }

    #[test]
    fn what_opens_a_ledger_or_a_store_is_secret_and_what_says_where_it_is_is_not() {
        let is_secret = |name: &str, value: &str| is_secret(OsStr::new(name), OsStr::new(value));
        for name in [
            "PGPASSWORD",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "aws_secret_access_key",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_CLIENT_SECRET",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_CONNECTION_STRING",
        ] {
            assert!(is_secret(name, "x"), "{name}");
        }
        for name in
            ["PATH", "HOME", "PGHOST", "PGPASSFILE", "AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "MY_TOKEN"]
        {
            assert!(!is_secret(name, "x"), "{name}");
        }
        assert!(is_secret("ARCHIVE_LEDGER", "postgres://me:hush@host/db"));
        assert!(is_secret("ARCHIVE_LEDGER", "PostgreSQL://host/db?password=hush"));
        assert!(!is_secret("ARCHIVE_LEDGER", "/srv/archive/ledger.db"));
    }

    #[tokio::test]
    async fn a_failure_is_told_with_its_last_words_cleaned() {
        let script = r"for i in 1 2 3 4 5; do echo line $i >&2; done; printf '\033[2J!\n' >&2; exit 3";
        let failed = program(script, LONG).run(&[]).await.expect_err("it fails").to_string();
        assert_eq!(failed, "\"sh\" ended with exit status: 3; it said: line 4 / line 5 / \\u{1b}[2J!");
        let nowhere = Program { words: vec!["/no/such/program".into()], ..program("", LONG) };
        let failed = nowhere.run(&[]).await.expect_err("it is not there").to_string();
        assert!(failed.starts_with("cannot start \"/no/such/program\""), "{failed}");
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        // The one that it starts would go on for a minute, and holds its stderr.
        let script = "sleep 60 & echo $! >\"$PID.new\" && mv \"$PID.new\" \"$PID\"; echo waiting >&2; wait";
        let limit = Duration::from_millis(300);
        let failed = program(script, limit).run(&[("PID", pid.display().to_string())]).await.expect_err("too long");
        assert!(matches!(failed, Failed::TooLong { .. }), "{failed}");
        let Ok(pid) = std::fs::read_to_string(pid) else { return };
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        let is_there = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
            // A zombie that nobody has reaped yet has ended.
            Ok(stat) => !stat.contains(") Z "),
            Err(_) => false,
        };
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let gone = async {
            while is_there() {
                tick.tick().await;
            }
        };
        assert!(tokio::time::timeout(LONG, gone).await.is_ok(), "what it started goes on");
    }
}
