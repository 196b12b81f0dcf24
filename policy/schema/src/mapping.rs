//! A YAML mapping that is taken apart key by key. What nobody took is unknown, and unknown keys never load: a misspelt
//! `never_expose` would otherwise expose.

use crate::report::Report;
use crate::scalar::Scalar;
use crate::source::Location;
use crate::suggestion;
use crate::yaml::{Content, Key, Node};

/// Something and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// Where.
    pub at: Location,
    /// What.
    pub value: T,
}

/// A mapping being taken apart. [`Mapping::finish`] must end it.
pub struct Mapping<'a> {
    /// Where it stands.
    pub at: &'a Location,
    members: Vec<&'a (Key, Node)>,
    known: Vec<&'static str>,
}

impl<'a> Mapping<'a> {
    /// None and a problem where `node` is no mapping. `what` names it in the message.
    pub fn of(node: &'a Node, what: &str, report: &mut Report) -> Option<Self> {
        let Content::Map(members) = &node.content else {
            report.problem(&node.at, format!("{what} must be a mapping, not {}", node.kind()));
            return None;
        };
        Some(Self {
            at: &node.at,
            members: members.iter().collect(),
            known: Vec::new(),
        })
    }

    /// The value under one of a key's spellings. A key without a value is not the same as no key: an empty `row_level:`
    /// must not grant every row.
    pub fn take(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<&'a Node> {
        self.known.extend(spellings);
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|(key, _)| spellings.contains(&key.name.as_str()));
        self.members = rest;
        if let [(first, _), (second, _), ..] = taken.as_slice() {
            report.problem(
                &second.at,
                format!("`{}` says the same as `{}` above", second.name, first.name),
            );
        }
        taken.first().map(|(_, node)| node)
    }

    /// True or false.
    pub fn flag(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<At<bool>> {
        let node = self.take(spellings, report)?;
        let Content::Bool(value) = node.content else {
            report.problem(
                &node.at,
                format!("{} must be true or false, not {}", quoted(spellings), node.kind()),
            );
            return None;
        };
        Some(At {
            at: node.at.clone(),
            value,
        })
    }

    /// A whole number from 0.
    pub fn count(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<At<u64>> {
        let node = self.take(spellings, report)?;
        let value = if let Content::Int(value) = node.content {
            u64::try_from(value).ok()
        } else {
            None
        };
        if value.is_none() {
            report.problem(
                &node.at,
                format!("{} must be a whole number from 0", quoted(spellings)),
            );
        }
        value.map(|value| At {
            at: node.at.clone(),
            value,
        })
    }

    /// A text.
    pub fn text(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<At<String>> {
        let node = self.take(spellings, report)?;
        text_of(node, &quoted(spellings), report)
    }

    /// A text in which messages point at single characters.
    pub fn scalar(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<Scalar> {
        let node = self.take(spellings, report)?;
        text_of(node, &quoted(spellings), report)?;
        node.scalar()
    }

    /// A list of texts, or one text alone.
    pub fn texts(&mut self, spellings: &[&'static str], report: &mut Report) -> Option<Vec<At<String>>> {
        let node = self.take(spellings, report)?;
        Some(texts_of(node, &quoted(spellings), report))
    }

    /// Keys that nobody took yet, with their values, leaving none.
    pub fn drain(&mut self) -> impl Iterator<Item = &'a (Key, Node)> + use<'a> {
        std::mem::take(&mut self.members).into_iter()
    }

    /// Reports every key that nobody took.
    pub fn finish(self, what: &str, report: &mut Report) {
        let Self {
            at: _,
            members,
            known,
        } = self;
        for (key, _) in members {
            let hint = suggestion::hint(&key.name, known.iter().copied());
            report.problem(&key.at, format!("unknown key `{}` in {what}{hint}", key.name));
        }
    }
}

/// The text of a node; a problem where it is something else.
pub fn text_of(node: &Node, what: &str, report: &mut Report) -> Option<At<String>> {
    let Content::Text(text) = &node.content else {
        let hint = if matches!(node.content, Content::List(_) | Content::Map(_)) {
            ""
        } else {
            " (put it in quotes)"
        };
        report.problem(
            &node.at,
            format!("{what} must be text, not {}{hint}", node.kind()),
        );
        return None;
    };
    Some(At {
        at: node.at.clone(),
        value: text.clone(),
    })
}

/// A list of texts, or one text alone.
pub fn texts_of(node: &Node, what: &str, report: &mut Report) -> Vec<At<String>> {
    match &node.content {
        Content::List(items) => items
            .iter()
            .filter_map(|item| text_of(item, &format!("each item of {what}"), report))
            .collect(),
        Content::Null
        | Content::Bool(_)
        | Content::Int(_)
        | Content::Float { .. }
        | Content::Text(_)
        | Content::Map(_) => text_of(node, what, report).into_iter().collect(),
    }
}

fn quoted(spellings: &[&'static str]) -> String {
    format!("`{}`", spellings.first().copied().unwrap_or_default())
}
