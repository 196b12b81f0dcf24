//! `dbal schema introspect`: a live database → entity files. What an entity can't say is a comment in its file, and a warning.

mod database;

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::entity_file::{self, EntityFile};
use super::loadable;
use super::worker::{Asked, parsed};
use crate::error::ToolError;
use crate::indent::indented;
use crate::output;
use crate::visible::one_line;
use database::Database;

/// Beginnings of tables that no entity may have.
const NOT_OURS: [&str; 4] = ["sqlite_", "pg_", "information_schema", "dbal_"];

#[derive(Debug, Deserialize)]
struct Answer {
    tables: Vec<Table>,
}

#[derive(Debug, Deserialize)]
struct Table {
    name: String,
    is_view: bool,
    columns: Vec<Column>,
    key: Vec<String>,
    indexes: Vec<FoundIndex>,
    references: Vec<FoundReference>,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    declared: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    doubt: Option<String>,
    nullable: bool,
    max_length: Option<u64>,
    range: Option<(i64, i64)>,
    values: Vec<String>,
    fill: String,
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
struct FoundIndex {
    name: String,
    columns: Vec<String>,
    unique: bool,
    whole: bool,
}

#[derive(Debug, Deserialize)]
struct FoundReference {
    columns: Vec<String>,
    table: String,
    to: Vec<String>,
    on_delete: Option<String>,
}

pub(super) fn run(asked: &Asked, out: Option<&Path>) -> Result<(), ToolError> {
    let text = asked.answer("introspect")?;
    let Some(out) = out else {
        return output::line(format_args!("{}", indented(text.trim_end())));
    };
    let answer: Answer = parsed(&text)?;
    let entities = entities(&answer);
    if entities.is_empty() {
        return Err(ToolError::Failed(
            "the database holds no table that could be an entity".to_owned(),
        ));
    }
    for entity in &entities {
        for (place, note) in entity.all_notes() {
            output::say(format_args!("warning: {}", one_line(&format!("{place}: {note}"))));
        }
    }
    let count = entity_file::write(out, &entities)?;
    output::line(format_args!("{}: entity files: {count}", out.display()))
}

fn entities(answer: &Answer) -> Vec<EntityFile> {
    let is_ours = |table: &&Table| {
        let lower = table.name.to_ascii_lowercase();
        !NOT_OURS.iter().any(|reserved| lower.starts_with(reserved))
    };
    let tables: Vec<&Table> = answer.tables.iter().filter(is_ours).collect();
    let database = Database {
        entities: names(tables.iter().map(|table| table.name.as_str())),
        tables: &tables,
    };
    let mut entities: Vec<EntityFile> = tables.iter().map(|table| database.entity(table)).collect();
    // What changed is in their notes.
    loadable::settle(&mut entities);
    entities
}

/// Names of a database's → names that entities and fields can have, no two alike even where case does not count.
fn names<'a>(found: impl Iterator<Item = &'a str>) -> HashMap<&'a str, String> {
    let mut names: HashMap<&str, String> = HashMap::new();
    let mut taken = Vec::new();
    for name in found {
        let base = entity_file::plain_name(name);
        let mut plain = base.clone();
        // Ends, since every turn asks for another name.
        for nth in 2_u32.. {
            if !taken.contains(&plain.to_ascii_lowercase()) {
                break;
            }
            plain = format!("{}_{nth}", base.chars().take(52).collect::<String>());
        }
        taken.push(plain.to_ascii_lowercase());
        names.insert(name, plain);
    }
    names
}

#[cfg(test)]
mod tests;
