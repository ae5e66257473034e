//! A first `jobs.toml`, over all cameras of a device list, with comments for whoever changes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::device::DeviceId;
use crate::untrusted::Untrusted;
use crate::wording;

/// How long a line of device numbers gets.
const LINE: usize = 100;

/// What a first file is made of. Names in it may be anybody's: they are quoted, or stand in comments without what breaks a line.
#[derive(Clone, Debug, Default)]
pub struct JobsFile {
    /// When and of what it is made, for its first line.
    pub made: String,
    /// `[platform]`: keys with their values, as texts.
    pub platform: Vec<(&'static str, String)>,
    /// Where the secret is to be.
    pub secret_file: String,
    /// The same of `[platform.login]`; empty without a login.
    pub login: Vec<(&'static str, String)>,
    /// The same of `[archive]`.
    pub archive: Vec<(&'static str, String)>,
    /// The recorders, in the order in which they are written.
    pub nvrs: Vec<NvrEntry>,
    /// Cameras of which nobody knows the recorder.
    pub alone: Vec<CameraEntry>,
}

/// One recorder.
#[derive(Clone, Debug)]
pub struct NvrEntry {
    /// Its name.
    pub name: String,
    /// Its store, by number or name.
    pub store: Option<String>,
    /// Its store's name, for people.
    pub store_name: Option<Untrusted>,
    /// Its cameras; one at least.
    pub cameras: Vec<CameraEntry>,
}

/// One camera.
#[derive(Clone, Debug)]
pub struct CameraEntry {
    /// Its number.
    pub device: DeviceId,
    /// Its name, for people.
    pub name: Option<Untrusted>,
    /// Whether it was offline when it was listed.
    pub is_offline: bool,
}

const SECRET: &str = "\
# The secret that belongs to the key: one line in a file that only you may read (chmod 600), or what a command prints
# (secret_command = [\"pass\", \"show\", \"archive\"]), or the environment variable ARCHIVE_SECRET. It may not be written here.
";

const ARCHIVE: &str = "\
# Stop (exit code 7) rather than leave less than this free on the disk.
#min_free = \"5 GiB\"
# Take the \"#\" away after the first night, where root is on a disk of its own that may not be mounted.
#must_exist = true
# Downloads at once: over all NVRs, and those that an NVR is first asked for, before anything is learned of it.
#streams = 16
#per_nvr = 4
# bandwidth = { \"09:00-22:00\" = \"2 MiB/s\" }
";

const JOB: &str = "\
range = \"yesterday\"
# Only these hours of each day. Without the line, all of them.
# hours = [\"09:00-22:00\"]
# Nothing new starts after this time; what is left is for the next run (exit code 5).
# stop_at = \"07:00\"
# What \"archive prune\" may delete once it is older than this. Without the line, all is kept for ever.
# keep = \"90 days\"
";

/// The file's text.
pub fn jobs_file(file: &JobsFile) -> String {
    let mut text = format!(
        "# Written by archive init: {}.\n\
         # A line that begins with \"#\" is one to think about; jobs.example.toml explains every setting.\n\
         #\n\
         #     archive check FILE      what is still in the way of a first night\n\
         #     archive plan FILE       what a run would do\n\
         #     archive run FILE        do it; this is the line for cron\n\n",
        in_comment(&file.made)
    );
    text.push_str("[platform]\n");
    pairs(&mut text, &file.platform);
    text.push_str(SECRET);
    pairs(&mut text, &[("secret_file", file.secret_file.clone())]);
    if !file.login.is_empty() {
        text.push_str("\n[platform.login]\n");
        pairs(&mut text, &file.login);
        text.push_str("password_file = \"archive.password\"\n");
    }
    text.push_str("\n[archive]\n");
    pairs(&mut text, &file.archive);
    text.push_str(ARCHIVE);
    if !file.nvrs.is_empty() {
        text.push_str(
            "\n# The recorders, as the platform's list has them. How long one keeps footage its own menu says: with\n\
             # footage = \"30 days\", what it overwrites first is fetched first, and what is older is not asked for.\n",
        );
    }
    for nvr in &file.nvrs {
        entry(&mut text, nvr);
    }
    if !file.alone.is_empty() {
        text.push_str("\n# Of these nobody knows the recorder: each counts as having one of its own.\n");
        cameras(&mut text, &file.alone);
    }
    text.push_str("\n# What a run fetches.\n[[job]]\nname = \"nightly\"\n");
    devices(&mut text, &of_all(file));
    text.push_str(JOB);
    text
}

/// The cameras of a file.
pub fn of_all(file: &JobsFile) -> BTreeSet<DeviceId> {
    let of_nvrs = file.nvrs.iter().flat_map(|nvr| &nvr.cameras);
    of_nvrs.chain(&file.alone).map(|camera| camera.device).collect()
}

fn entry(text: &mut String, nvr: &NvrEntry) {
    text.push_str("\n[[nvr]]\n");
    // OK to ignore: writing to a String cannot fail, here and below.
    let _ = writeln!(text, "name = {}", quoted(&nvr.name));
    if let Some(store) = &nvr.store {
        let named = nvr.store_name.as_ref().map(ToString::to_string).filter(|name| name != store);
        let named = named.map(|name| format!("  # {}", in_comment(&name))).unwrap_or_default();
        let _ = writeln!(text, "store = {}{named}", quoted(store));
    }
    cameras(text, &nvr.cameras);
    devices(text, &nvr.cameras.iter().map(|camera| camera.device).collect());
    text.push_str("# footage = \"30 days\"\n");
}

/// A comment for each camera that has something to be said of.
fn cameras(text: &mut String, cameras: &[CameraEntry]) {
    for CameraEntry { device, name, is_offline } in cameras {
        let name = name.as_ref().map(|name| in_comment(&name.to_string())).unwrap_or_default();
        let offline = if *is_offline { " (offline when it was listed)" } else { "" };
        if !name.is_empty() || *is_offline {
            let _ = writeln!(text, "# {device}  {name}{offline}");
        }
    }
}

/// `devices = "1-4,7"`, in lines of a length that can be read.
fn devices(text: &mut String, devices: &BTreeSet<DeviceId>) {
    let mut lines = vec![String::new()];
    for part in wording::device_ranges(devices) {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + part.len() > LINE {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let comma = if line.is_empty() { "" } else { "," };
            let _ = write!(line, "{comma}{part}");
        }
    }
    if let [line] = lines.as_slice() {
        let _ = writeln!(text, "devices = \"{line}\"");
        return;
    }
    text.push_str("devices = [\n");
    for line in lines {
        let _ = writeln!(text, "    \"{line}\",");
    }
    text.push_str("]\n");
}

fn pairs(text: &mut String, pairs: &[(&'static str, String)]) {
    for (key, value) in pairs {
        let _ = writeln!(text, "{key} = {}", quoted(value));
    }
}

/// A text as TOML's basic strings have it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text that does not end a comment: on one line, without what TOML forbids there.
fn in_comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_text_or_a_line_is_written_so_that_it_does_not() {
        assert_eq!(quoted("a\"b\\c\n\u{7f}店"), "\"a\\\"b\\\\c\\u000A\\u007F店\"");
        assert_eq!(in_comment("a\nb\u{1b}c"), "a b c");
    }

    #[test]
    fn many_devices_are_on_lines_that_can_be_read() {
        let all: BTreeSet<DeviceId> = (0..1000).map(|number| number * 2).filter_map(DeviceId::new).collect();
        let mut text = String::new();
        devices(&mut text, &all);
        assert!(text.lines().all(|line| line.len() < LINE + 20), "{text}");
        assert!(text.lines().count() > 30, "{text}");
        text.clear();
        devices(&mut text, &[5, 6, 7, 9].into_iter().filter_map(DeviceId::new).collect());
        assert_eq!(text, "devices = \"5-7,9\"\n");
    }
}
