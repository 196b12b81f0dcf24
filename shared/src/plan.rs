//! What a caller wants of one entity. On the channel a plan is plain data that nobody believes.

use crate::ids::{ColumnId, EntityId};
use crate::predicate::{Link, Predicate};
use crate::value::Value;

/// One operation on one entity; names and SQL have no place in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The entity.
    pub entity: EntityId,
    /// What is to be done.
    pub action: Action,
}

/// A column and the value it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: ColumnId,
    /// The value.
    pub value: Value,
}

/// One row, named by a unique column: the primary key or another.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Primary key or another unique column.
    pub column: ColumnId,
    /// Its value, never null.
    pub value: Value,
}

/// Columns of the answer, in the order in which they are written.
pub type Projection = Vec<ColumnId>;

/// One sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: ColumnId,
    /// The direction.
    pub direction: Direction,
}

/// Sort direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Linked rows that each row of the answer brings along.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// How they are linked to the row.
    pub link: Link,
    /// Which of them.
    pub filter: Predicate,
    /// In which order.
    pub order: Vec<SortKey>,
    /// Most of them for one row; 1 or more.
    pub limit: u32,
    /// What of them.
    pub projection: Projection,
    /// What they bring along in turn.
    pub includes: Vec<Include>,
}

/// A window on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Page number, from 1.
    pub number: u32,
    /// Rows per page, 1 or more.
    pub limit: u32,
}

impl Page {
    /// Rows before this page.
    pub fn offset(self) -> u64 {
        u64::from(self.number.saturating_sub(1)).saturating_mul(u64::from(self.limit))
    }
}

/// Whether a list counts all rows that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Count them.
    Counted,
    /// Leave `total` out.
    Skipped,
}

/// A number over the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Which.
    pub function: Function,
    /// Of which column; rows where it is NULL don't count.
    pub column: ColumnId,
}

/// Functions over the values of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Average,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// The operations. `target` names one row, `filter` any number.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The row, or 404.
    Read {
        /// Which row.
        target: Target,
        /// What of it.
        projection: Projection,
        /// What it brings along.
        includes: Vec<Include>,
    },
    /// The first row, or null.
    FindFirst {
        /// Which rows.
        filter: Predicate,
        /// Which of them is first.
        order: Vec<SortKey>,
        /// What of it.
        projection: Projection,
        /// What it brings along.
        includes: Vec<Include>,
    },
    /// A page of rows.
    List {
        /// Which rows.
        filter: Predicate,
        /// In which order.
        order: Vec<SortKey>,
        /// Which part.
        page: Page,
        /// Whether all are counted.
        total: Total,
        /// What of them.
        projection: Projection,
        /// What each brings along.
        includes: Vec<Include>,
        /// Where an earlier page ended, in the worker's own words: it alone can read them. Then the page's number is 1.
        cursor: Option<Vec<u8>>,
    },
    /// How many rows.
    Count {
        /// Which rows.
        filter: Predicate,
    },
    /// Numbers over rows, by group.
    Aggregate {
        /// Which rows.
        filter: Predicate,
        /// Rows that agree in all of these are one group; without any, all rows are.
        groups: Vec<ColumnId>,
        /// Whether each group's rows are counted.
        count: Total,
        /// What else is told of each group.
        measures: Vec<Measure>,
        /// Most groups; 1 or more.
        limit: u32,
    },
    /// One new row.
    Create {
        /// Its values.
        values: Vec<Assignment>,
        /// What of it is answered.
        projection: Projection,
    },
    /// Many new rows, all or none.
    CreateMany {
        /// Their values.
        rows: Vec<Vec<Assignment>>,
    },
    /// Change one row, or 404.
    Update {
        /// Which row.
        target: Target,
        /// New values.
        values: Vec<Assignment>,
        /// What of it is answered.
        projection: Projection,
    },
    /// Change many rows.
    UpdateMany {
        /// Which rows.
        filter: Predicate,
        /// New values.
        values: Vec<Assignment>,
    },
    /// Remove one row; false when there was none.
    Delete {
        /// Which row.
        target: Target,
    },
    /// Remove many rows.
    DeleteMany {
        /// Which rows.
        filter: Predicate,
    },
    /// Update the row if it exists, else create it.
    Upsert {
        /// Which row.
        target: Target,
        /// Values of a new row (the target's column and value included).
        create: Vec<Assignment>,
        /// New values of an existing row.
        update: Vec<Assignment>,
        /// What of it is answered.
        projection: Projection,
    },
}

/// The names that policies and audit records use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// One row by a unique column.
    Read,
    /// Rows by a filter: list, findFirst, count, aggregate.
    List,
    /// New rows.
    Create,
    /// Changed rows.
    Update,
    /// Removed rows.
    Delete,
}

impl Operation {
    /// All of them, in the order in which tables show them.
    pub const ALL: [Operation; 5] = [
        Operation::Create,
        Operation::Read,
        Operation::List,
        Operation::Update,
        Operation::Delete,
    ];

    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

impl Action {
    /// The operation whose rules decide. An upsert is decided by both create and update; this tells the first.
    pub fn operation(&self) -> Operation {
        match self {
            Action::Read { .. } => Operation::Read,
            Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. } => Operation::List,
            Action::Create { .. } | Action::CreateMany { .. } | Action::Upsert { .. } => Operation::Create,
            Action::Update { .. } | Action::UpdateMany { .. } => Operation::Update,
            Action::Delete { .. } | Action::DeleteMany { .. } => Operation::Delete,
        }
    }

    /// The method's name in audit records and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Read { .. } => "read",
            Action::FindFirst { .. } => "findFirst",
            Action::List { .. } => "list",
            Action::Count { .. } => "count",
            Action::Aggregate { .. } => "aggregate",
            Action::Create { .. } => "create",
            Action::CreateMany { .. } => "createMany",
            Action::Update { .. } => "update",
            Action::UpdateMany { .. } => "updateMany",
            Action::Delete { .. } => "delete",
            Action::DeleteMany { .. } => "deleteMany",
            Action::Upsert { .. } => "upsert",
        }
    }

    /// Whether it changes the database.
    pub fn is_write(&self) -> bool {
        match self.operation() {
            Operation::Read | Operation::List => false,
            Operation::Create | Operation::Update | Operation::Delete => true,
        }
    }
}
