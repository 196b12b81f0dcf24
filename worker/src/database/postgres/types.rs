//! What PostgreSQL's types hold of ours. A column's `storage` is the name of one of its own types, with `()` behind it where
//! digits are limited; or one of the words below.

use dbal_schema::ColumnType;
use tokio_postgres::types::Type;

use super::{arrays, values};
use crate::database::catalog::{Column, Fit};

/// Storage of columns of an enum type.
pub(super) const ENUM: &str = "enum";
/// Storage of columns of a domain over an enum type.
pub(super) const ENUM_DOMAIN: &str = "domain of an enum";
/// Storage of arrays; behind it stands the name of their elements' type, or [`ENUM`].
pub(super) const ARRAY: &str = "array of ";
/// Texts of which different ones are equal.
pub(super) const LOOSE: &str = "loose text";
/// Anything else that is not PostgreSQL's own.
pub(super) const FOREIGN: &str = "foreign";

/// Digits of a second that the daemon writes.
const MILLISECONDS: i32 = 3;

/// Storage of a type of PostgreSQL's own. `modifier` as `pg_attribute` has it: -1 is none.
pub(super) fn storage(name: &str, modifier: i32) -> String {
    let is_limited = match name {
        "numeric" => modifier >= 0,
        "timestamp" | "timestamptz" => (0..MILLISECONDS).contains(&modifier),
        _ => false,
    };
    format!("{name}{}", if is_limited { "()" } else { "" })
}

/// Most characters of a text type; the modifier counts four bytes of its own (PostgreSQL, `atttypmod`).
pub(super) fn max_length(storage: &str, modifier: i32) -> Option<u64> {
    let length = modifier
        .checked_sub(4)
        .and_then(|length| u64::try_from(length).ok());
    length.filter(|_| ["varchar", "bpchar"].contains(&storage))
}

/// Smallest and largest number of a type of whole ones.
pub(super) fn range(storage: &str) -> Option<(i64, i64)> {
    match storage {
        "int2" => Some((i16::MIN.into(), i16::MAX.into())),
        "int4" => Some((i32::MIN.into(), i32::MAX.into())),
        "int8" => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// Whether arrays of such elements are served.
fn is_known(element: &str) -> bool {
    element == ENUM || arrays::element_by_name(element).is_some()
}

/// As people write them.
pub(super) fn usable(kind: ColumnType) -> Vec<&'static str> {
    let mut names: Vec<&str> = values::usable(kind).iter().map(Type::name).collect();
    if kind == ColumnType::Enum {
        names.push("an enum type");
    }
    if kind == ColumnType::Json {
        names.push("arrays");
    }
    names
}

pub(super) fn fit(column: &Column, kind: ColumnType) -> Fit {
    let is_text = kind.is_text();
    if let Some(element) = column.storage.strip_prefix(ARRAY) {
        return if kind == ColumnType::Json && is_known(element) {
            Fit::Partly("it takes arrays of such values and no other JSON")
        } else {
            Fit::Wrong(
                "it holds several values, which only a field of type json does, of types that have one",
            )
        };
    }
    match column.storage.as_str() {
        LOOSE if is_text => return Fit::Wrong("texts that are different are equal there"),
        ENUM if kind == ColumnType::Enum => return Fit::Whole,
        // `operator does not exist`, whatever is on the other side.
        ENUM_DOMAIN if is_text => return Fit::Wrong("a domain over an enum can be compared with nothing"),
        ENUM | ENUM_DOMAIN | LOOSE | FOREIGN => return Fit::Not,
        _ => {}
    }
    let (name, is_limited) = match column.storage.strip_suffix("()") {
        Some(name) => (name, true),
        None => (column.storage.as_str(), false),
    };
    if !values::usable(kind).iter().any(|usable| usable.name() == name) {
        return Fit::Not;
    }
    match (kind, name) {
        (ColumnType::Uuid, _) if column.max_length.is_some_and(|most| most < 36) => Fit::Not,
        (ColumnType::String | ColumnType::Text, "bpchar") => {
            Fit::Partly("blanks at the end of a text are lost there")
        }
        (ColumnType::Float, "float4") => Fit::Partly("it keeps about 7 digits of a number's 16"),
        (ColumnType::Decimal, "int2" | "int4" | "int8") => Fit::Partly("it takes whole numbers only"),
        (ColumnType::Decimal, _) if is_limited => {
            Fit::Partly("digits behind its last are rounded off, larger numbers refused")
        }
        (ColumnType::Datetime, _) if is_limited => {
            Fit::Partly("it keeps fewer digits of a second than three")
        }
        (_, _) => Fit::Whole,
    }
}

/// Whether the server compares the two without being told how. Types are compared within one of these rows; two texts whose
/// collations are not the database's own but differ are not (PostgreSQL, 24.2.1).
pub(super) fn is_comparable(_: ColumnType, one: &Column, other: &Column) -> bool {
    const ALIKE: [&[&str]; 3] = [
        &["text", "varchar", "bpchar"],
        &["int2", "int4", "int8", "numeric", "float4", "float8"],
        &["date", "timestamp", "timestamptz"],
    ];
    let [first, second] = [one, other].map(|column| column.storage.trim_end_matches("()"));
    if first == ENUM && second == ENUM {
        return one.declared == other.declared;
    }
    let is_alike = first == second
        || ALIKE
            .iter()
            .any(|row| row.contains(&first) && row.contains(&second));
    let have_one_order = match (&one.collation, &other.collation) {
        (Some(first), Some(second)) => first == second,
        (_, _) => true,
    };
    is_alike && have_one_order
}

pub(super) fn suggest(column: &Column) -> Option<ColumnType> {
    let kind = match column.storage.trim_end_matches("()") {
        "bool" => ColumnType::Boolean,
        "int2" | "int4" => ColumnType::Integer,
        "int8" => ColumnType::Bigint,
        "float4" | "float8" => ColumnType::Float,
        "numeric" => ColumnType::Decimal,
        "text" => ColumnType::Text,
        "varchar" | "bpchar" => ColumnType::String,
        "uuid" => ColumnType::Uuid,
        "date" => ColumnType::Date,
        "timestamp" | "timestamptz" => ColumnType::Datetime,
        "json" | "jsonb" => ColumnType::Json,
        "bytea" => ColumnType::Bytes,
        ENUM if !column.values.is_empty() => ColumnType::Enum,
        array if array.strip_prefix(ARRAY).is_some_and(is_known) => ColumnType::Json,
        _ => return None,
    };
    Some(kind)
}

/// Behind a bridge values travel as text, and an array's is not the JSON that it comes from.
pub(in crate::database) fn bridged_fit(column: &Column, kind: ColumnType) -> Fit {
    if column.storage.starts_with(ARRAY) {
        Fit::Wrong("arrays are not served through a bridge")
    } else {
        fit(column, kind)
    }
}

pub(in crate::database) fn bridged_suggestion(column: &Column) -> Option<ColumnType> {
    Some(column)
        .filter(|column| !column.storage.starts_with(ARRAY))
        .and_then(suggest)
}
