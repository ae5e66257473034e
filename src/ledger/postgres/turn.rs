//! How long one try at a server may take: whoever waits for an answer that never comes waits for ever.

use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::super::error::Fault;

/// The server was reached, and has not answered.
#[derive(Clone, Copy, Debug, Error)]
#[error("it has answered nothing for {seconds} s")]
pub(in crate::ledger) struct Late {
    seconds: u64,
}

/// One try: all that it asks must be answered by its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn(Option<(Instant, Duration)>);

impl Turn {
    /// One that begins now and takes so long at the most.
    pub(super) fn of(most: Duration) -> Self {
        Self(Some((Instant::now() + most, most)))
    }

    /// One that may take what it takes.
    pub(super) fn without_end() -> Self {
        Self(None)
    }

    /// Waits for an answer until this try is to end. Not on a thread of the runtime itself.
    pub(super) fn wait<T, E>(self, handle: &Handle, asked: impl Future<Output = Result<T, E>>) -> Result<T, Fault>
    where
        Fault: From<E>,
    {
        let Some((end, most)) = self.0 else { return Ok(handle.block_on(asked)?) };
        // Within the runtime, whose clock it is.
        let answered = handle.block_on(async { timeout_at(end, asked).await });
        Ok(answered.map_err(|_elapsed| Late { seconds: most.as_secs() })??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_in_time_is_late_and_what_has_no_end_is_waited_for() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
        let never = std::future::pending::<Result<(), Fault>>();
        assert!(matches!(Turn::of(Duration::ZERO).wait(runtime.handle(), never), Err(Fault::Late(_))));
        let soon = async {
            tokio::task::yield_now().await;
            Ok::<_, Fault>(())
        };
        assert!(Turn::without_end().wait(runtime.handle(), soon).is_ok());
    }
}
