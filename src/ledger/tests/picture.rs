//! What a picture of coverage is told: recordings by their names' rules.

use super::super::Ledger;
use super::*;
use crate::picture::{State, Stretch};
use crate::recording::Container;

/// 2026-11-20 09:00 in Shanghai.
const NINE: i64 = 1_795_136_400;

/// Adds a recording, asked for or not, of so many seconds from nine o'clock on.
async fn add(ledger: &Ledger, from: i64, seconds: i64, path: &str) {
    let recording = Recording { path: path.to_owned(), ..recording(5, NINE + from, NINE + from + seconds) };
    ledger.add_recording(recording).await.unwrap();
}

async fn told(ledger: &Ledger, from: i64, to: i64) -> Vec<Stretch> {
    let within = range(NINE + from, NINE + to);
    ledger.told(vec![device(5)], within).await.unwrap().remove(&device(5)).unwrap().stretches
}

fn windows(from: i64, to: i64) -> Stretch {
    Stretch { range: range(NINE + from, NINE + to), state: State::Windows { quarters: 32, container: Container::Flv } }
}

fn named(from: i64, to: i64, path: &str) -> Stretch {
    Stretch { range: range(NINE + from, NINE + to), state: State::Named { path: path.to_owned() } }
}

#[tokio::test]
async fn windows_of_the_grid_are_one_stretch_and_others_are_told_one_by_one() {
    const FIRST: &str = "5/2026-11-20/5_20261120T090000+0800_600s.flv";
    const ELSEWHERE: &str = "6/2026-11-20/5_20261120T092000+0800_600s.flv";
    let scratch = Scratch::new();
    let ledger = scratch.open();
    add(&ledger, 0, 600, FIRST).await;
    add(&ledger, 600, 600, "5/2026-11-20/5_20261120T091000+0800_600s.flv").await;
    add(&ledger, 1200, 600, ELSEWHERE).await;
    add(&ledger, 1800, 300, "5/2026-11-20/5_20261120T093000+0800_300s.flv").await;
    let short = State::File { quarters: 32, container: Container::Flv, source: Source::Nvr };
    let short = Stretch { range: range(NINE + 1800, NINE + 2100), state: short };
    let all = [windows(0, 1200), named(1200, 1800, ELSEWHERE), short.clone()];
    assert_eq!(told(&ledger, -600, 3600).await, all);
    // What is cut is told by name: its length is not that of its file.
    let cut = [named(60, 600, FIRST), windows(600, 1200), named(1200, 1800, ELSEWHERE), short];
    assert_eq!(told(&ledger, 60, 2100).await, cut);
}
