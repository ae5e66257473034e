//! What an attempt at a window came to.
//!
//! The platform's codes are put into a [`Class`] in one place, `platform/wire.rs`; the scheduler sees nothing but
//! [`Outcome`].

use std::fmt;

use serde::{Serialize, Serializer};

use crate::time_range::UtcSecond;
use crate::window::Cause;

/// A number that somebody answered with. The same number means different things in different places, so it always
/// carries its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// `stat.code`, from the gateway.
    Stat(i64),
    /// `data.result`, from `startRecReqDown`.
    Result(i64),
    /// The HTTP status of the gateway or of a media server.
    Http(u16),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stat(code) => write!(f, "stat {code}"),
            Self::Result(code) => write!(f, "result {code}"),
            Self::Http(status) => write!(f, "http {status}"),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an answer of the platform asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Go on: the answer holds what was asked for.
    Go,
    /// This camera is downloading or playing already (-3, -6).
    CameraBusy,
    /// All of the NVR's playback channels are taken (-4): it has no more than what runs now.
    NvrFull,
    /// The NVR's CPU is too busy (-5): back off harder.
    NvrOverloaded,
    /// The NVR is not online (1).
    NvrOffline,
    /// This camera's request failed and may work later (2, -1).
    CameraTrouble,
    /// The platform gave a URL, and the media server behind it does not answer or fails (5xx).
    MediaTrouble,
    /// The platform or the network failed and may work later (-500, -999, anything undocumented).
    Transient,
    /// The same call again (-100): call once more with a new timestamp, after a second.
    Repeated,
    /// The clocks differ (16): learn the offset, call once more at once.
    ClockWrong,
    /// The user token is missing or unknown (9990001): log in once more, else the account is refused.
    TokenRefused,
    /// This user may not use the device (103064): log in once more if a login is set, else the device is refused.
    UserRefused,
    /// The device is of no use to this run: it does not exist, or is not under an NVR (103092, -2).
    DeviceRefused,
    /// The account or the configuration is wrong: the run stops, since every other call would be refused alike.
    AccountRefused,
}

impl Class {
    /// Why the window is a gap when no later attempt does better.
    pub const fn cause(self) -> Cause {
        match self {
            Self::CameraBusy | Self::NvrFull | Self::NvrOverloaded => Cause::NvrBusy,
            Self::NvrOffline => Cause::NvrOffline,
            Self::UserRefused | Self::DeviceRefused => Cause::Refused,
            // An account that is refused says nothing about the window, which stays to be asked for.
            Self::TokenRefused | Self::AccountRefused => Cause::NotTried,
            Self::Go
            | Self::CameraTrouble
            | Self::MediaTrouble
            | Self::Transient
            | Self::Repeated
            | Self::ClockWrong => Cause::Failed,
        }
    }
}

/// What one attempt at a window came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole window is archived.
    Archived,
    /// The stream broke off; the window up to `until` is archived, the rest is to be asked for.
    Prefix {
        /// Where the archived part ends and the rest begins; strictly inside the window.
        until: UtcSecond,
    },
    /// The stream broke off before a minute of it was good; nothing was kept.
    Broken,
    /// A clean stream of footage that is shorter than the window; nothing was kept.
    Short {
        /// Seconds of footage that came.
        media_seconds: i64,
    },
    /// A stream without any footage, or none at all although the NVR answered.
    Empty,
    /// What came is no FLV, or cannot be decoded.
    Unusable,
    /// The platform, the network or the disk kept the attempt from streaming.
    Missed(Class),
    /// A live stream ended, stalled or never came; what it brought before is archived.
    Interrupted,
    /// The run was told to stop while this attempt was under way; nothing was kept.
    Cancelled,
}

impl Outcome {
    /// What the ledger says of the window's time that this attempt did not archive; nothing when it left none, or
    /// when it says nothing new about it.
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Archived | Self::Cancelled => None,
            Self::Prefix { .. } | Self::Broken | Self::Short { .. } | Self::Empty => Some(Cause::CutShort),
            Self::Unusable => Some(Cause::Failed),
            Self::Interrupted => Some(Cause::LiveInterrupted),
            Self::Missed(Class::TokenRefused | Class::AccountRefused) => None,
            Self::Missed(class) => Some(class.cause()),
        }
    }

    /// Whether footage of the window came, kept or not.
    pub const fn brought_footage(&self) -> bool {
        match self {
            Self::Archived | Self::Prefix { .. } | Self::Broken => true,
            Self::Short { media_seconds } => *media_seconds > 0,
            Self::Empty | Self::Unusable | Self::Missed(_) | Self::Interrupted | Self::Cancelled => false,
        }
    }

    /// Whether the platform gave a URL for the attempt, as far as the outcome tells.
    pub const fn had_a_url(&self) -> bool {
        match self {
            Self::Missed(class) => matches!(class, Class::MediaTrouble),
            Self::Cancelled => false,
            _ => true,
        }
    }

    /// One word or two for the ledger's attempts and the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Prefix { .. } => "prefix",
            Self::Broken => "broken",
            Self::Short { .. } => "short",
            Self::Empty => "empty",
            Self::Unusable => "unusable",
            Self::Missed(class) => match class {
                Class::CameraBusy => "camera busy",
                Class::NvrFull => "nvr full",
                Class::NvrOverloaded => "nvr overloaded",
                Class::NvrOffline => "nvr offline",
                Class::CameraTrouble => "camera trouble",
                Class::MediaTrouble => "media trouble",
                Class::UserRefused | Class::DeviceRefused => "device refused",
                Class::TokenRefused | Class::AccountRefused => "account refused",
                Class::Go | Class::Transient | Class::Repeated | Class::ClockWrong => "transient",
            },
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One try at a window, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began (UTC).
    pub started: UtcSecond,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How many bytes of media came.
    pub bytes: u64,
    /// What it came to.
    pub outcome: Outcome,
    /// The code that decided it, when one did.
    pub code: Option<Code>,
    /// What else there is to say: an error's text, the first bytes of what was not FLV. What others wrote in it is
    /// escaped, as [`Untrusted`](crate::untrusted::Untrusted) does.
    pub detail: Option<String>,
}
