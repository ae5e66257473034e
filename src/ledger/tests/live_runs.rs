//! Live runs of many machines and one ledger on a server: whose cameras are whose, those who were not heard of, and what they may say.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Ledger, LedgerError};
use super::engines::fresh;
use super::*;
use crate::live_runs::{HeldCamera, LiveJoined};
use crate::report::GapQuery;
use crate::time_range::RangeSet;
use crate::window::Cause;

/// Long enough for no test to see its end.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Over at once.
const FOR_NOTHING: Duration = Duration::ZERO;

fn devices(numbers: &[i64]) -> Vec<DeviceId> {
    numbers.iter().map(|&number| device(number)).collect()
}

/// Joins, and from then on says of these cameras only what it may.
async fn join(ledger: &Ledger, cameras: &[i64], lasts: Duration) -> Result<LiveJoined, Vec<HeldCamera>> {
    let joined = ledger.join_live(devices(cameras), lasts).await.unwrap();
    if let Ok(joined) = &joined {
        ledger.guard_live(&devices(cameras), joined.run);
    }
    joined
}

/// Says that a camera is being recorded for an hour.
async fn record(ledger: &Ledger, number: i64) -> Result<(), LedgerError> {
    let hour = RangeSet::from(range(DAY, DAY + 3600));
    ledger.ask(vec![(device(number), hour.clone())]).await?;
    ledger.mark_missing(device(number), hour, Cause::BeingRecorded, UtcSecond::new(DAY)).await
}

/// Says of all that is being recorded that it was interrupted, as far as it may.
async fn clear(ledger: &Ledger, own: Option<&LiveJoined>) {
    for (device, stretches) in ledger.being_recorded().await.unwrap() {
        let at = UtcSecond::new(DAY + 60);
        ledger.interrupt(own.map(|joined| joined.run), device, stretches, at).await.unwrap();
    }
}

/// The cameras that are being recorded, and those of which something was interrupted.
async fn said(ledger: &Ledger) -> (BTreeSet<i64>, BTreeSet<i64>) {
    let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
    let with = |cause: Cause| gaps.iter().filter(|gap| gap.cause == cause).map(|gap| gap.device.get()).collect();
    (with(Cause::BeingRecorded), with(Cause::LiveInterrupted))
}

fn numbers(numbers: &[i64]) -> BTreeSet<i64> {
    numbers.iter().copied().collect()
}

fn taken(held: &[HeldCamera]) -> Vec<i64> {
    held.iter().map(|camera| camera.device.get()).collect()
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_camera_is_one_live_runs_at_a_time_and_who_has_it_is_named() {
    let place = fresh();
    let (one, two) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let first = join(&one, &[1, 2], FOR_EVER).await.expect("nobody records anything");
    let held = join(&two, &[2, 3], FOR_EVER).await.expect_err("the first has one of them");
    assert_eq!(taken(&held), [2]);
    assert_eq!((held[0].run, held[0].pid, held[0].beats), (first.run, std::process::id(), 0));
    let told = two.cameras_held(held).to_string();
    assert!(told.contains(&format!("device 2 by process {} on ", std::process::id())), "{told}");
    // Who was refused has none of what it asked for.
    let third = join(&one, &[3], FOR_EVER).await.expect("nobody has it");
    one.beat_live(first.run, FOR_EVER).await.unwrap();
    let held = join(&two, &[1, 3], FOR_EVER).await.expect_err("they are taken");
    assert_eq!(
        held.iter().map(|camera| (camera.run, camera.beats)).collect::<Vec<_>>(),
        [(first.run, 1), (third.run, 0)]
    );
    // Who leaves leaves all of it, and nothing of anybody else's.
    one.leave_live(first.run).await.unwrap();
    let second = join(&two, &[1, 2], FOR_EVER).await.expect("they are nobody's");
    assert_eq!(two.recorded_elsewhere(Some(second.run)).await.unwrap(), devices(&[3]).into_iter().collect());
    assert_eq!(two.recorded_elsewhere(None).await.unwrap(), devices(&[1, 2, 3]).into_iter().collect());
    assert_eq!(one.beat_live(first.run, FOR_EVER).await, Err(LedgerError::LiveLost));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn who_begins_says_nothing_of_what_the_living_record_and_of_the_dead_that_they_were_interrupted() {
    let place = fresh();
    let (lives, dies, batch) =
        (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let living = join(&lives, &[1], FOR_EVER).await.unwrap();
    join(&dies, &[2], FOR_NOTHING).await.unwrap();
    record(&lives, 1).await.unwrap();
    record(&dies, 2).await.expect("its lease is over, and nobody has taken the camera from it");
    // Before anybody has looked who is dead, nobody is.
    clear(&batch, None).await;
    assert_eq!(said(&batch).await, (numbers(&[1, 2]), numbers(&[])));
    assert_eq!(batch.recorded_elsewhere(None).await.unwrap(), devices(&[1]).into_iter().collect());
    clear(&batch, None).await;
    assert_eq!(said(&batch).await, (numbers(&[1]), numbers(&[2])));
    // So it is at the end of a live run: its own is over, and nobody else's.
    let other = join(&dies, &[3], FOR_EVER).await.unwrap();
    record(&dies, 3).await.unwrap();
    clear(&lives, Some(&living)).await;
    assert_eq!(said(&batch).await, (numbers(&[3]), numbers(&[1, 2])));
    clear(&dies, Some(&other)).await;
    assert_eq!(said(&batch).await, (numbers(&[]), numbers(&[1, 2, 3])));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_dead_live_runs_cameras_are_taken_and_it_claims_them_no_more_but_keeps_what_it_recorded() {
    let place = fresh();
    let (paused, heir) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let old = join(&paused, &[1, 2], FOR_NOTHING).await.unwrap();
    for number in [1, 2] {
        record(&paused, number).await.unwrap();
    }
    let new = join(&heir, &[1], FOR_EVER).await.expect("it is dead");
    record(&heir, 1).await.unwrap();

    let run = paused.begin_run(start(DAY)).await.unwrap();
    let (hour, lost) = (range(DAY, DAY + 3600), Err(LedgerError::LiveLost));
    assert_eq!(paused.beat_live(old.run, FOR_EVER).await, lost);
    for number in [1, 2] {
        let (camera, at) = (device(number), UtcSecond::new(DAY));
        assert_eq!(paused.mark_missing(camera, hour.into(), Cause::BeingRecorded, at).await, lost);
        assert_eq!(paused.withdraw(camera, hour).await, lost);
        assert_eq!(paused.ask(vec![(camera, range(DAY, DAY + 7200).into())]).await, lost);
        let missed = attempt(DAY, Outcome::Interrupted, None);
        assert_eq!(paused.record_missed(run, window(number, DAY, DAY + 3600), missed).await, lost);
    }
    // A file that is there is there; what overlaps is refused as ever.
    let path = "1/2026-11-20/1_20261120T080000+0800_600s_live.flv".to_owned();
    paused.note_publishing(Source::Live, path.clone()).await.unwrap();
    assert_eq!(paused.note_upload(path.clone(), "7".to_owned()).await, Ok(true));
    paused.forget_publishing(path).await.unwrap();
    paused.add_recording(recording(1, DAY, DAY + 600)).await.unwrap();
    let twice = paused.add_recording(recording(1, DAY + 300, DAY + 900)).await;
    assert!(matches!(twice, Err(LedgerError::Overlap { .. })), "{twice:?}");

    // It joins again with what is left of its own.
    let (again, held) = paused.join_live_again(devices(&[1, 2]), FOR_EVER).await.unwrap();
    assert!(again.run > new.run && again.token != old.token);
    assert_eq!((taken(&held), held[0].run), (vec![1], new.run));
    paused.guard_live(&devices(&[2]), again.run);
    record(&paused, 2).await.unwrap();
    assert_eq!(paused.withdraw(device(1), hour).await, lost, "the other camera is another's");
    clear(&heir, Some(&new)).await;
    assert_eq!(said(&heir).await, (numbers(&[2]), numbers(&[1])));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn who_has_a_dead_runs_lock_need_not_wait_for_its_lease() {
    let place = fresh();
    let (killed, next) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let dead = join(&killed, &[1], FOR_EVER).await.unwrap();
    let other = join(&killed, &[2], FOR_EVER).await.unwrap();
    next.live_is_gone("nobody's".to_owned()).await.unwrap();
    assert_eq!(taken(&join(&next, &[1], FOR_EVER).await.expect_err("it may be alive")), [1]);
    next.live_is_gone(dead.token).await.unwrap();
    join(&next, &[1], FOR_EVER).await.expect("it is known to be gone");
    assert_eq!(killed.beat_live(dead.run, FOR_EVER).await, Err(LedgerError::LiveLost));
    killed.beat_live(other.run, FOR_EVER).await.expect("it has nothing to do with it");
}

/// Of runs that join with some of the same cameras at one moment, none has a camera that another one has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn of_many_that_join_at_once_each_camera_has_one() {
    let place = fresh();
    drop(Ledger::open(&place).unwrap());
    let joining = (0..8).map(|number| {
        let place = place.clone();
        tokio::spawn(async move {
            let ledger = Ledger::open(&place).unwrap();
            // Every other time backwards, as nobody does.
            let mut cameras = devices(&[number % 4, number % 4 + 1]);
            if number % 2 == 1 {
                cameras.reverse();
            }
            (cameras.clone(), ledger.join_live(cameras, FOR_EVER).await.unwrap().is_ok())
        })
    });
    let mut recorded = Vec::new();
    for joined in futures::future::join_all(joining).await {
        let (cameras, has_joined) = joined.unwrap();
        recorded.extend(cameras.into_iter().filter(|_| has_joined));
    }
    let distinct: BTreeSet<DeviceId> = recorded.iter().copied().collect();
    assert!(!recorded.is_empty() && distinct.len() == recorded.len(), "{recorded:?}");
    let said = Ledger::open(&place).unwrap().recorded_elsewhere(None).await.unwrap();
    assert_eq!(said, distinct);
}

/// A file's live runs are kept apart by locks: nothing of this is theirs.
#[tokio::test]
async fn a_file_knows_no_live_runs_and_lets_all_be_put_right() {
    let scratch = Scratch::new();
    let ledger = scratch.open();
    let refused = ledger.join_live(devices(&[1]), FOR_EVER).await;
    assert!(matches!(refused, Err(LedgerError::NotShared { .. })), "{refused:?}");
    ledger.live_is_gone("anybody's".to_owned()).await.unwrap();
    assert_eq!(ledger.recorded_elsewhere(None).await.unwrap(), BTreeSet::new());
    record(&ledger, 1).await.unwrap();
    clear(&ledger, None).await;
    assert_eq!(said(&ledger).await, (numbers(&[]), numbers(&[1])));
}
