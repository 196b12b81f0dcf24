//! A valid plan as the few statements that carry it out. Every adapter runs the same steps.

use dbal_schema::Entity;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Measure, Page, Target, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::terms::ReadTerms;
use dbal_shared::value::Value;

use crate::aggregate;
use crate::dialect::{Dialect, Returning, Unit};
use crate::select;
use crate::sql::{SqlError, Statement};
use crate::together::Batch;
use crate::valid::ValidPlan;
use crate::write;

/// What to run, and what its results mean.
#[derive(Debug)]
pub enum Steps<'p> {
    /// One row; none means 404.
    Read(Select),
    /// One row; none means null.
    FindFirst(Select),
    /// A page.
    List {
        /// Its rows; one more than the page's limit when they are not counted.
        rows: Select,
        /// Counts all rows, in the same snapshot.
        count: Option<Statement>,
        /// Which page.
        page: Page,
        /// Whether it is told by its number, or follows a place.
        start: Start,
    },
    /// One number.
    Count(Statement),
    /// Numbers over rows, by group.
    Aggregate(Aggregate<'p>),
    /// One new row.
    Create(Write<'p>),
    /// New rows, all or none.
    CreateMany(Vec<Write<'p>>),
    /// The same where one statement makes all of them.
    CreateTogether(Together<'p>),
    /// The same where a statement makes some of them.
    CreateBatches(Vec<Batch<'p>>),
    /// One changed row.
    Update(Update<'p>),
    /// Changed rows, all or none.
    UpdateMany(Bulk<'p>),
    /// Zero or one removed row.
    Delete(Removal),
    /// Removed rows, all or none.
    DeleteMany(Bulk<'p>),
    /// The update; if it reaches no row, the create, which fails like any other on a row that is there but out of reach.
    Upsert {
        /// Tried first.
        update: Update<'p>,
        /// Tried when the update reaches no row.
        create: Write<'p>,
    },
}

/// A query for numbers. Its result has the groups' columns, the count if there is one, and a column for each measure; for a mean
/// two, the sum and the number of values.
#[derive(Debug)]
pub struct Aggregate<'p> {
    /// The query: one row for each group, one group more than the limit. Without groups, one row.
    pub statement: Statement,
    /// Columns that rows are grouped by.
    pub groups: &'p [ColumnId],
    /// Whether rows are counted.
    pub count: Total,
    /// What else is told.
    pub measures: &'p [Measure],
    /// Most groups.
    pub limit: u32,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After so many rows.
    Number,
    /// After the row where an earlier page ended.
    Place,
}

/// A query for rows.
#[derive(Debug)]
pub struct Select {
    /// The query.
    pub statement: Statement,
    /// What its columns are.
    pub cells: Vec<Cell>,
    /// Columns behind them that lead to linked rows, for the worker itself: see [`crate::Branch`].
    pub links: Vec<Cell>,
    /// Columns behind those, which tell a row's place in the order: see [`ValidPlan::place_of`]. Never shown.
    pub marks: Vec<ColumnId>,
}

/// A column of the answer. A masked one takes two columns of the result: whether it is shown, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which.
    pub column: ColumnId,
    /// Whether only some rows show it.
    pub is_masked: bool,
}

/// Writes one row. No row in the result: it may not be written so. Else the result is: whether the row *as written* may
/// be so, whether it may be shown, and the cells.
#[derive(Debug)]
pub struct Write<'p> {
    /// The statement.
    pub statement: Statement,
    /// Has the result where the statement can't: it changes one row or none, and this reads it by its key.
    pub reread: Option<Reread<'p>>,
    /// That key, where it is known before the row is found, and stays.
    pub key: Option<&'p Value>,
    /// What stands behind the first two columns of the result.
    pub cells: Vec<Cell>,
    /// What it writes, to find the culprit when a constraint fails.
    pub values: &'p [Assignment],
}

/// Writes several rows by one statement, or none.
#[derive(Debug)]
pub struct Together<'p> {
    /// Asked before: it fails or denies where one of the rows may not be made, so that no constraint tells of it first. None
    /// where all may.
    pub judge: Option<Statement>,
    /// Makes them and tells their number, or fails: also where one may not be so as it was written, unless that is asked behind it.
    pub write: Statement,
    /// Asked behind it, in the same transaction, where the write answers no rows.
    pub recheck: Option<Recheck<'p>>,
    /// What it writes, row by row.
    pub rows: &'p [Vec<Assignment>],
}

impl Together<'_> {
    /// The judge and the write.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.judge.iter().chain([&self.write])
    }
}

/// Changes one row.
#[derive(Debug)]
pub struct Update<'p> {
    /// Changes it.
    pub write: Write<'p>,
    /// A row here means that it is in reach, none means 404.
    pub reach: Reach,
}

/// How it is found out whether a row is in reach.
#[derive(Debug)]
pub enum Reach {
    /// Asked when the write changed nothing: a row means 403, its new values are not allowed.
    After(Statement),
    /// Asked before the write, and locks the row: its key, and whether its new values are allowed. Where the key is known
    /// ([`Write::key`]) it need only be asked if the write changes no row.
    Before(Statement),
}

/// Changes or removes many rows.
#[derive(Debug)]
pub struct Bulk<'p> {
    /// One row for each that is in reach, saying whether it may be changed so; at most one more than
    /// [`crate::ROWS_PER_BULK_WRITE`]. Unless the write answers rows, the second column is the row's key, and the row is locked.
    /// None where the write fails by itself if one may not, or if they are too many.
    pub survey: Option<Statement>,
    /// Changes them.
    pub write: Statement,
    /// What the write tells of them.
    pub outcome: BulkOutcome<'p>,
    /// What it writes; nothing for deletes.
    pub values: &'p [Assignment],
}

/// What a write of many rows tells of them.
#[derive(Debug)]
pub enum BulkOutcome<'p> {
    /// A row for each, saying whether it may be so *as written*.
    Rows,
    /// Their number.
    Number,
    /// Their number; whether they may be so as written has to be asked.
    NumberAnd(Recheck<'p>),
}

/// Removes rows. Where it answers rows, there is one for each.
#[derive(Debug)]
pub struct Removal {
    /// The statement.
    pub statement: Statement,
    /// Whether it answers a row for each that it removed, or only their number.
    pub returning: Returning,
}

/// The result of a write, by the key of its row.
#[derive(Debug)]
pub struct Reread<'p> {
    part: Part<'p>,
    terms: AsWritten,
    projection: &'p [ColumnId],
}

/// What must hold for a row as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AsWritten {
    Created,
    Changed,
}

impl<'p> Reread<'p> {
    pub(crate) fn new(part: Part<'p>, terms: AsWritten, projection: &'p [ColumnId]) -> Self {
        Self {
            part,
            terms,
            projection,
        }
    }

    /// The query for the row with this key.
    pub fn of(&self, key: &Value) -> Result<Statement, SqlError> {
        let Self {
            part,
            terms,
            projection,
        } = self;
        write::reread(*part, *terms, projection, key)
    }
}

/// Whether rows may be so as they were written, by their keys.
#[derive(Debug)]
pub struct Recheck<'p> {
    part: Part<'p>,
    terms: AsWritten,
}

impl<'p> Recheck<'p> {
    /// Most keys of one query.
    pub const KEYS: usize = 256;

    pub(crate) fn new(part: Part<'p>, terms: AsWritten) -> Self {
        Self { part, terms }
    }

    /// Counts those of these rows that may be so. There are few texts, whatever the number of keys.
    pub fn of(&self, keys: &[Value]) -> Result<Statement, SqlError> {
        write::recheck(self.part, self.terms, keys)
    }
}

impl<'p> Steps<'p> {
    /// Renders a plan.
    pub fn of_plan(plan: &'p ValidPlan, dialect: &'static Dialect) -> Result<Self, SqlError> {
        let part = Part {
            plan,
            entity: plan.entity().ok_or(SqlError::NotInSchema)?,
            dialect,
            read: &plan.terms().read,
        };
        Ok(match plan.action() {
            Action::Read {
                target,
                projection,
                includes,
            } => {
                let shown = select::Shown::of_plan(projection, includes);
                Steps::Read(select::rows(part, &is_target(target), &shown, None)?)
            }
            Action::FindFirst {
                filter,
                order,
                projection,
                includes,
            } => {
                let window = select::Window {
                    order,
                    limit: 1,
                    offset: 0,
                };
                let shown = select::Shown::of_plan(projection, includes);
                Steps::FindFirst(select::rows(part, filter, &shown, Some(window))?)
            }
            Action::List {
                filter,
                order,
                page,
                total,
                projection,
                includes,
                cursor: _,
            } => {
                let (start, after) = match plan.start()? {
                    Some(place) => (Start::Place, Some(place)),
                    None => (Start::Number, None),
                };
                // Where nothing is counted, one row too many tells whether there are more.
                let (count, extra) = match total {
                    Total::Counted if start == Start::Number => (Some(select::count(part, filter)?), 0),
                    Total::Counted => (Some(select::count(part, filter)?), 1),
                    Total::Skipped => (None, 1),
                };
                let limit = page.limit.saturating_add(extra);
                let window = select::Window {
                    order,
                    limit,
                    offset: page.offset(),
                };
                let mut shown = select::Shown::of_plan(projection, includes);
                shown.marks = plan.marks();
                let rows = match after {
                    Some(place) => select::rows_behind(part, filter, &shown, window, place)?,
                    None => select::rows(part, filter, &shown, Some(window))?,
                };
                Steps::List {
                    rows,
                    count,
                    page: *page,
                    start,
                }
            }
            Action::Count { filter } => Steps::Count(select::count(part, filter)?),
            Action::Aggregate {
                filter,
                groups,
                count,
                measures,
                limit,
            } => Steps::Aggregate(Aggregate {
                statement: aggregate::render(part, filter, (groups, *count, measures), *limit)?,
                groups,
                count: *count,
                measures,
                limit: *limit,
            }),
            Action::Create { values, projection } => Steps::Create(write::insert(part, values, projection)?),
            // No rows are no statement, in whatever unit.
            Action::CreateMany { rows }
                if matches!(dialect.unit, Unit::Statement { .. }) && !rows.is_empty() =>
            {
                Steps::CreateTogether(write::insert_together(part, rows)?)
            }
            Action::CreateMany { rows }
                if !dialect.returning.is_of_changes()
                    && let Some(batches) = Batch::of_part(part, rows)? =>
            {
                Steps::CreateBatches(batches)
            }
            Action::CreateMany { rows } => {
                let one = |row: &'p Vec<Assignment>| write::insert(part, row, &[]);
                Steps::CreateMany(rows.iter().map(one).collect::<Result<_, _>>()?)
            }
            Action::Update {
                target,
                values,
                projection,
            } => Steps::Update(write::update(part, target, values, projection)?),
            Action::UpdateMany { filter, values } => {
                Steps::UpdateMany(write::update_many(part, filter, values)?)
            }
            Action::Delete { target } => Steps::Delete(write::delete(part, target)?),
            Action::DeleteMany { filter } => Steps::DeleteMany(write::delete_many(part, filter)?),
            Action::Upsert {
                target,
                create,
                update,
                projection,
            } => Steps::Upsert {
                update: write::update(part, target, update, projection)?,
                create: write::insert(part, create, projection)?,
            },
        })
    }
}

/// For each value that refers to another row: a query that finds this row. Run only after a foreign key failed, to name
/// the field.
pub fn references(
    plan: &ValidPlan,
    values: &[Assignment],
    dialect: &'static Dialect,
) -> Result<Vec<(ColumnId, Statement)>, SqlError> {
    let entity = plan.entity().ok_or(SqlError::NotInSchema)?;
    let mut checks = Vec::new();
    for Assignment { column, value } in values {
        let column = entity.column(*column).ok_or(SqlError::NotInSchema)?;
        if let Some(reference) = column.references
            && *value != Value::Null
        {
            let other = plan
                .schema()
                .entity(reference.entity)
                .ok_or(SqlError::NotInSchema)?;
            checks.push((
                column.id,
                select::exists(other, reference.column, value, dialect)?,
            ));
        }
    }
    Ok(checks)
}

/// What the renderers need beside their own part of the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'p> {
    pub(crate) plan: &'p ValidPlan,
    pub(crate) entity: &'p Entity,
    pub(crate) dialect: &'static Dialect,
    /// What of its rows may be shown.
    pub(crate) read: &'p ReadTerms,
}

pub(crate) fn is_target(target: &Target) -> Predicate {
    Predicate::Compare {
        column: target.column,
        op: Comparison::Eq,
        value: target.value.clone(),
    }
}
