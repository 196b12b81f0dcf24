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
        let line = at.and_then(|at| text.lines().nth(usize::try_from(at.line()).ok()?.checked_sub(1)?));
        Mistake {
            at: Location {
                file: file.to_owned(),
                line: at.map_or(0, |at| at.line()),
                column: at.map_or(0, |at| at.column()),
            },
            what: describe(&error, line.is_some_and(is_indented_by_a_tab)),
        }
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum that grows: what is not known to be free of values gets a text without them"
)]
fn describe(error: &Error, is_behind_a_tab: bool) -> String {
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
        Error::Unexpected { expected, .. } => format!("expected {}", node(expected)),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "expected a word, or one key with what belongs to it".to_owned()
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "one key alone may stand here, since it says which of several is meant; take out the others"
                .to_owned()
        }
        _ if is_behind_a_tab => {
            "a tab stands in the indentation; YAML is indented by blanks alone".to_owned()
        }
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

fn is_indented_by_a_tab(line: &str) -> bool {
    let mut indentation = line.chars().take_while(|letter| letter.is_whitespace());
    indentation.any(|letter| letter == '\t')
}

/// YAML's own words for what stands where mean little to who writes it.
fn node(expected: &str) -> &str {
    match expected {
        "mapping start" => "keys with values (`key: value`)",
        "sequence start" => "a list (`[a, b]`, or lines that begin with `- `)",
        "scalar" | "string scalar" | "value" => "a single value",
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by nobody but serde")]
    struct File {
        limits: Limits,
        names: Option<Vec<String>>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by nobody but serde")]
    struct Limits {
        most: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "read by nobody but serde")]
    enum Kind {
        Near(Limits),
        Far(Limits),
    }

    #[test]
    fn what_yaml_calls_it_is_said_in_words_for_who_writes_it() {
        for (text, expected) in [
            ("limits:\n\tmost: 1\n", ":2:2: a tab stands in the indentation"),
            (
                "limits: [1, 2\n",
                ":1:9: expected keys with values (`key: value`)",
            ),
            ("limits: {most: 1}\nnames: x\n", ":2:8: expected a list"),
            ("limits: {most: [1]}\n", "expected a single value"),
            (
                "limits: {most: 1}\nkind: {near: {most: 1}, far: {most: 2}}\n",
                "one key alone may stand here",
            ),
        ] {
            let told = parse::<File>(Path::new("f.yaml"), text).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }
}
