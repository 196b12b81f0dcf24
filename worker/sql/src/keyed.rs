//! A read of one row, asked so that it serves several keys at once. Adapters whose database takes lists use it to answer
//! callers together who ask for different rows of the same kind.

use std::ops::Range;
use std::sync::Arc;

use dbal_schema::{Column, Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Action, Projection, Target};
use dbal_shared::terms::ReadTerms;
use dbal_shared::value::Value;

use crate::columns::Row;
use crate::dialect::{Dialect, OneOf};
use crate::predicate::condition;
use crate::select::cells;
use crate::sql::{Sql, SqlError, Statement};
use crate::steps::{Cell, Part};
use crate::valid::ValidPlan;

/// The read of one row as that of many.
#[derive(Debug)]
pub struct Keyed {
    /// Its first column is the key, the cells stand behind it.
    statement: Statement,
    cells: Vec<Cell>,
    /// The parameter that stands for the list of keys; among the statement's it is this plan's own key.
    at: usize,
    /// The part of the text that is its placeholder, where each key has one of its own.
    each: Option<Range<usize>>,
    dialect: &'static Dialect,
    schema: Arc<Schema>,
    kind: KeyKind,
}

/// By what kind of key a row is read: only such reads can be one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyKind {
    entity: EntityId,
    column: ColumnId,
}

/// All of a read of one row but its key. Reads that have it in common are answered by one statement, and nobody has to render theirs
/// to find out.
#[derive(Debug)]
pub struct KeyedShape {
    schema: Arc<Schema>,
    kind: KeyKind,
    projection: Projection,
    read: ReadTerms,
}

impl KeyKind {
    /// The plan's, if it reads one row by itself. What comes along takes more statements, of the same moment.
    pub fn of_plan(plan: &ValidPlan) -> Option<Self> {
        read_alone(plan).map(|(kind, _, _)| kind)
    }
}

impl KeyedShape {
    /// The plan's, if its key is something that the database takes lists of.
    pub fn of_plan(plan: &ValidPlan, dialect: &Dialect) -> Option<Self> {
        let (kind, _, projection) = read_alone(plan)?;
        let column = plan.entity()?.column(kind.column)?;
        (dialect.one_of)(column.kind)?;
        Some(Self {
            schema: Arc::clone(plan.shared_schema()),
            kind,
            projection: projection.clone(),
            read: plan.terms().read.clone(),
        })
    }

    /// The kind of the key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key of a plan that differs in nothing else.
    pub fn key_of<'a>(&self, plan: &'a ValidPlan) -> Option<&'a Value> {
        let (own, key, shown) = read_alone(plan)?;
        let Self {
            schema,
            kind,
            projection,
            read,
        } = self;
        let is_alike = own == *kind
            && Arc::ptr_eq(schema, plan.shared_schema())
            && projection == shown
            && *read == plan.terms().read;
        is_alike.then_some(key)
    }
}

/// The kind of a plan's key, the key, and what is shown.
fn read_alone(plan: &ValidPlan) -> Option<(KeyKind, &Value, &Projection)> {
    let Action::Read {
        target: Target { column, value },
        projection,
        includes,
    } = plan.action()
    else {
        return None;
    };
    let kind = KeyKind {
        entity: plan.terms().plan.entity,
        column: *column,
    };
    includes.is_empty().then_some((kind, value, projection))
}

impl Keyed {
    /// Renders a plan; none where it is no read of one row, or its key is nothing that the database takes lists of.
    ///
    /// INVARIANT: but for the key this reads nothing of the plan that [`KeyedShape`] does not compare; else one caller would get another's
    /// statement.
    pub fn of_plan(plan: &ValidPlan, dialect: &'static Dialect) -> Result<Option<Self>, SqlError> {
        let Some((kind, key, projection)) = read_alone(plan) else {
            return Ok(None);
        };
        let entity = plan.entity().ok_or(SqlError::NotInSchema)?;
        let part = Part {
            plan,
            entity,
            read: &plan.terms().read,
            dialect,
        };
        let row = Row::stored(entity);
        let column = row.column(kind.column)?;
        let Some(one_of) = (dialect.one_of)(column.kind) else {
            return Ok(None);
        };
        let (OneOf::List(before, behind) | OneOf::Each(before, behind)) = one_of;
        let mut sql = Sql::new(dialect);
        sql.keyword("SELECT ");
        row.operand(column, &mut sql);
        sql.keyword(if projection.is_empty() { "" } else { ", " });
        let cells = cells(part, projection, &mut sql)?;
        sql.keyword(" FROM ")
            .identifier(&entity.table)
            .keyword(" WHERE (");
        row.equatable(column, &mut sql);
        let at = sql.keyword(before).next_parameter();
        let start = sql.len();
        sql.parameter(row.kept(column, key, &sql));
        let each = match one_of {
            OneOf::List(..) => None,
            OneOf::Each(..) => Some(start..sql.len()),
        };
        sql.keyword(behind).keyword(") AND (");
        condition(&part.read.rows, row, plan.schema(), &mut sql)?;
        sql.keyword(")");
        Ok(Some(Self {
            statement: sql.finish()?,
            cells,
            at,
            each,
            dialect,
            schema: Arc::clone(plan.shared_schema()),
            kind,
        }))
    }

    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Which of its parameters is the list of keys.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The statement for several keys, where each is a parameter: a few lengths serve all numbers of them, so that a database
    /// prepares few of them. None where the list is one parameter.
    pub fn of_each(&self, keys: &[Value]) -> Option<Statement> {
        let piece = self.each.clone()?;
        let (row, column) = (Row::stored(self.entity()?), self.column()?);
        let sql = Sql::new(self.dialect);
        let mut values: Vec<Value> = keys.iter().map(|key| row.kept(column, key, &sql)).collect();
        let last = values.last()?.clone();
        values.resize(keys.len().next_power_of_two(), last);
        self.statement.repeated(piece, self.at, values)
    }

    /// What stands behind the first column of the result.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The entity.
    pub fn entity(&self) -> Option<&Entity> {
        self.schema.entity(self.kind.entity)
    }

    /// The column of the key.
    pub fn column(&self) -> Option<&Column> {
        self.entity()?.column(self.kind.column)
    }
}
