//! What others named, for a terminal or a comment: a table may be called anything, and nothing of it may begin a line, move
//! the cursor or paint the screen.

/// The text on one line, with a sign for every character that is none to be seen.
pub(crate) fn one_line(text: &str) -> String {
    // Beside control characters those that turn the direction of what follows.
    let is_hidden = |character: char| {
        character.is_control()
            || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|character| {
            if is_hidden(character) {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(
            one_line("a\u{1b}[31m\n\r\u{9b}b\u{202e}c\u{2067}"),
            "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}"
        );
        assert_eq!(one_line("größe → 1"), "größe → 1");
    }
}
