//! What a recorded file is, by its bytes alone: how much footage, up to which byte it is good, and whether anything plays it.
//!
//! The containers differ; what counts as footage does not. In each, it is what the decoding times of the pictures (of the
//! sound, where there are none) add up to, and a jump counts as one usual step ([`crate::flv`]).

pub mod fmp4;
pub mod mpeg_ts;
mod streams;
#[cfg(test)]
mod tests;

use crate::flv;
use crate::judge::{self, Ending, Judgement};
use crate::recording::{Container, MediaFacts};

/// By how many seconds timestamps and frames of an FLV may disagree without a note; what `tolerance` is where nothing is set.
const DISAGREEMENT_SECONDS: i64 = 5;

/// What a file is, as if it ended where the pushed bytes end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// What is in the first `good_bytes`.
    pub media: MediaFacts,
    /// How far the file is whole: cut off here, it ends with a whole frame, and is otherwise what it was.
    pub good_bytes: u64,
    /// How many bytes were pushed.
    pub total_bytes: u64,
    /// Why the first `good_bytes` are nothing that a player could show or sound, in words for people; nothing for nearly all.
    pub problem: Option<String>,
    /// What a person should know before trusting it; empty for nearly all.
    pub note: String,
}

/// Examines a file as its bytes pass by, in pieces of any size; what it holds in memory does not grow with the file.
#[derive(Clone, Debug)]
pub enum Examiner {
    /// Of an FLV.
    Flv(Box<flv::Parser>),
    /// Of an MPEG-TS.
    MpegTs(Box<mpeg_ts::Scanner>),
    /// Of a fragmented MP4.
    Mp4(Box<fmp4::Scanner>),
}

impl Examiner {
    /// One that has seen nothing.
    pub fn new(container: Container) -> Self {
        match container {
            Container::Flv => Self::Flv(Box::default()),
            Container::MpegTs => Self::MpegTs(Box::default()),
            Container::Mp4 => Self::Mp4(Box::default()),
        }
    }

    /// The next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Flv(parser) => parser.push(bytes),
            Self::MpegTs(scanner) => scanner.push(bytes),
            Self::Mp4(scanner) => scanner.push(bytes),
        }
    }

    /// What the file is so far. Costs little more than a copy of what is held in memory.
    pub fn examined(&self) -> Examined {
        match self {
            Self::Flv(parser) => examined_flv(&parser.report()),
            Self::MpegTs(scanner) => scanner.examined(),
            Self::Mp4(scanner) => scanner.examined(),
        }
    }
}

fn examined_flv(report: &flv::Report) -> Examined {
    // Nothing is asked for here, so that any footage at all is enough.
    let problem = match judge::judge(report, Ending::Clean, 0, 0) {
        Judgement::Whole { .. } => None,
        Judgement::Undecodable { why } => Some(why.to_string()),
        Judgement::NotFlv { first_bytes } if first_bytes.is_empty() => Some("it is empty".to_owned()),
        Judgement::NotFlv { first_bytes } => Some(format!("it is no FLV; it begins with {first_bytes:?}")),
        Judgement::Empty | Judgement::Cut { .. } | Judgement::Short { .. } => {
            Some("it has no picture and no sound".to_owned())
        }
    };
    Examined {
        media: report.media_facts(),
        good_bytes: report.good_bytes,
        total_bytes: report.total_bytes,
        problem,
        note: judge::notes(report, DISAGREEMENT_SECONDS),
    }
}
