//! Lays out JSON for people without parsing it: keys stay in the daemon's order, numbers keep every digit.

use crate::visible::push_in_json;

/// `json` with a line for each member and each item, and escapes for characters that are none to be seen.
pub(crate) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut depth: usize = 0;
    let mut text = Text::Outside;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        match text {
            Text::Inside => {
                push_in_json(&mut out, character);
                text = match character {
                    '"' => Text::Outside,
                    '\\' => Text::Escaped,
                    _ => Text::Inside,
                };
            }
            Text::Escaped => {
                push_in_json(&mut out, character);
                text = Text::Inside;
            }
            Text::Outside if character.is_ascii_whitespace() => {}
            Text::Outside => match character {
                '{' | '[' => {
                    out.push(character);
                    while characters.next_if(char::is_ascii_whitespace).is_some() {}
                    if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                        out.push(end);
                    } else {
                        depth = depth.saturating_add(1);
                        new_line(&mut out, depth);
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                    out.push(character);
                }
                ',' => {
                    out.push(character);
                    new_line(&mut out, depth);
                }
                ':' => out.push_str(": "),
                '"' => {
                    out.push(character);
                    text = Text::Inside;
                }
                // Nothing else stands outside of a text; it is not known to be JSON.
                _ => push_in_json(&mut out, character),
            },
        }
    }
    out
}

/// Where in a JSON text one is.
#[derive(Clone, Copy)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn it_looks_like_everybodys_pretty_json() {
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!([1, [], {}, [[2]], "a"]),
            json!({"a": {"b": [1, {"c": "}],:\" \\ \n"}]}, "d": "\\\""}),
        ] {
            assert_eq!(indented(&value.to_string()), format!("{value:#}"));
            assert_eq!(indented(&format!("{value:#}")), format!("{value:#}"));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_means_the_same() {
        let json = "{\"a\u{9b}[2J\":\"\u{7f}\u{202e}\"}";
        let shown = indented(json);
        assert!(crate::visible::is_harmless(&shown, false), "{shown:?}");
        let (value, kept): (Value, Value) = (
            serde_json::from_str(json).unwrap(),
            serde_json::from_str(&shown).unwrap(),
        );
        assert_eq!(value, kept);
        assert!(crate::visible::is_harmless(
            &indented("\u{1b}[2J\"\\\u{1b}"),
            false
        ));
    }

    #[test]
    fn order_and_digits_stay() {
        let json = r#"{"b":9007199254740993.10,"a":"ü"}"#;
        assert_eq!(
            indented(json),
            "{\n  \"b\": 9007199254740993.10,\n  \"a\": \"ü\"\n}"
        );
        assert!(serde_json::from_str::<Value>(&indented(json)).is_ok());
    }
}
