//! What a ledger tells of earlier nights, to forecast the next one by.

use std::collections::BTreeMap;

use crate::device::{NvrId, NvrMap};
use crate::forecast::{Basis, Forecast, History};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::report::{DeviceHistory, Learned};
use crate::scheduler::Policy;
use crate::settings::Settings;
use crate::time_range::UtcSecond;

use super::context;

/// From how many of the newest attempts a forecast is made.
const HISTORY_ATTEMPTS: u32 = 20_000;

/// What earlier nights came to; nothing without a ledger.
#[derive(Debug, Default)]
pub(super) struct Past {
    history: Vec<DeviceHistory>,
    learned: BTreeMap<NvrId, Learned>,
}

impl Past {
    pub(super) async fn read(ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self { history: ledger.history(HISTORY_ATTEMPTS).await?, learned: ledger.learned_limits().await? })
    }

    /// What was learned of each NVR, over all runs.
    pub(super) fn learned(&self) -> &BTreeMap<NvrId, Learned> {
        &self.learned
    }

    /// What the scheduler of the next run keeps to.
    pub(super) fn policy(&self, settings: &Settings, nvrs: &NvrMap) -> Policy {
        Policy { learned: self.learned.clone(), ..context::policy(settings, nvrs) }
    }

    /// What `plan` comes to when it is begun `now`.
    pub(super) fn forecast(&self, plan: &Plan, settings: &Settings, nvrs: &NvrMap, now: UtcSecond) -> Forecast {
        let basis = Basis {
            policy: &self.policy(settings, nvrs),
            history: &History::of(&self.history, nvrs),
            calls_per_second: settings.platform.calls_per_second,
            bytes_per_second: bytes_per_second(settings, now),
            now,
        };
        Forecast::of(plan, &basis)
    }
}

/// The ceiling on bytes per second over the next day; nothing when some of it has none.
fn bytes_per_second(settings: &Settings, now: UtcSecond) -> Option<f64> {
    const DAY: i64 = 24 * 3600;
    let bytes = settings.archive.bandwidth.bytes_between(now, now + DAY)?;
    Some(bytes as f64 / DAY as f64)
}
