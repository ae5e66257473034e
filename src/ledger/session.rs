//! One transaction of the ledger, whichever engine keeps it: SQLite for one machine, PostgreSQL for many.
//!
//! What a change or a question means is written once ([`super::changes`], [`super::queries`] and their neighbours), in the SQL
//! that both engines read, so that the two ledgers cannot come to differ:
//!
//! - Parameters are `?1`, `?2`. Integers are 64 bits wide; a sum is cast to `BIGINT`, a fraction to `DOUBLE PRECISION`; truth is
//!   0 or 1, also in what a statement gives: `CASE WHEN … THEN 1 ELSE 0 END`.
//! - `"end"` and `"offset"` stand in quotes, since PostgreSQL has those words. SQLite takes a quoted name that no column has for
//!   a text, so nothing else does.
//! - `INSERT … ON CONFLICT (…) DO UPDATE SET x = table.x + excluded.x` with the table's name; `RETURNING` gives a new row's
//!   number; `IS NOT DISTINCT FROM` compares what may be nothing; `CASE` gives the larger of two.
//! - A subquery in `FROM` has a name, and what is selected beside a sum is grouped by. Where the order matters, `ORDER BY`
//!   says it.
//!
//! Where the engines do differ, a statement asks for the [`Engine`].

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::error::Fault;
use super::postgres::{self, Transaction};
use crate::device::DeviceId;

/// Which engine keeps the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// A file of this machine.
    Sqlite,
    /// A server for many machines.
    Postgres,
}

impl Engine {
    /// Words that only SQLite knows: by which index it is to look, which PostgreSQL decides by its own counts.
    pub(super) fn sqlite_only(self, words: &'static str) -> &'static str {
        match self {
            Self::Sqlite => words,
            Self::Postgres => "",
        }
    }
}

/// One transaction.
#[derive(Clone, Copy)]
pub(super) enum Session<'a> {
    /// On a connection to a file.
    Sqlite(&'a rusqlite::Connection),
    /// On a connection to a server.
    Postgres(&'a Transaction<'a>),
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
    /// Of a server.
    Postgres(&'a tokio_postgres::Row),
}

/// What one column of a row holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column<'a> {
    Nothing,
    /// Whichever width the engine gives it: PostgreSQL makes truth 32 bits wide.
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// What a column can be read as.
pub(super) trait Cell<'a>: Sized {
    /// Nothing when the column holds something else, or a number out of range.
    fn read(column: Column<'a>) -> Option<Self>;
}

impl Row<'_> {
    /// The value of a column, counted from 0. An error when it holds something else, which no ledger of this program's does.
    pub(super) fn get<'r, T: Cell<'r>>(&'r self, column: usize) -> Result<T, Fault> {
        let held = self.column(column)?;
        T::read(held).ok_or_else(|| {
            let held = match held {
                Column::Nothing => "nothing".to_owned(),
                Column::Integer(number) => format!("the number {number}"),
                Column::Real(number) => format!("the fraction {number}"),
                Column::Text(_) => "a text".to_owned(),
                Column::Blob(bytes) => format!("{} bytes", bytes.len()),
            };
            Fault::BadValue(format!("a column {} holds {held}, which cannot be", self.name(column)))
        })
    }

    fn column(&self, column: usize) -> Result<Column<'_>, Fault> {
        match self {
            Self::Sqlite(row) => Ok(match row.get_ref(column)? {
                ValueRef::Null => Column::Nothing,
                ValueRef::Integer(number) => Column::Integer(number),
                ValueRef::Real(number) => Column::Real(number),
                ValueRef::Text(text) => {
                    let no_text = |_| Fault::BadValue(format!("a column {} holds no UTF-8", self.name(column)));
                    Column::Text(std::str::from_utf8(text).map_err(no_text)?)
                }
                ValueRef::Blob(bytes) => Column::Blob(bytes),
            }),
            Self::Postgres(row) => postgres::column(row, column),
        }
    }

    /// For errors.
    fn name(&self, column: usize) -> &str {
        match self {
            Self::Sqlite(row) => row.as_ref().column_name(column).unwrap_or("without a name"),
            Self::Postgres(row) => row.columns().get(column).map_or("without a name", |column| column.name()),
        }
    }
}

macro_rules! cell {
    ($($type:ty => $($held:pat => $read:expr),+;)*) => {
        $(impl<'a> Cell<'a> for $type {
            fn read(column: Column<'a>) -> Option<Self> {
                match column {
                    $($held => $read,)+
                    _ => None,
                }
            }
        })*
    };
}

cell! {
    i64 => Column::Integer(number) => Some(number);
    i32 => Column::Integer(number) => number.try_into().ok();
    u32 => Column::Integer(number) => number.try_into().ok();
    u16 => Column::Integer(number) => number.try_into().ok();
    u8 => Column::Integer(number) => number.try_into().ok();
    bool => Column::Integer(number) => Some(number != 0);
    f64 => Column::Real(number) => Some(number), Column::Integer(number) => Some(number as f64);
    &'a str => Column::Text(text) => Some(text);
    String => Column::Text(text) => Some(text.to_owned());
    [u8; 32] => Column::Blob(bytes) => bytes.try_into().ok();
    Vec<u8> => Column::Blob(bytes) => Some(bytes.to_vec());
}

impl<'a, T: Cell<'a>> Cell<'a> for Option<T> {
    fn read(column: Column<'a>) -> Option<Self> {
        match column {
            Column::Nothing => Some(None),
            held => T::read(held).map(Some),
        }
    }
}

impl Session<'_> {
    /// Which engine this is.
    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Begins to write about a camera, before anything of it is read that the change hangs on. All that writes rows of cameras
    /// begins with it: on a server, it waits until nobody else writes about this one, and refuses when this process has lost
    /// the right to. Says whether the camera is known to have a row.
    pub(super) fn about(&self, device: DeviceId) -> Result<bool, Fault> {
        match self {
            // One thread writes, one change after the other.
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(transaction) => transaction.about(device),
        }
    }

    /// The same to write that there is a file of this camera, or is to be one. A live run that was taken for dead may do that too: of
    /// what it recorded there is nothing else, and what overlaps is refused.
    pub(super) fn about_a_file(&self, device: DeviceId) -> Result<bool, Fault> {
        match self {
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(transaction) => transaction.about_a_file(device),
        }
    }

    /// Keeps others from a table until the transaction ends, in PostgreSQL's words. A file has one writer.
    pub(super) fn alone_with(&self, lock: &'static str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.execute(lock, &[]).map(drop),
        }
    }

    /// Runs a statement that gives no rows; says how many it changed.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        match self {
            Self::Sqlite(connection) => {
                let changed = connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
                Ok(changed as u64)
            }
            Self::Postgres(transaction) => transaction.execute(sql, values),
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
            Self::Postgres(transaction) => {
                transaction.rows(sql, values)?.iter().try_for_each(|row| each(&Row::Postgres(row)))
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
            Self::Postgres(transaction) => {
                transaction.rows(sql, values)?.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// The first column of the one row that a statement always gives.
    pub(super) fn one<T: for<'r> Cell<'r>>(&self, sql: &str, values: &[Value<'_>]) -> Result<T, Fault> {
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

macro_rules! value_from_integer {
    ($($type:ty),*) => {
        $(value_from! {
            $type => |number| Value::Integer(Some(number.into()));
            Option<$type> => |number| Value::Integer(number.map(i64::from));
        })*
    };
}

value_from_integer!(i64, i32, u32, u16, u8, bool);

value_from! {
    &'a str => |text| Value::Text(Some(text));
    &'a String => |text| Value::Text(Some(text));
    Option<&'a str> => |text| Value::Text(text);
    Option<&'a String> => |text| Value::Text(text.map(String::as_str));
    &'a Option<String> => |text| Value::Text(text.as_deref());
    &'a [u8; 32] => |bytes| Value::Blob(Some(bytes));
}

/// The values of a statement, in the order of its parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::ledger::session::Value::from($value)),*] };
}

pub(super) use values;
