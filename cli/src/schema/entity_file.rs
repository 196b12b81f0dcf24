//! An entity as a file for people to go on with: what could be found out about a table, and in comments what could not.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use dbal_schema::{ColumnType, OnDelete, Schema, Source};

use crate::error::ToolError;
use crate::files::{self, PUBLIC};
use crate::output;
use crate::visible::one_line;

/// What will be a file.
#[derive(Debug, Default)]
pub(super) struct EntityFile {
    /// The entity's name.
    pub(super) name: String,
    /// Where that is not the table's.
    pub(super) table: Option<String>,
    pub(super) description: Option<String>,
    pub(super) is_read_only: bool,
    /// Comments before the entity.
    pub(super) notes: Vec<String>,
    /// The daemons would not load it: it stands in the file as a comment, for somebody to mend.
    pub(super) is_refused: bool,
    /// None: no entity can be made of it, and the file holds comments only.
    pub(super) fields: Vec<Field>,
    pub(super) indexes: Vec<Index>,
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Where that is not the column's.
    pub(super) column: Option<String>,
    pub(super) kind: ColumnType,
    pub(super) is_primary: bool,
    pub(super) is_nullable: bool,
    pub(super) is_unique: bool,
    pub(super) fill: Fill,
    pub(super) max_length: Option<u64>,
    /// Smallest and largest value.
    pub(super) range: Option<(String, String)>,
    /// Of an enum.
    pub(super) values: Vec<String>,
    pub(super) references: Option<Reference>,
    pub(super) description: Option<String>,
    /// Comments before the field.
    pub(super) notes: Vec<String>,
}

/// What a new row gets where a client names no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Nothing,
    /// By the daemon: uuid, cuid or the time.
    Generated,
    /// The time, on every update too.
    AutoUpdate,
    /// A text.
    Text(String),
    /// A number or a boolean, as YAML has it.
    Plain(String),
}

/// A foreign key.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) entity: String,
    pub(super) field: String,
    pub(super) on_delete: OnDelete,
}

/// An index over fields.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) fields: Vec<String>,
    pub(super) is_unique: bool,
}

impl Field {
    /// A field without flags.
    pub(super) fn new(name: &str, kind: ColumnType) -> Self {
        Self {
            name: name.to_owned(),
            column: None,
            kind,
            is_primary: false,
            is_nullable: false,
            is_unique: false,
            fill: Fill::Nothing,
            max_length: None,
            range: None,
            values: Vec::new(),
            references: None,
            description: None,
            notes: Vec::new(),
        }
    }

    fn line(&self) -> String {
        let Self {
            name,
            column,
            kind,
            is_primary,
            is_nullable,
            is_unique,
            fill,
            max_length,
            range,
            values,
            references,
            description,
            notes: _,
        } = self;
        let mut keys = vec![format!("type: {}", kind.name())];
        if *is_primary {
            keys.push("primary: true".to_owned());
        }
        // What is filled is never NULL unless that is said, and what is not may be left out unless that is said.
        match (fill, is_nullable) {
            (Fill::Nothing, true) => keys.push("optional: true".to_owned()),
            (Fill::Nothing, false) if *is_primary => {}
            (Fill::Nothing, false) => keys.push("required: true".to_owned()),
            (_, true) => keys.push("nullable: true".to_owned()),
            (_, false) => {}
        }
        match fill {
            Fill::Nothing => {}
            Fill::Generated => keys.push("generated: true".to_owned()),
            Fill::AutoUpdate => keys.push("auto_update: true".to_owned()),
            Fill::Text(text) => keys.push(format!("default: {}", scalar(text))),
            Fill::Plain(text) => keys.push(format!("default: {text}")),
        }
        if *is_unique && !is_primary {
            keys.push("unique: true".to_owned());
        }
        keys.extend(column.iter().map(|column| format!("column: {}", scalar(column))));
        keys.extend(max_length.iter().map(|most| format!("max_length: {most}")));
        keys.extend(range.iter().map(|(min, max)| format!("min: {min}, max: {max}")));
        if !values.is_empty() {
            keys.push(format!("values: {}", list(values)));
        }
        if let Some(Reference {
            entity,
            field,
            on_delete,
        }) = references
        {
            let (entity, field) = (scalar(entity), scalar(field));
            keys.push(format!(
                "foreign_key: {{entity: {entity}, field: {field}, on_delete: {}}}",
                on_delete.name()
            ));
        }
        keys.extend(
            description
                .iter()
                .map(|text| format!("description: {}", scalar(text))),
        );
        format!("  {}: {{{}}}\n", scalar(name), keys.join(", "))
    }
}

impl EntityFile {
    /// Every comment and what it is about.
    pub(super) fn all_notes(&self) -> impl Iterator<Item = (String, &String)> {
        let own = self.notes.iter().map(|note| (self.name.clone(), note));
        let of_fields = self.fields.iter().flat_map(|field| {
            let place = format!("{}.{}", self.name, field.name);
            field.notes.iter().map(move |note| (place.clone(), note))
        });
        own.chain(of_fields)
    }

    /// Whether its file declares one.
    pub(super) fn is_entity(&self) -> bool {
        !self.fields.is_empty() && !self.is_refused
    }

    /// The field that a line of the text is about.
    pub(super) fn field_in(&self, line: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.line().trim_end_matches('\n') == line)
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        comment(&mut text, "", &self.notes);
        if self.fields.is_empty() {
            return text;
        }
        if self.is_refused {
            text.push_str("# Mend what is below, and take its first `#` from every line.\n");
            for line in self.declaration().lines() {
                let _ = writeln!(text, "# {}", one_line(line));
            }
        } else {
            text.push_str(&self.declaration());
        }
        text
    }

    /// The YAML that declares it.
    fn declaration(&self) -> String {
        let Self {
            name,
            table,
            description,
            is_read_only,
            notes: _,
            is_refused: _,
            fields,
            indexes,
        } = self;
        let mut text = String::new();
        let _ = writeln!(text, "entity: {}", scalar(name));
        if let Some(table) = table {
            let _ = writeln!(text, "table: {}", scalar(table));
        }
        if let Some(description) = description {
            let _ = writeln!(text, "description: {}", scalar(description));
        }
        if *is_read_only {
            text.push_str("read_only: true\n");
        }
        text.push_str("fields:\n");
        for field in fields {
            comment(&mut text, "  ", &field.notes);
            text.push_str(&field.line());
        }
        if !indexes.is_empty() {
            text.push_str("indexes:\n");
        }
        for Index {
            name,
            fields,
            is_unique,
        } in indexes
        {
            let unique = if *is_unique { "unique: true, " } else { "" };
            let (fields, name) = (list(fields), scalar(name));
            let _ = writeln!(text, "  - {{fields: {fields}, {unique}name: {name}}}");
        }
        text
    }
}

/// Lines that mean nothing to a daemon.
fn comment(text: &mut String, indent: &str, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "{indent}# {}", one_line(note));
    }
}

/// What the files of the entities are called, no two alike.
pub(super) fn file_names(entities: &[EntityFile]) -> Vec<String> {
    let mut names = HashSet::new();
    let name = |entity: &EntityFile| {
        let mut name = file_name(&entity.name);
        while !names.insert(name.clone()) {
            name.push('_');
        }
        format!("{name}.yaml")
    };
    entities.iter().map(name).collect()
}

/// Writes one file for each entity, if none of the files is there yet, and loads them all.
pub(super) fn write(folder: &Path, entities: &[EntityFile]) -> Result<usize, ToolError> {
    let named = entities.iter().zip(file_names(entities));
    let sources: Vec<Source> = named
        .map(|(entity, name)| Source {
            name: folder.join(name).display().to_string(),
            text: entity.text(),
        })
        .collect();
    let paths: Vec<PathBuf> = sources.iter().map(|source| PathBuf::from(&source.name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(ToolError::Usage(format!(
            "{} exists already, and somebody may have worked on it; choose an empty folder",
            there.display()
        )));
    }
    std::fs::create_dir_all(folder).map_err(|source| ToolError::file(folder, source))?;
    for (path, source) in paths.iter().zip(&sources) {
        files::replace(path, source.text.as_bytes(), PUBLIC)?;
    }
    // After they are written, so that what this says can be looked up in them.
    if entities.iter().any(EntityFile::is_entity) {
        let loaded = Schema::parse(&sources)?;
        for warning in &loaded.warnings {
            output::say(format_args!("warning: {warning}"));
        }
    }
    Ok(sources.len())
}

/// `OrderItem` → `order_item`, so that folders look alike wherever the names come from.
fn file_name(entity: &str) -> String {
    let mut name = String::new();
    let mut was_lower = false;
    for character in entity.chars() {
        if character.is_ascii_uppercase() && was_lower {
            name.push('_');
        }
        was_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        name.push(if character.is_ascii_alphanumeric() {
            character.to_ascii_lowercase()
        } else {
            '_'
        });
    }
    name
}

/// A name that an entity or a field can have, made of one that a database has.
pub(super) fn plain_name(name: &str) -> String {
    let mut plain: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .take(63)
        .collect();
    if plain.is_empty() || plain.starts_with(|first: char| first.is_ascii_digit()) {
        plain.insert(0, '_');
        plain.truncate(63);
    }
    plain
}

/// As long as a name in a database may be.
pub(super) fn cut(name: &str) -> String {
    let end = (0..=63.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    name.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// JSON as YAML, of which it is nearly a part: characters that YAML has no room for can only be inside of texts.
pub(super) fn json(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if one_line(&character.to_string()).starts_with(character) {
            text.push(character);
        } else {
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        }
    }
    text
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| scalar(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text as YAML: plain where nobody could take it for anything else, else in double quotes.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_');
    let reserved = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    if is_plain && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Whatever YAML or a terminal takes for the end of a line, or for nothing at all.
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_out_of_its_place_in_the_file() {
        for text in [
            "",
            "yes",
            "a: b",
            "# c",
            "it's",
            "\"",
            "\\",
            "a\nb",
            "\u{85}",
            "\u{2028}x",
            "0x1",
            "~",
            "[a",
            "{",
            "é",
            "-",
        ] {
            let mut field = Field::new("id", ColumnType::String);
            field.column = Some(if text.is_empty() || text.chars().any(char::is_control) {
                "c".to_owned()
            } else {
                text.to_owned()
            });
            field.description = Some(text.to_owned());
            field.fill = Fill::Text(text.to_owned());
            field.notes.push(text.to_owned());
            let file = EntityFile {
                name: "A".to_owned(),
                notes: vec![text.to_owned()],
                description: Some(text.to_owned()),
                fields: vec![field],
                ..EntityFile::default()
            };
            let source = Source {
                name: "a.yaml".to_owned(),
                text: file.text(),
            };
            let loaded = Schema::parse(&[source]).unwrap_or_else(|error| panic!("{error}\n{}", file.text()));
            let entity = loaded.schema.by_name("A").unwrap();
            let column = entity.column(entity.key).unwrap();
            assert_eq!(entity.description.as_deref(), Some(text));
            assert_eq!(column.description.as_deref(), Some(text));
            let default = format!("{:?}", column.default);
            assert_eq!(default, format!("Some(Text({text:?}))"), "{}", file.text());
        }
    }

    #[test]
    fn names_are_made_fit_to_be_names() {
        assert_eq!(plain_name("order items"), "order_items");
        assert_eq!(plain_name("2fa"), "_2fa");
        assert_eq!(plain_name(""), "_");
        assert_eq!(file_name("OrderItem"), "order_item");
        assert_eq!(file_name("../x"), "___x");
    }
}
