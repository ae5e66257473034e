//! The paths in a file that begin at the crate's root, however they are written: imported, grouped, in a body, in a
//! macro, through `super`, or by the crate's name.

use super::tokens::{self, Token};

/// The crate's name, by which the program uses the library.
const CRATE: &str = "archive";

/// A path below the crate's root.
#[derive(Debug, PartialEq, Eq)]
pub struct Used {
    /// Where its first part stands.
    pub line: usize,
    /// Its parts after the root.
    pub path: Vec<String>,
}

/// All of a file whose module is `depth` steps below the root. What a doc link names is no import.
pub fn used(text: &str, depth: usize) -> Vec<Used> {
    let tokens = tokens::of(text);
    let mut reader = Reader { tokens: &tokens, at: 0, found: Vec::new() };
    // For each open brace, whether `mod name` stands before it: that is one step further from the root.
    let mut braces: Vec<bool> = Vec::new();
    while reader.at < tokens.len() {
        let at = reader.at;
        let before = |count: usize| at.checked_sub(count).map_or("", |place| tokens[place].text.as_str());
        reader.at += 1;
        let at_root = match tokens[at].text.as_str() {
            "{" => {
                braces.push(before(2) == "mod");
                false
            }
            "}" => {
                braces.pop();
                false
            }
            "crate" | CRATE if before(1) != "::" => true,
            "super" if before(1) != "::" => {
                let inner = braces.iter().filter(|&&is_module| is_module).count();
                reader.rises(depth + inner)
            }
            _ => false,
        };
        if at_root && reader.take("::") {
            reader.tree(&[], None);
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Used>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, text: &str) -> bool {
        let is_there = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(is_there);
        is_there
    }

    /// After a first `super`: passes over those that follow it, and says whether they lead `depth` steps up.
    fn rises(&mut self, depth: usize) -> bool {
        let mut steps = 1;
        while let [separator, word, ..] = &self.tokens[self.at..]
            && separator.text == "::"
            && word.text == "super"
        {
            self.at += 2;
            steps += 1;
        }
        steps == depth
    }

    /// A path, or a group of paths, after `prefix`, whose first part after the root stands in `line`.
    fn tree(&mut self, prefix: &[String], mut line: Option<usize>) {
        let mut path = prefix.to_vec();
        while let Some(token) = self.peek() {
            if token.text == "{" {
                return self.members(&path, line);
            }
            if token.text != "*" && !token.text.starts_with(|first: char| first.is_alphabetic() || first == '_') {
                // Something generic, such as `crate::x::<T>`.
                break;
            }
            line = line.or(Some(token.line));
            path.push(token.text.clone());
            self.at += 1;
            if !self.take("::") {
                break;
            }
        }
        if let Some(line) = line {
            self.found.push(Used { line, path });
        }
    }

    /// The parts of `{a, b::c}`, each after `prefix`.
    fn members(&mut self, prefix: &[String], line: Option<usize>) {
        self.at += 1;
        while self.peek().is_some() && !self.take("}") {
            self.tree(prefix, line);
            // Passes over `as name` too.
            while self.peek().is_some_and(|token| token.text != "}") && !self.take(",") {
                self.at += 1;
            }
        }
    }
}
