//! What must hold of all that the operator's tool shows of the words of others.

use dbal::fuzzed::{Shown, is_harmless};
use serde_json::Value;

/// Columns of an exported record.
const COLUMNS: usize = 23;

/// A terminal obeys nothing in it but our colours and ends of lines; what is for programs can be read by them.
pub fn hold(shown: &Shown) {
    match shown {
        Shown::Line(line, is_painted) => {
            assert!(is_harmless(line, *is_painted), "{line:?}");
            assert!(!line.contains('\n'), "{line:?}");
        }
        Shown::Lines(lines, is_painted) => assert!(is_harmless(lines, *is_painted), "{lines:?}"),
        Shown::Json(json) => {
            assert!(serde_json::from_str::<Value>(json).is_ok(), "{json}");
            assert!(!json.contains('\n'), "{json}");
        }
        Shown::Csv(line) => {
            let cells = cells(line);
            assert_eq!(cells.len(), COLUMNS, "{line:?}");
            for cell in cells {
                let is_number = cell.parse::<f64>().is_ok();
                let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
                assert!(is_number || !is_formula, "{line:?}");
            }
        }
    }
}

/// The cells of one record of CSV (RFC 4180).
fn cells(line: &str) -> Vec<String> {
    let line = line.strip_suffix("\r\n").expect("it ends as RFC 4180 says");
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().expect("there is one");
        match character {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            '\r' | '\n' if !is_quoted => panic!("an end of a line outside of quotes: {line:?}"),
            other => cell.push(other),
        }
    }
    assert!(!is_quoted, "{line:?}");
    cells
}
