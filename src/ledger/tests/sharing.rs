//! Many hosts and one ledger on a server: leases, those who lost theirs, and a server that crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::{Ledger, LedgerError, UpkeepPatience};
use super::engines::{Server, address, fresh, server};
use super::*;
use crate::device::NvrId;
use crate::lease::{Demand, GivenBack, HostId, HostJob, HostState, Joining, Lease};
use crate::ledger_place::LedgerPlace;
use crate::report::GapQuery;
use crate::time_range::RangeSet;
use crate::window::Cause;

/// Long enough for no test to see its end.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Over at once.
const FOR_NOTHING: Duration = Duration::ZERO;

fn demand(nvr: &str, backlog_seconds: i64, loses_at: Option<i64>) -> Demand {
    Demand { nvr: NvrId::new(nvr), backlog_seconds, loses_at: loses_at.map(UtcSecond::new) }
}

fn state(backlog_seconds: i64) -> HostState {
    HostState { streams: 4, backlog_seconds, hungry: backlog_seconds == 0 }
}

/// A host's joining, with a job of no cameras that all in this file have unless they say otherwise.
fn joining(name: &str, state: HostState, lasts: Duration) -> Joining {
    let job = HostJob::new("run night".to_owned(), &BTreeMap::new());
    Joining { name: name.to_owned(), job, served: BTreeMap::new(), state, lasts, again: false }
}

async fn join(ledger: &Ledger, name: &str, state: HostState, lasts: Duration) -> HostId {
    ledger.join(joining(name, state, lasts)).await.unwrap().host
}

fn names(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(|lease| lease.nvr.to_string()).collect()
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn what_is_lost_first_is_leased_first_and_then_the_most_work_and_each_nvr_once() {
    let place = fresh();
    let (one, two) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let a = join(&one, "a", state(0), FOR_EVER).await;
    let b = join(&two, "b", state(0), FOR_EVER).await;
    let demands = vec![demand("1", 600, None), demand("2", 900, None), demand("3", 1, Some(9)), demand("4", 0, None)];
    one.offer(a, demands.clone()).await.unwrap();
    two.offer(b, demands.clone()).await.unwrap();
    let first = one.claim(a, 2, FOR_EVER).await.unwrap();
    assert_eq!(
        names(&first).iter().collect::<BTreeSet<_>>(),
        names(&[Lease { nvr: NvrId::new("2"), epoch: 1 }, Lease { nvr: NvrId::new("3"), epoch: 1 }]).iter().collect()
    );
    assert_eq!(names(&two.claim(b, 9, FOR_EVER).await.unwrap()), ["1"]);
    assert_eq!(two.claim(b, 9, FOR_EVER).await.unwrap(), []);

    let shared = one.beat(a, state(901), FOR_EVER).await.unwrap();
    assert_eq!(shared.hosts.iter().map(|(host, _)| *host).collect::<Vec<_>>(), [a, b]);
    assert_eq!((shared.free.nvrs, shared.leased.nvrs, shared.leased.seconds), (0, 3, 901));

    // Given back half done it is free again, finished it is not; nor is it when the same hosts offer it again.
    let rest = first.iter().map(|lease| GivenBack {
        lease: lease.clone(),
        rest: (lease.nvr.as_str() == "2").then(|| demand("2", 300, None)),
    });
    one.give_back(a, rest.collect()).await.unwrap();
    two.offer(b, demands.clone()).await.unwrap();
    let shared = two.beat(b, state(600), FOR_EVER).await.unwrap();
    assert_eq!((shared.free.nvrs, shared.leased.nvrs, shared.finished.nvrs), (1, 1, 1));
    two.leave(b).await.unwrap();
    let again = one.claim(a, 9, FOR_EVER).await.unwrap();
    assert_eq!(again.iter().map(|lease| lease.epoch).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(two.beat(b, state(0), FOR_EVER).await, Err(LedgerError::HostLost { host: b }));

    // A new host is a new run.
    let c = join(&two, "c", state(0), FOR_EVER).await;
    two.offer(c, demands).await.unwrap();
    assert_eq!(names(&two.claim(c, 9, FOR_EVER).await.unwrap()), ["3"]);
}

/// Two hosts with different jobs, the second of which has less to do at the first NVR and more at the second.
async fn two_jobs() -> (Ledger, [HostId; 2]) {
    let ledger = Ledger::open(fresh()).unwrap();
    let night = join(&ledger, "night", state(0), FOR_EVER).await;
    let job = HostJob::new("incident".to_owned(), &BTreeMap::new());
    let incident = ledger.join(Joining { job, ..joining("incident", state(0), FOR_EVER) }).await.unwrap().host;
    ledger.offer(night, vec![demand("1", 900, None), demand("2", 600, None), demand("3", 300, None)]).await.unwrap();
    ledger.offer(incident, vec![demand("1", 60, None), demand("2", 660, None)]).await.unwrap();
    (ledger, [night, incident])
}

/// What a host is told: NVRs that are free, leased and finished.
async fn told(ledger: &Ledger, host: HostId) -> [usize; 3] {
    let shared = ledger.beat(host, state(0), FOR_EVER).await.unwrap();
    [shared.free.nvrs, shared.leased.nvrs, shared.finished.nvrs]
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn hosts_with_different_jobs_lease_an_nvr_one_after_the_other_and_what_one_has_finished_is_the_others_to_do() {
    let (ledger, [night, incident]) = two_jobs().await;
    let leases = ledger.claim(night, 9, FOR_EVER).await.unwrap();
    let mut got = names(&leases);
    got.sort_unstable();
    assert_eq!(got, ["2", "3"], "who has less to do at the first one waits for it");
    assert_eq!(names(&ledger.claim(incident, 9, FOR_EVER).await.unwrap()), ["1"], "the second one is held");
    assert_eq!((told(&ledger, night).await, told(&ledger, incident).await), ([0, 3, 0], [0, 2, 0]));

    let over = |lease: &Lease| GivenBack { lease: lease.clone(), rest: None };
    ledger.give_back(night, leases.iter().map(over).collect()).await.unwrap();
    assert_eq!((told(&ledger, night).await, told(&ledger, incident).await), ([0, 1, 2], [1, 1, 0]));
    let second = ledger.claim(incident, 9, FOR_EVER).await.unwrap();
    assert_eq!((names(&second), second[0].epoch), (vec!["2".to_owned()], 2));
    ledger.leave(incident).await.unwrap();
    assert_eq!(names(&ledger.claim(night, 9, FOR_EVER).await.unwrap()), ["1"], "nobody else waits for it");
}

/// A job of a whole night, and a smaller one that wants all of its NVRs: it is left as many as its host can take, and not all.
#[tokio::test]
#[ignore = "needs postgres"]
async fn no_more_is_kept_for_a_host_that_waits_than_it_can_take() {
    let ledger = Ledger::open(fresh()).unwrap();
    let demands = |seconds: i64| (0..20).map(|nvr| demand(&format!("{nvr:02}"), seconds, None)).collect::<Vec<_>>();
    let night = join(&ledger, "night", state(0), FOR_EVER).await;
    let job = HostJob::new("the last hour".to_owned(), &BTreeMap::new());
    let hourly = ledger.join(Joining { job, ..joining("hourly", state(0), FOR_EVER) }).await.unwrap().host;
    ledger.offer(night, demands(900)).await.unwrap();
    ledger.offer(hourly, demands(60)).await.unwrap();
    let first = ledger.claim(night, 99, FOR_EVER).await.unwrap();
    assert_eq!(names(&first).iter().min().map(String::as_str), Some("04"), "{first:?}");
    assert_eq!(first.len(), 16);
    let mut taken = names(&ledger.claim(hourly, 99, FOR_EVER).await.unwrap());
    taken.sort_unstable();
    assert_eq!(taken, ["00", "01", "02", "03"]);
    let wanted = ledger.beat(night, state(0), FOR_EVER).await.unwrap().wanted;
    assert_eq!(wanted.keys().map(NvrId::as_str).collect::<Vec<_>>(), ["04", "05", "06", "07"]);
}

/// Where the holder has less to do it gives nothing, so nobody waits for that.
#[tokio::test]
#[ignore = "needs postgres"]
async fn who_waits_is_given_what_it_has_less_to_do_at_whatever_else_it_wants_first() {
    let ledger = Ledger::open(fresh()).unwrap();
    let night = join(&ledger, "night", state(0), FOR_EVER).await;
    let of_night = |nvr: i64| if nvr < 4 { 300 } else { 900 };
    let demands =
        |of: &dyn Fn(i64) -> i64| (0..8).map(|nvr| demand(&nvr.to_string(), of(nvr), None)).collect::<Vec<_>>();
    ledger.offer(night, demands(&of_night)).await.unwrap();
    assert_eq!(ledger.claim(night, 9, FOR_EVER).await.unwrap().len(), 8);
    let served = (0..8).map(|nvr| (NvrId::new(&nvr.to_string()), vec![device(nvr)])).collect();
    let job = HostJob::new("day".to_owned(), &BTreeMap::new());
    let day = ledger.join(Joining { job, served, ..joining("day", state(0), FOR_EVER) }).await.unwrap().host;
    ledger.offer(day, demands(&|nvr| if nvr < 4 { 900 } else { 60 })).await.unwrap();
    let wanted = ledger.beat(night, state(0), FOR_EVER).await.unwrap().wanted;
    assert_eq!(wanted.keys().map(NvrId::as_str).collect::<Vec<_>>(), ["4", "5", "6", "7"]);
}

/// A job that came while its host took the NVR from a dead one may say that the dead one has it.
#[tokio::test]
#[ignore = "needs postgres"]
async fn what_a_host_leaves_is_free_whoever_is_said_to_have_it() {
    let place = fresh();
    let ledger = Ledger::open(&place).unwrap();
    let one = join(&ledger, "one", state(0), FOR_EVER).await;
    ledger.offer(one, vec![demand("1", 60, None), demand("2", 60, None)]).await.unwrap();
    assert_eq!(ledger.claim(one, 9, FOR_EVER).await.unwrap().len(), 2);
    server().psql(&database(&place), "UPDATE nvr_job SET held_by = -1 WHERE nvr = '1'");
    let two = join(&ledger, "two", state(0), FOR_EVER).await;
    assert_eq!(ledger.claim(two, 9, FOR_EVER).await.unwrap(), []);
    ledger.leave(one).await.unwrap();
    assert_eq!(ledger.claim(two, 9, FOR_EVER).await.unwrap().len(), 2);
}

/// It has something to do at one of two NVRs that another job's host holds: for that it waits, and for the other one it does not.
#[tokio::test]
#[ignore = "needs postgres"]
async fn a_host_that_joins_waits_for_what_is_held_if_it_has_anything_to_do_there() {
    let (ledger, [night, _]) = two_jobs().await;
    let leases = ledger.claim(night, 9, FOR_EVER).await.unwrap();
    let served = [2, 3].map(|number: i64| (NvrId::new(&number.to_string()), vec![device(number)])).into();
    let job = HostJob::new("another incident".to_owned(), &BTreeMap::new());
    let late = ledger.join(Joining { job, served, ..joining("late", state(0), FOR_EVER) }).await.unwrap().host;
    ledger.offer(late, vec![demand("2", 30, None), demand("3", 0, None)]).await.unwrap();
    assert_eq!(told(&ledger, late).await, [0, 1, 1]);
    assert_eq!(ledger.claim(late, 9, FOR_EVER).await.unwrap(), []);
    let given = leases.into_iter().map(|lease| GivenBack { rest: Some(demand(lease.nvr.as_str(), 300, None)), lease });
    ledger.give_back(night, given.collect()).await.unwrap();
    assert_eq!(told(&ledger, late).await, [1, 0, 1]);
    assert_eq!(names(&ledger.claim(late, 9, FOR_EVER).await.unwrap()), ["2"]);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_host_is_told_what_others_wait_for_that_have_streams_to_spare() {
    let (ledger, [night, incident]) = two_jobs().await;
    ledger.beat(incident, state(600), FOR_EVER).await.unwrap();
    assert_eq!(ledger.claim(night, 9, FOR_EVER).await.unwrap().len(), 3, "who has enough to do waits for nothing");
    assert_eq!(ledger.beat(night, state(0), FOR_EVER).await.unwrap().wanted, BTreeMap::new());
    ledger.beat(incident, state(0), FOR_EVER).await.unwrap();
    let shared = ledger.beat(night, state(0), FOR_EVER).await.unwrap();
    assert_eq!(shared.wanted, BTreeMap::from([(NvrId::new("1"), 60)]), "and not where they have more to do");
    assert_eq!((shared.living, shared.hosts.len()), (2, 1), "hosts with other jobs take no part of this one's work");
    ledger.leave(incident).await.unwrap();
    assert_eq!(ledger.beat(night, state(0), FOR_EVER).await.unwrap().wanted, BTreeMap::new());
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_camera_is_leased_with_one_nvr_for_as_long_as_anybody_is_at_work() {
    let place = fresh();
    let ledger = Ledger::open(&place).unwrap();
    let served = |nvrs: &[(&str, &[i64])]| -> BTreeMap<NvrId, Vec<DeviceId>> {
        nvrs.iter()
            .map(|(nvr, devices)| (NvrId::new(nvr), devices.iter().map(|&number| device(number)).collect()))
            .collect()
    };
    let joins = async |what: &str, nvrs: &[(&str, &[i64])]| {
        let job = HostJob::new(what.to_owned(), &BTreeMap::new());
        ledger.join(Joining { job, served: served(nvrs), ..joining(what, state(0), FOR_EVER) }).await.unwrap()
    };
    let first = joins("night", &[("device 1", &[1]), ("device 2", &[2])]).await;
    assert_eq!(first.renamed, BTreeMap::new());
    // Meanwhile it was learned that both hang off one recorder, with a third that the first job does not ask for.
    let second = joins("night", &[("recorder", &[1, 2])]).await;
    let expected = |numbers: &[i64]| -> BTreeMap<DeviceId, NvrId> {
        numbers.iter().map(|&number| (device(number), NvrId::new(&format!("device {number}")))).collect()
    };
    assert_eq!(second.renamed, expected(&[1, 2]));
    let other_job = joins("incident", &[("recorder", &[2, 3])]).await;
    assert_eq!(other_job.renamed, expected(&[2]));
    let named = "SELECT job = 0, nvr, devices FROM nvr_job ORDER BY nvr, devices";
    assert_eq!(
        server().psql(&database(&place), named).trim(),
        "f|device 1|{1}\nf|device 2|{2}\nf|device 2|{2}\nf|recorder|{3}"
    );
    for host in [first.host, second.host, other_job.host] {
        ledger.leave(host).await.unwrap();
    }
    assert_eq!(joins("night", &[("recorder", &[1, 2])]).await.renamed, BTreeMap::new(), "nobody leased it any more");
    // One that is not heard of any more may only be asleep.
    server().psql(&database(&place), "UPDATE host SET until = seen WHERE left_at IS NULL");
    assert_eq!(
        joins("incident", &[("device 1", &[1])]).await.renamed,
        BTreeMap::from([(device(1), NvrId::new("recorder"))])
    );
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn time_that_only_a_later_host_was_asked_for_is_to_be_done_although_the_nvr_was_finished() {
    let ledger = Ledger::open(fresh()).unwrap();
    let joins = async |seconds: i64| {
        let asked = BTreeMap::from([(device(1), RangeSet::from(range(DAY, DAY + seconds)))]);
        let job = HostJob::new("the last hour".to_owned(), &asked);
        ledger.join(Joining { job, ..joining("a", state(0), FOR_EVER) }).await.unwrap().host
    };
    let early = joins(600).await;
    assert_eq!(ledger.is_asked_like_others(early).await, Ok(true));
    let late = joins(660).await;
    for host in [early, late] {
        assert_eq!(ledger.is_asked_like_others(host).await, Ok(false));
        ledger.offer(host, vec![demand("1", 600, None)]).await.unwrap();
    }
    let lease = ledger.claim(early, 1, FOR_EVER).await.unwrap().remove(0);
    ledger.give_back(early, vec![GivenBack { lease, rest: None }]).await.unwrap();
    ledger.offer(late, vec![demand("1", 60, None)]).await.unwrap();
    assert_eq!(told(&ledger, late).await, [0, 0, 1]);
    ledger.offer_anew(late, vec![demand("1", 60, None)]).await.unwrap();
    assert_eq!(names(&ledger.claim(late, 1, FOR_EVER).await.unwrap()), ["1"]);
    // Who came after all others had left was asked for another time than nobody.
    ledger.leave(early).await.unwrap();
    ledger.leave(late).await.unwrap();
    let alone = joins(720).await;
    assert_eq!(ledger.is_asked_like_others(alone).await, Ok(true));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn people_are_shown_who_works_and_who_was_not_heard_of_any_more_but_not_who_left() {
    let place = fresh();
    let ledger = Ledger::open(&place).unwrap();
    assert_eq!(ledger.shared_work().await.unwrap().unwrap().hosts, []);
    let works = join(&ledger, "works", state(600), FOR_EVER).await;
    let left = join(&ledger, "left", state(0), FOR_EVER).await;
    ledger.offer(works, vec![demand("1", 600, None), demand("2", 60, None)]).await.unwrap();
    ledger.claim(works, 1, FOR_EVER).await.unwrap();
    ledger.leave(left).await.unwrap();
    let silent = join(&ledger, "silent", state(5), FOR_NOTHING).await;
    let taken_over = join(&ledger, "taken over", state(0), FOR_NOTHING).await;
    ledger.claim(taken_over, 1, FOR_NOTHING).await.unwrap();
    ledger.claim(works, 9, FOR_EVER).await.unwrap();
    let told = Ledger::open_read_only(&place).unwrap().shared_work().await.unwrap().unwrap();
    let hosts: Vec<_> =
        told.hosts.iter().map(|host| (host.host, host.name.as_str(), host.is_alive, host.nvrs)).collect();
    assert_eq!(hosts, [(works, "works", true, 2), (silent, "silent", false, 0), (taken_over, "taken over", false, 0)]);
    assert_eq!((told.free.nvrs, told.leased.nvrs, told.leased.seconds, told.finished.nvrs), (0, 2, 600, 0));
    assert!(told.hosts.iter().all(|host| host.pid == std::process::id() && host.seen >= host.joined));
    // After a day nobody needs to know.
    let change = "UPDATE host SET seen = seen - INTERVAL '2 days', until = until - INTERVAL '2 days'";
    super::engines::server().psql(&database(&place), change);
    assert_eq!(ledger.shared_work().await.unwrap().unwrap().hosts.len(), 1, "but who works is shown");
}

/// Two cameras of one NVR that a paused host had, and another one has.
async fn taken_over() -> (Ledger, Ledger, [Lease; 2]) {
    let place = fresh();
    let (paused, heir) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let a = join(&paused, "a", state(0), FOR_NOTHING).await;
    let b = join(&heir, "b", state(0), FOR_EVER).await;
    paused.ask(vec![(device(1), RangeSet::from(range(DAY, DAY + 3600)))]).await.unwrap();
    paused.offer(a, vec![demand("nvr", 3600, None)]).await.unwrap();
    let old = paused.claim(a, 1, FOR_NOTHING).await.unwrap().remove(0);
    paused.guard(&[device(1)], &old);
    let before = recording(1, DAY, DAY + 600);
    paused.add_recording(before).await.expect("it still stands: nobody has taken it");
    // It is waited for no longer, so another one that asks finds it dead.
    let new = heir.claim(b, 1, FOR_EVER).await.unwrap().remove(0);
    heir.guard(&[device(1)], &new);
    assert_eq!((old.epoch, new.epoch), (1, 2));
    assert_eq!(paused.beat(a, state(0), FOR_EVER).await, Err(LedgerError::HostLost { host: a }));
    assert_eq!(paused.claim(a, 1, FOR_EVER).await, Err(LedgerError::HostLost { host: a }));
    (paused, heir, [old, new])
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_host_that_lost_its_lease_commits_nothing() {
    let (paused, heir, [old, _]) = taken_over().await;
    let run = paused.begin_run(start(DAY)).await.unwrap();
    let lost = Err(LedgerError::LeaseLost { nvr: old.nvr.clone() });
    let file = || recording(1, DAY + 600, DAY + 1200);
    let missed = || attempt(DAY, Outcome::Empty, None);
    let part = || range(DAY + 600, DAY + 1200);
    assert_eq!(paused.add_recording(file()).await, lost);
    assert_eq!(paused.record_archived(run, missed(), file(), None).await, lost);
    assert_eq!(paused.record_missed(run, window(1, DAY + 600, DAY + 1200), missed()).await, lost);
    let cause = Cause::NvrOffline;
    assert_eq!(paused.mark_missing(device(1), part().into(), cause, UtcSecond::new(DAY)).await, lost);
    assert_eq!(paused.withdraw(device(1), part()).await, lost);
    assert_eq!(paused.ask(vec![(device(1), RangeSet::from(range(DAY + 3600, DAY + 7200)))]).await, lost);
    assert_eq!(paused.set_zone(vec![device(1)], chrono_tz::Europe::Berlin).await, lost);
    let path = "1/2026-11-20/1_20261120T080000+0800_600s.flv".to_owned();
    assert_eq!(paused.note_publishing(Source::Nvr, path.clone()).await, lost);
    assert_eq!(paused.forget_publishing(path).await, lost);
    assert_eq!(paused.prune(vec![recording(1, DAY, DAY + 600)]).await, lost);
    assert_eq!(
        paused.note_aside(recording(1, DAY, DAY + 600), String::new(), String::new()).await,
        lost.map(|()| true)
    );
    // Nothing of all that is there, and the heir goes on.
    let missing = heir.missing(vec![device(1)], range(DAY, DAY + 7200)).await.unwrap().remove(&device(1)).unwrap();
    assert_eq!(
        missing.iter().map(|part| (part.range, part.attempts)).collect::<Vec<_>>(),
        [(range(DAY + 600, DAY + 3600), 0)]
    );
    heir.add_recording(file()).await.unwrap();
    assert_eq!(heir.publishing(Source::Nvr).await.unwrap(), Vec::<String>::new());
    // Another camera's, which nobody leases, may be written as before.
    paused.ask(vec![(device(2), RangeSet::from(range(DAY, DAY + 60)))]).await.unwrap();
}

/// Two that were cut off together: the first that is back leaves the other its time.
#[tokio::test]
#[ignore = "needs postgres"]
async fn a_host_that_joins_again_takes_nothing_from_one_that_may_have_been_cut_off_with_it() {
    let place = fresh();
    let (slow, quick) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    let a = join(&slow, "a", state(0), FOR_EVER).await;
    slow.offer(a, vec![demand("nvr", 3600, None)]).await.unwrap();
    let lease = slow.claim(a, 1, FOR_EVER).await.unwrap().remove(0);
    slow.guard(&[device(1)], &lease);
    slow.ask(vec![(device(1), RangeSet::from(range(DAY, DAY + 3600)))]).await.unwrap();
    // With a lease that is over however lately the server itself began.
    let long_ago = "UPDATE host SET seen = seen - INTERVAL '2 h', until = seen - INTERVAL '2 h' + INTERVAL '1 ms'";
    server().psql(&database(&place), long_ago);
    let again = quick.join(Joining { again: true, ..joining("b", state(0), FOR_EVER) }).await.unwrap().host;
    // As if it were this moment, however long the rest takes here.
    let just_now = format!("UPDATE host SET joined = joined + INTERVAL '1 h' WHERE host = {}", again.get());
    server().psql(&database(&place), &just_now);
    assert_eq!(quick.claim(again, 1, FOR_EVER).await.unwrap(), []);
    assert_eq!(quick.beat(again, state(0), FOR_EVER).await.unwrap().leased.nvrs, 1);
    slow.add_recording(recording(1, DAY, DAY + 600)).await.expect("what it had in its hands");
    // One that was not cut off knows that the other one is dead.
    let new = join(&quick, "c", state(0), FOR_EVER).await;
    assert_eq!(names(&quick.claim(new, 1, FOR_EVER).await.unwrap()), ["nvr"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn two_that_write_about_one_camera_at_once_do_so_one_after_the_other() {
    let place = fresh();
    let ledgers: Vec<Arc<Ledger>> = (0..3).map(|_| Arc::new(Ledger::open(&place).unwrap())).collect();
    let mut writing = Vec::new();
    for (i, ledger) in ledgers.iter().enumerate() {
        for step in 0..40i64 {
            let ledger = Arc::clone(ledger);
            writing.push(tokio::spawn(async move {
                // Each part three times, by three hosts.
                let part = range(DAY + step * 60, DAY + step * 60 + 90);
                ledger.ask(vec![(device(1), part.into()), (device(2), part.into())]).await.unwrap();
                let added = ledger.add_recording(recording(1, DAY + step * 60, DAY + step * 60 + 60)).await;
                (i, added.is_ok())
            }));
        }
    }
    let mut added = 0;
    for written in writing {
        added += i64::from(written.await.unwrap().1);
    }
    assert_eq!(added, 40, "each file is one host's");
    let devices = vec![device(1), device(2)];
    let totals = ledgers[0].totals(devices, range(DAY, DAY + 7200)).await.unwrap();
    assert_eq!((totals.asked_seconds, totals.archived_seconds), (2 * (39 * 60 + 90), 40 * 60));
    assert_eq!(totals.missing_seconds.values().sum::<i64>(), 30 + 39 * 60 + 90);
    assert_eq!(ledgers[0].gaps(GapQuery::default()).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn a_server_that_crashes_in_the_midst_loses_nothing_and_is_told_nothing_twice() {
    let server = Arc::new(Server::start());
    let place = LedgerPlace::parse(&server.database()).unwrap();
    let ledger = Arc::new(Ledger::open(&place).unwrap());
    let run = ledger.begin_run(start(DAY)).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let writers = (1..5i64).map(|number| {
        let (ledger, over) = (Arc::clone(&ledger), Arc::clone(&over));
        tokio::spawn(async move {
            let mut windows = 0;
            while !over.load(Ordering::Relaxed) {
                let from = DAY + windows * 60;
                ledger.ask(vec![(device(number), range(from, from + 60).into())]).await.unwrap();
                // An overlap would be this very file, told twice.
                let file = recording(number, from, from + 60);
                ledger.record_archived(run, attempt(from, Outcome::Empty, None), file, None).await.unwrap();
                windows += 1;
            }
            windows
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..4 {
        let before = archived(&ledger).await;
        while archived(&ledger).await < before + 1200 {
            tokio::task::yield_now().await;
        }
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.crash_and_restart()).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let mut windows = 0;
    for writer in writers {
        windows += writer.await.unwrap();
    }
    assert_eq!(archived(&ledger).await, windows * 60);
    let told = server.psql(&database(&place), "SELECT count(*), count(DISTINCT (device, start)) FROM attempt");
    assert_eq!(told.trim(), format!("{windows}|{windows}"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn one_process_takes_files_out_and_finds_out_when_its_connection_is_lost() {
    let server = Arc::new(Server::start());
    let place = LedgerPlace::parse(&server.database()).unwrap();
    let (one, two) = (Ledger::open(&place).unwrap(), Ledger::open(&place).unwrap());
    const NOW: UpkeepPatience = UpkeepPatience { others: Duration::ZERO, own: Duration::from_millis(500) };
    const LATER: UpkeepPatience = UpkeepPatience { others: FOR_EVER, ..NOW };
    let held = |ledger: &Ledger| LedgerError::UpkeepHeld { ledger: ledger.name.clone() };
    one.hold_upkeep(NOW).await.unwrap();
    assert_eq!(two.hold_upkeep(NOW).await, Err(held(&two)));
    one.release_upkeep();
    two.hold_upkeep(LATER).await.unwrap();
    two.ask(vec![(device(1), range(DAY, DAY + 600).into())]).await.unwrap();
    two.add_recording(recording(1, DAY, DAY + 600)).await.unwrap();
    let note =
        async |ledger: &Ledger| ledger.note_aside(recording(1, DAY, DAY + 600), String::new(), String::new()).await;

    let crash = || {
        let server = Arc::clone(&server);
        async move { tokio::task::spawn_blocking(move || server.crash_and_restart()).await.unwrap() }
    };
    // Nobody else wants it: it is taken anew.
    crash().await;
    assert_eq!(note(&two).await, Ok(true));
    assert_eq!(one.hold_upkeep(NOW).await, Err(held(&one)));

    // Somebody else was faster.
    crash().await;
    one.hold_upkeep(LATER).await.unwrap();
    assert_eq!(note(&two).await, Err(held(&two)));
}

async fn archived(ledger: &Ledger) -> i64 {
    ledger.archived_seconds().await.unwrap()
}

fn database(place: &LedgerPlace) -> String {
    let shown = place.to_string();
    shown.rsplit('/').next().expect("an address has a database").to_owned()
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn what_cannot_be_opened_says_why_without_the_password() {
    let place = fresh();
    let there_is_none = Ledger::open_read_only(&place).err();
    assert!(matches!(there_is_none, Some(LedgerError::NotThere { .. })), "{there_is_none:?}");
    assert_eq!(Ledger::is_there(&place), Ok(false));
    drop(Ledger::open(&place).unwrap());
    assert_eq!(Ledger::is_there(&place), Ok(true));
    let ledger = Ledger::open_read_only(&place).unwrap();
    assert_eq!(ledger.is_whole(Duration::from_secs(1)).await, Ok(true));
    let refused = ledger.ask(vec![(device(1), range(DAY, DAY + 1).into())]).await;
    assert!(matches!(refused, Err(LedgerError::ReadOnly { .. })), "{refused:?}");

    let url = address().replace("archive@", "archive:hush@").replace("/test", "/no");
    let nowhere = Ledger::open(LedgerPlace::parse(&url).unwrap()).err().unwrap().to_string();
    assert!(nowhere.contains("createdb") && !nowhere.contains("hush"), "{nowhere}");
    let away = LedgerPlace::parse("postgres://archive:hush@127.0.0.1:1/db").unwrap();
    let away = Ledger::open(away).err().unwrap();
    assert!(matches!(away, LedgerError::Unreachable { .. }), "{away:?}");
    assert!(!away.to_string().contains("hush"), "{away}");
}
