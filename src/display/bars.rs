//! Events as progress bars.
//!
//! There is no length to measure bytes by, so progress is footage over asked-for time.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono_tz::Tz;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, Server};
use crate::outcome::Outcome;
use crate::window::Window;
use crate::wording;

const TOTAL: &str = "{bar:30} {percent:>3} %  {msg}  {elapsed_precise}, {eta_precise} left";
const STREAM: &str = "{bar:30} {percent:>3} %  {prefix}  {msg}";

/// A writer to stderr that keeps out of the bars' way: for log lines.
#[derive(Clone, Debug, Default)]
pub struct BesideBars {
    multi: MultiProgress,
}

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.multi.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

pub(super) struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    streams: BTreeMap<Window, ProgressBar>,
    /// Milliseconds of footage of windows that have ended.
    done: u64,
    bytes: u64,
    /// Milliseconds of footage of windows that stream now.
    streaming: BTreeMap<Window, u64>,
    /// What is waited for.
    away: Vec<Server>,
}

impl Bars {
    pub(super) fn new(beside: &BesideBars) -> Self {
        let multi = beside.multi.clone();
        let total = multi.add(ProgressBar::new(0).with_style(style(TOTAL)));
        Self { multi, total, streams: BTreeMap::new(), done: 0, bytes: 0, streaming: BTreeMap::new(), away: Vec::new() }
    }

    pub(super) fn note(&mut self, event: &Event, zone: Tz) {
        match event {
            Event::Started { seconds, .. } => self.total.set_length(millis(*seconds)),
            Event::AttemptStarted { window, .. } => {
                let bar = ProgressBar::new(millis(window.range.seconds())).with_style(style(STREAM));
                bar.set_prefix(format!("device {}  {}", window.device, wording::range(window.range, zone)));
                let bar = self.multi.insert_before(&self.total, bar);
                self.streams.insert(*window, bar);
            }
            Event::Streaming { window, media_milliseconds, bytes } => {
                if let Some(bar) = self.streams.get(window) {
                    bar.set_position(media_milliseconds.unsigned_abs());
                    let rate = *bytes as f64 / bar.elapsed().as_secs_f64().max(0.001);
                    bar.set_message(format!("{}  {}/s", wording::bytes(*bytes), wording::bytes(rate as u64)));
                }
                self.streaming.insert(*window, media_milliseconds.unsigned_abs());
            }
            Event::AttemptEnded { window, attempt } => {
                if let Some(bar) = self.streams.remove(window) {
                    bar.finish_and_clear();
                }
                self.streaming.remove(window);
                self.bytes += attempt.bytes;
                self.done += match attempt.outcome {
                    Outcome::Archived => millis(window.range.seconds()),
                    Outcome::Prefix { until } => millis(until - window.range.start()),
                    _ => 0,
                };
            }
            Event::Away { server, .. } => self.away.push(*server),
            Event::Back { server } => self.away.retain(|away| away != server),
            Event::GivenUp { window, .. } => self.done += millis(window.range.seconds()),
            _ => return,
        }
        self.total.set_position(self.done + self.streaming.values().sum::<u64>());
        let away = self.away.iter().map(|server| format!(", waiting for {server}")).collect::<String>();
        self.total.set_message(format!(
            "{}, {}{away}",
            wording::count(self.streams.len() as u64, "stream"),
            wording::bytes(self.bytes)
        ));
    }

    pub(super) fn print(&self, line: &str) {
        // OK to ignore a closed stderr, as with lines.
        self.multi.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    pub(super) fn clear(self) {
        self.total.finish_and_clear();
    }
}

fn millis(seconds: i64) -> u64 {
    seconds.unsigned_abs().saturating_mul(1000)
}

fn style(template: &str) -> ProgressStyle {
    // OK to fall back: a template that cannot be read would only look different.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
