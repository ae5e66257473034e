//! A ceiling on bandwidth, over sockets: what comes is right, and waiting is nobody's fault.

use archive::sim::MediaEvent;
use archive::time_range::RangeSet;
use rustix::process::Signal;

use crate::support::{Place, code, ended, fleet, range, send, stderr, yesterday};

async fn with_bandwidth(cameras: &[i64], bandwidth: &str) -> Place {
    let place = Place::new(fleet(&[(4, cameras)])).await;
    place.set_in_archive(&format!("bandwidth = {bandwidth:?}"));
    place
}

/// Two minutes of footage are 39 kB more than may pass at once. Each further turn takes longer than the media server may be
/// silent, which is 2 s here.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_a_low_ceiling_archives_all_and_takes_waiting_for_no_stall() {
    let place = with_bandwidth(&[1, 2], "8 kB/s").await;
    let asked = range(yesterday(), 60);
    let output = ended(place.fetch("1-2", asked).spawn().expect("the program starts")).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place.assert_true(&[1, 2]).await;
    for number in [1, 2] {
        assert_eq!(place.archived(number).await, RangeSet::from(asked));
    }
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    let ask = |query: &str| ledger.query_row(query, [], |row| row.get::<_, i64>(0)).expect("the ledger answers");
    assert_eq!(ask("SELECT count(*) FROM attempts"), 2, "no stream was given up");
    assert!(ask("SELECT bytes FROM runs") > 300_000);
    assert!(ask("SELECT seconds FROM runs") >= 4, "39 kB at 8 kB/s were not waited for");
}

/// Each turn takes 16 s, and four streams wait for theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_streams_that_wait_for_bandwidth() {
    let place = with_bandwidth(&[1, 2, 3, 4], "1 kB/s").await;
    let child = place.fetch("1-4", range(yesterday(), 600)).spawn().expect("the program starts");
    let opened = || place.platform.media().iter().filter(|event| event.media == MediaEvent::Opened).count();
    crate::support::until("all of them stream", || opened() == 4).await;
    send(&child, Signal::INT);
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    place.assert_true(&[1, 2, 3, 4]).await;
}
