//! How typed values are stored in SQLite: `docs/channel.md` has the table.

use dbal_schema::ColumnType;
use dbal_shared::value::Value;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The first day of `Value::Date`.
const EPOCH: Date = date(1970, 1, 1);

/// A value as a parameter.
pub(super) struct Parameter<'a>(pub(super) &'a Value);

/// A stored value is not of its column's declared type.
#[derive(Debug, thiserror::Error)]
#[error("the database holds a value that is not of the declared type {kind:?}")]
pub(super) struct WrongType {
    kind: ColumnType,
}

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
            Value::Date(days) => text(written_date(*days).ok_or(rusqlite::Error::InvalidQuery)?),
            Value::Timestamp(ms) => text(written_time(*ms).ok_or(rusqlite::Error::InvalidQuery)?),
            Value::Bytes(bytes) => borrowed(ValueRef::Blob(bytes)),
        }
    }
}

/// The typed value of what a row holds.
pub(super) fn read(kind: ColumnType, stored: ValueRef<'_>) -> Result<Value, WrongType> {
    typed(kind, stored).ok_or(WrongType { kind })
}

fn typed(kind: ColumnType, stored: ValueRef<'_>) -> Option<Value> {
    if stored == ValueRef::Null {
        return Some(Value::Null);
    }
    Some(match kind {
        ColumnType::Uuid => Value::Uuid(text(stored)?.parse::<uuid::Uuid>().ok()?.into_bytes()),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            Value::Text(text(stored)?.to_owned())
        }
        ColumnType::Integer | ColumnType::Bigint => Value::Int(stored.as_i64().ok()?),
        ColumnType::Float => Value::Float(stored.as_f64().ok()?),
        ColumnType::Decimal => Value::Decimal(text(stored)?.to_owned()),
        ColumnType::Boolean => Value::Bool(stored.as_i64().ok()? != 0),
        ColumnType::Date => {
            let day: Date = text(stored)?.parse().ok()?;
            Value::Date(
                day.duration_since(EPOCH)
                    .as_hours()
                    .div_euclid(24)
                    .try_into()
                    .ok()?,
            )
        }
        ColumnType::Datetime => Value::Timestamp(text(stored)?.parse::<Timestamp>().ok()?.as_millisecond()),
        ColumnType::Json => Value::Json(text(stored)?.to_owned()),
        ColumnType::Bytes => Value::Bytes(stored.as_blob().ok()?.to_owned()),
    })
}

fn text(stored: ValueRef<'_>) -> Option<&str> {
    stored.as_str().ok()
}

/// `YYYY-MM-DD`
fn written_date(days: i32) -> Option<String> {
    let span = jiff::SignedDuration::from_hours(i64::from(days).checked_mul(24)?);
    Some(EPOCH.checked_add(span).ok()?.to_string())
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`: always as long, so that texts sort as times do.
fn written_time(ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stored_as_texts_that_sort_and_come_back() {
        let times = [-62_135_596_800_000, -1, 0, 1_705_314_600_000, 253_402_300_799_999];
        let mut last = String::new();
        for ms in times {
            let text = written_time(ms).unwrap();
            assert_eq!(text.len(), 24, "{text}");
            assert!(last < text, "{last} {text}");
            let stored = ValueRef::Text(text.as_bytes());
            assert_eq!(read(ColumnType::Datetime, stored).unwrap(), Value::Timestamp(ms));
            last = text;
        }
        assert_eq!(
            written_time(1_705_314_600_000).unwrap(),
            "2024-01-15T10:30:00.000Z"
        );
    }

    #[test]
    fn days_are_stored_as_texts_and_come_back() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_737, "2024-01-15"),
            (-719_162, "0001-01-01"),
        ] {
            assert_eq!(written_date(days).unwrap(), text);
            let stored = ValueRef::Text(text.as_bytes());
            assert_eq!(read(ColumnType::Date, stored).unwrap(), Value::Date(days));
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
        ] {
            assert!(read(kind, stored).is_err(), "{kind:?}");
        }
    }
}
