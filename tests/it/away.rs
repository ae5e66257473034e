//! The ledger's server or the object store is cut off in mid-run, for longer than a lease lasts: everything is archived all the same,
//! once, by processes that nobody touches.
//!
//! Each for as long as the lease here, and by hand for a minute: `ARCHIVE_CUT_SECONDS=60 cargo test --test it -- --ignored away::`.

use std::path::Path;
use std::process::Child;

use archive::sim::config::Speed;
use archive::sim::log::MediaEvent;
use archive::vault::{Named, name};
use rustix::process::Signal;

use crate::chain::Chain;
use crate::cut::{Cut, Way};
use crate::support::{PATIENCE, code, ended_within, send, stderr, until, until_within};

const LEASE: i64 = 6;

/// Bytes: some windows' worth.
const SMALL: u64 = 8 << 20;

/// Of each host.
const STREAMS: usize = 8;

/// For how long a way is cut, in seconds: a little longer than a lease, unless somebody says otherwise.
fn cut_seconds() -> i64 {
    std::env::var("ARCHIVE_CUT_SECONDS").map_or(LEASE + 1, |text| text.parse().expect("a number of seconds"))
}

/// Two windows of each camera, which nobody can have archived while the way is cut.
async fn chain() -> Chain {
    Chain::new(Speed::Times(1_200.0), 2, &format!("lease = \"{LEASE}s\"\nstreams = {STREAMS}")).await
}

/// Until each of so many hosts has leased something, and some of it is archived: one that begins while the store is away ends at once.
async fn all_at_work(chain: &Chain, hosts: usize) {
    let holding = "SELECT count(DISTINCT host) FROM nvr_share WHERE host IS NOT NULL";
    until("each has leased something", || usize::try_from(chain.count(holding)) == Ok(hosts)).await;
    until("some of it is archived", || chain.count("SELECT count(*) FROM recording") > 4).await;
}

/// Cuts the way until the server's clock says that it was cut for long enough.
async fn cut_off(chain: &Chain, way: &Way, how: Cut, look: impl Fn()) {
    let begun = chain.now();
    way.cut(how);
    until_within(3 * PATIENCE, "it was cut off for long enough", || {
        look();
        chain.now() - begun > cut_seconds() * 1000
    })
    .await;
    way.mend();
}

async fn assert_ends_well(chain: &Chain, hosts: Vec<Child>) -> String {
    let mut said = String::new();
    for host in hosts {
        let output = ended_within(4 * PATIENCE, host).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        said += &stderr(&output);
    }
    chain.assert_whole().await;
    said
}

/// How many streams began, and how many recordings there are: as many, if nothing that came was thrown away.
fn streamed_and_archived(chain: &Chain) -> (usize, usize) {
    let began = chain.place.platform.media().iter().filter(|media| matches!(media.media, MediaEvent::Opened)).count();
    (began, usize::try_from(chain.count("SELECT count(*) FROM recording")).expect("a count"))
}

async fn the_ledger_is_cut_off(how: Cut, hosts: usize) {
    let chain = chain().await;
    let way = Way::to_socket(&chain.ledger_socket());
    let ledger = chain.ledger_by(way.address());
    let hosts: Vec<Child> =
        (1..=hosts).map(|number| chain.host_by(&format!("host{number}"), &ledger, &chain.store_url())).collect();
    all_at_work(&chain, hosts.len()).await;
    cut_off(&chain, &way, how, || {}).await;
    let archived = chain.count("SELECT count(*) FROM recording");
    assert!(archived < chain.windows(), "the night was over before: {archived}");
    let said = assert_ends_well(&chain, hosts).await;
    assert!(said.contains("is away, and is waited for"), "{said}");
    assert!(said.contains("was not heard of for too long"), "{said}");
    let (began, archived) = streamed_and_archived(&chain);
    println!("{how:?}: {began} streams, {archived} recordings of {} windows", chain.windows());
    // What streamed when a host gave up its NVRs is kept up to there, if it is anything yet.
    let streams = STREAMS * said.matches("was not heard of for too long").count();
    assert!(began <= archived + streams, "what nobody took away was thrown away");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and weed"]
async fn two_hosts_whose_ledger_is_cut_off_for_longer_than_a_lease_lose_nothing_and_fetch_nothing_twice() {
    the_ledger_is_cut_off(Cut::Broken, 2).await;
}

/// It takes the host twenty seconds to find out that what it has sent went nowhere.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres, weed and half a minute"]
async fn slow_a_host_whose_ledger_falls_silent_finds_a_new_way_to_it() {
    the_ledger_is_cut_off(Cut::Silent, 1).await;
}

/// As it may be for so long as no more than the spool allows is in it.
fn spooled(spool: &Path) -> u64 {
    let files = [".staging", ".ready"].map(|folder| std::fs::read_dir(spool.join(folder)).into_iter().flatten());
    // OK: a file that goes meanwhile holds nothing.
    files.into_iter().flatten().filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

async fn the_store_is_cut_off(settings: &str, hosts: usize, look: impl Fn(&Chain)) -> (Chain, String) {
    let chain = chain().await;
    chain.place.set_in_archive(settings);
    let way = Way::to_port(chain.store_url().trim_start_matches("http://"));
    let (ledger, store) = (chain.ledger_url(), format!("http://{}", way.address()));
    let hosts: Vec<Child> =
        (1..=hosts).map(|number| chain.host_by(&format!("host{number}"), &ledger, &store)).collect();
    all_at_work(&chain, hosts.len()).await;
    cut_off(&chain, &way, Cut::Broken, || look(&chain)).await;
    let archived = chain.count("SELECT count(*) FROM recording");
    assert!(archived < chain.windows(), "the night was over before: {archived}");
    let (fetched, _) = streamed_and_archived(&chain);
    println!("when the store is back: {fetched} streams, {archived} recordings of {} windows", chain.windows());
    let said = assert_ends_well(&chain, hosts).await;
    let (began, archived) = streamed_and_archived(&chain);
    println!("at the end: {began} streams, {archived} recordings");
    // A host that comes too late to its beats gives up what waits for the store as well: no other can have it.
    if !said.contains("was not heard of for too long") {
        assert_eq!(began, archived, "a stream was thrown away");
    }
    (chain, said)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and weed"]
async fn hosts_whose_store_is_cut_off_go_on_fetching_and_upload_it_all_when_it_is_back() {
    let most = std::cell::Cell::new(0);
    let waiting = |chain: &Chain| most.set(most.get().max(spooled(&chain.spool("host1"))));
    let (_, said) = the_store_is_cut_off("", 2, waiting).await;
    println!("{} bytes were in the first spool at most", most.get());
    assert!(!said.contains("nothing new is asked for"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and weed"]
async fn a_host_with_a_small_spool_waits_for_its_store_and_the_spool_never_holds_more() {
    let most = std::cell::Cell::new(0);
    let waiting = |chain: &Chain| most.set(most.get().max(spooled(&chain.spool("host1"))));
    let (_, said) = the_store_is_cut_off("spool_max = \"8 MiB\"", 1, waiting).await;
    println!("{} bytes were in the spool at most", most.get());
    assert!(most.get() <= SMALL, "{} bytes were in the spool", most.get());
    assert!(said.contains("nothing new is asked for until the object store takes something"), "{said}");
    assert!(said.contains("the spool has room again"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and weed"]
async fn what_waits_for_a_store_when_a_host_is_ended_is_not_asked_for_again() {
    let chain = chain().await;
    let way = Way::to_port(chain.store_url().trim_start_matches("http://"));
    let store = format!("http://{}", way.address());
    let host = || chain.host_by("host1", &chain.ledger_url(), &store);
    let ended_early = host();
    until("some of it is archived", || chain.count("SELECT count(*) FROM recording") > 4).await;
    way.cut(Cut::Broken);
    let ready = chain.spool("host1").join(".ready");
    let judged = || -> Vec<Named> {
        let files = std::fs::read_dir(&ready).into_iter().flatten().flatten();
        files.filter_map(|file| name::parse(&file.file_name().to_string_lossy())).collect()
    };
    until("more waits than is uploaded at once", || judged().len() > 20).await;
    send(&ended_early, Signal::TERM);
    let ended_early = ended_within(2 * PATIENCE, ended_early).await;
    assert_eq!(code(&ended_early), 5, "{}", stderr(&ended_early));
    way.mend();
    let (judged, before) = (judged(), chain.place.platform.media().len());
    assert!(judged.len() > 20, "{}", stderr(&ended_early));
    assert_ends_well(&chain, vec![host()]).await;
    for media in &chain.place.platform.media()[before..] {
        let (Some(device), Some(range)) = (media.device, media.range) else { continue };
        let again = judged.iter().find(|named| named.device == device && named.range.overlaps(&range));
        assert!(again.is_none(), "{again:?} was asked for again");
    }
}
