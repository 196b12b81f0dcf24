//! Prisma's text → tokens that know their place. Every step eats a character, so a file takes as long as it is long.

use std::iter::Peekable;
use std::str::Chars;

/// Longest file, in bytes. The largest schemas that people publish stay under 200 KiB.
pub(super) const FILE_BYTES: usize = 1024 * 1024;

/// Databases don't store it in texts, and entity files don't hold it.
const NUL: &str = "the character U+0000 can be in no name and no text";

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: u32,
    /// In characters, from 1.
    pub(super) column: u32,
}

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// Kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `model`, `User`, `true`
    Word(String),
    /// `"text"`, without its quotes
    Text(String),
    /// `-1`, `2.50`, as written
    Number(String),
    /// One of `{}()[]:,.=@?`
    Sign(char),
    /// `/// what it is for`
    Doc(String),
    /// The end of a line that is not inside brackets ends a field.
    NewLine,
}

/// Something that is no token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) at: Place,
    pub(super) text: String,
}

impl Token {
    /// Whether it is this sign.
    pub(super) fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// The word that it is.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Text(_) | Kind::Number(_) | Kind::Sign(_) | Kind::Doc(_) | Kind::NewLine => None,
        }
    }

    /// The text that it is.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Word(_) | Kind::Number(_) | Kind::Sign(_) | Kind::Doc(_) | Kind::NewLine => None,
        }
    }
}

/// All tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        at: Place { line: 1, column: 1 },
    };
    let mut tokens = Vec::new();
    while let Some(token) = reader.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    at: Place,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.at.line = self.at.line.saturating_add(1);
            self.at.column = 1;
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(next)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        if wanted(*self.rest.peek()?) {
            self.next()
        } else {
            None
        }
    }

    fn run(&mut self, first: char, goes_on: impl Fn(char) -> bool) -> String {
        let mut run = String::from(first);
        while let Some(next) = self.next_if(&goes_on) {
            run.push(next);
        }
        run
    }

    fn token(&mut self) -> Result<Option<Token>, Unreadable> {
        loop {
            let at = self.at;
            let Some(first) = self.next() else {
                return Ok(None);
            };
            let kind = match first {
                '\n' => Kind::NewLine,
                // A byte order mark is what some editors begin a file with.
                _ if first.is_whitespace() || first == '\u{feff}' => continue,
                '/' => match self.comment(at)? {
                    Some(doc) => Kind::Doc(doc),
                    None => continue,
                },
                '"' => Kind::Text(self.quoted(at)?),
                '{' | '}' | '(' | ')' | '[' | ']' | ':' | ',' | '.' | '=' | '@' | '?' => Kind::Sign(first),
                '-' | '0'..='9' => Kind::Number(self.run(first, |next| next.is_ascii_digit() || next == '.')),
                _ if first.is_alphabetic() || first == '_' => {
                    Kind::Word(self.run(first, |next| next.is_alphanumeric() || next == '_' || next == '-'))
                }
                _ => {
                    return Err(Unreadable {
                        at,
                        text: format!("{first:?} has no meaning in a Prisma schema"),
                    });
                }
            };
            return Ok(Some(Token { at, kind }));
        }
    }

    /// What follows a `/`: the text of a `///`, nothing of other comments.
    fn comment(&mut self, at: Place) -> Result<Option<String>, Unreadable> {
        let refuse = |text: &str| {
            Err(Unreadable {
                at,
                text: text.to_owned(),
            })
        };
        match self.next_if(|next| next == '/' || next == '*') {
            Some('/') => {
                let is_doc = self.next_if(|next| next == '/').is_some();
                let mut text = String::new();
                while let Some(next) = self.next_if(|next| next != '\n') {
                    text.push(next);
                }
                if is_doc && text.contains('\0') {
                    return refuse(NUL);
                }
                Ok(is_doc.then(|| text.trim().to_owned()))
            }
            Some(_) => {
                let mut before = ' ';
                while let Some(next) = self.next() {
                    if before == '*' && next == '/' {
                        return Ok(None);
                    }
                    before = next;
                }
                refuse("the comment that begins here has no end")
            }
            None => refuse("`/` begins a comment only as `//`"),
        }
    }

    fn quoted(&mut self, at: Place) -> Result<String, Unreadable> {
        let refuse = |at, text: &str| {
            Err(Unreadable {
                at,
                text: text.to_owned(),
            })
        };
        let mut text = String::new();
        loop {
            let here = self.at;
            match self.next() {
                None | Some('\n') => return refuse(at, "the text that begins here has no end"),
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(same @ ('"' | '\\' | '/')) => text.push(same),
                    Some('u') => {
                        let digits: String = (0..4)
                            .map_while(|_| self.next_if(|next| next.is_ascii_hexdigit()))
                            .collect();
                        let character = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        match character.filter(|_| digits.len() == 4) {
                            Some('\0') => return refuse(here, NUL),
                            Some(character) => text.push(character),
                            None => {
                                return refuse(here, "`\\u` needs four hexadecimal digits of a character");
                            }
                        }
                    }
                    _ => {
                        return refuse(
                            here,
                            "after `\\` come only n, r, t, u, a quote, a slash or a backslash",
                        );
                    }
                },
                Some('\0') => return refuse(here, NUL),
                Some(plain) => text.push(plain),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text)
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .collect()
    }

    fn word(text: &str) -> Kind {
        Kind::Word(text.to_owned())
    }

    #[test]
    fn words_texts_numbers_and_comments_are_told_apart() {
        assert_eq!(
            kinds("a_b /* c\n */ @@x(\"q\\\"\\u0041\") // gone\n/// kept \n-1.5"),
            [
                word("a_b"),
                Kind::Sign('@'),
                Kind::Sign('@'),
                word("x"),
                Kind::Sign('('),
                Kind::Text("q\"A".to_owned()),
                Kind::Sign(')'),
                Kind::NewLine,
                Kind::Doc("kept".to_owned()),
                Kind::NewLine,
                Kind::Number("-1.5".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_told_with_its_place() {
        for (text, line, column) in [
            ("model A {\n  b ; }", 2, 5),
            ("a \"b\n", 1, 3),
            ("/* a", 1, 1),
            ("\"\\x\"", 1, 2),
            ("\"\\ud800\"", 1, 2),
            ("a / b", 1, 3),
            ("@map(\"a\0\")", 1, 8),
            ("@map(\"a\\u0000\")", 1, 8),
            ("/// a\0", 1, 1),
        ] {
            assert_eq!(tokens(text).unwrap_err().at, Place { line, column }, "{text}");
        }
    }
}
