//! What the platform has to say: gateway, clock, account, and one camera's footage.

use std::time::{Duration, Instant};

use crate::backoff::Delays;
use crate::calendar;
use crate::device::DeviceId;
use crate::flv;
use crate::outcome::Class;
use crate::platform::client::{CallError, Client};
use crate::platform::media::{MediaClient, MediaError};
use crate::platform::wire;
use crate::readiness::{self, Answer, Finding, Footage};
use crate::settings::{Credentials, Settings};
use crate::time_range::TimeRange;

use super::super::{context, requests};

/// Somebody waits.
const DELAYS: Delays = Delays { first: Duration::from_millis(500), longest: Duration::from_secs(2) };

/// A minute that ended so long before the settled time: every recorder has written it by then.
const BEFORE_SECONDS: i64 = 600;
const MINUTE: i64 = 60;

/// What is read of a stream at most: a camera's first keyframe is a few hundred kilobytes.
const MOST_BYTES: u64 = 8 << 20;
const LONGEST: Duration = Duration::from_secs(60);

/// Asks, with that camera's footage or without.
pub(super) async fn findings(
    settings: &Settings,
    credentials: Credentials,
    device: Option<DeviceId>,
) -> anyhow::Result<Vec<Finding>> {
    let guard = context::guard(settings);
    let client = context::client(settings, credentials, &guard)?;
    let (stores, mut clock_refused) = answered(client.first_stores(DELAYS).await);
    let gateway = readiness::gateway(settings.platform.url.as_str(), &stores);
    if matches!(stores, Answer::Nothing(_)) {
        return Ok(vec![gateway]);
    }
    let mut footage = None;
    if let Some(device) = device {
        let archive = &settings.archive;
        let media = context::media(settings, archive.first_byte_timeout, archive.stall_timeout, guard)?;
        let (came, refused) = ask(&client, &media, device, settings).await;
        clock_refused |= refused;
        footage = Some((device, came));
    }
    let ahead = client.measured_offset().await.map(|measured| measured.ahead.num_milliseconds());
    let download = footage.as_ref().map(|(_, came)| match came {
        Footage::NotGiven(answer) => answer.clone(),
        _ => Answer::Given,
    });
    let mut findings = vec![gateway, readiness::clock(ahead, clock_refused)];
    findings.extend(readiness::account(&stores, download.as_ref()));
    findings.extend(footage.map(|(device, came)| readiness::device(&format!("device {device}"), &came)));
    Ok(findings)
}

/// What a call came to, and whether it was refused because of its time.
fn answered<T>(call: Result<T, CallError>) -> (Answer, bool) {
    match call {
        Ok(_) => (Answer::Given, false),
        Err(error @ CallError::Refused { code, .. }) => {
            let of_time = wire::classify(code) == Class::ClockWrong;
            (Answer::Refused(error.class(), error.to_string()), of_time)
        }
        Err(error) => (Answer::Nothing(error.to_string()), false),
    }
}

/// Asks for a minute of a camera, and reads the stream until it shows what it is. Whether the call's time was refused comes with
/// it.
async fn ask(client: &Client, media: &MediaClient, device: DeviceId, settings: &Settings) -> (Footage, bool) {
    let settle = i64::try_from(settings.archive.settle.as_secs()).unwrap_or(i64::MAX / 2);
    let end = requests::now() - settle - BEFORE_SECONDS;
    let end = end - end.get().rem_euclid(MINUTE);
    // OK: a minute is a range.
    let Some(range) = TimeRange::new(end - MINUTE, end) else { return (Footage::Empty, false) };
    let (from, to) = calendar::platform_labels(range, client.account().time_zone);
    let url = match client.start_download(device, from, to).await {
        Ok(url) => url,
        Err(error) => {
            let (answer, of_time) = answered::<()>(Err(error));
            return (Footage::NotGiven(answer), of_time);
        }
    };
    let read = tokio::time::timeout(LONGEST, read(media, &url));
    let footage = match read.await {
        Ok(Ok(footage)) => footage,
        Ok(Err(error)) => Footage::Unusable(error.to_string()),
        Err(_) => Footage::Unusable(format!("no picture came within {} s", LONGEST.as_secs())),
    };
    (footage, false)
}

/// Reads until there are frames of a known coding, or enough has come to say that there will be none.
async fn read(media: &MediaClient, url: &str) -> Result<Footage, MediaError> {
    let begun = Instant::now();
    let Some(mut stream) = media.open(url, 0).await? else { return Ok(Footage::Empty) };
    let host = stream.url.host_str().unwrap_or("a host without a name").to_owned();
    let mut parser = flv::Parser::new();
    let report = loop {
        let next = stream.next().await?;
        parser.push(next.as_deref().unwrap_or_default());
        let report = parser.report();
        let is_known = report.has_frames() && report.video_codec.is_some() && report.picture_size.is_some();
        let is_not_flv = matches!(report.signature, flv::Signature::NotFlv(_));
        if next.is_none() || is_known || is_not_flv || report.total_bytes > MOST_BYTES {
            break report;
        }
    };
    if let flv::Signature::NotFlv(first) = report.signature {
        let first = crate::untrusted::Untrusted::from_bytes(first.as_slice());
        return Ok(Footage::Unusable(format!("{host} sent no FLV, but bytes that begin {first:?}")));
    }
    if !report.has_frames() {
        return Ok(Footage::Empty);
    }
    let facts = report.media_facts();
    let mut what = vec!["FLV".to_owned()];
    what.extend(facts.video_codec.map(|codec| codec.to_string()));
    what.extend(facts.picture_size.map(|(width, height)| format!("{width}x{height}")));
    what.extend(facts.audio_codec.map(|codec| codec.to_string()));
    let milliseconds = begun.elapsed().as_millis();
    Ok(Footage::Came(format!("{} from {host} within {milliseconds} ms", what.join(" "))))
}
