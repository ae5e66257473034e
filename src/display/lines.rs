//! Events as lines of a log.

use chrono_tz::Tz;

use crate::device::DeviceId;
use crate::event::{Event, Recovery, StopReason};
use crate::live_runs::{self, HeldCamera};
use crate::outcome::{Attempt, Class, Outcome};
use crate::recording::{Recording, VideoCodec};
use crate::untrusted::Untrusted;
use crate::window::Window;
use crate::wording;

pub(super) struct Line {
    pub(super) text: String,
    /// Whether even a quiet run says it.
    pub(super) is_important: bool,
}

/// The line that an event deserves, if any.
pub(super) fn line(event: &Event, zone: Tz) -> Option<Line> {
    let quiet = |text| Some(Line { text, is_important: false });
    let important = |text| Some(Line { text, is_important: true });
    match event {
        Event::Started { windows, seconds } => {
            quiet(format!("{} to fetch, {}", wording::count(*windows, "window"), wording::seconds(*seconds)))
        }
        Event::Recovered(recovery) => important(recovered(recovery, zone)),
        Event::AttemptStarted { .. } | Event::Streaming { .. } | Event::Archived { .. } | Event::Ended(_) => None,
        Event::AttemptEnded { window, attempt } => quiet(ended(window, attempt, zone)),
        Event::NvrHeld { nvr, class, until, limit } => {
            let until = until.map_or_else(String::new, |until| {
                format!(", left alone until {}", wording::time(until.to_utc_second(), zone))
            });
            quiet(format!("nvr {nvr}: {}{until}; at most {limit} at once", held(*class)))
        }
        Event::HostJoined { host } => quiet(format!("joined the hosts of this ledger as {host}")),
        Event::HostLost { host } => {
            important(format!("{host} was not heard of for too long; others have its NVRs now, and it joins anew"))
        }
        Event::LeaseLost { nvr } => {
            important(format!("nvr {nvr} is another host's now; what this one still had was not kept"))
        }
        Event::HostsAwaited { nvrs } => quiet(format!(
            "{} with something left, held by other hosts or left to another job: waiting",
            wording::count(*nvrs as u64, "NVR")
        )),
        Event::LiveWaits { held } => important(format!(
            "others have cameras of this run: {}. It waits until they are known to be dead, or heard of",
            live_runs::told(held)
        )),
        Event::LiveJoinedAgain => important(
            "this live run was not heard of for too long and was taken for dead: it has joined again".to_owned(),
        ),
        Event::LiveTaken { held: HeldCamera { device, machine, pid, .. } } => important(format!(
            "device {device} is recorded by process {pid} on {machine} now: this run, which was not heard of for too long, ends it"
        )),
        // Whoever waits has logged that it does.
        Event::Away { .. } => None,
        Event::Back { server } => important(format!("{server} is back")),
        Event::SpoolFull { why } => {
            important(format!("nothing new is asked for until the object store takes something: {why}"))
        }
        Event::SpoolHasRoom => important("the spool has room again: going on".to_owned()),
        Event::NvrLearned { device, nvr } => quiet(format!("device {device} hangs off nvr {nvr}, as media URLs tell")),
        Event::GivenUp { window, cause } => quiet(format!("{}  gap: {cause}", named(window, zone))),
        Event::LiveBegan { device, via, said, codec } => quiet(began(*device, via, said, *codec)),
        Event::LiveArchived { recording } => {
            quiet(format!("{}  archived  {}", named_recording(recording, zone), wording::bytes(recording.bytes)))
        }
        Event::LiveInterrupted { device, since, why, retry } => {
            let retry = wording::seconds(i64::try_from(retry.as_secs()).unwrap_or(i64::MAX).max(1));
            quiet(format!(
                "device {device}  live interrupted at {}: {why}; asked again in {retry}",
                wording::time(*since, zone)
            ))
        }
        Event::AmbiguousLabel { window } => important(format!(
            "{}  this local time exists twice: the platform may answer with the other hour",
            named(window, zone)
        )),
        Event::CatalogNotWritten { why } => important(format!(
            "the archive's catalog was not brought up to date, and will be at the end of the next run: {why}"
        )),
        Event::Stopping(reason) => important(stopping(reason)),
    }
}

fn named(window: &Window, zone: Tz) -> String {
    format!("device {}  {}", window.device, wording::range(window.range, zone))
}

fn named_recording(recording: &Recording, zone: Tz) -> String {
    named(&Window { device: recording.device, range: recording.range }, zone)
}

fn ended(window: &Window, attempt: &Attempt, zone: Tz) -> String {
    let size = format!("{} in {:.1} s", wording::bytes(attempt.bytes), attempt.milliseconds as f64 / 1000.0);
    let what = match &attempt.outcome {
        Outcome::Archived => size,
        Outcome::Prefix { until } => format!("kept up to {}, {size}", wording::time(*until, zone)),
        Outcome::Short { media_seconds } => format!("{} of footage, {size}", wording::seconds(*media_seconds)),
        _ => {
            let detail = attempt.detail.as_ref().map(ToString::to_string);
            detail.or_else(|| attempt.code.map(|code| code.to_string())).unwrap_or(size)
        }
    };
    format!("{}  {}  {what}", named(window, zone), attempt.outcome.as_str())
}

fn began(device: DeviceId, via: &str, said: &Untrusted, codec: Option<VideoCodec>) -> String {
    let said = if said.is_empty() { "does not say".to_owned() } else { format!("says {said}") };
    let codec = codec.map_or_else(|| "no codec that is known".to_owned(), |codec| codec.to_string());
    format!("device {device}  recording live over {via}: the platform {said}, the stream has {codec}")
}

fn held(class: Class) -> &'static str {
    match class {
        Class::NvrOffline => "not online",
        Class::NvrOverloaded => "its CPU is too busy",
        _ => "its playback channels are full",
    }
}

fn recovered(recovery: &Recovery, zone: Tz) -> String {
    match recovery {
        Recovery::Swept { files } => {
            format!("deleting {} that an earlier run left in staging", wording::count(*files, "file"))
        }
        Recovery::Adopted { recording } => {
            let named = named_recording(recording, zone);
            format!("{named}  adopted: published by a run that was killed before it could say so")
        }
        Recovery::Left { why } => format!("what an earlier run left behind stays where it is: {why}"),
        Recovery::SetAside { path, why } => format!("moved aside to {}: {why}", path.display()),
    }
}

fn stopping(reason: &StopReason) -> String {
    match reason {
        StopReason::Signal => "stopping: what streams is kept up to here, the rest stays planned".to_owned(),
        StopReason::StopAt => "stopped: the job's stop_at has come; the next run goes on".to_owned(),
        StopReason::AccountRefused(why) => format!("stopping: the account is refused: {why}"),
        StopReason::DiskFull(why) | StopReason::Broken(why) | StopReason::StoreAway(why) => format!("stopping: {why}"),
    }
}
