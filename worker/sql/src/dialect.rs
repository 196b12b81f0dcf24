//! What differs between databases, as data: one constant per database, one line per difference.

use dbal_schema::ColumnType;

/// One database's way of saying things. PostgreSQL and MySQL will be two more constants.
#[derive(Debug)]
pub struct Dialect {
    /// Name in capabilities.
    pub name: &'static str,
    /// Around identifiers; doubled inside.
    pub quote: char,
    /// Form of placeholders.
    pub placeholder: Placeholder,
    /// Most placeholders of one statement.
    pub most_parameters: usize,
    /// After a sort key, smallest first with NULL before all values.
    pub ascending: &'static str,
    /// After a sort key, largest first with NULL after all values.
    pub descending: &'static str,
    /// After an operand of a decimal comparison, so that `9` is below `10`.
    pub decimal_order: &'static str,
    /// Around a text, so that case does not count.
    pub fold: &'static str,
    /// Text match: `column` contains `text`.
    pub contains: &'static [Piece],
    /// Text match: `column` starts with `text`.
    pub starts_with: &'static [Piece],
    /// Text match: `column` ends with `text`.
    pub ends_with: &'static [Piece],
    /// Type of a column, as `CREATE TABLE` wants it.
    pub column_type: fn(ColumnType) -> &'static str,
    /// After the closing bracket of `CREATE TABLE`.
    pub table_options: &'static str,
}

/// Form of placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `?`, in order
    Question,
    /// `$1`, `$2` …
    Numbered,
}

/// A part of a text match.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// Our own words.
    Word(&'static str),
    /// The column.
    Column,
    /// The text that is looked for.
    Text,
}

use Piece::{Column, Text, Word};

/// SQLite. `LIKE` ignores the case of ASCII letters there and gives `%` a meaning, and `instr` compares the whole text at
/// every position: one caller's search in a long text of their own could hold a thread for minutes. `dbal_contains`,
/// `dbal_decimal` and `dbal_fold` are registered by the worker's adapter.
pub const SQLITE: Dialect = Dialect {
    name: "sqlite",
    quote: '"',
    placeholder: Placeholder::Question,
    // SQLITE_MAX_VARIABLE_NUMBER (sqlite.org/limits.html).
    most_parameters: 32_766,
    ascending: " ASC",
    descending: " DESC",
    decimal_order: " COLLATE dbal_decimal",
    fold: "dbal_fold",
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
    column_type: sqlite_type,
    // STRICT: a column holds its declared type or the write fails (sqlite.org/stricttables.html).
    table_options: " STRICT",
};

fn sqlite_type(kind: ColumnType) -> &'static str {
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
