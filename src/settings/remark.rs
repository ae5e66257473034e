//! What is wrong with the settings, and where.

use std::fmt;
use std::sync::Arc;

/// Where a setting was written. Ordered as a person goes through them: what was typed first, the file from its top.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In that flag.
    Flag(&'static str),
    /// In that environment variable.
    Environment(&'static str),
    /// In the file; line and column count from 1, the column in characters.
    File {
        /// The file's name as it was given.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Nowhere: it is missing, or the file itself is.
    Nowhere,
}

/// A mistake or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about.
    pub place: Place,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { file, line, column } => write!(f, "{file}:{line}:{column}: ")?,
            Place::Environment(name) => write!(f, "environment, {name}: ")?,
            Place::Flag(name) => write!(f, "{name}: ")?,
            Place::Nowhere => {}
        }
        f.write_str(&self.text)
    }
}

/// Every mistake that was found, one a line; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors {
    mistakes: Vec<Remark>,
}

impl SettingsErrors {
    pub(super) fn new(mut mistakes: Vec<Remark>) -> Self {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        Self { mistakes }
    }

    /// The mistakes, from the top of the file to its end.
    pub fn mistakes(&self) -> &[Remark] {
        &self.mistakes
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "{}{mistake}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}
