//! What became of a commit whose answer was lost, as the next connection finds out; and an older ledger, brought up to date.

use std::sync::Arc;

use super::super::session::values;
use super::super::tests::engines::{address, fresh, server};
use super::*;
use crate::ledger::Ledger;
use crate::ledger_place::LedgerPlace;

fn open() -> Arc<Database> {
    let LedgerPlace::Server(url) = fresh() else { unreachable!("it is an address") };
    Database::open(&url, Purpose::Changes).unwrap()
}

/// A change that is made and not committed yet.
fn begun(database: &Database) -> (Begun<'_>, i64, i64) {
    let begun = Begun::with(database, database.connection(Turn::without_end()).ok().unwrap());
    let (writer, wrote) = database.handle().block_on(transaction::begin_change(begun.client())).unwrap();
    let transaction = Transaction::new(begun.client(), database.handle(), Turn::without_end(), &database.guards);
    Session::Postgres(&transaction).execute("INSERT INTO nvr (nvr) VALUES ('one')", values![]).unwrap();
    (begun, writer, wrote)
}

#[test]
#[ignore = "needs postgres"]
fn a_commit_whose_answer_is_lost_is_asked_for() {
    let database = open();
    for _ in 0..2 {
        let (change, writer, wrote) = begun(&database);
        database.handle().block_on(change.client().batch_execute("COMMIT")).unwrap();
        assert!(database.came_through(writer, wrote).is_ok());
        change.release();
        let (change, writer, wrote) = begun_again(&database);
        drop(change);
        assert!(matches!(database.came_through(writer, wrote), Err(Setback::Away(_))));
    }
}

/// The same on a connection whose row is there already, of another NVR each time.
fn begun_again(database: &Database) -> (Begun<'_>, i64, i64) {
    let begun = Begun::with(database, database.connection(Turn::without_end()).ok().unwrap());
    let clear = "DELETE FROM nvr";
    database.handle().block_on(begun.client().batch_execute(clear)).unwrap();
    let (writer, wrote) = database.handle().block_on(transaction::begin_change(begun.client())).unwrap();
    (begun, writer, wrote)
}

#[test]
#[ignore = "needs postgres"]
fn a_commit_that_is_still_under_way_is_waited_for() {
    let database = open();
    let (change, writer, wrote) = begun(&database);
    let asking = Arc::clone(&database);
    let asked = std::thread::spawn(move || asking.came_through(writer, wrote).is_ok());
    // It waits for the row: only the commit lets it go on.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let watch = database.connection(Turn::without_end()).ok().unwrap();
    while database.handle().block_on(watch.query_one(waits, &[])).unwrap().get::<_, i64>(0) == 0 {
        std::thread::yield_now();
    }
    assert!(!asked.is_finished());
    database.handle().block_on(change.client().batch_execute("COMMIT")).unwrap();
    change.release();
    assert!(asked.join().unwrap());
}

/// A ledger whose tables were made by the first step alone, in which a host that is gone holds a recorder for the seventh time.
async fn of_the_first_step() -> LedgerPlace {
    let address = address();
    let (mut client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    let connected = tokio::spawn(connection);
    let runner = open::migrations::migrations::runner().set_target(refinery::Target::Version(1));
    runner.run_async(&mut client).await.unwrap();
    let before =
        "INSERT INTO host (name, machine, pid, until, streams) VALUES ('a', 'm', 1, now() - INTERVAL '1 day', 4);
        INSERT INTO nvr_share (nvr, epoch, host, backlog_seconds) VALUES ('recorder', 7, 1, 600)";
    client.batch_execute(before).await.unwrap();
    drop(client);
    connected.await.unwrap().unwrap();
    LedgerPlace::parse(&address).unwrap()
}

/// All that a schema says: columns with their order and what they take, indexes, views, comments.
fn schema(place: &LedgerPlace) -> String {
    let shown = place.to_string();
    let database = shown.rsplit('/').next().unwrap();
    let told = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
        SELECT concat_ws(' ', table_name, column_name, ordinal_position, data_type, is_nullable, column_default, collation_name)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = 'public'
        UNION ALL SELECT concat_ws(' ', objoid::REGCLASS, objsubid, description) FROM pg_description
            WHERE classoid = 'pg_class'::REGCLASS AND objoid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE)
        UNION ALL SELECT concat_ws(' ', conrelid::REGCLASS, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::REGNAMESPACE
    ) AS told (line)";
    server().psql(database, told)
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn an_older_ledger_on_a_server_becomes_what_a_new_one_is_and_keeps_what_was_leased() {
    let old = of_the_first_step().await;
    let asked = Ledger::open_read_only(&old).err();
    assert!(matches!(asked, Some(LedgerError::Older { found: 1, .. })), "{asked:?}");
    drop(Ledger::open(&old).unwrap());
    let new = fresh();
    drop(Ledger::open(&new).unwrap());
    assert_eq!(schema(&old), schema(&new));
    assert!(schema(&new).contains("nvr_job"), "there is something to compare");
    let shown = old.to_string();
    let kept = server().psql(shown.rsplit('/').next().unwrap(), "SELECT nvr, epoch, host FROM nvr_share");
    assert_eq!(kept.trim(), "recorder|7|1");
}
