//! The tables as they are: whether they fit the entities, in what order their texts stand, and which columns a key is of.

use std::collections::HashMap;

use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::ids::ColumnId;
use dbal_sql::{Dialect, MARIADB, MARIADB_FOREIGN, MYSQL, MYSQL_FOREIGN};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::server::Kind;

/// What does not fit.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// No such table.
    #[error(
        "entity `{entity}`: there is no table `{table}`; `create_tables: true` makes missing tables, but never changes one"
    )]
    NoTable {
        /// The entity.
        entity: String,
        /// Its table.
        table: String,
    },
    /// No such column.
    #[error("entity `{entity}`, field `{field}`: the table `{table}` has no column `{column}`")]
    NoColumn {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column that can't hold the field's values.
    #[error(
        "entity `{entity}`, field `{field}`: a column of type {found} can't hold {kind:?}; usable are {usable}"
    )]
    WrongType {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// The column's type.
        found: String,
        /// The field's type.
        kind: ColumnType,
        /// Types that would do.
        usable: String,
    },
}

/// Unique keys by table and name.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<(String, String), Vec<String>>);

impl Keys {
    /// Reads them.
    pub(super) async fn read(connection: &mut Conn) -> Result<Self, mysql_async::Error> {
        let rows: Vec<(String, String, String)> = connection
            .query(
                "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
                 WHERE TABLE_SCHEMA = DATABASE() AND NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL \
                 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
            )
            .await?;
        let mut keys: HashMap<_, Vec<String>> = HashMap::new();
        for (table, index, column) in rows {
            keys.entry((table, index)).or_default().push(column);
        }
        Ok(Self(keys))
    }

    /// The columns of `entity` in one of its keys; none when it has none of that name.
    pub(super) fn columns(&self, entity: &Entity, key: &str) -> Vec<ColumnId> {
        let name = (entity.table.as_str().to_owned(), key.to_owned());
        let Some(names) = self.0.get(&name) else {
            return Vec::new();
        };
        let is_named = |column: &&Column| names.iter().any(|name| name == column.sql.as_str());
        let columns = entity.columns.iter().filter(is_named);
        columns.map(|column| column.id).collect()
    }
}

/// A column as information_schema has it.
struct Found {
    kind: String,
    collation: Option<String>,
}

/// Looks at every column of the schema, and tells the dialect that goes with what it finds.
pub(super) async fn check(
    connection: &mut Conn,
    schema: &Schema,
    kind: Kind,
) -> Result<Result<&'static Dialect, TableError>, mysql_async::Error> {
    let rows: Vec<(String, String, String, Option<String>)> = connection
        .query(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLLATION_NAME FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = DATABASE()",
        )
        .await?;
    let mut tables: HashMap<String, HashMap<String, Found>> = HashMap::new();
    for (table, column, kind, collation) in rows {
        let found = Found {
            kind: kind.to_ascii_lowercase(),
            collation,
        };
        tables.entry(table).or_default().insert(column, found);
    }
    let (own, foreign, collation) = match kind {
        Kind::MariaDb => (&MARIADB, &MARIADB_FOREIGN, "utf8mb4_nopad_bin"),
        Kind::MySql => (&MYSQL, &MYSQL_FOREIGN, "utf8mb4_0900_bin"),
    };
    let mut are_exact = true;
    for entity in schema.entities() {
        match check_entity(entity, tables.get(entity.table.as_str()), collation) {
            Ok(is_exact) => are_exact = are_exact && is_exact,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(if are_exact { own } else { foreign }))
}

/// Whether its texts are compared by code point.
fn check_entity(
    entity: &Entity,
    table: Option<&HashMap<String, Found>>,
    collation: &str,
) -> Result<bool, TableError> {
    let table = table.ok_or_else(|| TableError::NoTable {
        entity: entity.name.clone(),
        table: entity.table.as_str().to_owned(),
    })?;
    let mut is_exact = true;
    for column in &entity.columns {
        let found = table
            .get(column.sql.as_str())
            .ok_or_else(|| TableError::NoColumn {
                entity: entity.name.clone(),
                field: column.name.clone(),
                table: entity.table.as_str().to_owned(),
                column: column.sql.as_str().to_owned(),
            })?;
        let usable = usable(column.kind);
        if !usable.contains(&found.kind.as_str()) {
            return Err(TableError::WrongType {
                entity: entity.name.clone(),
                field: column.name.clone(),
                found: found.kind.clone(),
                kind: column.kind,
                usable: usable.join(", "),
            });
        }
        // An enum has its own order whatever its collation.
        let is_plain = found.collation.as_deref() == Some(collation) && found.kind != "enum";
        is_exact = is_exact && (!column.kind.is_text() || is_plain);
    }
    Ok(is_exact)
}

/// Types of columns that can hold the values of a field, as information_schema calls them.
fn usable(kind: ColumnType) -> &'static [&'static str] {
    match kind {
        ColumnType::Uuid => &["char", "varchar", "uuid"],
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email => {
            &["char", "varchar", "tinytext", "text", "mediumtext", "longtext"]
        }
        ColumnType::Enum => &[
            "enum",
            "char",
            "varchar",
            "tinytext",
            "text",
            "mediumtext",
            "longtext",
        ],
        ColumnType::Integer | ColumnType::Bigint => &["tinyint", "smallint", "mediumint", "int", "bigint"],
        ColumnType::Float => &["float", "double"],
        ColumnType::Decimal => &["decimal"],
        ColumnType::Boolean => &["tinyint", "bit"],
        ColumnType::Date => &["date"],
        ColumnType::Datetime => &["datetime", "timestamp"],
        ColumnType::Json => &["json", "longtext", "mediumtext", "text"],
        ColumnType::Bytes => &[
            "binary",
            "varbinary",
            "tinyblob",
            "blob",
            "mediumblob",
            "longblob",
        ],
    }
}
