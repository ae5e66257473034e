//! Many hosts, one archive: real processes that are killed and put to sleep, and what becomes of the night.

use std::process::Child;

use archive::sim::config::Speed;
use rustix::process::Signal;

use crate::chain::Chain;
use crate::support::{code, ended, send, stderr, until};

const LEASE_MILLISECONDS: i64 = 3_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn two_of_four_hosts_are_killed_and_one_sleeps_and_the_rest_archive_all_of_it_once() {
    let lease = format!("lease = \"{LEASE_MILLISECONDS}ms\"");
    let chain = Chain::new(Speed::Times(600.0), 2, &format!("{lease}\nstreams = 4")).await;
    let mut hosts: Vec<Child> = (1..=4).map(|number| chain.host(&format!("host{number}"))).collect();
    let holding = "SELECT count(DISTINCT host) FROM nvr_share WHERE host IS NOT NULL";
    until("all four have leased something", || chain.count(holding) == 4).await;
    until("some of it is archived", || chain.count("SELECT count(*) FROM recording") > 4).await;
    let slept = chain.number(&hosts[2]);
    send(&hosts[2], Signal::STOP);
    let fell_asleep = chain.now();
    for host in &hosts[..2] {
        send(host, Signal::KILL);
    }
    chain.ask(&format!("CREATE TABLE held AS SELECT nvr, epoch FROM nvr_share WHERE host = {slept}"));
    assert!(chain.count("SELECT count(*) FROM held") > 0, "it held nothing");
    // Others have taken of what it held, so it is taken for dead.
    let lost = format!("SELECT count(*) FROM hosts WHERE host = {slept} AND state = 'gone'");
    until("it is taken for dead", || chain.count(&lost) == 1).await;
    chain.ask(
        "CREATE TABLE taken AS SELECT h.nvr FROM held AS h JOIN nvr_share AS s ON s.nvr = h.nvr AND s.epoch > h.epoch",
    );
    assert!(chain.count("SELECT count(*) FROM taken") > 0, "nobody took what it held");
    // By which cameras are told from NVRs below.
    assert_eq!(chain.count("SELECT count(*) FROM taken WHERE nvr !~ '^device [0-9]+$'"), 0);
    // By the clock that leases go by: it sleeps for three of them.
    until("three lease times have passed", || chain.now() - fell_asleep >= 3 * LEASE_MILLISECONDS).await;
    let newest = chain.count("SELECT coalesce(max(attempt), 0) FROM attempt");
    // A second in which it sleeps, and neither falls asleep nor wakes.
    let asleep = (fell_asleep + LEASE_MILLISECONDS) / 1000;
    let sleeper = hosts[2].id();
    send(&hosts[2], Signal::CONT);
    let fourth = ended(hosts.remove(3)).await;
    let third = ended(hosts.remove(2)).await;
    for (name, output) in [("third", &third), ("fourth", &fourth)] {
        assert_eq!(code(output), 0, "the {name}: {}", stderr(output));
    }
    for host in hosts {
        ended(host).await;
    }
    // Of what others have taken, it wrote down nothing that it had begun before it slept. (A commit that it was in the midst of
    // holds the row of its lease, which nobody can take until that has ended: such a one may come through.)
    let late = format!(
        "SELECT count(*) FROM attempt AS a JOIN run AS r ON r.run = a.run
         WHERE r.pid = {sleeper} AND a.attempt > {newest} AND a.started < {asleep}
             AND 'device ' || a.device IN (SELECT nvr FROM taken)"
    );
    assert_eq!(chain.count(&late), 0, "it wrote about what others had taken");
    chain.assert_whole().await;
}
