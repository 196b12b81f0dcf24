//! The rules file as it is written: keys, places and texts. What they mean is judged in `compile`.

use dbal_schema::mapping::{At, Mapping, text_of, texts_of};
use dbal_schema::report::Report;
use dbal_schema::yaml::{self, Content, Key, Node};
use dbal_schema::{Location, Scalar, Source};

use crate::claims::{ClaimType, Claims, DeclaredClaim, is_computed};

/// The version of the format that this code reads.
const VERSION: u64 = 1;

/// A rules file.
#[derive(Debug, Default)]
pub(crate) struct RulesFile {
    pub(crate) claims: Claims,
    pub(crate) roles: Vec<DeclaredRole>,
    pub(crate) rules: Vec<DeclaredRule>,
    pub(crate) restrictions: Vec<DeclaredRestriction>,
    pub(crate) limits: Vec<DeclaredLimits>,
    /// What stands under the top's `accept:`, by the name of an entity or a rule.
    pub(crate) accepts: Vec<(At<String>, Vec<DeclaredAcceptance>)>,
}

/// `code: reason` of an `accept:`.
#[derive(Debug)]
pub(crate) struct DeclaredAcceptance {
    pub(crate) code: At<String>,
    pub(crate) reason: String,
}

/// `roles: {name: …}`
#[derive(Debug)]
pub(crate) struct DeclaredRole {
    pub(crate) name: At<String>,
    pub(crate) inherits: Vec<At<String>>,
    pub(crate) level: Option<u32>,
}

/// One item of `rules:`
#[derive(Debug)]
pub(crate) struct DeclaredRule {
    pub(crate) at: Location,
    pub(crate) id: Option<At<String>>,
    pub(crate) entities: Vec<At<String>>,
    pub(crate) roles: Vec<At<String>>,
    pub(crate) operations: Vec<At<String>>,
    pub(crate) rows: Option<Scalar>,
    pub(crate) check: Option<Scalar>,
    pub(crate) read: Option<Vec<At<String>>>,
    pub(crate) write: Option<Vec<At<String>>>,
    pub(crate) set: Vec<(Key, Node)>,
    pub(crate) allows_unfiltered: bool,
    pub(crate) accepts: Vec<DeclaredAcceptance>,
}

/// One item of `restrict:`
#[derive(Debug)]
pub(crate) struct DeclaredRestriction {
    pub(crate) at: Location,
    pub(crate) id: Option<At<String>>,
    pub(crate) entities: Vec<At<String>>,
    pub(crate) except: Vec<At<String>>,
    pub(crate) rows: Scalar,
    pub(crate) unless_roles: Vec<At<String>>,
    pub(crate) accepts: Vec<DeclaredAcceptance>,
}

/// `limits: {role: …}`
#[derive(Debug)]
pub(crate) struct DeclaredLimits {
    pub(crate) role: At<String>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) burst: Option<u32>,
    pub(crate) max_complexity: Option<u32>,
    pub(crate) max_rows: Option<u32>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) complexity_per_request: Option<u32>,
}

/// Reads the file; what is wrong with it is in the report.
pub(crate) fn read(source: &Source, report: &mut Report) -> RulesFile {
    let documents = match yaml::parse(source) {
        Ok(documents) => documents,
        Err(problem) => {
            report.problems.push(problem);
            return RulesFile::default();
        }
    };
    match documents.as_slice() {
        [document] => read_document(document, report),
        [] => {
            let at = Location {
                file: source.name.as_str().into(),
                line: 0,
                column: 0,
            };
            report.problem(
                &at,
                "the file is empty; `version: 1` is the least that it must say",
            );
            RulesFile::default()
        }
        [_, second, ..] => {
            report.problem(&second.at, "a rules file has one document");
            RulesFile::default()
        }
    }
}

fn read_document(node: &Node, report: &mut Report) -> RulesFile {
    let Some(mut map) = Mapping::of(node, "the rules file", report) else {
        return RulesFile::default();
    };
    check_version(&mut map, &node.at, report);
    map.take(&["description"], report);
    let declared_claims = map.take(&["claims"], report);
    let declared_roles = members(map.take(&["roles"], report), "`roles`", report);
    let rules = items(map.take(&["rules"], report), "`rules`", report);
    let restrictions = items(map.take(&["restrict"], report), "`restrict`", report);
    let limits = members(map.take(&["limits"], report), "`limits`", report);
    let accepts = members(map.take(&["accept"], report), "`accept`", report);
    map.finish("the rules file", report);
    RulesFile {
        claims: declared_claims.map_or_else(Claims::default, |node| read_claims(node, report)),
        roles: declared_roles
            .iter()
            .map(|(key, node)| read_role(key, node, report))
            .collect(),
        rules: rules.iter().filter_map(|node| read_rule(node, report)).collect(),
        restrictions: restrictions
            .iter()
            .filter_map(|node| read_restriction(node, report))
            .collect(),
        limits: limits
            .iter()
            .filter_map(|(key, node)| read_limits(key, node, report))
            .collect(),
        accepts: accepts
            .iter()
            .map(|(key, node)| {
                let about = At {
                    at: key.at.clone(),
                    value: key.name.clone(),
                };
                (about, read_accepts(Some(node), report))
            })
            .collect(),
    }
}

/// Of rules files and invariants files alike.
pub(crate) fn check_version(map: &mut Mapping<'_>, at: &Location, report: &mut Report) {
    match map.count(&["version"], report) {
        Some(version) if version.value == VERSION => {}
        Some(version) => report.problem(
            &version.at,
            format!(
                "`version` is {}; this program reads version {VERSION}",
                version.value
            ),
        ),
        None => report.problem(at, "`version: 1` is missing"),
    }
}

fn read_claims(node: &Node, report: &mut Report) -> Claims {
    let declared = members(Some(node), "`claims`", report);
    let declared = declared
        .iter()
        .filter_map(|(key, node)| read_claim(key, node, report));
    Claims::declared(declared.collect())
}

/// `level: integer`, or `{type: integer, required: true}`.
fn read_claim(key: &Key, node: &Node, report: &mut Report) -> Option<DeclaredClaim> {
    let Key { at, name } = key;
    if is_computed(name) {
        report.problem(
            at,
            format!("`$user.{name}` is made of the roles, whatever claims a proof has; it can't be declared"),
        );
    }
    let what = format!("the claim `{name}`");
    let (kind, is_required) = match &node.content {
        Content::Text(_) => (text_of(node, &what, report), false),
        Content::Null
        | Content::Bool(_)
        | Content::Int(_)
        | Content::Float { .. }
        | Content::List(_)
        | Content::Map(_) => {
            let mut map = Mapping::of(node, &what, report)?;
            let kind = map.text(&["type"], report);
            let is_required = map.flag(&["required"], report).is_some_and(|flag| flag.value);
            map.take(&["description"], report);
            map.finish(&what, report);
            if kind.is_none() {
                report.problem(&node.at, format!("{what} has no `type`"));
            }
            (kind, is_required)
        }
    };
    let kind = kind?;
    match ClaimType::parse(&kind.value) {
        Ok(kind) => Some(DeclaredClaim {
            at: at.clone(),
            name: name.clone(),
            kind,
            is_required,
        }),
        Err(text) => {
            report.problem(&kind.at, text);
            None
        }
    }
}

fn read_role(key: &Key, node: &Node, report: &mut Report) -> DeclaredRole {
    let name = At {
        at: key.at.clone(),
        value: key.name.clone(),
    };
    let what = format!("role `{}`", key.name);
    let mut role = DeclaredRole {
        name,
        inherits: Vec::new(),
        level: None,
    };
    // `user:` with nothing behind it declares a role that inherits nothing.
    if !matches!(node.content, Content::Null)
        && let Some(mut map) = Mapping::of(node, &what, report)
    {
        role.inherits = map.texts(&["inherits"], report).unwrap_or_default();
        role.level = number(&mut map, "level", 0, report);
        map.take(&["description"], report);
        map.finish(&what, report);
    }
    role
}

fn read_rule(node: &Node, report: &mut Report) -> Option<DeclaredRule> {
    let mut map = Mapping::of(node, "a rule", report)?;
    let id = map.text(&["id"], report);
    let entities = map.texts(&["entity", "entities"], report).unwrap_or_default();
    let roles = map.texts(&["roles", "role"], report).unwrap_or_default();
    let operations = map
        .texts(&["operations", "operation"], report)
        .unwrap_or_default();
    let rows = map.scalar(&["rows", "row_level_filter"], report);
    let check = map.scalar(&["check"], report);
    let fields = map.take(&["fields"], report);
    let set = members(map.take(&["set"], report), "`set`", report);
    let allows_unfiltered = map
        .flag(&["allow_unfiltered"], report)
        .is_some_and(|flag| flag.value);
    let accepts = read_accepts(map.take(&["accept"], report), report);
    map.take(&["description"], report);
    map.finish("a rule", report);
    for (key, is_missing) in [
        ("entity", entities.is_empty()),
        ("roles", roles.is_empty()),
        ("operations", operations.is_empty()),
    ] {
        if is_missing {
            report.problem(&node.at, format!("this rule has no `{key}`"));
        }
    }
    let (read, write) = fields.map_or((None, None), |node| read_fields(node, report));
    Some(DeclaredRule {
        at: node.at.clone(),
        id,
        entities,
        roles,
        operations,
        rows,
        check,
        read,
        write,
        set: set.to_vec(),
        allows_unfiltered,
        accepts,
    })
}

/// `accept: {public-write: "why that is meant"}`. Which codes there are, only the linter knows.
fn read_accepts(node: Option<&Node>, report: &mut Report) -> Vec<DeclaredAcceptance> {
    let mut accepts = Vec::new();
    for (key, node) in members(node, "`accept`", report) {
        let what = format!("the reason why `{}` is accepted", key.name);
        let Some(reason) = text_of(node, &what, report) else {
            continue;
        };
        if reason.value.trim().is_empty() {
            report.problem(&reason.at, format!("{what} is empty"));
        }
        accepts.push(DeclaredAcceptance {
            code: At {
                at: key.at.clone(),
                value: key.name.clone(),
            },
            reason: reason.value,
        });
    }
    accepts
}

type FieldList = Option<Vec<At<String>>>;

fn read_fields(node: &Node, report: &mut Report) -> (FieldList, FieldList) {
    let Some(mut map) = Mapping::of(node, "`fields`", report) else {
        return (Some(Vec::new()), Some(Vec::new()));
    };
    let mut list = |key: &'static str, report: &mut Report| {
        map.take(&[key], report)
            .map(|node| texts_of(node, &format!("`{key}`"), report))
    };
    let lists = (list("read", report), list("write", report));
    map.finish("`fields`", report);
    lists
}

fn read_restriction(node: &Node, report: &mut Report) -> Option<DeclaredRestriction> {
    let mut map = Mapping::of(node, "a restriction", report)?;
    let id = map.text(&["id"], report);
    let entities = map.texts(&["entity", "entities"], report).unwrap_or_default();
    let except = map.texts(&["except"], report).unwrap_or_default();
    let rows = map.scalar(&["rows"], report);
    let unless_roles = map.texts(&["unless_roles"], report).unwrap_or_default();
    let accepts = read_accepts(map.take(&["accept"], report), report);
    map.take(&["description"], report);
    map.finish("a restriction", report);
    if entities.is_empty() {
        report.problem(&node.at, "this restriction has no `entity`; \"*\" means all");
    }
    if rows.is_none() {
        report.problem(&node.at, "this restriction has no `rows`");
    }
    Some(DeclaredRestriction {
        at: node.at.clone(),
        id,
        entities,
        except,
        rows: rows?,
        unless_roles,
        accepts,
    })
}

fn read_limits(key: &Key, node: &Node, report: &mut Report) -> Option<DeclaredLimits> {
    let what = format!("the limits of `{}`", key.name);
    let mut map = Mapping::of(node, &what, report)?;
    let limits = DeclaredLimits {
        role: At {
            at: key.at.clone(),
            value: key.name.clone(),
        },
        requests_per_minute: number(&mut map, "requests_per_minute", 1, report),
        burst: number(&mut map, "burst", 1, report),
        max_complexity: number(&mut map, "max_complexity", 1, report),
        max_rows: number(&mut map, "max_rows", 1, report),
        max_in_flight: number(&mut map, "max_in_flight", 1, report),
        complexity_per_request: number(&mut map, "complexity_per_request", 1, report),
    };
    map.finish(&what, report);
    Some(limits)
}

fn number(map: &mut Mapping<'_>, key: &'static str, least: u32, report: &mut Report) -> Option<u32> {
    let At { at, value } = map.count(&[key], report)?;
    let number = u32::try_from(value).ok().filter(|number| *number >= least);
    if number.is_none() {
        report.problem(
            &at,
            format!("`{key}` is {value}; it must lie between {least} and {}", u32::MAX),
        );
    }
    number
}

pub(crate) fn items<'a>(node: Option<&'a Node>, what: &str, report: &mut Report) -> &'a [Node] {
    match node {
        None => &[],
        Some(Node {
            content: Content::List(items),
            ..
        }) => items,
        Some(node) => {
            report.problem(&node.at, format!("{what} must be a list, not {}", node.kind()));
            &[]
        }
    }
}

fn members<'a>(node: Option<&'a Node>, what: &str, report: &mut Report) -> &'a [(Key, Node)] {
    match node {
        None => &[],
        Some(Node {
            content: Content::Map(members),
            ..
        }) => members,
        Some(node) => {
            report.problem(&node.at, format!("{what} must be a mapping, not {}", node.kind()));
            &[]
        }
    }
}
