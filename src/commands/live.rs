//! `archive live`: records live streams, of cameras on the line or of a file's live jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveTime;
use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use crate::calendar::{self, HourSpan, When};
use crate::cli::{Common, LiveArgs};
use crate::clock::WallClock;
use crate::device::DeviceId;
use crate::display::Style;
use crate::exit_code::ExitCode;
use crate::lease::LeaseTimes;
use crate::ledger::Ledger;
use crate::live::{self, Camera, LiveJob, LiveTools};
use crate::recording::Source;
use crate::settings::{Credentials, LiveJobSettings, Settings};
use crate::time_range::UtcSecond;

use super::telling::{Ran, Telling};
use super::zones::Zones;
use super::{UsageError, context, logging, progress, requests, root, work};

pub(super) async fn run(args: LiveArgs) -> anyhow::Result<ExitCode> {
    // Each piece is a line, on a terminal too: there is no end that a bar could show the way to.
    let style = match logging::start(&args.common) {
        Style::Bars(_) | Style::Lines => Style::Lines,
        Style::Quiet => Style::Quiet,
    };
    let common = match &args.file {
        Some(file) => Common { config: Some(file.clone()), ..args.common.clone() },
        None => args.common.clone(),
    };
    // Before any secret is read: a mistake in the line is the likelier one.
    let settings = context::settings(&common)?;
    let telling = match args.file {
        Some(_) => {
            let all = settings.live_jobs.iter().map(|job| &job.name);
            Telling::of_jobs(&common, &settings, "live", &args.jobs, all)
        }
        None => Telling::by_hand(&common, &settings, format!("live device {}", args.devices.join(","))),
    };
    telling.end(ask_and_record(&args, &common, style, &settings).await).await
}

async fn ask_and_record(args: &LiveArgs, common: &Common, style: Style, settings: &Settings) -> anyhow::Result<Ran> {
    let (zones, opened) = Zones::read_for_a_run(settings).await?;
    let asked = match args.file {
        Some(_) => of_jobs(args, settings, &zones)?,
        None => of_selection(args, &zones)?,
    };
    let (settings, credentials) = context::settings_with_credentials(common)?;
    record(style, &settings, credentials, asked, opened.map(|opened| opened.ledger)).await
}

/// What is asked, in the words of whoever asked, and the cameras.
struct Recorded {
    what: String,
    cameras: BTreeMap<DeviceId, Camera>,
}

fn of_selection(args: &LiveArgs, zones: &Zones) -> anyhow::Result<Recorded> {
    let devices = requests::devices(&args.devices)?
        .ok_or_else(|| UsageError("which cameras? add --device 5,7,10-14, or name a file of jobs".to_owned()))?;
    let hours = requests::hours(&args.hours)?;
    let mut cameras = BTreeMap::new();
    for (zone, devices) in zones.groups(&devices) {
        add(&mut cameras, &devices, zone, args, &hours, args.secondary)?;
    }
    let mut what = format!("live device {}", args.devices.join(","));
    let bounds = [("for", &args.length), ("until", &args.until)];
    let bounds = bounds.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
    what.extend(bounds);
    what.extend(args.hours.iter().map(|hours| format!(" hours {hours}")));
    if args.secondary {
        what.push_str(" secondary");
    }
    Ok(Recorded { what, cameras })
}

fn of_jobs(args: &LiveArgs, settings: &Settings, zones: &Zones) -> anyhow::Result<Recorded> {
    let known: BTreeSet<&str> = settings.live_jobs.iter().map(|job| job.name.as_str()).collect();
    if known.is_empty() {
        return Err(UsageError("the file has no [[job]] with kind = \"live\"".to_owned()).into());
    }
    if let Some(unknown) = args.jobs.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(UsageError(format!("no live job is called {unknown:?}; the file has: {known}")).into());
    }
    let wanted = |job: &&LiveJobSettings| args.jobs.is_empty() || args.jobs.contains(&job.name);
    let jobs: Vec<&LiveJobSettings> = settings.live_jobs.iter().filter(wanted).collect();
    let mut cameras = BTreeMap::new();
    for job in &jobs {
        let groups = job.time_zone.map_or_else(|| zones.groups(&job.devices), |zone| vec![(zone, job.devices.clone())]);
        for (zone, devices) in groups {
            add(&mut cameras, &devices, zone, args, &job.hours, job.secondary)?;
        }
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    Ok(Recorded { what: format!("live {}", names.join(", ")), cameras })
}

/// Adds cameras that are in one zone.
fn add(
    cameras: &mut BTreeMap<DeviceId, Camera>,
    devices: &BTreeSet<DeviceId>,
    zone: Tz,
    args: &LiveArgs,
    hours: &[HourSpan],
    secondary: bool,
) -> anyhow::Result<()> {
    let until = until(args, zone, requests::now())?;
    let camera = Camera { zone, secondary, hours: hours.to_vec(), until, until_is_relative: args.length.is_some() };
    cameras.extend(devices.iter().map(|&device| (device, camera.clone())));
    Ok(())
}

/// When it ends, as `--for` or `--until` have it.
fn until(args: &LiveArgs, zone: Tz, now: UtcSecond) -> anyhow::Result<Option<UtcSecond>> {
    if let Some(length) = &args.length {
        let length = calendar::parse_duration(length).map_err(|error| UsageError(format!("--for: {error}")))?;
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        if seconds == 0 || seconds > LONGEST_SECONDS {
            return Err(UsageError("--for: between a second and a year".to_owned()).into());
        }
        return Ok(Some(now + seconds));
    }
    let Some(text) = &args.until else { return Ok(None) };
    if let Ok(time) = NaiveTime::parse_from_str(text.trim(), "%H:%M") {
        return Ok(Some(calendar::next_local_time(time, zone, now)));
    }
    let end: When = text.parse().map_err(|error| UsageError(format!("--until: {error}; or a time of day: 18:00")))?;
    let end = calendar::moment(end, zone, now).map_err(|error| UsageError(format!("--until: {error}")))?;
    if end <= now || end - now > LONGEST_SECONDS {
        return Err(UsageError(format!("--until: {end} is not within the coming year")).into());
    }
    Ok(Some(end))
}

/// A recording that is to go on for longer than a year goes on until somebody ends it.
const LONGEST_SECONDS: i64 = 366 * 86_400;

async fn record(
    style: Style,
    settings: &Settings,
    credentials: Credentials,
    asked: Recorded,
    ledger: Option<Ledger>,
) -> anyhow::Result<Ran> {
    // OK to ask for all of them: one that finds no room is a gap, and is asked for again.
    context::streams(asked.cameras.len(), "live streams");
    let ledger = Arc::new(ledger.map_or_else(|| work::open_ledger(&settings.archive), Ok)?);
    let vault = root::open(&settings.archive, &ledger).await?;
    let guard = context::guard(settings);
    let client = Arc::new(context::client(settings, credentials, &guard)?);
    let media = context::live_media(settings, guard)?;
    let transfers = Arc::new(context::transfers()?);
    let stop = CancellationToken::new();
    let asked_to_end = stop.clone();
    let (events, listening) = progress::listen(settings, style, Source::Live, &asked.what, &stop)?;
    progress::tell_of_absences(&events, &ledger, &vault);
    let signals = tokio::spawn(work::stop_on_signals(stop.clone()));
    work::end_waiting_with(&stop, &ledger);
    work::hurry_at_the_end(&stop, &vault);
    let (what, devices) = (asked.what.clone(), asked.cameras.keys().copied().collect());
    let job = LiveJob {
        what: asked.what,
        cameras: asked.cameras,
        platform_zone: settings.platform.time_zone,
        tolerance_seconds: context::tolerance_seconds(settings),
        stall: live::STALL,
        min_free: settings.archive.min_free,
        keep_attempts: settings.archive.keep_attempts,
        lease: LeaseTimes::lasting(settings.archive.lease),
        catalog_every: live::CATALOG_EVERY,
        seed: work::seed(),
    };
    let clock = WallClock::start();
    let tools = LiveTools { ledger, vault, client, media, transfers, events, stop, clock };
    let summary = live::execute(job, tools).await;
    signals.abort();
    // The sender is gone with the run, so those who listen come to their end.
    let programs = listening.end().await;
    Ok(Ran { what, asked: devices, summary, programs, signalled: asked_to_end.is_cancelled() })
}
