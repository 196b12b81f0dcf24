//! Policies, callers and plans in few words.

use std::sync::Arc;

use dbal_schema::{Schema, Source};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Action, Assignment, Direction, Page, Plan, SortKey, Target, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use crate::{Denied, Grant, Loaded, Policy, PolicyError, Subject};

/// A schema and a policy.
pub(crate) struct World {
    pub(crate) schema: Arc<Schema>,
    pub(crate) policy: Policy,
}

pub(crate) const ME: &str = "00000000-0000-7000-8000-00000000000a";
pub(crate) const OTHER: &str = "00000000-0000-7000-8000-00000000000b";

pub(crate) fn uuid(text: &str) -> Value {
    let hex: String = text.chars().filter(|it| *it != '-').collect();
    Value::Uuid(u128::from_str_radix(&hex, 16).unwrap().to_be_bytes())
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn schema(entities: &str) -> Arc<Schema> {
    let loaded = Schema::parse(&[source("entities.yaml", entities)]);
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error}")).schema)
}

pub(crate) fn parse(entities: &str, rules: &str) -> Result<Loaded, PolicyError> {
    Policy::parse(&source("acl.yaml", rules), schema(entities))
}

pub(crate) fn principal(roles: &[&str]) -> Principal {
    Principal {
        id: Some(ME.to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Principal::default()
    }
}

impl World {
    pub(crate) fn new(entities: &str, rules: &str) -> Self {
        let schema = schema(entities);
        let policy = Policy::parse(&source("acl.yaml", rules), Arc::clone(&schema));
        Self {
            schema,
            policy: policy.unwrap_or_else(|error| panic!("{error}")).policy,
        }
    }

    pub(crate) fn subject(&self, roles: &[&str]) -> Subject {
        self.policy.subject(&principal(roles))
    }

    pub(crate) fn entity(&self, name: &str) -> EntityId {
        self.schema.by_name(name).unwrap().id
    }

    pub(crate) fn column(&self, entity: &str, name: &str) -> ColumnId {
        self.schema
            .by_name(entity)
            .unwrap()
            .column_by_name(name)
            .unwrap()
            .id
    }

    pub(crate) fn columns(&self, entity: &str, names: &[&str]) -> Vec<ColumnId> {
        names.iter().map(|name| self.column(entity, name)).collect()
    }

    pub(crate) fn eq(&self, entity: &str, name: &str, value: Value) -> Predicate {
        self.compare(entity, name, Comparison::Eq, value)
    }

    pub(crate) fn compare(&self, entity: &str, name: &str, op: Comparison, value: Value) -> Predicate {
        Predicate::Compare {
            column: self.column(entity, name),
            op,
            value,
        }
    }

    pub(crate) fn values(&self, entity: &str, values: &[(&str, Value)]) -> Vec<Assignment> {
        let value = |(name, value): &(&str, Value)| Assignment {
            column: self.column(entity, name),
            value: value.clone(),
        };
        values.iter().map(value).collect()
    }

    pub(crate) fn target(&self, entity: &str, name: &str, value: Value) -> Target {
        Target {
            column: self.column(entity, name),
            value,
        }
    }

    pub(crate) fn plan(&self, entity: &str, action: Action) -> Plan {
        Plan {
            entity: self.entity(entity),
            action,
        }
    }

    pub(crate) fn list(&self, entity: &str, filter: Predicate, names: &[&str]) -> Plan {
        let action = Action::List {
            filter,
            order: Vec::new(),
            page: Page { number: 1, limit: 20 },
            total: Total::Counted,
            projection: self.columns(entity, names),
            includes: Vec::new(),
            cursor: None,
        };
        self.plan(entity, action)
    }

    pub(crate) fn sorted(&self, entity: &str, by: &str, names: &[&str]) -> Plan {
        let action = Action::FindFirst {
            filter: Predicate::True,
            order: vec![SortKey {
                column: self.column(entity, by),
                direction: Direction::Ascending,
            }],
            projection: self.columns(entity, names),
            includes: Vec::new(),
        };
        self.plan(entity, action)
    }

    pub(crate) fn create(&self, entity: &str, values: &[(&str, Value)]) -> Plan {
        let action = Action::Create {
            values: self.values(entity, values),
            projection: Vec::new(),
        };
        self.plan(entity, action)
    }

    pub(crate) fn update(&self, entity: &str, id: &str, values: &[(&str, Value)]) -> Plan {
        let action = Action::Update {
            target: self.target(entity, "id", uuid(id)),
            values: self.values(entity, values),
            projection: Vec::new(),
        };
        self.plan(entity, action)
    }

    pub(crate) fn delete(&self, entity: &str, id: &str) -> Plan {
        self.plan(
            entity,
            Action::Delete {
                target: self.target(entity, "id", uuid(id)),
            },
        )
    }

    pub(crate) fn decide(&self, roles: &[&str], plan: Plan) -> Result<Grant, Denied> {
        self.policy.decide(&self.subject(roles), plan)
    }
}

/// Entities for most tests.
pub(crate) const ENTITIES: &str = r"
entity: Team
fields:
  id: {type: uuid, primary: true}
  leadId: {type: uuid}
  closed: {type: boolean, default: false}
---
entity: Doc
fields:
  id: {type: uuid, primary: true, generated: true}
  ownerId: {type: uuid, nullable: true}
  teamId: {type: uuid, nullable: true, foreign_key: {entity: Team, field: id}}
  tenant: {type: string, nullable: true}
  title: {type: string, nullable: true}
  slug: {type: string, unique: true, nullable: true}
  secret: {type: string, nullable: true}
  hash: {type: string, nullable: true, never_expose: true}
  state: {type: enum, values: [draft, published], default: draft}
  rank: {type: integer, default: 0}
  price: {type: decimal, nullable: true}
  tags: {type: json, nullable: true}
  createdAt: {type: datetime, generated: true}
  updatedAt: {type: datetime, auto_update: true}
";

/// A policy of these rules, with the roles user, editor (a user) and admin.
pub(crate) fn rules(rules: &str) -> String {
    format!("version: 1\nroles: {{user: {{}}, editor: {{inherits: [user]}}, admin: {{}}}}\n{rules}")
}

/// A world of [`ENTITIES`].
pub(crate) fn docs(these: &str) -> World {
    World::new(ENTITIES, &rules(these))
}
