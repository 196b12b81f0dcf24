//! A small schema, a policy and a database for this crate's tests.

use std::sync::Arc;

use dbal_config::{Sqlite, Synchronous};
use dbal_policy::{Policy, Subject};
use dbal_schema::{Entity, Schema, Source};
use dbal_shared::ids::{ColumnId, RequestId};
use dbal_shared::message::Reply;
use dbal_shared::plan::{Action, Assignment, Page, Plan, Target, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;
use tempfile::TempDir;

use crate::database::sqlite::{Connections, open};
use crate::generate::Fresh;
use crate::ledger::Memo;

pub(crate) const ALICE: &str = "0199a000-0000-7000-8000-00000000000a";
pub(crate) const BOB: &str = "0199a000-0000-7000-8000-00000000000b";

const ENTITIES: &str = r"
entity: User
fields:
  id:       {type: uuid, primary: true, generated: true}
  username: {type: string, required: true, unique: true, min_length: 3}
---
entity: Note
fields:
  id:        {type: uuid, primary: true, generated: true}
  ownerId:   {type: uuid, required: true, foreign_key: {entity: User, field: id, on_delete: cascade}}
  slug:      {type: string, required: true, max_length: 40}
  state:     {type: enum, values: [draft, published, locked], default: draft}
  rank:      {type: integer, nullable: true}
  price:     {type: decimal, nullable: true}
  remark:    {type: text, nullable: true}
  createdAt: {type: datetime, generated: true}
  updatedAt: {type: datetime, auto_update: true}
indexes:
  - {fields: [ownerId, slug], unique: true, name: note_owner_slug}
---
entity: Comment
fields:
  id:     {type: cuid, primary: true, generated: true}
  noteId: {type: uuid, required: true, foreign_key: {entity: Note, field: id, on_delete: restrict}}
  text:   {type: text, required: true}
---
entity: Sample
fields:
  id:    {type: integer, primary: true}
  whole: {type: bigint, nullable: true}
  real:  {type: float, nullable: true}
  exact: {type: decimal, nullable: true}
  flag:  {type: boolean, nullable: true}
  text:  {type: text, nullable: true}
  day:   {type: date, nullable: true}
  time:  {type: datetime, nullable: true}
  key:   {type: uuid, nullable: true}
  bytes: {type: bytes, nullable: true}
  json:  {type: json, nullable: true}
---
entity: Leaf
fields:
  id:       {type: integer, primary: true}
  sampleId: {type: integer, nullable: true, foreign_key: {entity: Sample, field: id, on_delete: cascade, inverse: leaves}}
  whole:    {type: bigint, nullable: true}
  text:     {type: text, nullable: true}
";

const RULES: &str = r#"
version: 1
roles:
  user: {}
  editor: {}
  guest: {}
  admin: {inherits: [user]}
rules:
  - {id: users-read, entity: User, roles: [user], operations: [read, list], fields: {read: [username]}}
  - id: notes-own
    entity: Note
    roles: [user]
    operations: [read, list, create, update, delete]
    rows: "ownerId = $user.id AND state IN ('draft', 'published')"
    check: "ownerId = $user.id AND state IN ('draft', 'published')"
    fields: {read: ["*"], write: [ownerId, slug, state, rank, price, remark]}
  - id: notes-published
    entity: Note
    roles: [user]
    operations: [read, list]
    rows: "state = 'published'"
    fields: {read: ["*", "-remark"]}
  - id: editors-publish
    entity: Note
    roles: [editor]
    operations: [update]
    rows: "state = 'draft'"
    check: "state = 'published'"
    fields: {write: [state]}
  - id: editors-lock
    entity: Note
    roles: [editor]
    operations: [update]
    rows: "state = 'published'"
    check: "state = 'locked'"
    fields: {write: [state]}
  - id: comments
    entity: Comment
    roles: [user]
    operations: [read, list, create, update, delete]
    rows: "text != 'hidden'"
    fields: {read: ["*"], write: ["*", id]}
  # Guests see slugs, but whose a note is only once it is published.
  - {id: guests-slugs, entity: Note, roles: [guest], operations: [list], fields: {read: [id, slug]}}
  - {id: guests-published, entity: Note, roles: [guest], operations: [list], rows: "state = 'published'", fields: {read: [id, slug, ownerId]}}
  - {id: guests-names, entity: User, roles: [guest], operations: [list], fields: {read: [id, username]}}
  - {id: all-users, entity: User, roles: [admin], operations: [read, list, create, update, delete], fields: {read: ["*"], write: ["*", id]}, allow_unfiltered: true}
  - {id: all-notes, entity: Note, roles: [admin], operations: [read, list, create, update, delete], fields: {read: ["*"], write: ["*", id]}, allow_unfiltered: true}
  - {id: samples, entity: Sample, roles: [admin], operations: [read, list, create], fields: {read: ["*"], write: ["*", id]}}
  - {id: leaves, entity: Leaf, roles: [admin], operations: [read, list], rows: "text IS NULL OR text != 'a'", fields: {read: ["*"]}}
  - {id: leaves-grow, entity: Leaf, roles: [admin], operations: [create], fields: {write: ["*", id]}}
limits:
  user: {max_complexity: 100000, max_rows: 1000}
  admin: {max_complexity: 100000, max_rows: 1000}
"#;

/// Schema, policy and an empty database with Alice and Bob in it.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) policy: Arc<Policy>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with("", "")
    }

    /// With an index for each order of notes that is asked for.
    pub(crate) fn indexed() -> Self {
        const UNIQUE: &str = "  - {fields: [ownerId, slug], unique: true, name: note_owner_slug}\n";
        let own = |name| format!("  - {{fields: [{name}], name: note_{name}}}\n");
        let more = ["rank", "price", "state", "slug", "createdAt", "updatedAt"].map(own);
        let entities = ENTITIES.replace(UNIQUE, &format!("{UNIQUE}{}", more.concat()));
        Self::of(&entities, RULES)
    }

    /// With more entities, and rules for them.
    pub(crate) fn with(entities: &str, rules: &str) -> Self {
        Self::of(
            &format!("{ENTITIES}{entities}"),
            &RULES.replace("\nlimits:", &format!("\n{rules}limits:")),
        )
    }

    fn of(entities: &str, rules: &str) -> Self {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let schema = Schema::parse(&[source("entities.yaml", entities)])
            .unwrap()
            .schema;
        let policy = Policy::parse(&source("acl.yaml", rules), Arc::new(schema))
            .unwrap()
            .policy;
        Self {
            folder: tempfile::tempdir().unwrap(),
            policy: Arc::new(policy),
        }
    }

    /// The policy with more text at its end.
    pub(crate) fn policy_with(&self, more: &str) -> Arc<Policy> {
        let source = Source {
            name: "acl.yaml".to_owned(),
            text: format!("{RULES}{more}"),
        };
        Arc::new(
            Policy::parse(&source, Arc::clone(self.policy.schema()))
                .unwrap()
                .policy,
        )
    }

    /// Opens the database; the first time there are tables and two users in it.
    pub(crate) fn open(&self) -> Connections {
        self.open_in(self.folder.path())
    }

    /// The same in a folder that belongs to another.
    pub(crate) fn open_in(&self, folder: &std::path::Path) -> Connections {
        let config = Sqlite {
            path: folder.join("test.sqlite"),
            readers: 2,
            synchronous: Synchronous::Normal,
            create_tables: true,
        };
        let connections = open(&config, self.policy.schema()).unwrap();
        for (id, name) in [(ALICE, "alice"), (BOB, "bob")] {
            let sql = "INSERT OR IGNORE INTO \"User\" (id, username) VALUES (?, ?)";
            connections.writer.execute(sql, (id, name)).unwrap();
        }
        connections
    }

    pub(crate) fn entity(&self, name: &str) -> &Entity {
        self.policy.schema().by_name(name).unwrap()
    }

    pub(crate) fn column(&self, entity: &str, name: &str) -> ColumnId {
        self.entity(entity).column_by_name(name).unwrap().id
    }

    pub(crate) fn subject(&self, id: &str, role: &str) -> Subject {
        self.policy.subject(&Principal {
            id: Some(id.to_owned()),
            roles: vec![role.to_owned()],
            ..Principal::default()
        })
    }

    /// What this caller gets of a plan.
    pub(crate) fn plan(&self, caller: (&str, &str), entity: &str, action: Action) -> ValidPlan {
        let plan = Plan {
            entity: self.entity(entity).id,
            action,
        };
        let grant = self
            .policy
            .decide(&self.subject(caller.0, caller.1), plan)
            .unwrap();
        ValidPlan::of_grant(grant, self.policy.schema(), &mut Fresh::at(1_705_314_600_000)).unwrap()
    }

    pub(crate) fn values(&self, entity: &str, values: &[(&str, Value)]) -> Vec<Assignment> {
        let one = |(name, value): &(&str, Value)| Assignment {
            column: self.column(entity, name),
            value: value.clone(),
        };
        values.iter().map(one).collect()
    }

    pub(crate) fn projection(&self, entity: &str, names: &[&str]) -> Vec<ColumnId> {
        names.iter().map(|name| self.column(entity, name)).collect()
    }

    pub(crate) fn target(&self, entity: &str, name: &str, value: Value) -> Target {
        Target {
            column: self.column(entity, name),
            value,
        }
    }

    pub(crate) fn eq(&self, entity: &str, name: &str, value: Value) -> Predicate {
        Predicate::Compare {
            column: self.column(entity, name),
            op: Comparison::Eq,
            value,
        }
    }

    pub(crate) fn list(&self, entity: &str, filter: Predicate, names: &[&str]) -> Action {
        Action::List {
            filter,
            order: Vec::new(),
            page: Page {
                number: 1,
                limit: 100,
            },
            total: Total::Counted,
            projection: self.projection(entity, names),
            includes: Vec::new(),
            cursor: None,
        }
    }
}

pub(crate) fn uuid(text: &str) -> Value {
    Value::Uuid(text.parse::<uuid::Uuid>().unwrap().into_bytes())
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The reply's JSON.
pub(crate) fn json(reply: &Reply) -> serde_json::Value {
    serde_json::from_str(&reply.json).unwrap()
}

pub(crate) fn memo(action: &Action) -> Memo {
    Memo {
        request: RequestId { boot: 1, sequence: 1 },
        session: None,
        method: action.name(),
        operation: Some(action.operation()),
        keys: Vec::new(),
        rule: None,
        judged: None,
        complexity: None,
        rows: None,
        note: None,
        since: std::time::Instant::now(),
        database_since: None,
        trace: None,
        calls: Vec::new(),
    }
}
