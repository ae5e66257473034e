//! What may be shown on a terminal.

use std::fmt::Display;

/// More than any message is long: three foreign texts of 200 characters, all of them escaped, and some words.
const LONGEST: usize = 8_000;

/// Panics when what is shown could move a cursor, turn the direction of text, or fill a screen.
pub fn is_harmless(shown: &impl Display) {
    let text = shown.to_string();
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(is_bad), "{text:?} could do harm on a terminal");
    assert!(text.len() <= LONGEST, "{} bytes of message", text.len());
}
