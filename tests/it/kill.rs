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
    let (mut kills, mut orphans) = (0, 0);
    for _ in 0..KILLS {
        let rows = place.recordings(&DEVICES).await;
        let seen = place.platform.calls().len();
        let mut child = place.fetch("1-3,11-13", asked).spawn().expect("the program starts");
        // A seeded number of calls, then a seeded number of turns of this thread: anywhere in a window's life.
        let calls = seen + random.random_range(1..9usize);
        until("it has made its calls, or is done", || {
            let over = child.try_wait().expect("the process can be asked").is_some();
            over || place.platform.calls().len() >= calls
        })
        .await;
        for _ in 0..random.random_range(0..40u32) {
            tokio::task::yield_now().await;
        }
        if child.try_wait().expect("the process can be asked").is_none() {
            send(&child, rustix::process::Signal::KILL);
            kills += 1;
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
    assert!(kills >= KILLS / 2, "seed {seed}: only {kills} runs were caught at work");
    println!("seed {seed}: {kills} kills, {orphans} files had no row yet when their run was killed");
}

/// What a kill between the rename and the commit leaves behind, and what a bad disk may have made of it: the next run
/// finds both, whatever it was asked for itself.
#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_row_are_adopted_when_they_are_whole_and_moved_aside_when_not() {
    let asked = range(yesterday(), 3 * 600);
    let source = Place::new(two_recorders()).await;
    let child = source.fetch("1", asked).spawn().expect("the program starts");
    assert_eq!(ended(child).await.status.code(), Some(0));
    let published: Vec<String> = source.recordings(&[1]).await.into_iter().map(|row| row.path).collect();

    let place = Place::new(archive::sim::Config { speed: Speed::Times(60.0), ..two_recorders() }).await;
    let child = place.fetch("1", asked).spawn().expect("the program starts");
    until("it streams", || !place.platform.media().is_empty()).await;
    send(&child, rustix::process::Signal::KILL);
    ended(child).await;
    for (number, name) in published.iter().enumerate().skip(1) {
        let bytes = std::fs::read(source.root().join(name)).expect("it was published");
        // The last one lost its second half.
        let kept = if number == 2 { &bytes[..bytes.len() / 2] } else { &bytes[..] };
        let to = place.root().join(name);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
        std::fs::write(to, kept).expect("a file can be written");
    }

    let other_time = range(yesterday() - 600, 60);
    let output = ended(place.fetch("11", other_time).spawn().expect("the program starts")).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("adopted") && said.contains("moved aside"), "{said}");
    let adopted = place.recordings(&[1]).await;
    assert_eq!(adopted.iter().map(|row| row.range).collect::<Vec<_>>(), [range(yesterday() + 600, 600)]);
    assert_eq!(Some(&adopted[0].blake3), source.files().get(&adopted[0].path));
    let aside: Vec<String> = place.files().into_keys().filter(|name| name.starts_with(".aside/")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    let again = ended(place.fetch("11", other_time).spawn().expect("the program starts")).await;
    assert!(!String::from_utf8_lossy(&again.stderr).contains("aside"), "once is enough");
}

/// No call since `seen` asked for time that had a row by then.
fn assert_nothing_fetched_twice(place: &Place, seen: usize, rows: &[archive::recording::Recording]) {
    for call in &place.platform.calls()[seen..] {
        let (Some(device), Some(asked)) = (call.device, call.range) else { continue };
        let twice = rows.iter().find(|row| row.device == device && row.range.overlaps(&asked));
        assert!(twice.is_none(), "device {device} {asked} was asked for again");
    }
}
