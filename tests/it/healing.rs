//! A live recording with holes, healed by a run from the NVR: that fetches the holes and nothing else.

use archive::recording::Source;
use archive::sim::{LiveFault, MediaEvent, Scripted};
use archive::time_range::RangeSet;
use archive::window::Cause;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::live_support::{assert_pieces, fast, gaps, record};
use crate::support::{Place, device, ended, stderr};

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_with_thirty_drops_is_whole_after_one_run_from_the_nvr() {
    // All drops must fit into the hour: a busy machine has half as long again as an idle one for it.
    let place = Place::new(fast(80.0, &[1])).await;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let drops = (0..30).map(|_| Scripted::Live(LiveFault::DropAfterSeconds(random.random_range(10..100))));
    place.platform.script_live(device(1), drops);
    let (asked, summary) = record(&place, &[1], 3600).await;
    let recorded = assert_pieces(&place, 1).await;
    let dropped = place.platform.live().iter().filter(|event| event.live == MediaEvent::Failed).count();
    assert_eq!(dropped, 30);
    let gaps = gaps(&place).await;
    assert!(gaps.len() >= 30 && gaps.iter().all(|(cause, _)| *cause == Cause::LiveInterrupted), "{gaps:?}");
    let missing: RangeSet = gaps.iter().map(|(_, range)| *range).collect();
    assert_eq!(summary.asked_seconds, asked.seconds());
    assert_eq!(summary.archived_seconds, asked.seconds() - missing.seconds());
    assert_eq!(summary.missing, [(Cause::LiveInterrupted, missing.seconds())]);
    assert!(missing.seconds() < 1800, "it was hardly recorded at all: {gaps:?}");

    let healed = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(healed.status.code(), Some(0), "{}", stderr(&healed));
    let pieces = assert_pieces(&place, 1).await;
    let all: RangeSet = pieces.iter().map(|piece| piece.range).collect();
    assert_eq!(all, RangeSet::from(asked), "the sum of all pieces is the hour");
    assert_eq!(pieces.iter().map(|piece| piece.range.seconds()).sum::<i64>(), asked.seconds());
    for piece in pieces.iter().filter(|piece| piece.source == Source::Nvr) {
        assert!(missing.covers(&piece.range), "{} was fetched, and was there", piece.path);
    }
    for call in place.platform.calls().iter().filter_map(|call| call.range) {
        assert!(missing.covers(&call), "{call} was asked for, and was there");
    }
    assert_eq!(pieces.iter().filter(|piece| piece.source == Source::Live).count(), recorded.len());
}
