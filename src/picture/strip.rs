//! A picture as a line of cells for each camera: what a terminal has room for.

use std::collections::BTreeMap;

use super::{Camera, Picture, State};
use crate::device::DeviceId;
use crate::report::Totals;
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Cause;

/// One camera's line.
#[derive(Clone, Debug, PartialEq)]
pub struct StripLine {
    /// The camera.
    pub device: DeviceId,
    /// Its sums over the range.
    pub totals: Totals,
    /// Its cells, earliest first.
    pub cells: Vec<Cell>,
}

/// What a cell's time came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Seconds of it that are archived.
    pub archived_seconds: i64,
    /// Seconds of it that are missing.
    pub missing_seconds: i64,
    /// Why most of what is missing is so.
    pub cause: Option<Cause>,
}

impl Cell {
    /// How full the cell is, in eighths: 8 is said only of everything, 0 only of nothing. Nothing when nothing was asked for.
    pub fn eighths(&self) -> Option<u8> {
        let asked = self.archived_seconds + self.missing_seconds;
        match (self.archived_seconds, self.missing_seconds) {
            (0, 0) => None,
            (0, _) => Some(0),
            (_, 0) => Some(8),
            // OK to cut off: less than eight.
            (archived, _) => Some((archived * 8 / asked).clamp(1, 7) as u8),
        }
    }
}

/// The picture as lines of `width` cells of the same length, in the order of devices, and where those begin and end.
pub fn strip(picture: &Picture, width: usize) -> (TimeRange, Vec<StripLine>) {
    let (from, seconds) = (picture.range.start(), picture.range.seconds());
    let width = width.max(1);
    // OK because a width is that of a terminal.
    let marks: Vec<UtcSecond> = (0..=width).map(|cell| from + seconds * cell as i64 / width as i64).collect();
    let mut lines: Vec<StripLine> = picture.cameras().map(|camera| line(camera, &marks)).collect();
    lines.sort_by_key(|line| line.device);
    (picture.range, lines)
}

fn line(camera: &Camera, marks: &[UtcSecond]) -> StripLine {
    let mut cells = vec![Cell::default(); marks.len().saturating_sub(1)];
    let mut causes: Vec<BTreeMap<Cause, i64>> = vec![BTreeMap::new(); cells.len()];
    for stretch in &camera.stretches {
        let first = marks.partition_point(|mark| *mark <= stretch.range.start()).saturating_sub(1);
        for index in first..cells.len() {
            if marks[index] >= stretch.range.end() {
                break;
            }
            let Some(part) =
                TimeRange::new(marks[index], marks[index + 1]).and_then(|cell| cell.intersect(&stretch.range))
            else {
                continue;
            };
            match &stretch.state {
                State::Missing { cause, .. } => {
                    cells[index].missing_seconds += part.seconds();
                    *causes[index].entry(*cause).or_default() += part.seconds();
                }
                State::Pruned => {}
                State::Windows { .. } | State::File { .. } | State::Named { .. } => {
                    cells[index].archived_seconds += part.seconds();
                }
            }
        }
    }
    for (cell, causes) in cells.iter_mut().zip(causes) {
        cell.cause = causes.into_iter().max_by_key(|&(_, seconds)| seconds).map(|(cause, _)| cause);
    }
    StripLine { device: camera.device, totals: camera.totals.clone(), cells }
}
