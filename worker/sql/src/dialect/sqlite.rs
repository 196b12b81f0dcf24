//! SQLite. `LIKE` ignores the case of ASCII letters there and gives `%` a meaning, and `instr` compares the whole text at
//! every position: one caller's search in a long text of their own could hold a thread for minutes. `dbal_contains`,
//! `dbal_decimal`, `dbal_time`, `dbal_fold`, `dbal_sum` and `dbal_sum_of_decimals` are registered by the worker's adapter.

use dbal_schema::ColumnType;

use super::Piece::{Column, Text, Word};
use super::{Behind, Dialect, Forward, OwnRows, Placeholder, References, Returning, Unit, nothing};

/// SQLite.
pub const SQLITE: Dialect = Dialect {
    name: "sqlite",
    quote: '"',
    placeholder: Placeholder::Question,
    // SQLITE_MAX_VARIABLE_NUMBER (sqlite.org/limits.html).
    most_parameters: 32_766,
    compared: nothing,
    written: nothing,
    cast: super::as_it_is,
    around_text: ("", ""),
    around_boolean: ("", ""),
    cut_time: None,
    one_of: |_| None,
    as_written: ("(", ") IS TRUE"),
    unit: Unit::Transaction,
    equality: by_value,
    order: by_value,
    ascending: " ASC",
    descending: " DESC",
    indexed: "",
    // Its own SUM fails where any sum on the way is beyond 64 bits.
    sum_of_integers: ["dbal_sum(", ")"],
    // They are texts.
    sum_of_decimals: &["dbal_sum_of_decimals(", ")"],
    group_of_floats: ["", ""],
    sum_of_floats: ["SUM(", ")"],
    behind: Behind::Condition,
    fold: ("dbal_fold(", ")"),
    other_uuids: &[],
    uuid_as_text: ("", ""),
    text: "",
    searched: "",
    contains: &[Word("dbal_contains("), Column, Word(", "), Text, Word(")")],
    starts_with: &[
        Word("substr("),
        Column,
        Word(", 1, length("),
        Text,
        Word(")) = "),
        Text,
    ],
    // A text longer than the column's makes the start zero or negative; substr then returns fewer characters than the
    // text has, which never equal it.
    ends_with: &[
        Word("substr("),
        Column,
        Word(", length("),
        Column,
        Word(") - length("),
        Text,
        Word(") + 1) = "),
        Text,
    ],
    whole: &[Column, Word(" = "), Text],
    returning: Returning::Clause,
    read_again: &[],
    own_rows: OwnRows::Table,
    from_nothing: "",
    column_type,
    indexed_type: |column| column_type(column.kind),
    references: References::Inline,
    if_not_exists: " IF NOT EXISTS",
    // STRICT: a column holds its declared type or the write fails (sqlite.org/stricttables.html).
    table_options: " STRICT",
    forward: Forward::Taken,
};

/// SQLite, for tables of others: some text there is compared without case or without trailing spaces, or stands in a column of
/// numbers, which holds `7` and `007` for one. As text and by code point it is what it is read as.
pub const SQLITE_FOREIGN: Dialect = Dialect {
    around_text: ("CAST(", " AS TEXT) COLLATE BINARY"),
    ..SQLITE_LAX
};

/// SQLite, for tables of others that are not `STRICT`: a boolean there may be any number, and a time a text of another form than
/// ours. `dbal_time` goes by the instant.
pub const SQLITE_LAX: Dialect = Dialect {
    around_boolean: ("(", " <> 0)"),
    equality: by_instant,
    order: by_instant,
    ..SQLITE
};

/// So that `9` is below `10`.
fn by_value(kind: ColumnType) -> &'static str {
    if kind == ColumnType::Decimal {
        " COLLATE dbal_decimal"
    } else {
        ""
    }
}

fn by_instant(kind: ColumnType) -> &'static str {
    if kind == ColumnType::Datetime {
        " COLLATE dbal_time"
    } else {
        by_value(kind)
    }
}

fn column_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json => "TEXT",
        ColumnType::Decimal => "TEXT COLLATE dbal_decimal",
        ColumnType::Integer | ColumnType::Bigint | ColumnType::Boolean => "INTEGER",
        ColumnType::Float => "REAL",
        ColumnType::Bytes => "BLOB",
    }
}
