//! Typed values ⇄ PostgreSQL's binary formats. The database says of which type a parameter or a column is; the value goes into
//! it if it can.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use dbal_schema::{ColumnType, time};
use dbal_shared::value::Value;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::{arrays, numeric};
use crate::database::uuid_text;

/// 2000-01-01 in days since 1970: where PostgreSQL's dates and times begin.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MS: i64 = 946_684_800_000;

/// A value as a parameter.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

/// A parameter of a statement.
#[derive(Debug)]
pub(super) enum Bound<'a> {
    /// A value.
    One(Parameter<'a>),
    /// A list of values.
    List(&'a [Value]),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Bound::One(value) => value.to_sql(kind, out),
            Bound::List(values) => {
                write_list(values, kind, out).ok_or_else(|| Unfit(kind.name().to_owned()))?;
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// PostgreSQL's `array_recv`: one dimension, no NULLs, the elements' type, how many from 1 on; each with its length.
fn write_list(values: &[Value], kind: &Type, out: &mut BytesMut) -> Option<()> {
    let element = elements(base(kind))?;
    for number in [1, 0] {
        out.put_i32(number);
    }
    out.put_u32(element.oid());
    out.put_i32(i32::try_from(values.len()).ok()?);
    out.put_i32(1);
    let mut bytes = BytesMut::new();
    for value in values {
        bytes.clear();
        write(value, base(element), &mut bytes)?;
        out.put_i32(i32::try_from(bytes.len()).ok()?);
        out.put_slice(&bytes);
    }
    Some(())
}

/// A value that the column's own type can't hold.
#[derive(Debug, thiserror::Error)]
#[error("a value does not fit the type `{0}` that the database has for it")]
pub(super) struct Unfit(String);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *self.0 == Value::Null {
            return Ok(IsNull::Yes);
        }
        write(self.0, base(kind), out).ok_or_else(|| Unfit(kind.name().to_owned()))?;
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The type beneath domains.
pub(super) fn base(kind: &Type) -> &Type {
    let mut kind = kind;
    while let Kind::Domain(inner) = kind.kind() {
        kind = inner;
    }
    kind
}

/// The type of an array's elements.
fn elements(kind: &Type) -> Option<&Type> {
    let Kind::Array(element) = kind.kind() else {
        return None;
    };
    Some(element)
}

fn is_text(kind: &Type) -> bool {
    let texts = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN];
    texts.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
}

pub(super) fn write(value: &Value, kind: &Type, out: &mut BytesMut) -> Option<()> {
    match value {
        Value::Bool(value) if *kind == Type::BOOL => out.put_u8(u8::from(*value)),
        Value::Int(value) if *kind == Type::INT8 => out.put_i64(*value),
        Value::Int(value) if *kind == Type::INT4 => out.put_i32(i32::try_from(*value).ok()?),
        Value::Int(value) if *kind == Type::INT2 => out.put_i16(i16::try_from(*value).ok()?),
        // The place of a row whose time is finer than ours (`Row::mark`); filters hold no such value.
        Value::Int(us) if *kind == Type::TIMESTAMPTZ || *kind == Type::TIMESTAMP => {
            out.put_i64(us.checked_sub(EPOCH_MS.checked_mul(1_000)?)?);
        }
        Value::Float(value) if *kind == Type::FLOAT8 => out.put_f64(*value),
        Value::Float(value) if *kind == Type::FLOAT4 => out.put_f32(single(*value)?),
        Value::Decimal(text) if *kind == Type::NUMERIC => out.put_slice(&numeric::write(text)?),
        Value::Decimal(text) if *kind == Type::INT8 => out.put_i64(text.parse().ok()?),
        Value::Decimal(text) if *kind == Type::INT4 => out.put_i32(text.parse().ok()?),
        Value::Decimal(text) if *kind == Type::INT2 => out.put_i16(text.parse().ok()?),
        Value::Text(text) if is_text(kind) => out.put_slice(text.as_bytes()),
        Value::Uuid(bytes) if *kind == Type::UUID => out.put_slice(bytes),
        Value::Uuid(bytes) if is_text(kind) => {
            let mut buffer = uuid::Uuid::encode_buffer();
            let text = uuid::Uuid::from_bytes(*bytes).hyphenated();
            out.put_slice(text.encode_lower(&mut buffer).as_bytes());
        }
        Value::Date(days) if *kind == Type::DATE => out.put_i32(days.checked_sub(EPOCH_DAYS)?),
        Value::Timestamp(ms) if *kind == Type::TIMESTAMPTZ || *kind == Type::TIMESTAMP => {
            out.put_i64(ms.checked_sub(EPOCH_MS)?.checked_mul(1_000)?);
        }
        Value::Json(text) if *kind == Type::JSON => out.put_slice(text.as_bytes()),
        Value::Json(text) if *kind == Type::JSONB => {
            // Version of jsonb's binary format.
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
        Value::Json(text) if elements(kind).is_some() => arrays::write_array(text, elements(kind)?, out)?,
        Value::Bytes(bytes) if *kind == Type::BYTEA => out.put_slice(bytes),
        // NULL is `to_sql`'s.
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::Uuid(_)
        | Value::Date(_)
        | Value::Timestamp(_)
        | Value::Json(_)
        | Value::Bytes(_)
        // INVARIANT: no valid plan holds a value that is not known yet.
        | Value::Earlier(_) => return None,
    }
    Some(())
}

/// The nearest number of single precision; none where that is infinite.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "std rounds to the nearest by `as` only, and that is what the column can hold"
)]
fn single(value: f64) -> Option<f32> {
    Some(value as f32).filter(|value| value.is_finite())
}

/// A cell as it came.
pub(super) struct Cell<'a> {
    kind: Type,
    bytes: Option<&'a [u8]>,
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            kind: kind.clone(),
            bytes: Some(bytes),
        })
    }

    fn from_sql_null(kind: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            kind: kind.clone(),
            bytes: None,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Cell<'_> {
    /// The typed value; none when it is not of the declared type.
    pub(super) fn value(&self, declared: ColumnType) -> Option<Value> {
        match self.bytes {
            None => Some(Value::Null),
            Some(bytes) => read(declared, base(&self.kind), bytes),
        }
    }

    /// Microseconds since 1970, of a time that has no whole milliseconds.
    pub(super) fn finer_us(&self) -> Option<i64> {
        let kind = base(&self.kind);
        if *kind != Type::TIMESTAMPTZ && *kind != Type::TIMESTAMP {
            return None;
        }
        let us = i64::from_be_bytes(self.bytes?.try_into().ok()?);
        let us = Some(us).filter(|us| us.rem_euclid(1_000) != 0)?;
        us.checked_add(EPOCH_MS.checked_mul(1_000)?)
    }
}

pub(super) fn read(declared: ColumnType, kind: &Type, bytes: &[u8]) -> Option<Value> {
    Some(match declared {
        ColumnType::Uuid if *kind == Type::UUID => Value::Uuid(bytes.try_into().ok()?),
        ColumnType::Uuid => Value::Uuid(uuid_text::read(text(kind, bytes)?)?),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            Value::Text(text(kind, bytes)?.to_owned())
        }
        ColumnType::Integer | ColumnType::Bigint => Value::Int(whole(kind, bytes)?),
        ColumnType::Float if *kind == Type::FLOAT8 => finite(f64::from_be_bytes(bytes.try_into().ok()?))?,
        ColumnType::Float if *kind == Type::FLOAT4 => {
            finite(f64::from(f32::from_be_bytes(bytes.try_into().ok()?)))?
        }
        ColumnType::Decimal if *kind == Type::NUMERIC => Value::Decimal(numeric::read(bytes)?),
        ColumnType::Decimal => Value::Decimal(whole(kind, bytes)?.to_string()),
        ColumnType::Boolean if *kind == Type::BOOL => Value::Bool(bytes != [0]),
        ColumnType::Date if *kind == Type::DATE => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_DAYS)?;
            Value::Date(Some(days).filter(|days| time::is_date(*days))?)
        }
        ColumnType::Datetime if *kind == Type::TIMESTAMPTZ || *kind == Type::TIMESTAMP => {
            // Infinity is the largest or smallest number, which is no time of ours either.
            let us = i64::from_be_bytes(bytes.try_into().ok()?);
            let ms = us.div_euclid(1_000).checked_add(EPOCH_MS)?;
            Value::Timestamp(Some(ms).filter(|ms| time::is_datetime(*ms))?)
        }
        ColumnType::Json if *kind == Type::JSON => Value::Json(utf8(bytes)?.to_owned()),
        ColumnType::Json if *kind == Type::JSONB => {
            let (version, json) = bytes.split_first()?;
            (*version == 1).then_some(())?;
            Value::Json(utf8(json)?.to_owned())
        }
        ColumnType::Json if elements(kind).is_some() => {
            Value::Json(arrays::read_array(elements(kind)?, bytes)?)
        }
        ColumnType::Bytes if *kind == Type::BYTEA => Value::Bytes(bytes.to_owned()),
        ColumnType::Float
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => return None,
    })
}

fn text<'a>(kind: &Type, bytes: &'a [u8]) -> Option<&'a str> {
    let text = is_text(kind).then(|| utf8(bytes))??;
    // `char(n)` is filled up with blanks that mean nothing (PostgreSQL §8.3).
    Some(if *kind == Type::BPCHAR {
        text.trim_end_matches(' ')
    } else {
        text
    })
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn whole(kind: &Type, bytes: &[u8]) -> Option<i64> {
    if *kind == Type::INT8 {
        Some(i64::from_be_bytes(bytes.try_into().ok()?))
    } else if *kind == Type::INT4 {
        Some(i32::from_be_bytes(bytes.try_into().ok()?).into())
    } else if *kind == Type::INT2 {
        Some(i16::from_be_bytes(bytes.try_into().ok()?).into())
    } else {
        None
    }
}

fn finite(value: f64) -> Option<Value> {
    value.is_finite().then_some(Value::Float(value))
}

/// Types that a column may have for each declared type; enums of the database stand beside the texts for `enum`.
pub(super) fn usable(declared: ColumnType) -> &'static [Type] {
    match declared {
        ColumnType::Uuid => &[Type::UUID, Type::TEXT, Type::VARCHAR, Type::BPCHAR],
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            &[Type::TEXT, Type::VARCHAR, Type::BPCHAR]
        }
        ColumnType::Integer | ColumnType::Bigint => &[Type::INT8, Type::INT4, Type::INT2],
        ColumnType::Float => &[Type::FLOAT8, Type::FLOAT4],
        ColumnType::Decimal => &[Type::NUMERIC, Type::INT8, Type::INT4, Type::INT2],
        ColumnType::Boolean => &[Type::BOOL],
        ColumnType::Date => &[Type::DATE],
        ColumnType::Datetime => &[Type::TIMESTAMPTZ, Type::TIMESTAMP],
        ColumnType::Json => &[Type::JSON, Type::JSONB],
        ColumnType::Bytes => &[Type::BYTEA],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_a_type_can_not_hold_is_refused_and_not_bent() {
        for (value, kind) in [
            (Value::Int(40_000), Type::INT2),
            (Value::Int(i64::MAX), Type::INT4),
            (Value::Float(1e300), Type::FLOAT4),
            (Value::Decimal("1.5".to_owned()), Type::INT4),
            (Value::Text("x".to_owned()), Type::INT4),
            (Value::Int(1), Type::TEXT),
            (Value::Timestamp(i64::MIN), Type::TIMESTAMPTZ),
        ] {
            let mut out = BytesMut::new();
            assert!(
                Parameter(&value).to_sql(&kind, &mut out).is_err(),
                "{value:?} {kind}"
            );
        }
    }

    #[test]
    fn every_usable_type_takes_and_gives_its_values() {
        let samples = [
            (ColumnType::Uuid, Value::Uuid([7; 16])),
            (ColumnType::Enum, Value::Text("draft".to_owned())),
            (ColumnType::Text, Value::Text("ü ".trim_end().to_owned())),
            (ColumnType::Bigint, Value::Int(-7)),
            (ColumnType::Float, Value::Float(-0.5)),
            (ColumnType::Decimal, Value::Decimal("-7".to_owned())),
            (ColumnType::Boolean, Value::Bool(true)),
            (ColumnType::Date, Value::Date(-1)),
            (ColumnType::Datetime, Value::Timestamp(-1)),
            (ColumnType::Json, Value::Json("{\"a\":1}".to_owned())),
            (ColumnType::Bytes, Value::Bytes(vec![0, 255])),
        ];
        for (declared, value) in samples {
            for kind in usable(declared) {
                let mut out = BytesMut::new();
                let null = Parameter(&value).to_sql(kind, &mut out).unwrap();
                assert!(matches!(null, IsNull::No));
                assert_eq!(read(declared, kind, &out), Some(value.clone()), "{kind}");
            }
        }
    }

    #[test]
    fn what_is_not_of_the_declared_type_is_not_guessed() {
        for (declared, kind, bytes) in [
            (ColumnType::Uuid, Type::TEXT, &b"no uuid"[..]),
            (ColumnType::Uuid, Type::UUID, b"short"),
            (ColumnType::Integer, Type::TEXT, b"1"),
            (ColumnType::Text, Type::BYTEA, b"x"),
            (ColumnType::Text, Type::TEXT, b"\xff"),
            (ColumnType::Float, Type::FLOAT8, b"\x7f\xf8\0\0\0\0\0\0"),
            (
                ColumnType::Datetime,
                Type::TIMESTAMPTZ,
                b"\x7f\xff\xff\xff\xff\xff\xff\xff",
            ),
            (ColumnType::Date, Type::DATE, b"\x7f\xff\xff\xff"),
            (ColumnType::Json, Type::JSONB, b"\x02{}"),
        ] {
            assert!(read(declared, &kind, bytes).is_none(), "{declared:?}");
        }
    }
}
