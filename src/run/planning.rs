//! Makes the plan from what the ledger knows; a dry run stops here.

use std::collections::BTreeMap;

use crate::device::{DeviceId, NvrMap};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::{Request, Known, Plan};
use crate::time_range::TimeRange;

/// The plan for what is asked, as the ledger stands now.
pub async fn plan(
    ledger: &Ledger,
    asked: &BTreeMap<DeviceId, Request>,
    nvrs: &NvrMap,
) -> Result<Plan, LedgerError> {
    let mut known = BTreeMap::new();
    for (&device, asked) in asked {
        if let Some(within) = span(asked) {
            let archived = ledger.archived(device, within).await?;
            let missing = ledger.missing(device, within).await?;
            known.insert(device, Known { archived, missing });
        }
    }
    Ok(Plan::new(asked, &known, nvrs))
}

/// From the first asked-for second to the last.
fn span(asked: &Request) -> Option<TimeRange> {
    let ranges = asked.ranges.ranges();
    TimeRange::new(ranges.first()?.start(), ranges.last()?.end())
}
