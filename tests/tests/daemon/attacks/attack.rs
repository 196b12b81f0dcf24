//! One row of the table, as it is written.

use std::collections::BTreeMap;
use std::path::Path;

use dbal_tests::daemon::files_below;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attack {
    /// What the attacker wants.
    pub(super) goal: String,
    /// Who it is; an ordinary member unless said otherwise.
    #[serde(rename = "as", default = "mallory")]
    pub(super) attacker: String,
    /// Claims of a token of its own, beside those that every token needs.
    pub(super) token: Option<BTreeMap<String, Value>>,
    /// A way to make a token that must not be taken.
    pub(super) forge: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) then: Option<Vec<Value>>,
    pub(super) then_as: Option<String>,
    pub(super) refused: Option<Codes>,
    /// A result; null is one too.
    #[serde(default, deserialize_with = "present")]
    pub(super) answers: Option<Value>,
    #[serde(default)]
    pub(super) like: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) says_nothing: bool,
    #[serde(default)]
    pub(super) lacks: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    Call(Vec<Value>),
    Special(Special),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Special {
    /// A message as it is.
    pub(super) raw: Option<String>,
    /// A call in JSON-RPC 2.0.
    pub(super) v2: Option<Vec<Value>>,
    /// A call in the native dialect.
    pub(super) call: Option<Vec<Value>>,
    /// What stands as `auth` beside it.
    pub(super) auth: Option<Value>,
    /// What `$fill` in it stands for.
    pub(super) fill: Option<Fill>,
    /// So many opening brackets.
    pub(super) brackets: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Fill {
    Letters { letters: usize },
    Values { of: Value, times: usize },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Codes {
    One(i64),
    Any(Vec<i64>),
}

impl Codes {
    pub(super) fn contain(&self, code: i64) -> bool {
        match self {
            Codes::One(one) => *one == code,
            Codes::Any(any) => any.contains(&code),
        }
    }
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn mallory() -> String {
    "mallory".to_owned()
}

impl Attack {
    /// Every row of every file of the folder, with the file's name.
    pub(super) fn all(folder: &Path) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for path in files_below(folder) {
            let is_table =
                path.parent() == Some(folder) && path.extension().is_some_and(|ending| ending == "yaml");
            if is_table {
                let text = std::fs::read_to_string(&path).expect("a table");
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let rows: Vec<Self> =
                    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                for row in &rows {
                    let says = [
                        row.refused.is_some(),
                        row.answers.is_some(),
                        !row.lacks.is_empty(),
                    ];
                    assert!(says.contains(&true), "{name}: {}: expects nothing", row.goal);
                }
                all.extend(rows.into_iter().map(|row| (name.clone(), row)));
            }
        }
        all
    }
}
