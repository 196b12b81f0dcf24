//! In what order the texts of the tables stand: that of code points, or another, against which each comparison has to say so; and
//! which columns keep uuids otherwise than as text.

use dbal_schema::{ColumnType, Entity, Schema};
use dbal_shared::ids::EntityId;
use dbal_sql::{
    ANY_NUMBER, Dialect, MARIADB, MARIADB_FOREIGN, MYSQL, MYSQL_FOREIGN, OtherUuid, UuidForm,
    answering_new_rows, making_alone,
};

use super::server::{Kind, NewRows};
use super::types;
use crate::database::catalog::{Catalog, are_lax};

/// What the texts of the tables that the worker makes are compared by.
pub(super) fn collation(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => "utf8mb4_nopad_bin",
        Kind::MySql => "utf8mb4_0900_bin",
    }
}

/// The dialect for tables as they are. One text in another order makes all comparisons say the order.
pub(super) fn dialect(kind: Kind, schema: &Schema, catalog: &Catalog) -> &'static Dialect {
    let foreign = match kind {
        Kind::MariaDb => &MARIADB_FOREIGN,
        Kind::MySql => &MYSQL_FOREIGN,
    };
    let are_exact = schema.entities().iter().all(|entity| {
        let table = catalog.table(entity.table.as_str());
        let mut texts = entity.columns.iter().filter(|column| column.kind.is_text());
        texts.all(|column| {
            let found = table.and_then(|table| table.column(column.sql.as_str(), catalog.names));
            // Where there is a list of values, they stand in its order.
            found.is_some_and(|found| {
                found.collation.as_deref() == Some(collation(kind)) && found.values.is_empty()
            })
        })
    });
    let dialect = if are_exact { made(kind) } else { foreign };
    let others = other_uuids(schema, catalog);
    let around_boolean = if are_lax(ColumnType::Boolean, schema, catalog) {
        ANY_NUMBER
    } else {
        dialect.around_boolean
    };
    if others.is_empty() && around_boolean == dialect.around_boolean {
        return dialect;
    }
    // It is made once, at start, and serves as long as the process lives.
    Box::leak(Box::new(Dialect {
        other_uuids: others.leak(),
        around_boolean,
        ..dialect.clone()
    }))
}

fn other_uuids(schema: &Schema, catalog: &Catalog) -> Vec<OtherUuid> {
    let mut others = Vec::new();
    for entity in schema.entities() {
        let Some(table) = catalog.table(entity.table.as_str()) else {
            continue;
        };
        let uuids = entity
            .columns
            .iter()
            .filter(|column| column.kind == ColumnType::Uuid);
        for column in uuids {
            let found = table.column(column.sql.as_str(), catalog.names);
            match found.map_or(UuidForm::Text, types::uuid_form) {
                UuidForm::Text => {}
                form @ (UuidForm::Octets | UuidForm::OwnOrder) => others.push(OtherUuid {
                    entity: entity.id,
                    column: column.id,
                    form,
                }),
            }
        }
    }
    others
}

/// The dialects for a server that answers the rows that a statement makes, if it is of a kind that may.
pub(super) fn new_rows(
    kind: Kind,
    schema: &Schema,
    catalog: &Catalog,
    dialect: &'static Dialect,
) -> Option<NewRows> {
    if kind == Kind::MySql {
        return None;
    }
    let is_itself = |entity: &Entity| {
        let table = catalog.table(entity.table.as_str());
        table.is_some_and(|table| table.ties.is_itself)
    };
    let others = schema.entities().iter().filter(|entity| !is_itself(entity));
    let read_again: Vec<EntityId> = others.map(|entity| entity.id).collect();
    // As above: once for the life of the process.
    let kept = |dialect| &*Box::leak(Box::new(dialect));
    let answering = kept(answering_new_rows(dialect, read_again.leak()));
    Some(NewRows {
        answering,
        alone: kept(making_alone(answering)),
    })
}

/// The dialect of the tables that the worker makes.
pub(super) fn made(kind: Kind) -> &'static Dialect {
    match kind {
        Kind::MariaDb => &MARIADB,
        Kind::MySql => &MYSQL,
    }
}
