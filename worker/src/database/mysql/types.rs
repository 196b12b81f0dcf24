//! What the types of MariaDB and MySQL hold of ours. A column's `storage` is the name of its type, and behind it whichever
//! of the words below hold of it.

use dbal_schema::ColumnType;
use dbal_sql::UuidForm;

use crate::database::catalog::{Column, Fit};

/// No number below 0.
const UNSIGNED: &str = "unsigned";
/// Fewer digits than the daemon writes.
const LIMITED: &str = "limited";
/// Several bits.
const WIDE: &str = "wide";
/// `tinyint(1)`, as everybody writes a boolean.
const ONE_DIGIT: &str = "one_digit";
/// Not all letters that there are.
const FEW_LETTERS: &str = "few_letters";
/// ASCII alone.
const ASCII: &str = "ascii";
/// JSON and nothing else: MariaDB's `JSON` is a text with a check.
const CHECKED: &str = "json_valid";

/// Digits of a second that the daemon writes.
const MILLISECONDS: u64 = 3;
/// Digits of `DECIMAL(65,30)`, which is as much as there can be.
const DECIMAL: (u64, u64) = (65, 30);
/// Character sets that have all of Unicode.
const ALL_LETTERS: [&str; 4] = ["utf8mb4", "utf16", "utf16le", "utf32"];

/// A column as information_schema has it.
pub(super) struct Described {
    /// `DATA_TYPE`
    pub(super) name: String,
    /// `COLUMN_TYPE`
    pub(super) declared: String,
    /// `NUMERIC_PRECISION`
    pub(super) precision: Option<u64>,
    /// `NUMERIC_SCALE`
    pub(super) scale: Option<u64>,
    /// `DATETIME_PRECISION`
    pub(super) time_digits: Option<u64>,
    /// `CHARACTER_MAXIMUM_LENGTH`: characters, but octets where the type has a length of its own
    pub(super) length: Option<u64>,
    /// `CHARACTER_SET_NAME`
    pub(super) letters: Option<String>,
    /// Octets of the longest character.
    pub(super) letter_octets: Option<u64>,
    /// Whether a check lets in JSON only.
    pub(super) is_json: bool,
}

impl Described {
    /// See [`Column::storage`].
    pub(super) fn storage(&self) -> String {
        let Self {
            name,
            declared,
            precision,
            scale,
            time_digits,
            length: _,
            letters,
            letter_octets: _,
            is_json,
        } = self;
        let is_limited = match name.as_str() {
            "decimal" => (*precision, *scale) != (Some(DECIMAL.0), Some(DECIMAL.1)),
            "float" | "double" => scale.is_some(),
            "datetime" | "timestamp" => time_digits.is_none_or(|digits| digits < MILLISECONDS),
            _ => false,
        };
        let letters = letters.as_deref();
        let has_few = letters.is_some_and(|letters| !ALL_LETTERS.contains(&letters));
        let words = [
            (declared.contains(" unsigned"), UNSIGNED),
            (is_limited, LIMITED),
            (name == "bit" && *precision != Some(1), WIDE),
            (declared.starts_with("tinyint(1)"), ONE_DIGIT),
            (has_few, FEW_LETTERS),
            (letters == Some("ascii"), ASCII),
            (*is_json, CHECKED),
        ];
        let mut storage = name.clone();
        for (_, word) in words.into_iter().filter(|(holds, _)| *holds) {
            storage.push(' ');
            storage.push_str(word);
        }
        storage
    }

    /// Most characters, or octets, of a type in which there is place for less than a client can send.
    pub(super) fn max_length(&self) -> Option<u64> {
        match self.name.as_str() {
            "char" | "varchar" | "binary" | "varbinary" | "tinyblob" | "blob" => self.length,
            "tinytext" | "text" => self.length?.checked_div(self.letter_octets.unwrap_or(1)),
            _ => None,
        }
    }

    /// Smallest and largest number of a type of whole ones, as far as the daemon can read them.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        let bits: u32 = match self.name.as_str() {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        let is_unsigned = self.declared.contains(" unsigned");
        let most = |bits: u32| i64::MAX.checked_shr(63_u32.saturating_sub(bits)).unwrap_or(0);
        Some(if is_unsigned {
            (0, most(bits.min(63)))
        } else {
            let most = most(bits.saturating_sub(1));
            (most.saturating_neg().saturating_sub(1), most)
        })
    }
}

/// Whether texts that differ can be one to an index. Only these collations tell all apart, blanks at the end, too.
pub(super) fn is_loose(column: &Column) -> bool {
    column.collation.as_deref().is_some_and(|collation| {
        let is_exact = collation.ends_with("_nopad_bin") || collation.ends_with("_0900_bin");
        !is_exact && collation != "binary"
    })
}

/// How a column keeps uuids, if it is one that fits them.
pub(super) fn uuid_form(column: &Column) -> UuidForm {
    match words(column).0 {
        "binary" => UuidForm::Octets,
        "uuid" => UuidForm::OwnOrder,
        _ => UuidForm::Text,
    }
}

/// Whether the server compares the two as we mean it: uuids by their octets or by their text, and by a collation that it knows; of
/// texts each comparison says it. Of one character set `_bin`
/// comes first, of several one that has the letters of the others.
pub(super) fn is_comparable(kind: ColumnType, one: &Column, other: &Column) -> bool {
    const UNICODE: [&str; 7] = ["utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32"];
    let are_octets = |column: &Column| kind == ColumnType::Uuid && uuid_form(column) == UuidForm::Octets;
    if are_octets(one) != are_octets(other) {
        return false;
    }
    let (Some(first), Some(second)) = (&one.collation, &other.collation) else {
        return true;
    };
    if kind.is_text() || first == second {
        return true;
    }
    let [one, other] = [first, second].map(|collation| {
        let set = collation.split('_').next().unwrap_or_default();
        (set, collation.ends_with("_bin"))
    });
    if one.0 == other.0 {
        return one.1 != other.1;
    }
    [one.0, other.0]
        .iter()
        .any(|set| *set == ASCII || UNICODE.contains(set))
}

/// As people write them.
pub(super) fn usable(kind: ColumnType) -> Vec<&'static str> {
    const TEXTS: [&str; 6] = ["char", "varchar", "tinytext", "text", "mediumtext", "longtext"];
    match kind {
        ColumnType::Uuid => vec!["char", "varchar", "binary(16)", "uuid"],
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email => TEXTS.to_vec(),
        ColumnType::Enum => [&["enum"], TEXTS.as_slice()].concat(),
        ColumnType::Integer | ColumnType::Bigint => vec!["tinyint", "smallint", "mediumint", "int", "bigint"],
        ColumnType::Float => vec!["float", "double"],
        ColumnType::Decimal => vec!["decimal"],
        ColumnType::Boolean => vec!["tinyint", "bit"],
        ColumnType::Date => vec!["date"],
        ColumnType::Datetime => vec!["datetime", "timestamp"],
        ColumnType::Json => vec!["json", "text", "mediumtext", "longtext"],
        ColumnType::Bytes => vec![
            "binary",
            "varbinary",
            "tinyblob",
            "blob",
            "mediumblob",
            "longblob",
        ],
    }
}

pub(super) fn fit(column: &Column, kind: ColumnType) -> Fit {
    let (name, is) = words(column);
    if name == "set" {
        return Fit::Wrong("it holds several values, and a field holds one");
    }
    if kind == ColumnType::Uuid && name == "binary" {
        return match column.max_length {
            Some(16) => Fit::Whole,
            _ => Fit::Not,
        };
    }
    if !usable(kind).contains(&name) {
        return Fit::Not;
    }
    let is_free_text = matches!(
        kind,
        ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Json
    );
    match (kind, name) {
        (ColumnType::Uuid, "char" | "varchar") if column.max_length.is_some_and(|most| most < 36) => Fit::Not,
        (_, _) if kind.is_text() && is(CHECKED) => Fit::Partly("it takes JSON and nothing else"),
        (_, "char") if is_free_text => Fit::Partly("blanks at the end of a text are lost there"),
        (_, _) if is_free_text && is(FEW_LETTERS) => {
            Fit::Partly("it takes only the letters of its character set")
        }
        (ColumnType::Float, "float") => Fit::Partly("it keeps about 7 digits of a number's 16"),
        (ColumnType::Float | ColumnType::Decimal, _) if is(LIMITED) => {
            Fit::Partly("digits behind its last are rounded off, larger numbers refused")
        }
        (ColumnType::Float | ColumnType::Decimal, _) if is(UNSIGNED) => {
            Fit::Partly("it takes no number below 0")
        }
        (ColumnType::Boolean, "bit") if is(WIDE) => Fit::Partly(
            "it holds other numbers than 0 and 1, which are true there and are found by no filter",
        ),
        (ColumnType::Datetime, "timestamp") if is(LIMITED) => Fit::Partly(
            "it keeps fewer digits of a second than three, and takes no time before 1970 or long after 2038",
        ),
        (ColumnType::Datetime, "timestamp") => Fit::Partly("it takes no time before 1970 or long after 2038"),
        (ColumnType::Datetime, _) if is(LIMITED) => {
            Fit::Partly("it keeps fewer digits of a second than three")
        }
        (ColumnType::Bytes, "binary") => Fit::Partly("shorter values are filled up with zeros"),
        (_, _) => Fit::Whole,
    }
}

pub(super) fn suggest(column: &Column) -> Option<ColumnType> {
    let (name, is) = words(column);
    let kind = match name {
        "tinyint" if is(ONE_DIGIT) => ColumnType::Boolean,
        "bit" if !is(WIDE) => ColumnType::Boolean,
        "int" if is(UNSIGNED) => ColumnType::Bigint,
        "tinyint" | "smallint" | "mediumint" | "int" => ColumnType::Integer,
        "bigint" => ColumnType::Bigint,
        "float" | "double" => ColumnType::Float,
        "decimal" => ColumnType::Decimal,
        _ if is(CHECKED) => ColumnType::Json,
        // As the worker makes them.
        "char" if is(ASCII) && column.max_length == Some(36) => ColumnType::Uuid,
        "char" | "varchar" => ColumnType::String,
        "tinytext" | "text" | "mediumtext" | "longtext" => ColumnType::Text,
        "uuid" => ColumnType::Uuid,
        "binary" if column.max_length == Some(16) => ColumnType::Uuid,
        "date" => ColumnType::Date,
        "datetime" | "timestamp" => ColumnType::Datetime,
        "json" => ColumnType::Json,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes,
        "enum" if !column.values.is_empty() => ColumnType::Enum,
        _ => return None,
    };
    Some(kind)
}

/// A column's type, and what tells whether one of the words holds of it.
fn words(column: &Column) -> (&str, impl Fn(&str) -> bool) {
    let mut words = column.storage.split(' ');
    let name = words.next().unwrap_or_default();
    (name, move |word: &str| words.clone().any(|one| one == word))
}
