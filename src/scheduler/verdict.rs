//! What an outcome asks for next: one pure function over every outcome.

use crate::outcome::{Class, Outcome};
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Cause;

use super::Policy;
use super::queue::Task;

/// A hole is known to the minute: a window is halved no further than this.
const SMALLEST_PART_SECONDS: i64 = 60;

/// What happens to a window after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is left of it.
    Done,
    /// It is the next of its camera again: it was not its fault, and somebody else is held back.
    Front(Task),
    /// It is the next of its camera again, which is left alone for a while.
    HoldCamera(Task),
    /// It is tried again after the camera's other windows, when the delay for that many failures is over.
    Later { task: Task, failures: u32 },
    /// The same is asked again, some time later.
    Recheck(Task),
    /// Both parts are asked for, one by one.
    Parts([Task; 2]),
    /// It is a gap for this run.
    GiveUp { range: TimeRange, cause: Cause },
    /// It is a gap for this run, and so is all that is left of its camera.
    GiveUpCamera { range: TimeRange, cause: Cause },
    /// No window will fare better: the account is refused.
    StopRun,
}

/// What to do with a window whose attempt came to `outcome`.
pub(super) fn next(task: Task, outcome: &Outcome, policy: &Policy) -> Next {
    match *outcome {
        Outcome::Archived => Next::Done,
        Outcome::Prefix { until } => match TimeRange::new(until, task.range.end()) {
            // Each prefix is a minute or more, so this ends; a stream that broke says nothing about its rest.
            Some(rest) => Next::Later { task: Task { failures: 0, ..task.with_range(rest) }, failures: 1 },
            None => Next::Done,
        },
        Outcome::Broken => later(task, policy, Cause::CutShort),
        Outcome::Unusable => later(task, policy, Cause::Failed),
        Outcome::Short { media_seconds } => shorter(task, media_seconds, policy),
        Outcome::Empty => shorter(task, 0, policy),
        Outcome::Cancelled => Next::Front(task),
        Outcome::Missed(class) => missed(task, class, policy),
    }
}

fn missed(task: Task, class: Class, policy: &Policy) -> Next {
    match class {
        Class::CameraBusy => busy(task, policy, Next::HoldCamera),
        Class::NvrFull | Class::NvrOverloaded => busy(task, policy, Next::Front),
        // How often an NVR may be offline is the NVR's count, not the window's.
        Class::NvrOffline => Next::Front(task),
        Class::CameraTrouble | Class::Transient | Class::Go | Class::Repeated | Class::ClockWrong => {
            later(task, policy, Cause::Failed)
        }
        Class::UserRefused | Class::DeviceRefused => Next::GiveUpCamera { range: task.range, cause: Cause::Refused },
        Class::TokenRefused | Class::AccountRefused => Next::StopRun,
    }
}

fn later(task: Task, policy: &Policy, cause: Cause) -> Next {
    let failures = task.failures + 1;
    if failures >= policy.attempts {
        return Next::GiveUp { range: task.range, cause };
    }
    Next::Later { task: Task { failures, ..task }, failures }
}

fn busy(task: Task, policy: &Policy, back: fn(Task) -> Next) -> Next {
    let busy = task.busy + 1;
    if busy >= policy.busy_attempts {
        return Next::GiveUp { range: task.range, cause: Cause::NvrBusy };
    }
    back(Task { busy, ..task })
}

/// A clean answer with less footage than asked for; `media` is 0 for none at all. Once is chance: a recorder may still
/// have been writing. Twice the same, some time apart, is a hole, which is then closed in on by halves.
fn shorter(task: Task, media: i64, policy: &Policy) -> Next {
    let agrees = task.confirmed || task.last_short.is_some_and(|last| (last - media).abs() <= policy.tolerance_seconds);
    if !agrees {
        let failures = task.failures + 1;
        if failures >= policy.attempts {
            return Next::GiveUp { range: task.range, cause: Cause::CutShort };
        }
        return Next::Recheck(Task { last_short: Some(media), failures, ..task });
    }
    let gone = Next::GiveUp { range: task.range, cause: Cause::NoFootage };
    if media == 0 {
        return gone;
    }
    match halves(task.range) {
        // OK to take the parts as confirmed: both answers for the whole already said that footage is missing in it.
        Some(parts) => Next::Parts(parts.map(|part| Task { confirmed: true, ..Task::new(part) })),
        None => gone,
    }
}

/// The parts of a range cut at the whole minute nearest to its middle; nothing for a minute or less.
fn halves(range: TimeRange) -> Option<[TimeRange; 2]> {
    if range.seconds() <= SMALLEST_PART_SECONDS {
        return None;
    }
    let middle = range.start().get() + range.seconds() / 2;
    let nearest = (middle + SMALLEST_PART_SECONDS / 2).div_euclid(SMALLEST_PART_SECONDS) * SMALLEST_PART_SECONDS;
    let (first, second) = range.split_at(UtcSecond::new(nearest));
    Some([first, second?])
}
