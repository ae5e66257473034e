//! Opening: refuse what is too old or too new, make what is not there, bring an older one up to date.

use std::path::Path;
use std::sync::LazyLock;

use deadpool_postgres::Object;

use super::super::error::{Fault, LedgerError, reached};
use super::Purpose;
use crate::failpoint::Failpoint;

pub(super) mod migrations {
    //! The steps in `migrations/postgres/`, built into the program.
    refinery::embed_migrations!("migrations/postgres");
}

/// The oldest server that will do, as it says its version: 15 can hold that nothing is the same as nothing.
const OLDEST_SERVER: i32 = 150_000;

/// "arcl": the lock that whoever brings the ledger up to date takes.
const MIGRATION_LOCK: i64 = 1_634_886_508;

/// Leaves the ledger as this program knows it, or refuses. Changes nothing for questions.
pub(super) async fn make_ready(client: &mut Object, name: &Path, purpose: Purpose) -> Result<(), Fault> {
    let version: i32 = client.query_one("SELECT current_setting('server_version_num')::INT", &[]).await?.get(0);
    if version < OLDEST_SERVER {
        let why = format!("the server is PostgreSQL {}, and 15 is the oldest that will do", version / 10_000);
        return Err(LedgerError::CannotOpen { ledger: name.to_path_buf(), why }.into());
    }
    let known = newest_version();
    let (ledger, writes) = (name.to_path_buf(), purpose != Purpose::Questions);
    match found(client, name).await? {
        Some(found) if found > known => Err(LedgerError::Newer { ledger, found, known }.into()),
        Some(found) if found == known => match purpose {
            Purpose::Filling => Ok(()),
            _ => refuse_half_filled(client, name).await,
        },
        Some(found) if !writes => Err(LedgerError::Older { ledger, found, known }.into()),
        None if !writes => Err(LedgerError::NotThere { ledger }.into()),
        _ => {
            // Whoever comes second finds it done.
            client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
            let migrated = migrate(client, name).await;
            client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
            migrated
        }
    }
}

/// What is being filled is no ledger yet.
async fn refuse_half_filled(client: &Object, name: &Path) -> Result<(), Fault> {
    match client.query_opt("SELECT source FROM filling", &[]).await? {
        None => Ok(()),
        Some(row) => Err(LedgerError::BeingFilled { ledger: name.to_path_buf(), from: row.get(0) }.into()),
    }
}

/// Which step of the migrations the database has reached; nothing when it is no ledger yet.
async fn found(client: &Object, name: &Path) -> Result<Option<u32>, Fault> {
    let listed = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    if !client.query_one(listed, &[]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let first = client.query_opt("SELECT name FROM refinery_schema_history WHERE version = 1", &[]).await?;
    if first.is_some_and(|row| row.get::<_, String>(0) != "ledger") {
        let why = "it is another program's database: make one for the ledger (createdb)".to_owned();
        return Err(LedgerError::CannotOpen { ledger: name.to_path_buf(), why }.into());
    }
    let newest = client.query_one("SELECT max(version)::INT FROM refinery_schema_history", &[]).await?;
    Ok(newest.get::<_, Option<i32>>(0).and_then(|version| u32::try_from(version).ok()))
}

fn newest_version() -> u32 {
    // Once: to list the steps is to hash all their texts.
    static NEWEST: LazyLock<u32> = LazyLock::new(|| {
        let newest = migrations::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
        u32::try_from(newest.unwrap_or(0)).unwrap_or(u32::MAX)
    });
    *NEWEST
}

async fn migrate(client: &mut Object, name: &Path) -> Result<(), Fault> {
    reached(Failpoint::LedgerMigrate)?;
    let runner = migrations::migrations::runner().set_grouped(true);
    let migrated = runner.run_async(&mut ***client).await;
    migrated.map_err(|error| {
        let why =
            format!("its schema could not be brought up to date, and was left as it was: {}", super::told(&error));
        Fault::from(LedgerError::Engine { ledger: name.to_path_buf(), why })
    })?;
    reached(Failpoint::LedgerMigrated)
}
