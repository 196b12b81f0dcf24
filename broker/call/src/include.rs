//! `options.include` → relations that exist for this caller, each with the options of a small list, nested as deep as the
//! limits allow.

use dbal_shared::fault::Fault;
use dbal_shared::json::Json;
use dbal_shared::limits::{DEFAULT_ROWS, INCLUDES};
use dbal_shared::plan::Include;
use dbal_shared::predicate::{Link, Predicate};

use super::arguments::shown;
use super::scope::Scope;
use super::{filter, options};
use crate::refusal::FieldFault;

/// What there is to say of the linked rows.
const OPTIONS: &[&str] = &["filter", "sort", "limit", "select", "include"];

/// Reads `"comments"`, `["comments","owner"]` or `{"comments":true,"owner":{…}}`.
pub(super) fn parse(
    json: &Json,
    scope: &Scope<'_>,
    path: &str,
    faults: &mut Vec<FieldFault>,
) -> Vec<Include> {
    let whole = Json::Bool(true);
    let wanted: Option<Vec<(&str, &Json)>> = match json {
        Json::Text(name) => Some(vec![(name.as_str(), &whole)]),
        Json::List(items) => items
            .iter()
            .map(|item| item.as_text().map(|name| (name, &whole)))
            .collect(),
        Json::Object(members) => Some(
            members
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Unsigned(_) | Json::Float(_) => None,
    };
    let Some(wanted) = wanted else {
        faults.push(FieldFault::text(
            path,
            "must be an object of relations, or an array of their names",
        ));
        return Vec::new();
    };
    if wanted.len() > INCLUDES {
        faults.push(FieldFault::text(
            path,
            format!("must name at most {INCLUDES} relations"),
        ));
        return Vec::new();
    }
    let mut includes: Vec<Include> = Vec::with_capacity(wanted.len());
    for (name, value) in wanted {
        let path = format!("{path}.{}", shown(name));
        match scope.relation(name) {
            _ if matches!(value, Json::Bool(false) | Json::Null) => {}
            Some((relation, linked)) => {
                if includes.iter().any(|known| known.link == relation.link) {
                    faults.push(FieldFault::text(path, "must be named once"));
                } else {
                    includes.push(one(relation.link, value, &linked, &path, faults));
                }
            }
            None => faults.push(FieldFault::new(path, &Fault::Unknown)),
        }
    }
    includes
}

fn one(link: Link, json: &Json, scope: &Scope<'_>, path: &str, faults: &mut Vec<FieldFault>) -> Include {
    let mut include = Include {
        link,
        filter: Predicate::True,
        order: Vec::new(),
        limit: scope.entity.default_rows.unwrap_or(DEFAULT_ROWS),
        projection: scope.projection(),
        includes: Vec::new(),
    };
    let members = match json {
        Json::Bool(true) => return include,
        Json::Object(members) => members,
        Json::Null
        | Json::Bool(false)
        | Json::Int(_)
        | Json::Unsigned(_)
        | Json::Float(_)
        | Json::Text(_)
        | Json::List(_) => {
            faults.push(FieldFault::text(path, "must be true or an object of options"));
            return include;
        }
    };
    for (name, value) in members.iter().filter(|(_, value)| *value != Json::Null) {
        let path = format!("{path}.{}", shown(name));
        match name.as_str() {
            "filter" => include.filter = filter::parse(Some(value), scope, &path, faults),
            "sort" => include.order = options::sort(value, scope, &path, faults),
            "limit" => include.limit = options::limit(&path, value, faults),
            "select" => include.projection = options::select(value, scope, &path, faults),
            "include" => include.includes = parse(value, scope, &path, faults),
            _ => faults.push(FieldFault::unknown_option(path, OPTIONS)),
        }
    }
    include
}
