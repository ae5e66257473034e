//! A file and a server: the same history says the same in both, and the model's test holds on a server.

#[path = "../../../tests/postgres/server.rs"]
mod program;

use proptest::prelude::*;

use super::super::Ledger;
use super::model::{Model, Step, apply, check_all, steps};
use super::*;
use crate::ledger_place::LedgerPlace;
use crate::report::{GapQuery, Learned, RunCounts, RunEnd};
use crate::time_range::ALL_TIME;

pub(in crate::ledger) use program::{Server, server};

/// An empty database of a server of this process's own.
pub(in crate::ledger) fn fresh() -> LedgerPlace {
    LedgerPlace::parse(&address()).expect("it is an address")
}

/// The same as a text.
pub(in crate::ledger) fn address() -> String {
    server().database()
}

/// All that a ledger can be asked, as text.
async fn said(ledger: &Ledger) -> Vec<String> {
    let devices: Vec<_> = [1, 2].map(device).into();
    let (first, last) = ("2026-11-19".parse().expect("a date"), "2026-11-22".parse().expect("a date"));
    let change = ledger.newest_change().await.unwrap();
    vec![
        format!("{:?}", ledger.gaps(GapQuery::default()).await.unwrap()),
        format!("{:?}", ledger.known(devices.clone(), ALL_TIME).await.unwrap()),
        format!("{:?}", ledger.coverage(None, first, last).await.unwrap()),
        format!("{:?}", ledger.totals(devices.clone(), ALL_TIME).await.unwrap()),
        format!("{:?}", ledger.told(devices.clone(), ALL_TIME).await.unwrap()),
        format!("{:?}", ledger.runs(9).await.unwrap()),
        format!("{:?}", ledger.last_runs().await.unwrap()),
        format!("{:?}", ledger.last_successes().await.unwrap()),
        format!("{:?}", ledger.written(UtcSecond::new(0)).await.unwrap()),
        format!("{:?}", ledger.devices().await.unwrap()),
        format!("{:?}", ledger.history(100).await.unwrap()),
        format!("{:?}", ledger.being_recorded().await.unwrap()),
        format!("{:?}", ledger.uncatalogued(0, change).await.unwrap()),
        format!("{:?}", ledger.recordings_after(None).await.unwrap()),
        format!("{:?}", ledger.learned_limits().await.unwrap()),
        format!("{:?}", ledger.nvr_nights(9).await.unwrap()),
        format!("{:?}", ledger.nvr_lines().await.unwrap()),
        format!("{:?}", ledger.device_lines(devices).await.unwrap_or_default()),
        format!("{:?}", ledger.publishing(Source::Nvr).await.unwrap()),
        format!("{:?}", ledger.archived_seconds().await.unwrap()),
    ]
}

/// What has no place in the model.
async fn besides(ledger: &Ledger, run: super::super::RunId) {
    let nvr = crate::device::NvrId::new("nvr 1");
    let learned = Learned { limit: 4, probe_pause: None, keeps: None, calls: 3, refused: 1, left_alone: 0 };
    ledger.learn_limits(run, vec![(nvr.clone(), learned)], UtcSecond::new(DAY)).await.unwrap();
    ledger.learn_limits(run, vec![(nvr, learned)], UtcSecond::new(DAY + 1)).await.unwrap();
    ledger.set_zone(vec![device(2)], chrono_tz::Europe::Berlin).await.unwrap();
    ledger.note_publishing(Source::Nvr, "1/2026-11-20/1_x.flv".to_owned()).await.unwrap();
    assert_eq!(ledger.note_archive_mark("one".to_owned()).await.unwrap(), "one");
    assert_eq!(ledger.note_archive_mark("two".to_owned()).await.unwrap(), "one");
    let round = ledger.begin_round(UtcSecond::new(DAY)).await.unwrap();
    ledger.keep_round(crate::upkeep::Round { reached: Some((device(1), UtcSecond::new(7))), ..round }).await.unwrap();
    assert_eq!(
        ledger.newest_round().await.unwrap().and_then(|round| round.reached),
        Some((device(1), UtcSecond::new(7)))
    );
    ledger.catalogued(3, 0).await.unwrap();
    assert_eq!(ledger.catalog_segment().await.unwrap(), Some(3));
    let end = RunEnd { ended: UtcSecond::new(DAY + 60), exit: 0, counts: RunCounts::default() };
    ledger.end_run(run, end).await.unwrap();
}

/// As few as a minute takes, unless PROPTEST_CASES says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs postgres"]
    fn a_server_says_what_a_file_says_after_the_same_history(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (scratch, place) = (Scratch::new(), fresh());
            let file = scratch.open();
            let mut server = Ledger::open(&place).unwrap();
            let mut models = [Model::new(), Model::new()];
            let runs = [file.begin_run(start(0)).await.unwrap(), server.begin_run(start(0)).await.unwrap()];
            for (at, (number, step)) in steps.iter().enumerate() {
                if matches!(step, Step::Reopen) {
                    drop(server);
                    server = Ledger::open(&place).unwrap();
                }
                for (ledger, (model, run)) in [&file, &server].into_iter().zip(models.iter_mut().zip(runs)) {
                    apply(ledger, model, run, *number, step, 1_000 + at as i64).await;
                }
                check_all(&server, &models[1], *number).await;
            }
            assert_eq!(said(&server).await, said(&file).await);
            for (ledger, run) in [&file, &server].into_iter().zip(runs) {
                besides(ledger, run).await;
            }
            assert_eq!(said(&server).await, said(&file).await);
        });
    }
}
