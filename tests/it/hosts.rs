//! Hosts that share a night's work over a PostgreSQL server. Each has a folder of its own that bears the mark of the one archive, so
//! that it is seen who fetched what.

use std::path::Path;
use std::process::{Child, Command};

use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::report::GapQuery;
use archive::sim::Config;
use archive::sim::config::Speed;
use archive::time_range::{TimeRange, UtcSecond};

use crate::postgres::program::server;
use crate::support::{Place, device, ended, fleet, range, stderr, until, yesterday};

const CAMERAS: i64 = 12;
const HOURS: i64 = 2;

/// Slow enough that a night lasts for some seconds.
async fn slow() -> Place {
    let cameras: Vec<Vec<i64>> = (0..6).map(|nvr| vec![2 * nvr + 1, 2 * nvr + 2]).collect();
    let nvrs: Vec<(u32, &[i64])> = cameras.iter().map(|cameras| (2, cameras.as_slice())).collect();
    let place = Place::new(Config { speed: Speed::Times(1_200.0), ..fleet(&nvrs) }).await;
    // So that a dead host is found out soon.
    place.set_in_archive("lease = \"3s\"");
    place
}

fn host(place: &Place, url: &str, root: &str) -> Command {
    asked_for(place, url, root, &format!("1-{CAMERAS}"), range(yesterday(), HOURS * 3600))
}

fn asked_for(place: &Place, url: &str, root: &str, devices: &str, time: TimeRange) -> Command {
    let mut command = place.fetch(devices, time);
    command.args(["--root", root]).env("ARCHIVE_LEDGER", url);
    command
}

/// The second host's folder, once the first has begun the archive.
async fn second(place: &Place) {
    let (mark, two) = (place.path().join("one/.archive-root"), place.path().join("two"));
    until("the archive has its mark", || std::fs::metadata(&mark).is_ok_and(|mark| mark.len() > 0)).await;
    std::fs::create_dir(&two).expect("a folder");
    std::fs::copy(mark, two.join(".archive-root")).expect("a file can be copied");
}

/// Each comes to its end, with nothing missing.
async fn all_end_well(hosts: [Child; 2]) {
    for host in hosts {
        let ended = ended(host).await;
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    }
}

fn assert_one_download_a_camera(place: &Place) {
    let most = place.platform.max_open_per_device();
    assert!(most.values().all(|&open| open <= 1), "a camera was asked twice at once: {most:?}");
}

/// How many recordings lie in a host's folder.
fn published(root: &Path) -> usize {
    let folders = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let cameras =
        folders(root).filter(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    cameras.flat_map(|camera| folders(&camera)).map(|day| folders(&day).count()).sum()
}

/// All is archived, and each file lies in one of these folders.
async fn assert_whole(url: &str, roots: &[&Path]) {
    assert_archived(url, roots, HOURS * 3600).await;
}

/// So much of each camera is archived, and nothing is missing.
async fn assert_archived(url: &str, roots: &[&Path], seconds_each: i64) {
    let ledger = Ledger::open_read_only(LedgerPlace::parse(url).expect("an address")).expect("it is there");
    let ever = range(UtcSecond::new(0), 253_402_300_800);
    let mut seconds = 0;
    for number in 1..=CAMERAS {
        for recording in ledger.recordings_overlapping(device(number), ever).await.expect("an answer") {
            assert!(roots.iter().any(|root| root.join(&recording.path).is_file()), "{}", recording.path);
            seconds += recording.range.seconds();
        }
    }
    // Of no camera twice, which the ledger does not take.
    assert_eq!(seconds, CAMERAS * seconds_each);
    assert_eq!(ledger.gaps(GapQuery::default()).await.expect("an answer"), []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn two_hosts_share_a_night_and_both_end_when_all_is_archived() {
    let (url, place) = (server().database(), slow().await);
    let first = host(&place, &url, "one").spawn().expect("the program starts");
    second(&place).await;
    let other = host(&place, &url, "two").spawn().expect("the program starts");
    all_end_well([first, other]).await;
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    assert_whole(&url, &[&one, &two]).await;
    let counts = [&one, &two].map(|root| published(root));
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>() as i64, CAMERAS * HOURS * 6, "nothing was fetched twice");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn what_a_killed_host_held_is_fetched_by_the_other_once_its_lease_has_ended() {
    let (url, place) = (server().database(), slow().await);
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    let mut dies = host(&place, &url, "one").spawn().expect("the program starts");
    until("the first host has published something", || published(&one) >= 3).await;
    second(&place).await;
    let lives = host(&place, &url, "two").spawn().expect("the program starts");
    dies.kill().expect("it runs");
    dies.wait().expect("it was started here");
    let ended = ended(lives).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert_whole(&url, &[&one, &two]).await;
}

/// As where "the last hours" are asked for: who begins later is asked for some minutes more, and shares the rest.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn time_that_only_one_of_two_hosts_was_asked_for_is_archived_too() {
    const MORE: i64 = 600;
    let (url, place) = (server().database(), slow().await);
    let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("it was written");
    let jobs = |name: &str, seconds: i64| {
        let (from, to) = (yesterday(), yesterday() + seconds);
        let job = format!("[[job]]\nname = \"night\"\ndevices = \"1-{CAMERAS}\"\nfrom = \"{from}\"\nto = \"{to}\"\n");
        std::fs::write(place.path().join(name), format!("{settings}\n{job}")).expect("a file can be written");
        let mut command = place.archive(&["run", name, "--root", name.trim_end_matches(".toml")]);
        command.env("ARCHIVE_LEDGER", &url);
        command
    };
    let early = jobs("one.toml", HOURS * 3600).spawn().expect("the program starts");
    second(&place).await;
    let late = jobs("two.toml", HOURS * 3600 + MORE).spawn().expect("the program starts");
    all_end_well([early, late]).await;
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    assert!(published(&one) > 0 && published(&two) > 0, "they share it");
    assert_archived(&url, &[&one, &two], HOURS * 3600 + MORE).await;
}

fn ask(url: &str, question: &str) -> String {
    let database = url.split(['/', '?']).nth(3).expect("a database");
    server().psql(database, question).trim().to_owned()
}

/// By then hosts may plan the same cameras under other NVRs than the one that is at work.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_host_that_comes_when_more_is_known_of_nvrs_asks_for_no_camera_that_another_one_holds() {
    let (url, place) = (server().database(), slow().await);
    let first = host(&place, &url, "one").spawn().expect("the program starts");
    second(&place).await;
    let known = "SELECT count(*) FROM device WHERE nvr LIKE 'mac %'";
    until("media URLs have told which cameras share a recorder", || {
        ask(&url, "SELECT count(to_regclass('device'))") == "1" && ask(&url, known) == CAMERAS.to_string()
    })
    .await;
    let other = host(&place, &url, "two").spawn().expect("the program starts");
    all_end_well([first, other]).await;
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    assert_whole(&url, &[&one, &two]).await;
    assert!(published(&two) > 0, "the second one came too late for anything");
    assert_one_download_a_camera(&place);
    let names = ask(&url, "SELECT DISTINCT nvr ~ '^device [0-9]+$' FROM nvr_job");
    assert_eq!(names, "t", "they lease by the names of the first one");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn an_incident_does_not_wait_for_the_night_and_takes_nothing_from_it() {
    let (url, place) = (server().database(), slow().await);
    let mut night = host(&place, &url, "one").spawn().expect("the program starts");
    second(&place).await;
    until("the night is at work on all cameras", || {
        ask(&url, "SELECT count(to_regclass('nvr_job'))") == "1"
            && ask(&url, "SELECT count(*) FROM nvr_job WHERE held_by IS NOT NULL") == CAMERAS.to_string()
    })
    .await;
    let before = range(yesterday() - 3600, 600);
    let incident = asked_for(&place, &url, "two", "1", before).spawn().expect("the program starts");
    let incident = ended(incident).await;
    assert_eq!(incident.status.code(), Some(0), "{}", stderr(&incident));
    assert!(stderr(&incident).contains("held by other hosts or left to another job: waiting"), "{}", stderr(&incident));
    assert!(night.try_wait().expect("it was started here").is_none(), "the night was over before");
    let night = ended(night).await;
    assert_eq!(night.status.code(), Some(0), "{}", stderr(&night));
    assert_eq!(published(&place.path().join("one")) as i64, CAMERAS * HOURS * 6, "the night's is the night's");
    assert_eq!(published(&place.path().join("two")), 1);
    assert_one_download_a_camera(&place);
}
