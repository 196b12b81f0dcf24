//! Conditions on times where a database may keep finer ones than ours: a row is found by the milliseconds that are read of it. They
//! are ranges of the column itself, so an index serves them.

use dbal_schema::{Column, ColumnType, time};
use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use crate::columns::Row;
use crate::predicate::joined;
use crate::sql::{Sql, SqlError};

/// Whether times of this column are to be compared so.
pub(crate) fn is_met(row: Row<'_>, column: &Column, sql: &Sql) -> bool {
    column.kind == ColumnType::Datetime && sql.dialect().cut_time.is_some() && !row.is_exact()
}

/// Writes that the column's milliseconds stand so to a time. Nothing else than a time is met so.
pub(crate) fn compare(row: Row<'_>, column: &Column, op: Comparison, value: &Value, sql: &mut Sql) {
    sql.keyword("(");
    match op {
        Comparison::Eq => {
            plain(row, column, " >= ", value, sql);
            sql.keyword(" AND ");
            before_next(row, column, value, sql);
        }
        Comparison::Ne => {
            plain(row, column, " < ", value, sql);
            sql.keyword(" OR ");
            from_next(row, column, value, sql);
        }
        Comparison::Lt => plain(row, column, " < ", value, sql),
        Comparison::Lte => before_next(row, column, value, sql),
        Comparison::Gt => from_next(row, column, value, sql),
        Comparison::Gte => plain(row, column, " >= ", value, sql),
    }
    sql.keyword(")");
}

/// Writes that the column's milliseconds are one of these times.
pub(crate) fn is_in(row: Row<'_>, column: &Column, values: &[Value], sql: &mut Sql) -> Result<(), SqlError> {
    joined(values, " OR ", "FALSE", sql, &mut |value, sql| {
        compare(row, column, Comparison::Eq, value, sql);
        Ok(())
    })
}

fn plain(row: Row<'_>, column: &Column, operator: &'static str, value: &Value, sql: &mut Sql) {
    row.ordered(column, sql);
    sql.keyword(operator);
    row.compared(column, value, sql);
}

fn before_next(row: Row<'_>, column: &Column, value: &Value, sql: &mut Sql) {
    match next(value) {
        Some(next) => plain(row, column, " < ", &next, sql),
        None => itself(row, column, " = ", sql),
    }
}

fn from_next(row: Row<'_>, column: &Column, value: &Value, sql: &mut Sql) {
    match next(value) {
        Some(next) => plain(row, column, " >= ", &next, sql),
        None => itself(row, column, " <> ", sql),
    }
}

/// Behind the last millisecond there is none: what holds for every time, or for none, and is unknown of NULL.
fn itself(row: Row<'_>, column: &Column, operator: &'static str, sql: &mut Sql) {
    row.operand(column, sql);
    sql.keyword(operator);
    row.operand(column, sql);
}

fn next(value: &Value) -> Option<Value> {
    let Value::Timestamp(ms) = value else {
        return None;
    };
    let next = ms.checked_add(1).filter(|next| time::is_datetime(*next))?;
    Some(Value::Timestamp(next))
}
