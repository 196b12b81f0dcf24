//! Which operators make sense on which types: one table for the clients' filters and for the rules' expressions.

use dbal_schema::ColumnType;
use dbal_shared::predicate::Comparison;

/// Whether `column op value` has one meaning in every database.
pub(crate) fn compares(kind: ColumnType, op: Comparison) -> bool {
    match op {
        Comparison::Eq | Comparison::Ne => is_comparable(kind),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte => is_ordered(kind),
    }
}

/// Whether values can be equal. JSON has no equality that all databases share.
pub(crate) fn is_comparable(kind: ColumnType) -> bool {
    match kind {
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
pub(crate) fn is_ordered(kind: ColumnType) -> bool {
    match kind {
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
pub(crate) fn is_sortable(kind: ColumnType) -> bool {
    is_ordered(kind) || matches!(kind, ColumnType::Enum | ColumnType::Boolean)
}

/// Whether it is matched by pieces of text.
pub(crate) fn is_text(kind: ColumnType) -> bool {
    match kind {
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            true
        }
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
pub(crate) fn is_like(left: ColumnType, right: ColumnType) -> bool {
    let is_whole = |kind| matches!(kind, ColumnType::Integer | ColumnType::Bigint);
    left == right || (is_text(left) && is_text(right)) || (is_whole(left) && is_whole(right))
}

/// The operator that `NOT` makes of this one. Both are unknown where a side is NULL, so nothing is lost.
pub(crate) fn negated(op: Comparison) -> Comparison {
    match op {
        Comparison::Eq => Comparison::Ne,
        Comparison::Ne => Comparison::Eq,
        Comparison::Lt => Comparison::Gte,
        Comparison::Lte => Comparison::Gt,
        Comparison::Gt => Comparison::Lte,
        Comparison::Gte => Comparison::Lt,
    }
}

/// The operator with its sides swapped.
pub(crate) fn mirrored(op: Comparison) -> Comparison {
    match op {
        Comparison::Eq => Comparison::Eq,
        Comparison::Ne => Comparison::Ne,
        Comparison::Lt => Comparison::Gt,
        Comparison::Lte => Comparison::Gte,
        Comparison::Gt => Comparison::Lt,
        Comparison::Gte => Comparison::Lte,
    }
}

/// Whether an order satisfies an operator.
pub(crate) fn holds(op: Comparison, order: std::cmp::Ordering) -> bool {
    match op {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Lte => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Gte => order.is_ge(),
    }
}
