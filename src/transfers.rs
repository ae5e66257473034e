//! The threads that bring streams to the disk, apart from those that decide.
//!
//! A stream's bytes are written where they were read, while they are hot, and a write to a slow disk blocks its thread. Were
//! it one of those on which the scheduler, the platform's answers, the ledger's and the signals wait, the disk would hold
//! all of them up. Here it holds up streams alone: its own, and others only when more writes block than there are threads.
//! A live camera's task is here as a whole: what it decides concerns its own stream.

use std::io;
use std::num::NonZero;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// At least so many, however small the machine, so that one write that blocks does not hold up all. More than there are cores
/// cost slow streams processor time: 4 on two cores took 5 % more than 2, and 8 took 11 % more.
const FEWEST: usize = 2;

/// How often a thread that sleeps is woken. A thread that waited for all sockets and then blocks in a write has not passed that
/// waiting on: tokio wakes another one only for work that comes from outside.
const ROUSE: Duration = Duration::from_millis(50);

/// Threads for streams. Dropping it ends what still streams there.
#[derive(Debug)]
pub struct Transfers {
    handle: Handle,
    /// Nothing only while this is dropped.
    runtime: Option<Runtime>,
    /// Dropped with this, which ends the thread that wakes the others.
    _rousing: Sender<()>,
}

impl Transfers {
    /// Starts the threads.
    pub fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(cores.max(FEWEST))
    }

    /// Starts so many threads.
    pub fn with_threads(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("stream").enable_all().build()?;
        let handle = runtime.handle().clone();
        let (rousing, ended) = channel();
        let rouse = handle.clone();
        thread::Builder::new().name("rouse".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(ROUSE) {
                rouse.spawn(async {});
            }
        })?;
        Ok(Self { handle, runtime: Some(runtime), _rousing: rousing })
    }

    /// The way to the threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Does `work` on these threads. Whoever stops waiting for it ends it.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let working = AbortOnDropHandle::new(self.handle.spawn(work));
        // OK because it is either done or has panicked: it is aborted only when nobody waits, and so are the threads.
        working.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting: this may be on a thread that must not block.
            runtime.shutdown_background();
        }
    }
}
