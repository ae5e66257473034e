//! How recordings are stored narrowly: folders and stream formats are written once and referred to, and of a name only what
//! its row does not tell.

use super::error::Fault;
use super::session::{Session, values};
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
pub(super) fn folder(session: Session<'_>, path: &str) -> Result<i64, Fault> {
    let known = session.first("SELECT folder FROM folder WHERE path = ?1", values![path], |row| row.get(0))?;
    match known {
        Some(folder) => Ok(folder),
        // The other half of it is for two machines that make the same folder at once: it gives the number that there is.
        None => session.one(
            "INSERT INTO folder (path) VALUES (?1) ON CONFLICT (path) DO UPDATE SET path = excluded.path RETURNING folder",
            values![path],
        ),
    }
}

/// The number of a combination of codecs and picture size, which gets one if it has none.
pub(super) fn format(session: Session<'_>, media: &MediaFacts) -> Result<i64, Fault> {
    let video = media.video_codec.map(VideoCodec::stored);
    let audio = media.audio_codec.map(|codec| codec.to_string());
    let (width, height) = media.picture_size.unzip();
    // OK without an index: a chain has a few dozen kinds of streams.
    let values = values![&video, &audio, width, height];
    let known = "SELECT format FROM format WHERE video IS NOT DISTINCT FROM ?1 AND audio IS NOT DISTINCT FROM ?2
         AND width IS NOT DISTINCT FROM ?3 AND height IS NOT DISTINCT FROM ?4 ORDER BY format LIMIT 1";
    match session.first(known, values, |row| row.get(0))? {
        Some(format) => Ok(format),
        None => session
            .one("INSERT INTO format (video, audio, width, height) VALUES (?1, ?2, ?3, ?4) RETURNING format", values),
    }
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
