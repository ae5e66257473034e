//! Where the ledger is: a file of this machine, or a PostgreSQL server that many machines share.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What the addresses of a server begin with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Where the ledger is. Shown, also in `{:?}`, without the password that the address of a server may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
    /// An SQLite file.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    Server(LedgerUrl),
}

/// The address of a PostgreSQL database: `postgres://user@host:5432/database`.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerUrl {
    url: String,
    shown: String,
}

/// A text that is no place of a ledger. Nothing of it is repeated, since it may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the address of the ledger's database is not like postgres://user@host:5432/database?sslmode=verify-full, where signs such \
     as / @ ? # in a user's name or a password are written %2F %40 %3F %23"
)]
pub struct NotAPlace;

impl LedgerPlace {
    /// The place that a setting names: a file, unless it begins with `postgres://`.
    pub fn parse(text: &str) -> Result<Self, NotAPlace> {
        match LedgerUrl::is_one(text) {
            true => Ok(Self::Server(LedgerUrl::parse(text)?)),
            false => Ok(Self::File(PathBuf::from(text))),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// The place as people read it.
    pub fn display(&self) -> String {
        self.to_string()
    }

    /// The place as a setting names it, without a password: of a server that comes from elsewhere, or must be added by hand.
    pub fn setting(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Server(url) => url.without_password(),
        }
    }

    /// The same as [`Self::display`], for errors that name files.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Server(url) => PathBuf::from(&url.shown),
        }
    }
}

impl LedgerUrl {
    /// Whether a text is meant to be one.
    pub fn is_one(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
    }

    fn parse(text: &str) -> Result<Self, NotAPlace> {
        let (_, rest) = text.split_once("://").ok_or(NotAPlace)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = address.split_once('/').unwrap_or((address, ""));
        // One @ at most, and where it belongs: else nobody knows where a password ends.
        let hosts = match authority.split_once('@') {
            Some((_, hosts)) => hosts,
            None => authority,
        };
        if [hosts, database, query].iter().any(|part| part.contains(['@', '#'])) || database.contains('/') {
            return Err(NotAPlace);
        }
        // A socket's folder may be named behind the question mark, where passwords may be as well.
        let folder = query.split('&').find_map(|pair| pair.strip_prefix("host=")).unwrap_or_default();
        let hosts = if hosts.is_empty() { folder } else { hosts };
        Ok(Self { url: text.to_owned(), shown: format!("postgres://{hosts}/{database}") })
    }

    fn without_password(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("postgres", &self.url));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let address = match address.split_once('@') {
            Some((who, host)) => format!("{}@{host}", who.split(':').next().unwrap_or_default()),
            None => address.to_owned(),
        };
        let query: Vec<&str> =
            query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("password=")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{address}{mark}{}", query.join("&"))
    }

    /// The whole of it, with the password if it has one: for whoever connects, and nobody else.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerUrl({})", self.shown)
    }
}

impl From<PathBuf> for LedgerPlace {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for LedgerPlace {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for LedgerPlace {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&LedgerPlace> for LedgerPlace {
    fn from(place: &LedgerPlace) -> Self {
        place.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("postgres://host/db", "postgres://host/db"),
            ("postgresql://me:hush@host:5433/db?sslmode=disable", "postgres://host:5433/db"),
            ("postgres://me@/db?host=/run/pg&password=hush", "postgres:///run/pg/db"),
        ] {
            let place = LedgerPlace::parse(text).expect("it is a place");
            assert_eq!(place.to_string(), shown);
            assert!(!format!("{place:?}").contains("hush"), "{place:?}");
        }
        for text in ["postgres://me:hu@sh@host/db", "postgres://me:hu/sh@host/db", "postgres://me:hu?sh@host/db"] {
            let refused = LedgerPlace::parse(text).expect_err("nobody knows where the password ends");
            assert!(!refused.to_string().contains("sh@"), "{refused}");
        }
    }

    #[test]
    fn a_setting_names_the_same_database_without_the_password() {
        for (text, setting) in [
            ("ledger.db", "ledger.db"),
            ("postgres://host/db", "postgres://host/db"),
            ("postgresql://me:hush@host:5433/db?sslmode=disable", "postgresql://me@host:5433/db?sslmode=disable"),
            ("postgres://me@/db?host=/run/pg&password=hush", "postgres://me@/db?host=/run/pg"),
            ("postgres://me@host/db?password=hush", "postgres://me@host/db"),
        ] {
            let written = LedgerPlace::parse(text).expect("it is a place").setting();
            assert_eq!(written, setting);
            assert!(LedgerPlace::parse(&written).is_ok(), "{written} is no place");
        }
    }

    #[test]
    fn what_is_no_address_is_a_file() {
        assert_eq!(LedgerPlace::parse("ledger.db"), Ok(LedgerPlace::File("ledger.db".into())));
        assert_eq!(LedgerPlace::parse("postgres/ledger.db"), Ok(LedgerPlace::File("postgres/ledger.db".into())));
    }
}
