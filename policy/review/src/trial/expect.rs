//! What is expected of a call, and whether it came.

use std::collections::BTreeMap;

use dbal_schema::json_text;
use dbal_shared::json::Json;
use serde_json::Value as Shown;

use super::Failure;
use super::run::Got;

/// What is expected; all of it that is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Expect {
    /// Neither refused nor without any row, or either of these.
    pub(super) is_allowed: Option<bool>,
    /// Refused with this error.
    pub(super) code: Option<u16>,
    /// These rows: each by its key, or by some of its fields.
    pub(super) rows: Option<Vec<Json>>,
    /// Each answered row shows just these fields; sorted.
    pub(super) fields: Option<Vec<String>>,
    /// So many rows are found or changed.
    pub(super) count: Option<u64>,
}

/// What differs.
pub(super) fn failure(expect: &Expect, got: &Got) -> Option<Failure> {
    let Expect {
        is_allowed,
        code,
        rows,
        fields,
        count,
    } = expect;
    let failed = |expected: String, came: String| {
        Some(Failure {
            expected,
            got: came,
            because: got.because.clone(),
        })
    };
    let is_granted = got.code.is_none() && !got.is_missed;
    if is_allowed.is_some_and(|wanted| wanted != is_granted) {
        let word = |is_allowed| if is_allowed { "allowed" } else { "denied" };
        return failed(word(!is_granted).to_owned(), summary(got));
    }
    if code.is_some() && *code != got.code {
        return failed(format!("error {}", code.unwrap_or_default()), summary(got));
    }
    if (rows.is_some() || fields.is_some() || count.is_some()) && got.code.is_some() {
        return failed("an answer".to_owned(), summary(got));
    }
    if let Some(count) = count.filter(|count| *count != got.count) {
        return failed(format!("{count} rows"), format!("{} rows", got.count));
    }
    if let Some(rows) = rows {
        let expected: Vec<Shown> = rows.iter().map(plain).collect();
        if let Some((expected, came)) = rows_differ(&expected, got) {
            return failed(expected, came);
        }
    }
    let fields = fields.as_ref()?;
    if got.rows.is_empty() {
        return failed(format!("rows with {}", fields.join(", ")), "no row".to_owned());
    }
    let odd = got.rows.iter().find(|row| !row.keys().eq(fields.iter()))?;
    let names: Vec<&str> = odd.keys().map(String::as_str).collect();
    let which = odd
        .get(&got.key)
        .map_or_else(String::new, |key| format!(" in the row {key}"));
    failed(
        format!("the fields {}", fields.join(", ")),
        format!("the fields {}{which}", names.join(", ")),
    )
}

/// What came, in a few words.
fn summary(got: &Got) -> String {
    match got.code {
        Some(code) => format!("error {code}"),
        None if got.is_missed => "an answer, and no row".to_owned(),
        None => format!("an answer, {} rows", got.count),
    }
}

/// Expected and got, where the rows are others. Without an order that was asked for, any will do.
fn rows_differ(expected: &[Shown], got: &Got) -> Option<(String, String)> {
    let mut left: Vec<&BTreeMap<String, Shown>> = got.rows.iter().collect();
    let mut missing = Vec::new();
    for (nth, wanted) in expected.iter().enumerate() {
        let place = left.iter().position(|row| matches(wanted, row, &got.key));
        let in_order = !got.is_sorted
            || got
                .rows
                .get(nth)
                .is_some_and(|row| matches(wanted, row, &got.key));
        match place {
            Some(place) if in_order => {
                left.remove(place);
            }
            Some(_) | None => missing.push(wanted),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return None;
    }
    let list = |rows: Vec<String>| {
        if rows.is_empty() {
            "nothing".to_owned()
        } else {
            rows.join(", ")
        }
    };
    let name = |row: &&BTreeMap<String, Shown>| {
        row.get(&got.key)
            .map_or_else(|| Shown::from_iter((*row).clone()).to_string(), Shown::to_string)
    };
    let all: Vec<String> = expected.iter().map(Shown::to_string).collect();
    let came: Vec<String> = got.rows.iter().map(|row| name(&row)).collect();
    Some((
        format!(
            "the rows {} (missing: {})",
            list(all),
            list(missing.iter().map(ToString::to_string).collect())
        ),
        format!(
            "{} (too many: {})",
            list(came),
            list(left.iter().map(name).collect())
        ),
    ))
}

/// Whether a row has the key, or the fields, that are expected. A field that is hidden in it is null there.
fn matches(wanted: &Shown, row: &BTreeMap<String, Shown>, key: &str) -> bool {
    let value = |name: &str| row.get(name).unwrap_or(&Shown::Null);
    match wanted {
        Shown::Object(members) => members.iter().all(|(name, wanted)| value(name) == wanted),
        Shown::Null | Shown::Bool(_) | Shown::Number(_) | Shown::String(_) | Shown::Array(_) => {
            value(key) == wanted
        }
    }
}

fn plain(json: &Json) -> Shown {
    let mut text = String::new();
    json_text::push_json(json, &mut text);
    serde_json::from_str(&text).unwrap_or(Shown::Null)
}
