//! In what order the texts of the tables stand: that of code points, or another, against which each comparison has to say so; and
//! whether their booleans and times are all in our own form.

use dbal_schema::{ColumnType, Schema};
use dbal_sql::{Dialect, SQLITE, SQLITE_FOREIGN, SQLITE_LAX};

use crate::database::catalog::{Catalog, Column, are_lax};

/// The dialect for tables as they are. One text that a column holds equal to others makes all comparisons say the order.
pub(super) fn dialect(schema: &Schema, catalog: &Catalog) -> &'static Dialect {
    let are_exact = schema.entities().iter().all(|entity| {
        let table = catalog.table(entity.table.as_str());
        let mut texts = entity.columns.iter().filter(|column| column.kind.is_text());
        texts.all(|column| {
            let found = table.and_then(|table| table.column(column.sql.as_str(), catalog.names));
            found.is_some_and(is_exact)
        })
    });
    let is_lax = |kind| are_lax(kind, schema, catalog);
    if !are_exact {
        &SQLITE_FOREIGN
    } else if is_lax(ColumnType::Boolean) || is_lax(ColumnType::Datetime) {
        &SQLITE_LAX
    } else {
        &SQLITE
    }
}

/// Whether no two different texts are equal in the column. Not where its collation holds some for one (`NOCASE`, `RTRIM`), or none is
/// known; nor where its affinity is for numbers, by which a text beside it becomes one (sqlite.org/datatype3.html §4.2).
pub(super) fn is_exact(column: &Column) -> bool {
    let is_binary = column
        .collation
        .as_deref()
        .is_some_and(|collation| collation.eq_ignore_ascii_case("BINARY"));
    is_binary && !["integer", "numeric", "real"].contains(&column.storage.as_str())
}
