//! Recordings of one camera, joined into one film.

use std::path::{Path, PathBuf};

use crate::flv::{Coding, TrackKind};
use crate::joining::{self, Place, Plan, Survey};
use crate::manifest::{Film, Shown};
use crate::recording::{Container, ContentHash, Recording, Source};
use crate::time_range::{TimeRange, UtcSecond};
use crate::vault::Vault;
use crate::wording;

use super::place::{self, Part};
use super::source::{self, Reader, Usable, Useless};
use super::{ExportError, Exported, Wanted, json, manifest, moment};

mod writer;

use writer::Writer;

/// What the first reading of all files found.
struct Found {
    /// For each recording that can be used, its number among the wanted ones.
    usable: Vec<usize>,
    surveys: Vec<Survey>,
    /// Why a recording cannot be used, by its number.
    problems: Vec<(usize, String)>,
    /// Sound's samples a second, of the first that has any.
    rate: Option<u32>,
}

/// Joins what is wanted into a film called `output`, with a manifest beside it that is called the same with `.json` behind. Names
/// that are taken are replaced only when `force` says so. Blocks on the disks.
pub fn film(
    vault: &Vault,
    wanted: &Wanted,
    output: &Path,
    force: bool,
    now: UtcSecond,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Exported, ExportError> {
    let manifest_path = beside(output);
    if !force {
        place::must_not_be_there(output)?;
        place::must_not_be_there(&manifest_path)?;
    }
    for recording in &wanted.recordings {
        can_be_read(vault, recording)?;
    }
    let found = survey(vault, wanted, is_stopped)?;
    let (from, until) = milliseconds(wanted.range);
    let plan = joining::plan(from, until, &found.surveys);
    let mut manifest = manifest(std::slice::from_ref(wanted), now);
    for (index, problem) in &found.problems {
        manifest.sources[*index].problem = Some(problem.clone());
    }
    if plan.places.iter().all(Option::is_none) {
        if found.problems.is_empty() {
            return Err(ExportError::Nothing);
        }
        let problem = |(index, problem): &(usize, String)| format!("; {}: {problem}", wanted.recordings[*index].path);
        return Err(ExportError::Unusable { problems: found.problems.iter().map(problem).collect() });
    }

    let (part, file) = Part::create(output)?;
    let mut writer = Writer::begin(file, part.path(), found.rate)?;
    for (&index, place) in found.usable.iter().zip(&plan.places) {
        let Some(place) = place else { continue };
        let shown = show(vault, &wanted.recordings[index], place, (from, until), &mut writer, is_stopped)?;
        manifest.sources[index].shown = Some(shown);
    }
    let lines = lines(wanted, &found, &plan);
    let (mut file, summary) = writer.end(&plan, &lines)?;
    let blake3 = place::hash(&mut file, part.path())?;
    manifest.film = Some(Film {
        file: output.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        blake3: blake3.to_string(),
        begins_utc: moment(plan.zero),
        milliseconds: plan.length,
        ..summary
    });
    let json = json(&manifest)?;
    part.place(&file, force)?;
    place::write(&manifest_path, json.as_bytes(), force)?;
    let manifest_blake3 = ContentHash(*blake3::hash(json.as_bytes()).as_bytes());
    Ok(Exported { manifest, json, output: output.to_owned(), manifest_path, manifest_blake3 })
}

fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

fn can_be_read(vault: &Vault, recording: &Recording) -> Result<(), ExportError> {
    let container = match source::container(recording) {
        Some(Container::Flv) => return Ok(()),
        Some(Container::Mp4) if recording.source == Source::Nvr => return Ok(()),
        Some(Container::Mp4) if source::was_made_of_an_flv(vault, recording) => return Ok(()),
        Some(Container::MpegTs) => "MPEG-TS",
        Some(Container::Mp4) => "fragmented MP4",
        None => "no container that is known",
    };
    Err(ExportError::Container { path: recording.path.clone(), container })
}

fn milliseconds(range: TimeRange) -> (i64, i64) {
    (range.start().get().saturating_mul(1000), range.end().get().saturating_mul(1000))
}

/// The first reading.
fn survey(vault: &Vault, wanted: &Wanted, is_stopped: &dyn Fn() -> bool) -> Result<Found, ExportError> {
    let (from, until) = milliseconds(wanted.range);
    let mut found = Found { usable: Vec::new(), surveys: Vec::new(), problems: Vec::new(), rate: None };
    // The codecs that the film has so far, of pictures and of sound.
    let mut codecs: [Option<String>; 2] = [None, None];
    for (index, recording) in wanted.recordings.iter().enumerate() {
        let (starts, _) = milliseconds(recording.range);
        let (mut frames, mut usable) = (Reader::new(recording), Usable::new(recording));
        let mut survey = Survey::new(starts, from, until);
        let (mut in_the_way, mut rate) = (None, None);
        let mut theirs = codecs.clone();
        let is_what_it_was = source::read(vault, recording, is_stopped, |bytes| {
            frames.push(bytes, |frame| {
                let Some(timed) = usable.frame(frame) else { return };
                let (track, time, key) = (timed.track, timed.time, timed.key);
                let name = match timed.coding {
                    Ok(coding) => {
                        rate = rate.or(coding.sample_rate());
                        Ok(coding.name())
                    }
                    Err(useless) => Err(useless),
                };
                let hash = if key && track == TrackKind::Video { short_hash(timed.payload) } else { 0 };
                if (from..until).contains(&(starts + time)) && in_the_way.is_none() {
                    let codec = &mut theirs[usize::from(track == TrackKind::Audio)];
                    in_the_way = hindrance(codec, &name, track).map(|why| (time, why));
                }
                if name.is_ok() {
                    if key && track == TrackKind::Video {
                        survey.keyframe(time, hash);
                    }
                    survey.frame(track, time, usable.clock.step(track));
                }
            });
            Ok(())
        })?;
        if let Err(problem) = is_what_it_was {
            tracing::warn!("{} is not used: {problem}", recording.path);
            found.problems.push((index, problem));
            continue;
        }
        if let Some((time, why)) = in_the_way {
            let moment = wording::time(UtcSecond::new((starts + time).div_euclid(1000)), wanted.zone);
            return Err(ExportError::CannotJoin { path: recording.path.clone(), moment, why });
        }
        if let Some(problem) = frames.problem() {
            found.problems.push((index, problem.to_owned()));
        }
        codecs = theirs;
        found.rate = found.rate.or(rate);
        found.usable.push(index);
        found.surveys.push(survey);
    }
    Ok(found)
}

/// Why a frame cannot be in one film with those before it; nothing when it can, or is left out anyway.
fn hindrance(codec: &mut Option<String>, name: &Result<String, Useless>, track: TrackKind) -> Option<String> {
    let what = if track == TrackKind::Video { "pictures" } else { "sound" };
    match (name, &codec) {
        (Err(Useless::Undecodable), _) => None,
        (Err(Useless::Foreign(name)), _) => {
            Some(format!("its {what} are coded as {name}, which cannot be put into an MP4"))
        }
        (Ok(name), Some(before)) if before != name => Some(format!(
            "from here on {what} are coded as {name} and not as {before}, which no track can hold both of"
        )),
        (Ok(name), _) => {
            *codec = Some(name.clone());
            None
        }
    }
}

/// Enough of a hash to know a keyframe again.
fn short_hash(payload: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(payload).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The second reading: writes what is wanted of a recording into the film.
fn show(
    vault: &Vault,
    recording: &Recording,
    place: &Place,
    (from, until): (i64, i64),
    writer: &mut Writer<'_>,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Shown, ExportError> {
    let (starts, _) = milliseconds(recording.range);
    let mut shown = Shown {
        at_milliseconds: place.offset + place.begins,
        until_milliseconds: place.ends,
        begins_utc: moment(starts + place.begins),
        late_milliseconds: place.late,
        again_milliseconds: place.again,
        ..Shown::default()
    };
    let (mut frames, mut usable) = (Reader::new(recording), Usable::new(recording));
    let mut failed = None;
    let is_what_it_was = source::read(vault, recording, is_stopped, |bytes| {
        frames.push(bytes, |frame| {
            let Some(timed) = usable.frame(frame) else { return };
            let begins = if timed.track == TrackKind::Video { place.begins } else { place.sound_begins };
            let is_undecodable = timed.coding.is_err() || timed.time < begins;
            if is_undecodable || timed.time >= place.until {
                let is_wanted = (from..until).contains(&(starts + timed.time)) && timed.time < place.until;
                shown.undecodable += u64::from(is_wanted);
                return;
            }
            let (track, at) = (timed.track, place.offset + timed.time);
            let written = match timed.coding {
                Ok(coding) => writer.frame(track, at, &timed, coding),
                Err(_) => Ok(()),
            };
            match (written, track) {
                (Err(error), _) => failed = failed.take().or(Some(error)),
                (Ok(()), TrackKind::Video) => shown.pictures += 1,
                (Ok(()), TrackKind::Audio) => shown.sounds += 1,
            }
        });
        failed.take().map_or(Ok(()), Err)
    })?;
    match is_what_it_was {
        Ok(()) => Ok(shown),
        Err(_) => Err(ExportError::Changed { path: recording.path.clone() }),
    }
}

/// A line of text with the time in the film that it stands for, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    from: i64,
    until: i64,
    text: String,
}

/// What is missing, where it is missing.
fn lines(wanted: &Wanted, found: &Found, plan: &Plan) -> Vec<Line> {
    let gaps = wanted.gaps.iter().map(|gap| (gap.range, gap.cause.to_string()));
    let never = wanted.never_asked().into_iter().map(|range| (range, "never asked for".to_owned()));
    let pruned = wanted.pruned().into_iter().map(|range| (range, "pruned".to_owned()));
    let unusable = found.problems.iter().filter(|(index, _)| !found.usable.contains(index)).filter_map(|(index, _)| {
        let range = wanted.recordings[*index].range.intersect(&wanted.range)?;
        Some((range, "the recording is not what it was".to_owned()))
    });
    let mut missing: Vec<(TimeRange, String)> = gaps.chain(never).chain(pruned).chain(unusable).collect();
    missing.sort_by_key(|(range, _)| *range);
    let placed: Vec<(i64, &Place)> = found
        .surveys
        .iter()
        .zip(&plan.places)
        .filter_map(|(survey, place)| Some((survey.starts, place.as_ref()?)))
        .collect();
    let mut lines: Vec<Line> = Vec::new();
    for (range, why) in missing {
        let (start, end) = milliseconds(range);
        let before = placed.iter().filter(|(starts, _)| *starts < start).map(|(_, place)| place.ends).max();
        let after =
            placed.iter().filter(|(starts, _)| *starts >= start).map(|(_, place)| place.offset + place.begins).min();
        let from = (start - plan.zero).max(before.unwrap_or(0)).max(lines.last().map_or(0, |line| line.until));
        let until = (end - plan.zero).min(after.unwrap_or(plan.length)).min(plan.length);
        if from < until {
            lines.push(Line {
                from,
                until,
                text: format!("No recording: {why}\n{}", wording::range(range, wanted.zone)),
            });
        }
    }
    lines
}

/// How sound is counted where nothing says it, in samples a second: as G.711 is.
const SOME_RATE: u32 = 8000;

/// How many ticks a packet of sound is long, on a clock of `scale` a second.
fn sound_ticks(coding: &Coding, payload: &[u8], scale: u32) -> i64 {
    let rate = coding.sample_rate().unwrap_or(SOME_RATE).max(1);
    coding.samples(payload.len()).saturating_mul(i64::from(scale)) / i64::from(rate)
}
