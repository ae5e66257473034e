//! Rust's text as words and signs with their lines: as much of it as finding paths needs. Comments and texts are left
//! out, so that what they quote is not taken for code.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    /// A word, `::`, or one sign.
    pub text: String,
}

pub fn of(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { characters: &characters, at: 0, line: 1 };
    let mut tokens = Vec::new();
    while lexer.at < characters.len() {
        let line = lexer.line;
        if let Some(text) = lexer.next() {
            tokens.push(Token { line, text });
        }
    }
    tokens
}

struct Lexer<'a> {
    characters: &'a [char],
    at: usize,
    line: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.characters.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn is_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, character)| self.peek(ahead) == character)
    }

    fn pass(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn pass_until(&mut self, end: &str) {
        while self.at < self.characters.len() && !self.is_at(end) {
            self.pass(1);
        }
        self.pass(end.len());
    }

    fn next(&mut self) -> Option<String> {
        match self.peek(0) {
            '/' if self.peek(1) == '/' => self.pass_until("\n"),
            '/' if self.peek(1) == '*' => self.pass_block_comment(),
            '"' => self.pass_text(),
            '\'' => self.pass_quote(),
            first if is_word(first) => return self.word(),
            ':' if self.peek(1) == ':' => {
                self.pass(2);
                return Some("::".to_owned());
            }
            first => {
                self.pass(1);
                return (!first.is_whitespace()).then(|| first.to_string());
            }
        }
        None
    }

    fn pass_block_comment(&mut self) {
        self.pass(2);
        while self.at < self.characters.len() && !self.is_at("*/") {
            if self.is_at("/*") { self.pass_block_comment() } else { self.pass(1) }
        }
        self.pass(2);
    }

    fn pass_text(&mut self) {
        self.pass(1);
        while self.at < self.characters.len() && self.peek(0) != '"' {
            self.pass(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.pass(1);
    }

    /// A character, or a lifetime, of which only the quote is passed over: no path begins with what follows it.
    fn pass_quote(&mut self) {
        if self.peek(1) == '\\' {
            self.pass(3);
            self.pass_until("'");
        } else {
            self.pass(if self.peek(2) == '\'' { 3 } else { 1 });
        }
    }

    /// A word; or nothing when it turns out to begin a raw text.
    fn word(&mut self) -> Option<String> {
        let start = self.at;
        while is_word(self.peek(0)) {
            self.pass(1);
        }
        let word: String = self.characters[start..self.at].iter().collect();
        let hashes = (0..).take_while(|&ahead| self.peek(ahead) == '#').count();
        if ["r", "br", "cr"].contains(&word.as_str()) && self.peek(hashes) == '"' {
            self.pass(hashes + 1);
            self.pass_until(&format!("\"{}", "#".repeat(hashes)));
            return None;
        }
        Some(word)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
