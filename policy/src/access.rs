//! What can be known of a caller's rights before any plan: per role set and claims at hand, for each entity and operation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dbal_schema::{ColumnSet, Entity, Schema};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;

use crate::hurdle::Hurdle;
use crate::roles::RoleSet;
use crate::rule::{Restriction, Rule, position};
use crate::slots::SlotId;

/// Tables kept for sharing. A role set comes from a signed proof, so nobody can make many; beyond it sessions hold their own.
const KEPT: usize = 1_024;

/// Which tables two callers share: the same roles, and the same claims present.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) roles: RoleSet,
    pub(crate) presence: Box<[bool]>,
}

/// The tables of one kind of caller.
#[derive(Debug, PartialEq)]
pub(crate) struct Access {
    entities: Box<[EntityAccess]>,
}

/// What is granted on one entity.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct EntityAccess {
    operations: [OperationAccess; 5],
    /// Restrictions that hold, as indexes.
    pub(crate) restrictions: Box<[usize]>,
    /// A restriction asks for a claim that the caller lacks: no row is left.
    pub(crate) barred_by: Option<usize>,
}

/// What is granted of one operation on one entity.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct OperationAccess {
    /// Rules that apply, as indexes, in the policy's order.
    pub(crate) rules: Box<[usize]>,
    /// Columns that some of them show.
    pub(crate) readable: ColumnSet,
    /// Columns that some of them let the caller write.
    pub(crate) writable: ColumnSet,
    /// Columns that some of them fill.
    pub(crate) preset: ColumnSet,
}

impl Access {
    /// Works out the tables.
    pub(crate) fn new(kind: &Kind, schema: &Schema, rules: &[Rule], restrictions: &[Restriction]) -> Self {
        let mut by_entity: Vec<Vec<(usize, &Rule)>> = vec![Vec::new(); schema.entities().len()];
        for (index, rule) in rules.iter().enumerate() {
            if let Some(own) = by_entity.get_mut(usize::from(rule.entity.0)) {
                own.push((index, rule));
            }
        }
        let mut entities: Box<[EntityAccess]> = schema
            .entities()
            .iter()
            .map(|_| EntityAccess::default())
            .collect();
        for ((entity, access), rules) in schema.entities().iter().zip(&mut entities).zip(by_entity) {
            for operation in Operation::ALL {
                let applying: Vec<(usize, &Rule)> = rules
                    .iter()
                    .filter(|(_, rule)| hurdle(rule, entity, operation, kind).is_none())
                    .copied()
                    .collect();
                if let Some(table) = access.operations.get_mut(position(operation)) {
                    *table = OperationAccess::new(operation, &applying);
                }
            }
            let holding = restrictions
                .iter()
                .enumerate()
                .filter(|(_, wall)| wall.entity == entity.id && !kind.roles.holds_any(&wall.unless));
            access.restrictions = holding.clone().map(|(index, _)| index).collect();
            access.barred_by = holding
                .clone()
                .find(|(_, wall)| missing(&wall.needs, kind).is_some())
                .map(|(index, _)| index);
        }
        Self { entities }
    }

    /// The tables of one entity, whatever is granted on it.
    pub(crate) fn table(&self, entity: EntityId) -> Option<&EntityAccess> {
        self.entities.get(usize::from(entity.0))
    }

    /// The tables of one entity; none where nothing is granted on it.
    pub(crate) fn entity(&self, entity: EntityId) -> Option<&EntityAccess> {
        let access = self.table(entity)?;
        access
            .operations
            .iter()
            .any(|table| !table.rules.is_empty())
            .then_some(access)
    }
}

impl EntityAccess {
    /// The table of one operation.
    pub(crate) fn operation(&self, operation: Operation) -> &OperationAccess {
        let [create, read, list, update, delete] = &self.operations;
        match operation {
            Operation::Create => create,
            Operation::Read => read,
            Operation::List => list,
            Operation::Update => update,
            Operation::Delete => delete,
        }
    }

    /// The table that says what the caller sees: its own for reads, that of `read` for writes.
    pub(crate) fn sight(&self, operation: Operation) -> &OperationAccess {
        match operation {
            Operation::List => self.operation(Operation::List),
            Operation::Read | Operation::Create | Operation::Update | Operation::Delete => {
                self.operation(Operation::Read)
            }
        }
    }
}

impl OperationAccess {
    fn new(operation: Operation, applying: &[(usize, &Rule)]) -> Self {
        let mut table = Self {
            rules: applying.iter().map(|(index, _)| *index).collect(),
            ..Self::default()
        };
        for (_, rule) in applying {
            match operation {
                Operation::Read | Operation::List => table.readable = table.readable.union(&rule.read),
                Operation::Create | Operation::Update => {
                    table.writable = table.writable.union(&rule.write);
                    table.preset = table.preset.union(&rule.preset_columns());
                }
                Operation::Delete => {}
            }
        }
        table
    }
}

/// What keeps a rule of this entity from granting the operation to such callers, before any plan is known.
pub(crate) fn hurdle(rule: &Rule, entity: &Entity, operation: Operation, kind: &Kind) -> Option<Hurdle> {
    if !rule.operations.contains(operation) {
        Some(Hurdle::OtherOperation)
    } else if !is_open(entity, operation) {
        Some(Hurdle::Closed)
    } else if !kind.roles.holds_any(&rule.roles) {
        Some(Hurdle::NoRole)
    } else {
        missing(&rule.needs, kind).map(Hurdle::NoClaim)
    }
}

/// The first claim of these that such callers lack.
pub(crate) fn missing(needs: &[SlotId], kind: &Kind) -> Option<SlotId> {
    needs.iter().find(|slot| !slot.is_in(&kind.presence)).copied()
}

/// Whether the schema leaves the operation to the policy at all.
pub fn is_open(entity: &Entity, operation: Operation) -> bool {
    let is_write = match operation {
        Operation::Create | Operation::Update | Operation::Delete => true,
        Operation::Read | Operation::List => false,
    };
    let is_closed = entity.system_only.contains(&operation) || (is_write && entity.is_read_only);
    !is_closed
}

/// Tables in use, shared by all sessions of a kind.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<HashMap<Kind, Weak<Access>>>);

impl Shelf {
    /// The tables of this kind, made if nobody has them.
    pub(crate) fn get(&self, kind: Kind, make: impl FnOnce(&Kind) -> Access) -> Arc<Access> {
        // A panic while the lock was held leaves a map that is whole.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(access) = kept.get(&kind).and_then(Weak::upgrade) {
            return access;
        }
        let access = Arc::new(make(&kind));
        if kept.len() >= KEPT {
            kept.retain(|_, access| access.strong_count() > 0);
        }
        if kept.len() < KEPT {
            kept.insert(kind, Arc::downgrade(&access));
        }
        access
    }
}
