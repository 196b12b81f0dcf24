//! For the fuzz targets, in no build but theirs (`--cfg fuzzing`): what the adapter makes of bytes that a server sends.

use dbal_schema::ColumnType;
use dbal_shared::value::Value;
use tokio_postgres::types::{FromSql, Type};

use super::values::Cell;
use super::{defaults, numeric, values};

/// A cell as it comes: of one of the types that a column of this kind may have there.
pub fn cell(declared: ColumnType, nth_type: usize, bytes: &[u8]) -> Option<Value> {
    let usable = values::usable(declared);
    let kind = usable.get(nth_type.checked_rem(usable.len())?)?;
    let cell = Cell::from_sql(kind, bytes).ok()?;
    let _ = cell.finer_us();
    cell.value(declared)
}

/// Whether the server itself vouches for the text of such a cell being JSON.
pub fn is_json(declared: ColumnType) -> bool {
    values::usable(declared).contains(&Type::JSON)
}

/// A decimal in the server's binary form.
pub fn numeric(bytes: &[u8]) -> Option<String> {
    numeric::read(bytes)
}

/// The same of a text, back and forth.
pub fn numeric_of(text: &str) -> Option<Vec<u8>> {
    numeric::write(text)
}

/// An expression of the catalogue.
pub fn default(expression: &str) {
    let _ = defaults::fill("", "", Some(expression));
}
