//! What a policy grants of a plan: the narrowed plan and the conditions that its rows must meet.

use crate::ids::ColumnId;
use crate::plan::Plan;
use crate::predicate::Predicate;

/// The narrowed plan and its conditions. Both processes compute it; they compare digests, never the terms themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The plan with its projection cut to readable columns and forced values put in.
    pub plan: Plan,
    /// Rows, and columns in them, that the answer may show.
    pub read: ReadTerms,
    /// For updates and deletes: a row is reached through any one of these. Empty for other plans.
    pub write: Vec<WriteTerms>,
    /// For creates: what the new row must satisfy. [`Predicate::False`] where nothing is created.
    pub create: Predicate,
}

/// Which rows, and which columns in them, may be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadTerms {
    /// Rows that may be shown (for writes: whether the written row may be shown; if not, the answer is null).
    pub rows: Predicate,
    /// Columns that are shown only in rows that satisfy a condition; elsewhere they are left out of the object.
    pub masks: Vec<Mask>,
    /// The same for the rows that each of the plan's includes brings along, in their order.
    pub includes: Vec<ReadTerms>,
}

/// A column that only some rows show.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The column.
    pub column: ColumnId,
    /// Rows that show it.
    pub shown_when: Predicate,
}

/// One way to reach a row for writing.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteTerms {
    /// The row as it is must satisfy this.
    pub before: Predicate,
    /// The row as it will be must satisfy this (always true for deletes).
    pub after: Predicate,
}
