//! Tells of a run: notices and pings to URLs, and a file of metrics. All of it beside the run or after it, bounded in time; what
//! cannot be told is a warning that names the host, and changes nothing of how the run ends.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::message::SecretUrl;
use crate::notice::Notice;
use crate::platform::tls;
use crate::settings::{NoticeSettings, NotifySettings, PingSettings, UrlOrigin};
use crate::webhook::{Answer, Sent, Webhook};

/// Before the second and the third try of what may come to pass by itself.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// How long a URL may take to be read, which a command may ask a person's keyring for.
const READING_PATIENCE: Duration = Duration::from_secs(20);

/// How long a run's end waits for what its beginning had to read and to tell: with all tries, a little more than that takes.
const BEGINNING_PATIENCE: Duration = Duration::from_secs(60);

/// Who is told of one run.
#[derive(Debug)]
pub struct Telling {
    beginning: JoinHandle<Listeners>,
}

/// Those whose URLs could be read.
#[derive(Debug)]
struct Listeners {
    webhook: Option<Webhook>,
    notify: Vec<(SecretUrl, NotifySettings)>,
    pings: Vec<(SecretUrl, PingSettings)>,
}

impl Telling {
    /// Tells those who want to know it that a run of these jobs begins. Nothing of it is waited for here.
    pub fn begin(settings: &NoticeSettings, jobs: &[String]) -> Self {
        let concerns = |wanted: &BTreeSet<String>| wanted.is_empty() || jobs.iter().any(|job| wanted.contains(job));
        let notify: Vec<_> = settings.notify.iter().filter(|notify| concerns(&notify.jobs)).cloned().collect();
        let pings: Vec<_> = settings.pings.iter().filter(|ping| concerns(&ping.jobs)).cloned().collect();
        Self { beginning: tokio::spawn(begin(notify, pings)) }
    }

    /// Tells of its end; not any more once `hurry` is cancelled.
    pub async fn end(self, notice: &Notice, text: &str, hurry: &CancellationToken) {
        let told = async {
            match tokio::time::timeout(BEGINNING_PATIENCE, self.beginning).await {
                Ok(Ok(listeners)) => listeners.end(notice, text).await,
                // OK to say no more of a panic: it has been printed.
                Ok(Err(_)) => tracing::warn!("nobody is told of this run: its beginning could not be told to its end"),
                Err(_elapsed) => tracing::warn!("nobody is told of this run: its beginning took too long to be told"),
            }
        };
        if hurry.run_until_cancelled(told).await.is_none() {
            tracing::warn!("stopped before everybody was told of this run");
        }
    }
}

async fn begin(notify: Vec<NotifySettings>, pings: Vec<PingSettings>) -> Listeners {
    // All at once, so that a command that hangs keeps nobody else from being told.
    let notify = join_all(notify.into_iter().map(async |one| Some((read("notify", one.url.clone()).await?, one))));
    let pings = join_all(pings.into_iter().map(async |one| Some((read("ping", one.url.clone()).await?, one))));
    let (notify, pings) = tokio::join!(notify, pings);
    let (notify, pings) = (notify.into_iter().flatten().collect(), pings.into_iter().flatten().collect());
    let mut listeners = Listeners { webhook: None, notify, pings };
    if listeners.notify.is_empty() && listeners.pings.is_empty() {
        return listeners;
    }
    // Beside the threads that must not block: it may read this machine's certificates.
    match tokio::task::spawn_blocking(|| Webhook::new(tls::builder())).await {
        Ok(Ok(webhook)) => listeners.webhook = Some(webhook),
        Ok(Err(error)) => {
            tracing::warn!("nobody can be told of runs: cannot read this machine's TLS certificates: {error}")
        }
        Err(error) => tracing::warn!("nobody can be told of runs: {error}"),
    }
    if let Some(webhook) = &listeners.webhook {
        let starts = listeners.pings.iter().filter_map(|(url, ping)| {
            let url = url.with_ending(ping.start.as_deref()?);
            Some(async move { said("ping", &url, send(webhook, &url, &Sent::Nothing, pinged).await) })
        });
        join_all(starts).await;
    }
    listeners
}

/// Reads a URL beside the threads that must not block. What is wrong with it is said.
async fn read(section: &str, origin: UrlOrigin) -> Option<SecretUrl> {
    let reading = tokio::task::spawn_blocking(move || origin.read());
    let Ok(read) = tokio::time::timeout(READING_PATIENCE, reading).await else {
        let seconds = READING_PATIENCE.as_secs();
        tracing::warn!(
            "[[{section}]]: nobody is told there of this run: its url_command did not end within {seconds} s"
        );
        return None;
    };
    match read {
        Ok(Ok((url, warnings))) => {
            for warning in warnings {
                tracing::warn!("[[{section}]]: {warning}");
            }
            Some(url)
        }
        Ok(Err(why)) => {
            tracing::warn!("[[{section}]]: nobody is told there of this run: its URL {why}");
            None
        }
        // OK to say no more of a panic: it has been printed.
        Err(_panic) => None,
    }
}

impl Listeners {
    async fn end(self, notice: &Notice, text: &str) {
        let Some(webhook) = &self.webhook else { return };
        let wanted = self.notify.iter().filter(|(_, notify)| notify.when.tells(notice.exit));
        let notices = wanted.map(|(url, notify)| async move {
            let sent = Sent::Json(notify.kind.body(notice, text).to_string());
            let taken = |answer: &Answer| notify.kind.taken(answer.status, &answer.body);
            said("notice", url, send(webhook, url, &sent, taken).await);
        });
        let pings = self.pings.iter().filter_map(|(url, ping)| {
            let is_good = ping.success_exit_codes.contains(&notice.exit);
            let ending = if is_good { &ping.success } else { &ping.failure }.as_ref()?;
            let url = url.with_ending(&ending.replace("{exit}", &notice.exit.to_string()));
            let sent = if ping.text { Sent::Text(text.to_owned()) } else { Sent::Nothing };
            Some(async move { said("ping", &url, send(webhook, &url, &sent, pinged).await) })
        });
        tokio::join!(join_all(notices), join_all(pings));
    }
}

/// What an answer to a ping says: only its status counts.
fn pinged(answer: &Answer) -> Result<(), String> {
    crate::message::Kind::Json.taken(answer.status, &answer.body)
}

/// Sends it, up to three times while it may come to pass by itself.
async fn send(
    webhook: &Webhook,
    url: &SecretUrl,
    sent: &Sent,
    taken: impl Fn(&Answer) -> Result<(), String>,
) -> Result<(), String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let (done, may_pass) = match webhook.send(url, sent).await {
            Ok(answer) => (taken(&answer), matches!(answer.status, 408 | 429 | 500..)),
            Err(no_answer) => (Err(no_answer.to_string()), true),
        };
        match (done, pauses.next()) {
            (Err(_), Some(pause)) if may_pass => tokio::time::sleep(pause).await,
            (done, _) => return done,
        }
    }
}

/// Says what was not taken. An answer may quote the URL, of which no more than the host is anybody's business.
fn said(what: &str, url: &SecretUrl, done: Result<(), String>) {
    if let Err(why) = done {
        tracing::warn!("the {what} to {} was not taken: {}", url.host, url.hidden_in(&why));
    }
}

/// Writes the metrics where everybody may read them, whole or not at all: under another name first, which the collector does not
/// read. Blocks on the disk.
pub fn write_metrics(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("that is no file's name"))?;
    let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        let mut file = File::create(&part)?;
        file.write_all(text.as_bytes())?;
        // Whatever the umask says: the collector is another user.
        file.set_permissions(Permissions::from_mode(0o644))?;
        fs::rename(&part, path)
    })();
    if written.is_err() {
        // OK to ignore a failure: what went wrong first is told.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_take_the_place_of_older_ones_and_everybody_may_read_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("archive.prom");
        write_metrics(&path, "a 1\n").expect("written");
        write_metrics(&path, "a 2\n").expect("written again");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "a 2\n");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert!(write_metrics(&folder.path().join("no/such/folder.prom"), "").is_err());
    }
}
