//! Queries: one row, a page of rows, a number.

use dbal_schema::{Arity, Entity};
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::INCLUDED_ROWS;
use dbal_shared::plan::{Direction, Include, SortKey};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use crate::columns::{Row, operator};
use crate::dialect::{Behind, Dialect};
use crate::place::{self, Holds, Stretch};
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

/// Columns of a query: those of the answer, and those that lead to linked rows.
pub(crate) struct Shown<'a> {
    pub(crate) projection: &'a [ColumnId],
    pub(crate) links: Vec<ColumnId>,
    /// Columns that tell a row's place in the order. They leave the worker sealed only.
    pub(crate) marks: Vec<ColumnId>,
}

impl<'a> Shown<'a> {
    pub(crate) fn of_plan(projection: &'a [ColumnId], includes: &[Include]) -> Self {
        Self {
            projection,
            links: includes.iter().map(|include| include.link.column).collect(),
            marks: Vec::new(),
        }
    }
}

/// Rows that the filter selects and the read terms show.
pub(crate) fn rows(
    part: Part<'_>,
    filter: &Predicate,
    shown: &Shown<'_>,
    window: Option<Window<'_>>,
) -> Result<Select, SqlError> {
    rows_among(part, (filter, None), shown, window)
}

/// The same of those that come after a place, if one is given.
fn rows_among(
    part: Part<'_>,
    (filter, after): (&Predicate, Option<&Predicate>),
    shown: &Shown<'_>,
    window: Option<Window<'_>>,
) -> Result<Select, SqlError> {
    let mut sql = Sql::new(part.dialect);
    let row = Row::stored(part.entity);
    sql.keyword("SELECT ");
    let (cells, links) = columns(part, shown, &mut sql)?;
    sql.keyword(" FROM ").identifier(&part.entity.table);
    where_shown(part, filter, &mut sql)?;
    if let Some(after) = after {
        sql.keyword(" AND (");
        condition(after, row.exactly(), part.plan.schema(), &mut sql)?;
        sql.keyword(")");
    }
    if let Some(Window { order, limit, offset }) = window {
        order_by(part, order, row, &mut sql)?;
        sql.keyword(" LIMIT ").parameter(Value::Int(i64::from(limit)));
        sql.keyword(" OFFSET ")
            .parameter(Value::Int(i64::try_from(offset).unwrap_or(i64::MAX)));
    }
    Ok(Select {
        statement: sql.finish()?,
        cells,
        links,
        marks: shown.marks.clone(),
    })
}

/// Numbers of the stretches of an order. More are not asked for one by one: each has the whole filter in it.
const STRETCHES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// The same of those that come after a place.
pub(crate) fn rows_behind(
    part: Part<'_>,
    filter: &Predicate,
    shown: &Shown<'_>,
    window: Window<'_>,
    place: &[Value],
) -> Result<Select, SqlError> {
    let stretches = place::stretches(window.order, part.entity, place);
    let first = place::complete(window.order, part.entity).first().copied();
    // Without an index each of them would read the whole table.
    let is_indexed = first.is_some_and(|key| part.entity.has_index_led_by(key.column));
    let are_worth_it = part.dialect.behind == Behind::Stretches && is_indexed;
    if are_worth_it && (2..=STRETCHES.len()).contains(&stretches.len()) {
        match by_stretches(part, filter, shown, window, &stretches) {
            // The filter has too many values to be said more than once.
            Err(SqlError::TooManyParameters { .. }) => {}
            select => return select,
        }
    }
    let after = place::after(window.order, part.entity, place);
    rows_among(part, (filter, Some(&after)), shown, Some(window))
}

/// The first rows of each stretch, numbered, and the first of these. What they are numbered by stands behind their other columns.
fn by_stretches(
    part: Part<'_>,
    filter: &Predicate,
    shown: &Shown<'_>,
    Window { order, limit, offset }: Window<'_>,
    stretches: &[Stretch<'_>],
) -> Result<Select, SqlError> {
    let mut sql = Sql::new(part.dialect);
    let row = Row::stored(part.entity);
    let most = i64::try_from(u64::from(limit).saturating_add(offset)).unwrap_or(i64::MAX);
    let mut found = None;
    sql.keyword("SELECT * FROM (");
    for (number, stretch) in STRETCHES.iter().zip(stretches) {
        sql.keyword(if found.is_none() {
            "(SELECT "
        } else {
            " UNION ALL (SELECT "
        });
        found = Some(columns(part, shown, &mut sql)?);
        sql.keyword(", ").keyword(number);
        sql.keyword(" AS dbal_page_stretch, ROW_NUMBER() OVER (");
        order_by(part, order, row, &mut sql)?;
        sql.keyword(") AS dbal_page_nth FROM ")
            .identifier(&part.entity.table);
        where_shown(part, filter, &mut sql)?;
        for (column, holds) in stretch {
            sql.keyword(" AND ");
            let column = row.column(*column)?;
            // In the order's own terms also where it is equal: an index serves a column in no others.
            row.ordered(column, &mut sql);
            match holds {
                Holds::Is(op, value) => {
                    sql.keyword(operator(*op));
                    row.compared(column, value, &mut sql);
                }
                Holds::IsNull => {
                    sql.keyword(" IS NULL");
                }
                Holds::IsNotNull => {
                    sql.keyword(" IS NOT NULL");
                }
            }
        }
        order_by(part, order, row, &mut sql)?;
        sql.keyword(" LIMIT ").parameter(Value::Int(most)).keyword(")");
    }
    sql.keyword(") AS dbal_page ORDER BY dbal_page_stretch, dbal_page_nth LIMIT ")
        .parameter(Value::Int(i64::from(limit)));
    sql.keyword(" OFFSET ")
        .parameter(Value::Int(i64::try_from(offset).unwrap_or(i64::MAX)));
    let (cells, links) = found.unwrap_or_default();
    Ok(Select {
        statement: sql.finish()?,
        cells,
        links,
        marks: shown.marks.clone(),
    })
}

/// Rows that a link leads to from rows with these values, at most so many for each: one statement, however many there are.
pub(crate) fn included(
    part: Part<'_>,
    include: &Include,
    arity: Arity,
    keys: &[Value],
) -> Result<Select, SqlError> {
    let row = Row::stored(part.entity);
    let mut links = vec![include.link.foreign];
    links.extend(include.includes.iter().map(|further| further.link.column));
    let shown = Shown {
        projection: &include.projection,
        links,
        marks: Vec::new(),
    };
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT ");
    let (cells, links) = columns(part, &shown, &mut sql)?;
    sql.keyword(" FROM ");
    match arity {
        Arity::One => {
            sql.identifier(&part.entity.table);
            where_linked(part, include, keys, &mut sql)?;
        }
        Arity::Many => {
            // The first of each group by number, and their columns by key: a derived table with the columns themselves
            // would have some twice, which not every database takes.
            let key = row.column(part.entity.key)?;
            sql.keyword("(SELECT ");
            row.operand(key, &mut sql);
            sql.keyword(" AS dbal_key, ROW_NUMBER() OVER (PARTITION BY ");
            row.equatable(row.column(include.link.foreign)?, &mut sql);
            order_by(part, &include.order, row, &mut sql)?;
            sql.keyword(") AS dbal_nth FROM ").identifier(&part.entity.table);
            where_linked(part, include, keys, &mut sql)?;
            sql.keyword(") AS dbal_linked JOIN ")
                .identifier(&part.entity.table);
            sql.keyword(" ON ");
            row.equatable(key, &mut sql);
            sql.keyword(" = dbal_linked.dbal_key WHERE dbal_linked.dbal_nth <= ")
                .parameter(Value::Int(i64::from(include.limit)));
            sql.keyword(" ORDER BY dbal_linked.dbal_nth");
        }
    }
    let one_too_many = i64::from(INCLUDED_ROWS).saturating_add(1);
    sql.keyword(" LIMIT ").parameter(Value::Int(one_too_many));
    Ok(Select {
        statement: sql.finish()?,
        cells,
        links,
        marks: shown.marks,
    })
}

fn where_linked(part: Part<'_>, include: &Include, keys: &[Value], sql: &mut Sql) -> Result<(), SqlError> {
    let is_linked = Predicate::In {
        column: include.link.foreign,
        values: padded(keys),
    };
    where_shown(part, &is_linked, sql)?;
    sql.keyword(" AND (");
    condition(&include.filter, Row::stored(part.entity), part.plan.schema(), sql)?;
    sql.keyword(")");
    Ok(())
}

/// As many as the next power of two, by repeating the last: so there are few shapes of the statement to prepare.
fn padded(keys: &[Value]) -> Vec<Value> {
    let mut padded = keys.to_vec();
    if let Some(last) = keys.last() {
        padded.resize(keys.len().next_power_of_two(), last.clone());
    }
    padded
}

/// Cells of the answer and of the links behind them.
fn columns(part: Part<'_>, shown: &Shown<'_>, sql: &mut Sql) -> Result<(Vec<Cell>, Vec<Cell>), SqlError> {
    let Shown {
        projection,
        links,
        marks,
    } = shown;
    let mut all = projection.to_vec();
    all.extend(links);
    // A row of which nothing may be shown is still a row.
    if all.is_empty() {
        sql.keyword("1");
    }
    let row = Row::stored(part.entity);
    let mut cells = cells(part, &all, sql)?;
    for column in marks {
        sql.keyword(", ");
        row.operand(row.column(*column)?, sql);
    }
    let links = cells.split_off(projection.len().min(cells.len()));
    Ok((cells, links))
}

/// How many rows the filter selects and the read terms show.
pub(crate) fn count(part: Part<'_>, filter: &Predicate) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT COUNT(*) FROM ")
        .identifier(&part.entity.table);
    where_shown(part, filter, &mut sql)?;
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
    row.compared(column, value, &mut sql);
    sql.finish()
}

/// Columns of the answer. The value of a masked column leaves the database only where the mask's condition is true.
pub(crate) fn cells(part: Part<'_>, projection: &[ColumnId], sql: &mut Sql) -> Result<Vec<Cell>, SqlError> {
    let row = Row::stored(part.entity);
    let masks = &part.read.masks;
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

pub(crate) fn where_shown(part: Part<'_>, filter: &Predicate, sql: &mut Sql) -> Result<(), SqlError> {
    let row = Row::stored(part.entity);
    sql.keyword(" WHERE (");
    condition(filter, row, part.plan.schema(), sql)?;
    sql.keyword(") AND (");
    condition(&part.read.rows, row, part.plan.schema(), sql)?;
    sql.keyword(")");
    Ok(())
}

fn order_by(part: Part<'_>, order: &[SortKey], row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    for (nth, SortKey { column, direction }) in place::complete(order, part.entity).iter().enumerate() {
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
