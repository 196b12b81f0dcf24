//! What others named, for a terminal or a comment: a table may be called anything, and nothing of it may begin a line, move
//! the cursor or paint the screen.

use std::fmt::Write as _;

/// Stands for a character that is none to be seen.
const UNSEEN: char = '\u{fffd}';

/// The text on one line, with a sign for every character that is none to be seen.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if is_hidden(character) { UNSEEN } else { character })
        .collect()
}

/// The same of a text of many lines, which stay lines.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let ends_a_line = character == '\r' && characters.peek() == Some(&'\n');
        let is_kept = matches!(character, '\n' | '\t') || ends_a_line || !is_hidden(character);
        out.push(if is_kept { character } else { UNSEEN });
    }
    out
}

/// The same of a text in which nothing but our colours begins with an escape character.
pub(crate) fn painted_lines(text: &str) -> String {
    text.split('\u{1b}').map(lines).collect::<Vec<_>>().join("\u{1b}")
}

/// Adds a character of a JSON string: one that is none to be seen as its escape, which means the same to every program.
pub(crate) fn push_in_json(out: &mut String, character: char) {
    if is_hidden(character) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing into a string can't fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    } else {
        out.push(character);
    }
}

/// Control characters, and those that turn the direction of what follows.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Whether a terminal obeys nothing in a text but ends of lines and, where they are allowed, our colours. For the fuzz targets and
/// tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_harmless(text: &str, is_painted: bool) -> bool {
    const COLOURS: [&str; 9] = ["0", "1", "2", "31", "32", "33", "36", "1;31", "1;33"];
    let mut parts = text.split('\u{1b}');
    let plain = |part: &str| lines(part) == part;
    parts.next().is_none_or(plain)
        && parts.all(|part| {
            let sequence = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
            is_painted && sequence.is_some_and(|(code, rest)| COLOURS.contains(&code) && plain(rest))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let hostile = "a\u{1b}[31m\n\r\u{9b}b\u{202e}c\u{2067}\u{200f}";
        assert_eq!(
            one_line(hostile),
            "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"
        );
        assert_eq!(
            lines(hostile),
            "a\u{fffd}[31m\n\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"
        );
        for text in ["größe → 1", "a\r\n\tb\n"] {
            assert_eq!(lines(text), text);
        }
        assert_eq!(one_line("größe → 1"), "größe → 1");
        assert_eq!(
            painted_lines("\u{1b}[31mx\u{9b}\u{1b}[0m"),
            "\u{1b}[31mx\u{fffd}\u{1b}[0m"
        );
        assert!(!is_harmless(hostile, true) && !is_harmless("\u{1b}[31mx", false));
        assert!(is_harmless("\u{1b}[31mx\u{1b}[0m\n", true) && !is_harmless("\u{1b}[8mx", true));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = "\u{7f}\u{9b}[2J\u{202e}ü";
        let mut json = String::from("\"");
        for character in value.chars() {
            push_in_json(&mut json, character);
        }
        json.push('"');
        assert_eq!(json, "\"\\u007f\\u009b[2J\\u202eü\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
    }
}
