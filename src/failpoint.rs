//! Named steps between a stream's first byte and its row in the ledger, at which tests kill the program or make the step fail.
//!
//! Only with the feature `failpoints`, which `cargo test` switches on and nobody else: without it [`reached`] is a constant, and
//! nothing of this is in the program. With it, the environment's `ARCHIVE_FAILPOINTS` says what happens where:
//!
//! ```text
//! renamed=kill                    SIGKILL to itself, the first time that this step is reached
//! staging-write:3=ENOSPC          the third time only
//! staging-write:3+=ENOSPC         from the third time on
//! file-sync=EIO,all=tell          every time; and each step that is reached is told on stderr
//! ```
//!
//! The errors are `ENOSPC`, `EDQUOT`, `EIO`, `EROFS` and `EACCES`: the step answers as if the system had said so, without being
//! done. A value that cannot be read ends the program at the first step.
//!
//! A name that is a verb's base form (`rename`) stands before the step, one in the past (`renamed`) behind it.

/// Writes the enum, its names and the list of all.
macro_rules! failpoints {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A step that can be made to fail, or to be the last.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Failpoint {
            $($(#[$doc])* $variant,)*
        }

        impl Failpoint {
            /// Every one, in the order in which a file's life reaches them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As `ARCHIVE_FAILPOINTS` names it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

failpoints! {
    /// The archive's folders are about to be made, where they are not there.
    ArchiveOpen = "archive-open",
    /// The ledger's file is about to be opened for writing.
    LedgerOpen = "ledger-open",
    /// A new or older ledger is about to get its tables.
    LedgerMigrate = "ledger-migrate",
    /// A new ledger has the list of the steps that made it, which is empty, and nothing else.
    LedgerListed = "ledger-listed",
    /// It has its tables.
    LedgerMigrated = "ledger-migrated",
    /// The ledger is about to begin a transaction: every change of it is in one.
    LedgerBegin = "ledger-begin",
    /// The ledger is about to commit: what is to be written is written here, and so it fails here on a bad disk.
    LedgerCommit = "ledger-commit",
    /// It has committed, and nobody has heard of it.
    LedgerCommitted = "ledger-committed",
    /// The run's row is in the ledger.
    RunBegun = "run-begun",
    /// What earlier runs left in staging is about to be moved out of it.
    SweepMove = "sweep-move",
    /// It was.
    SweepMoved = "sweep-moved",
    /// What was swept is about to be deleted.
    SweepDelete = "sweep-delete",
    /// It was.
    SweepDeleted = "sweep-deleted",
    /// A file that was about to be published when an earlier run ended is about to be looked for.
    AdoptLook = "adopt-look",
    /// It was read and found whole, and is about to get its row.
    AdoptJudged = "adopt-judged",
    /// The disk is about to be asked for its free space. `ENOSPC` here is an answer: nothing is free.
    FreeSpace = "free-space",
    /// A download's staging file is about to be made.
    StagingCreate = "staging-create",
    /// It is there, and empty.
    StagingCreated = "staging-created",
    /// A live stream's staging file is about to be made.
    LiveCreate = "live-create",
    /// It is there, and empty.
    LiveCreated = "live-created",
    /// A staging file's bytes are about to be written, gathered to some.
    StagingWrite = "staging-write",
    /// They were.
    StagingWritten = "staging-written",
    /// A live stream's staging file is about to get another name, since its first picture's time is known better.
    LiveRename = "live-rename",
    /// It has it.
    LiveRenamed = "live-renamed",
    /// A live stream's staging file is about to be deleted, since nothing of it is worth keeping.
    LiveDiscard = "live-discard",
    /// A staging file's frames are about to be written into an MP4 beside it.
    Remux = "remux",
    /// They were, all of them, and the MP4 is not durable.
    Remuxed = "remuxed",
    /// The ledger is about to be told that a file gets its final name.
    PublishingNote = "publishing-note",
    /// It knows, durably.
    PublishingNoted = "publishing-noted",
    /// What is not good at a staging file's end is about to be cut off.
    StagingCut = "staging-cut",
    /// It was.
    StagingWasCut = "staging-was-cut",
    /// A staging file is about to be made durable.
    FileSync = "file-sync",
    /// It was.
    FileSynced = "file-synced",
    /// A folder for recordings is about to be made, where it is not there.
    FolderMake = "folder-make",
    /// It was, and is not durable in the folder above it.
    FolderMade = "folder-made",
    /// A staging file is about to get its final name.
    Rename = "rename",
    /// It has it.
    Renamed = "renamed",
    /// A folder's entries are about to be made durable.
    FolderSync = "folder-sync",
    /// They were.
    FolderSynced = "folder-synced",
    /// A published file is about to get its row in the ledger.
    RowWrite = "row-write",
    /// It has it, durably.
    RowWritten = "row-written",
    /// A file that is not what its name says is about to be moved aside.
    AsideMove = "aside-move",
    /// It was.
    AsideMoved = "aside-moved",
    /// It was, durably; if there is a note of it, that is still there.
    AsideSynced = "aside-synced",
    /// Old attempts are about to be folded away, in a transaction.
    FoldStep = "fold-step",
    /// The run is about to be marked as ended.
    RunEnd = "run-end",
}

/// Says that a step is reached. OK, unless a test wants otherwise.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reached(_step: Failpoint) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use armed::reached;

#[cfg(feature = "failpoints")]
mod armed {
    //! What a test may ask for.

    use std::io::{self, Write as _};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    use super::Failpoint;

    const VARIABLE: &str = "ARCHIVE_FAILPOINTS";

    /// What happens at a step.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Kill,
        Fail(Errno),
        Tell,
    }

    /// One part of the variable's value.
    #[derive(Debug, PartialEq, Eq)]
    struct Rule {
        /// Nothing for all of them.
        step: Option<Failpoint>,
        /// Which times that the step is reached are meant, counted from 1.
        first: u64,
        last: u64,
        action: Action,
    }

    /// Says that a step is reached; does what `ARCHIVE_FAILPOINTS` says of it.
    pub fn reached(step: Failpoint) -> io::Result<()> {
        static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
        static TIMES: [AtomicU64; Failpoint::ALL.len()] = [const { AtomicU64::new(0) }; Failpoint::ALL.len()];
        let rules = RULES.get_or_init(|| {
            let value = std::env::var_os(VARIABLE).unwrap_or_default();
            rules(&value.to_string_lossy()).unwrap_or_else(|why| {
                tell(&format!("archive: {VARIABLE}: {why}"));
                std::process::exit(2)
            })
        });
        if rules.is_empty() {
            return Ok(());
        }
        let time = TIMES[step as usize].fetch_add(1, Ordering::SeqCst) + 1;
        let meant =
            |rule: &&Rule| rule.step.is_none_or(|meant| meant == step) && (rule.first..=rule.last).contains(&time);
        for rule in rules.iter().filter(meant) {
            match rule.action {
                Action::Tell => tell(&format!("failpoint {}:{time}", step.name())),
                Action::Fail(errno) => return Err(errno.into()),
                Action::Kill => {
                    // OK to go on for the moment that it takes: no thread of a killed process returns from here.
                    kill_process(getpid(), Signal::KILL)?;
                    loop {
                        std::thread::park();
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a line to stderr at once.
    fn tell(line: &str) {
        // OK to ignore a closed stderr: then no test is listening.
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }

    fn rules(value: &str) -> Result<Vec<Rule>, String> {
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(rule).collect()
    }

    fn rule(part: &str) -> Result<Rule, String> {
        let (left, action) = part.split_once('=').ok_or_else(|| format!("{part:?} has no `=`"))?;
        let action = match action {
            "kill" => Action::Kill,
            "tell" => Action::Tell,
            "ENOSPC" => Action::Fail(Errno::NOSPC),
            "EDQUOT" => Action::Fail(Errno::DQUOT),
            "EIO" => Action::Fail(Errno::IO),
            "EROFS" => Action::Fail(Errno::ROFS),
            "EACCES" => Action::Fail(Errno::ACCESS),
            _ => return Err(format!("{action:?} is none of kill, tell, ENOSPC, EDQUOT, EIO, EROFS, EACCES")),
        };
        let (name, times) = match left.split_once(':') {
            Some((name, times)) => (name, Some(times)),
            None => (left, None),
        };
        let number = |text: &str| match text.parse() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(format!("{text:?} in {part:?} is no number from 1 on")),
        };
        let (first, last) = match times {
            None => (1, u64::MAX),
            Some(times) => match times.strip_suffix('+') {
                Some(first) => (number(first)?, u64::MAX),
                None => (number(times)?, number(times)?),
            },
        };
        let step = match name {
            "all" => None,
            name => {
                let known = Failpoint::ALL.iter().copied().find(|step| step.name() == name);
                Some(known.ok_or_else(|| format!("there is no step {name:?}"))?)
            }
        };
        Ok(Rule { step, first, last, action })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_value_says_what_happens_where_and_when() {
            let every = Rule { step: Some(Failpoint::Renamed), first: 1, last: u64::MAX, action: Action::Kill };
            assert_eq!(rules("renamed=kill").unwrap(), [every]);
            let third = rules("staging-write:3=ENOSPC").unwrap();
            assert_eq!((third[0].first, third[0].last, third[0].action), (3, 3, Action::Fail(Errno::NOSPC)));
            let on = rules("all=tell, staging-write:3+=EIO,").unwrap();
            assert_eq!((on[0].step, on[1].first, on[1].last), (None, 3, u64::MAX));
            assert_eq!(rules("").unwrap(), []);
        }

        #[test]
        fn a_value_that_cannot_be_read_is_refused() {
            for value in ["renamed", "renamed=stop", "rename:0=kill", "rename:x=kill", "rename:+=kill", "renames=kill"]
            {
                assert!(rules(value).is_err(), "{value}");
            }
        }

        #[test]
        fn names_are_unlike() {
            let names: std::collections::BTreeSet<_> = Failpoint::ALL.iter().map(|step| step.name()).collect();
            assert_eq!(names.len(), Failpoint::ALL.len());
            assert!(Failpoint::ALL.iter().enumerate().all(|(index, &step)| step as usize == index));
        }
    }
}
