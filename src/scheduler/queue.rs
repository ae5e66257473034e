//! What one camera still has to fetch, kept as ranges and cut into windows only when one is asked for.

use std::collections::VecDeque;

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
    /// Busy answers in this run.
    pub busy: u32,
    /// Seconds of footage that the last clean but short answer gave; 0 after an empty one.
    pub last_short: Option<i64>,
    /// Whether an earlier answer already agreed that footage is missing here, so that one more answer settles it.
    pub confirmed: bool,
    /// The other half of the window that it is a half of, when it is one.
    pub pair: Option<Pair>,
}

impl Task {
    /// A range of which nothing is known.
    pub fn new(range: TimeRange) -> Self {
        Self { range, failures: 0, busy: 0, last_short: None, confirmed: false, pair: None }
    }

    /// The same knowledge about another range.
    pub fn with_range(self, range: TimeRange) -> Self {
        Self { range, ..self }
    }
}

/// One camera's ranges, earliest first.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    tasks: VecDeque<Task>,
}

impl Queue {
    /// The queue of what is missing. A stretch that an earlier run found empty needs only one more answer.
    pub fn new(missing: &[Missing]) -> Self {
        let task = |known: &Missing| Task { confirmed: known.cause == Cause::NoFootage, ..Task::new(known.range) };
        Self { tasks: missing.iter().map(task).collect() }
    }

    /// Seconds of footage in it.
    pub fn seconds(&self) -> i64 {
        self.tasks.iter().map(|task| task.range.seconds()).sum()
    }

    /// Where the next window ends.
    pub fn next_end(&self) -> Option<UtcSecond> {
        self.tasks.front().map(|task| task.range.split_at_grid().0.end())
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
