//! What retention lets go: which recordings are older than every job that has their camera keeps them.
//!
//! Where several jobs have a camera, the longest `keep` counts, and a job without one keeps for ever: so nothing goes that
//! another job still wants. A job's hours make no difference; what is asked is how old a recording is, and of which camera.
//! A camera in no job keeps everything.
//!
//! A plan is a value: a dry run prints it, and pruning carries it out, device by device up to a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::device::DeviceId;
use crate::time_range::{TimeRange, UtcSecond};
use crate::untrusted::Untrusted;

/// For how long a job keeps what is recorded of its cameras; for ever when it does not say.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The cameras.
    pub devices: &'a BTreeSet<DeviceId>,
    /// How long.
    pub keep: Option<Duration>,
}

/// For each camera that some job lets go: what ends before that moment is due at `now`.
pub fn due_before<'a>(wishes: impl IntoIterator<Item = Wish<'a>>, now: UtcSecond) -> BTreeMap<DeviceId, UtcSecond> {
    let mut keeps: BTreeMap<DeviceId, Option<Duration>> = BTreeMap::new();
    for wish in wishes {
        for &device in wish.devices {
            let longest = keeps.entry(device).or_insert(wish.keep);
            *longest = longest.zip(wish.keep).map(|(one, other)| one.max(other));
        }
    }
    let before = |keep: Duration| now - i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    keeps.into_iter().filter_map(|(device, keep)| Some((device, before(keep?)))).collect()
}

/// Recordings, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How much time they hold, in seconds.
    pub seconds: i64,
    /// When the oldest begins (UTC).
    pub oldest: Option<UtcSecond>,
    /// When the newest ends (UTC).
    pub newest: Option<UtcSecond>,
}

impl Sums {
    /// Adds a recording.
    pub fn add(&mut self, range: TimeRange, bytes: u64) {
        let one =
            Self { files: 1, bytes, seconds: range.seconds(), oldest: Some(range.start()), newest: Some(range.end()) };
        *self = self.plus(one);
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        let of = |one: Option<UtcSecond>, other: Option<UtcSecond>, pick: fn(UtcSecond, UtcSecond) -> UtcSecond| match (
            one, other,
        ) {
            (Some(one), Some(other)) => Some(pick(one, other)),
            (one, other) => one.or(other),
        };
        Self {
            files: self.files + other.files,
            bytes: self.bytes.saturating_add(other.bytes),
            seconds: self.seconds + other.seconds,
            oldest: of(self.oldest, other.oldest, Ord::min),
            newest: of(self.newest, other.newest, Ord::max),
        }
    }
}

/// What goes of one camera: every recording that ends up to a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DevicePrune {
    /// The camera.
    pub device: DeviceId,
    /// Its store's name, when it is known.
    pub store: Option<Untrusted>,
    /// That moment (UTC).
    pub until: UtcSecond,
    /// What that is.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What is to go.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PrunePlan {
    /// By camera, those of which nothing goes left out.
    pub devices: Vec<DevicePrune>,
    /// What goes, over all cameras.
    pub goes: Sums,
    /// What is due, over all cameras: more than what goes, when a run may not delete that much.
    pub due: Sums,
    /// How much time the whole archive holds, in seconds.
    pub archived_seconds: i64,
}

impl PrunePlan {
    /// The plan that lets these go, of which `due` is due.
    pub fn new(devices: Vec<DevicePrune>, due: Sums, archived_seconds: i64) -> Self {
        let devices: Vec<DevicePrune> = devices.into_iter().filter(|device| device.sums.files > 0).collect();
        let goes = devices.iter().fold(Sums::default(), |sums, device| sums.plus(device.sums));
        Self { devices, goes, due, archived_seconds }
    }

    /// How much of the archive's time is due, between 0 and 1. What a run may not delete yet counts as well, so that a
    /// mistake does not slip through in slices.
    pub fn due_share(&self) -> f64 {
        if self.archived_seconds <= 0 { 0.0 } else { self.due.seconds as f64 / self.archived_seconds as f64 }
    }
}

/// Takes recordings, the oldest first, for as long as they fit under a cap.
#[derive(Clone, Debug)]
pub struct Capped {
    most_bytes: u64,
    taken: u64,
    devices: BTreeMap<DeviceId, (UtcSecond, Sums)>,
}

impl Capped {
    /// Under a cap of so many bytes.
    pub fn new(most_bytes: u64) -> Self {
        Self { most_bytes, taken: 0, devices: BTreeMap::new() }
    }

    /// Takes a recording of a camera, of which each offered one is younger than those before; false when it does not fit,
    /// and nothing more is to be offered.
    pub fn take(&mut self, device: DeviceId, range: TimeRange, bytes: u64) -> bool {
        let taken = self.taken.saturating_add(bytes);
        if taken > self.most_bytes {
            return false;
        }
        self.taken = taken;
        let (until, sums) = self.devices.entry(device).or_insert((range.end(), Sums::default()));
        *until = range.end();
        sums.add(range, bytes);
        true
    }

    /// What was taken of each camera, and up to which moment.
    pub fn taken(&self) -> impl Iterator<Item = (DeviceId, UtcSecond, Sums)> {
        self.devices.iter().map(|(&device, &(until, sums))| (device, until, sums))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    fn devices(numbers: &[i64]) -> BTreeSet<DeviceId> {
        numbers.iter().map(|&number| device(number)).collect()
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(start), UtcSecond::new(end)).expect("a range holds a second")
    }

    fn days(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count * DAY))
    }

    #[test]
    fn the_longest_keep_of_a_camera_counts_and_none_is_for_ever() {
        let (all, first, last) = (devices(&[1, 2, 3]), devices(&[1]), devices(&[3, 4]));
        let wishes = [
            Wish { devices: &all, keep: days(30) },
            Wish { devices: &first, keep: days(90) },
            Wish { devices: &last, keep: None },
        ];
        let now = UtcSecond::new(100 * DAY as i64);
        let expected = [(device(1), UtcSecond::new(10 * DAY as i64)), (device(2), UtcSecond::new(70 * DAY as i64))];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let due = due_before(order.map(|index| wishes[index]), now);
            assert_eq!(due, BTreeMap::from(expected), "{order:?}");
        }
    }

    #[test]
    fn a_keep_that_is_longer_than_time_lets_nothing_go() {
        let one = devices(&[1]);
        let due = due_before([Wish { devices: &one, keep: Some(Duration::MAX) }], UtcSecond::new(1_795_132_800));
        assert!(due[&device(1)] < UtcSecond::new(0), "{due:?}");
    }

    #[test]
    fn the_share_is_of_all_that_is_due_whatever_the_cap() {
        let mut sums = Sums::default();
        sums.add(range(0, 600), 10);
        let mut due = sums;
        due.add(range(600, 3000), 40);
        let of = |sums| DevicePrune { device: device(1), store: None, until: UtcSecond::new(600), sums };
        let plan = PrunePlan::new(vec![of(sums), of(Sums::default())], due, 6000);
        assert_eq!((plan.devices.len(), plan.goes, plan.due_share()), (1, sums, 0.5));
        assert_eq!((due.oldest, due.newest), (Some(UtcSecond::new(0)), Some(UtcSecond::new(3000))));
        assert_eq!(PrunePlan::default().due_share(), 0.0);
    }

    proptest! {
        #[test]
        fn a_cap_is_never_passed_and_takes_a_prefix_of_each_camera(
            offers in prop::collection::vec((0..4i64, 1..50u64), 0..40),
            most in 0..600u64,
        ) {
            let mut capped = Capped::new(most);
            let (mut next, mut fitting) = (BTreeMap::new(), Vec::new());
            for &(number, bytes) in &offers {
                let start = next.entry(number).or_insert(0);
                let range = range(*start, *start + 600);
                *start += 600;
                if !capped.take(device(number), range, bytes) {
                    break;
                }
                fitting.push((number, range, bytes));
            }
            let bytes: u64 = fitting.iter().map(|&(_, _, bytes)| bytes).sum();
            prop_assert!(bytes <= most);
            if let Some(&(_, refused)) = offers.get(fitting.len()) {
                prop_assert!(bytes + refused > most);
            }
            for (device, until, sums) in capped.taken() {
                let own: Vec<_> = fitting.iter().filter(|(number, ..)| *number == device.get()).collect();
                prop_assert_eq!(sums.files, own.len() as u64);
                prop_assert_eq!(Some(until), own.last().map(|(_, range, _)| range.end()));
            }
        }
    }
}
