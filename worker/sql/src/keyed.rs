//! A read of one row, asked so that it serves several keys at once. Adapters whose database takes lists use it to answer
//! callers together who ask for different rows of the same kind.

use std::ops::Range;
use std::sync::Arc;

use dbal_schema::{Column, Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::Action;
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
    /// This plan's own key.
    key: Value,
    dialect: &'static Dialect,
    schema: Arc<Schema>,
    entity: EntityId,
    column: ColumnId,
}

impl Keyed {
    /// Renders a plan; none where it is no read of one row, or its key is nothing that the database takes lists of.
    pub fn of_plan(plan: &ValidPlan, dialect: &'static Dialect) -> Result<Option<Self>, SqlError> {
        let Action::Read {
            target,
            projection,
            includes,
        } = plan.action()
        else {
            return Ok(None);
        };
        // What comes along takes more statements, of the same moment.
        if !includes.is_empty() {
            return Ok(None);
        }
        let entity = plan.entity().ok_or(SqlError::NotInSchema)?;
        let part = Part {
            plan,
            entity,
            read: &plan.terms().read,
            dialect,
        };
        let row = Row::stored(entity);
        let column = row.column(target.column)?;
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
        sql.parameter(row.kept(column, &target.value, &sql));
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
            key: target.value.clone(),
            dialect,
            schema: Arc::clone(plan.shared_schema()),
            entity: entity.id,
            column: column.id,
        }))
    }

    /// Whether one statement answers both: they differ in nothing but the key.
    pub fn is_alike(&self, other: &Self) -> bool {
        let Self {
            statement,
            cells,
            at,
            each: _,
            key: _,
            dialect: _,
            schema,
            entity,
            column,
        } = self;
        // Texts can be equal where answers are not: two fields may be of one column, two entities of one table.
        Arc::ptr_eq(schema, &other.schema)
            && (entity, column, at) == (&other.entity, &other.column, &other.at)
            && *cells == other.cells
            && statement.sql() == other.statement.sql()
            && statement.parameters().len() == other.statement.parameters().len()
            && (statement.parameters().iter().zip(other.statement.parameters()))
                .enumerate()
                .all(|(nth, (own, others))| nth == *at || own == others)
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

    /// This plan's own key.
    pub fn key(&self) -> &Value {
        &self.key
    }

    /// What stands behind the first column of the result.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The entity.
    pub fn entity(&self) -> Option<&Entity> {
        self.schema.entity(self.entity)
    }

    /// The column of the key.
    pub fn column(&self) -> Option<&Column> {
        self.entity()?.column(self.column)
    }
}
