//! A run that is killed at any moment, and started again.

use archive::sim::Speed;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::{Place, ended, expect_code, fleet, range, send, until, yesterday};

const DEVICES: [i64; 6] = [1, 2, 3, 11, 12, 13];
const WINDOWS: i64 = 12;
const KILLS: u32 = 20;

fn two_recorders() -> archive::sim::Config {
    // Fast, but slow enough for every kill to hit streams that are under way.
    archive::sim::Config { speed: Speed::Times(6_000.0), ..fleet(&[(2, &[1, 2, 3]), (3, &[11, 12, 13])]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_twenty_times_ends_with_the_same_files_and_fetches_nothing_twice() {
    let asked = range(yesterday(), WINDOWS * 600);
    let alone = Place::new(two_recorders()).await;
    let undisturbed = tokio::task::spawn_blocking({
        let command = alone.fetch("1-3,11-13", asked);
        move || expect_code(command, 0)
    });
    undisturbed.await.expect("the undisturbed run");
    alone.assert_true(&DEVICES).await;
    assert_eq!(alone.files().len(), DEVICES.len() * WINDOWS as usize);

    let seed: u64 = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let place = Place::new(two_recorders()).await;
    let mut orphans = 0;
    for kill in 0..KILLS {
        let rows = place.recordings(&DEVICES).await;
        let seen = place.platform.calls().len();
        let mut child = place.fetch("1-3,11-13", asked).spawn().expect("the program starts");
        // A seeded number of calls, then a seeded number of turns of this thread: anywhere in a window's life.
        let calls = seen + random.random_range(1..9usize);
        let done = rows.len() == DEVICES.len() * WINDOWS as usize;
        until("it has made its calls", || {
            let over = child.try_wait().expect("the process can be asked").is_some();
            assert!(!over || done, "seed {seed}: run {kill} ended by itself before it was killed");
            over || place.platform.calls().len() >= calls
        })
        .await;
        for _ in 0..random.random_range(0..40u32) {
            tokio::task::yield_now().await;
        }
        if child.try_wait().expect("the process can be asked").is_none() {
            send(&child, rustix::process::Signal::KILL);
        }
        ended(child).await;
        assert_nothing_fetched_twice(&place, seen, &rows);
        let rows = place.recordings(&DEVICES).await;
        orphans += place.files().keys().filter(|name| name.ends_with(".flv")).count().saturating_sub(rows.len());
        for row in rows {
            assert!(place.root().join(&row.path).is_file(), "seed {seed}: a row without its file: {}", row.path);
        }
    }

    let (rows, seen) = (place.recordings(&DEVICES).await, place.platform.calls().len());
    let last = place.fetch("1-3,11-13", asked).spawn().expect("the program starts");
    let output = ended(last).await;
    assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
    assert_nothing_fetched_twice(&place, seen, &rows);
    place.assert_true(&DEVICES).await;
    assert_eq!(place.files(), alone.files(), "seed {seed}: not the same files, byte for byte");
    println!("seed {seed}: {KILLS} kills, {orphans} files had no row yet when their run was killed");
}

/// No call since `seen` asked for time that had a row by then.
fn assert_nothing_fetched_twice(place: &Place, seen: usize, rows: &[archive::recording::Recording]) {
    for call in &place.platform.calls()[seen..] {
        let (Some(device), Some(asked)) = (call.device, call.range) else { continue };
        let twice = rows.iter().find(|row| row.device == device && row.range.overlaps(&asked));
        assert!(twice.is_none(), "device {device} {asked} was asked for again");
    }
}
