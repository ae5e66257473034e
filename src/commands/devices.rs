//! `archive devices`: the cameras, their stores and their NVRs, as the platform's list, media URLs and the settings have
//! them.

use anyhow::Context as _;

use crate::cli::DevicesArgs;
use crate::device::NvrMap;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::nvrs::Nvrs;
use crate::render::{self, DeviceLine};
use crate::report::DeviceRow;

use super::zones::Zones;
use super::{context, logging, print_result, recorders, refresh};

pub(super) async fn run(args: DevicesArgs) -> anyhow::Result<ExitCode> {
    logging::start(&args.common);
    let (settings, refused_stores) = if args.refresh {
        let (settings, credentials) = context::settings_with_credentials(&args.common)?;
        let refused = refresh::refresh(&args.common, &settings, credentials, args.store).await?;
        (settings, refused)
    } else {
        (context::settings(&args.common)?, 0)
    };
    let ledger = Ledger::open_read_only(&settings.archive.ledger)
        .context("no device can be shown; \"archive devices --refresh\" asks the platform for its list")?;
    let rows = ledger.devices().await?;
    let nvrs = recorders::of(&settings, &rows);
    let zones = Zones::read(&settings).await?;
    let stated = settings.nvr_map();
    let mut lines: Vec<DeviceLine> =
        rows.iter().map(|row| line(row, &nvrs, &stated, zones.of(row.facts.device).name())).collect();
    lines.retain(|line| args.store.is_none() || line.store_number == args.store);
    lines.sort_by(|a, b| key(a).cmp(&key(b)));
    print_result(&args.common, &lines, || render::devices(&lines, args.store, settings.archive.time_zone))?;
    Ok(if refused_stores == 0 { ExitCode::Complete } else { ExitCode::Failure })
}

/// By store, those without one last; then by NVR, by its channels.
fn key(line: &DeviceLine) -> impl Ord + use<'_> {
    let store = (line.store_number.is_none(), line.store_number, line.store.is_none(), &line.store);
    (store, &line.nvr, line.channel, line.device)
}

fn line(row: &DeviceRow, nvrs: &Nvrs, stated: &NvrMap, zone: &str) -> DeviceLine {
    let facts = &row.facts;
    let nvr = nvrs.map.nvr_of(facts.device);
    let (store_number, store) = store(row, stated.store_of(&nvr), nvrs.map.store_of(&nvr));
    DeviceLine {
        device: facts.device,
        name: facts.name.clone(),
        store_number,
        store,
        nvr,
        known_from: nvrs.known_from.get(&facts.device).copied(),
        channel: facts.channel,
        online: facts.online,
        zone: zone.to_owned(),
        seen: facts.seen,
        asked: row.asked,
    }
}

/// A device's store, by number and name as far as they are known: the one that the settings state for its NVR, else the
/// one that the platform lists it in, else the one in which its NVR is known to stand.
fn store(row: &DeviceRow, stated: Option<&str>, of_nvr: Option<&str>) -> (Option<i64>, Option<String>) {
    let number = row.facts.store_number;
    let name = row.facts.store.as_ref().map(ToString::to_string);
    let is_listed = number.is_some() || name.is_some();
    match stated.or_else(|| of_nvr.filter(|_| !is_listed)) {
        // Under its number or its name, what the settings state is the listed one.
        Some(store)
            if number.map(|number| number.to_string()).as_deref() != Some(store) && name.as_deref() != Some(store) =>
        {
            match store.parse() {
                Ok(number) => (Some(number), None),
                Err(_no_number) => (None, Some(store.to_owned())),
            }
        }
        _ => (number, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceId;
    use crate::report::DeviceFacts;

    #[test]
    fn a_devices_store_is_what_the_settings_state_else_what_the_platform_lists() {
        let row = |number, name: Option<&str>| DeviceRow {
            facts: DeviceFacts {
                store_number: number,
                store: name.map(Into::into),
                ..DeviceFacts::unknown(DeviceId::new(5).expect("not negative"))
            },
            macs: None,
            zone: String::new(),
            asked: false,
        };
        let text = |text: &str| Some(text.to_owned());
        let listed = row(Some(7), Some("Riverside"));
        assert_eq!(store(&listed, None, Some("9")), (Some(7), text("Riverside")));
        assert_eq!(store(&listed, Some("7"), Some("7")), (Some(7), text("Riverside")));
        assert_eq!(store(&listed, Some("Riverside"), None), (Some(7), text("Riverside")));
        assert_eq!(store(&listed, Some("8"), Some("8")), (Some(8), None));
        assert_eq!(store(&listed, Some("Market"), None), (None, text("Market")));
        assert_eq!(store(&row(None, None), None, Some("9")), (Some(9), None));
        assert_eq!(store(&row(None, None), None, None), (None, None));
    }
}
