//! Text that somebody else wrote.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much of a foreign text is kept. Long enough for any message worth reading, short enough for a log line.
const LONGEST: usize = 200;

/// A string that the platform or a media server sent. It is data: `Display` and JSON show it with every control
/// character, and every character that changes the direction of text, escaped, so that it cannot move a terminal's
/// cursor or pass for something else; and it is never part of a path or a command.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Untrusted(String);

impl Untrusted {
    /// Keeps the first 200 characters.
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(LONGEST).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        Self(kept)
    }

    /// Reads bytes as text, as far as they are.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // OK to cut before decoding: four bytes are the most that one character takes.
        Self::new(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]))
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Control characters, and those that show nothing or change the direction of what is around them: marks, embeddings,
/// isolates, joiners, tags.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_dangerous(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_control_character() {
        let nasty = Untrusted::new("a\u{1b}[2Jb\r\n\u{202e}c\u{9b}");
        let shown = nasty.to_string();
        assert!(shown.chars().all(|c| !is_dangerous(c)), "{shown}");
        assert!(shown.starts_with("a\\u{1b}[2Jb\\r\\n"));
        assert_eq!(Untrusted::new("门店一号").to_string(), "门店一号");
    }

    #[test]
    fn no_character_that_hides_or_turns_text_around_is_shown() {
        let turning =
            ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{61c}', '\u{200e}', '\u{200f}']);
        let hiding = ['\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{e0041}', '\u{2028}', '\u{2029}'];
        for c in turning.chain(hiding).chain('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}') {
            let sent = Untrusted::new(&format!("a{c}b"));
            let json = serde_json::to_string(&sent).expect("a text");
            for shown in [sent.to_string(), format!("{sent:?}"), json] {
                assert!(
                    !shown.contains(c) && shown.contains('a') && shown.contains('b'),
                    "{:x}: {shown:?}",
                    u32::from(c)
                );
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_and_broken_bytes_are_survived() {
        assert_eq!(Untrusted::new(&"长".repeat(500)).to_string().chars().count(), LONGEST + 1);
        assert_eq!(Untrusted::from_bytes(b"\xff<html>").to_string(), "\u{fffd}<html>");
    }
}
