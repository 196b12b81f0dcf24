//! Whether the columns and values of a filter are what the schema says, counted against the limits.

use dbal_schema::{Column, ColumnType, Entity, Schema, time};
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::{IN_LIST_VALUES, INCLUDES, PREDICATE_NODES};
use dbal_shared::predicate::{Link, Predicate};
use dbal_shared::value::Value;

use crate::valid::Invalid;

/// Whether a value is of a column's type. NULL is of none.
pub fn fits(kind: ColumnType, value: &Value) -> bool {
    match kind {
        ColumnType::Uuid => matches!(value, Value::Uuid(_)),
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            matches!(value, Value::Text(text) if !text.contains('\0'))
        }
        ColumnType::Integer => matches!(value, Value::Int(number) if i32::try_from(*number).is_ok()),
        ColumnType::Bigint => matches!(value, Value::Int(_)),
        ColumnType::Float => matches!(value, Value::Float(number) if number.is_finite()),
        ColumnType::Decimal => matches!(value, Value::Decimal(text) if is_decimal(text)),
        ColumnType::Boolean => matches!(value, Value::Bool(_)),
        ColumnType::Date => matches!(value, Value::Date(days) if time::is_date(*days)),
        ColumnType::Datetime => matches!(value, Value::Timestamp(ms) if time::is_datetime(*ms)),
        ColumnType::Json => matches!(value, Value::Json(_)),
        ColumnType::Bytes => matches!(value, Value::Bytes(_)),
    }
}

/// The canonical form of `Value::Decimal`, loosely: enough that its order is defined.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Counts what a filter holds.
pub(crate) struct Operands<'a> {
    schema: &'a Schema,
    nodes: usize,
    includes: usize,
}

impl<'a> Operands<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            nodes: 0,
            includes: 0,
        }
    }

    /// Counts a relation that is included.
    pub(crate) fn include(&mut self) -> Result<(), Invalid> {
        self.includes = self.includes.saturating_add(1);
        if self.includes > INCLUDES {
            Err(Invalid::TooLarge("included relations"))
        } else {
            Ok(())
        }
    }

    /// Walks a client's filter.
    pub(crate) fn check(&mut self, predicate: &Predicate, entity: &Entity) -> Result<(), Invalid> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > PREDICATE_NODES {
            return Err(Invalid::TooLarge("conditions"));
        }
        match predicate {
            Predicate::True | Predicate::False => Ok(()),
            Predicate::Compare { column, op: _, value } => operand(entity, *column, [value]),
            Predicate::CompareColumns { left, op: _, right } => {
                let (left, right) = (open_column(entity, *left)?, open_column(entity, *right)?);
                if left.kind.is_like(right.kind) {
                    Ok(())
                } else {
                    Err(Invalid::WrongType)
                }
            }
            Predicate::In { column, values } if values.len() <= IN_LIST_VALUES => {
                operand(entity, *column, values)
            }
            Predicate::In { column: _, values: _ } => Err(Invalid::TooLarge("values of a list")),
            Predicate::Matches {
                column,
                position: _,
                text,
                case: _,
            } => {
                let column = open_column(entity, *column)?;
                if column.kind.is_text() && !text.contains('\0') {
                    Ok(())
                } else {
                    Err(Invalid::WrongType)
                }
            }
            Predicate::IsNull { column } => open_column(entity, *column).map(|_| ()),
            Predicate::Between { column, low, high } => operand(entity, *column, [low, high]),
            Predicate::Related {
                link,
                quantifier: _,
                // Our own `decide` wrote it, and rules may speak of columns that clients may not.
                within: _,
                predicate,
            } => self.related(*link, predicate, entity),
            Predicate::And(all) | Predicate::Or(all) => {
                all.iter().try_for_each(|one| self.check(one, entity))
            }
            Predicate::Not(inner) => self.check(inner, entity),
        }
    }

    fn related(&mut self, link: Link, predicate: &Predicate, entity: &Entity) -> Result<(), Invalid> {
        let other = self.linked(link, entity)?;
        self.check(predicate, other)
    }

    /// The other end of a foreign key.
    pub(crate) fn linked(&self, link: Link, entity: &Entity) -> Result<&'a Entity, Invalid> {
        let Link {
            column,
            entity: other,
            foreign,
        } = link;
        let other = self.schema.entity(other).ok_or(Invalid::UnknownEntity)?;
        if entity.relation(link).is_none() {
            return Err(Invalid::Ceiling("a link that is no foreign key"));
        }
        let (here, there) = (open_column(entity, column)?, open_column(other, foreign)?);
        if !here.kind.is_like(there.kind) {
            return Err(Invalid::WrongType);
        }
        Ok(other)
    }
}

/// A column that clients may speak of at all.
pub(crate) fn open_column(entity: &Entity, column: ColumnId) -> Result<&Column, Invalid> {
    let found = entity.column(column).ok_or(Invalid::UnknownColumn)?;
    if found.is_never_exposed {
        return Err(Invalid::Ceiling("a column that is never exposed"));
    }
    Ok(found)
}

fn operand<'v>(
    entity: &Entity,
    column: ColumnId,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<(), Invalid> {
    let kind = open_column(entity, column)?.kind;
    if values.into_iter().all(|value| fits(kind, value)) {
        Ok(())
    } else {
        Err(Invalid::WrongType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_only_columns_of_its_type() {
        assert!(fits(ColumnType::Integer, &Value::Int(7)));
        assert!(!fits(ColumnType::Integer, &Value::Int(1 << 31)));
        assert!(fits(ColumnType::Bigint, &Value::Int(1 << 31)));
        assert!(!fits(ColumnType::Bigint, &Value::Text("7".to_owned())));
        assert!(!fits(ColumnType::Float, &Value::Float(f64::NAN)));
        assert!(!fits(ColumnType::Datetime, &Value::Timestamp(i64::MAX)));
        assert!(!fits(ColumnType::Date, &Value::Date(i32::MIN)));
        assert!(!fits(ColumnType::String, &Value::Null));
        assert!(!fits(ColumnType::String, &Value::Text("a\0b".to_owned())));
        for (text, is_right) in [
            ("-0.5", true),
            ("10", true),
            ("1e5", false),
            ("", false),
            (".", false),
            ("--1", false),
        ] {
            assert_eq!(
                fits(ColumnType::Decimal, &Value::Decimal(text.to_owned())),
                is_right,
                "{text}"
            );
        }
    }
}
