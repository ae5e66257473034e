//! `archive report`: a page for a browser that shows what is archived and what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{ReportArgs, Selection};
use crate::device::DeviceId;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::picture::{self, Picture, Told};
use crate::plan::Plan;
use crate::render;
use crate::settings::Settings;
use crate::time_range::{ALL_TIME, TimeRange, UtcSecond};

use super::past::Past;
use super::zones::Zones;
use super::{UsageError, context, logging, print, print_result, recorders, requests};

/// The time that a report is about when nothing else is said.
const DEFAULT_LAST: &str = "31d";

/// Answers with exit code 0 whether or not there are gaps: the question was answered.
pub(super) async fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let now = requests::now();
    let mut selection = args.selection;
    if selection.from.is_none() && selection.last.is_none() && selection.date.is_none() && selection.to.is_none() {
        selection.last = Some(DEFAULT_LAST.to_owned());
    }
    let picture = of_selection(&selection, &settings, &ledger, now).await?;
    let picture = picture.ok_or_else(|| UsageError("nothing was ever asked for here".to_owned()))?;
    let Some(output) = &args.output else {
        print_result(&args.common, &picture, String::new)?;
        return Ok(ExitCode::Complete);
    };
    let page = render::report(&picture)?;
    if output == "-" {
        print(&page)?;
    } else {
        write(Path::new(output), page.as_bytes())?;
        print(&render::reported(&picture, output, page.len() as u64))?;
    }
    Ok(ExitCode::Complete)
}

/// What the flags select, as a picture. A selection without a time means all that was ever asked for, and there is no picture of
/// nothing.
pub(super) async fn of_selection(
    selection: &Selection,
    settings: &Settings,
    ledger: &Ledger,
    now: UtcSecond,
) -> anyhow::Result<Option<Picture>> {
    let zones = Zones::read(settings).await?;
    let known = ledger.devices().await?;
    // A chain's list has more devices than its jobs ask for; who is named is shown whatever is known.
    let asked: BTreeSet<DeviceId> = known.iter().filter(|row| row.asked).map(|row| row.facts.device).collect();
    let named = !selection.devices.is_empty();
    let mut told = BTreeMap::new();
    let mut whole: Option<TimeRange> = None;
    for (devices, within) in requests::of_question(selection, &zones, now)? {
        let devices: Vec<DeviceId> = devices.into_iter().filter(|device| named || asked.contains(device)).collect();
        let within = if within == ALL_TIME { span(ledger, &devices).await? } else { Some(within) };
        let Some(within) = within else { continue };
        told.extend(read(ledger, devices, within).await?);
        let hull = |held: TimeRange| TimeRange::new(held.start().min(within.start()), held.end().max(within.end()));
        whole = whole.map_or(Some(within), hull);
    }
    let Some(range) = whole else { return Ok(None) };
    let map = recorders::of(settings, &known).map;
    let devices: Vec<DeviceId> = told.keys().copied().collect();
    let backlog = Plan::of_backlog(ledger.missing(devices, ALL_TIME).await?, &map);
    let forecast = Past::read(ledger).await?.forecast(&backlog, settings, &map, now);
    let losing = picture::losing(&backlog, &forecast.nvrs, now);
    Ok(Some(Picture::new(now, range, told, &known, &map, |device| zones.of(device), losing)))
}

/// Everything that was ever asked of these devices, from its first second to its last.
async fn span(ledger: &Ledger, devices: &[DeviceId]) -> anyhow::Result<Option<TimeRange>> {
    let asked = ledger.asked(devices.to_vec(), ALL_TIME).await?;
    let ranges = || asked.values().flat_map(|asked| asked.ranges());
    let (first, last) = (ranges().map(TimeRange::start).min(), ranges().map(TimeRange::end).max());
    Ok(first.zip(last).and_then(|(first, last)| TimeRange::new(first, last)))
}

/// Reads the devices in as many parts as there are processors: it is most of a report's work.
async fn read(ledger: &Ledger, devices: Vec<DeviceId>, within: TimeRange) -> anyhow::Result<BTreeMap<DeviceId, Told>> {
    let parts = std::thread::available_parallelism().map_or(1, usize::from);
    let size = devices.len().div_ceil(parts).max(1);
    let reading = devices.chunks(size).map(|part| ledger.told(part.to_vec(), within));
    let read = futures::future::try_join_all(reading).await?;
    Ok(read.into_iter().flatten().collect())
}

/// Writes a file whole or not at all: beside its place first, then under its name. What is there and no file, such as a pipe, is
/// written to as it is.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}: is there room, and may this user write there?", path.display());
    let there = fs::metadata(path).ok();
    if there.is_some_and(|there| !there.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .with_context(failed);
    }
    // Where the name is a link, the file that it leads to is replaced, and not the link.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&place);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, &place));
    if written.is_err() {
        // OK to ignore: what went wrong is told, and an unfinished file has a name that says so.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(failed)
}

/// A name in the same folder that nobody else writes to.
fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}
