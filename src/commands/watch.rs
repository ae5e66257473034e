//! `archive status --watch`: the same again and again, until somebody ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::StatusArgs;
use crate::exit_code::ExitCode;
use crate::render::{self, StatusReport};
use crate::settings::Settings;

use super::{status, work};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// What takes long, in a large ledger, is asked for so seldom that it takes this part of the time at most.
const PART: u32 = 20;

/// Takes what goes beyond a terminal's last column off, and puts it back on: a line that wrapped would shift all below it.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

pub(super) async fn watch(args: &StatusArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let ended = work::signal();
    tokio::pin!(ended);
    let mut last: Option<(Instant, Duration, StatusReport)> = None;
    let zone = settings.archive.time_zone;
    loop {
        let begun = Instant::now();
        let looked = match last.take() {
            Some((asked, took, report)) if asked.elapsed() < took * PART => {
                status::with_what_runs(report, settings).await.map(|report| (asked, took, report))
            }
            _ => status::report(settings, args.runs).await.map(|report| (begun, begun.elapsed(), report)),
        };
        let is_read = match looked {
            Ok((asked, took, report)) => {
                let is_read = show(args, &report, || render::status(&report, zone))?;
                last = Some((asked, took, report));
                is_read
            }
            Err(error) => match status::unreached(settings, &error) {
                // It may come back while somebody watches.
                Some(report) => show(args, &report, || format!("{}{error}\n", render::unreached(&report, zone)))?,
                None => return Err(error),
            },
        };
        if !is_read {
            return Ok(ExitCode::Complete);
        }
        tokio::select! {
            biased;
            () = &mut ended => return Ok(ExitCode::Complete),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Shows it. False when nobody reads any longer.
fn show(args: &StatusArgs, report: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    let text = if args.common.json {
        format!("{}\n", serde_json::to_string(report)?)
    } else if out.is_terminal() {
        let rows = rustix::termios::tcgetwinsize(&out).map_or(24, |size| size.ws_row);
        redrawn(&text(), usize::from(rows))
    } else {
        format!("{}\n", text())
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// What puts `text` over what stood on a terminal of so many rows, line by line, so that nothing flickers. What does not fit is left
/// out.
fn redrawn(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let fits = lines.len() < rows;
    let shown = if fits { lines.len() } else { rows.saturating_sub(2) };
    // To the first row and column; each line up to its end; and all below.
    let mut frame = format!("{NO_WRAP}\x1b[H");
    for line in &lines[..shown] {
        frame.push_str(line);
        frame.push_str("\x1b[K\n");
    }
    if !fits {
        frame.push_str(&format!("… {} lines more\x1b[K\n", lines.len() - shown));
    }
    frame.push_str("\x1b[J");
    frame.push_str(WRAP);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_scrolls_the_terminal() {
        let text = "line\n".repeat(100);
        for rows in [0, 1, 2, 3, 24, 100, 101, 200] {
            let frame = redrawn(&text, rows);
            assert!(frame.matches('\n').count() < rows.max(2), "{rows}");
            assert!(frame.starts_with("\x1b[?7l\x1b[H") && frame.ends_with("\x1b[J\x1b[?7h"));
        }
        assert!(redrawn(&text, 24).contains("… 78 lines more"));
        assert!(!redrawn("one\ntwo\n", 24).contains('…'));
    }
}
