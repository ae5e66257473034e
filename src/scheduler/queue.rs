//! What one camera still has to fetch, kept as ranges and cut into windows only when one is asked for.

use std::collections::VecDeque;

use crate::instant::Instant;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};
use crate::window::{Cause, Missing};

use super::halving::Pair;

/// A range of a camera's time with what this run has learned of it. At most ten minutes of it are one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The time.
    pub range: TimeRange,
    /// Failed attempts in this run that are the window's own.
    pub failures: u32,
    /// Seconds of footage that the last clean but short answer gave; 0 after an empty one.
    pub last_short: Option<i64>,
    /// Whether an earlier answer already agreed that footage is missing here, so that one more answer settles it.
    pub confirmed: bool,
    /// The other half of the window that it is a half of, when it is one.
    pub pair: Option<Pair>,
    /// Nothing of it starts from here on.
    pub stop_at: Option<Instant>,
}

/// A stretch of a camera's time that is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What is missing.
    pub missing: Missing,
    /// Nothing of it starts from here on.
    pub stop_at: Option<Instant>,
}

impl Stretch {
    /// Whether earlier runs tried it more than once, and it failed by itself, not because its NVR was busy or away. Once is
    /// little: a run that is told to stop cuts what streams.
    pub fn failed_before(&self) -> bool {
        let Missing { cause, attempts, .. } = self.missing;
        attempts > 1 && matches!(cause, Cause::NoFootage | Cause::CutShort | Cause::Failed | Cause::Refused)
    }
}

impl Task {
    /// A range of which nothing is known.
    pub fn new(range: TimeRange) -> Self {
        Self { range, failures: 0, last_short: None, confirmed: false, pair: None, stop_at: None }
    }

    /// Whether nothing of it may start any more.
    pub fn is_stopped(&self, now: Instant) -> bool {
        self.stop_at.is_some_and(|stop| stop <= now)
    }

    /// What of it lies before `horizon`, and the rest. What is left of a half is none any more.
    pub fn lose(self, horizon: UtcSecond) -> (Self, Option<Self>) {
        let (gone, rest) = self.range.split_at(horizon);
        (self.with_range(gone), rest.map(|rest| Self { pair: None, ..self.with_range(rest) }))
    }

    /// The same knowledge about another range.
    pub fn with_range(self, range: TimeRange) -> Self {
        Self { range, ..self }
    }
}

/// Ranges of one camera, in the order in which they are asked for.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    tasks: VecDeque<Task>,
}

impl Queue {
    /// The queue of what is missing. A stretch that an earlier run found empty needs only one more answer.
    pub fn new(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let task = |stretch: Stretch| Task {
            confirmed: stretch.missing.cause == Cause::NoFootage,
            stop_at: stretch.stop_at,
            ..Task::new(stretch.missing.range)
        };
        Self { tasks: stretches.into_iter().map(task).collect() }
    }

    /// Seconds of footage in it.
    pub fn seconds(&self) -> i64 {
        self.tasks.iter().map(|task| task.range.seconds()).sum()
    }

    /// The next window, left where it is.
    pub fn peek(&self) -> Option<Task> {
        self.tasks.front().map(|task| task.with_range(task.range.split_at_grid().0))
    }

    /// Takes out what lies before `horizon`, as far as it is the next: what is behind it is looked at when its turn comes.
    pub fn lose(&mut self, horizon: UtcSecond) -> Vec<Task> {
        let mut lost = Vec::new();
        while let Some(task) = self.tasks.front().filter(|task| task.range.start() < horizon).copied() {
            self.tasks.pop_front();
            let (gone, rest) = task.lose(horizon);
            lost.push(gone);
            if let Some(rest) = rest {
                self.tasks.push_front(rest);
            }
        }
        lost
    }

    /// Drops what nothing of may start any more.
    pub fn drop_stopped(&mut self, now: Instant) {
        self.tasks.retain(|task| !task.is_stopped(now));
    }

    /// Takes the next window: the first range up to the next mark of the grid.
    pub fn pop(&mut self) -> Option<Task> {
        let task = self.tasks.pop_front()?;
        let (window, rest) = task.range.split_at_grid();
        if let Some(rest) = rest {
            self.tasks.push_front(task.with_range(rest));
        }
        Some(task.with_range(window))
    }

    /// Puts a task back to where it is the next.
    pub fn push_front(&mut self, task: Task) {
        self.tasks.push_front(task);
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> RangeSet {
        self.tasks.drain(..).map(|task| task.range).collect()
    }
}
