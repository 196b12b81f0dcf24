//! One field as a file declares it, with the spellings that existing files use.

use crate::column::{ColumnType, OnDelete};
use crate::declared::{DeclaredField, DeclaredReference, UuidVersion};
use crate::mapping::{At, Mapping, text_of};
use crate::report::Report;
use crate::suggestion;
use crate::yaml::{Content, Key, Node};

/// The types and their names.
const TYPES: [(&str, ColumnType); 15] = [
    ("uuid", ColumnType::Uuid),
    ("cuid", ColumnType::Cuid),
    ("string", ColumnType::String),
    ("text", ColumnType::Text),
    ("email", ColumnType::Email),
    ("enum", ColumnType::Enum),
    ("integer", ColumnType::Integer),
    ("bigint", ColumnType::Bigint),
    ("float", ColumnType::Float),
    ("decimal", ColumnType::Decimal),
    ("boolean", ColumnType::Boolean),
    ("date", ColumnType::Date),
    ("datetime", ColumnType::Datetime),
    ("json", ColumnType::Json),
    ("bytes", ColumnType::Bytes),
];

/// What may happen when the referred row goes, with the spellings of SQL and of Prisma.
const ON_DELETE: [(&str, OnDelete); 8] = [
    ("restrict", OnDelete::Restrict),
    ("no_action", OnDelete::Restrict),
    ("no action", OnDelete::Restrict),
    ("noaction", OnDelete::Restrict),
    ("cascade", OnDelete::Cascade),
    ("set_null", OnDelete::SetNull),
    ("set null", OnDelete::SetNull),
    ("setnull", OnDelete::SetNull),
];

impl ColumnType {
    /// The name in entity files.
    pub fn name(self) -> &'static str {
        TYPES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }

    /// The type with this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = TYPES.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }
}

impl OnDelete {
    /// The name in entity files.
    pub fn name(self) -> &'static str {
        ON_DELETE
            .iter()
            .find(|(_, action)| *action == self)
            .map_or("", |(name, _)| name)
    }

    /// What has this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = ON_DELETE.iter().find(|(known, _)| *known == name);
        found.map(|(_, action)| *action)
    }
}

pub(crate) fn read(key: &Key, node: &Node, report: &mut Report) -> Option<DeclaredField> {
    let what = format!("the field `{}`", key.name);
    let mut map = Mapping::of(node, &what, report)?;
    let kind = read_type(&mut map, &what, report);
    let (generated, uuid_version) = read_generated(&mut map, report);
    let field = DeclaredField {
        name: At {
            at: key.at.clone(),
            value: key.name.clone(),
        },
        // Without a type the rest is read only to report its mistakes too.
        kind: kind.unwrap_or(ColumnType::Text),
        column: map.text(&["column"], report),
        required: map.flag(&["required"], report),
        optional: map.flag(&["optional"], report),
        nullable: map.flag(&["nullable"], report),
        unique: map.flag(&["unique"], report).is_some_and(|flag| flag.value),
        indexed: map
            .flag(&["index", "indexed"], report)
            .is_some_and(|flag| flag.value),
        primary: map
            .flag(&["primary", "primaryKey", "primary_key"], report)
            .is_some_and(|flag| flag.value),
        generated,
        uuid_version,
        auto_update: map.flag(&["auto_update", "autoUpdate"], report),
        immutable: map.flag(&["immutable"], report),
        default: map.take(&["default"], report).cloned(),
        min_length: map.count(&["min_length", "minLength"], report),
        max_length: map.count(&["max_length", "maxLength"], report),
        min: map.take(&["min"], report).cloned(),
        max: map.take(&["max"], report).cloned(),
        pattern: map.text(&["pattern"], report),
        values: map.texts(&["values"], report),
        sensitive: map.flag(&["sensitive"], report).is_some_and(|flag| flag.value),
        never_expose: map
            .flag(&["never_expose", "neverExpose"], report)
            .is_some_and(|flag| flag.value),
        references: map
            .take(&["foreign_key", "foreignKey", "references"], report)
            .and_then(|node| read_reference(node, report)),
        description: map.text(&["description"], report).map(|text| text.value),
    };
    map.finish(&what, report);
    kind.map(|_| field)
}

/// `true`, `false`, or the version of a UUID.
fn read_generated(map: &mut Mapping<'_>, report: &mut Report) -> (Option<At<bool>>, Option<UuidVersion>) {
    let Some(node) = map.take(&["generated"], report) else {
        return (None, None);
    };
    let (value, version) = match &node.content {
        Content::Bool(value) => (*value, None),
        Content::Text(text) if text == "v4" => (true, Some(UuidVersion::V4)),
        Content::Text(text) if text == "v7" => (true, Some(UuidVersion::V7)),
        Content::Text(_)
        | Content::Int(_)
        | Content::Float { .. }
        | Content::Null
        | Content::List(_)
        | Content::Map(_) => {
            report.problem(
                &node.at,
                "`generated` must be true or false, or of a uuid its version: v4 or v7",
            );
            return (None, None);
        }
    };
    let at = node.at.clone();
    (Some(At { at, value }), version)
}

fn read_type(map: &mut Mapping<'_>, what: &str, report: &mut Report) -> Option<ColumnType> {
    let Some(node) = map.take(&["type"], report) else {
        report.problem(map.at, format!("{what} has no `type`"));
        return None;
    };
    let At { at, value } = text_of(node, "`type`", report)?;
    let known = TYPES.iter().find(|(name, _)| *name == value);
    if known.is_none() {
        let hint = suggestion::hint(&value, TYPES.iter().map(|(name, _)| *name));
        report.problem(&at, format!("unknown type `{value}`{hint}"));
    }
    known.map(|(_, kind)| *kind)
}

/// `{entity: User, field: id, on_delete: cascade}`, `User.id` or `User`.
fn read_reference(node: &Node, report: &mut Report) -> Option<DeclaredReference> {
    if matches!(node.content, Content::Text(_)) {
        let At { at, value } = text_of(node, "`references`", report)?;
        let (entity, field) = value
            .split_once('.')
            .map_or((value.as_str(), None), |(entity, field)| (entity, Some(field)));
        return Some(DeclaredReference {
            entity: At {
                at: at.clone(),
                value: entity.to_owned(),
            },
            field: field.map(|field| At {
                at,
                value: field.to_owned(),
            }),
            on_delete: OnDelete::Restrict,
            relation: None,
            inverse: None,
        });
    }
    let mut map = Mapping::of(node, "`foreign_key`", report)?;
    let entity = map.text(&["entity"], report);
    let field = map.text(&["field"], report);
    let on_delete = map.text(&["on_delete", "onDelete"], report);
    let relation = map.text(&["relation"], report);
    let inverse = map.text(&["inverse"], report);
    map.finish("`foreign_key`", report);
    if entity.is_none() {
        report.problem(&node.at, "`foreign_key` names no `entity`");
    }
    let on_delete = match on_delete {
        None => OnDelete::Restrict,
        Some(on_delete) => read_on_delete(&on_delete, report)?,
    };
    Some(DeclaredReference {
        entity: entity?,
        field,
        on_delete,
        relation,
        inverse,
    })
}

fn read_on_delete(on_delete: &At<String>, report: &mut Report) -> Option<OnDelete> {
    let wanted = on_delete.value.to_ascii_lowercase();
    let known = ON_DELETE.iter().find(|(name, _)| *name == wanted);
    if known.is_none() {
        report.problem(
            &on_delete.at,
            format!(
                "`on_delete` is `{}`; it can be restrict, cascade or set_null",
                on_delete.value
            ),
        );
    }
    known.map(|(_, action)| *action)
}
