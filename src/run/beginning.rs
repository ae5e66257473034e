//! What a run does before its first attempt: it puts right what an earlier one left behind, and plans.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;

use super::{Job, RunError, Tools, check_free_space, planning};
use crate::adopt;
use crate::clock::WallClock;
use crate::device::NvrId;
use crate::event::{Event, Recovery};
use crate::leaving;
use crate::plan::Plan;
use crate::recording::Source;
use crate::report::Learned;
use crate::vault::VaultError;

/// A run that may work, once nothing of an earlier one is in its way.
pub(super) struct Begun {
    /// What was left in staging is being deleted.
    pub(super) deleting: JoinHandle<Result<(), VaultError>>,
    /// What to work through.
    pub(super) start: Result<Start, RunError>,
}

/// What a run works through.
pub(super) struct Start {
    /// The plan.
    pub(super) plan: Plan,
    /// What earlier runs learned of NVRs.
    pub(super) learned: BTreeMap<NvrId, Learned>,
}

/// Puts right and plans. Only while no other run of downloads goes on.
pub(super) async fn begin(job: &Job, tools: &Tools, clock: &WallClock) -> Result<Begun, RunError> {
    let deleting = sweep(job, tools)?;
    Ok(Begun { deleting, start: put_right_and_plan(job, tools, clock).await })
}

/// Takes what was left in staging out of the way. To delete it takes longer than all else that a start does, so that goes on
/// beside, unless its room is needed.
fn sweep(job: &Job, tools: &Tools) -> Result<JoinHandle<Result<(), VaultError>>, RunError> {
    let swept = tools.vault.sweep()?;
    if swept.files > 0 {
        tools.emit(Event::Recovered(Recovery::Swept { files: swept.files }));
    }
    if check_free_space(&tools.vault, job.min_free.saturating_add(swept.bytes)).is_err() {
        tools.vault.delete_swept()?;
    }
    let vault = tools.vault.clone();
    Ok(tokio::task::spawn_blocking(move || vault.delete_swept()))
}

async fn put_right_and_plan(job: &Job, tools: &Tools, clock: &WallClock) -> Result<Start, RunError> {
    let ledger = &tools.ledger;
    finish_what_was_leaving(tools, clock).await?;
    // Of a ledger with many hosts, others may be in the middle of publishing: a host looks after what it leases.
    if ledger.is_shared() {
        // What this host had judged and not brought into an object store, it goes on with if it leases the NVR before others do;
        // who does takes its note away, and fetches it again.
        adopt::clear_ready(ledger, &tools.vault, Source::Nvr).await?;
    } else {
        adopt(job, tools, clock).await?;
    }
    adopt_live(job, tools, clock).await?;
    let (plan, learned) = futures::try_join!(planning::plan(ledger, &job.asked, &job.nvrs), ledger.learned_limits())?;
    Ok(Start { plan, learned })
}

/// Finishes what a verify or a prune that was cut off had begun.
async fn finish_what_was_leaving(tools: &Tools, clock: &WallClock) -> Result<(), RunError> {
    let now = clock.now().to_utc_second();
    for recovery in leaving::finish_at_start(&tools.ledger, &tools.vault, now).await? {
        tools.emit(Event::Recovered(recovery));
    }
    Ok(())
}

/// Adopts what a run that was cut off published and did not write down, for whatever job it was.
async fn adopt(job: &Job, tools: &Tools, clock: &WallClock) -> Result<(), RunError> {
    for recovery in adopt::recover(&tools.ledger, &tools.vault, check(job, clock, Source::Nvr)).await? {
        tools.emit(Event::Recovered(recovery));
    }
    Ok(())
}

/// Publishes what a live run that was cut off left behind, unless one goes on here at this moment.
async fn adopt_live(job: &Job, tools: &Tools, clock: &WallClock) -> Result<(), RunError> {
    let (ledger, vault) = (&tools.ledger, &tools.vault);
    if !adopt::live::is_needed(ledger, vault).await? {
        return Ok(());
    }
    let Ok(hold) = vault.hold(Source::Live) else {
        // OK to leave the rest: a live run goes on, and looked after it when it began. One of another machine may have died since.
        if ledger.is_shared() {
            ledger.recorded_elsewhere(None).await?;
            adopt::live::clear(ledger, None, clock.now().to_utc_second()).await?;
        }
        return Ok(());
    };
    if let Some(gone) = hold.left() {
        ledger.live_is_gone(gone).await?;
    }
    for recovery in adopt::live::recover(ledger, vault, None, check(job, clock, Source::Live)).await? {
        tools.emit(Event::Recovered(recovery));
    }
    Ok(())
}

fn check(job: &Job, clock: &WallClock, source: Source) -> adopt::Check {
    adopt::Check {
        source,
        now: clock.now().to_utc_second(),
        tolerance_seconds: job.tolerance_seconds,
        platform_zone: job.platform_zone,
    }
}
