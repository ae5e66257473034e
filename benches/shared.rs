//! How much sooner four processes are done than one, when each may take the same bandwidth: a chain of sixty recorders with a ledger on
//! a PostgreSQL server and recordings in an object store, all on this machine.
//!
//!     cargo bench --bench shared            needs PostgreSQL's programs, and weed (see tests/it/object_store_server.rs)

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/chain.rs"]
mod chain;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/object_store_server.rs"]
mod object_store_server;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/postgres/server.rs"]
mod program;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/support.rs"]
mod support;

use std::time::Instant;

use archive::sim::config::Speed;

use chain::Chain;
mod postgres {
    pub(crate) use super::program;
}
use support::{code, stderr};

/// So little that neither this machine nor the store is what is waited for.
const BANDWIDTH: &str = "2 MiB/s";
/// Of each camera: a night that takes four hosts most of a minute, so that its begin and its last windows weigh as little as they do
/// in one of hours.
const WINDOWS: i64 = 4;

/// How long so many hosts take for all of it, in seconds.
async fn night(hosts: usize) -> f64 {
    let settings = format!("bandwidth = \"{BANDWIDTH}\"\nstreams = 8\nlease = \"6s\"");
    let chain = Chain::new(Speed::Max, WINDOWS, &settings).await;
    let begun = Instant::now();
    let running: Vec<_> = (0..hosts).map(|number| chain.host(&format!("host{number}"))).collect();
    for host in running {
        let ended =
            tokio::task::spawn_blocking(move || host.wait_with_output()).await.expect("the waiting thread lives");
        let ended = ended.expect("the program can be waited for");
        assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    }
    let took = begun.elapsed().as_secs_f64();
    chain.assert_whole().await;
    took
}

#[tokio::main]
async fn main() {
    let (one, four) = (night(1).await, night(4).await);
    println!("figure shared/one-host {one:.1} s");
    println!("figure shared/four-hosts {four:.1} s");
    println!("figure shared/times {:.2} x", one / four);
}
