//! Changes. Each statement carries its own permission: what may not be written is not written.
//!
//! A row is written through write terms: one of them must hold for the row as it is (`before`) and as it will be
//! (`after`). The condition `before AND after` of the same terms stands in the statement itself, with the new values in
//! place of the columns, so that it decides before any constraint can fail: a conflict with a hidden row can't be told
//! from a refusal. The row as written is then tested against `after` once more, since triggers and column types of an
//! existing database may have changed it.
//!
//! Where a write can't answer the rows that it wrote, the same is asked in several statements of one transaction: one that
//! locks the rows and judges them by `before AND after`, the write with the same conditions, and one that tests the rows
//! as written and shows them. What the first refuses the second never tries, so the order tells nothing either. Where the
//! key of a single row is known and stays, the write may come first: it changes what the first would let it change.

use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Assignment, Target};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::WriteTerms;
use dbal_shared::value::Value;

use crate::ROWS_PER_BULK_WRITE;
use crate::columns::Row;
use crate::dialect::{Dialect, Returning, Unit};
use crate::predicate::{condition, joined};
use crate::select::cells;
use crate::sql::{Sql, SqlError, Statement};
use crate::steps::{
    AsWritten, Bulk, BulkOutcome, Cell, Part, Reach, Recheck, Removal, Reread, Together, Update, Write,
    is_target,
};

/// A new row, if the create terms allow it.
pub(crate) fn insert<'p>(
    part: Part<'p>,
    values: &'p [Assignment],
    projection: &'p [ColumnId],
) -> Result<Write<'p>, SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    into(part, values, &mut sql)?;
    selected(part, values, &mut sql)?;
    let key = values.iter().find(|one| one.column == part.entity.key);
    let key = key.map(|one| &one.value);
    written(part, AsWritten::Created, sql, (values, key), projection)
}

/// Several new rows of equal columns in one statement: it writes those that the create terms allow, and answers of each whether
/// it may be so as written. With the number of parameters that the first row has; each has as many.
pub(crate) fn insert_several(
    part: Part<'_>,
    rows: &[Vec<Assignment>],
) -> Result<(Statement, usize), SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    into(part, rows.first().map_or(&[], Vec::as_slice), &mut sql)?;
    let mut of_one = 0;
    for (nth, values) in rows.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { " UNION ALL" });
        selected(part, values, &mut sql)?;
        if nth == 0 {
            of_one = sql.next_parameter();
        }
    }
    sql.keyword(" RETURNING ");
    is_permitted_as_written(part, &mut sql)?;
    Ok((sql.finish()?, of_one))
}

/// `INSERT INTO … (columns)`
fn into(part: Part<'_>, values: &[Assignment], sql: &mut Sql) -> Result<(), SqlError> {
    let row = Row::stored(part.entity);
    sql.keyword("INSERT INTO ")
        .identifier(&part.entity.table)
        .keyword(" (");
    for (nth, Assignment { column, value: _ }) in values.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&row.column(*column)?.sql);
    }
    sql.keyword(")");
    Ok(())
}

/// The values, if the create terms allow them.
fn selected(part: Part<'_>, values: &[Assignment], sql: &mut Sql) -> Result<(), SqlError> {
    sql.keyword(" SELECT ");
    let row = Row::stored(part.entity);
    for (nth, Assignment { column, value }) in values.iter().enumerate() {
        let value = row.kept(row.column(*column)?, value, sql);
        sql.keyword(if nth == 0 { "" } else { ", " }).parameter(value);
    }
    sql.keyword(part.dialect.from_nothing).keyword(" WHERE ");
    let (before, behind) = match part.dialect.unit {
        Unit::Transaction => ("", ""),
        // A row that is not made does not undo those beside it.
        Unit::Statement { .. } => part.dialect.as_written,
    };
    sql.keyword(before);
    condition(
        &part.plan.terms().create,
        Row::written(part.entity, values),
        part.plan.schema(),
        sql,
    )?;
    sql.keyword(behind);
    Ok(())
}

/// New rows by one statement. Its `VALUES` take the columns' own types, as those of a single row do.
pub(crate) fn insert_together<'p>(
    part: Part<'p>,
    rows: &'p [Vec<Assignment>],
) -> Result<Together<'p>, SqlError> {
    let Part {
        plan,
        entity,
        dialect,
        read: _,
    } = part;
    let create = &plan.terms().create;
    let judge = if *create == Predicate::True {
        None
    } else {
        let mut sql = Sql::new(dialect);
        let (permitted, or_fail) = dialect.as_written;
        sql.keyword("SELECT ").keyword(permitted);
        joined(rows, " AND ", "TRUE", &mut sql, &mut |values, sql| {
            sql.keyword("(");
            condition(create, Row::written(entity, values), plan.schema(), sql)?;
            sql.keyword(")");
            Ok(())
        })?;
        sql.keyword(or_fail).keyword(dialect.from_nothing);
        Some(sql.finish()?)
    };
    let mut columns: Vec<ColumnId> = Vec::new();
    for Assignment { column, value: _ } in rows.iter().flatten() {
        if !columns.contains(column) {
            columns.push(*column);
        }
    }
    let mut sql = Sql::changing(entity, dialect);
    let stored = Row::stored(entity);
    sql.keyword("INSERT INTO ")
        .identifier(&entity.table)
        .keyword(" (");
    for (nth, column) in columns.iter().enumerate() {
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&stored.column(*column)?.sql);
    }
    sql.keyword(") VALUES ");
    for (nth, values) in rows.iter().enumerate() {
        sql.keyword(if nth == 0 { "(" } else { ", (" });
        for (nth, column) in columns.iter().enumerate() {
            sql.keyword(if nth == 0 { "" } else { ", " });
            match values.iter().find(|one| one.column == *column) {
                Some(one) => {
                    let value = stored.kept(stored.column(*column)?, &one.value, &sql);
                    sql.parameter(value)
                }
                None => sql.keyword("DEFAULT"),
            };
        }
        sql.keyword(")");
    }
    let recheck = if dialect.answers_new_rows(entity.id) {
        sql.keyword(" RETURNING ");
        is_permitted_as_written(part, &mut sql)?;
        None
    } else {
        Some(Recheck::new(part, AsWritten::Created))
    };
    Ok(Together {
        judge,
        write: sql.finish()?,
        recheck,
        rows,
    })
}

/// New values of one row, if the write terms allow them.
pub(crate) fn update<'p>(
    part: Part<'p>,
    target: &'p Target,
    values: &'p [Assignment],
    projection: &'p [ColumnId],
) -> Result<Update<'p>, SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    set(part, values, &mut sql)?;
    matching(part, &is_target(target), &mut sql)?;
    allowed(part, values, &mut sql)?;
    let is_key = |column| column == part.entity.key;
    let keeps_key = is_key(target.column) && !values.iter().any(|one| is_key(one.column));
    let key = keeps_key.then_some(&target.value);
    let write = written(part, AsWritten::Changed, sql, (values, key), projection)?;
    let reach = if part.dialect.returning.is_of_changes() {
        let mut sql = Sql::new(part.dialect);
        sql.keyword("SELECT 1 FROM ").identifier(&part.entity.table);
        matching(part, &is_target(target), &mut sql)?;
        reachable(part, &mut sql)?;
        Reach::After(sql.finish()?)
    } else {
        Reach::Before(survey(part, &is_target(target), values)?)
    };
    Ok(Update { write, reach })
}

/// New values of many rows.
pub(crate) fn update_many<'p>(
    part: Part<'p>,
    filter: &Predicate,
    values: &'p [Assignment],
) -> Result<Bulk<'p>, SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    set(part, values, &mut sql)?;
    matching(part, filter, &mut sql)?;
    let survey = judged(part, filter, values, &mut sql)?;
    let outcome = match (part.dialect.returning, part.dialect.unit) {
        (Returning::Clause, unit) => {
            sql.keyword(" RETURNING ");
            is_allowed_as_written(part, &mut sql)?;
            match unit {
                Unit::Transaction => BulkOutcome::Rows,
                Unit::Statement { .. } => BulkOutcome::Number,
            }
        }
        (Returning::NewRows | Returning::None, _) => {
            BulkOutcome::NumberAnd(Recheck::new(part, AsWritten::Changed))
        }
    };
    Ok(Bulk {
        survey,
        write: sql.finish()?,
        outcome,
        values,
    })
}

/// Removes one row.
pub(crate) fn delete(part: Part<'_>, target: &Target) -> Result<Removal, SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    sql.keyword("DELETE FROM ").identifier(&part.entity.table);
    matching(part, &is_target(target), &mut sql)?;
    allowed(part, &[], &mut sql)?;
    let returning = removed(part.dialect, &mut sql);
    Ok(Removal {
        statement: sql.finish()?,
        returning,
    })
}

/// Removes many rows.
pub(crate) fn delete_many<'p>(part: Part<'p>, filter: &Predicate) -> Result<Bulk<'p>, SqlError> {
    let mut sql = Sql::changing(part.entity, part.dialect);
    sql.keyword("DELETE FROM ").identifier(&part.entity.table);
    matching(part, filter, &mut sql)?;
    let survey = judged(part, filter, &[], &mut sql)?;
    let outcome = match removed(part.dialect, &mut sql) {
        Returning::Clause => BulkOutcome::Rows,
        Returning::NewRows | Returning::None => BulkOutcome::Number,
    };
    Ok(Bulk {
        survey,
        write: sql.finish()?,
        outcome,
        values: &[],
    })
}

/// The end of a removal, and whether it answers rows. Only their number is wanted: rows are answered where a transaction holds
/// them, as the drivers count those.
fn removed(dialect: &Dialect, sql: &mut Sql) -> Returning {
    match (dialect.returning, dialect.unit) {
        (Returning::Clause, Unit::Transaction) => {
            sql.keyword(" RETURNING TRUE");
            Returning::Clause
        }
        (Returning::NewRows | Returning::None, _) | (_, Unit::Statement { .. }) => Returning::None,
    }
}

/// The end of the condition under which rows are changed, and the question that is asked before. Where there is but one
/// statement, it fails on a row in reach that may not be changed so, and before it begins where there are too many in reach.
/// The filter stands once more within `CASE`, which alone says what is looked at first.
fn judged(
    part: Part<'_>,
    filter: &Predicate,
    values: &[Assignment],
    sql: &mut Sql,
) -> Result<Option<Statement>, SqlError> {
    let Unit::Statement { too_many } = part.dialect.unit else {
        allowed(part, values, sql)?;
        return Ok(Some(survey(part, filter, values)?));
    };
    let (permitted, or_fail) = part.dialect.as_written;
    sql.keyword("CASE WHEN (");
    condition(filter, Row::stored(part.entity), part.plan.schema(), sql)?;
    sql.keyword(") AND ");
    reachable(part, sql)?;
    sql.keyword(" THEN ").keyword(permitted);
    allowed(part, values, sql)?;
    sql.keyword(or_fail).keyword(" ELSE FALSE END");
    let most = i64::from(ROWS_PER_BULK_WRITE);
    sql.keyword(" AND (SELECT CASE WHEN COUNT(*) <= ")
        .parameter(Value::Int(most))
        .keyword(" THEN TRUE ELSE ")
        .keyword(too_many)
        .keyword(" END FROM (SELECT 1 FROM ")
        .identifier(&part.entity.table);
    matching(part, filter, sql)?;
    reachable(part, sql)?;
    sql.keyword(" LIMIT ")
        .parameter(Value::Int(most.saturating_add(1)))
        .keyword(") AS dbal_rows)");
    Ok(None)
}

fn survey(part: Part<'_>, filter: &Predicate, values: &[Assignment]) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT (");
    allowed(part, values, &mut sql)?;
    sql.keyword(") IS TRUE");
    let is_locked = !part.dialect.returning.is_of_changes();
    if is_locked {
        let row = Row::stored(part.entity);
        sql.keyword(", ");
        row.operand(row.column(part.entity.key)?, &mut sql);
    }
    sql.keyword(" FROM ").identifier(&part.entity.table);
    matching(part, filter, &mut sql)?;
    reachable(part, &mut sql)?;
    let one_too_many = i64::from(ROWS_PER_BULK_WRITE).saturating_add(1);
    sql.keyword(" LIMIT ").parameter(Value::Int(one_too_many));
    if is_locked {
        sql.keyword(" FOR UPDATE");
    }
    sql.finish()
}

/// The row that a write wrote. No row has this key if a trigger gave it another.
pub(crate) fn reread(
    part: Part<'_>,
    terms: AsWritten,
    projection: &[ColumnId],
    key: &Value,
) -> Result<Statement, SqlError> {
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT ");
    result(part, terms, projection, &mut sql)?;
    sql.keyword(" FROM ").identifier(&part.entity.table);
    sql.keyword(" WHERE ");
    let target = Target {
        column: part.entity.key,
        value: key.clone(),
    };
    condition(
        &is_target(&target),
        Row::stored(part.entity),
        part.plan.schema(),
        &mut sql,
    )?;
    sql.finish()
}

/// Counts those of the rows with these keys that may be so as they were written.
pub(crate) fn recheck(part: Part<'_>, terms: AsWritten, keys: &[Value]) -> Result<Statement, SqlError> {
    // Each number of placeholders is a statement that has to be prepared.
    const PLACES: [usize; 4] = [4, 16, 64, Recheck::KEYS];
    let places = PLACES.into_iter().find(|places| keys.len() <= *places);
    let mut sql = Sql::new(part.dialect);
    sql.keyword("SELECT COUNT(*) FROM ")
        .identifier(&part.entity.table);
    let last = keys.last().into_iter().cycle();
    let filter = Predicate::In {
        column: part.entity.key,
        values: keys
            .iter()
            .chain(last)
            .take(places.unwrap_or(keys.len()))
            .cloned()
            .collect(),
    };
    matching(part, &filter, &mut sql)?;
    is_so_as_written(part, terms, &mut sql)?;
    sql.finish()
}

/// A write and its result, which is its own or read again.
fn written<'p>(
    part: Part<'p>,
    terms: AsWritten,
    mut sql: Sql,
    (values, key): (&'p [Assignment], Option<&'p Value>),
    projection: &'p [ColumnId],
) -> Result<Write<'p>, SqlError> {
    let answers = match terms {
        AsWritten::Created => part.dialect.answers_new_rows(part.entity.id),
        AsWritten::Changed => part.dialect.returning.is_of_changes(),
    };
    let (reread, cells) = if answers {
        sql.keyword(" RETURNING ");
        (None, result(part, terms, projection, &mut sql)?)
    } else {
        (
            Some(Reread::new(part, terms, projection)),
            cells(part, projection, &mut Sql::new(part.dialect))?,
        )
    };
    Ok(Write {
        statement: sql.finish()?,
        reread,
        key,
        cells,
        values,
    })
}

/// Whether the row as written may be so, whether it may be shown, its cells.
fn result(
    part: Part<'_>,
    terms: AsWritten,
    projection: &[ColumnId],
    sql: &mut Sql,
) -> Result<Vec<Cell>, SqlError> {
    is_so_as_written(part, terms, sql)?;
    shown(part, projection, sql)
}

fn is_so_as_written(part: Part<'_>, terms: AsWritten, sql: &mut Sql) -> Result<(), SqlError> {
    match terms {
        AsWritten::Created => is_permitted_as_written(part, sql),
        AsWritten::Changed => is_allowed_as_written(part, sql),
    }
}

fn set(part: Part<'_>, values: &[Assignment], sql: &mut Sql) -> Result<(), SqlError> {
    let row = Row::stored(part.entity);
    sql.keyword("UPDATE ")
        .identifier(&part.entity.table)
        .keyword(" SET ");
    for (nth, Assignment { column, value }) in values.iter().enumerate() {
        let column = row.column(*column)?;
        let value = row.kept(column, value, sql);
        sql.keyword(if nth == 0 { "" } else { ", " })
            .identifier(&column.sql);
        sql.keyword(" = ").parameter(value);
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

fn is_permitted_as_written(part: Part<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    let (before, behind) = part.dialect.as_written;
    sql.keyword(before);
    let create = &part.plan.terms().create;
    condition(create, Row::stored(part.entity), part.plan.schema(), sql)?;
    sql.keyword(behind);
    Ok(())
}

fn is_allowed_as_written(part: Part<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    let schema = part.plan.schema();
    let (before, behind) = part.dialect.as_written;
    sql.keyword(before);
    any_terms(part, sql, &mut |terms, sql| {
        condition(&terms.after, Row::stored(part.entity), schema, sql)
    })?;
    sql.keyword(behind);
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
fn shown(part: Part<'_>, projection: &[ColumnId], sql: &mut Sql) -> Result<Vec<Cell>, SqlError> {
    sql.keyword(", ");
    is_true(part, &part.read.rows, sql)?;
    if !projection.is_empty() {
        sql.keyword(", ");
    }
    cells(part, projection, sql)
}
