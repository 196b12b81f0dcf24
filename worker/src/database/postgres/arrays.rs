//! Arrays of PostgreSQL, which are JSON arrays to clients: each element as a field of its type would be, NULL as null.

use bytes::{BufMut, BytesMut};
use dbal_schema::{ColumnType, json_text};
use dbal_shared::json::Json;
use tokio_postgres::types::{Kind, Type};

use super::values::{base, read, write};

/// Most dimensions of an array (PostgreSQL, `MAXDIM`).
const DIMENSIONS: usize = 6;

/// The type of a field that holds what the elements of an array hold; none where we know no such type.
pub(super) fn element(kind: &Type) -> Option<ColumnType> {
    if let Kind::Enum(_) = kind.kind() {
        return Some(ColumnType::Text);
    }
    element_by_name(kind.name())
}

/// The same by the name of one of PostgreSQL's own types.
pub(super) fn element_by_name(name: &str) -> Option<ColumnType> {
    Some(match name {
        "bool" => ColumnType::Boolean,
        "int2" | "int4" | "int8" => ColumnType::Bigint,
        "float4" | "float8" => ColumnType::Float,
        "numeric" => ColumnType::Decimal,
        "text" | "varchar" | "bpchar" => ColumnType::Text,
        "uuid" => ColumnType::Uuid,
        "date" => ColumnType::Date,
        "timestamp" | "timestamptz" => ColumnType::Datetime,
        "bytea" => ColumnType::Bytes,
        _ => return None,
    })
}

/// A JSON text as `array_recv` takes it: dimensions, whether there are NULLs, the elements' type; of each dimension how many from 1
/// on; each element with its length. None where it is no array of such elements, or one whose rows are not of equal length.
pub(super) fn write_array(json: &str, kind: &Type, out: &mut BytesMut) -> Option<()> {
    let item = base(kind);
    let declared = element(item)?;
    let json: Json = serde_json::from_str(json).ok()?;
    let lengths = lengths(&json)?;
    let mut elements = BytesMut::new();
    let mut has_nulls = false;
    write_level(&json, &lengths, &mut |json| {
        if *json == Json::Null {
            has_nulls = true;
            elements.put_i32(-1);
            return Some(());
        }
        let mut bytes = BytesMut::new();
        write(&declared.value_from_json(json)?, item, &mut bytes)?;
        elements.put_i32(i32::try_from(bytes.len()).ok()?);
        elements.put_slice(&bytes);
        Some(())
    })?;
    out.put_i32(i32::try_from(lengths.len()).ok()?);
    out.put_i32(i32::from(has_nulls));
    out.put_u32(kind.oid());
    for length in lengths {
        out.put_i32(i32::try_from(length).ok()?);
        out.put_i32(1);
    }
    out.put_slice(&elements);
    Some(())
}

/// How long the array is in each dimension, going by the first of each. An empty one has none.
fn lengths(json: &Json) -> Option<Vec<usize>> {
    let mut lengths = Vec::new();
    let mut level = json;
    while let Json::List(items) = level {
        if lengths.len() == DIMENSIONS {
            return None;
        }
        match items.first() {
            Some(first) => {
                lengths.push(items.len());
                level = first;
            }
            None if lengths.is_empty() => return Some(lengths),
            // PostgreSQL has no array of empty ones.
            None => return None,
        }
    }
    (!lengths.is_empty()).then_some(lengths)
}

fn write_level(json: &Json, lengths: &[usize], element: &mut impl FnMut(&Json) -> Option<()>) -> Option<()> {
    let Some((length, deeper)) = lengths.split_first() else {
        let is_empty = matches!(json, Json::List(items) if items.is_empty());
        return if is_empty { Some(()) } else { element(json) };
    };
    let Json::List(items) = json else {
        return None;
    };
    if items.len() != *length {
        return None;
    }
    items
        .iter()
        .try_for_each(|item| write_level(item, deeper, element))
}

/// What `array_send` wrote, as JSON text. Where a dimension begins is not told.
pub(super) fn read_array(kind: &Type, bytes: &[u8]) -> Option<String> {
    let item = base(kind);
    let mut reader = Reader {
        declared: element(item)?,
        item,
        rest: bytes,
    };
    let dimensions = usize::try_from(reader.number()?).ok()?;
    let (_has_nulls, _type) = (reader.number()?, reader.number()?);
    if dimensions > DIMENSIONS {
        return None;
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(usize::try_from(reader.number()?).ok()?);
        let _begins = reader.number()?;
    }
    let mut json = String::with_capacity(bytes.len());
    if lengths.is_empty() {
        json.push_str("[]");
    } else {
        reader.level(&lengths, &mut json)?;
    }
    reader.rest.is_empty().then_some(json)
}

struct Reader<'a> {
    declared: ColumnType,
    item: &'a Type,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn number(&mut self) -> Option<i32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i32::from_be_bytes(*number))
    }

    /// However long an array says it is, each element takes bytes that have to be there.
    fn level(&mut self, lengths: &[usize], json: &mut String) -> Option<()> {
        let Some((length, deeper)) = lengths.split_first() else {
            return self.element(json);
        };
        json.push('[');
        for nth in 0..*length {
            if nth > 0 {
                json.push(',');
            }
            self.level(deeper, json)?;
        }
        json.push(']');
        Some(())
    }

    fn element(&mut self, json: &mut String) -> Option<()> {
        let length = self.number()?;
        if length == -1 {
            json.push_str("null");
            return Some(());
        }
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        json_text::push_plain(&read(self.declared, self.item, bytes)?, json);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(kind: &Type, json: &str) -> Option<String> {
        let mut bytes = BytesMut::new();
        write_array(json, kind, &mut bytes)?;
        Some(read_array(kind, &bytes).unwrap())
    }

    #[test]
    fn arrays_of_every_type_come_back_as_they_were_written() {
        for (kind, json) in [
            (Type::TEXT, "[]"),
            (Type::TEXT, "[\"a\",null,\"\",\"ü \\\"{},\"]"),
            (Type::VARCHAR, "[\"a\"]"),
            (Type::INT2, "[-32768,0,32767]"),
            (Type::INT4, "[1,2]"),
            (Type::INT8, "[\"9223372036854775807\",null]"),
            (Type::FLOAT8, "[1.5,-0.25]"),
            (Type::FLOAT4, "[0.5]"),
            (Type::NUMERIC, "[\"12.5\",\"-0.000000000000000000001\"]"),
            (Type::BOOL, "[true,false,null]"),
            (Type::UUID, "[\"11111111-1111-1111-1111-111111111111\"]"),
            (Type::DATE, "[\"2024-01-15\"]"),
            (Type::TIMESTAMPTZ, "[\"2024-01-15T10:30:00.123Z\"]"),
            (Type::TIMESTAMP, "[\"1969-12-31T23:59:59.999Z\"]"),
            (Type::BYTEA, "[\"AP8=\"]"),
            (Type::INT4, "[[1,2,3],[4,null,6]]"),
        ] {
            assert_eq!(round(&kind, json).as_deref(), Some(json), "{kind}");
        }
    }

    #[test]
    fn what_is_no_array_of_such_elements_is_refused() {
        for (kind, json) in [
            (Type::TEXT, "\"a\""),
            (Type::TEXT, "{\"a\":1}"),
            (Type::TEXT, "[1]"),
            (Type::TEXT, "[\"a\",[\"b\"]]"),
            (Type::TEXT, "[[\"a\"],[\"b\",\"c\"]]"),
            (Type::TEXT, "[[\"a\"],\"b\"]"),
            (Type::TEXT, "[[]]"),
            (Type::TEXT, "[[[[[[[\"a\"]]]]]]]"),
            (Type::INT2, "[32768]"),
            (Type::INT4, "[1.5]"),
            (Type::UUID, "[\"a\"]"),
            (Type::JSON, "[1]"),
        ] {
            assert_eq!(round(&kind, json), None, "{kind} {json}");
        }
    }

    #[test]
    fn bytes_that_are_no_array_are_not_read() {
        let mut good = BytesMut::new();
        write_array("[1,2]", &Type::INT4, &mut good).unwrap();
        for cut in 0..good.len() {
            assert_eq!(read_array(&Type::INT4, &good[..cut]), None, "{cut}");
        }
        let mut longer = good.to_vec();
        longer.push(0);
        assert_eq!(read_array(&Type::INT4, &longer), None);
        // More elements than there are bytes, more dimensions than there can be, lengths below zero.
        for (at, number) in [
            (0, 7_i32),
            (0, -1),
            (12, i32::MAX),
            (12, -1),
            (20, i32::MAX),
            (20, -2),
        ] {
            let mut wrong = good.to_vec();
            wrong[at..at + 4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(read_array(&Type::INT4, &wrong), None, "{at} {number}");
        }
    }
}
