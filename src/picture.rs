//! What a picture of coverage shows: each camera's time as stretches of one state, by store, with sums, and what the
//! recorders will overwrite next.
//!
//! A picture is a value: `archive report` draws it, `archive gaps` makes a strip of it, `--json` prints it. It grows with
//! gaps, not with windows: recordings from mark to mark of the grid, which are nearly all, are one stretch for as long as
//! nothing comes between them, and their names follow from their times.

mod losing;
mod strip;

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde::Serialize;

pub use self::losing::{Losing, losing};
pub use self::strip::{Cell, StripLine, strip};
use crate::coverage::Coverage;
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::recording::{Container, Source};
use crate::report::{DeviceRow, Totals};
use crate::time_range::{GRID_SECONDS, TimeRange, UtcSecond};
use crate::window::Cause;

/// What became of a stretch of a camera's time. Time that is in no stretch was never asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Archived in recordings from an NVR, each from one mark of the grid to the next.
    Windows {
        /// The offset of local time in their names: quarters of an hour east of UTC.
        quarters: i32,
        /// What holds their streams.
        #[serde(serialize_with = "extension")]
        container: Container,
    },
    /// Archived in one other recording, whose name follows from the stretch as well.
    File {
        /// As above.
        quarters: i32,
        /// What holds its streams.
        #[serde(serialize_with = "extension")]
        container: Container,
        /// Where it came from.
        source: Source,
    },
    /// Archived in one recording with a name of its own, or of which the stretch is a part only.
    Named {
        /// Its name below the archive's root.
        path: String,
    },
    /// A gap.
    Missing {
        /// Why.
        cause: Cause,
        /// Attempts at its windows, over all runs.
        attempts: u32,
        /// The code that decided the latest of them.
        last_code: Option<String>,
    },
    /// It was archived, and its retention has ended.
    Pruned,
}

fn extension<S: serde::Serializer>(container: &Container, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(container.extension())
}

/// A stretch of one camera's time that is in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// When (UTC).
    #[serde(flatten)]
    pub range: TimeRange,
    /// What became of it.
    #[serde(flatten)]
    pub state: State,
}

/// What the ledger tells of one camera's time in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Seconds of it that were ever asked for, pruned ones included.
    pub asked_seconds: i64,
    /// Stretches that share no second, earliest first and cut to the range.
    pub stretches: Vec<Stretch>,
}

/// Coverage over a range, of some cameras.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picture {
    /// As of when (UTC).
    pub made: UtcSecond,
    /// The whole time that it is about (UTC). A camera in another zone may have been asked about a part of it.
    pub range: TimeRange,
    /// Whose local time the axis shows: that of most cameras.
    pub zone: Tz,
    /// Sums over all cameras.
    pub totals: Totals,
    /// The cameras, by store; those whose store nobody knows by NVR.
    pub groups: Vec<Group>,
    /// What will be overwritten, by NVR, what goes first at the top. Of all time, not only of the range.
    pub losing: Vec<Losing>,
}

/// The cameras of a store, or of an NVR whose store is not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Sums over its cameras.
    pub totals: Totals,
    /// Its cameras, by NVR and number.
    pub cameras: Vec<Camera>,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Camera {
    /// Its number.
    pub device: DeviceId,
    /// What the platform calls it.
    pub name: Option<String>,
    /// The NVR that it hangs off.
    pub nvr: NvrId,
    /// Its local time.
    pub zone: Tz,
    /// Its sums.
    pub totals: Totals,
    /// Its time, earliest first.
    pub stretches: Vec<Stretch>,
}

impl Picture {
    /// Puts together what the ledger told of each camera. `zone` is a camera's local time.
    pub fn new(
        made: UtcSecond,
        range: TimeRange,
        told: BTreeMap<DeviceId, Told>,
        known: &[DeviceRow],
        nvrs: &NvrMap,
        zone: impl Fn(DeviceId) -> Tz,
        mut losing: Vec<Losing>,
    ) -> Self {
        let known: BTreeMap<DeviceId, &DeviceRow> = known.iter().map(|row| (row.facts.device, row)).collect();
        let mut groups: BTreeMap<Order, Group> = BTreeMap::new();
        let mut zones: BTreeMap<&str, (usize, Tz)> = BTreeMap::new();
        let mut totals = Totals::default();
        for (device, told) in told {
            let (row, nvr, zone) = (known.get(&device).copied(), nvrs.nvr_of(device), zone(device));
            let (order, name) = group_of(row, &nvr, nvrs);
            let group =
                groups.entry(order).or_insert_with(|| Group { name, totals: Totals::default(), cameras: Vec::new() });
            zones.entry(zone.name()).or_insert((0, zone)).0 += 1;
            let own = sums(&told);
            add(&mut group.totals, &own);
            add(&mut totals, &own);
            let name = row.and_then(|row| row.facts.name.as_ref()).map(ToString::to_string);
            group.cameras.push(Camera { device, name, nvr, zone, totals: own, stretches: told.stretches });
        }
        for group in groups.values_mut() {
            group.cameras.sort_by(|a, b| (&a.nvr, a.device).cmp(&(&b.nvr, b.device)));
        }
        let names: BTreeMap<&NvrId, &str> = groups
            .values()
            .flat_map(|group| group.cameras.iter().map(|camera| (&camera.nvr, group.name.as_str())))
            .collect();
        for one in &mut losing {
            one.group = names.get(&one.nvr).map(|&name| name.to_owned());
        }
        let zone = zones.values().max_by_key(|(cameras, _)| *cameras).map_or(Tz::UTC, |&(_, zone)| zone);
        Self { made, range, zone, totals, groups: groups.into_values().collect(), losing }
    }

    /// All cameras, in the order of their groups.
    pub fn cameras(&self) -> impl Iterator<Item = &Camera> {
        self.groups.iter().flat_map(|group| &group.cameras)
    }
}

/// How much of it is archived.
pub fn coverage(totals: &Totals) -> Coverage {
    Coverage { asked_seconds: totals.asked_seconds, archived_seconds: totals.archived_seconds }
}

/// Stores by number, then stores that only have a name, then recorders whose store nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Store(i64),
    NamedStore(String),
    Nvr(NvrId),
}

/// To which group a camera belongs, and what that is called. What the platform lists comes before what settings say of an NVR:
/// only the list has names.
fn group_of(row: Option<&DeviceRow>, nvr: &NvrId, nvrs: &NvrMap) -> (Order, String) {
    let listed = row.and_then(|row| Some((row.facts.store_identity()?, row.facts.store.as_ref())));
    let (identity, name) = match (listed, nvrs.store_of(nvr)) {
        (Some((identity, name)), _) => (identity, name.map(ToString::to_string)),
        (None, Some(store)) => (store.to_owned(), None),
        (None, None) => return (Order::Nvr(nvr.clone()), format!("NVR {nvr}")),
    };
    match (identity.parse(), name) {
        (Ok(number), Some(name)) if name != identity => (Order::Store(number), format!("{number} · {name}")),
        (Ok(number), _) => (Order::Store(number), format!("Store {number}")),
        (Err(_), name) => (Order::NamedStore(identity.clone()), name.unwrap_or(identity)),
    }
}

/// As [`Ledger::totals`](crate::ledger::Ledger::totals) counts.
fn sums(told: &Told) -> Totals {
    let mut totals = Totals { asked_seconds: told.asked_seconds, ..Totals::default() };
    let mut all_missing = 0;
    for Stretch { range, state } in &told.stretches {
        match state {
            State::Missing { cause, .. } => {
                *totals.missing_seconds.entry(*cause).or_default() += range.seconds();
                all_missing += range.seconds();
            }
            State::Pruned => totals.pruned_seconds += range.seconds(),
            State::Windows { .. } | State::File { .. } | State::Named { .. } => {}
        }
    }
    totals.asked_seconds -= totals.pruned_seconds;
    // OK because what was asked for and is neither missing nor pruned is archived.
    totals.archived_seconds = totals.asked_seconds - all_missing;
    totals
}

fn add(sum: &mut Totals, more: &Totals) {
    sum.asked_seconds += more.asked_seconds;
    sum.archived_seconds += more.archived_seconds;
    sum.pruned_seconds += more.pruned_seconds;
    for (&cause, &seconds) in &more.missing_seconds {
        *sum.missing_seconds.entry(cause).or_default() += seconds;
    }
}

/// Whether a range is from one mark of the grid to the next.
pub fn is_grid_window(range: &TimeRange) -> bool {
    range.seconds() == GRID_SECONDS && range.start().get().rem_euclid(GRID_SECONDS) == 0
}

/// Adds a stretch behind the others. Windows of the grid that touch and are named alike become one stretch, and so does time
/// whose retention has ended.
pub fn join(stretches: &mut Vec<Stretch>, next: Stretch) {
    if let Some(last) = stretches.last_mut().filter(|last| last.range.end() == next.range.start()) {
        let joined = match (&last.state, &next.state) {
            (State::Windows { .. }, State::Windows { .. }) => last.state == next.state,
            (State::Pruned, State::Pruned) => true,
            _ => false,
        };
        if let Some(both) = TimeRange::new(last.range.start(), next.range.end()).filter(|_| joined) {
            last.range = both;
            return;
        }
    }
    stretches.push(next);
}

/// The causes that occur, in the order in which they are shown.
pub fn causes(totals: &Totals) -> BTreeSet<Cause> {
    totals.missing_seconds.iter().filter(|(_, seconds)| **seconds > 0).map(|(&cause, _)| cause).collect()
}

#[cfg(test)]
mod tests;
