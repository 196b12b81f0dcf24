//! Declared entities → the schema: names become ids, references are checked, ids follow names and not files.

use std::collections::{HashMap, HashSet};

use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::limits::{COLUMNS, ENTITIES};

use crate::acl::{InlineAcl, InlineGrant, InlineRule, Who};
use crate::column::{Column, ColumnType, OnDelete, Reference};
use crate::compile_column;
use crate::compile_ttl;
use crate::declared::{
    DeclaredAcl, DeclaredEntity, DeclaredField, DeclaredIndex, DeclaredReference, DeclaredRule,
};
use crate::entity::{Entity, Index};
use crate::identifier::{IDENTIFIER_BYTES, Identifier};
use crate::mapping::At;
use crate::ops_file::DeclaredOps;
use crate::relation;
use crate::report::Report;
use crate::source::Location;
use crate::suggestion;

/// Tables of the databases themselves: an entity over one of them would put the catalogue, or password hashes, on the net.
/// And names that our SQL gives to subqueries.
const RESERVED_TABLES: [&str; 4] = ["sqlite_", "pg_", "information_schema", "dbal_"];

/// All entities, sorted by name. Meaningless where the report has problems.
pub(crate) fn entities(
    mut declared: Vec<DeclaredEntity>,
    ops: &[DeclaredOps],
    report: &mut Report,
) -> Vec<Entity> {
    declared.sort_by(|left, right| left.name.value.cmp(&right.name.value));
    refuse_twins(&declared, report);
    if let Some(first_beyond) = declared.get(ENTITIES) {
        report.problem(
            &first_beyond.at,
            format!("there are more than {ENTITIES} entities"),
        );
    }
    let linker = Linker::new(&declared);
    let mut entities: Vec<Entity> = (0..=u16::MAX)
        .zip(&declared)
        .filter_map(|(nth, entity)| linker.entity(EntityId(nth), entity, report))
        .collect();
    for ops in ops {
        apply(ops, &mut entities, &linker, report);
    }
    refuse_twin_indexes(&entities, report);
    relation::name_all(&mut entities, &declared, report);
    entities
}

/// Databases keep the names of all indexes in one place.
fn refuse_twin_indexes(entities: &[Entity], report: &mut Report) {
    let mut owners: HashMap<String, &str> = HashMap::new();
    for entity in entities {
        for index in &entity.indexes {
            let name = index.name.as_str();
            if let Some(owner) = owners.insert(name.to_ascii_lowercase(), &entity.name) {
                report.problem(
                    &entity.at,
                    format!(
                        "two indexes, of `{owner}` and `{}`, have the name `{name}`",
                        entity.name
                    ),
                );
            }
        }
    }
}

/// Names of entities, tables and columns must differ by more than case: to SQLite `"ownerId"` and `"OWNERID"` are one
/// column, and the second would go round the rules of the first.
fn refuse_twins(declared: &[DeclaredEntity], report: &mut Report) {
    let mut names = HashMap::new();
    let mut tables = HashMap::new();
    for entity in declared {
        let table = entity.table.as_ref().unwrap_or(&entity.name);
        for (seen, name, what) in [
            (&mut names, &entity.name, "the entity"),
            (&mut tables, table, "the table"),
        ] {
            if let Some(first) = seen.insert(name.value.to_ascii_lowercase(), &name.at) {
                report.problem(
                    &name.at,
                    format!("{what} `{}` is already declared at {first}", name.value),
                );
                // One message for one mistake.
                break;
            }
        }
    }
}

/// Looks names up among what all files declare.
struct Linker<'a> {
    declared: HashMap<&'a str, (EntityId, &'a DeclaredEntity)>,
}

impl<'a> Linker<'a> {
    fn new(declared: &'a [DeclaredEntity]) -> Self {
        let declared = (0..=u16::MAX).zip(declared);
        Self {
            declared: declared
                .map(|(nth, entity)| (entity.name.value.as_str(), (EntityId(nth), entity)))
                .collect(),
        }
    }

    fn entity(&self, id: EntityId, declared: &DeclaredEntity, report: &mut Report) -> Option<Entity> {
        let name = &declared.name;
        if !compile_column::is_name(&name.value) {
            report.problem(
                &name.at,
                format!(
                    "`{}` is no name for an entity: letters, digits and `_`, no digit first",
                    name.value
                ),
            );
        }
        let table = table(declared.table.as_ref().unwrap_or(name), report);
        let key = key(declared, report);
        let columns = self.columns(declared, key, report);
        let ttl = compile_ttl::ttl(declared, key, report);
        let table = table?;
        Some(Entity {
            id,
            at: declared.at.clone(),
            name: name.value.clone(),
            version: declared.version.clone(),
            description: declared.description.clone(),
            indexes: indexes(declared, &table, report),
            acl: acl(declared, &declared.acl, report),
            table,
            by_name: columns
                .iter()
                .map(|column| (column.name.clone(), column.id))
                .collect(),
            columns,
            key: key?,
            max_rows: None,
            default_rows: None,
            is_read_only: declared.is_read_only,
            system_only: Vec::new(),
            audits_all_access: declared.audits_all_access,
            ttl,
            caching: declared.cache,
            // Named once all entities are known.
            relations: Vec::new(),
        })
    }

    fn columns(&self, declared: &DeclaredEntity, key: Option<ColumnId>, report: &mut Report) -> Vec<Column> {
        if declared.fields.len() > COLUMNS {
            report.problem(&declared.at, format!("an entity has at most {COLUMNS} fields"));
        }
        let mut seen: HashMap<String, &Location> = HashMap::new();
        for field in &declared.fields {
            let sql = field.column.as_ref().unwrap_or(&field.name);
            if let Some(first) = seen.insert(sql.value.to_ascii_lowercase(), &sql.at) {
                report.problem(
                    &sql.at,
                    format!("the column `{}` is already used at {first}", sql.value),
                );
            }
        }
        for name in &declared.never_expose {
            field_id(declared, name, report);
        }
        let columns = (0..=u16::MAX).map(ColumnId).zip(&declared.fields);
        columns
            .filter_map(|(id, field)| {
                let name = &field.name.value;
                let is_never_exposed =
                    field.never_expose || declared.never_expose.iter().any(|at| at.value == *name);
                let mut column =
                    compile_column::column(id, field, key == Some(id), is_never_exposed, report)?;
                column.references = field
                    .references
                    .as_ref()
                    .and_then(|to| self.reference(to, field, &column, report));
                Some(column)
            })
            .collect()
    }

    fn reference(
        &self,
        to: &DeclaredReference,
        field: &DeclaredField,
        column: &Column,
        report: &mut Report,
    ) -> Option<Reference> {
        let Some((entity, target)) = self.declared.get(to.entity.value.as_str()) else {
            self.report_unknown_entity(&to.entity, report);
            return None;
        };
        let id = match &to.field {
            Some(name) => field_id(target, name, report)?,
            // Its own problem is reported where it is declared.
            None => key(target, &mut Report::default())?,
        };
        let referred = self::field(target, id)?;
        let name = format!("{}.{}", to.entity.value, referred.name.value);
        if storage(referred.kind) != storage(field.kind) {
            report.problem(
                &to.entity.at,
                format!(
                    "`{}` ({}) can't refer to `{name}` ({})",
                    column.name,
                    field.kind.name(),
                    referred.kind.name()
                ),
            );
        }
        let is_alone = |index: &DeclaredIndex| {
            index.is_unique && matches!(index.fields.as_slice(), [only] if only.value == referred.name.value)
        };
        let is_key = key(target, &mut Report::default()) == Some(id);
        if !is_key && !referred.unique && !target.indexes.iter().any(is_alone) {
            report.problem(
                &to.entity.at,
                format!("`{name}` is not unique, so it can't be referred to"),
            );
        }
        if to.on_delete == OnDelete::SetNull && !column.is_nullable {
            report.problem(
                &to.entity.at,
                format!("`on_delete: set_null` needs `{}` to be nullable", column.name),
            );
        }
        Some(Reference {
            entity: *entity,
            column: id,
            on_delete: to.on_delete,
        })
    }

    fn report_unknown_entity(&self, name: &At<String>, report: &mut Report) {
        let mut known: Vec<&str> = self.declared.keys().copied().collect();
        known.sort_unstable();
        let hint = suggestion::hint(&name.value, known);
        report.problem(&name.at, format!("unknown entity `{}`{hint}", name.value));
    }
}

/// The field that is marked as primary, else `id`.
fn key(declared: &DeclaredEntity, report: &mut Report) -> Option<ColumnId> {
    let marked: Vec<_> = ids(declared).filter(|(_, field)| field.primary).collect();
    match marked.as_slice() {
        [(id, _)] => Some(*id),
        [] => {
            let id = ids(declared)
                .find(|(_, field)| field.name.value == "id")
                .map(|(id, _)| id);
            if id.is_none() && declared.unreadable.is_empty() {
                report.problem(
                    &declared.at,
                    "the entity has no primary key: mark one field with `primary: true`",
                );
            }
            id
        }
        [_, (_, second), ..] => {
            report.problem(
                &second.name.at,
                "a primary key of several fields is not supported: mark one, and declare a unique index over all",
            );
            None
        }
    }
}

/// Types that the databases store alike, so that equal values are equal.
fn storage(kind: ColumnType) -> ColumnType {
    match kind {
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            ColumnType::Text
        }
        ColumnType::Integer | ColumnType::Bigint => ColumnType::Bigint,
        ColumnType::Uuid
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => kind,
    }
}

fn table(name: &At<String>, report: &mut Report) -> Option<Identifier> {
    let lower = name.value.to_ascii_lowercase();
    if let Some(reserved) = RESERVED_TABLES
        .iter()
        .find(|reserved| lower.starts_with(**reserved))
    {
        report.problem(
            &name.at,
            format!("tables that begin with `{reserved}` belong to the database itself or to dbal"),
        );
    }
    Identifier::parse(&name.value)
        .map_err(|error| report.problem(&name.at, error.to_string()))
        .ok()
}

fn ids(declared: &DeclaredEntity) -> impl Iterator<Item = (ColumnId, &DeclaredField)> {
    (0..=u16::MAX).map(ColumnId).zip(&declared.fields)
}

pub(crate) fn field(declared: &DeclaredEntity, id: ColumnId) -> Option<&DeclaredField> {
    declared.fields.get(usize::from(id.0))
}

pub(crate) fn field_id(
    declared: &DeclaredEntity,
    name: &At<String>,
    report: &mut Report,
) -> Option<ColumnId> {
    let found = ids(declared)
        .find(|(_, field)| field.name.value == name.value)
        .map(|(id, _)| id);
    if found.is_none() && !declared.unreadable.contains(&name.value) {
        let hint = suggestion::hint(
            &name.value,
            declared.fields.iter().map(|field| field.name.value.as_str()),
        );
        report.problem(
            &name.at,
            format!("`{}` has no field `{}`{hint}", declared.name.value, name.value),
        );
    }
    found
}

fn indexes(declared: &DeclaredEntity, table: &Identifier, report: &mut Report) -> Vec<Index> {
    let mut indexes = Vec::with_capacity(declared.indexes.len());
    for index in &declared.indexes {
        let columns: Vec<ColumnId> = index
            .fields
            .iter()
            .filter_map(|name| field_id(declared, name, report))
            .collect();
        let distinct: HashSet<ColumnId> = columns.iter().copied().collect();
        if index.fields.is_empty() || distinct.len() < columns.len() {
            report.problem(&index.at, "an index names at least one field and none twice");
        }
        let name = index
            .name
            .as_ref()
            .map_or_else(|| index_name(table, index), |name| name.value.clone());
        match Identifier::parse(&name) {
            Ok(name) => indexes.push(Index {
                name,
                columns,
                is_unique: index.is_unique,
            }),
            Err(error) => report.problem(&index.at, error.to_string()),
        }
    }
    indexes
}

/// `Note_ownerId_state`; cut where it is too long, since a name must be given by hand only to tell two cut ones apart.
fn index_name(table: &Identifier, index: &DeclaredIndex) -> String {
    let mut name = table.as_str().to_owned();
    for field in &index.fields {
        name.push('_');
        name.push_str(&field.value);
    }
    let end = (0..=IDENTIFIER_BYTES.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end))
        .unwrap_or(0);
    name.truncate(end);
    name
}

fn acl(declared: &DeclaredEntity, acl: &DeclaredAcl, report: &mut Report) -> InlineAcl {
    let DeclaredAcl { at, rules } = acl;
    let rules = rules
        .iter()
        .map(|rule| inline_rule(declared, rule, report))
        .collect();
    InlineAcl {
        at: at.clone(),
        rules,
    }
}

fn inline_rule(declared: &DeclaredEntity, rule: &DeclaredRule, report: &mut Report) -> InlineRule {
    let DeclaredRule {
        at,
        operation,
        grants,
        row_level,
        writable_fields,
    } = rule;
    let names_self = grants.iter().any(|grant| grant.value == Who::SelfRow);
    let writable: Option<Vec<ColumnId>> = writable_fields.as_ref().map(|names| {
        names
            .iter()
            .filter_map(|name| field_id(declared, name, report))
            .collect()
    });
    let grants = grants.iter().map(|grant| InlineGrant {
        at: grant.at.clone(),
        who: grant.value.clone(),
        row_level: row_level
            .clone()
            .filter(|_| !names_self || grant.value == Who::SelfRow),
        writable_fields: writable.clone(),
    });
    InlineRule {
        at: at.clone(),
        operation: *operation,
        grants: grants.collect(),
    }
}

fn apply(ops: &DeclaredOps, entities: &mut [Entity], linker: &Linker<'_>, report: &mut Report) {
    let Some(entity) = entities.iter_mut().find(|entity| entity.name == ops.entity.value) else {
        if !linker.declared.contains_key(ops.entity.value.as_str()) {
            linker.report_unknown_entity(&ops.entity, report);
        }
        return;
    };
    // Of two files the stricter limit holds; an operation that either reserves is reserved.
    let smaller = |left: Option<u32>, right: Option<u32>| left.into_iter().chain(right).min();
    entity.max_rows = smaller(entity.max_rows, ops.max_rows);
    entity.default_rows = smaller(entity.default_rows, ops.default_rows);
    for operation in &ops.system_only {
        if !entity.system_only.contains(operation) {
            entity.system_only.push(*operation);
        }
    }
    entity.system_only.sort_unstable();
}
