//! For the fuzz targets, in no build but theirs (`--cfg fuzzing`): what the adapter makes of what a server sends.

use dbal_schema::ColumnType;
use dbal_shared::value::Value;
use mysql_async::Value as Stored;

use super::server::Kind;
use super::{defaults, quoted, values};

/// A cell as the driver gives it out: texts and numbers of any width as bytes or numbers, times in parts that nobody checked.
pub enum Sent<'a> {
    /// Texts, decimals, bits.
    Bytes(&'a [u8]),
    /// A signed number.
    Int(i64),
    /// An unsigned one.
    UInt(u64),
    /// A number of single precision.
    Float(f32),
    /// A number of double precision.
    Double(f64),
    /// Year, month, day, hour, minute, second, microseconds.
    Date(u16, [u8; 5], u32),
}

/// A cell as it comes.
pub fn cell(declared: ColumnType, sent: &Sent<'_>) -> Option<Value> {
    let stored = match *sent {
        Sent::Bytes(bytes) => Stored::Bytes(bytes.to_vec()),
        Sent::Int(number) => Stored::Int(number),
        Sent::UInt(number) => Stored::UInt(number),
        Sent::Float(number) => Stored::Float(number),
        Sent::Double(number) => Stored::Double(number),
        Sent::Date(year, [month, day, hour, minute, second], micros) => {
            Stored::Date(year, month, day, hour, minute, second, micros)
        }
    };
    let _ = values::finer(&stored);
    values::read(declared, &stored)
}

/// Texts of the catalogue: the values of an enum, and what a column gets by default.
pub fn catalogue(text: &str) {
    let _ = quoted::values(text);
    for kind in [Kind::MariaDb, Kind::MySql] {
        for extra in ["", "DEFAULT_GENERATED"] {
            let _ = defaults::fill(kind, extra, Some(text));
        }
    }
}
