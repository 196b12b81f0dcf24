//! Small schemas for the tests of this crate.

use crate::{Column, Entity, Loaded, Schema, SchemaError, Source};

pub(crate) fn parse(text: &str) -> Result<Loaded, SchemaError> {
    parse_named(&[("e.yaml", text)])
}

pub(crate) fn parse_named(files: &[(&str, &str)]) -> Result<Loaded, SchemaError> {
    let sources: Vec<Source> = files
        .iter()
        .map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Schema::parse(&sources)
}

/// The entity `T` with a key and one field `f` of the given flow mapping.
pub(crate) fn one_field(field: &str) -> String {
    format!("entity: T\nfields:\n  id: {{type: uuid, generated: true}}\n  f: {{{field}}}\n")
}

pub(crate) fn entity(text: &str) -> Entity {
    parse(text).unwrap().schema.entities()[0].clone()
}

pub(crate) fn column(field: &str) -> Column {
    entity(&one_field(field)).column_by_name("f").unwrap().clone()
}

/// All problems, one a line.
pub(crate) fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}
