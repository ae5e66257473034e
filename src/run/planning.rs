//! Makes the plan from what the ledger knows; a dry run stops here.

use std::collections::BTreeMap;

use crate::device::{DeviceId, NvrMap};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::{Plan, Request};
use crate::time_range::TimeRange;

/// The plan for what is asked, as the ledger stands now.
pub async fn plan(ledger: &Ledger, asked: &BTreeMap<DeviceId, Request>, nvrs: &NvrMap) -> Result<Plan, LedgerError> {
    let Some(within) = span(asked) else {
        return Ok(Plan::new(asked, &BTreeMap::new(), nvrs));
    };
    let devices: Vec<DeviceId> = asked.keys().copied().collect();
    let known = ledger.known(devices, within).await?;
    Ok(Plan::new(asked, &known, nvrs))
}

/// From the first asked-for second to the last, over all devices.
fn span(asked: &BTreeMap<DeviceId, Request>) -> Option<TimeRange> {
    let all: Vec<_> = asked.values().map(Request::ranges).collect();
    let ranges = || all.iter().flat_map(|set| set.ranges());
    TimeRange::new(ranges().map(TimeRange::start).min()?, ranges().map(TimeRange::end).max()?)
}
