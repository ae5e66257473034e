//! What a ledger was made anew of.

use std::path::Path;

use chrono_tz::Tz;

use super::{MOST_ROWS, causes};
use crate::report::{Misplaced, Reindexed};
use crate::untrusted::Untrusted;
use crate::wording;

/// What a ledger was made anew of.
pub fn reindexed(done: &Reindexed, zone: Tz) -> String {
    let mut text = format!(
        "{} in the new ledger, {}; {} asked for\n",
        wording::count(done.recordings, "recording"),
        wording::seconds(done.archived_seconds),
        wording::seconds(done.asked_seconds),
    );
    text.push_str(&causes(done.missing.iter().copied()));
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if done.without_file_seconds > 0 {
        let gone = wording::seconds(done.without_file_seconds);
        say(format!("{gone} of what is missing were archived, and have no file any more: the next run asks for them"));
    }
    match done.catalog_written {
        Some(at) => say(format!("what was asked for, and why it is missing, is as of {}", wording::time(at, zone))),
        None => {
            say("there is no catalog: what was asked for and did not come is not known; `archive run jobs.toml` asks \
                     again for all that its jobs want, and fetches what is missing"
                .to_owned())
        }
    }
    if done.read > 0 {
        let (files, their) =
            (wording::count(done.read, "file"), if done.read == 1 { "its hash" } else { "their hashes" });
        say(format!("{files} not in the catalog: judged by name and bytes, with {their} as of now"));
    }
    files(&mut say, &done.set_aside, "moved aside");
    files(&mut say, &done.left, "left where it is");
    if done.strangers > 0 {
        say(format!("{} among the recordings that are none, and stay:", wording::count(done.strangers, "name")));
        let names = done.first_strangers.iter().map(|name| Untrusted::new(name));
        names.for_each(|name| say(format!("  {name}")));
    }
    if done.unreadable_lines > 0 {
        say(format!("{} of the catalog could not be read:", wording::count(done.unreadable_lines, "line")));
        done.first_unreadable.iter().for_each(|line| say(format!("  {}", Untrusted::new(line))));
    }
    for path in &done.moved_aside {
        say(format!("the old ledger is now {}", path.display()));
    }
    text
}

fn files(say: &mut impl FnMut(String), files: &[Misplaced], what: &str) {
    for Misplaced { path, why } in files.iter().take(MOST_ROWS) {
        say(format!("{what}: {}: {why}", shown(path)));
    }
    if let Some(more @ 1..) = files.len().checked_sub(MOST_ROWS) {
        say(format!("{what}: {more} more; --json names all"));
    }
}

/// A name that anybody may have given.
fn shown(path: &Path) -> Untrusted {
    Untrusted::new(&path.display().to_string())
}
