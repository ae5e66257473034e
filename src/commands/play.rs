//! `archive play`: a live stream's URLs, or a player on the best of them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::{Command, ExitStatus};

use anyhow::Context as _;
use serde::{Serialize, Serializer};
use url::Url;

use crate::cli::{self, PlayArgs};
use crate::device::DeviceId;
use crate::exit_code::ExitCode;
use crate::platform::client::{CHANNEL_LIFE_SECONDS, PlayOptions};
use crate::platform::live::{self, Offer, Protocol};
use crate::untrusted::Untrusted;

use super::{context, logging, print_result};

/// What a player must not inherit.
const SECRETS: [&str; 2] = ["ARCHIVE_SECRET", "ARCHIVE_PASSWORD"];

pub(super) async fn run(args: PlayArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let (settings, credentials) = context::settings_with_credentials(&args.common)?;
    let guard = context::guard(&settings);
    let client = context::client(&settings, credentials, &guard)?;
    let options = PlayOptions { secondary: args.secondary, standing_until: None };
    let play = client.start_play(args.device, options).await?;
    let chosen = live::choose(&play, args.protocol.map(protocol))?;
    match args.exec.split_first() {
        // At once: the channel is closed when nobody pulls.
        Some((program, arguments)) => {
            let url = chosen.playable()?;
            guard.check_for_others(&url).await?;
            start_player(program, arguments, url).await
        }
        None => {
            let codec = Untrusted::new(&play.vencodingname);
            let shown = Shown::new(args.device, args.secondary, codec, &live::offers(&play), &chosen);
            print_result(&args.common, &shown, || shown.text())?;
            Ok(ExitCode::Complete)
        }
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Shown {
    device: DeviceId,
    stream: &'static str,
    codec: Untrusted,
    /// Cleaned, by the platform's names, best first.
    #[serde(serialize_with = "as_map")]
    urls: Vec<(&'static str, String)>,
    /// The name of the one to take.
    chosen: &'static str,
    pull_within_seconds: u64,
}

impl Shown {
    fn new(device: DeviceId, secondary: bool, codec: Untrusted, offers: &[Offer], chosen: &Offer) -> Self {
        Self {
            device,
            stream: if secondary { "secondary" } else { "main" },
            codec,
            urls: offers.iter().map(|offer| (offer.name, offer.to_string())).collect(),
            chosen: chosen.name,
            pull_within_seconds: CHANNEL_LIFE_SECONDS,
        }
    }

    fn text(&self) -> String {
        let codec = if self.codec.is_empty() { "codec not said".to_owned() } else { self.codec.to_string() };
        let mut text = format!("device {}, {} stream, {codec}\n", self.device, self.stream);
        for (name, url) in &self.urls {
            let mark = if *name == self.chosen { '*' } else { ' ' };
            // OK to ignore, here and below: writing to a string does not fail.
            let _ = writeln!(text, "{mark} {name:<6}  {url}");
        }
        let _ = writeln!(
            text,
            "Open the one marked * now: the platform closes the channel when nobody pulls within {} s, and when its last \
             viewer leaves.",
            self.pull_within_seconds
        );
        text
    }
}

fn as_map<S: Serializer>(urls: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(urls.iter().map(|(name, url)| (name, url)))
}

/// Runs a player to its end, with the URL as its last argument. It has this terminal, so what it says is seen; no shell reads
/// its words.
async fn start_player(program: &OsString, arguments: &[OsString], url: Url) -> anyhow::Result<ExitCode> {
    let mut player = Command::new(program);
    player.args(arguments).arg(url.as_str());
    for name in SECRETS {
        player.env_remove(name);
    }
    let shown = program.display().to_string();
    let running = tokio::task::spawn_blocking(move || player.status());
    let ended: ExitStatus = running
        .await
        .context("the player's thread was lost")?
        .with_context(|| format!("cannot start the player {shown:?}; is it installed, and in PATH?"))?;
    if ended.success() {
        return Ok(ExitCode::Complete);
    }
    anyhow::bail!("the player {shown:?} ended with {ended}; what it said is above")
}

fn protocol(asked: cli::Protocol) -> Protocol {
    match asked {
        cli::Protocol::Flv => Protocol::Flv,
        cli::Protocol::Hls => Protocol::Hls,
        cli::Protocol::Rtsp => Protocol::Rtsp,
        cli::Protocol::Rtmp => Protocol::Rtmp,
    }
}
