//! Our scheduler against the model: a whole night in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::backoff::Delays;
use archive::device::NvrId;
use archive::instant::Instant;
use archive::report::Learned;
use archive::scheduler::{Policy, Scheduler, Step};
use archive::window::Window;

use super::model::{BEGIN, Fleet, Recorder};
use super::world::{Happening, Night, World};

/// What nights on the model are played under: the settings' defaults, with more streams and more patience than one night
/// needs, so that recorders set the pace.
pub fn policy() -> Policy {
    Policy {
        streams: 10_000,
        per_nvr: 4,
        channels: BTreeMap::new(),
        footage: BTreeMap::new(),
        stores: BTreeMap::new(),
        learned: BTreeMap::new(),
        settle: Duration::from_secs(120),
        delays: Delays { first: Duration::from_secs(10), longest: Duration::from_secs(600) },
        attempts: 6,
        busy_attempts: 400,
        refused_share: 0.5,
        recheck_after: Duration::from_secs(300),
        tolerance_seconds: 5,
    }
}

/// What happened, and what the next night starts with.
pub struct Played {
    pub night: Night,
    pub learned: BTreeMap<NvrId, Learned>,
    /// Seconds that were given up, by whatever cause.
    pub given_up_seconds: i64,
}

/// Plays a whole night. `watch` sees every start, for what must always be true.
pub fn play(
    fleet: &Fleet,
    policy: Policy,
    learned: BTreeMap<NvrId, Learned>,
    mut watch: impl FnMut(&Window, Instant),
) -> Played {
    let mut world = World::new(fleet);
    let mut now = Instant::from(BEGIN);
    let mut scheduler = Scheduler::new(fleet.work(), told(fleet, policy, learned), fleet.seed, now);
    let mut given_up_seconds = 0;
    loop {
        let wake = match scheduler.poll(now) {
            Step::Start(window) => {
                watch(&window, now);
                world.ask(&window, now);
                continue;
            }
            Step::GiveUp(lost) => {
                given_up_seconds += lost.iter().map(|given_up| given_up.ranges.seconds()).sum::<i64>();
                continue;
            }
            Step::Finished => break,
            Step::WaitUntil(at) => {
                assert!(at > now, "seed {}: a wait must end later than it begins", fleet.seed);
                Some(at)
            }
            Step::AwaitCompletion => None,
        };
        match (world.next(), wake) {
            (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                let Some((at, happening)) = world.happen() else { continue };
                now = at;
                match happening {
                    Happening::Began(window) => scheduler.streaming(&window, now),
                    Happening::Ended(window, outcome) => {
                        let given_up = scheduler.complete(&window, &outcome, now);
                        given_up_seconds += given_up.iter().map(|given_up| given_up.ranges.seconds()).sum::<i64>();
                    }
                }
            }
            (_, Some(wake)) => now = wake,
            (_, None) => panic!("seed {}: it waits for an ending, and nothing runs", fleet.seed),
        }
    }
    assert!(world.next().is_none(), "seed {}: finished while something runs", fleet.seed);
    Played { night: world.night, learned: scheduler.learned().into_iter().collect(), given_up_seconds }
}

/// What the settings and the ledger would say of a fleet.
fn told(fleet: &Fleet, policy: Policy, learned: BTreeMap<NvrId, Learned>) -> Policy {
    let keeps = |(index, recorder): (usize, &Recorder)| {
        Some((fleet.nvr(index), Duration::from_secs(recorder.keeps_seconds?.unsigned_abs())))
    };
    let stores = (0..fleet.recorders.len()).map(|index| (fleet.nvr(index), fleet.store_of(index).to_string()));
    let footage = fleet.recorders.iter().enumerate().filter_map(keeps).collect();
    Policy { learned, footage, stores: stores.collect(), ..policy }
}
