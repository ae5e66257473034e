//! A server that breaks HTTP's rules and everybody's patience, and what the real program makes of it.
//!
//! A [`Fault`] says what the gateway answers and what the media server sends; [`observe`] runs the program over one window of
//! one camera against it, and says what it did, printed, ended with, and wrote into the ledger.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{code, ended, range, send, stdout, until, yesterday};

/// The window that is asked for, in seconds.
pub const WINDOW: i64 = 600;

/// What a server does with a request, one after the other; then it closes the connection. Wherever a text stands here and in a
/// [`Fault`], `{here}` is the server's address and port, and `{port}` the port alone.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends that.
    Send(Vec<u8>),
    /// Sends that so many times, or until nobody reads any longer.
    Repeat(Vec<u8>, usize),
    /// Sends that a byte at a time, so far apart.
    Drip(Vec<u8>, Duration),
    /// Sends nothing more, and keeps the connection.
    Silence,
}

/// An answer of the gateway: a URL.
pub fn url(url: &str) -> Vec<Act> {
    gateway(&serde_json::json!({ "stat": { "code": 0 }, "data": { "result": 0, "url": url } }).to_string())
}

/// An answer of the gateway. It says that the connection ends with it: a client that does not know may call again on that
/// connection before it has seen the end of it.
pub fn gateway(body: &str) -> Vec<Act> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    vec![Act::Send([head.as_bytes(), body.as_bytes()].concat())]
}

/// A head with these lines beside the status, and no length: the body ends with the connection.
pub fn head(status: &str, lines: &[&str]) -> Act {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    Act::Send(format!("HTTP/1.1 {status}\r\n{lines}connection: close\r\n\r\n").into_bytes())
}

pub fn redirect(to: &str) -> Vec<Act> {
    vec![head("302 Found", &[&format!("location: {to}"), "content-length: 0"])]
}

pub const FLV_HEADER: &[u8] = b"FLV\x01\x01\0\0\0\x09\0\0\0\0";

/// A tag with such a picture, so many milliseconds after the beginning, that each player can begin with.
pub fn picture(milliseconds: u32, bytes: usize) -> Vec<u8> {
    let size = u32::try_from(bytes + 1).expect("a small one").to_be_bytes();
    let [high, low @ ..] = milliseconds.to_be_bytes();
    let mut tag = [&[9][..], &size[1..], &low, &[high, 0, 0, 0, 0x12]].concat();
    tag.resize(tag.len() + bytes, 0x55);
    let whole = u32::try_from(tag.len()).expect("a small one");
    tag.extend_from_slice(&whole.to_be_bytes());
    tag
}

/// A recording of so many seconds, a picture each.
pub fn recording(seconds: u32) -> Vec<u8> {
    let pictures = (0..=seconds).flat_map(|second| picture(second * 1000, 500));
    FLV_HEADER.iter().copied().chain(pictures).collect()
}

/// How a platform is broken.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What a person calls it.
    pub name: &'static str,
    /// What the gateway does with a call.
    pub gateway: Vec<Act>,
    /// What the media server does with a request.
    pub media: Vec<Act>,
    /// The gateway's URL.
    pub at: &'static str,
    /// How long the program waits for anything: short for what never comes, and longer than any machine is slow for the rest.
    pub patience: &'static str,
    /// More for `[platform]`.
    pub settings: &'static str,
    /// More for the environment.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Whether the camera is recorded live for some seconds, instead of fetched from its recorder.
    pub live: bool,
}

impl Fault {
    /// A gateway that does that.
    pub fn of_gateway(name: &'static str, gateway: Vec<Act>) -> Self {
        let media = vec![head("200 OK", &[]), Act::Send(recording(600))];
        let at = "http://{here}/m.api";
        Self { name, gateway, media, at, patience: "30s", settings: "", environment: Vec::new(), live: false }
    }

    /// A media server that does that.
    pub fn of_media(name: &'static str, media: Vec<Act>) -> Self {
        Self { media, ..Self::of_gateway(name, url("http://{here}/media/FLV_a.flv")) }
    }

    /// The same for a program that waits for a second.
    pub fn soon_given_up(self) -> Self {
        Self { patience: "1s", ..self }
    }

    /// A gateway that gives that URL.
    pub fn of_url(name: &'static str, given: &str) -> Self {
        Self::of_gateway(name, url(given))
    }
}

/// What the program made of it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
    /// What the ledger says is missing: cause, seconds, the last code.
    pub gaps: Vec<(String, i64, Option<String>)>,
    /// What it says of attempts, each once: outcome and detail.
    pub attempts: Vec<(String, String)>,
    /// Of recordings: their bytes and notes.
    pub recordings: Vec<(u64, String)>,
    /// How often the gateway and the media server were asked.
    pub calls: usize,
    pub opened: usize,
    /// The most memory that the program had, in MiB, as far as it was seen.
    pub memory: u64,
}

impl Observed {
    /// All that the attempts say.
    pub fn details(&self) -> String {
        self.attempts.iter().map(|(outcome, detail)| format!("{outcome}: {detail}\n")).collect()
    }
}

/// Listens, and does what a fault says, until it is dropped.
pub struct Server {
    pub here: SocketAddr,
    pub calls: Arc<AtomicUsize>,
    pub opened: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(fault: &Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("an address");
        let (calls, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (fault, counts) = (fault.clone(), (Arc::clone(&calls), Arc::clone(&opened)));
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, fault.clone(), here, counts.clone()));
            }
        });
        Self { here, calls, opened, serving }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    fault: Fault,
    here: SocketAddr,
    (calls, opened): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> std::io::Result<()> {
    let head = read_request(&mut stream).await?;
    let acts = if head.starts_with(b"POST") {
        calls.fetch_add(1, Ordering::SeqCst);
        fault.gateway
    } else {
        opened.fetch_add(1, Ordering::SeqCst);
        fault.media
    };
    for act in acts {
        match act {
            Act::Send(bytes) => stream.write_all(&filled(&bytes, &here)).await?,
            Act::Repeat(bytes, times) => {
                for _ in 0..times {
                    stream.write_all(&bytes).await?;
                }
            }
            Act::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Act::Silence => std::future::pending().await,
        }
    }
    stream.shutdown().await?;
    // What is still coming in is read, so that the end of what was sent is not lost.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The head of a request, after all of it has come. Of what is no HTTP, what came.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        let is_http = request.starts_with(b"POST") || request.starts_with(b"GET");
        if read == 0 || !is_http {
            return Ok(request);
        }
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        if request.len() >= end + 4 + length.unwrap_or(0) {
            return Ok(request);
        }
    }
}

/// With the server's address and its port put in; a length that was written for the text before is put right.
fn filled(bytes: &[u8], here: &SocketAddr) -> Vec<u8> {
    let Some(before) = str::from_utf8(bytes).ok().filter(|text| text.contains(['{', '}'])) else {
        return bytes.to_vec();
    };
    let text = at(before, here);
    let length = |text: &str| text.split_once("content-length: ")?.1.split_once("\r\n")?.0.parse::<usize>().ok();
    match length(before).filter(|length| *length > 0) {
        Some(length) => {
            let longer = length + text.len() - before.len();
            text.replacen(&format!("content-length: {length}"), &format!("content-length: {longer}"), 1).into_bytes()
        }
        None => text.into_bytes(),
    }
}

fn at(text: &str, here: &SocketAddr) -> String {
    text.replace("{here}", &here.to_string()).replace("{port}", &here.port().to_string())
}

/// What the program says of an address that the rule for media forbids.
pub const REFUSED: &str = "never asked for media";

/// Runs the program over one window against a platform that is broken so; a live one until it has refused a stream.
pub async fn observe(fault: &Fault) -> Observed {
    let server = Server::start(fault).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = format!(
        "[platform]\ncalls_per_second = 1000\ncall_timeout = \"{patience}\"\n{}\n\
         [archive]\nmin_free = \"1 MiB\"\nfirst_byte_timeout = \"{patience}\"\nstall_timeout = \"{patience}\"\n\
         [retry]\nfirst_delay = \"10ms\"\nmax_delay = \"20ms\"\nrecheck_after = \"10ms\"\nattempts = 2\nbusy_attempts = 2\n",
        fault.settings,
        patience = fault.patience
    );
    std::fs::write(folder.path().join("settings.toml"), settings).expect("a file can be written");
    let asked = range(yesterday(), WINDOW);
    let (from, to) = (asked.start().to_string(), asked.end().to_string());
    let arguments = if fault.live {
        vec!["live", "-vv", "--device", "1", "--for", "1h"]
    } else {
        vec!["-vv", "--device", "1", "--from", &from, "--to", &to]
    };
    let said = folder.path().join("stderr.txt");
    let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
    command
        .args(arguments)
        .env_clear()
        .env("ARCHIVE_URL", at(fault.at, &server.here))
        .env("ARCHIVE_AKEY", "key")
        .env("ARCHIVE_SECRET", "secret")
        .env("ARCHIVE_CONFIG", folder.path().join("settings.toml"))
        .envs(fault.environment.iter().map(|(name, value)| (name, at(value, &server.here))))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&said).expect("a file can be made"));
    let child = command.spawn().expect("the program starts");
    let watching = tokio::spawn(watch_memory(child.id()));
    let said = || std::fs::read_to_string(&said).expect("what was said can be read");
    if fault.live {
        // It would ask again for an hour.
        until("a live stream is refused", || said().contains(REFUSED)).await;
        send(&child, Signal::TERM);
    }
    let output = ended(child).await;
    let memory = watching.await.expect("it only looks");
    let ledger = folder.path().join("recordings/ledger.db");
    let rows = |query| rows(&ledger, query);
    Observed {
        exit: code(&output),
        stdout: stdout(&output),
        stderr: said(),
        gaps: rows("SELECT cause, seconds, last_code FROM gaps")
            .into_iter()
            .map(|row| {
                (
                    row[0].clone(),
                    row[1].parse().expect("a number"),
                    Some(row[2].clone()).filter(|code| !code.is_empty()),
                )
            })
            .collect(),
        attempts: rows("SELECT DISTINCT outcome, 0, detail FROM attempts")
            .into_iter()
            .map(|row| (row[0].clone(), row[2].clone()))
            .collect(),
        recordings: rows("SELECT bytes, note, 0 FROM recordings")
            .into_iter()
            .map(|row| (row[0].parse().expect("a number"), row[1].clone()))
            .collect(),
        calls: server.calls.load(Ordering::SeqCst),
        opened: server.opened.load(Ordering::SeqCst),
        memory,
    }
}

/// Three columns of each row, as texts.
fn rows(ledger: &std::path::Path, query: &str) -> Vec<[String; 3]> {
    let ledger = Connection::open(ledger).expect("the ledger can be opened");
    let mut statement = ledger.prepare(query).expect("the query is right");
    let text = |row: &rusqlite::Row<'_>, column| -> rusqlite::Result<String> {
        Ok(match row.get_ref(column)? {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            value => value.as_str()?.to_owned(),
        })
    };
    let rows = statement.query_map([], |row| Ok([text(row, 0)?, text(row, 1)?, text(row, 2)?])).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// The most memory that a process had until it ended, in MiB.
async fn watch_memory(process: u32) -> u64 {
    let (mut most, mut tick) = (0, tokio::time::interval(Duration::from_millis(5)));
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        // A process that has ended and was not waited for has none.
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        most = most.max(kibibytes / 1024);
        tick.tick().await;
    }
    most
}
