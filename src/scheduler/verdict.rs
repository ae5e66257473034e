//! What an outcome asks for next: one pure function over every outcome.

use crate::outcome::{Class, Outcome};
use crate::time_range::TimeRange;
use crate::window::Cause;

use super::Policy;
use super::queue::Task;

/// What happens to a window after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is left of it.
    Done(Task),
    /// Its first part is archived; the rest is tried again after the first delay.
    Rest { task: Task, rest: Task },
    /// It is the next of its camera again: it was not its fault, and somebody else is held back.
    Front(Task),
    /// It is the next of its camera again, which is left alone for a while; when that has been so for too long, all that is
    /// left of the camera is a gap for this run.
    HoldCamera { task: Task, cause: Cause },
    /// It is tried again after the camera's other windows, when the delay for that many failures is over.
    Later { task: Task, failures: u32 },
    /// The same is asked again, some time later.
    Recheck(Task),
    /// It holds less footage than was asked for, and that is sure: it is halved, or given up.
    Halve { task: Task, media: i64 },
    /// It is a half, and its other half tells whether its answer is to be believed.
    AwaitOtherHalf { task: Task, media: i64 },
    /// It is a gap for this run.
    GiveUp { task: Task, cause: Cause },
    /// It is a gap for this run, and so is all that is left of its camera.
    GiveUpCamera { task: Task, cause: Cause },
    /// No window will fare better: the account is refused.
    StopRun(Task),
}

/// What to do with a window whose attempt came to `outcome`.
pub(super) fn next(task: Task, outcome: &Outcome, policy: &Policy) -> Next {
    match *outcome {
        Outcome::Archived => Next::Done(task),
        Outcome::Prefix { until } => match TimeRange::new(until, task.range.end()) {
            // Each prefix is a minute or more, so this ends; a stream that broke says nothing about its rest.
            Some(rest) => Next::Rest { task, rest: Task { failures: 0, pair: None, ..task.with_range(rest) } },
            None => Next::Done(task),
        },
        Outcome::Broken => later(task, policy, Cause::CutShort),
        Outcome::Unusable => later(task, policy, Cause::Failed),
        Outcome::Short { media_seconds } => shorter(task, media_seconds, policy),
        Outcome::Empty => shorter(task, 0, policy),
        // A live stream's, which no window of a run from NVRs comes to.
        Outcome::Interrupted | Outcome::Cancelled => Next::Front(task),
        Outcome::Missed(class) => missed(task, class, policy),
    }
}

fn missed(task: Task, class: Class, policy: &Policy) -> Next {
    match class {
        Class::CameraBusy => Next::HoldCamera { task, cause: class.cause() },
        Class::CameraTrouble => match later(task, policy, class.cause()) {
            Next::Later { task, .. } => Next::HoldCamera { task, cause: class.cause() },
            given_up => given_up,
        },
        // How long an NVR's patience is tried is the NVR's count, not the window's.
        Class::NvrFull | Class::NvrOverloaded | Class::NvrOffline | Class::MediaTrouble => Next::Front(task),
        Class::Transient | Class::Go | Class::Repeated | Class::ClockWrong => later(task, policy, Cause::Failed),
        Class::UserRefused | Class::DeviceRefused => Next::GiveUpCamera { task, cause: Cause::Refused },
        Class::TokenRefused | Class::AccountRefused => Next::StopRun(task),
    }
}

fn later(task: Task, policy: &Policy, cause: Cause) -> Next {
    let failures = task.failures + 1;
    if failures >= policy.attempts {
        return Next::GiveUp { task, cause };
    }
    Next::Later { task: Task { failures, ..task }, failures }
}

/// A clean answer with less footage than asked for; `media` is 0 for none at all. Once is chance: a recorder may still
/// have been writing. Twice the same, some time apart, is a hole.
fn shorter(task: Task, media: i64, policy: &Policy) -> Next {
    if task.pair.is_some() {
        return Next::AwaitOtherHalf { task, media };
    }
    if task.confirmed || task.last_short.is_some_and(|last| (last - media).abs() <= policy.tolerance_seconds) {
        return Next::Halve { task, media };
    }
    unconfirmed(task, media, policy)
}

/// What to do with a window that came short, and that nothing confirms yet: ask the same again, within its budget.
pub(super) fn unconfirmed(task: Task, media: i64, policy: &Policy) -> Next {
    let failures = task.failures + 1;
    if failures >= policy.attempts {
        return Next::GiveUp { task, cause: Cause::CutShort };
    }
    Next::Recheck(Task { last_short: Some(media), failures, ..task })
}
