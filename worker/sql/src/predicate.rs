//! Predicate → SQL condition, with SQL's own three-valued logic kept node by node.

use dbal_schema::{Column, ColumnType, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;

use crate::columns::{Row, operator};
use crate::dialect::{OwnRows, Piece};
use crate::moment;
use crate::sql::{Sql, SqlError};

/// Names of subqueries, by depth. No table begins so (`dbal_schema` refuses it): inside a subquery its alias would hide
/// a table of that name, and a row's condition would then speak of the linked row.
const ALIASES: [&str; 8] = [
    "dbal_1", "dbal_2", "dbal_3", "dbal_4", "dbal_5", "dbal_6", "dbal_7", "dbal_8",
];

/// Writes `predicate` about `row`.
pub(crate) fn condition(
    predicate: &Predicate,
    row: Row<'_>,
    schema: &Schema,
    sql: &mut Sql,
) -> Result<(), SqlError> {
    let writer = Writer {
        schema,
        depth: 0,
        writes: sql.writes(),
    };
    writer.write(predicate, row, sql)
}

/// Writes the conjunction of `predicates`.
pub(crate) fn all(
    predicates: &[&Predicate],
    row: Row<'_>,
    schema: &Schema,
    sql: &mut Sql,
) -> Result<(), SqlError> {
    let writer = Writer {
        schema,
        depth: 0,
        writes: sql.writes(),
    };
    joined(predicates, " AND ", "TRUE", sql, &mut |one, sql| {
        writer.write(one, row, sql)
    })
}

/// Writes `items` with `word` between them as a balanced tree: SQLite bounds the depth of an expression to 1000, and a
/// plain chain of n items is n deep.
pub(crate) fn joined<T>(
    items: &[T],
    word: &'static str,
    empty: &'static str,
    sql: &mut Sql,
    write: &mut impl FnMut(&T, &mut Sql) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    match items {
        [] => {
            sql.keyword(empty);
            Ok(())
        }
        [one] => write(one, sql),
        more => {
            let (left, right) = more.split_at(more.len().div_euclid(2));
            sql.keyword("(");
            joined(left, word, empty, sql, write)?;
            sql.keyword(word);
            joined(right, word, empty, sql, write)?;
            sql.keyword(")");
            Ok(())
        }
    }
}

#[derive(Clone, Copy)]
struct Writer<'a> {
    schema: &'a Schema,
    depth: usize,
    /// The entity whose rows the statement changes.
    writes: Option<EntityId>,
}

impl Writer<'_> {
    fn write(self, predicate: &Predicate, row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
        match predicate {
            Predicate::True => {
                sql.keyword("TRUE");
            }
            Predicate::False => {
                sql.keyword("FALSE");
            }
            Predicate::Compare { column, op, value } => {
                compare(row.column(*column)?, *op, value, row, sql);
            }
            Predicate::CompareColumns { left, op, right } => {
                row.beside((row.column(*left)?, *op), (row, row.column(*right)?), sql)?;
            }
            Predicate::In { column, values } => is_in(*column, values, row, sql)?,
            Predicate::Matches {
                column,
                position,
                text,
                case,
            } => {
                matches(row.column(*column)?, *position, text, *case, row, sql);
            }
            Predicate::IsNull { column } => {
                row.operand(row.column(*column)?, sql);
                sql.keyword(" IS NULL");
            }
            Predicate::Between { column, low, high } => {
                let column = row.column(*column)?;
                if moment::is_met(row, column, sql) {
                    moment::compare(row, column, Comparison::Gte, low, sql);
                    sql.keyword(" AND ");
                    moment::compare(row, column, Comparison::Lte, high, sql);
                    return Ok(());
                }
                row.ordered(column, sql);
                sql.keyword(" BETWEEN ");
                row.compared(column, low, sql);
                sql.keyword(" AND ");
                row.compared(column, high, sql);
            }
            Predicate::Related {
                link,
                quantifier,
                within,
                predicate,
            } => {
                self.related(*link, *quantifier, (within, predicate), row, sql)?;
            }
            Predicate::And(all) => {
                joined(all, " AND ", "TRUE", sql, &mut |one, sql| {
                    self.bracketed(one, row, sql)
                })?;
            }
            Predicate::Or(any) => {
                joined(any, " OR ", "FALSE", sql, &mut |one, sql| {
                    self.bracketed(one, row, sql)
                })?;
            }
            Predicate::Not(inner) => {
                sql.keyword("NOT ");
                self.bracketed(inner, row, sql)?;
            }
        }
        Ok(())
    }

    /// `BETWEEN … AND …` and comparisons must not be torn apart by what stands beside them.
    fn bracketed(self, predicate: &Predicate, row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
        sql.keyword("(");
        self.write(predicate, row, sql)?;
        sql.keyword(")");
        Ok(())
    }

    fn related(
        self,
        link: Link,
        quantifier: Quantifier,
        (within, predicate): (&Predicate, &Predicate),
        row: Row<'_>,
        sql: &mut Sql,
    ) -> Result<(), SqlError> {
        let alias = ALIASES
            .get(self.depth)
            .ok_or(SqlError::TooManyRelations { most: ALIASES.len() })?;
        let entity = self.schema.entity(link.entity).ok_or(SqlError::NotInSchema)?;
        let other = Row::aliased(entity, alias);
        sql.keyword(match quantifier {
            Quantifier::Some => "EXISTS (SELECT 1 FROM ",
            Quantifier::Every | Quantifier::None => "NOT EXISTS (SELECT 1 FROM ",
        });
        if self.writes == Some(entity.id) && sql.dialect().own_rows == OwnRows::Copy {
            sql.keyword("(SELECT * FROM ")
                .identifier(&entity.table)
                .keyword(" LIMIT 18446744073709551615)");
        } else {
            sql.identifier(&entity.table);
        }
        sql.keyword(" AS ").keyword(alias).keyword(" WHERE ");
        let foreign = (other.column(link.foreign)?, Comparison::Eq);
        other.beside(foreign, (row, row.column(link.column)?), sql)?;
        let deeper = Self {
            depth: self.depth.saturating_add(1),
            ..self
        };
        if *within != Predicate::True {
            sql.keyword(" AND ");
            deeper.bracketed(within, other, sql)?;
        }
        sql.keyword(" AND (");
        deeper.write(predicate, other, sql)?;
        // "Every" fails on a row for which the condition is false or unknown.
        sql.keyword(match quantifier {
            Quantifier::Some | Quantifier::None => ") IS TRUE)",
            Quantifier::Every => ") IS NOT TRUE)",
        });
        Ok(())
    }
}

fn compare(column: &Column, op: Comparison, value: &Value, row: Row<'_>, sql: &mut Sql) {
    if moment::is_met(row, column, sql) {
        moment::compare(row, column, op, value, sql);
        return;
    }
    if let Some(holds) = truth(column, op, value, sql) {
        // Any number but 0 is true, and these are conditions that an index serves.
        row.operand(column, sql);
        sql.keyword(holds);
        return;
    }
    if op == Comparison::Eq && row.has_loose_equality(column, sql) {
        row.operand(column, sql);
        sql.keyword(" = ").parameter(value.clone()).keyword(" AND ");
    }
    row.comparable(column, op, sql);
    sql.keyword(operator(op));
    row.compared(column, value, sql);
}

/// What holds of a boolean that may be any number where it is compared so.
fn truth(column: &Column, op: Comparison, value: &Value, sql: &Sql) -> Option<&'static str> {
    if column.kind != ColumnType::Boolean || sql.dialect().around_boolean == ("", "") {
        return None;
    }
    match (op, value) {
        (Comparison::Eq, Value::Bool(true)) | (Comparison::Ne, Value::Bool(false)) => Some(" <> 0"),
        (Comparison::Eq, Value::Bool(false)) | (Comparison::Ne, Value::Bool(true)) => Some(" = 0"),
        (_, _) => None,
    }
}

fn is_in(column: ColumnId, values: &[Value], row: Row<'_>, sql: &mut Sql) -> Result<(), SqlError> {
    // `IN ()` is no SQL everywhere.
    let Some((first, rest)) = values.split_first() else {
        sql.keyword("FALSE");
        return Ok(());
    };
    let column = row.column(column)?;
    if moment::is_met(row, column, sql) {
        return moment::is_in(row, column, values, sql);
    }
    let listed = |sql: &mut Sql| {
        sql.keyword(" IN (");
        row.compared(column, first, sql);
        for value in rest {
            sql.keyword(", ");
            row.compared(column, value, sql);
        }
        sql.keyword(")");
    };
    if row.has_loose_equality(column, sql) {
        row.operand(column, sql);
        listed(sql);
        sql.keyword(" AND ");
    }
    row.equatable(column, sql);
    listed(sql);
    Ok(())
}

fn matches(column: &Column, position: TextPosition, text: &str, case: Case, row: Row<'_>, sql: &mut Sql) {
    let dialect = sql.dialect();
    let pieces = match position {
        TextPosition::Contains => dialect.contains,
        TextPosition::StartsWith => dialect.starts_with,
        TextPosition::EndsWith => dialect.ends_with,
        TextPosition::Whole => dialect.whole,
    };
    let (open, close) = match case {
        Case::Sensitive => ("", ""),
        Case::Insensitive => dialect.fold,
    };
    for piece in pieces {
        match piece {
            Piece::Word(words) => {
                sql.keyword(words);
            }
            Piece::Column => {
                sql.keyword(open);
                row.as_read(column, sql);
                sql.keyword(dialect.searched).keyword(close);
            }
            Piece::Text => {
                sql.keyword(open);
                sql.typed(Value::Text(text.to_owned()), dialect.text)
                    .keyword(close);
            }
        }
    }
}
