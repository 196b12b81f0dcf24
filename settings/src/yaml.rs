//! YAML into types, with errors that say where and what instead. They quote keys, never values: a value may be a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use dbal_shared::suggestion::nearest;
use serde::de::DeserializeOwned;
use serde_saphyr::Error;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 where unknown.
    pub line: u64,
    /// Column, from 1; 0 where unknown.
    pub column: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        if *line == 0 {
            write!(out, "{}", file.display())
        } else {
            write!(out, "{}:{line}:{column}", file.display())
        }
    }
}

/// Not YAML, or not what the file may say.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {what}")]
pub struct Mistake {
    /// Where.
    pub at: Location,
    /// What, and what to write instead. Never a value of the file.
    pub what: String,
}

/// Reads one document.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Mistake> {
    // A snippet would show the line, and the line may be a password.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error.location();
        Mistake {
            at: Location {
                file: file.to_owned(),
                line: at.map_or(0, |at| at.line()),
                column: at.map_or(0, |at| at.column()),
            },
            what: describe(&error),
        }
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum that grows: what is not known to be free of values gets a text without them"
)]
fn describe(error: &Error) -> String {
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown("word", variant, expected),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::InvalidScalar { ty, .. } => format!("expected {}", plain(ty)),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice"),
        Error::NullIntoString { .. } => "expected a text; write \"\" for an empty one".to_owned(),
        Error::MultipleDocuments { .. } => "holds more than one document; a configuration is one".to_owned(),
        Error::Eof { .. } => "is empty".to_owned(),
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        // The others are about YAML itself; their texts may quote what stands there.
        _ => "is not the YAML that is expected here; mind the indentation and quotes on this line".to_owned(),
    }
}

fn unknown(what: &str, given: &str, expected: &[&'static str]) -> String {
    let known = expected.join(", ");
    match nearest(given, expected.iter().copied()) {
        Some(meant) => format!("unknown {what} `{given}`; did you mean `{meant}`? (known: {known})"),
        None => format!("unknown {what} `{given}` (known: {known})"),
    }
}

/// Names of Rust's types mean nothing to an operator.
fn plain(ty: &str) -> &str {
    match ty {
        "bool" | "boolean" => "true or false",
        "f32" | "f64" | "float" => "a number",
        ty if ty.starts_with(['u', 'i']) => "a whole number",
        other => other,
    }
}
