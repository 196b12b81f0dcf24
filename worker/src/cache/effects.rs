//! What a write may change, as far as answers are kept of it: its own entity, what the database changes along with it by references,
//! and everything where a trigger or a rule may do what nobody knows. And what an answer depends on.

use std::time::Duration;

use dbal_schema::{Entity, OnDelete, Schema};
use dbal_shared::ids::{Digest, EntityId};
use dbal_shared::plan::Action;
use dbal_sql::ValidPlan;

use crate::database::catalog::{Catalog, Reference, Table};
use crate::job::What;

/// Of all entities, as the database was at start.
#[derive(Debug)]
pub struct Effects {
    schema: Digest,
    /// By their numbers.
    entities: Vec<Effect>,
    keeps_any: bool,
}

#[derive(Debug)]
struct Effect {
    /// How long answers that show its rows may be kept; none: not at all.
    ttl: Option<Duration>,
    of_create: Reach,
    of_update: Reach,
    of_delete: Reach,
}

/// Entities of which answers are kept, and whose rows may be others after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These.
    Some(Vec<EntityId>),
    /// Nobody knows which.
    Any,
}

/// What an answer depends on, and how long it may be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Basis {
    /// Everything that it is made of.
    pub entities: Vec<EntityId>,
    /// The shortest time of any of them.
    pub ttl: Duration,
}

/// How a row came to be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Made,
    Updated,
    Gone,
}

impl Effects {
    /// Where nothing is kept of any entity.
    pub fn none(schema: Digest) -> Self {
        Self {
            schema,
            entities: Vec::new(),
            keeps_any: false,
        }
    }

    /// Those of a database. Tells the log of entities whose answers can't be kept although their files say so.
    pub fn of(schema: &Schema, catalog: &Catalog) -> Self {
        if schema.entities().iter().all(|entity| entity.caching.is_none()) {
            return Self::none(schema.hash());
        }
        let whole = Graph::of(schema, catalog);
        let mut entities: Vec<Effect> = schema
            .entities()
            .iter()
            .map(|entity| {
                let ttl = entity.caching.map(|caching| caching.ttl);
                let may = whole.is_known(entity);
                if ttl.is_some() && !may {
                    tracing::warn!(
                        entity = entity.name,
                        "answers that show it are not kept although its file says `cache`: its table is a view, a part of another, \
                         under policies of the database's own, or follows a table that can't be seen"
                    );
                }
                Effect {
                    ttl: ttl.filter(|_| may),
                    of_create: Reach::Any,
                    of_update: Reach::Any,
                    of_delete: Reach::Any,
                }
            })
            .collect();
        let kept: Vec<bool> = entities.iter().map(|effect| effect.ttl.is_some()).collect();
        let keeps_any = kept.contains(&true);
        let kept = |id: &EntityId| kept.get(usize::from(id.0)).copied().unwrap_or(false);
        for (entity, effect) in schema.entities().iter().zip(&mut entities) {
            let reach = |change| match whole.reach(entity, change) {
                Reach::Some(ids) => Reach::Some(ids.into_iter().filter(kept).collect()),
                Reach::Any if keeps_any => Reach::Any,
                Reach::Any => Reach::NONE,
            };
            effect.of_create = reach(Change::Made);
            effect.of_update = reach(Change::Updated);
            effect.of_delete = reach(Change::Gone);
        }
        Self {
            schema: schema.hash(),
            entities,
            keeps_any,
        }
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Whether answers of any entity may be kept.
    pub fn keeps_any(&self) -> bool {
        self.keeps_any
    }

    /// The schema that it is about.
    pub fn schema(&self) -> Digest {
        self.schema
    }

    /// What an answer depends on; none where an entity is among it of which nothing may be kept.
    pub fn basis(&self, plan: &ValidPlan) -> Option<Basis> {
        // Most plans end here.
        let own = plan.entity()?.id;
        let mut ttl = self.effect(own)?.ttl?;
        let entities = plan.reads_of();
        for id in &entities {
            ttl = ttl.min(self.effect(*id)?.ttl?);
        }
        Some(Basis { entities, ttl })
    }

    /// What is kept of it that a task may change; nothing for one that only reads.
    pub fn reach(&self, what: &What) -> Reach {
        let mut reach = Reach::NONE;
        if !self.keeps_any {
            return reach;
        }
        match what {
            What::One(plan) => match plan.entity() {
                Some(entity) => self.add(entity.id, plan.action(), &mut reach),
                None => reach = Reach::Any,
            },
            What::Together(transaction) => {
                for (entity, action) in transaction.actions() {
                    match entity {
                        Some(entity) => self.add(entity, action, &mut reach),
                        None => reach = Reach::Any,
                    }
                }
            }
        }
        reach
    }

    fn add(&self, entity: EntityId, action: &Action, reach: &mut Reach) {
        let Some(effect) = self.effect(entity) else {
            *reach = Reach::Any;
            return;
        };
        reach.add(match action {
            Action::Read { .. }
            | Action::FindFirst { .. }
            | Action::List { .. }
            | Action::Count { .. }
            | Action::Aggregate { .. } => return,
            Action::Create { .. } | Action::CreateMany { .. } => &effect.of_create,
            Action::Update { .. } | Action::UpdateMany { .. } | Action::Upsert { .. } => &effect.of_update,
            Action::Delete { .. } | Action::DeleteMany { .. } => &effect.of_delete,
        });
    }

    fn effect(&self, entity: EntityId) -> Option<&Effect> {
        self.entities.get(usize::from(entity.0))
    }
}

impl Reach {
    /// Nothing.
    pub const NONE: Reach = Reach::Some(Vec::new());

    /// Whether nothing that is kept may change.
    pub fn is_none(&self) -> bool {
        matches!(self, Reach::Some(ids) if ids.is_empty())
    }

    fn add(&mut self, other: &Reach) {
        match (&mut *self, other) {
            (Reach::Any, _) => {}
            (_, Reach::Any) => *self = Reach::Any,
            (Reach::Some(ids), Reach::Some(more)) => {
                for id in more {
                    if !ids.contains(id) {
                        ids.push(*id);
                    }
                }
            }
        }
    }
}

/// Tables and how changes go from one to others.
struct Graph<'a> {
    catalog: &'a Catalog,
    /// The table of each entity, by their numbers.
    of_entities: Vec<Option<usize>>,
    /// What refers to each table: which, and how.
    referring: Vec<Vec<(usize, &'a Reference)>>,
    /// Tables that refer to one that is not seen, and follow it.
    follow_unseen: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn of(schema: &Schema, catalog: &'a Catalog) -> Self {
        let position = |name: &str| {
            let is_it = |table: &Table| catalog.table_names.are_one(&table.name, name);
            catalog.tables.iter().position(is_it)
        };
        let mut referring = vec![Vec::new(); catalog.tables.len()];
        let mut follow_unseen = Vec::new();
        for (from, table) in catalog.tables.iter().enumerate() {
            for reference in &table.references {
                match position(&reference.table).and_then(|to| referring.get_mut(to)) {
                    Some(referring) => referring.push((from, reference)),
                    None if acts(reference) => follow_unseen.push(from),
                    None => {}
                }
            }
        }
        let of_one = |entity: &Entity| position(entity.table.as_str());
        Self {
            catalog,
            of_entities: schema.entities().iter().map(of_one).collect(),
            referring,
            follow_unseen,
        }
    }

    fn position(&self, entity: &Entity) -> Option<usize> {
        self.of_entities.get(usize::from(entity.id.0)).copied().flatten()
    }

    /// Whether all that may change its rows is seen.
    fn is_known(&self, entity: &Entity) -> bool {
        self.position(entity).is_some_and(|at| {
            let table = self.catalog.tables.get(at);
            table.is_some_and(|table| table.ties.is_itself) && !self.follow_unseen.contains(&at)
        })
    }

    /// What changes when rows of an entity do. Each table is looked at once.
    fn reach(&self, entity: &Entity, change: Change) -> Reach {
        let Some(first) = self.position(entity) else {
            return Reach::Any;
        };
        let mut reached = vec![first];
        let mut next = 0;
        while let Some(at) = reached.get(next).copied() {
            // Whatever a trigger does.
            if self
                .catalog
                .tables
                .get(at)
                .is_none_or(|table| table.ties.has_effects)
            {
                return Reach::Any;
            }
            for (from, reference) in self.referring.get(at).into_iter().flatten() {
                let follows = match (next, change) {
                    (0, Change::Made) => false,
                    (0, Change::Gone) => deletes(reference),
                    (0, Change::Updated) => reference.follows_updates && !self.is_to_key(reference, entity),
                    // What was reached may have been removed as well as changed.
                    _ => acts(reference),
                };
                if follows && !reached.contains(from) {
                    reached.push(*from);
                }
            }
            next = next.saturating_add(1);
        }
        let entities = (0..=u16::MAX).map(EntityId).zip(&self.of_entities);
        let is_reached = |at: &Option<usize>| at.is_some_and(|at| reached.contains(&at));
        Reach::Some(
            entities
                .filter(|(_, at)| is_reached(at))
                .map(|(id, _)| id)
                .collect(),
        )
    }

    /// Whether a reference is to the primary key, which no update changes.
    fn is_to_key(&self, reference: &Reference, entity: &Entity) -> bool {
        let key = entity.column(entity.key).map(|column| column.sql.as_str());
        match (reference.to.as_slice(), key) {
            ([to], Some(key)) => self.catalog.names.are_one(to, key),
            _ => false,
        }
    }
}

/// Whether the database changes rows when what they refer to is removed.
fn deletes(reference: &Reference) -> bool {
    reference.on_delete != Some(OnDelete::Restrict)
}

fn acts(reference: &Reference) -> bool {
    deletes(reference) || reference.follows_updates
}

#[cfg(test)]
mod tests;
