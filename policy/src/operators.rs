//! Which operators make sense on which types: one table for the clients' filters and for the rules' expressions.

use dbal_schema::ColumnType;
use dbal_shared::predicate::Comparison;

/// Whether `column op value` has one meaning in every database.
pub(crate) fn compares(kind: ColumnType, op: Comparison) -> bool {
    match op {
        Comparison::Eq | Comparison::Ne => kind.is_comparable(),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte => kind.is_ordered(),
    }
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
