//! A picture of coverage as a line of blocks for each camera.

use std::cmp::Reverse;
use std::fmt::Write as _;

use chrono_tz::Tz;

use crate::picture::{self, Cell, Picture, StripLine};
use crate::time_range::{TimeRange, UtcSecond};
use crate::window::Cause;
use crate::wording;

/// What the lines are made for.
#[derive(Clone, Copy, Debug)]
pub struct StripStyle {
    /// How many characters a line has room for.
    pub width: usize,
    /// Whether causes may be told by colours.
    pub coloured: bool,
    /// Only so many cameras, those that miss most; all when nothing is said.
    pub most: Option<usize>,
}

/// From one eighth to all of it.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Of what was asked for nothing is archived. A block of no height would look like time that nobody asked for.
const NONE: char = '.';
/// No narrower, whatever the terminal.
const LEAST_CELLS: usize = 24;
/// ` 100.00 %`
const PERCENT: usize = 9;
const ARCHIVED: u8 = 110;

/// The lines, below a time axis, and what their colours say.
pub fn strip(picture: &Picture, style: StripStyle) -> String {
    let number = picture.cameras().map(|camera| camera.device.to_string().len()).max().unwrap_or(0).max(6);
    let cells = style.width.saturating_sub(number + 2 + PERCENT).max(LEAST_CELLS);
    let (range, mut lines) = picture::strip(picture, cells);
    let all = lines.len();
    if let Some(most) = style.most {
        lines.sort_by_key(|line| (Reverse(missing(line)), line.device));
        lines.truncate(most);
        lines.retain(|line| missing(line) > 0);
        lines.sort_by_key(|line| line.device);
    }
    let mut text = format!("{:>number$}  {}\n", "device", axis(range, picture.zone, cells));
    for line in &lines {
        // OK to ignore: writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>number$}  {}{:>PERCENT$}",
            line.device,
            line.cells.iter().map(|cell| block(cell, style.coloured)).collect::<String>(),
            picture::coverage(&line.totals).to_string(),
        );
    }
    let sums = picture.totals.missing_seconds.iter().filter(|(_, seconds)| **seconds > 0);
    let sums: Vec<String> = sums
        .map(|(&cause, &seconds)| {
            let sample =
                if style.coloured { format!("{} ", painted(' ', None, Some(colour(cause)))) } else { String::new() };
            format!("{sample}{cause} {}", wording::seconds(seconds))
        })
        .collect();
    let _ = writeln!(
        text,
        "{}, {}: {}",
        picture::coverage(&picture.totals),
        wording::range(range, picture.zone),
        sums.join(", ")
    );
    if lines.len() < all {
        let cameras = wording::count(all as u64, "camera");
        let _ = writeln!(text, "{} of {cameras}, those that miss most; --strip shows all", lines.len());
    }
    text
}

fn missing(line: &StripLine) -> i64 {
    line.totals.missing_seconds.values().sum()
}

/// A cell as a character. In colours, what is missing is the ground that a block of what is archived stands on.
fn block(cell: &Cell, coloured: bool) -> String {
    let Some(eighths) = cell.eighths() else { return " ".to_owned() };
    let ground = cell.cause.map(colour).filter(|_| coloured);
    match (eighths.checked_sub(1), ground) {
        (None, None) => NONE.to_string(),
        (None, ground) => painted(' ', None, ground),
        (Some(height), ground) => painted(BLOCKS[usize::from(height.min(7))], coloured.then_some(ARCHIVED), ground),
    }
}

/// A character in a terminal's colours of 256.
fn painted(c: char, ink: Option<u8>, ground: Option<u8>) -> String {
    let ink = ink.map(|ink| format!("\u{1b}[38;5;{ink}m")).unwrap_or_default();
    let ground = ground.map(|ground| format!("\u{1b}[48;5;{ground}m")).unwrap_or_default();
    let end = if ink.is_empty() && ground.is_empty() { "" } else { "\u{1b}[0m" };
    format!("{ink}{ground}{c}{end}")
}

/// As near to the page's colours as a terminal has them.
fn colour(cause: Cause) -> u8 {
    match cause {
        Cause::NotTried => 221,
        Cause::NvrOffline => 160,
        Cause::NvrBusy => 208,
        Cause::NoFootage => 245,
        Cause::CutShort => 217,
        Cause::Refused => 37,
        Cause::Failed => 134,
        Cause::BeingRecorded => 75,
        Cause::LiveInterrupted => 204,
        Cause::Corrupt => 94,
        Cause::Pruned => 238,
        Cause::Lost => 16,
    }
}

/// Marks of local time where there is room for them: `|11-20` or `|09:00`.
fn axis(range: TimeRange, zone: Tz, cells: usize) -> String {
    const HOUR: i64 = 3600;
    const STEPS: [i64; 12] = [
        600,
        1800,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        24 * HOUR,
        2 * 24 * HOUR,
        7 * 24 * HOUR,
        28 * 24 * HOUR,
        91 * 24 * HOUR,
    ];
    const ROOM: i64 = 9;
    let length = cells as i64;
    let fits = |step: &&i64| **step * length / range.seconds() >= ROOM;
    let step = STEPS.iter().find(fits).copied().unwrap_or(365 * 24 * HOUR);
    let mut line = vec![' '; cells];
    let mut free = 0;
    for cell in 0..cells {
        let at = |cell: usize| range.start() + range.seconds() * cell as i64 / length;
        let mark = |second: UtcSecond| local_seconds(second, zone).div_euclid(step);
        let (begins, ends) = (at(cell), at(cell + 1));
        // A cell has a mark when it begins on one, or when one lies in it.
        let on_mark = local_seconds(begins, zone).rem_euclid(step) == 0;
        if cell < free || !(on_mark || (mark(ends - 1) > mark(begins))) {
            continue;
        }
        let time = if on_mark { begins } else { ends - 1 };
        let format = if step >= 24 * HOUR { "%m-%d" } else { "%H:%M" };
        let whole = local_seconds(time, zone).div_euclid(step.min(24 * HOUR)) * step.min(24 * HOUR);
        let label = format!("|{}", UtcSecond::new(whole).to_datetime().format(format));
        if cell + label.len() > cells {
            break;
        }
        for (place, c) in line[cell..].iter_mut().zip(label.chars()) {
            *place = c;
        }
        free = cell + label.len() + 1;
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

/// A moment as seconds on its local clock.
fn local_seconds(second: UtcSecond, zone: Tz) -> i64 {
    second.to_datetime().with_timezone(&zone).naive_local().and_utc().timestamp()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::device::{DeviceId, NvrMap};
    use crate::picture::{State, Stretch, Told};
    use crate::recording::Container;

    /// 2026-11-20 00:00 in Shanghai.
    const MIDNIGHT: i64 = 1_795_104_000;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(UtcSecond::new(MIDNIGHT + from), UtcSecond::new(MIDNIGHT + to)).expect("a range holds a second")
    }

    /// A day of two cameras, of which the first has nothing from six to nine, and was not asked for the evening.
    fn picture() -> Picture {
        const HOUR: i64 = 3600;
        let files = |from, to| Stretch {
            range: range(from * HOUR, to * HOUR),
            state: State::Windows { quarters: 32, container: Container::Flv },
        };
        let busy = State::Missing { cause: Cause::NvrBusy, attempts: 1, last_code: None };
        let gap = Stretch { range: range(6 * HOUR, 9 * HOUR), state: busy };
        let told = [
            (5, Told { asked_seconds: 18 * HOUR, stretches: vec![files(0, 6), gap, files(9, 18)] }),
            (12, Told { asked_seconds: 24 * HOUR, stretches: vec![files(0, 24)] }),
        ];
        let told: BTreeMap<DeviceId, Told> =
            told.into_iter().map(|(number, told)| (DeviceId::new(number).expect("not negative"), told)).collect();
        let zone = |_device| chrono_tz::Asia::Shanghai;
        let whole = range(0, 24 * HOUR);
        Picture::new(whole.end(), whole, told, &[], &NvrMap::default(), zone, Vec::new())
    }

    #[test]
    fn a_line_shows_a_cameras_day() {
        let style = StripStyle { width: 24 + 17, coloured: false, most: None };
        insta::assert_snapshot!(strip(&picture(), style), @r"
        device  |00:00      |12:00
             5  ██████...█████████        83.33 %
            12  ████████████████████████ 100.00 %
        92.85 %, 2026-11-20 00:00–2026-11-21 00:00+08:00: nvr busy 3 h
        ");
    }

    #[test]
    fn only_the_worst_are_shown_where_only_some_are() {
        let style = StripStyle { width: 80, coloured: false, most: Some(1) };
        let text = strip(&picture(), style);
        assert!(text.contains("\n     5  ") && !text.contains("\n    12  "), "{text}");
        assert!(text.ends_with("1 of 2 cameras, those that miss most; --strip shows all\n"), "{text}");
    }

    #[test]
    fn colours_say_why_and_only_where_they_may() {
        let text = |coloured| strip(&picture(), StripStyle { width: 41, coloured, most: None });
        assert!(text(true).contains("\u{1b}[48;5;208m "), "{}", text(true));
        assert!(!text(false).contains('\u{1b}'));
    }

    #[test]
    fn the_axis_marks_days_where_hours_have_no_room() {
        let month = range(-3600, 31 * 86_400);
        let line = axis(month, chrono_tz::Asia::Shanghai, 62);
        assert_eq!(line.trim_start(), "|11-26        |12-03        |12-10        |12-17");
    }
}
