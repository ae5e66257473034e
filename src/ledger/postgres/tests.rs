//! What became of a commit whose answer was lost, as the next connection finds out.

use std::sync::Arc;

use super::super::session::values;
use super::super::tests::engines::fresh;
use super::*;
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
