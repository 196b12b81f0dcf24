//! Queries: one row, a page of rows, a number.

use dbal_schema::Entity;
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Direction, SortKey};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use crate::columns::{Row, compared};
use crate::dialect::Dialect;
use crate::predicate::{all, condition};
use crate::sql::{Sql, SqlError, Statement};
use crate::steps::{Cell, Part, Select};

/// Which of the rows, in which order.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) order: &'a [SortKey],
    pub(crate) limit: u32,
    pub(crate) offset: u64,
}

/// Rows that the filter selects and the read terms show.
pub(crate) fn rows(
    part: Part<'_>,
    filter: &Predicate,
    projection: &[ColumnId],
    window: Option<Window<'_>>,
) -> Result<Select, SqlError> {
    let mut sql = Sql::new(part.dialect);
    let row = Row::stored(part.entity);
    sql.keyword("SELECT ");
    // A row of which nothing may be shown is still a row.
    if projection.is_empty() {
        sql.keyword("1");
    }
    let cells = cells(part, projection, &mut sql)?;
    from_where(part, filter, &mut sql)?;
    if let Some(Window { order, limit, offset }) = window {
        order_by(part, order, row, &mut sql)?;
        sql.keyword(" LIMIT ").parameter(Value::Int(i64::from(limit)));
        sql.keyword(" OFFSET ")
            .parameter(Value::Int(i64::try_from(offset).unwrap_or(i64::MAX)));
    }
    Ok(Select {
        statement: sql.finish()?,
        cells,
    })
}

/// How many rows the filter selects and the read terms show.
pub(crate) fn count(part: Part<'_>, filter: &Predicate) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT COUNT(*)");
    from_where(part, filter, &mut sql)?;
    sql.finish()
}

/// A row of `entity` with this value.
pub(crate) fn exists(
    entity: &Entity,
    column: ColumnId,
    value: &Value,
    dialect: &'static Dialect,
) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(dialect);
    let row = Row::stored(entity);
    sql.keyword("SELECT 1 FROM ")
        .identifier(&entity.table)
        .keyword(" WHERE ");
    let column = row.column(column)?;
    row.equatable(column, &mut sql);
    sql.keyword(" = ");
    compared(column, value, &mut sql);
    sql.finish()
}

/// Columns of the answer. The value of a masked column leaves the database only where the mask's condition is true.
pub(crate) fn cells(part: Part<'_>, projection: &[ColumnId], sql: &mut Sql) -> Result<Vec<Cell>, SqlError> {
    let row = Row::stored(part.entity);
    let masks = &part.plan.terms().read.masks;
    let mut cells = Vec::with_capacity(projection.len());
    for (nth, id) in projection.iter().enumerate() {
        if nth > 0 {
            sql.keyword(", ");
        }
        let column = row.column(*id)?;
        // Several masks on one column all have to hold.
        let shown_when: Vec<&Predicate> = masks
            .iter()
            .filter(|mask| mask.column == *id)
            .map(|mask| &mask.shown_when)
            .collect();
        if shown_when.is_empty() {
            row.operand(column, sql);
        } else {
            sql.keyword("(");
            all(&shown_when, row, part.plan.schema(), sql)?;
            sql.keyword(") IS TRUE, CASE WHEN ");
            all(&shown_when, row, part.plan.schema(), sql)?;
            sql.keyword(" THEN ");
            row.operand(column, sql);
            sql.keyword(" END");
        }
        cells.push(Cell {
            column: *id,
            is_masked: !shown_when.is_empty(),
        });
    }
    Ok(cells)
}

fn from_where(part: Part<'_>, filter: &Predicate, sql: &mut Sql) -> Result<(), SqlError> {
    let row = Row::stored(part.entity);
    sql.keyword(" FROM ")
        .identifier(&part.entity.table)
        .keyword(" WHERE (");
    condition(filter, row, part.plan.schema(), sql)?;
    sql.keyword(") AND (");
    condition(&part.plan.terms().read.rows, row, part.plan.schema(), sql)?;
    sql.keyword(")");
    Ok(())
}

fn order_by(part: Part<'_>, order: &[SortKey], row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    // The primary key decides between equals, or pages would overlap.
    let last = SortKey {
        column: part.entity.key,
        direction: Direction::Ascending,
    };
    let is_sorted_by_key = order.iter().any(|key| key.column == last.column);
    let tie_break = (!is_sorted_by_key).then_some(&last);
    for (nth, SortKey { column, direction }) in order.iter().chain(tie_break).enumerate() {
        sql.keyword(if nth == 0 { " ORDER BY " } else { ", " });
        let column = row.column(*column)?;
        row.ordered(column, sql);
        // Where there is no NULL, saying where it stands would keep PostgreSQL from using an index.
        sql.keyword(match (direction, column.is_nullable) {
            (Direction::Ascending, true) => part.dialect.ascending,
            (Direction::Descending, true) => part.dialect.descending,
            (Direction::Ascending, false) => " ASC",
            (Direction::Descending, false) => " DESC",
        });
    }
    Ok(())
}
