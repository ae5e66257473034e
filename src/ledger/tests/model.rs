//! The ledger against the plainest model of it: one state per second.

use proptest::prelude::*;

use super::super::{Gap, GapQuery, Ledger, RunId};
use super::*;
use crate::time_range::RangeSet;
use crate::window::Cause;

/// Short, so that what steps do meets; few causes, so that neighbours are often one gap.
const SPAN: i64 = 24;
const CAUSES: [Cause; 4] = [Cause::NvrBusy, Cause::NvrOffline, Cause::NotTried, Cause::Pruned];

#[derive(Clone, Debug)]
enum Step {
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
    /// One of its recordings goes.
    Go {
        which: usize,
        corrupt: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
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

struct Model {
    devices: [Vec<Second>; 3],
}

impl Model {
    fn new() -> Self {
        Self { devices: std::array::from_fn(|_| vec![Second::default(); (SPAN + 20) as usize]) }
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
        for second in self.seconds(device, range.start().get(), range.seconds()) {
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

/// Makes a step in both; a refusal must be the same in both.
async fn apply(ledger: &Ledger, model: &mut Model, run: RunId, number: i64, step: &Step, at: i64) {
    match *step {
        Step::Ask(ref ranges) => {
            ranges.iter().for_each(|&(from, len)| model.ask(number, from, len));
            let set: RangeSet = ranges.iter().map(|&(from, len)| range(from, from + len)).collect();
            ledger.ask(vec![(device(number), set)]).await.unwrap();
        }
        Step::Archive { from, len, rest } => {
            let possible = model.archive(number, from, len);
            let (end, code) = (from + len, Some(Code::Http(200)));
            let outcome = Outcome::Prefix { until: UtcSecond::new(end) };
            let left = (rest > 0).then(|| (range(end, end + rest), Cause::CutShort));
            if possible && rest > 0 {
                model.miss(number, end, rest, Cause::CutShort, code, at);
            }
            let done =
                ledger.record_archived(run, attempt(at, outcome, code), recording(number, from, end), left).await;
            assert_eq!(done.is_ok(), possible, "{done:?}");
        }
        Step::Withdraw { from, len } => {
            model.withdraw(number, from, len);
            ledger.withdraw(device(number), range(from, from + len)).await.unwrap();
        }
        Step::Miss { from, len, outcome } => {
            let (outcome, code) = OUTCOMES[outcome].clone();
            if let Some(cause) = outcome.cause() {
                model.miss(number, from, len, cause, code, at);
            }
            let window = window(number, from, from + len);
            ledger.record_missed(run, window, attempt(at, outcome, code)).await.unwrap();
        }
        Step::Mark { from, len, cause } => {
            model.mark(number, from, len, cause, at);
            let set = RangeSet::from(range(from, from + len));
            ledger.mark_missing(device(number), set, cause, UtcSecond::new(at)).await.unwrap();
        }
        // Old attempts say nothing of what is asked for, archived or missing.
        Step::Fold { younger } => {
            ledger.fold_attempts(UtcSecond::new(at - younger)).await.unwrap();
        }
        Step::Go { which, corrupt } => {
            let recordings = ledger.recordings_page(device(number), range(0, SPAN + 20), u32::MAX).await.unwrap();
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
            assert_eq!(ledger.add_recording(recording(number, from, from + len)).await.is_ok(), possible);
        }
    }
}

fn flags(set: &RangeSet) -> Vec<bool> {
    let mut flags = vec![false; (SPAN + 20) as usize];
    for range in set {
        flags[range.start().get() as usize..range.end().get() as usize].fill(true);
    }
    flags
}

/// The rule, and agreement with the model second by second. Returns the missing rows for the gaps' check.
async fn check_seconds(ledger: &Ledger, model: &Model, number: i64) {
    let all = range(0, SPAN + 20);
    let only = device(number);
    let asked = flags(&ledger.asked(vec![only], all).await.unwrap()[&only]);
    let archived = flags(&ledger.archived(vec![only], all).await.unwrap()[&only]);
    let mut lacks: Vec<Option<(Cause, u32)>> = vec![None; asked.len()];
    for row in &ledger.missing(vec![only], all).await.unwrap()[&only] {
        for second in row.range.start().get()..row.range.end().get() {
            let twice = lacks[second as usize].replace((row.cause, row.attempts));
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
    let rows = ledger.missing(vec![only], range(0, SPAN + 20)).await.unwrap().remove(&only).unwrap();
    let mut gaps: Vec<(TimeRange, Cause, u32, Option<i64>)> = Vec::new();
    for row in rows.iter().filter(|row| row.cause != Cause::Pruned) {
        let seconds = row.range.start().get() as usize..row.range.end().get() as usize;
        let tried =
            model.devices[number as usize][seconds].iter().filter_map(|second| second.lack.as_ref()?.tried).max();
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
    let seconds = gap.range.start().get() as usize..gap.range.end().get() as usize;
    let lacks = model.devices[gap.device.get() as usize][seconds].iter().filter_map(|second| second.lack.as_ref());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_second_is_in_the_state_that_a_flag_per_second_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scratch = Scratch::new();
            let ledger = scratch.open();
            let run = ledger.begin_run(start(0)).await.unwrap();
            let mut model = Model::new();
            for (at, (number, step)) in steps.iter().enumerate() {
                apply(&ledger, &mut model, run, *number, step, 1_000 + at as i64).await;
                check_seconds(&ledger, &model, *number).await;
                check_gaps(&ledger, &model).await;
            }

            let gaps = ledger.gaps(GapQuery::default()).await.unwrap();
            assert_eq!(gaps.iter().map(as_view_row).collect::<Vec<_>>(), view_rows(&scratch));
        });
    }
}
