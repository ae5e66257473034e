//! One transaction of the ledger, whichever engine keeps it: SQLite for one machine, PostgreSQL for many.
//!
//! What a change or a question means is written once ([`super::changes`], [`super::queries`] and their neighbours), in the SQL
//! that both engines read, so that the two ledgers cannot come to differ. Parameters are written `?1`, `?2`; integers are 64
//! bits wide in both, a sum is cast to `BIGINT`, and truth is 0 or 1. Where the engines do differ, a statement asks for the
//! [`Engine`].

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::error::Fault;

/// Which engine keeps the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// A file of this machine.
    Sqlite,
}

/// One transaction.
#[derive(Clone, Copy)]
pub(super) enum Session<'a> {
    /// On a connection to a file.
    Sqlite(&'a rusqlite::Connection),
}

/// One value that a statement is given. Each says its type even where it is nothing, since PostgreSQL wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// 64 bits; truth as 0 or 1.
    Integer(Option<i64>),
    /// A text.
    Text(Option<&'a str>),
    /// Bytes.
    Blob(Option<&'a [u8]>),
}

/// One row that a statement gave.
pub(super) enum Row<'a> {
    /// Of a file.
    Sqlite(&'a rusqlite::Row<'a>),
}

/// What a column can be read as.
pub(super) trait Cell: rusqlite::types::FromSql {}

impl<T: rusqlite::types::FromSql> Cell for T {}

impl Row<'_> {
    /// The value of a column, counted from 0.
    pub(super) fn get<T: Cell>(&self, column: usize) -> Result<T, Fault> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
        }
    }
}

impl Session<'_> {
    /// Which engine this is.
    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Runs a statement that gives no rows; says how many it changed.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        match self {
            Self::Sqlite(connection) => {
                let changed = connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
                Ok(changed as u64)
            }
        }
    }

    /// Runs a statement, and hands each row that it gives to `each`.
    pub(super) fn each(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    each(&Row::Sqlite(row))?;
                }
                Ok(())
            }
        }
    }

    /// What `read` makes of each row.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        self.each(sql, values, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// What `read` makes of the first row; nothing when there is none.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
        }
    }

    /// The first column of the one row that a statement always gives.
    pub(super) fn one<T: Cell>(&self, sql: &str, values: &[Value<'_>]) -> Result<T, Fault> {
        let found = self.first(sql, values, |row| row.get(0))?;
        found.ok_or_else(|| Fault::BadValue("a question that always has an answer had none".to_owned()))
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match *self {
            Self::Integer(number) => number.map_or(ValueRef::Null, ValueRef::Integer),
            Self::Text(text) => text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => bytes.map_or(ValueRef::Null, ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                $made
            }
        })*
    };
}

value_from! {
    i64 => |number| Value::Integer(Some(number));
    u32 => |number| Value::Integer(Some(number.into()));
    bool => |truth| Value::Integer(Some(truth.into()));
    Option<i64> => |number| Value::Integer(number);
    &'a str => |text| Value::Text(Some(text));
    &'a String => |text| Value::Text(Some(text));
    Option<&'a str> => |text| Value::Text(text);
    &'a Option<String> => |text| Value::Text(text.as_deref());
    &'a [u8; 32] => |bytes| Value::Blob(Some(bytes));
}

/// The values of a statement, in the order of its parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::ledger::session::Value::from($value)),*] };
}

pub(super) use values;
