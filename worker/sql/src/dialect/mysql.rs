//! MariaDB and MySQL, each for tables whose texts are compared by code point, as those that we make are, and for tables of
//! others. No write answers its rows in both of them; what newer servers of MariaDB answer is said of any of its dialects.

use dbal_schema::{Column as SchemaColumn, ColumnType};
use dbal_shared::ids::EntityId;
use dbal_shared::value::Value;

use super::Piece::{Column, Text, Word};
use super::{
    Behind, Dialect, Forward, OneOf, OwnRows, Placeholder, References, Returning, Unit, is_of_keys, nothing,
};

/// MariaDB, for tables whose texts have the collation `utf8mb4_nopad_bin`. The session has it, too, so that it holds between
/// parameters.
pub const MARIADB: Dialect = Dialect {
    name: "mysql",
    quote: '`',
    placeholder: Placeholder::Question,
    // The protocol counts them in 16 bits.
    most_parameters: 65_535,
    compared: nothing,
    written: nothing,
    cast,
    one_of: |kind| is_of_keys(kind).then_some(OneOf::Each(" IN (", ")")),
    as_written: ("(", ") IS TRUE"),
    unit: Unit::Transaction,
    equality: nothing,
    order: nothing,
    around_text: ("", ""),
    around_boolean: ("", ""),
    // A cast alone would round. A text of 23 characters ends with the milliseconds.
    cut_time: Some(("CAST(LEFT(", ", 23) AS DATETIME(3))")),
    // NULL is the smallest.
    ascending: " ASC",
    descending: " DESC",
    indexed: "",
    // A decimal of any size.
    sum_of_integers: ["SUM(", ")"],
    // Of rows in groups the sum is kept in the column's own type, and is the greatest number of that where it is greater. What stands
    // before the point, and what behind it, has room for as many digits more as there can be rows.
    sum_of_decimals: &[
        "CONCAT(SUM(TRUNCATE(",
        ", 0)), ' ', SUM(",
        " - TRUNCATE(",
        ", 0)))",
    ],
    // It groups by the bits.
    group_of_floats: ["(", " + 0)"],
    sum_of_floats: ["SUM(CAST(", " AS DOUBLE))"],
    behind: Behind::Condition,
    fold: ("LOWER(", ")"),
    other_uuids: &[],
    uuid_as_text: ("CAST(", " AS CHAR(36))"),
    text: "",
    searched: "",
    // `%` and `_` mean nothing to these; all go by the collation of what they compare.
    contains: &[Word("LOCATE("), Text, Word(", "), Column, Word(") > 0")],
    starts_with: &[
        Word("LEFT("),
        Column,
        Word(", CHAR_LENGTH("),
        Text,
        Word(")) = "),
        Text,
    ],
    // Where the text is longer RIGHT gives the whole column, which never equals it.
    ends_with: &[
        Word("RIGHT("),
        Column,
        Word(", CHAR_LENGTH("),
        Text,
        Word(")) = "),
        Text,
    ],
    whole: &[Column, Word(" = "), Text],
    returning: Returning::None,
    read_again: &[],
    own_rows: OwnRows::Table,
    from_nothing: " FROM DUAL",
    column_type,
    indexed_type,
    references: References::AtEnd,
    if_not_exists: " IF NOT EXISTS",
    table_options: " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
    // With `foreign_key_checks = 0`, as the adapter has it while it makes tables.
    forward: Forward::Taken,
};

/// MariaDB, for tables of others: some text there is compared without case or without trailing spaces, or is an enum that is
/// sorted by position.
pub const MARIADB_FOREIGN: Dialect = Dialect {
    around_text: ("CONVERT(", " USING utf8mb4) COLLATE utf8mb4_nopad_bin"),
    around_boolean: ANY_NUMBER,
    ..MARIADB
};

/// Around a boolean of tables of others, whose numbers are any.
pub const ANY_NUMBER: (&str, &str) = ("(", " <> 0)");

/// MySQL 8.0.17 and later, which calls the same order `utf8mb4_0900_bin`, and knows no `CREATE INDEX IF NOT EXISTS`.
pub const MYSQL: Dialect = Dialect {
    own_rows: OwnRows::Copy,
    if_not_exists: "",
    table_options: " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
    ..MARIADB
};

/// MySQL, for tables of others.
pub const MYSQL_FOREIGN: Dialect = Dialect {
    around_text: ("CONVERT(", " USING utf8mb4) COLLATE utf8mb4_0900_bin"),
    around_boolean: ANY_NUMBER,
    ..MYSQL
};

/// The same for a server whose statements answer the rows that they make, but for those of some entities: MariaDB from 10.5 on.
pub fn answering_new_rows(dialect: &Dialect, read_again: &'static [EntityId]) -> Dialect {
    Dialect {
        returning: Returning::NewRows,
        read_again,
        ..dialect.clone()
    }
}

/// The same for a statement there that makes a row and is its own transaction: it fails (1690, out of range, whatever the session's mode)
/// where the row as written is not permitted.
pub fn making_alone(answering: &Dialect) -> Dialect {
    Dialect {
        as_written: ("9223372036854775807 + ((", ") IS NOT TRUE) > 0"),
        ..answering.clone()
    }
}

/// A decimal that comes as text would be taken for a floating number, and between two parameters nothing says a type.
fn cast(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Decimal(text) => decimal(text),
        Value::Date(_) => ("CAST(", " AS DATE)"),
        Value::Timestamp(_) => ("CAST(", " AS DATETIME(3))"),
        Value::Bytes(_) => ("CAST(", " AS BINARY)"),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Uuid(_)
        | Value::Json(_)
        // INVARIANT: no valid plan holds a value that is not known yet.
        | Value::Earlier(_) => ("", ""),
    }
}

/// The server's decimals have 65 digits, of which those behind the point are told: as many as the number leaves room for.
fn decimal(text: &str) -> (&'static str, &'static str) {
    let whole = text.trim_start_matches('-').split('.').next().unwrap_or_default();
    let cast = match whole.len() {
        0..=35 => " AS DECIMAL(65,30))",
        36..=45 => " AS DECIMAL(65,20))",
        46..=55 => " AS DECIMAL(65,10))",
        _ => " AS DECIMAL(65,0))",
    };
    ("CAST(", cast)
}

/// Whether a decimal reaches the server as it is: beyond its digits it would be rounded, to a number that equals others.
pub fn has_room_for(text: &str) -> bool {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let most = match whole.len() {
        0..=35 => 30,
        36..=45 => 20,
        46..=55 => 10,
        56..=65 => 0,
        _ => return false,
    };
    fraction.len() <= most
}

fn column_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid => "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin",
        ColumnType::Cuid => "VARCHAR(32)",
        ColumnType::Email | ColumnType::Enum => "VARCHAR(255)",
        // As text it was sent, as in every other database.
        ColumnType::String | ColumnType::Text | ColumnType::Json => "LONGTEXT",
        ColumnType::Integer => "INT",
        ColumnType::Bigint => "BIGINT",
        ColumnType::Float => "DOUBLE",
        ColumnType::Decimal => "DECIMAL(65,30)",
        ColumnType::Boolean => "TINYINT(1)",
        ColumnType::Date => "DATE",
        ColumnType::Datetime => "DATETIME(3)",
        ColumnType::Bytes => "LONGBLOB",
    }
}

/// An index takes at most 3072 bytes, and a text without a bound only by a prefix, which can't tell what is unique.
fn indexed_type(column: &SchemaColumn) -> &'static str {
    match column.kind {
        ColumnType::String | ColumnType::Text => match column.rules.max_length {
            Some(256..) => "VARCHAR(768)",
            Some(_) | None => "VARCHAR(255)",
        },
        ColumnType::Bytes => "VARBINARY(255)",
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Integer
        | ColumnType::Bigint
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json => column_type(column.kind),
    }
}
