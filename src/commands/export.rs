//! `archive export`: recordings as one film, or as they are, with a manifest.

use std::io::{self, Write as _};

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use crate::cli::{ExportArgs, Selection};
use crate::device::DeviceId;
use crate::exit_code::ExitCode;
use crate::export::{self, ExportError, Exported, Wanted};
use crate::ledger::Ledger;
use crate::manifest::Manifest;
use crate::render::{self, ExportFiles};
use crate::report::GapQuery;
use crate::time_range::TimeRange;

use super::zones::Zones;
use super::{UsageError, context, logging, print, requests, root, work};

/// How often the ledger is asked until two answers agree.
const TRIES: u32 = 20;

pub(super) async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let settings = context::settings(&args.common)?;
    let ledger = Ledger::open_read_only(&settings.archive.ledger)?;
    let zones = Zones::read(&settings).await?;
    let mut wanted = wanted(&args.selection, &ledger, &zones).await?;
    if !args.flv && wanted.len() != 1 {
        let text =
            "a film is of one camera: --device takes one number here, unless --flv copies the recordings as they are";
        return Err(UsageError(text.to_owned()).into());
    }
    let vault = root::existing(&settings.archive, &ledger).await?;
    let stop = CancellationToken::new();
    let signals = tokio::spawn(work::stop_on_signals(stop.clone()));
    let (output, force, flv, now) = (args.output.clone(), args.force, args.flv, requests::now());
    let exporting = tokio::task::spawn_blocking(move || {
        let is_stopped = || stop.is_cancelled();
        match wanted.pop() {
            Some(one) if !flv => export::film(&vault, &one, &output, force, now, &is_stopped),
            last => {
                wanted.extend(last);
                export::originals(&vault, &wanted, &output, force, now, &is_stopped)
            }
        }
    });
    let exported = exporting.await;
    signals.abort();
    match exported? {
        Ok(exported) => tell(&args, &exported),
        Err(ExportError::Vault(error)) => Err(error.into()),
        Err(error @ ExportError::Stopped) => Ok(told(&error, ExitCode::Stopped)),
        Err(error @ ExportError::Nothing) => Ok(told(&error, ExitCode::Gaps)),
        Err(error @ (ExportError::Unusable { .. } | ExportError::Changed { .. })) => Err(error.into()),
        Err(error) => Err(UsageError(error.to_string()).into()),
    }
}

/// What the ledger has of what the flags select.
async fn wanted(selection: &Selection, ledger: &Ledger, zones: &Zones) -> anyhow::Result<Vec<Wanted>> {
    if selection.devices.is_empty() {
        return Err(UsageError("which camera? add --device 5".to_owned()).into());
    }
    if selection.from.is_none() && selection.last.is_none() && selection.date.is_none() {
        return Err(UsageError("which time? add --from and --to, --last 24h, or --date yesterday".to_owned()).into());
    }
    let mut wanted = Vec::new();
    for (devices, range) in requests::of_question(selection, zones, requests::now())? {
        for device in devices {
            wanted.push(of_device(ledger, device, range, zones.of(device)).await?);
        }
    }
    wanted.sort_by_key(|one| (one.device, one.range));
    Ok(wanted)
}

/// What the ledger has of one camera, as of one moment: what a run archives between two questions would be neither a recording
/// nor a gap.
async fn of_device(ledger: &Ledger, device: DeviceId, range: TimeRange, zone: Tz) -> anyhow::Result<Wanted> {
    let query = GapQuery { devices: Some(vec![device]), within: Some(range), causes: None };
    let mut before = (ledger.gaps(query.clone()).await?, ledger.missing(vec![device], range).await?);
    for _ in 0..TRIES {
        let recordings = ledger.recordings_overlapping(device, range).await?;
        let after = (ledger.gaps(query.clone()).await?, ledger.missing(vec![device], range).await?);
        if before == after {
            let (gaps, mut missing) = after;
            let missing = missing.remove(&device).unwrap_or_default();
            return Ok(Wanted { device, range, zone, recordings, gaps, missing });
        }
        before = after;
    }
    anyhow::bail!(
        "the ledger of that time changes all the time, so that no moment of it can be written down; try again"
    )
}

fn told(error: &ExportError, code: ExitCode) -> ExitCode {
    // OK to ignore a closed stderr, here and below: the exit code says it too.
    let _ = writeln!(io::stderr(), "archive: {error}");
    code
}

fn tell(args: &ExportArgs, exported: &Exported) -> anyhow::Result<ExitCode> {
    let Exported { manifest, json, output, manifest_path, manifest_blake3 } = exported;
    let files = ExportFiles { output, manifest: manifest_path, manifest_blake3: *manifest_blake3 };
    if args.common.json {
        print(json)?;
        let _ = writeln!(io::stderr(), "{}", render::manifest_line(&files));
    } else {
        print(&render::export(manifest, &files))?;
    }
    Ok(exit_code(manifest))
}

/// What could not be used although it is archived is worse than a gap, which is known.
fn exit_code(manifest: &Manifest) -> ExitCode {
    if manifest.failed().next().is_some() {
        ExitCode::Failure
    } else if manifest.has_gaps() {
        ExitCode::Gaps
    } else {
        ExitCode::Complete
    }
}
