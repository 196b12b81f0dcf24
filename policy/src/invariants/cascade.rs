//! Rows that the database deletes or changes along with others (`on_delete`): no rule of their own is asked then.

use dbal_schema::{Column, ColumnSet, OnDelete, Schema};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;

use super::Breach;
use super::demands::{Bound, Demand, Invariant};
use crate::access::is_open;
use crate::compile::Compiled;
use crate::template::Template;

/// Adds each rule by which rows go, or change, that must never. `within` speaks of rows that a call itself reaches.
pub(super) fn breaches(
    invariant: &Invariant,
    bound: &Bound,
    compiled: &Compiled,
    schema: &Schema,
    breaches: &mut Vec<Breach>,
) {
    let Demand::Never(_) = &bound.demand else { return };
    let Some(entity) = schema.entity(bound.entity) else {
        return;
    };
    if bound.operations.contains(Operation::Delete) {
        for parent in parents(entity.id, schema, OnDelete::Cascade, None) {
            add(invariant, parent, compiled, schema, breaches, |parent| {
                format!(
                    "rows of {} that refer to {parent} go with it (`on_delete: cascade`)",
                    entity.name
                )
            });
        }
    }
    if bound.operations.contains(Operation::Update) {
        for parent in parents(entity.id, schema, OnDelete::SetNull, bound.fields) {
            add(invariant, parent, compiled, schema, breaches, |parent| {
                format!(
                    "rows of {} that refer to {parent} change with it (`on_delete: set_null`)",
                    entity.name
                )
            });
        }
    }
}

/// Entities whose deleting does this to rows of `entity`, directly or because they go with others.
fn parents(entity: EntityId, schema: &Schema, how: OnDelete, fields: Option<ColumnSet>) -> Vec<EntityId> {
    let mut found: Vec<EntityId> = Vec::new();
    let is_meant = |column: &Column| fields.is_none_or(|fields| fields.contains(column.id));
    let mut left = referred(entity, schema, how, is_meant);
    while let Some(next) = left.pop() {
        if !found.contains(&next) {
            found.push(next);
            left.extend(referred(next, schema, OnDelete::Cascade, |_| true));
        }
    }
    found
}

fn referred(
    entity: EntityId,
    schema: &Schema,
    how: OnDelete,
    is_meant: impl Fn(&Column) -> bool,
) -> Vec<EntityId> {
    let columns = schema.entity(entity).map_or(&[][..], |entity| &entity.columns);
    columns
        .iter()
        .filter(|column| is_meant(column))
        .filter_map(|column| column.references)
        .filter(|reference| reference.on_delete == how)
        .map(|reference| reference.entity)
        .collect()
}

fn add(
    invariant: &Invariant,
    parent: EntityId,
    compiled: &Compiled,
    schema: &Schema,
    breaches: &mut Vec<Breach>,
    consequence: impl Fn(&str) -> String,
) {
    let Some(parent) = schema
        .entity(parent)
        .filter(|parent| is_open(parent, Operation::Delete))
    else {
        return;
    };
    for rule in &compiled.rules {
        let is_theirs = rule
            .roles
            .iter()
            .any(|role| invariant.callers.roles.contains(role));
        let deletes = rule.entity == parent.id && rule.operations.contains(Operation::Delete);
        let is_void = rule.rows == Template::Fixed(Predicate::False);
        if is_theirs && deletes && !is_void {
            let Invariant { id, at, .. } = invariant;
            let text = format!(
                "invariant `{id}` ({at}) is broken: rule `{}` deletes rows of {}, and {}",
                rule.id,
                parent.name,
                consequence(&parent.name)
            );
            breaches.push(Breach {
                at: rule.at.clone(),
                text,
            });
        }
    }
}
