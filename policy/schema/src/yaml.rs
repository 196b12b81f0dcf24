//! YAML text → nodes that know their place. Everything a hostile file could blow up is bounded here.

use std::fmt;
use std::sync::Arc;

use dbal_shared::json::Json;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Options, Spanned};

use crate::error::Problem;
use crate::scalar::{self, Run, Scalar};
use crate::source::{Location, Source};

/// Longest file, in bytes. Real entity files stay under 20 KiB.
pub const FILE_BYTES: usize = 1024 * 1024;
/// Deepest nesting; entity files need six levels, JSON defaults a few more.
const DEPTH: usize = 24;
/// Most nodes of one file, aliases included: what a file of [`FILE_BYTES`] can honestly hold.
const NODES: usize = 100_000;
/// Most aliases of one file.
const ALIASES: usize = 1_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands; for an alias, where the alias is.
    pub at: Location,
    /// The value.
    pub content: Content,
    /// Where the characters of a text stand.
    pub(crate) runs: Vec<Run>,
}

/// YAML's values.
#[derive(Clone, Debug)]
pub enum Content {
    /// `null`, `~` or nothing
    Null,
    /// `true` or `false`; not `yes` and `on`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float {
        /// Nearest float.
        value: f64,
        /// As written.
        text: String,
    },
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where.
    pub at: Location,
    /// Its text.
    pub name: String,
}

/// The documents of a file that aren't empty.
pub fn parse(source: &Source) -> Result<Vec<Node>, Problem> {
    let file: Arc<str> = Arc::from(source.name.as_str());
    if source.text.len() > FILE_BYTES {
        return Err(Problem {
            at: Location {
                file,
                line: 0,
                column: 0,
            },
            text: format!(
                "the file has {} bytes; {FILE_BYTES} are allowed",
                source.text.len()
            ),
        });
    }
    let documents: Vec<Spanned<Raw>> = serde_saphyr::from_multiple_with_options(&source.text, options())
        .map_err(|error| Problem {
            at: place(&file, error.location().unwrap_or(serde_saphyr::Location::UNKNOWN)),
            text: message(&error),
        })?;
    Ok(documents
        .into_iter()
        .map(|document| document.placed(&file, &source.text))
        .collect())
}

impl Node {
    /// What a message calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "true or false",
            Content::Int(_) | Content::Float { .. } => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The text, if it is one, with the places of its characters.
    pub fn scalar(&self) -> Option<Scalar> {
        let Content::Text(text) = &self.content else {
            return None;
        };
        Some(Scalar {
            at: self.at.clone(),
            text: text.clone(),
            runs: self.runs.clone(),
        })
    }

    /// The same value as a client would send it.
    pub fn json(&self) -> Json {
        self.to_json(Exact::Nearest)
    }

    /// The same value as a client would send it, so that one code path turns both into typed values. A number with a
    /// point goes as its text where `exact` is wanted.
    pub(crate) fn to_json(&self, exact: Exact) -> Json {
        match &self.content {
            Content::Null => Json::Null,
            Content::Bool(value) => Json::Bool(*value),
            Content::Int(value) => Json::Int(*value),
            Content::Float { value, text } => match exact {
                Exact::Text => Json::Text(text.clone()),
                Exact::Nearest => Json::Float(*value),
            },
            Content::Text(text) => Json::Text(text.clone()),
            Content::List(items) => Json::List(items.iter().map(|item| item.to_json(exact)).collect()),
            Content::Map(members) => Json::Object(
                members
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_json(exact)))
                    .collect(),
            ),
        }
    }
}

/// How a number with a point is handed on.
#[derive(Clone, Copy)]
pub(crate) enum Exact {
    /// As its text, for decimals.
    Text,
    /// As the nearest float.
    Nearest,
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_nodes: NODES,
            max_events: NODES.saturating_mul(4),
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_recorded_anchor_events: NODES,
            max_recorded_anchor_bytes: FILE_BYTES,
            max_total_scalar_bytes: FILE_BYTES,
            max_documents: 1_024,
            max_merge_keys: ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES,
            max_replay_stack_depth: 8,
        },
        merge_keys: MergeKeyPolicy::Merge,
        // `values: [yes, no]` are words, and `007` is a name.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The parser's words without its place, which stands before the message anyway.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let cut = first
        .find(" at line ")
        .and_then(|at| first.get(..at))
        .unwrap_or(first);
    cut.to_owned()
}

fn place(file: &Arc<str>, at: serde_saphyr::Location) -> Location {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Location {
        file: Arc::clone(file),
        line: number(at.line()),
        column: number(at.column()),
    }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

/// A value whose place is still the parser's.
trait Placed {
    fn placed(self, file: &Arc<str>, text: &str) -> Node;
}

impl Placed for Spanned<Raw> {
    fn placed(self, file: &Arc<str>, text: &str) -> Node {
        let content = match self.value {
            Raw::Null => Content::Null,
            Raw::Bool(value) => Content::Bool(value),
            Raw::Int(value) => Content::Int(value),
            Raw::Float(value) => {
                let written = spelling(self.defined, text).map_or("", str::trim);
                Content::Float {
                    value,
                    text: if written.is_empty() {
                        value.to_string()
                    } else {
                        written.to_owned()
                    },
                }
            }
            Raw::Text(value) => Content::Text(value),
            Raw::List(items) => {
                Content::List(items.into_iter().map(|item| item.placed(file, text)).collect())
            }
            Raw::Map(members) => Content::Map(
                members
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Key {
                            at: place(file, key.referenced),
                            name: key.value,
                        };
                        (key, value.placed(file, text))
                    })
                    .collect(),
            ),
        };
        let at = place(file, self.referenced);
        let runs = match &content {
            // The text of an alias stands elsewhere, where nobody would look for a mistake of this rule.
            Content::Text(value) if self.referenced == self.defined => {
                spelling(self.defined, text).map_or_else(Vec::new, |raw| scalar::runs(value, raw, &at))
            }
            Content::Text(_)
            | Content::Null
            | Content::Bool(_)
            | Content::Int(_)
            | Content::Float { .. }
            | Content::List(_)
            | Content::Map(_) => Vec::new(),
        };
        Node { at, content, runs }
    }
}

/// The characters of a scalar as the file has them.
fn spelling(at: serde_saphyr::Location, text: &str) -> Option<&str> {
    let start = usize::try_from(at.span().byte_offset()?).ok()?;
    let length = usize::try_from(at.span().byte_len()?).ok()?;
    text.get(start..start.checked_add(length)?)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        // Only decimals can mean numbers beyond 64 bits, and they are read from the text.
        Ok(i64::try_from(value).map_or(Raw::Text(value.to_string()), Raw::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        if value.contains('\0') {
            return Err(E::custom("text holds the character U+0000, which is not allowed"));
        }
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Raw::Map(members))
    }
}
