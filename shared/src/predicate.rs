//! Conditions over the columns of one entity: what clients filter by and what row rules compile to.

use crate::ids::{ColumnId, EntityId};
use crate::value::Value;

/// A condition with SQL's three-valued logic: a row is selected only when it is true, not when it is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Every row.
    True,
    /// No row.
    False,
    /// `column op value`; the value is never null (use [`Predicate::IsNull`]).
    Compare {
        /// Left side.
        column: ColumnId,
        /// Operator.
        op: Comparison,
        /// Right side.
        value: Value,
    },
    /// `left op right`, both columns of the same row.
    CompareColumns {
        /// Left side.
        left: ColumnId,
        /// Operator.
        op: Comparison,
        /// Right side.
        right: ColumnId,
    },
    /// `column IN (values)`; an empty list selects no row.
    In {
        /// Column.
        column: ColumnId,
        /// Values, none of them null.
        values: Vec<Value>,
    },
    /// Text match; the pattern is literal text, so `%` and `_` mean themselves.
    Matches {
        /// Column.
        column: ColumnId,
        /// Where the text must stand.
        position: TextPosition,
        /// Literal text.
        text: String,
        /// Whether case counts.
        case: Case,
    },
    /// `column IS NULL`
    IsNull {
        /// Column.
        column: ColumnId,
    },
    /// `low <= column AND column <= high`
    Between {
        /// Column.
        column: ColumnId,
        /// Lower bound, included.
        low: Value,
        /// Upper bound, included.
        high: Value,
    },
    /// About rows of an entity that are linked to this one.
    Related {
        /// How they are linked.
        link: Link,
        /// How many of them must satisfy the condition.
        quantifier: Quantifier,
        /// Which of them count: those that the caller may see. Only `decide` writes it; in what a caller wants it is
        /// [`Predicate::True`]. Apart from the condition, since "every" is about rows for which this one is true.
        within: Box<Predicate>,
        /// Condition over the linked entity.
        predicate: Box<Predicate>,
    },
    /// All of them; true when empty.
    And(Vec<Predicate>),
    /// Any of them; false when empty.
    Or(Vec<Predicate>),
    /// Negation; unknown stays unknown.
    Not(Box<Predicate>),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
}

/// Where a text must stand within a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextPosition {
    /// Anywhere.
    Contains,
    /// At the start.
    StartsWith,
    /// At the end.
    EndsWith,
    /// The whole (with [`Case::Insensitive`]: equality that ignores case).
    Whole,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They differ.
    Sensitive,
    /// They do not.
    Insensitive,
}

/// How many linked rows must satisfy a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    Some,
    /// Every one; true when there is none.
    Every,
    /// Not one.
    None,
}

/// Rows of `entity` whose `foreign` column equals this row's `column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Column of this entity.
    pub column: ColumnId,
    /// The other entity.
    pub entity: EntityId,
    /// Column of the other entity.
    pub foreign: ColumnId,
}

impl Predicate {
    /// `a AND b`, without needless nodes.
    #[must_use]
    pub fn and(self, other: Predicate) -> Predicate {
        match (self, other) {
            (Predicate::True, kept) | (kept, Predicate::True) => kept,
            (Predicate::False, _) | (_, Predicate::False) => Predicate::False,
            (Predicate::And(mut all), Predicate::And(more)) => {
                all.extend(more);
                Predicate::And(all)
            }
            (Predicate::And(mut all), one) => {
                all.push(one);
                Predicate::And(all)
            }
            (one, other) => Predicate::And(vec![one, other]),
        }
    }

    /// `a OR b`, without needless nodes.
    #[must_use]
    pub fn or(self, other: Predicate) -> Predicate {
        match (self, other) {
            (Predicate::False, kept) | (kept, Predicate::False) => kept,
            (Predicate::True, _) | (_, Predicate::True) => Predicate::True,
            (Predicate::Or(mut any), Predicate::Or(more)) => {
                any.extend(more);
                Predicate::Or(any)
            }
            (Predicate::Or(mut any), one) => {
                any.push(one);
                Predicate::Or(any)
            }
            (one, other) => Predicate::Or(vec![one, other]),
        }
    }
}
