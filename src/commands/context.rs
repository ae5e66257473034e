//! From settings to the parts that a run is made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::backoff::Delays;
use crate::cli::Common;
use crate::descriptors;
use crate::device::NvrMap;
use crate::fetch::{Fetcher, Manner};
use crate::live;
use crate::platform::body::Body;
use crate::platform::client::{Account, Client, LoginAccount, LoginKind};
use crate::platform::guard::Guard;
use crate::platform::media::{MediaClient, Patience};
use crate::platform::sign::Algorithm;
use crate::scheduler::Policy;
use crate::settings::{self, Credentials, Flags, Settings};
use crate::transfers::Transfers;
use crate::vault::Vault;

/// How long a file that ended too early is given to grow.
const GROWTH_PAUSE: Duration = Duration::from_secs(2);

const NO_TLS: &str = "cannot read this machine's TLS certificates";

/// The flags as the settings take them.
pub(super) fn flags(common: &Common) -> Flags {
    Flags {
        config: common.config.clone(),
        url: common.url.clone(),
        aid: common.aid.clone(),
        akey: common.akey.clone(),
        root: common.root.clone(),
        ledger: common.ledger.clone(),
        time_zone: common.time_zone.clone(),
        streams: common.streams.clone(),
        per_nvr: common.per_nvr.clone(),
        ..Flags::default()
    }
}

/// The process's environment. A variable that is no UTF-8 counts as not set.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Settings for a command that asks the ledger only.
pub(super) fn settings(common: &Common) -> anyhow::Result<Settings> {
    settings_of(&flags(common))
}

/// The same for one that has flags of its own.
pub(super) fn settings_of(flags: &Flags) -> anyhow::Result<Settings> {
    let settings = Settings::load(flags, &environment)?;
    warn(&settings);
    Ok(settings)
}

/// Settings and account for a command that calls the platform.
pub(super) fn settings_with_credentials(common: &Common) -> anyhow::Result<(Settings, Credentials)> {
    let (settings, credentials) = Settings::load_with_credentials(&flags(common), &environment)?;
    warn(&settings);
    Ok((settings, credentials))
}

fn warn(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
}

/// What calls the platform.
pub(super) fn client(settings: &Settings, credentials: Credentials, guard: &Guard) -> anyhow::Result<Client> {
    Client::telling(account(settings, credentials), guard).context(NO_TLS)
}

/// Which addresses are asked for media.
pub(super) fn guard(settings: &Settings) -> Guard {
    Guard::new(&settings.platform.url, &settings.platform.media_hosts)
}

/// What a fetcher calls and streams with, once it is made.
pub(super) struct Clients(JoinHandle<anyhow::Result<(Client, MediaClient)>>);

/// Makes them beside what else a start has to do: reading the machine's TLS certificates takes a while.
pub(super) fn clients(settings: &Settings, credentials: Credentials) -> Clients {
    let settings = settings.clone();
    Clients(tokio::task::spawn_blocking(move || {
        let (archive, guard) = (&settings.archive, guard(&settings));
        let media = media(&settings, archive.first_byte_timeout, archive.stall_timeout, guard.clone())?;
        Ok((client(&settings, credentials, &guard)?, media))
    }))
}

/// What makes attempts.
pub(super) async fn fetcher(settings: &Settings, clients: Clients, vault: Vault) -> anyhow::Result<Arc<Fetcher>> {
    let (client, media) = clients.0.await??;
    let manner = Manner { tolerance_seconds: tolerance_seconds(settings), growth_pause: GROWTH_PAUSE };
    let ceilings = settings.archive.bandwidth.clone();
    Ok(Arc::new(Fetcher::new(client, media, vault, manner, ceilings, transfers()?)))
}

/// How many of the streams that are asked for this process has room for; says so when that is not all of them. `what` they are.
pub(super) fn streams(asked: usize, what: &str) -> usize {
    let needed = descriptors::needed(asked);
    let limit = descriptors::raise(needed);
    let streams = descriptors::streams(limit, asked);
    if streams < asked {
        tracing::warn!(
            "this process may have {limit} files open at once, which is enough for {streams} of {asked} {what}: allow it {needed} \
             (ulimit -n {needed}; LimitNOFILE={needed} for systemd)"
        );
    }
    streams
}

/// The threads for streams.
pub(super) fn transfers() -> anyhow::Result<Transfers> {
    Transfers::start().context("cannot start the threads for streams")
}

/// What opens live streams: the platform closes a channel soon, so little patience is a virtue.
pub(super) fn live_media(settings: &Settings, guard: Guard) -> anyhow::Result<MediaClient> {
    media(settings, live::STALL, live::STALL, guard)
}

/// What opens media URLs, with so much patience for their first and their further bytes.
pub(super) fn media(
    settings: &Settings,
    first_byte: Duration,
    stall: Duration,
    guard: Guard,
) -> anyhow::Result<MediaClient> {
    let patience = Patience { connect: settings.platform.connect_timeout, first_byte, stall };
    MediaClient::new(patience, guard).context(NO_TLS)
}

/// How much shorter than its window a recording may be.
pub(super) fn tolerance_seconds(settings: &Settings) -> i64 {
    whole_seconds(settings.archive.tolerance)
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn account(settings: &Settings, credentials: Credentials) -> Account {
    let platform = &settings.platform;
    Account {
        url: platform.url.to_string(),
        aid: platform.aid.clone(),
        akey: credentials.akey,
        secret: credentials.secret,
        algorithm: match platform.signature {
            settings::Signature::Md5 => Algorithm::Md5,
            settings::Signature::Sha1 => Algorithm::Sha1,
        },
        time_zone: platform.time_zone,
        timestamp_zone: platform.timestamp_zone,
        calls_per_second: platform.calls_per_second,
        versions: platform.versions.clone(),
        bodies: platform.bodies.iter().map(|(method, body)| (method.clone(), carried(*body))).collect(),
        call_timeout: platform.call_timeout,
        connect_timeout: platform.connect_timeout,
        login: credentials.login.map(|login| LoginAccount {
            kind: match login.kind {
                settings::LoginKind::Mobile => LoginKind::Mobile,
                settings::LoginKind::Sso => LoginKind::Sso,
            },
            user: login.user,
            password: login.password,
        }),
    }
}

fn carried(body: settings::Body) -> Body {
    match body {
        settings::Body::Form => Body::Form,
        settings::Body::Json => Body::Json,
    }
}

/// What the scheduler keeps to.
pub(super) fn policy(settings: &Settings, nvrs: &NvrMap) -> Policy {
    let (archive, retry) = (&settings.archive, &settings.retry);
    let channels = settings.nvrs.iter().filter_map(|nvr| Some((nvr.name.clone(), nvr.channels?)));
    Policy {
        streams: archive.streams,
        per_nvr: archive.per_nvr,
        channels: channels.collect(),
        footage: settings.nvrs.iter().filter_map(|nvr| Some((nvr.name.clone(), nvr.footage?))).collect(),
        stores: nvrs.stores().clone(),
        learned: BTreeMap::new(),
        settle: archive.settle,
        delays: Delays { first: retry.first_delay, longest: retry.max_delay },
        attempts: retry.attempts,
        busy_attempts: retry.busy_attempts,
        refused_share: retry.refused_share,
        recheck_after: retry.recheck_after,
        tolerance_seconds: tolerance_seconds(settings),
    }
}
