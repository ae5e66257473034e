//! One transaction on a connection, and what it has to hold to write about a camera.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{PoisonError, RwLock};

use bytes::BytesMut;
use deadpool_postgres::Object;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

use super::super::error::{Fault, LedgerError};
use super::super::session::{Column, Value};
use super::turn::Turn;
use crate::device::DeviceId;
use crate::lease::Lease;
use crate::live_runs::LiveRunId;

/// The leases under which this process writes about cameras, and the live run as which it does.
#[derive(Default)]
pub(in crate::ledger) struct Guards {
    leases: RwLock<BTreeMap<DeviceId, Lease>>,
    live: RwLock<BTreeMap<DeviceId, LiveRunId>>,
}

impl Guards {
    /// From now on, what is written about these cameras is written under that lease.
    pub(in crate::ledger) fn set(&self, devices: &[DeviceId], lease: &Lease) {
        let mut guards = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        guards.extend(devices.iter().map(|&device| (device, lease.clone())));
    }

    /// From now on, what is written about these cameras is written as that live run.
    pub(in crate::ledger) fn set_live(&self, devices: &[DeviceId], run: LiveRunId) {
        let mut guards = self.live.write().unwrap_or_else(PoisonError::into_inner);
        guards.extend(devices.iter().map(|&device| (device, run)));
    }

    fn of(&self, device: DeviceId) -> Option<Lease> {
        self.leases.read().unwrap_or_else(PoisonError::into_inner).get(&device).cloned()
    }

    fn live_of(&self, device: DeviceId) -> Option<LiveRunId> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).get(&device).copied()
    }
}

/// One transaction.
pub(in crate::ledger) struct Transaction<'a> {
    client: &'a Object,
    handle: &'a Handle,
    turn: Turn,
    guards: &'a Guards,
    /// The cameras whose rows it has locked.
    held: RefCell<BTreeSet<DeviceId>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(client: &'a Object, handle: &'a Handle, turn: Turn, guards: &'a Guards) -> Self {
        Self { client, handle, turn, guards, held: RefCell::default() }
    }

    /// Runs a statement that gives no rows; says how many it changed.
    pub(in crate::ledger) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        self.turn.wait(self.handle, async {
            let statement = prepare(self.client, sql, values).await?;
            self.client.execute(&statement, &parameters(values)).await
        })
    }

    /// Runs a statement, and gives all its rows.
    pub(in crate::ledger) fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.turn.wait(self.handle, async {
            let statement = prepare(self.client, sql, values).await?;
            self.client.query(&statement, &parameters(values)).await
        })
    }

    /// Begins to write about a camera: nobody else does until this transaction ends, and whoever wrote before has committed.
    /// Refused when the lease under which this process does so has gone to somebody else, who cannot take it from now on until
    /// the end. Says whether the camera has a row.
    pub(in crate::ledger) fn about(&self, device: DeviceId) -> Result<bool, Fault> {
        if self.held.borrow().contains(&device) {
            return Ok(true);
        }
        if let Some(run) = self.guards.live_of(device) {
            // Nobody takes the row away before this transaction has ended.
            let stands = self.rows(
                "SELECT 1 FROM live_camera WHERE device = ?1 AND live_run = ?2 FOR KEY SHARE",
                &[Value::from(device.get()), Value::from(run.get())],
            )?;
            if stands.is_empty() {
                return Err(LedgerError::LiveLost.into());
            }
        }
        self.about_a_file(device)
    }

    /// The same, whichever live run has the camera.
    pub(in crate::ledger) fn about_a_file(&self, device: DeviceId) -> Result<bool, Fault> {
        if self.held.borrow().contains(&device) {
            return Ok(true);
        }
        if let Some(lease) = self.guards.of(device) {
            // OK not to look at whose it is: an epoch is one host's, and there is nobody's name once that gave it back. One that was
            // taken for dead writes nothing, of what nobody else has leased yet either.
            let stands = self.rows(
                "SELECT 1 FROM nvr_share AS s JOIN host AS h ON h.host = s.host
                 WHERE s.nvr = ?1 AND s.epoch = ?2 AND h.left_at IS NULL FOR KEY SHARE OF s",
                &[Value::from(lease.nvr.as_str()), Value::from(lease.epoch)],
            )?;
            if stands.is_empty() {
                return Err(LedgerError::LeaseLost { nvr: lease.nvr }.into());
            }
        }
        let row =
            self.rows("SELECT 1 FROM device WHERE device = ?1 FOR NO KEY UPDATE", &[Value::from(device.get())])?;
        if row.is_empty() {
            return Ok(false);
        }
        self.held.borrow_mut().insert(device);
        Ok(true)
    }
}

/// Begins a change. Gives the number of the connection's row in `writer`, and what will stand there if the change is committed.
pub(super) async fn begin_change(client: &Object) -> Result<(i64, i64), Fault> {
    if let Some(begun) = begin(client).await? {
        return Ok(begun);
    }
    client.batch_execute("ROLLBACK").await?;
    // In a transaction of its own: a row that came with the first change could not be waited for.
    client
        .batch_execute(
            "WITH made AS (INSERT INTO writer DEFAULT VALUES RETURNING writer)
             SELECT set_config('archive.writer', writer::TEXT, false) FROM made",
        )
        .await?;
    let begun = begin(client).await?;
    begun.ok_or_else(|| Fault::BadValue("the row of a connection in writer was deleted".to_owned()))
}

/// Nothing when the connection has no row yet.
async fn begin(client: &Object) -> Result<Option<(i64, i64)>, Fault> {
    let count = client
        .prepare_typed_cached(
            "UPDATE writer SET wrote = wrote + 1, at = now()
             WHERE writer = nullif(current_setting('archive.writer', true), '')::BIGINT RETURNING writer, wrote",
            &[],
        )
        .await?;
    // Sent together, so that they take the time of one.
    let (begun, counted) =
        futures::join!(client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"), client.query_opt(&count, &[]));
    begun?;
    Ok(counted?.map(|row| (row.get(0), row.get(1))))
}

/// The number of the last change that a connection committed, once it has none under way.
pub(super) async fn wrote(client: &Object, writer: i64) -> Result<i64, Fault> {
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let row = client.query_opt("SELECT wrote FROM writer WHERE writer = $1 FOR UPDATE", &[&writer]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(row.map_or(0, |row| row.get(0)))
}

async fn prepare(client: &Object, sql: &str, values: &[Value<'_>]) -> Result<Statement, tokio_postgres::Error> {
    let types: Vec<Type> = values.iter().map(Value::kind).collect();
    // OK because no statement has a question mark for anything else.
    client.prepare_typed_cached(&sql.replace('?', "$"), &types).await
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Value<'_> {
    fn kind(&self) -> Type {
        match self {
            Self::Integer(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Integer(number) => number.to_sql(kind, out),
            // The one sign that PostgreSQL takes in no text.
            Self::Text(Some(text)) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

/// What a column of a row holds.
pub(in crate::ledger) fn column(row: &Row, column: usize) -> Result<Column<'_>, Fault> {
    let missing = || Fault::BadValue(format!("an answer has no column {column}"));
    let kind = row.columns().get(column).ok_or_else(missing)?.type_();
    let held = match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map(Column::Integer),
        Type::INT4 => row.try_get::<_, Option<i32>>(column)?.map(|number| Column::Integer(number.into())),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.map(Column::Real),
        Type::TEXT => row.try_get::<_, Option<&str>>(column)?.map(Column::Text),
        Type::BYTEA => row.try_get::<_, Option<&[u8]>>(column)?.map(Column::Blob),
        ref other => return Err(Fault::BadValue(format!("a column {} is {other}", row.columns()[column].name()))),
    };
    Ok(held.unwrap_or(Column::Nothing))
}
