//! Entities as files declare them: keys and shapes are checked, names are not looked up yet.

use crate::acl::{InlineOperation, Who};
use crate::caching::{self, Caching};
use crate::column::{ColumnType, OnDelete};
use crate::declared_acl;
use crate::declared_field;
use crate::mapping::{At, Mapping, texts_of};
use crate::report::Report;
use crate::scalar::Scalar;
use crate::source::Location;
use crate::yaml::{Content, Node};

pub(crate) struct DeclaredEntity {
    pub(crate) at: Location,
    pub(crate) name: At<String>,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) table: Option<At<String>>,
    pub(crate) fields: Vec<DeclaredField>,
    /// Fields that could not be read. What follows from their absence is not reported again.
    pub(crate) unreadable: Vec<String>,
    pub(crate) indexes: Vec<DeclaredIndex>,
    pub(crate) acl: DeclaredAcl,
    pub(crate) never_expose: Vec<At<String>>,
    pub(crate) audits_all_access: bool,
    pub(crate) ttl: Option<DeclaredTtl>,
    pub(crate) cache: Option<Caching>,
    pub(crate) is_read_only: bool,
}

/// Versions of UUIDs that can be generated (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UuidVersion {
    /// Random.
    V4,
    /// Time, then random.
    V7,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the file format and independent of the others"
)]
pub(crate) struct DeclaredField {
    pub(crate) name: At<String>,
    pub(crate) kind: ColumnType,
    pub(crate) column: Option<At<String>>,
    pub(crate) required: Option<At<bool>>,
    pub(crate) optional: Option<At<bool>>,
    pub(crate) nullable: Option<At<bool>>,
    pub(crate) unique: bool,
    pub(crate) indexed: bool,
    pub(crate) primary: bool,
    pub(crate) generated: Option<At<bool>>,
    /// Of generated UUIDs, where the file names it.
    pub(crate) uuid_version: Option<UuidVersion>,
    pub(crate) auto_update: Option<At<bool>>,
    pub(crate) immutable: Option<At<bool>>,
    pub(crate) default: Option<Node>,
    pub(crate) min_length: Option<At<u64>>,
    pub(crate) max_length: Option<At<u64>>,
    pub(crate) min: Option<Node>,
    pub(crate) max: Option<Node>,
    pub(crate) pattern: Option<At<String>>,
    pub(crate) values: Option<Vec<At<String>>>,
    pub(crate) sensitive: bool,
    pub(crate) never_expose: bool,
    pub(crate) references: Option<DeclaredReference>,
    pub(crate) description: Option<String>,
}

pub(crate) struct DeclaredReference {
    pub(crate) entity: At<String>,
    pub(crate) field: Option<At<String>>,
    pub(crate) on_delete: OnDelete,
    /// What this entity calls the other's row, where the derived name won't do.
    pub(crate) relation: Option<At<String>>,
    /// What the other entity calls the rows of this one.
    pub(crate) inverse: Option<At<String>>,
}

pub(crate) struct DeclaredIndex {
    pub(crate) at: Location,
    pub(crate) name: Option<At<String>>,
    pub(crate) fields: Vec<At<String>>,
    pub(crate) is_unique: bool,
}

pub(crate) struct DeclaredTtl {
    pub(crate) field: At<String>,
    pub(crate) auto_delete: Option<At<bool>>,
}

#[derive(Default)]
pub(crate) struct DeclaredAcl {
    pub(crate) at: Option<Location>,
    pub(crate) rules: Vec<DeclaredRule>,
}

pub(crate) struct DeclaredRule {
    pub(crate) at: Location,
    pub(crate) operation: InlineOperation,
    pub(crate) grants: Vec<At<Who>>,
    pub(crate) row_level: Option<Scalar>,
    pub(crate) writable_fields: Option<Vec<At<String>>>,
}

/// One document of an entity file. None, with problems, where not even name and fields can be read.
pub(crate) fn read(node: &Node, report: &mut Report) -> Option<DeclaredEntity> {
    let mut map = Mapping::of(node, "an entity", report)?;
    let name = map.text(&["entity", "name"], report);
    let version = map.take(&["version"], report).map(scalar_text);
    let description = map.text(&["description"], report).map(|text| text.value);
    let table = map.text(&["table"], report);
    let fields = map.take(&["fields"], report);
    let indexes = map
        .take(&["indexes"], report)
        .map(|node| read_indexes(node, report));
    let acl = map
        .take(&["acl"], report)
        .map(|node| declared_acl::read(node, report));
    let security = map
        .take(&["security"], report)
        .and_then(|node| read_security(node, report));
    let ttl = map.take(&["ttl"], report).and_then(|node| read_ttl(node, report));
    let cache = map
        .take(&["cache"], report)
        .and_then(|node| caching::read(node, report));
    let read_only = map.flag(&["read_only", "readOnly", "readonly"], report);
    let at = map.at.clone();
    map.finish("an entity", report);
    if name.is_none() {
        report.problem(&at, "the entity has no name: begin with `entity: Name`");
    }
    if fields.is_none() {
        report.problem(&at, "the entity has no `fields`");
    }
    let security = security.unwrap_or_default();
    let (fields, unreadable) = read_fields(fields?, report);
    Some(DeclaredEntity {
        name: name?,
        version,
        description,
        table,
        fields,
        unreadable,
        indexes: indexes.unwrap_or_default(),
        acl: acl.unwrap_or_default(),
        never_expose: security.never_expose,
        audits_all_access: security.audits_all_access,
        ttl,
        cache,
        is_read_only: read_only.is_some_and(|flag| flag.value),
        at,
    })
}

/// The fields, and the names of those that could not be read.
fn read_fields(node: &Node, report: &mut Report) -> (Vec<DeclaredField>, Vec<String>) {
    let (mut fields, mut unreadable) = (Vec::new(), Vec::new());
    let Some(mut map) = Mapping::of(node, "`fields`", report) else {
        return (fields, unreadable);
    };
    for (key, node) in map.drain() {
        match declared_field::read(key, node, report) {
            Some(field) => fields.push(field),
            None => unreadable.push(key.name.clone()),
        }
    }
    (fields, unreadable)
}

fn read_indexes(node: &Node, report: &mut Report) -> Vec<DeclaredIndex> {
    let Content::List(items) = &node.content else {
        report.problem(&node.at, format!("`indexes` must be a list, not {}", node.kind()));
        return Vec::new();
    };
    items.iter().filter_map(|item| read_index(item, report)).collect()
}

/// `{fields: […], unique: …, name: …}`, or only the list of fields.
fn read_index(node: &Node, report: &mut Report) -> Option<DeclaredIndex> {
    let at = node.at.clone();
    if matches!(node.content, Content::List(_)) {
        let fields = texts_of(node, "an index", report);
        return Some(DeclaredIndex {
            at,
            name: None,
            fields,
            is_unique: false,
        });
    }
    let mut map = Mapping::of(node, "an index", report)?;
    let fields = map.texts(&["fields", "columns"], report);
    let unique = map.flag(&["unique"], report);
    let name = map.text(&["name"], report);
    map.finish("an index", report);
    if fields.is_none() {
        report.problem(&at, "the index has no `fields`");
    }
    Some(DeclaredIndex {
        name,
        fields: fields?,
        is_unique: unique.is_some_and(|flag| flag.value),
        at,
    })
}

#[derive(Default)]
struct Security {
    never_expose: Vec<At<String>>,
    audits_all_access: bool,
}

fn read_security(node: &Node, report: &mut Report) -> Option<Security> {
    let mut map = Mapping::of(node, "`security`", report)?;
    let never_expose = map.texts(&["never_expose", "neverExpose"], report);
    let audit = map.flag(&["audit_all_access", "auditAllAccess"], report);
    map.finish("`security`", report);
    Some(Security {
        never_expose: never_expose.unwrap_or_default(),
        audits_all_access: audit.is_some_and(|flag| flag.value),
    })
}

fn read_ttl(node: &Node, report: &mut Report) -> Option<DeclaredTtl> {
    let mut map = Mapping::of(node, "`ttl`", report)?;
    let field = map.text(&["field"], report);
    let auto_delete = map.flag(&["auto_delete", "autoDelete"], report);
    map.finish("`ttl`", report);
    if field.is_none() {
        report.problem(&node.at, "`ttl` names no `field`");
    }
    Some(DeclaredTtl {
        field: field?,
        auto_delete,
    })
}

/// A version may be written as a number.
fn scalar_text(node: &Node) -> String {
    match &node.content {
        Content::Text(text) | Content::Float { text, .. } => text.clone(),
        Content::Int(value) => value.to_string(),
        Content::Null | Content::Bool(_) | Content::List(_) | Content::Map(_) => String::new(),
    }
}
