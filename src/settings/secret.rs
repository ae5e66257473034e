//! Where the secret and the password come from: the environment, a file, or a command's output; never a flag, and never
//! the settings file itself, which is copied, shared and committed.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use secrecy::SecretString;

use super::raw::{Reader, Section};
use super::remark::Place;
use super::values;

/// The longest secret that is read; a wrong path must not fill the memory.
const LONGEST: u64 = 64 << 10;

/// What one secret's settings are called.
pub(super) struct Names {
    /// What it is, and the key that it must not be written under.
    pub(super) inline: &'static str,
    pub(super) file: &'static str,
    pub(super) command: &'static str,
    pub(super) variable: &'static str,
}

pub(super) const SECRET: Names =
    Names { inline: "secret", file: "secret_file", command: "secret_command", variable: "ARCHIVE_SECRET" };

pub(super) const PASSWORD: Names =
    Names { inline: "password", file: "password_file", command: "password_command", variable: "ARCHIVE_PASSWORD" };

impl Names {
    fn ways(&self) -> String {
        format!("set {} or {}, or the environment variable {}", self.file, self.command, self.variable)
    }
}

/// A secret that has not been read yet.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Environment(SecretString),
    File(PathBuf, Place),
    Command(Vec<String>, Place),
}

/// Where the settings say that the secret is; nothing when they do not, or when that was a mistake.
pub(super) fn origin(
    reader: &mut Reader,
    section: &mut Section,
    names: &Names,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<Origin> {
    if let Some(inline) = section.take(names.inline) {
        let key = names.inline;
        reader.mistake(&inline.place, format!("{key}: a {key} does not belong in this file; {}", names.ways()));
    }
    let (file, command) = (section.take(names.file), section.take(names.command));
    if let (Some(_), Some(command)) = (&file, &command) {
        reader.mistake(&command.place, format!("both {} and {} are set; keep one", names.file, names.command));
    }
    let file = file.and_then(|given| Some((reader.check(&given, names.file, values::path)?, given.place)));
    let command = command.and_then(|given| Some((reader.check(&given, names.command, values::command)?, given.place)));
    if let Some(secret) = environment(names.variable) {
        return Some(Origin::Environment(secret.into()));
    }
    let file = file.map(|(path, place)| Origin::File(path, place));
    file.or_else(|| command.map(|(words, place)| Origin::Command(words, place)))
}

/// Reads the secret. A command is not run when a mistake was found before: it may ask the person for a passphrase.
pub(super) fn read(reader: &mut Reader, names: &Names, origin: Option<Origin>) -> Option<SecretString> {
    let (read, place) = match origin {
        None => {
            reader.mistake(&Place::Nowhere, format!("there is no {}: {}", names.inline, names.ways()));
            return None;
        }
        Some(Origin::Environment(secret)) => return Some(secret),
        Some(Origin::Command(..)) if !reader.mistakes.is_empty() => return None,
        Some(Origin::Command(words, place)) => (run(&words), place),
        Some(Origin::File(path, place)) => (read_file(reader, &path, &place), place),
    };
    let trimmed = read.and_then(|text| trim(text).ok_or_else(|| format!("gives no {}; it is empty", names.inline)));
    trimmed.map_err(|error| reader.mistake(&place, error)).ok()
}

fn trim(text: String) -> Option<SecretString> {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.is_empty()).then(|| SecretString::from(line))
}

fn read_file(reader: &mut Reader, path: &std::path::Path, place: &Place) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(cannot)?;
    warn_if_others_can_read(reader, &file, path, place).map_err(cannot)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(cannot)?;
    Ok(text)
}

#[cfg(unix)]
fn warn_if_others_can_read(
    reader: &mut Reader,
    file: &File,
    path: &std::path::Path,
    place: &Place,
) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o177 != 0 {
        let path = path.display();
        reader.warn(place, format!("{path} has mode {mode:04o}, so others may use it; run: chmod 600 {path}"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &mut Reader, _: &File, _: &std::path::Path, _: &Place) -> std::io::Result<()> {
    Ok(())
}

fn run(words: &[String]) -> Result<String, String> {
    let [program, arguments @ ..] = words else {
        return Err("the command is empty".to_owned());
    };
    // Its stderr and its stdin are the person's: it may ask for a passphrase.
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {program:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program:?} failed: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_not_text| format!("{program:?} wrote something that is not UTF-8 text"))
}
