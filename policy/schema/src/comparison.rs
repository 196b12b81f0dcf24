//! What the values of a type can be compared for: one table for clients' filters, rules' expressions and the worker's check.

use dbal_shared::plan::Function;

use crate::column::ColumnType;

impl ColumnType {
    /// Whether values can be equal. JSON has no equality that all databases share.
    pub fn is_comparable(self) -> bool {
        match self {
            ColumnType::Json => false,
            ColumnType::Uuid
            | ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Enum
            | ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Datetime
            | ColumnType::Bytes => true,
        }
    }

    /// Whether one value can be less than another. Enums sort by name here and by position there.
    pub fn is_ordered(self) -> bool {
        match self {
            ColumnType::Uuid
            | ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Date
            | ColumnType::Datetime => true,
            ColumnType::Enum | ColumnType::Boolean | ColumnType::Json | ColumnType::Bytes => false,
        }
    }

    /// Whether a list can be sorted by it.
    pub fn is_sortable(self) -> bool {
        self.is_ordered() || matches!(self, ColumnType::Enum | ColumnType::Boolean)
    }

    /// Whether values add up.
    pub fn is_summable(self) -> bool {
        match self {
            ColumnType::Integer | ColumnType::Bigint | ColumnType::Float | ColumnType::Decimal => true,
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
            | ColumnType::Bytes => false,
        }
    }

    /// Whether some value of several is the smallest. Not every database looks for it among UUIDs.
    pub fn has_extremes(self) -> bool {
        self.is_ordered() && self != ColumnType::Uuid
    }

    /// Whether a function over its values has one meaning in every database.
    pub fn suits(self, function: Function) -> bool {
        match function {
            Function::Sum | Function::Average => self.is_summable(),
            Function::Min | Function::Max => self.has_extremes(),
        }
    }

    /// Whether it is matched by pieces of text.
    pub fn is_text(self) -> bool {
        match self {
            ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Enum => true,
            ColumnType::Uuid
            | ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Decimal
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Datetime
            | ColumnType::Json
            | ColumnType::Bytes => false,
        }
    }

    /// Whether two columns can be compared with each other.
    pub fn is_like(self, other: ColumnType) -> bool {
        let is_whole = |kind| matches!(kind, ColumnType::Integer | ColumnType::Bigint);
        self == other || (self.is_text() && other.is_text()) || (is_whole(self) && is_whole(other))
    }
}
