//! How well recorders are filled, and how little they are bothered: a table of nights, in virtual time.
//!
//! For each fleet: makespan over the lower bound, refused calls per window, windows lost to the horizon, calls in the busiest
//! second; for ours, with
//! nothing learned yet (cold) and with what the night before learned (warm), for a plain pool of workers that sleep on a
//! refusal, at its best size, and for an oracle that knows the hidden limits.
//!
//! `cargo bench --bench scheduling`, or `… -- a b` for some of the fleets; `SCHEDULING_SEED` for another draw of them.
//! Figures are printed last.

#[path = "../tests/fleet/fleets.rs"]
mod fleets;
#[path = "../tests/fleet/model.rs"]
mod model;
#[path = "../tests/fleet/others.rs"]
mod others;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/fleet/ours.rs"]
mod ours;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/fleet/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use model::Fleet;
use world::Night;

/// A fleet's letter, what it is, and how it is made.
type Made = (&'static str, &'static str, fn(u64) -> Fleet);

const FLEETS: [Made; 8] = [
    ("a", "100 NVRs, one day", fleets::plain),
    ("b", "limits change", fleets::changing),
    ("c", "outage of a third", fleets::outages),
    ("d", "CPU storms", fleets::storms),
    ("e", "one NVR, 32 cameras", fleets::one_large),
    ("f", "playback at 1x", fleets::playback_speed),
    ("g", "10,000 cameras, a week", fleets::week),
    ("h", "twice too much", fleets::overloaded),
];

fn seed() -> u64 {
    std::env::var("SCHEDULING_SEED").map_or(1, |seed| seed.parse().expect("SCHEDULING_SEED is a number"))
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut figures = Vec::new();
    println!(
        "fleet                     who        makespan/bound  refused/window  saved  windows lost  calls/s at peak"
    );
    for (letter, what, make) in FLEETS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == letter) {
            continue;
        }
        let fleet = make(seed());
        let begun = Instant::now();
        let cold = ours::play(&fleet, ours::policy(), BTreeMap::new(), |_, _| {});
        let real = begun.elapsed().as_secs_f64();
        let warm = ours::play(&fleet, ours::policy(), cold.learned, |_, _| {});
        let oracle = others::oracle(&fleet, ours::policy().streams);
        let pool = best_pool(&fleet);
        let rows = [("cold", cold.night), ("warm", warm.night), ("oracle", oracle), ("pool", pool)];
        let bound = fleet.lower_bound(ours::policy().streams);
        for (who, night) in rows {
            let row = Row::of(&fleet, &night, bound);
            let name = format!("{letter}) {what}");
            println!(
                "{name:<25} {who:<10} {:>14.3} {:>15.4} {:>6.3} {:>13} {:>16}",
                row.makespan, row.refused, row.saved, row.lost, night.peak_calls
            );
            figures.push((format!("{letter}-{who}-makespan"), row.makespan, "ratio"));
            figures.push((format!("{letter}-{who}-refused"), row.refused, "calls/window"));
            figures.push((format!("{letter}-{who}-saved"), row.saved, "share"));
            figures.push((format!("{letter}-{who}-lost"), row.lost as f64, "windows"));
        }
        figures.push((format!("{letter}-real-time"), real, "s"));
    }
    if let Some(peak) = peak_memory_mib() {
        figures.push(("peak-memory".to_owned(), peak, "MiB"));
    }
    for (name, value, unit) in figures {
        println!("figure scheduling/{name} {value:.4} {unit}");
    }
}

/// The pool at the size that ends first, and among those that save as much.
fn best_pool(fleet: &Fleet) -> Night {
    // Ten thousand cameras keep more workers busy than any pool has: the largest ends first.
    let sizes: &[usize] = if fleet.cameras.len() > 5_000 { &[256] } else { &[8, 16, 32, 64, 128, 256] };
    let nights = sizes.iter().map(|&workers| others::pool(fleet, workers, ours::policy().delays));
    nights.max_by_key(|night| (night.archived_seconds, -night.makespan)).unwrap_or_default()
}

struct Row {
    makespan: f64,
    refused: f64,
    saved: f64,
    /// Windows that were overwritten before they were fetched: in these fleets nothing else keeps one from coming.
    lost: u64,
}

impl Row {
    fn of(fleet: &Fleet, night: &Night, bound: i64) -> Self {
        let asked: i64 = fleet.cameras.iter().map(|camera| camera.asked.seconds()).sum();
        Self {
            makespan: night.makespan as f64 / bound as f64,
            refused: night.refused as f64 / fleet.windows() as f64,
            saved: night.archived_seconds as f64 / asked as f64,
            lost: (asked - night.archived_seconds).unsigned_abs() / 600,
        }
    }
}

/// The most memory that this process ever held, as Linux tells it.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
