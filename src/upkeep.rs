//! What looking after an archive comes to: what `verify` found, how far its rounds have come, and how files leave.

use std::fmt;
use std::path::PathBuf;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::device::DeviceId;
use crate::recording::ContentHash;
use crate::time_range::{TimeRange, UtcSecond};

/// How a file differs from what the ledger says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is none under its name.
    NoFile,
    /// It has another size.
    Size {
        /// What the ledger says, in bytes.
        expected: u64,
        /// What it has, in bytes.
        found: u64,
    },
    /// Its bytes have another hash, and had it again when they were read once more.
    Hash {
        /// What the ledger says.
        expected: ContentHash,
        /// What they have.
        found: ContentHash,
    },
}

impl Finding {
    /// The word for it that the ledger keeps with the gap.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFile => "no file",
            Self::Size { .. } => "size",
            Self::Hash { .. } => "hash",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("the file is not there"),
            Self::Size { expected, found } => write!(f, "it has {found} bytes, and had {expected}"),
            Self::Hash { expected, found } => write!(f, "its hash is {found}, and was {expected}"),
        }
    }
}

impl Serialize for Finding {
    /// As an object: what it is, and what was expected and found where that can be said.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("is", self.code())?;
        match self {
            Self::NoFile => {}
            Self::Size { expected, found } => {
                object.serialize_entry("expected", expected)?;
                object.serialize_entry("found", found)?;
            }
            Self::Hash { expected, found } => {
                object.serialize_entry("expected", &expected.to_string())?;
                object.serialize_entry("found", &found.to_string())?;
            }
        }
        object.end()
    }
}

/// How a file leaves its final name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not what it was: it is moved aside, and only then does its row go.
    Aside {
        /// What was found, as the ledger keeps it: [`Finding::code`].
        code: String,
        /// The same in words.
        detail: String,
    },
    /// Its retention has ended: its row has gone already, and it is deleted.
    Deleted,
}

/// A note that a file is about to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its name below the archive's root.
    pub path: String,
    /// The camera.
    pub device: DeviceId,
    /// When its recording begins.
    pub start: UtcSecond,
    /// How it leaves.
    pub fate: Fate,
}

/// A round of `verify --hash` through the whole archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Its number.
    pub round: i64,
    /// When it began.
    pub began: UtcSecond,
    /// When it had come round; nothing while it is under way.
    pub ended: Option<UtcSecond>,
    /// To which camera, and which moment of its time, it has come; nothing before the first file.
    pub reached: Option<(DeviceId, UtcSecond)>,
    /// What was read in it.
    pub counts: RoundCounts,
}

/// What was read in a round, or a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoundCounts {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were not what they were.
    pub corrupt: u64,
}

/// A recording whose file is not what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The camera.
    pub device: DeviceId,
    /// The time that is a gap now.
    #[serde(flatten)]
    pub range: TimeRange,
    /// Its name below the archive's root.
    pub path: String,
    /// What is wrong.
    pub found: Finding,
    /// The same in words.
    pub detail: String,
    /// Where the file was moved, when there is one.
    pub moved_to: Option<PathBuf>,
}

/// A file that could not be looked at, which proves nothing of what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its name, or its folder's, below the archive's root.
    pub path: String,
    /// What the system said.
    pub why: String,
}

/// Why a `verify` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyEnd {
    /// All that was to be looked at was.
    Complete,
    /// Its budget was spent; the next one goes on.
    Budget,
    /// A signal asked for it.
    Signal,
}

/// How many mismatches and unreadable files a report names; the ledger has all the gaps.
pub const MOST_NAMED: usize = 10_000;

/// What a `verify` came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Whether the files were read and hashed.
    pub hashed: bool,
    /// How many recordings were looked at.
    pub recordings: u64,
    /// Bytes of files: those that were read, or that are there.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// How many recordings are gaps now.
    pub corrupt: u64,
    /// Those of them that came first, up to [`MOST_NAMED`].
    pub mismatches: Vec<Mismatch>,
    /// How many files and folders could not be looked at.
    pub unreadable_in_all: u64,
    /// Those of them that came first, up to [`MOST_NAMED`].
    pub unreadable: Vec<Unreadable>,
    /// Cameras of which the ledger has recordings and the archive not one folder; nothing was made of that.
    pub folders_gone: Vec<DeviceId>,
    /// Why it ended.
    pub ended: VerifyEnd,
    /// The round that came round in it.
    pub came_round: Option<Round>,
    /// The round that is under way.
    pub round: Option<Round>,
}

impl VerifyReport {
    /// Before anything was looked at.
    pub fn new(hashed: bool) -> Self {
        Self {
            hashed,
            recordings: 0,
            bytes: 0,
            took_seconds: 0.0,
            corrupt: 0,
            mismatches: Vec::new(),
            unreadable_in_all: 0,
            unreadable: Vec::new(),
            folders_gone: Vec::new(),
            ended: VerifyEnd::Complete,
            came_round: None,
            round: None,
        }
    }

    /// Adds a recording that is a gap now.
    pub fn add_mismatch(&mut self, mismatch: Mismatch) {
        self.corrupt += 1;
        if self.mismatches.len() < MOST_NAMED {
            self.mismatches.push(mismatch);
        }
    }

    /// Adds a file that could not be looked at.
    pub fn add_unreadable(&mut self, unreadable: Unreadable) {
        self.unreadable_in_all += 1;
        if self.unreadable.len() < MOST_NAMED {
            self.unreadable.push(unreadable);
        }
    }

    /// Whether there was something that nobody could look at.
    pub fn is_unsure(&self) -> bool {
        self.unreadable_in_all > 0 || !self.folders_gone.is_empty()
    }
}
