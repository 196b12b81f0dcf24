//! Prisma's types and the databases' own (`@db.…`) → types of entity files. A table; what it can't say, it says so.

use dbal_schema::ColumnType;

use super::syntax::Attribute;
use super::token::{Kind, Token};

/// What a type becomes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Native {
    /// None: what Prisma's own type says.
    pub(super) kind: Option<ColumnType>,
    pub(super) max_length: Option<u64>,
    pub(super) range: Option<(&'static str, &'static str)>,
    /// What is lost.
    pub(super) warning: Option<String>,
    /// There is no type for it at all.
    pub(super) is_unknown: bool,
}

/// Prisma's scalar types.
pub(super) fn scalar(kind: &str) -> Option<ColumnType> {
    Some(match kind {
        "String" => ColumnType::String,
        "Boolean" => ColumnType::Boolean,
        "Int" => ColumnType::Integer,
        "BigInt" => ColumnType::Bigint,
        "Float" => ColumnType::Float,
        "Decimal" => ColumnType::Decimal,
        "DateTime" => ColumnType::Datetime,
        "Json" => ColumnType::Json,
        "Bytes" => ColumnType::Bytes,
        _ => return None,
    })
}

/// `@db.VarChar(200)` on a field of Prisma's type `scalar`.
pub(super) fn of(attribute: &Attribute, scalar: ColumnType) -> Native {
    let Some(name) = attribute.name.strip_prefix("db.") else {
        return Native::default();
    };
    let first = attribute.arguments.first().and_then(number);
    let of_kind = |kind| Native {
        kind: Some(kind),
        ..Native::default()
    };
    let ranged = |kind, min, max| Native {
        kind: Some(kind),
        range: Some((min, max)),
        ..Native::default()
    };
    let told = |warning: &str| Native {
        warning: Some(format!("`@db.{name}`: {warning}")),
        ..Native::default()
    };
    match name {
        "Text" | "TinyText" | "MediumText" | "LongText" | "NText" => of_kind(ColumnType::Text),
        "Uuid" | "UniqueIdentifier" => of_kind(ColumnType::Uuid),
        "VarChar" | "Char" | "NVarChar" | "NChar" | "Binary" | "VarBinary" => Native {
            max_length: first,
            ..Native::default()
        },
        "Date" => of_kind(ColumnType::Date),
        "SmallInt" => ranged(ColumnType::Integer, "-32768", "32767"),
        "UnsignedSmallInt" => ranged(ColumnType::Integer, "0", "65535"),
        "TinyInt" | "Bit" if scalar == ColumnType::Boolean => Native::default(),
        "TinyInt" => ranged(ColumnType::Integer, "-128", "127"),
        "UnsignedTinyInt" => ranged(ColumnType::Integer, "0", "255"),
        "MediumInt" => ranged(ColumnType::Integer, "-8388608", "8388607"),
        "UnsignedMediumInt" => ranged(ColumnType::Integer, "0", "16777215"),
        // Beyond 32 bits with a sign.
        "UnsignedInt" => ranged(ColumnType::Bigint, "0", "4294967295"),
        "UnsignedBigInt" => Native {
            range: Some(("0", "9223372036854775807")),
            warning: Some(
                "`@db.UnsignedBigInt`: a bigint ends at 9223372036854775807; rows beyond can't be read"
                    .to_owned(),
            ),
            ..of_kind(ColumnType::Bigint)
        },
        "Decimal" | "Numeric" => told(
            "digits beyond the column's are rounded or refused by the database; \
                                       say `min` and `max` if clients shall be told before",
        ),
        "Timestamp" | "Timestamptz" | "DateTime" | "DateTime2" if first.is_some_and(|digits| digits < 3) => {
            told("the column keeps fewer digits than the milliseconds that a datetime has")
        }
        "Boolean" | "Integer" | "Int" | "BigInt" | "DoublePrecision" | "Real" | "Float" | "Double"
        | "Json" | "JsonB" | "ByteA" | "Blob" | "TinyBlob" | "MediumBlob" | "LongBlob" | "Timestamp"
        | "Timestamptz" | "DateTime" | "DateTime2" => Native::default(),
        "Citext" => Native {
            is_unknown: true,
            ..told(
                "texts that are different are equal there, so the worker does not serve it; make it `text`",
            )
        },
        // The worker would not start.
        "Money" | "Inet" | "Bit" | "VarBit" | "Xml" | "Oid" | "Year" => Native {
            is_unknown: true,
            ..told("the worker serves no column of that type; choose another one for the column")
        },
        "Time" | "Timetz" => Native {
            is_unknown: true,
            ..told("there is no type for a time of day without a day")
        },
        "ObjectId" => Native {
            is_unknown: true,
            ..told("MongoDB is no database of dbal's")
        },
        _ => told("not known here; check that the field's type fits what the column holds"),
    }
}

fn number(token: &Token) -> Option<u64> {
    match &token.kind {
        Kind::Number(text) => text.parse().ok(),
        Kind::Word(_) | Kind::Text(_) | Kind::Sign(_) | Kind::Doc(_) | Kind::NewLine => None,
    }
}
