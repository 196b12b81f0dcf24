//! Rows in memory, and what a condition says of them.

use std::collections::HashMap;

use dbal_policy::evaluate_with;
use dbal_schema::{Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::predicate::{Predicate, Quantifier};
use dbal_shared::value::Value;

/// A row: a value for each column of its entity.
pub(super) type Row = Vec<Value>;

/// All rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(HashMap<EntityId, Vec<Row>>);

impl Memory {
    /// None yet, of all entities.
    pub(super) fn of(schema: &Schema) -> Self {
        Self(
            schema
                .entities()
                .iter()
                .map(|entity| (entity.id, Vec::new()))
                .collect(),
        )
    }

    /// A row that names nothing: its columns' defaults.
    pub(super) fn blank(entity: &Entity) -> Row {
        let default = |default: &Option<Value>| default.clone().unwrap_or(Value::Null);
        entity
            .columns
            .iter()
            .map(|column| default(&column.default))
            .collect()
    }

    pub(super) fn add(&mut self, entity: EntityId, row: Row) {
        self.0.entry(entity).or_default().push(row);
    }

    pub(super) fn rows(&self, entity: EntityId) -> &[Row] {
        self.0.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// Whether the condition is true of the row.
    pub(super) fn holds(&self, predicate: &Predicate, row: &Row) -> bool {
        self.says(predicate, row) == Some(true)
    }

    fn says(&self, predicate: &Predicate, row: &Row) -> Option<bool> {
        let value = |column: ColumnId| row.get(usize::from(column.0));
        evaluate_with(predicate, &value, &|related| self.linked(related, row))
    }

    fn linked(&self, related: &Predicate, row: &Row) -> Option<bool> {
        let Predicate::Related {
            link,
            quantifier,
            within,
            predicate,
        } = related
        else {
            return None;
        };
        let own = row
            .get(usize::from(link.column.0))
            .filter(|value| **value != Value::Null);
        let mut linked = self
            .rows(link.entity)
            .iter()
            .filter(|other| own.is_some() && other.get(usize::from(link.foreign.0)) == own)
            .filter(|other| self.holds(within, other));
        Some(match quantifier {
            Quantifier::Some => linked.any(|other| self.holds(predicate, other)),
            Quantifier::None => !linked.any(|other| self.holds(predicate, other)),
            Quantifier::Every => linked.all(|other| self.holds(predicate, other)),
        })
    }
}
