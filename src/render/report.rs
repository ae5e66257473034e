//! `archive report` as one page for a browser: the picture, what draws it, and the same as tables.
//!
//! The page needs nothing else, and asks for nothing: its Content-Security-Policy forbids all but its own style and script,
//! which a nonce names that nobody who named a camera could know. What others wrote is escaped in the tables, and the script
//! only ever sets it as text.

mod data;
mod tables;

use chrono_tz::Tz;

use crate::picture::{self, Picture};
use crate::time_range::UtcSecond;
use crate::wording;

const PAGE: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/page.css");
/// In the order in which they need each other.
const SCRIPTS: [&str; 5] = [
    include_str!("report/data.js"),
    include_str!("report/paint.js"),
    include_str!("report/view.js"),
    include_str!("report/details.js"),
    include_str!("report/page.js"),
];

/// The page.
pub fn report(picture: &Picture) -> Result<String, serde_json::Error> {
    let data = data::json(picture)?;
    let nonce = blake3::hash(data.as_bytes()).to_hex();
    let script = SCRIPTS.concat();
    let title = format!("Coverage, {}", days(picture));
    let (summary, stores, losing, cameras) =
        (tables::summary(picture), tables::stores(picture), tables::losing(picture), tables::cameras(picture));
    let parts = [
        ("nonce", nonce.as_str()),
        ("title", &tables::escaped(&title)),
        ("style", STYLE),
        ("summary", &summary),
        ("losing", &losing),
        ("stores", &stores),
        ("cameras", &cameras),
        ("data", &data),
        ("script", &script),
    ];
    Ok(filled(PAGE, &parts))
}

/// The template with each `{{name}}` replaced; what is put in is not looked at again.
fn filled(template: &str, parts: &[(&str, &str)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        page.extend(parts.iter().find(|(part, _)| *part == name).map(|(_, text)| *text));
        page.push_str(rest);
    }
    page
}

/// What a written page holds, for whoever asked for it.
pub fn reported(picture: &Picture, file: &str, bytes: u64) -> String {
    let totals = &picture.totals;
    let mut text = format!(
        "{file}: {}, {}; {} of {} archived ({}); {}\n",
        wording::count(picture.cameras().count() as u64, "camera"),
        wording::seconds(picture.range.seconds()),
        wording::seconds(totals.archived_seconds),
        wording::seconds(totals.asked_seconds),
        picture::coverage(totals),
        wording::bytes(bytes),
    );
    text.push_str(&super::causes(totals.missing_seconds.iter().map(|(&cause, &seconds)| (cause, seconds))));
    text
}

/// `22 October to 22 November 2026`, with the years where they differ.
fn days(picture: &Picture) -> String {
    // The end is not in it: a range up to midnight ends the day before.
    let (first, last) = (local(picture.range.start(), picture.zone), local(picture.range.end() - 1, picture.zone));
    let day = "%-d %B %Y";
    if first.date_naive() == last.date_naive() {
        return first.format(day).to_string();
    }
    let same_year = first.format("%Y").to_string() == last.format("%Y").to_string();
    format!("{} to {}", first.format(if same_year { "%-d %B" } else { day }), last.format(day))
}

fn local(second: UtcSecond, zone: Tz) -> chrono::DateTime<Tz> {
    second.to_datetime().with_timezone(&zone)
}

#[cfg(test)]
mod tests;
