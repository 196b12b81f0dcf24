//! Where a page ends: the values of its last row's sort keys. What follows is told by them alone, so that rows which come
//! or go meanwhile neither repeat nor hide others.

use std::fmt::Debug;

use dbal_schema::{Column, ColumnType, Entity};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Direction, SortKey};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use crate::operands::fits;

/// Makes cursors of places, and places of cursors. `binding` says what a cursor is good for: another one makes nothing of it.
pub trait Places: Debug + Send + Sync {
    /// The cursor of a place; none where it would be too long.
    fn seal(&self, binding: &[u8], place: &[Value]) -> Option<String>;

    /// The place of a cursor that was made here, or with a key that is known here, for this very purpose.
    fn open(&self, binding: &[u8], cursor: &[u8]) -> Option<Vec<Value>>;
}

/// The whole order: the primary key decides between equals, or pages would overlap.
pub(crate) fn complete(order: &[SortKey], entity: &Entity) -> Vec<SortKey> {
    let mut order = order.to_vec();
    if !order.iter().any(|key| key.column == entity.key) {
        order.push(SortKey {
            column: entity.key,
            direction: Direction::Ascending,
        });
    }
    order
}

/// What one key of a row is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Holds<'v> {
    Is(Comparison, &'v Value),
    IsNull,
    IsNotNull,
}

/// A part of an order without gaps: rows whose keys are so.
pub(crate) type Stretch<'v> = Vec<(ColumnId, Holds<'v>)>;

/// Rows that come after a place, the nearest first: those of each stretch agree with the place in some first keys and come after it by the
/// next. NULL is smaller than every value.
pub(crate) fn stretches<'v>(order: &[SortKey], entity: &Entity, place: &'v [Value]) -> Vec<Stretch<'v>> {
    let mut stretches = Vec::new();
    let mut equal: Stretch<'v> = Vec::new();
    for (SortKey { column, direction }, value) in complete(order, entity).into_iter().zip(place) {
        let (beyond, same): (&[Holds<'v>], _) = match (direction, value) {
            (Direction::Ascending, Value::Null) => (&[Holds::IsNotNull], Holds::IsNull),
            (Direction::Descending, Value::Null) => (&[], Holds::IsNull),
            (Direction::Ascending, value) => (
                &[Holds::Is(Comparison::Gt, value)],
                Holds::Is(Comparison::Eq, value),
            ),
            (Direction::Descending, value) if is_nullable(entity, column) => (
                &[Holds::IsNull, Holds::Is(Comparison::Lt, value)],
                Holds::Is(Comparison::Eq, value),
            ),
            (Direction::Descending, value) => (
                &[Holds::Is(Comparison::Lt, value)],
                Holds::Is(Comparison::Eq, value),
            ),
        };
        for holds in beyond {
            let mut stretch = equal.clone();
            stretch.push((column, *holds));
            stretches.push(stretch);
        }
        equal.push((column, same));
    }
    stretches.reverse();
    stretches
}

/// The same as one condition.
///
/// Their first key is not before the place's, which follows from the rest and is said for the sake of an index: not every database
/// begins in the middle of one for conditions with OR between them.
pub(crate) fn after(order: &[SortKey], entity: &Entity, place: &[Value]) -> Predicate {
    let begin = match (complete(order, entity).as_slice(), place) {
        // Where there is but one key the rest says as much.
        ([first, _, ..], [value, ..]) => not_before(*first, entity, value),
        ([] | [_], _) | (_, []) => Predicate::True,
    };
    let mut after = Predicate::False;
    for stretch in stretches(order, entity, place) {
        let all = stretch.into_iter().map(|(column, holds)| holds.of(column));
        after = after.or(all.fold(Predicate::True, Predicate::and));
    }
    begin.and(after)
}

impl Holds<'_> {
    fn of(self, column: ColumnId) -> Predicate {
        match self {
            Holds::Is(op, value) => Predicate::Compare {
                column,
                op,
                value: value.clone(),
            },
            Holds::IsNull => Predicate::IsNull { column },
            Holds::IsNotNull => Predicate::Not(Box::new(Predicate::IsNull { column })),
        }
    }
}

/// What holds for every row that is not before a place by one key, where that is a single range of an index.
fn not_before(key: SortKey, entity: &Entity, value: &Value) -> Predicate {
    let SortKey { column, direction } = key;
    let is = |op| Predicate::Compare {
        column,
        op,
        value: value.clone(),
    };
    match (direction, value) {
        (_, Value::Null) => Predicate::True,
        (Direction::Ascending, _) => is(Comparison::Gte),
        // NULLs come behind.
        (Direction::Descending, _) if is_nullable(entity, column) => Predicate::True,
        (Direction::Descending, _) => is(Comparison::Lte),
    }
}

/// Whether a place may have this value in this column: one of its type, or a time that is finer than ours, as the
/// adapter wants it.
pub(crate) fn suits(column: &Column, value: &Value) -> bool {
    match value {
        Value::Null => column.is_nullable,
        Value::Int(_) | Value::Text(_) if column.kind == ColumnType::Datetime => true,
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::Uuid(_)
        | Value::Date(_)
        | Value::Timestamp(_)
        | Value::Json(_)
        | Value::Bytes(_)
        | Value::Earlier(_) => fits(column.kind, value),
    }
}

fn is_nullable(entity: &Entity, column: ColumnId) -> bool {
    entity.column(column).is_none_or(|column| column.is_nullable)
}
