//! Typed values, as plans carry them and drivers bind them.

use crate::ids::ColumnId;

/// A value of one of the schema's types. Made from JSON by `dbal-schema`, bound as a parameter by the worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// boolean
    Bool(bool),
    /// integer and bigint
    Int(i64),
    /// float, finite
    Float(f64),
    /// decimal, in canonical form: optional `-`, no leading zeros, no trailing zeros after the point.
    Decimal(String),
    /// string, text, email, enum, cuid
    Text(String),
    /// uuid
    Uuid([u8; 16]),
    /// date: days since 1970-01-01
    Date(i32),
    /// datetime: milliseconds since 1970-01-01T00:00:00Z
    Timestamp(i64),
    /// json: compact text
    Json(String),
    /// bytes
    Bytes(Vec<u8>),
    /// Not known yet: what an earlier call of the same transaction answers. Only wanted plans of transactions have it; the
    /// worker puts the value in before it decides for good, and nothing that may run holds one.
    Earlier(Earlier),
}

/// A field of the row that an earlier call of the same transaction answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The call's place in the transaction, from 0.
    pub call: u16,
    /// The field, of that call's entity.
    pub column: ColumnId,
}
