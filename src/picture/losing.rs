//! What the recorders will overwrite next.

use serde::Serialize;

use crate::device::NvrId;
use crate::forecast::{Keeps, Lost, NvrForecast};
use crate::plan::Plan;
use crate::time_range::{TimeRange, UtcSecond};

const DAY: i64 = 24 * 3600;

/// What one NVR holds that was asked for and is not archived, and when it goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Losing {
    /// The NVR.
    pub nvr: NvrId,
    /// What the group of its cameras is called, in a picture that has them.
    pub group: Option<String>,
    /// How long it keeps footage.
    pub keeps: Keeps,
    /// When the first of what it still has goes (UTC); nothing when it has nothing of it any more.
    pub first: Option<UtcSecond>,
    /// How much goes within a day from now when nothing is fetched, in seconds.
    pub day_seconds: i64,
    /// How much it still has in all, in seconds.
    pub seconds: i64,
    /// How much is past its horizon already, in seconds.
    pub gone_seconds: i64,
    /// What of it a run that began now would come too late for; nothing as well when that cannot be said.
    pub too_late: Option<Lost>,
}

/// What of a backlog goes, by NVR, what goes first at the top; NVRs of which nobody knows how long they keep footage are left
/// out. `forecasts` are those of the same backlog.
pub fn losing(backlog: &Plan, forecasts: &[NvrForecast], now: UtcSecond) -> Vec<Losing> {
    let mut all: Vec<Losing> = forecasts
        .iter()
        .filter_map(|forecast| {
            let keeps = forecast.keeps?;
            let horizon = now - keeps.seconds;
            let mut one = Losing {
                nvr: forecast.nvr.clone(),
                group: None,
                keeps,
                first: None,
                day_seconds: 0,
                seconds: 0,
                gone_seconds: 0,
                too_late: forecast.outlook.lost,
            };
            let devices = backlog.devices.iter().filter(|device| device.nvr == forecast.nvr);
            for range in devices.flat_map(|device| &device.missing).map(|planned| planned.missing.range) {
                let seconds = |from: UtcSecond, to: UtcSecond| {
                    TimeRange::new(from.max(range.start()), to.min(range.end())).map_or(0, |part| part.seconds())
                };
                one.gone_seconds += seconds(range.start(), horizon);
                one.day_seconds += seconds(horizon, horizon + DAY);
                one.seconds += seconds(horizon, range.end());
                if range.end() > horizon {
                    let goes = range.start().max(horizon) + keeps.seconds;
                    one.first = Some(one.first.map_or(goes, |first| first.min(goes)));
                }
            }
            Some(one)
        })
        .collect();
    all.sort_by(|a, b| {
        let key = |one: &Losing| (one.first.is_none(), one.first, std::cmp::Reverse(one.day_seconds));
        key(a).cmp(&key(b)).then_with(|| a.nvr.cmp(&b.nvr))
    });
    all
}
