//! The exit codes: what a cron job can act on.

use crate::event::{StopReason, Summary};

/// How the program ends. Documented in the README; scripts depend on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All that was asked for is archived, or the question is answered.
    Complete = 0,
    /// Something failed that should not.
    Failure = 1,
    /// Wrong usage or settings.
    Usage = 2,
    /// The run finished its work, and gaps remain.
    Gaps = 3,
    /// The account was refused.
    AccountRefused = 4,
    /// The run stopped early (a signal, or the job's `stop_at`); the next one goes on.
    Stopped = 5,
    /// Another run holds the ledger.
    Held = 6,
    /// The disk is full or below `min_free`.
    DiskFull = 7,
}

impl ExitCode {
    /// How a run's summary ends the program.
    pub fn of_run(summary: &Summary) -> Self {
        match &summary.stopped {
            Some(StopReason::AccountRefused(_)) => Self::AccountRefused,
            Some(StopReason::DiskFull(_)) => Self::DiskFull,
            Some(StopReason::Broken(_)) => Self::Failure,
            Some(StopReason::Signal | StopReason::StopAt) => Self::Stopped,
            None if summary.is_complete() => Self::Complete,
            None | Some(StopReason::StoreAway(_)) => Self::Gaps,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gave_up_is_never_written_as_done() {
        let summary = |archived_seconds, stopped| Summary {
            asked_seconds: 600,
            archived_seconds,
            recordings: 1,
            bytes: 1,
            attempts: 1,
            refusing: Vec::new(),
            missing: Vec::new(),
            short: Vec::new(),
            stopped,
        };
        assert_eq!(ExitCode::of_run(&summary(600, None)), ExitCode::Complete);
        assert_eq!(ExitCode::of_run(&summary(599, None)), ExitCode::Gaps);
        assert_eq!(ExitCode::of_run(&summary(0, Some(StopReason::Signal))), ExitCode::Stopped);
        assert_eq!(ExitCode::of_run(&summary(600, Some(StopReason::StopAt))), ExitCode::Stopped);
        let away = StopReason::StoreAway("503".into());
        assert_eq!(ExitCode::of_run(&summary(0, Some(away))), ExitCode::Gaps);
        let refused = StopReason::AccountRefused("7".into());
        assert_eq!(ExitCode::of_run(&summary(0, Some(refused))), ExitCode::AccountRefused);
    }
}
