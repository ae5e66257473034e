//! What PostgreSQL or the way to it says when something fails, and what is to be done about it.

use std::error::Error;
use std::fmt;
use std::path::Path;

use tokio_postgres::error::SqlState;

use super::super::error::LedgerError;

/// An error of PostgreSQL or of the way to it.
#[derive(Debug)]
pub(in crate::ledger) struct Failure(tokio_postgres::Error);

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Wait, connect anew, and try again.
    Away,
    /// Try again: somebody else was in the way.
    Conflict,
    /// Tell.
    Other,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl Failure {
    pub(super) fn kind(&self) -> Kind {
        let error = &self.0;
        if let Some(code) = error.code() {
            return kind_of(code);
        }
        if error.is_closed() {
            return Kind::Away;
        }
        let is_of_the_way = causes(error).any(|cause| cause.is::<std::io::Error>());
        let is_late = error.to_string().starts_with("timeout");
        // A certificate that nobody vouches for does not get better.
        match (is_of_the_way || is_late) && self.of_tls().is_none() {
            true => Kind::Away,
            false => Kind::Other,
        }
    }

    /// What is wrong with the way's encryption, if that is it.
    fn of_tls(&self) -> Option<&rustls::Error> {
        causes(&self.0).find_map(|cause| match cause.downcast_ref::<std::io::Error>() {
            Some(error) => error.get_ref()?.downcast_ref(),
            None => cause.downcast_ref(),
        })
    }

    /// The same for people.
    pub(in crate::ledger) fn at(&self, ledger: &Path) -> LedgerError {
        let (ledger, why) = (ledger.to_path_buf(), self.to_string());
        if self.kind() == Kind::Away {
            return LedgerError::Unreachable { ledger, waited_seconds: 0, why };
        }
        let Some(code) = self.0.code() else {
            let why = match self.of_tls() {
                Some(rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext {
                    ..
                })) => {
                    format!("{why}: write the address with the name that the certificate has")
                }
                Some(rustls::Error::InvalidCertificate(_)) => {
                    format!("{why}: sslrootcert= in the address names the file of who vouches for it")
                }
                _ => why,
            };
            return LedgerError::CannotOpen { ledger, why };
        };
        match code.code() {
            "53100" => LedgerError::DiskFull { ledger },
            "58030" => LedgerError::DiskFails { ledger, why },
            "3D000" => {
                LedgerError::CannotOpen { ledger, why: format!("{why}: make it, with createdb or CREATE DATABASE") }
            }
            class if class.starts_with("28") => LedgerError::CannotOpen {
                ledger,
                why: format!("{why}: the password comes from the address, PGPASSWORD or ~/.pgpass"),
            },
            "42501" => LedgerError::CannotOpen { ledger, why: format!("{why}: its user may not do this") },
            "42P01" | "42703" => LedgerError::Damaged { ledger, why },
            _ => LedgerError::Engine { ledger, why },
        }
    }
}

fn kind_of(code: &SqlState) -> Kind {
    match code.code() {
        // Ended by the administrator, by a crash, or not ready yet; ended because nobody used it; too many; a standby.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "53300" | "25006" => Kind::Away,
        class if class.starts_with("08") => Kind::Away,
        // Not in an order, in each other's way, and made by two at once.
        "40001" | "40P01" | "23505" => Kind::Conflict,
        _ => Kind::Other,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            Some(error) => write!(f, "{} (SQLSTATE {})", error.message(), error.code().code()),
            None => f.write_str(&told(&self.0)),
        }
    }
}

impl Error for Failure {}

/// An error with what caused it.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The error, what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
