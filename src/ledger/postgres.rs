//! A ledger that many machines share: PostgreSQL, 15 or newer.
//!
//! # What is promised
//!
//! - **A change is one transaction**, answered once its commit is on the server's disk. It begins with the locks of what it is
//!   about ([`transaction`]), so that what two hosts write about one camera comes one after the other; changes that could
//!   not be so ordered are undone by the server and made again.
//! - **A server that goes away is waited for**: a change until it is back, or until the run is to end; a question for
//!   [`QUESTION_PATIENCE`]. A change is therefore a closure that may be called more than once.
//! - **Nothing is written twice**: where the connection broke while a commit was under way, the next connection asks whether it
//!   came through. Each connection has a row in `writer` that each of its transactions counts up; whoever locks that row
//!   has waited for the transaction's end, whatever that was. PostgreSQL's own answer, `pg_xact_status`, would not do: after
//!   a crash the server may give the number of a transaction that it has lost to another one.
//! - **Nothing is written late**: see [`super::leases`].

mod connect;
mod failure;
mod open;
mod transaction;
mod turn;
mod upkeep;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) use self::failure::Failure;
use self::failure::{Kind, told};
pub(super) use self::transaction::{Guards, Transaction, column};
pub(super) use self::turn::Late;
use self::turn::Turn;
pub(super) use self::upkeep::UpkeepLock;
use super::error::{Fault, LedgerError, reached};
use super::session::Session;
use crate::absence::Absence;
use crate::failpoint::Failpoint;
use crate::ledger_place::LedgerUrl;

/// For how long a question waits for a server that is away.
const QUESTION_PATIENCE: Duration = Duration::from_secs(30);

/// For how long a command waits for a server that is away when it begins: somebody may be standing by.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// For how long a change still waits when the run is to end.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// A server that is reached and says nothing for so long is away: whoever sits in between may have forgotten the connection without
/// a word. As large changes take long, each further try at one gets twice as long.
const ANSWER: Duration = Duration::from_secs(20);

/// For how long undoing a transaction may take before its connection is closed instead.
const UNDOING: Duration = Duration::from_secs(5);

/// Between two tries at a server that is away: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How often one change is made again because others were in its way.
const MOST_CONFLICTS: u32 = 50;

/// A database that is the ledger. Its connections live on a thread of their own, so that it can be used from anywhere.
pub(super) struct Database {
    /// For errors: without the password.
    name: PathBuf,
    pool: Pool,
    /// Only taken out when this is dropped.
    runtime: Option<Runtime>,
    /// What it was opened for.
    purpose: Purpose,
    guards: Guards,
    /// Set when the run is to end.
    ending: CancellationToken,
    /// Whether the last try found it away.
    absence: Absence,
}

/// What a ledger is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is not changed.
    Questions,
    /// What a run does.
    Changes,
    /// It is filled with the rows of another one, and nobody else opens it before that is done.
    Filling,
}

/// Why a try came to nothing.
enum Setback {
    /// It would be the same again.
    Refused(LedgerError),
    /// Somebody else was in the way.
    Conflict(Fault),
    /// The server is away.
    Away(String),
    /// It was reached, and did not answer in time.
    Silent(String),
}

impl Database {
    /// Opens the ledger of that address. Unless it is for questions only, makes it if there is none, and brings an older one up to
    /// date.
    pub(super) fn open(url: &LedgerUrl, purpose: Purpose) -> Result<Arc<Self>, LedgerError> {
        let name = PathBuf::from(url.to_string());
        let cannot = |why: String| LedgerError::CannotOpen { ledger: name.clone(), why };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ledger")
            .enable_all()
            .build()
            .map_err(|error| cannot(error.to_string()))?;
        let pool = connect::pool(url).map_err(cannot)?;
        let database = Self {
            name,
            pool,
            runtime: Some(runtime),
            purpose,
            guards: Guards::default(),
            ending: CancellationToken::new(),
            absence: Absence::default(),
        };
        let database = Arc::new(database);
        // Whoever opens it may be on a thread that must not wait for a runtime.
        let opening = Arc::clone(&database);
        let opened = std::thread::scope(|scope| scope.spawn(|| opening.make_ready()).join());
        opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(database)
    }

    fn make_ready(&self) -> Result<(), LedgerError> {
        reached(Failpoint::LedgerOpen).map_err(|fault| fault.at(&self.name))?;
        // To bring a large ledger up to date takes what it takes.
        self.persist(Some(OPEN_PATIENCE), |turn| {
            let mut client = self.connection(turn)?;
            let made = self.handle().block_on(open::make_ready(&mut client, &self.name, self.purpose));
            made.map_err(|fault| self.setback(fault))
        })
    }

    /// What writes about cameras have to hold.
    pub(super) fn guards(&self) -> &Guards {
        &self.guards
    }

    /// From now on nothing waits for long: the run is to end.
    pub(super) fn end_waiting(&self) {
        self.ending.cancel();
    }

    /// Does `work` in a transaction and returns when that is on the server's disk. If it fails, nothing of it is kept. A caller
    /// that stops waiting does not undo it.
    pub(super) async fn write<T, W>(self: &Arc<Self>, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        if self.purpose == Purpose::Questions {
            return Err(LedgerError::ReadOnly { ledger: self.name.clone() });
        }
        let database = Arc::clone(self);
        self.aside(move || database.persist(None, |turn| database.try_write(turn, &work))).await
    }

    /// Asks `work` of one snapshot.
    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let database = Arc::clone(self);
        // What a run asks is part of what it changes; elsewhere somebody stands by, and no question is too long.
        let patience = (self.purpose == Purpose::Questions).then_some(QUESTION_PATIENCE);
        self.aside(move || database.persist(patience, |turn| database.try_read(turn, &work))).await
    }

    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(LedgerError::WriterGone),
        }
    }

    /// Tries again for as long as it makes sense.
    fn persist<T>(
        &self,
        patience: Option<Duration>,
        attempt: impl Fn(Turn) -> Result<T, Setback>,
    ) -> Result<T, LedgerError> {
        let begun = Instant::now();
        let (mut pause, longest) = PAUSES;
        let (mut conflicts, mut answer) = (0, ANSWER);
        loop {
            let turn = match self.purpose {
                Purpose::Questions => Turn::without_end(),
                Purpose::Changes | Purpose::Filling => Turn::of(answer),
            };
            let tried = attempt(turn);
            if matches!(tried, Err(Setback::Silent(_))) {
                answer *= 2;
                // Those that nobody uses now go the same way.
                self.pool.retain(|_, _| false);
            }
            match tried {
                Ok(done) => {
                    self.is_back();
                    return Ok(done);
                }
                Err(Setback::Refused(error)) => return Err(error),
                Err(Setback::Conflict(fault)) => {
                    conflicts += 1;
                    if conflicts >= MOST_CONFLICTS {
                        return Err(fault.at(&self.name));
                    }
                }
                Err(Setback::Away(why) | Setback::Silent(why)) => {
                    let patience = if self.ending.is_cancelled() { Some(LAST_PATIENCE) } else { patience };
                    if patience.is_some_and(|patience| begun.elapsed() >= patience) {
                        let waited_seconds = begun.elapsed().as_secs();
                        return Err(LedgerError::Unreachable { ledger: self.name.clone(), waited_seconds, why });
                    }
                    if self.absence.begins(&why) {
                        tracing::warn!("the ledger {} is away, and is waited for: {why}", self.name.display());
                    }
                    self.pause(pause);
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Whether it is away, from now on.
    pub(super) fn absence(&self) -> watch::Receiver<Option<String>> {
        self.absence.watch()
    }

    fn is_back(&self) {
        if self.absence.ends() {
            tracing::info!("the ledger {} is back", self.name.display());
        }
    }

    /// Shorter when the run is to end meanwhile.
    fn pause(&self, pause: Duration) {
        let ending = self.ending.clone();
        self.handle().block_on(async move {
            // OK to ignore which of the two it was.
            let _ = tokio::time::timeout(pause, async {
                match ending.is_cancelled() {
                    true => std::future::pending().await,
                    false => ending.cancelled().await,
                }
            })
            .await;
        });
    }

    fn try_write<T>(&self, turn: Turn, work: &impl Fn(Session<'_>) -> Result<T, Fault>) -> Result<T, Setback> {
        let at = |step| reached(step).map_err(|fault| Setback::Refused(fault.at(&self.name)));
        at(Failpoint::LedgerBegin)?;
        let begun = Begun::with(self, self.connection(turn)?);
        let client = begun.client();
        let (writer, wrote) =
            turn.wait(self.handle(), transaction::begin_change(client)).map_err(|fault| self.setback(fault))?;
        let transaction = Transaction::new(client, self.handle(), turn, &self.guards);
        let done = work(Session::Postgres(&transaction)).map_err(|fault| self.setback(fault))?;
        at(Failpoint::LedgerCommit)?;
        match turn.wait(self.handle(), client.batch_execute("COMMIT")).map_err(|fault| self.setback(fault)) {
            Ok(()) => begun.release(),
            Err(Setback::Away(_) | Setback::Silent(_)) => {
                begun.close();
                self.came_through(writer, wrote)?;
            }
            Err(setback) => return Err(setback),
        }
        at(Failpoint::LedgerCommitted)?;
        Ok(done)
    }

    /// Finds out whether a commit came through whose answer did not; if not, the change is to be made again.
    fn came_through(&self, writer: i64, wrote: i64) -> Result<(), Setback> {
        let asked = self.persist(None, |turn| {
            let begun = Begun::with(self, self.connection(turn)?);
            let question = transaction::wrote(begun.client(), writer);
            let held = turn.wait(self.handle(), question).map_err(|fault| self.setback(fault))?;
            begun.release();
            Ok(held)
        });
        match asked {
            Ok(held) if held >= wrote => Ok(()),
            Ok(_) => Err(Setback::Away("the connection broke before a change was committed".to_owned())),
            Err(error) => Err(Setback::Refused(error)),
        }
    }

    fn try_read<T>(&self, turn: Turn, work: &impl Fn(Session<'_>) -> Result<T, Fault>) -> Result<T, Setback> {
        let begun = Begun::with(self, self.connection(turn)?);
        let client = begun.client();
        let failed = |fault| self.setback(fault);
        let begin = client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        turn.wait(self.handle(), begin).map_err(failed)?;
        let transaction = Transaction::new(client, self.handle(), turn, &self.guards);
        let done = work(Session::Postgres(&transaction)).map_err(failed)?;
        turn.wait(self.handle(), client.batch_execute("COMMIT")).map_err(failed)?;
        begun.release();
        Ok(done)
    }

    fn connection(&self, turn: Turn) -> Result<Object, Setback> {
        let turn = match self.purpose {
            // Somebody may be standing by, and a way that swallows all says nothing for long.
            Purpose::Questions => Turn::of(OPEN_PATIENCE),
            Purpose::Changes | Purpose::Filling => turn,
        };
        let got = turn.wait(self.handle(), async { Ok::<_, Fault>(self.pool.get().await) });
        match got.map_err(|fault| self.setback(fault))? {
            Ok(client) => Ok(client),
            Err(deadpool_postgres::PoolError::Backend(error)) => Err(self.setback(error.into())),
            Err(error) => Err(Setback::Away(told(&error))),
        }
    }

    fn setback(&self, fault: Fault) -> Setback {
        match fault {
            Fault::Postgres(failure) => match failure.kind() {
                Kind::Away => Setback::Away(failure.to_string()),
                Kind::Conflict => Setback::Conflict(Fault::Postgres(failure)),
                Kind::Other => Setback::Refused(Fault::Postgres(failure).at(&self.name)),
            },
            Fault::Late(late) => Setback::Silent(late.to_string()),
            fault => Setback::Refused(fault.at(&self.name)),
        }
    }

    fn handle(&self) -> &Handle {
        // OK because the runtime is there until this is dropped.
        self.runtime.as_ref().map(Runtime::handle).expect("a database has its runtime")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // OK not to wait: whoever still works with it holds it, and this may be dropped where nobody may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection with a transaction. One that does not come to its end, whatever keeps it from that, is undone, or closed.
struct Begun<'a> {
    database: &'a Database,
    client: Option<Object>,
}

impl<'a> Begun<'a> {
    fn with(database: &'a Database, client: Object) -> Self {
        Self { database, client: Some(client) }
    }

    fn client(&self) -> &Object {
        // OK because it is only taken out at the end.
        self.client.as_ref().expect("a transaction has a connection")
    }

    /// Nobody knows how it ended; the server undoes what is open once it learns that the connection is closed.
    fn close(mut self) {
        drop(self.client.take().map(Object::take));
    }

    /// The transaction has ended as it should; the connection serves others.
    fn release(mut self) {
        self.client = None;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let undone = !client.is_closed() && !std::thread::panicking() && {
            Turn::of(UNDOING).wait(self.database.handle(), client.batch_execute("ROLLBACK")).is_ok()
        };
        if !undone {
            // The server undoes what is open on a connection that is closed.
            drop(Object::take(client));
        }
    }
}
