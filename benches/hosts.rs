//! A chain's night on many hosts, in virtual time: how much longer than the least possible it takes, how even hosts are busy,
//! and how often the shared ledger is asked.
//!
//! `cargo bench --bench hosts`, or `… -- plain` for some of the nights; `HOSTS_STORES`, `HOSTS_HOSTS` and `HOSTS_HOURS` for
//! another size. Figures are printed last.

#[path = "../tests/hosts/downloads.rs"]
mod downloads;
#[path = "../tests/hosts/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/fleet/model.rs"]
mod model;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/hosts/night.rs"]
mod night;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use archive::backoff::Delays;
use archive::lease::LeaseTimes;
use archive::scheduler::Policy;

use model::{Fleet, Recorder, fleet};
use night::{Fate, HostIs, Night, play};

/// Downloads at once that a host can run.
const STREAMS: usize = 200;
const MINUTE: i64 = 60_000;

fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |size| size.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// 4 cameras on each recorder, which has 2 to 8 channels.
fn chain() -> Fleet {
    let recorders = (0..size("HOSTS_STORES", 25_000)).map(|index| Recorder::plain(2 + index % 7));
    fleet(1, recorders.collect(), 4, size("HOSTS_HOURS", 12) as i64 * 3600)
}

fn policy() -> Policy {
    Policy {
        streams: STREAMS,
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

/// Nothing happens to anybody.
fn plain(hosts: usize) -> Vec<HostIs> {
    vec![HostIs::plain(); hosts]
}

/// A tenth is killed, a tenth sleeps for three leases, a tenth comes an hour late, a tenth is half as fast.
fn hard(hosts: usize) -> Vec<HostIs> {
    let mut all = plain(hosts);
    for (index, host) in all.iter_mut().enumerate() {
        let at = (20 + index as i64) * MINUTE;
        match index % 10 {
            1 => host.fates.push(Fate::Killed(at)),
            3 => host.fates.push(Fate::Paused(at, 90_000)),
            5 => host.fates.push(Fate::Joins(60 * MINUTE)),
            7 => host.slowness = 2_000,
            _ => {}
        }
    }
    all
}

type Made = (&'static str, fn(usize) -> Vec<HostIs>);

const NIGHTS: [Made; 2] = [("plain", plain), ("hard", hard)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (fleet, count) = (chain(), size("HOSTS_HOSTS", 200));
    println!("{} cameras on {} NVRs, {count} hosts of {STREAMS} streams", fleet.cameras.len(), fleet.recorders.len());
    let mut figures = Vec::new();
    for (name, make) in NIGHTS {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        let begun = Instant::now();
        let hosts = make(count);
        // Who was there all night, and no slower than the others: the rest is not to be as busy.
        let steady: Vec<usize> =
            (0..count).filter(|&host| hosts[host].fates.is_empty() && hosts[host].slowness == 1_000).collect();
        let night = play(&fleet, policy(), LeaseTimes::default(), hosts);
        let real = begun.elapsed().as_secs_f64();
        figures.extend(
            figures_of(&fleet, &night, &steady, count)
                .map(|(what, value, unit)| (format!("{name}-{what}"), value, unit)),
        );
        figures.push((format!("{name}-real-time"), real, "s"));
    }
    if let Some(peak) = peak_memory_mib() {
        figures.push(("peak-memory".to_owned(), peak, "MiB"));
    }
    for (name, value, unit) in figures {
        println!("figure hosts/{name} {value:.4} {unit}");
    }
}

fn figures_of(fleet: &Fleet, night: &Night, steady: &[usize], hosts: usize) -> [(&'static str, f64, &'static str); 12] {
    let seconds = night.ended as f64 / 1_000.0;
    let busy = || steady.iter().map(|&host| night.busy[host] as f64);
    let (most, mean) = (busy().fold(0.0, f64::max), busy().sum::<f64>() / steady.len().max(1) as f64);
    let done = &night.operations;
    let all = done.joins + done.beats + done.claims + done.given_back + done.commits;
    [
        ("makespan", night.makespan as f64 / fleet.lower_bound(hosts * STREAMS) as f64, "ratio"),
        ("hours", night.makespan as f64 / 3_600_000.0, "h"),
        ("busiest", most / mean, "ratio"),
        ("beats", done.beats as f64 / seconds, "1/s"),
        ("claims", done.claims as f64 / seconds, "1/s"),
        ("given-back", done.given_back as f64 / seconds, "1/s"),
        ("commits", done.commits as f64 / seconds, "1/s"),
        ("operations", all as f64 / seconds, "1/s"),
        ("peak-operations", night.peak_operations as f64, "1/s"),
        ("moved", night.moved as f64, "leases"),
        ("refused-commits", done.refused as f64, "commits"),
        ("refused-calls", night.refused as f64 / night.calls as f64, "share"),
    ]
}

/// The most memory that this process ever held, as Linux tells it.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
