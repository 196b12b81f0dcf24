//! PostgreSQL, for tables of ours and for those that were there before: a parameter beside a column takes the column's own
//! type (a uuid may be kept as text, an enum as an enum), and a cast stands only where that would be wrong.

use dbal_schema::ColumnType;

use super::Piece::{Column, Text, Word};
use super::{Behind, Dialect, Forward, OneOf, OwnRows, Placeholder, References, Returning, Unit, is_of_keys};

/// PostgreSQL, from version 12 on, built with ICU.
pub const POSTGRES: Dialect = Dialect {
    name: "postgresql",
    quote: '"',
    placeholder: Placeholder::Numbered,
    // The protocol counts them in 16 bits, which the driver takes as signed.
    most_parameters: 32_767,
    compared,
    written,
    cast: super::as_it_is,
    around_text: ("", ""),
    around_boolean: ("", ""),
    cut_time: Some(("date_trunc('milliseconds', ", ")")),
    one_of,
    as_written: ("(", ") IS TRUE"),
    unit: Unit::Transaction,
    // Equal texts are equal bytes in every deterministic collation, and a column's own index serves its own collation only.
    // The adapter refuses columns of others.
    equality: super::nothing,
    order,
    ascending: " ASC NULLS FIRST",
    descending: " DESC NULLS LAST",
    indexed: " ASC NULLS FIRST",
    // Of `int8` it is a `numeric` as it is, of smaller ones an `int8`.
    sum_of_integers: ["CAST(SUM(", ") AS numeric)"],
    sum_of_decimals: &["CAST(SUM(", ") AS numeric)"],
    group_of_floats: ["", ""],
    sum_of_floats: ["SUM(CAST(", " AS double precision))"],
    behind: Behind::Stretches,
    // Without a collation of its own `lower` would go by the database's, which may know ASCII only.
    fold: ("lower(", " COLLATE \"und-x-icu\")"),
    other_uuids: &[],
    uuid_as_text: ("", ""),
    text: "::text",
    searched: "::text",
    contains: &[Word("strpos("), Column, Word(", "), Text, Word(") > 0")],
    starts_with: &[Word("starts_with("), Column, Word(", "), Text, Word(")")],
    // `right(x, 0)` is empty, and a text longer than the column's never equals what there is.
    ends_with: &[
        Word("right("),
        Column,
        Word(", length("),
        Text,
        Word(")) = "),
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
    table_options: "",
    forward: Forward::Refused,
};

/// The same for a statement that is its own transaction: it fails (22012, division by zero) where a row as written is not
/// permitted. `random` keeps the planner from dividing before there is a row, and is asked only where the answer is no.
pub const POSTGRES_ALONE: Dialect = Dialect {
    as_written: ("1 / (CASE WHEN ", " THEN 1 ELSE (0 * random())::int END) = 1"),
    ..POSTGRES
};

/// PostgreSQL, for tables of others: some text there is a `char(n)`, which holds texts for one that differ in blanks at their end
/// alone. As `text` it is what it is read as.
pub const POSTGRES_FOREIGN: Dialect = Dialect {
    around_text: AS_TEXT,
    one_of: one_of_exact,
    ..POSTGRES
};

/// The same for a statement that is its own transaction.
pub const POSTGRES_FOREIGN_ALONE: Dialect = Dialect {
    around_text: AS_TEXT,
    one_of: one_of_exact,
    ..POSTGRES_ALONE
};

/// The same behind a bridge.
pub const BRIDGED_POSTGRES_FOREIGN: Dialect = Dialect {
    around_text: AS_TEXT,
    one_of: one_of_exact,
    ..BRIDGED_POSTGRES
};

const AS_TEXT: (&str, &str) = ("CAST(", " AS text)");

/// In the message of the error (22P02, no such boolean) where a row may not be written so.
pub const NOT_PERMITTED: &str = "dbal: not permitted";
/// The same where one call would change too many rows.
pub const TOO_MANY_ROWS: &str = "dbal: too many rows";

/// The same behind a bridge, which runs one statement at a time and tells of an error its state and its message. So the error
/// names itself: a division by zero could be the database's own.
pub const BRIDGED_POSTGRES: Dialect = Dialect {
    name: "prisma",
    // The protocol's own bound; the bridge's driver takes it whole.
    most_parameters: 65_535,
    as_written: (
        "(CASE WHEN ",
        " THEN TRUE ELSE ('dbal: not permitted' || left(random()::text, 0))::bool END)",
    ),
    unit: Unit::Statement {
        too_many: "('dbal: too many rows' || left(random()::text, 0))::bool",
    },
    ..POSTGRES
};

/// A smaller number type of the column's would overflow on values that it can't hold but can well be compared with.
fn compared(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer | ColumnType::Bigint => "::int8",
        ColumnType::Float => "::float8",
        ColumnType::Decimal => "::numeric",
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => "",
    }
}

/// The list's elements are of the column's own type, or of the one that a single value is cast to.
fn one_of(kind: ColumnType) -> Option<OneOf> {
    is_of_keys(kind).then(|| match compared(kind) {
        "" => OneOf::List(" = ANY(", ")"),
        _ => OneOf::List(" = ANY(", "::int8[])"),
    })
}

/// A list of texts beside a `char(n)` that is cast would use no index of it.
fn one_of_exact(kind: ColumnType) -> Option<OneOf> {
    one_of(kind).filter(|_| !kind.is_text())
}

/// Alone among parameters, all of them would be texts, and `10` below `9`.
fn written(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid => "::uuid",
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            "::text"
        }
        ColumnType::Integer | ColumnType::Bigint => "::int8",
        ColumnType::Float => "::float8",
        ColumnType::Decimal => "::numeric",
        ColumnType::Boolean => "::bool",
        ColumnType::Date => "::date",
        ColumnType::Datetime => "::timestamptz",
        ColumnType::Json => "::json",
        ColumnType::Bytes => "::bytea",
    }
}

/// Text by code point. The cast is for enum types, which would go by position; on texts it costs nothing, an index's use
/// neither.
fn order(kind: ColumnType) -> &'static str {
    if kind.is_text() {
        "::text COLLATE \"C\""
    } else {
        ""
    }
}

fn column_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid => "uuid",
        // Then an index on it serves filters and sorts alike.
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            "text COLLATE \"C\""
        }
        ColumnType::Integer => "int4",
        ColumnType::Bigint => "int8",
        ColumnType::Float => "float8",
        ColumnType::Decimal => "numeric",
        ColumnType::Boolean => "bool",
        ColumnType::Date => "date",
        ColumnType::Datetime => "timestamptz(3)",
        // As text it was sent, as in every other database; jsonb would put keys and numbers into an order of its own.
        ColumnType::Json => "json",
        ColumnType::Bytes => "bytea",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_names_itself_has_the_name_by_which_adapters_know_it() {
        let (_, behind) = BRIDGED_POSTGRES.as_written;
        assert!(behind.contains(&format!("'{NOT_PERMITTED}'")), "{behind}");
        let Unit::Statement { too_many } = BRIDGED_POSTGRES.unit else {
            panic!("a bridge runs one statement");
        };
        assert!(too_many.contains(&format!("'{TOO_MANY_ROWS}'")), "{too_many}");
    }
}
