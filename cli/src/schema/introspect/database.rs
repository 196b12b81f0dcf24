//! One table of a live database → one entity: what each column becomes, what it refers to, what is left out and why.

use std::collections::{HashMap, HashSet};

use dbal_schema::identifier::IDENTIFIER_BYTES;
use dbal_schema::{ColumnType, OnDelete};

use super::super::entity_file::{EntityFile, Field, Fill, Index, Reference, cut, json};
use super::{Column, FoundIndex, FoundReference, Table, names};

/// All tables, and what their entities are called.
pub(super) struct Database<'a> {
    pub(super) tables: &'a [&'a Table],
    pub(super) entities: HashMap<&'a str, String>,
}

impl Table {
    /// The one column that is its key, or could be.
    fn only_key(&self) -> Option<&str> {
        match self.key.as_slice() {
            [only] => return Some(only),
            [] => {}
            [_, _, ..] => return None,
        }
        let alone = self.indexes.iter().filter(|index| index.unique && index.whole);
        let alone = alone.filter_map(|index| match index.columns.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        });
        let is_always_there = |name: &&str| self.column(name).is_some_and(|column| !column.nullable);
        alone.into_iter().find(is_always_there)
    }

    /// The column that will be the entity's key.
    fn entity_key(&self) -> Option<&str> {
        let first = self
            .columns
            .first()
            .filter(|_| self.is_view && self.key.is_empty());
        let key = self.only_key().or(first.map(|first| first.name.as_str()))?;
        let kind = ColumnType::named(self.column(key)?.kind.as_deref()?)?;
        can_be_unique(kind).then_some(key)
    }

    fn column(&self, name: &str) -> Option<&Column> {
        let exact = self.columns.iter().find(|column| column.name == name);
        let any_case = || {
            let mut columns = self.columns.iter();
            columns.find(|column| column.name.eq_ignore_ascii_case(name))
        };
        exact.or_else(any_case)
    }

    fn is_unique(&self, column: &str) -> bool {
        let is_alone = |index: &FoundIndex| match index.columns.as_slice() {
            [only] => index.unique && index.whole && only.eq_ignore_ascii_case(column),
            _ => false,
        };
        self.only_key()
            .is_some_and(|key| key.eq_ignore_ascii_case(column))
            || self.indexes.iter().any(is_alone)
    }
}

impl Database<'_> {
    /// The entity of one of them.
    pub(super) fn entity(&self, table: &Table) -> EntityFile {
        let name = self
            .entities
            .get(table.name.as_str())
            .cloned()
            .unwrap_or_default();
        let mut entity = EntityFile {
            table: (name != table.name).then(|| table.name.clone()),
            name,
            is_read_only: table.is_view,
            ..EntityFile::default()
        };
        entity.notes.extend(table.notes.iter().cloned());
        let Some(key) = table.entity_key() else {
            let of = table.key.join(", ");
            entity.notes.push(if table.key.len() > 1 {
                format!(
                    "the table `{}` is no entity: its key is made of several columns ({of}), an entity's of one. Give it a \
                     column of its own for that",
                    table.name
                )
            } else {
                format!(
                    "the table `{}` is no entity: no single column of a known type identifies its rows",
                    table.name
                )
            });
            return entity;
        };
        if table.is_view {
            entity.notes.push(format!(
                "a view has no key; `{key}` stands for it because it comes first: make sure that no two rows share it"
            ));
        }
        let fields = names(table.columns.iter().map(|column| column.name.as_str()));
        let mut seen = HashSet::from([key.to_ascii_lowercase()]);
        for column in &table.columns {
            if column.name != key
                && let Some(why) = unnameable(&column.name, &mut seen)
            {
                entity.notes.push(why);
                continue;
            }
            let name = fields.get(column.name.as_str()).map_or("", String::as_str);
            match self.field(table, column, name, column.name.eq_ignore_ascii_case(key)) {
                Ok(field) => entity.fields.push(field),
                Err(why) => entity.notes.push(why),
            }
        }
        indexes(table, key, &fields, &mut entity);
        for reference in table.references.iter().filter(|one| one.columns.len() > 1) {
            entity.notes.push(format!(
                "the foreign key over {} to `{}` is left out: an entity's is of one field",
                reference.columns.join(", "),
                reference.table
            ));
        }
        entity
    }

    /// A field, or why there is none.
    fn field(&self, table: &Table, column: &Column, name: &str, is_key: bool) -> Result<Field, String> {
        let Column {
            name: sql,
            declared,
            kind,
            doubt,
            nullable,
            max_length,
            range,
            values,
            fill,
            value,
        } = column;
        let kind = self.kind(table, column, kind.as_deref()).ok_or_else(|| {
            let advice = doubt.as_deref().unwrap_or("choose one that fits what it holds");
            format!("the column `{sql}` is left out: there is no type for `{declared}`; {advice}")
        })?;
        if fill == "computed" {
            return Err(format!(
                "the column `{sql}` is left out: it is computed, and the daemon writes every field of a new row"
            ));
        }
        let mut field = Field::new(name, kind);
        field.column = (name != sql).then(|| sql.clone());
        field.is_primary = is_key;
        field.is_nullable = *nullable && !is_key;
        field.is_unique = !is_key && table.is_unique(sql) && can_be_unique(kind);
        field.max_length = max_length.filter(|_| {
            matches!(
                kind,
                ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Bytes
            )
        });
        field.values.clone_from(values);
        field.range = range
            .filter(|range| is_within(*range, kind))
            .map(|(least, most)| (least.to_string(), most.to_string()));
        field
            .notes
            .extend(doubt.iter().map(|doubt| format!("`{declared}`: {doubt}")));
        match (fill.as_str(), value) {
            ("literal", Some(value)) => match default(kind, value) {
                Some(fill) => field.fill = fill,
                None => field.notes.push(format!("the database's default `{value}` is none of this type")),
            },
            ("counter", _) => field.notes.push(
                "the database counts it up, but the daemon names every column: clients must send the value".to_owned(),
            ),
            ("only_counter", _) => field.notes.push(
                "the database counts it up and takes no other number: let it take others (`GENERATED BY DEFAULT`), or say \
                 `read_only: true`"
                    .to_owned(),
            ),
            ("expression", value) => field.notes.push(format!(
                "the database's default is `{}`; the daemon names every column, so say `generated: true` or a `default`",
                value.as_deref().unwrap_or_default()
            )),
            _ => {}
        }
        self.reference(table, column, &mut field);
        Ok(field)
    }

    /// A column that refers to another is of the other's type, or the two could not be compared.
    fn kind(&self, table: &Table, column: &Column, own: Option<&str>) -> Option<ColumnType> {
        let own = ColumnType::named(own?)?;
        let (mut table, mut column) = (table, column);
        let mut kind = own;
        for _ in 0..HOPS {
            let Some(referred) = self.referred(table, column) else {
                break;
            };
            (table, column) = (referred.table, referred.column);
            match column.kind.as_deref().and_then(ColumnType::named) {
                Some(theirs) if storage(theirs) == storage(own) => kind = theirs,
                Some(_) | None => break,
            }
        }
        Some(kind)
    }

    fn referred<'t>(&'t self, table: &'t Table, column: &Column) -> Option<Referred<'t>> {
        let reference = table
            .references
            .iter()
            .find(|reference| match reference.columns.as_slice() {
                [only] => only.eq_ignore_ascii_case(&column.name),
                _ => false,
            })?;
        let exact = self.tables.iter().find(|other| other.name == reference.table);
        let any_case = || {
            let mut tables = self.tables.iter();
            tables.find(|other| other.name.eq_ignore_ascii_case(&reference.table))
        };
        let table = exact.or_else(any_case)?;
        Some(Referred {
            reference,
            table,
            column: table.column(reference.to.first()?)?,
        })
    }

    fn reference(&self, table: &Table, column: &Column, field: &mut Field) {
        let Some(Referred {
            reference,
            table: other,
            column: target,
        }) = self.referred(table, column)
        else {
            return;
        };
        let name = format!("{}.{}", other.name, target.name);
        let theirs = self.kind(other, target, target.kind.as_deref());
        let fits =
            theirs.is_some_and(|theirs| theirs == field.kind || storage(theirs) == storage(field.kind));
        if other.entity_key().is_none()
            || !other.is_unique(&target.name)
            || target.fill == "computed"
            || !fits
        {
            field.notes.push(format!(
                "the foreign key to `{name}` is left out: that is no unique field of an entity, or of another type"
            ));
            return;
        }
        let on_delete = reference.on_delete.as_deref().and_then(OnDelete::named);
        let on_delete = match on_delete {
            Some(OnDelete::SetNull) if !field.is_nullable => None,
            other => other,
        };
        if on_delete.is_none() {
            field.notes.push(format!(
                "what the foreign key to `{name}` does on delete has no counterpart; `restrict` is not what happens"
            ));
        }
        let fields = names(other.columns.iter().map(|column| column.name.as_str()));
        field.references = Some(Reference {
            entity: self
                .entities
                .get(other.name.as_str())
                .cloned()
                .unwrap_or_default(),
            field: fields.get(target.name.as_str()).cloned().unwrap_or_default(),
            on_delete: on_delete.unwrap_or(OnDelete::Restrict),
        });
    }
}

/// Why no field can name a column; the daemons would refuse the whole entity.
fn unnameable(column: &str, seen: &mut HashSet<String>) -> Option<String> {
    if column.len() > IDENTIFIER_BYTES {
        return Some(format!(
            "the column `{column}` is left out: its name has {} bytes, and an entity names columns of up to {IDENTIFIER_BYTES}",
            column.len()
        ));
    }
    (!seen.insert(column.to_ascii_lowercase())).then(|| {
        format!("the column `{column}` is left out: another one differs from it by case alone, which not every database tells apart")
    })
}

fn indexes(table: &Table, key: &str, fields: &HashMap<&str, String>, entity: &mut EntityFile) {
    for index in &table.indexes {
        let FoundIndex {
            name,
            columns,
            unique,
            whole,
        } = index;
        if !whole {
            entity.notes.push(format!(
                "the index `{name}` is left out: it is over part of the rows or of their values, or over expressions"
            ));
            continue;
        }
        let field = |column: &String| {
            let name = fields.get(column.as_str())?;
            entity.fields.iter().find(|field| field.name == *name)
        };
        let found: Vec<&Field> = columns.iter().filter_map(field).collect();
        if found.len() < columns.len() {
            entity.notes.push(format!(
                "the index `{name}` is left out: a column of it is no field"
            ));
            continue;
        }
        let is_said_already = match found.as_slice() {
            [only] => {
                only.column
                    .as_ref()
                    .unwrap_or(&only.name)
                    .eq_ignore_ascii_case(key)
                    || only.is_unique
            }
            _ => false,
        };
        if is_said_already {
            continue;
        }
        // SQLite's own names can't be given to an index.
        let name = if name.starts_with("sqlite_autoindex_") {
            cut(&format!("{}_{}_key", table.name, columns.join("_")))
        } else {
            name.clone()
        };
        let fields = found.iter().map(|field| field.name.clone()).collect();
        entity.indexes.push(Index {
            name,
            fields,
            is_unique: *unique,
        });
    }
}

/// What a column refers to.
struct Referred<'t> {
    reference: &'t FoundReference,
    table: &'t Table,
    column: &'t Column,
}

/// References from one to the next, at most.
const HOPS: usize = 16;

/// Types whose values can be equal. What a column was declared as says less than what it refers to.
fn storage(kind: ColumnType) -> ColumnType {
    match kind {
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum => ColumnType::Text,
        ColumnType::Integer | ColumnType::Bigint => ColumnType::Bigint,
        ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => kind,
    }
}

/// Whether a range says more than the type.
fn is_within((least, most): (i64, i64), kind: ColumnType) -> bool {
    kind.whole_numbers()
        .is_some_and(|(smallest, largest)| least > smallest || most < largest)
}

fn can_be_unique(kind: ColumnType) -> bool {
    !matches!(kind, ColumnType::Float | ColumnType::Json)
}

/// The database's default as a value of the type.
fn default(kind: ColumnType, value: &str) -> Option<Fill> {
    match kind {
        ColumnType::Boolean => match value.to_ascii_lowercase().as_str() {
            "0" | "false" => Some(Fill::Plain("false".to_owned())),
            "1" | "true" => Some(Fill::Plain("true".to_owned())),
            _ => None,
        },
        ColumnType::Integer => value
            .parse::<i32>()
            .ok()
            .map(|value| Fill::Plain(value.to_string())),
        ColumnType::Bigint => value
            .parse::<i64>()
            .ok()
            .map(|value| Fill::Plain(value.to_string())),
        ColumnType::Float => {
            let value = value.parse::<f64>().ok().filter(|value| value.is_finite())?;
            Some(Fill::Plain(format!("{value:?}")))
        }
        ColumnType::Decimal => {
            let is_plain = |one: char| one.is_ascii_digit() || one == '-' || one == '.';
            (value.chars().all(is_plain) && value.parse::<f64>().is_ok())
                .then(|| Fill::Text(value.to_owned()))
        }
        ColumnType::Json => {
            let value = serde_json::from_str::<serde_json::Value>(value).ok()?;
            (!value.is_null()).then(|| Fill::Plain(json(&value)))
        }
        ColumnType::String | ColumnType::Text | ColumnType::Enum => Some(Fill::Text(value.to_owned())),
        // The database writes these in its own way.
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::Email
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Bytes => None,
    }
}
