//! Settings as they were written: sections of keys with values that are not understood yet, each with its place.
//!
//! A section remembers which keys it was asked for; whatever is left over in the end is a key that nobody knows.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::remark::{Place, Remark};

/// Below this likeness (Jaro), a key is not taken for a slip of another one.
const LIKENESS: f64 = 0.75;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(String),
    Truth(bool),
    List(Vec<Given>),
    Table(BTreeMap<String, Given>),
}

impl Value {
    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A value, and where its key or it itself stands.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) place: Place,
}

struct Source<'a> {
    name: Arc<str>,
    text: &'a str,
    /// Where each line starts.
    lines: Vec<usize>,
    /// The offset that was last looked for, and how many characters of its line are before it.
    last: Cell<(usize, usize)>,
}

impl<'a> Source<'a> {
    fn new(name: &str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { name: name.into(), text, lines, last: Cell::default() }
    }

    /// A list of a hundred thousand devices may stand on one line: what follows on it is counted from what came before.
    fn place(&self, span: &Range<usize>) -> Place {
        // OK to fall back on the whole text: a span that is none points past its end.
        let at = self.text.get(..span.start).unwrap_or(self.text).len();
        let line = self.lines.partition_point(|&start| start <= at);
        // OK because the first line starts at 0, which nothing is before.
        let line_start = self.lines[line - 1];
        let (known, before) = match self.last.get() {
            (known, before) if (line_start..=at).contains(&known) => (known, before),
            _ => (line_start, 0),
        };
        let before = before + self.text[known..at].chars().count();
        self.last.set((at, before));
        Place::File { file: Arc::clone(&self.name), line, column: 1 + before }
    }

    fn given(&self, value: &Spanned<DeValue<'_>>) -> Given {
        let place = self.place(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => Value::Number(number.to_string()),
            DeValue::Float(number) => Value::Number(number.to_string()),
            DeValue::Boolean(truth) => Value::Truth(*truth),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.given(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Given { value, place }
    }

    fn table(&self, table: &DeTable<'_>) -> BTreeMap<String, Given> {
        let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| (key_text(key), self.given(value));
        table.iter().map(entry).collect()
    }
}

fn key_text(key: &Spanned<std::borrow::Cow<'_, str>>) -> String {
    key.get_ref().clone().into_owned()
}

/// The file's sections, or what keeps it from being TOML.
pub(super) fn parse(name: &str, text: &str) -> Result<Section, Vec<Remark>> {
    let source = Source::new(name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Section::new(String::new(), Place::Nowhere, source.table(table.get_ref())));
    }
    // Only its own message: toml's whole report quotes the line, which may hold a secret.
    let remark = |error: toml::de::Error| Remark {
        place: error.span().map_or(Place::Nowhere, |span| source.place(&span)),
        text: format!("not TOML: {}", error.message()),
    };
    Err(errors.into_iter().map(remark).collect())
}

/// A table of the file, with what flags and environment put over it.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// `[archive]`, or `[[job]] "night"`.
    pub(super) name: String,
    pub(super) place: Place,
    values: BTreeMap<String, Given>,
    known: Vec<&'static str>,
}

impl Section {
    pub(super) fn new(name: String, place: Place, values: BTreeMap<String, Given>) -> Self {
        Self { name, place, values, known: Vec::new() }
    }

    pub(super) fn empty() -> Self {
        Self::new(String::new(), Place::Nowhere, BTreeMap::new())
    }

    /// Puts a value over whatever the file says.
    pub(super) fn put(&mut self, key: &'static str, text: Option<String>, place: Place) {
        if let Some(text) = text {
            self.values.insert(key.to_owned(), Given { value: Value::Text(text), place });
        }
    }

    /// Takes out the value of a key, which is known from then on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Given> {
        self.known.push(key);
        self.values.remove(key)
    }

    /// Whether a key has a value that was not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Takes out what is left, under whatever key.
    pub(super) fn take_rest(&mut self) -> BTreeMap<String, Given> {
        std::mem::take(&mut self.values)
    }
}

/// Gathers what is wrong while sections are read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) mistakes: Vec<Remark>,
    pub(super) warnings: Vec<Remark>,
}

impl Reader {
    pub(super) fn mistake(&mut self, place: &Place, text: impl Into<String>) {
        self.mistakes.push(Remark { place: place.clone(), text: text.into() });
    }

    pub(super) fn warn(&mut self, place: &Place, text: impl Into<String>) {
        self.warnings.push(Remark { place: place.clone(), text: text.into() });
    }

    /// Reads the value of `key`; nothing when it is missing or wrong.
    pub(super) fn read<T, E: Display>(
        &mut self,
        section: &mut Section,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let given = section.take(key)?;
        self.check(&given, key, parse)
    }

    /// Reads the value of `key` as a list, each item by itself.
    pub(super) fn read_list<T, E: Display>(
        &mut self,
        section: &mut Section,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, E>,
    ) -> Vec<T> {
        match section.take(key) {
            Some(Given { value: Value::List(items), .. }) => {
                items.iter().filter_map(|item| self.check(item, key, &parse)).collect()
            }
            Some(one) => self.check(&one, key, parse).into_iter().collect(),
            None => Vec::new(),
        }
    }

    pub(super) fn check<T, E: Display>(
        &mut self,
        given: &Given,
        key: &str,
        parse: impl Fn(&Value) -> Result<T, E>,
    ) -> Option<T> {
        parse(&given.value).map_err(|error| self.mistake(&given.place, format!("{key}: {error}"))).ok()
    }

    /// The table `[key]` of `section`; an empty one when there is none.
    pub(super) fn section(&mut self, section: &mut Section, key: &'static str, name: &str) -> Section {
        match section.take(key) {
            Some(Given { value: Value::Table(values), place }) => Section::new(name.to_owned(), place, values),
            Some(other) => {
                self.mistake(&other.place, format!("{key} is {}; write a table under {name}", other.value.kind()));
                Section::empty()
            }
            None => Section { name: name.to_owned(), ..Section::empty() },
        }
    }

    /// The tables `[[key]]` of `section`.
    pub(super) fn sections(&mut self, section: &mut Section, key: &'static str) -> Vec<Section> {
        let name = format!("[[{key}]]");
        let items = match section.take(key) {
            Some(Given { value: Value::List(items), .. }) => items,
            Some(other) => {
                let kind = other.value.kind();
                self.mistake(&other.place, format!("{key} is {kind}; begin each {key} with a line {name}"));
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items {
            match item.value {
                Value::Table(values) => sections.push(Section::new(name.clone(), item.place, values)),
                other => {
                    let kind = other.kind();
                    self.mistake(&item.place, format!("{key} holds {kind}; begin each {key} with a line {name}"));
                }
            }
        }
        sections
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(&mut self, section: Section) {
        let name = if section.name.is_empty() { String::new() } else { format!("{}: ", section.name) };
        for (key, given) in &section.values {
            let hint = match nearest(key, &section.known) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the keys here are {}", section.known.join(", ")),
            };
            self.mistake(&given.place, format!("{name}there is no setting {key:?}; {hint}"));
        }
    }
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |other: &&str| strsim::jaro(key, other);
    let near = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(near) >= LIKENESS).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_in_whatever_order_places_are_looked_for() {
        let text = "# 文字\n[a]\r\nkey = [1, 2,\n\n 3] # é x\n";
        let offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len(), 99]).collect();
        let of = |source: &Source<'_>, at: usize| {
            let Place::File { line, column, .. } = source.place(&(at..at)) else { panic!("{at} is in the file") };
            (line, column)
        };
        let counted = |at: usize| {
            let before = &text[..at.min(text.len())];
            let last = before.rsplit('\n').next().unwrap_or(before);
            (1 + before.matches('\n').count(), 1 + last.chars().count())
        };
        let source = Source::new("jobs.toml", text);
        for step in [1, 2, 3, 5] {
            for at in (0..offsets.len()).map(|i| offsets[i * step % offsets.len()]) {
                assert_eq!(of(&source, at), counted(at), "{at}");
            }
        }
    }
}
