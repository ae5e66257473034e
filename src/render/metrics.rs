//! How the archive stands, in Prometheus' text format, for the node exporter's textfile collector. By NVR, never by camera: a
//! chain has ten thousand of those.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::coverage::Coverage;
use crate::recording::Source;
use crate::report::RunRow;
use crate::time_range::UtcSecond;
use crate::window::Cause;

use super::status::{NvrStatus, StatusReport};

/// The series of all cameras of which nobody knows the NVR.
const NOT_KNOWN: &str = "not known";

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// How the archive stands.
    pub status: &'a StatusReport,
    /// The newest run of each source that has ended.
    pub last_runs: &'a [RunRow],
    /// When the newest run of each source ended that finished its work.
    pub successes: &'a [(Source, UtcSecond)],
}

/// Every metric, each with what it is.
pub fn metrics(measured: &Measured<'_>) -> String {
    let mut page = Page::default();
    let Measured { status, last_runs, successes } = *measured;
    let totals = &status.totals;
    page.one(
        "archive_asked_seconds",
        "Footage that was ever asked for, without what was pruned.",
        totals.asked_seconds,
    );
    page.one("archive_archived_seconds", "Footage of that which is archived.", totals.archived_seconds);
    let coverage = Coverage { asked_seconds: totals.asked_seconds, archived_seconds: totals.archived_seconds };
    page.one("archive_coverage_ratio", "Archived over asked-for footage, rounded down.", points(coverage));
    page.one(
        "archive_pruned_seconds",
        "Footage that was archived, and that retention has deleted.",
        totals.pruned_seconds,
    );
    let causes = Cause::ALL.into_iter().filter(|&cause| cause != Cause::Pruned);
    let missing = |cause: Cause| totals.missing_seconds.get(&cause).copied().unwrap_or_default();
    page.gauge(
        "archive_missing_seconds",
        "Footage that was asked for and is not archived, by cause.",
        causes.map(|cause| (vec![("cause", cause.to_string())], missing(cause))),
    );
    page.one("archive_backlog_seconds", "Missing footage that may still be fetched.", status.backlog.seconds);
    let lost = status.backlog.lost.map_or(0, |lost| lost.seconds);
    page.one(
        "archive_backlog_lost_seconds",
        "Footage of the backlog that is overwritten before it can be reached, as far as is known.",
        lost,
    );
    by_nvr(&mut page, &status.nvrs);
    of_runs(&mut page, last_runs, successes);
    page.text
}

/// A share from 0 to 1.
fn points(coverage: Coverage) -> f64 {
    coverage.basis_points() as f64 / 10_000.0
}

/// One NVR's sums, or those of all cameras without one.
#[derive(Clone, Copy, Default)]
struct Sums {
    calls: u64,
    refused: u64,
    left_alone: u64,
    backlog: i64,
    lost: i64,
}

fn by_nvr(page: &mut Page, nvrs: &BTreeMap<crate::device::NvrId, NvrStatus>) {
    let mut by_name: BTreeMap<&str, Sums> = BTreeMap::new();
    for (nvr, status) in nvrs {
        let name = if nvr.is_of_device_alone() { NOT_KNOWN } else { nvr.as_str() };
        let sums = by_name.entry(name).or_default();
        sums.calls += status.calls;
        sums.refused += status.refused;
        sums.left_alone += status.left_alone;
        sums.backlog += status.backlog.seconds;
        sums.lost += status.backlog.lost.map_or(0, |lost| lost.seconds);
    }
    let each = |value: fn(&Sums) -> i64| {
        let labelled = |(name, sums): (&&str, &Sums)| (vec![("nvr", (*name).to_owned())], value(sums));
        by_name.iter().map(labelled).collect::<Vec<_>>()
    };
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let counted = |value: fn(&Sums) -> u64| {
        let labelled = |(name, sums): (&&str, &Sums)| (vec![("nvr", (*name).to_owned())], number(value(sums)));
        by_name.iter().map(labelled).collect::<Vec<_>>()
    };
    page.counter("archive_nvr_calls_total", "How often the NVR was asked for a recording.", counted(|sums| sums.calls));
    page.counter("archive_nvr_refusals_total", "How many of those it refused.", counted(|sums| sums.refused));
    let help = "How often it was left alone because it refused too many.";
    page.counter("archive_nvr_left_alone_total", help, counted(|sums| sums.left_alone));
    page.gauge(
        "archive_nvr_backlog_seconds",
        "Missing footage of its cameras that may still be fetched.",
        each(|s| s.backlog),
    );
    let help = "Footage of that which is overwritten before it can be reached, as far as is known.";
    page.gauge("archive_nvr_backlog_lost_seconds", help, each(|sums| sums.lost));
}

fn of_runs(page: &mut Page, last_runs: &[RunRow], successes: &[(Source, UtcSecond)]) {
    let source = |source: Source| vec![("source", source.as_str().to_owned())];
    let mut each = |name: &str, help: &str, value: &dyn Fn(&RunRow) -> Option<i64>| {
        let values = last_runs.iter().filter_map(|run| Some((source(run.source), value(run)?)));
        page.gauge(name, help, values.collect::<Vec<_>>());
    };
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let began = |run: &RunRow| Some(run.started.get());
    each("archive_last_run_start_timestamp_seconds", "When the last run that has ended began.", &began);
    let ended = |run: &RunRow| run.ended.map(UtcSecond::get);
    each("archive_last_run_end_timestamp_seconds", "When it ended.", &ended);
    let exit = |run: &RunRow| run.exit.map(i64::from);
    each("archive_last_run_exit_code", "Its exit code: 0 is complete, 3 is finished with gaps.", &exit);
    let recordings = |run: &RunRow| Some(number(run.counts?.recordings));
    each("archive_last_run_recordings", "Recordings that it published.", &recordings);
    each("archive_last_run_bytes", "Bytes of those.", &|run| Some(number(run.counts?.bytes)));
    each("archive_last_run_attempts", "Attempts that it made.", &|run| Some(number(run.counts?.attempts)));
    let missing = |run: &RunRow| Some(run.counts?.missing_seconds);
    each("archive_last_run_missing_seconds", "What of its own request was missing at its end.", &missing);
    page.gauge(
        "archive_last_success_timestamp_seconds",
        "When the last run ended that finished its work, with gaps or without.",
        successes.iter().map(|&(from, at)| (source(from), at.get())),
    );
}

#[derive(Default)]
struct Page {
    text: String,
}

type Labels = Vec<(&'static str, String)>;

impl Page {
    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help, [(Vec::new(), value)]);
    }

    fn gauge<V: Display>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, V)>) {
        self.family(name, help, "gauge", values);
    }

    fn counter<V: Display>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, V)>) {
        self.family(name, help, "counter", values);
    }

    /// A metric with what it is; nothing of one without a value.
    fn family<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        values: impl IntoIterator<Item = (Labels, V)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        // OK to ignore, here and below: writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.text, "{name}{labels} {value}");
        }
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DeviceId, NvrId};
    use crate::forecast::{KnownFrom, Limit};
    use crate::render::Backlog;
    use crate::report::{RunCounts, RunId, Totals};

    fn nvr(calls: u64, refused: u64, backlog: i64) -> NvrStatus {
        NvrStatus {
            devices: 1,
            limit: None,
            at_once: Limit { downloads: 4, source: KnownFrom::PerNvr },
            keeps: None,
            calls,
            refused,
            left_alone: 0,
            nights: Vec::new(),
            backlog: Backlog { seconds: backlog, ..Backlog::default() },
        }
    }

    #[test]
    fn cameras_without_an_nvr_are_one_series_and_labels_are_escaped() {
        let alone = |number| NvrId::of_device_alone(DeviceId::new(number).expect("not negative"));
        let nvrs =
            [(NvrId::new("a \"b\" \\ c"), nvr(10, 2, 600)), (alone(7), nvr(1, 1, 60)), (alone(8), nvr(2, 0, 60))];
        let totals = Totals {
            asked_seconds: 3000,
            archived_seconds: 1999,
            missing_seconds: [(Cause::NvrBusy, 1001)].into(),
            pruned_seconds: 60,
        };
        let status = StatusReport {
            now: UtcSecond::new(0),
            root: String::new(),
            ledger: String::new(),
            devices: 3,
            nvrs: nvrs.into(),
            totals,
            backlog: Backlog { seconds: 720, ..Backlog::default() },
            disk: None,
            running: Vec::new(),
            shared: None,
            runs: Vec::new(),
        };
        let run = RunRow {
            run: RunId::new(4),
            started: UtcSecond::new(1000),
            ended: Some(UtcSecond::new(2000)),
            what: "run night".into(),
            source: Source::Nvr,
            exit: Some(3),
            state: "ended".into(),
            counts: Some(RunCounts { bytes: 5000, ..RunCounts::default() }),
            pid: 1,
            host: "keeper".into(),
        };
        let successes = [(Source::Live, UtcSecond::new(900))];
        let text = metrics(&Measured { status: &status, last_runs: &[run], successes: &successes });
        for line in [
            "archive_coverage_ratio 0.6663",
            "archive_missing_seconds{cause=\"nvr busy\"} 1001",
            "archive_missing_seconds{cause=\"lost\"} 0",
            "archive_nvr_refusals_total{nvr=\"a \\\"b\\\" \\\\ c\"} 2",
            "archive_nvr_calls_total{nvr=\"not known\"} 3",
            "archive_last_run_exit_code{source=\"nvr\"} 3",
            "archive_last_success_timestamp_seconds{source=\"live\"} 900",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("device 7") && !text.contains("pruned\""), "{text}");
    }
}
