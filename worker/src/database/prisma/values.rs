//! Typed values ⇄ what PostgreSQL reads and writes as text and as JSON. A parameter is read by the database in the type that stands
//! beside its place; a cell comes as `row_to_json` writes it, which depends on no setting but those that are looked at at start.

use dbal_schema::{ColumnType, canonical_decimal, time};
use dbal_shared::value::Value;

use super::protocol::Parameter;
use crate::database::uuid_text;

/// What a column's own type makes of its values, where the declared type does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Storage {
    /// Nothing of note.
    #[default]
    Plain,
    /// `float4`: its shortest digits are those of a number of single precision.
    Single,
    /// `char(n)`: filled up with blanks that mean nothing (PostgreSQL §8.3).
    Padded,
}

/// A value as a parameter; none where it is not known yet, which no valid plan holds.
pub(super) fn parameter(value: &Value) -> Option<Parameter> {
    Some(match value {
        Value::Null => Parameter::Null,
        Value::Bool(value) => Parameter::Bool(*value),
        Value::Int(number) => Parameter::Text(number.to_string()),
        // The shortest digits that make the same number again.
        Value::Float(number) => Parameter::Text(format!("{number:?}")),
        Value::Decimal(text) | Value::Text(text) | Value::Json(text) => Parameter::Text(text.clone()),
        Value::Uuid(bytes) => Parameter::Text(uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()),
        Value::Date(days) => {
            let mut text = String::new();
            time::push_date(*days, &mut text);
            Parameter::Text(text)
        }
        Value::Timestamp(ms) => {
            let mut text = String::new();
            time::push_datetime(*ms, &mut text);
            Parameter::Text(text)
        }
        Value::Bytes(bytes) => Parameter::Bytes(bytes.clone()),
        Value::Earlier(_) => return None,
    })
}

/// The typed value of a cell's JSON; none when it is not of the declared type.
pub(super) fn read(declared: ColumnType, storage: Storage, json: &str) -> Option<Value> {
    if json == "null" {
        return Some(Value::Null);
    }
    Some(match declared {
        ColumnType::Uuid => Value::Uuid(uuid_text::read(text(json)?.trim_end_matches(' '))?),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            let text = text(json)?;
            Value::Text(match storage {
                Storage::Padded => text.trim_end_matches(' ').to_owned(),
                Storage::Plain | Storage::Single => text,
            })
        }
        ColumnType::Integer | ColumnType::Bigint => Value::Int(json.parse().ok()?),
        ColumnType::Float => Value::Float(float(storage, json)?),
        ColumnType::Decimal => Value::Decimal(decimal(json)?),
        ColumnType::Boolean => Value::Bool(json.parse().ok()?),
        ColumnType::Date => {
            let text = text(json)?;
            Value::Date(time::date_days(&text).filter(|_| text.len() == "0000-00-00".len())?)
        }
        ColumnType::Datetime => Value::Timestamp(time::datetime_ms(&in_utc(&text(json)?)?)?),
        // As it stands there: what the database has as text, or what it makes of its own binary form.
        ColumnType::Json => Value::Json(json.to_owned()),
        ColumnType::Bytes => Value::Bytes(bytes(&text(json)?)?),
    })
}

/// A time of a cell that is finer than milliseconds, as the database reads it again.
pub(super) fn finer(json: &str) -> Option<String> {
    let text = in_utc(&text(json)?)?;
    let (_, fraction) = text.split_once('.')?;
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    // Beyond the third.
    digits.skip(3).any(|digit| digit != b'0').then_some(text)
}

fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// `2024-01-15T10:30:00.123456`, with or without `+00:00`: the bridge's connections have no zone but UTC.
fn in_utc(text: &str) -> Option<String> {
    let local = text.strip_suffix("+00:00").unwrap_or(text);
    let is_bare = local
        .bytes()
        .skip(10)
        .all(|byte| byte.is_ascii_digit() || b"T:.".contains(&byte));
    is_bare.then(|| format!("{local}Z"))
}

fn float(storage: Storage, json: &str) -> Option<f64> {
    let double: f64 = number(json)?.parse().ok()?;
    let number = match storage {
        Storage::Single => {
            let single: f32 = json.parse().ok()?;
            // A sum of such a column is of double precision, and then has digits that no single one has.
            let again: f64 = format!("{single:?}").parse().ok()?;
            if again.to_bits() == double.to_bits() {
                f64::from(single)
            } else {
                double
            }
        }
        Storage::Plain | Storage::Padded => double,
    };
    Some(number).filter(|number| number.is_finite())
}

/// In a text stand NaN and infinities, which `parse` would take.
fn number(json: &str) -> Option<&str> {
    Some(json).filter(|json| json.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
}

/// The canonical form: PostgreSQL shows as many places as the column has.
fn decimal(json: &str) -> Option<String> {
    canonical_decimal(number(json)?)
}

/// `\x00ff` (PostgreSQL §8.4.1).
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_postgresql_writes_it() {
        let plain = Storage::Plain;
        for (declared, storage, json, expected) in [
            (
                ColumnType::Uuid,
                plain,
                "\"07070707-0707-0707-0707-070707070707\"",
                Value::Uuid([7; 16]),
            ),
            (
                ColumnType::Uuid,
                Storage::Padded,
                "\"07070707-0707-0707-0707-070707070707  \"",
                Value::Uuid([7; 16]),
            ),
            (
                ColumnType::Text,
                plain,
                "\"a\\u0001\\\"\\n ü \"",
                Value::Text("a\u{1}\"\n ü ".to_owned()),
            ),
            (
                ColumnType::String,
                Storage::Padded,
                "\"ab   \"",
                Value::Text("ab".to_owned()),
            ),
            (
                ColumnType::Bigint,
                plain,
                "9223372036854775807",
                Value::Int(i64::MAX),
            ),
            (ColumnType::Integer, plain, "-7", Value::Int(-7)),
            (ColumnType::Float, plain, "1e+300", Value::Float(1e300)),
            (ColumnType::Float, plain, "1e-07", Value::Float(1e-7)),
            (ColumnType::Float, plain, "0.1", Value::Float(0.1)),
            (
                ColumnType::Float,
                Storage::Single,
                "0.1",
                Value::Float(f64::from(0.1_f32)),
            ),
            (
                ColumnType::Float,
                Storage::Single,
                "0.30000000447034836",
                Value::Float(0.300_000_004_470_348_36),
            ),
            (
                ColumnType::Decimal,
                plain,
                "12.50",
                Value::Decimal("12.5".to_owned()),
            ),
            (
                ColumnType::Decimal,
                plain,
                "-0.00",
                Value::Decimal("0".to_owned()),
            ),
            (
                ColumnType::Decimal,
                plain,
                "12345678901234567890.123456789012345678",
                Value::Decimal("12345678901234567890.123456789012345678".to_owned()),
            ),
            (ColumnType::Boolean, plain, "true", Value::Bool(true)),
            (ColumnType::Date, plain, "\"1969-12-31\"", Value::Date(-1)),
            (
                ColumnType::Datetime,
                plain,
                "\"1970-01-01T00:00:00.0015+00:00\"",
                Value::Timestamp(1),
            ),
            (
                ColumnType::Datetime,
                plain,
                "\"1969-12-31T23:59:59.9985\"",
                Value::Timestamp(-2),
            ),
            (
                ColumnType::Json,
                plain,
                "{\"a\" : [1, 9007199254740993]}",
                Value::Json("{\"a\" : [1, 9007199254740993]}".to_owned()),
            ),
            (
                ColumnType::Bytes,
                plain,
                "\"\\\\x00ff\"",
                Value::Bytes(vec![0, 255]),
            ),
            (ColumnType::Bytes, plain, "null", Value::Null),
        ] {
            assert_eq!(
                read(declared, storage, json),
                Some(expected),
                "{declared:?} {json}"
            );
        }
    }

    #[test]
    fn what_is_not_of_the_declared_type_is_not_guessed() {
        for (declared, json) in [
            (ColumnType::Uuid, "\"no uuid\""),
            (ColumnType::Text, "1"),
            (ColumnType::Integer, "\"1\""),
            (ColumnType::Integer, "1.5"),
            (ColumnType::Bigint, "9223372036854775808"),
            (ColumnType::Float, "\"NaN\""),
            (ColumnType::Float, "NaN"),
            (ColumnType::Float, "1e999"),
            (ColumnType::Decimal, "\"NaN\""),
            (ColumnType::Decimal, "1e5"),
            (ColumnType::Boolean, "1"),
            (ColumnType::Date, "\"infinity\""),
            (ColumnType::Date, "\"0044-03-15 BC\""),
            (ColumnType::Date, "\"2024-01-15T00:00:00\""),
            (ColumnType::Datetime, "\"infinity\""),
            (ColumnType::Datetime, "\"20000-01-01T00:00:00\""),
            (ColumnType::Datetime, "\"2024-01-15T10:30:00+02:00\""),
            (ColumnType::Datetime, "\"2024-01-15T10:30:00Z\""),
            (ColumnType::Datetime, "\"0044-03-15T00:00:00+00:00 BC\""),
            (ColumnType::Bytes, "\"\\\\x0\""),
            (ColumnType::Bytes, "\"\\\\x0g\""),
            (ColumnType::Bytes, "\"abc\""),
        ] {
            assert_eq!(read(declared, Storage::Plain, json), None, "{declared:?} {json}");
        }
    }

    #[test]
    fn only_a_time_that_is_finer_than_ours_has_a_place_of_its_own() {
        let finer = |text: &str| finer(&format!("\"{text}\""));
        assert_eq!(
            finer("2024-01-15T10:30:00.123456+00:00").as_deref(),
            Some("2024-01-15T10:30:00.123456Z")
        );
        assert_eq!(
            finer("2024-01-15T10:30:00.0001").as_deref(),
            Some("2024-01-15T10:30:00.0001Z")
        );
        for coarse in [
            "2024-01-15T10:30:00.123+00:00",
            "2024-01-15T10:30:00",
            "2024-01-15T10:30:00.1230",
        ] {
            assert_eq!(finer(coarse), None, "{coarse}");
        }
    }
}
