//! What the daemon itself puts into a row: generated keys, times, defaults, and NULL for the rest.

use dbal_schema::{Column, ColumnType, Entity, Generator};
use dbal_shared::plan::Assignment;
use dbal_shared::value::Value;

const MS_PER_DAY: i64 = 86_400_000;

/// Where fresh values come from: the worker's clock and randomness, or a test's.
pub trait Generate {
    /// A new UUID of version 7.
    fn uuid(&mut self) -> [u8; 16];
    /// A new UUID of version 4.
    fn uuid4(&mut self) -> [u8; 16];
    /// A new cuid2.
    fn cuid(&mut self) -> String;
    /// The time of the call, in milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// A new row with a value for every column, in the schema's order: one statement shape per entity, and conditions can
/// speak of columns that the caller did not name.
pub(crate) fn new_row(entity: &Entity, given: &[Assignment], generate: &mut dyn Generate) -> Vec<Assignment> {
    entity
        .columns
        .iter()
        .map(|column| Assignment {
            column: column.id,
            value: match given.iter().find(|one| one.column == column.id) {
                Some(Assignment { column: _, value }) => value.clone(),
                None => absent(column, generate),
            },
        })
        .collect()
}

/// New values and the time of the update.
pub(crate) fn changes(entity: &Entity, given: &[Assignment], generate: &mut dyn Generate) -> Vec<Assignment> {
    let mut values = given.to_vec();
    for column in entity.columns.iter().filter(|column| column.is_auto_update) {
        if !given.iter().any(|one| one.column == column.id) {
            values.push(Assignment {
                column: column.id,
                value: now(column.kind, generate.now_ms()),
            });
        }
    }
    values
}

fn absent(column: &Column, generate: &mut dyn Generate) -> Value {
    match column.generated {
        Some(Generator::Uuid) => Value::Uuid(generate.uuid()),
        Some(Generator::Uuid4) => Value::Uuid(generate.uuid4()),
        Some(Generator::Cuid) => Value::Text(generate.cuid()),
        Some(Generator::Now) => now(column.kind, generate.now_ms()),
        None if column.is_auto_update => now(column.kind, generate.now_ms()),
        None => column.default.clone().unwrap_or(Value::Null),
    }
}

fn now(kind: ColumnType, now_ms: i64) -> Value {
    match kind {
        ColumnType::Datetime => Value::Timestamp(now_ms),
        ColumnType::Date => i32::try_from(now_ms.div_euclid(MS_PER_DAY)).map_or(Value::Null, Value::Date),
        ColumnType::Bigint | ColumnType::Integer => Value::Int(now_ms),
        // INVARIANT: dbal-schema refuses a time generator on any other type.
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Json
        | ColumnType::Bytes => Value::Null,
    }
}
