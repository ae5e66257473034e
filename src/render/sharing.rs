//! Who shares the work of a ledger on a server, as text.

use std::cmp::Reverse;

use chrono_tz::Tz;

use crate::lease::Tally;
use crate::report::{HostRow, SharedWork};
use crate::time_range::UtcSecond;
use crate::wording;

use super::running::clock;
use super::{MOST_ROWS, table};

/// A line of all, and a table of the hosts, those that are dead first.
pub(super) fn sharing(work: &SharedWork, now: UtcSecond, zone: Tz) -> String {
    let dead = work.hosts.iter().filter(|host| !host.is_alive).count();
    let alive = work.hosts.len() - dead;
    let mut text = format!("shared  {} at work", wording::count(alive as u64, "host"));
    if dead > 0 {
        text.push_str(&format!(", {dead} not heard of any more"));
    }
    let tally = |Tally { nvrs, seconds }: Tally, what: &str| match seconds {
        0 => format!("{nvrs} {what}"),
        seconds => format!("{nvrs} {what} ({})", wording::hours(seconds)),
    };
    let Tally { nvrs: finished, .. } = work.finished;
    text.push_str(&format!(
        "; NVRs: {}, {}, {finished} finished\n",
        tally(work.free, "free"),
        tally(work.leased, "leased")
    ));
    if work.hosts.is_empty() {
        return text;
    }
    let mut hosts: Vec<&HostRow> = work.hosts.iter().collect();
    hosts.sort_by_key(|host| (host.is_alive, Reverse(host.backlog_seconds), host.host));
    let mut table =
        table(&["host", "machine", "process", "since", "heard of", "streams", "nvrs", "backlog", "job", "archive"]);
    for host in hosts.iter().take(MOST_ROWS) {
        let heard_of = match host.is_alive {
            true => format!("{} s ago", (now - host.seen).max(0)),
            false => format!("last at {}", clock(host.seen, now, zone)),
        };
        table.add_row([
            host.host.get().to_string(),
            host.machine.clone(),
            host.pid.to_string(),
            clock(host.joined, now, zone),
            heard_of,
            host.streams.to_string(),
            host.nvrs.to_string(),
            wording::hours(host.backlog_seconds),
            host.what.clone(),
            host.name.clone(),
        ]);
    }
    let more = match hosts.len().saturating_sub(MOST_ROWS) {
        0 => String::new(),
        hidden => format!("and {} more; --json has all\n", wording::count(hidden as u64, "host")),
    };
    format!("{text}{table}\n{more}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::HostId;

    #[test]
    fn the_dead_come_first_and_are_named_so() {
        let now = UtcSecond::new(1_795_132_800);
        let host = |number, is_alive, seen| HostRow {
            host: HostId::new(number),
            name: "s3://chain/night".to_owned(),
            what: "run night".to_owned(),
            machine: format!("night-{number}"),
            pid: 7,
            joined: now - 3600,
            seen,
            is_alive,
            streams: 16,
            backlog_seconds: 7200,
            is_hungry: false,
            nvrs: 3,
        };
        let work = SharedWork {
            hosts: vec![host(1, true, now - 4), host(2, false, now - 600), host(3, true, now - 2)],
            free: Tally { nvrs: 4, seconds: 3600 },
            leased: Tally { nvrs: 9, seconds: 21_600 },
            finished: Tally { nvrs: 12, seconds: 0 },
        };
        let text = sharing(&work, now, Tz::UTC);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines[0],
            "shared  2 hosts at work, 1 not heard of any more; NVRs: 4 free (1 h), 9 leased (6 h), 12 finished"
        );
        let at =
            |what: &str| lines.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(lines[at("night-2")].contains("last at 2026-11-19 23:50:00"), "{text}");
        assert!(lines[at("night-1")].contains("4 s ago"), "{text}");
        assert!(at("night-2") < at("night-1") && at("night-1") < at("night-3"), "{text}");
    }
}
