//! The unit of work, and why a stretch of asked-for time is not archived.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::device::DeviceId;
use crate::time_range::TimeRange;

/// One device and one range of time of at most ten minutes: what one attempt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Window {
    /// The camera.
    pub device: DeviceId,
    /// The time asked for.
    pub range: TimeRange,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {} {}", self.device, self.range)
    }
}

/// Why a stretch of asked-for time has no recording. The text form is what the ledger stores and people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nothing has been asked yet.
    NotTried,
    /// The NVR was not online (`data.result` 1).
    NvrOffline,
    /// The NVR or the camera was busy with other downloads or playback (-3, -4, -5, -6).
    NvrBusy,
    /// The NVR answered, twice and some time apart, that there is no footage.
    NoFootage,
    /// Less came than was asked for, and no second answer has yet agreed that there is no more.
    CutShort,
    /// The platform does not let this account have this device, or knows no such device.
    Refused,
    /// The platform, the network or the media server failed; the last code says how.
    Failed,
    /// It is being recorded live, in a file that is not published yet.
    BeingRecorded,
    /// It was to be recorded live, and no stream came.
    LiveInterrupted,
    /// It was archived once, and its file is gone, or is not what it was.
    Corrupt,
    /// It was archived once, and its retention has ended.
    Pruned,
    /// It is older than what the NVR keeps.
    Lost,
}

impl Cause {
    /// Every cause there is.
    pub const ALL: [Self; 12] = [
        Self::NotTried,
        Self::NvrOffline,
        Self::NvrBusy,
        Self::NoFootage,
        Self::CutShort,
        Self::Refused,
        Self::Failed,
        Self::BeingRecorded,
        Self::LiveInterrupted,
        Self::Corrupt,
        Self::Pruned,
        Self::Lost,
    ];

    /// The words that the ledger stores and that people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTried => "not tried",
            Self::NvrOffline => "nvr offline",
            Self::NvrBusy => "nvr busy",
            Self::NoFootage => "no footage",
            Self::CutShort => "cut short",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::BeingRecorded => "being recorded",
            Self::LiveInterrupted => "live interrupted",
            Self::Corrupt => "corrupt",
            Self::Pruned => "pruned",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A cause that this version does not know.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a cause that this version knows")]
pub struct UnknownCause(String);

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or_else(|| UnknownCause(text.to_owned()))
    }
}

/// A stretch of one device's asked-for time that is not archived, as the ledger hands it to the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The time; may be longer than ten minutes when nothing was tried.
    #[serde(flatten)]
    pub range: TimeRange,
    /// Why, as far as it is known.
    pub cause: Cause,
    /// How many attempts have been made at it, over all runs.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_read_back_as_it_is_written() {
        for cause in Cause::ALL {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert!("gave up".parse::<Cause>().is_err());
    }
}
