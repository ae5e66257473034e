//! What a run would fetch: asked-for time, minus what is archived. What that will take is for [`crate::forecast`].
//!
//! A plan is a value: a dry run prints it, a run works through it. Windows are cut from its ranges only when they start,
//! so it grows with cameras and gaps, not with windows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::coverage::Coverage;
use crate::device::{DeviceId, NvrId, NvrMap};
use crate::instant::Instant;
use crate::scheduler::{Stretch, Work};
use crate::time_range::{GRID_SECONDS, RangeSet, TimeRange, UtcSecond};
use crate::window::{Cause, Missing};

/// What is asked of one device, by one job or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Stretches that share no second.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    ranges: RangeSet,
    /// Nothing of it starts from here on.
    stop_at: Option<UtcSecond>,
}

impl Request {
    /// Asks for these ranges as well, until `stop_at`. What was asked for already may start until the later of both times.
    pub fn add(&mut self, ranges: &RangeSet, stop_at: Option<UtcSecond>) {
        let lasts_longer = |a: Option<UtcSecond>, b: Option<UtcSecond>| a.is_none() || b.is_some_and(|b| a >= Some(b));
        let mut new = ranges.clone();
        for part in &mut self.parts {
            if lasts_longer(part.stop_at, stop_at) {
                new = new.subtract(&part.ranges);
            } else {
                part.ranges = part.ranges.subtract(&new);
            }
        }
        self.parts.push(Part { ranges: new, stop_at });
        self.parts.retain(|part| !part.ranges.is_empty());
    }

    /// Everything that is asked for.
    pub fn ranges(&self) -> RangeSet {
        self.parts.iter().flat_map(|part| part.ranges.ranges()).copied().collect()
    }
}

/// A stretch that is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// What is missing, and why as far as it is known.
    #[serde(flatten)]
    pub missing: Missing,
    /// Nothing of it starts from here on (UTC).
    pub stop_at: Option<UtcSecond>,
}

/// What the ledger knows of one device's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What is archived.
    pub archived: RangeSet,
    /// What was asked for before and is not archived.
    pub missing: Vec<Missing>,
}

/// What one device needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DevicePlan {
    /// The camera.
    pub device: DeviceId,
    /// The NVR that it hangs off.
    pub nvr: NvrId,
    /// How much of what is asked for is there already; what retention has deleted is not asked for again.
    pub coverage: Coverage,
    /// What is to be fetched, earliest first.
    pub missing: Vec<Planned>,
    /// Asked-for time that is not to be fetched: pruned, lost, or being recorded live at this moment.
    #[serde(skip)]
    pub settled: Vec<Missing>,
}

/// What a run would fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// By device, those without anything to fetch included.
    pub devices: Vec<DevicePlan>,
}

impl Plan {
    /// Subtracts what is archived from what is asked for. `known` gives what the ledger knows of a device.
    pub fn new(asked: &BTreeMap<DeviceId, Request>, known: &BTreeMap<DeviceId, Known>, nvrs: &NvrMap) -> Self {
        let nothing = Known::default();
        let devices = asked
            .iter()
            .map(|(&device, asked)| {
                let known = known.get(&device).unwrap_or(&nothing);
                let (mut planned, mut settled) = (Vec::new(), Vec::new());
                for part in &asked.parts {
                    for stretch in missing(&part.ranges, known) {
                        if may_come(&stretch) {
                            planned.push(Planned { missing: stretch, stop_at: part.stop_at });
                        } else {
                            settled.push(stretch);
                        }
                    }
                }
                planned.sort_by_key(|stretch| stretch.missing.range);
                let pruned = settled.iter().filter(|stretch| stretch.cause == Cause::Pruned);
                let pruned: RangeSet = pruned.map(|stretch| stretch.range).collect();
                DevicePlan {
                    device,
                    nvr: nvrs.nvr_of(device),
                    coverage: Coverage::of(&asked.ranges().subtract(&pruned), &known.archived),
                    missing: planned,
                    settled,
                }
            })
            .collect();
        Self { devices }
    }

    /// All that is missing and may still come, whoever asked for it: what a run would fetch that began now and was asked
    /// for everything.
    pub fn of_backlog(missing: BTreeMap<DeviceId, Vec<Missing>>, nvrs: &NvrMap) -> Self {
        let plan_of = |(device, stretches): (DeviceId, Vec<Missing>)| {
            let asked_seconds = stretches.iter().map(|stretch| stretch.range.seconds()).sum();
            let (open, settled): (Vec<Missing>, Vec<Missing>) = stretches.into_iter().partition(may_come);
            DevicePlan {
                device,
                nvr: nvrs.nvr_of(device),
                coverage: Coverage { asked_seconds, archived_seconds: 0 },
                missing: open.into_iter().map(|missing| Planned { missing, stop_at: None }).collect(),
                settled,
            }
        };
        Self { devices: missing.into_iter().map(plan_of).collect() }
    }

    /// How many windows it holds.
    pub fn windows(&self) -> u64 {
        self.devices.iter().map(DevicePlan::windows).sum()
    }

    /// How much time it will ask for, in seconds.
    pub fn seconds(&self) -> i64 {
        self.devices.iter().map(DevicePlan::seconds).sum()
    }

    /// How much of all that is asked for is there already.
    pub fn coverage(&self) -> Coverage {
        self.devices.iter().map(|device| device.coverage).fold(Coverage::default(), Coverage::plus)
    }

    /// What the scheduler works through.
    pub fn work(&self) -> Vec<Work> {
        self.devices
            .iter()
            .filter(|plan| !plan.missing.is_empty())
            .map(|plan| {
                let stretch = |planned: &Planned| Stretch {
                    missing: planned.missing,
                    stop_at: planned.stop_at.map(Instant::from),
                };
                let stretches = plan.missing.iter().map(stretch).collect();
                Work { device: plan.device, nvr: plan.nvr.clone(), stretches }
            })
            .collect()
    }
}

impl DevicePlan {
    /// How many windows are to be fetched.
    pub fn windows(&self) -> u64 {
        self.missing.iter().map(|stretch| windows_in(&stretch.missing.range)).sum()
    }

    /// How much time is to be fetched, in seconds.
    pub fn seconds(&self) -> i64 {
        self.missing.iter().map(|stretch| stretch.missing.range.seconds()).sum()
    }
}

/// Whether a run asks for it. What is being recorded live is either archived soon, or interrupted, and then it may.
fn may_come(stretch: &Missing) -> bool {
    !matches!(stretch.cause, Cause::Pruned | Cause::Lost | Cause::BeingRecorded)
}

/// How many windows a range is cut into.
pub(crate) fn windows_in(range: &TimeRange) -> u64 {
    let first = range.start().get().div_euclid(GRID_SECONDS);
    let last = (range.end().get() - 1).div_euclid(GRID_SECONDS);
    last.abs_diff(first) + 1
}

/// Request-for time that is not archived, each stretch with the cause that is known of it.
fn missing(asked: &RangeSet, known: &Known) -> Vec<Missing> {
    let gaps = asked.subtract(&known.archived);
    let tried: RangeSet = known.missing.iter().map(|stretch| stretch.range).collect();
    let mut stretches: Vec<Missing> = gaps
        .subtract(&tried)
        .ranges()
        .iter()
        .map(|&range| Missing { range, cause: Cause::NotTried, attempts: 0 })
        .collect();
    for stretch in &known.missing {
        let held = gaps.intersect(&stretch.range.into());
        stretches.extend(held.ranges().iter().map(|&range| Missing { range, ..*stretch }));
    }
    stretches.sort_by_key(|stretch| stretch.range);
    // Whether the ledger knows already that it is asked for makes no difference to a window.
    stretches.dedup_by(|second, first| {
        let untried = |stretch: &Missing| stretch.cause == Cause::NotTried && stretch.attempts == 0;
        let joins = untried(first) && untried(second) && first.range.end() == second.range.start();
        match TimeRange::new(first.range.start(), second.range.end()).filter(|_| joins) {
            Some(both) => {
                first.range = both;
                true
            }
            None => false,
        }
    });
    stretches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
    }

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    fn request(ranges: RangeSet) -> Request {
        let mut request = Request::default();
        request.add(&ranges, None);
        request
    }

    fn plan_of(asked: RangeSet, known: Known) -> Plan {
        let asked = BTreeMap::from([(device(5), request(asked))]);
        Plan::new(&asked, &BTreeMap::from([(device(5), known)]), &NvrMap::default())
    }

    #[test]
    fn a_plan_is_what_is_asked_for_without_what_is_archived() {
        let known = Known {
            archived: range(600, 1200).into(),
            missing: vec![Missing { range: range(1200, 1800), cause: Cause::NvrBusy, attempts: 3 }],
        };
        let plan = plan_of(range(0, 3000).into(), known);
        let expected = [
            Missing { range: range(0, 600), cause: Cause::NotTried, attempts: 0 },
            Missing { range: range(1200, 1800), cause: Cause::NvrBusy, attempts: 3 },
            Missing { range: range(1800, 3000), cause: Cause::NotTried, attempts: 0 },
        ];
        assert_eq!(plan.devices[0].missing.iter().map(|planned| planned.missing).collect::<Vec<_>>(), expected);
        assert_eq!((plan.windows(), plan.seconds()), (4, 2400));
        assert_eq!(plan.coverage(), Coverage { asked_seconds: 3000, archived_seconds: 600 });
    }

    /// A run tells the ledger of its job beside making its plan, and an earlier one may have asked for a part of it.
    #[test]
    fn a_plan_is_the_same_whether_or_not_the_ledger_knows_what_is_asked() {
        let untried = |range| Missing { range, cause: Cause::NotTried, attempts: 0 };
        let tried = Missing { range: range(1800, 2400), cause: Cause::NvrBusy, attempts: 1 };
        let knows = |missing: &[Missing]| Known { archived: RangeSet::new(), missing: missing.to_vec() };
        let asked = || RangeSet::from(range(0, 3000));
        let before = plan_of(asked(), knows(&[tried]));
        assert_eq!(before.windows(), 5);
        for known in [
            knows(&[untried(range(0, 300)), tried]),
            knows(&[untried(range(300, 900)), untried(range(900, 1800)), tried, untried(range(2400, 2700))]),
            knows(&[untried(range(0, 1800)), tried, untried(range(2400, 3000))]),
        ] {
            assert_eq!(plan_of(asked(), known).devices, before.devices);
        }
    }

    #[test]
    fn pruned_and_lost_time_is_not_fetched_again() {
        let settled = |range, cause| Missing { range, cause, attempts: 1 };
        let known = Known {
            archived: RangeSet::new(),
            missing: vec![settled(range(0, 600), Cause::Pruned), settled(range(600, 1200), Cause::Lost)],
        };
        let plan = plan_of(range(0, 1200).into(), known);
        assert_eq!((plan.windows(), plan.devices[0].settled.len()), (0, 2));
        assert!(plan.work().is_empty());
        // What is lost is a gap; what was pruned is none.
        assert_eq!(plan.coverage(), Coverage { asked_seconds: 600, archived_seconds: 0 });
    }

    #[test]
    fn the_backlog_is_everything_that_may_still_come() {
        let stretch = |start, cause| Missing { range: range(start, start + 600), cause, attempts: 1 };
        let missing = vec![
            stretch(0, Cause::Lost),
            stretch(600, Cause::NvrBusy),
            stretch(1200, Cause::Pruned),
            stretch(1800, Cause::NoFootage),
        ];
        let plan = Plan::of_backlog(BTreeMap::from([(device(5), missing.clone())]), &NvrMap::default());
        let planned: Vec<Missing> = plan.devices[0].missing.iter().map(|planned| planned.missing).collect();
        assert_eq!(planned, [missing[1], missing[3]]);
        assert_eq!((plan.seconds(), plan.windows(), plan.devices[0].settled.len()), (1200, 2, 2));
        assert_eq!(plan.coverage(), Coverage { asked_seconds: 2400, archived_seconds: 0 });
    }

    #[test]
    fn what_two_jobs_ask_for_is_asked_once_until_the_later_of_their_ends() {
        let (seven, eight) = (Some(UtcSecond::new(7)), Some(UtcSecond::new(8)));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let jobs = [(range(0, 3000), seven), (range(600, 1800), eight), (range(1200, 2400), None)];
            let mut request = Request::default();
            for job in order {
                request.add(&jobs[job].0.into(), jobs[job].1);
            }
            assert_eq!(request.ranges(), RangeSet::from(range(0, 3000)));
            let asked = BTreeMap::from([(device(5), request)]);
            let plan = Plan::new(&asked, &BTreeMap::new(), &NvrMap::default());
            let planned: Vec<_> =
                plan.devices[0].missing.iter().map(|stretch| (stretch.missing.range, stretch.stop_at)).collect();
            let expected = [
                (range(0, 600), seven),
                (range(600, 1200), eight),
                (range(1200, 2400), None),
                (range(2400, 3000), seven),
            ];
            assert_eq!(planned, expected);
        }
    }

    proptest! {
        #[test]
        fn every_missing_second_is_planned_once(
            archived in prop::collection::vec((0..90i64, 1..20i64), 0..6),
            tried in prop::collection::vec((0..90i64, 1..20i64), 0..6),
        ) {
            let asked: RangeSet = range(10, 80).into();
            let archived: RangeSet = archived.into_iter().map(|(start, len)| range(start, start + len)).collect();
            // As the ledger keeps it: disjoint, and never archived.
            let tried: RangeSet = tried.into_iter().map(|(start, len)| range(start, start + len)).collect();
            let missing = tried
                .subtract(&archived)
                .ranges()
                .iter()
                .map(|&range| Missing { range, cause: Cause::CutShort, attempts: 1 })
                .collect();
            let plan = plan_of(asked.clone(), Known { archived: archived.clone(), missing });
            let planned: RangeSet = plan.devices[0].missing.iter().map(|stretch| stretch.missing.range).collect();
            prop_assert_eq!(&planned, &asked.subtract(&archived));
            prop_assert_eq!(plan.seconds(), planned.seconds());
        }
    }
}
