//! `dbal schema typescript`: entity files → the types by which a TypeScript compiler checks calls (`clients/typescript`).

mod rights;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use dbal_schema::{Arity, Column, ColumnType, Entity, Relation, Schema};

use crate::error::ToolError;
use crate::files::{self, PUBLIC};
use crate::output;
use crate::policy::Inputs;
use rights::{Rights, Role};

/// Write TypeScript types of the entities, for the client in clients/typescript: what is read, what makes a row, what of it
/// changes. With a policy and a role they are those of the role's callers.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Folder of entity files.
    #[arg(long, value_name = "DIR")]
    entities: PathBuf,
    /// The policy's rules: entities and fields that the role never sees are left out, what only some rows show may be missing, and
    /// what a rule fills in need not be said.
    #[arg(long, value_name = "FILE", requires = "role")]
    policy: Option<PathBuf>,
    /// Whose types. More than once: of somebody who holds them all.
    #[arg(long, value_name = "ROLE", requires = "policy")]
    role: Vec<String>,
    /// Where to put them; standard output otherwise.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nothing. Exit 1 if the file is not what would be written.
    #[arg(long, requires = "output")]
    check: bool,
}

pub(super) fn run(options: &Options) -> Result<(), ToolError> {
    let text = written(options)?;
    let Some(path) = &options.output else {
        return output::print(text);
    };
    if !options.check {
        return files::replace(path, text.as_bytes(), PUBLIC);
    }
    let found = std::fs::read(path).map_err(|source| ToolError::file(path, source))?;
    if found == text.as_bytes() {
        return Ok(());
    }
    Err(ToolError::Failed(format!(
        "{}: not what the entities say; write it again: the same command without --check",
        path.display()
    )))
}

fn written(options: &Options) -> Result<String, ToolError> {
    let Options {
        entities,
        policy,
        role,
        output: _,
        check: _,
    } = options;
    if let Some(rules) = policy {
        return of_role(rules, entities, role);
    }
    let loaded = Schema::load(entities)?;
    for warning in &loaded.warnings {
        output::say(format_args!("warning: {warning}"));
    }
    Ok(script(&loaded.schema, None))
}

fn of_role(rules: &Path, entities: &Path, names: &[String]) -> Result<String, ToolError> {
    let policy = Inputs::load_at(rules, Some(entities))?;
    let role = Role::new(&policy, names).map_err(ToolError::Usage)?;
    Ok(script(policy.schema(), Some(&role)))
}

/// The whole file. The same words for the same entities, whatever the order of their files.
fn script(schema: &Schema, role: Option<&Role<'_>>) -> String {
    let shown: Vec<(&Entity, Rights)> = schema
        .entities()
        .iter()
        .filter_map(|entity| Some((entity, Rights::of(entity, role)?)))
        .collect();
    let whose = role.map_or_else(String::new, |role| format!(", of {}", role.name()));
    let mut out = format!(
        "// Types of the entities{whose}: made by `dbal schema typescript`, and not to be edited.\n\n"
    );
    let has_json = |(entity, _): &(&Entity, Rights)| {
        entity
            .columns
            .iter()
            .any(|column| column.kind == ColumnType::Json)
    };
    if shown.iter().any(has_json) {
        out.push_str("import type { Json } from \"@dbal/client\";\n\n");
    }
    out.push_str("export interface Schema {\n");
    for (entity, rights) in &shown {
        describe(&mut out, "  ", entity.description.as_deref());
        line(&mut out, format_args!("  {}: {{", entity.name));
        rows(&mut out, entity, rights);
        created(&mut out, entity, rights);
        updated(&mut out, entity, rights);
        found(&mut out, entity, rights, &shown);
        out.push_str("  };\n");
    }
    out.push_str("}\n");
    out
}

/// What is read of a row.
fn rows(out: &mut String, entity: &Entity, rights: &Rights) {
    let fields = rights.readable(entity).map(|column| {
        let mark = if rights.is_certain(column.id) { "" } else { "?" };
        let null = if column.is_nullable { " | null" } else { "" };
        (
            column,
            format!("{}{mark}: {}{null}", column.name, read_type(column)),
        )
    });
    object(out, "row", fields);
}

/// What a new row is made of.
fn created(out: &mut String, entity: &Entity, rights: &Rights) {
    if !rights.may_create {
        out.push_str("    create: never;\n");
        return;
    }
    let fields = entity
        .columns
        .iter()
        .filter(|column| rights.create.contains(column.id));
    let fields = fields.map(|column| {
        let is_filled = column.generated.is_some() || column.is_auto_update || column.default.is_some();
        let is_needed = column.is_required && !is_filled && !rights.filled_in.contains(column.id);
        (column, assigned(column, !is_needed))
    });
    object(out, "create", fields);
}

/// What of a row can be changed.
fn updated(out: &mut String, entity: &Entity, rights: &Rights) {
    if !rights.may_update {
        out.push_str("    update: never;\n");
        return;
    }
    let fields = entity.columns.iter().filter(|column| {
        rights.update.contains(column.id) && !column.is_immutable && column.id != entity.key
    });
    object(
        out,
        "update",
        fields.map(|column| (column, assigned(column, true))),
    );
}

/// By what rows are found.
fn found(out: &mut String, entity: &Entity, rights: &Rights, shown: &[(&Entity, Rights)]) {
    let kinds = rights
        .readable(entity)
        .map(|column| (column, format!("{}: \"{}\"", column.name, column.kind.name())));
    object(out, "kinds", kinds);
    let key = entity
        .column(entity.key)
        .map_or("", |column| column.name.as_str());
    line(out, format_args!("    key: \"{key}\";"));
    let unique: Vec<String> = rights
        .readable(entity)
        .filter(|column| entity.is_unique(column.id))
        .map(|column| format!("\"{}\"", column.name))
        .collect();
    let unique = if unique.is_empty() {
        "never".to_owned()
    } else {
        unique.join(" | ")
    };
    line(out, format_args!("    unique: {unique};"));
    let mut relations: Vec<(&str, String)> = entity
        .relations
        .iter()
        .filter_map(|relation| followed(relation, rights, shown))
        .collect();
    relations.sort_unstable();
    if relations.is_empty() {
        out.push_str("    relations: {};\n");
        return;
    }
    out.push_str("    relations: {\n");
    for (name, leads) in relations {
        line(out, format_args!("      {name}: {leads};"));
    }
    out.push_str("    };\n");
}

/// Name, and where it leads; nothing where the caller may not follow it.
fn followed<'a>(
    relation: &'a Relation,
    rights: &Rights,
    shown: &[(&Entity, Rights)],
) -> Option<(&'a str, String)> {
    let Relation { name, link, arity } = relation;
    let (other, theirs) = shown.iter().find(|(entity, _)| entity.id == link.entity)?;
    let is_open = rights.read.contains(link.column) && theirs.read.contains(link.foreign);
    let is_many = match arity {
        Arity::One => false,
        Arity::Many => true,
    };
    // A row that hides the field has no member for what it leads to.
    let partly = if rights.is_certain(link.column) {
        ""
    } else {
        "; partly: true"
    };
    is_open.then(|| {
        (
            name.as_str(),
            format!("{{ to: \"{}\"; many: {is_many}{partly} }}", other.name),
        )
    })
}

fn object<'a>(out: &mut String, name: &str, fields: impl Iterator<Item = (&'a Column, String)>) {
    let mut fields = fields.peekable();
    if fields.peek().is_none() {
        line(out, format_args!("    {name}: {{}};"));
        return;
    }
    line(out, format_args!("    {name}: {{"));
    for (column, field) in fields {
        if name != "kinds" {
            describe(out, "      ", column.description.as_deref());
        }
        line(out, format_args!("      {field};"));
    }
    out.push_str("    };\n");
}

fn assigned(column: &Column, is_optional: bool) -> String {
    let mark = if is_optional { "?" } else { "" };
    let null = if column.is_nullable { " | null" } else { "" };
    format!("{}{mark}: {}{null}", column.name, written_type(column))
}

/// As answers hold it (docs/protocol.md, "Values").
fn read_type(column: &Column) -> String {
    match column.kind {
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Decimal
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Bytes => "string".to_owned(),
        ColumnType::Enum => {
            let values: Vec<String> = column.rules.values.iter().map(|value| quoted(value)).collect();
            values.join(" | ")
        }
        ColumnType::Integer | ColumnType::Float => "number".to_owned(),
        // Text beyond 2^53-1.
        ColumnType::Bigint => "number | string".to_owned(),
        ColumnType::Boolean => "boolean".to_owned(),
        ColumnType::Json => "Json".to_owned(),
    }
}

/// As it may be given.
fn written_type(column: &Column) -> String {
    match column.kind {
        ColumnType::Bigint => "bigint | number | string".to_owned(),
        ColumnType::Decimal => "string | number".to_owned(),
        ColumnType::Datetime => "Date | string".to_owned(),
        ColumnType::Bytes => "Uint8Array | string".to_owned(),
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Integer
        | ColumnType::Float
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Json => read_type(column),
    }
}

/// A string literal: JSON's are JavaScript's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What an author wrote for people, as a comment that nothing in it can end.
fn describe(out: &mut String, indent: &str, text: Option<&str>) {
    let words: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
    if !words.is_empty() {
        line(
            out,
            format_args!("{indent}/** {} */", words.join(" ").replace("*/", "* /")),
        );
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string can't fail.
    let _ = writeln!(out, "{text}");
}
