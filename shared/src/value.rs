//! Typed values, as plans carry them and drivers bind them.

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
}
