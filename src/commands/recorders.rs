//! Which NVR serves which device: what the settings say, together with what the ledger knows. Read once per command.

use crate::device::{DeviceId, NvrMap};
use crate::ledger::{Ledger, LedgerError};
use crate::nvrs::Nvrs;
use crate::report::DeviceRow;
use crate::settings::Settings;
use crate::wording;

/// From the settings and the ledger.
pub(super) async fn read(settings: &Settings, ledger: &Ledger) -> Result<Nvrs, LedgerError> {
    Ok(of(settings, &ledger.devices().await?))
}

/// From the settings and what the ledger has already said.
pub(super) fn of(settings: &Settings, known: &[DeviceRow]) -> Nvrs {
    Nvrs::decide(&settings.nvr_map(), known)
}

/// Says how many devices of a run count as their own NVR, since two of them may share one that allows fewer downloads. A
/// device that is alone in its run shares nothing.
pub(super) fn warn_of_unknown<'a>(nvrs: &NvrMap, devices: impl ExactSizeIterator<Item = &'a DeviceId>) {
    if devices.len() < 2 {
        return;
    }
    let unknown = devices.filter(|&&device| nvrs.known(device).is_none()).count() as u64;
    if unknown > 0 {
        let devices = wording::count(unknown, "device");
        tracing::warn!(
            "nobody knows which NVR serves {devices}, so each counts as its own: ask the platform with \
             \"archive devices --refresh\", or name them in an [[nvr]]; until then, what media URLs tell is used"
        );
    }
}
