//! Whose cameras these are, where many machines record live into one archive.
//!
//! A live run takes its cameras before anything else, and says again and again that it is alive, beside its streams. When nobody heard
//! that for too long, others may have put right what it seemed to have left, and taken cameras: it finds out by what the ledger
//! answers, joins again, and ends what is another's by then. Its streams go on meanwhile: what they bring, nobody else may have.
//!
//! Of a ledger in a file there is nothing of this: locks keep two live runs apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::LiveTools;
use crate::device::DeviceId;
use crate::event::Event;
use crate::lease::LeaseTimes;
use crate::ledger::{Ledger, LedgerError};
use crate::live_runs::LiveRunId;
use crate::live_waiting::{Verdict, Waiting};
use crate::vault::Hold;

/// The longest time between two looks at who has the cameras.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// A live run among those of other machines.
pub(super) struct Presence {
    ledger: Arc<Ledger>,
    events: UnboundedSender<Event>,
    times: LeaseTimes,
    /// When each camera ends, and all.
    stops: BTreeMap<DeviceId, CancellationToken>,
    stop: CancellationToken,
    standing: watch::Sender<Standing>,
    /// Somebody has found out that it was taken for dead.
    lost: Notify,
}

#[derive(Clone, Default)]
struct Standing {
    /// As which one it has joined; nothing before, and of a file.
    live_run: Option<LiveRunId>,
    /// How often it has.
    joins: u64,
    /// What it has left of its cameras.
    cameras: Vec<DeviceId>,
    /// Why it could not join again.
    failed: Option<LedgerError>,
}

impl Presence {
    pub(super) fn new(tools: &LiveTools, cameras: Vec<DeviceId>, times: LeaseTimes, stop: &CancellationToken) -> Self {
        Self {
            ledger: Arc::clone(&tools.ledger),
            events: tools.events.clone(),
            times,
            stops: cameras.iter().map(|&device| (device, stop.child_token())).collect(),
            stop: stop.clone(),
            standing: watch::Sender::new(Standing { cameras, ..Standing::default() }),
            lost: Notify::new(),
        }
    }

    /// Takes the cameras. Waits for those that others had a moment ago; refused when one is alive. False when somebody says stop
    /// meanwhile.
    pub(super) async fn take_place(&self, hold: &Hold) -> Result<bool, LedgerError> {
        if !self.ledger.is_shared() {
            return Ok(true);
        }
        if let Some(gone) = hold.left() {
            self.ledger.live_is_gone(gone).await?;
        }
        let cameras = self.standing.borrow().cameras.clone();
        let (mut waiting, mut told) = (Waiting::default(), false);
        loop {
            let held = match self.ledger.join_live(cameras.clone(), self.times.lasts).await? {
                Ok(joined) => {
                    self.ledger.guard_live(&cameras, joined.run);
                    hold.leave(&joined.token);
                    self.standing.send_modify(|standing| standing.live_run = Some(joined.run));
                    return Ok(true);
                }
                Err(held) => held,
            };
            if let Verdict::Refused(held) = waiting.look(&held) {
                return Err(self.ledger.cameras_held(held));
            }
            if !std::mem::replace(&mut told, true) {
                self.emit(Event::LiveWaits { held });
            }
            let pause = LONGEST_LOOK.min(self.times.beat);
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(false);
            }
        }
    }

    /// Says that it is alive, until it is `away`.
    pub(super) async fn keep(self: Arc<Self>, hold: Arc<Hold>, away: CancellationToken) {
        if self.live_run().is_none() {
            return;
        }
        loop {
            tokio::select! {
                biased;
                () = away.cancelled() => return,
                () = self.lost.notified() => {}
                () = tokio::time::sleep(self.times.beat) => {}
            }
            self.beat(&hold).await;
        }
    }

    async fn beat(&self, hold: &Hold) {
        let Some(live_run) = self.live_run() else { return };
        let beaten = match self.ledger.beat_live(live_run, self.times.lasts).await {
            Err(LedgerError::LiveLost) => self.join_again(hold).await,
            beaten => beaten,
        };
        let failed = beaten.err();
        if let Some(error) = &failed {
            tracing::warn!("others cannot be told that this live run is alive: {error}");
        }
        self.standing.send_modify(|standing| standing.failed = failed);
    }

    async fn join_again(&self, hold: &Hold) -> Result<(), LedgerError> {
        let mut cameras = self.standing.borrow().cameras.clone();
        let (joined, taken) = self.ledger.join_live_again(cameras.clone(), self.times.lasts).await?;
        cameras.retain(|device| taken.iter().all(|held| held.device != *device));
        self.ledger.guard_live(&cameras, joined.run);
        hold.leave(&joined.token);
        self.standing.send_modify(|standing| {
            standing.live_run = Some(joined.run);
            standing.joins += 1;
            standing.cameras = cameras;
        });
        self.emit(Event::LiveJoinedAgain);
        for held in taken {
            if let Some(stop) = self.stops.get(&held.device) {
                stop.cancel();
            }
            self.emit(Event::LiveTaken { held });
        }
        Ok(())
    }

    /// It has ended: its cameras are nobody's.
    pub(super) async fn leave(&self) -> Result<(), LedgerError> {
        match self.live_run() {
            Some(live_run) => self.ledger.leave_live(live_run).await,
            None => Ok(()),
        }
    }

    /// As which one it has joined last.
    pub(super) fn live_run(&self) -> Option<LiveRunId> {
        self.standing.borrow().live_run
    }

    /// How often it has joined again.
    pub(super) fn joins(&self) -> u64 {
        self.standing.borrow().joins
    }

    /// Cancelled when that camera is to end.
    pub(super) fn stop_of(&self, device: DeviceId) -> CancellationToken {
        self.stops.get(&device).unwrap_or(&self.stop).clone()
    }

    /// Waits until it has joined again, `since` it had done so that often; says whether the camera is still its own.
    pub(super) async fn regains(&self, device: DeviceId, since: u64) -> Result<bool, LedgerError> {
        let mut standing = self.standing.subscribe();
        // What went wrong before says nothing of the next try.
        self.standing.send_modify(|standing| standing.failed = None);
        self.lost.notify_one();
        let is_known = |standing: &Standing| {
            standing.joins > since || standing.failed.is_some() || !standing.cameras.contains(&device)
        };
        // OK when nobody tells any more: it cannot be, since this one has the sender.
        let Ok(standing) = standing.wait_for(is_known).await else { return Ok(false) };
        match &standing.failed {
            Some(failed) if standing.joins <= since && standing.cameras.contains(&device) => Err(failed.clone()),
            _ => Ok(standing.cameras.contains(&device)),
        }
    }

    fn emit(&self, event: Event) {
        // OK to ignore a closed channel: whoever displays the run may go before it ends.
        let _ = self.events.send(event);
    }
}
