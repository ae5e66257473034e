//! `archive check`: whether all is ready for a night. Gathers what [`crate::readiness`] judges.
//!
//! It makes no ledger and no folder, and publishes nothing. What it does beside looking a run does too: it writes a file in the
//! archive and deletes it again, calls the platform, and has one camera's NVR play a minute.

mod local;
mod remote;

use std::io::{self, Write as _};

use crate::cli::{CheckArgs, Common};
use crate::device::DeviceId;
use crate::exit_code::ExitCode;
use crate::readiness::{self, Finding, Part};
use crate::render;
use crate::settings::{Credentials, Remark, Settings, SettingsErrors};
use crate::wording;

use super::{context, logging, print_result};

/// Which camera is asked for footage.
enum Ask {
    This(DeviceId),
    /// The first one of the first job.
    First,
    None,
}

pub(super) async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let config = args.file.or_else(|| args.common.config.clone());
    let common = Common { config, ..args.common };
    let ask = match args.device {
        Some(device) => Ask::This(device),
        None if args.no_device => Ask::None,
        None => Ask::First,
    };
    let findings = findings(&common, ask).await?;
    print_result(&common, &findings, || render::check(&findings))?;
    Ok(readiness::exit_code(&findings))
}

async fn findings(common: &Common, ask: Ask) -> anyhow::Result<Vec<Finding>> {
    let flags = context::flags(common);
    let settings = match Settings::load(&flags, &context::environment) {
        Ok(settings) => settings,
        Err(mistakes) => return Ok(vec![wrong(Part::Settings, &mistakes)]),
    };
    let mut findings = vec![of_settings(&settings, common)];
    let credentials = match Settings::load_with_credentials(&flags, &context::environment) {
        Ok((with, credentials)) => {
            findings.push(of_secret(&settings, &with, &credentials));
            Some(credentials)
        }
        Err(mistakes) => {
            findings.push(wrong(Part::Secret, &mistakes));
            None
        }
    };
    findings.extend(local::findings(&settings).await);
    // Without a secret no call can be signed.
    if let Some(credentials) = credentials {
        let device = match ask {
            Ask::This(device) => Some(device),
            Ask::First => first_device(&settings),
            Ask::None => None,
        };
        if let Some(device) = device.filter(|_| !common.quiet) {
            // OK to ignore a closed stderr: it says no more than what is about to happen.
            let _ = writeln!(
                io::stderr(),
                "asking device {device} for a minute of footage, as a run does; --no-device leaves it out"
            );
        }
        findings.extend(remote::findings(&settings, credentials, device).await?);
    }
    Ok(findings)
}

fn first_device(settings: &Settings) -> Option<DeviceId> {
    let of_job = settings.jobs.iter().find_map(|job| job.devices.first());
    of_job.or_else(|| settings.live_jobs.iter().find_map(|job| job.devices.first())).copied()
}

fn wrong(part: Part, mistakes: &SettingsErrors) -> Finding {
    Finding::fail(part, lines(mistakes.mistakes()))
}

fn lines<'a>(remarks: impl IntoIterator<Item = &'a Remark>) -> String {
    remarks.into_iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn of_settings(settings: &Settings, common: &Common) -> Finding {
    if !settings.warnings.is_empty() {
        return Finding::warn(Part::Settings, lines(&settings.warnings));
    }
    let file = common.config.clone().map(|file| file.display().to_string());
    let file = file.or_else(|| context::environment("ARCHIVE_CONFIG").filter(|file| !file.is_empty()));
    let jobs = wording::count(settings.jobs.len() as u64, "job");
    let live = match settings.live_jobs.len() as u64 {
        0 => String::new(),
        live => format!(" and {}", wording::count(live, "live job")),
    };
    match file {
        Some(file) => Finding::pass(Part::Settings, format!("{file}: {jobs}{live}, no mistakes")),
        None => Finding::pass(Part::Settings, "flags and environment only: no file of jobs is named"),
    }
}

/// `with` is what was read together with the `credentials`: it has the warnings of the files that hold them.
fn of_secret(settings: &Settings, with: &Settings, credentials: &Credentials) -> Finding {
    let warnings: Vec<&Remark> = with.warnings.iter().filter(|warning| !settings.warnings.contains(warning)).collect();
    if !warnings.is_empty() {
        return Finding::warn(Part::Secret, lines(warnings));
    }
    let login = if credentials.login.is_some() { ", and a user with a password" } else { "" };
    Finding::pass(Part::Secret, format!("there is a key with its secret{login}"))
}
