//! How typed values are stored in SQLite: `docs/channel.md` has the table.

use dbal_schema::{ColumnType, canonical_decimal, json_text, time};
use dbal_shared::value::Value;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::instants;
use crate::database::uuid_text;

/// A value as a parameter.
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |text: String| Ok(ToSqlOutput::Owned(rusqlite::types::Value::Text(text)));
        let borrowed = |value| Ok(ToSqlOutput::Borrowed(value));
        match self.0 {
            Value::Null => borrowed(ValueRef::Null),
            Value::Bool(value) => borrowed(ValueRef::Integer(i64::from(*value))),
            Value::Int(value) => borrowed(ValueRef::Integer(*value)),
            Value::Float(value) => borrowed(ValueRef::Real(*value)),
            Value::Decimal(value) | Value::Text(value) | Value::Json(value) => {
                borrowed(ValueRef::Text(value.as_bytes()))
            }
            Value::Uuid(bytes) => text(uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()),
            Value::Date(days) => text(written(|out| time::push_date(*days, out))),
            // Always as long, so that texts sort as times do.
            Value::Timestamp(ms) => text(written(|out| time::push_datetime(*ms, out))),
            Value::Bytes(bytes) => borrowed(ValueRef::Blob(bytes)),
            // INVARIANT: `fits` and the rules of fields take it for no type at all, so no valid plan holds one.
            Value::Earlier(_) => Err(rusqlite::Error::ToSqlConversionFailure(
                "a value that is not known yet".into(),
            )),
        }
    }
}

/// In which forms times stand in the tables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    /// In that in which they are written here.
    OfOurs,
    /// In any that SQLite knows.
    OfAnybody,
}

/// The typed value of what a row holds; none when it is not of the declared type.
pub(super) fn read(kind: ColumnType, stored: ValueRef<'_>, times: Times) -> Option<Value> {
    if stored == ValueRef::Null {
        return Some(Value::Null);
    }
    Some(match kind {
        // Filters and references go by the text, which has to be the one that is written.
        ColumnType::Uuid => Value::Uuid(uuid_text::read(text(stored)?)?),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            Value::Text(text(stored)?.to_owned())
        }
        ColumnType::Integer | ColumnType::Bigint => Value::Int(stored.as_i64().ok()?),
        ColumnType::Float => Value::Float(real(stored).filter(|number| number.is_finite())?),
        ColumnType::Decimal => Value::Decimal(canonical_decimal(text(stored)?)?),
        ColumnType::Boolean => Value::Bool(stored.as_i64().ok()? != 0),
        ColumnType::Date => Value::Date(time::date_days(text(stored)?)?),
        ColumnType::Datetime => Value::Timestamp(match times {
            Times::OfOurs => time::datetime_ms(text(stored)?)?,
            Times::OfAnybody => instants::read(text(stored)?)?,
        }),
        ColumnType::Json => Value::Json(text(stored).filter(|text| json_text::is_value(text))?.to_owned()),
        ColumnType::Bytes => Value::Bytes(stored.as_blob().ok()?.to_owned()),
    })
}

/// SQLite keeps a whole REAL as an integer, and gives it out so where `RETURNING` has it inside an expression: a mask.
fn real(stored: ValueRef<'_>) -> Option<f64> {
    match stored {
        // Through text, since std converts 64-bit integers only by `as`.
        ValueRef::Integer(whole) => whole.to_string().parse().ok(),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => stored.as_f64().ok(),
    }
}

fn text(stored: ValueRef<'_>) -> Option<&str> {
    stored.as_str().ok()
}

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::with_capacity(24);
    write(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stored_as_texts_that_sort_and_come_back() {
        let mut last = String::new();
        for ms in [-62_135_596_800_000, -1, 0, 1_705_314_600_000, 253_402_300_799_999] {
            let value = Value::Timestamp(ms);
            let stored = Parameter(&value);
            let ToSqlOutput::Owned(rusqlite::types::Value::Text(text)) = stored.to_sql().unwrap() else {
                panic!("{ms} is no text");
            };
            assert!(last < text, "{last} {text}");
            assert_eq!(
                read(
                    ColumnType::Datetime,
                    ValueRef::Text(text.as_bytes()),
                    Times::OfOurs
                )
                .unwrap(),
                value
            );
            last = text;
        }
    }

    #[test]
    fn a_whole_float_comes_back_as_one_from_within_an_expression_too() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL) STRICT")
            .unwrap();
        let masked = "INSERT INTO t (r) SELECT ?1 RETURNING CASE WHEN t.id > 0 THEN t.r END";
        for value in [-1.0, 0.0, 1.5, 1e15, 1e300] {
            let read = connection.query_row(masked, [Parameter(&Value::Float(value))], |row| {
                Ok(read(ColumnType::Float, row.get_ref(0)?, Times::OfOurs).unwrap())
            });
            assert_eq!(read.unwrap(), Value::Float(value));
        }
    }

    #[test]
    fn what_is_not_of_the_declared_type_is_not_guessed() {
        for (kind, stored) in [
            (ColumnType::Uuid, ValueRef::Text(b"no uuid")),
            (ColumnType::Integer, ValueRef::Text(b"1")),
            (ColumnType::String, ValueRef::Integer(1)),
            (ColumnType::String, ValueRef::Text(b"\xff")),
            (ColumnType::Datetime, ValueRef::Text(b"yesterday")),
            (ColumnType::Bytes, ValueRef::Text(b"x")),
            (ColumnType::Json, ValueRef::Text(b"null},{\"isAdmin\":true")),
            (ColumnType::Json, ValueRef::Text(b"")),
        ] {
            assert!(read(kind, stored, Times::OfAnybody).is_none(), "{kind:?}");
        }
    }
}
