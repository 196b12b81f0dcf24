//! Changes. Each statement carries its own permission: what may not be written is not written.
//!
//! A row is written through write terms: one of them must hold for the row as it is (`before`) and as it will be
//! (`after`). The condition `before AND after` of the same terms stands in the statement itself, with the new values in
//! place of the columns, so that it decides before any constraint can fail: a conflict with a hidden row can't be told
//! from a refusal. The row as written is then tested against `after` once more, since triggers and column types of an
//! existing database may have changed it.

use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Assignment, Target};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::WriteTerms;
use dbal_shared::value::Value;

use crate::ROWS_PER_BULK_WRITE;
use crate::columns::Row;
use crate::predicate::{condition, joined};
use crate::select::cells;
use crate::sql::{Sql, SqlError, Statement};
use crate::steps::{Bulk, Part, Update, Write, is_target};

/// A new row, if the create terms allow it.
pub(crate) fn insert<'p>(
    part: Part<'p>,
    values: &'p [Assignment],
    projection: &[ColumnId],
) -> Result<Write<'p>, SqlError> {
    let Part {
        plan,
        entity,
        dialect,
        read: _,
    } = part;
    let mut sql = Sql::new(dialect);
    let row = Row::stored(entity);
    sql.keyword("INSERT INTO ")
        .identifier(&entity.table)
        .keyword(" (");
    for (nth, Assignment { column, value: _ }) in values.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&row.column(*column)?.sql);
    }
    sql.keyword(") SELECT ");
    for (nth, Assignment { column: _, value }) in values.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .parameter(value.clone());
    }
    let create = &plan.terms().create;
    sql.keyword(" WHERE ");
    condition(create, Row::written(entity, values), plan.schema(), &mut sql)?;
    sql.keyword(" RETURNING ");
    is_true(part, create, &mut sql)?;
    let cells = shown(part, projection, &mut sql)?;
    Ok(Write {
        statement: sql.finish()?,
        cells,
        values,
    })
}

/// New values of one row, if the write terms allow them.
pub(crate) fn update<'p>(
    part: Part<'p>,
    target: &Target,
    values: &'p [Assignment],
    projection: &[ColumnId],
) -> Result<Update<'p>, SqlError> {
    let mut sql = Sql::new(part.dialect);
    set(part, values, &mut sql)?;
    matching(part, &is_target(target), &mut sql)?;
    allowed(part, values, &mut sql)?;
    sql.keyword(" RETURNING ");
    is_allowed_as_written(part, &mut sql)?;
    let cells = shown(part, projection, &mut sql)?;
    let write = Write {
        statement: sql.finish()?,
        cells,
        values,
    };
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT 1 FROM ").identifier(&part.entity.table);
    matching(part, &is_target(target), &mut sql)?;
    reachable(part, &mut sql)?;
    Ok(Update {
        write,
        reach: sql.finish()?,
    })
}

/// New values of many rows.
pub(crate) fn update_many<'p>(
    part: Part<'p>,
    filter: &Predicate,
    values: &'p [Assignment],
) -> Result<Bulk<'p>, SqlError> {
    let mut sql = Sql::new(part.dialect);
    set(part, values, &mut sql)?;
    matching(part, filter, &mut sql)?;
    allowed(part, values, &mut sql)?;
    sql.keyword(" RETURNING ");
    is_allowed_as_written(part, &mut sql)?;
    Ok(Bulk {
        survey: survey(part, filter, values)?,
        write: sql.finish()?,
        values,
    })
}

/// Removes one row.
pub(crate) fn delete(part: Part<'_>, target: &Target) -> Result<Statement, SqlError> {
    removal(part, &is_target(target))
}

/// Removes many rows.
pub(crate) fn delete_many<'p>(part: Part<'p>, filter: &Predicate) -> Result<Bulk<'p>, SqlError> {
    Ok(Bulk {
        survey: survey(part, filter, &[])?,
        write: removal(part, filter)?,
        values: &[],
    })
}

fn removal(part: Part<'_>, filter: &Predicate) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("DELETE FROM ").identifier(&part.entity.table);
    matching(part, filter, &mut sql)?;
    allowed(part, &[], &mut sql)?;
    sql.keyword(" RETURNING TRUE");
    sql.finish()
}

fn survey(part: Part<'_>, filter: &Predicate, values: &[Assignment]) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT (");
    allowed(part, values, &mut sql)?;
    sql.keyword(") IS TRUE FROM ").identifier(&part.entity.table);
    matching(part, filter, &mut sql)?;
    reachable(part, &mut sql)?;
    let one_too_many = i64::from(ROWS_PER_BULK_WRITE).saturating_add(1);
    sql.keyword(" LIMIT ").parameter(Value::Int(one_too_many));
    sql.finish()
}

fn set(part: Part<'_>, values: &[Assignment], sql: &mut Sql) -> Result<(), SqlError> {
    let row = Row::stored(part.entity);
    sql.keyword("UPDATE ")
        .identifier(&part.entity.table)
        .keyword(" SET ");
    for (nth, Assignment { column, value }) in values.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&row.column(*column)?.sql);
        sql.keyword(" = ").parameter(value.clone());
    }
    // An update that names no value changes none, and still answers the row.
    if values.is_empty() {
        let key = row.column(part.entity.key)?;
        sql.identifier(&key.sql).keyword(" = ");
        row.operand(key, sql);
    }
    Ok(())
}

/// `WHERE (filter) AND `, to be followed by what the terms ask.
fn matching(part: Part<'_>, filter: &Predicate, sql: &mut Sql) -> Result<(), SqlError> {
    sql.keyword(" WHERE (");
    condition(filter, Row::stored(part.entity), part.plan.schema(), sql)?;
    sql.keyword(") AND ");
    Ok(())
}

/// Some terms hold for the row as it is.
fn reachable(part: Part<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    any_terms(part, sql, &mut |terms, sql| {
        condition(&terms.before, Row::stored(part.entity), part.plan.schema(), sql)
    })
}

/// Some terms hold for the row as it is *and* as it will be. Mixing one rule's `before` with another's `after` would
/// allow what neither does.
fn allowed(part: Part<'_>, values: &[Assignment], sql: &mut Sql) -> Result<(), SqlError> {
    let schema = part.plan.schema();
    any_terms(part, sql, &mut |terms, sql| {
        condition(&terms.before, Row::stored(part.entity), schema, sql)?;
        sql.keyword(") AND (");
        condition(&terms.after, Row::written(part.entity, values), schema, sql)
    })
}

fn is_allowed_as_written(part: Part<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    let schema = part.plan.schema();
    sql.keyword("(");
    any_terms(part, sql, &mut |terms, sql| {
        condition(&terms.after, Row::stored(part.entity), schema, sql)
    })?;
    sql.keyword(") IS TRUE");
    Ok(())
}

/// No terms at all: nothing is reached.
fn any_terms(
    part: Part<'_>,
    sql: &mut Sql,
    write: &mut impl FnMut(&WriteTerms, &mut Sql) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    joined(
        &part.plan.terms().write,
        " OR ",
        "FALSE",
        sql,
        &mut |terms, sql| {
            sql.keyword("((");
            write(terms, sql)?;
            sql.keyword("))");
            Ok(())
        },
    )
}

fn is_true(part: Part<'_>, predicate: &Predicate, sql: &mut Sql) -> Result<(), SqlError> {
    sql.keyword("(");
    condition(predicate, Row::stored(part.entity), part.plan.schema(), sql)?;
    sql.keyword(") IS TRUE");
    Ok(())
}

/// `, whether the row may be shown, its cells`
fn shown(
    part: Part<'_>,
    projection: &[ColumnId],
    sql: &mut Sql,
) -> Result<Vec<crate::steps::Cell>, SqlError> {
    sql.keyword(", ");
    is_true(part, &part.read.rows, sql)?;
    if !projection.is_empty() {
        sql.keyword(", ");
    }
    cells(part, projection, sql)
}
