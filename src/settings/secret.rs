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
    /// Names the file, before the settings do: what starts the program may have the file elsewhere, as systemd has.
    pub(super) file_variable: &'static str,
}

pub(super) const SECRET: Names = Names {
    inline: "secret",
    file: "secret_file",
    command: "secret_command",
    variable: "ARCHIVE_SECRET",
    file_variable: "ARCHIVE_SECRET_FILE",
};

pub(super) const PASSWORD: Names = Names {
    inline: "password",
    file: "password_file",
    command: "password_command",
    variable: "ARCHIVE_PASSWORD",
    file_variable: "ARCHIVE_PASSWORD_FILE",
};

/// The folder in which systemd gives a service its credentials. Only the service can read them, whatever their mode says: where
/// the right is given by a list, that shows as the group's.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

impl Names {
    fn ways(&self) -> String {
        format!("set {} or {}, or the environment variable {}", self.file, self.command, self.variable)
    }
}

/// A secret that has not been read yet.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Environment(SecretString),
    File { path: PathBuf, place: Place, is_credential: bool },
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
    let named = environment(names.file_variable).map(|path| (path.into(), Place::Environment(names.file_variable)));
    let file = named.or(file).map(|(path, place): (PathBuf, Place)| {
        let is_credential = environment(CREDENTIALS).is_some_and(|folder| path.starts_with(folder));
        Origin::File { path, place, is_credential }
    });
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
        Some(Origin::File { path, place, is_credential }) => {
            (read_file(reader, &path, Some(&place).filter(|_| !is_credential)), place)
        }
    };
    let trimmed = read.and_then(|text| trim(text).ok_or_else(|| format!("gives no {}; it is empty", names.inline)));
    trimmed.map_err(|error| reader.mistake(&place, error)).ok()
}

fn trim(text: String) -> Option<SecretString> {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.is_empty()).then(|| SecretString::from(line))
}

/// With a place, others' right to the file is warned of there.
fn read_file(reader: &mut Reader, path: &std::path::Path, place: Option<&Place>) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(cannot)?;
    if let Some(place) = place {
        warn_if_others_can_read(reader, &file, path, place).map_err(cannot)?;
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret as _;

    use crate::settings::{Flags, Settings};

    #[test]
    fn a_file_that_the_environment_names_comes_before_the_settings_and_a_credential_is_its_services_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, jobs) = (folder.path().join("archive.secret"), folder.path().join("jobs.toml"));
        std::fs::write(&file, "of systemd\n").expect("it can be written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o440)).expect("it is ours");
        std::fs::write(&jobs, "[platform]\nakey = \"k\"\nsecret_file = \"/nowhere\"\n").expect("it can be written");
        let read = |credentials: Option<&str>| {
            let environment = |name: &str| match name {
                "ARCHIVE_SECRET_FILE" => Some(file.display().to_string()),
                "CREDENTIALS_DIRECTORY" => credentials.map(str::to_owned),
                _ => None,
            };
            let flags = Flags { config: Some(jobs.clone()), ..Flags::default() };
            let (settings, credentials) = Settings::load_with_credentials(&flags, &environment).expect("all is there");
            assert_eq!(credentials.secret.expose_secret(), "of systemd");
            settings.warnings.len()
        };
        assert_eq!(read(None), 1, "others may read it");
        assert_eq!(read(folder.path().to_str()), 0);
        assert_eq!(read(Some("/run/credentials/another.service")), 1);
    }
}
