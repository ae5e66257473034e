//! The ledger against the plainest model of it: one state per second.

use proptest::prelude::*;

use super::super::{Gap, GapQuery, Ledger, RunId};
use super::*;
use crate::picture::State;
use crate::report::{CoverageDay, Totals};
use crate::time_range::RangeSet;
use crate::window::Cause;

/// Short, so that what steps do meets; few causes, so that neighbours are often one gap.
const SPAN: i64 = 24;
const CAUSES: [Cause; 5] = [Cause::NvrBusy, Cause::NvrOffline, Cause::NotTried, Cause::Pruned, Cause::BeingRecorded];
/// How many seconds the model has: no step reaches further.
const SECONDS: usize = SPAN as usize + 20;
/// Its first one. Where the devices are, the clock shows midnight 15 seconds later.
const FIRST: i64 = DAY + 57_600 - 15;
const MIDNIGHT: usize = 15;

/// A stretch of the model's seconds.
fn stretch(from: i64, len: i64) -> TimeRange {
    range(FIRST + from, FIRST + from + len)
}

/// All of them.
fn all() -> TimeRange {
    stretch(0, SECONDS as i64)
}

/// The places of a stretch in the model.
fn places(range: TimeRange) -> std::ops::Range<usize> {
    (range.start().get() - FIRST) as usize..(range.end().get() - FIRST) as usize
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask(Vec<(i64, i64)>),
    Archive {
        from: i64,
        len: i64,
        rest: i64,
    },
    Miss {
        from: i64,
        len: i64,
        outcome: usize,
    },
    Mark {
        from: i64,
        len: i64,
        cause: Cause,
    },
    Adopt {
        from: i64,
        len: i64,
    },
    Withdraw {
        from: i64,
        len: i64,
    },
    Fold {
        younger: i64,
    },
    Reopen,
    /// One of its recordings goes.
    Go {
        which: usize,
        corrupt: bool,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let place = || (0..SPAN, 1..8i64);
    let step = prop_oneof![
        2 => prop::collection::vec((0..SPAN, 1..16i64), 1..3).prop_map(Step::Ask),
        2 => (place(), 0..5i64).prop_map(|((from, len), rest)| Step::Archive { from, len, rest }),
        4 => (place(), 0..OUTCOMES.len()).prop_map(|((from, len), outcome)| Step::Miss { from, len, outcome }),
        2 => (place(), prop::sample::select(CAUSES.to_vec()))
            .prop_map(|((from, len), cause)| Step::Mark { from, len, cause }),
        1 => place().prop_map(|(from, len)| Step::Adopt { from, len }),
        1 => place().prop_map(|(from, len)| Step::Withdraw { from, len }),
        1 => (0..4i64).prop_map(|younger| Step::Fold { younger }),
        2 => (0..8usize, any::<bool>()).prop_map(|(which, corrupt)| Step::Go { which, corrupt }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec((prop_oneof![4 => Just(1), 1 => Just(2)], step), 1..32)
}

const OUTCOMES: [(Outcome, Option<Code>); 5] = [
    (Outcome::Missed(Class::NvrFull), Some(Code::Result(-4))),
    (Outcome::Missed(Class::NvrOffline), Some(Code::Result(1))),
    (Outcome::Missed(Class::Transient), None),
    (Outcome::Empty, None),
    (Outcome::Cancelled, None),
];

#[derive(Clone, Debug, PartialEq)]
struct Lack {
    cause: Cause,
    attempts: u32,
    code: Option<String>,
    tried: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Second {
    asked: bool,
    archived: bool,
    lack: Option<Lack>,
}

pub(super) struct Model {
    devices: [Vec<Second>; 3],
}

impl Model {
    pub(super) fn new() -> Self {
        Self { devices: std::array::from_fn(|_| vec![Second::default(); SECONDS]) }
    }

    fn seconds(&mut self, device: i64, from: i64, len: i64) -> &mut [Second] {
        &mut self.devices[device as usize][from as usize..(from + len) as usize]
    }

    fn ask(&mut self, device: i64, from: i64, len: i64) {
        for second in self.seconds(device, from, len) {
            if !second.asked && !second.archived {
                second.lack = Some(Lack { cause: Cause::NotTried, attempts: 0, code: None, tried: None });
            }
            second.asked = true;
        }
    }

    /// Whether it is possible: recordings never overlap.
    fn archive(&mut self, device: i64, from: i64, len: i64) -> bool {
        let seconds = self.seconds(device, from, len);
        if seconds.iter().any(|second| second.archived) {
            return false;
        }
        for second in seconds {
            second.archived = true;
            second.lack = None;
        }
        true
    }

    fn miss(&mut self, device: i64, from: i64, len: i64, cause: Cause, code: Option<Code>, at: i64) {
        for second in self.seconds(device, from, len) {
            if let Some(lack) = &mut second.lack {
                let code = code.map(|code| code.to_string());
                *lack = Lack { cause, attempts: lack.attempts + 1, code, tried: Some(at) };
            }
        }
    }

    fn withdraw(&mut self, device: i64, from: i64, len: i64) {
        for second in self.seconds(device, from, len) {
            (second.asked, second.lack) = (false, None);
        }
    }

    /// What was archived is asked for from then on, whether or not it was before.
    fn go(&mut self, device: i64, range: TimeRange, lack: Lack) {
        for second in &mut self.devices[device as usize][places(range)] {
            *second = Second { asked: true, archived: false, lack: Some(lack.clone()) };
        }
    }

    fn mark(&mut self, device: i64, from: i64, len: i64, cause: Cause, at: i64) {
        for second in self.seconds(device, from, len) {
            if let Some(lack) = &mut second.lack {
                lack.cause = cause;
                lack.tried = Some(at);
            }
        }
    }
}

fn file(number: i64, range: TimeRange) -> Recording {
    recording(number, range.start().get(), range.end().get())
}

/// Makes a step in both; a refusal must be the same in both.
pub(super) async fn apply(ledger: &Ledger, model: &mut Model, run: RunId, number: i64, step: &Step, at: i64) {
    match *step {
        Step::Ask(ref ranges) => {
            ranges.iter().for_each(|&(from, len)| model.ask(number, from, len));
            let set: RangeSet = ranges.iter().map(|&(from, len)| stretch(from, len)).collect();
            ledger.ask(vec![(device(number), set)]).await.unwrap();
        }
        Step::Archive { from, len, rest } => {
            let possible = model.archive(number, from, len);
            let (whole, code) = (stretch(from, len), Some(Code::Http(200)));
            let outcome = Outcome::Prefix { until: whole.end() };
            let left = (rest > 0).then(|| (stretch(from + len, rest), Cause::CutShort));
            if possible && rest > 0 {
                model.miss(number, from + len, rest, Cause::CutShort, code, at);
            }
            let done = ledger.record_archived(run, attempt(at, outcome, code), file(number, whole), left).await;
            assert_eq!(done.is_ok(), possible, "{done:?}");
        }
        Step::Withdraw { from, len } => {
            model.withdraw(number, from, len);
            ledger.withdraw(device(number), stretch(from, len)).await.unwrap();
        }
        Step::Miss { from, len, outcome } => {
            let (outcome, code) = OUTCOMES[outcome].clone();
            if let Some(cause) = outcome.cause() {
                model.miss(number, from, len, cause, code, at);
            }
            let window = Window { device: device(number), range: stretch(from, len) };
            ledger.record_missed(run, window, attempt(at, outcome, code)).await.unwrap();
        }
        Step::Mark { from, len, cause } => {
            model.mark(number, from, len, cause, at);
            let set = RangeSet::from(stretch(from, len));
            ledger.mark_missing(device(number), set, cause, UtcSecond::new(at)).await.unwrap();
        }
        // Old attempts say nothing of what is asked for, archived or missing.
        Step::Fold { younger } => {
            ledger.fold_attempts(UtcSecond::new(at - younger)).await.unwrap();
        }
        Step::Go { which, corrupt } => {
            let recordings = ledger.recordings_page(device(number), all(), u32::MAX).await.unwrap();
            let Some(gone) = recordings.get(which % recordings.len().max(1)).cloned() else { return };
            let (code, detail) = ("hash".to_owned(), "another".to_owned());
            if corrupt {
                model.go(
                    number,
                    gone.range,
                    Lack { cause: Cause::Corrupt, attempts: 0, code: Some(code.clone()), tried: Some(at) },
                );
                assert!(ledger.note_aside(gone, code, detail).await.unwrap());
                let leaving = ledger.leaving().await.unwrap().pop().unwrap();
                // Once more is fine, as after a crash.
                for _ in 0..2 {
                    ledger.lose(leaving.clone(), UtcSecond::new(at)).await.unwrap();
                }
            } else {
                model.go(number, gone.range, Lack { cause: Cause::Pruned, attempts: 0, code: None, tried: None });
                let path = gone.path.clone();
                ledger.prune(vec![gone.clone(), gone]).await.unwrap();
                ledger.forget_leaving(vec![path]).await.unwrap();
            }
            assert_eq!(ledger.leaving().await.unwrap(), []);
        }
        Step::Adopt { from, len } => {
            let possible = model.archive(number, from, len);
            assert_eq!(ledger.add_recording(file(number, stretch(from, len))).await.is_ok(), possible);
        }
        // For who holds the ledger.
        Step::Reopen => {}
    }
}

fn flags(set: &RangeSet) -> Vec<bool> {
    let mut flags = vec![false; SECONDS];
    for range in set {
        flags[places(*range)].fill(true);
    }
    flags
}

/// The rule, and agreement with the model second by second. Returns the missing rows for the gaps' check.
async fn check_seconds(ledger: &Ledger, model: &Model, number: i64) {
    let only = device(number);
    let asked = flags(&ledger.asked(vec![only], all()).await.unwrap()[&only]);
    let archived = flags(&ledger.archived(vec![only], all()).await.unwrap()[&only]);
    let mut lacks: Vec<Option<(Cause, u32)>> = vec![None; asked.len()];
    for row in &ledger.missing(vec![only], all()).await.unwrap()[&only] {
        for second in places(row.range) {
            let twice = lacks[second].replace((row.cause, row.attempts));
            assert_eq!(twice, None, "second {second} is missing twice");
        }
    }
    for (i, second) in model.devices[number as usize].iter().enumerate() {
        assert_eq!((asked[i], archived[i]), (second.asked, second.archived), "second {i}");
        let lack = second.lack.as_ref().map(|lack| (lack.cause, lack.attempts));
        assert_eq!(lacks[i], lack, "second {i}");
        assert_eq!(asked[i] || archived[i], archived[i] ^ lacks[i].is_some(), "second {i} is in exactly one state");
    }
}

/// The gaps of a device as the model and the rows' attempts give them.
async fn expected_gaps(ledger: &Ledger, model: &Model, number: i64) -> Vec<(TimeRange, Cause, u32, Option<i64>)> {
    let only = device(number);
    let rows = ledger.missing(vec![only], all()).await.unwrap().remove(&only).unwrap();
    let mut gaps: Vec<(TimeRange, Cause, u32, Option<i64>)> = Vec::new();
    for row in rows.iter().filter(|row| row.cause != Cause::Pruned) {
        let tried = model.devices[number as usize][places(row.range)]
            .iter()
            .filter_map(|second| second.lack.as_ref()?.tried)
            .max();
        match gaps.last_mut() {
            Some((held, cause, attempts, latest)) if held.end() == row.range.start() && *cause == row.cause => {
                *held = range(held.start().get(), row.range.end().get());
                *attempts += row.attempts;
                *latest = (*latest).max(tried);
            }
            _ => gaps.push((row.range, row.cause, row.attempts, tried)),
        }
    }
    gaps
}

/// The latest code in a gap: every second's code counts that was tried last.
fn check_code(model: &Model, gap: &Gap) {
    let lacks =
        model.devices[gap.device.get() as usize][places(gap.range)].iter().filter_map(|second| second.lack.as_ref());
    let latest = gap.last_try.map(UtcSecond::get);
    let codes: Vec<_> = lacks.filter(|lack| lack.tried == latest).map(|lack| lack.code.clone()).collect();
    assert!(codes.contains(&gap.last_code), "{gap:?}: {codes:?}");
}

/// What the ledger says are gaps, against the model.
async fn check_gaps(ledger: &Ledger, model: &Model) {
    let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
    let mut expected = Vec::new();
    for number in 1..3 {
        let own = expected_gaps(ledger, model, number).await;
        expected.extend(own.into_iter().map(|gap| (device(number), gap)));
    }
    let found: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.device, (gap.range, gap.cause, gap.attempts, gap.last_try.map(UtcSecond::get))))
        .collect();
    assert_eq!(found, expected);
    for gap in &gaps {
        check_code(model, gap);
        assert_eq!(gap.from_utc, gap.range.start().to_string());
        assert_eq!(gap.to_utc, gap.range.end().to_string());
        let local = (gap.range.start() + 8 * 3600).to_string().replace('T', " ").replace('Z', "+08:00");
        assert_eq!(gap.from_local, local);
    }
}

/// What is counted, against the model: a camera's days, the sums over cameras, and the files.
async fn check_counts(ledger: &Ledger, model: &Model, numbers: &[i64]) {
    let (mut days, mut totals) = (Vec::new(), Totals::default());
    for &number in numbers {
        let seconds = &model.devices[number as usize];
        for (day, part) in [("2026-11-20", &seconds[..MIDNIGHT]), ("2026-11-21", &seconds[MIDNIGHT..])] {
            let is_pruned = |second: &&Second| second.lack.as_ref().is_some_and(|lack| lack.cause == Cause::Pruned);
            let pruned_seconds = part.iter().filter(is_pruned).count() as i64;
            // What was pruned counts neither as asked for nor as missing.
            let asked_seconds = part.iter().filter(|second| second.asked).count() as i64 - pruned_seconds;
            let archived_seconds = part.iter().filter(|second| second.asked && second.archived).count() as i64;
            if asked_seconds > 0 {
                let percent = (archived_seconds * 10_000 / asked_seconds) as f64 / 100.0;
                let day = day.parse().expect("a date");
                days.push(CoverageDay { device: device(number), day, asked_seconds, archived_seconds, percent });
            }
            totals.asked_seconds += asked_seconds;
            totals.archived_seconds += archived_seconds;
            totals.pruned_seconds += pruned_seconds;
        }
        for lack in seconds.iter().filter_map(|second| second.lack.as_ref()) {
            if lack.cause != Cause::Pruned {
                *totals.missing_seconds.entry(lack.cause).or_default() += 1;
            }
        }
        let files = ledger.recordings_overlapping(device(number), all()).await.unwrap();
        let flags: Vec<bool> = seconds.iter().map(|second| second.archived).collect();
        assert_eq!(self::flags(&files.iter().map(|file| file.range).collect()), flags, "files");
        assert_eq!(
            files.iter().map(|file| file.range.seconds()).sum::<i64>(),
            flags.iter().filter(|&&is| is).count() as i64
        );
    }
    let devices: Vec<DeviceId> = numbers.iter().map(|&number| device(number)).collect();
    let (first, last) = ("2026-11-19".parse().expect("a date"), "2026-11-22".parse().expect("a date"));
    assert_eq!(ledger.coverage(Some(devices.clone()), first, last).await.unwrap(), days);
    assert_eq!(ledger.totals(devices, all()).await.unwrap(), totals);
    let live = |number: &i64| {
        let seconds = model.devices[*number as usize].iter();
        let is_live = |second: &Second| second.lack.as_ref().is_some_and(|lack| lack.cause == Cause::BeingRecorded);
        (device(*number), seconds.map(is_live).collect::<Vec<bool>>())
    };
    let recorded = ledger.being_recorded().await.unwrap();
    let recorded: Vec<_> = recorded.iter().map(|(&device, set)| (device, flags(set))).collect();
    let expected: Vec<_> = numbers.iter().map(live).filter(|(_, flags)| flags.contains(&true)).collect();
    assert_eq!(recorded, expected);
}

fn view_rows(scratch: &Scratch) -> Vec<Vec<String>> {
    let shell = scratch.shell();
    let mut statement = shell
        .prepare("SELECT device, from_utc, to_utc, from_local, to_local, seconds, cause, attempts, last_code, last_try FROM gaps ORDER BY device, from_utc")
        .unwrap();
    let rows = statement
        .query_map([], |row| {
            (0..10)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                        rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        _ => "-".to_owned(),
                    })
                })
                .collect()
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn as_view_row(gap: &Gap) -> Vec<String> {
    let nothing = || "-".to_owned();
    vec![
        gap.device.to_string(),
        gap.from_utc.clone(),
        gap.to_utc.clone(),
        gap.from_local.clone(),
        gap.to_local.clone(),
        gap.seconds.to_string(),
        gap.cause.to_string(),
        gap.attempts.to_string(),
        gap.last_code.clone().unwrap_or_else(nothing),
        gap.last_try.map_or_else(nothing, |at| at.to_string()),
    ]
}

/// What a picture is made of is what is said of gaps, recordings and sums.
async fn check_told(ledger: &Ledger) {
    let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
    for number in [1, 2].map(device) {
        let told = ledger.told(vec![number], all()).await.unwrap().remove(&number).unwrap();
        let gaps = gaps.iter().filter(|gap| gap.device == number);
        let missing =
            |gap: &Gap| State::Missing { cause: gap.cause, attempts: gap.attempts, last_code: gap.last_code.clone() };
        let mut expected: Vec<_> = gaps.map(|gap| (gap.range, missing(gap))).collect();
        for file in ledger.recordings_overlapping(number, all()).await.unwrap() {
            expected.push((file.range, State::Named { path: file.path }));
        }
        expected.sort();
        let found = told.stretches.iter().filter(|stretch| stretch.state != State::Pruned);
        let found: Vec<_> = found.map(|stretch| (stretch.range, stretch.state.clone())).collect();
        assert_eq!(found, expected);
        let totals = ledger.totals(vec![number], all()).await.unwrap();
        assert_eq!(told.asked_seconds, totals.asked_seconds + totals.pruned_seconds);
        let pruned = told.stretches.iter().filter(|stretch| stretch.state == State::Pruned);
        assert_eq!(pruned.map(|stretch| stretch.range.seconds()).sum::<i64>(), totals.pruned_seconds);
    }
}

/// All that the model tells, of which the device alone whose seconds were changed.
pub(super) async fn check_all(ledger: &Ledger, model: &Model, changed: i64) {
    check_seconds(ledger, model, changed).await;
    check_gaps(ledger, model).await;
    check_counts(ledger, model, &[1, 2]).await;
}

/// Fewer than usual, since each has a file of its own and waits for the disk; as many as PROPTEST_CASES says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_second_is_in_the_state_that_a_flag_per_second_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scratch = Scratch::new();
            let mut ledger = scratch.open();
            let run = ledger.begin_run(start(0)).await.unwrap();
            let mut model = Model::new();
            for (at, (number, step)) in steps.iter().enumerate() {
                if matches!(step, Step::Reopen) {
                    drop(ledger);
                    ledger = scratch.open();
                }
                apply(&ledger, &mut model, run, *number, step, 1_000 + at as i64).await;
                check_all(&ledger, &model, *number).await;
            }

            check_told(&ledger).await;
            let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
            assert_eq!(gaps.iter().map(as_view_row).collect::<Vec<_>>(), view_rows(&scratch));
        });
    }
}
