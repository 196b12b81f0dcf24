//! Numbers over rows: one query, one row for each group.

use dbal_schema::ColumnType;
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
        row.operand(row.column(*column)?, &mut sql);
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
        row.operand(row.column(*column)?, &mut sql);
        between = ", ";
    }
    // In order, so that the first groups of many are always the same.
    between = " ORDER BY ";
    for column in groups {
        sql.keyword(between);
        let column = row.column(*column)?;
        row.ordered(column, &mut sql);
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

fn number(measure: Measure, row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    let Measure { function, column } = measure;
    let column = row.column(column)?;
    let dialect = sql.dialect();
    let [open, close] = match function {
        Function::Sum if column.kind == ColumnType::Float => ["SUM(", ")"],
        Function::Sum => dialect.sum_of_integers,
        Function::Average => dialect.average,
        Function::Min => ["MIN(", ")"],
        Function::Max => ["MAX(", ")"],
    };
    sql.keyword(open);
    match function {
        Function::Sum | Function::Average => row.operand(column, sql),
        Function::Min | Function::Max => row.ordered(column, sql),
    }
    sql.keyword(close);
    Ok(())
}
