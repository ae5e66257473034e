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
    // In two halves side by side: of many cameras, reading them is most of what a start waits for.
    let (first, second) = devices.split_at(devices.len() / 2);
    let (mut known, more) =
        futures::try_join!(ledger.known(first.to_vec(), within), ledger.known(second.to_vec(), within))?;
    known.extend(more);
    Ok(Plan::new(asked, &known, nvrs))
}

/// From the first asked-for second to the last, over all devices.
fn span(asked: &BTreeMap<DeviceId, Request>) -> Option<TimeRange> {
    let all: Vec<_> = asked.values().map(Request::ranges).collect();
    let ranges = || all.iter().flat_map(|set| set.ranges());
    TimeRange::new(ranges().map(TimeRange::start).min()?, ranges().map(TimeRange::end).max()?)
}
