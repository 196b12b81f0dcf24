//! Cells of a database that others write, too: of their type or none, and JSON whatever stands there.
#![no_main]

use arbitrary::Arbitrary;
use dbal_schema::{ColumnType, json_text};
use dbal_shared::value::Value;
use dbal_worker::database::{mysql, postgres, sqlite};
use libfuzzer_sys::fuzz_target;
use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;

const KINDS: [ColumnType; 15] = [
    ColumnType::Uuid,
    ColumnType::Cuid,
    ColumnType::String,
    ColumnType::Text,
    ColumnType::Email,
    ColumnType::Enum,
    ColumnType::Integer,
    ColumnType::Bigint,
    ColumnType::Float,
    ColumnType::Decimal,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Datetime,
    ColumnType::Json,
    ColumnType::Bytes,
];

#[derive(Debug, Arbitrary)]
enum Stored<'a> {
    SqliteText(&'a [u8]),
    SqliteBlob(&'a [u8]),
    SqliteInt(i64),
    SqliteReal(f64),
    Postgres(u8, &'a [u8]),
    Numeric(&'a [u8]),
    Catalogue(&'a str),
    Decimals(&'a str, &'a str, &'a str),
    MysqlBytes(&'a [u8]),
    MysqlInt(i64),
    MysqlUnsigned(u64),
    MysqlFloat(f32),
    MysqlDouble(f64),
    MysqlDate(u16, [u8; 5], u32),
}

fuzz_target!(|input: (u8, Stored<'_>)| {
    let (kind, stored) = input;
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let value = match stored {
        Stored::SqliteText(text) => sqlite::fuzzed::cell(kind, ValueRef::Text(text)),
        Stored::SqliteBlob(bytes) => sqlite::fuzzed::cell(kind, ValueRef::Blob(bytes)),
        Stored::SqliteInt(number) => sqlite::fuzzed::cell(kind, ValueRef::Integer(number)),
        Stored::SqliteReal(number) => sqlite::fuzzed::cell(kind, ValueRef::Real(number)),
        // The server vouches for its own type `json`; nothing else could be read back from there.
        Stored::Postgres(..) if postgres::fuzzed::is_json(kind) => return,
        Stored::Postgres(nth, bytes) => postgres::fuzzed::cell(kind, nth.into(), bytes),
        Stored::Numeric(bytes) => {
            if let Some(text) = postgres::fuzzed::numeric(bytes)
                && let Some(written) = postgres::fuzzed::numeric_of(&text)
            {
                assert_eq!(postgres::fuzzed::numeric(&written), Some(text));
            }
            return;
        }
        Stored::Catalogue(text) => {
            postgres::fuzzed::default(text);
            mysql::fuzzed::catalogue(text);
            return;
        }
        Stored::Decimals(a, b, c) => {
            let order = sqlite::fuzzed::compare_decimals;
            assert_eq!(order(a, b), order(b, a).reverse());
            // A collation that is no order corrupts indexes.
            assert!(
                !(order(a, b).is_le() && order(b, c).is_le()) || order(a, c).is_le(),
                "{a} {b} {c}"
            );
            return;
        }
        Stored::MysqlBytes(bytes) => mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::Bytes(bytes)),
        Stored::MysqlInt(number) => mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::Int(number)),
        Stored::MysqlUnsigned(number) => mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::UInt(number)),
        Stored::MysqlFloat(number) => mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::Float(number)),
        Stored::MysqlDouble(number) => mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::Double(number)),
        Stored::MysqlDate(year, rest, micros) => {
            mysql::fuzzed::cell(kind, &mysql::fuzzed::Sent::Date(year, rest, micros))
        }
    };
    if let Some(value) = value {
        written(kind, &value);
    }
});

/// One JSON value and nothing beside it: it is spliced into the answer as it is.
fn written(kind: ColumnType, value: &Value) {
    let mut json = String::new();
    json_text::push_plain(value, &mut json);
    let read: Result<IgnoredAny, _> = serde_json::from_str(&json);
    assert!(read.is_ok(), "{kind:?}: {json}");
}
