//! SIGINT and SIGTERM: what streams is kept as a prefix or dropped, everything else stays planned.

use archive::sim::{Config, Speed};
use archive::time_range::RangeSet;
use rustix::process::Signal;

use crate::support::{Place, ended, expect_code, fleet, range, send, until, yesterday};

/// Ten minutes in ten seconds: a signal finds every stream under way.
fn slow() -> Config {
    Config { speed: Speed::Times(60.0), ..fleet(&[(4, &[1, 2, 3])]) }
}

/// The largest staging file.
fn staged(place: &Place) -> u64 {
    let entries = std::fs::read_dir(place.stores.working_folder().join(".staging")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).max().unwrap_or(0)
}

async fn stop_in_mid_stream(place: &Place, signal: Signal) -> std::process::Output {
    let child = place.fetch("1-3", range(yesterday(), 3600)).spawn().expect("the program starts");
    // Staging files grow by 256 KiB, which is more than a minute of the simulated footage.
    until("a stream is well under way", || staged(place) >= 256 << 10).await;
    send(&child, signal);
    ended(child).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_keeps_prefixes_and_the_next_run_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new(slow()).await;
        let output = stop_in_mid_stream(&place, signal).await;
        assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("stopped"), "the summary says that it was stopped");
        place.assert_true(&[1, 2, 3]).await;
        let kept = place.recordings(&[1, 2, 3]).await;
        assert!(!kept.is_empty(), "what came is kept");
        assert!(kept.iter().all(|recording| (55..600).contains(&recording.range.seconds())), "{kept:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_after_a_signal_fetches_the_rest_and_no_more() {
    let place = Place::new(Config { speed: Speed::Times(600.0), ..slow() }).await;
    let asked = range(yesterday(), 3600);
    assert_eq!(stop_in_mid_stream(&place, Signal::INT).await.status.code(), Some(5));
    let kept = place.recordings(&[1, 2, 3]).await;
    let seen = place.platform.calls().len();
    let command = place.fetch("1-3", asked);
    tokio::task::spawn_blocking(move || expect_code(command, 0)).await.expect("the second run");
    place.assert_true(&[1, 2, 3]).await;
    for number in [1, 2, 3] {
        assert_eq!(place.archived(number).await, RangeSet::from(asked));
    }
    for call in &place.platform.calls()[seen..] {
        let again = kept
            .iter()
            .find(|row| Some(row.device) == call.device && call.range.is_some_and(|r| r.overlaps(&row.range)));
        assert!(again.is_none(), "{call:?} asks again for what is kept");
    }
}
