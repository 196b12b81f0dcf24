//! SQLite's catalogue → [`Catalog`], by its table-valued pragmas, which take names as parameters (sqlite.org/pragma.html).

use dbal_schema::{ColumnType, OnDelete};
use rusqlite::{Connection, OptionalExtension};

use super::order;
use crate::database::catalog::{
    Catalog, Column, Extent, Fill, Fit, Index, Names, Reference, Table, TableKind, Ties, Types,
};

/// Everything that the file holds.
pub fn catalog(connection: &Connection) -> rusqlite::Result<Catalog> {
    let mut statement = connection.prepare(
        "SELECT name, type, strict FROM pragma_table_list \
         WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let list = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let list: Vec<(String, String, bool)> = list.collect::<rusqlite::Result<_>>()?;
    let tables = list.into_iter().map(|(name, kind, is_strict)| {
        Ok(Table {
            kind: if kind == "table" {
                TableKind::Table
            } else {
                TableKind::View
            },
            columns: columns(connection, &name, is_strict, kind == "table")?,
            key: key(connection, &name)?,
            indexes: indexes(connection, &name)?,
            references: references(connection, &name)?,
            is_ours: true,
            is_transactional: true,
            is_strict,
            ties: Ties {
                is_itself: kind == "table",
                has_effects: kind != "table" || has_triggers(connection, &name)?,
            },
            forbidden: Vec::new(),
            notes: notes(connection, &name)?,
            name,
        })
    });
    Ok(Catalog {
        tables: tables.collect::<rusqlite::Result<_>>()?,
        place: None,
        table_names: Names::AnyCase,
        names: Names::AnyCase,
        types: Types {
            suggest,
            fit,
            usable: |_| Vec::new(),
            is_loose: |column| !order::is_exact(column),
            is_comparable: |_, _, _| true,
        },
    })
}

fn columns(
    connection: &Connection,
    table: &str,
    is_strict: bool,
    is_table: bool,
) -> rusqlite::Result<Vec<Column>> {
    // hidden: 0 is a column, 2 and 3 are computed; 1 is a virtual table's own.
    let mut statement = connection.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, hidden, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let mut rows = statement.query([table])?;
    let mut columns = Vec::new();
    let mut keys: u32 = 0;
    while let Some(row) = rows.next()? {
        let declared: String = row.get(1)?;
        let is_computed = row.get::<_, i64>(4)? >= 2;
        let default: Option<String> = row.get(3)?;
        keys = keys.saturating_add(u32::from(row.get::<_, i64>(5)? > 0));
        // `INTEGER PRIMARY KEY` is the row's number, which SQLite gives and never leaves empty (sqlite.org/rowidtable.html).
        let is_number = row.get::<_, i64>(5)? > 0 && declared.eq_ignore_ascii_case("INTEGER");
        let name: String = row.get(0)?;
        columns.push(Column {
            storage: storage(&declared, is_strict).to_owned(),
            collation: if is_table {
                collation(connection, table, &name)?
            } else {
                // A view's column has that of the expression behind it, which nobody tells.
                None
            },
            name,
            is_nullable: !row.get::<_, bool>(2)? && !is_number,
            is_readable: true,
            max_length: None,
            range: None,
            values: Vec::new(),
            fill: match default {
                _ if is_computed => Fill::Computed,
                _ if is_number => Fill::Counter,
                Some(default) => literal(&default),
                None => Fill::Nothing,
            },
            declared,
        });
    }
    // One column of a key of several is no number of the row.
    if keys > 1 {
        for column in columns.iter_mut().filter(|column| column.fill == Fill::Counter) {
            column.fill = Fill::Nothing;
        }
    }
    Ok(columns)
}

/// What a column's texts are compared by.
fn collation(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<Option<String>> {
    let (_declared, collation, ..) = connection.column_metadata(Some("main"), table, column)?;
    Ok(collation.map(|name| name.to_string_lossy().into_owned()))
}

/// A default that is a value; anything else is an expression.
fn literal(sql: &str) -> Fill {
    let quoted = sql.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(inner) = quoted.filter(|inner| !inner.replace("''", "").contains('\'')) {
        return Fill::Literal(inner.replace("''", "'"));
    }
    let is_word = ["true", "false"].contains(&sql.to_ascii_lowercase().as_str());
    if sql.eq_ignore_ascii_case("NULL") {
        Fill::Nothing
    } else if is_word || sql.parse::<f64>().is_ok() {
        Fill::Literal(sql.to_owned())
    } else {
        Fill::Expression(sql.to_owned())
    }
}

fn key(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    let mut list = connection
        .prepare_cached("SELECT name, \"unique\", partial FROM pragma_index_list(?1) ORDER BY name")?;
    let list = list.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let list: Vec<(String, bool, bool)> = list.collect::<rusqlite::Result<_>>()?;
    // The name is NULL where the index is over an expression.
    let mut parts = connection.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let indexes = list.into_iter().map(|(name, is_unique, is_partial)| {
        let parts = parts.query_map([&name], |row| row.get(0))?;
        let parts: Vec<Option<String>> = parts.collect::<rusqlite::Result<_>>()?;
        Ok(Index {
            name,
            is_unique,
            extent: if !is_partial && parts.iter().all(Option::is_some) {
                Extent::Whole
            } else {
                Extent::Part
            },
            columns: parts.into_iter().flatten().collect(),
        })
    });
    indexes.collect()
}

fn references(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Reference>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, \"table\", \"from\", \"to\", on_delete, on_update FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let mut rows = statement.query([table])?;
    let mut references: Vec<(i64, Reference)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let (on_delete, on_update): (String, String) = (row.get(4)?, row.get(5)?);
        if references.last().is_none_or(|(last, _)| *last != id) {
            references.push((
                id,
                Reference {
                    columns: Vec::new(),
                    table: row.get(1)?,
                    to: Vec::new(),
                    on_delete: match on_delete.as_str() {
                        "NO ACTION" | "RESTRICT" => Some(OnDelete::Restrict),
                        "CASCADE" => Some(OnDelete::Cascade),
                        "SET NULL" => Some(OnDelete::SetNull),
                        _ => None,
                    },
                    follows_updates: !matches!(on_update.as_str(), "NO ACTION" | "RESTRICT"),
                },
            ));
        }
        if let Some((_, reference)) = references.last_mut() {
            reference.columns.push(row.get(2)?);
            reference.to.extend(row.get::<_, Option<String>>(3)?);
        }
    }
    let mut references: Vec<Reference> = references.into_iter().map(|(_, reference)| reference).collect();
    for reference in &mut references {
        // `REFERENCES other` alone means its primary key.
        if reference.to.is_empty() {
            reference.to = key(connection, &reference.table)?;
        }
    }
    Ok(references)
}

fn has_triggers(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let any =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";
    connection.query_row(any, [table], |row| row.get(0))
}

/// Checks and triggers are only to be had as the text that made them.
fn notes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut notes = Vec::new();
    let made = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let made: Option<Option<String>> = connection.query_row(made, [table], |row| row.get(0)).optional()?;
    if made
        .flatten()
        .is_some_and(|sql| sql.to_ascii_uppercase().contains("CHECK"))
    {
        notes.push(
            "the table seems to have CHECK constraints, which an entity says by its own rules".to_owned(),
        );
    }
    let mut triggers = connection.prepare_cached(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY name",
    )?;
    for name in triggers.query_map([table], |row| row.get::<_, String>(0))? {
        notes.push(format!("the trigger `{}` runs when rows are written", name?));
    }
    Ok(notes)
}

/// What a column stores: a strict type, or the affinity that SQLite derives from a declared one, in its order of rules
/// (sqlite.org/datatype3.html §3.1).
fn storage(declared: &str, is_strict: bool) -> &'static str {
    let upper = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if is_strict {
        match upper.as_str() {
            "INT" | "INTEGER" => "strict integer",
            "REAL" => "strict real",
            "TEXT" => "strict text",
            "BLOB" => "strict blob",
            _ => "any",
        }
    } else if has(&["INT"]) {
        "integer"
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        "text"
    } else if has(&["BLOB"]) || upper.is_empty() {
        "any"
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        "real"
    } else {
        "numeric"
    }
}

const NUMBERS: Fit =
    Fit::Partly("SQLite turns texts that look like numbers into numbers there, and they can't be read");

fn fit(column: &Column, kind: ColumnType) -> Fit {
    let whole_if = |fits| if fits { Fit::Whole } else { Fit::Not };
    // How `values` writes them.
    let (is_integer, is_real, is_blob) = match kind {
        ColumnType::Integer | ColumnType::Bigint | ColumnType::Boolean => (true, false, false),
        ColumnType::Float => (false, true, false),
        ColumnType::Bytes => (false, false, true),
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Decimal
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json => (false, false, false),
    };
    let is_text = !is_integer && !is_real && !is_blob;
    let never_a_number = matches!(
        kind,
        ColumnType::Uuid | ColumnType::Cuid | ColumnType::Email | ColumnType::Date | ColumnType::Datetime
    );
    match column.storage.as_str() {
        "strict integer" => whole_if(is_integer),
        "strict real" => whole_if(is_real),
        "strict text" => whole_if(is_text),
        "strict blob" => whole_if(is_blob),
        "any" => Fit::Whole,
        "text" => whole_if(is_text || is_blob),
        _ if is_blob || is_real => Fit::Whole,
        "numeric" if never_a_number => Fit::Whole,
        _ if never_a_number => Fit::Partly("it was made for numbers, and a row that holds one can't be read"),
        // A column of numbers keeps whole ones as integers, unless it is of floats.
        "integer" | "numeric" if is_integer => Fit::Whole,
        _ if is_integer || kind == ColumnType::Decimal => Fit::Not,
        _ => NUMBERS,
    }
}

fn suggest(column: &Column) -> Option<ColumnType> {
    let declared = column.declared.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    let wanted = if has(&["bool"]) {
        ColumnType::Boolean
    } else if has(&["uuid", "uniqueidentifier"]) {
        ColumnType::Uuid
    } else if has(&["json"]) {
        ColumnType::Json
    } else if has(&["datetime", "timestamp"]) {
        ColumnType::Datetime
    } else if has(&["date"]) {
        ColumnType::Date
    } else if has(&["tinyint", "smallint", "mediumint"]) {
        ColumnType::Integer
    } else if has(&["point"]) {
        // SQLite takes it for an integer too, and nobody else does.
        return None;
    } else if has(&["int"]) {
        ColumnType::Bigint
    } else if has(&["char"]) {
        ColumnType::String
    } else if has(&["text", "clob"]) {
        ColumnType::Text
    } else if has(&["blob"]) {
        ColumnType::Bytes
    } else if has(&["real", "floa", "doub", "dec", "num"]) {
        ColumnType::Float
    } else {
        return None;
    };
    (fit(column, wanted) != Fit::Not).then_some(wanted)
}
