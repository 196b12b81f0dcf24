//! Numbers over rows: one query, one row for each group.

use dbal_schema::{Column, ColumnType};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Function, Measure, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use crate::columns::Row;
use crate::select::where_shown;
use crate::sql::{Sql, SqlError, Statement};
use crate::steps::Part;

/// The query for groups and numbers of the rows that the filter selects and the read terms show.
pub(crate) fn render(
    part: Part<'_>,
    filter: &Predicate,
    (groups, count, measures): (&[ColumnId], Total, &[Measure]),
    limit: u32,
) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    let row = Row::stored(part.entity);
    let mut between = "SELECT ";
    for column in groups {
        sql.keyword(between);
        let column = row.column(*column)?;
        if column.kind == ColumnType::Datetime && part.dialect.cut_time.is_some() {
            // Any of the group's own, since cutting makes NULL of what is no time (MySQL's `0000-00-00`), and that is to be told.
            sql.keyword("MIN(");
            row.operand(column, &mut sql);
            sql.keyword(")");
        } else {
            grouped(column, row, &mut sql);
        }
        between = ", ";
    }
    if count == Total::Counted {
        sql.keyword(between).keyword("COUNT(*)");
        between = ", ";
    }
    for measure in measures {
        sql.keyword(between);
        number(*measure, row, &mut sql)?;
        between = ", ";
    }
    sql.keyword(" FROM ").identifier(&part.entity.table);
    where_shown(part, filter, &mut sql)?;
    between = " GROUP BY ";
    for column in groups {
        sql.keyword(between);
        grouped(row.column(*column)?, row, &mut sql);
        between = ", ";
    }
    // In order, so that the first groups of many are always the same.
    between = " ORDER BY ";
    for column in groups {
        sql.keyword(between);
        let column = row.column(*column)?;
        // By the very words that stand in the groups, where these are not the column alone.
        if [ColumnType::Float, ColumnType::Datetime].contains(&column.kind) {
            grouped(column, row, &mut sql);
        } else {
            row.ordered(column, &mut sql);
        }
        sql.keyword(if column.is_nullable {
            part.dialect.ascending
        } else {
            " ASC"
        });
        between = ", ";
    }
    let one_too_many = i64::from(limit).saturating_add(1);
    sql.keyword(" LIMIT ").parameter(Value::Int(one_too_many));
    sql.finish()
}

/// By code point, whatever the column itself holds equal; -0 with 0; and times by what is read of them.
fn grouped(column: &Column, row: Row<'_>, sql: &mut Sql) {
    if column.kind == ColumnType::Float {
        let [open, close] = sql.dialect().group_of_floats;
        sql.keyword(open);
        row.operand(column, sql);
        sql.keyword(close);
    } else if !row.is_cut(column, sql) {
        row.equatable(column, sql);
    }
}

fn number(measure: Measure, row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    let Measure { function, column } = measure;
    let column = row.column(column)?;
    match function {
        Function::Sum => sum(column, row, sql),
        // Each database would round a mean of its own in its own way; a sum and a number are the same in all.
        Function::Average => {
            sum(column, row, sql);
            sql.keyword(", COUNT(");
            row.operand(column, sql);
            sql.keyword(")");
        }
        Function::Min => extreme("MIN(", column, row, sql),
        Function::Max => extreme("MAX(", column, row, sql),
    }
    Ok(())
}

fn sum(column: &Column, row: Row<'_>, sql: &mut Sql) {
    let dialect = sql.dialect();
    let words: &[&'static str] = match column.kind {
        ColumnType::Float => &dialect.sum_of_floats,
        ColumnType::Decimal => dialect.sum_of_decimals,
        ColumnType::Integer
        | ColumnType::Bigint
        // INVARIANT: `ColumnType::suits`; of these there is no sum in a valid plan.
        | ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Enum
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => &dialect.sum_of_integers,
    };
    for (nth, word) in words.iter().enumerate() {
        if nth > 0 {
            row.operand(column, sql);
        }
        sql.keyword(word);
    }
}

fn extreme(open: &'static str, column: &Column, row: Row<'_>, sql: &mut Sql) {
    sql.keyword(open);
    row.ordered(column, sql);
    sql.keyword(")");
}
