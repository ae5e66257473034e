//! The program is killed, again and again, at seeded moments and at each step between a stream's first byte and its row in the
//! ledger; and after each kill it is looked whether the archive still is what its ledger says.
//!
//! The real binary runs against the simulated platform, which is in this process and knows what it served. A failure prints its
//! seed. `TORTURE_SEED` plays that one again, `TORTURE_KILLS` says how many kills there are, `TORTURE_ARCHIVES` how many
//! archives are tortured at a time, and `ARCHIVE_TEST_STORES` what keeps them (`tests/it/stores.rs`).
//!
//! After each kill, and after whatever came next:
//!
//! - a file under a final name has its row, or the note that it was about to get that name, and its bytes are what the platform
//!   sent, up to its end or up to where the stream broke;
//! - a row has its file, with that size and hash;
//! - a row that was there before is there still, as it was;
//! - nothing was asked for that had a row before;
//! - nothing was moved aside but the garbage that this test put there itself.
//!
//! At the end of each archive an undisturbed run finds all that there is, and leaves nothing behind.

#[path = "torture/judge.rs"]
mod judge;
#[path = "torture/night.rs"]
mod night;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "it/object_store_server.rs"]
mod object_store_server;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "postgres/server.rs"]
mod program;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "it/support.rs"]
mod support;
#[path = "torture/tally.rs"]
mod tally;

use std::sync::{Arc, Mutex};

use archive::failpoint::Failpoint;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use night::Night;
use tally::Tally;

mod postgres {
    pub(crate) use super::program;
}

/// After so many kills another archive has its turn: by then the cameras of one have little left to give.
const KILLS_OF_AN_ARCHIVE: u32 = 14;

/// When a run is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// At a moment.
    Moment,
    /// The same, of a run that records live.
    LiveMoment,
    /// When it reaches a step.
    At(Failpoint),
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?}")))
}

/// Six in ten at a moment, the others at every step in turn.
fn kills(number: u64, random: &mut ChaCha8Rng) -> Vec<Kill> {
    let mut steps: Vec<Failpoint> = Vec::new();
    let mut kills: Vec<Kill> = Vec::new();
    for kill in 0..number {
        kills.push(match kill % 5 {
            1 | 3 => {
                if steps.is_empty() {
                    steps = Failpoint::ALL.iter().copied().filter(|&step| night::is_there(step)).collect();
                    steps.shuffle(random);
                }
                steps.pop().map_or(Kill::Moment, Kill::At)
            }
            _ if kill % 20 == 2 => Kill::LiveMoment,
            _ => Kill::Moment,
        });
    }
    kills.reverse();
    kills
}

async fn torture(kills_wanted: u64) -> Tally {
    let seed = number("TORTURE_SEED", 1);
    println!("TORTURE_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let waiting = Arc::new(Mutex::new(kills(kills_wanted, &mut random)));
    let archives = number("TORTURE_ARCHIVES", 4);
    let workers: Vec<_> = (0..archives)
        .map(|_| {
            let (waiting, seed) = (Arc::clone(&waiting), random.random());
            tokio::spawn(async move { work(&waiting, seed).await })
        })
        .collect();
    let mut all = Tally::default();
    for worker in workers {
        all.add(worker.await.expect("a worker ends"));
    }
    all
}

/// Tortures one archive after the other until nobody is to be killed any more.
async fn work(waiting: &Mutex<Vec<Kill>>, seed: u64) -> Tally {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let mut current: Option<Night> = None;
    loop {
        let (next, left) = {
            let mut waiting = waiting.lock().expect("no worker panics with it");
            (waiting.pop(), waiting.len())
        };
        let Some(kill) = next else { break };
        if left > 0 && left % 100 == 0 {
            println!("{left} are left");
        }
        let tired = |night: &Night| night.kills >= KILLS_OF_AN_ARCHIVE || (night::is_early(kill) && night.kills > 0);
        if let Some(night) = current.take_if(|night| tired(night)) {
            night.finish(&mut tally).await;
        }
        let night = match &mut current {
            Some(night) => night,
            none => none.insert(Night::new(random.random()).await),
        };
        night.suffer(kill, &mut tally).await;
    }
    if let Some(night) = current {
        night.finish(&mut tally).await;
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_kills_leave_an_archive_that_is_true() {
    let tally = torture(number("TORTURE_KILLS", 40)).await;
    tally.print();
    tally.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes"]
async fn a_thousand_kills_leave_an_archive_that_is_true() {
    let tally = torture(number("TORTURE_KILLS", 1_050)).await;
    tally.print();
    tally.assert_clean();
    let missed: Vec<&str> = Failpoint::ALL
        .iter()
        .filter(|&&step| night::is_there(step) && !tally.at.contains_key(&step))
        .map(|step| step.name())
        .collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");
}
