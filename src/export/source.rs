//! Reading recordings: whole, and only with the bytes that the ledger knows.

use std::io::Read as _;

use crate::flv::{self, Coding, Frame, TrackKind};
use crate::joining::SourceClock;
use crate::mp4;
use crate::recording::{Container, ContentHash, Recording};
use crate::vault::{Vault, VaultError, failed};

use super::ExportError;

/// Files are read in pieces of this many bytes.
pub(super) const PIECE: usize = 1 << 20;

/// Reads a recording's file to its end, piece by piece; says whether it is what the ledger says.
pub(super) fn read(
    vault: &Vault,
    recording: &Recording,
    is_stopped: &dyn Fn() -> bool,
    mut each: impl FnMut(&[u8]) -> Result<(), ExportError>,
) -> Result<Result<(), String>, ExportError> {
    let path = vault.path_of(&recording.path);
    let mut file = match vault.open_file(&recording.path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(unreadable(error))),
    };
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; PIECE], 0);
    loop {
        if is_stopped() {
            return Err(ExportError::Stopped);
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
                each(&buffer[..read])?;
            }
            Err(error) => return Ok(Err(unreadable(failed("read", &path)(error)))),
        }
    }
    let found = ContentHash(*hasher.finalize().as_bytes());
    Ok(match (bytes, found) {
        (bytes, _) if bytes != recording.bytes => Err(format!(
            "it has {bytes} bytes, and the ledger says {}: it is not what was archived; archive verify takes it out",
            recording.bytes
        )),
        (_, found) if found != recording.blake3 => Err(format!(
            "its BLAKE3 is {found}, and the ledger says {}: it is not what was archived; archive verify --hash takes it out",
            recording.blake3
        )),
        _ => Ok(()),
    })
}

fn unreadable(error: VaultError) -> String {
    error.to_string()
}

/// In which container a recording is.
pub(super) fn container(recording: &Recording) -> Option<Container> {
    Container::from_extension(recording.path.rsplit('.').next().unwrap_or_default())
}

/// Whether a recording that is an MP4 was made one when it was published, and not sent as one live. What cannot be read is found out
/// later.
pub(super) fn was_made_of_an_flv(vault: &Vault, recording: &Recording) -> bool {
    let mut frames = mp4::frames::Frames::new();
    let mut buffer = vec![0; PIECE];
    let Ok(mut file) = vault.open_file(&recording.path) else { return true };
    loop {
        match file.read(&mut buffer) {
            Ok(read) if read > 0 && frames.facts().is_none() && !frames.is_lost() => {
                frames.push(&buffer[..read], |_| {});
            }
            Ok(_) => return frames.facts().is_some(),
            Err(_) => return true,
        }
    }
}

/// Reads the frames of a recording.
pub(super) enum Reader {
    Flv(flv::Frames),
    Mp4(Box<mp4::frames::Frames>),
}

impl Reader {
    pub(super) fn new(recording: &Recording) -> Self {
        match container(recording) {
            Some(Container::Mp4) => Self::Mp4(Box::default()),
            _ => Self::Flv(flv::Frames::new()),
        }
    }

    /// The next bytes of the file; `out` is given the frames that they complete.
    pub(super) fn push(&mut self, bytes: &[u8], out: impl FnMut(Frame<'_>)) {
        match self {
            Self::Flv(frames) => frames.push(bytes, out),
            Self::Mp4(frames) => frames.push(bytes, out),
        }
    }

    /// What is wrong with the file, now that it was read.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Flv(frames) => {
                frames.is_lost().then_some("what follows its last whole tag is no FLV, and is not in the film")
            }
            Self::Mp4(frames) => frames.problem(),
        }
    }
}

/// The frames of a file that a decoder can use, with their times. The same for both readings.
#[derive(Debug)]
pub(super) struct Usable {
    pub(super) clock: SourceClock,
    /// Whether the file tells its frames' times as they are.
    times_are_known: bool,
    video: Option<Coding>,
    audio: Option<Coding>,
    has_key: bool,
}

/// A frame with its time.
#[derive(Debug)]
pub(super) struct Timed<'a> {
    pub(super) track: TrackKind,
    /// Milliseconds after the file's first frame.
    pub(super) time: i64,
    pub(super) composition: i32,
    pub(super) key: bool,
    pub(super) payload: &'a [u8],
    /// How it is coded; nothing when no decoder could use it.
    pub(super) coding: Result<&'a Coding, Useless>,
}

/// Why a frame cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Useless {
    /// A decoder has nothing to begin with yet.
    Undecodable,
    /// It is of a codec that goes into no MP4 of ours.
    Foreign(String),
}

impl Usable {
    pub(super) fn new(recording: &Recording) -> Self {
        let clock = SourceClock::new(recording.range.seconds().saturating_mul(1000));
        let times_are_known = container(recording) == Some(Container::Mp4);
        Self { clock, times_are_known, video: None, audio: None, has_key: false }
    }

    /// The next of the file.
    pub(super) fn frame<'a>(&'a mut self, frame: Frame<'a>) -> Option<Timed<'a>> {
        match frame {
            Frame::Coding(coding) if coding.is_video() => {
                if self.video.as_ref() != Some(&coding) {
                    (self.video, self.has_key) = (Some(coding), false);
                }
                None
            }
            Frame::Coding(coding) => {
                self.audio = Some(coding);
                None
            }
            Frame::Sample { track, timestamp, composition, key, payload } => {
                let time = match self.times_are_known {
                    // Less than zero for sound that came before the first picture.
                    true => self.clock.known(track, i64::from(timestamp.cast_signed())),
                    false => self.clock.time(track, timestamp),
                };
                self.has_key |= track == TrackKind::Video && key && self.video.is_some();
                let coding = match track {
                    TrackKind::Video => self.video.as_ref().filter(|_| self.has_key),
                    TrackKind::Audio => self.audio.as_ref(),
                };
                Some(Timed { track, time, composition, key, payload, coding: coding.ok_or(Useless::Undecodable) })
            }
            Frame::Foreign { track, timestamp, codec } => {
                let (time, coding) = (self.clock.time(track, timestamp), Err(Useless::Foreign(codec)));
                Some(Timed { track, time, composition: 0, key: false, payload: &[], coding })
            }
        }
    }
}
