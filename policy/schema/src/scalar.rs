//! A text of a YAML file that knows where each of its characters stands there, however it is quoted, escaped and folded.

use crate::source::Location;

/// A text and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Where it begins, quotes included; for an alias, where the alias is.
    pub at: Location,
    /// The text.
    pub text: String,
    pub(crate) runs: Vec<Run>,
}

/// Characters that stand one after another in one line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Byte of the text at which they begin.
    from: usize,
    line: u32,
    column: u32,
}

impl Scalar {
    /// A text that stands in no file but is meant by what stands at `at`.
    pub fn implied(at: Location, text: String) -> Self {
        Self {
            at,
            text,
            runs: Vec::new(),
        }
    }

    /// Where the character at this byte of the text stands; for its end, the place behind its last character. Nothing
    /// where the file does not hold the text itself: it is implied, or an alias.
    pub fn place(&self, offset: usize) -> Option<Location> {
        let run = self.runs.iter().rev().find(|run| run.from <= offset)?;
        let passed = self.text.get(run.from..offset)?.chars().count();
        Some(Location {
            file: self.at.file.clone(),
            line: run.line,
            column: run.column.saturating_add(u32::try_from(passed).ok()?),
        })
    }
}

/// Lays `text` along `raw`, its spelling in the file, which begins at `at`. Empty if they don't fit: then nothing is claimed.
///
/// All styles of YAML change white space, quotes and escapes only. So each other character of the text is the next one of the
/// file that is neither white space nor part of these.
pub(crate) fn runs(text: &str, raw: &str, at: &Location) -> Vec<Run> {
    let mut cursor = Cursor {
        rest: raw,
        line: at.line,
        column: at.column,
    };
    let quote = match cursor.peek() {
        Some(quote @ ('"' | '\'')) => {
            cursor.pass();
            Some(quote)
        }
        _ => None,
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut expected: Option<(u32, u32)> = None;
    for (from, letter) in text.char_indices() {
        if quote == Some('"') {
            cursor.pass_continuations();
        }
        if !letter.is_whitespace() {
            cursor.pass_blanks();
        }
        let place = (cursor.line, cursor.column);
        let is_apart = if quote == Some('"') && cursor.peek() == Some('\\') {
            cursor.pass_escape();
            true
        } else if cursor.peek() == Some(letter) {
            cursor.pass();
            if quote == Some('\'') && letter == '\'' {
                cursor.pass();
            }
            quote == Some('\'') && letter == '\''
        } else if letter.is_whitespace() {
            // Folded: the file has a line's end and an indentation here.
            true
        } else {
            return Vec::new();
        };
        if expected != Some(place) {
            runs.push(Run {
                from,
                line: place.0,
                column: place.1,
            });
        }
        expected = (!is_apart).then_some((cursor.line, cursor.column));
    }
    runs
}

/// A place in the file.
struct Cursor<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn pass(&mut self) {
        let mut letters = self.rest.chars();
        match letters.next() {
            Some('\n') => {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            }
            Some(_) => self.column = self.column.saturating_add(1),
            None => {}
        }
        self.rest = letters.as_str();
    }

    fn pass_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.pass();
        }
    }

    /// A backslash before a line's end joins the lines, whatever the next one is indented by.
    fn pass_continuations(&mut self) {
        while self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r\n") {
            self.pass();
            self.pass_blanks();
        }
    }

    /// One escaped character; two escapes where JSON's surrogates make one of them.
    fn pass_escape(&mut self) {
        let is_half = |rest: &str| {
            let digits = rest.strip_prefix("\\u").and_then(|digits| digits.get(..4));
            digits.is_some_and(|digits| {
                u32::from_str_radix(digits, 16).is_ok_and(|unit| (0xD800..0xDC00).contains(&unit))
            })
        };
        let halves = if is_half(self.rest) { 2 } else { 1 };
        for _ in 0..halves {
            self.pass();
            let digits = match self.peek() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            };
            for _ in 0..=digits {
                self.pass();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::source::Source;
    use crate::yaml::{self, Content};

    /// Line and column of `wanted` in the scalar that is the value of the file's only key.
    fn place(file: &str, wanted: &str) -> (u32, u32) {
        let source = Source {
            name: "a.yaml".to_owned(),
            text: file.to_owned(),
        };
        let documents = yaml::parse(&source).unwrap();
        let Content::Map(members) = &documents[0].content else {
            panic!("{file}")
        };
        let scalar = members.last().unwrap().1.scalar().unwrap();
        let offset = scalar.text.find(wanted).unwrap();
        let at = scalar.place(offset).unwrap_or(scalar.at);
        (at.line, at.column)
    }

    #[test]
    fn a_character_is_found_in_every_style_of_scalar() {
        for (file, at) in [
            ("k: a = b", (1, 8)),
            ("k: \"a = b\"", (1, 9)),
            ("k: 'a = b'", (1, 9)),
            ("ö: \"ä = b\"", (1, 9)),
            ("k: 'it''s = b'", (1, 13)),
            ("k: \"\\u0061 \\\"\\\\= b\"", (1, 18)),
            ("k: \"\\ud83d\\ude00 = b\"", (1, 20)),
            ("k: \"\\U0001F600 = b\"", (1, 18)),
            ("k: \"a\\tb\"", (1, 8)),
            ("k: \"a = \\\n    b\"", (2, 5)),
            ("k: \"a =\n  b\"", (2, 3)),
            ("k: 'a =\n\n    b'", (3, 5)),
            ("k: a =\n  b", (2, 3)),
            ("k: |\n  a =\n  b\n", (3, 3)),
            ("k: |2\n    a =\n    b\n", (3, 5)),
            ("k: >-\n  a   \n  =\n\n   b\n", (5, 4)),
            ("k: >\n  a =\n  # b\n", (3, 5)),
            ("k: # why\n  a = b\n", (2, 7)),
            ("k: !!str a = b", (1, 14)),
            ("k: &x a = b", (1, 11)),
        ] {
            assert_eq!(place(file, "b"), at, "{file}");
        }
    }

    #[test]
    fn an_alias_is_pointed_at_as_a_whole() {
        assert_eq!(place("j: &x a = b\nk: *x", "b"), (2, 4));
    }

    #[test]
    fn the_end_of_a_text_is_a_place_too() {
        let source = Source {
            name: "a.yaml".to_owned(),
            text: "k: \"a =\"".to_owned(),
        };
        let documents = yaml::parse(&source).unwrap();
        let Content::Map(members) = &documents[0].content else {
            panic!()
        };
        let scalar = members[0].1.scalar().unwrap();
        assert_eq!(scalar.place(3).unwrap().column, 8);
        assert_eq!(scalar.place(4), None);
    }
}
