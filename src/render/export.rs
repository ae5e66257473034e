//! What was exported, and what is not in it.

use std::path::Path;

use super::table;
use crate::manifest::Manifest;
use crate::recording::ContentHash;
use crate::wording;

/// What is shown so much too late or too early, in milliseconds, is said.
const NOTICEABLE: i64 = 1000;

/// Where an export lies.
#[derive(Clone, Copy, Debug)]
pub struct ExportFiles<'a> {
    /// The film, or the folder of copies.
    pub output: &'a Path,
    /// The manifest.
    pub manifest: &'a Path,
    /// The BLAKE3 of the manifest's bytes.
    pub manifest_blake3: ContentHash,
}

/// The manifest's place and hash: whoever keeps the hash can tell later that neither it nor what it names was changed.
pub fn manifest_line(files: &ExportFiles<'_>) -> String {
    format!("{}: its manifest, BLAKE3 {}", files.manifest.display(), files.manifest_blake3)
}

/// What was exported, and what is missing.
pub fn export(manifest: &Manifest, files: &ExportFiles<'_>) -> String {
    let mut lines = Vec::new();
    match &manifest.film {
        Some(film) => {
            let shown = manifest.sources.iter().filter(|source| source.shown.is_some()).count();
            lines.push(format!(
                "{}: {} from {} on, of {}, {}, {}, BLAKE3 {}",
                files.output.display(),
                wording::seconds(film.milliseconds / 1000),
                film.begins_utc,
                wording::count(shown as u64, "recording"),
                film.codings.join(", "),
                wording::bytes(film.bytes),
                film.blake3,
            ));
        }
        None => {
            let copies = manifest.sources.iter().filter(|source| source.copy.is_some());
            let (count, bytes) = copies.fold((0, 0), |(count, bytes), source| (count + 1, bytes + source.bytes));
            let (count, bytes) = (wording::count(count, "recording"), wording::bytes(bytes));
            lines.push(format!("{}: {count} copied, {bytes}", files.output.display()));
        }
    }
    lines.push(manifest_line(files));
    for source in manifest.failed() {
        lines.push(format!(
            "not used as it should be: {}: {}",
            source.path,
            source.problem.as_deref().unwrap_or_default()
        ));
    }
    let late = manifest.sources.iter().filter_map(|source| Some((source, source.shown.as_ref()?.late_milliseconds)));
    for (source, milliseconds) in late.filter(|(_, late)| late.abs() >= NOTICEABLE) {
        let seconds = milliseconds.unsigned_abs().div_ceil(1000);
        let how = if milliseconds < 0 { "earlier" } else { "later" };
        lines.push(format!(
            "{} is shown {seconds} s {how} than its clock says: the one before has more than its time",
            source.path
        ));
    }
    lines.push(missing(manifest).unwrap_or_else(|| "there are no gaps in that time".to_owned()));
    lines.join("\n") + "\n"
}

/// The gaps, and what nobody can call one, a line each; nothing when there are none.
fn missing(manifest: &Manifest) -> Option<String> {
    let never = manifest.never_asked.iter().map(|stretch| (stretch, "never asked for"));
    let others = never.chain(manifest.pruned.iter().map(|stretch| (stretch, "pruned")));
    let mut rows: Vec<_> = others
        .map(|(stretch, why)| (stretch.device, stretch.range, &stretch.from_local, &stretch.to_local, why))
        .collect();
    for gap in &manifest.gaps {
        rows.push((gap.device, gap.range, &gap.from_local, &gap.to_local, gap.cause.as_str()));
    }
    rows.sort_by_key(|row| (row.0, row.1));
    let mut table = table(&["device", "missing from", "to", "length", "cause"]);
    for (device, range, from, to, why) in &rows {
        table.add_row([&device.to_string(), *from, *to, &wording::seconds(range.seconds()), *why]);
    }
    (!rows.is_empty()).then(|| table.to_string())
}
