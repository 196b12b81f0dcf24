//! A record as one line for a person. Others chose its texts, so nothing of it reaches the terminal as it is.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::Value;

use crate::diagnostics::Colour;
use crate::visible::one_line;

/// Colour in a terminal only.
pub(crate) fn colour() -> Colour {
    if std::io::stdout().is_terminal() {
        Colour::wanted()
    } else {
        Colour::No
    }
}

/// One line without its end: when, how it ended, who, what, on which rows, why.
pub(crate) fn row(record: &Value, colour: Colour) -> String {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let list = |name: &str| {
        let values = record.get(name).and_then(Value::as_array);
        let texts: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
        texts.join(",")
    };
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    let outcome = text("outcome").unwrap_or("?");
    let event = text("event").unwrap_or("?");
    let paint = match (colour, event, outcome) {
        (Colour::No, ..) => "",
        (Colour::Yes, "incident" | "lost", _) => "\u{1b}[1;31m",
        (Colour::Yes, _, "denied") => "\u{1b}[31m",
        (Colour::Yes, _, "failed" | "unknown") => "\u{1b}[33m",
        (Colour::Yes, ..) => "\u{1b}[32m",
    };
    let end = if paint.is_empty() { "" } else { "\u{1b}[0m" };
    let seconds = text("time").and_then(|time| time.get(..23)).unwrap_or("?");
    let code = number("code").map_or_else(String::new, |code| code.to_string());
    let mut out = format!(
        "{} {:>6} {paint}{:<8}{code:>3}{end}",
        one_line(seconds),
        number("seq").unwrap_or_default(),
        one_line(outcome)
    );
    if event != "call" {
        let _ = write!(out, " {}", one_line(event));
    }
    for (before, what) in [
        (" ", text("principal").unwrap_or_default()),
        (" ", text("remote").unwrap_or_default()),
        (" ", text("method").unwrap_or_default()),
        (" ", text("entity").unwrap_or_default()),
        (" ", &list("keys")),
        (" by ", text("rule").unwrap_or_default()),
        (": ", text("detail").unwrap_or_default()),
    ] {
        if !what.is_empty() {
            let _ = write!(out, "{before}{}", one_line(what));
        }
    }
    if let Some(repeated) = number("repeated") {
        let _ = write!(out, " (and {repeated} more)");
    }
    if let Some(request) = text("request") {
        let _ = write!(out, " [{}]", one_line(request));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let record = serde_json::json!({"seq": 7, "time": "2023-11-14T22:13:20.123456789Z", "event": "call", "outcome": "denied",
            "code": 403, "principal": "a\u{1b}[2Jb", "method": "update", "entity": "Note", "keys": ["n1", "n\n2"], "detail": "no\rrule",
            "request": "1a-2b"});
        assert_eq!(
            row(&record, Colour::No),
            "2023-11-14T22:13:20.123      7 denied  403 a\u{fffd}[2Jb update Note n1,n\u{fffd}2: no\u{fffd}rule [1a-2b]"
        );
        assert!(row(&record, Colour::Yes).contains("\u{1b}[31mdenied  403\u{1b}[0m"));
        assert!(row(&Value::Null, Colour::No).starts_with('?'));
    }
}
