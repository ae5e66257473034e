//! How recordings are stored narrowly: folders and stream formats are written once and referred to, and of a name only what
//! its row does not tell.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Fault;
use crate::recording::{Container, MediaFacts, Recording, Source, VideoCodec};
use crate::time_range::ALL_TIME;

/// The folder, with its closing slash, and the name in it.
pub(super) fn split_path(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// By their numbers in the ledger, which are migration V8's.
pub(super) const CONTAINERS: [(u8, Container); 3] = [(0, Container::Flv), (1, Container::MpegTs), (2, Container::Mp4)];

/// What a name says that the recording's row does not. Migration V8 makes the name of it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The local time's offset, in quarters of an hour east of UTC.
    pub(super) quarters: i64,
    /// The container's number among [`CONTAINERS`].
    pub(super) container: u8,
}

/// Takes a name apart; nothing when the same one would not be made of the parts, so that it must be kept as it is.
pub(super) fn told_by_name(recording: &Recording, name: &str) -> Option<Told> {
    const LABEL: &str = "20261120T090000";
    let (stem, extension) = name.rsplit_once('.')?;
    let label = stem.strip_prefix(&format!("{}_", recording.device))?;
    let offset = label.get(LABEL.len()..LABEL.len() + "+0800".len())?;
    let number = |digits: std::ops::Range<usize>| offset.get(digits)?.parse::<i64>().ok();
    let quarters = number(1..3)? * 4 + number(3..5)? / 15;
    let quarters = if offset.starts_with('-') { -quarters } else { quarters };
    let (container, _) = CONTAINERS.into_iter().find(|(_, container)| container.extension() == extension)?;
    (name_of(recording, quarters, extension)? == name).then_some(Told { quarters, container })
}

/// The name that the ledger makes of a row and these; nothing for years that SQLite and this program write differently.
fn name_of(recording: &Recording, quarters: i64, extension: &str) -> Option<String> {
    let local = Some(recording.range.start() + quarters * 900).filter(|&local| ALL_TIME.contains(local))?;
    let local = local.to_datetime().format("%Y%m%dT%H%M%S");
    let sign = if quarters < 0 { '-' } else { '+' };
    let (hours, minutes) = (quarters.abs() / 4, quarters.abs() % 4 * 15);
    let (device, seconds) = (recording.device, recording.range.seconds());
    let live = if recording.source == Source::Live { "_live" } else { "" };
    Some(format!("{device}_{local}{sign}{hours:02}{minutes:02}_{seconds}s{live}.{extension}"))
}

/// The number of a folder, which gets one if it has none.
pub(super) fn folder(connection: &Connection, path: &str) -> Result<i64, Fault> {
    let known = connection
        .prepare_cached("SELECT folder FROM folder WHERE path = ?1")?
        .query_row([path], |row| row.get(0))
        .optional()?;
    if let Some(folder) = known {
        return Ok(folder);
    }
    connection.execute("INSERT INTO folder (path) VALUES (?1)", [path])?;
    Ok(connection.last_insert_rowid())
}

/// The number of a combination of codecs and picture size, which gets one if it has none.
pub(super) fn format(connection: &Connection, media: &MediaFacts) -> Result<i64, Fault> {
    let video = media.video_codec.map(VideoCodec::stored);
    let audio = media.audio_codec.map(|codec| codec.to_string());
    let (width, height) = media.picture_size.unzip();
    // OK without an index: a chain has a few dozen kinds of streams.
    let known = connection
        .prepare_cached("SELECT format FROM format WHERE video IS ?1 AND audio IS ?2 AND width IS ?3 AND height IS ?4")?
        .query_row(params![video, audio, width, height], |row| row.get(0))
        .optional()?;
    if let Some(format) = known {
        return Ok(format);
    }
    connection.execute(
        "INSERT INTO format (video, audio, width, height) VALUES (?1, ?2, ?3, ?4)",
        params![video, audio, width, height],
    )?;
    Ok(connection.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_folder_and_its_name() {
        assert_eq!(split_path("a/b/c.flv"), ("a/b/", "c.flv"));
        assert_eq!(split_path("c.flv"), ("", "c.flv"));
    }
}
