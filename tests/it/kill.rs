//! A run that is killed at any moment, and started again.

use archive::ledger::Ledger;
use archive::recording::{Container, Recording, Source};
use archive::sim::Speed;
use archive::vault::name::{self, Named};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::stores::{on_postgres, on_s3};
use crate::support::{Place, device, ended, expect_code, fleet, range, send, stderr, until, yesterday};

const DEVICES: [i64; 6] = [1, 2, 3, 11, 12, 13];
const WINDOWS: i64 = 12;

/// On a server each run after a kill first waits for the lease of the one before it to end.
fn kills_wanted() -> u32 {
    if on_postgres() { 8 } else { 20 }
}

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
    for _ in 0..kills_wanted() {
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
        let files = place.stores.all();
        for row in rows {
            assert!(files.contains_key(&row.path), "seed {seed}: a row without its file: {}", row.path);
        }
    }

    let (rows, seen) = (place.recordings(&DEVICES).await, place.platform.calls().len());
    let last = place.fetch("1-3,11-13", asked).spawn().expect("the program starts");
    let output = ended(last).await;
    assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
    assert_nothing_fetched_twice(&place, seen, &rows);
    place.assert_true(&DEVICES).await;
    assert_eq!(place.files(), alone.files(), "seed {seed}: not the same files, byte for byte");
    assert!(kills >= kills_wanted() / 2, "seed {seed}: only {kills} runs were caught at work");
    println!("seed {seed}: {kills} kills, {orphans} files had no row yet when their run was killed");
}

/// A run for device 1 that was killed while it streamed, and where what it should have published is to be had: the names.
async fn killed_at_work() -> (Place, Place, Vec<String>) {
    let asked = range(yesterday(), 3 * 600);
    let source = Place::new(two_recorders()).await;
    let child = source.fetch("1", asked).spawn().expect("the program starts");
    assert_eq!(ended(child).await.status.code(), Some(0));
    let published = source.recordings(&[1]).await.into_iter().map(|row| row.path).collect();

    let place = Place::new(archive::sim::Config { speed: Speed::Times(60.0), ..two_recorders() }).await;
    let child = place.fetch("1", asked).spawn().expect("the program starts");
    until("it streams", || !place.platform.media().is_empty()).await;
    // Which the ledger may hear of later than the platform.
    until("the ledger knows what is asked", || place.stores.ask("SELECT count(*) FROM asked") != "0").await;
    send(&child, rustix::process::Signal::KILL);
    ended(child).await;
    (source, place, published)
}

/// Puts a file there that was published elsewhere, or the first bytes of it.
fn put(source: &Place, place: &Place, name: &str, share: usize) {
    let bytes = source.stores.read(name).expect("it was published");
    place.stores.put(name, &bytes[..bytes.len() / share]);
}

async fn note(place: &Place, names: &[&str]) {
    let ledger = Ledger::open(place.stores.ledger()).expect("the ledger can be opened");
    for &name in names {
        ledger.note_publishing(Source::Nvr, name.to_owned()).await.expect("a note can be taken");
    }
}

/// A run for another device, and a time that nobody has asked for. Of a ledger that many share a run puts right what concerns the
/// cameras that it fetches from, and no others: so there it is for the same device.
async fn another_run(place: &Place) -> std::process::Output {
    let number = i64::try_from(place.platform.calls().len()).expect("few calls");
    let device = if on_postgres() { "1" } else { "11" };
    let run = place.fetch(device, range(yesterday() - 600 * (1 + number), 60)).spawn().expect("the program starts");
    ended(run).await
}

/// The same; what it says.
async fn next_run(place: &Place) -> String {
    let output = another_run(place).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.read_ledger().publishing(Source::Nvr).await.expect("the ledger answers"), Vec::<String>::new());
    stderr(&output)
}

/// What device 1 has of the time that was to be archived when its run was killed.
async fn adopted(place: &Place) -> Vec<Recording> {
    let rows = place.recordings(&[1]).await;
    rows.into_iter().filter(|row| row.range.start() >= yesterday()).collect()
}

fn aside(place: &Place) -> Vec<String> {
    place.stores.all().into_keys().filter(|name| name.starts_with(".aside/")).collect()
}

/// What a kill between the rename and the commit leaves behind, and what a bad disk may have made of it: the next run
/// finds both, whatever it was asked for itself.
#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_row_are_adopted_when_they_are_whole_and_moved_aside_when_not() {
    let (source, place, published) = killed_at_work().await;
    put(&source, &place, &published[1], 1);
    // The last one lost its second half.
    put(&source, &place, &published[2], 2);
    note(&place, &[&published[0], &published[1], &published[2]]).await;

    let said = next_run(&place).await;
    assert!(said.contains("adopted") && said.contains("moved aside"), "{said}");
    let rows = adopted(&place).await;
    assert_eq!(rows.iter().map(|row| row.range).collect::<Vec<_>>(), [range(yesterday() + 600, 600)]);
    assert_eq!(Some(&rows[0].blake3), source.files().get(&rows[0].path));
    assert_eq!(aside(&place).len(), 1, "{:?}", aside(&place));
    let again = next_run(&place).await;
    assert!(!again.contains("adopted") && !again.contains("aside"), "once is enough: {again}");

    // A file all of whose time was archived before anybody could look for it is known as well; a recording's own is left alone.
    let within = range(yesterday() + 900, 300);
    let named = Named { device: device(1), range: within, source: Source::Nvr, container: Container::Flv };
    let late = name::recording(&named, chrono_tz::Asia::Shanghai);
    let bytes = place.stores.read(&published[1]).expect("it was adopted");
    place.stores.put(&late, &bytes);
    note(&place, &[&late, &published[1]]).await;
    let said = next_run(&place).await;
    assert!(said.contains("archived already"), "{said}");
    assert_eq!(aside(&place).len(), 2, "{:?}", aside(&place));
    assert_eq!(adopted(&place).await, rows);
    assert!(place.stores.all().contains_key(&published[1]));
}

/// What was whole when its run was killed: in a folder it has its name, and on its way to an object store it lies in the spool.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_judged_before_a_kill_is_archived_and_not_asked_for_again() {
    let (place, asked) = (Place::new(two_recorders()).await, range(yesterday(), 600));
    let step = if on_s3() { "file-synced" } else { "renamed" };
    let mut command = place.fetch("1", asked);
    let killed = command.env("ARCHIVE_FAILPOINTS", format!("{step}=kill")).spawn().expect("the program starts");
    assert_eq!(ended(killed).await.status.code(), None, "{step} is reached");
    let seen = place.platform.calls().len();
    let output = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.platform.calls()[seen..].iter().filter_map(|call| call.range).count(), 0, "{}", stderr(&output));
    place.assert_true(&[1]).await;
    assert_eq!(place.archived(1).await, asked.into());
}

/// Whatever is in the archive's other places, and however much of it: nobody looks there.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_nothing_is_looked_for_but_what_was_noted() {
    let (source, place, published) = killed_at_work().await;
    put(&source, &place, &published[1], 1);
    // Who lists the camera's days stumbles over this one.
    let day = place.root().join(&published[1]).parent().and_then(|day| day.file_name()?.to_str()?.parse().ok());
    let day: chrono::NaiveDate = day.expect("the folder is a day");
    place.stores.put(&format!("1/{}", day.pred_opt().expect("a day before")), b"no folder");
    assert!(!next_run(&place).await.contains("adopted"));
    assert_eq!(adopted(&place).await, []);
    assert!(place.stores.all().contains_key(&published[1]));

    note(&place, &[&published[1]]).await;
    assert!(next_run(&place).await.contains("adopted"));
    assert_eq!(adopted(&place).await.len(), 1);
}

/// One bad place on the disk must not cost every night that follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_noted_file_that_cannot_be_looked_at_stays_noted_and_keeps_no_run_from_its_work() {
    let (source, place, published) = killed_at_work().await;
    note(&place, &[&published[1]]).await;
    let day = place.root().join(&published[1]).parent().expect("a folder").to_owned();
    if day.exists() {
        std::fs::remove_dir_all(&day).expect("a folder can be removed");
    }
    std::fs::create_dir_all(day.parent().expect("a folder")).expect("a folder can be made");
    std::fs::write(&day, "no folder").expect("a file can be written");
    let output = another_run(&place).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("stays where it is"), "{}", stderr(&output));
    let noted = place.read_ledger().publishing(Source::Nvr).await.expect("the ledger answers");
    assert_eq!(noted, [published[1].clone()]);

    std::fs::remove_file(&day).expect("a file can be removed");
    put(&source, &place, &published[1], 1);
    assert!(next_run(&place).await.contains("adopted"));
}

/// A night of an older version that was killed, and then the program was brought up to date.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_left_is_found_without_a_note_and_once() {
    let (source, place, published) = killed_at_work().await;
    put(&source, &place, &published[1], 1);
    put(&source, &place, &published[2], 2);
    place.stores.change("UPDATE run SET notes_publishing = 0");

    let said = next_run(&place).await;
    assert!(said.contains("adopted") && said.contains("moved aside"), "{said}");
    let rows = adopted(&place).await;
    assert_eq!(rows.iter().map(|row| &row.path).collect::<Vec<_>>(), [&published[1]]);
    put(&source, &place, &published[0], 1);
    assert!(!next_run(&place).await.contains("adopted"), "once is enough");
}

/// No call since `seen` asked for time that had a row by then.
fn assert_nothing_fetched_twice(place: &Place, seen: usize, rows: &[Recording]) {
    for call in &place.platform.calls()[seen..] {
        let (Some(device), Some(asked)) = (call.device, call.range) else { continue };
        let twice = rows.iter().find(|row| row.device == device && row.range.overlaps(&asked));
        assert!(twice.is_none(), "device {device} {asked} was asked for again");
    }
}
