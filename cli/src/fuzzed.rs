//! For the fuzz targets, in no build but theirs (`--cfg fuzzing`): what the tool shows of what others wrote.

use dbal_audit::Found;
use serde_json::Value;

pub use crate::schema::prisma::imported;

use crate::admin;
use crate::diagnostics::Colour;
use crate::indent::indented;
use crate::sandbox::told_layer;
use crate::{audit, doctor, policy, top};

/// What is shown, and how.
pub enum Shown {
    /// One line, in our colours or in none.
    Line(String, bool),
    /// Lines, likewise.
    Lines(String, bool),
    /// For programs.
    Json(String),
    /// For programs, a line of CSV.
    Csv(String),
}

/// Of what answers in a broker's place: an answer to `/health` as it comes from the socket, and two looks at `/metrics` and `/calls`.
pub fn of_a_broker(health: &str, looks: [(&str, &str); 2]) -> Vec<Shown> {
    let health: Value = match admin::answer(health) {
        Some(answer) => serde_json::from_str(&answer.body).unwrap_or_default(),
        None => return Vec::new(),
    };
    let mut shown = doctor::fuzzed(&health);
    for daemon in ["broker", "worker"] {
        let layers = health.pointer(&format!("/sandbox/{daemon}"));
        for told in layers.and_then(Value::as_array).into_iter().flatten() {
            let (name, state) = told_layer(told);
            shown.push(Shown::Line(format!("  {name:<20} {state}"), false));
        }
    }
    shown.extend(top::fuzzed(&health, looks));
    shown
}

/// Of what answers in a daemon's place to `dbal call`, or a worker to `dbal schema`: any text, and the same laid out.
pub fn of_an_answer(text: &str) -> Shown {
    Shown::Lines(indented(text), false)
}

/// Of a line in an audit file.
pub fn of_a_record(line: &str) -> Vec<Shown> {
    let found = Found {
        file: "audit.jsonl".into(),
        line: 1,
        json: line.to_owned(),
        is_sound: true,
    };
    let mut shown = vec![Shown::Lines(policy::why_of(&found), false)];
    if let Ok(record) = serde_json::from_str::<Value>(line) {
        shown.extend(audit::fuzzed(&record));
    }
    shown
}

/// Whether a terminal obeys nothing in a text but ends of lines and, where they are allowed, our colours.
pub fn is_harmless(text: &str, is_painted: bool) -> bool {
    crate::visible::is_harmless(text, is_painted)
}

/// With and without colours.
pub(crate) const COLOURS: [(Colour, bool); 2] = [(Colour::Yes, true), (Colour::No, false)];
