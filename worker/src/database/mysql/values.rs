//! How typed values are stored in MariaDB and MySQL: `docs/semantics.md` has the table.

use dbal_schema::{ColumnType, canonical_decimal, json_text, time};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::value::Value;
use dbal_sql::dialect::has_room_for;
use mysql_async::Value as Stored;

use crate::database::exact_sum::Sum;
use crate::database::trouble::Trouble;
use crate::database::uuid_text;

/// A value as a parameter. `Dialect::cast` stands around those that come as text without being one.
pub(super) fn parameter(value: &Value) -> Result<Stored, Trouble> {
    Ok(match value {
        Value::Null => Stored::NULL,
        Value::Bool(value) => Stored::Int(i64::from(*value)),
        Value::Int(value) => Stored::Int(*value),
        Value::Float(value) => Stored::Double(*value),
        Value::Decimal(value) if has_room_for(value) => text(value.clone()),
        // It would be rounded, to a number that equals others.
        Value::Decimal(_) => {
            return Err(Trouble::Database {
                code: Code::Invalid,
                advice: Advice::Final,
                detail: "a decimal with more digits than the server's have".to_owned(),
            });
        }
        Value::Text(value) | Value::Json(value) => text(value.clone()),
        Value::Uuid(bytes) => text(uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()),
        Value::Date(days) => {
            let mut out = String::new();
            time::push_date(*days, &mut out);
            text(out)
        }
        Value::Timestamp(ms) => {
            let mut out = String::new();
            time::push_datetime(*ms, &mut out);
            // Sessions are in UTC, and don't know the letter for it.
            out.truncate(out.trim_end_matches('Z').len());
            text(out)
        }
        Value::Bytes(bytes) => Stored::Bytes(bytes.clone()),
        // INVARIANT: no valid plan holds a value that is not known yet.
        Value::Earlier(_) => return Err(Trouble::NotInSchema),
    })
}

fn text(text: String) -> Stored {
    Stored::Bytes(text.into_bytes())
}

/// The typed value of what a row holds; none when it is not of the declared type.
pub(super) fn read(kind: ColumnType, stored: &Stored) -> Option<Value> {
    if *stored == Stored::NULL {
        return Some(Value::Null);
    }
    Some(match kind {
        // No text of a uuid has sixteen characters, so those are its octets.
        ColumnType::Uuid => Value::Uuid(match bytes(stored)?.try_into() {
            Ok(octets) => octets,
            Err(_) => uuid_text::read_any_case(string(stored)?)?,
        }),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            Value::Text(string(stored)?.to_owned())
        }
        ColumnType::Integer | ColumnType::Bigint => Value::Int(whole(stored)?),
        ColumnType::Float => match stored {
            Stored::Double(value) => Value::Float(*value),
            Stored::Float(value) => Value::Float(f64::from(*value)),
            Stored::NULL
            | Stored::Bytes(_)
            | Stored::Int(_)
            | Stored::UInt(_)
            | Stored::Date(..)
            | Stored::Time(..) => return None,
        },
        ColumnType::Decimal => Value::Decimal(canonical(string(stored)?)),
        ColumnType::Boolean => Value::Bool(whole(stored).or_else(|| bits(stored))? != 0),
        ColumnType::Date => match stored {
            Stored::Date(year, month, day, ..) => {
                Value::Date(time::date_days(&format!("{year:04}-{month:02}-{day:02}"))?)
            }
            Stored::NULL
            | Stored::Bytes(_)
            | Stored::Int(_)
            | Stored::UInt(_)
            | Stored::Float(_)
            | Stored::Double(_)
            | Stored::Time(..) => return None,
        },
        ColumnType::Datetime => match stored {
            Stored::Date(year, month, day, hour, minute, second, micros) => {
                Value::Timestamp(time::datetime_ms(&format!(
                    "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
                ))?)
            }
            Stored::NULL
            | Stored::Bytes(_)
            | Stored::Int(_)
            | Stored::UInt(_)
            | Stored::Float(_)
            | Stored::Double(_)
            | Stored::Time(..) => return None,
        },
        // A server's type of that name, or any text.
        ColumnType::Json => Value::Json(
            string(stored)
                .filter(|text| json_text::is_value(text))?
                .to_owned(),
        ),
        ColumnType::Bytes => Value::Bytes(bytes(stored)?.to_vec()),
    })
}

/// A time that has no whole milliseconds, as the server compares it with a column of times.
pub(super) fn finer(stored: &Stored) -> Option<String> {
    match stored {
        Stored::Date(year, month, day, hour, minute, second, micros)
            if micros.checked_rem(1_000) != Some(0) =>
        {
            Some(format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"
            ))
        }
        Stored::NULL
        | Stored::Bytes(_)
        | Stored::Int(_)
        | Stored::UInt(_)
        | Stored::Float(_)
        | Stored::Double(_)
        | Stored::Date(..)
        | Stored::Time(..) => None,
    }
}

/// A whole number of any width; of the unsigned ones those that fit.
pub(super) fn whole(stored: &Stored) -> Option<i64> {
    match stored {
        Stored::Int(value) => Some(*value),
        Stored::UInt(value) => i64::try_from(*value).ok(),
        Stored::NULL
        | Stored::Bytes(_)
        | Stored::Float(_)
        | Stored::Double(_)
        | Stored::Date(..)
        | Stored::Time(..) => None,
    }
}

/// A `bit(n)`, most significant byte first.
fn bits(stored: &Stored) -> Option<i64> {
    let bytes = bytes(stored)?;
    (bytes.len() <= 8).then(|| i64::from(bytes.iter().any(|byte| *byte != 0)))
}

fn bytes(stored: &Stored) -> Option<&[u8]> {
    match stored {
        Stored::Bytes(bytes) => Some(bytes),
        Stored::NULL
        | Stored::Int(_)
        | Stored::UInt(_)
        | Stored::Float(_)
        | Stored::Double(_)
        | Stored::Date(..)
        | Stored::Time(..) => None,
    }
}

fn string(stored: &Stored) -> Option<&str> {
    std::str::from_utf8(bytes(stored)?).ok()
}

/// The server pads the fraction with zeros to the column's scale.
fn canonical(decimal: &str) -> String {
    let trimmed = if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    };
    if trimmed == "-0" {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

/// Digits of the server's decimals. A sum that has so many may have had more.
const DIGITS: usize = 65;

/// The sum of two decimals with a blank between them (`Dialect::sum_of_decimals`); none where that is no sum. Of more digits before the
/// point than the server keeps nobody knows which they were.
pub(super) fn of_parts(text: &[u8]) -> Option<Result<Value, Trouble>> {
    let (whole, fraction) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let (whole, fraction) = (canonical_decimal(whole)?, canonical_decimal(fraction)?);
    if whole.trim_start_matches('-').len() >= DIGITS {
        let detail = "a sum with as many digits as the server's decimals have".to_owned();
        return Some(Err(Trouble::Overflow { detail }));
    }
    let mut sum = Sum::default();
    sum.add(&whole);
    sum.add(&fraction);
    Some(Ok(Value::Decimal(sum.text())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_that_would_be_rounded_is_refused() {
        let decimal = |text: &str| parameter(&Value::Decimal(text.to_owned())).is_ok();
        assert!(decimal(&format!("-{}.{}", "9".repeat(35), "9".repeat(30))));
        assert!(decimal(&format!("-{}.{}", "9".repeat(36), "9".repeat(20))));
        assert!(decimal(&"9".repeat(65)));
        assert!(!decimal(&"9".repeat(66)));
        assert!(!decimal(&format!("{}.{}", "9".repeat(36), "9".repeat(21))));
        assert!(!decimal(&format!("0.{}1", "0".repeat(30))));
    }

    #[test]
    fn decimals_come_back_in_their_one_spelling() {
        for (stored, canonical) in [
            ("12.500000", "12.5"),
            ("-3.000", "-3"),
            ("100", "100"),
            ("0.000", "0"),
            ("-0.000", "0"),
        ] {
            let read = read(ColumnType::Decimal, &text(stored.to_owned()));
            assert_eq!(read, Some(Value::Decimal(canonical.to_owned())), "{stored}");
        }
    }

    #[test]
    fn what_is_not_of_the_declared_type_is_not_guessed() {
        for (kind, stored) in [
            (ColumnType::Uuid, text("no uuid".to_owned())),
            (
                ColumnType::Uuid,
                text("0707070707070707070707070707070707".to_owned()),
            ),
            (ColumnType::Integer, text("1".to_owned())),
            (ColumnType::Bigint, Stored::UInt(u64::MAX)),
            (ColumnType::String, Stored::Int(1)),
            (ColumnType::String, Stored::Bytes(vec![0xff])),
            (ColumnType::Datetime, Stored::Date(0, 0, 0, 0, 0, 0, 0)),
            (ColumnType::Date, Stored::Date(2024, 2, 30, 0, 0, 0, 0)),
            (ColumnType::Float, Stored::Int(1)),
            (ColumnType::Json, text("null},{\"isAdmin\":true".to_owned())),
        ] {
            assert!(read(kind, &stored).is_none(), "{kind:?}");
        }
    }

    #[test]
    fn booleans_are_read_from_numbers_and_from_bits() {
        for (stored, expected) in [
            (Stored::Int(0), false),
            (Stored::Int(1), true),
            (Stored::Bytes(vec![0]), false),
            (Stored::Bytes(vec![1]), true),
        ] {
            assert_eq!(read(ColumnType::Boolean, &stored), Some(Value::Bool(expected)));
        }
    }

    #[test]
    fn a_sum_in_two_parts_is_one_decimal() {
        for (parts, sum) in [
            (
                "100000000000000000000000000000000014 0.250000",
                "100000000000000000000000000000000014.25",
            ),
            ("-3 -0.5", "-3.5"),
            ("-3 0.5", "-2.5"),
            ("0 0.000", "0"),
            ("2 13.75", "15.75"),
        ] {
            let found = of_parts(parts.as_bytes()).unwrap().unwrap();
            assert_eq!(found, Value::Decimal(sum.to_owned()), "{parts}");
        }
        for wrong in ["1", "1 x", " 1", "1  2"] {
            assert!(of_parts(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let most = format!("-{} 0.5", "9".repeat(65));
        let told = of_parts(most.as_bytes()).unwrap();
        assert!(matches!(told, Err(Trouble::Overflow { detail: _ })), "{told:?}");
    }
}
