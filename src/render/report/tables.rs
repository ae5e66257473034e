//! The picture as tables: for whoever cannot see it, for paper, and for a browser without scripts.

use std::fmt::Write as _;

use super::super::outlook;
use crate::picture::{self, Camera, Picture};
use crate::report::Totals;
use crate::window::Cause;
use crate::wording;

/// A text as it may stand in an element or in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The figures at the top.
pub(super) fn summary(picture: &Picture) -> String {
    let totals = &picture.totals;
    let missing: i64 = totals.missing_seconds.values().sum();
    let day: i64 = picture.losing.iter().map(|losing| losing.day_seconds).sum();
    let cameras = picture.cameras().count() as u64;
    let incomplete = picture.cameras().filter(|camera| camera.totals.archived_seconds < camera.totals.asked_seconds);
    let whole = if totals.asked_seconds == 0 { "nothing was asked for" } else { "of what was asked for is archived" };
    let figures = [
        ("coverage", picture::coverage(totals).to_string(), whole.to_owned()),
        (
            "archived",
            amount(totals.archived_seconds),
            format!("archived of {} of footage", amount(totals.asked_seconds)),
        ),
        ("missing", amount(missing), format!("missing, on {} of {} cameras", incomplete.count(), cameras)),
        ("losing", amount(day), "of it will be overwritten within a day, if nobody fetches it".to_owned()),
    ];
    let figure = |(name, figure, words): &(&str, String, String)| {
        let bad = if *figure == amount(0) { "" } else { name };
        format!("<li class=\"figure {bad}\"><strong>{}</strong> <span>{}</span></li>", escaped(figure), escaped(words))
    };
    let list: String = figures.iter().map(figure).collect();
    format!("<ul class=\"figures\">{list}</ul>\n")
}

/// An amount of footage over many cameras: beyond some days in days, with spaces between thousands.
fn amount(seconds: i64) -> String {
    const DAY: i64 = 24 * 3600;
    if seconds < 10 * DAY {
        return wording::seconds(seconds);
    }
    let digits = (seconds / DAY).to_string();
    let mut days = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            days.push('\u{202f}');
        }
        days.push(digit);
    }
    format!("{days} days")
}

/// What the recorders will overwrite, what goes first at the top.
pub(super) fn losing(picture: &Picture) -> String {
    if picture.losing.is_empty() {
        return "<p>Nothing that is missing is known to be overwritten soon: either nothing that may still come is missing, or \
                nobody knows how long its recorders keep footage (<code>footage</code> in an <code>[[nvr]]</code>, or what \
                runs learn).</p>\n"
            .to_owned();
    }
    let (now, zone) = (picture.made, picture.zone);
    let mut rows = String::new();
    for losing in &picture.losing {
        let first = losing.first.map_or_else(|| "gone".to_owned(), |first| wording::soon(first, now, zone));
        let late = losing.too_late.as_ref().map(|lost| outlook::amount_by_when(lost, now, zone)).unwrap_or_default();
        row(
            &mut rows,
            &[
                losing.group.clone().unwrap_or_default(),
                losing.nvr.to_string(),
                first,
                wording::hours(losing.day_seconds),
                wording::hours(losing.seconds),
                late,
                wording::hours(losing.gone_seconds),
                outlook::keeps(&losing.keeps),
            ],
            2,
        );
    }
    let header =
        ["Store", "NVR", "First goes", "Within a day", "Still there", "Too late for", "Gone", "Keeps footage for"];
    table("What the recorders will overwrite next, as of this page", &header, &rows, "")
}

/// A row for each store.
pub(super) fn stores(picture: &Picture) -> String {
    let causes: Vec<Cause> = picture::causes(&picture.totals).into_iter().collect();
    let mut rows = String::new();
    for group in &picture.groups {
        let mut cells = vec![group.name.clone(), group.cameras.len().to_string()];
        cells.extend(sums(&group.totals, &causes));
        row(&mut rows, &cells, 1);
    }
    let mut cells = vec!["All".to_owned(), picture.cameras().count().to_string()];
    cells.extend(sums(&picture.totals, &causes));
    let mut foot = String::new();
    row(&mut foot, &cells, 1);
    let mut header = vec!["Store", "Cameras", "Coverage", "Asked for", "Archived", "Missing"];
    header.extend(causes.iter().map(|cause| cause.as_str()));
    table("Coverage by store, and why what is missing is missing", &header, &rows, &foot)
}

/// A row for each camera.
pub(super) fn cameras(picture: &Picture) -> String {
    let causes: Vec<Cause> = picture::causes(&picture.totals).into_iter().collect();
    let mut rows = String::new();
    for group in &picture.groups {
        for Camera { device, name, nvr, totals, .. } in &group.cameras {
            let name = name.clone().unwrap_or_default();
            let mut cells = vec![device.to_string(), name, group.name.clone(), nvr.to_string()];
            cells.extend(sums(totals, &causes));
            row(&mut rows, &cells, 4);
        }
    }
    let mut header = vec!["Camera", "Name", "Store", "NVR", "Coverage", "Asked for", "Archived", "Missing"];
    header.extend(causes.iter().map(|cause| cause.as_str()));
    table("Coverage by camera", &header, &rows, "")
}

fn sums(totals: &Totals, causes: &[Cause]) -> Vec<String> {
    let hours = |seconds: i64| if seconds == 0 { String::new() } else { wording::hours(seconds) };
    let coverage = if totals.asked_seconds == 0 { String::new() } else { picture::coverage(totals).to_string() };
    let mut cells = vec![
        coverage,
        wording::hours(totals.asked_seconds),
        wording::hours(totals.archived_seconds),
        hours(totals.missing_seconds.values().sum()),
    ];
    cells.extend(causes.iter().map(|cause| hours(totals.missing_seconds.get(cause).copied().unwrap_or(0))));
    cells
}

/// A row whose first cell is its heading, and whose first `words` cells are words and not numbers.
fn row(rows: &mut String, cells: &[String], words: usize) {
    rows.push_str("<tr>");
    for (index, cell) in cells.iter().enumerate() {
        let cell = escaped(cell);
        // OK to ignore: writing to a String cannot fail.
        let _ = match index {
            0 => write!(rows, "<th scope=\"row\">{cell}</th>"),
            index if index < words => write!(rows, "<td class=\"word\">{cell}</td>"),
            _ => write!(rows, "<td>{cell}</td>"),
        };
    }
    rows.push_str("</tr>\n");
}

fn table(caption: &str, header: &[&str], rows: &str, foot: &str) -> String {
    let header: String = header.iter().map(|name| format!("<th scope=\"col\">{}</th>", escaped(name))).collect();
    format!(
        "<div class=\"scrolls\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption>\
         <thead><tr>{header}</tr></thead><tbody>\n{rows}</tbody><tfoot>{foot}</tfoot></table></div>\n",
        caption = escaped(caption),
    )
}
