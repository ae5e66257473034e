//! Why a call of the gateway gave nothing.

use thiserror::Error;

use super::wire;
use crate::outcome::{Class, Code};
use crate::untrusted::Untrusted;

/// Why a call gave nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// The platform answered with a code other than 0, or with a `data.result` other than 0.
    #[error("{method}: the platform answered {}{}", wire::explain(*code), named(codename))]
    Refused {
        /// The method.
        method: &'static str,
        /// What it answered.
        code: Code,
        /// The name that it gave.
        codename: Untrusted,
    },
    /// What came is no answer of the platform's.
    #[error("{method}: no answer of the platform's but HTTP {status}, beginning {first:?}; is platform.url right?")]
    NotThePlatform {
        /// The method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// How the body begins.
        first: Untrusted,
    },
    /// The gateway could not be reached, or the answer broke off.
    #[error("{method}: cannot reach the platform: {why}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// The whole chain of reasons.
        why: Untrusted,
    },
    /// What came is far more than an answer of the platform's.
    #[error(
        "{method}: more than {most} {what}, beginning {first:?}, are no answer of the platform's; is platform.url right?"
    )]
    TooLong {
        /// The method.
        method: &'static str,
        /// How many there may be.
        most: usize,
        /// Of what.
        what: &'static str,
        /// How the body begins.
        first: Untrusted,
    },
    /// The platform said yes and gave no URL.
    #[error("{method}: the platform answered success without a URL that can be read")]
    NoUrl {
        /// The method.
        method: &'static str,
    },
    /// A list that has no end.
    #[error("{method}: the platform still had something new on page {pages}; no chain has that many stores")]
    Endless {
        /// The method.
        method: &'static str,
        /// How many pages were read.
        pages: usize,
    },
}

fn named(codename: &Untrusted) -> String {
    if codename.is_empty() { String::new() } else { format!(" (it says {codename})") }
}

impl CallError {
    /// What the scheduler is told, after the client has done what it can.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { code, .. } => match wire::classify(*code) {
                // The offset was learned and did not help, or the login was renewed and did not help.
                Class::ClockWrong | Class::TokenRefused => Class::AccountRefused,
                Class::UserRefused => Class::DeviceRefused,
                Class::Repeated => Class::Transient,
                other => other,
            },
            Self::NotThePlatform { .. }
            | Self::Unreachable { .. }
            | Self::TooLong { .. }
            | Self::NoUrl { .. }
            | Self::Endless { .. } => Class::Transient,
        }
    }

    /// The code that was answered, if one was.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NotThePlatform { status, .. } => Some(Code::Http(*status)),
            Self::Unreachable { .. } | Self::TooLong { .. } | Self::NoUrl { .. } | Self::Endless { .. } => None,
        }
    }
}
