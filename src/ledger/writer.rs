//! The one thread that writes. Requests that wait when it begins a commit share one transaction, and so one fsync.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{Fault, LedgerError, reached};
use super::session::Session;
use crate::failpoint::Failpoint;

/// How many requests one transaction takes at most, so that the first one's caller does not wait for ever.
const LARGEST_BATCH: usize = 1_000;

/// Answers a request, once it is known whether its transaction was committed.
type Answer = Box<dyn FnOnce(Result<(), LedgerError>)>;
/// One request: works inside the transaction, and says whether its changes are to be kept, and how to answer. Given the
/// error that broke the transaction instead, it only answers.
type Request = Box<dyn FnOnce(Result<&Connection, LedgerError>) -> (bool, Answer) + Send>;

/// The way to the thread that writes. Dropping it waits until everything that was asked is written.
pub(super) struct Writer {
    ledger: PathBuf,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns `connection` from now on.
    pub(super) fn start(ledger: PathBuf, connection: Connection) -> Result<Self, LedgerError> {
        let (requests, waiting) = mpsc::channel();
        let path = ledger.clone();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || serve(&connection, &waiting, &path))
            .map_err(|error| LedgerError::CannotOpen { ledger: ledger.clone(), why: error.to_string() })?;
        Ok(Self { ledger, requests: Some(requests), thread: Some(thread) })
    }

    /// Does `work` in a transaction and returns when that is on disk. If it fails, nothing of it is kept. A caller that
    /// stops waiting does not undo it.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answered) = oneshot::channel();
        let ledger = self.ledger.clone();
        let request: Request = Box::new(move |connection| {
            let session = connection.map(Session::Sqlite);
            let done = session.and_then(|session| work(session).map_err(|fault| fault.at(&ledger)));
            let keep = done.is_ok();
            let answer: Answer = Box::new(move |committed| {
                // OK if nobody waits any more: the change is made all the same.
                let _ = reply.send(committed.and(done));
            });
            (keep, answer)
        });
        let requests = self.requests.as_ref().ok_or(LedgerError::WriterGone)?;
        requests.send(request).map_err(|_| LedgerError::WriterGone)?;
        answered.await.map_err(|_| LedgerError::WriterGone)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // OK to ignore that it panicked: every caller has been told that the writer is gone.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, waiting: &mpsc::Receiver<Request>, ledger: &Path) {
    while let Ok(first) = waiting.recv() {
        let mut answers = Vec::new();
        let requests = std::iter::once(first).chain(waiting.try_iter()).take(LARGEST_BATCH);
        let committed = commit(connection, requests, &mut answers, ledger);
        for answer in answers {
            answer(committed.clone());
        }
    }
}

/// Runs the requests in one transaction. An error here is everybody's: nothing of the batch was kept.
fn commit(
    connection: &Connection,
    requests: impl Iterator<Item = Request>,
    answers: &mut Vec<Answer>,
    ledger: &Path,
) -> Result<(), LedgerError> {
    let at = |step| reached(step).map_err(|fault| fault.at(ledger));
    let mut usable = at(Failpoint::LedgerBegin).and_then(|()| execute(connection, "BEGIN IMMEDIATE", ledger));
    for request in requests {
        let (answer, still_usable) = match usable {
            Ok(()) => run_one(connection, request, ledger),
            Err(error) => (request(Err(error.clone())).1, Err(error)),
        };
        answers.push(answer);
        usable = still_usable;
    }
    let ready = usable.and_then(|()| at(Failpoint::LedgerCommit));
    let committed = ready.and_then(|()| execute(connection, "COMMIT", ledger));
    if committed.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK", ledger)?;
    }
    committed.and_then(|()| at(Failpoint::LedgerCommitted))
}

/// Runs one request in a savepoint, so that its failure is its own. Says also whether the transaction still stands:
/// SQLite itself ends it when the disk is full or fails.
fn run_one(connection: &Connection, request: Request, ledger: &Path) -> (Answer, Result<(), LedgerError>) {
    if let Err(error) = execute(connection, "SAVEPOINT request", ledger) {
        return (request(Err(error.clone())).1, Err(error));
    }
    let (keep, answer) = request(Ok(connection));
    let undone = if keep { Ok(()) } else { execute(connection, "ROLLBACK TO request", ledger) };
    (answer, undone.and_then(|()| execute(connection, "RELEASE request", ledger)))
}

/// Runs a statement that is the same every time, and so is kept.
fn execute(connection: &Connection, sql: &str, ledger: &Path) -> Result<(), LedgerError> {
    let done = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    done.map(drop).map_err(|error| Fault::from(error).at(ledger))
}
